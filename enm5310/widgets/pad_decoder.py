"""The decoder behind ``pad``: read from layers (W, b), run here for the poster and in pad.js at every other point.

Both run it with the float32 weights that the page holds and sum in float64, so that they differ in rounding alone.
"""

import base64
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np


def _logistic(a):
    e = np.exp(-np.abs(a))  # in (0, 1] whatever a
    return np.where(a >= 0, 1, e) / (1 + e)


ACTIVATIONS = {  # the names that pad.js knows; sigmoid and identity are what enm5310.nets calls two of them
    "linear": lambda a: a,
    "logistic": _logistic,
    "relu": lambda a: np.maximum(a, 0),
    "softplus": lambda a: np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a))),
    "tanh": np.tanh,
}
ALSO = {"identity": "linear", "sigmoid": "logistic"}


class Decoder(NamedTuple):
    title: str  # empty for the only decoder of a figure
    layers: list  # (W, b) in float32: h = f(z W + b), rows are samples
    activation: str  # f of the hidden layers
    output: str  # f of the last layer

    @property
    def sizes(self):
        return [2, *(len(b) for _, b in self.layers)]

    def __call__(self, z):
        """What the decoder says of the code z (2,): as many numbers as the picture has pixels."""
        h = np.asarray(z, float)
        names = [self.activation] * (len(self.layers) - 1) + [self.output]
        for (W, b), name in zip(self.layers, names, strict=True):
            h = ACTIVATIONS[name](h @ W.astype(float) + b)
        return h

    def packed(self):
        """What pad.js needs: the weights row by row, each layer's b after its W, little-endian float32 in base64."""
        flat = np.concatenate([np.ravel(a) for layer in self.layers for a in layer]).astype("<f4")
        names = {"title": self.title, "sizes": self.sizes, "activation": self.activation, "output": self.output}
        return {**names, "weights": base64.b64encode(flat.tobytes()).decode()}


def read(decoder, pixels, activations, output):
    """The decoders of a figure: one, or one per title, each from 2 numbers to so many pixels."""
    named = decoder if isinstance(decoder, Mapping) else {"": decoder}
    if not named:
        raise ValueError("pad was given no decoder; give a list of layers (W, b), or {title: list of layers}")
    return [_read(str(k), v, pixels, _of(activations, k), _of(output, k)) for k, v in named.items()]


def _of(name, title):
    """The activation for one decoder, out of one name for all or {title: name}."""
    name = name.get(title) if isinstance(name, Mapping) else name
    name = ALSO.get(name, name)
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r}{_where(title)} is not one of {', '.join([*ACTIVATIONS, *ALSO])}")
    return name


def _where(title):
    return f" of decoder {title!r}" if title else ""


def _read(title, layers, pixels, activation, output):
    try:
        with np.errstate(over="ignore"):  # inf is refused below
            layers = [(np.asarray(W).astype(np.float32), np.asarray(b).astype(np.float32)) for W, b in layers]
    except (TypeError, ValueError):
        raise ValueError(f"the layers{_where(title)} are not a list of pairs of arrays (W, b)") from None
    if not layers:
        raise ValueError(f"the decoder{_where(title)} has no layers; give a list of (W, b)")
    for i, (W, b) in enumerate(layers, 1):
        if W.ndim != 2 or b.shape != W.shape[1:]:
            shapes = f"W of shape {W.shape} and b of shape {b.shape}"
            raise ValueError(f"layer {i}{_where(title)} has {shapes}; want (in, out) and (out,)")
        if not np.isfinite(W).all() or not np.isfinite(b).all():
            raise ValueError(f"layer {i}{_where(title)} has weights that are not finite in float32")
    sizes = [len(layers[0][0]), *(len(b) for _, b in layers)]
    if sizes[0] != 2 or sizes[-1] != pixels or any(len(W) != len(b) for (_, b), (W, _) in pairwise(layers)):
        rows = ", ".join(str(W.shape) for W, _ in layers)
        raise ValueError(f"the weights{_where(title)} have shapes {rows}; want (2, m), (m, n), ... to {pixels} pixels")
    return Decoder(title, layers, activation, output)
