"""The other process: ``python -m enm5310.practice.child`` runs the steps of a notebook in an IPython shell.

It takes one line of JSON on stdin and answers with one line of JSON per event on what was its stdout; the student's
code gets the null device in place of both.  It keeps no clock: whoever started it watches, and may kill it.  When
stdin closes (the parent is gone), it ends.
"""

import builtins
import importlib
import json
import os
import sys
import threading
import traceback


def main():
    job = json.loads(sys.stdin.buffer.readline())
    tell = _channel()
    shell = _shell(job["scratch"])  # the imports, while stderr still reaches the parent
    checks = importlib.import_module(job["module"])
    _detach(job)
    tell(ready=True)
    for number, (kind, what, source) in enumerate(job["steps"]):
        tell(begin=number)
        tell(end=number, **(run(shell, source) if kind == "cell" else judge(shell, getattr(checks, what))))
    tell(done=True)
    os._exit(0)  # not sys.exit: threads or exit handlers of the student's code have no say any more


# -------------------- steps --------------------


def run(shell, source):
    """Runs a cell: {"error": None}, or what stopped it as {"error": words, "kind": class name}."""
    result = shell.run_cell(source, store_history=False)
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")  # as a notebook does at the end of a cell
    why = result.error_before_exec or result.error_in_exec
    return {"error": why if why is None else words(why), "kind": type(why).__name__}


def judge(shell, exercise):
    """Judges an exercise: {"verdict": ...}, or {"missing": {name: its type's name, or None when not defined}}."""
    from enm5310.checks.engine import PRACTICE_SEED, in_kernel

    functions = {name: shell.user_ns.get(name) for name in exercise.of}
    missing = {name: type(f).__name__ if name in shell.user_ns else None
               for name, f in functions.items() if not callable(f)}  # fmt: skip
    if missing:
        return {"missing": missing}
    try:
        with shell.builtin_trap:  # get_ipython, display
            v = exercise.judge(in_kernel(functions), PRACTICE_SEED)
    except BaseException as why:  # KeyboardInterrupt and its like pass through the engine; here they are an answer
        return {"verdict": {"state": "wrong", "points": 0, "message": f"the check was stopped by {words(why)}"}}
    return {"verdict": {"state": v.state, "points": v.points, "message": v.message, "mistake": v.mistake}}


def words(why):
    """An exception in one line, with the line of the student's cell: "ValueError: too bad (line 3)"."""
    try:
        text = (why.msg if isinstance(why, SyntaxError) else str(why)).strip().partition("\n")[0][:300]
    except Exception:  # an exception class of the student's own may fail even here
        text = ""
    line = why.lineno if isinstance(why, SyntaxError) else _line(why)
    return type(why).__name__ + f": {text}" * bool(text) + f" (line {line})" * bool(line)


def _line(why):
    frames = traceback.extract_tb(why.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename.startswith("<ipython-input")), None)


# -------------------- the process --------------------


def _channel():
    """tell(**event): one line to the parent, on a descriptor of its own that no program started from here inherits."""
    out, owner, write, dumps, pid = os.dup(1), os.getpid(), os.write, json.dumps, os.getpid

    def tell(**event):
        if pid() != owner:  # a fork that the student's code made and forgot to end
            os._exit(0)
        line = dumps(event).encode() + b"\n"
        while line:
            line = line[write(out, line) :]

    return tell


def _detach(job):
    """The student's world: null devices, the notebook's folder, no bytecode left there, bounded memory."""
    threading.Thread(target=_end_with, args=(os.dup(0),), daemon=True).start()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")
    os.chdir(job["folder"])
    sys.path.insert(0, "")
    sys.argv = [""]
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    _limit(job["memory"])


def _end_with(parent):
    while os.read(parent, 1):
        pass
    os._exit(1)


def _limit(memory):
    """At most so many bytes of address space beyond what is mapped now, and 1 GiB for a file, where POSIX has it."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2**30, resource.RLIM_INFINITY))
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, resource.RLIM_INFINITY))
    except (ImportError, OSError, ValueError):  # Windows, macOS: no such limit there; the clock still holds
        pass


def _shell(scratch):
    """An IPython shell without history, without files in the user's home, without a terminal."""
    from IPython.core.error import StdinNotImplementedError
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """No event loop: a figure is drawn and dropped."""

        def enable_matplotlib(self, gui=None):
            return gui, "agg"  # %matplotlib inline, widget, qt ...: all stay with the environment's Agg

        def ask_exit(self):
            raise SystemExit("exit() ends the notebook's kernel; take it out")

        def showtraceback(self, *args, **kwargs):
            """Told to the parent in one line instead."""

        showsyntaxerror = showindentationerror = showtraceback

    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell = Shell.instance(config=config, ipython_dir=scratch)
    shell.set_hook("show_in_pager", lambda *args, **kwargs: None)  # `np.linalg.eigh?` has no reader here

    def input(prompt="", /):
        raise StdinNotImplementedError("input() cannot be answered while a notebook is checked; use a fixed value")

    builtins.input = input
    return shell


if __name__ == "__main__":
    main()
