"""Timing that compares: contenders take turns in one process, must first agree on the answer, and are judged by ratios.

A line of the table is a module with WHAT (one phrase), CONTENDERS (ours first) and `measure(contenders) -> Line`.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

OURS = "enm5310"


class Contender(NamedTuple):
    """Who computes: build(problem) gives a closure without arguments, ready to be timed."""

    name: str  # OURS, or the peer's
    build: Callable
    package: str = "numpy"  # what must be installed
    limit: float = math.inf  # target: our median <= limit x this peer's median + plus
    plus: float = 0.0  # seconds


class Timing(NamedTuple):
    median: float
    min: float


class Requirement(NamedTuple):
    """A demand on a line that is not a ratio of times: `value` must not exceed `limit`."""

    what: str
    value: float
    limit: float


class Line(NamedTuple):
    name: str
    timings: dict  # contender's name -> Timing, ours first
    limits: dict  # peer's name -> the ratio ours / peer that is allowed, inf for a peer that is only shown
    growth: Mapping = MappingProxyType({})  # what grows -> {contender's name -> exponent}
    requirements: tuple = ()
    notes: tuple = ()
    unit: str = "s"
    extra: Mapping = MappingProxyType({})  # more entries for the JSON

    @property
    def ratios(self):
        """{peer's name: our median / its median}"""
        return self.of("median")

    def of(self, statistic):
        ours = getattr(self.timings[OURS], statistic)
        return {name: ours / getattr(t, statistic) for name, t in self.timings.items() if name != OURS}

    @property
    def against(self):
        """The peer that decides: the one whose limit is nearest, or most exceeded; None when no peer has a limit."""
        bound = {name: r / self.limits[name] for name, r in self.ratios.items() if self.limits[name] < math.inf}
        return max(bound, key=bound.get) if bound else None

    @property
    def met(self):
        """True or False; None when no peer with a limit took part, so nothing was shown."""
        if any(r.value > r.limit for r in self.requirements):
            return False
        return None if self.against is None else self.ratios[self.against] <= self.limits[self.against]


# -------------------- timing --------------------


def interleave(calls, rounds, inner=1, warm=1, rest=0.05, clock=time.perf_counter, sleep=time.sleep):
    """Seconds of every call by contender, (rounds x inner) each: A B A B ..., `inner` timed calls to a turn.

    A turn begins with a rest and `warm` untimed calls, because the idle threads of one library keep spinning for a
    while and would slow the next; so warm-up and compilation are never in the numbers.
    """
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            sleep(rest)
            for _ in range(warm):
                call()
            seconds[name] += [timed(call, clock) for _ in range(inner)]
    return seconds


def timed(call, clock=time.perf_counter):
    start = clock()
    call()
    return clock() - start


def race(calls, rounds, inner=1, **how):
    """The Timing of every call."""
    return {name: Timing(statistics.median(t), min(t)) for name, t in interleave(calls, rounds, inner, **how).items()}


def exponent(sizes, seconds):
    """a of seconds ~ c sizes^a: the slope of the least squares line through (log size, log seconds)."""
    x = np.log(sizes) - np.mean(np.log(sizes))
    return float(x @ np.log(seconds) / (x @ x))


def growth(contenders, problems, rounds, inner=1, **how):
    """Exponents {contender's name: a}, from minima over problems, {size: what build wants}."""
    rows = [race({c.name: c.build(problem) for c in contenders}, rounds, inner, **how) for problem in problems.values()]
    return {c.name: exponent(list(problems), [row[c.name].min for row in rows]) for c in contenders}


def limits(contenders, timings):
    """Allowed ratios ours / peer of the contenders, an allowance of `plus` seconds turned into a ratio."""
    return {c.name: c.limit + c.plus / timings[c.name].median for c in contenders if c.name != OURS}


# -------------------- nothing is faster by being wrong --------------------


class Disagreement(Exception):
    pass


def agree(what, results, rtol):
    """All results, {contender's name: array}, lie within rtol of ours relative to its largest entry, or it raises."""
    ours = np.asarray(results[OURS], dtype=float)
    for name, other in results.items():
        other = np.asarray(other, dtype=float)
        same_shape = other.shape == ours.shape
        off = np.max(np.abs(other - ours)) / np.max(np.abs(ours)) if same_shape else math.inf
        if not off <= rtol:  # NaN is no agreement
            raise Disagreement(f"{what}: {name} differs from {OURS} by {off:.1e} (relative), allowed are {rtol:.0e}")


def present(contenders):
    """Those whose package is installed."""
    return [c for c in contenders if find_spec(c.package)]


def missing(contenders):
    """The packages that are not installed, each once."""
    return list(dict.fromkeys(c.package for c in contenders if not find_spec(c.package)))
