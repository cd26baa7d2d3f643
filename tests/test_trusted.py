"""Tests run in the trusted process: what they need, what stands for the student's functions, what becomes a verdict."""

import ast
import contextlib
import decimal
import fractions
import io
import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from enm5310.checks import engine as checks
from enm5310.grading import engine, isolated, masters, names, proxies, serving
from enm5310.grading.box import Limits, Oversized, Remote, Reply
from enm5310.grading.clock import Clock, OutOfTime
from enm5310.grading.inside import effigies, wire
from enm5310.practice import Problem
from tests.grading import books, double

# -------------------- names --------------------

BINDS = {  # source: (what it binds, what it reads)
    "x = 1": ("x", ""),
    "x = y = z + 1": ("x y", "z"),
    "x += y": ("x", "x y"),
    "x[0] = y": ("x", "x y"),
    "x.a.b = y": ("x", "x y"),
    "(a, *b), c.d = e": ("a b c", "c e"),
    "import a.b, c as d": ("a d", ""),
    "from m import p as q, r": ("q r", ""),
    "def f(a, b=c):\n    d = a + g\n    return d": ("f", "c g"),
    "class A(B):\n    x = y\n    def f(self): return z": ("A", "B y z"),
    "for i in xs:\n    t = i + u": ("i t", "i xs u"),
    "with a as b, c: d": ("b", "a c d"),
    "try:\n    a\nexcept E as e:\n    b = 1": ("b e", "a E"),
    "[x for x in xs if y]": ("", "xs y"),
    "[w := x for x in xs]": ("w", "xs"),
    "lambda a: a + b": ("", "b"),
    "def f():\n    global g\n    g = 1": ("f g", ""),
    "del a": ("a", ""),
    "match a:\n    case [b, *c]: pass": ("b c", "a"),
    "if (n := f()) > 1: pass": ("n", "f n"),
}


@pytest.mark.parametrize("source", BINDS)
def test_what_a_statement_binds_and_reads(source):
    binds, needs = (set(words.split()) for words in BINDS[source])
    (statement,) = names.statements(source)
    assert set(statement.binds) == binds
    assert set(statement.needs) - binds == needs - binds


def test_magics_are_left_out_and_line_numbers_kept():
    source = "%matplotlib inline\nx = 1\n!ls\nif x:\n    %time f()\nnp.cov?\ny = 2"
    assert [s.node.lineno for s in names.statements(source)] == [1, 2, 3, 4, 6, 7]
    assert names.bound(source) == {"x", "y"}
    assert names.statements("%%bash\nls") == () == names.statements("def (")
    assert names.needed("x = y\nfor i in x:\n    z = i") == {"y"}


def sliced(written):
    master = masters.read(json.dumps(books.source_book(written)).encode())
    (test,) = [cell for cell in master.cells if cell.role == "test" and cell.name == "it"]
    needs = [names.statements(master.cells[n].source)[at].node for n, at, _ in test.needs]
    return set(test.remote), [ast.unparse(node) for node in needs], [guard for *_, guard in test.needs]


def test_a_test_gets_what_it_needs_and_no_more():
    written = """
--- locked setup
import numpy as np, os
import random
np.random.seed(3)
random.seed(4)
BASE = np.arange(3)
DATA = BASE + 1
DATA[0] = 7
other = 9
def nearly(a, b): return abs(a - b) < LIMIT
LIMIT = 1e-9
print(DATA)
--- solution f
import math as m
def f(x): return x
def unused(x): return x
--- test first 1
mine = f(DATA)
assert mine is None
--- test it 1
assert nearly(f(DATA), m.pi) and mine
"""
    remote, needs, guards = sliced(written)
    assert remote == {"f"}
    assert needs == [
        "import numpy as np, os", "np.random.seed(3)", "BASE = np.arange(3)", "DATA = BASE + 1", "DATA[0] = 7",
        "def nearly(a, b):\n    return abs(a - b) < LIMIT", "LIMIT = 1e-09", "import math as m", "mine = f(DATA)",
    ]  # fmt: skip
    assert [guard for guard in guards if guard] == [("m",)]


def test_the_last_to_bind_a_name_decides_whose_it_is():
    written = "--- locked a\nx = 1\n--- solution b\nx = 2\ny = 3\n--- locked c\ny = 4\n--- test it 1\nassert x + y + z"
    remote, needs, _ = sliced(written)
    assert remote == {"x", "z"} and needs == ["x = 1", "y = 4"]


# -------------------- exceptions --------------------


class Own(ValueError):
    """An exception that the instructor's notebook defines."""


@pytest.mark.parametrize(
    "kind, bases, message, caught, exact",
    [
        ("ValueError", ("ValueError", "Exception"), "bad", ValueError, True),
        ("NotImplementedError", ("NotImplementedError", "RuntimeError"), "", NotImplementedError, True),
        ("StdinNotImplementedError", ("NotImplementedError", "RuntimeError"), "no", NotImplementedError, False),
        ("KeyError", ("KeyError", "LookupError"), "'a'", KeyError, False),
        ("UnicodeDecodeError", ("UnicodeDecodeError", "ValueError"), "what", UnicodeDecodeError, False),
        ("LinAlgError", ("ValueError", "Exception"), "Singular matrix", np.linalg.LinAlgError, False),
        ("Own", ("ValueError", "Exception"), "mine", Own, False),
        ("Odd", ("ZeroDivisionError", "ArithmeticError"), "odd", ZeroDivisionError, False),
        ("Nothing", (), "odd", Exception, False),
        ("print", ("print", "len", "Exception"), "odd", Exception, False),
        ("KeyboardInterrupt", ("KeyboardInterrupt", "BaseException"), "", KeyboardInterrupt, True),
    ],
)  # fmt: skip
def test_an_exception_comes_again_as_the_class_a_test_looks_for(kind, bases, message, caught, exact):
    made = proxies.again(Remote(kind, bases, message, (3, "raise it")), "f", {"Own": Own, "x": 3})
    with pytest.raises(caught) as why:
        raise made
    assert (type(why.value) is caught) == exact and type(why.value).__name__ == kind
    assert str(why.value) == message
    words = checks._in_words(why.value)
    assert words == f"{kind}" + f": {message}" * bool(message) + " (line 3: `raise it`)"


def test_words_that_fail_are_left_out():
    made = proxies.again(Remote("Odd", ("Exception",), None, None), "f", {})
    assert checks._in_words(made) == "Odd"


def test_only_a_line_that_came_from_another_process_is_told():
    class Liar(Exception):
        student_line = "not a line"

    try:
        raise Liar("x")
    except Liar as why:
        assert checks._in_words(why).startswith("Liar: x (line ")


def test_a_proxy_refuses_what_is_too_large_in_the_words_of_the_checks():
    def ask(*call):
        raise Oversized("Oversized", (), "more than 20,000,000 numbers", None)

    f = proxies.Proxy("f", ask, lambda *key: True, {})
    assert callable(f) and f.__name__ == "f" and repr(f) == "<function f>"
    with pytest.raises(checks.Wrong, match="more than 20,000,000 numbers"):
        f(1)


# -------------------- changes in place --------------------


def test_a_call_changes_the_arguments_that_it_may():
    reply = Reply(7, {0: [3], "b": {"x": 1}, "c": [9], 5: [1]}, [{"output_type": "stream", "text": "hm"}])
    f = proxies.Proxy("f", lambda *call: reply, lambda name, key: key != "c", {})
    a, b, c = [1, 2], {}, [4]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert f(a, b=b, c=c) == 7
    assert (a, b, c, printed.getvalue()) == ([3], {"x": 1}, [4], "hm")


WRITES = [
    ([1, 2], [3], [3]), ([1, [2]], [1, [3]], [1, [3]]), ({"a": 1}, {"b": [2]}, {"b": [2]}), ({1, 2}, {3}, {3}),
    (([1], 2), ([5], 9), ([5], 2)), ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}), ([1], (2,), [1]),
    ({"a": 1}, [2], {"a": 1}), (3, 4, 3), ("a", "b", "a"), ([1], None, [1]),
]  # fmt: skip


@pytest.mark.parametrize("given, new, after", WRITES)
def test_changes_are_written_back_where_the_types_agree(given, new, after):
    inner = given[1] if isinstance(given, list) and len(given) > 1 else None
    proxies.write_back(given, new)
    assert given == after and (inner is None or not isinstance(inner, list) or given[1] is inner)


def test_changes_of_arrays_are_written_back():
    X = np.zeros((2, 3))
    view = X[0]
    proxies.write_back(X, np.ones((2, 3)))
    assert view.sum() == 3
    proxies.write_back(X, np.ones((2, 3), dtype=int) * 5)  # another dtype cannot be made in place
    assert X.max() == 1
    Y = np.zeros(4)
    proxies.write_back(Y, np.ones((2, 1)))
    assert Y.shape == (2, 1) and Y.all()
    Y.flags.writeable = False
    proxies.write_back(Y, np.zeros((2, 1)))
    assert Y.all()


# -------------------- time --------------------


def test_a_clock_stops_a_loop_also_one_that_swallows_exceptions():
    begun = time.monotonic()
    with pytest.raises(OutOfTime), Clock().running(0.1):
        while True:
            try:
                while True:
                    pass
            except Exception:
                pass
    swallowed = []
    with pytest.raises(OutOfTime), Clock().running(0.1):
        try:
            while True:
                pass
        except BaseException:
            swallowed.append(1)
        while True:
            pass
    assert swallowed and time.monotonic() - begun < 3


def test_a_clock_does_not_ring_while_somebody_is_asked():
    clock = Clock()
    assert clock.left() == float("inf")
    with pytest.raises(OutOfTime), clock.running(0.1):
        with clock.asking():
            time.sleep(0.3)
            assert clock.left() == 0
        time.sleep(0.5)
        raise AssertionError("not reached")
    time.sleep(0.3)  # and never again


# -------------------- verdicts, in this process --------------------

LIMITS = Limits(seconds=1.0, total=60.0)


def judged(written, answers=None, box=None, **options):
    """{test: (state, score, message)} of a source notebook, its answers replaced, graded without a sandbox."""
    box = box or double.Box(LIMITS)
    source = books.source_book(written)
    master = masters.prepare(json.dumps(source).encode(), {}, LIMITS, double.Box(LIMITS))
    data = json.dumps(books.submission(source, answers, **options)).encode()
    executed, record = engine.grade_notebook(data, master, LIMITS, {"": 1}, box=box)
    assert executed is not None
    return {e["grade_id"]: (e["state"], e["score"], e["message"]) for e in record["exercises"]}, master, record


F = "--- solution f\ndef f(x):\n    ### BEGIN SOLUTION\n    return x * 2\n    ### END SOLUTION\n"
RIGHT = ("right", 2.0, None)

TESTS = {  # a test of f: its verdict on the right answer, and on "return x"
    "assert f(3) == 6": (RIGHT, ("wrong", 0, "`assert f(3) == 6` failed")),
    "assert f(3) == 6, 'no'": (RIGHT, ("wrong", 0, "no (`assert f(3) == 6, 'no'`)")),
    "f(3) / 3": (RIGHT, ("partly right", 1.0, "the test gave 1 of 2 points")),
    "2.0 if f(3) == 6 else -1": (RIGHT, ("wrong", 0.0, "the test gave 0 of 2 points")),
    "2.0 if f(3) == 6 else float('nan')": (RIGHT, ("wrong", 0.0, "the test gave 0 of 2 points")),
    "2.0 if f(3) == 6 else 99": (RIGHT, RIGHT),  # more than there is
    "f(3) == 6": (RIGHT, RIGHT),  # as nbgrader reads it: neither an error nor a number
    "f(3) / 3;": (RIGHT, RIGHT),
    "import numpy as np\nnp.float64(f(3) / 3)": (RIGHT, ("partly right", 1.0, "the test gave 1 of 2 points")),
    "1 / (f(3) - 3)\nassert True": (RIGHT, ("wrong", 0, "ZeroDivisionError: division by zero (`1 / (f(3) - 3)`)")),
    "import sys\nif f(3) != 6: sys.exit(9)": (RIGHT, ("wrong", 0, "SystemExit: 9 (`if f(3) != 6: sys.exit(9)`)")),
    "while f(3) != 6: pass": (RIGHT, ("wrong", 0, "the test took longer than 1 s")),
    "try:\n    while f(3) != 6: pass\nexcept: pass": (RIGHT, ("wrong", 0, "the test took longer than 1 s")),
    "%matplotlib inline\nassert f(3) == 6": (RIGHT, ("wrong", 0, "`assert f(3) == 6` failed")),
    "import os\nos.chdir('/')\nassert f(3) == 6": (RIGHT, ("wrong", 0, "`assert f(3) == 6` failed")),
}  # fmt: skip


@pytest.mark.parametrize("test", TESTS)
def test_a_test_is_judged_as_nbgrader_would(test):
    right, wrong = TESTS[test]
    written = f"{F}--- test it 2\n{test}"
    got, master, _ = judged(written)
    assert got["it"] == right and all(cell.protected for cell in master.cells) and master.notes == ()
    got, *_ = judged(written, {"f": "def f(x):\n    return x"})
    assert got["it"] == wrong


EMPTY = [
    "[]", "()", "{}", "''", "b''", "set()", "range(0)", "iter(())", "(x for x in ())", "map(abs, [])", "[[]]",
    "[float('nan')] * 3", "(float('nan'), 1)", "{'a': complex('nan')}",
]  # fmt: skip


@pytest.mark.parametrize("answer", EMPTY)
def test_what_compares_with_nothing_does_not_pass_a_careless_test(answer):
    written = "--- solution f\ndef f(x):\n    ### BEGIN SOLUTION\n    return [2 * x]\n    ### END SOLUTION\n"
    written += "--- test it 2\nfor x in f(3):\n    assert not abs(x - 6) > 1e-9 if not isinstance(x, list) else True"
    assert judged(written)[0]["it"] == RIGHT
    got = judged(written, {"f": f"def f(x): return {answer}"})[0]["it"]
    assert got[1] == 0 and got[2].startswith("f gave ")


@pytest.mark.parametrize("answer", ["Fraction(3, 4)", "Decimal('-1.50')", "Decimal('NaN')", "Decimal('Infinity')"])
def test_exact_numbers_come_as_they_are(answer):
    scope = {"Fraction": fractions.Fraction, "Decimal": decimal.Decimal}
    value = eval(answer, scope)
    frame = wire.unpack(wire.pack({"value": value})[4:])
    assert type(frame["value"]) is type(value) and repr(frame["value"]) == repr(value)


@pytest.mark.parametrize("value", [(1, 0), (1, 2, 3), (1.0, 2), "1e999999", "x", "1" * 2_000, None, 3])
def test_numbers_of_no_ordinary_size_are_no_answer(value):
    with pytest.raises(ValueError, match="not a number"):
        effigies.make(("exact", "fractions", "Fraction", value))


def test_an_instructor_may_return_nothing():
    written = "--- solution f\ndef f(x):\n    ### BEGIN SOLUTION\n    return [x] * x\n    ### END SOLUTION\n"
    assert judged(written + "--- test it 2\nassert f(0) == [] and f(2) == [2, 2]")[0]["it"] == RIGHT


def test_random_tests_draw_the_same_however_often_they_are_judged():
    written = "--- locked setup\nimport random\n--- solution f\ndef f(x):\n    ### BEGIN SOLUTION\n    return x"
    written += "\n    ### END SOLUTION\n"
    tests = [f"--- test it{i} 9\nf(random.random())\nround(9 * random.random(), 6)" for i in range(2)]
    got = judged("\n".join([written, *tests]))[0]
    assert 0 < got["it0"][1] != got["it1"][1] > 0
    again = judged("\n".join([written, *tests]), edit=lambda cells: [*cells[:3], cells[2], cells[2], *cells[3:]])[0]
    assert again == got


def test_a_test_that_never_passes_is_told_to_the_instructor():
    _, master, _ = judged(f"{F}--- test it 2\nassert f(3) == 7")
    assert master.notes == ("it: the instructor's own solution earns 0 of 2: `assert f(3) == 7` failed",)
    _, master, _ = judged(f"{F}--- test it 2\nf(3) / 6")
    assert master.notes == ("it: the instructor's own solution earns 1 of 2: the test gave 1 of 2 points",)


@pytest.mark.parametrize("call", ["eval('f(3)')", "eval(str(f(3)))", "__import__('math').floor(f(3))"])
def test_a_test_that_runs_text_is_not_run_outside(call):
    got, master, _ = judged(f"{F}--- test it 2\nassert {call} == 6")
    assert got["it"] == RIGHT and not master.cells[1].protected
    assert "not protected" in master.notes[0]


FOREIGN_TESTS = [  # more that instructors write, with what the test needs of f(x) = 2 x
    "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(3), 6)\n"
    "result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\n"
    "assert result.wasSuccessful()",
    "import numpy.testing as npt\nnpt.assert_array_equal([f(x) for x in range(3)], [0, 2, 4])",
    "import numpy as np\nassert np.vectorize(f)(np.arange(3)).tolist() == [0, 2, 4]",
    "assert list(map(f, [1, 2])) == [2, 4] and sorted([2, 1], key=f) == [1, 2]",
    "assert f(x=3) == 6 and f(*[3]) == 6 and f(**{'x': 3}) == 6",
    "assert callable(f) and f.__name__ == 'f'",
    "from math import isclose\nfor x, y in [(1, 2), (0.5, 1.0)]:\n    assert isclose(f(x), y)",
    "def check(g):\n    assert g(3) == 6\n    return True\nassert check(f) and check(lambda x: f(x))",
    "try:\n    f('a') + 1\nexcept TypeError as why:\n    assert 'str' in str(why)",
    "assert f(2 + 1j) == 4 + 2j and f(10**30) == 2 * 10**30 and f(True) == 2 and f('ab') == 'abab'",
    "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('error')\n    assert f(1) == 2",
    "assert all(f(x) % 2 == 0 for x in range(5))",
    "from functools import reduce\nassert reduce(lambda a, b: a + f(b), [1, 2, 3], 0) == 12",
    "assert f([1]) == [1, 1] and f((1,)) == (1, 1) and f(b'a') == b'aa'",
]


@pytest.mark.parametrize("test", FOREIGN_TESTS)
def test_what_instructors_write_is_protected_and_fails_a_wrong_answer(test):
    written = f"{F}--- test it 2\n{test}"
    got, master, _ = judged(written)
    assert got["it"] == RIGHT and master.cells[1].protected
    wrong = judged(written, {"f": "def f(x):\n    raise StopIteration"})[0]["it"]
    assert wrong[1] == (2 if "callable" in test else 0)


@pytest.mark.parametrize("version", range(4))
def test_every_version_of_nbgraders_metadata_is_read(version):
    source = books.source_book(f"{F}--- test it 2\nassert f(3) == 6\n--- essay words 3\nhm")
    for cell in source["cells"]:
        mine = cell["metadata"]["nbgrader"]
        del mine["schema_version"], mine["task"]
        mine |= {"schema_version": version} if version else {}
        if version < 2 and mine.get("points"):
            mine["points"] = str(mine["points"])
    master = masters.read(json.dumps(source).encode())
    assert [(cell.role, cell.points) for cell in master.cells] == [("solution", 0), ("test", 2), ("manual", 3)]
    assert all(cell.nbgrader["schema_version"] == 3 and cell.nbgrader["task"] is False for cell in master.cells)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"cells": [3]}', b'{"cells": [{"cell_type": "code"}]}', b"\xff"])
def test_a_source_that_is_no_notebook_is_told_to_the_instructor(data):
    with pytest.raises(Problem, match="the source notebook cannot be read"):
        masters.read(data)


def test_names_are_there_once_in_a_source():
    with pytest.raises(Problem, match="several cells with the nbgrader id f"):
        masters.read(json.dumps(books.source_book(F + F)).encode())


def test_a_test_that_deletes_a_name_is_run_inside():
    got, master, _ = judged(f"{F}--- test it 2\nold = f\ndel f\nassert old(3) == 6 and old.__code__\nf = old")
    assert got["it"] == RIGHT and not master.cells[1].protected


def test_a_death_costs_its_own_test_whatever_the_test_catches():
    written = F + "--- solution g\ndef g(x):\n    ### BEGIN SOLUTION\n    raise ValueError\n    ### END SOLUTION\n"
    written += "--- test it 2\ntry:\n    g(3)\nexcept:\n    pass\n--- test other 1\nassert f(1) == 2"
    box = double.Box(LIMITS, deadly="g")
    got, *_ = judged(written, box=double.Box(LIMITS))
    assert got == {"it": RIGHT, "other": ("right", 1.0, None)}
    box.deadly = "g"
    source = books.source_book(written)
    master = masters.prepare(json.dumps(source).encode(), {}, LIMITS, double.Box(LIMITS))
    dying = Dying(LIMITS)
    _, record = engine.grade_notebook(json.dumps(books.submission(source)).encode(), master, LIMITS, {}, box=dying)
    told = {e["grade_id"]: (e["score"], e["message"]) for e in record["exercises"]}
    assert told == {"it": (0.0, "g ended its process (exit code 3)"), "other": (1.0, None)}


class Dying(double.Box):
    """Its students end with every call of g."""

    def student(self, files=None, masks=None):
        made = super().student()
        call = made.call
        made.call = lambda name, *args, **options: (made.cell("g") if name == "g" else call)(name, *args, **options)

        def end(*args, **options):
            made.deadly = "g"
            return made._alive("g")

        made.call = lambda name, *args, **options: end() if name == "g" else call(name, *args, **options)
        return made


def test_children_skip_the_cell_that_ends_them_and_are_given_up_in_the_end():
    box = double.Box(LIMITS, deadly="deadly")
    with serving.Children(box, ["a = 1", "'deadly'", None, "b = a"], LIMITS) as children:
        student = children.at(0, 4)
        assert student.scope["b"] == 1 and box.made == 2 and children.deaths[False] == 1
        assert children.fates[1].fatal and children.at(0, 4) is student
        assert children.look(0, 4, "value", "b") == 1
    assert student.dead
    with serving.Children(double.Box(LIMITS, deadly="'"), ["'1'", "'2'", "'3'"], LIMITS._replace(fatal=2)) as children:
        with pytest.raises(serving.Stopped, match="not reached: 2 steps"):
            children.at(0, 3)


def test_a_sandbox_that_gives_out_is_nobodys_verdict(monkeypatch):
    monkeypatch.setattr(serving.time, "sleep", lambda seconds: None)
    written = F + "--- test it 2\ntry:\n    f(3)\nexcept BaseException:\n    pass"
    source = books.source_book(written)
    master = masters.prepare(json.dumps(source).encode(), {}, LIMITS, double.Box(LIMITS))
    box, tried = double.Box(LIMITS), []

    def student(files=None, masks=None):
        tried.append(1)
        raise Problem("no more")

    box.student = student
    with pytest.raises(Problem, match="the sandbox starts no process any more: no more"):
        engine.grade_notebook(json.dumps(books.submission(source)).encode(), master, LIMITS, {}, box=box)
    assert len(tried) == 3


def test_what_a_notebook_may_keep_of_its_outputs_has_an_end(monkeypatch):
    monkeypatch.setattr(serving, "ROOM", 500)
    with serving.Children(double.Box(LIMITS), ["print('x' * 300)"] * 5, LIMITS) as children:
        children.at(0, 5)
        assert [len(o["text"]) for outputs in children.shown.values() for o in outputs] == [301] + [
            len(serving.TOO_MUCH["text"])
        ] * 4


def test_the_process_is_put_back_as_it_was(tmp_path):
    def now():
        numbers = list(np.random.get_state()[1]), np.get_printoptions()  # noqa: NPY002
        return os.getcwd(), list(sys.path), dict(os.environ), random.getstate(), numbers

    before = now()
    with isolated.isolated({"mine_for_a_test.py": b"x = 1\n", "a/b.txt": b"hm"}):
        import mine_for_a_test

        assert mine_for_a_test.x == 1 and Path("a/b.txt").read_text() == "hm"
        np.random.seed(9)  # noqa: NPY002 - as a test of somebody else's may do
        random.seed(9)
        os.environ["ENM5310_X"] = "1"
        sys.path.append("x")
        np.set_printoptions(precision=1, threshold=7)
    assert now() == before
    assert "mine_for_a_test" not in sys.modules


def test_a_reply_of_the_double_is_one_of_the_box():
    student = double.Box().student()
    assert student.cell("def f(x):\n    x.append(1)\n    print('hm')\n    return x").error is None
    reply = student.call("f", ([],))
    assert isinstance(reply, Reply) and reply.changed == {0: [1]} and reply.outputs[0]["text"] == "hm\n"
    with contextlib.suppress(Remote):
        student.call("f", (3,))
        raise AssertionError("not reached")
