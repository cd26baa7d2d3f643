"""A process that works for the grader: it runs one function call after the other, each sent and answered by pickle.

It is a trusted process, with a sandbox of its own for what students wrote.  It ends with the process that started it,
however that ends; its own end costs the one call that it was busy with.
"""

import contextlib
import ctypes
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from enm5310.practice import Problem

DEATH = 1  # prctl's PR_SET_PDEATHSIG
MEMORY = 6 * 2**30  # bytes of address space, of which the imports take one
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}  # the workers share the cores


class Lost(Exception):
    """The worker ended or was ended; the message says how, as the end of a sentence that starts "it ..."."""


class Worker:
    """The parent's side, to be used by one thread, which must live as long as the worker does."""

    def __init__(self):
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "enm5310.grading.worker", str(os.getpid())], start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip

    def __call__(self, function, *arguments, seconds):
        """function(*arguments), run over there; raises what it raises, or Lost."""
        try:
            _send(self.process.stdin, (function, arguments))
            said, value = _receive(self.process.stdout, time.monotonic() + seconds)
        except (OSError, EOFError, TimeoutError) as why:
            how = f"took longer than {seconds:g} s" if isinstance(why, TimeoutError) else self._ended()
            self.end()
            self.close()
            raise Lost(how) from None
        if said == "raised":
            raise value
        return value

    def _ended(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        code = self.process.returncode
        if code is not None and code < 0:
            return f"ended the grading process ({signal.Signals(-code).name})"
        self._errors.seek(0)
        last = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()[-1:]
        return f"ended the grading process ({(last or [f'exit code {code}'])[0]})"

    def end(self):
        """Kills the process, from any thread; the one that waits for an answer is told."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self):
        """Lets the process end by itself, so that it tidies up; kills it when it does not."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.end()
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()


def _send(stream, message):
    data = pickle.dumps(message, protocol=5)
    stream.write(struct.pack(">Q", len(data)) + data)
    stream.flush()


def _receive(stream, deadline=None):
    (size,) = struct.unpack(">Q", _exactly(stream, 8, deadline))
    return pickle.loads(_exactly(stream, size, deadline))


def _exactly(stream, size, deadline):
    """So many bytes, from an unbuffered descriptor, so that a deadline can be kept."""
    parts, handle = [], stream.fileno()
    while size:
        if deadline is not None and not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(handle, min(size, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# -------------------- the worker's side --------------------


def main(parent):
    """Answers calls until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(DEATH, signal.SIGKILL)
        _limit_memory()
    if os.getppid() != parent:  # it was gone before it could be said
        return
    calls, answers = (os.fdopen(os.dup(fd), mode, 0) for fd, mode in ((0, "rb"), (1, "wb")))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # whatever prints does not disturb the answers
    while True:
        try:
            function, arguments = _receive(calls)
        except EOFError:
            return
        try:
            answer = "returned", function(*arguments)
        except Problem as why:
            answer = "raised", why
        except Exception as why:  # a fault of ours: told, not hidden
            trace = traceback.extract_tb(why.__traceback__)[-1]
            answer = "raised", RuntimeError(f"{type(why).__name__}: {why} ({trace.filename}:{trace.lineno})")
        with contextlib.suppress(BrokenPipeError):
            _write(answers, answer)


def _limit_memory():
    """A test that takes a student's number for a size gets a MemoryError, and the machine keeps its memory."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[1]  # the sandbox sets its own, smaller ones
    wanted = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def _write(stream, message):
    data = memoryview(pickle.dumps(message, protocol=5))
    data = memoryview(struct.pack(">Q", len(data)) + data)
    while data:
        data = data[stream.write(data) :]


if __name__ == "__main__":
    main(int(sys.argv[1]))
