"""The grid of slider values and the frames drawn on it: values become the words that stand beside a slider, ``draw`` is
called once for every combination, and what it returned is sorted into pictures, curves and readouts.
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from enm5310.widgets import curves
from enm5310.widgets.figure import MAX_BYTES
from enm5310.widgets.pictures import Picture, from_matplotlib, png

MAX_FRAMES = 500
WANTED = "return a matplotlib figure or axes, a uint8 array, or a dict of curves"


def word_grid(sliders):
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


def position(column, wanted):
    """Where the wanted value, or its word, stands in the slider; 0 where none is asked for."""
    if wanted is None:
        return 0
    if _word(wanted) not in column:
        raise ValueError(f"start asks for {_word(wanted)}, the slider has {', '.join(column)}")
    return list(column).index(_word(wanted))


def known(what, given, sliders):
    """Refuses options for sliders that the figure does not have."""
    if unknown := set(given or ()) - set(sliders):
        raise ValueError(f"{what} names {sorted(unknown)}, the sliders are {list(sliders)}")


def draw_all(draw, text, grid, states, dpi):
    """Every frame's panels and readout; stops as soon as the pictures alone are too many bytes."""
    drawn, texts, seen = [], [], set()
    for values, state in zip(grid, states, strict=True):
        panels, words = _split(draw(**values), state, dpi)
        drawn.append(panels)
        texts += [*words, *([str(text(**values))] if text else [])]
        seen |= {p.png for p in panels if isinstance(p, Picture)}
        small_enough(sum(map(len, seen)) * 4 // 3, len(drawn), len(grid))
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
        return curves.read(item, state)
    if isinstance(item, np.ndarray) and item.dtype != object:
        return Picture(png(item), None)
    if hasattr(item, "savefig") or hasattr(item, "figure"):
        return from_matplotlib(item, dpi)
    raise ValueError(f"draw returned {type(item).__name__} for {state}; {WANTED}")


def small_enough(size, made, total):
    """Refuses a figure too big to travel in a notebook: ``size`` bytes after ``made`` of ``total`` frames."""
    if size > MAX_BYTES:
        raise ValueError(
            f"{made} of {total} frames take {size / 1e6:.2f} MB, the limit is {MAX_BYTES / 1e6:g} MB; give a slider "
            "fewer values, make arrays smaller (scale= enlarges them on the screen), draw fewer points, or lower dpi"
        )
