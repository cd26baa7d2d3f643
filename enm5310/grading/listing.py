"""What lies in a folder or a zip archive that was handed in: regular files only, nothing followed, nothing unpacked.

An archive's members are read where they are, so a name in it can point nowhere; what is refused is listed with the
reason.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from enm5310.practice import Problem

BIGGEST = 100 * 2**20  # bytes of one file, nbgrader's own default
MOST = 50_000  # files in an archive
TOTAL = 16 * 2**30  # bytes of all of an archive, unpacked
FOLD = 250  # times that a large file may have been compressed: no notebook comes near
JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", "__pycache__", ".git"}


class Unreadable(Exception):
    """Why a file that was listed cannot be read."""


class File(NamedTuple):
    path: str  # with slashes, from the top of what was handed in
    size: int
    read: Callable  # () -> bytes; raises Unreadable

    @property
    def name(self):
        return self.path.rsplit("/", 1)[-1]


class Listing(NamedTuple):
    files: tuple  # of File, by path
    refused: tuple  # of (path, why)


def of(where):
    """The Listing of a folder or of a zip archive; Problem when it is neither."""
    where = Path(where)
    if where.is_dir():
        return folder(where)
    if where.is_file() and zipfile.is_zipfile(where):
        return archive(where)
    raise Problem(f"{where} is neither a folder nor a zip archive: name what the submissions were downloaded to")


# -------------------- folders --------------------


def folder(top):
    """Everything below a folder that is a regular file; links are listed as refused, wherever they lead."""
    top, files, refused = Path(top).resolve(), [], []
    for here, folders, names in os.walk(top, onerror=lambda why: refused.append(_told(top, why))):
        folders[:] = sorted(name for name in folders if name not in JUNK)
        for name in sorted([*names, *(f for f in folders if os.path.islink(os.path.join(here, f)))]):
            path = os.path.join(here, name)
            shown = os.path.relpath(path, top).replace(os.sep, "/")
            mode, size = (lambda s: (s.st_mode, s.st_size))(os.lstat(path))
            why = "is a link, which is not followed" if stat.S_ISLNK(mode) else "is no regular file"
            if name in JUNK:
                continue
            if stat.S_ISREG(mode) and not (why := _unprintable(shown)):
                files.append(File(shown, size, lambda path=path, size=size: _bytes(path, size)))
            else:
                refused.append((shown, why))
    return Listing(tuple(sorted(files)), tuple(sorted(refused)))


def _told(top, why):
    return os.path.relpath(why.filename, top), f"cannot be read: {why.strerror}"


def _bytes(path, size):
    if size > BIGGEST:
        raise Unreadable(f"has {size / 2**20:.0f} MiB; at most {BIGGEST // 2**20} are read")
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Unreadable("is no regular file")
            return file.read(BIGGEST)
    except OSError as why:
        raise Unreadable(f"cannot be read: {why.strerror}") from None


# -------------------- archives --------------------


def archive(path):
    """The files of a zip archive, with the sizes that its directory claims; of two with one name the last counts."""
    try:
        members = [m for m in zipfile.ZipFile(path).infolist() if not m.is_dir()]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as why:
        raise Problem(f"{path} is a damaged archive: {why}") from None
    if len(members) > MOST or sum(m.file_size for m in members) > TOTAL:
        raise Problem(f"{path} holds {len(members)} files of {sum(m.file_size for m in members) / 2**30:.1f} GiB: "
                      "unpack what is wanted, and name that folder")  # fmt: skip
    files, refused = {}, []
    for member in members:
        shown = _name(member)
        if JUNK.intersection(shown.split("/")):
            continue
        if why := _unsafe(member, shown):
            refused.append((shown, why))
            continue
        if shown in files:
            refused.append((shown, "is twice in the archive; the last one counts"))
        files[shown] = File(shown, member.file_size, lambda member=member: _member(path, member))
    return Listing(tuple(sorted(files.values())), tuple(sorted(refused)))


def _name(member):
    """A member's path; many programs write UTF-8 without saying so, and some write backslashes."""
    name = member.filename
    if not member.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return name.replace("\\", "/")


def _unsafe(member, shown):
    """Why a member is not read, or None."""
    parts = PurePosixPath(shown).parts
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link, which is not followed"
    if shown.startswith("/") or ".." in parts or (parts and ":" in parts[0]):
        return "has a path that leads out of the archive"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > BIGGEST:
        return f"has {member.file_size / 2**20:.0f} MiB; at most {BIGGEST // 2**20} are read"
    if member.file_size > 8 * 2**20 and member.file_size > FOLD * member.compress_size:
        return f"expands {member.file_size // max(1, member.compress_size)}-fold"
    return _unprintable(shown)


def _member(path, member):
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            data = file.read(member.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as why:
        raise Unreadable(f"cannot be unpacked: {why}") from None
    if len(data) > member.file_size:
        raise Unreadable("is longer than its archive says")
    return data


def _unprintable(shown):
    return None if shown.isprintable() else "has control characters in its name"
