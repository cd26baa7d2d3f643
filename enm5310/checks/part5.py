"""Part 5, one gradient in four industries: exercises 5.1-5.8.

Noise is an argument wherever a gradient is judged, so answers are exact.  Of the training exercises a step is judged
exactly and the run by where it ends: the check works out the best end itself, by closed form, quadrature or bisection.
"""

import math

import numpy as np
from autograd import elementwise_grad

from enm5310.checks import answers, panel
from enm5310.checks.answers import Wrong, close
from enm5310.checks.best_gaussian import best_for_counts, best_for_logistic, gap, laplace
from enm5310.checks.engine import Fn, exercise
from enm5310.checks.networks import trained

progress = panel.of(__name__)


def _slope(f, z):
    """df/dz for an f that acts on rows, or on numbers: shape of z."""
    return elementwise_grad(f)(z)


def _not_one(t, low, high):
    """A number between low and high, but well away from 1, where a factor, its square and its root look alike."""
    return float(t.rng.choice([t.rng.uniform(low, 0.7), t.rng.uniform(1.4, high)]))


def _log_sigma(t, *size):
    return t.rng.choice([-1, 1], size=size) * t.rng.uniform(0.3, 0.8, size=size)


# -------------------- 5.1 --------------------

D_MEAN, D_SCALE = "elbo_gradient: d/dmean", "elbo_gradient: d/dlog sigma"
NEAR, CLOSE = "bbvi_gaussian: near the best, both targets", "bbvi_gaussian: at the best, both targets"


@exercise(
    "5.1", of=("elbo_gradient", "bbvi_gaussian"), slide=6, title="Black-box variational inference", slow=True,
    answers=["enm5310.decisions.fit_vi", "enm5310.decisions.minimise", "enm5310.gradients.elbo_gradient"],
    parts={D_MEAN: 1, D_SCALE: 1, NEAR: 1, CLOSE: 1},
    hints=[
        "Two terms: the average of log p(z_s) at z_s = mean + sigma eps_s, and the entropy, sum_j log sigma_j + "
        "constant. What does each contribute to d/dlog sigma_j?",
        "The slope of log p at all samples is `elementwise_grad(log_p)(z)`, shape (S, d). Multiply it by dz/dmean = 1 "
        "and by dz/dlog sigma = sigma eps, average over the rows, and add the entropy's 1.",
        "The run: start at mean = log sigma = 0 and take some 1,000 steps uphill with 500 fresh eps each, their size "
        "falling to 0. Adam does (from 0.05), and so do plain steps in units of sigma: mean + lr sigma^2 d_mean and "
        "log_sigma + lr d_log_sigma, with lr = 0.1 * (1 - i / 1000) and d_log_sigma clipped at 5.",
    ],
)  # fmt: skip
def bbvi(t):
    for S, d in [(5, 2), (2, 3), (4, 1), (1, 2)]:
        L, c, b = _precision(t, d), t.rng.normal(size=d), t.rng.normal(size=d) + 2
        log_p = Fn("def f(z): return np.sin(z) @ b - 0.5 * np.sum((z - c) @ L * (z - c), axis=1)", L=L, c=c, b=b)
        mean, log_sigma, eps = t.rng.normal(size=d), _log_sigma(t, d), t.rng.normal(size=(S, d))
        like = {"d_mean": (d,), "d_log_sigma": (d,)}
        d_mean, d_log_sigma = t("elbo_gradient", log_p, mean, log_sigma, eps, like=like)
        noise = np.exp(log_sigma) * eps
        slopes = [b * np.cos(z) - L @ (z - c) for z in mean + noise]
        with t.part(D_MEAN): close(d_mean, sum(slopes) / S)
        with t.part(D_SCALE): close(d_log_sigma, sum(g * e for g, e in zip(slopes, noise, strict=True)) / S + 1)
    for log_p, *best in (_ellipse(t), _counts(t)):  # a formula for the first is wrong for the second
        like, seed = {"mean": (2,), "sigma": (2,)}, int(t.rng.integers(10**6))
        q = trained(t, (NEAR, CLOSE), "bbvi_gaussian", log_p, 2, seed, like=like)
        for words, variance, mean in [(NEAR, 0.15, 0.2), (CLOSE, 0.05, 0.1)]:
            with t.part(words):
                if q: _expect_q(*q, *best, variance, mean)


def _precision(t, d):
    """A precision matrix with correlations and eigenvalues between 1 and 2."""
    Q = np.linalg.qr(t.rng.normal(size=(d, d)))[0]
    return Q * t.rng.uniform(1, 2, size=d) @ Q.T


def _ellipse(t):
    """A Gaussian in the plane, |rho| between 0.6 and 0.9; best mean and sigma, and the target's own sigma."""
    rho, sds, c = t.rng.choice([-1, 1]) * t.rng.uniform(0.6, 0.9), t.rng.uniform(0.5, 2, size=2), t.rng.normal(size=2)
    L = np.linalg.inv(np.outer(sds, sds) * np.array([[1, rho], [rho, 1]]))
    log_p = Fn("def f(z): return -0.5 * np.sum((z - c) @ L * (z - c), axis=1)", L=L, c=c)
    return log_p, c, 1 / np.sqrt(np.diag(L)), sds


def _counts(t):
    """Log rates of two small counts under a Gaussian prior: a skew posterior; best mean and sigma."""
    L, c = _precision(t, 2) / 4, t.rng.uniform(-0.5, 0.5, size=2)
    y = t.rng.permutation([0.0, float(t.rng.integers(1, 3))])
    log_p = Fn("def f(z): return z @ y - np.sum(np.exp(z), axis=1) - 0.5 * np.sum((z - c) @ L * (z - c), axis=1)",
               L=L, c=c, y=y)  # fmt: skip
    return log_p, *best_for_counts(L, c, y), None


def _readings(scale):
    """What else a scale may have been meant as, with the standard deviations that it then stands for."""
    return [("variances", np.sqrt(scale)), ("logarithms", np.exp(scale)), ("log variances", np.exp(scale / 2))]


def _expect_q(mean, sigma, best_mean, best_sigma, marginal, by_variance, by_mean):
    if np.any(sigma <= 0):
        raise Wrong(f"sigma is {np.min(sigma):.3g}; return standard deviations, not their logarithms")
    ratio = (sigma / best_sigma) ** 2
    off = np.max(np.abs(mean - best_mean) / best_sigma)
    for words, sd in _readings(sigma):
        if off <= 0.2 and np.max(np.abs(ratio - 1)) > 0.3 and np.max(np.abs((sd / best_sigma) ** 2 - 1)) < 0.1:
            raise Wrong(f"your sigma is {sigma[0]:.3g} and {sigma[1]:.3g}, which are right as {words}; return standard "
                        "deviations")  # fmt: skip
    if np.max(ratio) < 0.3:
        raise Wrong(f"your variances are {ratio[0]:.2g} and {ratio[1]:.2g} times the best: q shrinks to a point, as it "
                    "does without the entropy sum_j log sigma_j")  # fmt: skip
    if marginal is not None and off <= by_mean and np.max(np.abs(sigma / marginal - 1)) < 0.04:
        raise Wrong("these are the target's own standard deviations, the best for KL(p || q). The ELBO asks for the "
                    "least KL(q || p): variances 1 - rho^2 times as large")  # fmt: skip
    if off > by_mean:
        raise Wrong(f"your mean is {off:.2f} standard deviations away from the best (want at most {by_mean}); take "
                    "more steps, and note that the best mean is not the mode")  # fmt: skip
    if np.max(np.abs(ratio - 1)) > by_variance:
        raise Wrong(f"your variances are {ratio[0]:.3f} and {ratio[1]:.3f} times the best (want 1 to within "
                    f"{by_variance}); take more steps, and let them get smaller")  # fmt: skip


def _wrong_elbo(z=lambda m, sigma, eps: m + sigma * eps, path=lambda sigma, eps: sigma * eps, entropy=1.0,
                sigma=np.exp, average=np.mean, more=lambda sigma, eps: 0 * eps, finish=lambda out: out):  # fmt: skip
    """A wrong gradient: other samples, path, entropy, average or last step; `more` is added to each slope."""

    def wrong(log_p, mean, log_sigma, eps):
        s = sigma(log_sigma)
        slope = _slope(log_p, z(mean, s, eps)) + more(s, eps)
        return finish((average(slope, axis=0), average(slope * path(s, eps), axis=0) + entropy))

    return wrong


def _mistake_in_elbo(say, **wrong):
    bbvi.mistake(say)(_wrong_elbo(**wrong))


_mistake_in_elbo("The entropy is missing: sum_j log sigma_j adds 1 to each d/dlog sigma_j. Without it q shrinks to a "
                 "point.", entropy=0.0)  # fmt: skip
_mistake_in_elbo("The sign of the entropy is wrong: the ELBO is E log p *plus* the entropy, so add 1.", entropy=-1.0)
_mistake_in_elbo("The sign is flipped: this is the gradient of minus the ELBO; here it goes uphill.",
                 finish=lambda out: (-out[0], -out[1]))  # fmt: skip
_mistake_in_elbo("The chain factor sigma is missing: dz/dlog sigma = sigma eps.", path=lambda sigma, eps: eps)
_mistake_in_elbo("The noise is missing: dz/dlog sigma = sigma eps, not sigma.", path=lambda sigma, eps: sigma + 0 * eps)
_mistake_in_elbo("You used log_sigma as sigma; take the exponential first.", sigma=lambda s: s)
_mistake_in_elbo("You used log_sigma as log sigma^2; here sigma = exp(log_sigma).", sigma=lambda s: np.exp(s / 2))
_mistake_in_elbo("You used the variance where sigma belongs: z = mean + sigma eps.", sigma=lambda s: np.exp(2 * s))
_mistake_in_elbo("You took the slope of log p at the mean; it belongs at the samples mean + sigma eps.",
                 z=lambda m, sigma, eps: m + 0 * eps)  # fmt: skip
_mistake_in_elbo("You took the slope of log p at the noise; it belongs at mean + sigma eps.",
                 z=lambda m, sigma, eps: eps)  # fmt: skip
_mistake_in_elbo("You summed over the samples; the estimate is their average.", average=np.sum)
_mistake_in_elbo("You held theta fixed inside log q (that is exercise 5.3). Here the entropy is exact: it adds 1 to "
                 "d/dlog sigma and nothing to d/dmean.", more=lambda sigma, eps: eps / sigma, entropy=0.0)  # fmt: skip
_mistake_in_elbo("d/dmean and d/dlog sigma are exchanged.", finish=lambda out: out[::-1])


@bbvi.mistake("This is the derivative by sigma; by log sigma both terms get the factor sigma.")
def _(log_p, mean, log_sigma, eps):
    d_mean, d_log_sigma = _wrong_elbo()(log_p, mean, log_sigma, eps)
    return d_mean, d_log_sigma / np.exp(log_sigma)


@bbvi.mistake("This is the score function estimator, log p times the score; here the path is asked for.")
def _(log_p, mean, log_sigma, eps):
    f = log_p(mean + np.exp(log_sigma) * eps)[:, None]
    return np.mean(f * eps / np.exp(log_sigma), axis=0), np.mean(f * (eps**2 - 1), axis=0) + 1


# -------------------- 5.2 --------------------

JOINT, VALUE = "log_joint", "elbo"
ABOVE, BEST = "fit_logistic: better than Laplace's approximation", "fit_logistic: within 0.1 nats of the best"


@exercise(
    "5.2", of=("log_joint", "elbo", "fit_logistic"), slide=6, title="Bayesian logistic regression", slow=True,
    answers=["enm5310.decisions.logistic_regression", "enm5310.decisions.elbo", "enm5310.decisions.fit_vi"],
    parts={JOINT: 1, VALUE: 1, ABOVE: 1, BEST: 1},
    hints=[
        "log_joint has two sums for each row z_s: the Gaussian prior over the d weights, and over the n flowers "
        "log s(t) where y = 1 and log s(-t) where y = 0, with t = x_i^T z_s. Nothing is averaged.",
        "log s(t) = -np.logaddexp(0, -t), so the likelihood is -np.sum(np.logaddexp(0, -(2 * y - 1) * (Z @ X.T)), "
        "axis=1). The prior has its constant too, -(d/2) log(2 pi v).",
        "elbo: the average of log_joint at mean + sigma eps, plus the entropy sum_j log sigma_j + (d/2) log(2 pi e).",
        "The run is that of 5.1: autograd differentiates elbo in theta = (mean, log sigma), with some 30 fresh eps per "
        "step. 1,500 steps of Adam whose size falls from 0.1 to 0 are plenty.",
    ],
)  # fmt: skip
def logistic(t):
    for S, n, d in [(4, 6, 3), (1, 3, 2), (3, 5, 1)]:
        Z, X, y = t.rng.normal(size=(S, d)), t.rng.normal(size=(n, d)) * 2, t.rng.permutation(np.arange(n) % 2.0)
        mean, log_sigma, eps, v = t.rng.normal(size=d), _log_sigma(t, d), t.rng.normal(size=(S, d)), _not_one(t, 0.3, 4)
        for scale in (1, 1000):  # e^1000 is no float64
            with t.part(JOINT):
                try:
                    close(t("log_joint", scale * Z, X, y, v, like=(S,)), [_joint(scale * z, X, y, v) for z in Z])
                except Wrong as why:
                    if scale == 1 or JOINT in t.failed:
                        raise
                    raise Wrong(f"right for small weights, but for weights in the thousands: {why}. A probability that "
                                "is 0, or kept from 0, has the wrong logarithm: log s(a) = -np.logaddexp(0, -a)"
                                ) from None  # fmt: skip
        with t.part(VALUE):
            rows = [_joint(mean + np.exp(log_sigma) * e, X, y, v) for e in eps]
            wanted = sum(rows) / S + np.sum(log_sigma) + d / 2 * math.log(2 * math.pi * math.e)
            close(t("elbo", X, y, v, mean, log_sigma, eps, like=()), wanted)
    X, y, v = _flowers(t)
    q = trained(t, (ABOVE, BEST), "fit_logistic", X, y, v, int(t.rng.integers(10**6)), like=_gaussian)
    if q:
        full = bool(np.any(q[1] != np.diag(np.diag(q[1]))))
        other = gap(laplace(X, y, v, full), X, y, v, full)
        with t.part(ABOVE): _expect_gap(other - 0.02, "Laplace's approximation is", other, q, X, y, v, full)
        with t.part(BEST): _expect_gap(0.1, "wanted are", 0.1, q, X, y, v, full)


def _joint(z, X, y, v):
    """log p(y, z) of one weight vector, number by number."""
    prior = -0.5 * sum(z**2) / v - 0.5 * len(z) * math.log(2 * math.pi * v)
    return prior - sum(max(-a, 0) + math.log1p(math.exp(-abs(a))) for a in (2 * y - 1) * (X @ z))


def _flowers(t):
    """Versicolors (0) and virginicas (1), so few that Laplace's approximation loses 0.2, as do variances for sigma."""
    while True:
        X, y, v = _some_flowers(t.rng)
        if all(gap(laplace(X, y, v, full), X, y, v, full) > 0.2 for full in (False, True)):
            mean, C = best_for_logistic(X, y, v, full=False)
            if gap((mean, C**2), X, y, v, full=False) > 0.2:
                return X, y, v


def _some_flowers(rng):
    """X (n, 3) with the features 1 and two lengths, standardised; labels y (n,); the variance of a wide prior."""
    from enm5310.datasets import load_iris  # here: the other checks need no data

    n = int(rng.integers(8, 12))
    rows = np.concatenate([50 + rng.choice(50, n, replace=False), 100 + rng.choice(50, n, replace=False)])
    lengths = load_iris().data[np.ix_(rows, rng.choice(4, 2, replace=False))]
    lengths = (lengths - lengths.mean(axis=0)) / lengths.std(axis=0)
    order = rng.permutation(2 * n)
    X = np.concatenate([np.ones((2 * n, 1)), lengths], axis=1)[order]
    return X, np.repeat([0.0, 1.0], n)[order], float(rng.uniform(4, 12))


def _gaussian(out):
    """(mean, covariance) from (mean, sigma), or from (mean, L) with the covariance L L^T."""
    try:
        full = np.ndim(out[1]) == 2
    except (TypeError, ValueError, IndexError, KeyError):
        full = False
    fitted = answers.fit(out, {"mean": (3,), "scale": (3, 3) if full else (3,)})
    mean, scale = (a.astype(float) for a in fitted)  # LAPACK has no float16
    if not full and np.any(scale <= 0):
        raise Wrong(f"as scale {np.min(scale):.3g}: return standard deviations, not their logarithms")
    C = scale @ scale.T if full else np.diag(scale**2)
    if np.linalg.slogdet(C)[0] <= 0:
        raise Wrong("as scale a singular matrix; L L^T must be a covariance matrix")
    return mean, C


def _expect_gap(most, words, other, q, X, y, v, full):
    below = gap(q, X, y, v, full)
    if below <= most:
        return
    told = f"your ELBO is {below:.3f} nats below the best, {words} {other:.3f}"
    mean, (squares, V) = q[0], np.linalg.eigh(q[1])
    for meant, sd in _readings(np.sqrt(np.maximum(squares, 0))):
        if gap((mean, V * sd**2 @ V.T), X, y, v, full) <= min(0.1, below / 4):
            raise Wrong(f"{told}; your scale is right as {meant}: return standard deviations, or L of L L^T")
    width = np.median(np.sqrt(np.diag(q[1]) / np.diag(best_for_logistic(X, y, v, full)[1])))
    if width < 0.6:
        raise Wrong(f"{told}; your standard deviations are {width:.2f} times the best: is the entropy missing, or the "
                    "likelihood counted more than once?")  # fmt: skip
    if width > 1.6:
        raise Wrong(f"{told}; your standard deviations are {width:.2f} times the best: is the likelihood averaged "
                    "over the flowers, not summed?")  # fmt: skip
    raise Wrong(f"{told}; take more steps, and let them get smaller")


def _wrong_joint(lik=lambda a: -np.logaddexp(0, -a), signs=lambda y: 2 * y - 1, total=np.sum, var=lambda v: v,
                 constant=True, keep=lambda y: 1.0, prior=1.0):  # fmt: skip
    """A wrong log_joint: another likelihood, reduction or prior."""

    def wrong(Z, X, y, v):
        v, d = var(v), Z.shape[1]
        log_prior = -0.5 * np.sum(Z**2, axis=1) / v - constant * 0.5 * d * np.log(2 * np.pi * v)
        return prior * log_prior + total(keep(y) * lik(signs(y) * (Z @ X.T)), axis=1)

    return wrong


def _mistake_in_joint(say, **wrong):
    logistic.mistake(say)(_wrong_joint(**wrong))


_mistake_in_joint("You averaged over the flowers. The likelihood is a sum: as an average, n flowers count like one.",
                  total=np.mean)  # fmt: skip
_mistake_in_joint("The prior is missing: add log N(z; 0, v I) for each row.", prior=0.0)
_mistake_in_joint("The prior's constant -(d/2) log(2 pi v) is missing; without it the ELBO is no bound on log p(y).",
                  constant=False)  # fmt: skip
_mistake_in_joint("v is the prior's variance; you squared it.", var=lambda v: v**2)
_mistake_in_joint("v is the prior's variance, you used it as a precision: the exponent is -|z|^2 / (2 v).",
                  var=lambda v: 1 / v)  # fmt: skip
_mistake_in_joint("The labels are flipped: y = 1 has the probability s(x^T z).", signs=lambda y: 1 - 2 * y)
_mistake_in_joint("y is 0 or 1, not -1 or 1: a label 0 contributes log s(-t), the sign is 2y - 1.", signs=lambda y: y)
_mistake_in_joint("Only the flowers with y = 1 count in yours; those with y = 0 contribute log s(-t).",
                  keep=lambda y: y)  # fmt: skip
_mistake_in_joint("log(1 + e^t) overflows for large t: use np.logaddexp(0, t).",
                  lik=lambda a: -np.log(1 + np.exp(-a)))  # fmt: skip
_mistake_in_joint("You counted the likelihood n times: it is one sum over the n flowers.",
                  total=lambda a, axis: a.shape[1] * np.sum(a, axis=axis))  # fmt: skip


def _wrong_value(entropy=lambda s, eps: np.sum(s) + 0.5 * s.size * np.log(2 * np.pi * np.e), sigma=np.exp,
                 average=np.mean, prior=1.0):  # fmt: skip
    """A wrong ELBO: another entropy, sigma, average or prior."""
    joint = _wrong_joint(prior=prior)

    def wrong(X, y, v, mean, log_sigma, eps):
        return average(joint(mean + sigma(log_sigma) * eps, X, y, v)) + entropy(log_sigma, eps)

    return wrong


def _mistake_in_value(say, **wrong):
    logistic.mistake(say, of="elbo")(_wrong_value(**wrong))


_mistake_in_value("The entropy of q is missing: sum_j log sigma_j + (d/2) log(2 pi e).", entropy=lambda s, eps: 0.0)
_mistake_in_value("The entropy's constant (d/2) log(2 pi e) is missing; with it the ELBO is a bound on log p(y).",
                  entropy=lambda s, eps: np.sum(s))  # fmt: skip
_mistake_in_value("The entropy of a Gaussian has (d/2) log(2 pi e): the e is missing.",
                  entropy=lambda s, eps: np.sum(s) + 0.5 * s.size * np.log(2 * np.pi))  # fmt: skip
_mistake_in_value("You subtracted the entropy; the ELBO is E log p(y, z) *plus* the entropy.",
                  entropy=lambda s, eps: -np.sum(s) - 0.5 * s.size * np.log(2 * np.pi * np.e))  # fmt: skip
_mistake_in_value("You averaged -log q(z_s) over the samples; here the entropy is exact.",
                  entropy=lambda s, eps: np.sum(s) + 0.5 * s.size * np.log(2 * np.pi) + np.mean(
                      np.sum(0.5 * eps**2, axis=1)))  # fmt: skip
_mistake_in_value("You used the variance where sigma belongs: z = mean + sigma eps.", sigma=lambda s: np.exp(2 * s))
_mistake_in_value("You used log_sigma as sigma; take the exponential first.", sigma=lambda s: s)
_mistake_in_value("You used log_sigma as log sigma^2; here sigma = exp(log_sigma).", sigma=lambda s: np.exp(s / 2))
_mistake_in_value("You summed over the samples; the expectation is their average.", average=np.sum)
_mistake_in_value("You took the log of an average of p(y, z); the ELBO averages the logarithms.",
                  average=lambda rows: np.logaddexp.reduce(rows) - np.log(len(rows)))  # fmt: skip
_mistake_in_value("The prior is missing in your ELBO: log_joint holds it, log p(y | z) alone does not.",
                  prior=0.0)  # fmt: skip


# -------------------- 5.3 --------------------

TOTAL, KL, STL = "total_grad", "kl_grad", "stl_grad"


@exercise(
    "5.3", of=("total_grad", "kl_grad", "stl_grad"), slide=6, title="Sticking the landing",
    answers=["enm5310.gradients.elbo_gradient", "enm5310.gradients.sticking_the_landing",
             "enm5310.decisions.analytic_kl_gradient"],
    parts={TOTAL: 1, KL: 1, STL: 1},
    hints=[
        "With z = m + s eps, log q(z) = -log s - eps^2/2 + constant: along the whole path it depends on theta only "
        "through log s. That is total_grad.",
        "kl_grad: the slope of log_lik along the path, minus the gradient of KL = (m^2 + s^2 - 1)/2 - log s, which is "
        "(m, s^2 - 1) in (m, log s).",
        "stl_grad: freeze the m and s inside log q. What is left is a function of z, log p(x, z) - log q(z), with the "
        "slope d/dz log p + eps/s. Send that along the path: times (1, s eps).",
    ],
)  # fmt: skip
def three_gradients(t):
    for S in (5, 2, 6, 1):
        x, tau, b = float(t.rng.normal() + 2), float(t.rng.uniform(0.6, 1.5)), float(t.rng.normal() + 1)
        m, log_s, eps = float(t.rng.normal() + 1), float(_log_sigma(t)), t.rng.normal(size=S)
        lik = "b * np.cos(z) - 0.5 * ((x - z) / tau)**2"
        log_lik, log_joint = (
            Fn(f"def f(z): return {one}", x=x, tau=tau, b=b) for one in (lik, f"{lik} - 0.5 * z**2")
        )
        s = math.exp(log_s)
        z, path = m + s * eps, np.stack([np.ones(S), s * eps], axis=1)
        of_lik = -b * np.sin(z) + (x - z) / tau**2
        with t.part(TOTAL):
            rows = t("total_grad", log_joint, m, log_s, eps, like=(S, 2))
            close(rows, (of_lik - z)[:, None] * path + np.array([0, 1]))
        with t.part(KL):
            rows = t("kl_grad", log_lik, m, log_s, eps, like=(S, 2))
            close(rows, of_lik[:, None] * path - np.array([m, s**2 - 1]))
        with t.part(STL):
            rows = t("stl_grad", log_joint, m, log_s, eps, like=(S, 2))
            close(rows, (of_lik - z + (z - m) / s**2)[:, None] * path)


def _rows(more=lambda m, s, eps: 0 * eps, add=lambda m, s, eps: (0.0, 0.0), path=lambda s, eps: s * eps, sigma=np.exp,
          finish=lambda rows: rows):  # fmt: skip
    """Rows (slope + more)(1, path) + add, the general form of all three gradients."""

    def rows(log_p, m, log_s, eps):
        s = sigma(log_s)
        slope = _slope(log_p, m + s * eps) + more(m, s, eps)
        first, second = add(m, s, eps)
        return finish(np.stack([slope + first, slope * path(s, eps) + second], axis=1))

    return rows


def _is_total(m, s, eps):
    return 0.0, 1.0


def _is_kl(m, s, eps):
    return -m, 1 - s**2


def _is_stl(m, s, eps):
    return eps / s


def _mistake_in(name, say, **wrong):
    three_gradients.mistake(say, of=name)(_rows(**wrong))


_mistake_in("total_grad", "log q is missing: -log q = log s + eps^2/2 + constant along the path, which adds 1 to "
            "d/dlog s.")  # fmt: skip
_mistake_in("total_grad", "The sign of log q is wrong: the ELBO has -log q, and -log q = log s + ..., so add 1.",
            add=lambda m, s, eps: (0.0, -1.0))  # fmt: skip
_mistake_in("total_grad", "You froze theta inside log q: this is stl_grad.", more=_is_stl)
_mistake_in("total_grad", "You froze z inside log q: it moves with theta as well, and the two effects nearly cancel.",
            add=lambda m, s, eps: (-eps / s, 1 - eps**2))  # fmt: skip
_mistake_in("kl_grad", "You added the KL's gradient; the ELBO is E log p(x | z) *minus* the KL.",
            add=lambda m, s, eps: (m, s**2 - 1))  # fmt: skip
_mistake_in("kl_grad", "The KL is missing: subtract its gradient (m, s^2 - 1).")
_mistake_in("kl_grad", "The KL's gradient in log s is s^2 - 1: the -1 comes from -log s.",
            add=lambda m, s, eps: (-m, -(s**2)))  # fmt: skip
_mistake_in("kl_grad", "This is the KL's derivative by s, s - 1/s; by log s it is s^2 - 1.",
            add=lambda m, s, eps: (-m, 1 / s - s))  # fmt: skip
_mistake_in("kl_grad", "The mean's share of the KL is missing: (m^2 + s^2 - 1)/2 - log s has the slope m in m.",
            add=lambda m, s, eps: (0.0, 1 - s**2))  # fmt: skip
_mistake_in("kl_grad", "This adds the entropy only. log_lik has no prior in it: the KL to N(0, 1) is (m^2 + s^2 - 1)/2 "
            "- log s.", add=_is_total)  # fmt: skip
_mistake_in("kl_grad", "You sampled the log prior and added the entropy; here the KL is exact: subtract (m, s^2 - 1).",
            more=lambda m, s, eps: -(m + s * eps), add=_is_total)  # fmt: skip
_mistake_in("stl_grad", "This is total_grad: theta inside log q is to be held fixed.", add=_is_total)
_mistake_in("stl_grad", "You froze the wrong factor: hold m and s fixed inside log q, and let z move.",
            add=lambda m, s, eps: (-eps / s, 1 - eps**2))  # fmt: skip
_mistake_in("stl_grad", "You froze log q altogether: z still moves in it, and -d/dz log q = (z - m)/s^2.")
_mistake_in("stl_grad", "The sign of log q is wrong: -log q has the slope +(z - m)/s^2 = eps/s in z.",
            more=lambda m, s, eps: -eps / s)  # fmt: skip
_mistake_in("stl_grad", "-d/dz log q is (z - m)/s^2 = eps/s; the 1/s is missing.", more=lambda m, s, eps: eps)
_mistake_in("stl_grad", "-d/dz log q is (z - m)/s^2 = eps/s; one s too many below.", more=lambda m, s, eps: eps / s**2)
_mistake_in("stl_grad", "The slope of log q contains z - m, not z.", more=lambda m, s, eps: (m + s * eps) / s**2)
_mistake_in("stl_grad", "You counted the entropy twice: with log q frozen no 1 is added to d/dlog s.", more=_is_stl,
            add=_is_total)  # fmt: skip


ORDINARY = [  # (say, what is wrong) with any of the three
    ("You averaged over the samples; return one row per sample, shape (S, 2).", {"finish": lambda rows: rows.mean(0)}),
    ("Your columns are exchanged: d/dm comes first.", {"finish": lambda rows: rows[:, ::-1]}),
    ("The sign is flipped: this is the gradient of minus the ELBO.", {"finish": lambda rows: -rows}),
    ("The chain factor s is missing: dz/dlog s = s eps.", {"path": lambda s, eps: eps}),
    ("You used log_s as s; take the exponential first.", {"sigma": lambda log_s: log_s}),
    ("You used log_s as log s^2; here s = exp(log_s).", {"sigma": lambda log_s: np.exp(log_s / 2)}),
]  # fmt: skip
for _say, _wrong in ORDINARY:
    three_gradients.mistake(_say, of="total_grad")(_rows(add=_is_total, **_wrong))
    three_gradients.mistake(_say, of="kl_grad")(_rows(add=_is_kl, **_wrong))
    three_gradients.mistake(_say, of="stl_grad")(_rows(_is_stl, **_wrong))


# -------------------- 5.4 --------------------

COST, GRADIENT = "total_cost", "policy_gradient"
WITHIN, AT = "train_gain: to 0.06, both costs", "train_gain: to 0.02, both costs"


@exercise(
    "5.4", of=("total_cost", "policy_gradient", "train_gain"), slide=6, title="Steering with noise", slow=True,
    answers=["enm5310.decisions.lqr_problem", "enm5310.decisions.riccati", "enm5310.decisions.pathwise",
             "enm5310.decisions.minimise"],
    parts={COST: 1, GRADIENT: 1, WITHIN: 1, AT: 1},
    hints=[
        "total_cost is the loop as it stands: u = -k x, add cost(x, u), x = a x + b u + w[:, t]. x is an array of one "
        "number per rollout.",
        "Differentiate every line of the loop by k: du = -x - k dx, then cost_x dx + cost_u du, then the next "
        "dx = a dx + b du. Or let autograd do it: grad of np.sum(total_cost(...)) with one k per rollout.",
        "`elementwise_grad(cost, 0)(x, u)` is cost_x, and argument number 1 gives cost_u. dx starts at 0, like x.",
        "The run: 400 rollouts of 50 steps are enough for a good gradient; 150 steps downhill of at most 0.05 each, "
        "then smaller ones. Keep a - b k between -1 and 1, or x explodes.",
    ],
)  # fmt: skip
def lqr(t):
    for S, T in [(4, 3), (1, 5), (3, 2), (2, 6)]:
        a, b, _ = _plant(t)
        k, w = (a - t.rng.uniform(-0.4, 0.6)) / b, t.rng.normal(size=(S, T))
        Q, R, c = (float(x) for x in t.rng.uniform(0.5, 2, size=3))
        cost = Fn("def f(x, u): return Q * x**2 + R * u**2 + c * x * u + np.sin(x)", Q=Q, R=R, c=c)
        wanted, slopes = np.zeros(S), np.zeros(S)
        for i in range(S):
            x = dx = 0.0
            for noise in w[i]:
                u, du = -k * x, -x - k * dx
                wanted[i] += Q * x**2 + R * u**2 + c * x * u + math.sin(x)
                slopes[i] += (2 * Q * x + c * u + math.cos(x)) * dx + (2 * R * u + c * x) * du
                x, dx = a * x + b * u + noise, a * dx + b * du
        with t.part(COST): close(t("total_cost", a, b, cost, k, w, like=(S,)), wanted)
        with t.part(GRADIENT): close(t("policy_gradient", a, b, cost, k, w, like=(S,)), slopes)
    for power in (2, 4):  # Riccati's formula is right for the first and wrong for the second
        a, b, k0, Q, R = _machine(t, power)
        cost = Fn(f"def f(x, u): return Q * x**2 + R * u**{power}", Q=Q, R=R)
        k = trained(t, (WITHIN, AT), "train_gain", a, b, cost, k0, int(t.rng.integers(10**6)), like=float)
        for words, by in [(WITHIN, 0.06), (AT, 0.02)]:
            with t.part(words):
                if k is not None: _expect_gain(k, a, b, Q, R, k0, power, by)


def _plant(t):
    """a and b of x' = a x + b u + w, and a gain that keeps x in bounds but steers too hard: a - b k = -0.3."""
    a, b = float(t.rng.uniform(0.8, 1.15)), float(t.rng.choice([-1, 1]) * t.rng.uniform(0.6, 1.2))
    return a, b, (a + 0.3) / b


def _machine(t, power):
    """A plant and a cost whose best gain is seen in 50 steps, to 0.008, and for the power 4 is not Riccati's."""
    while True:
        a, b, k0 = _plant(t)
        Q, R = float(t.rng.uniform(0.7, 2)), float(t.rng.uniform(0.7, 2 if power == 2 else 4))
        best = _best_gain(a, b, Q, R, power)
        seen = abs(_best_gain(a, b, Q, R, power, steps=50) - best) <= 0.008
        if seen and (power == 2 or abs(best - _best_gain(a, b, Q, R, 2)) >= 0.08):
            return a, b, k0, Q, R


def _best_gain(a, b, Q, R, power, steps=None):
    """Least average cost per step, in the long run or over the first steps; E u^4 = 3 (E u^2)^2.

    From x_0 = 0 the state x_t ~ N(0, (1 - c^(2 t)) / (1 - c^2)) with c = a - b k, in the long run N(0, 1 / (1 - c^2)).
    """
    closed = np.linspace(-0.95, 0.95, 1901)
    k, settled, cost = (a - closed) / b, 1 / (1 - closed**2), 0.0
    for variance in [settled] if steps is None else [settled * (1 - closed ** (2 * t)) for t in range(steps)]:
        action = k**2 * variance
        cost = cost + Q * variance + R * (action if power == 2 else 3 * action**2)
    return float(k[np.argmin(cost)])


def _expect_gain(k, a, b, Q, R, k0, power, by):
    best = _best_gain(a, b, Q, R, power)
    if abs(k - best) <= by:
        return
    told = f"your gain is {k:.3f}, the best for this cost {best:.3f} (want it to {by})"
    if abs(a - b * k) >= 1:
        raise Wrong(f"{told}; with yours |a - b k| = {abs(a - b * k):.2f} >= 1 and x explodes: do you step downhill?")
    if abs(k - k0) < 1e-3:
        raise Wrong(f"{told}; you never moved from the start")
    if power == 4 and abs(k - _best_gain(a, b, Q, R, 2)) < 0.02:
        raise Wrong(f"{told}; that is the Riccati gain of a quadratic cost, but this cost is another function")
    raise Wrong(f"{told}; take more rollouts, longer ones (50 steps), and more updates")


def _rolled(u=lambda k, x: -k * x, noise=1.0, when=lambda x, nxt: x, finish=lambda c: np.sum(c, axis=0), last=0.0):
    """A wrong total cost: another action, noise, time of payment or reduction."""

    def wrong(a, b, cost, k, w):
        x, costs = np.zeros(len(w)), []
        for t in range(w.shape[1]):
            act = u(k, x)
            nxt = a * x + b * act + noise * w[:, t]
            costs.append(cost(when(x, nxt), act))
            x = nxt
        return finish(costs + ([cost(x, 0 * x)] if last else []))

    return wrong


def _mistake_in_cost(say, **wrong):
    lqr.mistake(say)(_rolled(**wrong))


_mistake_in_cost("The sign of the action is wrong: u = -k x pushes x back towards 0.", u=lambda k, x: k * x)
_mistake_in_cost("The noise is missing: x_{t+1} = a x_t + b u_t + w_t.", noise=0.0)
_mistake_in_cost("You paid for the state after the step; the cost of step t is cost(x_t, u_t).",
                 when=lambda x, nxt: nxt)  # fmt: skip
_mistake_in_cost("You also paid for the state after the last step; the sum has T terms.", last=1.0)
_mistake_in_cost("You averaged over the steps; the total is their sum.", finish=lambda c: np.mean(c, axis=0))
_mistake_in_cost("You added the rollouts up; return one number for each, shape (S,).", finish=np.sum)
_mistake_in_cost("You returned the costs of the single steps; add them up for each rollout.",
                 finish=lambda c: np.stack(c, axis=1))  # fmt: skip
_mistake_in_cost("You returned the cost of the last step alone; the total has T terms.", finish=lambda c: c[-1])


def _along(du=lambda x, dx, k: -x - k * dx, step=lambda a, b, dx, du: a * dx + b * du, finish=lambda g: g,
           state=1.0, action=1.0):  # fmt: skip
    """A wrong gradient: another derivative of the action, of the step or of the cost."""

    def wrong(a, b, cost, k, w):
        x = dx = total = np.zeros(len(w))
        for t in range(w.shape[1]):
            u, moved = -k * x, du(x, dx, k)
            total = total + state * elementwise_grad(cost, 0)(x, u) * dx + action * elementwise_grad(cost, 1)(
                x, u) * moved  # fmt: skip
            x, dx = a * x + b * u + w[:, t], step(a, b, dx, moved)
        return finish(total)

    return wrong


def _mistake_in_gradient(say, **wrong):
    lqr.mistake(say, of="policy_gradient")(_along(**wrong))


_mistake_in_gradient("dx/dk is missing: k also moves every later x, dx_{t+1} = a dx_t + b du_t.",
                     step=lambda a, b, dx, du: 0 * dx)  # fmt: skip
_mistake_in_gradient("The action depends on k twice: du = -x - k dx. You left out -k dx.",
                     du=lambda x, dx, k: -x)  # fmt: skip
_mistake_in_gradient("The action depends on k directly too: du = -x - k dx. You left out -x.",
                     du=lambda x, dx, k: -k * dx)  # fmt: skip
_mistake_in_gradient("The state carries its change on: dx_{t+1} = a dx_t + b du_t. You left out a dx_t.",
                     step=lambda a, b, dx, du: b * du)  # fmt: skip
_mistake_in_gradient("The action moves the next state: dx_{t+1} = a dx_t + b du_t. You left out the b.",
                     step=lambda a, b, dx, du: a * dx + du)  # fmt: skip
_mistake_in_gradient("Only the actions are paid for in yours; the state's cost moves too, cost_x dx.", state=0.0)
_mistake_in_gradient("Only the states are paid for in yours; the action's cost moves too, cost_u du.", action=0.0)
_mistake_in_gradient("The sign is flipped; return the gradient itself. The minus comes with the step downhill.",
                     finish=lambda g: -g)  # fmt: skip
_mistake_in_gradient("You averaged over the rollouts; return one number for each, shape (S,).", finish=np.mean)
_mistake_in_gradient("You added the rollouts up; return one number for each, shape (S,).", finish=np.sum)


@lqr.mistake("You divided by the number of steps; differentiate the total cost.", of="policy_gradient")
def _(a, b, cost, k, w):
    return _along()(a, b, cost, k, w) / w.shape[1]


# -------------------- 5.5 --------------------

PATH, RATIO = "delta_pathwise", "delta_lr"


def _market(t):
    """S, K, r, sigma, T with S away from K, and neither sigma, T nor their product near 1."""
    S = float(t.rng.uniform(80, 120))
    K = S * float(t.rng.choice([t.rng.uniform(0.8, 0.92), t.rng.uniform(1.08, 1.25)]))
    return S, K, float(t.rng.uniform(0.03, 0.12)), float(t.rng.uniform(0.2, 0.45)), _not_one(t, 0.3, 2.5)


def _both_sides(t, S, K, r, sigma, T, n, nearest=0.2):
    """n values of eps, of which half end above the strike; `nearest` is how close two of them come to it."""
    at_strike = (math.log(K / S) - (r - sigma**2 / 2) * T) / (sigma * math.sqrt(T))
    away = np.concatenate([[nearest, nearest], t.rng.uniform(0.2, 1.5, size=n - 2)])
    return t.rng.permutation(at_strike + np.resize([1, -1], n) * away)


def _terminal(S, r, sigma, T, eps):
    return S * np.exp((r - sigma**2 / 2) * T + sigma * np.sqrt(T) * eps)


@exercise(
    "5.5", of=("delta_pathwise", "delta_lr"), slide=6, title="The delta of a call, twice",
    answers=["enm5310.decisions.option", "enm5310.decisions.pathwise", "enm5310.decisions.likelihood_ratio",
             "enm5310.decisions.black_scholes"],
    parts={PATH: 2, RATIO: 2},
    hints=[
        "S_T = S e^((r - sigma^2/2) T + sigma sqrt(T) eps), so dS_T/dS = S_T/S. The payoff's slope in S_T is 1 above "
        "the strike, 0 below.",
        "For the likelihood ratio, log S_T is normal with mean log S + ... and standard deviation sigma sqrt T. Its "
        "score in the mean is eps/(sigma sqrt T); the chain rule to S brings 1/S.",
        "pathwise: e^(-rT) 1[S_T > K] S_T/S. Likelihood ratio: e^(-rT) max(S_T - K, 0) eps/(S sigma sqrt T).",
    ],
)  # fmt: skip
def call_delta(t):
    for n in (6, 2, 7):
        market = S, K, r, sigma, T = _market(t)
        eps = _both_sides(t, *market, n)
        ends = [S * math.exp((r - sigma**2 / 2) * T + sigma * math.sqrt(T) * e) for e in eps]
        pays = [math.exp(-r * T) * max(S_T - K, 0) for S_T in ends]
        with t.part(PATH):
            rows = t("delta_pathwise", S, K, r, sigma, T, eps, like=(n,))
            close(rows, [math.exp(-r * T) * (S_T > K) * S_T / S for S_T in ends])
        with t.part(RATIO):
            rows = t("delta_lr", S, K, r, sigma, T, eps, like=(n,))
            close(rows, [pay * e / (S * sigma * math.sqrt(T)) for pay, e in zip(pays, eps, strict=True)])


def _delta(row, discount=lambda r, T: np.exp(-r * T), terminal=_terminal, payoff=lambda S_T, K: np.maximum(S_T - K, 0),
           finish=lambda rows: rows):  # fmt: skip
    """A wrong version: row(S, K, sigma, T, eps, S_T, payoff) under another discount, path or payoff."""

    def wrong(S, K, r, sigma, T, eps):
        S_T = terminal(S, r, sigma, T, eps)
        return finish(discount(r, T) * row(S, K, sigma, T, eps, S_T, payoff(S_T, K)))

    return wrong


def _path_row(S, K, sigma, T, eps, S_T, pay):
    return (S_T > K) * S_T / S


def _ratio_row(S, K, sigma, T, eps, S_T, pay):
    return pay * eps / (S * sigma * np.sqrt(T))


for _name, _right in [("delta_pathwise", _path_row), ("delta_lr", _ratio_row)]:
    for _say, _wrong in [
        ("You forgot to discount: money at time T is worth e^(-rT) of it today.", {"discount": lambda r, T: 1.0}),
        ("You compounded instead of discounting: the factor is e^(-rT), not e^(rT).",
         {"discount": lambda r, T: np.exp(r * T)}),
        ("The drift of log S_T is (r - sigma^2/2) T; the -sigma^2/2 is missing.",
         {"terminal": lambda S, r, sigma, T, eps: S * np.exp(r * T + sigma * np.sqrt(T) * eps)}),
        ("The noise in log S_T is sigma sqrt(T) eps; you used T for its root.",
         {"terminal": lambda S, r, sigma, T, eps: S * np.exp((r - sigma**2 / 2) * T + sigma * T * eps)}),
        ("You averaged over the samples; return one row per sample, shape (n,).", {"finish": np.mean}),
        ("The sign is flipped: a call gains when S rises.", {"finish": lambda rows: -rows}),
    ]:  # fmt: skip
        call_delta.mistake(_say, of=_name)(_delta(_right, **_wrong))


def _mistake_in_path(say, row):
    call_delta.mistake(say, of="delta_pathwise")(_delta(row))


_mistake_in_path("The factor dS_T/dS = S_T/S is missing.", lambda S, K, sigma, T, eps, S_T, pay: 1.0 * (S_T > K))
_mistake_in_path("dS_T/dS is S_T/S; you divided by the strike.", lambda S, K, sigma, T, eps, S_T, pay: (S_T > K) *
                 S_T / K)  # fmt: skip
_mistake_in_path("dS_T/dS is S_T/S; the division by S is missing.", lambda S, K, sigma, T, eps, S_T, pay: (S_T > K) *
                 S_T)  # fmt: skip
_mistake_in_path("You multiplied by the payoff; the path wants its slope, 1 above the strike and 0 below.",
                 lambda S, K, sigma, T, eps, S_T, pay: pay * S_T / S)  # fmt: skip
_mistake_in_path("The payoff has slope 1 only *above* the strike; below it is worth 0 and stays there.",
                 lambda S, K, sigma, T, eps, S_T, pay: S_T / S)  # fmt: skip
_mistake_in_path("Your payoff pays below the strike, like a put; a call pays S_T - K above it.",
                 lambda S, K, sigma, T, eps, S_T, pay: (S_T < K) * S_T / S)  # fmt: skip
_mistake_in_path("This is the likelihood ratio estimator; delta_pathwise differentiates the payoff.", _ratio_row)


def _mistake_in_ratio(say, row):
    call_delta.mistake(say, of="delta_lr")(_delta(row))


_mistake_in_ratio("The weight is eps/(S sigma sqrt T); the sqrt T is missing.",
                  lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * sigma))  # fmt: skip
_mistake_in_ratio("The weight is eps/(S sigma sqrt T); you divided by T, not by its root.",
                  lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * sigma * T))  # fmt: skip
_mistake_in_ratio("The weight is eps/(S sigma sqrt T); the sigma is missing.",
                  lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * np.sqrt(T)))  # fmt: skip
_mistake_in_ratio("The weight is eps/(S sigma sqrt T); the 1/S is missing: d/dS = (1/S) d/dlog S.",
                  lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (sigma * np.sqrt(T)))  # fmt: skip
_mistake_in_ratio("You divided by the variance: the score of log S_T is (log S_T - mean)/(sigma^2 T) = eps/(sigma sqrt "
                  "T).", lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * sigma**2 * T))  # fmt: skip
_mistake_in_ratio("You divided by S_T; the parameter is the price today, S.",
                  lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S_T * sigma * np.sqrt(T)))  # fmt: skip
_mistake_in_ratio("This is the pathwise estimator. The likelihood ratio keeps the payoff itself and differentiates the "
                  "density of S_T.", _path_row)  # fmt: skip
_mistake_in_ratio("You weighed the digital payoff 1[S_T > K]; a call pays max(S_T - K, 0).",
                  lambda S, K, sigma, T, eps, S_T, pay: (S_T > K) * eps / (S * sigma * np.sqrt(T)))  # fmt: skip
_mistake_in_ratio("Your payoff is negative below the strike; the holder lets the option lapse, max(S_T - K, 0).",
                  lambda S, K, sigma, T, eps, S_T, pay: (S_T - K) * eps / (S * sigma * np.sqrt(T)))  # fmt: skip


# -------------------- 5.6 --------------------

BOTH = "digital_pathwise and digital_lr"
MASS, TRADE = "digital_smoothed: all of the jump, spread out", "digital_smoothed: h trades bias for variance"
PLACES = np.linspace(-8, 8, 6401) + 1e-4  # in widths h from the strike, off the edges that a kernel may have


@exercise(
    "5.6", of=("digital_pathwise", "digital_lr", "digital_smoothed"), slide=6, title="A payoff with a jump",
    answers=["enm5310.decisions.digital", "enm5310.decisions.smoothed_digital", "enm5310.decisions.likelihood_ratio",
             "enm5310.decisions.black_scholes_digital"],
    parts={BOTH: 1, MASS: 1, TRADE: 1},
    hints=[
        "The payoff is 1 above the strike and 0 below: what is its slope, at almost every S_T?",
        "digital_lr is delta_lr of 5.5 with the payoff 1[S_T > K]: the weight eps/(S sigma sqrt T) stays.",
        "Smoothed: replace the step by one that climbs over a width h, Phi((S_T - K)/h) say. Its slope in S_T is "
        "phi((S_T - K)/h)/h with phi(y) = e^(-y^2/2)/sqrt(2 pi); then dS_T/dS and the discount, as before.",
    ],
)  # fmt: skip
def digital_delta(t):
    for n in (6, 2, 5):
        market = S, K, r, sigma, T = _market(t)
        eps = _both_sides(t, *market, n, nearest=0.01)  # a wrong path shows only where it ends on the wrong side
        scale = math.exp(-r * T) / (S * sigma * math.sqrt(T))
        with t.part(BOTH):
            rows = t("digital_pathwise", S, K, r, sigma, T, eps, like=(n,))
            if np.any(rows != 0):
                raise Wrong(f"digital_pathwise gave {rows[np.argmax(np.abs(rows))]:.4g}: the payoff is flat on both "
                            "sides of the strike, so what slope does a path see?")  # fmt: skip
            wanted = [scale * e * (_terminal(S, r, sigma, T, e) > K) for e in eps]
            close(t("digital_lr", S, K, r, sigma, T, eps, like=(n,)), wanted)
    for _ in range(2):
        _smoothed(t, *_market(t))


def _smoothed(t, S, K, r, sigma, T):
    """The rows at a fine grid of S_T around K show the kernel itself, so any kernel will do."""
    h0 = K * t.rng.uniform(0.07, 0.1)
    sd, discount, results = sigma * math.sqrt(T), math.exp(-r * T), []
    truth = discount * _phi((math.log(S / K) + (r - sigma**2 / 2) * T) / sd) / (S * sd)
    for h in (h0, h0 / 2, h0 / 4):
        S_T = K + h * PLACES
        eps = (np.log(S_T / S) - (r - sigma**2 / 2) * T) / sd
        rows = t("digital_smoothed", S, K, r, sigma, T, h, eps, like=(len(eps),)).astype(float)
        step, density = h * (PLACES[1] - PLACES[0]), _phi(eps) / (S_T * sd)
        mass, mean = step * np.sum(rows * S / S_T) / discount, step * np.sum(rows * density)
        with t.part(MASS):
            if not abs(mass - 1) <= 0.01:  # nor is it NaN
                raise Wrong(f"the slope of your smoothed payoff, within 8 h of the strike, adds up to {mass:.4g} "
                            "instead of 1, the height of the step (after e^(-rT) and S_T/S are taken out)")  # fmt: skip
        results.append((abs(mean - truth), step * np.sum((rows * S / S_T) ** 2)))
    (wide, quiet), _, (narrow, loud) = results
    with t.part(TRADE):
        if not 3 * quiet < loud < 5 * quiet:
            raise Wrong(f"from h to h/4 the square of your kernel grew {loud / max(quiet, 1e-300):.3g} times in the "
                        "mean; it grows 4 times, as 1/h, and the variance with it. Is h the width of your kernel?"
                        )  # fmt: skip
        if not narrow <= max(0.5 * wide, 0.01 * truth):
            raise Wrong(f"the delta is {truth:.4g}; you miss it by {wide:.2g} on average at h and by {narrow:.2g} at "
                        "h/4: the bias has to vanish with h")  # fmt: skip


def _phi(x):
    return np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)


digital_delta.mistake("The payoff is flat above the strike: its slope is 0 there. The jump is on no path.")(
    _delta(_path_row))  # fmt: skip
digital_delta.mistake("That is the likelihood ratio estimator; the pathwise one sees only the payoff's slope, 0.")(
    _delta(_ratio_row, payoff=lambda S_T, K: S_T > K))  # fmt: skip
digital_delta.mistake("You returned the discounted payoff; its derivative along the path is asked for.")(
    _delta(lambda S, K, sigma, T, eps, S_T, pay: 1.0 * (S_T > K)))  # fmt: skip


def _mistake_in_jump(say, row=_ratio_row, payoff=lambda S_T, K: S_T > K, **wrong):
    digital_delta.mistake(say, of="digital_lr")(_delta(row, payoff=payoff, **wrong))


_mistake_in_jump("This is the call's payoff max(S_T - K, 0); the digital pays 1[S_T > K].",
                 payoff=lambda S_T, K: np.maximum(S_T - K, 0))  # fmt: skip
_mistake_in_jump("You forgot to discount: money at time T is worth e^(-rT) of it today.", discount=lambda r, T: 1.0)
_mistake_in_jump("The weight is eps/(S sigma sqrt T); the sqrt T is missing.",
                 lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * sigma))  # fmt: skip
_mistake_in_jump("The weight is eps/(S sigma sqrt T); the 1/S is missing.",
                 lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (sigma * np.sqrt(T)))  # fmt: skip
_mistake_in_jump("The weight is eps/(S sigma sqrt T); the sigma is missing.",
                 lambda S, K, sigma, T, eps, S_T, pay: pay * eps / (S * np.sqrt(T)))  # fmt: skip
_mistake_in_jump("Your payoff pays below the strike; the digital pays 1 where S_T > K.", payoff=lambda S_T, K: S_T < K)
_mistake_in_jump("The digital pays 1, whatever S_T: you multiplied by S_T.", payoff=lambda S_T, K: S_T * (S_T > K))
_mistake_in_jump("You averaged over the samples; return one row per sample, shape (n,).", finish=np.mean)
_mistake_in_jump("The drift of log S_T is (r - sigma^2/2) T; the -sigma^2/2 is missing.",
                 terminal=lambda S, r, sigma, T, eps: S * np.exp(r * T + sigma * np.sqrt(T) * eps))  # fmt: skip


def _mistake_in_smooth(say, row=lambda S, K, S_T, h: _phi((S_T - K) / h) / h * S_T / S, discount=lambda r, T: np.exp(
        -r * T)):  # fmt: skip
    @digital_delta.mistake(say, of="digital_smoothed")
    def _(S, K, r, sigma, T, h, eps):
        return discount(r, T) * row(S, K, _terminal(S, r, sigma, T, eps), h)


_mistake_in_smooth("The 1/h is missing: the slope of Phi((S_T - K)/h) in S_T is phi((S_T - K)/h)/h.",
                   lambda S, K, S_T, h: _phi((S_T - K) / h) * S_T / S)  # fmt: skip
_mistake_in_smooth("The factor dS_T/dS = S_T/S is missing.", lambda S, K, S_T, h: _phi((S_T - K) / h) / h)
_mistake_in_smooth("You forgot to discount: money at time T is worth e^(-rT) of it today.", discount=lambda r, T: 1.0)
_mistake_in_smooth("phi needs its 1/sqrt(2 pi): without it the kernel has the mass 2.5.",
                   lambda S, K, S_T, h: np.exp(-0.5 * ((S_T - K) / h) ** 2) / h * S_T / S)  # fmt: skip
_mistake_in_smooth("Nothing is smoothed: every row is 0.", lambda S, K, S_T, h: 0 * S_T)
_mistake_in_smooth("h is a width in units of S_T: you used the logarithm of S_T/K.",
                   lambda S, K, S_T, h: _phi(np.log(S_T / K) / h) / h * S_T / S)  # fmt: skip
_mistake_in_smooth("The sign is flipped: the smoothed payoff rises with S_T.",
                   lambda S, K, S_T, h: -_phi((S_T - K) / h) / h * S_T / S)  # fmt: skip
_mistake_in_smooth("The width of your kernel does not depend on h.", lambda S, K, S_T, h: _phi((S_T - K) / 3) / 3 *
                   S_T / S)  # fmt: skip


# -------------------- 5.7 --------------------

SLOPE, STEPS, ORDER = "profit_slope", "robbins_monro", "train_order: two shops"


@exercise(
    "5.7", of=("profit_slope", "robbins_monro", "train_order"), slide=6, title="How much to order", slow=True,
    answers=["enm5310.decisions.profit_slope", "enm5310.decisions.profit", "enm5310.decisions.critical_fractile",
             "enm5310.decisions.order_problem", "enm5310.decisions.minimise"],
    parts={SLOPE: 1, STEPS: 1, ORDER: 1},
    hints=[
        "One more piece costs c + d q. It brings p if it is sold, that is where D > q, and s where it is left over.",
        "robbins_monro: for t = 1, 2, ... take demand number t alone and add lr/t times the slope there. Uphill, so +.",
        "The run: robbins_monro on 40,000 demands drawn from D with replacement, from q = np.mean(D). A good lr is "
        "about 1 / (slope of the average slope): np.std(D) / 2. A few thousand demands end within 1 only with luck.",
    ],
)  # fmt: skip
def newsvendor(t):
    for n in (6, 2, 5):
        shop, q = _shop(t, True), float(t.rng.uniform(80, 120))
        D = q + np.resize([1, -1], n) * t.rng.uniform(0.5, 20, size=n)
        p, c, s, d = shop
        with t.part(SLOPE):
            slopes = [(p if one > q else s) - c - d * q for one in D]
            close(t("profit_slope", q, D, shop, like=(n,)), slopes)
        lr, wanted = float(t.rng.uniform(3, 8)), q
        for i, one in enumerate(D, start=1):
            wanted += lr / i * ((p if one > wanted else s) - c - d * wanted)
        with t.part(STEPS): close(t("robbins_monro", q, D, shop, lr, like=()) - q, wanted - q)
    for rising in (False, True):
        shop, D = _shop(t, rising), t.rng.uniform(80, 120) * t.rng.gamma(16, 1 / 16, size=500)
        with t.part(ORDER):
            q = float(t("train_order", D, shop, int(t.rng.integers(10**6)), like=()))
            _expect_order(q, D, *shop)


def _shop(t, rising):
    """p, c, s, d with the critical fractile far from c/p, and for a rising price d q near 1 at q = 100."""
    p, s = float(t.rng.uniform(9, 12)), float(t.rng.uniform(1, 2.5))
    fractile = float(t.rng.choice([t.rng.uniform(0.25, 0.38), t.rng.uniform(0.65, 0.78)]))
    return p, p - fractile * (p - s), s, float(t.rng.uniform(0.008, 0.014)) if rising else 0.0


def _best_order(D, p, c, s, d):
    """Where the average slope (p - c) - (p - s) F(q) - d q changes its sign: bisection."""
    low, high = 0.0, float(np.max(D))
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if (p - c) - (p - s) * np.mean(D < q) - d * q > 0 else (low, q)
    return low


def _expect_order(q, D, p, c, s, d):
    best = _best_order(D, p, c, s, d)
    if abs(q - best) <= 1:
        return
    told = f"your order is {q:.2f}, the best for these demands {best:.2f} (want it to 1)"
    if d > 0 and abs(q - _best_order(D, p, c, s, 0.0)) < 0.5:
        raise Wrong(f"{told}; yours is right for a constant price. Here piece number q costs c + d q")
    known = [  # orders that somebody else would place
        (np.mean(D), "the mean demand: what is lost by one piece too many, and by one too few?"),
        (np.median(D), "the median demand: what is lost by one piece too many, and by one too few?"),
        (np.quantile(D, c / p), "the quantile c/p of the demand. The critical fractile is (p - c)/(p - s)"),
        (np.quantile(D, (p - c) / (p + s)), "the quantile (p - c)/(p + s) of the demand. A piece left over loses c - "
         "s, and the critical fractile is (p - c)/(p - s)"),
    ]  # fmt: skip
    near, words = min(known, key=lambda one: abs(one[0] - q))
    if abs(near - q) < 0.2:
        raise Wrong(f"{told}; yours is {words}")
    raise Wrong(f"{told}; take more steps, or average the last ones")


def _sold(more=lambda p, c, s: p - c, left=lambda p, c, s: s - c, rise=lambda d, q: d * q, finish=lambda rows: rows,
          above=np.greater):  # fmt: skip
    """A wrong slope: another gain per piece sold or left over."""

    def wrong(q, D, shop):
        p, c, s, d = shop
        return finish(np.where(above(D, q), more(p, c, s), left(p, c, s)) - rise(d, q))

    return wrong


def _mistake_in_slope(say, **wrong):
    newsvendor.mistake(say)(_sold(**wrong))


_mistake_in_slope("The sign of the salvage is wrong: a piece left over still brings s, so it loses c - s.",
                  left=lambda p, c, s: -s - c)  # fmt: skip
_mistake_in_slope("The salvage is missing: a piece left over brings s.", left=lambda p, c, s: -c)
_mistake_in_slope("The purchase is missing: every piece costs c.", more=lambda p, c, s: p, left=lambda p, c, s: s)
_mistake_in_slope("A piece left over costs c as well: its slope is s - c - d q.", left=lambda p, c, s: s)
_mistake_in_slope("The branches are exchanged: a further piece is sold where D > q.", above=np.less)
_mistake_in_slope("The rising price is missing: piece number q costs c + d q.", rise=lambda d, q: 0.0)
_mistake_in_slope("d q^2/2 has the slope d q; you halved it.", rise=lambda d, q: d * q / 2)
_mistake_in_slope("d q^2/2 has the slope d q; you left the square.", rise=lambda d, q: d * q**2 / 2)
_mistake_in_slope("The slope of the purchase c q + d q^2/2 is c + d q: the q is missing.", rise=lambda d, q: d)
_mistake_in_slope("The sign is flipped: this is the slope of the cost; profit goes uphill.", finish=lambda rows: -rows)
_mistake_in_slope("You averaged over the demands; return one slope for each, shape (n,).", finish=np.mean)


@newsvendor.mistake("This is the profit itself; its slope in q is asked for.")
def _(q, D, shop):
    p, c, s, d = shop
    return p * np.minimum(q, D) + s * np.maximum(q - D, 0) - c * q - d * q**2 / 2


def _climb(rate=lambda t, n: 1 / t, sign=1, order=lambda D: D, finish=lambda qs: qs[-1]):
    """A wrong run of the steps: another step size, direction, order of the demands or result."""

    def wrong(q, D, shop, lr):
        qs = [q]
        for t, one in enumerate(order(D), start=1):
            qs.append(qs[-1] + sign * lr * rate(t, len(D)) * float(_sold()(qs[-1], one, shop)))
        return finish(np.array(qs))

    return wrong


def _mistake_in_steps(say, **wrong):
    newsvendor.mistake(say, of="robbins_monro")(_climb(**wrong))


_mistake_in_steps("The steps do not shrink: step t is lr/t times the slope.", rate=lambda t, n: 1)
_mistake_in_steps("Your steps shrink as 1/sqrt t; here step t is lr/t.", rate=lambda t, n: t**-0.5)
_mistake_in_steps("Count t from 1: your first step is already halved.", rate=lambda t, n: 1 / (t + 1))
_mistake_in_steps("You went downhill; the profit is to grow.", sign=-1)
_mistake_in_steps("You returned the average of all orders on the way; the last one is asked for.",
                  finish=lambda qs: np.mean(qs[1:]))  # fmt: skip
_mistake_in_steps("You returned the average of all orders on the way; the last one is asked for.", finish=np.mean)
_mistake_in_steps("Take the demands in their order, the first one first.", order=lambda D: D[::-1])
_mistake_in_steps("You returned the order before the last demand had its say.", finish=lambda qs: qs[-2])
_mistake_in_steps("You divided by the number of demands; step t is lr/t.", rate=lambda t, n: 1 / n)


@newsvendor.mistake("You took every slope at the order of the start; step t takes it at the present order.",
                    of="robbins_monro")  # fmt: skip
def _(q, D, shop, lr):
    return q + sum(lr / t * float(_sold()(q, one, shop)) for t, one in enumerate(D, start=1))


@newsvendor.mistake("You took the average slope of all demands; step t looks at demand number t alone.",
                    of="robbins_monro")  # fmt: skip
def _(q, D, shop, lr):
    for t in range(1, len(D) + 1):
        q = q + lr / t * np.mean(_sold()(q, D, shop))
    return q


# -------------------- 5.8 --------------------

ROWS, BY_MU, BY_SIGMA = "demand_rows", "expected_gradient: d/dmu", "expected_gradient: d/dsigma"


@exercise(
    "5.8", of=("demand_rows", "expected_gradient"), slide=6, title="What if demand changes?",
    answers=["enm5310.decisions.demand_problem", "enm5310.decisions.expected_profit"],
    parts={ROWS: 1, BY_MU: 1, BY_SIGMA: 1},
    hints=[
        "mu and sigma belong to the law of D, q does not move. Along the path D = mu + sigma eps: dD/dmu = 1 and "
        "dD/dsigma = eps. What is one more customer worth, when D < q and when D > q?",
        "With D < q one more customer turns a piece that brings s into one that brings p: the slope is p - s. With "
        "D > q the shelf is empty: 0. The score function's rows, profit times (eps/sigma, (eps^2 - 1)/sigma), count "
        "as well.",
        "Averages of the rows: P(D < q) = Phi(u) with u = (q - mu)/sigma, and E[eps 1(eps < u)] = -phi(u). "
        "Phi(u) = (1 + math.erf(u / math.sqrt(2)))/2, phi(u) = e^(-u^2/2)/sqrt(2 pi).",
    ],
)  # fmt: skip
def demand_gradient(t):
    for S in (6, 2, 7):
        mu, sigma = float(t.rng.uniform(80, 120)), float(t.rng.uniform(10, 30))
        u = float(t.rng.choice([-1, 1]) * t.rng.uniform(0.3, 1.1))
        shop, q = _shop(t, False)[:3], mu + sigma * u
        p, c, s = shop
        eps = t.rng.permutation(u + np.resize([1, -1], S) * t.rng.uniform(0.2, 1.5, size=S))
        with t.part(ROWS):
            rows = t("demand_rows", shop, q, mu, sigma, eps, like=(S, 2))
            earned = np.array([_earned(p, c, s, q, mu + sigma * e) for e in eps])
            _either("d/dmu", rows[:, 0], (p - s) * (eps < u), earned * eps / sigma)
            _either("d/dsigma", rows[:, 1], (p - s) * (eps < u) * eps, earned * (eps**2 - 1) / sigma)
        grid = np.linspace(-9, u, 4001)  # where D < q, by the trapezoidal rule
        mass = _phi(grid) * (grid[1] - grid[0]) * np.where((grid == -9) | (grid == u), 0.5, 1)
        got = t("expected_gradient", shop, q, mu, sigma, like={"d_mu": (), "d_sigma": ()})
        with t.part(BY_MU): close(float(got[0]), (p - s) * np.sum(mass), rtol=0.01)
        with t.part(BY_SIGMA): close(float(got[1]), (p - s) * np.sum(mass * grid), rtol=0.01)


def _earned(p, c, s, q, D):
    return p * min(q, D) + s * max(q - D, 0) - c * q


def _either(words, column, path, score):
    told = []
    for route, wanted in [("by the path", path), ("by the score function", score)]:
        try:
            return close(column, wanted)
        except Wrong as why:
            told.append(f"{route} {why}")
    raise Wrong(f"{words}: {', or '.join(told)}")


def _moved(worth=lambda p, c, s, below: (p - s) * below, path=lambda sigma, eps: (eps**0, eps),
           finish=lambda rows: rows):  # fmt: skip
    """Wrong rows: another worth of one more customer, or another path."""

    def wrong(shop, q, mu, sigma, eps):
        p, c, s = shop
        gain = worth(p, c, s, mu + sigma * eps < q)
        return finish(np.stack([gain * move for move in path(sigma, eps)], axis=1))

    return wrong


def _mistake_in_rows(say, **wrong):
    demand_gradient.mistake(say)(_moved(**wrong))


_mistake_in_rows("You differentiated by q, a parameter of the cost. mu and sigma belong to the law of D: go through D.",
                 worth=lambda p, c, s, below: np.where(below, s - c, p - c))  # fmt: skip
_mistake_in_rows("One more customer when D < q brings p, but the piece no longer brings s: p - s.",
                 worth=lambda p, c, s, below: p * below)  # fmt: skip
_mistake_in_rows("The salvage is lost when the piece is sold, so p - s; you added it.",
                 worth=lambda p, c, s, below: (p + s) * below)  # fmt: skip
_mistake_in_rows("The pieces are bought already: c does not come in. One more sale is worth p - s.",
                 worth=lambda p, c, s, below: (p - c) * below)  # fmt: skip
_mistake_in_rows("One more customer matters where D < q; above that the shelf is empty.",
                 worth=lambda p, c, s, below: (p - s) * ~below)  # fmt: skip
_mistake_in_rows("These are the derivatives by log sigma; by sigma, dD/dsigma = eps.",
                 path=lambda sigma, eps: (eps**0, sigma * eps))  # fmt: skip
_mistake_in_rows("dD/dsigma = eps is missing in the second column.", path=lambda sigma, eps: (eps**0, eps**0))
_mistake_in_rows("Your columns are exchanged: d/dmu comes first.", path=lambda sigma, eps: (eps, eps**0))
_mistake_in_rows("You averaged over the samples; return one row per sample, shape (S, 2).",
                 finish=lambda rows: rows.mean(axis=0))  # fmt: skip
_mistake_in_rows("The sign is flipped: more customers, more profit.", finish=lambda rows: -rows)


def _wrong_score(score, profit=lambda earned: earned):
    def wrong(shop, q, mu, sigma, eps):
        p, c, s = shop
        D = mu + sigma * eps
        earned = p * np.minimum(q, D) + s * np.maximum(q - D, 0) - c * q
        return profit(earned)[:, None] * np.stack(score(sigma, eps), axis=1)

    return wrong


demand_gradient.mistake("The scores are eps/sigma in mu and (eps^2 - 1)/sigma in sigma: the 1/sigma is missing.")(
    _wrong_score(lambda sigma, eps: (eps, eps**2 - 1)))  # fmt: skip
demand_gradient.mistake("The score in sigma is (eps^2 - 1)/sigma; yours is the one in log sigma.")(
    _wrong_score(lambda sigma, eps: (eps / sigma, eps**2 - 1)))  # fmt: skip
demand_gradient.mistake("The score in sigma is (eps^2 - 1)/sigma: the -1 comes from -log sigma in log p.")(
    _wrong_score(lambda sigma, eps: (eps / sigma, eps**2 / sigma)))  # fmt: skip
demand_gradient.mistake("You subtracted the average profit, a baseline; here the score function goes without one.")(
    _wrong_score(lambda sigma, eps: (eps / sigma, (eps**2 - 1) / sigma), lambda earned: earned - np.mean(earned)))


def _expected(gain=lambda p, c, s: p - s, d_mu=lambda u, sigma: _Phi(u), d_sigma=lambda u, sigma: -_phi(u)):
    """A wrong pair of expectations."""

    def wrong(shop, q, mu, sigma):
        u = (q - mu) / sigma
        return gain(*shop) * d_mu(u, sigma), gain(*shop) * d_sigma(u, sigma)

    return wrong


def _Phi(u):
    return 0.5 * (1 + math.erf(u / math.sqrt(2)))


def _mistake_in_expected(say, **wrong):
    demand_gradient.mistake(say, of="expected_gradient")(_expected(**wrong))


_mistake_in_expected("One more customer turns a piece worth s into one worth p: the factor is p - s, not p.",
                     gain=lambda p, c, s: p)  # fmt: skip
_mistake_in_expected("c does not come in: the pieces are bought already. The factor is p - s.",
                     gain=lambda p, c, s: p - c)  # fmt: skip
_mistake_in_expected("The salvage is lost when the piece is sold: the factor is p - s, you added s.",
                     gain=lambda p, c, s: p + s)  # fmt: skip
_mistake_in_expected("d/dmu counts the days with D < q, Phi(u); you counted those with D > q.",
                     d_mu=lambda u, sigma: _Phi(-u))  # fmt: skip
_mistake_in_expected("The sign of d/dsigma is wrong: more spread costs money, E[eps 1(eps < u)] = -phi(u).",
                     d_sigma=lambda u, sigma: _phi(u))  # fmt: skip
_mistake_in_expected("This is the derivative by log sigma; by sigma it is -(p - s) phi(u), without the sigma.",
                     d_sigma=lambda u, sigma: -sigma * _phi(u))  # fmt: skip
_mistake_in_expected("You divided by sigma: phi(u) = e^(-u^2/2)/sqrt(2 pi) is in units of u, and dD/dsigma = eps.",
                     d_sigma=lambda u, sigma: -_phi(u) / sigma)  # fmt: skip
_mistake_in_expected("phi(u) is e^(-u^2/2)/sqrt(2 pi); the 1/sqrt(2 pi) is missing.",
                     d_sigma=lambda u, sigma: -np.exp(-(u**2) / 2))  # fmt: skip
_mistake_in_expected("Both signs are flipped: a higher mean is good, more spread is bad.",
                     gain=lambda p, c, s: s - p)  # fmt: skip


@demand_gradient.mistake("d/dmu is not d/dq: the order's slope (p - c) - (p - s) Phi(u) belongs to the cost's own "
                         "parameter.", of="expected_gradient")  # fmt: skip
def _(shop, q, mu, sigma):
    p, c, s = shop
    u = (q - mu) / sigma
    return (p - c) - (p - s) * _Phi(u), -(p - s) * _phi(u)


@demand_gradient.mistake("d/dmu comes first; you returned the two in the other order.", of="expected_gradient")
def _(shop, q, mu, sigma):
    return _expected()(shop, q, mu, sigma)[::-1]
