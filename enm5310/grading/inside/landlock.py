"""Landlock: a process gives up all files but some, TCP, and signals out of its own domain.  Needs no privilege.

It does not cover attributes of files (``seccomp`` refuses those calls), nor that a file exists.
"""

import ctypes
import os
import stat
import struct

from .walls import checked, libc, prctl

CREATE, ADD, RESTRICT = 444, 445, 446  # the same numbers on all machines
PR_SET_NO_NEW_PRIVS = 38
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 9, 1 << 11, 1 << 13, 1 << 14, 1 << 15
DEVICES = {"/dev/null": WRITE_FILE, "/dev/zero": 0, "/dev/full": 0, "/dev/random": 0, "/dev/urandom": 0}


def abi():
    """The version of Landlock that the kernel offers; 0 for none."""
    return max(0, libc.syscall(CREATE, None, ctypes.c_size_t(0), 1))


def restrict(readable, writable, listed=()):
    """From now on this process can read what lies under some paths, write what lies under others, and no other file.

    listed: folders of which it can see which names there are.
    """
    version = abi()
    if not version:
        raise OSError("this kernel has no Landlock")
    handled = (1 << 13) - 1 | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    handled |= IOCTL_DEV if version >= 5 else 0
    network, scope = 3 if version >= 4 else 0, 3 if version >= 6 else 0  # bind and connect; sockets by name, signals
    attributes = struct.pack("=QQQ", handled, network, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    size = ctypes.c_size_t(len(attributes))
    rules = checked(libc.syscall(CREATE, ctypes.c_char_p(attributes), size, 0), "landlock_create_ruleset")
    files = WRITE_FILE | READ_FILE | (handled & TRUNCATE)
    for path in readable:
        _allow(rules, path, READ_FILE | READ_DIR, files)
    for path in writable:
        _allow(rules, path, handled & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEV), files)
    for path in listed:
        _allow(rules, path, READ_DIR, files)
    for path, more in DEVICES.items():
        _allow(rules, path, READ_FILE | more, files)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    checked(libc.syscall(RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _allow(rules, path, rights, files):
    """A rule for all below a folder; for a file only the rights that files have."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rights = rights if stat.S_ISDIR(os.fstat(fd).st_mode) else rights & files
    rule = struct.pack("=Qi", rights, fd)
    checked(libc.syscall(ADD, rules, 1, ctypes.c_char_p(rule), 0), f"landlock_add_rule {path}")
    os.close(fd)
