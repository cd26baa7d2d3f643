"""Axes of a panel of curves as SVG: data onto pixels, round tick values, and the grid with its words.  One pair of axes
holds all frames of a figure, so it is drawn once and nothing jumps when a slider moves.
"""

import math
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT, TOP, RIGHT, BOTTOM = 480, 300, 10, 14, 48  # of a panel of curves, in its own pixels


class Axis(NamedTuple):
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


def fit_axis(arrays, limits, scale, start, end):
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
    return Axis(float(low), float(high), start, end, log)


def ticks(axis):
    """Round values inside the axis and their words: about five in steps of 1, 2 or 5; powers of ten on a log axis."""
    if axis.log:
        powers = range(math.ceil(axis.low), math.floor(axis.high) + 1)
        values = [10.0**p for p in powers[:: len(powers) // 6 + 1]]
        return [(v, f"{v:g}") for v in values]
    power = 10.0 ** math.floor(math.log10((axis.high - axis.low) / 5))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= (axis.high - axis.low) / 6)
    values = step * np.arange(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)
    return [(v, f"{v:.10g}".replace("-", "\N{MINUS SIGN}")) for v in values.tolist()]


def draw_axes(x, y, shared):
    """Grid, ticks and names of the axes, then the open inner svg that clips the curves."""
    bottom, middle = y.start, (x.start + x.end) / 2
    across, up = [(x(v), w) for v, w in ticks(x)], [(y(v), w) for v, w in ticks(y)]
    grid = [f"M{a:.1f},{y.end}V{bottom}" for a, _ in across] + [f"M{x.start},{b:.1f}H{x.end}" for b, _ in up]
    words = [(a, bottom + 18, "middle", w) for a, w in across] + [(x.start - 6, b + 5, "end", w) for b, w in up]
    words.append((middle, bottom + BOTTOM - 8, "middle", shared["xlabel"]))
    turn = f"translate(16 {(bottom + y.end) / 2})rotate(-90)"
    box = x.start, y.end, x.end - x.start, bottom - y.end
    return (
        f'<path d="{"".join(grid)}" stroke="currentColor" opacity=".15"/>'
        f'<path d="M{x.start},{y.end}V{bottom}H{x.end}" fill="none" stroke="currentColor"/>'
        + "".join(f'<text x="{a:.1f}" y="{b:.1f}" text-anchor="{at}">{escape(w)}</text>' for a, b, at, w in words)
        + f'<text transform="{turn}" text-anchor="middle">{escape(shared["ylabel"])}</text><svg data-layer="" '
        + 'x="{}" y="{}" width="{}" height="{}" viewBox="{} {} {} {}">'.format(*box, *box)
    )
