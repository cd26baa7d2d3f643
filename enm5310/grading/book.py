"""The cells of one submission on their way through the children of the sandbox and the trusted bench."""

import ast
import contextlib
import re
from pathlib import Path

from enm5310.checks.engine import PRACTICE_SEED
from enm5310.grading import clean, integrity, names, trusted, verdicts
from enm5310.grading.asking import Run
from enm5310.grading.isolated import isolated
from enm5310.grading.masters import identity
from enm5310.grading.repair import some
from enm5310.grading.serving import SHOW, Children, Stopped
from enm5310.practice import notebook, plan, runner

INSIDE = 1000  # the first number of the children in which tests run that are not protected
MOST = 12  # notes about cells that stopped


class Book:
    """The cells of one submission on their way through the children and the trusted bench; a context manager."""

    def __init__(self, entries, master, limits, seed, box, files, own):
        self.entries, self.master, self.limits, self.seed = entries, master, limits, seed
        self.files = {name: data for name, data in files.items() if name not in own}  # what trusted code may run
        hidden = any(cell.hidden for cell in master.cells)
        self.children = Children(box, list(self._sources()), limits, {**files, **own}, master.masks, hidden)
        ours = any(cell.exercise for cell in master.cells)
        self.bench = trusted.Bench(master, self.children, limits, seed, self._why_missing, separate=ours)
        self.verdicts, self.room = {}, clean.Room()

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
        if self.bench.hidden:
            self._run_for_show(SHOW)
        with isolated(self.files):
            for number in sorted(self.master.tests, key=self._places):
                self.verdicts[number] = self._best(number)
        if not self.bench.hidden:
            self._run_for_show(0)
        shown = [self._shown(at, entry) for at, entry in enumerate(self.entries)]
        exercises = [self._graded(number, cell) for number, cell in enumerate(self.master.cells) if cell.name]
        return document(shown, self.master), [exercise for exercise in exercises if exercise]

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
            if best.score >= cell.points or verdict.stopped:
                break
        return best

    def inside(self, number, at):
        """The Verdict of a test that is not protected: run in a child of its own, which is believed."""
        cell, child = self.master.cells[number], INSIDE + number
        before = "\n".join(
            _unparsed(self.master.cells[n].source, s) for n, s, _ in cell.needs if self.master.cells[n].role == "test"
        )
        run = Run(self.bench, number, at, False)
        try:
            if before:
                self.children.ask(child, at, "cell", before, seconds=self.limits.seconds)
            ran = self.children.ask(child, at, "cell", cell.source, seconds=self.limits.seconds)
        except Stopped as why:
            run.stopped = why
            return run.verdict("wrong", 0, f"the test {verdicts.ended(str(why), self.limits.seconds)}")
        finally:
            self.children.close(child)
        if ran.error is not None:
            told = f"{ran.error.kind}: {ran.error.message}" if ran.error.message else f"{ran.error.kind} in the test"
            told = verdicts.HIDDEN if cell.hidden else told
            state = "not attempted" if ran.error.kind == "NotImplementedError" else "wrong"
            return run.verdict(state, 0, told)
        points = next((_number(o) for o in ran.outputs if o["output_type"] == "execute_result"), None)
        if cell.number is False or (cell.number is None and points is None):
            return run.verdict("right", cell.points, None, [])
        state, score, message = verdicts.scored(points, cell.points)
        return run.verdict(state, score, message, [verdicts.result({"text/plain": repr(score)})], number=True)

    def _run_for_show(self, child):
        """All cells, for their outputs and for what is said about them; by a child that sees no hidden test."""
        with contextlib.suppress(Stopped):
            self.children.at(child, len(self.entries))
        if child == SHOW:
            self.children.close(child)

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
                    words = verdicts.ended(fate.words, self.limits.seconds)
                    came[step] = runner.Fatal(step, words) if fate.fatal else {"error": words, "kind": fate.kind}
        order[plan.Step("check", exercise.name)] = position
        book = notebook.Notebook(Path("submitted"), tuple(cells), "")
        return runner._missing(exercise, name, kind, came, order, book)

    def notes(self):
        """Lines about the code, and about cells that stopped, unless an exercise's message has said so."""
        own = [e.source for e in self.entries if e.kind == "code" and self._role(e) in ("free", "solution", "manual")]
        told = " ".join(verdict.message or "" for verdict in self.verdicts.values())
        yield from integrity.notes(own, self.master.masks)
        yield from self._stopped_cells(told)
        open_to_all = [self.master.cells[i].name for i in self.master.tests if not self.master.cells[i].protected]
        if open_to_all:
            yield f"not protected: {some(open_to_all)} ran beside the student's code"

    def _stopped_cells(self, told):
        lines = []
        for at, fate in sorted(self.children.fates.items()):
            words = verdicts.ended(fate.words, self.limits.seconds)
            words = words if fate.fatal else f"stopped with {words}"
            quiet = fate.kind in runner.QUIET or self._role(self.entries[at]) == "test"
            if not quiet and f"its cell {words}" not in told:
                lines.append(f"{self._called(at)} {words}")
        return lines[:MOST] + [f"{len(lines) - MOST} more cells stopped"] * (len(lines) > MOST)

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
            return line(cell, self.seed, v.state, v.score, v.message, v.mistake)
        if cell.role == "task":
            return line(cell, self.seed, "needs manual", None)
        if cell.role == "manual":
            entry = next(e for e in self.entries if e.of == number)
            untouched = entry.missing or entry.source == cell.released
            if untouched and "checksum" in cell.nbgrader:  # nbgrader sees it, too, and gives 0
                return line(cell, self.seed, "not attempted", 0.0)
            return line(cell, self.seed, "needs manual", None)
        return None

    def _shown(self, at, entry):
        """A cell of the executed notebook."""
        cell = None if entry.of is None or entry.copy else self.master.cells[entry.of]
        source = entry.source
        if entry.kind != "code" and (cell is None or source not in (cell.source, cell.released)):
            source = clean.markdown(source)
        if entry.missing and cell.role == "manual":
            source = cell.released if "checksum" in cell.nbgrader else source
        if cell is not None and cell.hidden:  # nbgrader's feedback would show students what is hidden here
            source = f"{cell.released}\n# hidden tests: {len(cell.hidden)}"
        made = {"cell_type": entry.kind, "id": "", "metadata": {}, "source": source}
        if cell is not None:
            made |= {"id": cell.id, "metadata": {"nbgrader": dict(cell.nbgrader)}}
        if entry.kind == "code":
            test = cell is not None and cell.role == "test"
            outputs = self.verdicts[entry.of].outputs if test else clean.outputs(self._outputs(at), self.room)
            made |= {"outputs": outputs, "execution_count": None}
        return made

    def _outputs(self, at):
        fate = self.children.fates.get(at)
        if fate is not None and fate.fatal:
            return [verdicts.error("Stopped", f"the cell {verdicts.ended(fate.words, self.limits.seconds)}")]
        return self.children.shown.get(at, [])


def _number(output):
    try:
        return float(output["data"]["text/plain"])
    except (KeyError, ValueError):
        return None


def _unparsed(source, at):
    return ast.unparse(names.statements(source)[at].node)


def line(cell, seed, state, score, message=None, mistake=None):
    """A graded cell's line of the record."""
    about = identity(cell)
    return {
        "id": about, "grade_id": cell.name, "score": score, "max_score": cell.points, "state": state,
        "message": message, "mistake": mistake, "protected": cell.protected,
        "seed": seed.get(about, seed.get("", PRACTICE_SEED)),
    }  # fmt: skip




def document(cells, master):
    """The executed notebook as nbformat 4.5 data; every cell has an id of its own."""
    taken = set()
    for number, cell in enumerate(cells):
        if not _ID.fullmatch(cell["id"]) or cell["id"] in taken:
            cell["id"] = next(i for i in (f"cell-{number}" + "-" * k for k in range(len(cells) + 1)) if i not in taken)
        taken.add(cell["id"])
    return {"cells": cells, "metadata": {"kernelspec": dict(master.kernelspec)}, "nbformat": 4, "nbformat_minor": 5}


_ID = re.compile("[A-Za-z0-9_-]{1,64}")
