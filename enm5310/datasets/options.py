"""A chain of call options from a file of your own: what a model's price and delta can be compared with."""

import csv
import math

import numpy as np

from ._bunch import Bunch

COLUMNS = {"strike": "strike", "bid.c": "bid", "ask.c": "ask", "impvol.c": "impvol", "delta.c": "delta"}

_DESCR = "Call options on one underlying that end on one day: {n} strikes from {low:g} to {high:g}, from {path}."


def load_option_chain(path):
    """The calls of one expiry from a CSV file with a header, one line per strike, in the order of the file.

    Columns, in any order, others are ignored: strike; bid.c and ask.c, in the strike's currency; impvol.c, implied
    volatility in per cent a year; delta.c, the published delta, 0 to 1.  Returns a Bunch with ``strike``, ``bid``,
    ``ask``, ``impvol`` (as a fraction: 0.2 for 20 per cent), ``delta``, each (n,), float64, and ``DESCR``.  The price
    of the underlying, interest and time left are not in such a file.
    Raises FileNotFoundError, or ValueError that names the missing columns or the first odd line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _complete(path, reader.fieldnames)
            rows = [_numbers(path, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as why:
        raise ValueError(f"{path} is no CSV file in UTF-8: {why}") from None
    if not rows:
        raise ValueError(f"{path} has a header and no options: want one line for each strike")
    strike, bid, ask, impvol, delta = np.array(rows).T
    about = _DESCR.format(n=len(rows), low=strike.min(), high=strike.max(), path=path)
    return Bunch(strike=strike, bid=bid, ask=ask, impvol=impvol / 100, delta=delta, DESCR=about)


def _complete(path, header):
    missing = [name for name in COLUMNS if name not in (header or [])]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; the header needs {', '.join(COLUMNS)}")


def _numbers(path, line, row):
    """The five numbers of a line, in the order of COLUMNS; ValueError when they are no option."""
    numbers = []
    for name in COLUMNS:
        try:
            numbers.append(float(row[name]))
        except (TypeError, ValueError):  # the line is too short, or this is text
            raise ValueError(f"{path}, line {line}: {name} is {row[name]!r}; want a number") from None
    strike, bid, ask, impvol, delta = numbers
    for good, words in [
        (all(map(math.isfinite, numbers)), "every number must be finite"),
        (strike > 0, f"the strike is {strike:g}; want more than 0"),
        (0 <= bid <= ask, f"bid {bid:g}, ask {ask:g}; want 0 <= bid <= ask"),
        (impvol >= 0, f"impvol.c is {impvol:g}; want per cent a year, not below 0"),
        (0 <= delta <= 1, f"delta.c is {delta:g}; the delta of a call lies between 0 and 1"),
    ]:
        if not good:
            raise ValueError(f"{path}, line {line}: {words}")
    return numbers
