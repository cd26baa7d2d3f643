"""What the checks of part 6 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  RUNS, SYMPTOMS: other trainings, good and bad.  ROUTES: a known
misconception coded differently, with a piece of the sentence that must name it.  EQUIVALENT: surviving mutants, by
exercise, with the reason.
"""

import functools
import math

import autograd.numpy as np
import scipy.optimize
import scipy.special
from autograd import grad

from enm5310 import adversarial

# -------------------- right answers by other algorithms --------------------


def ratio_by_quasi_newton(x_p, x_q, x):
    def loss(w):
        t_p, t_q = w[0] + w[1] * x_p, w[0] + w[1] * x_q
        return np.sum(np.logaddexp(0, -t_p)) + np.sum(np.logaddexp(0, t_q))

    w = scipy.optimize.minimize(loss, np.zeros(2), jac=grad(loss), method="BFGS", options={"gtol": 1e-7}).x
    return w[0] + w[1] * x + np.log(len(x_q)) - np.log(len(x_p))


def ratio_by_root_finding(x_p, x_q, x):
    """The likelihood equations: as many expected as observed labels, in number and in x."""

    def left(w):
        return [sum(scipy.special.expit(w[0] + w[1] * a) for a in (*x_p, *x_q)) - len(x_p),
                sum(a * scipy.special.expit(w[0] + w[1] * a) for a in (*x_p, *x_q)) - sum(x_p)]  # fmt: skip

    w = scipy.optimize.fsolve(left, [0.0, 0.0], xtol=1e-10)
    D = scipy.special.expit(w[0] + w[1] * x)
    return np.log(D / (1 - D) * len(x_q) / len(x_p))


def ratio_by_weighted_classes(x_p, x_q, x):
    """A small ridge, on centred x, by Newton steps as weighted least squares."""
    points, y = np.concatenate([x_p, x_q]), np.repeat([1.0, 0.0], [len(x_p), len(x_q)])
    middle = points.mean()
    Phi, w = np.stack([np.ones(len(points)), points - middle], axis=1), np.zeros(2)
    for _ in range(15):
        D = scipy.special.expit(Phi @ w)
        root = np.sqrt(D * (1 - D))
        A = np.vstack([root[:, None] * Phi, 1e-5 * np.eye(2)])
        w = np.linalg.lstsq(A, np.concatenate([root * (Phi @ w) + (y - D) / root, np.zeros(2)]), rcond=None)[0]
    return [float(w[0] + w[1] * (one - middle) - math.log(len(x_p) / len(x_q))) for one in x]


def alpha_by_least_squares(K_num, K_den, lam):
    """The normal equations of a stacked system; h = K_den^T b with the shortest such b."""
    n, m = K_den.shape
    b = np.linalg.pinv(K_den.T) @ K_num.mean(axis=0) * n
    A = np.vstack([K_den / np.sqrt(n), np.sqrt(lam) * np.eye(m)])
    return np.linalg.lstsq(A, np.concatenate([b / np.sqrt(n), np.zeros(m)]), rcond=None)[0]


def alpha_by_eigenvectors(K_num, K_den, lam):
    values, U = np.linalg.eigh(sum(np.outer(k, k) for k in K_den) / len(K_den))
    return U @ (U.T @ np.mean(K_num, axis=0) / (values + lam))


def alpha_by_conjugate_gradients(K_num, K_den, lam):
    m = K_num.shape[1]
    alpha, r = np.zeros(m), K_num.mean(axis=0)
    d = r
    for _ in range(5 * m):
        Ad = K_den.T @ (K_den @ d) / len(K_den) + lam * d
        if d @ Ad < 1e-300:
            break
        step = (r @ r) / (d @ Ad)
        alpha, new = alpha + step * d, r - step * Ad
        d, r = new + (new @ new) / (r @ r) * d, new
    return alpha


def _log_sum_exp_in_a_loop(T):
    total = -math.inf
    for one in T:
        high, low = max(total, one), min(total, one)
        total = high + math.log1p(math.exp(low - high))
    return total


NWJ = [
    lambda T_p, T_q: sum(T_p) / len(T_p) - sum(math.exp(one - 1) for one in T_q) / len(T_q),
    lambda T_p, T_q: np.mean(T_p) - np.exp(scipy.special.logsumexp(T_q) - 1 - np.log(len(T_q))),
    lambda T_p, T_q: np.average(T_p) - np.exp(T_q).mean() / np.e,
]
DV = [
    lambda T_p, T_q: sum(T_p) / len(T_p) - _log_sum_exp_in_a_loop(T_q) + math.log(len(T_q)),
    lambda T_p, T_q: np.mean(T_p) - scipy.special.logsumexp(T_q, b=1 / len(T_q)),
    lambda T_p, T_q: np.mean(T_p) - functools.reduce(np.logaddexp, T_q - np.log(len(T_q))),
]


def value_in_loops(t_p, t_q):
    def log_s(t):
        return t - math.log1p(math.exp(t)) if t < 0 else -math.log1p(math.exp(-t))

    return sum(map(log_s, t_p)) / len(t_p) + sum(log_s(-t) for t in t_q) / len(t_q)


DISCRIMINATORS = [
    (lambda log_p, log_q: scipy.special.expit(log_p - log_q),
     lambda t_p, t_q: np.mean(scipy.special.log_expit(t_p)) + np.mean(scipy.special.log_expit(-t_q))),
    (lambda log_p, log_q: np.exp(log_p - np.logaddexp(log_p, log_q)), value_in_loops),
    (lambda log_p, log_q: scipy.special.softmax(np.stack([log_p, log_q]), axis=0)[0],
     lambda t_p, t_q: (np.minimum(t_p, 0) - np.log1p(np.exp(-abs(t_p)))).mean()
     - (np.maximum(t_q, 0) + np.log1p(np.exp(-abs(t_q)))).mean()),
]  # fmt: skip


def objective_as_cross_entropy(w, x_p, x_q):
    """Minus the binary cross-entropy with labels, each class weighed by its size."""
    y = np.repeat([1.0, 0.0], [len(x_p), len(x_q)])
    D = scipy.special.expit(w[0] + w[1] * np.concatenate([x_p, x_q]))
    one = np.where(y == 1, np.log(D), np.log1p(-D))
    return one[y == 1].mean() + one[y == 0].mean()


REPAIRED = [
    (scipy.special.expit, objective_as_cross_entropy),
    (lambda t: np.exp(t) / (1 + np.exp(t)),
     lambda w, x_p, x_q: -np.mean(np.logaddexp(0, -w[0] - w[1] * x_p)) - np.mean(np.logaddexp(0, w[0] + w[1] * x_q))),
    (lambda t: [1 / (1 + math.exp(-one)) for one in t],
     lambda w, x_p, x_q: value_in_loops([w[0] + w[1] * x for x in x_p], [w[0] + w[1] * x for x in x_q])),
]  # fmt: skip


def step_as_one_vector(F, x, y, eta):
    sign, m = np.repeat([-1.0, 1.0], len(x)), len(x)

    def v(z):
        return sign * np.concatenate(F(z[:m], z[m:]))

    z = np.concatenate([x, y])
    z = z + eta * v(z + eta * v(z))
    return z[:m], z[m:]


def step_by_the_library(F, x, y, eta):
    def field(x, y):
        gx, gy = F(x, y)
        return gx, -gy

    return adversarial.extragradient(field, (x, y), eta)[0]


def step_number_by_number(F, x, y, eta):
    gx, gy = F(x, y)
    ahead = np.array([a - eta * g for a, g in zip(x, gx, strict=True)]), np.array(
        [b + eta * g for b, g in zip(y, gy, strict=True)])  # fmt: skip
    hx, hy = F(*ahead)
    return [a - eta * h for a, h in zip(x, hx, strict=True)], [b + eta * h for b, h in zip(y, hy, strict=True)]


def solve_optimistically(F, x, y):
    before = F(x, y)
    for _ in range(300):
        now = F(x, y)
        x, y = x - 0.3 * (2 * now[0] - before[0]), y + 0.3 * (2 * now[1] - before[1])
        before = now
    return x, y


def solve_by_averaging(F, x, y):
    """Alternating steps circle for ever; the average of the circle goes to its centre as 1 / steps."""
    steps, sums = 1500, [0.0, 0.0]
    for _ in range(steps):
        x = x - 0.4 * F(x, y)[0]
        y = y + 0.4 * F(x, y)[1]
        sums = [sums[0] + x, sums[1] + y]
    return sums[0] / steps, sums[1] / steps


def solve_by_descent_on_the_field(F, x, y):
    """Gradient descent on |F|^2 / 2, whose slopes come from differences of F: no game is left."""
    m, h = len(x), 1e-4
    for _ in range(60):
        here = np.concatenate(F(x, y))
        J = np.stack([(np.concatenate(F(x + h * e[:m], y + h * e[m:])) - here) / h for e in np.eye(2 * m)], axis=1)
        z = np.concatenate([x, y]) - 0.6 * J.T @ here
        x, y = z[:m], z[m:]
    return x, y


def rows_in_loops(f, mu, sigma, eps):
    return [[float(f((mu + sigma * e)[None])[0]) * e[j] / sigma for j in range(len(e))] for e in eps]


def rows_by_the_score(f, mu, sigma, eps):
    x = mu + sigma * eps
    return (f(x) * ((x - mu) / sigma**2).T).T


def rows_by_autograd(f, mu, sigma, eps):
    """f times the gradient of the log density, one copy of mu per sample."""
    x = mu + sigma * eps
    score = grad(lambda m: -np.sum((x - m) ** 2) / (2 * sigma**2))(np.tile(mu, (len(eps), 1)))
    return np.einsum("s,sd->sd", f(x), score)


def pairs_from(rows):
    return lambda f, mu, sigma, eps: 0.5 * (np.array(rows(f, mu, sigma, eps)) + np.array(rows(f, mu, sigma, -eps)))


def pairs_directly(f, mu, sigma, eps):
    both = f(np.concatenate([mu + sigma * eps, mu - sigma * eps])).reshape(2, -1)
    return (both[0] - both[1])[:, None] * eps / (2 * sigma)


def smoothed_by_quadrature(mu, sigma, A):
    eps = np.linspace(-9, 9, 1001)
    x = mu[:, None] + sigma * eps
    w = np.exp(-0.5 * eps**2)
    return np.sum((x**2 + A * (1 - np.cos(2 * np.pi * x))) * w, axis=1) / np.sum(w)


def smoothed_as_a_complex_exponential(mu, sigma, A):
    """E e^(i m x) = e^(i m mu - m^2 sigma^2 / 2): the characteristic function, and its second derivative at 0."""
    m = 2 * np.pi
    wave = np.exp(1j * m * mu - m**2 * sigma**2 / 2)
    return ((mu + 1j * sigma) * (mu - 1j * sigma)).real + A - A * wave.real


def smoothed_number_by_number(mu, sigma, A):
    return [m * m + sigma**2 + 2 * A * math.sin(math.pi * m) ** 2
            + A * math.cos(2 * math.pi * m) * -math.expm1(-2 * (math.pi * sigma) ** 2) for m in mu]  # fmt: skip


def threshold_by_root_finding(A):
    return scipy.optimize.brentq(lambda s: 2 - 4 * np.pi**2 * A * np.exp(-2 * np.pi**2 * s**2), 0.0, 2.0)


def threshold_on_a_grid(A):
    sigma = np.arange(0.1, 0.8, 2e-4)
    mu, h = np.linspace(0.3, 0.7, 5)[:, None], 1e-2
    f = [(mu + d) ** 2 - A * np.cos(2 * np.pi * (mu + d)) * np.exp(-2 * np.pi**2 * sigma**2) for d in (-h, 0, h)]
    return sigma[np.argmax(np.all(f[0] - 2 * f[1] + f[2] >= 0, axis=0))]


def threshold_by_logarithms(A):
    return math.sqrt(math.log(2) + 2 * math.log(math.pi) + math.log(A)) / (math.sqrt(2) * math.pi)


def d_by_autograd(w, x_p, x_q):
    def V(w):
        t_p, t_q = (w[0] + w[1] * x + w[2] * x**2 for x in (x_p, x_q))
        return -np.mean(np.logaddexp(0, -t_p)) - np.mean(np.logaddexp(0, t_q))

    return grad(V)(w)


def g_by_autograd(w, theta, eps):
    def loss(theta):
        x = theta[0] + theta[1] * eps
        return np.mean(np.logaddexp(0, -(w[0] + w[1] * x + w[2] * x**2)))

    return grad(loss)(theta)


def d_by_labels(w, x_p, x_q):
    """Phi^T (y - D), each row weighed by the size of its class."""
    x, y = np.concatenate([x_p, x_q]), np.repeat([1.0, 0.0], [len(x_p), len(x_q)])
    Phi = np.vander(x, 3, increasing=True)
    return Phi.T @ ((y - scipy.special.expit(Phi @ w)) / np.where(y == 1, len(x_p), len(x_q)))


def g_by_copies(w, theta, eps):
    x = np.vander(eps, 2, increasing=True) @ theta
    t = np.polyval(w[::-1], x)
    return -scipy.special.expit(-t) * np.polyval(np.polyder(w[::-1]), x) @ np.vander(eps, 2, increasing=True) / len(eps)


def d_by_differences(w, x_p, x_q):
    def V(w):
        return value_in_loops([w @ [1, x, x * x] for x in x_p], [w @ [1, x, x * x] for x in x_q])

    return [(V(w + 1e-5 * e) - V(w - 1e-5 * e)) / 2e-5 for e in np.eye(3)]


def g_by_differences(w, theta, eps):
    def loss(theta):
        return sum(math.log1p(math.exp(-(w @ [1, x, x * x]))) for x in theta[0] + theta[1] * eps) / len(eps)

    return [(loss(theta + 1e-5 * e) - loss(theta - 1e-5 * e)) / 2e-5 for e in np.eye(2)]


VARIANTS = {
    "log_ratio_logistic": [ratio_by_quasi_newton, ratio_by_root_finding, ratio_by_weighted_classes],
    "ulsif": [alpha_by_least_squares, alpha_by_eigenvectors, alpha_by_conjugate_gradients],
    "kl_bounds": list(zip(NWJ, DV, strict=True)),
    "discriminator": DISCRIMINATORS,
    "repair": REPAIRED,
    "game": [
        (step_as_one_vector, solve_optimistically),
        (step_by_the_library, solve_by_averaging),
        (step_number_by_number, solve_by_descent_on_the_field),
    ],
    "evolution": [
        (rows_in_loops, pairs_directly),
        (rows_by_the_score, pairs_from(rows_in_loops)),
        (rows_by_autograd, pairs_from(rows_by_autograd)),
    ],
    "rastrigin": [
        (smoothed_by_quadrature, threshold_by_root_finding),
        (smoothed_as_a_complex_exponential, threshold_on_a_grid),
        (smoothed_number_by_number, threshold_by_logarithms),
    ],
    "gan": [(d_by_autograd, g_by_autograd), (d_by_labels, g_by_copies), (d_by_differences, g_by_differences)],
}


# -------------------- other trainings, good and bad --------------------


def gan_by_the_library(x, seed):
    return adversarial.fit_gan(x, np.array([0.0, 1.0]), np.random.default_rng(seed), steps=300).params


def mirrored(x, seed):
    """A negative scale gives the same law."""
    shift, scale = gan_by_the_library(x, seed)
    return shift, -scale


RUNS = {"gan": [gan_by_the_library, mirrored]}

SYMPTOMS = {
    "gan": [
        (lambda x, seed: np.array([0.0, np.std(x)]), "never moved"),
        (lambda x, seed: np.array([np.mean(x) / 2, np.std(x)]), "more rounds"),
        (lambda x, seed: np.array([np.mean(x), 0.01]), "collapsed to a point"),
        (lambda x, seed: np.array([np.mean(x), 1.0]), "feature x^2"),
        (lambda x, seed: np.array([np.nan, 1.0]), "NaN"),
        (lambda x, seed: np.mean(x), "expected shape (2,)"),
    ],
}


# -------------------- known misconceptions by another route --------------------


def uncorrected(x_p, x_q, x):
    return ratio_by_quasi_newton(x_p, x_q, x) + np.log(len(x_p) / len(x_q))


def inverted(x_p, x_q, x):
    return ratio_by_root_finding(x_q, x_p, x)


def simultaneous(F, x, y):
    for _ in range(200):
        gx, gy = F(x, y)
        x, y = x - 0.3 * gx, y + 0.3 * gy
    return x, y


def alternating(F, x, y):
    for _ in range(300):
        x = x - 0.3 * F(x, y)[0]
        y = y + 0.3 * F(x, y)[1]
    return x, y


def impatient(F, x, y):
    for _ in range(40):
        x, y = step_as_one_vector(F, x, y, 0.3)
    return x, y


def both_downhill(F, x, y):
    for _ in range(100):
        gx, gy = F(x, y)
        x, y = x - 0.3 * gx, y - 0.3 * gy
    return x, y


def published(w, x_p, x_q):
    """The clinic's objective as it stands there."""
    D_p, D_q = (0.5 * (np.tanh(w[0] + w[1] * x) + 1) for x in (x_p, x_q))
    return np.mean(np.log(D_p)) - np.mean(np.log(D_q))


ROUTES = {
    "log_ratio_logistic": [
        (inverted, "Your ratio is inverted"),
        (uncorrected, "class sizes in"),
    ],
    "ulsif": [(lambda P, Q, lam: np.maximum(alpha_by_eigenvectors(P, Q, lam), 0), "clipped")],
    "kl_bounds": [((NWJ[0], lambda T_p, T_q: np.average(T_p) - np.log(np.exp(T_q).mean())), "overflows")],
    "discriminator": [
        ((lambda log_p, log_q: 1 / (1 + np.exp(log_q) / np.exp(log_p)), DISCRIMINATORS[0][1]), "not a number"),
        ((DISCRIMINATORS[0][0], lambda t_p, t_q: value_in_loops(t_q, t_p)), "exchanged"),
    ],
    "repair": [
        ((REPAIRED[0][0], published), "Nothing is repaired yet"),
        ((lambda t: 1 / (1 + np.exp(-2 * t)), REPAIRED[0][1]), "is s(2t)"),
    ],
    "evolution": [
        ((lambda f, mu, sigma, eps: sigma * np.array(rows_in_loops(f, mu, sigma, eps)), pairs_directly), "1/sigma"),
        ((rows_in_loops, lambda f, mu, sigma, eps: 2 * pairs_directly(f, mu, sigma, eps)), "The 2 is missing"),
    ],
    "rastrigin": [((lambda mu, s, A: smoothed_by_quadrature(mu, 0 * s, A), threshold_by_logarithms), "any smoothing")],
    "gan": [
        ((lambda w, x_p, x_q: -d_by_autograd(w, x_p, x_q), g_by_autograd), "sign is flipped"),
        ((d_by_labels, lambda w, theta, eps: -g_by_autograd(-w, theta, eps)), "saturating"),
    ],
}

TOLD = {  # what depends on the student's own steps, so that no known mistake can repeat it
    "game": [
        ((step_as_one_vector, simultaneous), "spiral outwards"),
        ((step_as_one_vector, both_downhill), "saddle point"),
        ((step_as_one_vector, impatient), "more steps"),
    ],
}


# -------------------- answers without the idea --------------------


def moments(w, theta, eps):
    """Mean and spread of the fakes in closed form: no discriminator, no game."""
    x = theta[0] + theta[1] * eps
    return np.array([np.mean(x), np.std(x)])


def moment_difference(w, x_p, x_q):
    return np.array([0.0, np.mean(x_p) - np.mean(x_q), np.mean(x_p**2) - np.mean(x_q**2)])


HOSTILE = {
    "log_ratio_logistic": [lambda x_p, x_q, x: 0 * x, lambda x_p, x_q, x: x + np.log(len(x_q) / len(x_p))],
    "ulsif": [lambda P, Q, lam: P.mean(axis=0), lambda P, Q, lam: P.mean(axis=0) / Q.mean(axis=0)],
    "kl_bounds": [(lambda T_p, T_q: np.mean(T_p) - np.mean(T_q),) * 2, (lambda T_p, T_q: -1e9,) * 2],
    "discriminator": [(lambda log_p, log_q: 0.5 + 0 * log_p, lambda t_p, t_q: -np.log(4))],
    "repair": [(lambda t: 0.5 + 0 * t, lambda w, x_p, x_q: -np.log(4)),
               (lambda t: np.clip(0.5 + t / 4, 0, 1), lambda w, x_p, x_q: -np.sum(w**2))],
    "game": [(lambda F, x, y, eta: (x, y), lambda F, x, y: (x, y)), (lambda F, x, y, eta: (0 * x, 0 * y), lambda F, x,
              y: (0 * x, 0 * y))],
    "evolution": [(lambda f, mu, sigma, eps: eps,) * 2],
    "rastrigin": [(lambda mu, sigma, A: mu**2, lambda A: 0.5174466)],
    "gan": [(moment_difference, moments)],
}  # fmt: skip


# -------------------- mutants --------------------

ENOUGH = "enough steps either way"

EQUIVALENT = {
    "log_ratio_logistic": {"20 + 1 in `20`": ENOUGH, "20 - 1 in `20`": ENOUGH},
    "game": {
        "250 + 1 in `250`": ENOUGH,
        "250 - 1 in `250`": ENOUGH,
        "0.4 - 1 in `0.4`": "a step of -0.6 exchanges the roles, and a bilinear game keeps its saddle point",
    },
}
