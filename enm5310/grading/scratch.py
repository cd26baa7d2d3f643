"""Folders of this machine that students' processes work in where the sandbox has no file system of its own.

Their names say whose they are, so that ``sweep`` can delete what a killed process has left.
"""

import contextlib
import os
import secrets
import stat
import tempfile
import weakref
from pathlib import Path

PREFIX = "enm5310-box-"


class Folder:
    """An empty folder that goes with this process."""

    def __init__(self, kind):
        self.name = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{kind}-")
        self.cleanup = self.close = weakref.finalize(self, remove, self.name)  # once, at the latest when Python ends


def remove(folder):
    """Deletes a folder with all that is in it, however deep: what lies in a subfolder is moved up before that goes.

    Recursion would end at a depth that code can reach, and paths at PATH_MAX.  What cannot be deleted stays.
    """
    mark, moved = secrets.token_hex(8), 0  # a name that nothing in the folder has
    with contextlib.suppress(OSError):
        if not _open(folder):  # a link, say
            return
        while subfolders := _empty(folder):
            for sub in subfolders:
                for name in os.listdir(sub):
                    inner, moved = os.path.join(sub, name), moved + 1
                    _open(inner)
                    os.rename(inner, os.path.join(folder, f"{mark}-{moved}"))
                os.rmdir(sub)
        os.rmdir(folder)


def _empty(folder):
    """Deletes the files of a folder; its subfolders, made writable."""
    with os.scandir(folder) as entries:
        paths = [entry.path for entry in entries]
    for path in [path for path in paths if not _open(path)]:
        os.unlink(path)
        paths.remove(path)
    return paths


def _open(path):
    """Whether it is a folder, which then may be read, written and moved; links are not followed."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    os.chmod(path, 0o700)
    return True


def sweep():
    """Deletes the folders of processes that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdecimal() and folder.lstat().st_uid == os.geteuid() and not _alive(int(pid)):
                remove(folder)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
