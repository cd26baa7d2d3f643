"""Runs notebooks' code in a Python that lacks what Pyodide's lacks: ``python -m tests.browserless NOTEBOOK...``

Imports of the missing modules fail as they do there, and so does the start of a thread or of a process.  It prints as
JSON what could not be imported of the package, and per notebook how many code cells ran.
"""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path

# absent in Pyodide 314, or absent in others of its kind and not needed; then what the lock file leaves out
MISSING = set(
    "_curses _dbm _hashlib _multiprocessing _posixshmem _uuid curses dbm ensurepip grp pwd readline resource syslog "
    "tkinter turtle venv fcntl termios tty pty multiprocessing ssl _ssl sqlite3 _sqlite3 "
    "typer click rich tqdm nbformat nbclient nbconvert nbgrader jupyterlab jupyter_client zmq scipy sklearn".split()
)


class Nowhere:
    """A finder that finds none of them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def no_thread(*_):
    raise RuntimeError("can't start new thread")


def no_process(*_, **__):
    raise OSError(138, "Function not implemented")


def not_importable():
    """{module of the package: the missing module it asks for}"""
    import enm5310

    found = {}
    for module in pkgutil.walk_packages(enm5310.__path__, "enm5310."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as why:
            found[module.name] = why.name
    return found


def run(notebook):
    """How many code cells of a notebook ran: all, or the exception of the first that did not."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    sources, scope = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"], {"__name__": "__main__"}
    for source in sources:
        exec(compile(source, str(notebook), "exec"), scope)
    return len(sources)


def main(notebooks):
    for name in [name for name in sys.modules if name.partition(".")[0] in MISSING]:
        del sys.modules[name]
    sys.meta_path.insert(0, Nowhere)
    threading.Thread.start, subprocess.Popen.__init__, os.fork = no_thread, no_process, no_process
    os.environ["MPLBACKEND"] = "Agg"
    told = {"cells": [run(notebook) for notebook in notebooks], "missing": not_importable()}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
