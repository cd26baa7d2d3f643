"""Values that tests hand to students' functions, and what these answer, on one line each; whatever they hold."""

import numpy as np

from enm5310.grading.clean import line

WIDE = 400  # characters of an argument or answer


def in_words(args, kwargs):
    return (*map(shown, args), *(f"{line(str(key))}={shown(value)}" for key, value in kwargs.items()))


def shown(value, depth=0):
    """A value on one line: of a large array its form and its ends."""
    if depth > 4:
        return "..."
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        with np.printoptions(precision=4, suppress=True, threshold=12, edgeitems=2, linewidth=10_000):
            numbers = np.array2string(value, separator=", ")
        form = "x".join(map(str, value.shape)) or "scalar"
        return _short(f"{value.dtype} {form} {numbers}")
    if isinstance(value, float):
        return format(value, ".6g")
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to write very long ones
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return _short(repr(value[:WIDE]))
    if isinstance(value, (list, tuple)):
        inner = ", ".join([shown(item, depth + 1) for item in value[:6]] + _rest(value))
        return _short(f"[{inner}]" if isinstance(value, list) else f"({inner})")
    if isinstance(value, dict):
        items = list(value.items())[:6]
        inner = ", ".join([f"{shown(key, depth + 1)}: {shown(item, depth + 1)}" for key, item in items] + _rest(value))
        return _short("{" + inner + "}")
    if type(value).__name__ == "Fn":  # a function that a check hands over: its source says all
        return _short(f"function `{value.source.strip()}`")
    if value is None or isinstance(value, (bool, int)):
        return _short(repr(value))
    return f"a {line(type(value).__name__)}"


def _rest(value):
    return [f"and {len(value) - 6} more"] if len(value) > 6 else []


def shown_error(why):
    try:
        return _short(f"{type(why).__name__}: {why}")
    except Exception:  # an exception class of the student's own may fail even here
        return line(type(why).__name__)


def _short(text):
    text = line(text[: 4 * WIDE])
    return text if len(text) <= WIDE else text[: WIDE - 3] + "..."
