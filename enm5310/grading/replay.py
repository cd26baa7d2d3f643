"""``enm5310 grade --replay STUDENT EXERCISE``: what a student's code was given and answered, and the verdict again.

The record holds the seeds and the notebook as it was graded (the file that was handed in is taken where it still lies
there); with them the same inputs are drawn and judged anew, in the same sandbox.  This shows what students must not
see: it works only where the course's records and secret are.
"""

import contextlib
import hashlib
from typing import Any, NamedTuple

from rich.text import Text

from enm5310.grading import batch, course, job, journal, regrade, sources
from enm5310.grading.book import Book
from enm5310.grading.clean import line
from enm5310.grading.values import in_words, shown, shown_error
from enm5310.practice import Problem
from enm5310.practice.screens import console

MOST = 12  # calls that are shown
ALIKE = "state", "score", "message", "mistake"


class Replay(NamedTuple):
    """One exercise of one student, run again."""

    calls: tuple  # of (function, (argument, ...), answer), in words
    more: int  # calls that are not kept
    line: dict  # of the record, as it is now


class Heard(Book):
    """A Book that keeps what the test of one cell asks of the student's functions, in words."""

    def __init__(self, number, *arguments):
        super().__init__(*arguments)
        self.wanted, self.here, self.calls, self.more = number, None, [], 0
        asked = self.bench.ask

        def ask(child, name, args, kwargs):
            keep = self.here == self.wanted
            words = in_words(args, kwargs) if keep and len(self.calls) < MOST else None  # a call may change them
            try:
                reply = asked(child, name, args, kwargs)
            except BaseException as why:
                self._keep(keep, name, words, f"raised {shown_error(why)}")
                raise
            self._keep(keep, name, words, shown(reply.value) if words is not None else "")
            return reply

        self.bench.ask = ask

    def _keep(self, keep, name, words, answer):
        if keep and words is not None:
            self.calls.append((line(name), words, answer))
        elif keep:
            self.more += 1

    def _best(self, number):
        self.here = number
        return super()._best(number)


def again(notebook, grade_id, text, own, seeds):
    """A Replay, made in a worker's process: the notebook's text is judged as it was."""
    from enm5310.grading import intake, repair

    setup, box = job._here["setup"], job._here["box"]
    master = setup.masters[notebook]
    number = next((i for i in master.tests if master.cells[i].name == grade_id), None)
    if number is None:
        raise Problem(f"the source notebook {notebook} has no test {grade_id} any more")
    cells, _ = intake.read(text)
    entries, _ = repair.assemble(cells, master)
    with Heard(number, entries, master, setup.limits, seeds, box, setup.files, {**setup.own, **own}) as book:
        _, exercises = book.graded()
    now = next(e for e in exercises if e["grade_id"] == grade_id)
    return Replay(tuple(book.calls), book.more, now)


# -------------------- the command --------------------


class Found(NamedTuple):
    """An exercise in a student's record."""

    assignment: str
    notebook: str
    line: dict
    record: dict
    text: Any


def replay(student, exercise, assignment, engine, unsafe=False, alone=contextlib.nullcontext):
    """Shows it; 0 when the verdict is the same as in the record.  alone(course): no other run is at work meanwhile."""
    here = course.find()
    if not (here.root / course.OURS / "secret").is_file():
        raise Problem(f"{here.root} has no secret and no records: a replay needs the folder where the class was graded")
    found = find(here, student, exercise, assignment)
    level = engine.choose(unsafe)
    with alone(here), regrade.rehearsed(here) as beside:
        prepared = sources.read(beside, found.assignment)
    one = prepared._replace(masters={found.notebook: prepared.masters[found.notebook]})
    files = {name: data for name, data in one.files.items() if name not in one.editable}
    own = {name: data for name, data in one.files.items() if name in one.editable}
    setup = job.Setup("replay", level, engine.limits, one.masters, files, engine.box, engine.prepare, engine.grade, own)
    seeds, notes = _seeds(here, found, student)
    keeper = batch.prepared(setup)
    try:
        what = found.notebook, found.line["grade_id"], _handed_in(here, found, student), _own(here, one, student), seeds
        made = keeper.ready()(again, *what, seconds=engine.limits.start + 2 * engine.limits.total)
    except (batch.Lost, RuntimeError) as why:
        raise Problem(f"the replay ended: {line(str(why))}") from None
    finally:
        keeper.close()
    if found.record["hashes"]["master"] != keeper.setup.masters[found.notebook].sha256:
        notes.append("the source notebook has changed since")
    show(console(), student, found, made, notes)
    return 0 if alike(found.line, made.line) else 1


def find(here, student, exercise, assignment=None):
    """The Found of a student's exercise, by its id or its test's name; Problem when there is none, or several."""
    dashed = exercise.replace("_", "-")
    names, whose = [assignment] if assignment else sources.assignments(here), []
    if assignment:
        sources.notebooks(here, assignment)
    for name in names:
        record = _recorded(here, name, student)
        if record is None:
            continue
        whose.append(name)
        for notebook, graded in record["notebooks"].items():
            for entry in graded["record"]["exercises"]:
                if exercise in (entry["id"], entry["grade_id"]) or entry["grade_id"] == f"test-{dashed}":
                    if graded["text"] is None:
                        raise Problem(f"{line(student)}'s {notebook} could not be graded: there is nothing to replay")
                    if entry["state"] == "needs manual":
                        raise Problem(f"a human grades {line(exercise)}: there is nothing to replay")
                    return Found(name, notebook, entry, graded["record"], graded["text"])
    where = f"in {assignment}" if assignment else "in any assignment"
    if not whose:
        raise Problem(f"there is no record of {line(student)} {where}: `enm5310 grade ASSIGNMENT` makes it")
    raise Problem(f"{line(student)}'s record has no exercise {line(exercise)} {where}: give an id, such as 1.3")


def _recorded(here, assignment, student):
    """What grading found for a student; a name that is no student's leads nowhere else."""
    records = journal.Journal(here, assignment)
    there = {path.stem for path in records.folder.glob("*.json")}
    record = records.read(student) if student in there else None
    try:
        return {"notebooks": dict(record["result"]["notebooks"])} if record else None
    except (KeyError, TypeError, ValueError):
        raise Problem(f"the record of {line(student)} is damaged: grade {assignment} again") from None


def _seeds(here, found, student):
    """({exercise: seed}, notes): the record's own; where the secret is still the same, they are derived again."""
    from enm5310.checks.engine import student_seed

    secret = here.secret()
    seeds = {entry["id"]: entry["seed"] for entry in found.record["exercises"]}
    seeds[""] = student_seed(secret, student, f"{found.assignment}/{found.notebook}")
    same = student_seed(secret, student, found.line["id"]) == found.line["seed"]
    return seeds, [] if same else ["the course's secret has changed since: the seed is the record's"]


def _handed_in(here, found, student):
    """The bytes that were graded: the file, if it is still there unchanged, else what the record keeps of it."""
    for path in here.path("submitted", student, found.assignment).rglob("*.ipynb"):
        with contextlib.suppress(OSError):
            if not path.is_symlink() and path.stat().st_size < 100 * 2**20:
                data = path.read_bytes()
                if hashlib.sha256(data).hexdigest() == found.record["hashes"]["submitted"]:
                    return data
    return found.text.encode()


def _own(here, assignment, student):
    """The student's version of files that may be edited, as they were graded."""
    folder, own = here.path("autograded", student, assignment.name), {}
    for name in assignment.editable:
        with contextlib.suppress(OSError):
            own[name] = (folder / name).read_bytes()
    return own


def alike(before, now):
    return all(before[key] == now[key] for key in ALIKE)


def show(out, student, found, made, notes):
    """The inputs, the answers and the verdict."""
    before, now = found.line, made.line
    what = f"{line(student)}, {line(before['id'])} of {line(found.notebook)}, seed {before['seed']}"
    out.print(Text(what, style="bold"))
    for number, (name, arguments, answer) in enumerate(made.calls, start=1):
        out.print(Text(f"{number}. {name}({', '.join(arguments)})"))
        out.print(Text(f"   = {answer}", style="cyan"))
    if made.more:
        out.print(Text(f"and {made.more} more calls"))
    if not made.calls:
        out.print(Text("Nothing was asked of the student's functions" + (
            "." if now["protected"] else ": the test ran beside the student's code.")))  # fmt: skip
    out.print(Text(f"verdict: {verdict(now)}"))
    for note in notes:
        out.print(Text(f"! {note}", style="yellow"))
    if alike(before, now):
        out.print(Text("The same verdict as recorded.", style="green"))
    else:
        out.print(Text(f"! recorded was: {verdict(before)}", style="red"))


def verdict(entry):
    told = entry["mistake"] or entry["message"]
    points = f"{entry['score'] or 0:g} of {entry['max_score']:g}"
    return line(f"{entry['state']}, {points}" + (f": {told}" if told else ""))
