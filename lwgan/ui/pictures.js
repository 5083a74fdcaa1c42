// The three pictures and one line of text. Text is set as text: nothing that comes from the server is read as HTML.
function show() {
  const value = props.value ?? {};
  for (const name of ["framed", "reconstruction", "result"]) {
    if (value[name]) element.querySelector("." + name + " img").src = value[name];
  }
  if (value.result) element.querySelector("a").href = value.result;
  const line = element.querySelector(".line");
  line.textContent = value.line ?? "";
  line.classList.toggle("problem", Boolean(value.problem));
}
watch("value", show);
show();
