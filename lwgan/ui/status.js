// One line that says what has happened; screen readers announce it.
const line = element.querySelector(".line");

function show() {
  line.textContent = props.value?.line ?? "";
  line.classList.toggle("problem", Boolean(props.value?.problem));
}
watch("value", show);
show();
