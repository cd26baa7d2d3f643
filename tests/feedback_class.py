"""A small class for the tests of pages: part 1 of this course and a course of somebody else's, honest and hostile.

``small`` and ``whole`` are folders graded by the real engine, once in a session: copy them to change them.
"""

import atexit
import contextlib
import functools
import io
import json
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import pytest
from nbformat import v4

from enm5310 import cli
from enm5310.grading import command, sandbox
from enm5310.practice import Problem
from tests import courses
from tests.courses import answered, hand_in
from tests.notebooks import ROOT

PART, HIDDEN = "01_pca", ("doubled(-41)", "-82", "-41")  # the hidden test of tests.courses
SECRET = "9d1f0a"  # what a submission from nbgrader's exchange brings along

FIGURE = (
    "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.xlabel('component')\nplt.ylabel('variance')\nplt.show()"
)
HOSTILE = r'''
from IPython.display import HTML, Markdown, Latex, SVG, display, Javascript
display(HTML("<script>alert(1)</script><img src=x onerror=alert(2)><style>body{display:none}</style>"
             "<iframe src='http://evil.example/'></iframe><a href='javascript:alert(3)'>click</a>"
             "</div></main></body><h1>Score: 100 of 100</h1><form action='http://evil.example'><input name=q></form>"
             "<table onclick='alert(4)'><tr><td style='position:fixed'>cell</td></tr></table>"
             "<base href='//evil.example'>"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(5)'><script>alert(6)</script></svg>"))
display(Latex(r"\def\a{\a\a}\a $$\require{html}\href{javascript:alert(7)}{x}$$"))
display(Markdown("[x](javascript:alert(8)) <script>alert(9)</script>"))
display(Javascript("alert(10)"))
print("\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \x1b[2J \u202eevil\u202c")
print("=HYPERLINK(\"http://evil.example\",\"x\")")
print("x" * 10_000_000)
'''
BOMB = (r"$$\def\a#1{\a{#1}\a{#1}}\a{x}$$ <script>alert(11)</script> <img src=x onerror=alert(12)> "
        "[x](javascript:alert(13))")  # fmt: skip


def free(source, kind="code"):
    make = v4.new_code_cell if kind == "code" else v4.new_markdown_cell
    return make(source, id=f"free{zlib.crc32(source.encode())}")


def with_cells(*sources, at=1):
    """An edit for ``courses.answered``: cells of the student's own after the solution of `doubled`."""
    return lambda cells: [*cells[: at + 1], *sources, *cells[at + 1 :]]


STUDENTS = {
    "ada": dict(edit=with_cells(free(FIGURE), free("I like **this**: $2x$.", "markdown"))),
    "bob": dict(doubled="return 3 * x", halved="return abs(x) / 2", why=None),
    "Zoë Müller-O'Neil": dict(doubled=None, halved=None, why=None),
    "mallory": dict(doubled='return "<script>alert(14)</script>"', why=BOMB,
                    edit=with_cells(free(HOSTILE), free(BOMB, "markdown"))),
    "cheat": dict(doubled="import subprocess\n    return 2 * x", halved="return x",
                  edit=lambda cells: [c for c in cells if c["id"] != "test-halved"]),
    "raiser": dict(doubled='raise ValueError("<img src=x onerror=alert(15)> </main> `<b>`")',
                   halved="import os\n    os._exit(1)"),
}  # fmt: skip
TEXTS = {**{student: answered(**given) for student, given in STUDENTS.items()}, "torn": answered()[:700]}


def make(folder):
    """The course folder: ps1 is foreign, with a due date and a penalty; 01_pca is ours."""
    config = "c.AssignLatePenalties.plugin_class = 'late.Half'"
    folder = courses.make(folder, config=config)
    (folder / "late.py").write_text("from nbgrader.plugins import BasePlugin\n\n\nclass Half(BasePlugin):\n"
                                    "    def late_submission_penalty(self, student, score, late):\n"
                                    "        return score / 2\n")  # fmt: skip
    for student, text in TEXTS.items():
        where = hand_in(folder, student, {"problem1": text}, "2026-03-03 12:00:00 UTC")
        (where / "submission_secret.txt").write_text(f"{SECRET}{student}")
    hand_in(folder, "empty", {})
    ours = folder / "source" / PART
    ours.mkdir()
    source = json.loads((ROOT / "solutions" / PART / f"{PART}.ipynb").read_text(encoding="utf-8"))
    (ours / f"{PART}.ipynb").write_text(json.dumps(source))
    for student, replaced in PCA.items():
        hand_in(folder, student, {PART: json.dumps(_answered(source, replaced))}, assignment=PART)
    return folder


PCA = {
    "ada": {},
    "bob": {
        "center": "def center(X):\n    mean = X.mean(axis=1)\n    return X - mean[:, None], mean\n",
        "covariance": "def covariance(X):\n    Xc, mean = center(X)\n    return Xc.T @ Xc / (len(X) - 1)\n",
    },
    "cyd": None,
}


def _answered(source, replaced):
    """The released notebook with the reference solutions but for these; None: nothing done."""
    released = json.loads((ROOT / "exercises" / PART / f"{PART}.ipynb").read_text(encoding="utf-8"))
    solved = {c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"]) for c in source["cells"]
              if c["metadata"].get("nbgrader", {}).get("solution")}  # fmt: skip
    cells = []
    for cell in released["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in solved and replaced is not None:
            cell["source"] = replaced.get(name, solved[name])
        cells.append(cell)
        if replaced == {} and name == "test-center":
            cells.append(free(FIGURE))
    return {**released, "cells": cells}


def grade(folder, assignment="ps1"):
    """The exit code of a run of the real engine; nothing is printed."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return command.grade(command.Asked(assignment))
    finally:
        os.chdir(before)


def due(folder, when="2026-03-01 12:00:00", assignment="ps1"):
    """Gives the assignment a due date, before it is graded for the last time."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        book.update_or_create_assignment(assignment, duedate=when)


# -------------------- graded once --------------------


@functools.cache
def small():
    """Three students of the foreign course."""
    folder = courses.make(_folder() / "Kurs für Zoë")
    hand_in(folder, "ada", {"problem1": answered(why="canary of ada")}, "2026-03-03 12:00 UTC")
    hand_in(folder, "Zoë Müller-O'Neil", {"problem1": answered("return 0", why="canary of zoe")})
    hand_in(folder, "torn", {"problem1": answered(why="canary of torn")[:700]})
    assert grade(folder) == 1
    return folder


@functools.cache
def whole():
    """The class that ``make`` writes; what was handed in for ps1 is two days late."""
    folder = make(_folder() / "kurs")
    assert grade(folder) == 1
    due(folder)
    assert grade(folder) == 1
    assert grade(folder, PART) == 0
    return folder


def _folder():
    try:
        sandbox.choose()
    except Problem as why:
        pytest.skip(f"no sandbox here: {why}")
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def typed(monkeypatch, *arguments):
    """The exit code of `enm5310 ...`, in this process."""
    monkeypatch.setattr("sys.argv", ["enm5310", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code
