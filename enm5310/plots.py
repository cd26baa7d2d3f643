"""Pictures from arrays: every function draws what it is given on an ``ax`` (default: a new one) and returns the ``ax``.

No mathematics here, so that no figure can hide a computation: fit, project and sort before you plot.  Importing this
module changes no setting of matplotlib.  End a cell with ``show(ax, alt=...)``: the picture with its text alternative.
"""

import io
import itertools
from html import escape
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image

PALETTE = {  # Okabe & Ito (2008), made for colour-blind readers
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "sky": "#56B4E9",
    "pink": "#CC79A7",
    "black": "#000000",
    "yellow": "#F0E442",
    "brown": "#663311",  # two more for ten classes: nearer to none of the others than those are to each other,
    "violet": "#6611CC",  # also as readers without red, green or blue cones see them
}
COLORS = list(PALETTE.values())
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]  # never colour alone
DASHES = ["-", "--", ":", "-.", (0, (8, 3)), (0, (1, 3)), (0, (5, 1)), (0, (8, 2, 1, 2)), (0, (3, 6)), (0, (12, 4))]
WIDTH = 7.0  # inches: what a notebook shows without shrinking it, with letters of 10 points


# -------------------- the sheet, and what leaves it --------------------


class Picture(NamedTuple):
    """A finished figure: PNG bytes, its width on the screen, and the sentence for readers who cannot see it."""

    png: bytes
    width: int  # screen pixels
    alt: str

    def __repr__(self):
        return self.alt

    def _repr_png_(self):
        return self.png, {"alt": self.alt, "width": self.width}

    def _repr_html_(self):
        from base64 import b64encode  # the page shows this one: only HTML carries the alt text everywhere

        source = f"data:image/png;base64,{b64encode(self.png).decode()}"
        style = "max-width:100%;height:auto;background:#fff"  # drawn for white paper, also on a dark page
        return f'<img alt="{escape(self.alt)}" src="{source}" width="{self.width}" style="{style}">'


def show(ax, alt, dpi=150):
    """The figure of `ax` as a Picture with the text alternative `alt`, and closes it: the last line of a cell."""
    fig = ax.figure
    drawn, png = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png", dpi=dpi)
    plt.close(fig)
    few = Image.open(drawn).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(png, format="png", optimize=True)  # a third of the bytes, and no version of matplotlib in them
    return Picture(png.getvalue(), round(100 * fig.get_figwidth()), alt)


def panels(columns, height=3.2, width=WIDTH, **options):
    """Axes side by side in one figure, an array (columns,); options go to plt.subplots, e.g. sharey=True."""
    return plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False, **options)[1][0]


def _sheet(ax, xlabel="", ylabel="", title="", height=4.0, width=WIDTH):
    """`ax`, or the only axes of a new figure, with the names of its axes and without a frame at the top and right."""
    ax = panels(1, height, width)[0] if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel=xlabel or ax.get_xlabel(), ylabel=ylabel or ax.get_ylabel(), title=title or ax.get_title())
    return ax


# -------------------- images --------------------


def images(X, ax=None, *, rows=(), columns=(), limits=None, signed=False, title=""):
    """A grid of images X, shape (rows, columns, h, w), one pixel apart; `rows` and `columns` are words beside them.

    Ink is dark: limits = (white, black), by default the smallest and the largest value.  With signed=True blue is
    negative, red positive and white 0, up to the largest size in X.
    """
    r, c, h, w = np.shape(X)
    top = np.abs(X).max() or 1
    low, high = limits or ((-top, top) if signed else (np.min(X), np.max(X)))
    mosaic = np.full((r * (h + 1) - 1, c * (w + 1) - 1), np.nan)
    for i, j in np.ndindex(r, c):
        mosaic[i * (h + 1) :, j * (w + 1) :][:h, :w] = X[i][j]
    beside = 0.15 + 0.11 * max((len(str(word)) for word in rows), default=0)  # inches of words
    scale = min((WIDTH - beside) / c, 0.9)  # inches per image
    above = 0.1 + 0.25 * bool(len(columns)) + 0.25 * bool(title)
    ax = _sheet(ax, title=title, height=r * scale * h / w + above, width=c * scale + beside)
    ax.imshow(mosaic, cmap="RdBu_r" if signed else "gray_r", vmin=low, vmax=high, interpolation="nearest")
    _beside(ax.set_xticks, (w + 1) * np.arange(len(columns)) + (w - 1) / 2, columns)
    _beside(ax.set_yticks, (h + 1) * np.arange(len(rows)) + (h - 1) / 2, rows)
    return _bare(ax)


def _beside(set_ticks, places, words):
    set_ticks(places, [str(word) for word in words])


def _bare(ax):
    """Grey between the images, no frame and no tick marks; words of columns on top, where a table has them."""
    ax.set_facecolor("#d9d9d9")
    ax.set_anchor("E")  # the words need the room on the left
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    return ax


# -------------------- networks --------------------


def network(sizes, ax=None, *, names=(), most=8, height=3.3):
    """A column of units for each width in `sizes`, every unit joined to all of the next; the narrowest stands out.

    A column wider than `most` shows that many units and dots for the others.  The width stands above, a name below.
    """
    ax = _sheet(ax, height=height)
    columns = [_column(x, n, most) for x, n in enumerate(sizes)]
    for A, B in itertools.pairwise(columns):
        lines = np.stack([np.repeat(A, len(B), axis=0), np.tile(B, (len(A), 1))], axis=1)
        ax.add_collection(LineCollection(lines, colors="#999999", linewidths=0.4, zorder=1))
    for x, (n, units) in enumerate(zip(sizes, columns, strict=True)):
        face = COLORS[3 if n == min(sizes) else 4]
        ax.scatter(*units.T, s=70, c=face, edgecolors="black", linewidths=0.6, zorder=2)
        ax.text(x, most / 2 + 0.6, f"{n}", ha="center", weight="bold")
        ax.text(x, -most / 2 - 0.6, names[x] if x < len(names) else "", ha="center", va="top")
        ax.text(x, 0, "\u22ee" if n > most else "", ha="center", va="center")
    ax.set(xlim=(-0.6, len(sizes) - 0.4), ylim=(-most / 2 - 1.6, most / 2 + 1.4), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def _column(x, n, most):
    """Places of the units of a layer, from the top; where some are left out, a gap in the middle."""
    y = (min(n, most) - 1) / 2 - np.arange(min(n, most))
    return np.stack([np.full(len(y), float(x)), y + 0.5 * np.sign(y) * (n > most)], axis=1)


# -------------------- clouds of points --------------------


def classes(Z, labels, names, ax=None, *, at=None, xlabel="$z_1$", ylabel="$z_2$", size=26, title=""):
    """Points Z, shape (n, 2), each drawn as the name of its class where all names are single characters, else a marker.

    names[c] is the name of class c, labels (n,) holds the c's; `at`, shape (classes, 2), is where to print names large.
    """
    ax = _sheet(ax, xlabel, ylabel, title, height=5.2)
    numerals = all(len(str(name)) == 1 for name in names)
    for c, name in enumerate(names):
        color, marker = COLORS[c % 10], f"${name}$" if numerals else MARKERS[c % 10]
        rim = "black" if color == PALETTE["yellow"] else color  # yellow alone is faint on white
        ax.scatter(*Z[labels == c].T, s=size, marker=marker, c=color, ec=rim, linewidths=0.25, label=str(name))
    for c, place in enumerate([] if at is None else at):
        label(ax, place, names[c], COLORS[c % 10])
    if at is None:
        ax.legend(frameon=False)
    return ax


def label(ax, place, words, color="black", size=17):
    """Words centred at `place`, readable on any ground: a white rim, and inside it a dark one where needed."""
    dark = [withStroke(linewidth=1.6, foreground="black")] if color == PALETTE["yellow"] else []
    rim = [withStroke(linewidth=4.5, foreground="white"), *dark]
    ax.text(*place, str(words), color=color, size=size, weight="bold", ha="center", va="center", path_effects=rim)
    return ax


def cloud(X, ax=None, *, name=None, color=0, hollow=False, xlabel="", ylabel="", size=22, window=None):
    """Points X, shape (n, 2), with equal scales on both axes, so that angles and distances are what they seem.

    window = ((left, right), (bottom, top)) holds the axes still, as figures with a slider want it.
    """
    xlabel, ylabel = (xlabel, ylabel) if ax else (xlabel or "$x_1$", ylabel or "$x_2$")
    ax = _sheet(ax, xlabel, ylabel, height=4.2)
    face = "none" if hollow else COLORS[color]
    style = {"facecolors": face, "edgecolors": COLORS[color], "linewidths": 0.9, "zorder": 2}
    ax.scatter(*np.transpose(X), s=size, marker=MARKERS[color], label=name, **style)
    if window:
        ax.set(xlim=window[0], ylim=window[1])
    if ax.get_aspect() == "auto":  # not yet set by an earlier cloud
        ax.set_aspect("equal", adjustable="box" if window else "datalim")
    return _legend(ax, name)


def segments(A, B, ax=None, *, name=None, color=6, arrows=False):
    """A line from each row of A to the same row of B, both (n, 2); with arrows=True an arrow."""
    ax = _sheet(ax)
    A, B = np.asarray(A, float), np.asarray(B, float)
    if arrows:
        style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004, "zorder": 3}
        ax.quiver(*A.T, *(B - A).T, color=COLORS[color], label=name, **style)
    else:
        ends = np.stack([A, B, np.full_like(A, np.nan)], axis=1).reshape(-1, 2)  # nan lifts the pen
        ax.plot(*ends.T, color=COLORS[color], linewidth=1, label=name, zorder=1)
    return _legend(ax, name)


def axes_arrows(mean, vectors, ax=None, *, names=(), color=3):
    """An arrow from `mean`, shape (2,), along each column of `vectors`, shape (2, k), with its name at the tip."""
    ax = _sheet(ax)
    tips = np.asarray(mean) + np.transpose(vectors)
    ax = segments(np.broadcast_to(mean, tips.shape), tips, ax, color=color, arrows=True)
    ax.update_datalim(tips)
    for tip, name in zip(tips, names, strict=False):
        label(ax, tip + 0.12 * (tip - mean), name, COLORS[color], size=12)
    return ax


def ellipse(mean, covariance, ax=None, *, radii=(1, 2), name=None, color=3):
    """The curves (x - mean)^T covariance^-1 (x - mean) = r^2 of a Gaussian in the plane, one for each radius r."""
    ax = _sheet(ax)
    turn = np.linspace(0, 2 * np.pi, 181)
    squares, V = np.linalg.eigh(covariance)  # drawing only: the circle, stretched by the root of the covariance
    circle = (V * np.sqrt(np.maximum(squares, 0))) @ np.stack([np.cos(turn), np.sin(turn)])
    for i, r in enumerate(radii):
        path = np.reshape(mean, (2, 1)) + r * circle
        ax.plot(*path, linestyle=DASHES[i], color=COLORS[color], label=name if i == 0 else None)
    return _legend(ax, name)


def _legend(ax, name):
    if name is not None:
        ax.legend(frameon=False)
    return ax


# -------------------- curves --------------------


def curves(x, lines, ax=None, *, xlabel, ylabel, title="", xscale="linear", yscale="linear", height=3.6, mark=None):
    """lines = {name: y} over one x, each y of shape (n,), or {name: (x, y)}; a name that begins with "_" is not listed.

    mark = (x, y) puts a dot there, with dotted lines down to the axes.
    """
    ax = _sheet(ax, xlabel, ylabel, title, height)
    for i, (name, y) in enumerate(lines.items()):
        x_, y_ = y if isinstance(y, tuple) else (x, y)
        ax.plot(x_, y_, color=COLORS[i % 10], linestyle=DASHES[i % 10], linewidth=2, label=name)
    ax.set(xscale=xscale, yscale=yscale)
    if mark is not None:
        dot(ax, *mark)
    return _legend(ax, next((name for name in lines if not name.startswith("_")), None))


def contours(x, y, Z, ax=None, *, levels, xlabel="$x_1$", ylabel="$x_2$", title=""):
    """Lines of equal Z, shape (len(y), len(x)), at `levels` (increasing), each with its value; darker is higher."""
    ax = _sheet(ax, xlabel, ylabel, title, height=4.4)
    shades = [str(grey) for grey in np.linspace(1, 0.72, len(levels) + 1)]  # one for each gap between levels
    ax.contourf(x, y, Z, levels, colors=shades, extend="both")
    lines = ax.contour(x, y, Z, levels, colors="#444444", linewidths=0.8, linestyles="-")
    ax.clabel(lines, fontsize=9, fmt="%g")
    return ax


def dot(ax, x, y, words="", color=3):
    """A dot at (x, y) with words to its upper right."""
    ax.plot([x], [y], "o", color=COLORS[color], markersize=8, zorder=4)
    ax.annotate(words, (x, y), (7, 6), textcoords="offset points", color=COLORS[color], weight="bold")
    return ax


def scree(variances, cumulative, ax=None, *, marks=None, ylabel="variance"):
    """Bars: the variances, shape (p,), largest first; line, on the right: the fraction explained by the first k, (p,).

    marks = {k: words} puts dots on the line.  The right-hand axes are the last of ``ax.figure.axes``.
    """
    k = np.arange(1, len(variances) + 1)
    ax = _sheet(ax, "component k", f"{ylabel} (bars)", height=3.8)
    ax.bar(k, variances, color=COLORS[4])
    right = _sheet(ax.twinx(), ylabel="fraction explained by 1..k (line)")
    right.spines["right"].set_visible(True)
    right.plot(k, cumulative, color=COLORS[3], linewidth=2)
    right.set_ylim(0, 1.05)
    for at, words in (marks or {}).items():
        right.plot([at], [cumulative[at - 1]], "o", color=COLORS[3])
        right.annotate(words, (at, cumulative[at - 1]), (6, -14), textcoords="offset points")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0.3, len(variances) + 0.7)
    return ax


# -------------------- change of variables, and graphs of a computation --------------------


def mass_map(e, p_e, z, p_z, cells, ax=None, *, xlabel="$\\epsilon$", ylabel="z", window=None):
    """The map e -> z, both (n,), with the density p_e (n,) lying along the bottom and p_z (n,) along the left edge.

    cells are indices into e: what lies between two of them has one shade below, and the same at the left, where the map
    takes it.  window = ((left, right), (bottom, top)) cuts the map; the densities stand outside it.
    """
    ax = _sheet(ax, xlabel, ylabel, height=4.6)
    (left, right), (low, high) = window or ((np.min(e), np.max(e)), (np.min(z), np.max(z)))
    ax.set(xlim=(left - 0.42 * (right - left), right), ylim=(low - 0.42 * (high - low), high))  # room of 30 %
    below, beside = ax.get_xaxis_transform(), ax.get_yaxis_transform()  # the densities count in fractions of the axes
    for i, (a, b) in enumerate(itertools.pairwise(cells)):
        one, shade = slice(a, b + 1), {"color": COLORS[(4, 1)[i % 2]], "alpha": 0.75, "linewidth": 0}
        ax.fill_between(e[one], 0.27 * p_e[one] / np.max(p_e), transform=below, **shade)
        ax.fill_betweenx(z[one], 0.27 * p_z[one] / np.max(p_z), transform=beside, **shade)
    bend = [np.array([[e[i], ax.get_ylim()[0]], [e[i], z[i]], [ax.get_xlim()[0], z[i]]]) for i in cells]
    segments([p for b in bend for p in b[:2]], [p for b in bend for p in b[1:]], ax).lines[-1].set_alpha(0.25)
    ax.plot(e, z, color=COLORS[0], linewidth=2)
    ax.set_xticks([tick for tick in ax.get_xticks() if left <= tick <= right])
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
    return ax


def graph(places, arrows, ax=None, *, random=(), back=(), stopped=(), title=""):
    """A computation: places = {name: (x, y)}, arrows = [(from, to)]; the names in `random` are drawn as circles.

    back = [(from, to)] are the ways of the gradient, dashed and beside the arrows; a way in `stopped` ends at a cross.
    """
    ax = _sheet(ax, title=title, height=3.4)
    for name, place in places.items():
        box = {"boxstyle": "circle,pad=0.3" if name in random else "round,pad=0.45", "fc": "white", "linewidth": 1.3}
        ax.text(*place, name, size=12, ha="center", va="center", bbox=box, zorder=3)
    for way in [*arrows, *back, *stopped]:
        _way(ax, *(np.array(places[name]) for name in way), forward=way in arrows, stopped=way in stopped)
    x, y = np.transpose(list(places.values()))
    ax.set(xlim=(min(x) - 0.4, max(x) + 0.4), ylim=(min(y) - 0.3, max(y) + 0.3))
    ax.set_aspect("equal")  # so that an arrow's bend is the same in data and on paper, where the cross stands
    ax.set_axis_off()
    return ax


def _way(ax, a, b, forward, stopped):
    """An arrow from a to b: straight and black, or bent and dashed."""
    color, style, bend = (COLORS[6], "-", 0) if forward else (COLORS[3], "--", 0.3)
    line = {"color": color, "linestyle": style, "linewidth": 1.6, "shrinkA": 18, "shrinkB": 18}
    arrow = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "alpha": 0.4 if stopped else 1}
    ax.annotate("", b, a, arrowprops=line | arrow, zorder=2)
    if stopped:
        middle = (a + b) / 2 + bend / 2 * np.array([(b - a)[1], -(b - a)[0]])
        ax.plot(*middle, "X", color=color, markersize=11, markeredgecolor="white", zorder=4)
