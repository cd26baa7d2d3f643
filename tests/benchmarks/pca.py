"""pca: the 30 leading principal components of MNIST's training images, (60000, 784) float32."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from enm5310 import autoencoder, pca, pca_large
from tests.benchmarks.data import mnist
from tests.benchmarks.harness import OURS, Contender, Disagreement, Line, Requirement, growth, limits, race

WHAT = "PCA of 60000 x 784 float32, k = 30"
COMPONENTS, RADIANS = 30, 1e-4
MEMORY = 0.3  # of the data, at the peak of the streaming route


def ours(X):
    """The route of least estimated cost, the randomised one among them."""
    return lambda: pca.fit(X, COMPONENTS, method="auto", rng=np.random.default_rng(0)).U


def sklearn(solver):
    """scikit-learn's PCA; its copy of X is part of what it does by default."""

    def build(X):
        from sklearn.decomposition import PCA

        return lambda: PCA(COMPONENTS, svd_solver=solver, random_state=0).fit(X).components_.T

    return build


CONTENDERS = [
    Contender(OURS, ours),
    Contender("scikit-learn covariance_eigh", sklearn("covariance_eigh"), "sklearn", 1.0),
    Contender("scikit-learn arpack", sklearn("arpack"), "sklearn", 1.0),
    Contender("scikit-learn randomized", sklearn("randomized"), "sklearn", 1.0),
]


def measure(contenders):
    X, _, source = mnist()
    truth, calls = exact(X), {c.name: c.build(X) for c in contenders}
    angles = {name: largest_angle(call(), truth) for name, call in calls.items()}
    if not angles[OURS] <= RADIANS:
        raise Disagreement(f"our subspace is {angles[OURS]:.1e} rad from the exact one, allowed are {RADIANS:.0e}")
    wrong = [c.name for c in contenders if not angles[c.name] <= RADIANS]
    timings = race(calls, rounds=7, warm=0)  # the check above was the warm-up
    allowed = limits([c._replace(limit=np.inf) if c.name in wrong else c for c in contenders], timings)
    memory = Requirement("streaming route: peak memory / data", stream_memory(X, truth) / X.nbytes, MEMORY)
    notes = tuple(words(source, angles, wrong, X))
    return Line("pca", timings, allowed, exponents(contenders, X), (memory,), notes)


def exponents(contenders, X):
    """Growth with n and with p, of ours and of scikit-learn's solver of the same kind."""
    few = [c for c in contenders if c.name in (OURS, "scikit-learn covariance_eigh")]
    by_n = {n: X[:n] for n in (7500, 15000, 30000, 60000)}
    by_p = {p: np.ascontiguousarray(X[:20000, :p]) for p in (196, 392, 784)}
    return {"n": growth(few, by_n, rounds=3), "p": growth(few, by_p, rounds=3)}


def largest_angle(U, truth):
    """The largest principal angle, rad, between the columns of U and those of truth."""
    return float(np.max(autoencoder.principal_angles(np.float64(U), truth)))


def exact(X):
    """The leading eigenvectors of the float64 covariance, summed in blocks so that no float64 copy of X is made."""
    mean = X.mean(axis=0, dtype=np.float64)
    C = sum((B := X[i : i + 5000] - mean).T @ B for i in range(0, len(X), 5000))
    return np.linalg.eigh(C)[1][:, -COMPONENTS:]


def stream_memory(X, truth):
    """Bytes that the streaming route took at its peak, in a process of its own, on X from a file."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "X"), Path(folder, "U.npy")
        X.tofile(file)
        command = [sys.executable, "-m", "tests.benchmarks.streaming", *map(str, X.shape), file, out]
        run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        angle = largest_angle(np.load(out), truth)
    if not angle <= RADIANS:
        raise Disagreement(f"the streaming route is {angle:.1e} rad from the exact subspace, allowed: {RADIANS:.0e}")
    return int(run.stdout)


def words(source, angles, wrong, X):
    yield f"data: {source}; angle to the exact subspace, rad: " + ", ".join(f"{n} {a:.0e}" for n, a in angles.items())
    yield from (f"{name} finds another subspace, over {RADIANS:.0e} rad away, so it sets no target" for name in wrong)
    yield f"the route taken: {pca_large.plan(*X.shape, COMPONENTS, X.dtype).why}"
