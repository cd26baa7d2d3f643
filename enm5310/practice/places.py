"""Which notebooks are meant by what was typed, and which course folder they belong to."""

import os
from pathlib import Path

from enm5310 import course
from enm5310.practice import Problem, plan

DIR = "enm5310-course"  # where `enm5310 start` puts the course unless told otherwise
MEMORY = ".enm5310"  # the folder that holds progress and the manifest of what was copied


def course_folder(start):
    """The nearest folder upwards from here that is a course folder, or None."""
    start = Path(start).resolve()
    return next((f for f in (start, *start.parents) if (f / "exercises").is_dir() or (f / MEMORY).is_dir()), None)


def here():
    """The course folder that the terminal is in, or that `enm5310 start` made here; Problem when there is none."""
    start = Path.cwd()
    for folder in (start, *start.parents):
        for candidate in (folder / DIR, folder):
            if (candidate / MEMORY).is_dir() or (candidate / "exercises").is_dir():
                return candidate
    raise Problem("there is no course folder here: change to the folder with exercises/, or run `enm5310 start`")


def asked(arguments):
    """(paths of the notebooks meant, Problems): each argument is a notebook, a folder or a part; none is everything."""
    paths, problems = [], []
    for argument in map(str, arguments or []):
        try:
            paths += _meant(argument)
        except Problem as problem:
            problems.append(problem)
    if not arguments:
        paths = _in_course(here())
    return [shown(path) for path in dict.fromkeys(paths)], problems


def _meant(argument):
    path = Path(argument).expanduser()
    if path.is_dir():
        return _in_folder(path)
    part = part_called(argument)
    if part and not path.exists():
        return [here() / "exercises" / part / f"{part}.ipynb"]
    if path.exists() or path.suffix == ".ipynb":
        return [path]  # reading it says what is wrong with it
    listed = ", ".join(f"{course.PARTS.index(p) + 1} ({p})" for p in plan.parts())
    raise Problem(f"there is no notebook, folder or part called {argument}; the parts are {listed}")


def part_called(word):
    """The part meant by "1", "01" or "01_pca", or None."""
    there = {str(course.PARTS.index(part) + 1): part for part in plan.parts()}
    return word if word in there.values() else there.get(word.lstrip("0"))


def _in_course(folder):
    paths = [folder / "exercises" / part / f"{part}.ipynb" for part in plan.parts()]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise Problem(f"{shown(folder)} has no exercise notebooks: `enm5310 start --dir {shown(folder)}` restores them")
    return found


def _in_folder(folder):
    """The exercise notebooks of a folder: a course's, its own, or those of its folders one level down."""
    if (folder / "exercises").is_dir():
        return _in_course(folder)
    found = _own(folder) or [path for inner in sorted(folder.iterdir()) if inner.is_dir() for path in _own(inner)]
    if not found:
        raise Problem(f"{folder} has no notebook in it: name a notebook, a part, or a folder with exercises/")
    return found


def _own(folder):
    """The notebooks of one folder; those that are called like a part, if there are any, are the exercises."""
    if folder.name.startswith("."):  # .ipynb_checkpoints and their like
        return []
    found = sorted(path for path in folder.glob("*.ipynb") if path.is_file())
    return [path for path in found if path.stem in course.PARTS] or found


def shown(path):
    """A path as messages print it: relative to the current folder when it lies in it."""
    path = Path(os.path.abspath(path))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
