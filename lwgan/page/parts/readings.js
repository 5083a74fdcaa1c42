// What the judges read before and after, what else changed, warnings, and padlocks. Sends {name, on}.
function cell(kind, text) {
  const made = document.createElement(kind);
  if (kind === "th") made.scope = "row";
  made.textContent = text;
  return made;
}

function padlock({ name, label, on, before, after }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.lock = name;
  button.setAttribute("aria-pressed", on);
  button.setAttribute("aria-label", `Lock ${label}`);
  button.textContent = on ? "🔒" : "🔓";
  button.addEventListener("click", () => {
    props.value = { name, on: !on };
    trigger("input");
  });
  item.append(button, ` ${label} ${before} → ${after}`);
  return item;
}

function locks({ locks, cost }) {
  const box = element.querySelector(".locks");
  const focused = document.activeElement?.dataset?.lock;
  const held = locks.filter(({ on }) => on).map(({ label }) => label);
  box.hidden = locks.length === 0;
  box.querySelector("summary").textContent = `Locks: ${held.join(", ") || "none"}`;
  box.querySelector("ul").replaceChildren(...locks.map(padlock));
  if (focused) [...box.querySelectorAll("button")].find(({ dataset }) => dataset.lock === focused)?.focus();
  element.querySelector(".cost").textContent = cost;
}

function show() {
  const value = props.value ?? {};
  if (!value.rows) return;
  element.querySelector("caption").textContent = "Reconstruction: " + value.quality;
  element.querySelector("tbody").replaceChildren(...value.rows.map(([what, before, after]) => {
    const row = document.createElement("tr");
    row.append(cell("th", what), cell("td", before), cell("td", after));
    return row;
  }));
  locks(value);
  element.querySelector(".warnings").replaceChildren(...value.warnings.map((text) => cell("li", text)));
}
watch("value", show);
show();
