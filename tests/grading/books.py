"""Masters and submissions for the tests of the grading engine: our part 1, and a course of somebody else's."""

import atexit
import functools
import json

import pytest

from enm5310.checks.engine import student_seed
from enm5310.grading import box, engine, masters, sandbox
from enm5310.practice import Problem
from tests.notebooks import ROOT, solution_cell
from tests.notebooks import exercises as exercises_of

LIMITS = box.Limits(seconds=2.0, slow=60.0, memory=2**30, total=300.0)
PART = "01_pca"


@functools.cache
def the_box():
    """A Box at the best level that is proven on this machine: what runs in it may be hostile."""
    try:
        level = sandbox.choose()
    except Problem as why:
        pytest.skip(f"no sandbox is proven here: {why}")
    made = box.Box(level, LIMITS)
    atexit.register(made.close)
    return made


def grade(submitted, master, seed=7, limits=LIMITS, **options):
    """(executed notebook, record) for a notebook as bytes, or as its JSON."""
    data = submitted if isinstance(submitted, bytes) else json.dumps(submitted).encode()
    seeds = {"": seed, **{i: student_seed(b"course secret", f"student {seed}", i) for i in master.ids}}
    return engine.grade_notebook(data, master, limits, seeds, box=the_box(), **options)


def points(record):
    """{name of the test cell: points}"""
    return {e["grade_id"]: e["score"] for e in record["exercises"]}


# -------------------- notebooks --------------------


def code(source, name="", /, **nbgrader):
    """A code cell; with a name, nbgrader's."""
    return _cell("code", source, name, nbgrader) | {"outputs": [], "execution_count": None}


def text(source, name="", /, **nbgrader):
    return _cell("markdown", source, name, nbgrader)


def _cell(kind, source, name, nbgrader):
    flags = {"grade": False, "locked": False, "schema_version": 3, "solution": False, "task": False}
    metadata = {"nbgrader": {**flags, "grade_id": name, **nbgrader}} if name else {}
    return {"cell_type": kind, "id": name or f"free{abs(hash(source)) % 10**8}", "metadata": metadata, "source": source}


def test(source, name, worth):
    return code(source, name, grade=True, locked=True, points=worth)


test.__test__ = False  # no test of pytest's


def book(cells):
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": spec},
            "nbformat": 4, "nbformat_minor": 5}  # fmt: skip


def released(master):
    """What students get of a source notebook: stubs in place of solutions, no hidden tests."""
    cells = []
    for cell in json.loads(json.dumps(master["cells"])):
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            stub = "raise NotImplementedError()" if cell["cell_type"] == "code" else "YOUR ANSWER HERE"
            marked = "BEGIN SOLUTION" in cell["source"]
            cell["source"] = _cut(cell["source"], "BEGIN SOLUTION", "END SOLUTION", stub) if marked else stub
        cell["source"] = _cut(cell["source"], "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", None)
        cells.append(cell)
    return {**master, "cells": cells}


def _cut(source, begin, end, stub):
    lines, inside = [], False
    for line in source.split("\n"):
        if begin in line:
            inside = True
            lines += [] if stub is None else [line[: len(line) - len(line.lstrip())] + stub]
        elif end in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def submission(master, answers=None, solved=True, edit=None):
    """The JSON of a student's notebook: released, the solutions in it or not, some answers replaced, cells edited."""
    document = released(master)
    right = {
        cell["metadata"]["nbgrader"]["grade_id"]: cell["source"]
        for cell in master["cells"]
        if cell["metadata"].get("nbgrader")
    }
    for cell in document["cells"]:
        mine = cell["metadata"].get("nbgrader", {})
        if mine.get("solution"):
            cell["source"] = right[mine["grade_id"]] if solved else cell["source"]
            cell["source"] = (answers or {}).get(mine["grade_id"], cell["source"])
    if edit is not None:
        document["cells"] = edit(document["cells"])
    return document


def blocks(written, several=False):
    """{header: source}, or a list of such pairs, from text in which a line "--- header" begins each source."""
    found = [block.partition("\n") for block in ("\n" + written).split("\n--- ")[1:]]
    pairs = [(header.strip(), source.rstrip("\n")) for header, _, source in found]
    return pairs if several else dict(pairs)


# -------------------- this course --------------------


@functools.cache
def course_source():
    document = json.loads((ROOT / "solutions" / PART / f"{PART}.ipynb").read_text(encoding="utf-8"))
    for cell in document["cells"]:
        cell["source"] = "".join(cell["source"])
    return document


@functools.cache
def course(part=PART):
    return masters.prepare(solutions(part), {}, LIMITS, the_box())


def solutions(part):
    return (ROOT / "solutions" / part / f"{part}.ipynb").read_bytes()


def course_answers():
    return {e.name.replace("_", "-"): solution_cell(e) for e in exercises_of(PART)}


# -------------------- somebody else's course --------------------

CANARY = "canary7319"  # in hidden tests: what of them reaches a student would hold it

FOREIGN = r"""
--- text
# Week 3
--- locked setup
import numpy as np
from math import isclose
DATA = [3.0, 1.0, 2.0]

def nearly(a, b):
    return abs(a - b) < 1e-9
--- code
import math
import unittest
%matplotlib inline
--- solution add
def add(a, b):
    ### BEGIN SOLUTION
    return a + b
    ### END SOLUTION
--- test test_add 2
assert add(1, 2) == 3
assert add('a', 'b') == 'ab'
assert add([1], [2]) == [1, 2]
--- test test_add_keywords 1
assert add(b=5, a=-5) == 0
--- solution mean
def mean(xs):
    ### BEGIN SOLUTION
    return sum(xs) / len(xs)
    ### END SOLUTION
--- test test_mean 3
np.testing.assert_allclose(mean(DATA), 2.0)
### BEGIN HIDDEN TESTS
canary7319 = np.random.rand(5)
assert isclose(mean(list(canary7319)), canary7319.mean()), 'canary7319'
assert nearly(mean([4.0]), 4.0)
### END HIDDEN TESTS
--- solution sort_it
def sort_it(xs):
    ### BEGIN SOLUTION
    xs.sort()
    ### END SOLUTION
--- test test_sort_it 1
mine = [3, 1, 2]
assert sort_it(mine) is None
assert mine == [1, 2, 3]
--- test test_sort_again 1
assert sum(mine) == 6
sort_it(mine)
--- solution answer
### BEGIN SOLUTION
answer = 42
letters = ['a', 'b']
### END SOLUTION
--- test test_answer 1
assert answer == 42
### BEGIN HIDDEN TESTS
# canary7319
assert letters == ['a', 'b'] and len(letters) == 2
### END HIDDEN TESTS
--- solution squares
def squares(n):
    ### BEGIN SOLUTION
    if n < 1:
        raise ValueError('n >= 1')
    return [i**2 for i in range(1, n + 1)]
    ### END SOLUTION
--- test test_squares 4
got = sum(squares(n) == [i * i for i in range(1, n + 1)] for n in (1, 5, 9))
round(got * 4 / 3, 3)
--- test test_squares_raise 1
try:
    squares(0)
except ValueError:
    pass
else:
    raise AssertionError('did not raise')
unittest.TestCase().assertRaises(ValueError, squares, -3)
--- solution twice
def twice(f, x):
    ### BEGIN SOLUTION
    return f(f(x))
    ### END SOLUTION
--- test test_twice 1
assert twice(lambda x: x + DATA[0], 1.0) == 7.0
def cube(x):
    return x ** 3
assert twice(cube, 2) == 512
assert twice(np.sqrt, 16.0) == 2.0
--- solution scaled
def scaled(xs, k):
    ### BEGIN SOLUTION
    return [k * x for x in xs]
    ### END SOLUTION
--- test test_scaled 2
assert scaled(DATA, 2) == [2 * x for x in DATA]
assert scaled([], 3) == []
--- test test_left_alone 1
before = np.arange(4.0)
after = scaled(before, 3)
assert before.tolist() == [0, 1, 2, 3]
assert list(after) == [0, 3, 6, 9]
--- solution shout
def shout(word):
    ### BEGIN SOLUTION
    print(word.upper())
    ### END SOLUTION
--- test test_shout 1
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as said:
    shout('hm')
assert said.getvalue() == 'HM\n'
--- solution stack
class Stack:
    ### BEGIN SOLUTION
    def __init__(self):
        self.items = []

    def push(self, x):
        self.items.append(x)

    def pop(self):
        return self.items.pop()
    ### END SOLUTION
--- test test_stack 2
s = Stack()
s.push(3)
s.push(4)
assert s.pop() == 4 and s.pop() == 3
--- essay essay 5
It is true because ...
--- program plot 2
### BEGIN SOLUTION
my_plot = 3
### END SOLUTION
--- task drawing 3
Draw something.
"""

KINDS = {
    "text": lambda source: text(source),
    "code": lambda source: code(source),
    "locked": lambda source, name: code(source, name, locked=True),
    "solution": lambda source, name: code(source, name, solution=True),
    "test": lambda source, name, worth: test(source, name, float(worth)),
    "essay": lambda source, name, worth: text(source, name, grade=True, solution=True, points=float(worth)),
    "program": lambda source, name, worth: code(source, name, grade=True, solution=True, points=float(worth)),
    "task": lambda source, name, worth: text(source, name, locked=True, task=True, points=float(worth)),
}


def source_book(written):
    """A source notebook from text in which "--- test NAME POINTS" and its like begin each cell."""
    cells = []
    for header, source in blocks(written, several=True):
        kind, *rest = header.split()
        cells.append(KINDS[kind](source, *rest))
    return book(cells)


def prepared(written):
    """The Master of such a notebook."""
    return masters.prepare(json.dumps(source_book(written)).encode(), {}, LIMITS, the_box())


@functools.cache
def foreign():
    return prepared(FOREIGN)


def foreign_source():
    return source_book(FOREIGN)
