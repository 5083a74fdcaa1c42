// The picture before and after. Nothing that comes from the server is read as HTML.
const main = element.querySelector(".main");
const names = { edited: "the edited picture", reconstruction: "the reconstruction, before any edit", original: "the original, as the encoder sees it" };

function sharp(picture) {
  // Small pictures are enlarged with sharp pixels; large ones, which the page reduces, are smoothed.
  picture.onload = () => { picture.style.imageRendering = picture.naturalWidth < 200 ? "pixelated" : "auto"; };
}
element.querySelectorAll("img").forEach(sharp);

function show() {
  const value = props.value ?? {};
  if (!value.edited) return;
  const shown = element.querySelector("input:checked").value;
  main.src = value[shown];
  main.alt = names[shown];
  main.dataset.edited = value.edited;
  for (const name of ["original", "reconstruction"]) element.querySelector("." + name + " img").src = value[name];
  element.querySelector(".quality").textContent = value.quality ?? "";
  element.querySelector(".png").href = value.edited;
  element.querySelector(".recipe").href = "data:application/json," + encodeURIComponent(value.recipe);
  const link = element.querySelector(".link");
  link.parentElement.hidden = !value.link; // the recipe of a large picture is too long for an address; the PNG holds it
  if (value.link) link.href = "?edit=" + value.link;
  const lacks = value.lacks?.join(", ");
  link.title = lacks ? `Opens this picture here; it has no room for the weights of ${lacks}, which PNG and recipe hold` : "Opens this very picture";
}
element.querySelectorAll(".which input").forEach((input) => input.addEventListener("change", show));
const copy = element.querySelector(".copy");
copy.addEventListener("click", async () => {
  const copied = await navigator.clipboard?.writeText(element.querySelector(".link").href).then(() => true, () => false);
  copy.textContent = copied ? "copied" : "forbidden"; // by the browser; its context menu still copies the link
  setTimeout(() => { copy.textContent = "copy"; }, 1500);
});
watch("value", show);
show();
