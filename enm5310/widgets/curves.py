"""Panels of curves: lines, areas and marks as SVG paths on the axes that all frames share.  A label keeps its colour,
dash and shape through all frames; what does not move from frame to frame is the same piece, and so is stored once.
"""

from html import escape
from typing import NamedTuple

import numpy as np

from enm5310.widgets.axes import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, Axis, draw_axes, fit_axis, ticks
from enm5310.widgets.panels import Panel

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe & Ito (2008), those with 3:1 on white and on #111
DASHES = ["", "8 4", "2 4", "10 4 2 4"]  # never colour alone
SHAPES = [
    "m-5,0a5,5 0 1,0 10,0a5,5 0 1,0-10,0z",  # disc
    "m0,-6.5l6.5,6.5l-6.5,6.5l-6.5,-6.5z",  # diamond
    "m-4.5,-4.5h9v9h-9z",  # square
    "m0,-6l5.5,10h-11z",  # triangle
]
SHARED = {"xlabel": "", "ylabel": "", "xlim": None, "ylim": None, "xscale": "linear", "yscale": "linear"}


class Curves(NamedTuple):
    parts: dict  # (kind, label): [x, y] or [x, lower, upper]
    shared: dict  # names, limits and scales of the axes


def read(item, state):
    """The dict of curves that ``draw`` returned, every part as float vectors of one length."""
    if unknown := set(item) - {"x", "lines", "areas", "marks", *SHARED}:
        raise ValueError(f"curves have no {sorted(unknown)}; they have x, lines, areas, marks, {', '.join(SHARED)}")
    x = item.get("x")
    parts = {("areas", k): (x, *v) for k, v in item.get("areas", {}).items()}
    parts |= {("lines", k): v if isinstance(v, tuple) else (x, v) for k, v in item.get("lines", {}).items()}
    parts |= {("marks", k): v for k, v in item.get("marks", {}).items()}
    shared = {k: item.get(k, default) for k, default in SHARED.items()}
    return Curves({k: _vectors(k[1], v, state) for k, v in parts.items()}, shared)


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


def panel(column, states):
    """One place with curves, on axes that hold every frame."""
    shared = column[0].shared
    for curves, state in zip(column, states, strict=True):
        if differ := [k for k in SHARED if str(curves.shared[k]) != str(shared[k])]:
            raise ValueError(f"{differ} for {state} differ from {states[0]}; all frames share the axes")
    arrays = [part for curves in column for part in curves.parts.values()]
    y = fit_axis([a for _, *ys in arrays for a in ys], shared["ylim"], shared["yscale"], HEIGHT - BOTTOM, TOP)
    left = 36 + 8 * max((len(word) for _, word in ticks(y)), default=0)
    x = fit_axis([a for a, *_ in arrays], shared["xlim"], shared["xscale"], left, WIDTH - RIGHT)
    order = dict.fromkeys(label for curves in column for _, label in curves.parts)
    style = {k: (COLORS[i % 4], DASHES[(i + i // 4) % 4], SHAPES[(i + i // 4) % 4]) for i, k in enumerate(order)}
    pieces = [[_piece(kind, arrays, x, y, *style[label]) for (kind, label), arrays in c.parts.items()] for c in column]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    head = f'<div class="enm-panel"><svg data-panel="" {size} role="img" aria-label="'
    return Panel(head, f'">{draw_axes(x, y, shared)}', f"</svg></svg>{_legend(column, style)}</div>", pieces)


def _piece(kind, arrays, x, y, color, dash, shape):
    """SVG of one line, area or set of marks, in pixels rounded to tenths."""
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
    """HTML of the labels of all frames, each beside a sample of what it names; one that begins with "_" is left out."""
    kinds = {label: dict.fromkeys(k for c in column for k, other in c.parts if other == label) for label in style}
    shown = [k for k in style if not k.startswith("_")]
    keys = [f'<span class="enm-key">{_swatch(kinds[k], *style[k])}{escape(k)}</span>' for k in shown]
    return f'<div class="enm-legend">{"".join(keys)}</div>' if keys else ""


def _swatch(kinds, color, dash, shape):
    """The label's line, area and mark as they are in the picture, 28 by 14 pixels."""
    place = Axis(0, 28, 0, 28, log=False)
    arrays = {"lines": ([0, 28], [7, 7]), "areas": (np.array([0, 28]), [14, 14], [0, 0]), "marks": ([14], [7])}
    drawn = "".join(_piece(kind, arrays[kind], place, place, color, dash, shape) for kind in kinds)
    return f'<svg width="28" height="14" aria-hidden="true">{drawn}</svg>'
