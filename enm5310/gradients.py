"""Estimators of grad_theta E_{p(z; theta)}[f(z)] (slides 6-7), one row per sample: average the rows to estimate,
take their variance to compare.  Noise comes in as an argument, so nothing here is random.

f maps samples z, (S,) or (S, p), to one cost each, (S,); g(eps, theta), log_p(z, theta) get S copies of theta, (S, d).
Samples are independent, so all three may be called on a piece of them at a time.
Review: Mohamed, Rosca, Figurnov & Mnih (2020).
"""

from itertools import chain
from math import pi, sqrt
from typing import NamedTuple

import autograd.numpy as np
from autograd import elementwise_grad, grad
from autograd.tracer import isbox

from enm5310.nets import identity
from enm5310.paths import gaussian, gaussian_log_p

# -------------------- the estimators --------------------


def per_sample(h, theta, S):
    """grad_theta h_s(theta), shape (S, d), for h that maps S copies of theta, (S, d), to one value per sample, (S,)."""
    theta = _copies(theta, S)  # one copy per sample: a single backward pass gives every row
    rows = grad(lambda theta: np.sum(_one_each(h(theta), S)))(theta)
    return rows if rows.dtype == theta.dtype else rows.astype(theta.dtype)  # np.where and np.mean give float64


def reparameterization(f, g, theta, eps):
    """grad_theta f(g(eps_s, theta)), shape (S, d), for noise eps whose law p(eps) is free of theta (slide 7)."""
    return _in_pieces(lambda eps: per_sample(lambda theta: f(g(eps, theta)), theta, len(eps)), eps)


def implicit_reparameterization(f, cdf, log_p, theta, z):
    """f'(z_s) dz/dtheta with dz/dtheta = -(dF/dtheta) / p(z), shape (S, d): the same path, without g, for z (S,).

    Differentiating F(z; theta) = u at fixed u gives p(z) dz + dF/dtheta dtheta = 0.  Source: Figurnov et al. (2018).
    """
    dz = -per_sample(lambda theta: cdf(z, theta), theta, len(z)) * np.exp(-log_p(z, _copies(theta, len(z))))[:, None]
    return elementwise_grad(f)(z)[:, None] * dz


def score(log_p, theta, z):
    """grad_theta log p(z_s; theta), shape (S, d): its mean over z_s ~ p(z; theta) is 0."""
    return per_sample(lambda theta: log_p(z, theta), theta, len(z))


def score_function(f, log_p, theta, z, baseline=0.0):
    """(f(z_s) - b) grad_theta log p(z_s; theta), shape (S, d), for samples z_s ~ p(z; theta); f may be a black box.

    Any baseline b that does not depend on z_s leaves the mean alone: one number, one per parameter (d,), or one per
    sample (S, 1) made from the *other* samples, as `leave_one_out` does.  Source: Williams (1992).
    """
    if np.broadcast_shapes((len(z), 1), np.shape(baseline)) not in {(len(z), 1), (len(z), len(theta))}:
        raise ValueError(f"baseline has shape {np.shape(baseline)}; want one number, (d,), or (S, 1) = ({len(z)}, 1)")

    def rows(z, b=baseline):
        return (_one_each(f(z), len(z))[:, None] - b) * score(log_p, theta, z)

    return _in_pieces(rows, z, baseline) if np.shape(baseline)[:-1] == (len(z),) else _in_pieces(rows, z)


def optimal_baseline(f, log_p, theta, z):
    """b_j = E[f s_j^2] / E[s_j^2], shape (d,), with s = score: the constant of least variance, in general not E[f].

    Estimated from samples z; take other samples for the gradient, or its mean is biased by O(1/S).
    """
    s2 = score(log_p, theta, z) ** 2
    return np.mean(_one_each(f(z), len(z))[:, None] * s2, axis=0) / np.mean(s2, axis=0)


def leave_one_out(values):
    """b_s = mean of the other S - 1 values, shape (S, 1): a baseline that costs nothing and keeps the mean unbiased."""
    S = len(values)
    if S < 2 or np.ndim(values) != 1:
        raise ValueError(f"values {np.shape(values)}: a baseline from the other samples wants at least 2 samples, (S,)")
    return ((np.sum(values) - values) / (S - 1))[:, None]


def measure_valued(f, theta, eps):
    """Rows (d/dmu, d/dlog sigma), shape (S, 2), for z ~ N(mu, sigma^2), theta = (mu, log sigma), eps (S, 3) normal.

    Each derivative of the density is a difference of two densities; f is evaluated at a coupled pair, never derived:
    dN/dmu = [Rayleigh to the right of mu - its mirror image] / sigma sqrt(2pi); dN/dlog sigma = two-sided Maxwell - N,
    coupled as the length (with a sign) of a normal vector in R^3 and its last coordinate.
    Source: Mohamed et al. (2020), section 6 and table 1.
    """
    mu, sigma = theta[0], np.exp(theta[1])

    def rows(eps):
        x, y, n = eps.T
        w2 = x * x + y * y
        w = np.sqrt(w2)  # Rayleigh: p(w) = w e^(-w^2/2)
        m = np.copysign(np.sqrt(w2 + n * n), n)  # two-sided Maxwell: p(m) = m^2 N(m; 0, 1)
        d_mu = (f(mu + sigma * w) - f(mu - sigma * w)) / (sigma * sqrt(2 * pi))
        return np.stack([_one_each(d_mu, len(eps)), f(mu + sigma * m) - f(mu + sigma * n)]).T

    return _in_pieces(rows, eps)


def finite_differences(f, g, theta, eps, h, eps_minus=None):
    """[f(g(eps_s, theta + h e_j)) - f(g(eps_s, theta - h e_j))] / 2h, shape (S, d): bias O(h^2), f may be a black box.

    The same noise on both sides (common random numbers) keeps the variance finite as h -> 0; with fresh noise eps_minus
    it grows as Var[f] / 2h^2.
    """
    S, eps_minus = len(eps), eps if eps_minus is None else eps_minus
    theta = _copies(theta, S)
    steps = h * np.diag(np.ones_like(theta[0]))  # h e_1, h e_2, ... where theta lies
    sides = [(f(g(eps, theta + e)), f(g(eps_minus, theta - e))) for e in steps]
    return np.stack([_one_each(up - down, S) for up, down in sides], axis=1) / (2 * h)


# -------------------- gradients of the ELBO, where f depends on theta too --------------------


def elbo_gradient(log_joint, log_q, g, theta, eps):
    """grad_theta [log p(x, z) - log q(z; theta)] at z = g(eps_s, theta), shape (S, d): every path to theta."""

    def elbo(theta):
        z = g(eps, theta)
        return log_joint(z) - log_q(z, theta)

    return per_sample(elbo, theta, len(eps))


def sticking_the_landing(log_joint, log_q, g, theta, eps):
    """`elbo_gradient` without its term -score(z), shape (S, d): same mean, and variance 0 where q is the posterior.

    The score has mean 0, so theta inside log q is held fixed.  Source: Roeder, Wu & Duvenaud (2017).
    """
    return reparameterization(lambda z: log_joint(z) - log_q(z, _copies(theta, len(z))), g, theta, eps)


# -------------------- their variances in closed form: one sample, z ~ N(mu, sigma^2) --------------------


def quadratic_variances(mu, sigma, k, baseline=0.0):
    """Var of one row for f = (z - k)^2, as {estimator: (d/dmu, d/dsigma)}; d/dlog sigma has sigma^2 times the second.

    pathwise 4s^2, 4(a^2 + 2s^2); score function, no baseline, a^4/s^2 + 14a^2 + 15s^2, 2a^4/s^2 + 60a^2 + 74s^2;
    measure-valued a^2(16/pi - 4), 4(a^2 + s^2); with s = sigma, a = mu - k.  baseline: one number or a pair.
    """
    a2, s2 = (mu - k) ** 2, _positive(sigma) ** 2
    b = np.array(baseline) * np.ones(2)
    no_baseline = np.array([a2**2 + 14 * a2 * s2 + 15 * s2**2, 2 * a2**2 + 60 * a2 * s2 + 74 * s2**2]) / s2
    score2 = np.array([1, 2]) / s2  # E[s_j^2], the Fisher information
    return {
        "pathwise": np.array([4 * s2, 4 * a2 + 8 * s2]),
        "score_function": no_baseline + score2 * b * (b - 2 * quadratic_baselines(mu, sigma, k)),
        "measure_valued": np.array([a2 * (16 / pi - 4), 4 * a2 + 4 * s2]),
    }


def quadratic_baselines(mu, sigma, k):
    """(a^2 + 3 sigma^2, a^2 + 5 sigma^2), a = mu - k: `optimal_baseline` for f = (z - k)^2; E[f] = a^2 + sigma^2."""
    return (mu - k) ** 2 + np.array([3, 5]) * sigma**2


def squared_norm_variances(p, sigma=1.0):
    """Var of d/dmu_j for f = |z|^2, z ~ N(0, sigma^2 I_p): only the score function pays for the dimension."""
    return {"pathwise": 4 * _positive(sigma) ** 2, "score_function": (p + 2) * (p + 4) * sigma**2}


def cosine_variances(mu, sigma, k):
    """Var of d/dmu for f = cos kz: bounded for the score function, growing as k^2 / 2 for the path."""
    t = (k * _positive(sigma)) ** 2
    mean = -k * np.exp(-t / 2) * np.sin(k * mu)
    wave = np.exp(-2 * t) * np.cos(2 * k * mu)  # E cos 2kz
    return {
        "pathwise": k**2 * (1 - wave) / 2 - mean**2,
        "score_function": (1 + (1 - 4 * t) * wave) / (2 * sigma**2) - mean**2,
    }


def exponential_variances(mu, sigma, k):
    """Var of d/dmu for f = e^(-k z^2), k >= 0: e^(-c z^2) times N(mu, sigma^2) is a Gaussian again, times a mass."""
    if k < 0:
        raise ValueError(f"k is {k}; e^(-k z^2) has a finite variance for every sigma only when k >= 0")
    mass, m, v = _tilt(mu, _positive(sigma), k)
    mean = -2 * k * mass * m
    mass, m, v = _tilt(mu, sigma, 2 * k)
    return {
        "pathwise": 4 * k**2 * mass * (m**2 + v) - mean**2,
        "score_function": mass * ((m - mu) ** 2 + v) / sigma**4 - mean**2,
    }


def _tilt(mu, sigma, c):
    shrink = 1 + 2 * c * sigma**2  # e^(-c z^2) N(z; mu, sigma^2) = mass N(z; m, v)
    return np.exp(-c * mu**2 / shrink) / np.sqrt(shrink), mu / shrink, sigma**2 / shrink


# -------------------- where the trick fails --------------------


class Failure(NamedTuple):
    """Rows of both estimators, of which one has the wrong mean, and the true gradient."""

    pathwise: np.ndarray  # (S, d)
    score_function: np.ndarray  # (S, d)
    truth: np.ndarray  # (d,)


def heaviside_failure(theta, eps):
    """f = 1[z > 0], z ~ N(mu, sigma^2): every pathwise row is 0, the truth is phi(mu/sigma) (1/sigma, -mu/sigma).

    f is flat wherever it has a derivative; all of the gradient sits in the jump.  theta = (mu, log sigma).
    """
    mu, sigma = theta[0], np.exp(theta[1])
    truth = np.exp(-0.5 * (mu / sigma) ** 2) / sqrt(2 * pi) * np.array([1 / sigma, -mu / sigma])
    return Failure(
        reparameterization(_jump, gaussian, theta, eps),
        score_function(_jump, gaussian_log_p, theta, gaussian(eps, theta)),
        truth,
    )


def _jump(z):
    return (z > 0) + 0 * z  # 0 * z: a path for autograd to follow, and find nothing on


def uniform_failure(theta, u):
    """f = z, z ~ U[0, theta]: the score function has mean -1/2, the truth is +1/2 = d/dtheta theta/2.

    The support moves with theta, and d/dtheta of the integral owes a boundary term f(theta) p(theta) = 1 that
    grad log p = -1/theta does not see.  theta (1,) > 0, u (S,) uniform.  Source: Mohamed et al. (2020), 4.3.2.
    """
    z = theta[0] * u
    return Failure(
        reparameterization(identity, lambda u, theta: theta[:, 0] * u, theta, u),
        score_function(identity, lambda z, theta: -np.log(theta[:, 0]), theta, z),
        np.array([0.5]),
    )


# -------------------- what would silently give a wrong number --------------------


def _positive(sigma):
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; a standard deviation must be > 0")
    return float(sigma)


PIECE = 2**17  # samples whose temporaries stay near the processor, in memory that is used again


def _in_pieces(rows, *arrays):
    """rows(*arrays), one row per sample, by at most PIECE samples at a time."""
    S = len(arrays[0])
    pieces = (rows(*(a[i : i + PIECE] for a in arrays)) for i in range(0, max(S, 1), PIECE))
    first = next(pieces)
    if S <= PIECE:
        return first
    if isbox(first):  # autograd is looking: no filling in place
        return np.concatenate([first, *pieces])
    out = np.empty_like(first, shape=(first.shape[1], S), order="C").T  # each column in one piece of memory
    for i, piece in zip(range(0, S, PIECE), chain([first], pieces), strict=True):
        out[i : i + PIECE] = piece
    return out


def _copies(theta, S):
    if np.ndim(theta) != 1:
        raise ValueError(f"theta has shape {np.shape(theta)}; give one parameter vector of shape (d,)")
    theta = np.reshape(np.array(theta) * 1.0, (1, -1))  # times 1.0: autograd would round gradients of integers
    return np.broadcast_to(theta, (S, np.shape(theta)[1]))  # S rows to differentiate by, one in memory


def _one_each(values, S):
    if np.shape(values) != (S,):
        raise ValueError(f"got shape {np.shape(values)} for {S} samples; f and log_p must give one number each, ({S},)")
    return values
