// A drawing pad: black strokes on white. Sends the picture as a PNG after each stroke and after undo.
const canvas = element.querySelector("canvas");
const undo = element.querySelector(".undo");
const clear = element.querySelector(".clear");
const paint = canvas.getContext("2d");
let strokes = [];
let pen = null; // id of the pointer that draws

function redraw() {
  paint.fillStyle = "#fff";
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.strokeStyle = "#000";
  paint.lineWidth = 14;
  paint.lineCap = paint.lineJoin = "round";
  for (const stroke of strokes) {
    paint.beginPath();
    paint.moveTo(...stroke[0]);
    for (const point of stroke) paint.lineTo(...point); // from the first point on: a tap makes a dot
    paint.stroke();
  }
  undo.disabled = clear.disabled = strokes.length === 0;
}

function ship() {
  if (strokes.length === 0) return;
  props.value = canvas.toDataURL("image/png");
  trigger("input");
}

function show() {
  const subject = props.value?.subject;
  if (!subject) return; // the value is our own message to the server
  canvas.setAttribute("aria-label", `Drawing pad: draw ${subject} with mouse, pen or finger`);
  element.querySelector(".subject").textContent = subject;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

canvas.addEventListener("pointerdown", (event) => {
  if (pen !== null || event.button !== 0) return;
  pen = event.pointerId;
  canvas.setPointerCapture(pen);
  strokes.push([place(event)]);
  redraw();
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pen) return;
  for (const part of event.getCoalescedEvents?.() ?? [event]) strokes.at(-1).push(place(part));
  redraw();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    if (event.pointerId !== pen) return;
    pen = null;
    ship();
  });
}
undo.addEventListener("click", () => {
  strokes.pop();
  redraw();
  ship();
});
clear.addEventListener("click", () => {
  strokes = [];
  redraw();
});
redraw();
watch("value", show);
show();
