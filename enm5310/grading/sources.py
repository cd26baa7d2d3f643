"""An assignment's source, read through nbgrader's own preprocessors: what is graded, and what the gradebook must know.

The master that the engine gets is the notebook as it stands before nbgrader clears the solutions, so a header, a footer
and generated tests are in it; each of its cells knows what was released, and the checksum that nbgrader compares with.
"""

import contextlib
import copy
import logging
from pathlib import Path
from typing import NamedTuple

from enm5310.grading.course import within
from enm5310.practice import Problem


class Assignment(NamedTuple):
    name: str
    masters: dict  # notebook's name -> the master, as bytes
    files: dict  # path in the assignment -> bytes of the files that the notebooks come with
    editable: tuple  # those of them that a student's own version replaces (Autograde.exclude_overwriting)
    max_score: float
    permissions: int = 0o444  # of what autograding writes


def read(course, name):
    """The Assignment; enters it in the gradebook, which must exist.  Problem: there is none, or nbgrader refuses it."""
    from nbgrader.converters import Autograde, GenerateAssignment
    from nbgrader.utils import find_all_files

    paths = notebooks(course, name)
    converter = GenerateAssignment(coursedir=course.directory, config=course.config)
    autograde = Autograde(coursedir=course.directory, config=course.config)
    masters, points = {}, 0.0
    with within(course.root):
        _enter(course, name, [path.stem for path in paths])
        for path in paths:
            master, worth = _master(converter, path)
            masters[path.stem], points = master, points + worth
    folder = course.path("source", ".", name)
    found = find_all_files(str(folder), [*course.directory.ignore, "*.ipynb"])
    files = {Path(p).relative_to(folder).as_posix(): Path(p).read_bytes() for p in sorted(found)}
    editable = tuple(autograde.exclude_overwriting.get(name, ()))
    return Assignment(name, masters, files, editable, points, int(str(autograde.permissions), 8))


def assignments(course):
    """The names of the course's assignments."""
    return sorted({path.parent.name for path in course.path("source", ".", "x").parent.glob("*/*.ipynb")})


def notebooks(course, name):
    """The paths of an assignment's source notebooks; Problem says what there is instead."""
    folder, there = course.path("source", ".", "x").parent, assignments(course)
    if name not in there:
        listed = f"there are {', '.join(there)}" if there else f"{folder} has no folder with a notebook"
        raise Problem(f"there is no assignment {name!r} here: {listed}")
    return sorted((folder / name).glob("*.ipynb"))


def _enter(course, name, names):
    """The assignment is in the gradebook, without notebooks that the source no longer has."""
    from nbgrader.api import Gradebook
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with Gradebook(course.db_url, course.id) as gradebook:
            assignment = gradebook.update_or_create_assignment(name)
            gone = sorted({notebook.name for notebook in assignment.notebooks} - set(names))
            if gone and assignment.submissions:
                raise Problem(f"the gradebook has graded {name}/{gone[0]}.ipynb, which is no longer in the source: put "
                              f"it back, or start anew with `nbgrader db assignment remove {name}`")  # fmt: skip
            for notebook in gone:
                gradebook.remove_notebook(notebook, name)
    except (SQLAlchemyError, ValueError) as why:  # nbgrader's own exceptions are ValueErrors
        raise Problem(f"the gradebook refuses {name}: {' '.join(str(why).split())[:300]}") from None


def _master(converter, path):
    """(the master as bytes, its points); SaveCells, one of nbgrader's preprocessors, enters its cells."""
    import nbformat
    from nbgrader.preprocessors import ClearSolutions, SaveCells
    from nbgrader.utils import is_grade, is_task
    from traitlets.utils.importstring import import_item

    resources = {
        "metadata": {"name": path.stem, "path": str(path.parent)},
        "unique_key": path.stem,
        "nbgrader": {"student": ".", "assignment": path.parent.name, "notebook": path.stem,
                     "db_url": converter.coursedir.db_url},
    }  # fmt: skip
    master = saved = None
    with _problems(path):
        notebook = nbformat.read(path, as_version=4)
        for item in converter.preprocessors:
            kind = import_item(item) if isinstance(item, str) else item
            if master is None and issubclass(kind, ClearSolutions | SaveCells):
                master = copy.deepcopy(notebook)  # preprocessors may change what they are given
            notebook, resources = kind(parent=converter)(notebook, resources)
            if issubclass(kind, SaveCells):
                saved = copy.deepcopy(notebook)
        if saved is None:
            raise Problem(f"{path}: SaveCells is missing in GenerateAssignment.preprocessors of the configuration")
    entered, released = _marked(saved), _marked(notebook)
    for name, cell in _marked(master).items():
        cell.metadata.nbgrader = entered[name].metadata.nbgrader
        cell.metadata.enm5310 = {"released": released[name].source}
    points = sum(float(c.metadata.nbgrader.points) for c in entered.values() if is_grade(c) or is_task(c))
    return nbformat.writes(master).encode(), points


def _marked(notebook):
    """The cells with nbgrader's metadata, by their name."""
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


@contextlib.contextmanager
def _problems(path):
    """Turns what nbgrader raises over a source notebook into one line, with the last error it logged."""
    said, log = [], logging.getLogger("traitlets")
    keep = logging.Handler(logging.ERROR)
    keep.emit = lambda record: said.append(record.getMessage())
    log.addHandler(keep)
    try:
        yield
    except Problem:
        raise
    except Exception as why:
        words = " ".join((str(why) or (said[-1] if said else "")).split())
        raise Problem(f"nbgrader refuses {path}: {type(why).__name__}: {words[:300]}") from None
    finally:
        log.removeHandler(keep)
