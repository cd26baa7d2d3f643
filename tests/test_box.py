"""A student's process: what honest code may do in it, and that hostile code harms nobody but itself."""

import collections
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from enm5310.checks import Fn
from enm5310.grading import outputs, sandbox
from enm5310.grading.box import Box, Died, Limits, Oversized, Remote
from enm5310.grading.sandbox import Level
from enm5310.grading.sending import Unsendable
from tests.sampling import one_in
from tests.test_sandbox import proven

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are there on Linux only")

TIGHT = Limits(seconds=20.0, memory=2**29, output=20_000, file=2**20, disk=4 * 2**20, cpu=60.0, frame=8 * 2**20)


@pytest.fixture(scope="module")
def every():
    """A Box of each level that is asked for."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = Box(proven(name), TIGHT)
            made[name].began_with = {p.pid for p in psutil.Process(made[name].process.pid).children(recursive=True)}
        return made[name]

    yield get
    for box in made.values():
        box.close()


@pytest.fixture(params=["bubblewrap", "landlock"])
def box(request, every):
    return every(request.param)


@pytest.fixture
def best(every):
    """For what does not depend on the level: the best there is."""
    return every(next(name for name, level in sandbox.levels() if isinstance(level, Level)))


@pytest.fixture
def student(best):
    with best.student() as student:
        yield student


@pytest.fixture(scope="module")
def plain():
    """A Box without a sandbox, for what has nothing to do with it."""
    with Box(Level("none"), TIGHT) as box:
        yield box


def printed(ran):
    """All that a cell has shown as text, and its exception."""
    shown = [o["text"] if "text" in o else o.get("data", {}).get("text/plain", "") for o in ran.outputs]
    return "".join(shown) + (f"\n{ran.error}" if ran.error else "")


def outcome(student, source, seconds=10.0):
    """What a cell has printed, or how its process died."""
    try:
        return printed(student.cell(textwrap.dedent(source), seconds))
    except Died as why:
        return f"died: {why}"


# -------------------- cells --------------------


def test_a_cell_shows_what_a_notebook_shows(student):
    ran = student.cell("import sys\nprint('out')\nprint('err', file=sys.stderr)\n1 + 1")
    assert ran.error is None and ran.outputs == [
        {"output_type": "stream", "name": "stdout", "text": "out\n"},
        {"output_type": "stream", "name": "stderr", "text": "err\n"},
        {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}, "execution_count": None},
    ]
    assert student.cell("x = 3;").outputs == [] and student.cell("x").outputs[0]["data"] == {"text/plain": "3"}


def test_an_exception_is_told_with_the_students_line(student):
    ran = student.cell("x = 1\n\nimport math; math.sqrt(\n   -x)")
    assert ran.error.kind == "ValueError" and ran.error.bases[:2] == ("ValueError", "Exception")
    assert ran.error.where[0] == 3 and ran.error.where[1].startswith("import math") and str(ran.error).startswith("Val")
    (shown,) = ran.outputs
    assert shown["output_type"] == "error" and shown["ename"] == "ValueError" and "Traceback" in shown["traceback"][1]
    assert not any("\x1b" in line for line in shown["traceback"])
    ran = student.cell("def f(:\n  pass")
    assert ran.error.kind == "SyntaxError" and ran.error.where == (1, "def f(:")
    odd = "class Odd(ValueError):\n    def __str__(self): 1 / 0\nraise Odd"
    assert student.cell(odd).error.message is None and student.cell(odd).error.bases[0] == "ValueError"
    assert student.cell("raise ValueError('x' * 10**6)").error.message == "x" * 2000


HONEST = {  # source -> what is shown, or how it ends
    "exit()": "SystemExit: exit.. ends the notebook's kernel; take it out",
    "import sys; sys.exit('bye')": "SystemExit: bye",
    "quit": "SystemExit",
    "input('name? ')": "StdinNotImplementedError: input.. cannot be answered",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "!ls -la\nprint('on')": r"\[commands of the system are not run here: ls\]\non",
    "files = !ls\nprint(files)": r"not run here: ls\]\n\[\]",
    "%pip install numpy\nprint('on')": r"not run here: pip\]\non",
    "!pip install numpy\nprint('on')": r"not run here: pip\]\non",
    "%%bash\necho hi": "not run here",
    "%%sh\necho hi": "not run here",
    "import os; os.system('ls')": "",
    "%timeit -n1 -r1 None": "per loop",
    "%%time\nx = 1": "Wall time",
    "import numpy as np\nnp?\nprint('on')": "^on\n$",
    "%load_ext autoreload\n%autoreload 2\nprint('on')": "^on\n$",
    "%config InlineBackend.figure_format = 'retina'\nprint('on')": "^on\n$",
    "%pylab inline\n%matplotlib notebook\nprint('on')": "on\n$",
    "import warnings; warnings.simplefilter('error')\nprint('on')": "^on\n$",
    "import warnings; warnings.warn('careful')": "UserWarning: careful",
    "import logging; logging.warning('logged')": "WARNING:root:logged",
    "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass": "100%",
    "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')": "awaited",
    "import asyncio\nasync def f(): return 7\nasyncio.run(f())": "asyncio.run.. cannot be called|7",
    "print('\\ud800 \\0 \\x1b[2J é')": "\\? \ufffd \x1b\\[2J é",
    "from IPython.display import clear_output\nprint('a'); clear_output(); print('b')": "^b\n$",
    "from concurrent.futures import ThreadPoolExecutor as T\nprint(list(T(4).map(abs, [-1, -2])))": r"\[1, 2\]",
    "import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x'); print('on')": "on",
    "open('mine.txt', 'w').write('x'); import os; print(os.listdir())": "mine.txt",
    "import shutil; open('a', 'w').write('1'); shutil.copy('a', 'b'); shutil.copy2('a', 'c'); print('on')": "^on\n$",
    "import os; os.makedirs('a/b'); os.rename('a', 'c'); import shutil; shutil.rmtree('c'); print('on')": "^on\n$",
    "print(__name__, get_ipython().__class__.__name__)": "__main__ Shell",
    "print(input.__name__, _ if '_' in dir() else '')": "input",
    "import numpy as np\nnp.random.rand()": "0.20846",
    "import random\nprint(random.random() == random.Random(22).random())": "True",
    "from multiprocessing import Pool\nPool(2)": "Error",
    "import pickle, copy, datetime, decimal, sqlite3, uuid; print(uuid.uuid4() != 0)": "True",
}


@pytest.mark.parametrize("source", HONEST)
def test_honest_but_odd_cells_do_no_harm(student, source):
    assert re.search(HONEST[source], outcome(student, source))
    assert outcome(student, "print(6 * 7)") == "42\n"


def test_figures_are_shown_as_pictures_whatever_backend_is_asked_for(student):
    for magic in ("", "%matplotlib inline\n", "%matplotlib widget\n", "%matplotlib qt\n", "%pylab\n"):
        plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nfig = plt.figure()\nplt.plot([3, 4]);"
        ran = student.cell(magic + plot)
        pictures = [o for o in ran.outputs if "image/png" in o.get("data", {})]
        assert ran.error is None and len(pictures) == 2, magic
    ran = student.cell("plt.plot([1])\nplt.show()\nprint('after')\nprint(plt.get_backend(), plt.isinteractive())")
    assert [o["output_type"] for o in ran.outputs] == ["display_data", "stream"]
    assert ran.outputs[1]["text"] == "after\nagg False\n"
    assert student.cell("plt.get_fignums()").outputs[0]["data"]["text/plain"] == "[]"


def test_displays_of_known_types_are_kept_and_others_dropped(student):
    show = "from IPython.display import *\ndisplay(HTML('<b>x</b>'), Latex('$x$'), Markdown('*x*'), SVG('<svg></svg>'))"
    kinds = [sorted(o["data"]) for o in student.cell(show).outputs]
    assert kinds == [["text/html", "text/plain"], ["text/latex", "text/plain"], ["text/markdown", "text/plain"],
                     ["text/plain"]]  # fmt: skip
    ran = student.cell("display(Javascript('alert(1)'))\ndisplay({'application/x': 1}, raw=True)\nImage(b'no png')")
    assert "application" not in str(ran.outputs)
    handle = "h = display('a', display_id=True)\nh.update('b')"
    assert [o["data"]["text/plain"] for o in student.cell(handle).outputs] == ["'b'"]


def test_threads_that_go_on_after_a_cell_disturb_nothing(student):
    source = """
        import threading, time
        def work():
            for i in range(20): print("working", flush=True); time.sleep(0.01)
        threading.Thread(target=work).start()
        def f(x): return x + 1
    """
    student.cell(textwrap.dedent(source))
    for i in range(20):
        assert student.call("f", [i]).value == i + 1
        time.sleep(0.01)


def test_files_of_the_instructor_are_there_and_private(box):
    with box.student(files={"data.csv": b"1,2\n", "sub/helper.py": b"def two(): return 2\n"}) as student:
        assert outcome(student, "print(open('data.csv').read())") == "1,2\n\n"
        assert outcome(student, "from sub.helper import two\nprint(two())") == "2\n"
        student.cell("open('data.csv', 'w').write('mine')")
    with box.student(files={"data.csv": b"1,2\n"}) as student:
        assert outcome(student, "print(open('data.csv').read())") == "1,2\n\n"
    for name in ("/etc/x", "../x", "a/../../x", ""):
        with pytest.raises(ValueError, match="not a file of a private folder"):
            box.student(files={name: b""})


# -------------------- calls --------------------


def test_calls_take_and_give_plain_data(student):
    student.cell("def f(*args, **kwargs): return args, kwargs")
    args = (np.arange(6.0).reshape(2, 3).T, [1, (2, None)], "text", np.float32(2), {1, 2}, b"x", 1j, float("nan"))
    (back, kwargs), changed, outputs = student.call("f", args, {"k": {"a": 1}})
    assert kwargs == {"k": {"a": 1}} and changed == {} and outputs == []
    assert np.array_equal(back[0], args[0]) and back[0].flags.f_contiguous and back[1:7] == args[1:7]
    assert np.isnan(back[7])


def test_what_a_call_changed_in_place_comes_back(student):
    student.cell("def f(a, b, c, d=None):\n    a[0] = 7\n    b.append(1)\n    d['x'] = a\n    print('done')")
    reply = student.call("f", [np.zeros(2), [0], (1, 2)], {"d": {}})
    assert reply.changed.keys() == {0, 1, "d"} and reply.changed[1] == [0, 1] and list(reply.changed[0]) == [7, 0]
    assert list(reply.changed["d"]["x"]) == [7, 0] and reply.outputs[0]["text"] == "done\n"
    student.cell("def g(a, b): return a.sum() + b[0][0]")
    assert student.call("g", [np.array([np.nan, 1]), [[1.0]]]).changed == {}


def helper(x):
    return 2 * x


def test_functions_can_be_handed_over(student):
    student.cell("import autograd\ndef apply(f, *args): return f(*args)\ndef grad(f, x): return autograd.grad(f)(x)")
    scale, fn = 3.0, Fn("def f(x): return c * np.sum(x**2)", c=2.0)
    fact = lambda n: 1 if n < 2 else n * fact(n - 1)  # noqa: E731
    defaults = lambda x, y=5, *, z=6: (x, y, z)  # noqa: E731
    for f, args, out in [
        (fn, (np.arange(3.0),), 10.0), (lambda x: scale * x, (2.0,), 6.0), (lambda x: helper(np.abs(x)), (-2.0,), 4.0),
        (fact, (5,), 120), (defaults, (1,), (1, 5, 6)), (np.sin, (0.0,), 0.0), (len, ([1, 2],), 2), (max, (1, 2), 2),
        (float, ("1.5",), 1.5), (np.linalg.norm, (np.array([3.0, 4.0]),), 5.0), (os.path.basename, ("a/b",), "b"),
        (sorted, ([2, 1],), [1, 2]), (np.random.default_rng(0).normal, (), np.random.default_rng(0).normal()),
    ]:  # fmt: skip
        assert student.call("apply", [f, *args]).value == out, f
    assert list(student.call("grad", [fn, np.arange(3.0)]).value) == [0.0, 4.0, 8.0]
    student.cell("def draw(rng): return rng.normal(size=3)\ndef pi(m): return m.pi")
    student.cell("def kind(x): return type(x).__name__")
    assert list(student.call("draw", [np.random.default_rng(3)]).value) == list(np.random.default_rng(3).normal(size=3))
    assert student.call("pi", [np]).value == np.pi
    assert student.call("kind", [collections.Counter("a")]).value == "Counter"
    assert student.call("kind", [np.ma.masked_array([1.0], [True])]).value == "MaskedArray"
    with pytest.raises(Unsendable, match="a lock cannot be handed"):
        student.call("kind", [threading.Lock()])
    assert student.call("kind", [3]).value == "int"  # nothing had been sent


class Proxy:
    def __init__(self, name):
        self.name = name

    student_name = property(lambda self: self.name)


def test_a_students_own_function_is_named_not_sent(student):
    student.cell("secret = 5\ndef add(x): return x + secret\ndef apply(f, x): return f(x)")
    assert student.call("apply", [Proxy("add"), 2]).value == 7
    add = Proxy("add")
    assert student.call("apply", [lambda x: add(x) * 2, 2]).value == 14


def test_an_exception_of_a_function_is_remote(student):
    student.cell("import numpy as np\ndef f(x):\n    return np.linalg.inv(x)")
    student.cell("class Odd(KeyError): pass\ndef g(): raise Odd(1)")
    with pytest.raises(Remote) as why:
        student.call("f", [np.zeros((2, 2))])
    assert why.value.kind == "LinAlgError" and why.value.bases[0] == "ValueError"
    assert why.value.where == (3, "return np.linalg.inv(x)") and "Singular" in why.value.message
    with pytest.raises(Remote) as why:
        student.call("g")
    assert (why.value.kind, why.value.bases[0]) == ("Odd", "KeyError")
    for ask in (student.call, student.value):
        with pytest.raises(Remote, match="no_such"):
            ask("no_such")
    student.cell("class Bad(Exception):\n    def __str__(self): raise SystemExit\ndef bad(): raise Bad")
    with pytest.raises(Remote, match=r"^Bad$"):
        student.call("bad")
    student.cell("def h(): return np.zeros(10**7)")
    student.cell("def deep():\n    x = []\n    for _ in range(500): x = [x]\n    return x")
    with pytest.raises(Oversized, match="80 MB"):
        student.call("h")
    with pytest.raises(Remote, match="RecursionError"):
        student.call("deep")
    student.cell("def big(): return np.broadcast_to(0.0, (10**5, 10**5))\ndef bad():\n    raise SystemExit")
    with pytest.raises(Oversized, match="more than 20,000,000 numbers"):
        student.call("big")
    with pytest.raises(Remote, match="SystemExit"):
        student.call("bad")


def test_warnings_of_a_call_are_told_whatever_the_filters_say(student):
    student.cell("import warnings, numpy as np\nwarnings.simplefilter('error')\nnp.seterr(all='raise')")
    student.cell("def f(x):\n    print('here')\n    warnings.warn('careful')\n    return np.float64(1) / x")
    reply = student.call("f", [0.0])
    assert reply.value == np.inf and [o["text"] for o in reply.outputs] == [
        "UserWarning: careful\nRuntimeWarning: divide by zero encountered in scalar divide\n", "here\n",
    ]  # fmt: skip


def test_what_a_cell_changes_about_the_shell_does_not_reach_the_next(student):
    student.cell("get_ipython().input_transformers_post.append(lambda lines: ['1 / 0'])")
    student.cell("get_ipython().ast_transformers.append(3)")
    student.cell("get_ipython().events.register('pre_run_cell', lambda *a: print('mine'))")
    assert outcome(student, "print('on')") == "on\n"


def test_names_are_told_by_what_they_stand_for(student):
    student.cell("import numpy as np, functools\nclass C: pass\ndef f(): pass\np = functools.partial(f)")
    student.cell("x = np.eye(2)\ny = 3")
    kinds = {"f": "function", "C": "class", "x": "data", "y": "data", "np": "module", "p": "function", "no": None}
    assert student.defined(kinds) == kinds
    assert student.types(["f", "x", "y", "no"]) == {"f": "function", "x": "ndarray", "y": "int", "no": None}
    assert np.array_equal(student.value("x"), np.eye(2))


def test_a_call_is_quick(plain):
    with plain.student() as student:
        student.cell("def f(x): return x")
        begun = time.perf_counter()
        for _ in range(100):
            student.call("f", [np.zeros((10, 10))])
        assert (time.perf_counter() - begun) / 100 < 0.01


# -------------------- the answer key --------------------

KEY = {"enm5310.pca.fit": "1.3", "enm5310.ppca.loglik": "1.9"}



ROUTES = {  # to an answer that the notebook asks for
    "module": "import enm5310.pca\nfit = enm5310.pca.fit",
    "name": "from enm5310.pca import fit",
    "package": "from enm5310 import pca\nfit = pca.fit",
    "another module": "import enm5310.pca_large, enm5310.pca\nfit = enm5310.pca.fit",
    "reload": "import importlib, enm5310.pca as p\nimportlib.reload(p)\nfit = p.fit",
    "by its file": "import importlib.util as u, enm5310.pca as p\ns = u.spec_from_file_location('x', p.__file__)\n"
                   "m = u.module_from_spec(s); s.loader.exec_module(m)\nfit = m.fit",
    "by its finder": "from importlib.machinery import PathFinder\nimport enm5310, types\n"
                     "m = types.ModuleType('enm5310.pca')\n"
                     "PathFinder.find_spec('enm5310.pca', enm5310.__path__).loader.exec_module(m)\nfit = m.fit",
    "by its code": "import enm5310.pca as p\nns = {'__name__': 'x'}\n"
                   "exec(p.__spec__.loader.get_code('enm5310.pca'), ns)\nfit = ns['fit']",
    "runpy": "import runpy, enm5310.pca as p\nfit = runpy.run_path(p.__file__)['fit']",
    "run": "import enm5310.pca as p\n%run {p.__file__}",
    "its text": "import enm5310.pca as p\nns = {}\nexec(open(p.__file__).read(), ns)\nfit = ns['fit']",
    "its path": "import sys, enm5310\nsys.path.insert(0, enm5310.__path__[0])\nfrom pca import fit",
    "a copy": "import shutil as s, enm5310\n"
              "s.copytree(enm5310.__path__[0], 'mine', ignore=s.ignore_patterns('*.npz'))\nfrom mine.pca import fit",
    "without finders": "import sys\nfrom importlib.machinery import *\n"
                       "sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]\nfrom enm5310.pca import fit",
    "finders cleared": "import sys\nsys.meta_path[0].masks.clear()\nfrom enm5310.pca import fit",
    "patched builtins": "import builtins\nbuiltins.setattr = lambda *a: None\n"
                        "from enm5310.pca import fit",
    "what is in memory": "import gc, types, enm5310.pca\n"
                         "fit = [f for f in gc.get_objects() if type(f) is types.FunctionType\n"
                         "       and f.__module__ == 'enm5310.pca' and f.__name__ == 'fit'][0]",
    "compiled": "import glob, enm5310, marshal\n"
                "file, = glob.glob(enm5310.__path__[0] + '/__pycache__/pca.*.pyc') or [None]\n"
                "ns = {}\nexec(marshal.loads(open(file, 'rb').read()[16:]), ns)\nfit = ns['fit']",
}  # fmt: skip


@pytest.mark.parametrize("name", one_in(8, ROUTES))
def test_no_route_leads_to_a_masked_answer(box, name):
    use = "\nimport numpy as np\nprint('ANSWER', fit(np.eye(3), 1))"
    with box.student(masks=KEY) as student:
        assert "ANSWER" not in outcome(student, ROUTES[name] + use)
    with box.student() as student:  # which is a route where nothing is masked
        if name not in ("without finders", "finders cleared", "compiled"):
            assert "ANSWER" in outcome(student, ROUTES[name] + use)


def test_masked_answers_refuse_and_the_rest_of_the_library_is_there(box):
    with box.student(masks=KEY) as student:
        refused = "PermissionError: 1.3 asks you to write this; enm5310.pca.fit is not there while it is graded"
        assert refused in outcome(student, "import enm5310.pca\nenm5310.pca.fit(1, 2)")
        assert outcome(student, "from enm5310 import pca\nprint(pca.encode.__name__)") == "encode\n"
        assert outcome(student, "from enm5310 import datasets, plots; print(plots.__name__)") == "enm5310.plots\n"
        assert "No module named" in outcome(student, "import enm5310.grading")
        seen = outcome(student, "import enm5310, os; print(sorted(os.listdir(enm5310.__path__[0])))")
        assert "pca.py" in seen and not re.search("checks|grading|practice|_course|__pycache__", seen)
    with box.student(masks={"enm5310.pca.encode": "1.4"}) as student:
        assert "1.4 asks you" in outcome(student, "from enm5310.pca import encode, fit\nencode(1, 2, 3)")
        assert outcome(student, "print(len(fit(__import__('numpy').eye(3), 1)))") == "3\n"
    with box.student() as student:
        assert outcome(student, "import enm5310.pca\nprint(enm5310.pca.fit.__module__)") == "enm5310.pca\n"


def test_at_level_none_answers_are_masked_by_name(plain):
    with plain.student(masks=KEY) as student:
        for route in ("module", "name", "package", "another module", "reload"):
            told = outcome(student, ROUTES[route] + "\nfit(1)")
            assert "PermissionError: 1.3 asks you to write this" in told, route


def test_checks_do_nothing_in_a_graded_notebook(box):
    with box.student(masks={}) as student:
        ran = student.cell(
            "from enm5310.checks import part1 as check, CheckFailed\nimport enm5310.checks.part2\n"
            "def center(X): return X\ncheck.center(center)"
        )
        assert ran.error is None and ran.outputs == []
        more = """
            report = check.center(center, seed=3)
            assert report.points >= 0 and not report.state and str(report) == "" and list(report) == []
            try: raise CheckFailed("x")
            except AssertionError: print("caught")
            with check.anything.at_all(): check.hint()
        """
        assert outcome(student, more) == "caught\n"


# -------------------- limits --------------------


def test_what_does_not_end_is_ended(student):
    begun = time.monotonic()
    assert outcome(student, "while True: pass", 0.5) == "died: did not finish within 0.5 s"
    assert time.monotonic() - begun < 3
    for again in (lambda: student.cell("1"), lambda: student.call("f"), lambda: student.value("x")):
        with pytest.raises(Died, match=r"did not finish within 0\.5 s"):
            again()


def test_memory_is_limited_and_named(box):
    with box.student() as student:
        told = outcome(student, "import numpy as np\nnp.ones(10**8)")
        assert re.search(r"MemoryError: Unable to allocate 763. MiB.* \(a notebook may use 0.5 GiB\)", told)
        assert "MemoryError: out of memory (a notebook may use 0.5 GiB)" in outcome(student, "x = bytearray(2**30)")
        assert outcome(student, "print('on')") == "on\n"


@pytest.mark.slow
def test_processor_time_is_limited_and_named(plain):
    level = Level("none")
    with Box(level, TIGHT._replace(cpu=1.0)) as box, box.student() as student:
        assert outcome(student, "while True: pass") == "died: used more than 1 s of processor time"
        stubborn = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    with Box(level, TIGHT._replace(cpu=1.0)) as box, box.student() as student:
        assert outcome(student, stubborn, 20.0) == "died: used more than 1 s of processor time"


@pytest.mark.parametrize("flood", ["print('x' * 10**7)", "while True: print('flood' * 100)"])
def test_output_is_cut_and_said(student, flood):
    told = outcome(student, f"import time\nend = time.time() + 1\n{flood.replace('True', 'time.time() < end')}")
    assert len(told) < 30_000 and told.endswith("... output truncated\n")
    ran = student.cell("from IPython.display import display\nfor _ in range(10_000): display(1)")
    assert len(ran.outputs) <= 510


# -------------------- attacks --------------------

FIND = """
import ctypes, gc, json, os, resource, signal, socket, stat, struct, sys, threading, time
def is_socket(fd):
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
FD = next(fd for fd in range(3, 300) if is_socket(fd))
libc = ctypes.CDLL(None, use_errno=True)
def syscall(*args):
    print(libc.syscall(*args), os.strerror(ctypes.get_errno()))
def by_number(x86, arm, *args):
    syscall(x86 if os.uname().machine == "x86_64" else arm, *args)
def frame(header, *blobs):
    header = json.dumps({"body": header, "blobs": [len(b) for b in blobs]}).encode()
    body = struct.pack("<I", len(header)) + header + b"".join(blobs)
    return struct.pack("<I", len(body)) + body
def label():
    f = sys._getframe()
    while not isinstance(f.f_locals.get("label"), dict): f = f.f_back
    return f.f_locals["label"]
def reply(value, nonce, number):
    answer = [["nonce", {"bytes": 0}], ["number", number], ["value", value], ["error", None], ["outputs", []]]
    return frame({"dict": answer}, nonce)
"""

PROTOCOL = "died: broke the protocol"
ANY = ""  # what becomes of the attacker is its own affair
ENDLESS = "died: did not finish within"
BARRED = "-1 Operation not permitted"
TOO_MUCH = "MemoryError|died: used more than 0.5 GiB"
FULL = "No space left|died: wrote more than 4 MiB of files"
REFUSED = "Error: .*(not permitted|Permission denied|Read-only|No such file|unavailable|not supported)"
CHANNEL = {
    "forged reply": ("os.write(FD, reply(1, b'x' * 16, 1))", PROTOCOL),
    "reply with the right number": ("l = label(); os.write(FD, reply(42, b'x' * 16, l['number']))", PROTOCOL),
    "reply with its own nonce": ("l = label(); os.write(FD, reply(42, l['nonce'], l['number']))", PROTOCOL),
    "reply to the next question": ("l = label(); os.write(FD, reply(42, l['nonce'], l['number'] + 1))", PROTOCOL),
    "two replies": ("l = label(); os.write(FD, 2 * reply(42, l['nonce'], l['number']))", PROTOCOL),
    "oversized frame": ("os.write(FD, struct.pack('<I', 2**31) + b'x')", PROTOCOL + ": a frame of 2147483648 bytes"),
    "empty frame": ("os.write(FD, struct.pack('<I', 0))", PROTOCOL + ": a frame of 0 bytes"),
    "garbage": ("os.write(FD, b'\\xfe' * 10_000)", PROTOCOL),
    "pickle": ("os.write(FD, frame({'extra': {'tuple': ['pickle', {'bytes': 0}]}}, b'cos\\nabort\\n(tR.'))", PROTOCOL),
    "half a frame": ("os.write(FD, struct.pack('<I', 10**6) + b'x'); time.sleep(60)", ENDLESS),
    "closed channel": ("os.close(FD)", r"died: (ended its process|closed its channel)"),
    "channel shut down": ("socket.socket(fileno=os.dup(FD)).shutdown(2)", "died: "),
    "channel replaced": ("os.dup2(os.open('/dev/null', os.O_RDWR), FD)", "died: "),
    "channel swapped for a pair": ("a, b = socket.socketpair(); os.dup2(a.fileno(), FD); keep = b", "died: "),
    "descriptors handed over": (
        "s = socket.socket(fileno=os.dup(FD)); socket.send_fds(s, [b'xxxx'], [0, 1, 2])", REFUSED),
    "a thread that speaks later": (
        "threading.Thread(target=lambda: (time.sleep(0.05), os.write(FD, b'x' * 50))).start()", ANY),
    "a thread that reads requests": ("threading.Thread(target=lambda: os.read(FD, 10**6)).start()", ANY),
    "other descriptors": (
        "def is_open(fd):\n    try: return bool(os.fstat(fd))\n    except OSError: return False\n"
        "print([fd for fd in range(3, 2000) if fd != FD and is_open(fd)])", r"^\[\]"),
    "patched wire": ("import inside.wire; inside.wire.pack = lambda *a, **k: b'\\x05\\0\\0\\0hello'", PROTOCOL),
    "patched outputs": (
        "import inside.shell; inside.shell.Outputs.taken = lambda self: [{'output_type': 'evil'}]", PROTOCOL),
    "outputs of the wrong types": (
        "import inside.shell; inside.shell.Outputs.taken = lambda self: "
        "[{'output_type': 'stream', 'name': 'stdout', 'text': 3}]", PROTOCOL),
    "an output with more to it": (
        "import inside.shell; inside.shell.Outputs.taken = lambda self: "
        "[{'output_type': 'display_data', 'data': {}, 'metadata': {}, 'id': 'x'}]", PROTOCOL),
    "patched json": ("json.dumps = json.loads = lambda *a, **k: {}", ANY),
    "patched struct and socket": ("struct.pack = None; socket.socket.send = None; os.write = None", ANY),
    "patched numpy": ("import numpy\nnumpy.ndarray = int; numpy.array = None", ANY),
    "the child's own objects": (
        "for o in gc.get_objects():\n    if type(o).__name__ == 'Child': o.channel = None; o.shell = None", ANY),
    "settrace": ("def t(*a):\n    raise ValueError\nsys.settrace(t)\ndef g(): pass\ng()", "ValueError"),
    "setprofile": ("sys.setprofile(lambda *a: os._exit(4))", "died: ended its process .exit code 4"),
}  # fmt: skip
ATTACKS = {
    # ending, hanging
    "os._exit": ("os._exit(0)", r"died: ended its process \(exit code 0\)"),
    "abort": ("os.abort()", r"died: crashed its process \(SIGABRT\)"),
    "SIGKILL to itself": ("os.kill(os.getpid(), 9)", r"died: crashed its process \(SIGKILL"),
    "SIGSTOP to itself": ("os.kill(os.getpid(), signal.SIGSTOP)", ENDLESS),
    "SIGKILL to its parent": ("os.kill(os.getppid() or 1, 9)", REFUSED),
    "SIGKILL to all": ("os.kill(-1, 9)", REFUSED),
    "SIGKILL to its group": ("os.killpg(0, 9)", REFUSED),
    "SIGSTOP to its guard": ("os.kill(os.getppid() or 1, signal.SIGSTOP)", REFUSED),
    "outliving its guard": ("by_number(157, 167, 1, 0)", BARRED),
    "no signal is heard": (
        "for s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nwhile True:\n"
        "    try:\n        while True: pass\n    except BaseException: pass", ENDLESS),
    "a loop in C": ("import itertools, collections; collections.deque(itertools.repeat(0), maxlen=0)", ENDLESS),
    "an alarm in the server": (
        "def f(*a): raise ValueError\nsignal.signal(signal.SIGALRM, f); signal.setitimer(signal.ITIMER_REAL, .05, .01)",
        ANY),
    "exit handlers": ("import atexit; atexit.register(time.sleep, 100); sys.exit()", "SystemExit"),
    "finalisers": ("class X:\n    def __del__(self):\n        while True: pass\nx = X()", "on"),
    "segfault": ("ctypes.string_at(0)", "died: crashed its process .SIGSEGV"),
    "deep recursion": (
        "sys.setrecursionlimit(10**9)\ndef f(_): return max([0], key=f)\nf(0)", "died: |RecursionError|MemoryError"),
    "an exception that hangs": (
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E", ENDLESS),
    # taking too much
    "memory in a list": ("x = []\nwhile True: x.append(bytearray(2**20))", TOO_MUCH),
    "memory in C": ("import numpy\n[numpy.ones(2**20) for _ in range(1000)]", TOO_MUCH),
    "memory that no limit counts": ("os.memfd_create('x')", REFUSED),
    "shared memory": ("by_number(29, 194, 0, 2**30, 0o1600)", BARRED),
    "higher limits": ("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "Error: not allowed to raise|not permitted"),
    "a fork bomb": ("while True: os.fork()", REFUSED),
    "processes by subprocess": ("import subprocess; subprocess.run(['ls'])", REFUSED),
    "processes by posix_spawn": ("os.posix_spawn('/bin/ls', ['ls'], {})", REFUSED),
    "processes by multiprocessing": ("import multiprocessing; multiprocessing.Process(target=print).start()", REFUSED),
    "vfork, by its number": ("by_number(58, 1071)", "-1 "),
    "fork by x32": ("syscall(0x40000000 | 57)", "-1 Function not implemented"),
    "exec": ("os.execv('/bin/ls', ['ls'])", REFUSED),
    "a thread bomb": (
        "threading.stack_size(32768)\nn = 0\ntry:\n    while n < 20_000:\n"
        "        threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\n"
        "except (RuntimeError, MemoryError): print('stopped at', n)", "stopped at (20|1|[1-9])"),
    "a large file": ("f = open('big', 'wb')\nfor _ in range(100): f.write(bytes(2**20))", "File too large|died: "),
    "many files": (
        "for i in range(10_000): open(f'f{i}', 'wb').write(bytes(50_000))\ntime.sleep(5)",
        FULL),
    "many small files": (
        "for i in range(100_000): open(f'f{i}', 'w')\ntime.sleep(5)", FULL),
    "many open files": ("keep = [open('/dev/null') for _ in range(10_000)]", "Too many open files"),
    "a flood of displays": (
        "from IPython.display import display, HTML\nfor _ in range(3000): display(HTML('x' * 10_000))", ANY),
    # looking around
    "memory of its own process": ("open('/proc/self/mem', 'r+b').seek(0)", REFUSED + ANY),
    "memory of its guard": ("open(f'/proc/{os.getppid() or 1}/mem', 'rb').read(1)", REFUSED),
    "environment of its guard": ("print(open(f'/proc/{os.getppid() or 1}/environ', 'rb').read())", REFUSED),
    "root of another process": ("print(os.listdir('/proc/1/root/'))", REFUSED),
    "trace its guard": ("by_number(101, 117, 16, os.getppid() or 1, 0, 0)", BARRED),
    "namespaces": ("by_number(272, 97, 0x10000000)", BARRED),
    "mounts": ("print(libc.mount(b'x', b'/student', b'tmpfs', 0, None), os.strerror(ctypes.get_errno()))", BARRED),
    "io_uring": ("syscall(425, 1, ctypes.create_string_buffer(200))", BARRED),
    "keys": ("by_number(250, 219, 0, -3, 0)", BARRED),
    "an internet socket": ("socket.socket()", REFUSED),
    "a raw socket": ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", REFUSED),
    "a netlink socket": ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", REFUSED),
    "a name server": ("socket.getaddrinfo('example.org', 80)", "gaierror|Error"),
    "a web page": ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')", "URLError|Error"),
    "links out": ("os.symlink('/etc', 'e'); print(os.listdir('e')); open('e/passwd').read()", "Error"),
    "hard links": ("os.link(sys.executable, 'python')", REFUSED + "|cross-device"),
    "up and out": ("open('../../../../etc/passwd').read()", REFUSED),
    "the interpreter's files": ("open(os.__file__, 'a').write('x')", REFUSED),
    "the package's files": ("import enm5310; open(enm5310.__file__, 'a').write('x')", REFUSED),
    "attributes of others' files": ("os.chmod(os.__file__, 0o777); os.utime(os.__file__, (0, 0))", ANY),
    "attributes through a descriptor": ("os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o777)", ANY),
    "another length of others' files": ("os.truncate(os.__file__, 0)", REFUSED),
    "a priority of others": ("os.setpriority(os.PRIO_USER, 0, 19)", REFUSED),
    "a limit of others": ("resource.prlimit(os.getppid() or 1, resource.RLIMIT_CPU, (0, 0))", REFUSED),
    "signals by a descriptor": ("import fcntl; fcntl.fcntl(FD, fcntl.F_SETOWN, os.getppid() or 1)", REFUSED),
    "descriptors in flight": (
        "a, b = socket.socketpair()\nkeep = [socket.send_fds(a, [b'x'], [FD] * 100) for _ in range(3)]", REFUSED),
    "a lease": ("import fcntl; fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), 1024, fcntl.F_WRLCK)", REFUSED),
    "locks that tell": (
        "import fcntl\nf = open(os.__file__)\nfcntl.flock(f, fcntl.LOCK_SH); fcntl.lockf(f, fcntl.LOCK_SH, 1, 77)\n"
        "fcntl.fcntl(f, fcntl.F_GETLK, bytes(32))", REFUSED),
    "the root folder": ("print(os.listdir('/student'), os.getcwd()); os.mkdir('/x')", "Error"),
}  # fmt: skip


@pytest.mark.parametrize("name", one_in(18, CHANNEL))
def test_an_attack_on_the_protocol_harms_nobody_else(best, name):
    attack(best, *CHANNEL[name])


@pytest.mark.parametrize("name", one_in(32, ATTACKS))
def test_an_attack_harms_nobody_else(box, name):
    attack(box, *ATTACKS[name])


def attack(box, source, expected):
    zygote, mine, library = box.process.pid, len(os.listdir("/proc/self/fd")), os.stat(os.__file__)
    with box.student() as victim:
        victim.cell("secret = 'of the victim'\nopen('mine', 'w').write(secret)")
        with box.student() as student:
            assert student.cell(FIND).error is None
            told = outcome(student, source, 1.0 if expected == ENDLESS else 15.0)
            told += outcome(student, "print('on')", 3.0)
            assert re.search(expected, told), told
            assert "of the victim" not in told
        assert outcome(victim, "print(secret, open('mine').read())") == "of the victim of the victim\n"
    with box.student() as student:
        assert outcome(student, "import os\nprint(6 * 7, os.listdir())") == "42 ['.tmp']\n"
    assert box.process.pid == zygote and box.alive
    now = os.stat(os.__file__)
    assert (now.st_mode, now.st_size, now.st_mtime) == (library.st_mode, library.st_size, library.st_mtime)
    assert left_over(box) == [] and len(os.listdir("/proc/self/fd")) == mine


def left_over(box):
    """Processes of a box beyond those that it began with, after some time to end."""
    for _ in range(200):
        family = psutil.Process(box.process.pid).children(recursive=True)
        left = [p for p in family if p.pid not in box.began_with]
        if not left:
            break
        time.sleep(0.02)
    return left


# -------------------- across students --------------------


def test_nothing_is_left_for_the_next_student(box):
    leave = """
        import os
        for folder in ("/tmp", "/dev/shm", "/student", "/dev", "/run", "/var/tmp", "/tmp/zygote", os.environ["HOME"],
                       os.environ["TMPDIR"], os.environ["MPLCONFIGDIR"], os.path.dirname(os.getcwd())):
            try: open(f"{folder}/left-by-a-student", "w").write("x")
            except OSError: pass
    """
    look = """
        import os
        places = ("/tmp", "/dev/shm", "/student", "/dev", "/run", "/var/tmp", os.environ["HOME"], os.environ["TMPDIR"],
                  os.environ["MPLCONFIGDIR"], os.path.dirname(os.getcwd()))
        print([p for p in places if os.path.exists(f"{p}/left-by-a-student")])
    """
    with box.student() as first, box.student() as second:
        first.cell(textwrap.dedent(leave))
        assert outcome(second, look) == "[]\n"
    with box.student() as third:
        assert outcome(third, look) == "[]\n"


def test_the_names_of_one_student_are_not_the_others(box):
    with box.student() as student:
        student.cell("import numpy\nnumpy.mean = lambda x: 42\nimport builtins; builtins.print = None\nx = 1")
    with box.student() as student:
        assert outcome(student, "import numpy\nprint(numpy.mean([1, 2]), 'x' in globals())") == "1.5 False\n"


def test_links_in_a_private_folder_are_not_followed_when_it_goes(tmp_path):
    (tmp_path / "precious").write_text("x")
    with Box(Level("none"), TIGHT) as box:
        with box.student() as student:
            student.cell(f"import os; os.symlink({str(tmp_path)!r}, 'link')")
        assert (tmp_path / "precious").read_text() == "x"


def test_what_the_code_has_started_ends_with_it(plain, tmp_path):
    start = f"""
        import subprocess, sys
        code = "import os, signal, time; os.setsid(); signal.signal(15, signal.SIG_IGN); time.sleep(100)"
        open({str(tmp_path / "pid")!r}, "w").write(str(subprocess.Popen([sys.executable, "-c", code]).pid));
    """
    with plain.student() as student:
        assert outcome(student, start) == ""
        started = psutil.Process(int((tmp_path / "pid").read_text()))
    psutil.wait_procs([started], timeout=5)
    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


def test_the_kernel_takes_students_before_anybody_else(box):
    with box.student():
        family = psutil.Process(box.process.pid).children(recursive=True)
        students = [p.pid for p in family if p.pid not in box.began_with]
        scores = [Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in students]
    assert len(scores) >= 2 and set(scores) == {"1000\n"}


def test_how_much_memory_a_student_used_is_known_afterwards(best):
    with best.student() as student:
        student.cell("x = b'x' * 100_000_000")
    assert 100e6 < student.memory < 400e6


# -------------------- the zygote and its owner --------------------


def test_a_box_starts_itself_anew(box):
    before = box.process.pid
    with box.student() as student:
        os.kill(box.process.pid, signal.SIGKILL)
        box.process.wait()
        assert not box.alive
        with pytest.raises(Died):
            for _ in range(100):
                student.cell("import time; time.sleep(0.1)", seconds=5)  # the kernel takes a moment
    with box.student() as student:
        assert box.alive and box.process.pid != before and outcome(student, "print(1)") == "1\n"


@pytest.mark.parametrize("name", one_in(3, ["bubblewrap", "landlock", "none"]))
def test_everything_ends_with_its_owner(name, tmp_path):
    level = name if name == "none" else proven(name).name
    script = f"""
        import sys, threading, time
        from enm5310.grading import box, sandbox
        b = box.Box(sandbox.Level({level!r}))
        s = b.student()
        threading.Thread(target=lambda: s.cell("while True: pass"), daemon=True).start()
        time.sleep(0.5)
        print(b.process.pid, flush=True)
        time.sleep(100)
    """
    command, env = [sys.executable, "-c", textwrap.dedent(script)], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as owner:
        zygote = psutil.Process(int(owner.stdout.readline()))
        family = [zygote, *zygote.children(recursive=True)]
        assert len(family) >= 3
        owner.kill()
        owner.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert all(p.name.startswith(f"enm5310-box-{owner.pid}-") for p in tmp_path.iterdir())


def test_the_outputs_are_checked_on_this_side():
    stream = {"output_type": "stream", "name": "stdout", "text": "x"}
    data = {"output_type": "display_data", "data": {"text/plain": "x", "text/x-evil": "y"}, "metadata": {}}
    assert outputs.rebuilt([stream, data], 100) == [stream, {**data, "data": {"text/plain": "x"}}]
    for picture in ("%%%", "aGk=", "", 3, "iVBORw0KGgo=\n", None):
        assert outputs.rebuilt([{**data, "data": {"image/png": picture}}], 100)[0]["data"] == {}
    assert outputs.rebuilt([{**data, "data": {"image/png": "iVBORw0KGgo="}}], 100)[0]["data"] != {}
    for bad in (
        None, {}, [1], [{}], [{**stream, "name": "stdin"}], [{**stream, "more": 1}], [{**data, "data": []}],
        [{**data, "data": {"text/plain": 1}}], [stream] * 1001,
        [{**stream, "text": "x" * 10**6}], [{"output_type": "error", "ename": "x", "evalue": "", "traceback": "x"}],
        [{**data, "output_type": "update_display_data"}],
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"output|stream|text|traceback"):
            outputs.rebuilt(bad, 100)
