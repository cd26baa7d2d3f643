"""Variational bounds (slide 5): replace a loss f(theta) that cannot be computed by f(theta) <= inf_psi g(theta, psi).

Jensen's inequality, the bound as a data structure with three instances (median, logistic regression, mixture), then
the ELBO, its gap, importance weighting, and a toy where all of it is exact.  Source of the frame: Huszar (2017).
"""

from math import log, pi
from typing import NamedTuple

import autograd.numpy as np

from enm5310.distributions import (
    entropy_gaussian,
    kl_diag,
    kl_standard_normal,
    log_gaussian,
    log_mean_exp,
    log_softmax,
    log_standard_normal,
    softplus,
)
from enm5310.gradients import per_sample


def jensen_gap(f, x, w=None):
    """sum_i w_i f(x_i) - f(sum_i w_i x_i) >= 0 for convex f, 0 for affine f; points x (n,) or (n, p), weights w (n,).

    w is divided by its sum; None weighs all points alike.  f maps points to numbers, (n, p) to (n,).
    """
    w = np.ones(len(x), np.result_type(x.dtype, np.float32)) if w is None else w
    if np.shape(w) != (len(x),) or not (np.all(w >= 0) and np.sum(w) > 0):
        raise ValueError(f"w has shape {np.shape(w)} for {len(x)} points; give one weight >= 0 for each, not all zero")
    w = w / np.sum(w)
    return np.dot(w, f(x)) - f(np.dot(w, x))


# -------------------- f(theta) <= inf_psi g(theta, psi) --------------------


class Bound(NamedTuple):
    """A family of upper bounds: f(theta) <= g(theta, psi), and the exact minimiser of g in either argument."""

    f: object  # theta -> number
    g: object  # theta, psi -> number
    best_psi: object  # theta -> argmin_psi g(theta, psi): touches f there
    best_theta: object  # psi -> argmin_theta g(theta, psi)


class Minimum(NamedTuple):
    """Where `minimise` arrived, and how."""

    theta: object
    psi: object  # often meaningful itself: weights, responsibilities, a recognition model
    trace: np.ndarray  # (steps + 1,), g(theta_t, best_psi(theta_t)) at the start and after each step; never increases


def minimise(bound, theta, steps, callback=None):
    """theta*, psi* <- argmin g(theta, psi), one argument at a time (majorise-minimise): a Minimum.

    g(theta', psi') <= g(theta', psi) <= g(theta, psi), so no step size is needed.
    callback(t, theta, value) is called before each step and stops the run by returning True, KeyboardInterrupt (the
    stop button) ends it too: either way you get the best so far.  Source: Hunter & Lange (2004).
    """
    psi = bound.best_psi(theta)
    trace = [bound.g(theta, psi)]
    try:
        for t in range(steps):
            if callback is not None and callback(t, theta, trace[-1]):
                break
            new = bound.best_theta(psi)
            new_psi = bound.best_psi(new)
            trace.append(bound.g(new, new_psi))
            theta, psi = new, new_psi  # both or neither: an interrupt leaves a matching pair
    except KeyboardInterrupt:
        pass
    return Minimum(theta, psi, np.array(trace))


def half_quadratic(x, tiny=1e-12):
    """sum_i |x_i - theta| <= sum_i [(x_i - theta)^2 / psi_i + psi_i] / 2, tight at psi_i = |x_i - theta|: the median.

    best_theta is the mean with weights 1 / psi_i (iteratively reweighted least squares).  psi_i stays >= tiny.  On a
    data point psi_i -> 0 holds theta fast; if that point is no median best_psi raises ValueError.
    Source: Geman & Reynolds (1992).
    """
    _on_the_line(x)

    def best_psi(theta):
        r = x - theta
        held = np.abs(r) < tiny
        if np.any(held) and np.abs(np.sum(np.sign(r[~held]))) > np.sum(held):
            raise ValueError(f"theta = {theta} is a data point but no median; 1/psi = 1/0 pins it there: start nearby")
        return np.maximum(np.abs(r), tiny)

    return Bound(
        f=lambda theta: np.sum(np.abs(x - theta)),
        g=lambda theta, psi: np.sum((x - theta) ** 2 / psi + psi) / 2,
        best_psi=best_psi,
        best_theta=lambda psi: np.sum(x / psi) / np.sum(1 / psi),
    )


def jaakkola_jordan(X, y, ridge=1.0):
    """softplus(a) <= softplus(psi) + (a - psi)/2 + tanh(psi/2)/4psi (a^2 - psi^2), tight at psi = |a|.

    Logistic regression, f(theta) = -log p(y | X theta) + ridge |theta|^2 / 2 for X (n, p), y (n,) in {0, 1}; best_theta
    solves a linear system.  Separable classes want ridge > 0.  Source: Jaakkola & Jordan (2000).
    """
    if np.ndim(X) != 2 or np.shape(y) != (len(X),) or not np.all((y == 0) | (y == 1)):
        raise ValueError(f"y has shape {np.shape(y)} for X {np.shape(X)}; give X (n, p) and one label per row, 0 or 1")
    if not ridge >= 0:
        raise ValueError(f"ridge is {ridge}; below 0 the loss has no minimum, use ridge >= 0")

    def line(theta):
        if np.shape(theta) != (X.shape[1],):  # a column would make (n, n) of a - y
            raise ValueError(f"theta has shape {np.shape(theta)}; X {np.shape(X)} wants ({X.shape[1]},)")
        return X @ theta

    def g(theta, psi):
        a = line(theta)
        touch = softplus(psi) + (a - psi) / 2 + _lam(psi) * (a**2 - psi**2)
        return np.sum(touch - y * a) + ridge * np.sum(theta**2) / 2

    return Bound(
        f=lambda theta: np.sum(softplus(line(theta)) - y * line(theta)) + ridge * np.sum(theta**2) / 2,
        g=g,
        best_psi=lambda theta: np.abs(line(theta)),
        best_theta=lambda psi: np.linalg.solve(
            (X.T * (2 * _lam(psi))) @ X + ridge * np.eye(X.shape[1], dtype=X.dtype), X.T @ (y - 0.5)
        ),
    )


def _lam(psi):
    small = np.ones_like(psi) * (np.abs(psi) < 1e-9)  # 0/0 there; the limit is 1/8
    psi = psi * (1 - small) + 1e-9 * small
    return np.tanh(psi / 2) / (4 * psi)


def _on_the_line(x):
    if np.ndim(x) != 1 or len(x) == 0 or not np.all(np.isfinite(x)):
        raise ValueError(f"x has shape {np.shape(x)}; want n >= 1 finite numbers, shape (n,)")


class Mixture(NamedTuple):
    """p(x) = sum_k weights_k N(x; means_k, variances_k) on the line, each of shape (K,)."""

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray


def em(x):
    """-log p(x) <= -ELBO(theta, q) = -sum_ik q_ik [log p(x_i, k) - log q_ik]: EM for a Mixture, as a Bound on x (n,).

    best_psi is the E step, q_ik = p(k | x_i), shape (n, K); best_theta the M step, moments weighted by q.
    Raises ValueError when a variance reaches 0: there the likelihood has no maximum.  Source: Neal & Hinton (1998).
    """
    _on_the_line(x)

    def joint(theta):
        d2 = (x[:, None] - theta.means) ** 2 / theta.variances
        return np.log(theta.weights) - 0.5 * (log(2 * pi) + np.log(theta.variances) + d2)  # log p(x_i, k), (n, K)

    def best_theta(q):
        n = np.sum(q, axis=0)
        means = q.T @ x / n
        variances = np.sum(q * (x[:, None] - means) ** 2, axis=0) / n
        if not np.all(variances > 0):
            raise ValueError(f"variances {variances}: a component has shrunk to one point; use fewer or other starts")
        return Mixture(n / len(x), means, variances)

    return Bound(
        f=lambda theta: -np.sum(log_mean_exp(joint(theta)) + log(len(theta.means))),
        g=lambda theta, q: -np.sum(q * (joint(theta) - np.log(q + (q == 0)))),  # 0 log 0 = 0
        best_psi=lambda theta: np.exp(log_softmax(joint(theta))),
        best_theta=best_theta,
    )


# -------------------- the ELBO, one value per noise sample --------------------


def elbo_mc(log_joint, mean, logvar, eps):
    """log p(x, z_s) - log q(z_s), z_s = mean + sigma eps_s: (S,) for mean (p,), eps (S, p); (S, n) for a batch.

    All Monte Carlo: its average is the ELBO, E_q <= log p(x), one value may lie above; at q = posterior it is constant.
    """
    z = _z(mean, logvar, eps)
    return _each(log_joint(z), eps) - log_gaussian(z, mean, logvar)


def elbo_kl(log_lik, mean, logvar, eps):
    """log p(x | z_s) - KL(q || N(0, I)), shape (S,) or (S, n): reconstruction minus exact KL."""
    return _each(log_lik(_z(mean, logvar, eps)), eps) - kl_standard_normal(mean, logvar)


def elbo_entropy(log_joint, mean, logvar, eps):
    """log p(x, z_s) + H[q], shape (S,) or (S, n): energy plus the exact entropy."""
    return _each(log_joint(_z(mean, logvar, eps)), eps) + entropy_gaussian(logvar)


def _z(mean, logvar, eps):
    if np.ndim(mean) < 1 or np.shape(eps)[1:] != np.shape(mean) or np.shape(logvar) != np.shape(mean):
        raise ValueError(
            f"mean {np.shape(mean)}, logvar {np.shape(logvar)}, eps {np.shape(eps)}; want (p,), (p,), (S, p) or "
            "(n, p), (n, p), (S, n, p): every data point has its own noise"
        )
    return mean + np.exp(0.5 * logvar) * eps


def _each(values, eps):
    if np.shape(values) != np.shape(eps)[:-1]:
        raise ValueError(f"the log density has shape {np.shape(values)}; want one number each, {np.shape(eps)[:-1]}")
    return values


def iwae_bound(log_w):
    """L_K = log (1/K) sum_k w_k over the last axis of log_w (..., K), log w = log p(x, z) - log q(z): shape (...).

    E L_K grows with K from the ELBO to log p(x); average over data outside.  Source: Burda et al. (2016).
    """
    return log_mean_exp(log_w, axis=-1)


def iwae_gradient(log_joint, log_q, g, theta, eps):
    """grad_theta log (1/K) sum_k w_k at z = g(eps, theta), one row per group of K: (S, d), eps (S, K, ...)."""
    if np.ndim(eps) < 2:
        raise ValueError(f"eps has shape {np.shape(eps)}; each of S rows wants its own K noises, shape (S, K)")

    def bound(theta):
        theta = theta[:, None]  # the K samples of a row share its copy of theta
        z = g(eps, theta)
        return iwae_bound(log_joint(z) - log_q(z, theta))

    return per_sample(bound, theta, len(eps))


def signal_to_noise(rows):
    """|mean| / standard deviation of each column of rows (S, d), shape (d,); the IWAE's encoder loses it as K^(-1/2).

    Source: Rainforth et al. (2018).
    """
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} row(s): noise shows in the spread of at least 2 samples")
    return np.abs(np.mean(rows, axis=0)) / np.std(rows, axis=0)


class Surgery(NamedTuple):
    """kl = mutual_information + marginal_kl (up to the noise of the sampled two), in nats, averaged over the data."""

    kl: float  # (1/n) sum_i KL(q(z | x_i) || p(z)), exact
    mutual_information: float  # between z and the index i; at most log n
    marginal_kl: float  # KL(q(z) || p(z)), q(z) = (1/n) sum_i q(z | x_i): the holes in the prior


def elbo_surgery(mean, logvar, eps):
    """(1/n) sum_i KL(q(z | x_i) || p) = I(i; z) + KL(q(z) || p), for encoder outputs (n, p) and eps (S, n, p).

    Needs S n^2 densities.  Source: Hoffman & Johnson (2016).
    """
    z = _z(mean, logvar, eps)
    log_q = log_gaussian(z, mean, logvar)  # (S, n)
    log_aggregate = log_mean_exp(log_gaussian(z[:, :, None], mean, logvar))  # over all j, shape (S, n)
    return Surgery(
        np.mean(kl_standard_normal(mean, logvar)),
        np.mean(log_q - log_aggregate),
        np.mean(log_aggregate - log_standard_normal(z)),
    )


# -------------------- a toy where everything is exact: z ~ N(0, I), x | z ~ N(z, I) --------------------


def toy_log_joint(x, z):
    """log N(z; 0, I) + log N(x; z, I), shape (...) for x (p,), z (..., p)."""
    return log_standard_normal(z) + log_gaussian(x, z, 0 * z)


def toy_log_evidence(x):
    """log p(x) = log N(x; 0, 2 I)."""
    return log_gaussian(x, 0.0, log(2))


def toy_posterior(x):
    """p(z | x) = N(x / 2, I / 2), as (mean, logvar), each (p,)."""
    return x / 2, 0 * x - log(2)


def toy_elbo(x, mean, logvar):
    """E_q log N(x; z, I) - KL(q || N(0, I)) = log p(x) - KL(q || posterior) for q = N(mean, e^logvar)."""
    return log_gaussian(x, mean, 0 * logvar) - 0.5 * np.sum(np.exp(logvar), axis=-1) - kl_standard_normal(mean, logvar)


def toy_gap(x, mean, logvar):
    """log p(x) - ELBO = KL(q || p(z | x)) >= 0, and 0 only for the posterior."""
    return kl_diag(mean, logvar, *toy_posterior(x))


def toy_chi2(x, mean, logvar):
    """Var_q[w] / p(x)^2 = prod_j v / sqrt(t (2v - t)) e^{(mean - x/2)^2 / (2v - t)} - 1, with v = e^logvar, t = 1/2.

    K (log p(x) - L_K) -> chi^2 / 2 as K grows.  Infinite where 2v <= t: q is too narrow for its weights.  Shape (...).
    """
    v, t, d = np.exp(logvar), 0.5, mean - toy_posterior(x)[0]
    if np.shape(d) != np.shape(logvar):
        raise ValueError(f"x - mean has shape {np.shape(d)} and logvar {np.shape(logvar)}; each feature wants its own")
    room = np.maximum(2 * v - t, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # no room: log 0 and d^2 / 0
        chi2 = np.exp(np.sum(logvar - 0.5 * np.log(t * room) + d**2 / room, axis=-1)) - 1
    return np.where(np.any(room == 0, axis=-1), np.inf, chi2)[()]
