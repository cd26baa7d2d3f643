"""The plane of ``pad``: its axes, the places where the point may stand, and the drawing."""

import math
from html import escape
from typing import NamedTuple

import numpy as np

from enm5310.widgets import pad_codes
from enm5310.widgets.axes import BOTTOM, RIGHT, TOP, Axis, draw_axes, ticks

SIDE = 280  # pixels of the square plane
FREE = (-3.0, 3.0)  # of an axis without points and limits: three standard deviations of the prior


class Steps(NamedTuple):
    """One axis and the places on it where the point may stand: the multiples of a round step."""

    label: str
    low: float
    high: float
    step: float
    first: int  # multiples of the step within the limits
    last: int
    decimals: int  # that the step has

    def value(self, i):
        return i * self.step

    def word(self, i):
        return f"{self.value(i):.{self.decimals}f}".replace("-", "\N{MINUS SIGN}")

    def nearest(self, value):
        return min(max(round(value / self.step), self.first), self.last)


def axes(points, xlim, ylim, labels, resolution):
    """Both axes: a free one is as long as the longer of what is given, so that without limits the scales are equal."""
    given = [_limits(name, lim) for name, lim in (("xlim", xlim), ("ylim", ylim))]
    data = [FREE] * 2 if points is None else [_margin(column) for column in points.T]
    ends = [lim or around for lim, around in zip(given, data, strict=True)]
    span = max(high - low for low, high in ends)
    middles = [(low + high) / 2 for low, high in ends]
    ends = [lim or (m - span / 2, m + span / 2) for lim, m in zip(given, middles, strict=True)]
    return [_steps(str(label), *lim, resolution) for label, lim in zip(labels, ends, strict=True)]


def _limits(name, limits):
    if limits is None:
        return None
    ends = np.asarray(limits, float)
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ValueError(f"{name} is {limits}; give finite (low, high) with low < high")
    return tuple(ends.tolist())


def _margin(column):
    low, high = float(column.min()), float(column.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _steps(label, low, high, resolution):
    """Steps of 1, 2 or 5 times a power of ten: the smallest of which at most ``resolution`` fit between the limits."""
    least = (high - low) / resolution * (1 - 1e-9)  # so that rounding cannot make 0.05 too small
    power = math.floor(math.log10(least))
    m, step = next((m, size) for m in (1, 2, 5, 10) if (size := float(f"{m}e{power}")) >= least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Steps(label, low, high, step, first, last, max(0, -power - (m == 10)))


def draw(steps, codes, z, alt):
    """HTML of the plane with axes, codes, the point at z and the legend; and where its edges are, in pixels."""
    x, y = steps
    up = Axis(y.low, y.high, TOP + SIDE, TOP, log=False)
    left = 36 + 8 * max((len(word) for _, word in ticks(up)), default=0)
    across = Axis(x.low, x.high, left, left + SIDE, log=False)
    width, height = left + SIDE + RIGHT, TOP + SIDE + BOTTOM
    place = f'data-point="" transform="translate({across(z[0]):.2f} {up(z[1]):.2f})"'
    html = (
        f'<div class="enm-plane"><svg data-plane="" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(alt)}">{draw_axes(across, up, {"xlabel": x.label, "ylabel": y.label})}'
        f"{pad_codes.dots(codes, across, up)}"
        f'<path {place} d="M-999,0H999M0,-999V999" stroke="#111" stroke-dasharray="3 3" opacity=".55"/></svg>'
        f'<g {place}><circle r="8" fill="#fff" stroke="#111" stroke-width="2.5"/><circle r="3" fill="#111"/></g></svg>'
        f"{pad_codes.legend(codes)}</div>"
    )
    return html, {"left": left, "right": left + SIDE, "bottom": TOP + SIDE, "top": TOP}
