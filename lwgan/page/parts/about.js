// Shows an edit's config and curve. All values are set as text.
function pairs(selector, rows) {
  element.querySelector(selector).replaceChildren(...rows.flatMap(([key, text]) => {
    const [term, said] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = key;
    said.textContent = text;
    return [term, said];
  }));
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function plot({ curve, unit }) {
  const svg = element.querySelector("svg");
  svg.style.display = curve.length > 1 ? "" : "none";
  if (curve.length < 2) return;
  const last = curve.at(-1)[0];
  const x = (alpha) => 30 + (200 * alpha) / last;
  const y = (share) => 120 - 108 * share;
  const line = (column) => curve.filter((point) => point[column] !== null).map((point) => `${x(point[0])},${y(point[column])}`).join(" ");
  const grid = [0, 0.5, 0.8, 1].flatMap((share) => [
    shape("line", { x1: 30, x2: 230, y1: y(share), y2: y(share), stroke: "currentColor", "stroke-opacity": 0.18, ...(share === 0.8 && { "stroke-dasharray": "3 3" }) }),
    shape("text", { x: 26, y: y(share) + 3, "text-anchor": "end" }, `${100 * share}%`),
  ]);
  svg.replaceChildren(
    ...grid,
    shape("line", { x1: x(unit), x2: x(unit), y1: y(0), y2: y(1), stroke: "currentColor", "stroke-opacity": 0.5 }),
    shape("text", { x: x(unit), y: y(1) - 3, "text-anchor": "middle" }, "strength 1"),
    shape("polyline", { points: line(1), fill: "none", stroke: "var(--color-accent)", "stroke-width": 2 }),
    shape("polyline", { points: line(2), fill: "none", stroke: "currentColor", "stroke-opacity": 0.6, "stroke-dasharray": "4 3" }),
    shape("text", { x: 30, y: 132, "text-anchor": "middle" }, "0"),
    shape("text", { x: 230, y: 132, "text-anchor": "end" }, `alpha ${last.toFixed(2)}`),
  );
  element.querySelector(".caption").textContent = line(2) ? "Solid: pictures that change. Dashed: other labels kept." : "Pictures that change.";
}

function show() {
  const value = props.value ?? {};
  element.querySelector(".empty").hidden = !value.empty;
  element.querySelector(".empty").textContent = value.empty ?? "";
  element.querySelector(".body").hidden = !value.rows;
  if (!value.rows) return;
  element.querySelector("h2").textContent = value.title;
  pairs(".rows", value.rows);
  pairs(".measured", value.measured);
  plot(value);
  const card = element.querySelector(".card");
  card.hidden = !value.card;
  if (value.card) card.querySelector("a").href = value.card;
}
watch("value", show);
show();
