"""The check engine: an exercise is declared once and decided by the same code in notebook, terminal and batch.

A ``Trial`` is the only road from a check to the student's code: it hands over copies of plain data and takes back plain
data, so the functions may as well live in another process.
"""

import contextlib
import contextvars
import copy
import hmac
import json
import linecache
import os
import secrets
import traceback
from typing import NamedTuple

import autograd.numpy
import numpy as np

from enm5310.checks import answers, ladder
from enm5310.checks.answers import Wrong
from enm5310.checks.capture import captured
from enm5310.checks.report import CheckFailed, NotAttempted, Part, Report

PRACTICE_SEED = 22  # public: the seed of every check outside graded runs


class Misfit(Wrong):
    """An answer of the wrong form: its message names the function already."""


class Raised(Wrong):
    """The student's function raised an exception."""


class Unwritten(Wrong):
    """The student's function is still the stub."""


class Fn:
    """A function that a check may hand over: source text that defines ``f``, and plain data, so that it can be sent."""

    def __init__(self, source, **data):
        self.source, self.data = source, data
        scope = {"np": autograd.numpy, **data}
        exec(source, scope)
        self.f = scope["f"]

    def __call__(self, *args):
        return self.f(*args)

    def __deepcopy__(self, memo):
        return Fn(self.source, **copy.deepcopy(self.data, memo))


class Call(NamedTuple):
    """One recorded call of a student's function: what it got, what it gave, which arguments it changed in place."""

    name: str
    args: tuple
    out: object
    changed: tuple


def in_kernel(functions):
    """call(name, args) -> (rebuilt answer, indices of arguments changed in place), for functions of this process."""

    def call(name, args):
        given = copy.deepcopy(args)
        out = functions[name](*given)
        return answers.rebuild(out), tuple(i for i, a in enumerate(args) if not _untouched(a, given[i]))

    return call


def _untouched(before, after):
    if isinstance(before, np.ndarray):
        same_form = after.shape == before.shape and after.dtype == before.dtype
        return same_form and np.array_equal(after, before, equal_nan=True)
    if isinstance(before, (list, tuple)):
        return len(before) == len(after) and all(_untouched(a, b) for a, b in zip(before, after, strict=True))
    return isinstance(before, Fn) or before == after


class Trial:
    """One run of one check: ``t(name, *args, like=...)`` calls the student's function, ``t.part(words)`` judges."""

    def __init__(self, call, seed, parts, printed=None):
        self.rng = np.random.default_rng(seed)
        self.calls, self.failed, self.entered = [], {}, set()
        self._call, self._parts, self._printed = call, parts, [] if printed is None else printed

    def __call__(self, name, *args, like):
        """The student's answer for these arguments in the form ``like`` (see answers.fit), or Wrong."""
        args = copy.deepcopy(args)
        try:
            with captured(self._printed), np.errstate(divide="warn", over="warn", invalid="warn"):
                out, changed = self._call(name, args)
        except NotImplementedError as why:
            if type(why) is not NotImplementedError:  # IPython's refusal of input() is a subclass
                raise Raised(f"{name} raised {_in_words(why)}") from None
            raise Unwritten(f"{name} is not written yet") from None
        except Wrong as why:
            raise Misfit(f"{name} returned {why}") from None
        except (Exception, SystemExit) as why:
            raise Raised(f"{name} raised {_in_words(why)}") from None
        self.calls.append(Call(name, args, out, changed))
        try:
            return answers.fit(out, like)
        except Wrong as why:
            raise Misfit(f"{name} returned {why}") from None

    @contextlib.contextmanager
    def part(self, words):
        """A property with a name and a weight; when it fails, the check goes on."""
        if words not in self._parts:
            raise KeyError(f"the exercise declares no part {words!r}")
        self.entered.add(words)
        try:
            yield
        except Wrong as why:
            self.failed.setdefault(words, why)

    def left_alone(self):
        """Raises Wrong when the last call changed one of its arguments in place."""
        name, _, _, changed = self.calls[-1]
        if changed:
            raise Wrong(f"{name} changed its argument {changed[0] + 1} in place; the caller still needs it")


class Verdict(NamedTuple):
    """What a trial came to."""

    state: str  # "not attempted", "wrong", "partly right" or "right"
    points: int
    parts: tuple  # of report.Part
    message: str | None  # the first thing to tell the student
    mistake: str | None  # the sentence of the known mistake, when it is one
    seed: int
    printed: tuple = ()


class Exercise:
    """A check with its weights, its known mistakes and its hints; calling it checks the student's functions."""

    def __init__(self, check, id, of, parts, slide, title, answers=(), canon=None, hints=(), slow=False):
        self.check, self.id, self.of, self.parts = check, id, (of,) if isinstance(of, str) else tuple(of), parts
        self.name, self.__doc__ = check.__name__, check.__doc__
        self.slide, self.title, self.answers, self.hints, self.slow = slide, title, tuple(answers), tuple(hints), slow
        self._canon = canon if isinstance(canon, dict) else {name: canon for name in self.of}
        self.known, self.state, self.verdict, self.hints_shown = [], None, None, 0

    max_points = property(lambda self: sum(self.parts.values()))

    def mistake(self, say, of=None):
        """Declares a wrong version of one of the exercise's functions, recognised by what it returns."""
        return lambda f: self.known.append((say, of or self.of[0], f)) or f

    # -------------------- deciding --------------------

    def judge(self, call, seed=PRACTICE_SEED):
        """The verdict on functions reached through call(name, args); the same in every process."""
        printed = []
        t = Trial(call, seed, self.parts, printed)
        with np.errstate(all="ignore"):  # strange answers overflow in the check's own arithmetic; the parts say so
            try:
                self.check(t)
                unseen = set(self.parts) - t.entered
                if unseen:
                    raise RuntimeError(f"check {self.id} never entered its parts {unseen}")
            except Wrong as why:
                t.failed = {words: t.failed.get(words, why) for words in self.parts}
        return self._verdict(t, seed, printed)

    def _verdict(self, t, seed, printed):
        gate = any(self.parts[words] == 0 for words in t.failed)  # weight 0 = gate: earns nothing, costs all
        points = 0 if gate else sum(w for words, w in self.parts.items() if words not in t.failed)
        if t.failed and all(isinstance(why, Unwritten) for why in t.failed.values()) and points == 0:
            state = "not attempted"
        else:
            state = "right" if not t.failed else "partly right" if points else "wrong"
        words, first = next(((w, t.failed[w]) for w in self.parts if w in t.failed), (None, None))
        mistake = self.named(t.calls) if t.failed and not isinstance(first, (Raised, Unwritten)) else None
        whys = {words: str(why) for words, why in t.failed.items()}
        parts = tuple(Part(words, weight, whys.get(words)) for words, weight in self.parts.items())
        told = f"{words}: {first}" if type(first) is Wrong else first and str(first)  # the others name the function
        message, printed = mistake or told, tuple(dict.fromkeys(printed))
        return Verdict(state, points, parts, message, mistake, seed, printed)

    def named(self, calls):
        """The known mistake that gives exactly these answers on the recorded inputs, up to the allowed freedom."""
        for say, of, f in self.known:
            mine = [c for c in calls if c.name == of]
            if mine and all(self._repeats(f, c) for c in mine):
                return say
        return None

    def _repeats(self, f, call):
        canon = self._canon.get(call.name) or (lambda out: out)
        try:
            with np.errstate(all="ignore"), captured([]):
                out, changed = in_kernel({call.name: f})(call.name, call.args)
                return changed == call.changed and answers.same(canon(out), canon(call.out))
        except Exception:  # a mistake that cannot run on these inputs, or an answer canon cannot read: not this one
            return False

    # -------------------- the call in the notebook --------------------

    def __call__(self, *functions, seed=None):
        """Checks the functions: a Report, or CheckFailed when nothing is earned, or NotAttempted for a stub."""
        if len(functions) != len(self.of) or not all(callable(f) for f in functions):
            functions = "functions themselves" if len(self.of) > 1 else "function itself"
            raise TypeError(f"check.{self.name} takes the {functions}: check.{self.name}({', '.join(self.of)})")
        seed = _seed(self.id) if seed is None else seed
        verdict = self.judge(in_kernel(dict(zip(self.of, functions, strict=True))), seed)
        report, self.state, self.verdict = Report(self, verdict), verdict.state, verdict
        if verdict.state == "not attempted":
            raise NotAttempted(report)
        if verdict.points == 0:
            raise CheckFailed(report)
        return report

    def help(self):
        """What is checked, for how many points, and how to get on."""
        return ladder.help(self)

    def hint(self):
        """The next hint; each call goes one step further."""
        self.hints_shown = min(self.hints_shown + 1, len(self.hints))
        return ladder.hint(self, self.hints_shown)

    def mistakes(self):
        """The wrong answers that this check knows by name."""
        return ladder.mistakes(self)

    def solution(self):
        """The worked solution, once the answer is right or after the last hint."""
        return ladder.solution(self, allowed=self.state == "right" or self.hints_shown == len(self.hints))

    def __repr__(self):
        return f"<check {self.id} {self.title}: check.{self.name}({', '.join(self.of)})>"


def exercise(id, **declared):
    """Turns a check function (t) into an Exercise, declared once with its parts {words: points}."""
    return lambda check: Exercise(check, id, **declared)


def student_seed(secret, student, exercise_id):
    """HMAC-SHA256(course secret, [student, exercise]) as 48 bits: a seed of one's own, the same at every regrade.

    For the process that grades; the secret (bytes) never reaches the student's code, so the seed cannot be foreseen.
    """
    message = json.dumps([student, exercise_id]).encode()  # a list: no pair of names can run together
    return int.from_bytes(hmac.digest(secret, message, "sha256")[:6], "big")


_seeds = contextvars.ContextVar("seeds", default=None)


@contextlib.contextmanager
def seeded(seeds):
    """Meanwhile a check draws from the seed of its exercise's id, or from that of "": for the process that grades."""
    token = _seeds.set(seeds)
    try:
        yield
    finally:
        _seeds.reset(token)


def _seed(exercise_id):
    """The official seed; fresh entropy while nbgrader autogrades, printed in the report; else the public one."""
    seeds = _seeds.get()
    if seeds is not None:
        return seeds[exercise_id] if exercise_id in seeds else seeds.get("", PRACTICE_SEED)
    return secrets.randbits(48) if os.environ.get("NBGRADER_EXECUTION") == "autograde" else PRACTICE_SEED


def _in_words(why):
    """"ValueError: matmul: ... (line 3: `C = X @ X`)": the student's own line, not NumPy's or ours.

    An exception that was raised in another process brings its line along, as ``student_line``.
    """
    try:
        told = f"{type(why).__name__}: {why}".strip().rstrip(":").splitlines()[0][:300]
    except Exception:  # an exception class of the student's own may fail even here
        told = type(why).__name__
    at = getattr(why, "student_line", None)
    at = at if isinstance(at, Line) else _own_line(why)
    return told if at is None else f"{told} (line {at.number}" + (f": `{at.text.strip()[:80]}`)" if at.text else ")")


class Line(NamedTuple):
    """A line of the student's code."""

    number: int
    text: str


def _own_line(why):
    frames = traceback.extract_tb(why.__traceback__)
    own = [f for f in frames if not f.filename.startswith((_OURS, _NUMPY, _AUTOGRAD, "<__array_function__"))]
    if not own:
        return None
    return Line(own[-1].lineno, own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno))


_OURS = os.path.dirname(os.path.dirname(__file__))
_NUMPY = os.path.dirname(np.__file__)
_AUTOGRAD = os.path.dirname(autograd.__file__)
