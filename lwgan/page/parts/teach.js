// Two piles of pictures, then an edit of them. Sends {acts: [{act, step, value?, name?, kind?}, ...]}: what the
// visitor did since the last answer. One message is under way at a time: an answer would overwrite the next one.
const find = (selector) => element.querySelector(selector);
const STEPS = ["Without", "With", "Learn"];
const LIGHTS = { green: "Green: this should work.", amber: "Amber: it may work.", red: "Red: this will hardly work." };
let step = 1;

let acts = [], waiting = false;

function send(act, more = {}) {
  acts.push({ act, step, ...more });
  flush();
}

function flush() {
  if (waiting || !acts.length) return;
  waiting = true;
  props.value = { acts };
  const learning = acts.some(({ act }) => act === "learn");
  acts = [];
  trigger(learning ? "submit" : "input"); // Gradio shows the place in the queue of a "submit"
}

function answered() {
  waiting = false;
  setTimeout(flush);
}

function thumb(src, label, attributes, act) {
  const button = document.createElement("button");
  const picture = document.createElement("img");
  button.type = "button";
  picture.src = src;
  picture.alt = "";
  button.setAttribute("aria-label", label);
  for (const [key, value] of Object.entries(attributes)) button.setAttribute(key, value);
  button.append(picture);
  button.addEventListener("click", act);
  return button;
}

// Replaces the buttons of a box; the one that had the focus keeps it.
function fill(box, buttons) {
  const focused = box.contains(document.activeElement) && document.activeElement.dataset.key;
  box.replaceChildren(...buttons);
  if (focused) (box.querySelector(`[data-key="${focused}"]`) ?? box.querySelector("button"))?.focus();
}

function steps(piles) {
  const counts = [piles.without.good, piles.with.good];
  fill(find(".steps"), STEPS.map((title, i) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.key = i + 1;
    button.textContent = `${i + 1} ${title}${i < 2 ? ` (${counts[i]})` : ""}`;
    if (i + 1 === step) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => go(i + 1));
    item.append(button);
    return item;
  }));
}

function go(to) {
  step = to;
  if (step === 3) release();
  send("step");
}

function filling(value) {
  const side = step === 1 ? "without" : "with";
  const pile = value.piles[side];
  const bad = pile.bad ? ` ${pile.bad} cannot be reconstructed by the encoder (crossed out) and will be left out.` : "";
  find(".counts").textContent = `${pile.good} usable pictures.${bad}${pile.hidden ? ` ${pile.hidden} more are not shown.` : ""}`;
  fill(find(".pile"), pile.items.map(({ src, mark, bad }, i) =>
    thumb(src, `Take away picture ${i + 1}${bad ? ", which cannot be reconstructed" : ""}`, { "data-key": mark, class: bad ? "bad" : "" }, () => send("remove", { value: mark }))));
  fill(find(".sheet"), value.sheet.map(({ seed, src, side: on }) => {
    const button = thumb(src, `Sample ${seed}`, { "data-key": seed, "aria-pressed": on === side }, () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true"); // at once; the server's answer follows
      send("sample", { value: seed });
    });
    button.disabled = Boolean(on) && on !== side; // it is on the other pile
    return button;
  }));
  find(".clear").disabled = pile.good + pile.bad === 0;
}

function show() {
  const value = props.value;
  if (!value?.piles) return; // the value is our own message to the server
  if (!acts.length) step = value.step;
  answered();
  find(".body").hidden = false;
  busy(false);
  steps(value.piles);
  const learning = step === 3;
  find(".fill").hidden = learning;
  find(".learn").hidden = !learning;
  const files = document.getElementById("teach-files");
  files.hidden = learning;
  files.querySelector("button[aria-label]")?.removeAttribute("aria-label"); // Gradio 6.31's differs from what the button says
  const sources = value.draw ? "files, the webcam, drawings or samples" : "files, the webcam or samples";
  find(".ask").textContent = learning
    ? "Give what the second pile has a name, and learn the edit that adds it."
    : `${step === 1 ? "Pictures that lack what the edit is to give" : "Pictures that have it"}: ${sources}. ${value.limits}; 20 may do, 50 to 100 are better.`;
  if (learning) {
    const short = ["without", "with"].filter((side) => value.piles[side].good < value.least);
    find(".go").disabled = short.length > 0;
    if (short.length) find(".ask").textContent = `A pile needs ${value.least} usable pictures or more: too few are ${short.join(" and ")}.`;
  } else filling(value);
  find(".said").textContent = value.said;
  const light = find(".light");
  light.hidden = !value.light;
  light.dataset.light = value.light?.light ?? "";
  light.querySelector("strong").textContent = LIGHTS[value.light?.light] ?? "";
  light.querySelector("ul").replaceChildren(...(value.light?.reasons ?? []).map((reason) => {
    const item = document.createElement("li");
    item.textContent = reason;
    return item;
  }));
  const result = find(".result");
  result.hidden = !value.result || !learning;
  document.getElementById("teach-account").hidden = result.hidden;
  if (!value.result) return;
  const pushed = result.querySelector(".pushed");
  pushed.hidden = !value.result.pushed;
  pushed.href = value.result.pushed ?? "";
  result.querySelector("img").src = value.result.strip;
  result.querySelector("img").alt = `Samples with ${value.result.label} at growing strengths`;
  result.querySelector(".zip").href = value.result.zip;
  result.querySelector(".zip").download = `${value.result.name}.zip`;
}

// The webcam: while its button is held, a frame every PAUSE ms joins the pile.
const PAUSE = 250, BATCH = 20, SIDE = 256;
const video = find("video");
let recording = false;

async function record() {
  if (recording) return;
  recording = true;
  try {
    video.srcObject ??= await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  } catch {
    recording = false;
    find(".said").textContent = "No camera can be used here: there is none, or the browser does not allow it.";
    return;
  }
  find(".camera").hidden = false;
  await video.play();
  let frames = [];
  while (recording) {
    find(".record").setAttribute("aria-pressed", "true");
    frames.push(frame());
    if (frames.length === BATCH) send("frames", { value: frames.splice(0) });
    await new Promise((done) => { setTimeout(done, PAUSE); });
  }
  find(".record").setAttribute("aria-pressed", "false");
  if (frames.length) send("frames", { value: frames });
}

function frame() {
  const canvas = document.createElement("canvas");
  const scale = SIDE / Math.min(video.videoWidth, video.videoHeight);
  canvas.width = video.videoWidth * scale;
  canvas.height = video.videoHeight * scale;
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.95);
}

function halt() {
  recording = false;
}

function release() { // the camera, so that its light goes out
  halt();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  find(".camera").hidden = true;
}

const button = find(".record");
const holds = (event) => event.key === " " || event.key === "Enter";
button.addEventListener("pointerdown", record);
for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(end, halt);
button.addEventListener("keydown", (event) => { if (holds(event)) { event.preventDefault(); record(); } });
button.addEventListener("keyup", (event) => { if (holds(event)) halt(); });
document.addEventListener("visibilitychange", release);

function busy(on) {
  find("progress").hidden = !on;
  find(".go").disabled = on;
}

for (const act of ["mine", "clear", "more"]) find(`.${act}`).addEventListener("click", () => send(act));
find(".next").addEventListener("click", () => go(step + 1));
find(".learn").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(true);
  send("learn", { name: find(".name").value, kind: find("[name=teach-kind]:checked").value });
});
document.addEventListener("lwgan-done", () => {
  if (!find("progress").hidden) busy(false);
  answered(); // also after an error, which changes no value
});
watch("value", show);
show();
