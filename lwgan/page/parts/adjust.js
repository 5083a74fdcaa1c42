// The visitor's file with what was found in it; turns, inverts and crops it. Sends the whole wish each time:
// {turn, invert, crop}, so that no quick click is lost.
const root = element.querySelector(".adjust");
const frame = element.querySelector(".frame");
const picture = element.querySelector("img");
const svg = element.querySelector("svg");
const button = (name) => element.querySelector("button." + name);
const STEP = 0.02; // of the picture, for each arrow key
let shown = null;
let how = {};
let part = null; // left, top, right, bottom, as shares of the picture: chosen, not yet cropped
let start = null; // where a drag began

function add(tag, kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  made.classList.add(kind);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  svg.append(made);
}
const path = ([left, top, right, bottom]) => `M${left} ${top}H${right}V${bottom}H${left}Z`;

function draw() {
  svg.replaceChildren();
  for (const kind of ["sheet", "quad"]) for (const line of shown[kind]) add("polygon", kind, { points: line.map((point) => point.join()).join(" ") });
  if (part ?? how.crop) add("path", "outside", { d: "M0 0H1V1H0Z" + path(part ?? how.crop) });
  if (part) add("path", "part", { d: path(part) });
  button("crop").disabled = !part;
  button("whole").disabled = !how.crop;
  button("invert").setAttribute("aria-pressed", how.invert);
  const found = [shown.sheet.length ? "the sheet (dashed)" : "", shown.quad.length ? `${shown.quad.length} × what was looked for` : ""];
  const said = found.filter(Boolean).join(", ");
  element.querySelector(".said").textContent = (said ? `Found: ${said}. ` : "") + "Drag over the picture to crop it.";
}

function show() {
  const value = props.value;
  if (value && !value.picture) return; // our own message to the server
  shown = value;
  root.hidden = !value;
  if (!value) return;
  how = value.how;
  part = null;
  picture.src = value.picture;
  draw();
}

function send(wish) {
  how = { ...how, ...wish };
  part = null;
  draw();
  props.value = how;
  trigger("input");
}
function turn(by) {
  const [left, top, right, bottom] = how.crop ?? [];
  const crop = how.crop && (by === 1 ? [1 - bottom, left, 1 - top, right] : [top, 1 - right, bottom, 1 - left]);
  send({ turn: (how.turn + by + 4) % 4, crop });
}
button("left").addEventListener("click", () => turn(-1));
button("right").addEventListener("click", () => turn(1));
button("invert").addEventListener("click", () => send({ invert: !how.invert }));
button("crop").addEventListener("click", () => send({ crop: part }));
button("whole").addEventListener("click", () => send({ crop: null }));

function place(event) {
  const box = picture.getBoundingClientRect();
  const inside = (share) => Math.min(1, Math.max(0, share));
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
}
frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  frame.setPointerCapture(event.pointerId);
  start = place(event);
});
frame.addEventListener("pointermove", (event) => {
  if (!start) return;
  const end = place(event);
  part = [0, 1].map((i) => Math.min(start[i], end[i])).concat([0, 1].map((i) => Math.max(start[i], end[i])));
  if (part[2] - part[0] < STEP || part[3] - part[1] < STEP) part = null;
  draw();
});
for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { start = null; });

const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
frame.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && part) return send({ crop: part });
  if (event.key === "Escape") part = null;
  else if (event.key in ARROWS) {
    event.preventDefault(); // the page does not scroll
    const old = part;
    part = (old ?? [0.1, 0.1, 0.9, 0.9]).map((edge, i) => edge + (old && (i > 1 || !event.shiftKey) ? ARROWS[event.key][i % 2] : 0));
    const fits = part[0] >= 0 && part[1] >= 0 && part[2] <= 1 && part[3] <= 1 && part[2] - part[0] >= STEP && part[3] - part[1] >= STEP;
    if (!fits) part = old;
  } else return;
  draw();
});
watch("value", show);
show();
