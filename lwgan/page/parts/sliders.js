// The panel of edits: a row for each, with its method, slider, number and reset. Sends {rows, current, domain, made, moves}:
// the rows, and to which panel of the server they belong. Without `live` a slider sends only the end of a move.
const list = element.querySelector(".rows");
const add = element.querySelector(".add");
let edits = new Map(); // by name
let rows = [];
let current = 0;
let panel = {}; // the domain of the server's panel, and when it was made
let moves = 0; // changes by the visitor since then
let remembered = new Map(); // strengths of removed rows, by key, in case they are added again

const round = (x) => Math.round(x * 1000) / 1000;

function make(kind, attributes = {}, text = "") {
  const made = document.createElement(kind);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// The value that every event sends along.
function keep() {
  props.value = { rows: rows.map(({ name, strength }) => ({ name, strength })), current, ...panel, moves };
}

// In the view Edit it sends "move", an event that changes fewer components and so is faster.
function send() {
  moves += 1;
  keep();
  trigger(document.querySelector("#view input:checked")?.value === "Edit" ? "move" : "input");
}

function within(edit, strength) {
  return Math.min(Math.max(strength, -edit.most), edit.most);
}

function expected(edit, alpha) {
  const curve = edit.curve;
  if (curve.length < 2 || alpha < 0) return null;
  for (let i = 1; i < curve.length; i++) {
    const [[a, before], [b, after]] = [curve[i - 1], curve[i]];
    if (alpha <= b) return before + ((alpha - a) / (b - a)) * (after - before);
  }
  return null;
}

function hint(edit, strength) {
  const alpha = strength * edit.unit;
  const share = expected(edit, alpha);
  const said = share === null ? "effect not measured here" : `${Math.round(100 * share)}% of such pictures change`;
  return `alpha ${alpha.toFixed(2)} · ${said}`;
}

function paint(row) {
  const edit = edits.get(row.name);
  row.strength = within(edit, row.strength);
  if (document.activeElement !== row.number) row.number.value = round(row.strength);
  row.range.value = row.strength;
  row.range.setAttribute("aria-valuetext", `strength ${round(row.strength)}, ${hint(edit, row.strength)}`);
  row.hint.textContent = hint(edit, row.strength);
  if (row === rows[current]) element.querySelector(".note").textContent = edit.note;
}

function move(row, strength, goes = true) {
  row.strength = strength;
  current = rows.indexOf(row);
  paint(row);
  if (goes) send();
}

// Offers all methods for a row's change. More may arrive later.
function methods(row) {
  const edit = edits.get(row.name);
  const others = [...edits.values()].filter((other) => other.key === edit.key);
  row.method.replaceChildren(...others.map((other) => make("option", { value: other.name }, other.method)));
  row.method.value = edit.name;
  row.method.hidden = others.length < 2;
}

function build(row) {
  const edit = edits.get(row.name);
  const box = make("div", { class: "row", "data-edit": edit.name });
  const limits = { min: edit.low, max: edit.high, step: edit.step };
  row.range = make("input", { type: "range", id: "slide-" + edit.name, ...limits });
  row.number = make("input", { type: "number", step: edit.step, "aria-label": `Strength of ${edit.label}` });
  row.hint = make("p", { class: "hint", title: edit.note });
  const top = make("div", { class: "top" });
  const method = (row.method = make("select", { class: "method", "aria-label": `Method for ${edit.label}`, title: edit.note }));
  methods(row);
  const away = make("button", { type: "button", class: "away", "aria-label": `Take away ${edit.label}`, title: "Take away" }, "×");
  top.append(make("label", { for: row.range.id }, edit.label), method, away);
  const bottom = make("div", { class: "bottom" });
  const reset = make("button", { type: "button", class: "reset", "aria-label": `Reset ${edit.label}`, title: "Reset" }, "↺");
  bottom.append(row.range, row.number, reset);
  box.append(top, bottom, row.hint);

  row.range.addEventListener("input", () => move(row, Number(row.range.value), props.live));
  row.number.addEventListener("input", () => {
    if (row.number.value !== "" && Number.isFinite(row.number.valueAsNumber)) move(row, row.number.valueAsNumber, props.live);
  });
  for (const field of [row.range, row.number]) field.addEventListener("change", () => { if (!props.live) send(); });
  row.number.addEventListener("blur", () => paint(row));
  reset.addEventListener("click", () => move(row, 0));
  method.addEventListener("change", () => {
    row.name = method.value; // the strength stays: it has the same effect with every method
    current = rows.indexOf(row);
    redraw();
    list.querySelector(`[data-edit="${row.name}"] .method`)?.focus();
    send();
  });
  away.addEventListener("click", () => {
    remembered.set(edit.key, row.strength);
    rows.splice(rows.indexOf(row), 1);
    current = Math.max(0, Math.min(current, rows.length - 1));
    redraw();
    add.focus();
    send();
  });
  return box;
}

function redraw() {
  list.replaceChildren(...rows.map(build));
  rows.forEach(paint);
  offer();
}

// Offers the changes that have no row yet, each by its best method.
function offer() {
  const shown = new Set(rows.map((row) => edits.get(row.name).key));
  const more = [...edits.values()].filter(({ key }) => !shown.has(key) && shown.add(key));
  add.replaceChildren(make("option", { value: "" }, "Add an edit…"), ...more.map(({ name, label }) => make("option", { value: name }, label)));
  add.hidden = more.length === 0;
}

add.addEventListener("change", () => {
  const edit = edits.get(add.value);
  if (!edit) return;
  current = rows.push({ name: edit.name, strength: remembered.get(edit.key) ?? 0 }) - 1;
  redraw();
  rows[current].range.focus();
  send();
});
element.querySelector(".off").addEventListener("click", () => {
  for (const row of rows) row.strength = 0;
  rows.forEach(paint);
  send();
});
// A view sends the strength of a chosen frame.
element.chosen = ({ detail }) => {
  const row = rows.find((row) => row.name === detail.name);
  if (row) move(row, detail.strength);
};
if (window.lwganChosen) document.removeEventListener("lwgan-strength", window.lwganChosen);
document.addEventListener("lwgan-strength", (window.lwganChosen = element.chosen));

function show() {
  const value = props.value;
  if (!value?.edits) return; // the value is our own message to the server
  if (value.keep && value.made !== panel.made) return keep(); // more edits for a panel that is gone by now
  edits = new Map(value.edits.map((edit) => [edit.name, edit]));
  const kept = value.keep ? rows.filter((row) => edits.has(row.name)) : [];
  if (kept.length === 0) {
    if (!value.keep) moves = 0;
    panel = { domain: value.domain, made: value.made };
    rows = value.rows.filter((row) => edits.has(row.name)).map((row) => ({ ...row }));
    current = value.current;
    redraw();
  } else if (kept.length !== rows.length) {
    rows = kept;
    redraw();
  } else {
    rows.forEach(methods);
    offer();
  }
  keep();
  element.querySelector(".pending").hidden = !value.pending;
  const refused = element.querySelector(".refused");
  refused.hidden = value.refused.length === 0;
  refused.querySelector("summary").textContent = `${value.refused.length} refused`;
  refused.querySelector("ul").replaceChildren(...value.refused.map(([name, why]) => make("li", {}, `${name}: ${why}`)));
}
watch("value", show);
show();
