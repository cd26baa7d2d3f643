"""The parent's side: give a notebook's steps to a child, watch the clock, start anew after a step that was fatal.

``judge_notebook`` is all that others need.  ``replies`` is the seam: anything that yields what came of each step, such
as a sandboxed child, can stand in for this process.
"""

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
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


def judge_notebook(notebook, limits=Limits(), tell=lambda done, total, what: None):  # noqa: B008 - immutable
    """Runs a Notebook's cells and judges every exercise of its part: an Outcome.  The file is not touched.

    tell(done, total, what) is called before each step.  Problem: it is no exercise notebook, or no child would start.
    """
    if importlib.util.find_spec("IPython") is None:
        raise Problem("running notebooks needs IPython: pip install 'enm5310[lab]'")
    begun, part = time.monotonic(), plan.part_of(notebook)
    exercises = plan.exercises(part)
    steps, notes = plan.steps(notebook, exercises)
    order = {step: place for place, step in enumerate(steps)}
    slow = {e.name for e in exercises if e.slow}
    job = {"module": plan.module_of(part), "folder": str(notebook.path.resolve().parent), "memory": limits.memory}
    came, fatal, total = {}, [], len(steps)
    while len(fatal) < limits.fatal and (left := [s for s in steps if not (s.kind == "check" and s in came)]):
        for step, reply in replies(left, job, limits, slow, lambda step: tell(len(came), total, step)):
            if isinstance(reply, Fatal):
                fatal.append(reply)
                steps = [s for s in steps if s != step]
            came[step] = reply
        if not any(isinstance(came.get(s), Fatal) for s in left):
            break
    judged = tuple(_judged(e, came, order, notebook, limits) for e in exercises)
    return Outcome(notebook.path, part, judged, (*notes, *_cells(notebook, came, judged)), time.monotonic() - begun)


# -------------------- what came of it, in words --------------------


def _judged(e, came, order, notebook, limits):
    reply = came.get(plan.Step("check", e.name))
    if reply is None:
        why = f"not reached: {limits.fatal} steps of this notebook hung or crashed; mend those first"
    elif isinstance(reply, Fatal):
        why = f"{' or '.join(e.of)} {reply.why}"
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


# -------------------- the child --------------------


def replies(steps, job, limits, slow, tell):
    """Yields (step, what came of it) as a fresh child runs the steps; the last may be Fatal.  Problem: no child."""
    with _child({**job, "steps": steps}) as (events, how_it_ended):
        step = None  # the child still imports
        while True:
            seconds = _allowed(step, limits, slow)
            try:
                told, why = events.get(timeout=seconds), None
            except queue.Empty:
                told, why = None, f"did not finish within {seconds:g} s: is there a loop that never ends?"
            if told is None:
                why = why or how_it_ended()
                if step is None:
                    raise Problem(f"notebooks cannot be run here: {why} (`enm5310 doctor` looks for the cause)")
                yield step, Fatal(step, why)
                return
            if "begin" in told:
                step = steps[told["begin"]]
                tell(step)
            elif "end" in told:
                yield step, told
            elif "done" in told:
                return


def _allowed(step, limits, slow):
    return limits.start if step is None else limits.seconds * (limits.slow if step.what in slow else 1)


@contextlib.contextmanager
def _child(job):
    """A child that has been given its job: (queue of its events, None when it ended; a function that says how)."""
    with tempfile.TemporaryDirectory(prefix="enm5310-", ignore_cleanup_errors=True) as scratch, \
            tempfile.TemporaryFile() as errors:  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "enm5310.practice.child"],  # -P: no module of the current folder
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_environment(), **own_group(),
        )  # fmt: skip
        lines = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        try:
            reader.start()
            with contextlib.suppress(OSError):  # it died already: the reader tells
                process.stdin.write(json.dumps({**job, "scratch": scratch}).encode() + b"\n")
                process.stdin.flush()
            yield lines, lambda: _how(process, errors)
        finally:
            _kill(process)
            reader.join(timeout=5)
            with contextlib.suppress(OSError):
                process.stdin.close()
            if not reader.is_alive():
                process.stdout.close()


def _read(stdout, lines):
    for text in stdout:
        with contextlib.suppress(ValueError):  # a torn last line
            lines.put(json.loads(text))
    lines.put(None)


def _environment():
    threads = str(min(4, os.cpu_count() or 1))  # each BLAS thread reserves memory, and many cores make many
    blas = {name: os.environ.get(name, threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    return {**os.environ, **blas, "MPLBACKEND": "Agg"}


def own_group():
    """So that the child goes with whatever it started, and Ctrl-C reaches this process alone."""
    return {"start_new_session": True} if os.name == "posix" else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


def _kill(process):
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
    process.kill()
    process.wait()


def _how(process, errors):
    """How a child ended, in words."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    code = process.returncode
    errors.seek(0)
    last = errors.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]  # of the imports; then it is shut
    if last:
        return last[0]
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"crashed its process ({name}{MEANS.get(name, '')})"
    return f"ended its process (exit code {code})"


MEANS = {"SIGKILL": ": out of memory?", "SIGSEGV": ": invalid memory access, or recursion without end"}
