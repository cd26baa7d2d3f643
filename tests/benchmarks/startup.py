"""startup: a fresh interpreter until `import enm5310` is done, beside what it stands on."""

import subprocess
import sys

from tests.benchmarks.harness import OURS, Contender, Line, limits, race

WHAT = "a fresh interpreter and `import enm5310`"


def importing(what):
    """() -> None: a new process that imports `what`; CalledProcessError when it cannot."""
    return lambda _: lambda: subprocess.run([sys.executable, "-c", f"import {what}"], check=True)


CONTENDERS = [
    Contender(OURS, importing("enm5310")),
    Contender("numpy and autograd", importing("numpy, autograd"), "autograd", limit=1.0, plus=0.050),
    Contender("nothing", importing("sys")),
    Contender("every module of a lecture", importing("enm5310.vae, enm5310.latent, enm5310.datasets, enm5310.plots")),
]


def measure(contenders):
    timings = race({c.name: c.build(None) for c in contenders}, rounds=15)
    notes = ("the last row is what a lecture's first cell pays, matplotlib included; it has no target",)
    return Line("startup", timings, limits(contenders, timings), notes=notes)
