// One line that says what has happened, which screen readers announce; and a bar while the server takes longer than most moves do.
const line = element.querySelector(".line");
const bar = element.querySelector(".busy");
const LATE = 700, NEVER = 120000; // ms
let timers = [];

function rest() {
  timers.forEach(clearTimeout);
  timers = [];
  bar.hidden = true;
}
function busy() {
  rest();
  timers = [setTimeout(() => { bar.hidden = false; }, LATE), setTimeout(rest, NEVER)];
}
function show() {
  rest();
  line.textContent = props.value?.line ?? "";
  line.classList.toggle("problem", Boolean(props.value?.problem));
}
document.addEventListener("lwgan-busy", busy); // from our own components
document.addEventListener("click", ({ target }) => {
  if (target.closest?.("#another, #open, #upload .photo-capture, #views [role=tab][aria-selected=false]")) busy();
}, true);
document.addEventListener("change", ({ target }) => {
  if (target.closest?.("#seed, #upload, #domain")) busy();
}, true);
watch("value", show);
show();
