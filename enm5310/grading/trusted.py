"""The master's test cells run here, unmodified, in the trusted process; the student's names in them are proxies.

A test's verdict is written as nbgrader reads it from a cell's outputs: an error is nothing earned, a number is that
many points, no output is all of them.  Nothing but the end of the test's own code decides, so the default is failure.
"""

import ast
import builtins
import contextlib
import io
import linecache
import math
import numbers
import os
import random
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from enm5310.checks import Report, engine
from enm5310.grading import clean, names
from enm5310.grading.box import Remote
from enm5310.grading.clock import Clock, OutOfTime
from enm5310.grading.proxies import Proxy
from enm5310.grading.serving import Stopped

HIDDEN = "a hidden test failed"
PRINTED = 20_000  # characters of a test's own output that are kept


class Verdict(NamedTuple):
    """What a test came to."""

    state: str  # "right", "partly right", "wrong" or "not attempted"
    score: float
    message: str | None
    outputs: list  # nbformat dicts, as nbgrader reads them
    mistake: str | None = None
    meddled: bool = False  # a call changed an argument in place that the instructor's own solution leaves alone
    number: bool = False  # the test ended with a number: its points
    changes: frozenset = frozenset()  # (function, argument) that calls changed in place
    traits: frozenset = frozenset()  # (function, "NaN" and its like) of answers
    crashed: bool = False  # the student's process ended over it, perhaps by what another cell had started


class Bench:
    """The trusted namespace of one notebook; judge() runs a test cell in it."""

    def __init__(self, master, children, limits, seeds, explain=None, separate=False):
        self.master, self.children, self.limits, self.seeds = master, children, limits, seeds
        self.explain = explain  # (exercise, function, kind, position) -> why it is not there, in words
        self.separate = separate  # every function of an exercise in a child of its own
        self.clock, self.tainted = Clock(), False
        self.hidden = any(cell.hidden for cell in master.cells)
        self.fresh()

    def fresh(self):
        """An empty namespace, as at the start of the notebook."""
        seed = self.seeds.get("", engine.PRACTICE_SEED)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - tests that draw from it shall draw the same at each regrade
        self.scope = {"__name__": "__main__", "__builtins__": builtins, "get_ipython": _Inert, "display": _inert}
        self.done = set()

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
        run = _Run(self, number, position, withhold)
        exercise = cell.exercise and find(cell.exercise)
        budget = self.limits.slow if exercise is not None and exercise.slow else self.limits.seconds
        printed, points = _Capped(), None
        label = _label(self.master, number)
        try:
            for child in range(len(exercise.of) if exercise and self.separate else 1):
                self.children.at(child, position)  # the cells before it have limits of their own
            with (
                contextlib.redirect_stdout(printed), contextlib.redirect_stderr(_Capped()),
                warnings.catch_warnings(), engine.seeded(self.seeds), self.clock.running(budget),
            ):  # fmt: skip
                warnings.simplefilter("ignore")
                if exercise is not None and self.explain is not None:
                    missing = run.missing(exercise)
                    if missing:
                        return run.verdict("wrong", 0, missing)
                run.prepare()
                value = self._exec(cell.source, label)
                if value is not None:
                    points = _points(value)
                if run.stopped:  # the student's process ended, whatever the test made of it
                    raise run.stopped
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
            score = min(float(value.points), cell.points)
            data = {"text/plain": f"{score:g}", "text/html": value._repr_html_()}
            shown = [*shown, _result(data)]
            return run.verdict(value.state, score, value.message, shown, value.mistake, number=True)
        if points is None or (cell.number is False):
            return run.verdict("right", cell.points, None, shown)
        score = min(max(points, 0.0), cell.points) if math.isfinite(points) else 0.0
        state = "right" if score == cell.points else "partly right" if score else "wrong"
        message = None if state == "right" else f"the test gave {score:g} of {cell.points:g} points"
        shown = [*shown, _result({"text/plain": repr(score)})]
        return run.verdict(state, score, message, shown, number=True)

    def _failed(self, run, cell, exercise, why, label, budget, printed):
        if isinstance(why, KeyboardInterrupt) and not hasattr(why, "remote"):
            raise why  # of whoever sits at the grader's keyboard
        report = getattr(why, "report", None)
        if isinstance(report, Report):
            outputs = [_error(type(why).__name__, report.message or report.state, str(report).splitlines())]
            return run.verdict(report.state, 0, report.message, outputs, report.mistake)
        if isinstance(why, Stopped):
            told = _stopped(str(why), budget)
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
            return run.verdict("not attempted", 0, f"{why.student_name} is not written yet",
                               [_error("NotImplementedError", f"{why.student_name} is not written yet")])  # fmt: skip
        return run.verdict("wrong", 0, told, [*self._printed(printed), _error(name, told)])

    def _in_words(self, why, label, cell):
        """(class, sentence) for a test that failed; nothing of a hidden test, nor what was made of it, is in it."""
        frames = [f for f in traceback.extract_tb(why.__traceback__) if f.filename in _labels(self.master)]
        if any(self.is_hidden(f.filename, f.lineno) for f in frames):
            return "AssertionError", HIDDEN
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


class _Run:
    """One run of one test: what the student's names are, what was called, what came of it."""

    def __init__(self, bench, number, position, withhold):
        self.bench, self.cell, self.position, self.withhold = bench, bench.master.cells[number], position, withhold
        self.changes, self.traits, self.stopped = set(), set(), None

    def missing(self, exercise):
        """Why one of the exercise's functions is not there, in words, or None."""
        kinds = self._look("defined", exercise.of)
        for name in exercise.of:
            if kinds[name] not in ("function", "class"):
                kind = kinds[name] and self._look("types", [name])[name]
                return self.bench.explain(exercise, name, kind, self.position)
        return None

    def prepare(self):
        """Binds the student's names, then runs what the test needs of the master's other cells."""
        bench, scope = self.bench, self.bench.scope
        imported = {name for number, at, guard in self.cell.needs for name in guard}
        kinds = self._look("defined", sorted(self.cell.remote | imported)) if self.cell.remote | imported else {}
        for name in sorted(self.cell.remote):
            scope.pop(name, None)
            if kinds[name] in ("function", "class"):
                child = self._child(name)
                scope[name] = Proxy(name, lambda *call, child=child: self._ask(child, *call), self._accept, scope)
            elif kinds[name] is not None:
                with contextlib.suppress(Remote):  # it cannot be sent: the name stays undefined
                    scope[name] = self._look("value", name)
        for number, at, guard in self.cell.needs:
            if not guard or all(kinds[name] is not None for name in guard):
                bench.statement(number, at)

    def _child(self, name):
        """State cannot pass from one function of an exercise to another when they live in different processes."""
        if not self.bench.separate or not self.cell.exercise:
            return 0
        return find(self.cell.exercise).of.index(name)

    def _look(self, what, name):
        with self.bench.clock.asking():
            return self.bench.children.look(0, self.position, what, name)

    def _ask(self, child, name, args, kwargs):
        bench = self.bench
        if self.stopped:
            raise self.stopped
        if bench.hidden and not bench.tainted:
            bench.tainted = _called_from_hidden(bench)
        left = bench.clock.left()
        if left <= 0:
            raise OutOfTime
        try:
            with bench.clock.asking():
                reply = bench.children.ask(child, self.position, "call", name, args, kwargs, seconds=left)
        except Stopped as why:
            why.name, self.stopped = name, why
            raise
        self.changes |= {(name, key) for key in reply.changed}
        if not self.cell.exercise:  # a check of ours looks for itself
            self._look_at(name, reply.value)
        return reply

    def _look_at(self, name, value):
        """Answers that pass a careless test, as they compare with nothing: none where the instructor's has some."""
        for trait, has in TRAITS.items():
            if has(value):
                self.traits.add((name, trait))
                if self.cell.number is not None and (name, trait) not in self.cell.traits:
                    self.stopped = Stopped(f"returned {trait}, which the instructor's own solution never does")
                    self.stopped.name = name
                    raise self.stopped

    def _accept(self, name, key):
        return not self.withhold or (name, key) in self.cell.changes

    def verdict(self, state, score, message, outputs=None, mistake=None, number=False):
        message = clean.line(message)
        if outputs is None:
            outputs = [_error("AssertionError", message or state)]
        meddled, crashed = bool(self.changes - self.cell.changes), bool(self.stopped and self.stopped.crashed)
        seen = frozenset(self.changes), frozenset(self.traits)
        return Verdict(state, float(score), message, outputs, mistake, meddled, number, *seen, crashed)


def _is_empty(value):
    return value.size == 0 if isinstance(value, np.ndarray) else isinstance(value, (list, tuple)) and len(value) == 0


def _is_nan(value):
    if isinstance(value, (float, np.floating)):
        return value != value
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc" and bool(np.isnan(value).any())


def _is_masked(value):
    return isinstance(value, np.ma.MaskedArray)


TRAITS = {"an empty answer": _is_empty, "NaN": _is_nan, "a masked array": _is_masked}


def _called_from_hidden(bench):
    frame = sys._getframe(2)
    while frame is not None:
        if bench.is_hidden(frame.f_code.co_filename, frame.f_lineno):
            return True
        frame = frame.f_back
    return False


# -------------------- small things --------------------


def find(exercise):
    """The Exercise that a test cell calls, from (module, name)."""
    module, name = exercise
    __import__(module)
    return getattr(sys.modules[module], name)


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


def _points(value):
    """The points that a displayed value means to nbgrader, or None."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError, TypeError):
        return None


def _stopped(why, budget):
    """How a cell or a call ended, in words: the limit is told, not what was left of it."""
    late = why.startswith("did not finish")
    return f"did not finish within {budget:g} s: is there a loop that never ends?" if late else why


def _first_line(why):
    try:
        return " ".join(str(why).strip().splitlines()[:6])[:400]
    except Exception:  # an exception class of the student's own may fail even here
        return ""


def _error(name, words, lines=()):
    traced = [clean.text(line, 2_000) for line in lines] or [f"{name}: {words}"]
    return {"output_type": "error", "ename": clean.line(name), "evalue": clean.line(words) or "", "traceback": traced}


def _result(data):
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None}


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


@contextlib.contextmanager
def isolated(files):
    """A folder of its own that holds the instructor's files; what trusted code changes of the process is put back."""
    folder, path, modules = os.getcwd(), list(sys.path), set(sys.modules)
    environment, numpy_state, state = dict(os.environ), np.random.get_state(), random.getstate()  # noqa: NPY002
    with tempfile.TemporaryDirectory(prefix="enm5310-tests-") as mine:
        for name, data in files.items():
            target = Path(mine, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        try:
            os.chdir(mine)
            sys.path.insert(0, mine)
            os.environ["NBGRADER_EXECUTION"] = "autograde"
            with np.printoptions(), np.errstate():
                yield
        finally:
            os.chdir(folder)
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                if (getattr(sys.modules[name], "__file__", None) or "").startswith(mine + os.sep):
                    del sys.modules[name]
            os.environ.clear()
            os.environ.update(environment)
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(state)
