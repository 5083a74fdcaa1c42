// The page holds all frames: moving through them sends no request.
const slider = element.querySelector("input");
const picture = element.querySelector("img");
let frames = []; // decoded in advance

function step() {
  const value = props.value ?? {}, i = Number(slider.value);
  if (!frames[i]) return;
  picture.src = frames[i].src;
  picture.style.imageRendering = frames[i].naturalWidth < 200 ? "pixelated" : "auto";
  const share = value.changes[i];
  const said = share === null ? "" : ` · ${Math.round(100 * share)}% of such pictures change`;
  const text = `strength ${value.strengths[i]} · alpha ${value.alphas[i].toFixed(2)}${said}`;
  element.querySelector("output").textContent = text;
  slider.setAttribute("aria-valuetext", text);
}

function show() {
  const value = props.value ?? {};
  element.querySelector(".empty").hidden = !value.empty;
  element.querySelector(".empty").textContent = value.empty ?? "";
  element.querySelector(".body").hidden = !value.frames;
  if (!value.frames) return;
  frames = value.frames.map((src) => Object.assign(new Image(), { src }));
  element.querySelector(".label").textContent = value.label;
  slider.max = frames.length - 1;
  slider.value = value.at;
  Promise.all(frames.map((frame) => frame.decode().catch(() => null))).then(step);
}
slider.addEventListener("input", step);
element.querySelector(".use").addEventListener("click", () => {
  const value = props.value;
  document.dispatchEvent(new CustomEvent("lwgan-strength", { detail: { name: value.name, strength: value.strengths[Number(slider.value)] } }));
});
watch("value", show);
show();
