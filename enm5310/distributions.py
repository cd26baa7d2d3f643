"""Log densities and divergences (slides 5-9), in nats: sums over the last axis (features), never over samples.

`x (n, p)` with parameters `(n, p)`, `(p,)` or one number gives `(n,)`.  Parameters are what a network puts out: `mean`,
`logvar` (log sigma^2) and `logits` (log-odds), so nothing here divides by zero or needs clipping.
"""

from math import log, pi  # plain floats: np.log(2 * np.pi) is a float64 that would upcast float32

import autograd.numpy as np
from autograd import elementwise_grad
from autograd.extend import defjvp, defvjp, notrace_primitive, primitive

from enm5310.backend import on_device

# -------------------- building blocks --------------------


@primitive
def sigmoid(a):
    """s(a) = 1 / (1 + e^-a), elementwise; never overflows, and keeps its relative precision where it is small."""
    return np.exp(np.minimum(a, 0)) / (1 + np.exp(-np.abs(a)))  # e^a / (1 + e^a) for a < 0; no exponent is positive


@primitive
def softplus(a):
    """log(1 + e^a), elementwise; a for large a, e^a for very negative a, never overflows."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


# by rule, because autograd through max and |a| has a wrong second derivative at a = 0
defvjp(sigmoid, lambda s, a: lambda g: g * s * (1 - s))
defjvp(sigmoid, lambda g, s, a: g * s * (1 - s))
defvjp(softplus, lambda ans, a: lambda g: g * sigmoid(a))
defjvp(softplus, lambda g, ans, a: g * sigmoid(a))


@notrace_primitive
def _peak(a, axis):  # a constant to autograd: no result below depends on which shift is taken out
    m = np.max(a, axis=axis, keepdims=True)
    return np.where(np.isfinite(m), m, 0)


def log_mean_exp(a, axis=-1):
    """log (1/K) sum_k e^{a_k} over the K entries of `axis`, for log-weights of any size; -inf stands for a zero weight.

    Raises ValueError when that axis is empty: the mean of nothing is undefined.
    """
    if np.shape(a)[axis] == 0:
        raise ValueError(f"axis {axis} of shape {np.shape(a)} is empty; a mean wants K >= 1 entries")
    m = _peak(a, axis)  # the largest, so that no exponential overflows
    with np.errstate(divide="ignore"):  # all weights zero: log 0 = -inf is the answer
        return np.log(np.sum(np.exp(a - m), axis=axis)) + np.squeeze(m, axis) - log(np.shape(a)[axis])


def log_softmax(logits):
    """log p_k = l_k - log sum_j e^{l_j} along the last axis, same shape."""
    a = logits - _peak(logits, -1)
    return a - np.log(np.sum(np.exp(a), axis=-1, keepdims=True))


# -------------------- log densities --------------------


def log_gaussian(x, mean, logvar):
    """log N(x; mean, diag e^logvar) = -1/2 sum_j [log 2pi + logvar_j + (x_j - mean_j)^2 e^-logvar_j], shape (n,)."""
    _same_features(x, mean, logvar)
    if np.ndim(logvar) == 0:
        logvar = logvar + 0 * (x - mean)  # a plain number takes the data's shape and dtype
    return -0.5 * np.sum(log(2 * pi) + logvar + (x - mean) ** 2 * np.exp(-logvar), axis=-1)


def log_standard_normal(z):
    """log N(z; 0, I) = -1/2 sum_j [log 2pi + z_j^2], shape (n,): the prior of the VAE."""
    return -0.5 * np.sum(log(2 * pi) + z**2, axis=-1)


def log_gaussian_full(x, mean, L):
    """log N(x; mean, L L^T) = -1/2 [p log 2pi + |L^-1 (x - mean)|^2] - sum_j log L_jj, shape (n,), for L (p, p).

    L is the Cholesky factor: lower triangular, positive diagonal.  Raises ValueError for any other matrix.
    """
    _same_features(x, mean, L)
    _cholesky_factor(L)
    e = np.linalg.solve(L, np.reshape(x - mean, (-1, len(L))).T)  # L e = x - mean, so e ~ N(0, I)
    e = np.reshape(e.T, np.shape(x - mean))
    return -0.5 * np.sum(log(2 * pi) + e**2, axis=-1) - np.sum(np.log(np.diag(L)))


def log_bernoulli(x, logits):
    """sum_j x_j log s(l_j) + (1 - x_j) log(1 - s(l_j)) = sum_j x_j l_j - softplus(l_j), shape (n,), for x in [0, 1].

    On grey x in (0, 1) this is the cross-entropy, not a log density: see `log_continuous_bernoulli`.
    """
    _same_features(x, logits)
    _in_unit_interval(x)
    return np.sum(x * logits - softplus(logits), axis=-1)


# c_n = zeta(2n) / (n pi^2n), from sinh t / t = prod_k (1 + t^2 / k^2 pi^2)
_LOG_SINHC = 1 / 6, 1 / 180, 1 / 2835, 1 / 37800, 1 / 467775, 691 / 3831077250, 2 / 127702575, 3617 / 2605132530000


def _log_sinhc(t):
    """log(sinh t / t): an even function, smooth at 0, where the closed form is 0/0."""
    small = np.ones_like(t) * (np.abs(t) < 0.5)  # 0 or 1 in t's dtype; np.where would upcast the gradient
    series, t2 = 0, (t * small) ** 2
    for c in _LOG_SINHC[::-1]:  # sum_n (-1)^(n+1) c_n t^2n, by Horner's rule
        series = t2 * (c - series)
    t = np.sqrt((t * (1 - small) + small) ** 2)  # |t|, or 1 where the series is used; autograd's |.| would upcast too
    return series + (1 - small) * (t - np.log(2 * t) + np.log1p(-np.exp(-2 * t)))


def continuous_bernoulli_logC(logits):
    """log C(l), elementwise, where C = l / tanh(l/2) makes C s(l)^x (1 - s(l))^(1-x) integrate to 1; C(0) = 2.

    Source: Loaiza-Ganem & Cunningham (2019), who write C(lambda) with lambda = s(l).
    """
    return softplus(logits) - 0.5 * logits - _log_sinhc(0.5 * logits)


def log_continuous_bernoulli(x, logits):
    """sum_j (x_j - 1/2) l_j - log [sinh(l_j / 2) / (l_j / 2)], shape (n,): a density on [0, 1]^p."""
    _same_features(x, logits)
    _in_unit_interval(x)
    return np.sum((x - 0.5) * logits - _log_sinhc(0.5 * logits), axis=-1)


def continuous_bernoulli_mean(logits):
    """E[x] = 1/2 + d/dl log [sinh(l/2) / (l/2)] = 1 / (1 - e^-l) - 1 / l, elementwise: less extreme than s(l)."""
    return 0.5 + elementwise_grad(lambda l: _log_sinhc(0.5 * l))(logits)


def log_categorical(x, logits):
    """sum_k x_k log softmax(l)_k, shape (n,), for one-hot (or probability) rows x (n, K).

    Raises ValueError for anything else: integer labels become rows by `np.eye(K)[labels]`.
    """
    _same_features(x, logits)
    if not (np.all(x >= 0) and np.allclose(np.sum(x, axis=-1), 1, atol=1e-5)):
        raise ValueError("the rows of x are not one-hot (>= 0 and sum 1); turn labels into rows with np.eye(K)[labels]")
    return np.sum(x * log_softmax(logits), axis=-1)


# -------------------- divergences and entropies --------------------


def kl_standard_normal(mean, logvar):
    """KL(N(mean, diag e^logvar) || N(0, I)) = 1/2 sum_j [mean_j^2 + e^logvar_j - 1 - logvar_j], shape (n,).

    Source: Kingma & Welling (2013), appendix B.
    """
    _same_features(mean, logvar)
    return 0.5 * np.sum(mean**2 + np.expm1(logvar) - logvar, axis=-1)


def kl_diag(mean1, logvar1, mean2, logvar2):
    """KL(N1 || N2) = 1/2 sum_j [v1_j / v2_j - 1 - log(v1_j / v2_j) + (mean1_j - mean2_j)^2 / v2_j], shape (n,)."""
    _same_features(mean1, logvar1, mean2, logvar2)
    log_ratio = logvar1 - logvar2
    return 0.5 * np.sum(np.expm1(log_ratio) - log_ratio + (mean1 - mean2) ** 2 * np.exp(-logvar2), axis=-1)


def kl_gaussians(m1, S1, m2, S2):
    """KL(N(m1, S1) || N(m2, S2)) = 1/2 [tr(S2^-1 S1) + (m2 - m1)^T S2^-1 (m2 - m1) - p + log |S2| / |S1|].

    m (p,), S (p, p).  Raises ValueError unless both covariances are symmetric and positive definite.
    """
    if np.ndim(m1) > 1 or np.ndim(m2) > 1:
        raise ValueError(f"means of shape {np.shape(m1)} and {np.shape(m2)}; want (p,), one law: loop over a batch")
    _same_features(m1, S1, m2, S2)
    L1, L2 = _cholesky(S1), _cholesky(S2)
    A, d = np.linalg.solve(L2, L1), np.linalg.solve(L2, m2 - m1)  # tr(S2^-1 S1) = |L2^-1 L1|^2
    log_dets = np.sum(np.log(np.diag(L2))) - np.sum(np.log(np.diag(L1)))  # |S| = prod_j L_jj^2
    return 0.5 * (np.sum(A**2) + np.sum(d**2) - len(L1)) + log_dets


def kl_bernoulli(logits1, logits2):
    """KL(Bernoulli(s(l1)) || Bernoulli(s(l2))) = sum_j s(l1)(l1 - l2) - softplus(l1) + softplus(l2), shape (n,)."""
    _same_features(logits1, logits2)
    return np.sum(sigmoid(logits1) * (logits1 - logits2) - softplus(logits1) + softplus(logits2), axis=-1)


def kl_categorical(logits1, logits2):
    """KL = sum_k p_k log(p_k / q_k) with p = softmax(l1), q = softmax(l2), shape (n,)."""
    _same_features(logits1, logits2)
    log_p, log_q = log_softmax(logits1), log_softmax(logits2)
    return np.sum(np.exp(log_p) * (log_p - log_q), axis=-1)


def entropy_gaussian(logvar):
    """H[N(mean, diag e^logvar)] = 1/2 sum_j [log 2pi + 1 + logvar_j], shape (n,)."""
    return 0.5 * np.sum(log(2 * pi) + 1 + logvar, axis=-1)


def entropy_bernoulli(x):
    """-sum_j x_j log x_j + (1 - x_j) log(1 - x_j), shape (n,), with 0 log 0 = 0.

    For grey pixels x this is the floor of the "Bernoulli" loss: no logits give a cross-entropy below it.
    """
    _in_unit_interval(x)
    return -np.sum(x * np.log(x + (x == 0)) + (1 - x) * np.log(1 - x + (x == 1)), axis=-1)


def optimal_variance(x, mean):
    """argmax over sigma^2 of sum_i log N(x_i; mean_i, sigma^2 I) = the mean squared error over all n p entries.

    At 0, a perfect reconstruction, the likelihood has no maximum: it grows without bound as sigma -> 0.
    """
    _same_features(x, mean)
    if 0 in np.shape(x):
        raise ValueError(f"x has shape {np.shape(x)}; the mean squared error wants at least one entry")
    return np.mean((x - mean) ** 2)


# -------------------- what would silently give a wrong number --------------------


def _same_features(x, *parameters):
    for a in parameters:
        if np.ndim(a) and np.ndim(x) and np.shape(a)[-1] != np.shape(x)[-1]:
            raise ValueError(f"shapes {np.shape(x)} and {np.shape(a)}: features are the last axis and must agree")


def _in_unit_interval(x):
    if not on_device(x) and not np.all((x >= 0) & (x <= 1)):  # a device would have to stop and answer
        raise ValueError("x must lie in [0, 1]; divide grey levels by their maximum (255, or 16 for the digits)")


def _cholesky_factor(L):
    if np.ndim(L) != 2 or np.any(np.triu(L, 1)) or not np.all(np.diag(L) > 0):
        raise ValueError("L is not a Cholesky factor (lower triangular, positive diagonal); try np.linalg.cholesky(S)")


def _cholesky(S):
    if np.ndim(S) != 2 or not np.max(np.abs(S - S.T)) <= 1e-4 * np.max(np.abs(S)):  # cholesky reads one triangle only
        raise ValueError("the covariance is not a symmetric (p, p) matrix of numbers; symmetrise it with (S + S.T) / 2")
    return np.linalg.cholesky(S)  # raises LinAlgError, a ValueError, unless positive definite
