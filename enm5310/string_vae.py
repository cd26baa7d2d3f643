"""A VAE of strings (slide 12): one character after another from z, and a property read off z, trained together.

The encoder is a perceptron of the one-hot string.  The decoder is a gated recurrent unit that sees z and the character
before: in training the true one ("teacher forcing"), alone its own.  The property y is a second thing that z explains,
y ~ N(f(z), noise^2), so that the latent space is laid out along it.  Parameters are a dictionary of arrays.

rec is a sum over characters and the KL one over latents.  With averages, as in the code published with the article, the
loss is that of beta = T / k (`vae.implied_beta`).
Source: Gomez-Bombarelli et al., ACS Central Science 4 (2018) 268-276; Bowman et al. (2016) for the decoder.
"""

from math import log, pi
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp

from enm5310 import nets
from enm5310.fused import affine, kl_standard_normal
from enm5310.sequences import gru, log_strings
from enm5310.vae import reparametrise


def init(V, length, k, rng, hidden=128, read=256, targets=1, dtype=onp.float32):
    """Parameters by name, for V tokens, strings of `length`, k latents and `targets` properties."""

    def dense(m, n):
        return (rng.standard_normal((m, n)) * (2 / (m + n)) ** 0.5).astype(dtype)

    return {
        "encoder": nets.init([length * V, read, 2 * k], rng, dtype),
        "start": nets.init([k, hidden], rng, dtype),  # z -> h_0
        "style": dense(k, 3 * hidden),  # z into every step
        "previous": [dense(V, 3 * hidden), onp.zeros(3 * hidden, dtype)],  # the character before into every step
        "state": [dense(hidden, 3 * hidden), onp.zeros(hidden, dtype)],
        "character": nets.init([hidden, V], rng, dtype),  # h_t -> logits
        "property": nets.init([k, 64, targets], rng, dtype),
    }


# -------------------- the model --------------------


def encode(params, X):
    """mean and logvar of q(z | x), each (n, k), for one-hot strings X (n, T, V)."""
    heads = nets.apply(params["encoder"], np.reshape(X, (len(X), -1)))
    k = np.shape(heads)[1] // 2
    return heads[:, :k], heads[:, k:]


def logits(params, Z, X):
    """Logits of every character, (T, n, V), given z (n, k) and X = `before`, the character before each, (T, n, V)."""
    A = affine(X, *params["previous"]) + Z @ params["style"]
    return nets.apply(params["character"], gru(A, start(params, Z), *params["state"]))


def start(params, Z):
    """h_0, (n, h)."""
    return np.tanh(nets.apply(params["start"], Z))


def predict(params, Z):
    """f(z), (n, m): the properties, standardised."""
    return nets.apply(params["property"], Z)


class Elbo(NamedTuple):
    """elbo = rec + prop - beta kl, one value per molecule, in nats."""

    elbo: onp.ndarray  # (n,)
    rec: onp.ndarray  # (n,), log p(x | z), the sum over characters up to the end
    prop: onp.ndarray  # (n,), log p(y | z)
    kl: onp.ndarray  # (n,)


def elbo(params, X, y, eps, beta=1.0, noise=0.3, keep=1.0):
    """log p(x | z) + log N(y; f(z), noise^2) - beta KL(q(z | x) || N(0, I)), for X (n, T, V), y (n, m), eps (n, k).

    keep (T, n, 1) or 1: 0 hides the character before ("word dropout"), so that the decoder must ask z.
    """
    mean, logvar = encode(params, X)
    z, time_first = reparametrise(mean, logvar, eps), onp.swapaxes(X, 0, 1)
    rec = log_strings(counted(time_first), logits(params, z, before(time_first) * keep))
    e = (y - predict(params, z)) / noise
    prop = -0.5 * np.sum(e * e, axis=1) - y.shape[1] * log(noise * (2 * pi) ** 0.5)
    kl = kl_standard_normal(mean, logvar)
    return Elbo(rec + prop - beta * kl, rec, prop, kl)


def counted(X):
    """X (T, n, V) without the padding after the first PAD, which ends the string: rows of 0 do not count."""
    ended = onp.cumsum(X[:, :, 0], axis=0)
    return X * (ended <= 1)[:, :, None].astype(X.dtype)


def before(X):
    """The character before each, (T, n, V): X one step later, and nothing (0) before the first."""
    return onp.concatenate([onp.zeros_like(X[:1]), X[:-1]])
