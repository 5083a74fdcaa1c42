// A strip of strengths: a click sets the slider to one.
function show() {
  const value = props.value ?? {};
  element.querySelector(".empty").hidden = !value.empty;
  element.querySelector(".empty").textContent = value.empty ?? "";
  element.querySelector(".body").hidden = !value.cells;
  if (!value.cells) return;
  element.querySelector(".label").textContent = `${value.label}. Below each picture: its strength, and how many pictures are expected to change.`;
  const cells = element.querySelector(".cells");
  const focused = cells.contains(document.activeElement) && document.activeElement.dataset.strength; // keeps the focus for keyboard users
  cells.replaceChildren(...value.cells.map((cell, i) => {
    const button = document.createElement("button");
    const picture = document.createElement("img");
    const small = document.createElement("small");
    const share = value.changes[i];
    button.type = "button";
    button.setAttribute("aria-pressed", Math.abs(cell.strength - value.now) < 0.03);
    picture.src = cell.src;
    picture.alt = "";
    picture.onload = () => { picture.style.imageRendering = picture.naturalWidth < 200 ? "pixelated" : "auto"; };
    small.textContent = share === null ? "–" : `${Math.round(100 * share)}%`;
    button.append(picture, String(cell.strength), small);
    button.dataset.strength = cell.strength;
    button.title = `alpha ${cell.alpha.toFixed(2)}`;
    button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("lwgan-strength", { detail: { name: value.name, strength: cell.strength } })));
    return button;
  }));
  if (focused) cells.querySelector(`[data-strength="${focused}"]`)?.focus();
  element.querySelector(".png").href = value.png;
  element.querySelector(".gif").href = value.gif;
  element.querySelector(".webp").href = element.querySelector(".moving").src = value.webp;
}
watch("value", show);
show();
