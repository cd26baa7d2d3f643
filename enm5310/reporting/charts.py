"""The figures of the class report, as PNG with a text alternative, in colours that colour-blind readers tell apart."""

import warnings

from enm5310 import plots
from enm5310.practice.runner import line

KINDS = ("right", "partly", "wrong", "none")
WORDS = {"right": "right", "partly": "partly right", "wrong": "wrong", "none": "no result"}
COLOURS = {"right": "#009E73", "partly": "#E69F00", "wrong": "#D55E00", "none": "#DDDDDD"}  # as in the checks' reports
HATCHES = {"right": "", "partly": "//", "wrong": "xx", "none": ".."}  # never colour alone
MOST = 40  # exercises in one figure


def scores(values, most):
    """How many submissions have which score, in at most 20 bins from 0 to ``most``, or to the highest score."""
    top = max([most, *values]) or 1.0
    bins = min(20, max(4, round(top)))
    ax = plots.panels(1, height=2.8)[0]
    counts, edges, bars = ax.hist([min(v, top) for v in values], bins=bins, range=(0, top))
    for bar in bars:
        bar.set(facecolor=plots.PALETTE["blue"], edgecolor="white")
    ax.set(xlabel=f"score, of {most:g}", ylabel="submissions", xlim=(0, top))
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    fullest = max(range(len(counts)), key=lambda i: counts[i])
    alt = (f"Histogram of {len(values)} scores from {min(values):g} to {max(values):g}; most of them, "
           f"{counts[fullest]:.0f}, lie between {edges[fullest]:.3g} and {edges[fullest + 1]:.3g}.")  # fmt: skip
    return _shown(ax, alt)


def results(titles, counts):
    """A bar for each exercise, of how many answers are right, partly right, wrong or without a result."""
    titles, counts = titles[:MOST], counts[:MOST]
    ax = plots.panels(1, height=0.9 + 0.32 * len(titles))[0]
    places, left = range(len(titles)), [0] * len(titles)
    for kind in KINDS:
        widths = [count[kind] for count in counts]
        bars = ax.barh(places, widths, left=left, height=0.7, color=COLOURS[kind], label=WORDS[kind])
        for bar in bars:
            bar.set(hatch=HATCHES[kind], edgecolor="white" if kind in ("right", "wrong", "partly") else "#888888")
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ax.set(xlabel="submissions", yticks=list(places), ylim=(len(titles) - 0.5, -0.5))
    titles = [line(title) for title in titles]
    ax.set_yticklabels([title if len(title) <= 34 else title[:33] + "\u2026" for title in titles], parse_math=False)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.figure.legend(loc="outside upper right", ncols=4, frameon=False)
    alt = "Bars of results for each exercise; the table below has the same numbers."
    return _shown(ax, alt)


def _shown(ax, alt):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # boxes in a title are no harm
        return plots.show(ax, alt)
