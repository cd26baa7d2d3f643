"""Plain data as JSON and blobs, and back: what may pass between the two sides, and in which form.

A JSON scalar or array means itself; everything else is an object of one key that names it: ``{"array": ["<f8", [2, 3],
"C", 0]}`` is blob 0 as an array.  What is not plain becomes an effigy, which only tells what it was.
"""

import collections
import math
import re

import numpy as np

from . import effigies

DEPTH = 60  # of nested containers
HEADER = 8 * 2**20  # bytes of JSON: as Python objects they may take twenty times as much
KEYS = 5_000  # keys, in one frame, that are not text: their hashes can be made to collide
NUMBERS = 20_000_000  # as in checks.answers
INTEGER = 2**18  # bits of a whole number
RANGE = 1_000_000  # numbers of a range, which whoever reads it may write out
EFFIGIES = 10_000  # in one frame: each is an object of a class made for it

_DTYPE = re.compile(r"[<>|][biufc][0-9]{1,2}")


class Broken(Exception):
    """These bytes are not a frame of ours."""


class Oversized(Exception):
    """A value that is too large to be sent."""


class Encoder:
    def __init__(self, blobs, extra, cap):
        self.blobs, self.extra, self.left, self.count = blobs, extra, cap, NUMBERS
        self.effigies, self.keys = EFFIGIES, KEYS

    def encode(self, x, depth):
        kind = type(x)
        if x is None or kind is bool:
            return x
        if kind is str:
            self._spend(len(x))
            return x
        if kind is int:
            return self._int(x)
        if kind is float:
            return x if math.isfinite(x) else {"float": repr(x)}
        if kind is complex:
            return {"complex": [self.encode(x.real, depth), self.encode(x.imag, depth)]}
        if kind is bytes:
            return {"bytes": self._blob(x)}
        if self.extra is not None and (stand_in := self.extra(x)) is not None:
            return {"extra": self.encode(stand_in, depth + 1)}
        if isinstance(x, (np.ndarray, np.generic)):
            return self._array(x, depth)
        if depth > DEPTH:
            raise RecursionError("containers nested too deeply")
        return self._container(x, kind, depth + 1)

    def _container(self, x, kind, depth):
        if isinstance(x, (list, tuple)):  # a NamedTuple counts as its tuple; the base's iterator cannot be overridden
            base = list if isinstance(x, list) else tuple
            items = x if kind is base else base(base.__iter__(x))
            coded = self._numbers(items) or self._each(items, depth)
            return coded if base is list else {"tuple": coded}
        if kind in (set, frozenset):
            self._few(x)
            return {kind.__name__: self._each(list(x), depth)}
        if kind is dict:
            self._few([key for key in x if type(key) is not str])
            return {"dict": [[self.encode(k, depth), self.encode(v, depth)] for k, v in list(x.items())]}
        if kind is collections.deque:
            return {"deque": [self._each(list(x), depth), x.maxlen]}
        if kind is range:
            if abs(x.stop - x.start) // abs(x.step) > RANGE:
                raise Oversized(f"a range of more than {RANGE:,} numbers")
            return {"range": [self._int(x.start), self._int(x.stop), self._int(x.step)]}
        return self._effigy(effigies.describe(x), depth)

    def _effigy(self, described, depth):
        self.effigies -= 1
        if self.effigies < 0:
            raise Oversized(f"more than {EFFIGIES:,} objects")
        return {"effigy": self.encode(described, depth)}

    def _each(self, items, depth):
        self.count -= len(items)
        if self.count < 0:
            raise Oversized(f"more than {NUMBERS:,} numbers")
        return [self.encode(item, depth) for item in items]

    def _numbers(self, items):
        """A long list of floats, or of small whole numbers, as one blob."""
        if len(items) < 16 or type(items[0]) not in (float, int):
            return None
        kind = type(items[0])
        if not all(type(item) is kind for item in items):
            return None
        if kind is int and not all(-(2**63) <= item < 2**63 for item in items):
            return None
        if len(items) > NUMBERS:
            raise Oversized(f"more than {NUMBERS:,} numbers")
        return {f"{kind.__name__}s": self._blob(np.array(items, "<f8" if kind is float else "<i8").tobytes())}

    def _few(self, keys):
        self.keys -= len(keys)
        if self.keys < 0:
            raise Oversized(f"sets and dicts of more than {KEYS:,} entries in all")

    def _int(self, x):
        if -(2**63) <= x < 2**63:
            return x
        if x.bit_length() > INTEGER:
            raise Oversized(f"a whole number of {x.bit_length():,} bits")
        return {"int": hex(x)}

    def _array(self, x, depth):
        described = effigies.of_array(x)
        if described is not None:
            return self._effigy(described, depth)
        if isinstance(x, np.ndarray) and x.size > NUMBERS:
            raise Oversized(f"more than {NUMBERS:,} numbers")
        self._spend(x.nbytes, blob=True)
        plain = np.array(x, copy=None, subok=False)
        order = "F" if plain.flags.f_contiguous and not plain.flags.c_contiguous else "C"
        coded = [plain.dtype.str, list(plain.shape), order, self._blob(plain.tobytes(order), spent=True)]
        return {"array" if isinstance(x, np.ndarray) else "scalar": coded}

    def _blob(self, data, spent=False):
        if not spent:
            self._spend(len(data), blob=True)
        self.blobs.append(data)
        return len(self.blobs) - 1

    def _spend(self, n, blob=False):
        self.left -= n
        if self.left < 0 or (n > HEADER and not blob):
            raise Oversized(f"{n / 1e6:.0f} MB")


class Decoder:
    def __init__(self, blobs, extra):
        self.blobs, self.extra, self.seen = blobs, extra, set()
        self.effigies, self.keys = EFFIGIES, KEYS

    def decode(self, x, depth):
        if depth > DEPTH + 2:
            raise Broken("nested too deeply")
        if isinstance(x, list):
            return [self.decode(item, depth + 1) for item in x]
        if not isinstance(x, dict):
            return x
        ((kind, given),) = x.items()
        return getattr(self, f"_{kind}" if kind in KINDS else "_unknown")(given, depth + 1)

    def _unknown(self, given, depth):
        raise Broken("an unknown kind of value")

    def _float(self, given, depth):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[given]

    def _int(self, given, depth):
        if not isinstance(given, str) or len(given) > INTEGER // 4 + 3 or not re.fullmatch("-?0x[0-9a-f]+", given):
            raise Broken("not a whole number")
        return int(given, 16)

    def _complex(self, given, depth):
        real, imaginary = (self.decode(part, depth) for part in given)
        if not type(real) is type(imaginary) is float:
            raise Broken("not a complex number")
        return complex(real, imaginary)

    def _bytes(self, given, depth):
        return bytes(self._once(given))

    def _floats(self, given, depth):
        return np.frombuffer(self._once(given), "<f8").tolist()

    def _ints(self, given, depth):
        return np.frombuffer(self._once(given), "<i8").tolist()

    def _tuple(self, given, depth):
        items = self.decode(given, depth)
        if not isinstance(items, list):
            raise Broken("not a tuple")
        return tuple(items)

    def _set(self, given, depth):
        return set(self._entries(given, depth))

    def _frozenset(self, given, depth):
        return frozenset(self._entries(given, depth))

    def _entries(self, given, depth):
        if not isinstance(given, list):
            raise Broken("not a set")
        self._few(given)
        return [self.decode(item, depth) for item in given]

    def _dict(self, given, depth):
        if not isinstance(given, list):
            raise Broken("not a dict")
        self._few([key for key, _ in given if not isinstance(key, str)])
        return {self.decode(key, depth): self.decode(value, depth) for key, value in given}

    def _deque(self, given, depth):
        items, most = self.decode(given[0], depth), given[1]
        if not isinstance(items, list) or not (most is None or (type(most) is int and len(items) <= most)):
            raise Broken("not a deque")
        return collections.deque(items, most)

    def _few(self, keys):
        self.keys -= len(keys)
        if self.keys < 0:
            raise Broken("too many keys")

    def _range(self, given, depth):
        start, stop, step = (self.decode(n, depth) for n in given)
        if not all(type(n) is int for n in (start, stop, step)):
            raise Broken("not a range")
        if abs(stop - start) // abs(step) > RANGE:
            raise Broken("a range that is too long")
        return range(start, stop, step)

    def _scalar(self, given, depth):
        array = self._array(given, depth)
        if array.shape != ():
            raise Broken("not a scalar")
        return array[()]

    def _array(self, given, depth):
        name, shape, order, blob = given
        if not isinstance(name, str) or not _DTYPE.fullmatch(name) or order not in ("C", "F"):
            raise Broken("not an array of numbers")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 64:
            raise Broken("not a shape")
        dtype, data = np.dtype(name), self._once(blob)
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Broken("an array of another size than its bytes")
        array = np.frombuffer(data, dtype).reshape(shape, order=order).copy(order="K")
        if dtype.kind == "b" and np.any(array.view(np.uint8) > 1):
            raise Broken("a truth value that is neither")
        return array

    def _effigy(self, given, depth):
        self.effigies -= 1
        if self.effigies < 0:
            raise Broken("too many objects")
        return effigies.make(self.decode(given, depth))

    def _extra(self, given, depth):
        if self.extra is None:
            raise Broken("a kind of value that only the other side may send")
        return self.extra(self.decode(given, depth))

    def _once(self, blob):
        """A blob, which may be used once: naming it a million times would multiply the frame."""
        if type(blob) is not int or blob in self.seen or blob < 0:
            raise Broken("a blob that is not there")
        self.seen.add(blob)
        return self.blobs[blob]


KINDS = {
    "float", "int", "complex", "bytes", "floats", "ints", "tuple", "set", "frozenset", "dict",
    "deque", "range", "scalar", "array", "effigy", "extra",
}  # fmt: skip
