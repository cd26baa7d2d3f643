"""The wire: what goes in comes out, and whatever bytes a student's code may send are at worst ``Broken``."""

import collections
import json
import math
import random
import socket
import struct
import threading
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from enm5310.checks import answers
from enm5310.grading.inside import effigies, wire


def there_and_back(value, **options):
    frame = wire.pack(value, **options)
    (size,) = struct.unpack("<I", frame[:4])
    assert size == len(frame) - 4
    return wire.unpack(frame[4:])


def same(a, b):
    """Whether two values are of the same types and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes("A") == b.tobytes("A")
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b)) and getattr(a, "maxlen", 0) == getattr(b, "maxlen", 0)
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    return a == b


# -------------------- round trips --------------------

FLOATS = st.floats().filter(lambda x: not math.isnan(x)) | st.just(math.nan)  # one NaN: JSON carries no payload
NUMBERS = st.integers() | st.integers(-(2**2000), 2**2000) | FLOATS | st.booleans()
EXACT = st.fractions() | st.decimals(allow_nan=False).filter(lambda x: x.is_infinite() or abs(x.adjusted()) < 5_000)
SCALARS = st.none() | NUMBERS | st.builds(complex, FLOATS, FLOATS) | st.text(st.characters()) | st.binary()
DTYPES = (hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes()
          | hnp.complex_number_dtypes())  # fmt: skip
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0)) | hnp.from_dtype(np.dtype("f4"))
KEYS = st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
                    lambda k: st.tuples(k, k) | st.frozensets(k, max_size=3), max_leaves=4)  # fmt: skip
PLAIN = st.recursive(
    SCALARS | EXACT | ARRAYS | st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9)),
    lambda x: st.lists(x) | st.lists(x).map(tuple) | st.dictionaries(KEYS, x) | st.sets(KEYS) | st.frozensets(KEYS)
    | st.lists(x, max_size=5).map(lambda items: collections.deque(items, 7)),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=400)
@given(PLAIN)
def test_plain_data_come_back_with_the_same_types_and_bits(value):
    assert same(there_and_back(value), value)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(), min_size=10, max_size=40) | st.lists(FLOATS))
def test_long_lists_of_numbers_come_back_too(items):
    assert same(there_and_back(items), items) and same(there_and_back(tuple(items)), tuple(items))


@given(hnp.arrays("f8", hnp.array_shapes(min_dims=2, min_side=2)))
def test_the_order_of_an_array_stays_and_no_view_does(a):
    for given_ in (a, a.T, np.asfortranarray(a), a[::2], a[..., ::-1], np.broadcast_to(a, (2, *a.shape))):
        back = there_and_back(given_)
        assert same(back, np.array(given_)) and back.flags.writeable and back.flags.owndata
        assert back.flags.f_contiguous == given_.flags.f_contiguous or not given_.flags.c_contiguous
    big = a.astype(">f8")
    assert there_and_back(big).dtype == big.dtype and there_and_back(big).tobytes() == big.tobytes()


Pair = collections.namedtuple("Pair", "mean cov")


class MyList(list):
    def __iter__(self):
        raise RuntimeError("an iterator that nobody should call")

    __len__ = __iter__


class MyInt(int):
    pass


class Foreign:
    pass


class Callable:
    def __call__(self):
        """Nothing."""


FOREIGN = [
    Foreign(), Foreign, Callable(), MyInt(3), collections.Counter("aab"), collections.OrderedDict(a=1), len, np.sin,
    lambda: 1, (i for i in "abc"), map(str, [1, 2]), zip("ab", "cd", strict=True), {1: 2}.keys(), iter([1]),
    np.ma.masked_array([1.0], mask=[True]), np.array([None]), np.array(["text"]), np.array("2020-01-01", "M8[D]"),
    np.str_("text"), np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), object(), NotImplemented, ..., 2 + 1j,
    {1: 2}, {"a": Foreign()}, b"bytes", {1, 2}, range(3), collections.deque([1]), np.zeros(2).view(np.recarray),
    Pair(1.0, 2.0), slice(3), type, memoryview(b"ab"), bytearray(b"ab"), [[1, 2], [3]], 10**30,
]  # fmt: skip


def rebuilt(value):
    try:
        return answers.rebuild(value)
    except answers.Wrong as why:
        return str(why)


@pytest.mark.parametrize("value", FOREIGN, ids=lambda value: type(value).__name__)
def test_of_what_is_not_plain_the_same_sentence_is_said(value):
    assert same(rebuilt(there_and_back(value)), rebuilt(value))


def test_an_autograd_box_is_called_that():
    import autograd

    seen = []
    autograd.grad(lambda x: (seen.append(there_and_back(x)), x**2)[1])(3.0)
    assert "autograd box" in rebuilt(seen[0])


def test_subclasses_compare_as_their_values_and_iterators_give_their_items():
    assert there_and_back(collections.Counter("aab")) == {"a": 2, "b": 1}
    assert there_and_back(MyInt(3)) == 3 and list(there_and_back(i for i in range(3))) == [0, 1, 2]
    assert there_and_back(Pair(1.0, 2.0)) == (1.0, 2.0) and there_and_back(MyList([1, 2])) == [1, 2]
    view = there_and_back({1: 2}.items())
    assert list(view) == list(view) == [(1, 2)] and len(view) == 1
    generator = there_and_back(1 / n for n in (1, 0))
    assert next(generator) == 1.0
    with pytest.raises(RuntimeError, match="it stopped with ZeroDivisionError"):
        next(generator)
    with pytest.raises(RuntimeError, match="more than 100,000 items"):
        list(there_and_back(iter(int, 1)))
    with pytest.raises(TypeError):
        len(there_and_back(map(str, [1])))
    with pytest.raises(TypeError, match="cannot be called here"):
        there_and_back(len)([])


def test_names_of_foreign_classes_are_only_names():
    odd = type("x" * 500 + "\x1b[2J <script>", (), {"__module__": "../../etc\n" * 30})()
    back = type(there_and_back(odd))
    assert back.__name__.isidentifier() and len(back.__name__) <= 81
    assert all(part.isidentifier() for part in back.__module__.split("."))
    assert vars(back).keys() <= {"__module__", "__qualname__", "__dict__", "__weakref__", "__doc__",
                                 "__static_attributes__", "__firstlineno__"}  # fmt: skip


def test_too_large_is_said_before_it_is_copied():
    tracemalloc.start()
    for value, words in [
        (np.broadcast_to(0.0, (10**5, 10**5)), "more than 20,000,000 numbers"), (np.zeros(10**7), "80 MB"),
        (10**100_000, "whole number of 332,193 bits"),
        (set(range(5_001)), "sets and dicts of more than 5,000"),
        (range(10**9), "range of more than"), (["x" * 10**6] * 9, "at most 8 MB"), ("x" * 10**8, "100 MB"),
        ([object()] * 10_001, "more than 10,000 objects"),
    ]:  # fmt: skip
        with pytest.raises(wire.Oversized, match=words):
            wire.pack(value)
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(RecursionError):
        wire.pack(deep)
    assert tracemalloc.get_traced_memory()[1] < 400e6  # the zeros of the second line among it
    tracemalloc.stop()


def test_what_only_one_side_may_send_is_refused_by_the_other():
    frame = wire.pack(Foreign(), extra=lambda x: ("pickle", b"x") if isinstance(x, Foreign) else None)
    assert wire.unpack(frame[4:], extra=lambda given: given) == ("pickle", b"x")
    with pytest.raises(wire.Broken, match="only the other side"):
        wire.unpack(frame[4:])


# -------------------- bytes that are no frame --------------------


def by_hand(body, *blobs, sizes=None):
    header = json.dumps({"body": body, "blobs": [len(b) for b in blobs] if sizes is None else sizes}).encode()
    return struct.pack("<I", len(header)) + header + b"".join(blobs)


EIGHT = bytes(8)


def array(dtype="<f8", shape=(1,), order="C", blob=0, data=EIGHT):
    return by_hand({"array": [dtype, list(shape), order, blob]}, data)


def like(*words):
    return by_hand({"effigy": {"tuple": list(words)}})


FORGED = {
    "nothing": b"", "no header": struct.pack("<I", 0), "long header": struct.pack("<I", 2**31) + b"{}",
    "not JSON": struct.pack("<I", 4) + b"{{{{", "not text": struct.pack("<I", 4) + b"\xff\xfe\xff\xfe",
    "no body": struct.pack("<I", 2) + b"{}", "a list": struct.pack("<I", 2) + b"[]",
    "NaN": struct.pack("<I", 26) + b'{"body": NaN, "blobs": []}',
    "digits": struct.pack("<I", 5027) + b'{"body": ' + b"9" * 5000 + b', "blobs": []}',
    "deep": struct.pack("<I", 200_000) + b"[" * 200_000, "deep objects": by_hand(json.loads("[" * 100 + "]" * 100)),
    "blobs short": by_hand(1, b"x", sizes=[2]), "blobs long": by_hand(1, b"xx", sizes=[1]),
    "negative blob": by_hand(1, b"x", sizes=[-1, 2]), "blob of text": by_hand(1, sizes=["1"]),
    "huge blob": by_hand(1, sizes=[2**60]), "true blob": by_hand(1, b"x", sizes=[True]),
    "blobs": by_hand(1, sizes={}), "two keys": by_hand({"float": "nan", "int": "0x1"}), "no keys": by_hand({}),
    "unknown": by_hand({"once": 0}), "init": by_hand({"_init__": 0}), "object array": array("|O"),
    "text array": array("<U2"), "void": array("|V8"), "dates": array("<M8"), "fields": array("f4,f4"),
    "shape": array(shape=[2]), "negative": array(shape=[-1]), "minus twice": array(shape=[-1, -1]),
    "float shape": array(shape=[1.0]), "true shape": array(shape=[True]), "huge": array(shape=[2**40, 2**40]),
    "empty huge": array(shape=[0, 2**62], data=b""), "many axes": array(shape=[1] * 99), "order": array(order="K"),
    "no blob": array(blob=1), "blob -1": array(blob=-1), "blob text": array(blob="0"),
    "twice": by_hand([{"bytes": 0}, {"bytes": 0}], EIGHT), "bad bool": array("|b1", data=b"\x02"),
    "vector scalar": by_hand({"scalar": ["<f8", [1], "C", 0]}, EIGHT), "no such float": by_hand({"float": "1.0"}),
    "float list": by_hand({"float": []}), "int": by_hand({"int": "12"}),
    "long int": by_hand({"int": "0x" + "f" * 100_000}), "int of text": by_hand({"int": "0xzz"}),
    "complex": by_hand({"complex": [1, 2]}), "half complex": by_hand({"complex": [1.0]}),
    "tuple": by_hand({"tuple": 3}), "tuple of text": by_hand({"tuple": "ab"}), "unhashable": by_hand({"set": [[1]]}),
    "unhashable key": by_hand({"dict": [[[1], 2]]}), "array key": by_hand({"dict": [[{"floats": 0}, 2]]}, EIGHT * 20),
    "dict of one": by_hand({"dict": [[1]]}), "dict of dict": by_hand({"dict": {"a": 1}}),
    "set of text": by_hand({"set": "ab"}), "floats": by_hand({"floats": 0}, b"123"),
    "ints": by_hand({"ints": 0}, b"123"), "range": by_hand({"range": [0, 1, 0]}),
    "long range": by_hand({"range": [0, 2**60, 1]}), "true range": by_hand({"range": [0, True, 1]}),
    "deque": by_hand({"deque": [[1, 2], 1]}),
    "effigy": by_hand({"effigy": 1}),
    "effigy name": by_hand({"effigy": "listen"}), "effigy short": like("like"),
    "effigy like": like("like", "m", "n", None), "effigy list": like("like", "m", "n", []),
    "effigy iterator": like("iterator", "m", "n", 3), "extra": by_hand({"extra": 1}),
    "collisions": by_hand({"set": [{"int": hex(k * (2**61 - 1) << 3)} for k in range(30_000)]}),
    "dict collisions": by_hand({"dict": [[{"int": hex(k * (2**61 - 1) << 3)}, 0] for k in range(30_000)]}),
    "many collisions": by_hand(
        [{"dict": [[{"int": hex(k * (2**61 - 1) << 3)}, 0] for k in range(4_900)]} for _ in range(9)]),
    "many effigies": by_hand([{"effigy": "text"}] * 20_000),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_forged_frames_are_broken_at_once(name):
    begun = time.process_time()
    with pytest.raises(wire.Broken):
        wire.unpack(FORGED[name])
    assert time.process_time() - begun < 2


def test_the_frames_made_by_hand_are_right_but_for_their_one_mistake():
    assert same(wire.unpack(by_hand({"array": ["<f8", [1], "C", 0]}, EIGHT)), np.zeros(1))
    pair = {"tuple": [{"float": "inf"}, {"int": "0x10"}]}
    assert wire.unpack(by_hand({"dict": [["a", pair]]})) == {"a": (math.inf, 16)}


VALUES = [
    {"nonce": b"x" * 16, "number": 3, "value": (np.eye(3), [1.0] * 30), "changed": {0: np.arange(4)}, "outputs": []},
    [None, True, 1.5, math.nan, 2**90, "text", {"a": {1, 2}}, np.float32(2), range(4), Foreign(), MyInt(4), 1j],
]


def test_ten_thousand_damaged_frames_raise_nothing_else_and_take_no_memory():
    rng = random.Random(22)
    frames = [wire.pack(value)[4:] for value in VALUES]
    odd = [b"\xff", b'"', b"[", b"{", b"}", b"]", b"9" * 30, b'"array"', b'"<f8"', b"-1", b"null", b"1e999", EIGHT]
    survived, begun = 0, time.perf_counter()
    tracemalloc.start()
    for _ in range(10_000):
        frame = bytearray(rng.choice(frames))
        for _ in range(rng.randint(1, 6)):
            at, kind = rng.randrange(len(frame) + 1), rng.randrange(5)
            if kind == 0:
                frame[at : at + 1] = bytes([rng.randrange(256)])
            elif kind == 1:
                del frame[at : at + rng.randint(1, 20)]
            elif kind == 2:
                frame[at:at] = rng.choice(odd)
            elif kind == 3:
                del frame[at:]
            else:
                source = rng.choice(frames)
                start = rng.randrange(len(source))
                frame[at:at] = source[start : start + rng.randint(1, 40)]
        if rng.random() < 0.7 and len(frame) >= 4:  # a length of the header that fits, so that the JSON is read
            end = bytes(frame).rfind(b"}") + 1 or len(frame)
            frame[:4] = struct.pack("<I", max(0, end - 4))
        try:
            wire.unpack(bytes(frame))
            survived += 1
        except wire.Broken:
            pass
    assert tracemalloc.get_traced_memory()[1] < 20e6 and time.perf_counter() - begun < 60
    tracemalloc.stop()
    assert 0 < survived < 5_000  # some damage is no damage; most is


# -------------------- the channel --------------------


@pytest.fixture
def ends():
    a, b = socket.socketpair()
    with a, b:
        yield wire.Channel(a, cap=2**26), b


def soon():
    return time.monotonic() + 5


def test_frames_pass_in_pieces(ends):
    channel, other = ends
    frame = wire.pack({"x": np.arange(1000.0)})
    assert channel.idle()

    def drip():
        for i in range(0, len(frame), 999):
            other.sendall(frame[i : i + 999])

    thread = threading.Thread(target=drip)
    thread.start()
    assert same(wire.unpack(channel.receive(soon())), {"x": np.arange(1000.0)})
    thread.join()
    assert channel.idle()
    other.sendall(b"x")
    assert not channel.idle()


@pytest.mark.parametrize("size", [0, 3, 2**26 + 1, 2**32 - 1])
def test_a_length_beyond_the_cap_is_refused_before_anything_is_read(ends, size):
    channel, other = ends
    other.sendall(struct.pack("<I", size))
    tracemalloc.start()
    with pytest.raises(wire.Broken, match="a frame of"):
        channel.receive(soon())
    assert tracemalloc.get_traced_memory()[1] < 1e5
    tracemalloc.stop()


def test_a_frame_that_does_not_come_takes_its_time_and_no_memory(ends):
    channel, other = ends
    other.sendall(struct.pack("<I", 2**26) + b"x" * 100)
    ticks, begun = [], time.monotonic()
    tracemalloc.start()
    with pytest.raises(TimeoutError):
        channel.receive(begun + 0.7, lambda: ticks.append(1))
    assert 0.7 <= time.monotonic() - begun < 2 and ticks
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_closed_channel_is_told_and_a_full_one_times_out(ends):
    channel, other = ends
    with pytest.raises(TimeoutError):
        channel.send(b"x" * 10**7, time.monotonic() + 0.2)
    other.close()
    with pytest.raises(wire.Closed):
        channel.receive(soon())
    with pytest.raises(wire.Closed):
        channel.send(b"x" * 10**7, soon())


def test_effigies_are_made_of_descriptions_only():
    for given_ in (3, ("like", "m", 3, 1), ("like", "m", "n"), ["like", "m", "n", 1], ("iterator", "m", "n", (3, 0))):
        with pytest.raises((ValueError, TypeError)):
            effigies.make(given_)
