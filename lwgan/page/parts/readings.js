// What the judges read before and after, what else changed, and warnings.
function cell(kind, text) {
  const made = document.createElement(kind);
  if (kind === "th") made.scope = "row";
  made.textContent = text;
  return made;
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
  element.querySelector(".warnings").replaceChildren(...value.warnings.map((text) => cell("li", text)));
}
watch("value", show);
show();
