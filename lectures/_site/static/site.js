// A box that scrolls can be reached by keyboard, in whatever width it does so.
function reachable() {
  for (const box of document.querySelectorAll("article :is(.highlight pre, .math, .table-wrapper, .output pre)")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
reachable();
addEventListener("load", reachable);
addEventListener("resize", reachable);

// The theme's switches of the side bars are labels of hidden boxes, for the mouse alone: their icons become buttons.
for (const [id, name] of [["__navigation", "Site"], ["__toc", "On this page"]]) {
  const box = document.getElementById(id);
  const icons = [...document.querySelectorAll(`label[for="${id}"] .icon`)];
  const tell = () => icons.forEach((icon) => icon.setAttribute("aria-expanded", box.checked));
  for (const icon of icons) {
    for (const [key, value] of Object.entries({ role: "button", tabindex: 0, "aria-label": name })) icon.setAttribute(key, value);
    icon.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      box.click();
    });
  }
  box.addEventListener("change", tell);
  tell();
}
