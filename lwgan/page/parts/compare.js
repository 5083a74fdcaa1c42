// Compares methods at equal expected effects, or at equal strengths. Sends the choice: {methods, effect}.
function make(kind, text, attributes = {}) {
  const made = document.createElement(kind);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function box(kind, name, value, label, on) {
  const made = make("label", "");
  made.append(Object.assign(document.createElement("input"), { type: kind, name, value, checked: on }), label);
  return made;
}

function send() {
  const methods = [...element.querySelectorAll(".methods input:checked")].map((input) => input.value);
  props.value = { methods, effect: Number(element.querySelector(".effects input:checked").value) };
  trigger("input");
}

function head(...texts) {
  const row = document.createElement("tr");
  row.append(...texts.map((text) => make("th", text, { scope: "col" })));
  return row;
}

function show() {
  const value = props.value ?? {};
  if (!value.rows && !value.empty) return; // the value is our own message to the server
  element.querySelector(".empty").hidden = !value.empty;
  element.querySelector(".empty").textContent = value.empty ?? "";
  element.querySelector(".body").hidden = !value.rows;
  if (!value.rows) return;
  const percent = (effect) => (value.measured ? `${Math.round(100 * effect)}%` : String(effect));
  const focused = document.activeElement?.closest?.("fieldset") && document.activeElement.value;
  const empty = value.rows.length === 0;
  element.querySelectorAll(".scroll").forEach((part) => { part.hidden = empty; });
  const columns = (value.measured
    ? "each column is where that share of pictures is expected to change."
    : "each column is a strength, because this edit was never measured.") + " Below a picture stands the alpha that it takes";
  element.querySelector(".label").textContent = `${value.label}: ${empty ? "choose a method" : columns}.`;
  const methods = element.querySelector(".methods"), effects = element.querySelector(".effects");
  methods.replaceChildren(methods.firstElementChild, ...value.methods.map(({ name, label, on }) => box("checkbox", "compared", name, label, on)));
  effects.replaceChildren(effects.firstElementChild, ...value.effects.map((effect) => box("radio", "effect", effect, percent(effect), effect === value.effect)));
  element.querySelectorAll("fieldset input").forEach((input) => {
    input.addEventListener("change", send);
    if (input.value === focused) input.focus();
  });

  const [strips, numbers] = element.querySelectorAll("table");
  strips.tHead.replaceChildren(head("", "before", ...value.effects.map(percent)));
  strips.tBodies[0].replaceChildren(...value.rows.map((method) => {
    const row = document.createElement("tr");
    row.append(make("th", method.label, { scope: "row" }));
    [{ src: value.source }, ...method.cells].forEach((cell, i) => {
      const place = make("td", cell ? "" : "–", i && value.effects[i - 1] === value.effect ? { class: "chosen" } : {});
      if (cell) {
        const picture = Object.assign(new Image(), { src: cell.src, alt: i ? `${method.label} at ${percent(value.effects[i - 1])}` : "before" });
        picture.onload = () => { picture.style.imageRendering = picture.naturalWidth < 200 ? "pixelated" : "auto"; };
        place.append(picture, make("small", i ? cell.alpha.toFixed(2) : ""));
      }
      row.append(place);
    });
    return row;
  }));
  const groups = document.createElement("tr");
  groups.append(make("td", ""), ...[["expected", 2], ["on this picture", 3]].map(([text, colspan]) => make("th", text, { scope: "colgroup", colspan })));
  numbers.tHead.replaceChildren(groups, head(`at ${percent(value.effect)}`, "changed", "others kept", "judge reads", "kept", "identity"));
  numbers.tBodies[0].replaceChildren(...value.rows.map((method) => {
    const row = document.createElement("tr");
    row.append(make("th", method.label, { scope: "row" }));
    if (method.why) row.append(make("td", method.why, { colspan: 5 }));
    else row.append(...[method.target, method.kept, method.here.reads, method.here.kept, method.here.identity].map((text) => make("td", text)));
    return row;
  }));
}
watch("value", show);
show();
