"""What stands on the trusted side for an answer that is not plain data: harmless, and telling as much in words.

``describe`` and ``of_array`` run beside the student's code and say what a thing is; ``make`` runs on the trusted side
and makes something of which ``checks.answers.rebuild`` says the same sentence as of the original.
"""

import collections.abc
import decimal
import fractions
import itertools
import keyword

import numpy as np

ITEMS = 100_000  # of a generator, that are drawn to be sent

BASES = {base.__name__: base for base in (int, float, complex, str, bytes, dict, set, frozenset)}
ARRAYS = {
    "masked": lambda: np.ma.masked_array([0.0], mask=[True]),
    "objects": lambda: np.array([None], dtype=object),
    "text": lambda: np.array("text"),
}


def of_array(x):
    """None for an array or scalar of numbers, else the kind of its effigy."""
    if isinstance(x, np.ma.MaskedArray):
        return "masked"
    kind = np.ndarray.dtype.__get__(x).kind if isinstance(x, np.ndarray) else x.dtype.kind
    return None if kind in "biufc" else "objects" if kind == "O" else "text"


def describe(x):
    """A thing in plain data: (kind, module, name, value); kind: "function", "object", "like", "iterator", "exact"."""
    made = type(x)
    module, name = _short(getattr(made, "__module__", "")), _short(getattr(made, "__name__", ""))
    base = next((word for word, base in BASES.items() if isinstance(x, base)), None)
    if base is not None:  # a Counter is a dict, an IntEnum an int, to whoever compares it
        return "like", module, name, _as(base, x)
    if isinstance(x, (collections.abc.Iterator, collections.abc.MappingView)):
        return "iterator", module, name, _items(x)
    if made is fractions.Fraction:
        return "exact", module, name, (x.numerator, x.denominator)
    if made is decimal.Decimal and len(decimal.Decimal.__str__(x)) <= 1_000 and abs(x.adjusted()) <= 5_000:
        return "exact", module, name, decimal.Decimal.__str__(x)
    if callable(x) and not module.startswith("autograd."):
        return "function", module, _short(getattr(x, "__name__", name)), None
    return "object", module, name, None


def _items(x):
    """(what an iterator gives, why it gave no more or None)."""
    items = []
    try:
        for item in itertools.islice(x, ITEMS + 1):
            items.append(item)
    except Exception as why:
        return items, f"it stopped with {type(why).__name__}"
    return (items[:ITEMS], f"it gave more than {ITEMS:,} items") if len(items) > ITEMS else (items, None)


def _as(base, x):
    """The value as the base class sees it, whatever the subclass overrides."""
    base = BASES[base]
    if base is dict:
        return dict(dict.items(x))
    if base in (set, frozenset):
        return base(base.__iter__(x))
    if base is complex:
        return complex(base.real.__get__(x), base.imag.__get__(x))
    if base is str:
        return str.__str__(x) if type(str.__str__(x)) is str else "".join(str.__iter__(x))
    if base is bytes:
        return bytes(bytes.__iter__(x))
    return base.__int__(x) if base is int else base.__float__(x)


def make(described):
    """The effigy of a description that came over the wire; ValueError when it is not one."""
    if isinstance(described, str):
        return ARRAYS[described]()
    if not isinstance(described, tuple) or len(described) != 4 or not all(isinstance(w, str) for w in described[:3]):
        raise ValueError("not a description")
    kind, module, name, value = described
    module, name = ".".join(map(_name, module.split(".")[:8])), _name(name)
    if kind == "function":
        def f(*args, **kwargs):
            raise TypeError("a function that came as an answer cannot be called here")

        f.__name__ = f.__qualname__ = name
        return f
    if kind == "exact":
        return _exact(value)
    body = {"__module__": module, "__qualname__": name}
    if kind == "iterator":
        return _iterator(type(name, (_Iterator,), body), *value)
    if kind == "like":
        base = BASES[type(value).__name__]
        return type(name, (base,), body)(value)
    return type(name, (), body)()


def _exact(value):
    """A Fraction from its two whole numbers, or a Decimal of ordinary size from its text."""
    if isinstance(value, tuple) and len(value) == 2 and all(type(n) is int for n in value) and value[1] > 0:
        return fractions.Fraction(*value)
    if isinstance(value, str) and len(value) <= 1_000:
        try:
            made = decimal.Decimal(value)
        except decimal.InvalidOperation:
            raise ValueError("not a number") from None
        if not made.is_finite() or abs(made.adjusted()) <= 5_000:
            return made
    raise ValueError("not a number of ordinary size")


class _Iterator:
    """Gives the items that came, once; a dict's view has them to keep."""

    def __iter__(self):
        return iter(self._kept) if type(self).__name__.startswith("dict_") else self

    def __next__(self):
        if not self._left and self._why:
            raise RuntimeError(self._why)
        if not self._left:
            raise StopIteration
        return self._left.pop()

    def __len__(self):
        if not type(self).__name__.startswith("dict_"):
            raise TypeError(f"object of type {type(self).__name__!r} has no len()")
        return len(self._kept)


def _iterator(made, items, why):
    if not isinstance(items, list) or not (why is None or isinstance(why, str)):
        raise ValueError("not a description")
    iterator = made()
    iterator._kept, iterator._left, iterator._why = items, items[::-1], why
    return iterator


def _short(text):
    return text[:80] if isinstance(text, str) else "?"


def _name(text):
    """An identifier of at most 80 characters."""
    text = "".join(c if c.isalnum() or c == "_" else "_" for c in text[:80])
    return text if text.isidentifier() and not keyword.iskeyword(text) else f"_{text}"
