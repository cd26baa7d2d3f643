"""Which notebooks were saved: a look at times and sizes now and then, which works on every file system."""

import time
from typing import NamedTuple

from enm5310.practice import Problem, notebook

QUIET = 0.3  # seconds without a change before a file counts as written
PATIENCE = 3.0  # seconds that a file may be half a notebook before this is told


class News(NamedTuple):
    saved: list  # paths of complete notebooks with other bytes than before
    told: list  # lines about the others


class Saves:
    """The notebooks at some paths, which may come, go and be half written; look() says what is new since the last."""

    def __init__(self, known, clock=time.monotonic):
        """known: {path: SHA-256 of the file as it needs no check}; what differs from it is news from the beginning."""
        self.clock, self.known, self.unread = clock, dict(known), set()
        self.seen = {path: _stamp(path) for path in known}
        self.since = {path: clock() - QUIET for path in known}  # path -> time of the last change that is not read yet

    def look(self):
        news, now = News([], []), self.clock()
        for path, before in self.seen.items():
            stamp = self.seen[path] = _stamp(path)
            if stamp != before:
                self.since[path] = now
                self.unread.discard(path)
                if stamp is None:
                    news.told.append(f"{path.name} was deleted or moved away")
            if path in self.since and stamp is not None and now - self.since[path] >= QUIET:
                self._read(path, now, news)
        return news

    def _read(self, path, now, news):
        try:
            digest = notebook.read(path).sha256
        except Problem as problem:  # half of it is written, and the rest comes; or never
            if now - self.since[path] > PATIENCE and path not in self.unread:
                self.unread.add(path)
                news.told.append(str(problem))
            return
        del self.since[path]
        self.unread.discard(path)
        if digest != self.known.get(path):
            self.known[path] = digest
            news.saved.append(path)


def _stamp(path):
    try:
        s = path.stat()
    except OSError:
        return None
    return s.st_mtime_ns, s.st_size, s.st_ino
