"""A place for trusted code to run in: it may change what it likes of the process, and leaves no trace."""

import contextlib
import os
import random
import sys
from pathlib import Path

import numpy as np

from enm5310.grading.scratch import Folder


@contextlib.contextmanager
def isolated(files):
    """A folder of its own that holds the instructor's files; what trusted code changes of the process is put back."""
    folder, path, modules = os.getcwd(), list(sys.path), set(sys.modules)
    environment, numpy_state, state = dict(os.environ), np.random.get_state(), random.getstate()  # noqa: NPY002
    with contextlib.closing(Folder("tests")) as scratch:
        mine = scratch.name
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
