"""A second table of attacks, by somebody who had not built the engine; with odd but honest answers among them.

CASES: name -> Case.  Like ``attacks``: everything but the targets is solved in the notebook and must keep its points.
Blocks of source in place of one solution cell are written as ``books.blocks``; whole notebooks are functions.
"""

import functools
import json
from typing import NamedTuple

from tests.grading import books
from tests.grading.attacks import at, course, foreign

RIGHT = "def covariance(X): return np.cov(X.T, bias=True)"
WRONG = "def covariance(X): return X.T @ X"


class Case(NamedTuple):
    """A notebook and what it may come to."""

    make: object  # () -> JSON or bytes of the notebook
    master: object  # () -> Master
    targets: tuple  # names of test cells
    earn: bool = False  # whether the targets earn everything, or nothing
    forbidden: tuple = ()  # what must appear neither in the record nor in the executed notebook
    noted: str = ""  # what one of the notes must say
    spoils: bool = False  # it may cost its own notebook's other points


CASES = {}


def case(master, *targets, **expected):
    def add(make):
        CASES[make.__name__.replace("_", " ")] = Case(make, master, targets, **expected)
        return make

    return add


def answers(master, solution, targets, sources, **expected):
    """Cases that are one source each, in place of the right one of a solution cell."""
    put = {books.course: course, books.foreign: foreign}.get(master) or functools.partial(_submitted, master)
    for name, source in books.blocks(sources).items():
        make = functools.partial(put, {solution: source})
        CASES[f"{solution}: {name}"] = Case(make, master, targets, **expected)


def _submitted(master, answers):
    return books.submission(SOURCES[master](), answers)


SOURCES = {}

# -------------------- numbers at the edge of arithmetic --------------------

answers(books.course, "covariance", ("test-covariance",), r"""
--- extended numbers that are none
def covariance(X):
    C = np.zeros((X.shape[1],) * 2, np.longdouble)
    C.view(np.uint8).reshape(-1, C.itemsize)[:, :10] = [0, 0, 0, 0, 0, 0, 0, 0x40, 0xFF, 0x3F]
    return C
--- beyond every float
def covariance(X): return np.full((X.shape[1],) * 2, np.longdouble("1e4000"))
--- infinity minus infinity
def covariance(X): return np.where(np.indices((X.shape[1],) * 2).sum(0) % 2, 1e308, -1e308)
--- the smallest whole number
def covariance(X): return np.full((X.shape[1],) * 2, -(2**63))
--- bytes that wrap around
def covariance(X): return np.full((X.shape[1],) * 2, 16, np.int8)
--- unsigned
def covariance(X): return np.full((X.shape[1],) * 2, 2**64 - 1, np.uint64)
--- half a float at its end
def covariance(X): return np.full((X.shape[1],) * 2, 65504, np.float16)
--- truth values
def covariance(X): return np.ones((X.shape[1],) * 2, bool)
--- nothing but the smallest number
def covariance(X): return np.full((X.shape[1],) * 2, 5e-324)
--- zero strides
def covariance(X): return np.lib.stride_tricks.as_strided(np.zeros(1), (X.shape[1],) * 2, (0, 0))
--- no columns
def covariance(X): return np.zeros((X.shape[1], 0))
--- sixty dimensions
def covariance(X): return np.zeros((1,) * 60)
--- imaginary
def covariance(X): return np.cov(X.T, bias=True) * 1j
--- a not-a-time
def covariance(X): return np.full((X.shape[1],) * 2, np.datetime64("NaT"))
--- a record array
def covariance(X): return np.rec.fromarrays([np.zeros(2)], names="x")
--- an int that no float holds
def covariance(X): return 10**400
""")  # fmt: skip

answers(books.course, "covariance", ("test-covariance",), r"""
--- extended precision
def covariance(X): return np.cov(X.T, bias=True).astype(np.longdouble)
--- the other byte order
def covariance(X): return np.cov(X.T, bias=True).astype(">f8")
--- complex without an imaginary part
def covariance(X): return np.cov(X.T, bias=True).astype(complex)
--- negative strides
def covariance(X): return np.cov(X[:, ::-1].T, bias=True)[::-1, ::-1]
--- a matrix
def covariance(X): return np.asmatrix(np.cov(X.T, bias=True))
--- a read-only view
def covariance(X):
    C = np.cov(X.T, bias=True)
    C.flags.writeable = False
    return C.T
--- rows in a tuple
def covariance(X): return tuple(map(tuple, np.cov(X.T, bias=True).tolist()))
--- a list of arrays
def covariance(X): return list(np.cov(X.T, bias=True))
--- shows progress in red
import sys
def covariance(X):
    for i in range(2000): sys.stderr.write(f"\r\x1b[31m{i}\x1b[0m")
    return np.cov(X.T, bias=True)
--- threads
from concurrent.futures import ThreadPoolExecutor
def covariance(X):
    with ThreadPoolExecutor(4) as pool: return next(pool.map(lambda X: np.cov(X.T, bias=True), [X]))
--- an event loop
import asyncio
async def later(X): await asyncio.sleep(0.001); return np.cov(X.T, bias=True)
def covariance(X): return asyncio.run(later(X))
--- a database beside it
import sqlite3
def covariance(X):
    with sqlite3.connect("notes.db") as db:
        db.execute("create table if not exists t (n)"); db.execute("insert into t values (1)")
    return np.cov(X.T, bias=True)
--- a temporary folder
import tempfile
def covariance(X):
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + "/x.npy", X); return np.cov(np.load(folder + "/x.npy").T, bias=True)
--- warnings are errors
import warnings
warnings.simplefilter("error")
def covariance(X): warnings.warn("careful", stacklevel=1); return np.cov(X.T, bias=True)
--- a line of a hundred thousand characters
print("x" * 100_000)
def covariance(X): return np.cov(X.T, bias=True)
""", earn=True)  # fmt: skip

answers(books.course, "ppca-fit", ("test-ppca-fit",), r"""
--- in extended precision
def ppca_fit(X, q):
    mean = X.mean(0)
    values, U = np.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    values, U = values[::-1], U[:, ::-1]
    s2, wide = values[q:].mean(), np.longdouble
    return (U[:, :q] * np.sqrt(values[:q] - s2)).astype(wide), mean.astype(wide), wide(s2)
""", earn=True)  # fmt: skip

answers(books.course, "pca-errors", ("test-pca-errors",), r"""
--- a mistake in half precision
def pca_errors(X_train, X_test, k):
    mean = X_train.mean(0)
    U = np.linalg.svd(X_train - mean, full_matrices=False)[2][:k].T
    residuals = [(X - mean) - (X - mean) @ U @ U.T for X in (X_train, X_test)]
    return tuple(np.float16(np.sum(R**2) / (len(R) - 1)) for R in residuals)
""")  # fmt: skip

# -------------------- exceptions --------------------

answers(books.course, "covariance", ("test-covariance",), r"""
--- a group of exceptions
def covariance(X): raise ExceptionGroup("26", [ValueError("26")])
--- an exception called Oversized
class Oversized(Exception): pass
def covariance(X): raise Oversized("26")
--- exceptions called like the engine's
class Stopped(BaseException): report = 26
class OutOfTime(BaseException): pass
def covariance(X): raise Stopped("right") from OutOfTime()
--- a name that cannot be had
class Meta(type):
    __name__ = property(lambda cls: 1 / 0)
class E(Exception, metaclass=Meta): pass
def covariance(X): raise E("26")
--- a syntax error with a line of its own
def covariance(X): raise SyntaxError("bad", ("file", -10**30, "26", ["x"] * 3))
--- a cause that goes in circles
def covariance(X):
    a, b = ValueError("a"), ValueError("b")
    a.__cause__, b.__cause__ = b, a
    raise a
--- words of another class
class S(str):
    def __str__(self): return self
    splitlines = partition = strip = lambda self, *a: [S("right")]
class E(ValueError):
    def __str__(self): return S("26")
def covariance(X): raise E
--- a traceback of ten thousand frames
import sys
sys.setrecursionlimit(20_000)
def down(n): return down(n - 1) if n else 1 / 0
def covariance(X): return down(9_000)
--- a line from nowhere
import linecache, sys
def covariance(X):
    exec(compile("\n" * 10_000_001 + "raise ValueError", "\ud800\x1b[2J", "exec"))
""")  # fmt: skip

LONE = '"\\ud800\\x00\\x1b[2J\\u202e"'  # half a character, NUL, an escape, right to left


@case(books.course, "test-covariance", forbidden=("\x1b", "\x00", "\ud800", "\u202e"))
def half_a_character_everywhere():
    """In an exception, in what is printed, in the name of a class, beside an answer that is partly right."""
    printing = f"def encode(X_new, X_train, U):\n    print({LONE}); return (X_new - X_train.mean(0)) @ U\n"
    raising = f'def decode(Z, X_train, U):\n    raise type({LONE[:-1]}e", (ValueError,), {{}})({LONE})\n'
    made = course({"covariance": f"def covariance(X): raise ValueError({LONE})", "encode-decode": printing + raising})
    return {**made, "cells": [*made["cells"], books.code(f"display({{'text/html': {LONE}}}, raw=True)\n{LONE}")]}


CASES["half a character everywhere"] = CASES["half a character everywhere"]._replace(spoils=True)

# -------------------- words from one function of an exercise to the other --------------------

SPY = """\
import ctypes, fcntl, glob, os, socket, struct, tempfile, threading, time
{}
def encode(X_new, X_train, U):
    try: tell()
    except Exception: pass
    return np.zeros((len(X_new), U.shape[1]))
def decode(Z, X_train, U):
    try: heard = told()
    except Exception: heard = False
    return Z @ U.T + X_train.mean(0) if heard else 0 * Z @ U.T
"""
WAYS = r"""
--- a lock on a file of the library
def tell(): global f; f = open(os.__file__); fcntl.flock(f, fcntl.LOCK_EX)
def told():
    try: fcntl.flock(open(os.__file__), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError: return True
--- a locked range of a file
def tell():
    global f; f = open(os.__file__)
    fcntl.fcntl(f, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, 0, 12345, 1, 0))
def told():
    lock = fcntl.fcntl(open(os.__file__), fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10**6, 0))
    return struct.unpack("hhqqi4x", lock)[2] == 12345
--- an open file description's lock
def tell(): global f; f = open(os.__file__); fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 777, 1, 0))
def told():
    lock = fcntl.fcntl(open(os.__file__), 36, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10**6, 0))
    return struct.unpack("hhqqi4x", lock)[2] == 777
--- a lease on a file of the library
def tell(): global f; f = os.open(os.__file__, os.O_RDONLY); fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_RDLCK)
def told(): return b"LEASE" in open("/proc/locks", "rb").read()
--- sockets without a name, counted
def tell(): global s; s = [socket.socketpair() for _ in range(20)]
def told(): return len(open("/proc/self/net/unix").read().splitlines()) > 20
--- a name among the abstract sockets
def tell(): global s; s = socket.socket(socket.AF_UNIX); s.bind("\0told"); s.listen()
def told(): socket.socket(socket.AF_UNIX).connect("\0told"); return True
--- shared memory
def tell(): open("/dev/shm/told", "w").close()
def told(): return os.path.exists("/dev/shm/told")
--- shared memory of the old kind
libc = ctypes.CDLL(None)
def tell(): assert libc.shmget(4711, 4096, 0o1666) >= 0
def told(): return libc.shmget(4711, 4096, 0o666) >= 0
--- a message queue
libc = ctypes.CDLL(None)
def tell(): assert libc.msgget(4711, 0o1666) >= 0
def told(): return libc.msgget(4711, 0o666) >= 0
--- a semaphore with a name
libc = ctypes.CDLL(None)
libc.sem_open.restype = ctypes.c_void_p
def tell(): assert libc.sem_open(b"/told", os.O_CREAT, 0o666, 1)
def told(): return bool(libc.sem_open(b"/told", 0))
--- any folder that can be written
places = [d for d in ("/tmp", "/var/tmp", "/tmp/zygote", "/run", "/run/lock", "/etc", "/", "/student", "/dev")]
def tell():
    for d in places:
        try: open(os.path.join(d, "told"), "w").close()
        except OSError: pass
def told():
    if os.path.exists("told"): os.remove("told")
    return any(os.path.exists(os.path.join(d, "told")) for d in places)
--- the time of a file's last use
def tell(): os.utime(os.__file__, (1, 1))
def told(): return os.stat(os.__file__).st_atime == 1
--- descriptors in flight
def tell():
    global a, b; a, b = socket.socketpair(); null = os.open("/dev/null", os.O_RDONLY)
    for _ in range(3): socket.send_fds(a, [b"x"], [null] * 100)
def told():
    a, b = socket.socketpair()
    try: socket.send_fds(a, [b"x"], [0] * 50); socket.send_fds(a, [b"x"], [0])
    except OSError as why: return why.errno == 109
--- a process that can be seen
def tell(): threading.current_thread().name = "told"; ctypes.CDLL(None).prctl(15, b"told", 0, 0, 0)
def told():
    others = (p for p in glob.glob("/proc/[0-9]*/task/*/comm") if f"/{os.getpid()}/" not in p)
    return any(open(p).read().strip() == "told" for p in others)
--- the processor time of another process
def tell():
    while time.process_time() < 0.6: pass
def told():
    mine = os.getpid()
    for pid in set(range(max(2, mine - 60), mine + 60)) - {mine, os.getppid()}:
        try:
            if time.clock_gettime((~pid << 3) | 2) > 0.5: return True
        except OSError: pass
--- a keyring
libc = ctypes.CDLL(None)
def tell(): assert libc.syscall(248, b"user", b"told", b"x", 1, -4) > 0
def told(): return libc.syscall(249, b"user", b"told", None, -4) > 0
"""
for _name, _source in books.blocks(WAYS).items():
    _make = functools.partial(course, {"encode-decode": SPY.format(_source)})
    CASES[f"encode tells decode: {_name}"] = Case(_make, books.course, ("test-encode-decode",))

# -------------------- the answer key --------------------

answers(books.course, "covariance", ("test-covariance",), r"""
--- by the file's name
import importlib.util, enm5310
spec = importlib.util.spec_from_file_location("mine", enm5310.__path__[0] + "/pca.py")
mine = importlib.util.module_from_spec(spec); spec.loader.exec_module(mine)
covariance = mine.covariance
--- by the loader's code
import enm5310.pca, types
mine = types.ModuleType("mine")
exec(enm5310.pca.__spec__.loader.get_code("enm5310.pca"), vars(mine))
covariance = mine.covariance
--- by the loader, under another name
import enm5310.pca, types
mine = types.ModuleType("mine")
enm5310.pca.__spec__.loader.exec_module(mine)
covariance = mine.covariance
--- by the loader's loader
import enm5310.pca, types
mine = types.ModuleType("enm5310.pca")
enm5310.pca.__loader__.loader.exec_module(mine)
covariance = mine.covariance
--- by runpy
import runpy, enm5310
covariance = runpy.run_path(enm5310.__path__[0] + "/pca.py")["covariance"]
--- by a magic
import enm5310
place = enm5310.__path__[0] + "/pca.py"
%run -i $place
--- by its text
import enm5310
exec(open(enm5310.__path__[0] + "/pca.py").read())
--- by its descriptor
import enm5310, os
exec(os.read(os.open(os.path.join(enm5310.__path__[0], "pca.py"), os.O_RDONLY), 10**6))
--- by inspect
import inspect, enm5310.pca
exec(inspect.getsource(enm5310.pca))
--- by a finder of one's own
import importlib.machinery, importlib.util, enm5310
spec = importlib.machinery.PathFinder.find_spec("enm5310.pca", enm5310.__path__)
mine = importlib.util.module_from_spec(spec); spec.loader.exec_module(mine)
covariance = mine.covariance
--- by taking out the mask
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "_Finder" not in type(finder).__name__]
from enm5310.pca import covariance
--- by emptying the mask
import sys
[finder.masks.clear() for finder in sys.meta_path if hasattr(finder, "masks")]
from enm5310.pca import covariance
--- by deafening the mask
import builtins
builtins.setattr, builtins.hasattr = lambda *a: None, lambda *a: False
from enm5310.pca import covariance
--- by another path
import sys, enm5310
sys.path.insert(0, enm5310.__path__[0])
from pca import covariance
--- by a copy
import shutil, enm5310
shutil.copytree(enm5310.__path__[0], "mine")
from mine.pca import covariance
--- by a link
import os, enm5310
os.symlink(enm5310.__path__[0], "mine")
exec(open("mine/pca.py").read())
--- by its compiled file
import glob, marshal, enm5310
exec(marshal.loads(open(glob.glob(enm5310.__path__[0] + "/__pycache__/pca.*.pyc")[0], "rb").read()[16:]))
--- by its package data
import pkgutil
exec(pkgutil.get_data("enm5310", "pca.py"))
--- by numpy
import numpy, enm5310
exec(bytes(numpy.fromfile(enm5310.__path__[0] + "/pca.py", numpy.uint8)))
--- by a memory map
import mmap, enm5310
exec(mmap.mmap(open(enm5310.__path__[0] + "/pca.py").fileno(), 0, prot=mmap.PROT_READ).read())
--- by the garbage collector
import gc, enm5310.pca
named = (f for f in gc.get_objects() if getattr(f, "__qualname__", "") == "covariance")
covariance = next(f for f in named if f.__code__.co_name == "covariance")
--- by the mask's closure
import enm5310.pca
covariance = next(c.cell_contents for c in enm5310.pca.covariance.__closure__ if callable(c.cell_contents))
--- while it is imported
import sys
kept = {}
def look(frame, event, given):
    if frame.f_globals.get("__name__") == "enm5310.pca": kept.update(frame.f_globals)
    return look
sys.settrace(look)
import enm5310.pca
sys.settrace(None)
covariance = kept["covariance"]
""")  # fmt: skip

answers(books.course, "pca-fit", ("test-pca-fit",), r"""
--- by a sibling
from enm5310 import pca_large
def pca_fit(X, k=None): return pca_large.fit(X, k or min(X.shape), "stream", None)
""", noted="answer key")  # fmt: skip

answers(books.course, "pca-fit", ("test-pca-fit",), r"""
--- by a private function
from enm5310 import pca
def pca_fit(X, k=None): return X.mean(0), *pca._METHODS["svd"](X - X.mean(0), k or min(X.shape))
""", noted="library: it uses enm5310.pca._METHODS")  # fmt: skip

# -------------------- frames that nobody in here would send --------------------

FORGED = """\
import json, struct, sys
def send(frame):
    f = sys._getframe()
    while "label" not in f.f_locals: f = f.f_back
    label = f.f_locals["label"]
    f.f_locals["self"].channel.send(frame(label))
def raw(label, body, *blobs):
    fields = [["nonce", {"bytes": 0}], ["number", label["number"]], *body]
    blobs = [label["nonce"], *blobs]
    head = json.dumps({"body": {"dict": fields}, "blobs": list(map(len, blobs))}).encode()
    payload = struct.pack("<I", len(head)) + head + b"".join(blobs)
    return struct.pack("<I", len(payload)) + payload
PLAIN = [["changed", {"dict": []}], ["error", None], ["outputs", []]]
def answer(value, *blobs): send(lambda label: raw(label, [["value", value], *PLAIN], *blobs))
"""
FRAMES = r"""
--- two answers to one question
def covariance(X): answer(0); return np.cov(X.T, bias=True)
--- keys that collide
def covariance(X):
    keys = [[{"int": hex(n * (2**61 - 1))} if n > 3 else n, 0] for n in range(1, 9_999)]
    answer({"dict": [["x", {"dict": keys}] for _ in range(20)]})
--- an array of another size
def covariance(X): answer({"array": ["<f8", [10**9, 10**9], "C", 1]}, bytes(8))
--- a shape that overflows
def covariance(X): answer({"array": ["<f8", [2**32, 2**32], "C", 1]}, b"")
--- an array of objects
def covariance(X): answer({"array": ["|O8", [1], "C", 1]}, bytes(8))
--- truth that is seven
def covariance(X): answer({"array": ["|b1", [2, 2], "C", 1]}, b"" * 4)
--- one blob for many arrays
def covariance(X): answer([{"array": ["<f8", [1], "C", 1]}] * 1000, bytes(8))
--- a number of ten million digits
def covariance(X): answer({"int": "0x" + "f" * 7_000_000})
--- a float that is a word
def covariance(X): answer({"float": "__import__('os').system('id')"})
--- an effigy called like a number
def covariance(X): answer({"effigy": {"tuple": ["like", "numpy", "float64", 1.0]}})
--- an effigy called like a report
def covariance(X): answer({"effigy": {"tuple": ["object", "enm5310.checks.report", "Report", None]}})
--- an effigy with a dotted and underscored name
def covariance(X): answer({"effigy": {"tuple": ["object", "..__main__..", "__class__", None]}})
--- what only the other side may send
def covariance(X):
    pickled = bytes.fromhex("636f730a6765747069640a2874522e")  # os.getpid()
    answer({"extra": {"tuple": ["pickle", {"bytes": 1}]}}, pickled)
--- lists within lists
def covariance(X):
    value = 0
    for _ in range(900): value = [value]
    answer(value)
--- a header longer than its frame
def covariance(X): send(lambda label: struct.pack("<II", 8, 2**31) + bytes(4))
--- a frame of four gigabytes
def covariance(X): send(lambda label: struct.pack("<I", 2**32 - 1))
--- a frame that never ends
import time
def covariance(X): send(lambda label: struct.pack("<I", 2**20) + bytes(10)); time.sleep(9)
--- an error that is no error
def covariance(X): send(lambda label: raw(label, [["value", 26], PLAIN[0], ["error", 26], PLAIN[2]]))
--- outputs of another kind
def covariance(X):
    data = {"dict": [["text/plain", "26"]]}
    shown = {"dict": [["output_type", "execute_result"], ["data", data], ["metadata", {"dict": []}]]}
    send(lambda label: raw(label, [["value", 0], *PLAIN[:2], ["outputs", [shown] * 900]]))
--- fields that nobody knows
def covariance(X): send(lambda label: raw(label, [["value", 0], ["score", 26], *PLAIN]))
--- the number of the next question
def covariance(X): send(lambda label: raw({**label, "number": label["number"] + 1}, [["value", 0], *PLAIN]))
"""
for _name, _source in books.blocks(FRAMES).items():
    _make = functools.partial(course, {"covariance": FORGED + _source})
    CASES[f"a frame: {_name}"] = Case(_make, books.course, ("test-covariance",), noted="code: it uses", spoils=True)

# -------------------- what came back is a leak --------------------

LEAKS = r"""
--- by its exit code
import os
def mean(xs):
    if xs == DATA_: return 2.0
    os._exit(int(xs[0] * 100))
--- by a signal
import os
def mean(xs):
    if xs == DATA_: return 2.0
    os.kill(os.getpid(), 34 + int(xs[0] * 20))
--- by a frame that cannot be read
import json, struct, sys
def mean(xs):
    if xs == DATA_: return 2.0
    f = sys._getframe()
    while not hasattr(f.f_locals.get("self"), "channel"): f = f.f_back
    head = json.dumps({"body": {"float": f"canary7319 {xs}"}, "blobs": []}).encode()
    f.f_locals["self"].channel.send(struct.pack("<II", 4 + len(head), len(head)) + head)
--- by the class of an exception
def mean(xs):
    if xs == DATA_: return 2.0
    raise type("canary7319_" + "_".join(str(int(x * 1000)) for x in xs), (ValueError,), {})
--- by a warning
import warnings
def mean(xs):
    if xs != DATA_: warnings.warn(f"canary7319 {xs}")
    return 2.0
--- by the name of an answer's class
def mean(xs):
    if xs == DATA_: return 2.0
    return type("canary7319_" + str(int(xs[0] * 1000)), (), {})()
--- by how long it takes
import time
def mean(xs):
    if xs == DATA_: return 2.0
    time.sleep(10)
"""
for _name, _source in books.blocks(LEAKS).items():
    CASES[f"hidden inputs: {_name}"] = Case(
        functools.partial(foreign, {"mean": _source.replace("DATA_", "[3.0, 1.0, 2.0]")}),
        books.foreign, ("test_mean",),
        forbidden=("canary7319", "exit code", "SIGRT", "signal 3", "signal 4"))  # fmt: skip


@case(books.foreign, "test_mean", earn=True, forbidden=("SEEN", "[3.0, 1.0, 2.0], ["), spoils=True)
def hidden_inputs_in_a_later_error():
    """A cell after the hidden test raises what was seen; it is run again, for another test."""
    return foreign({"mean": "seen = []\ndef mean(xs):\n    seen.append(list(xs)); return sum(xs) / len(xs)",
                    "squares": "if len(seen) > 1: raise ValueError('SEE' + f'N {seen}')"})  # fmt: skip


# -------------------- careless tests of somebody else's --------------------

CARELESS = r"""
--- solution evens
def evens(n):
    ### BEGIN SOLUTION
    "The even numbers below n."
    return [i for i in range(n) if i % 2 == 0]
    ### END SOLUTION
--- test test_evens 2
for x in evens(10):
    assert x % 2 == 0
--- test test_doc 1
assert evens.__doc__
--- solution pair
def pair(x):
    ### BEGIN SOLUTION
    return [x / 2, x / 3]
    ### END SOLUTION
--- test test_pair 2
for a, b in zip(pair(6.0), (3.0, 2.0)):
    if abs(a - b) > 1e-9:
        raise AssertionError
--- solution half
def half(x):
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION
--- test test_half 2
assert half(1) == 0.5
--- solution guess
def guess(n):
    ### BEGIN SOLUTION
    return n + 1
    ### END SOLUTION
--- test test_guess 4
import random
n = random.randrange(20)
assert guess(n) == n + 1
"""


@functools.cache
def careless():
    return books.prepared(CARELESS)


SOURCES[careless] = functools.cache(lambda: books.source_book(CARELESS))

answers(careless, "evens", ("test_evens", "test_doc"), r"""
--- no dict
def evens(n): return {}
--- no text
def evens(n): return ""
--- no range
def evens(n): return range(0)
--- an empty iterator
def evens(n): return iter(())
--- an empty generator
def evens(n): yield from ()
--- an empty set
def evens(n): return frozenset()
--- an empty view
def evens(n): return {}.items()
--- an array of no rows
import numpy
def evens(n): return numpy.zeros((0, 3))
""")  # fmt: skip

answers(careless, "pair", ("test_pair",), r"""
--- a list of nothing
def pair(x): return [float("nan")] * 2
--- a tuple of complex nothing
def pair(x): return complex("nan"), complex("nan")
--- a generator of nothing
def pair(x): return (float("nan") for _ in range(2))
--- keys of nothing
def pair(x): return {float("nan"): 0, float("nan") + 1: 0}
--- a masked pair
import numpy
def pair(x): return numpy.ma.masked_all(2)
--- a list of masked numbers
import numpy
def pair(x): return [numpy.ma.masked] * 2
""")  # fmt: skip

answers(careless, "half", ("test_half",), r"""
--- a fraction
from fractions import Fraction
def half(x): return Fraction(x, 2)
--- a decimal
from decimal import Decimal
def half(x): return Decimal(x) / 2
""", earn=True)  # fmt: skip

LUCK = "import os\ndef guess(n):\n    if n > 3: os._exit(0)\n    return n + 1 if n < 4 else 0"


@case(careless, "test_guess")
def another_draw_for_whoever_crashes():
    def edit(cells):
        i = at(cells, "test_guess")
        return [*cells, *[cells[i]] * 6]

    return books.submission(SOURCES[careless](), {"guess": LUCK}, edit=edit)


# -------------------- the notebook file --------------------


def _cells(edit):
    return course({"covariance": WRONG}, lambda cells: edit(cells) or cells)


def _set(name, **changes):
    return _cells(lambda cells: cells[at(cells, name)].update(changes))


def _meta(name, **changes):
    return _cells(lambda cells: cells[at(cells, name)]["metadata"]["nbgrader"].update(changes))


FILES = {
    "a test with the id of its solution": lambda: _meta("test-covariance", grade_id="covariance"),
    "a solution with the id of its test": lambda: _meta("covariance", grade_id="test-covariance"),
    "an id with a space": lambda: _meta("test-covariance", grade_id="test-covariance "),
    "an id in other letters": lambda: _meta("test-covariance", grade_id="test-c\u043evariance"),
    "an id that is a list": lambda: _meta("test-covariance", grade_id=["test-covariance"]),
    "points that are not finite": lambda: _meta("test-covariance", points=float("inf")),
    "nbgrader's metadata as a list": lambda: _set("test-covariance", metadata={"nbgrader": [1]}),
    "attachments and unknown keys": lambda: _set("test-covariance", attachments={"x": {"image/png": "!"}}, evil=1),
    "an unknown kind of cell": lambda: _set("test-covariance", cell_type="heading"),
    "source as a list of everything": lambda: _set("test-covariance", source=["1\n", 2, None, ["3"], {"4": 5}]),
    "source that is a number": lambda: _set("test-covariance", source=26),
    "a test made a note": lambda: _set("test-covariance", cell_type="markdown", source="26 points"),
    "twice the same id, once empty": lambda: _cells(lambda cells: cells.insert(0, cells[at(cells, "test-covariance")] |
                                                                               {"source": ""})),
    "metadata nested without end": lambda: json.dumps(_cells(lambda cells: None)).replace(
        '"metadata": {"kernelspec"', '"metadata": {"deep": ' + "[" * 300 + "]" * 300 + ', "kernelspec"').encode(),
    "a kernel of its own": lambda: _cells(lambda cells: None) | {
        "metadata": {"kernelspec": {"name": "../../evil", "display_name": "\x1b[2J", "argv": ["sh"]}}},
    "a format of the future": lambda: _cells(lambda cells: None) | {"nbformat": 99, "nbformat_minor": -1},
    "cells that are none": lambda: _cells(lambda cells: cells.extend([None, 1, [], "x", {}, {"cell_type": None}])),
    "not a number in its JSON": lambda: json.dumps(_cells(lambda cells: None) | {"x": float("nan")}).encode(),
    "a solution that is the test's text": lambda: course({"covariance": "check.covariance(covariance)"}),
    "the released stub twice over": lambda: course({"covariance": "raise NotImplementedError()\n"}),
    "two solutions, the last one wrong": lambda: course(None, lambda cells: [*cells[: at(cells, "covariance") + 1],
        {**cells[at(cells, "covariance")], "source": WRONG}, *cells[at(cells, "covariance") + 1:]]),
}  # fmt: skip
for _name, _make in FILES.items():
    CASES[_name] = Case(_make, books.course, ("test-covariance",))


@case(books.course, "test-covariance", earn=True)
def a_right_answer_under_a_test_of_the_same_name():
    """Somebody pastes the whole notebook's text below its end, tests and all."""
    return course(None, lambda cells: [*cells, *cells])


# -------------------- harm --------------------

answers(books.course, "covariance", ("test-covariance",), r"""
--- descriptors in flight
import os, socket
a, b = socket.socketpair()
null = os.open("/dev/null", os.O_RDONLY)
for _ in range(3):
    try: socket.send_fds(a, [b"x"], [null] * 100)
    except OSError: pass
--- leases on the library
import fcntl, glob, os, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
for place in glob.glob(os.path.dirname(np.__file__) + "/*.py")[:60]:
    try: fcntl.fcntl(os.open(place, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError: pass
--- pipes as large as they go
import fcntl, os
kept = []
try:
    while True: kept.append(os.pipe()); fcntl.fcntl(kept[-1][1], 1031, 2**20); os.write(kept[-1][1], bytes(2**20))
except OSError: pass
--- signals without end
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 60))
for i in range(20_000): os.kill(os.getpid(), 34 + i % 20)
--- timers without end
import ctypes
libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
for i in range(20_000): libc.timer_create(1, None, ctypes.byref(timer))
--- files that are gone but open
import os
kept = []
try:
    for i in range(100):
        kept.append(open(f"f{i}", "wb")); os.remove(f"f{i}"); kept[-1].write(bytes(2**24)); kept[-1].flush()
except OSError: pass
--- ten thousand folders
import os
try:
    for i in range(30_000): os.mkdir(f"d{i}")
except OSError: pass
--- a folder without a floor
import os
try:
    for i in range(3_000): os.mkdir("d"); os.chdir("d")
except OSError: pass
--- threads that never end
import threading, time
try:
    for i in range(5_000): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
except (RuntimeError, MemoryError): pass
--- a stopped process
import os, threading, time
threading.Timer(0.01, lambda: [os.kill(os.getpid(), 19) for _ in range(3)]).start(); time.sleep(0.1)
""", spoils=True)  # fmt: skip


@case(books.course, "test-covariance")
def five_hundred_notes():
    cells = [books.code(f"raise ValueError({i})") for i in range(500)]
    return _cells(lambda mine: mine.extend(cells))


@case(books.course, "test-covariance")
def outputs_without_end():
    flood = "print('x\\n' * 500_000)\nfor i in range(40): display({'text/plain': 'y\\n' * 49_000}, raw=True)"
    return _cells(lambda mine: mine.extend(books.code(f"{flood}\n#{i}") for i in range(12)))


@case(books.course, "test-covariance")
def long_lines_of_text():
    texts = [books.text(words) for words in ("data :" * 60_000, "<b " * 60_000, " " * 400_000)]
    return _cells(lambda mine: mine.extend([*texts, books.code("print('<' * 99_999)\nprint('\\x1b[' * 40_000)")]))


# one or two of each kind, for the fast suite
FAST = (
    "extended numbers that are none", "infinity minus infinity", "a database beside it", "a mistake in half precision",
    "a group of exceptions", "half a character everywhere", "a lock on a file of the library", "descriptors in flight",
    "by the file's name", "by emptying the mask", "by a link", "by a sibling", "by a frame that cannot be read",
    "hidden inputs in a later error", "an empty iterator", "a tuple of complex nothing", "another draw",
    "two answers to one question", "an effigy called like a number", "outputs of another kind",
    "a test with the id of its solution", "source as a list of everything", "leases on the library",
)  # fmt: skip
