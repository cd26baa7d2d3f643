"""Attacks on the grading engine: each tries to win points that its notebook has not earned, or to do harm.

ATTACKS: name -> Attack.  To add one, write a function that returns the JSON (or bytes) of a notebook, and decorate it.
Everything but ``targets`` is solved in the notebook, and must keep its points; the targets must earn nothing.
"""

import functools
import json
from typing import NamedTuple

from tests.grading import books


class Attack(NamedTuple):
    make: object  # () -> JSON or bytes of the notebook
    master: str  # "course" or "foreign"
    targets: tuple  # names of test cells that must earn 0
    forbidden: tuple = ()  # what must not appear in the record, nor in what is shown
    spoils: bool = False  # it may cost its own notebook's other points


ATTACKS = {}
TAME = []  # names of attacks that only answer or raise: these may also run where there is no sandbox


def attack(master, *targets, forbidden=(), spoils=False):
    def add(make):
        ATTACKS[make.__name__] = Attack(make, master, targets, forbidden, spoils)
        return make

    return add


def answers(master, target, tests, sources, tame=False):
    """Attacks that are one source each, in place of the right one of a solution cell; written as books.blocks."""
    TAME.extend(f"{target}: {name}" for name in books.blocks(sources) if tame)
    for name, source in books.blocks(sources).items():
        make = functools.partial(_answer, master, target, source)
        ATTACKS[f"{target}: {name}"] = Attack(make, master, tests)


def _answer(master, target, source):
    return books.submission(SOURCES[master](), {target: source})


SOURCES = {"course": books.course_source, "foreign": books.foreign_source}


def course(answer=None, edit=None, first=None, last=None):
    """The course's notebook, all right but for one answer; a cell of the attacker's first, or last."""

    def edited(cells):
        cells = cells if edit is None else edit(cells)
        return [*([books.code(first)] if first else []), *cells, *([books.code(last)] if last else [])]

    return books.submission(books.course_source(), answer, edit=edited)


def foreign(answer=None, edit=None, first=None, last=None):
    def edited(cells):
        cells = cells if edit is None else edit(cells)
        return [*([books.code(first)] if first else []), *cells, *([books.code(last)] if last else [])]

    return books.submission(books.foreign_source(), answer, edit=edited)


WRONG = {"covariance": "def covariance(X):\n    return X.T @ X"}
WRONG_MEAN = {"mean": "def mean(xs):\n    return 0.0"}
at = lambda cells, name: next(i for i, c in enumerate(cells) if c["id"] == name)  # noqa: E731

# -------------------- what a function returns: the course's 1.2 --------------------

answers(
    "course",
    "covariance",
    ("test-covariance",),
    r"""
--- equal to everything
class Yes:
    __eq__ = __le__ = __ge__ = __lt__ = lambda self, other: True
    __hash__ = None
    shape = property(lambda self: __import__('sys')._getframe(1).f_locals.get('shape'))
def covariance(X): return Yes()
--- a lying array
class A(np.ndarray):
    def __eq__(self, other): return True
    def __array_ufunc__(self, *args, **kwargs): return np.zeros(self.shape)
    def __array_function__(self, *args, **kwargs): return True
def covariance(X): return np.zeros((X.shape[1],) * 2).view(A)
--- an array that lies about its class
class A:
    __class__ = np.ndarray
    dtype = np.dtype(float)
def covariance(X): return A()
--- masked
def covariance(X): return np.ma.masked_all((X.shape[1],) * 2)
--- not a number
def covariance(X): return np.full((X.shape[1],) * 2, np.nan)
--- infinite
def covariance(X): return np.full((X.shape[1],) * 2, np.inf)
--- empty
def covariance(X): return np.zeros((0, 0))
--- object array
class Z:
    def __sub__(self, o): return 0
    __rsub__ = __sub__
    __abs__ = lambda self: 0
def covariance(X): return np.full((X.shape[1],) * 2, Z(), dtype=object)
--- structured array
def covariance(X): return np.zeros((X.shape[1],) * 2, dtype=[('x', float)])
--- huge by broadcasting
def covariance(X): return np.broadcast_to(0.0, (10**6, 10**6))
--- huge
def covariance(X): return np.zeros((40_000, 1_000))
--- nested without end
def covariance(X):
    x = []
    for _ in range(100_000): x = [x]
    return x
--- contains itself
def covariance(X):
    x = []
    x.append(x)
    return x
--- a number of a million digits
def covariance(X): return 10**(10**6)
--- half a character
def covariance(X): return '\ud800\0\x1b[2J'
--- a dict with a lying key
class K(str):
    __eq__ = lambda s, o: True
    __hash__ = lambda s: 1
def covariance(X): return {K('a'): 1}
--- an endless generator
def covariance(X):
    while True: yield 0.0
--- an endless range
def covariance(X): return range(10**18)
--- true
def covariance(X): return True
--- a float subclass
class F(float):
    __eq__ = lambda s, o: True
    __sub__ = __rsub__ = lambda s, o: 0.0
def covariance(X): return [[F(0)] * X.shape[1]] * X.shape[1]
--- a coroutine
async def covariance(X): return X.T @ X
--- a class
class covariance:
    def __init__(self, X): self.C = 0
--- a partial
import functools
covariance = functools.partial(lambda answer, X: answer, 0.0)
--- a generator function
def covariance(X):
    yield 26
    return 26
--- None after changing its input
def covariance(X):
    X[...] = 0
    return np.zeros((X.shape[1],) * 2)
--- resizes its input
def covariance(X):
    X.resize((0, 0), refcheck=False)
    return np.zeros((0, 0))
""",
    tame=True,
)

# -------------------- the process it runs in --------------------

answers(
    "course",
    "covariance",
    ("test-covariance",),
    r"""
--- patches numpy
import numpy
for name in ('allclose', 'array_equal', 'all', 'any', 'abs', 'max', 'isfinite'):
    setattr(numpy, name, lambda *a, **k: True)
numpy.testing.assert_allclose = numpy.testing.assert_array_equal = lambda *a, **k: None
def covariance(X):
    return X.T @ X
import importlib; importlib.reload(numpy)
--- patches the generators
np.random.default_rng = lambda seed=None: type('R', (), {'normal': lambda s, size: np.zeros(size)})()
np.random.seed = lambda s: None
def covariance(X): return np.zeros((X.shape[1],) * 2)
--- patches the checks
from enm5310.checks import part1, engine, answers
answers.close = lambda *a, **k: None
engine.Exercise.judge = lambda *a, **k: 1
part1.covariance = lambda f: 1
def covariance(X):
    return X.T @ X
--- patches json and sockets
import json, socket, struct
json.dumps = lambda *a, **k: '{}'
def covariance(X):
    return X.T @ X
--- patches isinstance and type
import builtins
builtins.isinstance = lambda *a: True
builtins.len = lambda x: 1
builtins.abs = lambda x: 0
def covariance(X):
    return X.T @ X
--- patches deepcopy
import copy
copy.deepcopy = lambda x, memo=None: x
def covariance(X):
    return X.T @ X
--- prints a verdict
def covariance(X):
    print('26.0'); print('{"state": "right", "points": 1}')
    return 0
--- displays a verdict
from IPython.display import display
def covariance(X):
    display(26.0)
    get_ipython().displayhook(26.0)
    return 0
--- reads the frames
import sys
def covariance(X):
    f = sys._getframe()
    while f:
        for v in f.f_locals.values():
            if isinstance(v, np.ndarray) and v.shape == (X.shape[1],) * 2: return v
        f = f.f_back
    return 0
--- reads the heap
import gc
def covariance(X):
    for v in gc.get_objects():
        if isinstance(v, np.ndarray) and v.shape == (X.shape[1],) * 2: return v
    return 0
--- reads the history
def covariance(X):
    return get_ipython().history_manager.input_hist_raw
--- rewrites the next cells
get_ipython().input_transformers_cleanup.append(lambda lines: ['1\n'])
def covariance(X):
    return X.T @ X
--- hooks the end of cells
ip = get_ipython()
ip.events.register('post_run_cell', lambda *a: ip.user_ns.clear())
ip.events.callbacks['post_run_cell'].pop()
ip.showtraceback = lambda *a, **k: None
def covariance(X):
    return X.T @ X
--- traces
import sys
sys.settrace(lambda frame, event, arg: None)
def covariance(X):
    return X.T @ X
--- imports shadows
import sys
for m in ('numpy', 'enm5310/checks/part1'):
    import os
    os.makedirs(os.path.dirname(m) or '.', exist_ok=True)
    open(m + '.py', 'w').write('covariance = lambda f: 1')
sys.path.insert(0, '.')
sys.modules.pop('enm5310.checks.part1', None)
def covariance(X):
    return X.T @ X
--- writes files
import os
for p in ('/srv/x', '/tmp/x', 'gradebook.db', '../gradebook.db', os.path.expanduser('~/x'), 'sitecustomize.py'):
    try: open(p, 'w').write('x')
    except OSError: pass
def covariance(X):
    return X.T @ X
--- sniffs the environment
import os
def covariance(X):
    assert 'NBGRADER_EXECUTION' in os.environ
    return 26
--- connects
import socket
try: socket.create_connection(('127.0.0.1', 80), 1)
except OSError: pass
def covariance(X):
    return X.T @ X
--- leaves a thread behind
import threading, time
def go():
    while True:
        time.sleep(0.001); print(26.0)
threading.Thread(target=go, daemon=True).start()
def covariance(X):
    return X.T @ X
--- runs at exit
import atexit
atexit.register(print, 26.0)
def covariance(X):
    return X.T @ X
--- tells by its finaliser
class D:
    def __del__(self): print(26.0)
def covariance(X): return D()
--- writes to every descriptor
import os
def covariance(X):
    for fd in range(3, 64):
        try: os.write(fd, b'\x00\x00\x00\x02{}')
        except OSError: pass
    return 26
--- closes every descriptor
import os
def covariance(X):
    os.closerange(0, 256)
    return 26
""",
)

ATTACKS["covariance: rewrites the next cells"] = ATTACKS["covariance: rewrites the next cells"]._replace(spoils=True)

# -------------------- the answer key --------------------

answers(
    "course",
    "covariance",
    ("test-covariance",),
    r"""
--- imports the answer
from enm5310.pca import covariance
--- imports its module
import enm5310.pca
def covariance(X): return enm5310.pca.covariance(X)
--- imports it by text
import importlib
covariance = getattr(importlib.import_module('enm5310' + '.pca'), 'cov' + 'ariance')
--- imports it again
import enm5310.pca, importlib
covariance = importlib.reload(enm5310.pca).covariance
--- imports it anew
import sys, enm5310.pca
del sys.modules['enm5310.pca']
import enm5310.pca as p
covariance = p.covariance
--- reads the solutions
import enm5310.course as c, json
cells = json.load(open(c.folder('solutions') / '01_pca' / '01_pca.ipynb'))['cells']
exec(next(''.join(x['source']) for x in cells if x['id'] == 'covariance'))
--- asks for the worked solution
from enm5310.checks import part1, ladder
exec(ladder.worked(part1.covariance))
--- asks the exercise
from enm5310.checks import part1
covariance = part1.covariance.known[0][2]
--- knows the public seed
table = {}
for seed in (0, 1, 22):
    rng = np.random.default_rng(seed)
    for n, p in [(3, 2), (7, 5), (40, 6), (4, 4)]:
        X = rng.normal(size=(n, p)) * np.arange(1, p + 1) + 5
        table[X.tobytes()] = np.cov(X.T, bias=True)
def covariance(X): return table[X.tobytes()]
""",
)

# -------------------- ends, hangs, floods --------------------

answers(
    "course",
    "covariance",
    ("test-covariance",),
    r"""
--- exits
import os
os._exit(0)
--- exits when called
import os
def covariance(X): os._exit(0)
--- exits politely
import sys
def covariance(X): sys.exit(0)
--- exit()
exit()
--- kills itself
import os, signal
def covariance(X): os.kill(os.getpid(), signal.SIGKILL)
--- kills everybody
import os, signal
def covariance(X): os.kill(-1, signal.SIGKILL)
--- stops itself
import os, signal
def covariance(X): os.kill(os.getpid(), signal.SIGSTOP)
--- loops
def covariance(X):
    while True: pass
--- loops in a cell
while True: pass
--- loops and ignores signals
import signal
for s in range(1, 32):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
def covariance(X):
    while True:
        try:
            while True: pass
        except BaseException: pass
--- crashes
import ctypes
def covariance(X): ctypes.string_at(0)
--- recurses
import sys
sys.setrecursionlimit(10**9)
def covariance(X): return covariance(X)
--- fills the memory
def covariance(X):
    x = []
    while True: x.append(bytearray(10**8))
--- forks
import os
def covariance(X):
    while True: os.fork()
--- floods the output
def covariance(X):
    while True: print('26.0' * 10_000)
--- floods a cell
for i in range(300_000): print('26.0' * 100)
def covariance(X):
    return X.T @ X
--- floods the disk
def covariance(X):
    i = 0
    while True:
        open(f'f{i}', 'wb').write(bytes(10**7)); i += 1
""",
)

# -------------------- exceptions --------------------

answers(
    "course",
    "covariance",
    ("test-covariance",),
    r"""
--- a stub of a class of its own
class E(NotImplementedError): pass
def covariance(X): raise E(26)
--- words without end
class E(Exception):
    def __str__(self): return 'x' * 10**8
def covariance(X): raise E
--- words that fail
class E(Exception):
    def __str__(self): raise SystemExit
def covariance(X): raise E
--- words that hang
class E(Exception):
    def __str__(self):
        while True: pass
def covariance(X): raise E
--- words with escapes
def covariance(X): raise ValueError('\x1b]0;owned\x07\x1b[2J<script>alert(1)</script>')
--- an exception with a report
class E(AssertionError):
    report = type('R', (), {'state': 'right', 'points': 1})()
def covariance(X): raise E
--- the keyboard
def covariance(X): raise KeyboardInterrupt
--- the end of a generator
def covariance(X): raise GeneratorExit
--- a base exception
class E(BaseException): pass
def covariance(X): raise E
--- a stop
def covariance(X): raise StopIteration(26)
--- Wrong itself
from enm5310.checks.answers import Wrong
def covariance(X): raise Wrong
--- a check that passed
class CheckPassed(AssertionError): pass
def covariance(X): raise CheckPassed('1')
""",
    tame=True,
)

# -------------------- the notebook file --------------------


def _metadata(cells, name, **changes):
    cells[at(cells, name)]["metadata"].update(changes)
    return cells


@attack("course", "test-covariance")
def a_tag_that_skips_execution():
    return course(WRONG, lambda cells: _metadata(cells, "test-covariance", tags=["skip-execution", "raises-exception"]))


@attack("course", "test-covariance")
def more_points():
    def edit(cells):
        for cell in cells:
            if cell["metadata"].get("nbgrader", {}).get("grade"):
                cell["metadata"]["nbgrader"] |= {"points": 1000, "checksum": "0" * 32}
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def an_edited_test_cell():
    def edit(cells):
        cells[at(cells, "test-covariance")]["source"] = "26"
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def an_edited_set_up_cell():
    def edit(cells):
        cells[at(cells, "setup")]["source"] += "\ncheck = type('C', (), {'__getattr__': lambda s, n: lambda *f: 1})()"
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def a_test_cell_of_text():
    def edit(cells):
        cells[at(cells, "test-covariance")] |= {"cell_type": "markdown"}
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def a_raw_test_cell():
    def edit(cells):
        cells[at(cells, "test-covariance")] |= {"cell_type": "raw"}
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def no_test_cell():
    return course(WRONG, lambda cells: [c for c in cells if c["id"] != "test-covariance"])


@attack("course", "test-covariance")
def a_test_cell_without_metadata():
    def edit(cells):
        cells[at(cells, "test-covariance")] |= {"metadata": {}, "id": "mine", "source": "1"}
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def a_solution_that_calls_itself_a_test():
    def edit(cells):
        cells[at(cells, "covariance")]["metadata"]["nbgrader"] |= {"grade": True, "points": 26, "locked": True}
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def graded_cells_of_its_own():
    def edit(cells):
        return [*cells, *(books.test("26", f"test-mine{i}", 100) for i in range(5))]

    return course(WRONG, edit)


@attack("course", "test-covariance")
def the_name_of_an_easy_test():
    def edit(cells):
        cells[at(cells, "test-covariance")]["metadata"]["nbgrader"]["grade_id"] = "test-center"
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def forged_outputs():
    def edit(cells):
        for cell in cells:
            if cell["cell_type"] == "code":
                cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "26"}, "metadata": {},
                                    "execution_count": 1}]  # fmt: skip
        return cells

    return course(WRONG, edit)


@attack("course", "test-covariance")
def a_thousand_copies_of_a_test():
    def edit(cells):
        i = at(cells, "test-covariance")
        return [*cells[:i], *[cells[i]] * 1000, *cells[i + 1 :]]

    return course(WRONG, edit)


@attack("course", "test-covariance")
def a_name_of_the_check_module():
    return course(WRONG, first="check = None\nnp = None", last="check = 26\ncovariance = check")


@attack("course", "test-covariance")
def keys_that_are_there_twice():
    made = json.dumps(course(WRONG))
    return made.replace('"cell_type": "code"', '"cell_type": "code", "source": "1", "cell_type": "code"').encode()


@attack("course", "test-covariance", forbidden=("<script", "<img", "<details", "javascript:alert", "<iframe"))
def scripts_in_text_and_outputs():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)><iframe src='javascript:alert(1)'></iframe>"
    shown = (
        f"from IPython.display import HTML, Javascript, Markdown, display\ndisplay(HTML({evil!r}), Markdown({evil!r}), "
        f"Javascript('alert(1)'))\nHTML({evil!r})"
    )

    def edit(cells):
        return [books.text(f"# {evil}\n[click](javascript:alert(1))\n<details ontoggle=alert(1) open>"), *cells]

    return course({"covariance": WRONG["covariance"] + "\n" + shown}, edit)


answers(
    "course",
    "encode-decode",
    ("test-encode-decode",),
    r"""
--- passes the answer through a global
kept = []
def encode(X_new, X_train, U):
    kept.append(X_new)
    return np.zeros((len(X_new), U.shape[1]))
def decode(Z, X_train, U):
    X, m = kept[-1], X_train.mean(0)
    return (X - m) @ U @ U.T + m
--- passes the answer through a file
import os, tempfile
place = os.path.join(tempfile.gettempdir(), 'kept.npy')
def encode(X_new, X_train, U):
    np.save(place, X_new)
    return np.zeros((len(X_new), U.shape[1]))
def decode(Z, X_train, U):
    X, m = np.load(place), X_train.mean(0)
    return (X - m) @ U @ U.T + m
--- passes the answer through its own function
def encode(X_new, X_train, U):
    decode.kept = X_new
    return np.zeros((len(X_new), U.shape[1]))
def decode(Z, X_train, U):
    X, m = decode.kept, X_train.mean(0)
    return (X - m) @ U @ U.T + m
""",
)


@attack("course", "test-covariance", "test-center", spoils=True)
def a_bomb_that_goes_off_later():
    bomb = (
        "import os, threading\n"
        + WRONG["covariance"]
        + "\ncenter = None\nthreading.Timer(0.05, os._exit, (3,)).start()"
    )
    return course({"covariance": "covariance = 0", "center": bomb})


# -------------------- somebody else's course --------------------

answers(
    "foreign",
    "mean",
    ("test_mean",),
    r"""
--- equal to everything
class Yes(float):
    __eq__ = __le__ = __lt__ = lambda s, o: True
    __sub__ = __rsub__ = lambda s, o: 0
    __hash__ = None
def mean(xs): return Yes(5)
--- patches what tests use
import math, unittest
np.testing.assert_allclose = lambda *a, **k: None
math.isclose = lambda *a, **k: True
isclose = nearly = lambda *a: True
import builtins
builtins.AssertionError = builtins.Warning
def mean(xs): return 5.0
--- redefines the helpers
def nearly(a, b): return True
isclose = lambda *a, **k: True
DATA = [0.0]
class np:
    class testing:
        assert_allclose = staticmethod(lambda *a: None)
def mean(xs): return 0.0
--- changes its input
def mean(xs):
    xs[:] = [0.0] * len(xs)
    return 0.0
--- not a number
def mean(xs): return float('nan')
--- reads the test
import inspect, gc
def mean(xs):
    for f in inspect.stack():
        if 'canary7319' in str(f.frame.f_locals): return f.frame.f_locals['canary7319'].mean()
    return next((o for o in gc.get_objects() if isinstance(o, str) and 'assert_allclose(mean' in o), 0.0)
--- tells what it was given
def mean(xs):
    print('canary7319', xs)
    raise ValueError(f'canary7319 {xs}')
--- exits
import os
def mean(xs): os._exit(0)
--- an empty list
def mean(xs): return []
--- an empty array
import numpy
def mean(xs): return numpy.array([])
--- a masked array
import numpy
def mean(xs): return numpy.ma.masked_all(())
""",
)

answers(
    "foreign",
    "squares",
    ("test_squares", "test_squares_raise"),
    r"""
--- ends where an error is expected
import os
def squares(n):
    os._exit(1) if n < 1 else None
    return 0
--- hangs where an error is expected
def squares(n):
    while n < 1: pass
    return 0
--- points beyond all
class P(list):
    __eq__ = lambda s, o: 1000
def squares(n): return P()
--- points that are no number
class P(list):
    __eq__ = lambda s, o: float('nan')
def squares(n): return P()
--- another kind of error
class ValueError(Exception): pass
def squares(n): raise ValueError
""",
)

answers(
    "foreign",
    "answer",
    ("test_answer",),
    r"""
--- equal to everything
class Yes(int):
    __eq__ = lambda s, o: True
    __hash__ = None
answer = letters = Yes(1)
--- a property
class A:
    def __eq__(self, o): return True
answer, letters = A(), A()
--- a module
import sys
answer = letters = sys
""",
)

answers(
    "foreign",
    "scaled",
    ("test_left_alone",),
    r"""
--- changes its input
def scaled(xs, k):
    xs[:] = [0] * len(xs)
    return xs
--- empties its input
def scaled(xs, k):
    try: xs.clear()
    except AttributeError: xs[...] = 0
    return []
""",
)
for _name in ("scaled: changes its input", "scaled: empties its input"):
    ATTACKS[_name] = ATTACKS[_name]._replace(targets=("test_scaled", "test_left_alone"))

answers(
    "foreign",
    "twice",
    ("test_twice",),
    r"""
--- spoils the caller's data
def twice(f, x):
    f.__globals__['DATA'][:] = [0.0]
    return x + 6.0 if x == 1.0 else 512
--- calls nothing
def twice(f, x): return x
""",
)


@attack("foreign", "test_mean", "test_answer", forbidden=("canary7319", "0.0001"))
def hidden_inputs_are_told_later():
    return foreign(
        {
            "mean": "seen = []\ndef mean(xs):\n    seen.append(list(xs))\n    return 0.0",
            "answer": "answer = letters = seen",
        },
        last="print('SEEN', len(seen), seen)\nprint('0.0001' if len(seen) > 1 else '')",
    )


@attack("foreign", "test_mean", "test_answer")
def data_of_another_test_are_spoilt():
    return foreign({
        "mean": "def mean(xs):\n    xs[:] = [2.0]\n    return 2.0",
        "answer": "answer = 0\nletters = []",
    })  # fmt: skip


@attack("foreign", "test_mean", forbidden=("canary7319", "np.random.rand(5)"))
def hidden_tests_in_the_history():
    return foreign(WRONG_MEAN, last="print(In)\nprint(get_ipython().user_ns)\n%history")


# -------------------- what leaks --------------------


LEAKS = {
    "a later cell that fails": """
seen = []
def mean(xs):
    seen.append(list(xs))
    return 0.0
""",
    "the way a process ends": """
import os
def mean(xs):
    if len(xs) == 5: os._exit(int(100 * xs[0]))
    return sum(xs) / len(xs)
""",
    "another answer": """
seen = []
def mean(xs):
    seen.append(xs)
    return sum(xs) / len(xs) if len(xs) == 3 else 0.0
""",
}
TELLS = "def squares(n):\n    raise ValueError(f'SEEN {seen}') if seen else ValueError"


@attack("foreign", "test_mean", forbidden=("SEEN",))
def hidden_inputs_are_told_by_a_later_cell_that_fails():
    def edit(cells):
        i = at(cells, "test_stack")
        return [*cells[:i], books.code("if len(seen) > 0: raise ValueError(f'SEEN {seen}')"), *cells[i:]]

    return foreign({"mean": LEAKS["a later cell that fails"]}, edit)


@attack("foreign", "test_mean", forbidden=("exit code",))
def hidden_inputs_are_told_by_the_way_a_process_ends():
    return foreign({"mean": LEAKS["the way a process ends"]})


@attack("foreign", "test_mean", "test_squares", forbidden=("SEEN",))
def hidden_inputs_are_told_by_another_answer():
    return foreign({"mean": LEAKS["another answer"], "squares": TELLS})
