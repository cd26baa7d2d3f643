"""What takes a Box's place where there is no fork: each student is a new process, over its standard streams."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

from enm5310.grading import sandbox
from enm5310.grading.box import how
from enm5310.grading.inside import wire
from enm5310.grading.student import Died, Student
from enm5310.practice import Problem, processes


class Piped:
    """student() starts a process; there is no sandbox, as at a Box's level "none"."""

    def __init__(self, limits, environment):
        self.limits, self._environment = limits, environment

    def __enter__(self):
        return self

    def __exit__(self, *why):
        """Nothing runs without a student."""

    def student(self, files=None, masks=None, *, folder, commands=False, figures=True):
        line = _Process(self.limits, self._environment, folder)
        try:
            setup = {"masks": masks, "commands": commands, "figures": figures}
            return Student(line, self.limits, files or {}, setup)
        except Died as why:
            line.close()
            raise Problem(line.complaint or str(why)) from None


class _Process:
    """A process and its two pipes."""

    def __init__(self, limits, environment, folder):
        self.limits, self.complaint = limits, None
        self._scratch = tempfile.TemporaryDirectory(prefix="enm5310-", ignore_cleanup_errors=True)
        self._errors = tempfile.TemporaryFile()
        job = {**limits._asdict(), "folder": folder, "path": sandbox.path(), "scratch": self._scratch.name}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(sandbox.INSIDE / "alone.py"), json.dumps(job)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._errors, env=environment, bufsize=0, **processes.own_group(),
        )  # fmt: skip
        self._channel = wire.Pipes(self._process.stdout.fileno(), self._process.stdin.fileno(), limits.frame)
        self.send, self.receive, self.idle = self._channel.send, self._channel.receive, self._channel.idle

    def ended(self):
        return self._process.poll() is not None

    def how(self):
        """(how the process ended, in words; the most memory it used, which is not known here)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.returncode
        if code is None:
            return "closed its channel", 0
        status = -code if code < 0 else code << 8
        return (how(status, 0, 0, self.limits) if os.name == "posix" else f"ended its process (exit code {code})"), 0

    def close(self):
        if self._errors.closed:
            return 0
        processes.kill(self._process)
        self._errors.seek(0)
        self.complaint = (self._errors.read()[-2000:].decode(errors="replace").strip().splitlines() or [None])[-1]
        self._errors.close()
        self._channel.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._scratch.cleanup()
        return 0
