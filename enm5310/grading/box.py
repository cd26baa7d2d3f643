"""A Box: a zygote at a sandbox level, whose forks are the students.

``student()`` gives a ``Student``; a notebook that kills its process costs a fork, not a start.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
from pathlib import PurePosixPath

from enm5310.grading import redact, sandbox
from enm5310.grading.inside import wire
from enm5310.grading.scratch import Folder
from enm5310.grading.student import Died, Limits, Oversized, Ran, Remote, Reply, Student
from enm5310.practice import Problem

__all__ = ["Box", "Died", "Limits", "Oversized", "Ran", "Remote", "Reply", "Student"]


class Box:
    """A zygote at a sandbox level.  Survives the death of any student; starts itself anew when the zygote has died."""

    def __init__(self, level, limits=Limits(), environment=None):  # noqa: B008 - immutable
        """environment: the user's own, for their own notebooks; the first student waits for the start then."""
        self.level, self.limits, self._environment = level, limits, environment
        self.process = self._control = self._scratch = self._packages = None
        self._start()
        if environment is None:
            self._wait()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _start(self):
        scratch = sandbox.SCRATCH
        self._packages, self._copies = Folder("packages"), {}
        if self.level.name != "bubblewrap":
            self._scratch = Folder("zygote")
            scratch = self._scratch.name
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()
        self._ready, own = False, self._environment is not None
        try:
            with theirs:
                self.process = subprocess.Popen(
                    sandbox.command(self.level, theirs.fileno(), scratch, self._packages.name, own),
                    pass_fds=[theirs.fileno()], env=self._environment if own else sandbox.environment(scratch),
                    cwd="/", start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def _wait(self):
        """Until the zygote has imported what it needs; Problem when it does not get there."""
        if self._ready:
            return
        try:
            self._control.settimeout(self.limits.start)
            if self._control.recv(16) != b"ready":
                raise EOFError
            self._ready = True
        except (OSError, EOFError) as why:
            why = str(why) if isinstance(why, TimeoutError) else self.complaint()
            self.close()
            what = "a process for notebooks" if self.level.name == "none" else f"the sandbox {self.level.name}"
            raise Problem(f"{what} did not start: {why}") from None
        except BaseException:
            self.close()
            raise

    def complaint(self):
        """The last thing that the zygote, or a fork before it was shut in, has said."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2000))
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else "no reason given"

    def close(self):
        """Ends the zygote and every student."""
        self._control.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._errors.close()
        for folder in (self._scratch, self._packages):
            if folder is not None:
                folder.cleanup()

    def student(self, files=None, masks=None, *, folder=None, commands=False, figures=True):
        """A fresh Student.  files: {relative name: bytes} of its private folder; masks: see inside/masks.py.

        folder: a folder of this machine to work in instead of a private one, at the level "none"; commands: whether
        commands of the system are run; figures: whether open figures are drawn.
        """
        files = _checked(files or {})
        if not self.alive:
            self.close()
            self._start()
        self._wait()
        private, limits = None, self.limits
        if folder is None and self.level.name != "bubblewrap":
            private = Folder("student")
            os.mkdir(os.path.join(private.name, ".tmp"))
            # files that are deleted while they are open are not seen in the folder: at most disk * 4 of them
            limits = limits._replace(file=min(limits.file, limits.disk // 16), files=min(limits.files, 64))
        asked = {"folder": folder or (private and private.name), "home": folder is None, "copy": self._copy(masks)}
        line = None
        try:
            line = _Fork(self._control, limits, asked)
            setup = {"masks": masks, "commands": commands, "figures": figures}
            return Student(line, self.limits, files, setup, private)
        except BaseException as why:
            if line is not None:
                line.close()
            if private is not None:
                private.cleanup()
            if not isinstance(why, (Died, OSError)):
                raise
            told = f"the sandbox {self.level.name} cannot shut in a student: {why} ({self.complaint()})"
            raise Problem(told) from None

    def _copy(self, masks):
        """Where the copy of the course's package without these answers is, as the sandbox sees it; None for none."""
        if self.level.name == "none" or (not masks and self.level.name == "bubblewrap"):
            return None  # with Landlock it is always a copy: the folder that the package lies in cannot be listed
        key = json.dumps(masks, sort_keys=True)
        if key not in self._copies:
            self._copies[key] = name = str(len(self._copies))
            redact.copy(sandbox.PACKAGE, masks, os.path.join(self._packages.name, name, sandbox.PACKAGE.name))
        inside = sandbox.PACKAGES if self.level.name == "bubblewrap" else self._packages.name
        return os.path.join(inside, self._copies[key], sandbox.PACKAGE.name)


class _Fork:
    """The two sockets of a fork: its channel, and its guard's, which ends it when it closes and tells how it ended."""

    def __init__(self, control, limits, more):
        self.limits = limits
        channel, theirs = socket.socketpair()
        self._status, guards = socket.socketpair()
        self._channel = wire.Channel(channel, limits.frame)
        self.send, self.receive, self.idle = self._channel.send, self._channel.receive, self._channel.idle
        asked = json.dumps({**limits._asdict(), **more}).encode()
        with theirs, guards:
            try:
                socket.send_fds(control, [asked], [theirs.fileno(), guards.fileno()])
            except OSError:  # the zygote has just ended
                channel.close()
                self._status.close()
                raise

    def ended(self):
        """Whether the guard has told that the process has ended."""
        return bool(select.select([self._status], [], [], 0)[0])

    def how(self):
        """(how the process ended, in words; the most memory it used, in bytes)."""
        told = self._told(2.0)
        return (how(*told, self.limits), told[1]) if told else ("closed its channel", 0)

    def close(self):
        """Ends the process; returns the most memory it used, in bytes, once all it has started is gone, too."""
        if self._status.fileno() < 0:
            return 0
        self._channel.sock.close()
        with contextlib.suppress(OSError):
            self._status.shutdown(socket.SHUT_WR)
        told = self._told(5.0)
        self._status.close()
        return told[1] if told else 0

    def _told(self, seconds):
        """(wait status, most memory in bytes, processor time), as the guard tells them; None when it does not."""
        self._status.settimeout(seconds)
        try:
            status, peak, cpu = json.loads(self._status.recv(4096))
        except (OSError, ValueError):
            return None
        return status, peak * 1024, cpu


MEANS = {"SIGKILL": ": out of memory?", "SIGSEGV": ": invalid memory access, or recursion without end"}


def how(status, peak, cpu, limits):
    """How a process ended, in words, from its wait status and what it used."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended its process (exit code {code})"
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and limits.cpu and cpu > limits.cpu):
        return f"used more than {limits.cpu:g} s of processor time"
    if peak > 0.9 * limits.memory:
        return f"used more than {limits.memory / 2**30:g} GiB of memory"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"crashed its process ({name}{MEANS.get(name, '')})"


def _checked(files):
    for name, data in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or not isinstance(data, bytes):
            raise ValueError(f"{name!r} is not a file of a private folder")
    return files
