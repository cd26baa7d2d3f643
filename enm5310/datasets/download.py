"""Files from the internet, once: mirrors tried in turn, SHA-256 checked, kept in a cache folder.

The cache keeps the *uncompressed* stream.  Mirrors compress anew, so only the stream has a hash worth pinning; reuse is
then one read and one hash, with nothing to unpack; and a cache folder can be a mirror for the next machine.
"""

import hashlib
import logging
import os
import secrets
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .mirrors import Unusable, pieces

log = logging.getLogger("enm5310.datasets")


class File(NamedTuple):
    name: str  # in the cache and, with or without ".gz", at the mirrors
    size: int | None  # bytes, uncompressed; None where nobody published it
    sha256: str  # of the uncompressed bytes
    packed: bool = True  # mirrors may have it as name.gz; False saves asking for that


def get_data_home(data_home=None):
    """The cache folder: `data_home`, else the variable ENM5310_DATA, else ``enm5310`` in the system's cache folder."""
    return Path(data_home or os.environ.get("ENM5310_DATA") or _system_cache() / "enm5310").expanduser()


def obtain(
    file, folder, mirrors, *, download_if_missing=True, n_retries=3, delay=1.0, timeout=10.0, progress=None
):
    """The bytes of a file, shape (size,), uint8: from the cache where their SHA-256 is right, else downloaded into it.

    Every call reads the file anew.  OSError: every mirror failed (each is named with its reason), the folder cannot be
    written, or the file is not there and `download_if_missing` is false.
    """
    path = folder / file.name
    stream = read(path, file)
    if stream is None:
        _replaceable(path, download_if_missing)
        download(file, path, mirrors, n_retries, delay, timeout, progress)
        stream = read(path, file)
    if stream is None:
        raise OSError(f"{path} was downloaded intact but does not read back so: is the disk sound? Try data_home=...")
    return stream


def read(path, file):
    """The bytes at `path`, shape (size,), uint8; None if there are none, or not those of `file`."""
    most = -1 if file.size is None else file.size + 1  # one more, to see a file that is too long; -1: all of it
    try:
        stream = np.fromfile(path, np.uint8, count=most)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stream if hashlib.sha256(stream).hexdigest() == file.sha256 else None


def download(file, path, mirrors, n_retries, delay, timeout, progress):
    """Saves `file` at `path` from the first mirror that has it; up to `n_retries` more rounds, `delay` s apart."""
    reasons = dict.fromkeys(map(str, mirrors), "not asked")
    asked = list(reasons)
    for mirror, wait in _rounds(asked, n_retries, delay):
        time.sleep(wait)
        try:
            return save(mirror, file, path, timeout, progress)
        except Unusable as why:
            reasons[mirror] = str(why)
            if not why.again:
                asked.remove(mirror)
    failures = "".join(f"\n  {mirror}: {reason}" for mirror, reason in reasons.items()) or "\n  (no mirror was given)"
    raise OSError(
        f"{file.name} could not be downloaded:{failures}\nTry again with a connection, or pass mirrors=[...]: an "
        f"address or a folder (a USB stick, another machine's {path.parent}) that has the file."
    )


def save(mirror, file, path, timeout, progress):
    """Pours `file` from a mirror into a temporary file and renames it: a reader sees all of it or nothing.

    So two processes may do it at once, and an interrupt leaves no trace.  Unusable: the mirror's fault; OSError: ours.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = pieces(mirror, file, timeout)
        with closing(stream), open(temporary, "xb") as out, reporter(progress, file) as report:
            for piece in stream:
                out.write(piece)
                report(out.tell())
        os.replace(temporary, path)
    except OSError as why:
        if read(path, file) is None:  # else another process was faster, and Windows replaces no file that is open
            raise OSError(
                f"cannot write into the cache folder {path.parent}: {why.strerror or why}. Choose another one with "
                f"data_home=... or the environment variable ENM5310_DATA."
            ) from why
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _replaceable(path, download_if_missing):
    state = "is broken (wrong SHA-256)" if path.exists() else "is not there"
    if not download_if_missing:
        raise OSError(
            f"{path.name}: {path} {state}. Call again with download_if_missing=True and a connection, or with "
            f"mirrors=[...], an address or a folder that has it; or choose another cache folder with data_home=..."
        )
    if path.exists():  # a log line, not a warning: under "warnings are errors" that would stop the repair it announces
        log.warning("%s %s: it is downloaded again", path, state)


def _rounds(asked, n_retries, delay):
    """(mirror, seconds to wait before): all that are still in `asked`, then those again, 1 + n_retries times."""
    for attempt in range(n_retries + 1):
        for i, mirror in enumerate(list(asked)):
            yield mirror, delay if attempt and not i else 0


@contextmanager
def reporter(progress, file):
    """A function of the bytes done: the caller's ``progress(name, done, total)``, a bar, or nothing."""
    if callable(progress):
        yield lambda done: progress(file.name, done, file.size)
    elif progress or (progress is None and sys.stderr.isatty()):
        from tqdm import tqdm  # here, since loaders of packaged data need none

        with tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True) as bar:
            yield lambda done: bar.update(done - bar.n)
    else:
        yield lambda done: None


def _system_cache():
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    return Path("~/Library/Caches" if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME") or "~/.cache")
