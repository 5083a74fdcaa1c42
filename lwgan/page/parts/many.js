// Many pictures in one sheet. Sends {act: "zip"}: the next value then brings the archive.
const find = (selector) => element.querySelector(selector);

function show() {
  const value = props.value ?? {};
  if (value.act) return; // our own message to the server
  document.querySelector("#many-files button[aria-label]")?.removeAttribute("aria-label"); // Gradio 6.31's differs from what the button says
  find(".limits").textContent = value.limits ?? "";
  find(".said").textContent = value.said ?? "";
  find(".body").hidden = !value.count;
  if (!value.count) return;
  find("img").src = value.sheet;
  find("img").alt = `${value.count} pictures, edited alike`;
  find(".pack").hidden = Boolean(value.zip);
  find(".zip").hidden = !value.zip;
  if (!value.zip) return;
  find(".zip").href = value.zip;
  find(".zip").focus();
}
find(".pack").addEventListener("click", () => {
  props.value = { act: "zip" };
  trigger("input");
});
watch("value", show);
show();
