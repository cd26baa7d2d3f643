"""MNIST for the benchmarks, float32 in [0, 1], and where it came from, in words."""

from functools import cache
from pathlib import Path

import numpy as np

from enm5310.datasets import fetch_mnist

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist_70k.npz"


@cache
def mnist():
    """(train (60000, 784), test (10000, 784), source): the shared file, else the cache of `fetch_mnist`, else noise."""
    train, test, source = _images()
    return *(np.divide(X.reshape(len(X), 784), 255, dtype=np.float32) for X in (train, test)), source


def _images():
    if SHARED.exists():
        with np.load(SHARED) as file:
            return file["x_train"], file["x_test"], "MNIST"
    try:
        X = fetch_mnist(download_if_missing=False).data
        return X[:60000], X[60000:], "MNIST"
    except OSError:
        X = _synthetic(np.random.default_rng(0))
        return X[:60000], X[60000:], "SYNTHETIC images of MNIST's shape (`enm5310 data fetch mnist` gets the real ones)"


def _synthetic(rng):
    """70000 images of soft blobs, bytes: 40 dimensions of variation, so that PCA and a VAE have something to find."""
    Z, A = rng.standard_normal((70000, 40), dtype=np.float32), rng.standard_normal((40, 784), dtype=np.float32)
    noise = rng.standard_normal((70000, 784), dtype=np.float32)
    return np.uint8(np.clip(40 * (Z @ A / 40**0.5 * 2 + noise / 4), 0, 255))
