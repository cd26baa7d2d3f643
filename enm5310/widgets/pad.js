// A point in a plane of codes and what small decoders make of it. Follows figure.js, which has the sliders.

const ACTIVATIONS = { // stable at any input, as in enm5310.nets
  linear: (a) => a,
  logistic: (a) => {
    const e = Math.exp(-Math.abs(a));
    return (a >= 0 ? 1 : e) / (1 + e);
  },
  relu: (a) => Math.max(a, 0),
  softplus: (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))),
  tanh: Math.tanh,
};

const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;

// A decoder with its weights as numbers (the page's float32 are little-endian, and so is every machine with a browser).
export const unpacked = (decoder) => ({ ...decoder, weights: new Float32Array(bytes(decoder.weights)) });

// h = f(h W + b), layer after layer; sums in float64.
export function decode(z, { sizes, activation, output, weights }) {
  let h = z;
  let start = 0; // of the layer's W (m, n) in the weights; its b (n,) follows
  for (let layer = 1; layer < sizes.length; layer++) {
    const [m, n] = [sizes[layer - 1], sizes[layer]];
    const f = ACTIVATIONS[layer < sizes.length - 1 ? activation : output];
    const a = Float64Array.from(weights.subarray(start + m * n, start + m * n + n));
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) a[j] += h[i] * weights[start + i * n + j];
    h = a.map(f);
    start += (m + 1) * n;
  }
  return h;
}

// Bytes of grey: vmin is 255 and vmax 0.
export function grey(values, [vmin, vmax]) {
  const ink = (v) => Math.min(Math.max((v - vmin) / (vmax - vmin), 0), 1);
  return Uint8Array.from(values, (v) => Math.floor(255 * (1 - ink(v)) + 0.5));
}

// -------------------- places and words --------------------

const inside = (i, { first, last }) => Math.min(Math.max(i, first), last);

export const code = (at, axes) => at.map((i, d) => i * axes[d].step);

export const word = (i, { step, decimals }) => (i * step).toFixed(decimals).replace("-", "\u2212");

export const stateText = (at, axes) => axes.map((axis, d) => `${axis.label} = ${word(at[d], axis)}`).join(", ");

// The place under a pixel of the drawing.
export function placeAt([x, y], axes, { left, right, bottom, top }) {
  const parts = [(x - left) / (right - left), (bottom - y) / (bottom - top)];
  return axes.map((axis, d) => inside(Math.round((axis.low + parts[d] * (axis.high - axis.low)) / axis.step), axis));
}

// Where a key takes the point; null for a key that is not ours.
export function placeAfter(key, large, at, start, axes) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  if (key === "Home") return [...start];
  if (!(key in moves)) return null;
  return at.map((i, d) => inside(i + moves[key][d] * (large ? 10 : 1), axes[d]));
}

// The class of the code nearest to z.
export function nearestClass(z, { low, unit, places, labels, classes }) {
  let nearest = 0;
  let least = Infinity;
  for (let i = 0; i < labels.length; i++) {
    const [dx, dy] = [0, 1].map((d) => low[d] + unit[d] * places[2 * i + d] - z[d]);
    const distance = dx * dx + dy * dy;
    if (distance < least) [nearest, least] = [i, distance];
  }
  return classes[labels[nearest]];
}

export function readoutText(at, { axes, codes, texts }) {
  const rows = axes[1].last - axes[1].first + 1; // the second axis is the fastest
  const words = texts && texts.pool[texts.at[(at[0] - axes[0].first) * rows + at[1] - axes[1].first]];
  const nearest = codes ? `; nearest code: ${nearestClass(code(at, axes), codes)}` : "";
  return stateText(at, axes) + nearest + (words ? `\n${words}` : "");
}

export const pictureText = (picture, title, state) => `${picture}${title && `, ${title},`} at ${state}`;

// -------------------- the figure --------------------

function canvasFor(image, [height, width]) {
  const canvas = element("canvas", { width, height, role: "img", style: `width: ${image.getAttribute("width")}px` });
  image.replaceWith(canvas);
  return canvas;
}

function paint(canvas, greys, [height, width]) {
  const image = new ImageData(width, height);
  greys.forEach((g, i) => image.data.set([g, g, g, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Dragging and keys on the plane; they ask ``go`` for a place.
function handle(plane, { axes, pixels, start }, now, go) {
  const follow = (event) => {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.getScreenCTM().inverse());
    go(placeAt([x, y], axes, pixels));
  };
  plane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault(); // no selection of the page's text
    plane.focus({ preventScroll: true, focusVisible: false });
    plane.setPointerCapture(event.pointerId);
    follow(event);
  });
  plane.addEventListener("pointermove", (event) => plane.hasPointerCapture(event.pointerId) && follow(event));
  plane.addEventListener("keydown", (event) => {
    const next = !(event.ctrlKey || event.altKey || event.metaKey)
      && placeAfter(event.key, event.shiftKey, now(), start, axes);
    if (!next) return;
    event.preventDefault(); // the page does not scroll
    go(next);
  });
}

// Brings a poster to life: canvases take the place of its pictures, and the plane and two sliders move the point.
function mount(figure, packed) {
  const codes = packed.codes && { ...packed.codes, places: new Uint16Array(bytes(packed.codes.places)) };
  const payload = { ...packed, codes, decoders: packed.decoders.map(unpacked) };
  const { axes, pixels, decoders, shape } = payload;
  const plane = figure.querySelector("[data-plane]");
  const points = plane.querySelectorAll("[data-point]"); // the cross, which ends at the edges, and the ring
  const canvases = [...figure.querySelectorAll("[data-picture]")].map((image) => canvasFor(image, shape));
  const readout = figure.querySelector(".enm-readout");
  const rows = axes.map(({ label, first, last }, d) => slider(label, first, last,
    (i) => go(at.map((now, e) => (e === d ? i : now))), false));
  let at;
  function go(place) {
    at = place;
    const [z, state] = [code(at, axes), stateText(at, axes)];
    const [x, y] = z.map((v, d) => (v - axes[d].low) / (axes[d].high - axes[d].low));
    const left = pixels.left + x * (pixels.right - pixels.left);
    const top = pixels.bottom - y * (pixels.bottom - pixels.top);
    for (const part of points) part.setAttribute("transform", `translate(${left} ${top})`);
    plane.setAttribute("aria-label", `${payload.alt}; ${state}`);
    rows.forEach((row, d) => row.set(at[d], word(at[d], axes[d])));
    decoders.forEach((decoder, d) => {
      paint(canvases[d], grey(decode(z, decoder), payload.grey), shape);
      canvases[d].setAttribute("aria-label", pictureText(payload.picture, decoder.title, state));
    });
    const words = readoutText(at, payload);
    if (readout.textContent !== words) readout.textContent = words;
  }
  const hint = element("p", { class: "enm-hint" }, "Drag the point, or move it with the arrow keys "
    + "(Shift: larger steps, Home: back to the start) or with the sliders.");
  readout.before(element("div", { class: "enm-sliders" }, ...rows.map((row) => row.row)));
  readout.after(hint);
  const ours = { // the suppression as in figure.js
    role: "application", "aria-roledescription": "plane", tabindex: 0, "data-lm-suppress-shortcuts": "true",
  };
  for (const [name, value] of Object.entries(ours)) plane.setAttribute(name, value);
  handle(plane, payload, () => at, go);
  go([...payload.start]);
}
