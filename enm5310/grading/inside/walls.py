"""What shuts a student's process in, by system calls through ctypes: the zygote's forks go through here."""

import ctypes
import os
import resource
import signal
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
LINUX = sys.platform == "linux"

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
STUDENT, PACKAGES = "/student", "/packages"  # the private folder, copies of the course's package: in bubblewrap


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option, value):
    checked(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def die_with_parent():
    """The kernel kills this process when the one that forked it ends."""
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def first_to_go():
    """When the machine runs out of memory, the kernel ends this process, or what it forks, before any other."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:  # not Linux
        pass


def own_namespaces():
    """User, process, IPC and mount namespaces of its own for what this process forks next."""
    uid, gid = os.getuid(), os.getgid()
    prctl(PR_SET_DUMPABLE, 1)  # /proc/self belongs to us, to write the maps
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w") as map:
            map.write(text)


def private_folders(disk, package, copy):
    """In the new mount namespace: an empty /student of bounded size, no /proc, nothing else writable.

    copy: what is seen in place of the package, or None; of other copies nothing is seen.
    """
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    if copy is not None:
        mount(copy, package, None, MS_BIND)
    mount("tmpfs", PACKAGES, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k")
    mount("tmpfs", STUDENT, "tmpfs", MS_NOSUID | MS_NODEV, f"size={disk},nr_inodes=10k,mode=700")
    os.mkdir(f"{STUDENT}/.tmp")
    mount(f"{STUDENT}/.tmp", "/dev/shm", None, MS_BIND)
    mount(None, "/tmp", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    # no /proc: even one of its own tells of others, by sockets, load and memory
    mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k")


def mount(source, target, kind, flags, options=None):
    source, target, kind, options = (None if x is None else x.encode() for x in (source, target, kind, options))
    checked(libc.mount(source, target, kind, ctypes.c_ulong(flags), options), f"mount {target.decode()}")


def close_all_but(*keep):
    """Closes every descriptor but these and the standard ones."""
    last = 3
    for fd in sorted(keep):
        os.closerange(last, fd)
        last = fd + 1
    os.closerange(last, os.sysconf("SC_OPEN_MAX") if not LINUX else 65536)


def mapped():
    """Bytes of this process's address space, or None where that is not told."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def limit(mapped, memory, cpu, file, files, threads):
    """Resource limits, hard ones: address space beyond what is mapped now, processor time, sizes, counts."""
    wanted = {"CORE": 0, "CPU": cpu and max(1, int(cpu)), "FSIZE": file, "NOFILE": files, "NPROC": threads}
    wanted["AS"] = mapped and mapped + memory
    for name, value in wanted.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None or value is None:
            continue
        most = resource.getrlimit(which)[1]
        hard = value + 2 if name == "CPU" else value  # seconds from a signal that says why to one that just ends it
        if most != resource.RLIM_INFINITY:
            value, hard = min(value, most), min(hard, most)
        resource.setrlimit(which, (value, hard))


def no_privileges():
    """No capability now or later, nothing gained by executing files, no looking in from processes of the same user."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # fails where there is none: as well
    header, none = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6)
    checked(libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(none)), "capset")
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
