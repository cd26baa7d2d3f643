"""The same formulas in fewer passes over memory: primitives of autograd whose derivatives are written by hand.

Each equals the plain formula that its first line names, in value and in derivatives of any order and both modes; the
plain one is what to read, and the oracle of the test.  Temporaries are filled in place and float32 stays float32.
"""

import autograd.numpy as np
import numpy as onp
from autograd.extend import defjvp, defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f  # sums over the axes that an argument was repeated along

from enm5310.backend import on_device
from enm5310.distributions import _in_unit_interval, _same_features, sigmoid

# -------------------- a layer: X W + b --------------------


@primitive
def affine(X, W, b):
    """X @ W + b for X (..., m), W (m, n), b (n,), shape (..., n)."""
    A = X @ W
    return np.add(A, b, out=A if A.dtype == np.result_type(A, b) else None)


def _flat(A):
    return np.reshape(A, (-1, np.shape(A)[-1]))  # rows of a stack of matrices, or of one vector


defvjp(
    affine,
    lambda A, X, W, b: lambda g: g @ W.T,
    lambda A, X, W, b: lambda g: _flat(X).T @ _flat(g),
    lambda A, X, W, b: lambda g: np.sum(_flat(g), axis=0),
)
defjvp(
    affine,
    lambda g, A, X, W, b: g @ W,
    lambda g, A, X, W, b: X @ g,
    lambda g, A, X, W, b: np.zeros_like(A) + g,
)

# -------------------- the two terms of the ELBO --------------------


def log_bernoulli(x, logits):
    """`distributions.log_bernoulli`: sum_j x_j l_j - softplus(l_j), shape (n,), for x in [0, 1]."""
    _same_features(x, logits)
    _in_unit_interval(x)
    return _log_bernoulli(x, logits)


@primitive
def _log_bernoulli(x, logits):
    a = np.abs(logits)
    a = onp.asarray(a) if isinstance(a, onp.generic) else a  # a number cannot be filled in place
    np.log1p(np.exp(np.negative(a, out=a), out=a), out=a)  # softplus(l) = max(l, 0) + log(1 + e^-|l|)
    a += np.maximum(logits, 0)
    return np.sum(x * logits - a, axis=-1)


defvjp(
    _log_bernoulli,
    lambda ans, x, logits: unbroadcast_f(x, lambda g: g[..., None] * logits),
    lambda ans, x, logits: unbroadcast_f(logits, lambda g: g[..., None] * (x - sigmoid(logits))),
)
defjvp(
    _log_bernoulli,
    lambda g, ans, x, logits: np.sum(g * logits, axis=-1),
    lambda g, ans, x, logits: np.sum(g * (x - sigmoid(logits)), axis=-1),
)


def log_bernoulli_and_slope(x, logits):
    """log_bernoulli and its derivative x_j - s(l_j), (n,) and (n, p) for x and logits (n, p), from one t = tanh(l / 2).

    s(l) = (1 + t) / 2 and softplus(l) = max(l, 0) - log s(|l|): right to the rounding of 1, so far below 1 not to all
    digits.
    """
    _same_features(x, logits)
    _in_unit_interval(x)
    n, p = logits.shape
    values, slopes = onp.empty_like(logits, shape=(n,)), onp.empty_like(logits, order="C")
    rows = max(1, n if on_device(logits) else 2**15 // max(1, p))  # at a time: what they need stays in the cache
    for i in range(0, n, rows):
        xi, l, t = x[i : i + rows], logits[i : i + rows], slopes[i : i + rows]
        onp.tanh(onp.multiply(l, 0.5, out=t), out=t)
        a = onp.abs(t)
        a += 1
        a *= 0.5
        onp.log(a, out=a)  # log s(|l|)
        a -= onp.maximum(l, 0)
        a += xi * l
        onp.sum(a, axis=1, out=values[i : i + rows])
        t *= -0.5
        t -= 0.5
        t += xi
    return values, slopes


def kl_standard_normal(mean, logvar):
    """`distributions.kl_standard_normal`: 1/2 sum_j [mean_j^2 + e^logvar_j - 1 - logvar_j], shape (n,)."""
    _same_features(mean, logvar)
    return _kl_standard_normal(mean, logvar)


@primitive
def _kl_standard_normal(mean, logvar):
    return 0.5 * np.sum(mean * mean + (np.expm1(logvar) - logvar), axis=-1)


defvjp(
    _kl_standard_normal,
    lambda ans, mean, logvar: unbroadcast_f(mean, lambda g: g[..., None] * mean),
    lambda ans, mean, logvar: unbroadcast_f(logvar, lambda g: g[..., None] * (0.5 * np.expm1(logvar))),
)
defjvp(
    _kl_standard_normal,
    lambda g, ans, mean, logvar: np.zeros_like(ans) + np.sum(g * mean, axis=-1),  # mean of one row, logvar of many
    lambda g, ans, mean, logvar: np.zeros_like(ans) + np.sum(g * (0.5 * np.expm1(logvar)), axis=-1),
)
