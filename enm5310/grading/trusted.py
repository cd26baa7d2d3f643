"""The master's test cells run here, unmodified, in the trusted process; the student's names in them are proxies.

A test's verdict is written as nbgrader reads it from a cell's outputs: an error is nothing earned, a number is that
many points, no output is all of them.  Nothing but the end of the test's own code decides, so the default is failure.
"""

import ast
import builtins
import contextlib
import io
import linecache
import random
import traceback
import warnings

import numpy as np

from enm5310.checks import Report, engine
from enm5310.grading import clean, masters, names, verdicts
from enm5310.grading.asking import Run
from enm5310.grading.clock import Clock, OutOfTime
from enm5310.grading.serving import Stopped, Unavailable

KEPT = "..."  # in place of a seed: a student who knew it could answer it by heart when the work is handed in again
PRINTED = 20_000  # characters of a test's own output that are kept


class Bench:
    """The trusted namespace of one notebook; judge() runs a test cell in it."""

    def __init__(self, master, children, limits, seeds, explain=None, separate=False):
        self.master, self.children, self.limits, self.seeds = master, children, limits, seeds
        self.explain = explain  # (exercise, function, kind, position) -> why it is not there, in words
        self.separate = separate  # every function of an exercise in a child of its own
        self.clock, self.tainted = Clock(), False
        self.hidden = any(cell.hidden for cell in master.cells)
        self.run = None  # the run of a test that is going on
        self.fresh()

    def ask(self, *call):
        """What proxies ask, also those that an earlier test has kept: for the test that is going on."""
        return self.run.ask(*call)

    def accept(self, name, key):
        return self.run.accept(name, key)

    def fresh(self):
        """An empty namespace, as at the start of the notebook."""
        self.scope = {"__name__": "__main__", "__builtins__": builtins, "get_ipython": _Inert, "display": _inert}
        self.done = set()

    def _draw_anew(self, number):
        """Random tests draw the same at each regrade, however often and wherever they are judged."""
        general = self.seeds.get("", engine.PRACTICE_SEED)
        drawn = np.random.default_rng([general % 2**64, number]).integers(2**32)
        random.seed(int(drawn))
        np.random.seed(int(drawn))  # noqa: NPY002 - what the instructor's tests use

    # -------------------- a test --------------------

    def judge(self, number, position):
        """The Verdict on the master's test cell of this number, for the student's names as they are at the position."""
        cell = self.master.cells[number]
        verdict = self.judge_once(number, position)
        if not verdict.meddled or cell.exercise:  # an exercise's check hands out copies and looks at them itself
            return verdict
        self.fresh()  # what else uses the data that the student changed shall not find them changed
        if verdict.score > 0:
            again = self.judge_once(number, position, withhold=True)
            verdict = min(verdict, again, key=lambda v: v.score)
            self.fresh()
        return verdict

    def judge_once(self, number, position, withhold=False):
        """The same without a second look; withhold: no change in place that the instructor's own does not make."""
        cell = self.master.cells[number]
        run = self.run = Run(self, number, position, withhold)
        exercise = cell.exercise and masters.exercise(cell.exercise)
        budget = self.limits.slow if exercise is not None and exercise.slow else self.limits.seconds
        printed = _Capped()
        label = _label(self.master, number)
        try:
            run.go_there(len(exercise.of) if exercise and self.separate else 1)
            with (
                contextlib.redirect_stdout(printed), contextlib.redirect_stderr(_Capped()),
                warnings.catch_warnings(), engine.seeded(self.seeds), self.clock.running(budget),
            ):  # fmt: skip
                warnings.simplefilter("ignore")
                self._draw_anew(number)
                if exercise is not None and self.explain is not None:
                    missing = run.missing(exercise)
                    if missing:
                        return run.verdict("wrong", 0, missing)
                run.prepare()
                value = self._exec(cell.source, label)
                if run.stopped:  # the student's process ended, whatever the test made of it
                    raise run.stopped
                if self.clock.left() <= 0:
                    raise OutOfTime
                points = verdicts.points(value)
        except BaseException as why:
            return self._failed(run, cell, exercise, why, label, budget, printed.getvalue())
        self.done |= {(number, at) for at in range(len(names.statements(cell.source)))}
        return self._passed(run, cell, value, points, printed.getvalue())

    def _exec(self, source, label):
        """Runs a cell; the value of its last expression, which a notebook would display."""
        tree = names.parse(source)
        if tree is None:
            compile(source, label, "exec")  # raises the SyntaxError
        body, last = list(tree.body), None
        if body and isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";"):
            last = body.pop()
        exec(compile(ast.Module(body, []), label, "exec"), self.scope)
        return eval(compile(ast.Expression(last.value), label, "eval"), self.scope) if last is not None else None

    def statement(self, number, at):
        """Runs one statement of another cell of the master's, once."""
        if (number, at) not in self.done:
            node = names.statements(self.master.cells[number].source)[at].node
            exec(compile(ast.Module([node], []), _label(self.master, number), "exec"), self.scope)
            self.done.add((number, at))

    # -------------------- verdicts --------------------

    def _passed(self, run, cell, value, points, printed):
        shown = self._printed(printed)
        if isinstance(value, Report):
            value.seed = KEPT
            score = min(float(value.points), cell.points)
            data = {"text/plain": f"{score:g}", "text/html": clean.plain(value._repr_html_())}
            shown = [*shown, verdicts.result(data)]
            return run.verdict(value.state, score, value.message, shown, value.mistake, number=True)
        if cell.number is False or (cell.number is None and points is None):
            return run.verdict("right", cell.points, None, shown)
        state, score, message = verdicts.scored(points, cell.points)
        shown = [*shown, verdicts.result({"text/plain": repr(score)})]
        return run.verdict(state, score, message, shown, number=True)

    def _failed(self, run, cell, exercise, why, label, budget, printed):
        if isinstance(why, KeyboardInterrupt) and not hasattr(why, "remote"):
            raise why  # of whoever sits at the grader's keyboard
        if isinstance(run.stopped, Unavailable):
            raise run.stopped
        report = getattr(why, "report", None)
        if isinstance(report, Report):
            report.seed = KEPT
            outputs = [verdicts.error(type(why).__name__, report.message or report.state, str(report).splitlines())]
            return run.verdict(report.state, 0, report.message, outputs, report.mistake)
        if isinstance(why, Stopped):
            told = verdicts.ended(str(why), budget)
            if not told.startswith("not reached"):
                told = f"{' or '.join(exercise.of) if exercise else why.name or 'the notebook'} {told}"
            return run.verdict("wrong", 0, told)
        if isinstance(why, OutOfTime):
            return run.verdict("wrong", 0, f"the test took longer than {budget:g} s")
        if exercise is not None:
            told = f"{type(why).__name__}: {_first_line(why)}".rstrip(": ")
            return run.verdict("wrong", 0, f"the check was stopped by {told}")
        untouched = type(why) is NotImplementedError and hasattr(why, "remote")
        name, told = self._in_words(why, label, cell)
        if untouched:
            told = f"{why.student_name} is not written yet"
            return run.verdict("not attempted", 0, told, [verdicts.error("NotImplementedError", told)])
        return run.verdict("wrong", 0, told, [*self._printed(printed), verdicts.error(name, told)])

    def _in_words(self, why, label, cell):
        """(class, sentence) for a test that failed; nothing of a hidden test, nor what was made of it, is in it."""
        frames = [f for f in traceback.extract_tb(why.__traceback__) if f.filename in _labels(self.master)]
        if any(self.is_hidden(f.filename, f.lineno) for f in frames):
            return "AssertionError", verdicts.HIDDEN
        line = linecache.getline(label, frames[-1].lineno).strip()[:100] if frames else ""
        line = line or next((text.strip() for text in cell.source.splitlines() if text.strip()), "")[:100]
        if self.tainted:  # the words may come from a student who has seen hidden inputs
            return "AssertionError", f"`{line}` failed"
        if hasattr(why, "remote"):
            return type(why).__name__, f"{why.student_name} raised {engine._in_words(why)}"
        first = _first_line(why)
        if isinstance(why, AssertionError):
            return "AssertionError", f"{first} (`{line}`)" if first else f"`{line}` failed"
        return type(why).__name__, f"{type(why).__name__}: {first} (`{line}`)"

    def is_hidden(self, label, line):
        number = _labels(self.master).get(label)
        return number is not None and any(a <= line <= b for a, b in self.master.cells[number].hidden)

    def _printed(self, printed):
        if not printed or self.hidden:
            return []
        return [{"output_type": "stream", "name": "stdout", "text": clean.text(printed, PRINTED)}]


# -------------------- small things --------------------


def _labels(master):
    """{file name of a cell's code: its number}."""
    if master.sha256 not in _LABELS:
        _LABELS.clear()
        _LABELS[master.sha256] = {}
        for number, cell in enumerate(master.cells):
            label = f"<cell {number} of {master.sha256[:12]}>"
            _LABELS[master.sha256][label] = number
            linecache.cache[label] = (len(cell.source), None, cell.source.splitlines(keepends=True), label)
    return _LABELS[master.sha256]


_LABELS = {}


def _label(master, number):
    return list(_labels(master))[number]


def _first_line(why):
    try:
        return " ".join(str(why).strip().splitlines()[:6])[:400]
    except Exception:  # an exception class of the student's own may fail even here
        return ""


class _Capped(io.StringIO):
    """Keeps the first characters and drops the rest: a print without end must not fill the memory."""

    def write(self, words):
        super().write(words[: max(0, PRINTED + 1 - self.tell())])
        return len(words)


class _Inert:
    """get_ipython() of trusted code: takes any call and does nothing."""

    def __getattr__(self, name):
        return _inert


def _inert(*args, **kwargs):
    return None
