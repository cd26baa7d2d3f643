"""``enm5310 release``: solutions/ -> exercises/ through nbgrader, once every solution has earned full marks.

Only in a clone: an installed package has nothing to release.  nbgrader's output is the same bytes each time.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from enm5310 import course
from enm5310.practice import Problem, notebook, runner

CONFIG = "nbgrader_config.py"


def clone():
    """The clone this package runs from; Problem when it is an installed copy, or cannot be written."""
    try:
        root = course.folder("solutions").parent
    except FileNotFoundError as why:
        raise Problem(str(why)) from None
    if not (root / "pyproject.toml").is_file() or not os.access(root / "solutions", os.W_OK):
        raise Problem("release works in a clone of the course, with a solutions/ folder that can be written; "
                      f"this package runs from {root}")  # fmt: skip
    return root


def release(root, part, tell=lambda words: None):
    """Runs the part's solution notebook, requires full marks, writes root/exercises/part; Problem says what is not."""
    source = _source(root, part)
    tell(f"{part}: running the solution")
    try:
        execute(source)
        outcome = runner.judge_notebook(notebook.read(source))
    except Problem as why:
        raise Problem(f"{part} is not released: {why}") from None
    short = [j for j in outcome.exercises if j.state != "right"]
    if short or outcome.notes:
        why = f"{short[0].id} is {short[0].state}: {short[0].message}" if short else outcome.notes[0]
        raise Problem(f"{part} is not released: {why}")
    tell(f"{part}: releasing")
    generate(root, part)


def execute(path):
    """Runs a notebook in a kernel of its own as nbgrader would, without touching the file; Problem names the cell."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    nb = nbformat.read(path, as_version=4)
    quiet = Config({"KernelManager": {"transport_encryption": "auto"}})  # else the kernel warns on the terminal
    client = NotebookClient(
        nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}, config=quiet
    )
    try:
        client.execute()
    except CellExecutionError as why:
        raise Problem(f"a cell stopped with {why.ename}: {runner.line(why.evalue)}") from None
    except (CellTimeoutError, DeadKernelError) as why:
        raise Problem(runner.line(str(why))) from None
    _full_marks(nb)


def _full_marks(nb):
    """nbgrader reads a test cell's first result as its points: the number there must be all of them."""
    for cell in nb.cells:
        graded = cell.metadata.get("nbgrader", {})
        if graded.get("grade"):
            got = next((o["data"]["text/plain"] for o in cell.outputs if o.output_type == "execute_result"), None)
            if got != f"{graded['points']:g}":
                raise Problem(f"the test cell {graded['grade_id']} shows {got}, not its {graded['points']} points")


def generate(root, part):
    """nbgrader's generate_assignment in this process, without a gradebook; root/exercises/part appears whole or not."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    with tempfile.TemporaryDirectory(dir=root, prefix=".release-") as fresh, _log() as said:
        c = PyFileConfigLoader(CONFIG, path=str(root / "solutions")).load_config()
        c.CourseDirectory.root, c.CourseDirectory.release_directory = str(root), Path(fresh).name
        c.CourseDirectory.assignment_id, c.SaveCells.enabled, c.NbGrader.logfile = part, False, ""
        try:
            GenerateAssignment(coursedir=CourseDirectory(config=c), no_database=True, config=c).start()
        except (Exception, SystemExit) as why:
            raise Problem(f"nbgrader could not release {part}: {_cause(said) or runner.line(str(why))}") from None
        target = root / "exercises" / part
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(Path(fresh) / part, target)


@contextlib.contextmanager
def _log():
    """Keeps what nbgrader logs off the terminal: a list of its messages."""
    said, log = [], logging.getLogger("traitlets")
    keep = logging.Handler()
    keep.emit = lambda record: said.append(record.getMessage())
    before, log.propagate = log.propagate, False
    log.addHandler(keep)
    try:
        yield said
    finally:
        log.removeHandler(keep)
        log.propagate = before


def _cause(said):
    """The exception at the end of the last traceback that was logged; nbgrader's own exception only points there."""
    tracebacks = [text for text in said if text.startswith("Traceback ")]
    return runner.line(tracebacks[-1].strip().splitlines()[-1]) if tracebacks else None


def _source(root, part):
    return root / "solutions" / part / f"{part}.ipynb"
