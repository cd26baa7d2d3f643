"""The commands check, progress, hint and solution: from what was typed to what is shown, written and remembered."""

import contextlib
import json
import os
from pathlib import Path

from enm5310.checks import ladder
from enm5310.practice import Problem, notebook, places, plan, progress, runner, screens


def check(arguments, limits, file=None):
    """Checks notebooks, shows and remembers the verdicts, writes them to a JSON file; returns (exit code, Problems)."""
    out = screens.console()
    paths, problems = places.asked(arguments)
    outcomes = []
    with contextlib.ExitStack() as stack:
        box = None
        for path in paths:
            try:
                book = notebook.read(path)
                box = box or stack.enter_context(runner.opened(limits))
                outcomes.append(_check(book, limits, out, box))
            except Problem as problem:
                problems.append(problem)
    if file is not None:
        file.write_text(json.dumps(document(outcomes, problems), indent=1) + "\n", encoding="utf-8")
    judged = [j for outcome in outcomes for j in outcome.exercises]
    if len(outcomes) > 1:
        out.print(screens.totals(judged, sum(outcome.seconds for outcome in outcomes)))
    if judged:
        out.print(_next_step(judged))
    return 2 if problems else exit_code(judged), problems


def _check(book, limits, out, box):
    path = book.path
    with screens.live(f"{path}") as report:
        outcome = runner.judge_notebook(book, limits, report, box)
    folder = places.course_folder(path.parent)
    mine = folder and path.resolve().is_relative_to(folder / "exercises")  # else a copy, or the solutions
    notes = (*outcome.notes, *(progress.remember(folder, book, outcome.exercises) if mine else ()))
    screens.verdicts(out, f"{outcome.part}  {path}", outcome.exercises, notes, outcome.seconds)
    return outcome


def exit_code(judged):
    """0 if everything attempted is right; 1 if anything attempted is not, or nothing was attempted."""
    attempted = {j.state for j in judged} - {"not attempted"}
    return 0 if attempted == {"right"} else 1


def document(outcomes, problems):
    """The verdicts as JSON data."""
    exercises = [
        {
            "id": j.id, "state": j.state, "points": j.points, "max_points": j.max_points, "message": j.message,
            "mistake": j.mistake, "part": o.part, "notebook": str(o.path),
        }
        for o in outcomes for j in o.exercises
    ]  # fmt: skip
    return {
        "exercises": exercises,
        "notes": [note for o in outcomes for note in o.notes],
        "problems": [str(problem) for problem in problems],
        "seconds": round(sum(o.seconds for o in outcomes), 3),
    }


def _next_step(judged):
    amiss = next((j for j in judged if j.state in ("wrong", "partly right")), None)
    if amiss:
        return f"Stuck? `enm5310 hint {amiss.id}` gives one hint at a time."
    todo = next((j for j in judged if j.state == "not attempted"), None)
    return f"Next: {todo.id} {todo.title}." if todo else "Everything is right. Well done!"


# -------------------- progress --------------------


def show_progress():
    """The table of all exercises as last checked, a bar per part, and what has changed since."""
    folder = places.here()
    known, note = progress.load(folder)
    out, parts = screens.console(), {}
    for part in plan.parts():
        parts[part] = [as_known(e, known.verdicts.get(e.id)) for e in plan.exercises(part)]
        screens.verdicts(out, f"{part}  {places.shown(folder / 'exercises' / part)}", parts[part])
    out.print()
    screens.bars(out, parts)
    for path in progress.changed(folder, known):
        out.print(f"{path} has changed since it was checked: `enm5310 check {Path(path).stem}`", markup=False)
    if not known.notebooks:
        out.print("Nothing has been checked yet: `enm5310 check`", markup=False)
    return [note] if note else []


def as_known(e, verdict):
    """An exercise as last checked."""
    if verdict is None:
        return runner.Judged(e.id, e.title, "not attempted", 0, e.max_points)
    return runner.Judged(e.id, e.title, **verdict)


# -------------------- hints and solutions --------------------


def show_hint(exercise):
    """Shows the exercise's next hint, remembers that it was shown; returns the notes to tell."""
    number, most, notes = take_hint(places.here(), exercise)
    after = f"enm5310 solution {exercise.id}" if number == most else f"enm5310 hint {exercise.id}"
    what = "That was the last one; the solution" if number == most else "The next one"
    screens.note(screens.console(), f"**{exercise.id} {exercise.title}, hint {number} of {most}.** "
                                    f"{exercise.hints[number - 1]}\n\n{what}: `{after}`")  # fmt: skip
    return notes


def take_hint(folder, exercise):
    """Remembers that the next hint is shown: (its number from 1, how many there are, the notes to tell)."""
    known, note = progress.load(folder)
    most = len(exercise.hints)
    number = min(known.hints.get(exercise.id, 0) + 1, most)
    saved = progress.save(folder, known._replace(hints={**known.hints, exercise.id: number}))
    return number, most, [told for told in (note, saved) if told]


def show_solution(exercise):
    """Shows the worked solution, once the exercise is right or its last hint was shown; Problem before."""
    worked, notes = open_solution(places.here(), exercise)
    screens.note(screens.console(), f"**{exercise.id} {exercise.title}**\n\n```python\n{worked}\n```")
    return notes


def open_solution(folder, exercise):
    """(the worked solution, the notes to tell), or Problem while it is not open."""
    if os.environ.get("NBGRADER_EXECUTION"):
        raise Problem("solutions are not shown while a notebook is graded")
    known, note = progress.load(folder)
    left = len(exercise.hints) - known.hints.get(exercise.id, 0)
    if left > 0 and known.verdicts.get(exercise.id, {}).get("state") != "right":
        raise Problem(f"the solution of {exercise.id} opens once yours is right (`enm5310 check`), "
                      f"or after {left} more hint{'s' * (left != 1)}: `enm5310 hint {exercise.id}`")  # fmt: skip
    try:
        return ladder.worked(exercise), [note] if note else []
    except (OSError, StopIteration):
        raise Problem(f"the solution of {exercise.id} is missing from this installation: reinstall enm5310") from None
