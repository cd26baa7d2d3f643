"""Change of variables (slides 6-7): one-liners z = g(eps, theta) that turn simple noise into the law we want.

Uniform noise u lies in the open interval (0, 1).  theta = (mu, log sigma) sits on the last axis: shape (2,), or (S, 2)
with one row per sample.  Source of most one-liners: Devroye (1986), chapter 2.
"""

from math import log, pi

import autograd.numpy as np
from autograd import elementwise_grad
from autograd.extend import defjvp, defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f  # sums over the axes that an argument was repeated along
from numpy.polynomial.legendre import leggauss

# -------------------- location and scale --------------------


def location_scale(e, theta):
    """z = mu + sigma e, for noise e (S,) of any standard law; theta = (mu, log sigma)."""
    _one_row_each(e, theta)
    return _location_scale(e, theta)


@primitive
def _location_scale(e, theta):
    mu, log_sigma = theta[..., 0], theta[..., 1]
    return mu + np.exp(log_sigma) * e


def gaussian(eps, theta):
    """z = mu + sigma eps ~ N(mu, sigma^2) when eps ~ N(0, 1); theta = (mu, log sigma)."""
    return location_scale(eps, theta)


def gaussian_log_p(z, theta):
    """log p(z; theta) of z = gaussian(eps, theta): -1/2 log 2pi - log sigma - (z - mu)^2 / 2 sigma^2, elementwise."""
    _one_row_each(z, theta)
    return _gaussian_log_p(z, theta)


@primitive
def _gaussian_log_p(z, theta):
    mu, log_sigma = theta[..., 0], theta[..., 1]
    e = (z - mu) * np.exp(-log_sigma)
    return -0.5 * log(2 * pi) - log_sigma - 0.5 * (e * e)


def _one_row_each(e, theta):
    if np.ndim(e) and np.ndim(theta) > 1 and np.ndim(e) != np.ndim(theta) - 1:  # (S, 1) with (S,) would give (S, S)
        raise ValueError(f"noise or sample {np.shape(e)}, theta {np.shape(theta)}; want one (mu, log sigma) for each")


# Both have their derivatives by rule, because autograd differentiates theta[..., 0] by np.add.at, element by element.


def _sigma_e(e, theta):  # dz / d log sigma
    return np.exp(theta[..., 1]) * e


def _score(z, theta):  # d log p / d mu and d log p / d log sigma = e^2 - 1, e = (z - mu) / sigma
    precision = np.exp(-theta[..., 1])
    e = (z - theta[..., 0]) * precision
    return e * precision, e * e - 1


def _pairs(a, b):
    return np.moveaxis(np.stack([a, b]), 0, -1)  # (..., 2), each column in one piece of memory


defvjp(
    _location_scale,
    lambda z, e, theta: unbroadcast_f(e, lambda g: g * np.exp(theta[..., 1])),
    lambda z, e, theta: unbroadcast_f(theta, lambda g: _pairs(g, g * _sigma_e(e, theta))),
)
defjvp(
    _location_scale,
    lambda g, z, e, theta: g * np.exp(theta[..., 1]),
    lambda g, z, e, theta: g[..., 0] + g[..., 1] * _sigma_e(e, theta),
)
defvjp(
    _gaussian_log_p,
    lambda ans, z, theta: unbroadcast_f(z, lambda g: -g * _score(z, theta)[0]),
    lambda ans, z, theta: unbroadcast_f(theta, lambda g: _pairs(*(g * s for s in _score(z, theta)))),
)
defjvp(
    _gaussian_log_p,
    lambda g, ans, z, theta: -g * _score(z, theta)[0],
    lambda g, ans, z, theta: sum(g[..., j] * s for j, s in enumerate(_score(z, theta))),
)


def multivariate_normal(eps, mu, L):
    """z = mu + L eps ~ N(mu, L L^T), rows Z = mu + eps L^T, shape (S, p), for standard normal eps (S, p).

    Raises ValueError unless L is lower triangular: the covariance itself in its place would be a silent mistake.
    """
    if np.ndim(L) != 2 or np.any(np.triu(L, 1)):
        raise ValueError("L is not lower triangular; give the Cholesky factor np.linalg.cholesky(S), not S itself")
    if np.ndim(mu) > 1 and np.shape(mu) != np.shape(eps):
        raise ValueError(f"mu has shape {np.shape(mu)} for eps {np.shape(eps)}; want (p,), or one row per row of eps")
    return mu + eps @ L.T


# -------------------- inversion: z = F^-1(u) --------------------


def exponential(u, rate=1.0):
    """z = -log(1 - u) / rate, density rate e^(-rate z) on z > 0, mean 1 / rate."""
    if not np.all(rate > 0):
        raise ValueError(f"rate is {rate}; events per unit of time, must be > 0")
    return -np.log1p(-_open(u)) / rate


def logistic(u):
    """z = log u - log(1 - u), density s(z) s(-z), variance pi^2 / 3."""
    return np.log(_open(u)) - np.log1p(-u)


def gumbel(u):
    """z = -log(-log u), the law of a maximum: mean 0.5772 (Euler's constant), variance pi^2 / 6."""
    return -np.log(-np.log(_open(u)))


def laplace(u):
    """z = log 2u for u < 1/2, else -log 2(1 - u): density e^-|z| / 2, variance 2."""
    return np.where(_open(u) < 0.5, np.log(2 * u), -np.log(2 - 2 * u))


def cauchy(u):
    """z = tan pi(u - 1/2), density 1 / pi(1 + z^2): no mean, no variance."""
    return np.tan(pi * (_open(u) - 0.5))


def _open(u):
    if not np.all((u > 0) & (u < 1)):
        raise ValueError("u must lie strictly between 0 and 1, where z is finite; try np.clip(u, 2**-54, 1 - 2**-53)")
    return u


# -------------------- polar coordinates --------------------


def box_muller(u, v):
    """(r cos 2pi v, r sin 2pi v) with r = sqrt(-2 log u): two independent N(0, 1) from two independent uniforms.

    In polar coordinates the density e^(-r^2/2) r dr dphi / 2pi is uniform in u = e^(-r^2/2) and in the angle.
    Source: Box & Muller (1958).
    """
    if np.shape(u) != np.shape(v):
        raise ValueError(f"u has shape {np.shape(u)} and v {np.shape(v)}; every pair wants its own two uniforms")
    r = np.sqrt(-2 * np.log(_open(u)))
    return r * np.cos(2 * pi * v), r * np.sin(2 * pi * v)


# -------------------- the density of z --------------------


def pushforward_log_p(log_p, inverse, z):
    """log p(z) = log p(eps) + log |d eps / dz| at eps = inverse(z), elementwise (slide 7).

    log_p: the log density of eps; inverse: z -> eps, the inverse of an increasing or decreasing g.
    """
    return _elementwise(log_p, inverse(z)) + np.log(np.abs(elementwise_grad(inverse)(z)))


def push_forward(log_p, g, eps):
    """z = g(eps) and log p(z) = log p(eps) - log |dz / d eps|, elementwise: the same density, without an inverse."""
    return g(eps), _elementwise(log_p, eps) - np.log(np.abs(elementwise_grad(g)(eps)))


def _elementwise(log_p, e):
    values = log_p(e)
    if np.shape(values) != np.shape(e):
        raise ValueError(f"log_p gave shape {np.shape(values)} for {np.shape(e)}; want one value per element, no sum")
    return values


def masses(log_p, edges):
    """The probability |p(z) dz| of each cell between neighbouring edges, shape (n - 1,), by 20-point Gauss-Legendre.

    With edges eps_i and their images g(eps_i) the two histograms agree: |p(z) dz| = |p(eps) d eps| (slide 7).
    """
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2  # half < 0 where g decreases
    t, w = (a.astype(middle.dtype) for a in leggauss(20))  # nodes and weights on [-1, 1]
    return np.abs(half) * (np.exp(log_p(middle[:, None] + half[:, None] * t)) @ w)


def planar_flow(z, w, u, b):
    """z' = z + u tanh(w^T z + b), (n, p), and log |det dz'/dz| = log |1 + u^T w (1 - tanh^2)|, (n,), for rows z (n, p).

    Raises ValueError when u^T w < -1: the map folds space over itself and has no density of this form.
    Source: Rezende & Mohamed (2015), equations 10-12.
    """
    if np.shape(u) != np.shape(z)[1:] or np.shape(w) != np.shape(z)[1:]:
        raise ValueError(f"z {np.shape(z)}, w {np.shape(w)}, u {np.shape(u)}; want (n, p), (p,), (p,)")
    if np.dot(u, w) < -1:
        raise ValueError(f"u^T w = {np.dot(u, w):.3g} < -1: the flow is not invertible; shorten u along w")
    h = np.tanh(z @ w + b)
    return z + h[:, None] * u, np.log(np.abs(1 + np.dot(u, w) * (1 - h**2)))
