"""Small nbgrader courses for tests: a source notebook with every kind of graded cell, and what students hand in."""

import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import v4

from enm5310.grading import course, gradebook, sources

POINTS = 12.0  # of one notebook: doubled 2, halved 2, an answer in words 3, a task 5


def marked(make, source, grade_id, **kind):
    """A cell with nbgrader's metadata."""
    flags = {"grade": False, "solution": False, "locked": False, "task": False, **kind}
    cell = make(source, metadata={"nbgrader": {"grade_id": grade_id, "schema_version": 3, **flags}})
    cell["id"] = grade_id
    return cell


def solution(name, body):
    text = f"def {name}(x):\n    ### BEGIN SOLUTION\n    {body}\n    ### END SOLUTION"
    return marked(v4.new_code_cell, text, name, solution=True)


def source(manual=True):
    """The instructor's notebook; manual: with cells that only a human can grade."""
    cells = [
        v4.new_markdown_cell("# Numbers", id="title"),
        solution("doubled", "return 2 * x"),
        marked(v4.new_code_cell, "assert doubled(3) == 6\n### BEGIN HIDDEN TESTS\nassert doubled(-41) == -82\n"
               "### END HIDDEN TESTS", "test-doubled", grade=True, locked=True, points=2),
        solution("halved", "return x / 2"),
        marked(v4.new_code_cell, "(halved(3) == 1.5) + (halved(-1) == -0.5)", "test-halved", grade=True, locked=True,
               points=2),
    ]  # fmt: skip
    if manual:
        cells.append(marked(v4.new_markdown_cell, "Because of this.", "why", grade=True, solution=True, points=3))
        cells.append(marked(v4.new_markdown_cell, "Draw something.", "draw", task=True, locked=True, points=5))
    return v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def make(folder, notebooks=("problem1",), config="", assignment="ps1", manual=True):
    """A course folder with one assignment."""
    where = Path(folder) / "source" / assignment
    where.mkdir(parents=True)
    for name in notebooks:
        nbformat.write(source(manual), where / f"{name}.ipynb")
    (Path(folder) / "nbgrader_config.py").write_text(f"c = get_config()\n{config}\n")
    return Path(folder)


def answered(doubled="return 2 * x", halved="return x / 2", why="Because.", edit=lambda cells: cells, manual=True):
    """A student's notebook, as text; None leaves a cell as it was released."""
    book = source(manual)
    given = {"doubled": doubled, "halved": halved}
    for cell in book.cells:
        if cell["id"] in given:
            body = given[cell["id"]]
            stub = "# YOUR CODE HERE\n    raise NotImplementedError()"
            cell["source"] = f"def {cell['id']}(x):\n    {stub if body is None else body}"
        elif cell["id"] == "why":
            cell["source"] = "YOUR ANSWER HERE" if why is None else why
        cell["source"] = cell["source"].split("### BEGIN HIDDEN")[0].rstrip()
    book.cells = edit(book.cells)
    return nbformat.writes(book)


def hand_in(folder, student, texts, timestamp=None, assignment="ps1"):
    """{notebook: text} into the submitted directory."""
    where = Path(folder) / "submitted" / student / assignment
    where.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (where / f"{name}.ipynb").write_text(text, encoding="utf-8")
    if timestamp:
        (where / "timestamp.txt").write_text(timestamp)
    return where


def entered(folder, assignment="ps1"):
    """(Course, Assignment) with the assignment in the gradebook."""
    here = course.find(folder)
    gradebook.create(here)
    return here, sources.read(here, assignment)


def nbgrader(folder, *arguments):
    """`nbgrader ...` in a process of its own: its output, after it was seen to succeed."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr
