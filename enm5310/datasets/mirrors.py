"""What a mirror sends, checked while it comes: an address or a folder, gzip or not, and every way it can go wrong."""

import hashlib
import zlib
from contextlib import contextmanager
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from enm5310 import __version__

CHUNK = 1 << 18  # bytes asked of a mirror at a time
PIECE = 1 << 20  # most bytes unpacked at a time, however far they were compressed
LIMIT = 1 << 28  # most bytes of a file whose size nobody published


class Unusable(Exception):
    """Why a mirror cannot give the file; ``again`` if asking it once more may help."""

    def __init__(self, reason, again=False):
        super().__init__(reason)
        self.again = again


def pieces(mirror, file, timeout):
    """The uncompressed bytes of `file` at a mirror, piece by piece; Unusable as soon as they cannot be the right."""
    sha256, size = hashlib.sha256(), 0
    with _in_words(file, timeout), _opened(mirror, file, timeout) as stream:
        for piece in inflate(stream):
            size += len(piece)
            if size > (LIMIT if file.size is None else file.size):
                raise Unusable(f"sent more than the {LIMIT if file.size is None else file.size} bytes expected")
            sha256.update(piece)
            yield piece
    if file.size is not None and size < file.size:
        raise Unusable(f"stopped after {size} of {file.size} bytes", again=True)
    if sha256.hexdigest() != file.sha256:
        what = f"{size} bytes of something else" if file.size is None else "something else of the same size"
        raise Unusable(f"sent {what} (wrong SHA-256)", again=file.size is None)  # it may have been cut short


def inflate(stream):
    """The bytes of a binary stream in pieces of at most PIECE, unpacked if it is gzip, whatever its name says."""
    head = stream.read(64)
    if head.lstrip()[:1] == b"<":
        raise Unusable("sent a web page instead of the file (the login page of a network?)")
    chunks = chain([head], iter(lambda: stream.read1(CHUNK), b""))
    return _gunzip(chunks) if head.startswith(b"\x1f\x8b") else chunks


def _gunzip(chunks):
    unpack = zlib.decompressobj(wbits=31)  # 31: gzip, with its checksum
    for chunk in chunks:
        while chunk:
            yield unpack.decompress(chunk, PIECE)  # bounded, so that a bomb meets the size check before it fills memory
            chunk = unpack.unconsumed_tail
        if unpack.eof:
            return  # whatever a server appends is not read


def _opened(mirror, file, timeout):
    """The stream of name.gz, or of the bare name where there is no name.gz."""
    if not file.packed:
        return _open(mirror, file.name, timeout)
    try:
        return _open(mirror, f"{file.name}.gz", timeout)
    except FileNotFoundError:
        return _open(mirror, file.name, timeout)


def _open(mirror, name, timeout):
    if "://" not in mirror:
        return open(Path(mirror).expanduser() / name, "rb")
    request = Request(f"{mirror.rstrip('/')}/{name}", headers={"User-Agent": f"enm5310/{__version__}"})
    try:
        return urlopen(request, timeout=timeout)
    except HTTPError as error:
        with error:  # it holds the connection
            if error.code == 404:
                raise FileNotFoundError(f"HTTP 404 {error.reason}") from None
            again = error.code >= 500 or error.code in (408, 429)
            raise Unusable(f"HTTP {error.code} {error.reason}", again) from None


@contextmanager
def _in_words(file, timeout):
    """Whatever goes wrong at the mirror, as an Unusable that says it."""
    try:
        yield
    except FileNotFoundError as error:
        what = f"has no {file.name}.gz and no {file.name}" if file.packed else f"has no {file.name}"
        raise Unusable(f"{what} ({error})" if error.errno is None else what) from None
    except (OSError, HTTPException, ValueError, zlib.error) as error:
        why = getattr(error, "reason", error)  # urllib wraps what happened while it was connecting
        late = isinstance(why, TimeoutError)
        raise Unusable(f"no answer for {timeout:g} s" if late else f"{why}" or type(why).__name__, again=True) from None
