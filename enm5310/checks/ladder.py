"""From stuck to solved: help, hints one at a time, the catalogue of mistakes, the worked solution."""

import json
import os


class Note(str):
    """Text that a notebook shows as Markdown and a terminal as it is."""

    __slots__ = ()

    def __repr__(self):
        return str(self)

    def _repr_markdown_(self):
        return str(self)


def help(exercise):
    listed = ((words, weight or "required, no points of its own") for words, weight in exercise.parts.items())
    parts = "\n".join(f"- {words} ({weight})" for words, weight in listed)
    call = f"check.{exercise.name}"
    return Note(
        f"**{exercise.id} {exercise.title}** (slide {exercise.slide}, {exercise.max_points} points) checks "
        f"`{', '.join(exercise.of)}` on fresh random inputs:\n\n{parts}\n\n"
        f"`{call}.hint()` gives the next of {len(exercise.hints)} hints, `{call}.mistakes()` the usual mistakes, "
        f"`{call}.solution()` the worked solution once you are right or have seen the last hint."
    )


def hint(exercise, number):
    if not exercise.hints:
        return Note(f"{exercise.id} has no hints; try check.{exercise.name}.help()")
    last = number == len(exercise.hints)
    after = f"\n\nThat was the last hint; `check.{exercise.name}.solution()` now shows the solution." if last else ""
    return Note(f"**Hint {number} of {len(exercise.hints)}.** {exercise.hints[number - 1]}{after}")


def mistakes(exercise):
    seen = dict.fromkeys(say for say, _, _ in exercise.known)
    return Note(f"**Usual mistakes in {exercise.id}**\n\n" + "\n".join(f"- {say}" for say in seen))


def solution(exercise, allowed):
    """The solution cell of solutions/; refused in graded runs and before the last hint."""
    if os.environ.get("NBGRADER_EXECUTION"):
        raise PermissionError("solutions are not shown while a notebook is graded")
    if not allowed:
        left = len(exercise.hints) - exercise.hints_shown
        return Note(f"The solution opens once {exercise.id} is right, or after {left} more hint{'s' * (left != 1)}: "
                    f"`check.{exercise.name}.hint()`")  # fmt: skip
    return Note(f"```python\n{worked(exercise)}\n```")


def worked(exercise):
    """The source of the exercise's solution cell, read from the course's solutions/ folder."""
    from enm5310 import course

    part = course.part_of(exercise.id)
    path = course.folder("solutions") / part / f"{part}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    wanted = exercise.name.replace("_", "-")
    source = next("".join(c["source"]) for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == wanted)
    return "\n".join(line for line in source.splitlines() if line.strip() not in _MARKS)


_MARKS = ("### BEGIN SOLUTION", "### END SOLUTION")
