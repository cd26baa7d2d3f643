"""What a check does with an answer before it believes it: rebuild it as plain data, fit it to a shape, compare it.

Nothing here calls a method of the returned object: a student's class may lie about its shape, its values or its
equality (``__eq__`` returning True passes every naive test), so a plain array is rebuilt first and only that is read.
"""

import types

import numpy as np

MAX_NUMBERS = 20_000_000  # an answer larger than this is refused before it is copied


class Wrong(Exception):
    """An answer that fails; the message is the sentence the student reads."""


# -------------------- rebuild: exact types --------------------


def rebuild(out):
    """The answer as None, bool, int, float, str, tuple, list, dict or a plain array of kind b, i, u, f.

    A NamedTuple counts as its tuple, a NumPy scalar as a 0-d array.  Raises Wrong with the end of a sentence that
    starts "f returned ..." for everything else: objects, complex numbers, ragged arrays, masks, text arrays.
    """
    return _rebuild(out, [MAX_NUMBERS])


def _rebuild(out, budget):
    kind = type(out)
    budget[0] -= out.size if isinstance(out, np.ndarray) else 1
    if budget[0] < 0:
        raise Wrong(f"more than {MAX_NUMBERS:,} numbers")
    if out is None or kind in (bool, int, float, str):
        return out
    if isinstance(out, (np.ndarray, np.generic)):
        return _plain_array(out)
    if isinstance(out, (tuple, list)):
        base = list if isinstance(out, list) else tuple  # the base class's own iterator: a subclass cannot interfere
        return base(_rebuild(item, budget) for item in base.__iter__(out))
    if kind is dict:
        if not all(type(key) is str for key in out):
            raise Wrong("a dict whose keys are not all strings")
        return {key: _rebuild(value, budget) for key, value in out.items()}
    if kind is complex and out.imag == 0:
        return out.real
    if kind is complex:
        raise Wrong(f"the complex number {out}; the answer is real")
    raise Wrong(_foreign(out))


def _plain_array(out):
    if isinstance(out, np.ma.MaskedArray):
        raise Wrong("a masked array; return a plain array")
    kind = np.ndarray.dtype.__get__(out).kind if isinstance(out, np.ndarray) else out.dtype.kind
    if kind == "c":
        out = np.array(out, copy=True, subok=False, order="C")
        if np.any(out.imag != 0):
            raise Wrong("complex numbers; the answer is real (np.linalg.eigh stays real for symmetric matrices)")
        return _double(out.real.copy())  # np.linalg.eig may return complex numbers without an imaginary part
    if kind == "O":
        raise Wrong("an array of Python objects; are its rows of different lengths?")
    if kind not in "biuf":
        raise Wrong("text or dates of NumPy; return numbers, or plain strings in a list (.tolist() makes them)")
    return _double(np.array(out, copy=True, subok=False, order="C"))


def _double(out):
    """The array in this machine's byte order, extended precision as float64: linear algebra takes nothing wider."""
    wide = out.dtype.kind == "f" and out.dtype.itemsize > 8
    return out.astype(float if wide else out.dtype.newbyteorder("="))


def _foreign(out):
    name = f"{type(out).__module__}.{type(out).__name__}"
    if name.startswith("autograd."):
        return "an autograd box: a value from inside grad() escaped; return plain numbers"
    if callable(out):
        return "a function instead of its value; did you forget the call (...)?"
    return f"a {name.removeprefix('builtins.')}; return plain numbers, text, lists or NumPy arrays"


# -------------------- fit: shape, then dtype, then finite --------------------


def fit(out, like):
    """A rebuilt answer in the form that ``like`` asks for, or Wrong with the end of "f returned ...".

    like is a shape such as (n, p), where None stands for any length and () for one number; or float, int, bool, str;
    or a list (or, to name its items in messages, a dict) of these for an answer of several values; or a function that
    fits the answer itself, where one shape depends on another.
    """
    if isinstance(like, types.FunctionType):
        return like(out)
    if isinstance(like, (list, dict)):
        return _fit_several(out, like)
    if isinstance(like, tuple):
        return _fit_array(out, like)
    if like is str or like is bool:
        if isinstance(out, np.ndarray) and out.shape == () and like is bool and out.dtype.kind == "b":
            return bool(out)
        if type(out) is not like:
            raise Wrong(f"{_what(out)}; expected {'text' if like is str else 'True or False'}")
        return out
    number = _fit_array(out, ()).item()
    if like is int and number != int(number):
        raise Wrong(f"{number:g}; expected a whole number")
    return like(number)


def _fit_several(out, like):
    names = list(like) if isinstance(like, dict) else [f"item {i + 1}" for i in range(len(like))]
    wanted = list(like.values()) if isinstance(like, dict) else like
    several = isinstance(out, (tuple, list)) or (isinstance(out, np.ndarray) and out.ndim > 0)
    if not several or len(out) != len(wanted):
        listed = ", ".join(names) if isinstance(like, dict) else f"{len(wanted)} values"
        came = f"{len(out)} values" if isinstance(out, (tuple, list)) else _what(out)
        raise Wrong(f"{came}; expected a tuple of {len(wanted)}: {listed}")
    fitted = []
    for name, item, one in zip(names, out, wanted, strict=True):
        try:
            fitted.append(fit(item, one))
        except Wrong as why:
            raise Wrong(f"as {name} {why}") from None
    return tuple(fitted)


def _fit_array(out, shape):
    if isinstance(out, (list, tuple)):
        out = _array_from_list(out)
    if isinstance(out, int) and not isinstance(out, bool) and abs(out) > 2**62:
        raise Wrong("a whole number too large for a float")
    if out is None:
        raise Wrong("None; is a return statement missing?")
    if isinstance(out, (str, dict)):
        raise Wrong(f"{_what(out)}; expected {_shape_in_words(shape)}")
    out = np.asarray(out)
    if out.ndim != len(shape) or any(want not in (None, got) for got, want in zip(out.shape, shape, strict=True)):
        raise Wrong(f"{_what(out)}; expected {_shape_in_words(shape)}{_shape_hint(out.shape, shape)}")
    if out.dtype.kind == "f" and not np.isfinite(out).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
        value = "NaN" if np.isnan(out[bad]) else "infinity"
        raise Wrong(f"{value} at {list(bad)}" if bad else value)
    return out.astype(float) if out.dtype.kind == "b" else out  # True - True is an error, 1.0 - 1.0 is not


def _array_from_list(out):
    try:
        return _plain_array(np.array(out))
    except (ValueError, OverflowError):
        raise Wrong("a list whose rows have different lengths") from None


def _what(out):
    if isinstance(out, np.ndarray):
        return f"an array of shape {out.shape}" if out.shape else f"the number {out.item():g}"
    if isinstance(out, (bool, int, float)):
        return f"{out}"
    return {str: "text", dict: "a dict", tuple: "a tuple", list: "a list", type(None): "None"}[type(out)]


def _shape_in_words(shape):
    if shape == ():
        return "one number"
    return "shape (" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def _shape_hint(got, want):
    if len(got) == 2 and got[::-1] == want and got != want:
        return "; it looks transposed"
    if len(want) == 1 and got in [(*want, 1), (1, *want)]:
        return "; flatten it to a vector"
    if want == () and np.prod(got) == 1:
        return "; take its single entry, for example with .item()"
    if len(got) < len(want):
        return "; was an axis summed away?"
    return ""


# -------------------- compare --------------------


def tolerance(*arrays):
    """Relative tolerance for these answers: 1e-6, or 2e-4 when one of them is float32 (1e-3 for float16)."""
    return max({4: 2e-4, 2: 1e-3}.get(a.dtype.itemsize, 1e-6) if a.dtype.kind == "f" else 1e-6 for a in arrays)


def step_tolerance(new, slope, lr, largest=None):
    """Relative tolerance for a slope that is read off as (new - old) / lr: rounding `new` costs a short step digits.

    What is lost may be 1 % of the largest slope of all that are read off together, such as a network's; `new` in
    float16 loses more and does not show its step.
    """
    size = max(np.max(np.abs(slope), initial=0), 1e-12)
    digits = np.finfo(new.dtype).eps if new.dtype.kind == "f" else 0.0
    lost = 4 * digits * np.max(np.abs(new), initial=0) / lr
    return tolerance(new) + float(min(lost, 0.01 * (largest or size)) / size)


def close(answer, desired, say=None, rtol=None):
    """Raises Wrong unless |answer - desired| <= rtol max|desired|, entry by entry; the message says how they differ.

    say replaces the message.  A difference that is one factor, a sign or a transposition everywhere is called that.
    """
    answer, desired = np.asarray(answer), np.asarray(desired)
    rtol = tolerance(answer) if rtol is None else rtol
    if answer.shape != desired.shape:
        raise Wrong(say or f"has shape {answer.shape}; expected {desired.shape}")
    if answer.size == 0 or _all_close(answer, desired, rtol):
        return
    raise Wrong(say or _difference(answer.astype(float), desired.astype(float), rtol))


def _all_close(a, b, rtol):
    scale = np.max(np.abs(b), initial=0)
    return bool(np.all(np.abs(a.astype(float) - b) <= rtol * max(scale, 1e-12)))


def _difference(answer, desired, rtol):
    at = np.unravel_index(np.argmax(np.abs(answer - desired)), answer.shape)
    where = f" at {[int(i) for i in at]}" if at else ""
    told = f"expected {desired[at]:.6g}{where}, got {answer[at]:.6g}"
    big = np.max(np.abs(desired))
    if answer.ndim == 2 and answer.shape[0] == answer.shape[1] and _all_close(answer.T, desired, rtol):
        return told + "; it is the transpose of what is expected"
    if answer.size > 1 and big > 0:
        factor = float(np.sum(answer * desired) / np.sum(desired**2))
        if factor and _all_close(answer, factor * desired, rtol):
            return told + ("; the sign is flipped everywhere" if abs(factor + 1) < 1e-9 else
                           f"; everywhere {factor:.6g} times what is expected")
        shift = float(np.mean(answer - desired))
        if _all_close(answer - shift, desired, rtol):
            return told + f"; everywhere {abs(shift):.6g} too {'large' if shift > 0 else 'small'}"
    return told


def same(a, b):
    """Whether two rebuilt answers are equal up to rounding (NaN equals NaN): used to recognise a known mistake."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if any(x is None or isinstance(x, (str, dict)) for x in (a, b)):
        return type(a) is type(b) and a == b
    try:
        a, b = np.asarray(a), np.asarray(b)  # one of them may be a list of rows
    except ValueError:  # ragged
        return False
    if not {a.dtype.kind, b.dtype.kind} <= set("biuf"):
        return False
    scale = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    rtol = tolerance(a, b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=rtol, atol=rtol * scale, equal_nan=True))
