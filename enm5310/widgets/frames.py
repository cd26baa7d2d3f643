"""Sliders over pictures or curves that Python computed: all frames are made up front, JavaScript only looks them up.

    frames({"k": [1, 2, 5, 10]}, draw, alt="ten digits above their reconstructions", text=lambda k: f"error {error[k]}")

``draw(k=...)`` returns a matplotlib Figure or Axes, a uint8 image, or a dict of curves.  The figure is live in
JupyterLab and in any exported page, without a kernel and without a network; where JavaScript is off, a poster stays.
"""

import base64
import hashlib
import io
import itertools
import json
import math
import struct
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAX_FRAMES = 500
MAX_BYTES = 4_000_000  # of payload: it travels inside the notebook and the page
JS = Path(__file__).with_name("frames.js").read_text(encoding="utf-8")
CSS = Path(__file__).with_name("frames.css").read_text(encoding="utf-8")
WANTED = "return a matplotlib figure or axes, a uint8 array, or a dict of curves"

WIDTH, HEIGHT, TOP, RIGHT, BOTTOM = 480, 300, 10, 14, 48  # of a panel of curves, in its own pixels
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe & Ito (2008), those with 3:1 on white and on #111
DASHES = ["", "8 4", "2 4", "10 4 2 4"]  # never colour alone
SHAPES = [
    "m-5,0a5,5 0 1,0 10,0a5,5 0 1,0-10,0z",  # disc
    "m0,-6.5l6.5,6.5l-6.5,6.5l-6.5,-6.5z",  # diamond
    "m-4.5,-4.5h9v9h-9z",  # square
    "m0,-6l5.5,10h-11z",  # triangle
]
SHARED = {"xlabel": "", "ylabel": "", "xlim": None, "ylim": None, "xscale": "linear", "yscale": "linear"}


# -------------------- the figure --------------------


def frames(sliders, draw, *, alt, text=None, caption="", start=None, labels=None, scale=None, pixelated=True, dpi=100):
    """A figure with one slider per name and one frame per combination of values: ``draw(**values)`` on the whole grid.

    ``sliders`` maps 1-3 names to their values, or to {word shown: value} where a value has no good word of its own.
    ``draw`` returns one panel, or a tuple of panels to stand side by side.  A string in the tuple is the readout below
    them; ``text(**values)`` may give it instead.  Panels are

    - a matplotlib Figure or Axes: saved as PNG at ``dpi``, then closed;
    - a uint8 array (h, w), (h, w, 3) or (h, w, 4): ``scale`` screen pixels per pixel (default: some 480 in all), each
      a sharp square where ``pixelated``;
    - curves: {"x": x, "lines": {label: y or (x, y)}, "areas": {label: (lower, upper)}, "marks": {label: (x, y)},
      "xlabel": "", "ylabel": "", "xlim": (low, high), "ylim": (0, None), "xscale": "linear", "yscale": "log"}.
      All frames share the axes, so nothing jumps; a label keeps its colour; one that begins with "_" has no legend.

    ``alt`` says what the picture shows to a reader who cannot see it (a list: one per panel); "k = 10" is added to it.
    ``start`` names values (or their words) to begin with; ``labels`` is what stands beside a slider: {"s": "sigma"}.

    Raises ValueError for more than 500 frames, a payload above 4 MB, or frames that do not fit together.
    """
    grid = _grid(sliders)
    _known("start", start, sliders)
    _known("labels", labels, sliders)
    names = [(labels or {}).get(name, name) for name in sliders]
    states = [", ".join(f"{n} = {w}" for n, w in zip(names, row, strict=True)) for row in itertools.product(*grid)]
    values = [dict(zip(sliders, row, strict=True)) for row in itertools.product(*(column.values() for column in grid))]
    drawn, texts = _draw_all(draw, text, values, states, dpi)
    panels = [_panel(list(column), states, scale, pixelated) for column in zip(*drawn, strict=True)]
    at = [_position(column, (start or {}).get(name)) for name, column in zip(sliders, grid, strict=True)]
    shown = [{"label": n, "values": list(column)} for n, column in zip(names, grid, strict=True)]
    payload = {"sliders": shown, "start": at, **_pooled(panels), "alts": _alts(alt, len(panels)), "texts": texts}
    _small_enough(len(_json(payload)), len(states), len(states))
    first = int(np.ravel_multi_index(at, [len(column) for column in grid]))
    return Frames(payload, _inner(panels, payload["alts"], states, texts, first, caption))


def _pooled(panels):
    """Every piece once, in the pool, and each frame's pieces as places in the pool: equal pieces cost nothing."""
    every = dict.fromkeys(piece for p in panels for pieces in p.pieces for piece in pieces)
    place = {piece: i for i, piece in enumerate(every)}
    frames = zip(*([[place[piece] for piece in pieces] for pieces in p.pieces] for p in panels), strict=True)
    return {"pool": list(place), "frames": [list(frame) for frame in frames]}


@dataclass(frozen=True)
class Frames:
    """What ``frames`` returns: the last line of a cell shows it, ``to_html()`` is the same figure for any page."""

    payload: dict[str, Any]  # "frames"[i][panel]: places in "pool" of the PNG or the SVG pieces; the rest as named
    inner: str  # HTML of the poster: the start frame, its state and readout, the caption

    def __repr__(self):
        sliders = ", ".join(f"{s['label']}: {len(s['values'])} values" for s in self.payload["sliders"])
        size = f"{len(self.payload['frames'])} frames, {len(_json(self.payload)) / 1000:.0f} kB"
        return f"Frames({sliders}; {size}): {'; '.join(self.payload['alts'])}"

    @cached_property
    def key(self):
        """Names the figure by its content, so that a notebook run twice gives the same bytes."""
        return hashlib.sha256((self.inner + _json(self.payload)).encode()).hexdigest()[:12]

    @cached_property
    def poster(self):
        """HTML of the start frame: what is seen without JavaScript, and what the module brings to life."""
        return f'<figure class="enm-frames" data-enm-frames="{self.key}">{self.inner}</figure>'

    def to_html(self):
        """Poster, style, module and payload: live in any page, from file:// too, with no request to anywhere."""
        call = f'mountStatic("{self.key}", {_json(self.payload)});'
        return f'<style>{CSS}</style>{self.poster}<script type="module">{JS}\n{call}</script>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        # no widget beside the HTML: Lab would prefer it, and a notebook reopened later would show "model not found"
        return {"text/plain": repr(self), "text/html": self.to_html()}


def _inner(panels, alts, states, texts, first, caption):
    shown = [p.html(f"{alt}: {states[first]}", first) for p, alt in zip(panels, alts, strict=True)]
    readout = f'<p class="enm-readout" role="status" aria-live="polite">{escape(texts[first])}</p>' if texts else ""
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    state = f'<p class="enm-state">{escape(states[first])}</p>'
    return f'<div class="enm-stage">{"".join(shown)}</div>{state}{readout}{caption}'


def _json(value):
    """JSON that may stand inside a script element: no character of it can end the element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _alts(alt, panels):
    alts = [alt] * panels if isinstance(alt, str) else list(alt)
    if len(alts) != panels or not all(alts):
        raise ValueError(f"alt is {alt!r} for {panels} panels; say in one sentence what each shows")
    return alts


# -------------------- the grid of values --------------------


def _grid(sliders):
    """One dict {word shown: value} per slider."""
    if not 1 <= len(sliders) <= 3:
        raise ValueError(f"frames was given {len(sliders)} sliders; it takes 1 to 3")
    grid = [_words(name, values) for name, values in sliders.items()]
    counts = [len(column) for column in grid]
    if (total := math.prod(counts)) > MAX_FRAMES:
        product = " x ".join(map(str, counts))
        raise ValueError(f"{product} = {total} frames, the limit is {MAX_FRAMES}; give a slider fewer values")
    return grid


def _words(name, values):
    pairs = list(values.items() if isinstance(values, Mapping) else ((_word(v), v) for v in values))
    column = {str(word): value for word, value in pairs}
    if isinstance(values, str) or not column or len(column) < len(pairs):
        raise ValueError(f"slider {name!r} has values {values!r}; give a list of one or more whose words differ")
    return column


def _word(value):
    """A number in 6 significant digits, anything else by str."""
    return f"{value:.6g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _position(column, wanted):
    if wanted is None:
        return 0
    if _word(wanted) not in column:
        raise ValueError(f"start asks for {_word(wanted)}, the slider has {', '.join(column)}")
    return list(column).index(_word(wanted))


def _known(what, given, sliders):
    if unknown := set(given or ()) - set(sliders):
        raise ValueError(f"{what} names {sorted(unknown)}, the sliders are {list(sliders)}")


def _draw_all(draw, text, grid, states, dpi):
    """Every frame's panels and readout; stops as soon as the pictures alone are too many bytes."""
    drawn, texts, seen = [], [], set()
    for values, state in zip(grid, states, strict=True):
        panels, words = _split(draw(**values), state, dpi)
        drawn.append(panels)
        texts += [*words, *([str(text(**values))] if text else [])]
        seen |= {p.png for p in panels if isinstance(p, _Picture)}
        _small_enough(sum(map(len, seen)) * 4 // 3, len(drawn), len(grid))
        if [type(p) for p in panels] != [type(p) for p in drawn[0]]:
            raise ValueError(f"draw returned other panels for {state} than for {states[0]}; give all the same kinds")
    if len(texts) not in (0, len(grid)):
        raise ValueError(f"{len(texts)} readouts for {len(grid)} frames; give text=, or one string from every draw")
    return drawn, texts


def _split(out, state, dpi):
    items = out if isinstance(out, tuple) else (out,)
    panels = [_read(item, state, dpi) for item in items if not isinstance(item, str)]
    if not panels:
        raise ValueError(f"draw returned no panel for {state}; {WANTED}")
    return panels, [item for item in items if isinstance(item, str)]


def _read(item, state, dpi):
    if isinstance(item, Mapping):
        return _curves(item, state)
    if isinstance(item, np.ndarray) and item.dtype != object:
        return _Picture(png(item), None)
    if hasattr(item, "savefig") or hasattr(item, "figure"):
        return _from_matplotlib(item, dpi)
    raise ValueError(f"draw returned {type(item).__name__} for {state}; {WANTED}")


def _small_enough(size, made, total):
    if size > MAX_BYTES:
        raise ValueError(
            f"{made} of {total} frames take {size / 1e6:.2f} MB, the limit is {MAX_BYTES / 1e6:g} MB; give a slider "
            "fewer values, make arrays smaller (scale= enlarges them on the screen), draw fewer points, or lower dpi"
        )


class _Panel(NamedTuple):
    """One place in the figure over all frames: HTML before the alt text, before the frame's pieces, after them."""

    head: str
    middle: str
    tail: str
    pieces: list  # pieces[i]: strings that make frame i

    def html(self, alt, i):
        return self.head + escape(alt) + self.middle + "".join(self.pieces[i]) + self.tail


def _panel(column, states, scale, pixelated):
    return _image(column, scale, pixelated) if isinstance(column[0], _Picture) else _plot(column, states)


# -------------------- pictures --------------------


class _Picture(NamedTuple):
    png: bytes
    dpi: float | None  # None: an array, shown at ``scale``


def png(image):
    """PNG bytes of a uint8 image: (h, w) grey, (h, w, 3) RGB, (h, w, 4) RGBA.  ISO/IEC 15948, sections 5 and 11.2."""
    image = np.asarray(image)
    color = {(2,): 0, (3, 3): 2, (3, 4): 6}.get((image.ndim, *image.shape[2:]))
    if image.dtype != np.uint8 or color is None or image.size == 0:
        raise ValueError(
            f"an image is uint8 of shape (h, w), (h, w, 3) or (h, w, 4), this is {image.dtype} {image.shape}; "
            "for x in [0, 1] take (255 * x).round().astype(np.uint8)"
        )
    height, width = image.shape[:2]
    rows = np.insert(image.reshape(height, -1), 0, 0, axis=1)  # each row begins with the number of its filter: 0, none
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _from_matplotlib(item, dpi):
    """The Figure, or the Figure of the Axes, as PNG; closed, so that the notebook does not show it a second time."""
    while not hasattr(item, "savefig"):
        item = item.figure
    buffer = io.BytesIO()
    item.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})  # a version in it would make bytes differ
    if pyplot := sys.modules.get("matplotlib.pyplot"):  # where pyplot was never imported, nothing is open
        pyplot.close(item)
    return _Picture(buffer.getvalue(), dpi)


def _image(pictures, scale, pixelated):
    sizes = {struct.unpack(">II", p.png[16:24]) for p in pictures}  # (width, height) stand in the IHDR chunk
    if len(sizes) > 1:
        raise ValueError(f"pictures of sizes {sorted(sizes)} (width, height) in one panel; give all frames one size")
    ((width, height),) = sizes
    dpi = pictures[0].dpi
    scale = 100 / dpi if dpi else scale or max(1, round(480 / width))
    mode = ' class="enm-pixelated"' if pixelated and not dpi else ""
    img = f'<img data-panel=""{mode} width="{width * scale:.0f}" height="{height * scale:.0f}"'
    pieces = [[base64.b64encode(p.png).decode()] for p in pictures]
    return _Panel(f'<div class="enm-panel">{img} alt="', '" src="data:image/png;base64,', '"></div>', pieces)


# -------------------- curves --------------------


class _Curves(NamedTuple):
    parts: dict  # (kind, label): [x, y] or [x, lower, upper]
    shared: dict  # names, limits and scales of the axes


class _Axis(NamedTuple):
    """Data from low to high (log10 of it where log) onto pixels from start to end."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, values):
        pixels = self.start + (_log(values, self.log) - self.low) / (self.high - self.low) * (self.end - self.start)
        far = np.clip(pixels, -9999, 9999)  # far outside the limits more digits are not worth their bytes
        return np.where(np.isfinite(pixels), far, np.nan)


def _log(values, log):
    values = np.asarray(values, float)
    return np.log10(values, where=values > 0, out=np.full(values.shape, np.nan)) if log else values


def _curves(item, state):
    if unknown := set(item) - {"x", "lines", "areas", "marks", *SHARED}:
        raise ValueError(f"curves have no {sorted(unknown)}; they have x, lines, areas, marks, {', '.join(SHARED)}")
    x = item.get("x")
    parts = {("areas", k): (x, *v) for k, v in item.get("areas", {}).items()}
    parts |= {("lines", k): v if isinstance(v, tuple) else (x, v) for k, v in item.get("lines", {}).items()}
    parts |= {("marks", k): v for k, v in item.get("marks", {}).items()}
    shared = {k: item.get(k, default) for k, default in SHARED.items()}
    return _Curves({k: _vectors(k[1], v, state) for k, v in parts.items()}, shared)


def _vectors(label, arrays, state):
    """The arrays as float vectors of one length; a single number counts for all x, as in an area above 0."""
    if any(a is None for a in arrays):
        raise ValueError(f'{label!r} has no x for {state}; give the dict an "x", or the line as a tuple (x, y)')
    arrays = [np.asarray(a, float) for a in arrays]
    longest = max((a.shape for a in arrays), key=len) or (1,)
    arrays = [np.full(longest, a) if a.ndim == 0 else a for a in arrays]
    if len({a.shape for a in arrays}) > 1 or arrays[0].ndim != 1:
        shapes = [a.shape for a in arrays]
        raise ValueError(f"{label!r} has shapes {shapes} for {state}; x and y are vectors of one length")
    return arrays


def _plot(column, states):
    """One place with curves, on axes that hold every frame."""
    shared = column[0].shared
    for curves, state in zip(column, states, strict=True):
        if differ := [k for k in SHARED if str(curves.shared[k]) != str(shared[k])]:
            raise ValueError(f"{differ} for {state} differ from {states[0]}; all frames share the axes")
    arrays = [part for curves in column for part in curves.parts.values()]
    y = _axis([a for _, *ys in arrays for a in ys], shared["ylim"], shared["yscale"], HEIGHT - BOTTOM, TOP)
    left = 36 + 8 * max((len(word) for _, word in _ticks(y)), default=0)
    x = _axis([a for a, *_ in arrays], shared["xlim"], shared["xscale"], left, WIDTH - RIGHT)
    order = dict.fromkeys(label for curves in column for _, label in curves.parts)
    style = {k: (COLORS[i % 4], DASHES[(i + i // 4) % 4], SHAPES[(i + i // 4) % 4]) for i, k in enumerate(order)}
    pieces = [[_piece(kind, arrays, x, y, *style[label]) for (kind, label), arrays in c.parts.items()] for c in column]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    head = f'<div class="enm-panel"><svg data-panel="" {size} role="img" aria-label="'
    return _Panel(head, f'">{_axes(x, y, shared)}', f"</svg></svg>{_legend(column, style)}</div>", pieces)


def _axis(arrays, limits, scale, start, end):
    """The axis that holds every finite value with a margin of 4 %; limits go first, None leaves an end free."""
    log = scale == "log"
    values = _log(np.concatenate([*arrays, []]), log)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.5
    bottom, top = limits or (None, None)
    low = low - margin if bottom is None else _log(bottom, log)
    high = high + margin if top is None else _log(top, log)
    if not low < high:
        raise ValueError(f"limits {limits} leave no room on a {scale} axis; give (low, high) with low < high")
    return _Axis(float(low), float(high), start, end, log)


def _ticks(axis):
    """Round values inside the axis and their words: about five in steps of 1, 2 or 5; powers of ten on a log axis."""
    if axis.log:
        powers = range(math.ceil(axis.low), math.floor(axis.high) + 1)
        values = [10.0**p for p in powers[:: len(powers) // 6 + 1]]
        return [(v, f"{v:g}") for v in values]
    power = 10.0 ** math.floor(math.log10((axis.high - axis.low) / 5))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= (axis.high - axis.low) / 6)
    values = step * np.arange(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)
    return [(v, f"{v:.10g}".replace("-", "\N{MINUS SIGN}")) for v in values.tolist()]


def _axes(x, y, shared):
    """Grid, ticks and names of the axes, then the open inner svg that clips the curves."""
    bottom, middle = y.start, (x.start + x.end) / 2
    across, up = [(x(v), w) for v, w in _ticks(x)], [(y(v), w) for v, w in _ticks(y)]
    grid = [f"M{a:.1f},{y.end}V{bottom}" for a, _ in across] + [f"M{x.start},{b:.1f}H{x.end}" for b, _ in up]
    words = [(a, bottom + 18, "middle", w) for a, w in across] + [(x.start - 6, b + 5, "end", w) for b, w in up]
    words.append((middle, HEIGHT - 8, "middle", shared["xlabel"]))
    turn = f"translate(16 {(bottom + y.end) / 2})rotate(-90)"
    box = x.start, y.end, x.end - x.start, bottom - y.end
    return (
        f'<path d="{"".join(grid)}" stroke="currentColor" opacity=".15"/>'
        f'<path d="M{x.start},{y.end}V{bottom}H{x.end}" fill="none" stroke="currentColor"/>'
        + "".join(f'<text x="{a:.1f}" y="{b:.1f}" text-anchor="{at}">{escape(w)}</text>' for a, b, at, w in words)
        + f'<text transform="{turn}" text-anchor="middle">{escape(shared["ylabel"])}</text><svg data-layer="" '
        + 'x="{}" y="{}" width="{}" height="{}" viewBox="{} {} {} {}">'.format(*box, *box)
    )


def _piece(kind, arrays, x, y, color, dash, shape):
    px, *pys = x(arrays[0]), *(y(a) for a in arrays[1:])
    if kind == "lines":
        stroke = f'stroke="{color}" stroke-width="2.5" stroke-dasharray="{dash}"'
        return f'<path d="{_path(px, pys[0])}" fill="none" {stroke}/>'
    if kind == "areas":
        return f'<path d="{_outline(px, *pys)}" fill="{color}" opacity=".3"/>'
    dots = "".join(f"M{a:.1f},{b:.1f}{shape}" for a, b in zip(px, pys[0], strict=True) if np.isfinite(a + b))
    return f'<path d="{dots}" fill="{color}" stroke="currentColor"/>'


def _path(px, py):
    """An SVG path through the points, broken where a coordinate is not finite."""
    fine = np.isfinite(px) & np.isfinite(py)
    pens = np.where(np.r_[False, fine[:-1]], "L", "M")
    return "".join(f"{pen}{a:.1f},{b:.1f}" for pen, a, b, ok in zip(pens, px, py, fine, strict=True) if ok)


def _outline(px, lower, upper):
    """An SVG path around what lies between two curves, one closed piece for each run of finite coordinates."""
    fine = np.flatnonzero(np.isfinite(px + lower + upper))
    runs = np.split(fine, np.flatnonzero(np.diff(fine) > 1) + 1)
    return "".join(_path(px[np.r_[i, i[::-1]]], np.r_[lower[i], upper[i[::-1]]]) + "Z" for i in runs if len(i))


def _legend(column, style):
    kinds = {label: dict.fromkeys(k for c in column for k, other in c.parts if other == label) for label in style}
    shown = [k for k in style if not k.startswith("_")]
    keys = [f'<span class="enm-key">{_swatch(kinds[k], *style[k])}{escape(k)}</span>' for k in shown]
    return f'<div class="enm-legend">{"".join(keys)}</div>' if keys else ""


def _swatch(kinds, color, dash, shape):
    """The label's line, area and mark as they are in the picture, 28 by 14 pixels."""
    place = _Axis(0, 28, 0, 28, log=False)
    arrays = {"lines": ([0, 28], [7, 7]), "areas": (np.array([0, 28]), [14, 14], [0, 0]), "marks": ([14], [7])}
    drawn = "".join(_piece(kind, arrays[kind], place, place, color, dash, shape) for kind in kinds)
    return f'<svg width="28" height="14" aria-hidden="true">{drawn}</svg>'
