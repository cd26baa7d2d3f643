"""What a sandbox level is worth on this machine: a student's process is started in it, and tries to get out."""

import contextlib
import os
import secrets
import socket
import tempfile
from pathlib import Path

from enm5310.grading.box import Box, Died, Limits, Remote
from enm5310.grading.sandbox import PACKAGE, Level, environment
from enm5310.practice import Problem

MEMORY = 2**28  # bytes, for the probe that asks for more

SOURCE = r"""
import ctypes, os, signal, socket, subprocess, sys

def read(path): return open(path, "rb").read(100)
def listing(path): return os.listdir(path)
def write(path): open(path, "w").write("x")
def attributes(path): os.chmod(path, 0o777); os.utime(path, (0, 0))
def tcp(port): socket.create_connection(("127.0.0.1", port), timeout=1).close()
def udp(port): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
def unix(name): socket.socket(socket.AF_UNIX).connect(name)
def signalled(pid): os.kill(pid, 0)
def process(pid): os.stat(f"/proc/{pid}/cmdline"); return open(f"/proc/{pid}/cmdline", "rb").read()
def fork():
    if os.fork() == 0: os._exit(0)
def execute(): subprocess.run([sys.executable, "-c", "1"], check=True)
def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def namespaces():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def memory(n): bytearray(n)
def descriptors(): return [fd for fd in range(3, 1000) if is_open(fd)]
def is_open(fd):
    try: return bool(os.fstat(fd))
    except OSError: return False
def leave(name): open(name, "w").write("x")
def environment(): return dict(os.environ)
"""


class Escaped(Exception):
    """A probe got out; the message says where to."""


def prove(name):
    """The Level of this name with what was tried in it; Problem or Escaped when it does not hold here."""
    lines = []
    with Box(Level(name), Limits(memory=MEMORY, seconds=10.0)) as box, box.student() as student:
        ran = student.cell(SOURCE)
        if ran.error is not None:
            raise Problem(f"the sandbox {name} cannot run Python: {ran.error}")
        lines += _files(student)
        lines += _network(student)
        lines += _processes(student)
        lines += _refused(student, "memory", 2 * MEMORY, words="memory above the limit", kinds=("MemoryError",))
        lines += _own(student, box)
    return Level(name, tuple(lines))


def _refused(student, probe, *arguments, words=None, kinds=("OSError",)):
    """Calls a probe that must fail, and with an error of the right kind; yields its line of proof."""
    words = words or probe
    try:
        student.call(probe, arguments)
    except Remote as why:
        if not set(kinds) & {why.kind, *why.bases}:
            raise Escaped(f"{words}: failed for another reason ({why})") from None
        yield f"{words}: refused ({why.message.partition('] ')[2].partition(':')[0] or why.kind})"
    except Died as why:
        raise Escaped(f"{words}: the process {why}") from None
    else:
        raise Escaped(f"{words}: was possible")


def _files(student):
    with tempfile.TemporaryDirectory(prefix="enm5310-box-probe-") as folder:
        secret = Path(folder) / "secret"
        secret.write_text(secrets.token_hex())
        yield from _refused(student, "read", str(secret), words="read a file of the grader")
        yield from _refused(student, "write", f"{folder}/new", words="write beside it")
        before = secret.stat()
        with contextlib.suppress(Remote):  # it may seem to succeed
            student.call("attributes", [str(secret)])
        if (secret.stat().st_mode, secret.stat().st_mtime) != (before.st_mode, before.st_mtime):
            raise Escaped("change its attributes: was possible")
        yield "change its attributes: no effect"
        if [p.name for p in Path(folder).iterdir()] != ["secret"]:
            raise Escaped("write outside its folder: was possible")
    yield from _refused(student, "write", str(PACKAGE / "__probe__"), words="write into the course's package")
    yield from _refused(student, "read", "/etc/shadow", words="read /etc/shadow")
    yield from _refused(student, "read", "/etc/passwd", words="read /etc/passwd")
    own = next((p for p in sorted(Path.home().glob("*")) + sorted(Path.home().glob(".*")) if _readable(p)), None)
    if own is not None:
        yield from _refused(student, "read", str(own), words="read the home folder")


def _readable(path):
    with contextlib.suppress(OSError):
        return path.is_file() and os.access(path, os.R_OK)
    return False


def _network(student):
    name = f"\0enm5310-{secrets.token_hex(8)}"
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        unix.bind(name)
        tcp.listen()
        unix.listen()
        yield from _refused(student, "tcp", tcp.getsockname()[1], words="connect by TCP")
        yield from _refused(student, "udp", udp.getsockname()[1], words="send by UDP")
        yield from _refused(student, "unix", name, words="connect to a local socket")
        for server in (tcp, udp, unix):
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                server.recv(1) if server is udp else server.accept()
                raise Escaped("the network: something arrived")


def _processes(student):
    me = os.getpid()
    yield from _refused(student, "signalled", me, words="signal the grader")
    yield from _refused(student, "process", me, words="look at its process")
    yield from _refused(student, "trace", me, words="trace it")
    yield from _refused(student, "fork", words="fork")
    yield from _refused(student, "execute", words="execute a program")
    yield from _refused(student, "namespaces", words="make namespaces")


def _own(student, box):
    if len(student.call("descriptors").value) != 1:
        raise Escaped("descriptors: more than its own channel is open")
    yield "descriptors: its own channel only"
    given = set(student.call("environment").value)
    if leaked := {name for name, value in os.environ.items() if value and name in given} - KNOWN:
        raise Escaped(f"environment: {', '.join(sorted(leaked))} came along")
    yield "environment: its own"
    student.call("leave", ["left"])
    with box.student() as other:
        other.cell(SOURCE)
        if other.call("listing", ["."]).value != [".tmp"]:
            raise Escaped("files of one student: the next one found them")
    yield "files of one student: not there for the next"


KNOWN = {*environment(""), "PWD", "TMPDIR"}
