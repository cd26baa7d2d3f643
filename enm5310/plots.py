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
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D
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


def shaded(Z, values, ax=None, *, name, xlabel="$z_1$", ylabel="$z_2$", title="", size=10, limits=None):
    """Points Z, shape (n, 2), from dark blue (low) to yellow (high) by `values` (n,), with a scale called `name`.

    High values lie on top.  limits = (low, high) of the scale; by default the smallest and the largest value.
    """
    ax = _sheet(ax, xlabel, ylabel, title, height=4.6)
    Z, c, (low, high) = np.asarray(Z), np.asarray(values), limits or (np.min(values), np.max(values))
    order = np.argsort(c)
    points = ax.scatter(*Z[order].T, c=c[order], s=size, cmap="cividis", vmin=low, vmax=high)
    ax.figure.colorbar(points, ax=ax, label=name)
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


def band(ax, x, low, high, color=0, name=None):
    """The area between low and high over x, pale, in the colour of a line that `curves` drew before."""
    ax.fill_between(x, low, high, color=COLORS[color % 10], alpha=0.25, linewidth=0, zorder=1, label=name)
    return _legend(ax, name)


def bars(values, ax=None, *, names=(), xlabel="", ylabel="", title="", line=None, height=3.2):
    """A bar for each of the values (n,), named below it; line = (y, words) is a dashed level with words at its end."""
    ax = _sheet(ax, xlabel, ylabel, title, height)
    names = list(names) or [str(i) for i in range(1, len(values) + 1)]
    ax.bar(np.arange(len(values)), values, color=COLORS[4], edgecolor="black", linewidth=0.6)
    ax.set_xticks(np.arange(len(values)), names)
    if line is not None:
        ax.axhline(line[0], color=COLORS[3], linestyle=DASHES[1])
        ax.text(len(values) - 0.5, line[0], line[1], color=COLORS[3], ha="right", va="bottom")
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


# -------------------- the course on one page --------------------

TRICKS = {  # the five tricks of slide 4, and the lectures that take them apart
    "variational bound": "lecture 3",
    "reparametrisation": "lecture 4",
    "density ratio": "lecture 6",
    "adversarial game": "lecture 6",
    "score function, smoothing": "lectures 4, 6",
}
MODELS = {  # what they compose into: lecture, tricks
    "VAE": ("lecture 7", ("variational bound", "reparametrisation")),
    "AVB": ("lecture 6", ("variational bound", "reparametrisation", "density ratio", "adversarial game")),
    "GAN": ("lecture 6", ("density ratio", "adversarial game")),
    "evolution strategies": ("lecture 6", ("score function, smoothing",)),
}


def course_map(ax=None):
    """The map of the course: the tricks of slide 4 on the left, the models on the right, a line for each ingredient.

    A model's lines have its colour and dashes.  The words of both columns are TRICKS and MODELS.
    """
    ax = _sheet(ax, height=3.9)
    left = {name: (0.0, -1.0 * i) for i, name in enumerate(TRICKS)}
    right = {name: (1.0, y) for name, y in zip(MODELS, np.linspace(-0.1, -3.9, len(MODELS)), strict=True)}
    for i, (model, (_, tricks)) in enumerate(MODELS.items()):
        color, dashes = COLORS[(0, 3, 2, 8)[i]], DASHES[i]
        for trick in tricks:
            ax.plot(*zip(left[trick], right[model], strict=True), color=color, linestyle=dashes, linewidth=2, zorder=1)
    for name, place in {**left, **right}.items():
        words = f"{name}\n{TRICKS[name] if name in TRICKS else MODELS[name][0]}"
        box = {"boxstyle": "round,pad=0.45", "fc": "white" if name in TRICKS else "#eaf2f8", "linewidth": 1.3}
        ax.text(*place, words, ha="center", va="center", size=10, bbox=box, zorder=2)
    ax.set(xlim=(-0.3, 1.3), ylim=(-4.5, 0.5))
    ax.set_axis_off()
    return ax


# -------------------- molecules --------------------

ATOM_COLORS = {"N": COLORS[0], "O": COLORS[3], "S": COLORS[8], "F": COLORS[2], "Cl": COLORS[2], "Br": COLORS[2]}


def molecule(atoms, bonds, positions, ax=None, *, hydrogens=None, charges=None, title=""):
    """A structural formula: elements `atoms`, bonds (i, j, order), positions (n, 2) with bonds about 1 long.

    Carbon is a corner without a letter, unless it is alone or charged; an order of 2 or 3 is as many lines.  With
    hydrogens and charges, one number for each atom, the letters are such as NH2 or O-.
    """
    ax = _sheet(ax, title=title, height=3.0, width=4.0)
    X, none = np.asarray(positions, dtype=float), [0] * len(atoms)
    near = [[a + b - i for a, b, _ in bonds if i in (a, b)] for i in range(len(atoms))]
    lines = [line for i, j, order in bonds for line in _bond(X, near, i, j, order)]
    ax.add_collection(LineCollection(lines, colors="black", linewidths=1.1, capstyle="round"))
    for i, (element, h, q) in enumerate(zip(atoms, hydrogens or none, charges or none, strict=True)):
        if element != "C" or q or not near[i]:
            _letters(ax, X[i], element, h, q, _free_side(element, X[near[i]] - X[i]))
    (left, low), (right, high) = X.min(axis=0) - 0.8, X.max(axis=0) + 0.8  # room for letters
    ax.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    ax.set_axis_off()
    return ax


def molecules(pieces, ax=None, *, columns=5, names=()):
    """Structural formulas in rows: pieces are pairs (m, positions), m with atoms, bonds, hydrogens and charges.

    All have the same scale.  `names` are words below each.
    """
    boxes = [(np.min(X, axis=0), np.max(X, axis=0)) for _, X in pieces]
    wide, high = np.max([top - low for low, top in boxes], axis=0) + np.array([1.6, 1.6 + 0.6 * bool(len(names))])
    rows = -(-len(pieces) // columns)
    ax = _sheet(ax, height=min(rows * WIDTH / columns * high / wide, 9))
    for k, ((m, X), (low, top)) in enumerate(zip(pieces, boxes, strict=True)):
        at = np.array([k % columns * wide, -(k // columns) * high])
        molecule(m.atoms, m.bonds, X - (low + top) / 2 + at, ax, hydrogens=m.hydrogens, charges=m.charges)
        if len(names):
            ax.text(*(at - [0, high / 2 - 0.3]), names[k], ha="center", va="center", size=9)
    ax.set(xlim=(-wide / 2, (columns - 0.5) * wide), ylim=((0.5 - rows) * high, high / 2))
    return ax


def _bond(X, near, i, j, order):
    """The lines of a bond; the second is shorter and on the side of the neighbours, if there are any at both ends."""
    a, b = X[i], X[j]
    normal = np.array([a[1] - b[1], b[0] - a[0]]) / np.linalg.norm(b - a)
    if order == 2 and len(near[i]) > 1 and len(near[j]) > 1:
        side = np.sign(sum(np.sign(np.round((X[k] - a) @ normal, 3)) for k in near[i] + near[j])) or 1
        return [(a, b), (a + 0.12 * (b - a) + 0.16 * side * normal, b - 0.12 * (b - a) + 0.16 * side * normal)]
    return [(a + s * normal, b + s * normal) for s in {1: (0,), 2: (-0.08, 0.08)}.get(order, (-0.15, 0, 0.15))]


def _free_side(element, bonds):
    """Where hydrogens stand: right or left of the letter if 45 degrees from all bonds (k, 2), or else farthest away."""
    if not len(bonds):
        return (-1, 0) if element in ("O", "S", "F", "Cl", "Br", "I") else (1, 0)  # H2O, HCl; but NH3, CH4
    sides = np.array([(1, 0), (-1, 0), (0, -1), (0, 1)])
    nearest = np.max(sides @ (bonds / np.linalg.norm(bonds, axis=1, keepdims=True)).T, axis=1)  # cosines
    return tuple(sides[np.argmax(nearest < 0.71) if min(nearest[:2]) < 0.71 else np.argmin(nearest)])


def _letters(ax, place, element, hydrogens, charge, side):
    """The element at its place, hydrogens on one side of it, the charge last; shapes that scale with the bonds."""
    h = f"H$_{{{hydrogens}}}$" if hydrogens > 1 else "H" * hydrogens
    q = f"$^{{{abs(charge) if abs(charge) > 1 else ''}{'+' if charge > 0 else '-'}}}$" if charge else ""
    color = ATOM_COLORS.get(element, "black")
    if h and side[0] == 0:
        _word(ax, place + 0.62 * np.array(side), "", "H", h[1:], color)
        h = ""
    _word(ax, place, h if side[0] < 0 else "", element, (h if side[0] > 0 else "") + q, color)


def _word(ax, place, before, letter, after, color):
    """A word whose letter stands at the place, on white."""
    own, start, shape = (
        TextPath((0, 0), text, size=0.62) for text in (letter, before + letter, before + letter + after)
    )
    own = own.get_extents()
    left = start.get_extents().x1 - own.width / 2  # of the letter's middle in the word
    shape = shape.transformed(Affine2D().translate(*(place - [left, own.height / 2])))
    box = shape.get_extents().padded(0.09)
    ax.add_patch(Rectangle((box.x0, box.y0), box.width, box.height, facecolor="white", linewidth=0, zorder=2))
    ax.add_patch(PathPatch(shape, facecolor=color, linewidth=0, zorder=3))
