// Samples to start with: a click sends the seed of one.
const items = element.querySelector(".items");

function show() {
  if (!props.value?.items) return; // the value is our own message to the server
  items.replaceChildren(...props.value.items.map(({ seed, src, alt }) => {
    const button = document.createElement("button");
    const picture = document.createElement("img");
    button.type = "button";
    button.dataset.seed = seed;
    picture.src = src;
    picture.alt = alt;
    picture.onload = () => { picture.style.imageRendering = picture.naturalWidth < 200 ? "pixelated" : "auto"; };
    button.append(picture);
    button.addEventListener("click", () => {
      props.value = { seed };
      trigger("input");
    });
    return button;
  }));
}
watch("value", show);
show();
