"""A notebook's steps, one after the other: cells run in another process, checks here, with that process's functions.

``judge_notebook`` is all that others need.  A step that hangs or kills its process is told, and all others go on in a
fresh one, in which the cells before have run again.
"""

import contextlib
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from enm5310.practice import Problem, plan

QUIET = ("NotImplementedError", "NotAttempted", "CheckFailed")  # cells that try out a stub, or repeat a check


class Limits(NamedTuple):
    seconds: float = 30.0  # wall time of each cell and of each check
    memory: int = 4 * 2**30  # bytes, where the system can hold a process to it
    slow: float = 4.0  # a check that trains something may take so many times longer
    start: float = 120.0  # seconds for the child to import what it needs
    fatal: int = 12  # steps that may hang or kill their process before the rest is given up


class Judged(NamedTuple):
    """What became of one exercise."""

    id: str
    title: str
    state: str  # "not attempted", "wrong", "partly right" or "right"
    points: int
    max_points: int
    message: str | None = None
    mistake: str | None = None


class Outcome(NamedTuple):
    """What became of one notebook."""

    path: Path
    part: str
    exercises: tuple  # of Judged, in the lecture's order
    notes: tuple  # lines about the notebook itself
    seconds: float


class Fatal(NamedTuple):
    """A step that hung or killed its process."""

    step: plan.Step
    why: str  # "did not finish within 30 s", "ended its process (exit code 3)"


def judge_notebook(notebook, limits=Limits(), tell=lambda done, total, what: None, box=None):  # noqa: B008 - immutable
    """Runs a Notebook's cells and judges every exercise of its part: an Outcome.  The file is not touched.

    tell(done, total, what) is called before each step; box: one that is `opened` already, else one is opened for this
    notebook.  Problem: it is no exercise notebook, or nothing can be run here.
    """
    begun, part, came = time.monotonic(), plan.part_of(notebook), {}
    with opened(limits) if box is None else contextlib.nullcontext(box) as box:
        exercises = plan.exercises(part)  # imports the checks, while the other process imports what it needs
        steps, notes = plan.steps(notebook, exercises)
        order = {step: place for place, step in enumerate(steps)}
        with _Notebook(box, notebook, steps, limits, {e.name: e for e in exercises}) as run:
            for place, step in enumerate(steps):
                if step.copy and _all_points(came, step, run.exercises[step.what]):
                    continue
                tell(place, len(steps), step)
                came[step] = run.step(place)
    judged = tuple(_best(e, came, order, notebook) for e in exercises)
    return Outcome(notebook.path, part, judged, (*notes, *_cells(notebook, came, judged)), time.monotonic() - begun)


# -------------------- the steps --------------------


@contextlib.contextmanager
def opened(limits):
    """What notebooks run in: forks of one warmed process where there is fork, else a process for each."""
    if importlib.util.find_spec("IPython") is None:
        raise Problem("running notebooks needs IPython: pip install 'enm5310[lab]'")
    from enm5310.grading import box, sandbox
    from enm5310.practice import piped

    held = box.Limits(
        limits.seconds, limits.seconds * limits.slow, cpu=None, memory=limits.memory, file=2**30, frame=2**28,
        start=limits.start, total=float("inf"), fatal=limits.fatal, files=None,
    )  # fmt: skip
    with (box.Box(sandbox.Level("none"), held, _environment()) if sys.platform == "linux" else
          piped.Piped(held, _environment())) as made:  # fmt: skip
        yield made


def _environment():
    """The user's own environment: what is run is theirs."""
    threads = str(min(4, os.cpu_count() or 1))  # each BLAS thread reserves memory, and many cores make many
    blas = {name: os.environ.get(name, threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    return {**os.environ, **blas, "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}


class _Notebook:
    """The cells of one notebook in one child, which is made anew when a step was fatal."""

    def __init__(self, box, notebook, steps, limits, exercises):
        from enm5310.grading import serving

        self.steps, self.limits, self.exercises = steps, limits, exercises
        sources = [step.source if step.kind == "cell" else None for step in steps]
        self.children = serving.Children(_In(box, str(notebook.path.resolve().parent)), sources, box.limits)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.children.__exit__(*why)

    def step(self, place):
        """What came of a step: {"error", "kind"} of a cell, {"missing"} or {"verdict"} of a check, or Fatal."""
        from enm5310.grading.serving import Stopped, Unavailable

        step, seconds = self.steps[place], self.limits.seconds
        try:
            if step.kind == "check":
                e = self.exercises[step.what]
                seconds *= self.limits.slow if e.slow else 1
                return self.missing(e, place) or {"verdict": self.verdict(e, place, seconds)}
            self.children.at(0, place + 1)
            why = ""
        except Stopped as stopped:
            why = str(stopped)
        except Unavailable as why:
            raise Problem(f"notebooks cannot be run here: {why} (`enm5310 doctor` looks for the cause)") from None
        fate = self.children.fates.get(place)
        if fate is not None and not fate.fatal:
            return {"error": fate.words, "kind": fate.kind}
        why = fate.words if fate is not None else why
        if why.startswith("did not finish"):  # the limit is told, not what was left of it
            why = f"did not finish within {seconds:g} s: is there a loop that never ends?"
        return Fatal(step, why) if why else {"error": None, "kind": None}

    def missing(self, e, place):
        """{"missing": {name: the name of its type, or None when it is not defined}}, or None."""
        kinds = self.children.look(0, place, "defined", e.of)
        missing = [name for name in e.of if kinds[name] not in ("function", "class")]
        return {"missing": self.children.look(0, place, "types", missing)} if missing else None

    def verdict(self, e, place, seconds):
        """The verdict on an exercise, by the functions that the child has after the cells before it."""
        from enm5310.checks.engine import PRACTICE_SEED, in_kernel
        from enm5310.grading.proxies import Proxy

        until = time.monotonic() + seconds

        def ask(name, args, kwargs):
            left = max(0.05, until - time.monotonic())
            return self.children.ask(0, place, "call", name, args, kwargs, seconds=left)

        functions = {name: Proxy(name, ask, lambda name, key: True, {}) for name in e.of}
        try:
            v = e.judge(in_kernel(functions), PRACTICE_SEED)
        except BaseException as why:
            if not hasattr(why, "remote"):
                raise
            told = f"{type(why).__name__}: {why}".rstrip(": ")  # KeyboardInterrupt and its like pass through the engine
            return {"state": "wrong", "points": 0, "message": f"the check was stopped by {told}"}
        return {"state": v.state, "points": v.points, "message": v.message, "mistake": v.mistake}


class _In:
    """A box whose students work in a folder of the user's, may run commands, and have nobody to show figures to."""

    def __init__(self, box, folder):
        self.box, self.folder = box, folder

    def student(self, files, masks):
        return self.box.student(folder=self.folder, commands=True, figures=False)


# -------------------- what came of it, in words --------------------


def _all_points(came, step, e):
    """Whether the exercise has them at its test cell, or at an earlier copy of it."""
    earlier = (came.get(step._replace(copy=copy)) for copy in range(step.copy))
    return any(isinstance(reply, dict) and reply.get("verdict", {}).get("points") == e.max_points for reply in earlier)


def _best(e, came, order, notebook):
    """The verdict at the exercise's test cell, or at a copy of it where it is better."""
    places = [step for step in came if step.kind == "check" and step.what == e.name]
    return max((_judged(e, came[step], came, order, notebook) for step in places), key=lambda j: j.points)


def _judged(e, reply, came, order, notebook):
    if isinstance(reply, Fatal):
        why = reply.why if reply.why.startswith("not reached") else f"{' or '.join(e.of)} {reply.why}"
    elif "missing" in reply:
        why = _missing(e, *next(iter(reply["missing"].items())), came, order, notebook)
    else:
        v = reply["verdict"]
        return Judged(e.id, e.title, v["state"], v["points"], e.max_points, line(v["message"]), v.get("mistake"))
    return Judged(e.id, e.title, "wrong", 0, e.max_points, line(why))


def _missing(e, name, kind, came, order, notebook):
    """Why a function is not there: the fate of the cell that should define it."""
    if kind is not None:
        return f"{name} is not a function but of type {kind}; was the name used again?"
    mine = [c for c in notebook.cells if not plan.is_test(c, e)]
    own = [c for c in mine if plan.defines(c, name) or c.name == e.name.replace("_", "-")]
    cells = [plan.Step("cell", c.number, c.source) for c in own]
    judged_at = order[plan.Step("check", e.name)]
    if cells and all(order.get(cell, judged_at) >= judged_at for cell in cells):
        return f"{name} is not defined where it is checked: its cell comes after its check; move it up"
    for fate in map(came.get, cells):
        if isinstance(fate, Fatal):
            return f"{name} is not defined: its cell {fate.why}"
        if fate and fate["error"]:
            return f"{name} is not defined: its cell stopped with {fate['error']}"
    if not any(plan.defines(c, name) for c in own):
        return f"{name} is not defined: no cell of the notebook defines it; was its cell deleted?"
    return f"{name} is not defined after its cell has run; was it renamed or deleted?"


def _cells(notebook, came, judged):
    """A line for each cell that stopped, unless an exercise's message has said so."""
    told = " ".join(j.message or "" for j in judged)
    for cell in notebook.cells:
        fate = came.get(plan.Step("cell", cell.number, cell.source))
        if isinstance(fate, Fatal) or (fate and fate["error"] and fate["kind"] not in QUIET):
            why = fate.why if isinstance(fate, Fatal) else f"stopped with {fate['error']}"
            if why not in told:
                yield line(f"{_called(cell)} {why}")


def _called(cell):
    first = next((text.strip() for text in cell.source.splitlines() if text.strip()), "")
    return f"the cell `{first[:40]}`"


def line(text):
    """One printable line of at most 600 characters, or None."""
    if text is None:
        return None
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 600 else text[:597] + "..."
