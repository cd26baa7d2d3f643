"""Networks that students return, lists of layers (W, b), all but the last with an activation; and the digits."""

import functools
import importlib.resources
from itertools import pairwise

import numpy as np

from enm5310.checks.answers import Wrong, fit

ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "logistic": lambda a: 0.5 * (1 + np.tanh(a / 2)),  # 1 / (1 + e^-a), without overflow
}


def apply(layers, X, activation="tanh"):
    """What the network gives for the rows of X: the activation after every layer but the last."""
    for i, (W, b) in enumerate(layers):
        X = X @ W + b
        X = X if i == len(layers) - 1 else ACTIVATIONS[activation](X)
    return X


def random_layers(rng, widths):
    """Layers with weights of size 1 / sqrt(inputs) and biases that cannot be overlooked."""
    return [(rng.normal(size=(m, n)) / np.sqrt(m), rng.normal(size=n)) for m, n in pairwise(widths)]


def layers_of(p, k):
    """A form for ``like``: layers (W, b) from p numbers to k, through any number of hidden layers of any width."""

    def fitted(out):
        count = max(1, len(out)) if isinstance(out, (list, tuple)) else 1
        layers = fit(out, {f"layer {i + 1}": {"W": (None, None), "b": (None,)} for i in range(count)})
        widths = [p, *(len(b) for _, b in layers)]
        for i, (W, _) in enumerate(layers, 1):
            if W.shape != (widths[i - 1], widths[i]):
                raise Wrong(f"as layer {i} W of shape {W.shape} and b of shape ({widths[i]},); expected W of shape "
                            f"({widths[i - 1]}, {widths[i]}), from {widths[i - 1]} units to {widths[i]}")  # fmt: skip
        if widths[-1] != k:
            raise Wrong(f"layers that end with {widths[-1]} units; expected {k}")
        return layers

    return fitted


def finite(*arrays):
    """Raises Wrong for a network whose weights are finite, and so large that what it computes is not."""
    if not all(np.all(np.isfinite(a)) for a in arrays):
        raise Wrong("your network's numbers overflow: its weights grew without bound; make the steps smaller")


def trained(t, words, name, *args, like):
    """What the student's training returns, or None when it returns nothing usable: then all parts in ``words`` fail."""
    try:
        return t(name, *args, like=like)
    except Wrong as why:
        for part in words:
            with t.part(part):
                raise why


def row_by_row(layers, X):
    """The network on one sample at a time, as the slide's column vectors have it: h = tanh(W' x + b)."""
    rows = []
    for h in X:
        for i, (W, b) in enumerate(layers, 1):
            h = W.T @ h + b if i == len(layers) else np.tanh(W.T @ h + b)
        rows.append(h)
    return np.array(rows)


@functools.cache
def digits():
    """The packaged 8 x 8 digits, divided by 16: shape (1797, 64)."""
    with importlib.resources.as_file(importlib.resources.files("enm5310.datasets") / "digits.npz") as path:
        with np.load(path) as arrays:
            return arrays["images"].reshape(-1, 64) / 16.0
