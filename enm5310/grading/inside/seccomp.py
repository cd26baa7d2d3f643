"""System calls that a student's process has no use for: refused by a seccomp filter, assembled here for two machines.

Threads may be started, processes may not; no program is executed, no socket opened (socket pairs serve asyncio), no
namespace, mount, key, trace or kernel interface touched, no memory taken that RLIMIT_AS does not count, and no signal,
priority or limit of another process.  This binds root as well, for whom RLIMIT_NPROC does not.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct

from .walls import checked, libc

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name, number on x86_64, number on aarch64 (- where there is none)
DENIED = """
fork 57 -  vfork 58 -  execve 59 221  execveat 322 281  unshare 272 97  setns 308 268  ptrace 101 117
process_vm_readv 310 270  process_vm_writev 311 271  kcmp 312 272  pidfd_open 434 434  pidfd_getfd 438 438
pidfd_send_signal 424 424  process_madvise 440 440  process_mrelease 448 448  tkill 200 130
mount 165 40  umount2 166 39  pivot_root 155 41  chroot 161 51  move_mount 429 429  open_tree 428 428
open_tree_attr 467 467  fsopen 430 430  fsconfig 431 431  fsmount 432 432  fspick 433 433  mount_setattr 442 442
swapon 167 224  swapoff 168 225  reboot 169 142  kexec_load 246 104  kexec_file_load 320 294  init_module 175 105
finit_module 313 273  delete_module 176 106  bpf 321 280  perf_event_open 298 241  syslog 103 116  acct 163 89
quotactl 179 60  quotactl_fd 443 443  settimeofday 164 170  clock_settime 227 112  clock_adjtime 305 266
adjtimex 159 171  sethostname 170 161  setdomainname 171 162  iopl 172 -  ioperm 173 -  modify_ldt 154 -
personality 135 92  vhangup 153 58  add_key 248 217  request_key 249 218  keyctl 250 219
io_uring_setup 425 425  io_uring_enter 426 426  io_uring_register 427 427  userfaultfd 323 282
memfd_create 319 279  memfd_secret 447 447  open_by_handle_at 304 265  name_to_handle_at 303 264
fanotify_init 300 262  fanotify_mark 301 263  inotify_add_watch 254 27
socket 41 198  connect 42 203  bind 49 200  listen 50 201  accept 43 202  accept4 288 242
shmget 29 194  shmat 30 196  shmctl 31 195  msgget 68 186  msgsnd 69 189  msgctl 71 187  semget 64 190  semop 65 193
semctl 66 191  semtimedop 220 192  mq_open 240 180  mq_unlink 241 181  mq_notify 244 184
setpriority 141 140  ioprio_set 251 30  sched_setscheduler 144 119  sched_setparam 142 118  sched_setattr 314 274
sched_setaffinity 203 122  migrate_pages 256 238  move_pages 279 239  mknod 133 -  mknodat 259 33
sysinfo 99 179  setxattr 188 5  lsetxattr 189 6  fsetxattr 190 7  setxattrat 463 463
"""

# what Landlock does not cover: attributes of files that the student could not open for writing.  These calls seem to
# succeed, as copying a file ends with them
ATTRIBUTES = """
chmod 90 -  fchmod 91 52  fchmodat 268 53  fchmodat2 452 452  chown 92 -  fchown 93 55  lchown 94 -  fchownat 260 54
utime 132 -  utimes 235 -  utimensat 280 88  futimesat 261 -
"""
ATTRIBUTES_DENIED = """
truncate 76 45  removexattr 197 14  lremovexattr 198 15  fremovexattr 199 16  removexattrat 466 466
file_setattr 469 469
"""

# of these, some arguments: checked below
CLONE, CLONE3, KILL, TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)
SIGQUEUE, TGSIGQUEUE, PRLIMIT, PRCTL = (129, 138), (297, 240), (302, 261), (157, 167)
FCNTL, IOCTL, SOCKETPAIR, FLOCK = (72, 25), (16, 29), (53, 199), (73, 32)
SENDMSG, SENDMMSG = (46, 211), (307, 269)
CLOCKS = ((228, 113), (229, 114), (230, 115), (222, 107))  # clock_gettime, _getres, _nanosleep, timer_create

CLONE_THREAD = 0x00010000
NAMESPACES = 0x7E020000  # CLONE_NEW*: CGROUP, UTS, IPC, USER, PID, NET, NS
AF_UNIX = 1
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
OWNERS_FCNTL = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to any process
SHARED_FCNTL = (1024, 1025, 1026, 1031, 5, 36)  # leases, notices, F_SETPIPE_SZ, F_GETLK, F_OFD_GETLK: reach others
LOCKS_FCNTL = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
OWNERS_IOCTL = (0x8901, 0x8902, 0x5412)  # FIOSETOWN, SIOCSPGRP; TIOCSTI

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
KILL_PROCESS, ALLOW, ASK, SECCOMP_RET_ERRNO = 0x80000000, 0x7FFF0000, 0x7FC00000, 0x00050000
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
SET_MODE_FILTER, NEW_LISTENER = 1, 8
NOTIF_RECV, NOTIF_SEND, CONTINUE = 0xC0502100, 0xC0182101, 1


def numbers(table, machine):
    """{name: number} of a table above, of the calls that a machine has."""
    words = table.split()
    column = 1 if machine == "x86_64" else 2
    return {words[i]: int(words[i + column]) for i in range(0, len(words), 3) if words[i + column] != "-"}


def program(machine, pid, attributes=True, thread=ALLOW):
    """The filter as (code, jump if true, jump if false, constant) rows; ``pid``: the process that it is for.

    attributes: whether attributes of files may be changed, as they may where the file system shuts others out;
    thread: what is decided about a new thread.
    """
    at = 0 if machine == "x86_64" else 1
    refuse = _errno(errno.EPERM)
    rows = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, AUDIT[machine]), (RETURN, 0, 0, KILL_PROCESS), (LOAD, 0, 0, 0)]
    if machine == "x86_64":
        rows += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, _errno(errno.ENOSYS))]  # the x32 calls
    rows += _when(CLONE3[at], [(RETURN, 0, 0, _errno(errno.ENOSYS))])  # its flags lie in memory; glibc falls back
    threads = [_argument(0), (ANY_BIT, 0, 1, NAMESPACES), (RETURN, 0, 0, refuse),
               (ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, refuse), (RETURN, 0, 0, thread)]  # fmt: skip
    rows += _when(CLONE[at], threads)
    for call in (KILL, TGKILL, SIGQUEUE, TGSIGQUEUE):
        rows += _when(call[at], _only(0, (pid,), refuse))
    for call in CLOCKS:  # a negative clock is the processor time of any process
        negative = [_argument(0), (AT_LEAST, 0, 1, 1 << 31), (RETURN, 0, 0, refuse), (RETURN, 0, 0, ALLOW)]
        rows += _when(call[at], negative)
    rows += _when(PRLIMIT[at], _only(0, (0, pid), refuse))
    rows += _when(SOCKETPAIR[at], _only(0, (AF_UNIX,), refuse))
    rows += _when(PRCTL[at], _never(0, (PR_SET_PDEATHSIG, PR_SET_DUMPABLE), refuse))
    # a lock on a file that others read, too, would tell them something, or stop them: it seems to succeed
    locks = [row for value in LOCKS_FCNTL for row in ((EQUAL, 0, 1, value), (RETURN, 0, 0, _errno(0)))]
    rows += _when(FCNTL[at], [_argument(1), *locks, *_never(1, OWNERS_FCNTL + SHARED_FCNTL, refuse)])
    rows += _when(FLOCK[at], [(RETURN, 0, 0, _errno(0))])
    rows += _when(IOCTL[at], _never(1, OWNERS_IOCTL, refuse))
    for number in numbers(DENIED + ATTRIBUTES_DENIED * (not attributes), machine).values():
        rows += [(EQUAL, 0, 1, number), (RETURN, 0, 0, refuse)]
    for number in numbers(ATTRIBUTES * (not attributes), machine).values():
        rows += [(EQUAL, 0, 1, number), (RETURN, 0, 0, _errno(0))]
    return [*rows, (RETURN, 0, 0, ALLOW)]


def _errno(number):
    return SECCOMP_RET_ERRNO | number


def _argument(i):
    """The low half of an argument: the kernel reads 32 bits of all that are looked at here."""
    return LOAD, 0, 0, 16 + 8 * i


def _when(number, rows):
    """Rows for one call, which end in a decision."""
    return [(EQUAL, 0, len(rows), number), *rows]


def _only(argument, values, refuse):
    rows = [(EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(argument), *rows, (RETURN, 0, 0, refuse), (RETURN, 0, 0, ALLOW)]


def _never(argument, values, refuse):
    rows = [(EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(argument), *rows, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, refuse)]


def no_descriptors_sent(machine):
    """A second filter, once the descriptor below is sent: those in flight are counted for all processes of a user."""
    at = 0 if machine == "x86_64" else 1
    rows = [(LOAD, 0, 0, 0)]
    for call in (SENDMSG, SENDMMSG):
        rows += _when(call[at], [(RETURN, 0, 0, _errno(errno.EPERM))])
    return [*rows, (RETURN, 0, 0, ALLOW)]


def install(send, attributes=True):
    """For this process and its threads, from now on.  Needs PR_SET_NO_NEW_PRIVS.

    send(fd): hands on a descriptor on which another process is asked about each new thread (``Threads``).  Where the
    kernel has no such thing, RLIMIT_NPROC alone holds, which it does for all users but root.
    """
    machine = platform.machine()
    try:
        asked = _install(program(machine, os.getpid(), attributes, ASK), NEW_LISTENER)
    except OSError:
        _install(program(machine, os.getpid(), attributes), 0)
    else:
        send(asked)
        os.close(asked)
    _install(no_descriptors_sent(machine), 0)


def _install(rows, flags):
    code = b"".join(struct.pack("=HBBI", *row) for row in rows)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.c_char_p(struct.pack("@HP", len(rows), ctypes.addressof(buffer)))
    return checked(libc.syscall(SYS_SECCOMP[platform.machine()], SET_MODE_FILTER, flags, head), "seccomp")


class Threads:
    """The other end of that descriptor: so many threads may be started, in all, and no more."""

    def __init__(self, fd, most):
        self.fd, self.left = fd, most

    def fileno(self):
        return self.fd

    def answer(self):
        question = bytearray(80)
        try:
            fcntl.ioctl(self.fd, NOTIF_RECV, question)
            (label,) = struct.unpack_from("=Q", question)
            self.left -= 1
            error, flags = (0, CONTINUE) if self.left >= 0 else (-errno.EAGAIN, 0)
            fcntl.ioctl(self.fd, NOTIF_SEND, struct.pack("=QqiI", label, 0, error, flags))
        except OSError:  # whoever asked is gone
            pass
