"""One submission in, one verdict out: grade_notebook() reads no file, writes none, and raises nothing for a student.

The submitted bytes and the master become a notebook (intake), its cells run in children of a sandbox (serving), the
master's tests are run here (trusted), and what is shown is made harmless (clean).
"""

import ast
import functools
import hashlib
import importlib.metadata
import json
import platform
import re
import time
from pathlib import Path

from enm5310.checks.engine import PRACTICE_SEED
from enm5310.grading import clean, intake, integrity, names, sandbox, trusted
from enm5310.grading.box import Box
from enm5310.grading.masters import identity
from enm5310.grading.serving import SHOW, Children, Stopped
from enm5310.practice import notebook, plan, runner

INSIDE = 1000  # the first number of the children in which tests run that are not protected


def grade_notebook(submitted, master, limits, seed, *, box=None, files=None):
    """(executed notebook as nbformat data, record) for a student's bytes and a masters.Master.

    seed: {exercise id: int}, "" for the general one.  box: a Box, else one that this process keeps for these limits.
    files: {name: bytes} that the assignment comes with.  A submission that cannot be graded has no executed notebook.
    """
    begun, box = time.monotonic(), box or shared(limits)
    record = {
        "status": "not gradable", "score": 0.0, "max_score": master.max_score, "seconds": 0.0, "memory": 0, "notes": [],
        "exercises": [], "sandbox": box.level.name, "versions": versions(),
        "hashes": {"submitted": hashlib.sha256(submitted).hexdigest(), "master": master.sha256},
    }  # fmt: skip
    executed = None
    try:
        cells, notes = intake.read(submitted)
        entries, more = intake.assemble(cells, master)
        book = Book(entries, master, limits, seed, box, files or {})
        with book:
            executed, exercises = book.graded()
            notes = [*notes, *more, *book.notes()]
        record |= {"status": _status(exercises), "exercises": exercises, "memory": book.children.memory}
        record["score"] = float(sum(exercise["score"] or 0 for exercise in exercises))
    except intake.NotGradable as why:
        notes = []
        record["reason"] = clean.line(str(why))
        record["exercises"] = [_exercise(cell, seed, "wrong", 0.0) for cell in master.cells if cell.points]
    record["notes"] = list(dict.fromkeys(map(clean.line, notes)))
    record["seconds"] = round(time.monotonic() - begun, 3)
    return executed, record


def dry_run(master, files, limits, box, only=None, inside=False):
    """{number of a test cell: its Verdict on the instructor's own solutions}, outside the sandbox or inside."""
    entries = [intake.Entry(cell.kind, cell.source, i) for i, cell in enumerate(master.cells)]
    book = Book(entries, master, limits, {}, box, files)
    wanted = [i for i in (master.tests if only is None else only) if inside or master.cells[i].protected]
    with book, trusted.isolated(files):
        judge = book.inside if inside else book.bench.judge_once
        return {i: judge(i, i) for i in wanted}


def _status(exercises):
    return "needs manual" if any(e["state"] == "needs manual" for e in exercises) else "graded"


@functools.lru_cache(maxsize=4)
def shared(limits):
    """The Box of this process, at the best sandbox level there is."""
    return Box(sandbox.choose(), limits)


@functools.cache
def versions():
    return {"python": platform.python_version(), **{
        package: importlib.metadata.version(package) for package in ("enm5310", "numpy", "autograd", "ipython")
    }}  # fmt: skip


# -------------------- one notebook --------------------


class Book:
    """The cells of one submission on their way through the children and the trusted bench; a context manager."""

    def __init__(self, entries, master, limits, seed, box, files):
        self.entries, self.master, self.limits, self.seed, self.files = entries, master, limits, seed, files
        self.children = Children(box, list(self._sources()), limits, files, master.masks)
        ours = any(cell.exercise for cell in master.cells)
        self.bench = trusted.Bench(master, self.children, limits, seed, self._why_missing, separate=ours)
        self.verdicts = {}

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.children.__exit__(*why)

    def _sources(self):
        """What the children run at each cell; of a test cell only what a later cell of the student's may need."""
        later, sources = set(), []
        for entry in reversed(self.entries):
            cell = None if entry.of is None else self.master.cells[entry.of]
            if entry.kind != "code":
                sources.append(None)
            elif cell is None or cell.role != "test" or (entry.copy and not cell.exercise):
                sources.append(entry.source)
                later.update(re.findall(r"[^\W\d]\w*", entry.source))
            else:
                used = not cell.exercise and names.bound(cell.released) & later
                sources.append(cell.released if used else None)
        return reversed(sources)

    # -------------------- judging --------------------

    def graded(self):
        """(executed notebook, exercises of the record)"""
        with trusted.isolated(self.files):
            for number in sorted(self.master.tests, key=self._places):
                self.verdicts[number] = self._best(number)
        self._run_the_rest()
        shown = [self._shown(at, entry) for at, entry in enumerate(self.entries)]
        exercises = [self._graded(number, cell) for number, cell in enumerate(self.master.cells) if cell.name]
        return _document(shown, self.master), [exercise for exercise in exercises if exercise]

    def _places(self, number):
        """Where a test is judged: at its own cell, and at copies of it."""
        own = [at for at, entry in enumerate(self.entries) if entry.of == number]
        return sorted(own, key=lambda at: self.entries[at].copy)

    def _best(self, number):
        cell, best = self.master.cells[number], None
        for at in self._places(number)[:5]:
            judge = self.bench.judge if cell.protected else self.inside
            verdict = judge(number, at)
            if verdict.crashed:
                verdict = judge(number, at)
            if best is None or verdict.score > best.score:
                best = verdict
            if best.score >= cell.points:
                break
        return best

    def inside(self, number, at):
        """The Verdict of a test that is not protected: run in a child of its own, which is believed."""
        cell, child = self.master.cells[number], INSIDE + number
        before = "\n".join(
            _unparsed(self.master.cells[n].source, s) for n, s, _ in cell.needs if self.master.cells[n].role == "test"
        )
        run = trusted._Run(self.bench, number, at, False)
        try:
            if before:
                self.children.ask(child, at, "cell", before, seconds=self.limits.seconds)
            ran = self.children.ask(child, at, "cell", cell.source, seconds=self.limits.seconds)
        except Stopped as why:
            run.stopped = why
            return run.verdict("wrong", 0, f"the test {trusted._stopped(str(why), self.limits.seconds)}")
        finally:
            self.children.close(child)
        if ran.error is not None:
            told = f"{ran.error.kind}: {ran.error.message}" if ran.error.message else f"{ran.error.kind} in the test"
            told = trusted.HIDDEN if cell.hidden else told
            state = "not attempted" if ran.error.kind == "NotImplementedError" else "wrong"
            return run.verdict(state, 0, told)
        points = next((_number(o) for o in ran.outputs if o["output_type"] == "execute_result"), None)
        if points is None or cell.number is False:
            return run.verdict("right", cell.points, None, [])
        score = min(max(points, 0.0), cell.points)
        state = "right" if score == cell.points else "partly right" if score else "wrong"
        return run.verdict(state, score, None, [trusted._result({"text/plain": repr(score)})], number=True)

    def _run_the_rest(self):
        """The cells after the last test, and all of them in a child that has seen no test, when tests are hidden."""
        try:
            if self.bench.hidden:
                self.children.shown.clear()
            self.children.at(SHOW if self.bench.hidden else 0, len(self.entries))
        except Stopped:
            pass

    # -------------------- in words --------------------

    def _why_missing(self, exercise, name, kind, position):
        """Why a function is not there, in the words of `enm5310 check`."""
        cells, came, order = [], {}, {}
        for at, entry in enumerate(self.entries):
            if entry.kind == "code" and not entry.missing:
                cell = notebook.Cell(at, self.master.cells[entry.of].name if entry.of is not None else "", entry.source)
                step = plan.Step("cell", at, entry.source)
                cells.append(cell)
                order[step] = at
                fate = self.children.fates.get(at)
                if fate is not None and at < position:
                    words = trusted._stopped(fate.words, self.limits.seconds)
                    came[step] = runner.Fatal(step, words) if fate.fatal else {"error": words, "kind": fate.kind}
        order[plan.Step("check", exercise.name)] = position
        book = notebook.Notebook(Path("submitted"), tuple(cells), "")
        return runner._missing(exercise, name, kind, came, order, book)

    def notes(self):
        """Lines about the code, and about cells that stopped, unless an exercise's message has said so."""
        own = [e.source for e in self.entries if e.kind == "code" and self._role(e) in ("free", "solution", "manual")]
        told = " ".join(verdict.message or "" for verdict in self.verdicts.values())
        yield from integrity.notes(own, self.master.masks)
        for at, fate in sorted(self.children.fates.items()):
            words = trusted._stopped(fate.words, self.limits.seconds)
            words = words if fate.fatal else f"stopped with {words}"
            if f"its cell {words}" not in told and fate.kind not in runner.QUIET and self._role(self.entries[at]) != "test":
                yield f"{self._called(at)} {words}"
        open_to_all = [self.master.cells[i].name for i in self.master.tests if not self.master.cells[i].protected]
        if open_to_all:
            yield f"not protected: {intake._some(open_to_all)} ran beside the student's code"

    def _role(self, entry):
        return "free" if entry.of is None or entry.copy else self.master.cells[entry.of].role

    def _called(self, at):
        first = next((text.strip() for text in self.entries[at].source.splitlines() if text.strip()), "")
        return f"the cell `{first[:40]}`"

    # -------------------- what comes out --------------------

    def _graded(self, number, cell):
        """The line of the record about a graded cell of the master, or None."""
        if cell.role == "test":
            v = self.verdicts[number]
            return _exercise(cell, self.seed, v.state, v.score, v.message, v.mistake)
        if cell.role == "task":
            return _exercise(cell, self.seed, "needs manual", None)
        if cell.role == "manual":
            entry = next(e for e in self.entries if e.of == number)
            untouched = "checksum" in cell.nbgrader and entry.source == cell.released
            if untouched or entry.missing:
                return _exercise(cell, self.seed, "not attempted", 0.0)
            return _exercise(cell, self.seed, "needs manual", None)
        return None

    def _shown(self, at, entry):
        """A cell of the executed notebook."""
        cell = None if entry.of is None or entry.copy else self.master.cells[entry.of]
        source = entry.source
        if entry.kind != "code" and (cell is None or source not in (cell.source, cell.released)):
            source = clean.markdown(source)
        if entry.missing and cell.role == "manual":
            source = cell.released if "checksum" in cell.nbgrader else source
        made = {"cell_type": entry.kind, "id": "", "metadata": {}, "source": source}
        if cell is not None:
            made |= {"id": cell.id, "metadata": {"nbgrader": dict(cell.nbgrader)}}
        if entry.kind == "code":
            test = cell is not None and cell.role == "test"
            outputs = self.verdicts[entry.of].outputs if test else clean.outputs(self._outputs(at))
            made |= {"outputs": outputs, "execution_count": None}
        return made

    def _outputs(self, at):
        fate = self.children.fates.get(at)
        if fate is not None and fate.fatal:
            return [trusted._error("Stopped", f"the cell {trusted._stopped(fate.words, self.limits.seconds)}")]
        return self.children.shown.get(at, [])


def _exercise(cell, seed, state, score, message=None, mistake=None):
    about = identity(cell)
    return {
        "id": about, "grade_id": cell.name, "score": score, "max_score": cell.points, "state": state,
        "message": message, "mistake": mistake, "protected": cell.protected,
        "seed": seed.get(about, seed.get("", PRACTICE_SEED)),
    }  # fmt: skip


def _number(output):
    try:
        return float(output["data"]["text/plain"])
    except (KeyError, ValueError):
        return None


def _unparsed(source, at):
    return ast.unparse(names.statements(source)[at].node)


def _document(cells, master):
    """The executed notebook as nbformat 4.5 data; every cell has an id of its own."""
    taken = set()
    for number, cell in enumerate(cells):
        if not _ID.fullmatch(cell["id"]) or cell["id"] in taken:
            cell["id"] = next(i for i in (f"cell-{number}" + "-" * k for k in range(len(cells) + 1)) if i not in taken)
        taken.add(cell["id"])
    return {"cells": cells, "metadata": {"kernelspec": dict(master.kernelspec)}, "nbformat": 4, "nbformat_minor": 5}


_ID = re.compile("[A-Za-z0-9_-]{1,64}")


def text(executed):
    """The executed notebook as the text of a file, laid out as nbformat does (whose import takes seconds)."""
    return json.dumps(executed, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
