"""What a test came to, and the outputs in which nbgrader reads it."""

import math
import numbers
from typing import NamedTuple

import numpy as np

from enm5310.grading import clean

HIDDEN = "a hidden test failed"


class Verdict(NamedTuple):
    """What a test came to."""

    state: str  # "right", "partly right", "wrong" or "not attempted"
    score: float
    message: str | None
    outputs: list  # nbformat dicts: an error is 0 points, a number so many, neither is all of them
    mistake: str | None = None
    number: bool = False  # the test ended with a number: its points
    meddled: bool = False  # a call changed an argument in place that the instructor's own solution leaves alone
    changes: frozenset = frozenset()  # (function, argument) that calls changed in place
    traits: frozenset = frozenset()  # (name, "NaN" and its like) of answers
    stopped: bool = False  # the student's process, or its time, ended over it ...
    crashed: bool = False  # ... by itself, perhaps by what another cell had started


def scored(points, worth):
    """(state, score, message) for a test that ended with so many points, or with no number (None)."""
    score = min(max(points, 0.0), worth) if points is not None and math.isfinite(points) else 0.0
    state = "right" if score == worth else "partly right" if score else "wrong"
    return state, score, None if state == "right" else f"the test gave {score:g} of {worth:g} points"


def points(value):
    """The points that a displayed value means to nbgrader, or None."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError, TypeError):
        return None


def ended(why, budget):
    """How a cell or a call ended, in words: the limit is told, not what was left of it."""
    late = why.startswith("did not finish")
    return f"did not finish within {budget:g} s: is there a loop that never ends?" if late else why


def error(name, words, lines=()):
    traced = [clean.text(line, 2_000) for line in lines] or [f"{name}: {words}"]
    return {"output_type": "error", "ename": clean.line(name), "evalue": clean.line(words) or "", "traceback": traced}


def result(data):
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None}
