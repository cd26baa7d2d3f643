"""What the checks of part 7 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  RUNS, SYMPTOMS: other trainings, good and bad.  ROUTES: a known
misconception coded differently, with a piece of the sentence that must name it.  HOSTILE: answers without the idea,
which earn nothing.  EQUIVALENT: surviving mutants, by exercise, with the reason.
"""

import math
from fractions import Fraction

import autograd.numpy as np
import numpy as onp
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
from autograd import elementwise_grad, grad

from enm5310 import nets, optimize, vae
from enm5310.datasets import load_digits

# -------------------- right answers by other algorithms --------------------


def pixels_by_hinge(x, logits):
    return -np.sum(np.maximum(logits, 0) - x * logits + np.log1p(np.exp(-np.abs(logits))), axis=1)


def pixels_by_scipy(x, logits):
    return np.sum(x * scipy.special.log_expit(logits) + (1 - x) * scipy.special.log_expit(-logits), axis=1)


def pixels_in_loops(x, logits):
    out = []
    for row, ls in zip(x, logits, strict=True):
        total = 0.0
        for a, l in zip(row, ls, strict=True):
            total += a * min(l, 0) - (1 - a) * max(l, 0) - math.log1p(math.exp(-abs(l)))
        out.append(total)
    return out


def pixels_as_two_classes(x, logits):
    """The logarithm of a softmax over the two colours of each pixel."""
    scores = scipy.special.log_softmax(np.stack([np.zeros_like(logits), logits]), axis=0)
    return np.einsum("cnp,cnp->n", np.stack([1 - x, x]), scores)


def gauss_by_scipy(x, mean, logvar):
    return scipy.stats.norm.logpdf(x, mean, np.exp(logvar / 2)).sum(axis=1)


def gauss_by_matrices(x, mean, logvar):
    return [scipy.stats.multivariate_normal(m, np.diag(np.exp(s))).logpdf(a)
            for a, m, s in zip(x, mean, logvar, strict=True)]  # fmt: skip


def gauss_by_standardising(x, mean, logvar):
    """The density of e = (x - mean) / sigma, and the Jacobian."""
    e = (x - mean) * np.exp(-logvar / 2)
    return -0.5 * np.einsum("nd,nd->n", e, e) - logvar.sum(axis=1) / 2 - x.shape[1] * math.log(math.sqrt(2 * math.pi))


def variance_by_search(x, mean):
    def loss(log_v):
        return -gauss_by_scipy(x, mean, np.full_like(x, log_v)).sum()

    return np.exp(scipy.optimize.minimize_scalar(loss, bracket=(-3, 3), tol=1e-10).x)


def variance_by_norm(x, mean):
    return np.linalg.norm(x - mean) ** 2 / x.size


def variance_in_a_loop(x, mean):
    total, count = 0.0, 0
    for row, m in zip(x, mean, strict=True):
        for a, b in zip(row, m, strict=True):
            total, count = total + float(a - b) ** 2, count + 1
    return total / count


def constant_by_integration(lam):
    return [-math.log(scipy.integrate.quad(lambda x, a=a: a**x * (1 - a) ** (1 - x), 0, 1, epsabs=1e-13)[0])
            for a in lam.tolist()]  # fmt: skip


def constant_by_log1p(lam):
    """log C = log(log1p(r) / r) + ..., with lambda / (1 - lambda) = 1 + r."""
    r = (2 * lam - 1) / (1 - lam)
    safe = np.where(r == 0, 1.0, r)
    mean_slope = np.where(r == 0, 1.0, np.log1p(safe) / safe)
    return np.log(mean_slope) - np.log1p(-lam)


def constant_by_the_logit(lam):
    """-log of sinh(l/2)/(l/2), plus log 2 cosh(l/2), by the entire series of sinh where l is small."""
    l = np.log(lam) - np.log1p(-lam)
    series = sum((l / 2) ** (2 * m) / math.factorial(2 * m + 1) for m in range(12))
    return np.log(2 * np.cosh(l / 2)) - np.log(series)


def constant_by_limits(lam):
    """Off the middle by a millionth: the constant is even and flat there."""
    t = np.maximum(np.abs(1 - 2 * lam), 1e-5)
    return np.log((np.log1p(t) - np.log1p(-t)) / t)


def _network(layers, X):
    return nets.apply(layers, X)


def elbo_by_the_library(params, x, eps):
    return tuple(vae.elbo(params, x, eps))


def elbo_by_densities(params, x, eps):
    """The KL as the closed form for two Gaussians, the pixels by scipy's Bernoulli law."""
    mean, logvar = onp.split(_network(params[0], x), 2, axis=1)
    sigma = onp.exp(logvar) ** 0.5
    p = scipy.special.expit(_network(params[1], mean + eps * sigma))
    rec = scipy.stats.bernoulli.logpmf(x, p).sum(axis=1)
    kl = onp.sum(-onp.log(sigma) + (sigma**2 + mean**2) / 2 - 0.5, axis=1)
    return rec - kl, rec, kl


def elbo_image_by_image(params, x, eps):
    k, rows = len(eps[0]), []
    for one, e in zip(x, eps, strict=True):
        out = _network(params[0], one)
        z = np.array([out[j] + math.exp(0.5 * out[k + j]) * e[j] for j in range(k)])
        rec = sum(-math.log1p(math.exp(-l if a else l)) for a, l in zip(one, _network(params[1], z), strict=True))
        kl = sum(out[j] ** 2 + math.exp(out[k + j]) - 1 - out[k + j] for j in range(k)) / 2
        rows.append((rec - kl, rec, kl))
    return np.transpose(rows)


def kl_by_quadrature(mean, logvar):
    """E_q[log q - log p] on Gauss-Hermite nodes, exact for these quadratics."""
    e, w = scipy.special.roots_hermitenorm(8)
    z = mean[..., None] + onp.exp(logvar / 2)[..., None] * e
    return ((z**2 - e**2 - logvar[..., None]) / 2 @ w / w.sum()).sum(axis=1)


def elbo_with_kl_by_quadrature(params, x, eps):
    _, rec, _ = elbo_by_densities(params, x, eps)
    mean, logvar = onp.split(_network(params[0], x), 2, axis=1)
    return rec - kl_by_quadrature(mean, logvar), rec, kl_by_quadrature(mean, logvar)


def encoder_by_conditioning(W, s2):
    """The joint covariance of (z, x), cut."""
    p, q = W.shape
    J = np.block([[np.eye(q), W.T], [W, W @ W.T + s2 * np.eye(p)]])
    P = np.linalg.inv(J)
    return -np.linalg.solve(P[:q, :q], P[:q, q:]), 1 / np.diag(P[:q, :q])


def encoder_by_svd(W, s2):
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    d = [s2 / (s2 + w @ w) for w in W.T]
    return Vt.T @ np.diag(s / (s**2 + s2)) @ U.T, d


def encoder_by_ridge(W, s2):
    """z minimises |x - W z|^2 + s2 |z|^2: least squares with q more rows."""
    p, q = W.shape
    A = np.vstack([W, np.sqrt(s2) * np.eye(q)])
    return np.linalg.pinv(A)[:, :p], [1 / (1 + sum(W[:, j] ** 2) / s2) for j in range(q)]


def gap_by_divergence(W, s2):
    """KL(N(0, diag d) || N(0, S)), in full."""
    S = s2 * np.linalg.inv(W.T @ W + s2 * np.eye(W.shape[1]))
    D = np.diag(1 / np.diag(np.linalg.inv(S)))
    return 0.5 * (np.trace(np.linalg.solve(S, D)) - len(D) + np.log(np.linalg.det(S) / np.linalg.det(D)))


def gap_by_cholesky(W, s2):
    """M = L L': |M| = prod L_jj^2, and M_jj is the squared length of L's row j."""
    L = scipy.linalg.cholesky(W.T @ W + s2 * np.eye(W.shape[1]), lower=True)
    return float(np.sum(np.log(np.linalg.norm(L, axis=1) / np.diag(L))))


def gap_by_correlation(W, s2):
    """-1/2 log of the determinant of M with ones on its diagonal."""
    M = W.T @ W + s2 * np.eye(W.shape[1])
    r = np.sqrt(np.diag(M))
    return -0.5 * np.sum(np.log(scipy.linalg.eigvalsh(M / np.outer(r, r))))


def average_elbo(params, x, eps):
    return np.mean(vae.elbo(params, x, eps).elbo)


def gradient_by_autograd(params, x, eps):
    return grad(average_elbo)(params, x, eps)


def gradient_by_differences(params, x, eps):
    flat, h = nets.flatten(params), 1e-5

    def at(v):
        return float(average_elbo(nets.unflatten(v, params), x, eps))

    steps = h * np.eye(len(flat))
    return nets.unflatten(np.array([(at(flat + e) - at(flat - e)) / (2 * h) for e in steps]), params)


def gradient_image_by_image(params, x, eps):
    parts = [vae.by_hand(params, x[i : i + 1], eps[i : i + 1])[1] for i in range(len(x))]
    return nets.tree_map(lambda *g: sum(g) / len(g), *parts)


def gradient_in_pieces(params, x, eps):
    """autograd layer by layer: the decoder at a fixed z, then the encoder with dz handed in."""
    mean, logvar = onp.split(nets.apply(params[0], x), 2, axis=1)
    z = mean + onp.exp(logvar / 2) * eps

    def rec(decoder, z):
        return np.sum(vae.bernoulli.log_p(x, nets.apply(decoder, z))) / len(x)

    d_decoder, dz = grad(rec, 0)(params[1], z), grad(rec, 1)(params[1], z)

    def through(encoder):
        out, k = nets.apply(encoder, x), eps.shape[1]
        m, s = out[:, :k], out[:, k:]
        kl = 0.5 * np.sum(m**2 + np.exp(s) - 1 - s) / len(x)
        return np.sum(dz * (m + np.exp(s / 2) * eps)) - kl

    return grad(through)(params[0]), d_decoder


def batch_by_the_library(params, x, eps, beta):
    return np.mean(vae.elbo(params, x, eps, beta=beta).elbo)


def batch_by_densities(params, x, eps, beta):
    _, rec, kl = elbo_by_densities(params, x, eps)
    return rec.mean() - beta * kl.mean()


def batch_image_by_image(params, x, eps, beta):
    _, rec, kl = elbo_image_by_image(params, x, eps)
    return sum(r - beta * k for r, k in zip(rec, kl, strict=True)) / len(x)


def step_by_hand(params, x, eps, beta, lr):
    return nets.tree_map(lambda a, g: a + lr * g, params, vae.by_hand(params, x, eps, beta=beta)[1])


def step_by_the_optimiser(params, x, eps, beta, lr):
    downhill = nets.tree_map(lambda g: -g, vae.after(params, x, eps, beta=beta)[1])
    return optimize.sgd(params, downhill, lr=lr)[0]


def step_by_differences(params, x, eps, beta, lr):
    flat, h = nets.flatten(params), 1e-5

    def at(v):
        return float(batch_by_the_library(nets.unflatten(v, params), x, eps, beta))

    slope = np.array([(at(flat + e) - at(flat - e)) / (2 * h) for e in h * np.eye(len(flat))])
    return nets.unflatten(flat + lr * slope, params)


def beta_by_fractions(red_rec, red_kl, D, K):
    return float(Fraction(D if red_rec == "mean" else 1, K if red_kl == "mean" else 1))


def beta_by_table(red_rec, red_kl, D, K):
    return {("sum", "sum"): 1, ("mean", "sum"): D, ("sum", "mean"): 1 / K, ("mean", "mean"): D / K}[red_rec, red_kl]


def beta_by_differences(red_rec, red_kl, D, K):
    """How much the reduced loss moves when one entry of the KL, and one of rec, grows by 1."""
    rec, kl = getattr(onp, red_rec), getattr(onp, red_kl)
    return kl(onp.eye(K)[0]) / rec(onp.eye(D)[0])


def weight_by_logarithms(beta, *how):
    return math.exp(math.log(beta) - math.log(beta_by_table(*how)))


def weight_by_root_finding(beta, *how):
    return scipy.optimize.brentq(lambda w: w * beta_by_table(*how) / beta - 1, 0, 1e7, xtol=1e-14, rtol=1e-12)


def weight_by_terms(beta, red_rec, red_kl, D, K):
    return beta * (K if red_kl == "mean" else 1) / (D if red_rec == "mean" else 1)


def active_by_sorting(mean):
    centred = mean - mean.mean(axis=0)
    return [float(column @ column) / len(column) > 0.01 for column in centred.T]


def active_by_moments(mean):
    return np.mean(mean**2, axis=0) - np.mean(mean, axis=0) ** 2 >= 0.01


def active_by_pairs(mean):
    """Half of the mean squared difference of two images."""
    return np.mean((mean[:, None] - mean[None]) ** 2, axis=(0, 1)) / 2 > 0.01


def _log_weights(rec, z, mean, logvar):
    return (rec + scipy.stats.norm.logpdf(z).sum(axis=-1)
            - scipy.stats.norm.logpdf(z, mean, np.exp(logvar / 2)).sum(axis=-1))  # fmt: skip


def iwae_by_scipy(rec, z, mean, logvar):
    return scipy.special.logsumexp(_log_weights(rec, z, mean, logvar), axis=0, b=1 / len(rec))


def iwae_draw_by_draw(rec, z, mean, logvar):
    total = np.full(len(mean), -np.inf)
    for log_w in _log_weights(rec, z, mean, logvar):
        total = np.logaddexp(total, log_w)
    return total - np.log(len(rec))


def iwae_above_the_average(rec, z, mean, logvar):
    """Any shift will do; here the mean log-weight, so the answer is the ELBO plus a gap."""
    log_w = _log_weights(rec, z, mean, logvar)
    elbo = log_w.mean(axis=0)
    return elbo + np.log(np.mean(np.exp(log_w - elbo), axis=0))


VARIANTS = {
    "bernoulli_loglik": [pixels_by_hinge, pixels_by_scipy, pixels_in_loops, pixels_as_two_classes],
    "gaussian": [
        (gauss_by_scipy, variance_by_search),
        (gauss_by_matrices, variance_by_norm),
        (gauss_by_standardising, variance_in_a_loop),
    ],
    "continuous_bernoulli": [
        constant_by_integration, constant_by_log1p, constant_by_the_logit, constant_by_limits,
    ],
    "vae_elbo": [elbo_by_the_library, elbo_by_densities, elbo_image_by_image, elbo_with_kl_by_quadrature],
    "linear_vae": [
        (encoder_by_conditioning, gap_by_divergence),
        (encoder_by_svd, gap_by_cholesky),
        (encoder_by_ridge, gap_by_correlation),
    ],
    "vae_gradient": [
        gradient_by_autograd, gradient_by_differences, gradient_image_by_image, gradient_in_pieces,
    ],
    "training": [
        (batch_by_the_library, step_by_hand),
        (batch_by_densities, step_by_the_optimiser),
        (batch_image_by_image, step_by_differences),
    ],
    "clinic": [
        (beta_by_fractions, weight_by_logarithms),
        (beta_by_table, weight_by_root_finding),
        (beta_by_differences, weight_by_terms),
    ],
    "evaluation": [
        (active_by_sorting, iwae_by_scipy, lambda log_p, D: -np.log2(np.e) * log_p / D),
        (active_by_moments, iwae_draw_by_draw, lambda log_p, D: [-a / D / math.log(2) for a in log_p.tolist()]),
        (active_by_pairs, iwae_above_the_average, lambda log_p, D: -log_p / math.log(2**D)),
    ],
}  # fmt: skip


# -------------------- other trainings, good and bad --------------------


def relu_by_the_library(X, seed):
    """ReLU units in float32, by the library's own training, beta as it is from the start."""
    rng = np.random.default_rng(seed)
    run = vae.fit(vae.init(64, [48], 2, rng, np.float32), X, rng, epochs=150, lr=0.003, activation=nets.relu)
    return *run.params, "relu"


RUNS = {"training": [relu_by_the_library]}


def independent(X, seed):
    """No hidden layer, no code: every pixel by itself."""
    grey = X.mean(axis=0).clip(1e-3, 1 - 1e-3)
    return ([(np.zeros((64, 4)), np.zeros(4))], [(np.zeros((2, 64)), np.log(grey) - np.log(1 - grey))], "tanh")


def diverged(X, seed):
    """Steps that were too large: the variance of every code has run away, and the decoder looks at none."""
    _, decoder, activation = independent(X, seed)
    return [(np.zeros((64, 4)), np.array([0.0, 0.0, 9.0, 9.0]))], decoder, activation


def untrained(X, seed):
    rng = np.random.default_rng(seed)
    return *vae.init(64, [32], 2, rng), "tanh"


def stopped_early(X, seed):
    rng = np.random.default_rng(seed)
    run = vae.fit(vae.init(64, [64], 2, rng), X, rng, epochs=4, lr=0.01)
    return *run.params, "tanh"


def without_a_price(X, seed):
    """beta = 0: an auto-encoder whose codes lie far out and are exact."""
    rng = np.random.default_rng(seed)
    run = vae.fit(vae.init(64, [64], 2, rng), X, rng, epochs=40, lr=0.01, beta=0.0)
    return *run.params, "tanh"


def one_latent(X, seed):
    """The second latent stays at the prior and the decoder does not look at it."""
    rng = np.random.default_rng(seed)
    run = vae.fit(vae.init(64, [64], 1, rng), X, rng, epochs=60, lr=0.01)
    (*first, (W, b)), ((V, c), *last) = run.params
    zero = np.zeros((len(W), 1))
    encoder = [*first, (np.hstack([W[:, :1], zero, W[:, 1:], zero]), np.array([b[0], 0, b[1], 0]))]
    return encoder, [(np.vstack([V, np.zeros((1, V.shape[1]))]), c), *last], "tanh"


def stored(X, seed):
    """Weights that suit the digits as they are."""
    return stopped_early(np.where(load_digits().data[:1500] > 8, 1.0, 0.0), seed)


def overflowing(X, seed):
    encoder, decoder, _ = untrained(X, seed)
    return [(1e200 * W, b) for W, b in encoder], [(1e200 * W, b) for W, b in decoder], "relu"


SYMPTOMS = {
    "training": [
        (independent, "the posterior has collapsed"),
        (diverged, "the training diverged"),
        (untrained, "nothing was learned yet"),
        (stopped_early, "train longer"),
        (without_a_price, "is beta = 1 at the end"),
        (one_latent, "one latent has collapsed"),
        (stored, "want above -22.5"),
        (overflowing, "overflow"),
        (lambda X, seed: (*untrained(X, seed)[:2], "swish"), "'swish' is not known"),
        (lambda X, seed: untrained(X, seed)[:2], "expected a tuple of 3: encoder, decoder, activation"),
        (lambda X, seed: (untrained(X, seed)[1], *untrained(X, seed)[1:]), "expected"),
        (lambda X, seed: ([(W * np.nan, b) for W, b in untrained(X, seed)[0]], *untrained(X, seed)[1:]), "NaN"),
    ],
}


# -------------------- known misconceptions by another route --------------------


def pixels_clipped(x, logits):
    p = np.minimum(np.maximum(scipy.special.expit(logits), 1e-7), 1 - 1e-7)
    return np.sum(np.where(x == 1, np.log(p), x * np.log(p) + (1 - x) * np.log(1 - p)), axis=1)


def half_over_the_pixels(x, logits):
    return -np.mean(scipy.special.softplus(logits) - x * logits, axis=1)


def gauss_with_constant_per_element(x, mean, logvar):
    D = x.shape[1]
    log_density = -0.5 * D * np.log(2 * np.pi) - 0.5 * logvar - 0.5 * (x - mean) ** 2 * np.exp(-logvar)
    return log_density.sum(-1)


def constant_in_logits(lam):
    with np.errstate(all="ignore"):
        l = np.log(lam) - np.log(1 - lam)
        return np.log(l / (2 * lam - 1))


def elbo_with_log_sigma_heads(params, x, eps):
    k = eps.shape[1]
    out = nets.apply(params[0], x)
    mean, log_sigma = out[:, :k], out[:, k:]
    rec = vae.bernoulli.log_p(x, nets.apply(params[1], mean + np.exp(log_sigma) * eps))
    kl = -np.sum(0.5 + log_sigma - 0.5 * (np.exp(log_sigma) ** 2 + mean**2), axis=1)
    return rec - kl, rec, kl


def elbo_of_the_laboratory(params, x, eps):
    """Samples with sigma = e^head, charges for the variance e^head."""
    k = eps.shape[1]
    out = nets.apply(params[0], x)
    rec = vae.bernoulli.log_p(x, nets.apply(params[1], out[:, :k] + np.exp(out[:, k:]) * eps))
    kl = vae.kl_standard_normal(out[:, :k], out[:, k:])
    return rec - kl, rec, kl


def encoder_with_marginal_variances(W, s2):
    p, q = W.shape
    J = np.block([[np.eye(q), W.T], [W, W @ W.T + s2 * np.eye(p)]])
    S = np.linalg.inv(np.linalg.inv(J)[:q, :q])
    return encoder_by_conditioning(W, s2)[0], np.diag(S)


def gradient_without_the_path_in_sigma(params, x, eps):
    """autograd told that sigma does not depend on the head where it meets the noise."""
    _, logvar = onp.split(nets.apply(params[0], x), 2, axis=1)
    fixed = onp.exp(logvar / 2) * eps

    def average(params):
        out, k = nets.apply(params[0], x), eps.shape[1]
        m, s = out[:, :k], out[:, k:]
        rec = vae.bernoulli.log_p(x, nets.apply(params[1], m + fixed))
        return np.mean(rec - 0.5 * np.sum(m**2 + np.exp(s) - 1 - s, axis=1))

    return grad(average)(params)


def iwae_as_an_average(rec, z, mean, logvar):
    return sum(_log_weights(rec, z, mean, logvar)) / len(rec)


ROUTES = {
    "bernoulli_loglik": [(pixels_clipped, "You clipped"), (half_over_the_pixels, "averaged over the pixels")],
    "gaussian": [
        ((gauss_with_constant_per_element, variance_by_norm), "D^2 times in all"),
        ((gauss_by_scipy, lambda x, mean: np.linalg.norm(x - mean) / np.sqrt(x.size)), "This is sigma"),
    ],
    "continuous_bernoulli": [
        (constant_in_logits, "0/0"),
        (lambda lam: -np.array(constant_by_integration(lam)), "sign is flipped"),
    ],
    "vae_elbo": [
        (elbo_with_log_sigma_heads, "log sigma in both places"),
        (elbo_of_the_laboratory, "two readings"),
    ],
    "linear_vae": [((encoder_with_marginal_variances, gap_by_divergence), "diagonal of the posterior *covariance*")],
    "vae_gradient": [
        (gradient_without_the_path_in_sigma, "path through eps"),
        (lambda *args: nets.tree_map(lambda g: -g, gradient_in_pieces(*args)), "gradient of the loss"),
    ],
    "training": [
        ((lambda params, x, eps, beta: batch_by_densities(params, x, eps, 1.0), step_by_hand), "left beta out"),
        ((batch_by_the_library, lambda params, x, eps, beta, lr: optimize.sgd(
            params, vae.after(params, x, eps, beta=beta)[1], lr=lr)[0]), "went downhill"),
    ],
    "clinic": [
        ((lambda *how: 1 / beta_by_fractions(*how), weight_by_terms), "This is 1/beta"),
        ((beta_by_differences, lambda beta, *how: beta * beta_by_table(*how)), "multiplied by the implied"),
    ],
    "evaluation": [
        ((active_by_pairs, iwae_as_an_average, lambda log_p, D: -log_p / D / math.log(2)), "averaged the log-weights"),
    ],
}  # fmt: skip


TOLD = {
    "linear_vae": [((encoder_by_svd, lambda W, s2: -1.0), "never negative")],
    "gaussian": [((gauss_by_scipy, lambda x, mean: -1.0), "a variance is positive")],
}


def from_the_prior(params, x, eps):
    rec = vae.bernoulli.log_p(x, nets.apply(params[1], eps))
    return rec, rec, np.zeros(len(x))


def slope_of_the_pixels(x, logits):
    return np.sum(elementwise_grad(pixels_by_hinge, 1)(x, logits), axis=1)


HOSTILE = {
    "bernoulli_loglik": [slope_of_the_pixels, lambda x, logits: -np.sum(np.abs(x - (logits > 0)), axis=1)],
    "gaussian": [(lambda x, mean, logvar: -np.sum((x - mean) ** 2, axis=1), lambda x, mean: 0.5)],
    "continuous_bernoulli": [lambda lam: np.log(2) + 0 * lam],
    "vae_elbo": [from_the_prior],
    "linear_vae": [(lambda W, s2: (W.T, np.ones(W.shape[1])), lambda W, s2: 0.0),
                   (lambda W, s2: (np.linalg.pinv(W), np.full(W.shape[1], s2)), lambda W, s2: 0.6808369)],
    "vae_gradient": [lambda params, x, eps: params],
    "training": [(lambda params, x, eps, beta: -24.5, lambda params, x, eps, beta, lr: params)],
    "clinic": [(lambda *how: 3.92, lambda *how: 0.2551), (lambda *how: 1.0, lambda beta, *how: beta)],
    "evaluation": [(lambda mean: np.ones(mean.shape[1]), lambda rec, *rest: rec.max(axis=0),
                    lambda log_p, D: -log_p / 784 / np.log(2))],
}  # fmt: skip

EQUIVALENT = {
    "continuous_bernoulli": {
        "comparison in `np.abs(t) < 1e-06`": "at |t| = 1e-6 both branches give the same constant",
    },
    "evaluation": {
        "comparison in `np.var(mean, axis=0) > 0.01`": "no variance is 0.01 to the last digit",
    },
}
