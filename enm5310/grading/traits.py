"""Answers that pass a careless test because they compare with nothing, or with everything."""

import collections
import decimal
import itertools

import numpy as np


def _parts(value, most=10_000):
    """A value and what lies in it, so far as that is plain data."""
    left = [value]
    while left and most > 0:
        most -= 1
        part = left.pop()
        yield part
        if isinstance(part, (list, tuple, set, frozenset, collections.deque)):
            left += itertools.islice(part, most)
        elif isinstance(part, dict):
            left += itertools.islice(part.values(), most)
            left += itertools.islice(part, most)


def _is_empty(value):
    return any(_has_no_items(part) for part in _parts(value))


def _has_no_items(part):
    if isinstance(part, np.ndarray):
        return part.size == 0
    return isinstance(part, (str, bytes, list, tuple, dict, set, frozenset, range, collections.deque)) and not len(part)


def _is_nan(value):
    return any(_holds_nan(part) for part in _parts(value))


def _holds_nan(part):
    if isinstance(part, (float, complex, np.inexact, decimal.Decimal)):
        return bool(part != part)
    return isinstance(part, np.ndarray) and part.dtype.kind in "fc" and bool(np.isnan(part).any())


def _is_masked(value):
    return any(isinstance(part, np.ma.MaskedArray) for part in _parts(value))


TRAITS = {"an empty answer": _is_empty, "NaN": _is_nan, "a masked array": _is_masked}


def of(value):
    """The names of a value's traits."""
    return {name for name, has in TRAITS.items() if has(value)}
