"""A process that has imported everything heavy, and forks: per student a small guard, and under it the student.

``python zygote.py '{"control": fd, "path": [...], "level": "bubblewrap", ...}'``.  On the control socket comes one JSON
object per student with two descriptors: the student's channel, and the guard's.  The guard ends the student when its
own socket is closed, and tells how the student ended, if it does so by itself.  Nothing here trusts the student.
"""

import json
import os
import select
import signal
import socket
import sys
import warnings

if __name__ == "__main__":  # the folder is a package, so that its modules take no name the student may want
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.path.dirname(here), *(p for p in sys.path if os.path.abspath(p or ".") != here)]
    import inside.zygote

    sys.path.pop(0)
    inside.zygote.main(json.loads(sys.argv[1]))
    os._exit(0)

from . import child, landlock, seccomp, walls, wire


def main(job):
    """Imports, says so, and forks until the control socket ends."""
    control = socket.socket(fileno=job["control"])
    sys.path += [path for path in job["path"] if path not in sys.path]
    walls.die_with_parent()
    shell, outputs = child.make(job["scratch"], job["warm"])
    import gc

    gc.collect()
    gc.freeze()  # forks share these pages for longer
    job["mapped"] = walls.mapped()  # known here only: a student may have no /proc
    # BLAS threads of the user's own choice: they are made anew in a fork
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    control.send(b"ready")
    while True:
        _reap()
        if not select.select([control], [], [], 1.0)[0]:
            continue
        message, fds, _, _ = socket.recv_fds(control, 65536, 2)
        if not message:
            return
        try:
            pid = os.fork()
        except OSError:  # no process or memory left just now: whoever asked finds the sockets closed
            pid = None
        if pid == 0:
            control.close()
            _end(_guard, json.loads(message), fds, job, shell, outputs)
        for fd in fds:
            os.close(fd)


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _end(role, *arguments):
    """Plays a role in a fork; whatever happens, this process ends here."""
    try:
        role(*arguments)
    except BaseException as why:
        os.write(2, f"{type(why).__name__}: {why}\n".encode())
    finally:
        os._exit(70)


# -------------------- the guard --------------------


def _guard(limits, fds, job, shell, outputs):
    channel, status = fds
    walls.die_with_parent()
    walls.first_to_go()
    os.setsid()
    if job["level"] != "bubblewrap":
        return _watch(limits, channel, status, job, shell, outputs)
    walls.own_namespaces()
    first = os.fork()  # process 1 of its namespace: what it leaves behind ends with it
    if first == 0:
        _end(_first, limits, channel, status, job, shell, outputs)
    os.close(channel)
    os.close(status)
    os.waitpid(first, 0)
    os._exit(0)


def _first(limits, channel, status, job, shell, outputs):
    walls.die_with_parent()
    walls.private_folders(limits["disk"], job["package"], limits["copy"])
    _watch(limits, channel, status, job, shell, outputs)


def _watch(limits, channel, status, job, shell, outputs):
    """Forks the student; ends it when the status socket closes; tells how it ended, its peak memory, its time."""
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    if walls.LINUX:
        walls.prctl(walls.PR_SET_CHILD_SUBREAPER, 1)
    guards, students = socket.socketpair()
    student = os.fork()
    if student == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _end(_student, limits, channel, students, job, shell, outputs)
    os.close(channel)
    students.close()
    asked = status  # to end the student, when it comes to its end
    threads = guards  # until the student has sent the descriptor, or closed its end
    while True:
        ready = select.select([x for x in (awake, asked, threads) if x is not None], [], [])[0]
        if asked in ready:
            asked = None
            os.kill(student, signal.SIGKILL)
        if awake in ready:
            os.read(awake, 4096)
        if threads in ready and threads is guards:
            fds = socket.recv_fds(guards, 1, 1)[1]
            threads = seccomp.Threads(fds[0], limits["threads"]) if fds else None
        elif threads in ready:
            threads.answer()
        while True:
            pid, how, usage = os.wait4(-1, os.WNOHANG)
            if pid == student:
                _end_the_rest()
                try:
                    os.write(status, json.dumps([how, usage.ru_maxrss, usage.ru_utime + usage.ru_stime]).encode())
                finally:
                    os._exit(0)
            if pid == 0:
                break


def _end_the_rest():
    """Kills what the student's code has started and left to this process."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                left = [int(pid) for pid in file.read().split()]
        except OSError:  # not Linux, or built without it
            return
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


# -------------------- the student --------------------


def _student(limits, channel, guard, job, shell, outputs):
    walls.die_with_parent()
    os.setsid()
    walls.close_all_but(channel, guard.fileno())
    folder = limits["folder"] or walls.STUDENT
    os.chdir(folder)
    if limits["home"]:
        os.environ |= {"HOME": folder, "TMPDIR": f"{folder}/.tmp"}
    threads = limits["threads"] if job["level"] == "bubblewrap" else None  # elsewhere all of the user's are counted
    walls.limit(job["mapped"], limits["memory"], limits["cpu"], limits["file"], limits["files"], threads)
    if job["level"] != "none":
        walls.no_privileges()
    if job["level"] == "landlock":
        package = os.path.dirname(limits["copy"])
        landlock.restrict([*job["readable"], package], [folder], job["listed"])
        sys.path.insert(0, package)
    if job["level"] != "none":
        seccomp.install(lambda fd: socket.send_fds(guard, [b"x"], [fd]), attributes=job["level"] == "bubblewrap")
    guard.close()
    outputs.limit = limits["output"]
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # what goes wrong above is still told on the zygote's stderr
        os.dup2(null, standard)
    os.close(null)
    child.Child(shell, outputs, wire.Channel(socket.socket(fileno=channel), limits["frame"])).serve()
