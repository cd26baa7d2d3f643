"""One student in a process of its own, over its standard streams: for practice, where processes cannot be forked.

``python alone.py '{"folder": ..., "path": [...], "scratch": ..., ...}'`` ends when its standard input does.
"""

import json
import os
import sys

if __name__ == "__main__":  # the folder is a package, so that its modules take no name the student may want
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.path.dirname(here), *(p for p in sys.path if os.path.abspath(p or ".") != here)]
    import inside.alone

    sys.path.pop(0)
    inside.alone.main(json.loads(sys.argv[1]))

from . import child, wire


def main(job):
    sys.path += [path for path in job["path"] if path not in sys.path]
    channel = wire.Pipes(os.dup(0), os.dup(1), job["frame"], at_end=lambda: os._exit(1))
    shell, outputs = child.make(job["scratch"], warm=False)
    outputs.limit = job["output"]
    os.chdir(job["folder"])
    try:
        from . import walls

        walls.limit(walls.mapped(), job["memory"], job["cpu"], job["file"], job["files"], None)
    except (ImportError, OSError, TypeError, ValueError):  # not POSIX: no such limits there; the clock still holds
        pass
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # what goes wrong above is still told on stderr
        os.dup2(null, standard)
    child.Child(shell, outputs, channel).serve()
