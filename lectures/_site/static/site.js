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
