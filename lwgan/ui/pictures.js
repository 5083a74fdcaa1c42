// The three pictures and one line of text. Text is set as text: nothing that comes from the server is read as HTML.
function show() {
  const value = props.value ?? {};
  for (const name of ["framed", "reconstruction", "result"]) {
    const picture = element.querySelector("." + name + " img");
    // Few pixels are shown as squares; many, which the page makes smaller, are smoothed.
    picture.onload = () => { picture.style.imageRendering = picture.naturalWidth < 200 ? "pixelated" : "auto"; };
    if (value[name]) picture.src = value[name];
  }
  if (value.result) element.querySelector("a").href = value.result;
  const line = element.querySelector(".line");
  line.textContent = value.line ?? "";
  line.classList.toggle("problem", Boolean(value.problem));
}
watch("value", show);
show();
