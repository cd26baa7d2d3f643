"""Sliders over pictures or curves that Python computed: all frames are made up front, JavaScript only looks them up.

    frames({"k": [1, 2, 5, 10]}, draw, alt="ten digits above their reconstructions", text=lambda k: f"error {error[k]}")

``draw(k=...)`` returns a matplotlib Figure or Axes, a uint8 image, or a dict of curves.  The figure is HTML
alone: live in JupyterLab and in any exported page, without a request to anywhere; without JavaScript a poster stays.
"""

import itertools

import numpy as np

from enm5310.widgets import curves, pictures
from enm5310.widgets.figure import Figure, asset, to_json
from enm5310.widgets.grid import draw_all, known, position, small_enough, word_grid
from enm5310.widgets.panels import alt_texts, inner_html, pooled

JS, CSS = asset("figure.js", "frames.js"), asset("figure.css")


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
    grid = word_grid(sliders)
    known("start", start, sliders)
    known("labels", labels, sliders)
    names = [(labels or {}).get(name, name) for name in sliders]
    states = [", ".join(f"{n} = {w}" for n, w in zip(names, row, strict=True)) for row in itertools.product(*grid)]
    values = [dict(zip(sliders, row, strict=True)) for row in itertools.product(*(column.values() for column in grid))]
    drawn, texts = draw_all(draw, text, values, states, dpi)
    panels = [_panel(list(column), states, scale, pixelated) for column in zip(*drawn, strict=True)]
    at = [position(column, (start or {}).get(name)) for name, column in zip(sliders, grid, strict=True)]
    shown = [{"label": n, "values": list(column)} for n, column in zip(names, grid, strict=True)]
    payload = {"sliders": shown, "start": at, **pooled(panels), "alts": alt_texts(alt, len(panels)), "texts": texts}
    small_enough(len(to_json(payload)), len(states), len(states))
    first = int(np.ravel_multi_index(at, [len(column) for column in grid]))
    return Frames(payload, inner_html(panels, payload["alts"], states, texts, first, caption))


class Frames(Figure):
    """What ``frames`` returns; its poster has the start frame, its state and readout, the caption.

    payload["frames"][i][panel]: places in "pool" of the PNG or the SVG pieces; the rest as named.
    """

    css, js = CSS, JS

    def __repr__(self):
        sliders = ", ".join(f"{s['label']}: {len(s['values'])} values" for s in self.payload["sliders"])
        size = f"{len(self.payload['frames'])} frames, {self.size / 1000:.0f} kB"
        return f"Frames({sliders}; {size}): {'; '.join(self.payload['alts'])}"


def _panel(column, states, scale, pixelated):
    if isinstance(column[0], curves.Curves):
        return curves.panel(column, states)
    return pictures.panel(column, scale, pixelated)
