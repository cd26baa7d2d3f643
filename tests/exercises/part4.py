"""What the checks of part 4 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  ROUTES: a known misconception coded differently, with a piece of the
sentence that must name it.  HOSTILE: answers without the idea, which earn nothing.  EQUIVALENT: surviving mutants, by
exercise, with the reason.
"""

import math

import autograd.numpy as np
import autograd.scipy.stats as autograd_stats
import scipy.integrate
import scipy.special
import scipy.stats
from autograd import elementwise_grad, grad, jacobian
from numpy.polynomial import Polynomial

# -------------------- right answers by other algorithms --------------------


def laplace_by_sign(u):
    return -np.sign(u - 0.5) * np.log1p(-2 * np.abs(u - 0.5))


ONE_LINERS = [
    (  # 1 - u, the other branch of the tangent, forms that keep small numbers
        lambda u, rate: -np.log(u) / rate,
        lambda u: 2 * np.arctanh(2 * u - 1),
        lambda u: -np.log(-np.log1p(-u)),
        laplace_by_sign,
        lambda u: np.tan(np.pi * u),
    ),
    (
        lambda u, rate: scipy.stats.expon.ppf(u, scale=1 / rate),
        scipy.stats.logistic.ppf,
        scipy.stats.gumbel_r.ppf,
        scipy.stats.laplace.isf,
        scipy.stats.cauchy.isf,
    ),
    (  # one number at a time
        lambda u, rate: [-math.log1p(-float(x)) / rate for x in u],
        lambda u: [-math.log(1 / float(x) - 1) for x in u],
        lambda u: [-math.log(math.log(1 / float(x))) for x in u],
        lambda u: [math.log(2 * float(x)) if x < 0.5 else -math.log(2 * (1 - float(x))) for x in u],
        lambda u: [-1 / math.tan(math.pi * float(x)) for x in u],
    ),
]


def pair_as_complex_number(u, v):
    z = np.sqrt(-2 * np.log(u)) * np.exp(2j * np.pi * v)
    return z.imag, z.real


def pair_by_chi_squared(u, v):
    r = np.sqrt(scipy.stats.chi2(2).ppf(u))
    return r * np.cos(np.pi * (2 * v - 1)), -r * np.sin(2 * np.pi * v)


def pair_in_loops(u, v):
    pairs = [(math.sqrt(2 * math.log(1 / a)), math.tau * b) for a, b in zip(u, v, strict=True)]
    return [r * math.cos(turn) for r, turn in pairs], [r * math.sin(turn) for r, turn in pairs]


def density_by_the_slope_of_the_inverse(log_p, g, inverse, z):
    return log_p(inverse(z)) + np.log(np.abs(elementwise_grad(inverse)(z)))


def density_by_differences(log_p, g, inverse, z):
    h = 1e-5
    slope = (g(inverse(z) + h) - g(inverse(z) - h)) / (2 * h)
    return np.log(np.exp(log_p(inverse(z))) / np.abs(slope))


def density_by_a_jacobian_matrix(log_p, g, inverse, z):
    return log_p(inverse(z)) + np.log(np.abs(np.diag(jacobian(inverse)(z))))


def normals_in_loops(mu, L, eps):
    p = len(mu)
    return [[float(mu[i] + sum(L[i, j] * e[j] for j in range(p))) for i in range(p)] for e in eps]


def _log_normal(z, mu, log_sigma):
    return autograd_stats.norm.logpdf(z, mu, np.exp(log_sigma))


def path_by_copies(f, mu, log_sigma, eps):
    """One copy of theta per sample: a single backward pass gives every row."""
    theta = np.tile(np.array([mu, log_sigma]), (len(eps), 1))
    return grad(lambda theta: np.sum(f(theta[:, 0] + np.exp(theta[:, 1]) * eps)))(theta)


def path_sample_by_sample(f, mu, log_sigma, eps):
    gradients = [grad(lambda theta, e=e: f(theta[0] + np.exp(theta[1]) * e)) for e in eps]
    return [gradient(np.array([mu, log_sigma])) for gradient in gradients]


def path_by_differences(f, mu, log_sigma, eps):
    h = 1e-5
    by_mu = f(mu + h + np.exp(log_sigma) * eps) - f(mu - h + np.exp(log_sigma) * eps)
    by_log_sigma = f(mu + np.exp(log_sigma + h) * eps) - f(mu + np.exp(log_sigma - h) * eps)
    return np.stack([by_mu, by_log_sigma], axis=1) / (2 * h)


def score_by_copies(f, mu, log_sigma, eps, baseline):
    theta, z = np.tile(np.array([mu, log_sigma]), (len(eps), 1)), mu + np.exp(log_sigma) * eps
    score = grad(lambda theta: np.sum(_log_normal(z, theta[:, 0], theta[:, 1])))(theta)
    return (f(z) - baseline)[:, None] * score


def score_by_differences(f, mu, log_sigma, eps, baseline):
    h, z = 1e-5, mu + np.exp(log_sigma) * eps
    by_mu = _log_normal(z, mu + h, log_sigma) - _log_normal(z, mu - h, log_sigma)
    by_log_sigma = _log_normal(z, mu, log_sigma + h) - _log_normal(z, mu, log_sigma - h)
    return np.transpose((f(z) - baseline) * np.stack([by_mu, by_log_sigma]) / (2 * h))


def score_in_loops(f, mu, log_sigma, eps, baseline):
    sigma = math.exp(log_sigma)
    rows = []
    for e in eps:
        z = mu + sigma * float(e)
        signal = float(f(np.array([z]))[0]) - baseline
        rows.append([signal * (z - mu) / sigma**2, signal * ((z - mu) ** 2 / sigma**2 - 1)])
    return rows


def _rows(eps, mu, sigma, k):
    z = mu + sigma * eps
    f, df = (z - k) ** 2, 2 * (z - k)
    return [df, df * eps, f * eps / sigma, f * (eps**2 - 1) / sigma]


def variances_by_quadrature(mu, sigma, k):
    x, w = scipy.special.roots_hermitenorm(20)
    rows = np.array(_rows(x, mu, sigma, k))
    w = w / w.sum()
    return rows**2 @ w - (rows @ w) ** 2


def variances_by_integration(mu, sigma, k):
    """On an even grid: the trapezoidal rule is exact to rounding for smooth integrands that vanish at both ends."""
    eps = np.linspace(-14, 14, 4001)
    weights = scipy.stats.norm.pdf(eps) * (eps[1] - eps[0])
    return [float(np.sum(weights * (row - np.sum(weights * row)) ** 2)) for row in _rows(eps, mu, sigma, k)]


def variances_by_moments(mu, sigma, k):
    """Rows as polynomials in eps, squared, and every power replaced by its moment (n - 1)!!."""
    eps = Polynomial([0, 1])
    z = mu - k + sigma * eps

    def mean(poly):
        even = list(enumerate(poly.coef))[2::2]  # odd powers have mean 0
        return poly.coef[0] + sum(c * scipy.special.factorial2(n - 1) for n, c in even)

    rows = [2 * z, 2 * z * eps, z**2 * eps / sigma, z**2 * (eps**2 - 1) / sigma]
    return tuple(mean(row**2) - mean(row) ** 2 for row in rows)


def baseline_by_quadrature(mu, sigma, k):
    x, w = scipy.special.roots_hermitenorm(20)
    return np.sum(w * (mu + sigma * x - k) ** 2 * x**2) / np.sum(w * x**2)


def baseline_by_parabola(mu, sigma, k):
    """The variance is a parabola in b: three of its values give its lowest point."""
    x, w = scipy.special.roots_hermitenorm(20)
    b = np.array([-5.0, 0.0, 5.0])
    mean_square = ((mu + sigma * x - k) ** 2 - b[:, None]) ** 2 * x**2 @ w
    second, first, _ = np.polyfit(b, mean_square, 2)
    return -first / (2 * second)


def baseline_by_regression(mu, sigma, k):
    """The slope of f s on s, both weighed by the density: the least-squares control variate."""
    eps = np.linspace(-12, 12, 3001)
    s, root = eps / sigma, np.sqrt(scipy.stats.norm.pdf(eps))
    return np.linalg.lstsq((root * s)[:, None], root * s * (mu + sigma * eps - k) ** 2, rcond=None)[0].item()


def law_by_chi_squared(D, sigma):
    return 4 * sigma**2, sigma**2 * scipy.stats.chi2(D).moment(3) / D


def law_by_one_and_the_rest(D, sigma):
    """|eps|^2 = eps_1^2 + R with R ~ chi^2 of D - 1: E[(eps_1^2 + R)^2 eps_1^2] term by term."""
    R, R2 = D - 1, (D - 1) * (D + 1)
    return (2 * sigma) ** 2, (15 + 2 * 3 * R + R2) * sigma**2


def law_by_product(D, sigma):
    """Sizes 2, 3, 4 as polynomials: D^2 + 6 D + 8."""
    return np.array([4.0, D**2 + 6 * D + 8]) * sigma**2


def jump_by_integration(mu, sigma, c):
    score = scipy.integrate.quad(lambda z: (z - mu) / sigma**2 * scipy.stats.norm.pdf(z, mu, sigma), c, c + 40 * sigma,
                                 epsabs=1e-13, points=[mu] if mu > c else None)[0]  # fmt: skip
    return 0, score, grad(lambda m: 1 - autograd_stats.norm.cdf(c, m, sigma))(mu)


def jump_by_truncation(mu, sigma, c):
    """E[eps 1(eps > x)] = P(eps > x) E[eps | eps > x]."""
    x = (c - mu) / sigma
    score = scipy.stats.norm.sf(x) * scipy.stats.truncnorm.mean(x, np.inf) / sigma
    return [0.0, score, score]


def jump_by_scipy(mu, sigma, c):
    return np.array([0, 1, 1]) * scipy.stats.norm.pdf(c, loc=mu, scale=sigma)


def support_by_integration(theta, p):
    mean = scipy.integrate.quad(lambda z: z**p / theta, 0, theta)[0]
    path = scipy.integrate.quad(lambda u: p * (theta * u) ** (p - 1) * u, 0, 1)[0]
    return path, -mean / theta, theta ** (p - 1) - mean / theta


def support_by_autograd(theta, p):
    def mean(theta):
        return theta**p / (p + 1)

    return grad(mean)(theta), -mean(theta) / theta, grad(mean)(theta)


def support_by_differences(theta, p):
    u = (np.arange(4000) + 0.5) / 4000  # a midpoint rule, its error taken out by comparing with E u^p
    exact = 1 / (p + 1) / np.mean(u**p)
    h = 1e-5
    slope = np.mean(((theta + h) * u) ** p - ((theta - h) * u) ** p) / (2 * h) * exact
    return slope, -np.mean((theta * u) ** p / theta) * exact, slope


def consistent_by_monte_carlo(kl_fn, sample_fn):
    eps = np.random.default_rng(0).normal(size=50_000)
    z = sample_fn(np.zeros(1), np.array([2.0]), eps)
    kl = 0.5 * np.mean(z**2) - 0.5 - np.log(np.std(z))
    return abs(kl - kl_fn(np.zeros(1), np.array([2.0]))) < 0.05 * kl


def consistent_by_quadrature(kl_fn, sample_fn):
    """E_q[log q - log p] along the samples of q themselves, at a mean that is not 0."""
    mean, head = np.array([0.7]), np.array([0.4])
    x, w = scipy.special.roots_hermitenorm(20)
    z, slope = sample_fn(mean, head, x), sample_fn(mean, head, np.ones(1)) - sample_fn(mean, head, np.zeros(1))
    log_ratio = -0.5 * x**2 - np.log(slope) + 0.5 * z**2
    return np.allclose(kl_fn(mean, head), np.sum(w * log_ratio) / np.sum(w))


def consistent_in_two_dimensions(kl_fn, sample_fn):
    mean, head = np.array([1.0, -2.0]), np.array([0.3, 3.0])
    s2 = (sample_fn(mean, head, np.array([2.0, 2.0])) - mean) ** 2 / 4
    return np.isclose(kl_fn(mean, head), 0.5 * np.sum(s2 + mean**2 - 1 - np.log(s2)))


def consistent_with_plain_numbers(kl_fn, sample_fn):
    sigma = sample_fn(0.0, 2.5, 1.0)
    return abs(kl_fn(0.0, 2.5) - 0.5 * (sigma**2 - 1) + math.log(sigma)) < 1e-8


VARIANTS = {
    "one_liners": ONE_LINERS,
    "box_muller": [pair_as_complex_number, pair_by_chi_squared, pair_in_loops],
    "pushforward_logpdf": [
        density_by_the_slope_of_the_inverse,
        density_by_differences,
        density_by_a_jacobian_matrix,
    ],
    "sample_mvn": [
        lambda mu, L, eps: mu + eps @ L.T,
        lambda mu, L, eps: mu + np.einsum("ij,sj->si", L, eps),
        lambda mu, L, eps: sum((eps[:, j : j + 1] * L[:, j] for j in range(len(mu))), np.tile(mu, (len(eps), 1))),
        normals_in_loops,
    ],
    "pathwise_grad": [path_by_copies, path_sample_by_sample, path_by_differences],
    "score_grad": [score_by_copies, score_by_differences, score_in_loops],
    "grad_variance": [variances_by_quadrature, variances_by_integration, variances_by_moments],
    "best_baseline": [
        (baseline_by_quadrature, law_by_chi_squared),
        (baseline_by_parabola, law_by_one_and_the_rest),
        (baseline_by_regression, law_by_product),
    ],
    "when_it_fails": [
        (jump_by_integration, support_by_integration),
        (jump_by_truncation, support_by_autograd),
        (jump_by_scipy, support_by_differences),
    ],
    "consistent": [
        consistent_by_monte_carlo, consistent_by_quadrature, consistent_in_two_dimensions,
        consistent_with_plain_numbers,
    ],
}


# -------------------- known misconceptions by another route --------------------

RIGHT = ONE_LINERS[0]


def one_wrong(name, wrong):
    """The five one-liners, right but for one."""
    at = ["exponential", "logistic", "gumbel", "laplace", "cauchy"].index(name)
    return (*RIGHT[:at], wrong, *RIGHT[at + 1 :])


def score_through_the_path(f, mu, log_sigma, eps, baseline):
    return path_by_copies(f, mu, log_sigma, eps)


def score_by_sigma(f, mu, log_sigma, eps, baseline):
    """Differentiates by sigma, not by its logarithm."""
    theta, z = np.tile(np.array([mu, np.exp(log_sigma)]), (len(eps), 1)), mu + np.exp(log_sigma) * eps
    score = grad(lambda theta: np.sum(autograd_stats.norm.logpdf(z, theta[:, 0], theta[:, 1])))(theta)
    return (f(z) - baseline)[:, None] * score


def path_by_sigma(f, mu, log_sigma, eps):
    theta = np.tile(np.array([mu, np.exp(log_sigma)]), (len(eps), 1))
    return grad(lambda theta: np.sum(f(theta[:, 0] + theta[:, 1] * eps)))(theta)


def second_moments_by_quadrature(mu, sigma, k):
    x, w = scipy.special.roots_hermitenorm(20)
    return np.array(_rows(x, mu, sigma, k)) ** 2 @ w / w.sum()


ROUTES = {
    "one_liners": [
        (one_wrong("exponential", lambda u, rate: -rate * np.log(u)), "multiplied by the rate"),
        (one_wrong("logistic", lambda u: 1 - np.exp(-u) / (1 + np.exp(-u))), "F itself"),
        (one_wrong("gumbel", lambda u: np.log(-np.log(1 - u))), "law of a minimum"),
        (one_wrong("gumbel", lambda u: -np.log(1 - u)), "an exponential"),
        (one_wrong("laplace", lambda u: np.sign(0.5 - u) * np.log(np.minimum(u, 1 - u))), "factor 2"),
        (one_wrong("cauchy", lambda u: np.abs(np.tan(np.pi * (1 - u) / 2))), "never negative"),
    ],
    "box_muller": [
        (lambda u, v: tuple(x / np.sqrt(2) for x in pair_as_complex_number(u, v)), "The 2 is missing"),
        (lambda u, v: pair_as_complex_number(1 - u, v / 2)[::-1], "half a turn"),
        (lambda u, v: (2 * np.pi * v, np.sqrt(-2 * np.log(1 - u))), "radius and angle"),
    ],
    "pushforward_logpdf": [
        (lambda log_p, g, inverse, z: log_p(inverse(z)) - np.log(np.abs(elementwise_grad(inverse)(z))), "inverse of"),
        (lambda log_p, g, inverse, z: log_p(inverse(z)) - np.log(elementwise_grad(g)(inverse(z))), "negative slope"),
    ],
    "sample_mvn": [(lambda mu, L, eps: mu + np.einsum("ij,si->sj", L, eps), "L^T L")],
    "pathwise_grad": [(path_by_sigma, "chain factor sigma")],
    "score_grad": [(score_through_the_path, "pathwise estimator"), (score_by_sigma, "derivative by sigma")],
    "grad_variance": [(second_moments_by_quadrature, "mean squares")],
    "best_baseline": [
        ((baseline_by_quadrature, lambda D, s: np.array([4.0, D**2 + 2 * D]) * s**2), "share one"),
        ((lambda mu, sigma, k: np.array(sigma**2 + mu**2 - 2 * mu * k + k**2), law_by_product), "You returned E f"),
    ],
    "when_it_fails": [
        ((lambda mu, s, c: (scipy.stats.norm.pdf(c, mu, s),) * 3, support_by_autograd), "0 at every sample"),
        ((jump_by_scipy, lambda theta, p: np.full(3, theta ** (p - 1) * (1 - 1 / (p + 1)))), "support's end"),
    ],
}


def on_an_even_grid(law):
    """The right quantiles, whatever u is."""
    return lambda u, *rate: law((np.arange(len(u)) + 0.5) / len(u), *rate)


def remembered_law(D, sigma):
    return 4 * sigma**2, {1: 15, 2: 24, 3: 35, 4: 48, 5: 63, 10: 168}.get(D, 10608) * sigma**2


HOSTILE = {
    "one_liners": [tuple(on_an_even_grid(law) for law in RIGHT),
                   (lambda u, rate: np.sort(-np.log(u)) / rate, *[np.sort] * 4)],
    "box_muller": [lambda u, v: (scipy.stats.norm.ppf(u), scipy.stats.norm.ppf(v)),
                   lambda u, v: (np.sqrt(-2 * np.log(v)) * np.cos(2 * np.pi * u),) * 2],
    "sample_mvn": [lambda mu, L, eps: mu + eps - eps.mean(axis=0), lambda mu, L, eps: mu + 0 * eps],
    "grad_variance": [lambda mu, sigma, k: (4.0, 72.0, 495.0, 1546.0)],
    "best_baseline": [(lambda mu, sigma, k: 19.0, remembered_law)],
    "when_it_fails": [(lambda mu, sigma, c: (0, 0.3520653, 0.3520653), lambda theta, p: (0.5, -0.5, 0.5))],
    "consistent": [lambda kl_fn, sample_fn: False, lambda kl_fn, sample_fn: kl_fn(0.0, 2.0) > 1],
}  # fmt: skip

PERIOD = "tan has the period pi: u + 1/2, u - 3/2 and u - 1/2 give the same"

EQUIVALENT = {
    "one_liners": {
        "comparison in `u < 0.5`": "both halves of the Laplace law give 0 at u = 1/2",
        "Sub -> Add in `u - 0.5`": PERIOD,
        "0.5 + 1 in `0.5`": PERIOD,
        "0.5 - 1 in `0.5`": PERIOD,
    },
    "box_muller": {
        "results swapped in `return (r * np.cos(2 * np.pi * v), r * np.sin(2 * np.pi * v)`": "either may be the sine",
    },
    "when_it_fails": {
        "results swapped in `return (p * scale, -scale, p * scale)`": "pathwise mean and truth are equal here",
    },
    "consistent": {
        "2.0 + 1 in `2.0`": "3 tells the conventions apart as well as 2; 1, the other mutant, does not",
        "Sub -> Add in `sample_fn(mean, head, np.array([1.0])) - mean`": "the mean is 0",
    },
}
