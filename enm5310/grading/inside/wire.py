"""Frames between the trusted side and a student's process, and plain data as bytes.  Never pickle from there to here.

A frame is its length (4 bytes, capped before anything is read), the length of a JSON header (4 bytes), the header
``{"body": ..., "blobs": [sizes]}`` and the blobs.  In the body a JSON scalar or array means itself; everything else is
an object of one key that names it: ``{"array": ["<f8", [2, 3], "C", 0]}`` is blob 0 as an array.  Whatever does not
follow these rules, to the last byte, is ``Broken``.
"""

import collections
import json
import math
import os
import queue
import re
import select
import struct
import threading
import time

import numpy as np

from . import effigies

DEPTH = 60  # of nested containers
HEADER = 8 * 2**20  # bytes of JSON: as Python objects they may take twenty times as much
KEYS = 10_000  # entries of a set or dict whose keys are not text: their hashes can be made to collide
NUMBERS = 20_000_000  # as in checks.answers
INTEGER = 2**18  # bits of a whole number
RANGE = 1_000_000  # numbers of a range, which whoever reads it may write out
EFFIGIES = 10_000  # in one frame: each is an object of a class made for it
FRAME = 64 * 2**20

_DTYPE = re.compile(r"[<>|][biufc][0-9]{1,2}")


class Broken(Exception):
    """These bytes are not a frame of ours."""


class Closed(Broken):
    """The other side is gone."""


class Oversized(Exception):
    """A value that is too large to be sent."""


# -------------------- frames --------------------


def pack(value, extra=None, cap=FRAME):
    """The frame of a value.  extra(x) -> a plain value that stands for x, for objects which only one side may send."""
    blobs = []
    body = _Encoder(blobs, extra, cap).encode(value, 0)
    header = json.dumps({"body": body, "blobs": [len(b) for b in blobs]}, allow_nan=False).encode()
    size = 4 + len(header) + sum(map(len, blobs))
    if len(header) > HEADER or size > cap:
        raise Oversized(f"{size / 1e6:.0f} MB; at most {min(cap, HEADER) / 1e6:.0f} MB of it can be sent")
    return b"".join([struct.pack("<II", size, len(header)), header, *blobs])


def unpack(payload, extra=None):
    """The value of a frame's payload (all after the first length).  extra(plain value) -> what it stands for."""
    try:
        (size,) = struct.unpack_from("<I", payload)
        if size > min(HEADER, len(payload) - 4):
            raise Broken("a header longer than its frame")
        header = json.loads(payload[4 : 4 + size].decode(), parse_constant=_refuse)
        if not isinstance(header, dict) or header.keys() != {"body", "blobs"}:
            raise Broken("not a header")
        return _Decoder(_blobs(header["blobs"], payload, 4 + size), extra).decode(header["body"], 0)
    except Broken:
        raise
    except Exception as why:  # whatever a hostile frame may trip over, it is the frame's fault
        raise Broken(f"{type(why).__name__}: {str(why)[:200]}") from None


def _refuse(constant):
    raise Broken(f"{constant} in JSON")


def _blobs(sizes, payload, start):
    if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
        raise Broken("not a list of sizes")
    if start + sum(sizes) != len(payload):
        raise Broken("blobs that do not fill their frame")
    view, blobs = memoryview(payload), []
    for n in sizes:
        blobs.append(view[start : start + n])
        start += n
    return blobs


class Channel:
    """Frames over a connected stream socket; deadlines are times of ``time.monotonic``."""

    def __init__(self, sock, cap=FRAME):
        self.sock, self.cap = sock, cap
        sock.setblocking(False)

    def send(self, frame, deadline=None, tick=None):
        view = memoryview(frame)
        while view:
            self._wait(select.POLLOUT, deadline, tick)
            try:
                view = view[self.sock.send(view[: 2**20]) :]
            except BlockingIOError:
                continue
            except OSError as why:
                raise Closed(str(why)) from None

    def receive(self, deadline=None, tick=None):
        """The payload of the next frame; Closed at the end, TimeoutError at the deadline."""
        (size,) = struct.unpack("<I", self._exactly(4, deadline, tick))
        if not 4 <= size <= self.cap:
            raise Broken(f"a frame of {size} bytes")
        return self._exactly(size, deadline, tick)

    def idle(self):
        """Whether nothing waits to be read: between a reply and the next request nothing should."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def _exactly(self, n, deadline, tick):
        got = bytearray()  # grows with what has really come
        while len(got) < n:
            self._wait(select.POLLIN, deadline, tick)
            try:
                more = self.sock.recv(min(2**18, n - len(got)))
            except BlockingIOError:
                continue
            except OSError as why:
                raise Closed(str(why)) from None
            if not more:
                raise Closed("the channel is closed")
            got += more
        return bytes(got)

    def _wait(self, event, deadline, tick):
        """Until the socket is ready; ``tick()`` is called every half second meanwhile."""
        poll = select.poll()
        poll.register(self.sock, event)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            step = left if tick is None else min(0.5, math.inf if left is None else left)
            if poll.poll(None if step is None else math.ceil(step * 1000)):
                return
            if tick is not None:
                tick()


class Pipes:
    """The same over two descriptors, where there are no sockets to be handed to a process: a thread reads."""

    def __init__(self, source, sink, cap=FRAME, at_end=None):
        self.source, self.sink, self.cap, self.at_end = source, sink, cap, at_end
        self._came = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def join(self):
        """Waits a little for the reader, after the other side has ended."""
        self._reader.join(timeout=5)

    def send(self, frame, deadline=None, tick=None):
        if deadline is None:
            return self._write(frame)
        done = queue.SimpleQueue()
        threading.Thread(target=lambda: done.put(self._write(frame)), daemon=True).start()
        self._get(done, deadline, tick)

    def receive(self, deadline=None, tick=None):
        came = self._get(self._came, deadline, tick)
        if isinstance(came, Broken):
            self._came.put(came)
            raise came
        return came

    def idle(self):
        return self._came.empty()

    def _get(self, waiting, deadline, tick):
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            try:
                return waiting.get(timeout=left if tick is None else min(0.5, math.inf if left is None else left))
            except queue.Empty:
                if tick is not None:
                    tick()

    def _write(self, frame):
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(self.sink, view[: 2**20]) :]
        except OSError as why:  # the reader tells
            return why

    def _read(self):
        try:
            while True:
                (size,) = struct.unpack("<I", self._exactly(4))
                if not 4 <= size <= self.cap:
                    raise Broken(f"a frame of {size} bytes")
                self._came.put(self._exactly(size))
        except Broken as why:
            self._came.put(why)
        if self.at_end is not None:
            self.at_end()

    def _exactly(self, n):
        got = bytearray()
        while len(got) < n:
            try:
                more = os.read(self.source, min(2**18, n - len(got)))
            except OSError as why:
                raise Closed(str(why)) from None
            if not more:
                raise Closed("the channel is closed")
            got += more
        return bytes(got)


# -------------------- plain data to JSON and blobs --------------------


class _Encoder:
    def __init__(self, blobs, extra, cap):
        self.blobs, self.extra, self.left, self.count, self.effigies = blobs, extra, cap, NUMBERS, EFFIGIES

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
            if not all(type(key) is str for key in x):
                self._few(x)
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

    def _few(self, x):
        if len(x) > KEYS:
            raise Oversized(f"a {type(x).__name__} of {len(x):,} entries; at most {KEYS:,} can be sent")

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


class _Decoder:
    def __init__(self, blobs, extra):
        self.blobs, self.extra, self.seen, self.effigies = blobs, extra, set(), EFFIGIES

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
        if not isinstance(given, list) or len(given) > KEYS:
            raise Broken("not a set")
        return [self.decode(item, depth) for item in given]

    def _dict(self, given, depth):
        if not isinstance(given, list):
            raise Broken("not a dict")
        if len(given) > KEYS and not all(isinstance(key, str) for key, _ in given):
            raise Broken("a dict of too many entries")
        return {self.decode(key, depth): self.decode(value, depth) for key, value in given}

    def _deque(self, given, depth):
        items, most = self.decode(given[0], depth), given[1]
        if not isinstance(items, list) or not (most is None or (type(most) is int and len(items) <= most)):
            raise Broken("not a deque")
        return collections.deque(items, most)

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
    "float", "int", "complex", "bytes", "floats", "ints", "tuple", "set", "frozenset", "dict", "deque", "range",
    "scalar", "array", "effigy", "extra",
}  # fmt: skip
