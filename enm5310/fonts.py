"""Typefaces (slide 10): bold, italic and condensed as directions in the latent space of a VAE, tested on new families.

The VAE is in `font_vae`, the drawing of font files in `glyphs`; both are passed on here.  Beside them the model that
the article credits, which is no VAE but an auto-decoder.
Source: Carter & Nielsen, Using artificial intelligence to augment human intelligence, Distill (2017).
"""

import numpy as np

from enm5310 import latent, nets, optimize, training
from enm5310.distributions import sigmoid
from enm5310.font_vae import (
    Decoder,
    Encoder,
    back_down,
    by_hand,
    decode,
    decode_mean,
    down,
    elbo,
    encode,
    fit,
    init,
    into,
    letter_major,
    standardise,
)  # fmt: skip
from enm5310.glyphs import CHARS, Glyphs, render, variation_axes

__all__ = [
    "CHARS", "Decoder", "Encoder", "Glyphs", "attribute_vector", "by_hand", "decode", "decode_mean", "edit", "elbo",
    "encode", "find_codes", "fit", "fit_autodecoder", "hold_out", "init", "pairs", "reduction", "render", "standardise",
    "variation_axes",
]  # fmt: skip

# -------------------- attributes --------------------


def hold_out(families, rng, share=0.25):
    """Which faces to keep for testing, (n,) bool: whole groups of related families, until `share` of the faces.

    Related are families whose names begin with the same word, as Roboto, Roboto Mono and Roboto Condensed do.
    """
    groups = np.array([str(name).split("-")[0] for name in families])
    held = np.zeros(len(groups), bool)
    for group in rng.permutation(np.unique(groups)):
        if held.mean() < share:
            held |= groups == group
    return held


def pairs(families, has, *same):
    """Rows (i, j), shape (m, 2), of every two faces of a family that agree in `same` and of which only j has it."""
    keys = list(zip(families, *same, strict=True))
    without = {key: i for i, key in enumerate(keys) if not has[i]}
    found = [(without[key], j) for j, key in enumerate(keys) if has[j] and key in without]
    return np.array(found, int).reshape(-1, 2)


def attribute_vector(Z, has, twins=None):
    """mean of the codes Z (n, k) that have the attribute minus mean of the others, (k,).

    twins (m, 2), from `pairs`: the mean of z_j - z_i over rows (i, j) instead.  Without them the vector also points
    from the families that lack the attribute to those that have it; with them every family counts against itself.
    Raises ValueError when there is no pair, or `latent.attribute_vector` has no two groups.
    """
    if twins is None:
        return latent.attribute_vector(Z, has)
    if len(twins) == 0:
        raise ValueError("there is no pair of faces of one family, one with and one without the attribute")
    i, j = np.transpose(twins)
    return np.mean(Z[j] - Z[i], axis=0)


def edit(params, images, v, amount=1.0):
    """x + [decode(z + amount v) - decode(z)], kept in [0, 1], at z = the mean of q(z | x): images of the same shape.

    What the decoder does not know of a face, its reconstruction error, stays as it is.
    """
    mean, _ = encode(params, images)
    change = decode_mean(params, mean + amount * v) - decode_mean(params, mean)
    return np.clip(images + change, 0, 1)


def reduction(before, after, truth):
    """1 - sum |after - truth|^2 / sum |before - truth|^2: 1 for a perfect edit, 0 for one that helps nothing."""
    return 1 - float(np.sum((after - truth) ** 2) / np.sum((before - truth) ** 2))


# -------------------- for contrast: an auto-decoder --------------------


def fit_autodecoder(
    images, rng, k=32, epochs=120, size=27, letters=20, lr=5e-3, hidden=256, noise=0.03, callback=None,
):  # fmt: skip
    """Codes Z (n, k) and a Decoder that minimise sum |sigmoid(decode(z_i + noise eps)) - x_i|; params of the Run.

    No encoder and no prior: every face owns a code, which is a parameter like the weights.  So a new face has no code
    until `find_codes` has searched for it, and a draw from N(0, I) is not promised to be a face.
    Source: Bernhardsson, Analyzing 50k fonts using deep neural networks (2016), whose code the article builds on.
    """
    images = np.asarray(images, np.float32)
    n, C = images.shape[:2]
    _, decoder = init(images, k, rng, hidden)
    steps = epochs * -(-n // size)

    def value_and_gradient(params, i, t):
        Z, decoder = params
        some = np.sort(rng.permutation(C)[:letters])
        z = Z[i] + noise * rng.standard_normal((len(i), k), np.float32)
        value, d_decoder, dz = _absolute(decoder, z, letter_major(images[np.ix_(i, some)]), some)
        return value / len(i), (into(Z, i, dz / len(i)), nets.tree_map(lambda g: g / len(i), d_decoder))

    start = 0.1 * rng.standard_normal((n, k), np.float32), decoder
    schedule = lambda t: lr * min(1.0, 2 * (1 - t / steps))  # noqa: E731
    return training.fit(value_and_gradient, start, n, rng, epochs, size, schedule, callback)


def find_codes(decoder, images, rng, steps=150, letters=10, lr=0.1):
    """Codes (n, k) of faces that `fit_autodecoder` has not seen: Adam on sum |sigmoid(decode(z)) - x|, from z = 0.

    A step sees some `letters`, drawn anew; lr falls to 0.
    """
    images, C = np.asarray(images, np.float32), len(decoder.b_out)

    def value_and_gradient(Z, _, t):
        some = np.sort(rng.permutation(C)[:letters])
        value, _, dz = _absolute(decoder, Z, letter_major(images[:, some]), some)
        return value, dz

    start = np.zeros((len(images), decoder.W_letter.shape[1]), np.float32)
    return optimize.train(value_and_gradient, start, range(steps), lr=lambda t: lr * (1 - t / steps)).params


def _absolute(decoder, Z, X, letters):
    """sum |sigmoid(logits) - X| over all, and its gradients by the Decoder and by Z."""
    outputs = down(decoder, Z, letters)
    p = sigmoid(outputs[-1])
    return np.abs(p - X).sum(), *back_down(decoder, outputs, np.sign(p - X) * p * (1 - p), letters)
