// A line on what has happened, which screen readers announce, and a bar while the server takes long.
const line = element.querySelector(".line");
const bar = element.querySelector(".busy");
const LATE = 700; // ms
let going = 0; // events without an answer so far: events.py dispatches lwgan-busy and lwgan-done
let timer = null;

function count(by) {
  going = Math.max(0, going + by);
  if (going === 0) {
    clearTimeout(timer);
    timer = null;
    bar.hidden = true;
  } else timer ??= setTimeout(() => { bar.hidden = false; }, LATE);
}
function show() {
  line.textContent = props.value?.line ?? "";
  line.classList.toggle("problem", Boolean(props.value?.problem));
}
document.addEventListener("lwgan-busy", () => count(1));
document.addEventListener("lwgan-done", () => count(-1));
watch("value", show);
show();
