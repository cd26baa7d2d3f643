// What every figure's module begins with. The module stands in the page beside its figure; the line after it gives
// mountStatic the figure's payload.

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A labelled range input for whole numbers; beside it stands the word for its position, unless that is said elsewhere.
function slider(label, min, max, onInput, showWord = true) {
  const input = element("input", {
    type: "range", min, max, step: 1,
    "data-lm-suppress-shortcuts": "true", // on the input itself: JupyterLab would take its arrow keys
  });
  const value = element("span", { class: "enm-value", "aria-hidden": "true" }); // the input's aria-valuetext says it
  const row = element("div", { class: "enm-slider" },
    element("label", {}, element("span", { class: "enm-name" }, label), input), ...(showWord ? [value] : []));
  input.addEventListener("input", () => onInput(Number(input.value)));
  const set = (position, word) => {
    input.value = position;
    input.setAttribute("aria-valuetext", word);
    value.textContent = word;
  };
  return { row, set };
}

// Ids come from content, so equal figures on one page share theirs: each script takes the first that is not live yet.
export function mountStatic(key, payload) {
  const figure = document.querySelector(`[data-enm-figure="${key}"]:not([data-live])`);
  if (!figure) return;
  mount(figure, payload);
  figure.setAttribute("data-live", "");
}

