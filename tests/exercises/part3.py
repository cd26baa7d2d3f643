"""What the checks of part 3 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  ROUTES: a known misconception coded differently, with a piece of the
sentence that must name it.  HOSTILE: answers without the idea, which earn nothing.  EQUIVALENT: surviving mutants, by
exercise, with the reason.
"""

import math

import numpy as np
import scipy.linalg
import scipy.special
import scipy.stats
from scipy.stats import norm

LOG_2PI = np.log(2 * np.pi)


# -------------------- right answers by other algorithms --------------------


def gap_by_loop(f, x, w):
    total = math.fsum(w)
    heights = math.fsum(b * float(f(a)) for a, b in zip(x, w, strict=True))
    return heights / total - float(f(math.fsum(a * b for a, b in zip(x, w, strict=True)) / total))


def gap_about_the_mean(f, x, w):
    p = w / w.sum()
    m = p @ x
    return p @ (f(x) - f(m))


def bound_by_loop(x, theta, psi):
    return sum(0.5 * (float(a) - theta) ** 2 / float(b) + 0.5 * float(b) for a, b in zip(x, psi, strict=True))


def bound_by_square(x, theta, psi):
    """(r^2 / psi + psi) / 2 = |r| + (|r| - psi)^2 / (2 psi): the objective plus what is lost."""
    r = np.abs(x - theta)
    return np.sum(r) + np.sum((r - psi) ** 2 / (2 * psi))


def path_by_newton(x, theta, steps):
    """theta + sum_i (x_i - theta) / psi_i / sum_i 1 / psi_i: the same minimiser from the other end."""
    path = np.empty(steps + 1)
    path[0] = theta
    for t in range(steps):
        w = 1 / np.clip(np.abs(x - path[t]), 1e-8, None)
        path[t + 1] = path[t] + w @ (x - path[t]) / w.sum()
    return path


def path_smoothed(x, theta, steps):
    path = [theta]
    for _ in range(steps):
        path.append(float(np.average(x, weights=1 / np.sqrt((x - path[-1]) ** 2 + 1e-14))))
    return path


def path_with_a_larger_floor(x, theta, steps):
    """Smoothed as |x| ~ sqrt(x^2 + 1e-12), the largest smoothing that counts as the same path."""
    path = [theta]
    for _ in range(steps):
        path.append(np.average(x, weights=((x - path[-1]) ** 2 + 1e-12) ** -0.5))
    return tuple(path)


def path_by_least_squares(x, theta, steps):
    path = [theta]
    for _ in range(steps):
        root = 1 / np.sqrt(np.abs(x - path[-1]) + 1e-7)
        path.append(np.linalg.lstsq(root[:, None], root * x, rcond=None)[0].item())
    return np.array(path)


def log_mean_by_pairs(a, axis):
    out = None
    for row in np.moveaxis(a, axis, 0):
        out = row if out is None else np.logaddexp(out, row)
    return out - math.log(a.shape[axis])


def log_mean_by_scipy(a, axis):
    return scipy.special.logsumexp(a, axis=axis, b=1 / a.shape[axis])


def log_mean_sorted(a, axis):
    a = np.sort(a, axis=axis)
    last = np.take(a, [-1], axis=axis)
    return (last + np.log(np.sum(np.exp(a - last), axis=axis, keepdims=True)) - np.log(a.shape[axis])).squeeze(axis)


def kl_by_loops(mean, logvar):
    return [
        sum((m * m + math.exp(l) - l - 1) / 2 for m, l in zip(*rows, strict=True))
        for rows in zip(mean, logvar, strict=True)
    ]


def kl_by_quadrature(mean, logvar):
    """E_q[log q - log p] by Gauss and Hermite's rule, exact for quadratics."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    sd = np.exp(logvar / 2)
    z = mean[..., None] + sd[..., None] * nodes
    log_q = -0.5 * nodes**2 - logvar[..., None] / 2
    return np.sum((log_q + 0.5 * z**2) @ (weights / weights.sum()), axis=1)


def kl_by_scipy(mean, logvar):
    q = norm(mean, np.exp(logvar / 2))
    return np.sum(-q.entropy() + 0.5 * (LOG_2PI + q.moment(2)), axis=-1)


def kl_by_cholesky(m1, S1, m2, S2):
    L1, L2 = np.linalg.cholesky(S1), np.linalg.cholesky(S2)
    A = scipy.linalg.solve_triangular(L2, L1, lower=True)
    b = scipy.linalg.solve_triangular(L2, m2 - m1, lower=True)
    return 0.5 * (np.sum(A**2) + b @ b - len(b)) + np.sum(np.log(np.diag(L2) / np.diag(L1)))


def kl_by_eigenvalues(m1, S1, m2, S2):
    ratio = scipy.linalg.eigh(S1, S2, eigvals_only=True)
    d = m1 - m2
    return np.sum(ratio - np.log(ratio) - 1) / 2 + d @ np.linalg.inv(S2) @ d / 2


def kl_by_entropies(m1, S1, m2, S2):
    """-H(N1) - E_N1[log N2], each from scipy's Gaussian."""
    one, two = scipy.stats.multivariate_normal(m1, S1), scipy.stats.multivariate_normal(m2, S2)
    cross = two.logpdf(m1) - 0.5 * np.sum(np.linalg.inv(S2) * S1)
    return -one.entropy() - cross


def elbo_by_scipy(log_joint, mean, log_sigma, eps):
    q = norm(mean, np.exp(log_sigma))
    z = q.ppf(norm.cdf(eps))
    return log_joint(z) - q.logpdf(z).sum(axis=-1)


def elbo_by_loop(log_joint, mean, log_sigma, eps):
    out = []
    for e in eps:
        z = [m + math.exp(l) * float(a) for m, l, a in zip(mean, log_sigma, e, strict=True)]
        log_q = sum(-0.5 * math.log(2 * math.pi) - l - float(a) ** 2 / 2 for l, a in zip(log_sigma, e, strict=True))
        out.append(float(log_joint(np.array([z]))[0]) - log_q)
    return out


def elbo_by_plain_vectors(log_joint, mean, log_sigma, eps):
    """log_joint also takes one sample, shape (p,)."""
    z = [mean + np.exp(log_sigma) * e for e in eps]
    return np.array([log_joint(a) for a in z]) + 0.5 * np.sum(LOG_2PI + eps**2, axis=1) + log_sigma.sum()


def elbo_by_covariance(log_joint, mean, log_sigma, eps):
    z = mean + eps @ np.diag(np.exp(log_sigma))
    law = scipy.stats.multivariate_normal(mean, np.diag(np.exp(2 * log_sigma)))
    return log_joint(z) - np.reshape(law.logpdf(z), len(z))


def iwae_by_softmax(logw):
    """log mean w = sum_k p_k log w_k + entropy(p) - log K with p = softmax(log w)."""
    p = scipy.special.softmax(logw, axis=1)
    return np.mean(np.sum(p * logw, axis=1) + scipy.special.entr(p).sum(axis=1)) - np.log(logw.shape[1])


def toy_by_scipy(x, mean, log_sigma, eps):
    sd = np.exp(log_sigma)
    z = mean + sd * eps
    log_w = norm.logpdf(z) + norm.logpdf(x, z) - norm.logpdf(z, mean, sd)
    running = np.logaddexp.accumulate(log_w, axis=1) - np.log(np.arange(1, eps.shape[1] + 1))
    elbo = norm.logpdf(x, mean) - sd**2 / 2 - (mean**2 + sd**2 - 1 - 2 * log_sigma) / 2
    return norm.logpdf(x, 0, np.sqrt(2)) - elbo, running.mean(axis=0)


def toy_by_posterior(x, mean, log_sigma, eps):
    """log w = log p(x) + log p(z | x) - log q(z)."""
    z, log_p = mean + np.exp(log_sigma) * eps, norm.logpdf(x, scale=2**0.5)
    ratio = np.exp(norm.logpdf(z, x / 2, 0.5**0.5) - norm.logpdf(z, mean, np.exp(log_sigma)))
    means = np.cumsum(ratio, axis=1) / np.arange(1, eps.shape[1] + 1)
    gap = kl_by_eigenvalues(np.array([mean]), np.exp([[2 * log_sigma]]), np.array([x / 2]), np.array([[0.5]]))
    return [gap, list(log_p + np.log(means).mean(axis=0))]


def toy_by_quadrature(x, mean, log_sigma, eps):
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)

    def log_w(e):
        z = mean + np.exp(log_sigma) * e
        return -0.5 * (z**2 + (x - z) ** 2 + LOG_2PI) + 0.5 * e**2 + log_sigma

    gap = norm.logpdf(x, 0, 2**0.5) - log_w(nodes) @ weights / weights.sum()
    return gap, [np.mean(log_mean_by_scipy(log_w(eps[:, : k + 1]), 1)) for k in range(eps.shape[1])]


def surgery_by_loops(means, logvars, z):
    mutual, marginal = [], []
    for row in z:
        for i, point in enumerate(row):
            each = [norm.logpdf(point, m, np.exp(l / 2)).sum() for m, l in zip(means, logvars, strict=True)]
            log_q = np.log(np.mean(np.exp(each)))
            mutual.append(each[i] - log_q)
            marginal.append(log_q - norm.logpdf(point).sum())
    return np.mean(kl_by_loops(means, logvars)), np.mean(mutual), np.mean(marginal)


def surgery_by_matrices(means, logvars, z):
    """Squares multiplied out: z^2 / v - 2 z m / v + m^2 / v, two matrix products for all pairs."""
    S, n, p = z.shape
    flat, inverse = z.reshape(S * n, p), np.exp(-logvars)
    squares = flat**2 @ inverse.T - 2 * flat @ (means * inverse).T + np.sum(means**2 * inverse + logvars, axis=1)
    log_q = -0.5 * (squares + p * LOG_2PI)
    own = log_q[np.arange(S * n), np.tile(np.arange(n), S)]
    log_all = scipy.special.logsumexp(log_q, axis=1) - np.log(n)
    prior = -0.5 * np.sum(flat**2 + LOG_2PI, axis=1)
    return [kl_by_quadrature(means, logvars).mean(), (own - log_all).mean(), (log_all - prior).mean()]


def surgery_by_posterior(means, logvars, z):
    """I as log n minus the entropy of the guess i | z at the true i: p(i | z) = q(z | x_i) / sum_j q(z | x_j)."""
    log_q = norm.logpdf(z[:, :, None], means, np.exp(logvars / 2)).sum(axis=-1)
    guess = scipy.special.log_softmax(log_q, axis=-1)
    i = np.arange(len(means))
    mutual = np.log(len(means)) + guess[:, i, i].mean()
    total = (log_q[:, i, i] - norm.logpdf(z).sum(axis=-1)).mean()
    return kl_by_scipy(means, logvars).mean(), mutual, total - mutual


VARIANTS = {
    "jensen_gap": [
        gap_by_loop,
        gap_about_the_mean,
        lambda f, x, w: np.average(f(x), weights=w) - f(np.average(x, weights=w)),
    ],
    "mm_median": [
        (bound_by_loop, path_by_newton),
        (bound_by_square, path_smoothed),
        (bound_by_square, path_with_a_larger_floor),
        (lambda x, theta, psi: ((x - theta) / psi) @ (x - theta) / 2 + psi.sum() / 2, path_by_least_squares),
    ],
    "log_mean_exp": [log_mean_by_pairs, log_mean_by_scipy, log_mean_sorted],
    "kl_std_normal": [kl_by_loops, kl_by_quadrature, kl_by_scipy],
    "kl_gaussians": [kl_by_cholesky, kl_by_eigenvalues, kl_by_entropies],
    "elbo_mc": [elbo_by_scipy, elbo_by_loop, elbo_by_covariance, elbo_by_plain_vectors],
    "iwae_bound": [
        iwae_by_softmax,
        lambda logw: log_mean_by_pairs(logw, 1).mean(),
        lambda logw: float(np.mean([scipy.special.logsumexp(row) - math.log(len(row)) for row in logw])),
    ],
    "elbo_gap": [toy_by_scipy, toy_by_posterior, toy_by_quadrature],
    "elbo_surgery": [surgery_by_loops, surgery_by_matrices, surgery_by_posterior],
}


# -------------------- known misconceptions by another route --------------------


def path_without_floor(x, theta, steps):
    path = [theta]
    for _ in range(steps):
        path.append(np.average(x, weights=1 / np.abs(x - path[-1])))
    return path


def elbo_by_heads(sample_sd, density_sd):
    """Sampled with one reading of log_sigma, scored with another."""

    def wrong(log_joint, mean, log_sigma, eps):
        z = mean + sample_sd(log_sigma) * eps
        return log_joint(z) - norm.logpdf(z, mean, density_sd(log_sigma)).sum(axis=1)

    return wrong


def half_exp(l):
    return np.exp(0.5 * l)


def surgery_by_moment_match(means, logvars, z):
    v = np.exp(logvars)
    total = norm(means.mean(0), np.sqrt(v.mean(0) + means.var(0)))
    own = norm.logpdf(z, means, v**0.5).sum(-1)
    log_q = total.logpdf(z).sum(-1)
    return kl_by_scipy(means, logvars).mean(), (own - log_q).mean(), (log_q - norm.logpdf(z).sum(-1)).mean()


def weighted(step):
    """A path whose every step is step(x, |x - theta|)."""

    def path(x, theta, steps):
        out = [theta]
        for _ in range(steps):
            out.append(step(x, np.maximum(np.abs(x - out[-1]), 1e-9)))
        return out

    return path


ROUTES = {
    "jensen_gap": [
        (lambda f, x, w: f(x).mean() - f(x.mean()), "same weight"),
        (lambda f, x, w: f(w @ x / w.sum()) - w @ f(x) / w.sum(), "sign"),
        (lambda f, x, w: w @ f(x) - f(w @ x), "divide the weights"),
    ],
    "mm_median": [
        ((bound_by_loop, path_without_floor), "divided by 0"),
        ((bound_by_loop, weighted(lambda x, psi: x.sum() / len(x))), "plain mean"),
        ((bound_by_loop, weighted(lambda x, psi: np.average(x, weights=psi**-2))), "1 / psi_i^2"),
        ((lambda x, theta, psi: 2 * bound_by_loop(x, theta, psi), path_by_newton), "factor 1/2"),
        ((lambda x, theta, psi: np.linalg.norm(x - theta, 1), path_by_newton), "ignores psi"),
    ],
    "log_mean_exp": [
        (scipy.special.logsumexp, "log K is missing"),
        (lambda a, axis: np.log(np.average(np.exp(a), axis=axis)), "overflows"),
        (lambda a, axis: np.sum(a, axis=axis) / a.shape[axis], "mean of the logs"),
        (lambda a, axis: scipy.special.logsumexp(a, axis=axis) - np.log(a.size), "number of all entries"),
    ],
    "kl_std_normal": [
        (lambda m, l: kl_by_scipy(m, 2 * l), "log sigma"),
        (lambda m, l: kl_by_scipy(m, l) / m.shape[1], "averaged over the dimensions"),
        (lambda m, l: np.mean(kl_by_scipy(m, l)), "averaged over the rows"),
        (lambda m, l: kl_by_scipy(m * np.exp(-l / 2), -l), "other direction"),  # in one dimension at a time
    ],
    "kl_gaussians": [
        (lambda m1, S1, m2, S2: kl_by_cholesky(m2, S2, m1, S1), "other direction"),
        (lambda m1, S1, m2, S2: kl_by_cholesky(m1, S1, m2, S2) + len(m1) / 2, "-p is missing"),
        (lambda m1, S1, m2, S2: kl_by_cholesky(m1, S1, m1, S2), "term with the means"),
    ],
    "elbo_mc": [
        (elbo_by_heads(np.exp, half_exp), "Mixed heads: you sample with sigma = exp(log_sigma),"),
        (elbo_by_heads(half_exp, np.exp), "Mixed heads: you sample with sigma = exp(log_sigma / 2)"),
        (elbo_by_heads(half_exp, half_exp), "without the 1/2"),
        (lambda f, m, l, e: elbo_by_loop(f, m, l, np.repeat(e[:1], len(e), axis=0)), "One eps for all"),
        (lambda f, m, l, e: f(m + np.exp(l) * e) - norm.logpdf(e).sum(axis=1), "lacks - log sigma"),
        (lambda f, m, l, e: f(m + np.exp(l) * e) + norm(0, np.exp(l)).entropy().sum() + 0 * e[:, 0], "exact entropy"),
    ],
    "iwae_bound": [
        (lambda logw: logw.sum() / logw.size, "averaged the logs"),
        (lambda logw: scipy.special.logsumexp(logw, axis=1).mean(), "log K is missing"),
        (lambda logw: scipy.special.logsumexp(logw) - np.log(logw.size), "inside the log too"),
    ],
    "elbo_gap": [
        (lambda x, m, l, e: (toy_by_scipy(x, m, l, e)[0], np.full(e.shape[1], toy_by_scipy(x, m, l, e)[1][0])),
         "reused one draw"),
        (lambda x, m, l, e: (norm.logpdf(x, 0, 2**0.5) - toy_by_scipy(x, m, l, e)[0], toy_by_scipy(x, m, l, e)[1]),
         "returned the ELBO"),
        (lambda x, m, l, e: (toy_by_scipy(x, m, l, e)[0], toy_by_scipy(x, m, l, e)[1] + np.log(range(1, len(e.T) + 1))),
         "log k is missing"),
    ],
    "elbo_surgery": [
        (surgery_by_moment_match, "single Gaussian"),
        (lambda m, l, z: surgery_by_matrices(m, 2 * l, z), "variance is exp(logvars)"),
    ],
}  # fmt: skip

HOSTILE = {
    "jensen_gap": [lambda f, x, w: 0.0, lambda f, x, w: np.var(f(x)) / 2],
    "mm_median": [(lambda x, theta, psi: np.sum(np.abs(x - theta)), lambda x, theta, steps: np.linspace(
        theta, np.median(x), steps + 1))],
    "elbo_mc": [  # constant at the posterior, but without a sample, and with one sample for all
        lambda f, m, l, e: f(m + 0 * e) + np.sum(0.5 * LOG_2PI + l),
        lambda f, m, l, e: np.repeat(elbo_by_plain_vectors(f, m, l, e[:1]), len(e)),
        lambda f, m, l, e: np.full(len(e), elbo_by_plain_vectors(f, m, l, e).mean() + 1e-3),
    ],
    "iwae_bound": [lambda logw: np.mean(logw), lambda logw: np.mean(logw[:, 0]), lambda logw: np.max(logw)],
    "elbo_gap": [lambda x, m, l, e: (1.1534264, np.linspace(-3.41894, -2.26551, e.shape[1]))],
}  # fmt: skip

ANY_SHIFT = "the same shift in one more way: log-mean-exp takes out any m that is near the largest entry"

EQUIVALENT = {
    "iwae_bound": {"0 - 1 in `0`": "m has one column, so m[:, -1] is m[:, 0]"},
    "elbo_surgery": {"1 + 1 in `1`": ANY_SHIFT, "minus dropped in `-1`": ANY_SHIFT},
}
