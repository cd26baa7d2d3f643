"""Looking at a latent space (slides 10-11): where to put pictures, how to walk, which latents work, log p(x).

Codes Z have shape (n, k).
"""

from functools import partial
from math import log
from statistics import NormalDist

import autograd.numpy as np
from autograd import value_and_grad

from enm5310 import optimize, vae

# -------------------- where to look --------------------


def normal_quantile(u):
    """Phi^-1(u), elementwise, for u in (0, 1), to rounding error.

    Raises ValueError at and beyond 0 and 1, where it is infinite.  Source: Wichura (1988), algorithm AS 241, from
    Python's own `statistics`.
    """
    u = np.asarray(u, dtype=float)
    if not np.all((u > 0) & (u < 1)):
        raise ValueError("u must lie strictly between 0 and 1; for n quantiles take (i + 1/2) / n")
    return np.vectorize(NormalDist().inv_cdf, otypes=[float])(u)


def grid(n):
    """Z[i, j] = (q_j, q_{n-1-i}), q_i = Phi^-1((i + 1/2) / n), shape (n, n, 2): cells of equal prior probability.

    Laid out like a picture: z_1 grows to the right, z_2 upwards.  Source: Kingma & Welling (2013), figure 4.
    """
    q = normal_quantile((np.arange(n) + 0.5) / n)
    return np.stack(np.meshgrid(q, q[::-1]), axis=-1)


def interpolate(z0, z1, t):
    """(1 - t) z0 + t z1 for t (m,), shape (m, k): the straight line, which cuts through the middle of the prior."""
    _two_codes(z0, z1)
    t = np.reshape(t, (-1, 1))
    return (1 - t) * z0 + t * z1


def slerp(z0, z1, t):
    """[sin((1-t) w) z0 + sin(t w) z1] / sin w, w the angle between z0 and z1, for t (m,), shape (m, k).

    Codes of equal length keep it all the way, where a Gaussian in many dimensions has its mass; parallel ones (w = 0)
    give the straight line.  Raises ValueError when one is zero or they are opposite: no great circle is singled out.
    Source: Shoemake (1985); White (2016).
    """
    _two_codes(z0, z1)
    r0, r1 = np.linalg.norm(z0), np.linalg.norm(z1)
    if r0 == 0 or r1 == 0:
        raise ValueError("a code is the zero vector, which has no direction: use interpolate")
    u0, u1 = z0 / r0, z1 / r1
    w = 2 * np.arctan2(np.linalg.norm(u1 - u0), np.linalg.norm(u1 + u0))  # accurate at 0 and pi, unlike arccos
    if np.pi - w < 1e-7:
        raise ValueError("the codes point in opposite directions, any great circle joins them: go through a third code")
    t = np.reshape(t, (-1, 1))
    return (_sine_ratio(1 - t, w) * z0 + _sine_ratio(t, w) * z1).astype(np.result_type(z0, z1, np.float32))


def _two_codes(z0, z1):
    if np.ndim(z0) != 1 or np.shape(z0) != np.shape(z1):
        raise ValueError(f"codes of shape {np.shape(z0)} and {np.shape(z1)}; give two of shape (k,), a batch in a loop")


def _sine_ratio(t, w):
    return t * np.sinc(t * w / np.pi) / np.sinc(w / np.pi)  # sin(t w) / sin w, and its limit t at w = 0


def attribute_vector(Z, has):
    """mean of the codes that have the attribute minus mean of those that do not, (k,), for Z (n, k) and has (n,) bool.

    Raises ValueError when one of the two groups is empty.  Source: Larsen et al. (2016); slide 10's bold and italic.
    """
    Z, has = np.asarray(Z), np.asarray(has, dtype=bool)
    if has.shape != Z.shape[:1] or has.all() or not has.any():
        raise ValueError(f"{has.sum()} of {has.shape} flags are true, for {len(Z)} codes: one each, some of both kinds")
    return np.mean(Z[has], axis=0) - np.mean(Z[~has], axis=0)


def nearest(X, among):
    """argmin_i |x - a_i|^2 and that squared distance, (n,) each, for the rows x of X (n, p) and a_i of `among` (m, p).

    On images: has a sample been copied from the training set?  Small distances say yes, large ones do not say no, since
    a shifted copy is far away.  On codes: the labels of neighbours say how well a plane keeps classes apart.
    """
    if np.ndim(X) != 2 or np.ndim(among) != 2 or np.shape(X)[1] != np.shape(among)[1] or len(among) == 0:
        raise ValueError(f"shapes {np.shape(X)} and {np.shape(among)}; want (n, p) and (m, p), m >= 1")
    centre = np.mean(among, axis=0)  # the squares of large common offsets would swallow the differences
    A, B = X - centre, among - centre
    i = np.argmin(np.sum(B * B, axis=1) - 2 * A @ B.T, axis=1)
    return i, np.sum((A - B[i]) ** 2, axis=1)


# -------------------- how good it is --------------------


def active_units(mean, threshold=0.01):
    """Var_x(E_q[z_j | x]) > threshold for each latent, (k,) bool, from the encoder's means (n, k); variance by 1/n.

    A latent that ignores x has collapsed onto the prior.  Source: Burda, Grosse & Salakhutdinov (2016), section 5.
    """
    if np.ndim(mean) != 2 or len(mean) < 2 or not np.all(np.isfinite(mean)):
        raise ValueError(f"mean has shape {np.shape(mean)}; a variance over x wants (n, k), n >= 2, all finite")
    return np.var(mean, axis=0) > threshold


def log_likelihood(params, X, eps, likelihood="bernoulli", activation=vae.tanh):
    """log (1/K) sum_k w_ik, the importance-weighted estimate of log p(x_i), shape (n,), nats.

    eps is an array (K, n, k) or any iterable of K arrays (n, k), a generator when K of them do not fit in memory.  In
    expectation it is a lower bound that grows with K (K = 1: the ELBO) and tends to log p(x_i).
    Raises ValueError when eps is empty.  Source: Burda, Grosse & Salakhutdinov (2016), equation 8.
    """
    total, K = -np.inf, 0
    for eps_k in eps:
        total, K = np.logaddexp(total, vae.log_weight(params, X, eps_k, likelihood, activation)), K + 1
    if K == 0:
        raise ValueError("eps holds no noise; the mean of the weights wants K >= 1 arrays of shape (n, k)")
    return total - log(K)  # of the *mean* of the weights


def refine(params, X, eps, steps=300, lr=0.05, likelihood="bernoulli", activation=vae.tanh, callback=None):
    """argmax over mean_i, logvar_i of the ELBO of each x_i, averaged over the draws eps (L, n, k): two arrays (n, k).

    Adam from the encoder's answer, decoder fixed.  log p(x) - ELBO splits into what this wins, the *amortisation gap*
    (one encoder must serve all x), and the rest, the approximation gap (no diagonal Gaussian is the posterior).
    Source: Cremer, Li & Duvenaud (2018).
    """

    def loss(q, _, t):
        return value_and_grad(lambda q: -np.sum(vae.elbo_at(params, X, *q, eps, likelihood, 1.0, activation).elbo))(q)

    start = vae.encode(params, X, activation)
    adam = partial(optimize.adam, beta2=0.9)  # no noise to average: forget the steep slopes of the start soon
    return optimize.train(loss, start, range(steps), adam, callback, lr=lambda t: lr * (1 - t / steps)).params


def bits_per_dim(log_p, D):
    """-log p(x) / (D ln 2): nats of D features as bits per feature."""
    return -log_p / (D * log(2))
