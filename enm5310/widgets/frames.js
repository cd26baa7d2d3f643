// Sliders over frames that Python drew: nothing is computed here, a slider's position only looks a frame up.
// Follows figure.js, which has the sliders.

// Where a frame stands in the list: the positions are the digits of its number, the last slider the fastest.
export const frameIndex = (at, sizes) => at.reduce((index, digit, d) => index * sizes[d] + digit, 0);

export const stateText = (at, sliders) => sliders.map((s, d) => `${s.label} = ${s.values[at[d]]}`).join(", ");

export const altText = (alt, state) => `${alt}: ${state}`;

// Equal pieces of different frames are stored once, in the pool.
export const pieces = (ids, pool) => ids.map((id) => pool[id]).join("");

function drawPanel(panel, alt, markup) {
  if (panel.tagName === "IMG") {
    panel.src = `data:image/png;base64,${markup}`;
    panel.alt = alt;
  } else {
    panel.querySelector("[data-layer]").innerHTML = markup; // markup that Python made, with every label escaped
    panel.setAttribute("aria-label", alt);
  }
}

// Brings a poster to life: its pictures stay, sliders take the place of the line that names the state shown.
function mount(figure, { sliders, start, frames, pool, alts, texts }) {
  const at = [...start];
  const panels = [...figure.querySelectorAll("[data-panel]")];
  const readout = figure.querySelector(".enm-readout");
  const rows = sliders.map((s, d) => slider(s.label, 0, s.values.length - 1, (position) => {
    at[d] = position;
    show();
  }));
  function show() {
    const index = frameIndex(at, sliders.map((s) => s.values.length));
    const state = stateText(at, sliders);
    rows.forEach((row, d) => row.set(at[d], sliders[d].values[at[d]]));
    panels.forEach((panel, p) => drawPanel(panel, altText(alts[p], state), pieces(frames[index][p], pool)));
    if (readout && readout.textContent !== texts[index]) readout.textContent = texts[index];
  }
  figure.querySelector(".enm-state").replaceWith(element("div", { class: "enm-sliders" }, ...rows.map((r) => r.row)));
  show();
}
