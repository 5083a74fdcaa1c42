// The whole photograph: before and after, the faces to choose from, how much of its detail is kept.
const find = (selector) => element.querySelector(selector);
const picture = find(".stage img"), detail = find(".detail input");

function send(message) {
  props.value = message;
  trigger("input");
}

function show() {
  const value = props.value ?? {};
  if (!value.after && (value.save || value.face || value.residual !== undefined)) return; // our own message
  find(".body").hidden = !value.after;
  if (!value.after) return;
  const shown = find(".which input:checked").value;
  picture.src = value[shown];
  picture.alt = shown === "after" ? "the whole photograph, edited" : "the whole photograph as it was";
  element.querySelectorAll(".which input").forEach((input) => { input.onchange = () => { picture.src = value[input.value]; }; });
  detail.value = value.residual;
  find(".detail output").textContent = Number(value.residual).toFixed(1);
  const several = value.faces.length > 1 ? value.faces : [];
  find(".faces").replaceChildren(...several.map(([x, y], i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = i + 1;
    button.setAttribute("aria-label", `Face ${i + 1}`);
    button.setAttribute("aria-pressed", i + 1 === value.chosen);
    button.style.left = `${100 * x}%`;
    button.style.top = `${100 * y}%`;
    button.addEventListener("click", () => send({ face: i + 1 }));
    return button;
  }));
  if (!value.file) return;
  const link = document.createElement("a");
  link.href = value.file;
  link.download = "lwgan-photograph.jpg";
  link.click();
}
detail.addEventListener("input", () => { find(".detail output").textContent = Number(detail.value).toFixed(1); });
detail.addEventListener("change", () => send({ residual: Number(detail.value) }));
find(".save").addEventListener("click", () => send({ save: true }));
watch("value", show);
show();
