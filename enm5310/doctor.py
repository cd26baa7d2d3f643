"""``enm5310 doctor``: what the course needs and what it finds, one line each, with the fix."""

import importlib.metadata
import importlib.util
import os
import platform
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import enm5310
from enm5310.practice import Problem
from enm5310.practice.places import shown

NEEDED = ("numpy", "autograd", "matplotlib")
LAB = ("jupyterlab", "ipykernel", "nbgrader")
GRADE = ("nbgrader", "nh3")


class Finding(NamedTuple):
    what: str
    found: str
    fix: str = ""  # empty when all is well
    needed: bool = False  # whether the course can be worked without it


def findings():
    """All findings, in the order in which the course meets them."""
    yield python()
    yield Finding("enm5310", f"{enm5310.__version__} in {Path(enm5310.__file__).parent}")
    yield from (package(name, "enm5310") for name in NEEDED)
    yield from (package(name, "enm5310[lab]") for name in LAB)
    yield jupyter_command()
    yield kernelspec()
    yield sandbox()
    yield gpu()
    yield fonts()
    yield from data()


def for_grading():
    """What `enm5310 grade` needs: as `findings`, but here no sandbox is a fault."""
    yield python()
    yield Finding("enm5310", f"{enm5310.__version__} in {Path(enm5310.__file__).parent}")
    yield from (package(name, "enm5310[grade]") for name in GRADE)
    yield sandbox(needed=True)


def can_work(found):
    """Whether the course can be worked, or graded: nothing needed is amiss."""
    return not any(f.needed and f.fix for f in found)


def python():
    fix = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    return Finding("Python", f"{platform.python_version()} in {sys.prefix}", fix, True)


def package(name, source):
    """An installed package and its version; found by its metadata, so nothing heavy is imported."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not found", f"pip install '{source}'", True)
    return Finding(name, version, needed=True)


def jupyter_command():
    """`enm5310 start` needs no command on the PATH; a terminal does."""
    suffix = ".exe" if os.name == "nt" else ""
    command = Path(sysconfig.get_path("scripts")) / f"jupyter{suffix}"
    return Finding("jupyter command", str(command)) if command.is_file() else Finding(
        "jupyter command", "not found", f"{Path(sys.executable).name} -m jupyterlab does the same")  # fmt: skip


def kernelspec():
    """The kernel that all notebooks of the course name."""
    if importlib.util.find_spec("jupyter_client") is None:
        return Finding("kernel python3", "not found", "pip install 'enm5310[lab]'", True)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        return Finding("kernel python3", KernelSpecManager().get_kernel_spec("python3").resource_dir, needed=True)
    except NoSuchKernel:
        return Finding("kernel python3", "not found", "python -m ipykernel install --sys-prefix", True)


def sandbox(needed=False):
    """What shuts in a student's code while an instructor grades it, with the proof; `enm5310 check` needs none."""
    if sys.platform != "linux":
        found = "there on Linux only; `enm5310 grade` needs one, `enm5310 check` does not"
        return Finding("sandbox", found, "grade on Linux" if needed else "", needed)
    if importlib.util.find_spec("IPython") is None:
        return Finding("sandbox", "not tried without IPython", "pip install 'enm5310[lab]'", needed)
    from enm5310.grading import sandbox

    try:
        level = sandbox.choose()
    except Problem as why:
        return Finding("sandbox", "none", str(why), needed)
    closed = ", ".join(line.partition(":")[0] for line in level.proof)
    fix = "" if level.name == "bubblewrap" or sandbox.bwrap() else "pip install 'enm5310[grade]' for a better one"
    return Finding("sandbox", f"{level.name}, {len(level.proof)} ways out tried and found shut: {closed}", fix)


def gpu():
    """A CUDA device that CuPy can use; the course never needs one."""
    try:
        from enm5310 import backend  # only here: it needs NumPy and autograd, which may be what is missing
    except ImportError as why:
        return Finding("GPU", f"not looked for ({why}): the CPU is used")
    why = backend.why_no_gpu()
    return Finding("GPU", f"{why}; the CPU is used" if why else backend.device_name())


def fonts():
    """The DejaVu fonts that come with matplotlib: pictures look the same everywhere."""
    spec = importlib.util.find_spec("matplotlib")
    folder = spec and Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    found = sorted(folder.glob("DejaVu*.ttf")) if folder else []
    fix = "" if found else "pip install --force-reinstall matplotlib"
    return Finding("fonts", f"{len(found)} DejaVu fonts of matplotlib" if found else "not found", fix)


def data():
    """The cache folder, whether it can be written, and what is in it."""
    from enm5310 import datasets

    home = datasets.get_data_home()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    fix = "" if os.access(there, os.W_OK) else "set the environment variable ENM5310_DATA to a folder of yours"
    yield Finding("data cache", str(shown(home)), fix)
    states = [f"{e.name} ({e.state})" for e in datasets.available()]
    yield Finding("data sets", ", ".join(states))
