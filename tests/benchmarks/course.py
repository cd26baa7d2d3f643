"""course: every lecture and every solved exercise notebook from top to bottom, each in a fresh kernel, once.

A lecture states in its first cell how many seconds it needs; the whole course has `ALLOWED` on 2 cores.  Wall time
holds everything: the kernel's start, imports, all cells, the copy on disk.  A notebook that fails ends the line.

`python -m tests.benchmarks.course lectures/00_start_here solutions/03_bounds_elbo` times only these.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.harness import OURS, Contender, Disagreement, Line, Requirement, Timing, limits
from tests.notebooks import PARTS, ROOT, cells, source

WHAT = "all lectures and solved exercises, executed, against the seconds that they state"
ALLOWED = 12 * 60  # seconds, on 2 cores
BUDGET = "allowed"


def notebooks():
    """{"lectures/01_pca": path, ...}: lectures first, then the solved exercises."""
    found = [*sorted((ROOT / "lectures").glob("*.ipynb")), *(ROOT / "solutions" / p / f"{p}.ipynb" for p in PARTS)]
    return {f"{path.relative_to(ROOT).parts[0]}/{path.stem}": path for path in found}


def stated(path):
    """The seconds that a notebook's first cell promises, or None."""
    found = re.search(r"(\d+) seconds to run", source(cells(path)[0]))
    return found and int(found[1])


def executed(path):
    """Seconds of one run, offline; Disagreement when a cell raises, warns or writes to stderr."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as out:
        env = {k: v for k, v in os.environ.items() if k not in ("NBGRADER_EXECUTION", "MPLBACKEND")}
        env["ENM5310_DATA"] = str(Path(out) / "no-cache")
        begun = time.perf_counter()
        run = subprocess.run([sys.executable, "-m", "tests.execute", out, str(path)], cwd=ROOT, env=env,
                             capture_output=True, text=True)  # fmt: skip
        seconds = time.perf_counter() - begun
    if run.returncode:
        raise Disagreement(f"{path.stem} does not run: {' '.join(run.stderr.split())[-300:]}")
    return seconds


CONTENDERS = [Contender(OURS, executed, "nbclient"), Contender(BUDGET, lambda _: ALLOWED, limit=1.0)]


def measure(contenders, chosen=None):
    """`chosen`: paths by name, by default all of the course."""
    chosen = chosen or notebooks()
    ours, *budget = contenders
    seconds = {name: ours.build(path) for name, path in chosen.items()}
    total = sum(seconds.values())
    timings = {OURS: Timing(total, total)} | {c.name: Timing(*2 * (c.build(None),)) for c in budget}
    wanted = tuple(Requirement(f"{name}, s", seconds[name], stated(path)) for name, path in chosen.items()
                   if stated(path))  # fmt: skip
    free = ", ".join(f"{name} {seconds[name]:.1f}" for name, path in chosen.items() if not stated(path))
    notes = [f"{len(seconds)} of {len(notebooks())} notebooks, once each, one after the other"]
    notes += [f"seconds of those that promise none: {free}"] if free else []
    return Line("course", timings, limits(contenders, timings), {}, wanted, tuple(notes), extra={"seconds": seconds})


def main(names):
    """Times the notebooks called for, prints the table."""
    from rich.console import Console

    from tests.benchmarks import results

    there = notebooks()
    if unknown := [name for name in names if name not in there]:
        print(f"no notebook is called {unknown[0]!r}; there are {', '.join(there)}", file=sys.stderr)
        return 2
    line = measure(CONTENDERS, {name: there[name] for name in names})
    console = Console(width=130)
    console.print(results.table([line]), *line.notes, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
