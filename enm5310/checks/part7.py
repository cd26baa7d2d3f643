"""Part 7, the variational auto-encoder: exercises 7.1-7.9.

Noise is an argument, so every answer but the training run of 7.7 is exact.  What the answers vectorise is worked out
here pixel by pixel, or by autograd, or from the dense Gaussian of (z, x).  Sizes differ, so that no mixed-up axis goes
unseen.
"""

import math
from itertools import pairwise

import autograd.numpy
import numpy as np
from autograd import grad
from numpy.polynomial.legendre import leggauss

from enm5310.checks import networks, panel
from enm5310.checks.answers import Wrong, close, step_tolerance, tolerance
from enm5310.checks.engine import exercise

progress = panel.of(__name__)


def _sigmoid(a):
    return 0.5 * (1 + np.tanh(a / 2))


def _softplus(a):
    return np.logaddexp(0, a)


# -------------------- 7.1 --------------------

PIXELS, SURE = "black, white and grey pixels", "large logits, up to 1000 and -1000"


@exercise(
    "7.1", of="bernoulli_loglik", slide=8, title="What the decoder says about pixels",
    answers=["enm5310.distributions.log_bernoulli", "enm5310.fused.log_bernoulli",
             "enm5310.fused.log_bernoulli_and_slope"],
    parts={PIXELS: 1, SURE: 1},
    hints=[
        "Insert s(l) = 1/(1 + e^-l): log s(l) = l - log(1 + e^l) and log(1 - s(l)) = -log(1 + e^l). What is left of "
        "x log s(l) + (1 - x) log(1 - s(l))?",
        "x l - log(1 + e^l), summed over the pixels of each image (axis=1). But e^1000 is too large for the computer.",
        "`np.logaddexp(0, l)` is log(e^0 + e^l) without overflow: `np.sum(x * l - np.logaddexp(0, l), axis=1)`.",
    ],
)  # fmt: skip
def bernoulli_loglik(t):
    for n, p, grey in [(3, 5, False), (4, 2, False), (2, 6, True), (5, 3, True)]:
        x, logits = t.rng.uniform(size=(n, p)), t.rng.normal(size=(n, p)) * 2
        x = x if grey else np.round(x)
        logits[0] = t.rng.uniform(0.1, 0.9, size=p)  # who takes l for a probability gets a number at least here
        with t.part(PIXELS):  # the formula; what 1e-6 inside a log does is seen where the network is sure
            got = t("bernoulli_loglik", x, logits, like=(n,))
            close(got, _pixel_by_pixel(x, logits), rtol=max(2e-4, tolerance(got)))
    x, logits = t.rng.integers(0, 2, size=(4, 5)) * 1.0, t.rng.choice([-1000.0, 1000.0, 30.0, -30.0], size=(4, 5))
    x[:, 0] = logits[:, 0] < 0  # sure, and wrong: this pixel costs all of its logit
    logits[:2, 0], x[:2, 0] = 1000.0, [0.0, 1.0]
    with t.part(SURE): close(t("bernoulli_loglik", x, logits, like=(4,)), _pixel_by_pixel(x, logits))
    logits = t.rng.uniform(6, 8, size=(4, 1)) * [[1], [-1], [1], [-1]]
    x = 1.0 * (logits > 0)  # rather sure, and right: log(1 + e^l) is not l yet, 1/1000 is left
    with t.part(SURE): close(t("bernoulli_loglik", x, logits, like=(4,)), _pixel_by_pixel(x, logits), rtol=0.02)


def _pixel_by_pixel(x, logits):
    """sum_j x_j log p_j + (1 - x_j) log(1 - p_j), where -log p = log(1 + e^-l) is l itself for large -l."""

    def log_p(l):
        return -math.log1p(math.exp(-l)) if l > -35 else l

    return np.array([sum(a * log_p(l) + (1 - a) * log_p(-l) for a, l in zip(*row, strict=True))
                     for row in zip(x.tolist(), logits.tolist(), strict=True)])  # fmt: skip


def _pixels(term, axis=1, reduce=np.sum):
    return lambda x, logits: reduce(term(x, logits), axis=axis)


def _right_term(x, l):
    return x * l - _softplus(l)


def _mistake_in_pixels(say, *wrong, **how):
    bernoulli_loglik.mistake(say)(_pixels(*wrong, **how))


CLIPPED = ("You clipped the probability, or added a small number to it: a sure and wrong pixel then costs the same "
           "whatever its logit, and has no slope. x l - log(1 + e^l) needs neither.")  # fmt: skip
for floor in (1e-6, 1e-7, 1e-8, 1e-10, 1e-12):
    _mistake_in_pixels(CLIPPED,
                       lambda x, l, e=floor: x * np.log(np.clip(1 / (1 + np.exp(-l)), e, 1 - e))
                       + (1 - x) * np.log(np.clip(1 - 1 / (1 + np.exp(-l)), e, 1 - e)))  # fmt: skip
    _mistake_in_pixels(CLIPPED,
                       lambda x, l, e=floor: x * np.log(1 / (1 + np.exp(-l)) + e)
                       + (1 - x) * np.log(1 - 1 / (1 + np.exp(-l)) + e))  # fmt: skip
_mistake_in_pixels("e^1000 overflows. Write log(1 + e^l) as np.logaddexp(0, l), or max(l, 0) + log(1 + e^-|l|).",
                   lambda x, l: x * l - np.log(1 + np.exp(l)))  # fmt: skip
for probability in (lambda l: 1 / (1 + np.exp(-l)), _sigmoid):
    _mistake_in_pixels("s(1000) rounds to 1, and log(1 - 1) is minus infinity. Simplify before you compute: "
                       "x l - log(1 + e^l).", lambda x, l, s=probability:
                       x * np.log(s(l)) + (1 - x) * np.log(1 - s(l)))  # fmt: skip
for switch in (4, 5, 6):
    _mistake_in_pixels("You put l for log(1 + e^l) where l is large, but too early: at l = 5 they differ by e^-5 = "
                       "0.007. np.logaddexp(0, l) needs no such switch.", lambda x, l, c=switch:
                       x * l - np.where(l > c, l, np.log(1 + np.exp(np.minimum(l, c)))))  # fmt: skip
_mistake_in_pixels("The sign is flipped: this is the loss. The log-likelihood is negative here, and we maximise it.",
                   lambda x, l: -_right_term(x, l))  # fmt: skip
_mistake_in_pixels("You averaged over the pixels. Independent pixels multiply, so their logarithms *add*: sum them, "
                   "or beta is no longer 1 (7.8).", _right_term, reduce=np.mean)  # fmt: skip
_mistake_in_pixels("You summed over the images too; keep one number per image, shape (n,).", _right_term, axis=None)
_mistake_in_pixels("You averaged over everything; keep one number per image, summed over its pixels, shape (n,).",
                   _right_term, axis=None, reduce=np.mean)  # fmt: skip
_mistake_in_pixels("You summed over the images, axis 0; the pixels are axis 1.", _right_term, axis=0)
_mistake_in_pixels("The white pixels are missing: x log s(l) leaves out (1 - x) log(1 - s(l)).",
                   lambda x, l: -x * _softplus(-l))  # fmt: skip
_mistake_in_pixels("The black pixels are missing: add x log s(l).", lambda x, l: -(1 - x) * _softplus(l))
_mistake_in_pixels("Black and white are exchanged: s(l) is the probability of x = 1.", lambda x, l: -x * l
                   - _softplus(-l))  # fmt: skip
_mistake_in_pixels("You rounded the grey pixels; use x as it is.", lambda x, l: _right_term(np.round(x), l))
_mistake_in_pixels("You took l for a probability; it is a logit, any real number: the probability is s(l).",
                   lambda x, l: x * np.log(l) + (1 - x) * np.log(1 - l))  # fmt: skip
_mistake_in_pixels("This is a squared distance to the probability; the Bernoulli law asks for its logarithm.",
                   lambda x, l: -((x - _sigmoid(l)) ** 2))  # fmt: skip


# -------------------- 7.2 --------------------

ONE, MORE, BEST = "gaussian_loglik, one feature", "gaussian_loglik, several features", "optimal_variance"


@exercise(
    "7.2", of=("gaussian_loglik", "optimal_variance"), slide=8, title="A Gaussian decoder, and its scale",
    answers=["enm5310.distributions.log_gaussian", "enm5310.distributions.log_gaussian_full",
             "enm5310.distributions.optimal_variance"],
    parts={ONE: 1, MORE: 1, BEST: 1},
    hints=[
        "For one feature, log N(x; m, v) = -1/2 [log 2 pi + log v + (x - m)^2 / v]. Which of these is `logvar`?",
        "Features are independent: put log 2 pi into the bracket of *each* feature and sum the brackets (axis=1). "
        "Then the constant is counted D times in all, no more and no less.",
        "For the best variance differentiate sum_ij [log v + r_ij^2 / v] by v: n D / v = sum_ij r_ij^2 / v^2.",
        "`np.mean((x - mean) ** 2)`, over samples and features: the mean squared error.",
    ],
)  # fmt: skip
def gaussian(t):
    for words, n, p in [(ONE, 4, 1), (MORE, 3, 2), (MORE, 2, 16), (MORE, 5, 3)]:
        x, mean, logvar = t.rng.normal(size=(3, n, p)) * np.array([2, 1, 0.7])[:, None, None] + [[[0]], [[1]], [[0.4]]]
        want = [sum(-0.5 * math.log(2 * math.pi * math.exp(s)) - (a - m) ** 2 / (2 * math.exp(s))
                    for a, m, s in zip(*row, strict=True)) for row in zip(x, mean, logvar, strict=True)]  # fmt: skip
        with t.part(words): close(t("gaussian_loglik", x, mean, logvar, like=(n,)), want)
    for n, p in [(4, 3), (3, 1), (1, 5)]:
        x, mean = t.rng.normal(size=(2, n, p)) * 3
        with t.part(BEST):
            got = t("optimal_variance", x, mean, like=())
            v = float(got)
            if not v > 0:
                raise Wrong(f"a variance is positive; yours is {v:.4g}")
            total = sum((a - m) ** 2 for a, m in zip(x.flat, mean.flat, strict=True))
            if abs(total / v - n * p) > max(1e-5, tolerance(got)) * n * p:  # n D / v = sum r^2 / v^2 at the top
                raise Wrong(f"at your variance {v:.4g} the log-likelihood still has a slope: a "
                            f"{'larger' if total / v > n * p else 'smaller'} one fits better")  # fmt: skip


def _gauss(inside=None, finish=lambda rows, logvar: -0.5 * np.sum(rows, axis=1)):
    """A wrong density: another bracket, or another way to add the brackets up."""
    inside = inside or (lambda r, s: np.log(2 * np.pi) + s + r**2 / np.exp(s))
    return lambda x, mean, logvar: finish(inside(x - mean, logvar), logvar)


def _mistake_in_gauss(say, *wrong, **how):
    gaussian.mistake(say)(_gauss(*wrong, **how))


_mistake_in_gauss("You counted the constant D times for each of D features, D^2 times in all: each feature brings "
                  "log 2 pi once.", lambda r, s: r.shape[1] * np.log(2 * np.pi) + s + r**2 / np.exp(s))  # fmt: skip
_mistake_in_gauss("You counted the constant once for the whole vector; each of D features brings its own log 2 pi.",
                  lambda r, s: np.log(2 * np.pi) / r.shape[1] + s + r**2 / np.exp(s))  # fmt: skip
_mistake_in_gauss("log 2 pi is missing, so your density does not integrate to 1.", lambda r, s: s + r**2 / np.exp(s))
_mistake_in_gauss("You read logvar as log sigma; it is log sigma^2, so the variance is e^logvar.",
                  lambda r, s: np.log(2 * np.pi) + 2 * s + r**2 / np.exp(2 * s))  # fmt: skip
_mistake_in_gauss("You divide by e^(2 logvar): the variance is e^logvar already.",
                  lambda r, s: np.log(2 * np.pi) + s + r**2 / np.exp(2 * s))  # fmt: skip
_mistake_in_gauss("You divide by sigma; the exponent has the variance, (x - mean)^2 / e^logvar.",
                  lambda r, s: np.log(2 * np.pi) + s + r**2 / np.exp(s / 2))  # fmt: skip
_mistake_in_gauss("You took logvar for the variance; the variance is e^logvar.",
                  lambda r, s: np.log(2 * np.pi) + np.log(s) + r**2 / s)  # fmt: skip
_mistake_in_gauss("The term logvar is missing: a wide Gaussian is lower everywhere near its middle.",
                  lambda r, s: np.log(2 * np.pi) + r**2 / np.exp(s))  # fmt: skip
_mistake_in_gauss("You multiplied by the variance; the exponent divides by it.",
                  lambda r, s: np.log(2 * np.pi) + s + r**2 * np.exp(s))  # fmt: skip
_mistake_in_gauss("Square the distance to the mean.", lambda r, s: np.log(2 * np.pi) + s + np.abs(r) / np.exp(s))
_mistake_in_gauss("This is the bare squared distance of slide 9, which has no scale: it forgets the variance.",
                  lambda r, s: 2 * r**2)  # fmt: skip
_mistake_in_gauss("The 1/2 is missing in front of everything.", finish=lambda rows, s: -np.sum(rows, axis=1))
_mistake_in_gauss("The sign is flipped: this is the loss, minus the log-likelihood.",
                  finish=lambda rows, s: 0.5 * np.sum(rows, axis=1))  # fmt: skip
_mistake_in_gauss("You averaged over the features; log-likelihoods of independent features add up.",
                  finish=lambda rows, s: -0.5 * np.mean(rows, axis=1))  # fmt: skip
_mistake_in_gauss("You summed over the samples too; keep one number per sample, shape (n,).",
                  finish=lambda rows, s: -0.5 * np.sum(rows))  # fmt: skip
_mistake_in_gauss("This is the density itself; its logarithm is asked for.",
                  finish=lambda rows, s: np.exp(-0.5 * np.sum(rows, axis=1)))  # fmt: skip


def _mistake_in_variance(say, f):
    gaussian.mistake(say, of="optimal_variance")(lambda x, mean: f(x - mean))


_mistake_in_variance("You summed over the features: one variance serves all n D numbers, so average over all of them.",
                     lambda r: np.mean(np.sum(r**2, axis=1)))  # fmt: skip
_mistake_in_variance("You summed over the samples; average over all n D numbers.",
                     lambda r: np.mean(np.sum(r**2, axis=0)))  # fmt: skip
_mistake_in_variance("You summed all squares; divide by their number, n D.", lambda r: np.sum(r**2))
_mistake_in_variance("This is sigma; the variance is its square.", lambda r: np.sqrt(np.mean(r**2)))
_mistake_in_variance("You averaged distances before you squared: (mean |r|)^2 is not the mean of r^2.",
                     lambda r: np.mean(np.abs(r)) ** 2)  # fmt: skip
_mistake_in_variance("You averaged distances; square them first.", lambda r: np.mean(np.abs(r)))
_mistake_in_variance("You subtracted the mean residual (np.var): the decoder's mean is given, its error counts too.",
                     np.var)  # fmt: skip
_mistake_in_variance("You halved it. Slide 9's bare square is the case sigma^2 = 1/2; the best one is the mean squared "
                     "error.", lambda r: np.mean(r**2) / 2)  # fmt: skip
_mistake_in_variance("You gave each feature its own variance; one number is asked for.",
                     lambda r: np.mean(r**2, axis=0))  # fmt: skip
_mistake_in_variance("This is the logarithm of the variance.", lambda r: np.log(np.mean(r**2)))


# -------------------- 7.3 --------------------

LOG2 = math.log(2)
AWAY, MIDDLE = "lambda away from 1/2", "lambda = 1/2, and very near it"
NODES, WEIGHTS = leggauss(40)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2  # on (0, 1)


@exercise(
    "7.3", of="continuous_bernoulli_logC", slide=8, title="Grey pixels need a constant",
    answers=["enm5310.distributions.continuous_bernoulli_logC", "enm5310.distributions.log_continuous_bernoulli"],
    parts={AWAY: 1, MIDDLE: 1},
    hints=[
        "With t = 1 - 2 lambda, C = 2 artanh(t) / t, and `np.arctanh` is artanh. Take the logarithm.",
        "At t = 0 that is 0/0. artanh(t) = t + t^3/3 + t^5/5 + ..., so artanh(t)/t = 1 + t^2/3 + ...: flat around 0.",
        "So a tiny t in place of 0 changes nothing that can be seen: `t = np.where(np.abs(t) < 1e-6, 1e-6, t)` before "
        "you divide.",
    ],
)  # fmt: skip
def continuous_bernoulli(t):
    for n in (3, 5, 1):
        lam = np.where(t.rng.uniform(size=n) < 0.5, t.rng.uniform(0.02, 0.4, n), t.rng.uniform(0.6, 0.98, n))
        with t.part(AWAY): _expect_mass_one(lam, t("continuous_bernoulli_logC", lam, like=(n,)))
    lam = np.abs([0, 1] - t.rng.uniform(0.003, 0.01, size=2))  # nearly white, nearly black
    with t.part(AWAY): _expect_mass_one(lam, t("continuous_bernoulli_logC", lam, like=(2,)))
    sides = t.rng.choice([-1.0, 1.0], size=6)
    lam = 0.5 + np.array([0, 1e-7, 1e-5, 1e-3, *t.rng.uniform([0.004, 0.005], [0.009, 0.05])]) * sides
    with t.part(MIDDLE):
        for some in (lam, lam[:1]):
            _expect_mass_one(some, t("continuous_bernoulli_logC", some, like=some.shape))


def _expect_mass_one(lam, logC):
    """By quadrature: the density C lambda^x (1 - lambda)^(1 - x) on [0, 1] has the mass 1."""
    mass = np.exp(np.log(lam)[:, None] * NODES + np.log1p(-lam)[:, None] * (1 - NODES)) @ WEIGHTS
    off = np.abs(logC + np.log(mass))
    if np.max(off) > min(tolerance(logC), 5e-6):  # more would hide a flat piece of |t| < 0.02, which is off by 2e-5
        i = int(np.argmax(off))
        raise Wrong(f"at lambda = {lam[i]:.6g} the mass of C lambda^x (1 - lambda)^(1 - x) should be 1; with your C it "
                    f"is {np.exp(min(logC[i], 700)) * mass[i]:.6g}")  # fmt: skip


def _logC(formula, at_half=None):
    """A wrong constant: formula(t) with t = 1 - 2 lambda, and a value for lambda = 1/2 itself."""

    def wrong(lam):
        t = 1 - 2 * lam
        return formula(t) if at_half is None else np.where(t == 0, at_half, formula(np.where(t == 0, 0.5, t)))

    return wrong


def _mistake_in_constant(say, formula, at_half=LOG2):
    continuous_bernoulli.mistake(say)(_logC(formula, at_half))


_mistake_in_constant("0/0 at lambda = 1/2: the limit there is C = 2, and near it artanh(t)/t = 1 + t^2/3 + ...",
                     lambda t: np.log(2 * np.arctanh(t) / t), None)  # fmt: skip
_mistake_in_constant("0/0 at lambda = 1/2: the limit there is C = 2, and near it artanh(t)/t = 1 + t^2/3 + ...",
                     lambda t: np.log(np.log((1 + t) / (1 - t)) / t), None)  # fmt: skip
_mistake_in_constant("At lambda = 1/2 you return 0, that is C = 1; the limit is C = 2.",
                     lambda t: np.log(2 * np.arctanh(t) / t), 0.0)  # fmt: skip
for width in (0.1, 0.02):
    _mistake_in_constant("You use C = 2 in a whole neighbourhood of 1/2, but log C = log 2 + t^2/3 + ... with "
                         "t = 1 - 2 lambda: take the limit only where |t| is tiny, 1e-6 for instance.",
                         lambda t, w=width:
                         np.where(np.abs(t) < w, np.log(2), np.log(2 * np.arctanh(t) / t)))  # fmt: skip
for at_half in (np.log(2), 2.0):
    _mistake_in_constant("This is C; its logarithm is asked for.", lambda t: 2 * np.arctanh(t) / t, at_half)
_mistake_in_constant("The sign is flipped: C is 1 over the mass of lambda^x (1 - lambda)^(1 - x), not that mass.",
                     lambda t: -np.log(2 * np.arctanh(t) / t), -np.log(2))  # fmt: skip
for at_half in (np.log(2), 0.0):
    _mistake_in_constant("The 2 is missing: C = 2 artanh(t) / t, t = 1 - 2 lambda.",
                         lambda t: np.log(np.arctanh(t) / t), at_half)  # fmt: skip
_mistake_in_constant("You did not divide by t = 1 - 2 lambda.", lambda t: np.log(np.abs(2 * np.arctanh(t))))
_mistake_in_constant("Away from 1/2 your answer is no number. Inside artanh belongs a number between -1 and 1, inside "
                     "the logarithm a positive one: artanh(t) and t = 1 - 2 lambda have the same sign; is a sign lost?",
                     lambda t: np.log(2 * np.arctanh(t) / -t))  # fmt: skip
_mistake_in_constant("A sign is lost: artanh(t) and t = 1 - 2 lambda have the same sign, so their ratio is positive.",
                     lambda t: np.log(2 * np.arctanh(t) / np.abs(t)))  # fmt: skip
_mistake_in_constant("You used arctan, the inverse of the tangent; artanh is the inverse of tanh, np.arctanh.",
                     lambda t: np.log(2 * np.arctan(t) / t))  # fmt: skip
_mistake_in_constant("You used log2 (bits); the course counts in nats.",
                     lambda t: np.log2(2 * np.arctanh(t) / t), 1.0)  # fmt: skip
_mistake_in_constant("log C = log 2 + t^2/3 is the series near 1/2; away from it use 2 artanh(t) / t.",
                     lambda t: np.log(2) + t**2 / 3)  # fmt: skip
for edge in (0.01, 0.02, 0.05):
    _mistake_in_constant("You clipped lambda: the formula holds up to the ends, and C grows there without bound.",
                         lambda t, e=edge: (lambda c: np.log(2 * np.arctanh(c) / c))(np.clip(t, 2 * e - 1, 1 - 2 * e)))
_mistake_in_constant("C depends on lambda; 2 is its value at lambda = 1/2 only.", lambda t: np.log(2) + 0 * t)


# -------------------- 7.4 --------------------

KL, REC, ELBO = "kl: exact, per sample", "rec: at z = mean + sigma eps", "elbo = rec - kl"


@exercise(
    "7.4", of="vae_elbo", slide=9, title="The ELBO of a VAE", answers=["enm5310.vae.elbo", "enm5310.vae.elbo_at"],
    parts={KL: 1, REC: 2, ELBO: 1},
    hints=[
        "Five lines: the encoder's output, split into two heads; the code z = mean + sigma eps; the decoder's logits "
        "at z; rec; kl.",
        "The first k columns are `mean`, the last k are `logvar` = log sigma^2, k = eps.shape[1]. So "
        "sigma = np.exp(logvar / 2).",
        "rec is 7.1 at logits = apply(decoder, z). kl = 1/2 sum_j [mean^2 + e^logvar - 1 - logvar]. Sums over pixels "
        "and over latents, none over samples.",
    ],
)  # fmt: skip
def vae_elbo(t):
    for n, p, k, hidden in [(3, 5, 2, [4]), (4, 3, 1, []), (5, 4, 3, [6, 5]), (1, 6, 2, [3])]:
        params, x, eps = _random_vae(t.rng, n, p, k, hidden)
        elbo, rec, kl = t("vae_elbo", params, x, eps, like={"elbo": (n,), "rec": (n,), "kl": (n,)})
        want_rec, want_kl = _sample_by_sample(params, x, eps)
        with t.part(KL): close(kl, want_kl)
        with t.part(REC): close(rec, want_rec)
        with t.part(ELBO): close(elbo, want_rec - want_kl)


def _random_vae(rng, n, p, k, hidden):
    """(encoder, decoder), black and white images x (n, p), noise eps (n, k)."""
    params = networks.random_layers(rng, [p, *hidden, 2 * k]), networks.random_layers(rng, [k, *hidden[::-1], p])
    return params, rng.integers(0, 2, size=(n, p)) * 1.0, rng.normal(size=(n, k)) + 0.3


def _sample_by_sample(params, X, eps):
    """rec and kl, each (n,): one image, one latent, one pixel at a time."""
    encoder, decoder = params
    recs, kls = [], []
    for x, e in zip(X, eps, strict=True):
        heads, k, z, kl = networks.row_by_row(encoder, x[None])[0], len(e), [], 0.0
        for j in range(k):
            m, variance = heads[j], math.exp(heads[k + j])
            z.append(m + math.sqrt(variance) * e[j])
            kl += (m * m + variance - 1 - math.log(variance)) / 2
        recs.append(_pixel_by_pixel(x[None], networks.row_by_row(decoder, np.array([z])))[0])
        kls.append(kl)
    return np.array(recs), np.array(kls)


def _right_kl(mean, logvar):
    return 0.5 * np.sum(mean**2 + np.exp(logvar) - 1 - logvar, axis=1)


def _right_rec(x, logits):
    return np.sum(_right_term(x, logits), axis=1)


def _halves(out, k):
    return out[:, :k], out[:, k:]


def _vae(heads=_halves, code=lambda m, s, eps: m + np.exp(s / 2) * eps, rec=_right_rec, kl=_right_kl,
         out=lambda rec, kl: (rec - kl, rec, kl)):  # fmt: skip
    """A wrong ELBO: other heads, another code, another rec, kl or answer."""

    def wrong(params, x, eps):
        mean, logvar = heads(networks.apply(params[0], x), eps.shape[1])
        return out(rec(x, networks.apply(params[1], code(mean, logvar, eps))), kl(mean, logvar))

    return wrong


def _mistake_in_elbo(say, **wrong):
    vae_elbo.mistake(say)(_vae(**wrong))


def _kl(variance=np.exp, scale=0.5, reduce=np.sum, log=lambda s: s):
    return lambda m, s: scale * reduce(m**2 + variance(s) - 1 - log(s), axis=1)


_mistake_in_elbo("You sample with sigma = e^logvar and charge the KL for the variance e^logvar: two readings of one "
                 "head. It is log sigma^2, so sigma = e^(logvar/2).",
                 code=lambda m, s, e: m + np.exp(s) * e)  # fmt: skip
_mistake_in_elbo("You read the second head as log sigma in both places; here it is log sigma^2.",
                 code=lambda m, s, e: m + np.exp(s) * e,
                 kl=_kl(lambda s: np.exp(2 * s), log=lambda s: 2 * s))  # fmt: skip
_mistake_in_elbo("Your KL reads the head as log sigma, and your sample as log sigma^2. The head is log sigma^2.",
                 kl=_kl(lambda s: np.exp(2 * s), log=lambda s: 2 * s))  # fmt: skip
_mistake_in_elbo("You took the head itself for sigma; it is log sigma^2, so sigma = e^(logvar/2).",
                 code=lambda m, s, e: m + s * e)  # fmt: skip
_mistake_in_elbo("You exchanged the heads: the first k columns are the mean, the last k are logvar.",
                 heads=lambda out, k: _halves(out, k)[::-1])  # fmt: skip
_mistake_in_elbo("You took the heads alternately; the first k columns are the mean, the last k are logvar.",
                 heads=lambda out, k: (out[:, ::2], out[:, 1::2]))  # fmt: skip
_mistake_in_elbo("All images share one noise, eps[0]; each has a row of its own.",
                 code=lambda m, s, e: m + np.exp(s / 2) * e[:1])  # fmt: skip
_mistake_in_elbo("There is no noise in your code: rec is taken at z = mean + sigma eps, not at the mean.",
                 code=lambda m, s, e: m)  # fmt: skip
_mistake_in_elbo("Your code is the noise alone: this samples from the prior, the encoder has no say.",
                 code=lambda m, s, e: e)  # fmt: skip
_mistake_in_elbo("Your sigma is 1 for every image: z = mean + sigma eps, with sigma = e^(logvar/2).",
                 code=lambda m, s, e: m + e)  # fmt: skip
_mistake_in_elbo("Your sigma is e^(-logvar/2), one over the standard deviation: sigma = e^(logvar/2).",
                 code=lambda m, s, e: m + np.exp(-s / 2) * e)  # fmt: skip
_mistake_in_elbo("You averaged the KL over the latents: they are independent, so their KLs add up. As a loss this "
                 "means beta = 1/k (7.8).", kl=_kl(reduce=np.mean))  # fmt: skip
_mistake_in_elbo("The 1/2 in front of the KL is missing.", kl=_kl(scale=1))
_mistake_in_elbo("The sign of your kl is flipped; a KL is never negative.", kl=_kl(scale=-0.5))
_mistake_in_elbo("The -1 is missing in the KL: it must be 0 for mean = 0 and logvar = 0.",
                 kl=lambda m, s: 0.5 * np.sum(m**2 + np.exp(s) - s, axis=1))  # fmt: skip
_mistake_in_elbo("Square the mean in the KL.", kl=lambda m, s: 0.5 * np.sum(m + np.exp(s) - 1 - s, axis=1))
_mistake_in_elbo("You added the KL: elbo = rec - kl, the KL is a price.", out=lambda rec, kl: (rec + kl, rec, kl))
_mistake_in_elbo("This is the loss, kl - rec; the ELBO is rec - kl, and it is maximised.",
                 out=lambda rec, kl: (kl - rec, rec, kl))  # fmt: skip
_mistake_in_elbo("The order is elbo, rec, kl.", out=lambda rec, kl: (rec, kl, rec - kl))
_mistake_in_elbo("You averaged over the images; return one value per image.",
                 out=lambda rec, kl: (np.mean(rec - kl), np.mean(rec), np.mean(kl)))  # fmt: skip
_mistake_in_elbo("You summed over the images; return one value per image.",
                 out=lambda rec, kl: (np.sum(rec - kl), np.sum(rec), np.sum(kl)))  # fmt: skip
_mistake_in_elbo("You averaged rec over the pixels: independent pixels add up.",
                 rec=lambda x, l: np.mean(_right_term(x, l), axis=1))  # fmt: skip
_mistake_in_elbo("Your rec is positive: it is log p(x | z), minus the cross-entropy.",
                 rec=lambda x, l: -_right_rec(x, l))  # fmt: skip
_mistake_in_elbo("rec is the squared distance here; this decoder is Bernoulli (7.1).",
                 rec=lambda x, l: -np.sum((x - _sigmoid(l)) ** 2, axis=1))  # fmt: skip
_mistake_in_elbo("You applied s twice: the decoder puts out logits, and 7.1 takes logits.",
                 rec=lambda x, l: _right_rec(x, _sigmoid(l)))  # fmt: skip


# -------------------- 7.5 --------------------

MEANS, VARIANCES = "V: the mean of the posterior", "d: the best variances"
GAP = "gap, also 0 for orthogonal columns"


@exercise(
    "7.5", of=("best_encoder", "elbo_gap"), slide=8, title="The linear VAE is probabilistic PCA",
    answers=["enm5310.ppca.best_encoder", "enm5310.ppca.elbo_gap"],
    parts={MEANS: 1, VARIANCES: 1, GAP: 2},
    hints=[
        "M = W^T W + s2 I is (q, q). The posterior of PPCA (lecture 1) is N(M^-1 W^T (x - mu), s2 M^-1): V is what "
        "multiplies x - mu.",
        "The KL from N(m, diag d) to N(m, S), as a function of d_j, is 1/2 [(S^-1)_jj d_j - log d_j] + constant. "
        "Differentiate: d_j = 1 / (S^-1)_jj, and S^-1 = M / s2.",
        "Insert that d: the trace becomes q and cancels. What is left is 1/2 [log |S| - sum_j log d_j].",
        "gap = `0.5 * (np.sum(np.log(np.diag(M))) - np.linalg.slogdet(M)[1])`: s2 cancels.",
    ],
)  # fmt: skip
def linear_vae(t):
    for p, q in [(5, 2), (4, 3), (3, 1), (6, 4)]:
        W, s2 = t.rng.normal(size=(p, q)) * 1.5, float(t.rng.uniform(0.2, 0.8))
        S, V = _posterior(W, s2)
        precision = np.linalg.inv(S)
        got_V, d = t("best_encoder", W, s2, like={"V": (q, p), "d": (q,)})
        with t.part(MEANS): close(got_V, V)
        with t.part(VARIANCES): close(d, 1 / np.diag(precision))
        D = np.diag(1 / np.diag(precision))
        gap = 0.5 * (np.trace(precision @ D) - q + np.linalg.slogdet(S)[1] - np.linalg.slogdet(D)[1])
        with t.part(GAP): _expect_gap(t("elbo_gap", W, s2, like=()), gap)
        orthogonal = np.linalg.qr(W)[0] * t.rng.uniform(0.5, 2, size=q)
        with t.part(GAP): _expect_gap(t("elbo_gap", orthogonal, s2, like=()), 0.0)


def _posterior(W, s2):
    """Covariance of z given x, and what multiplies x - mu in its mean, by conditioning the joint Gaussian of (z, x)."""
    C = W @ W.T + s2 * np.eye(len(W))
    gain = np.linalg.solve(C, W).T
    return np.eye(W.shape[1]) - gain @ W, gain


def _expect_gap(got, want):
    limit, got = tolerance(got) * max(1.0, abs(want)), float(got)
    if abs(got - want) > limit:
        raise Wrong(f"the best diagonal q is {want:.6f} nats away from the posterior; your gap is {got:.6f}"
                    + ("; a gap is a KL, never negative" if got < -limit else ""))  # fmt: skip


def _M(W, s2):
    return W.T @ W + s2 * np.eye(W.shape[1])


def _mistake_in_encoder(say, V=lambda W, s2: np.linalg.solve(_M(W, s2), W.T), d=lambda W, s2: s2 / np.diag(_M(W, s2))):
    linear_vae.mistake(say)(lambda W, s2: (V(W, s2), d(W, s2)))


_mistake_in_encoder("You took the diagonal of the posterior *covariance* s2 M^-1. The best diagonal q has the diagonal "
                    "of the *precision* M / s2: d_j = s2 / M_jj.",
                    d=lambda W, s2: s2 * np.diag(np.linalg.inv(_M(W, s2))))  # fmt: skip
_mistake_in_encoder("These are M_jj / s2, the precisions; the variances are 1 over them.",
                    d=lambda W, s2: np.diag(_M(W, s2)) / s2)  # fmt: skip
_mistake_in_encoder("s2 is missing in d: the posterior covariance is s2 M^-1, so d_j = s2 / M_jj.",
                    d=lambda W, s2: 1 / np.diag(_M(W, s2)))  # fmt: skip
_mistake_in_encoder("These are standard deviations; d holds variances.",
                    d=lambda W, s2: np.sqrt(s2 / np.diag(_M(W, s2))))  # fmt: skip
_mistake_in_encoder("This d is log sigma^2; the variances themselves are asked for.",
                    d=lambda W, s2: np.log(s2 / np.diag(_M(W, s2))))  # fmt: skip
_mistake_in_encoder("You returned the whole covariance s2 M^-1: q is diagonal here, d is one number per latent.",
                    d=lambda W, s2: s2 * np.linalg.inv(_M(W, s2)))  # fmt: skip
_mistake_in_encoder("d = s2 for every latent: divide by M_jj, which holds how strongly the latent is seen.",
                    d=lambda W, s2: np.full(W.shape[1], s2))  # fmt: skip
_mistake_in_encoder("You left s2 out of M: this is PCA's projection (W^T W)^-1 W^T, which does not shrink towards the "
                    "prior.", V=lambda W, s2: np.linalg.pinv(W))  # fmt: skip
_mistake_in_encoder("You left s2 I out of M, in V and in d: it is the prior's share, M = W^T W + s2 I.",
                    V=lambda W, s2: np.linalg.pinv(W), d=lambda W, s2: s2 / np.diag(W.T @ W))  # fmt: skip
_mistake_in_encoder("You added I in place of s2 I: M = W^T W + s2 I.",
                    V=lambda W, s2: np.linalg.solve(_M(W, 1), W.T), d=lambda W, s2: s2 / np.diag(_M(W, 1)))  # fmt: skip
_mistake_in_encoder("V is W^T alone: multiply by M^-1 from the left.", V=lambda W, s2: W.T)
_mistake_in_encoder("Your V has an extra s2: the mean is M^-1 W^T (x - mu), only the covariance has the factor s2.",
                    V=lambda W, s2: s2 * np.linalg.solve(_M(W, s2), W.T))  # fmt: skip
_mistake_in_encoder("V is transposed: it maps p numbers to q, so its shape is (q, p).",
                    V=lambda W, s2: np.linalg.solve(_M(W, s2), W.T).T)  # fmt: skip


def _mistake_in_gap(say, gap):
    linear_vae.mistake(say, of="elbo_gap")(lambda W, s2: gap(_M(W, s2), W, s2))


def _log_det(M):
    return np.linalg.slogdet(M)[1]


_mistake_in_gap("You answer 0: that is the gap of a q with a *full* covariance. A diagonal q misses the correlations.",
                lambda M, W, s2: 0.0)  # fmt: skip
_mistake_in_gap("The 1/2 is missing.", lambda M, W, s2: np.sum(np.log(np.diag(M))) - _log_det(M))
_mistake_in_gap("The sign is flipped: by Hadamard's inequality |M| is at most the product of its diagonal.",
                lambda M, W, s2: 0.5 * (_log_det(M) - np.sum(np.log(np.diag(M)))))  # fmt: skip
_mistake_in_gap("You left s2 I out of M = W^T W + s2 I.",
                lambda M, W, s2: 0.5 * (np.sum(np.log(np.diag(W.T @ W))) - _log_det(W.T @ W)))  # fmt: skip
_mistake_in_gap("You added I in place of s2 I: M = W^T W + s2 I.", lambda M, W, s2:
                0.5 * (np.sum(np.log(np.diag(_M(W, 1)))) - _log_det(_M(W, 1))))  # fmt: skip
_mistake_in_gap("The logarithm is missing: sum_j *log* M_jj - *log* |M|.",
                lambda M, W, s2: 0.5 * (np.prod(np.diag(M)) - np.linalg.det(M)))  # fmt: skip
_mistake_in_gap("You took the logarithm of the trace; sum the logarithms of the diagonal.",
                lambda M, W, s2: 0.5 * (np.log(np.trace(M)) - _log_det(M)))  # fmt: skip
_mistake_in_gap("This is the gap of d_j = (s2 M^-1)_jj, the diagonal of the covariance. The best d_j is s2 / M_jj, and "
                "its gap is smaller.", lambda M, W, s2: 0.5 * (np.sum(np.diag(M) * np.diag(np.linalg.inv(M))) - len(M)
                - _log_det(M) - np.sum(np.log(np.diag(np.linalg.inv(M))))))  # fmt: skip
_mistake_in_gap("This is the KL in the other direction, from the posterior to q: it has its best diagonal at the "
                "covariance's. The ELBO's gap is KL(q || posterior).", lambda M, W, s2:
                0.5 * (np.sum(np.log(np.diag(np.linalg.inv(M)))) + _log_det(M)))  # fmt: skip
_mistake_in_gap("You measured in bits (log2); the gap is in nats.",
                lambda M, W, s2: 0.5 * (np.sum(np.log(np.diag(M))) - _log_det(M)) / np.log(2))  # fmt: skip


# -------------------- 7.6 --------------------

DECODER, MEAN_HEAD, LOGVAR_HEAD, FIRST = "decoder", "encoder: mean head", "encoder: logvar head", "encoder: first layer"


def _likes(*widths):
    return {f"layer {i}": {"W": (m, n), "b": (n,)} for i, (m, n) in enumerate(pairwise(widths), 1)}


@exercise(
    "7.6", of="vae_gradient", slide=9, title="The gradient of a VAE, by hand",
    answers=["enm5310.vae.by_hand", "enm5310.vae.after"],
    parts={DECODER: 1, MEAN_HEAD: 1, LOGVAR_HEAD: 1, FIRST: 1},
    hints=[
        "Walk backwards: logits, hidden layer, z, the two heads, hidden layer. The first slope is d rec / d logits = "
        "x - s(logits), and the average over images divides by n.",
        "A layer A = h W + b with slope G: dW = h^T G, db = the sum of G's rows, and G W^T goes on to h. Through "
        "h = tanh(a) multiply by 1 - h^2.",
        "z = mean + sigma eps, sigma = e^(logvar/2): dz/dmean = 1 and dz/dlogvar = sigma eps / 2.",
        "The KL enters at the heads: d_mean = dz - mean / n and d_logvar = dz * sigma * eps / 2 - (sigma^2 - 1) / "
        "(2 n). Put the two side by side: that is the slope G of the encoder's last layer.",
    ],
)  # fmt: skip
def vae_gradient(t):
    for n, p, k, h in [(3, 5, 2, 4), (4, 4, 1, 3), (6, 3, 3, 5), (1, 4, 2, 6)]:
        params, x, eps = _random_vae(t.rng, n, p, k, [h])
        like = {"encoder": _likes(p, h, 2 * k), "decoder": _likes(k, h, p)}
        (first, (W, b)), decoder = t("vae_gradient", params, x, eps, like=like)
        (want_first, (want_W, want_b)), want_decoder = grad(_batch_elbo)(params, x, eps, 1.0)
        with t.part(DECODER): _close_layers(decoder, want_decoder)
        with t.part(MEAN_HEAD): _close_layers([(W[:, :k], b[:k])], [(want_W[:, :k], want_b[:k])])
        with t.part(LOGVAR_HEAD): _close_layers([(W[:, k:], b[k:])], [(want_W[:, k:], want_b[k:])])
        with t.part(FIRST): _close_layers([first], [want_first])


def _batch_elbo(params, x, eps, beta):
    """(1/n) sum_i rec_i - beta kl_i in plain autograd: what 7.6 and 7.7 differentiate."""
    anp, outputs, k = autograd.numpy, x, eps.shape[1]
    for i, (W, b) in enumerate(params[0], 1):
        outputs = anp.dot(outputs, W) + b
        outputs = outputs if i == len(params[0]) else anp.tanh(outputs)
    mean, logvar = outputs[:, :k], outputs[:, k:]
    logits = mean + anp.exp(0.5 * logvar) * eps
    for i, (W, b) in enumerate(params[1], 1):
        logits = anp.dot(logits, W) + b
        logits = logits if i == len(params[1]) else anp.tanh(logits)
    rec = anp.sum(x * logits) - anp.sum(anp.logaddexp(0, logits))
    return (rec - beta * 0.5 * anp.sum(mean**2 + anp.exp(logvar) - logvar - 1)) / len(x)


def _close_layers(got, want, tolerances=None):
    """Layers, one with another; W and b of a layer each on their own scale."""
    tolerances = tolerances or [(None, None)] * len(want)
    for i, layer in enumerate(zip(got, want, tolerances, strict=True), 1):
        for name, a, a_, rtol in zip("Wb", *layer, strict=True):
            try:
                close(a, a_, rtol=rtol)
            except Wrong as why:
                which = f"layer {i}, " if len(want) > 1 else ""
                raise Wrong(f"{which}d{name}: {why}") from None


def _expect_step(new, old, slope, lr):
    """Layers that have moved from old to new by lr times the slope."""
    moved = [[(a - a_) / lr for a, a_ in zip(*layer, strict=True)] for layer in zip(new, old, strict=True)]
    top = max(np.max(np.abs(d)) for layer in slope for d in layer)
    limits = [[step_tolerance(a, d, lr, top) for a, d in zip(*layer, strict=True)]
              for layer in zip(new, slope, strict=True)]  # fmt: skip
    _close_layers(moved, slope, limits)


def _by_hand(
    slope=lambda x, l, n: (x - _sigmoid(l)) / n, bend=lambda h: 1 - h**2, d_mean=lambda dz, m, s, e, n: dz - m / n,
    d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2 - np.expm1(s) / (2 * n), bias=np.sum,
    bend_encoder=None, finish=lambda encoder, decoder, n: (encoder, decoder), cut=False, swapped=False,
):  # fmt: skip
    """A wrong gradient: other slopes at the logits, the bends, the heads, or another answer."""
    bend_encoder = bend_encoder or bend

    def wrong(params, x, eps):
        ((W1, b1), (W2, b2)), ((W3, b3), (W4, b4)) = params
        n, k = eps.shape
        h = np.tanh(x @ W1 + b1)
        mean, logvar = _halves(h @ W2 + b2, k)
        z = mean + np.exp(logvar / 2) * eps
        u = np.tanh(z @ W3 + b3)
        G4 = slope(x, u @ W4 + b4, n)
        G3 = (G4 @ W4.T) * bend(u)
        dz = 0 * z if cut else G3 @ W3.T
        heads = [d(dz, mean, logvar, eps, n) for d in (d_mean, d_logvar)]
        G2 = np.hstack(heads[::-1] if swapped else heads)
        G1 = (G2 @ W2.T) * bend_encoder(h)
        encoder, decoder = ([(a.T @ G, bias(G, axis=0)) for a, G in pairs]
                            for pairs in ([(x, G1), (h, G2)], [(z, G3), (u, G4)]))  # fmt: skip
        return finish(encoder, decoder, n)

    return wrong


def _mistake_in_gradient(say, **wrong):
    vae_gradient.mistake(say)(_by_hand(**wrong))


def _scaled(times):
    return lambda encoder, decoder, n: tuple([(times(n) * W, times(n) * b) for W, b in net]
                                             for net in (encoder, decoder))  # fmt: skip


_mistake_in_gradient("The path through eps is missing in logvar: z = mean + sigma eps depends on logvar too, with the "
                     "slope sigma eps / 2.", d_logvar=lambda dz, m, s, e, n: -np.expm1(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("The KL is missing at both heads: its slopes are mean and (sigma^2 - 1)/2, over n.",
                     d_mean=lambda dz, m, s, e, n: dz,
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2)  # fmt: skip
_mistake_in_gradient("The KL is missing at the mean head: d KL / d mean = mean.", d_mean=lambda dz, m, s, e, n: dz)
_mistake_in_gradient("The KL is missing at the logvar head: d KL / d logvar = (sigma^2 - 1)/2.",
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2)  # fmt: skip
_mistake_in_gradient("The 1/2 of sigma = e^(logvar/2) is missing: dz/dlogvar = sigma eps / 2.",
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) - np.expm1(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("sigma is missing: dz/dlogvar = sigma eps / 2, you have eps / 2.",
                     d_logvar=lambda dz, m, s, e, n: dz * e / 2 - np.expm1(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("eps is missing: dz/dlogvar = sigma eps / 2.",
                     d_logvar=lambda dz, m, s, e, n: dz * np.exp(s / 2) / 2 - np.expm1(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("The 1/2 of the KL is missing at the logvar head: (sigma^2 - 1)/2.",
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2 - np.expm1(s) / n)  # fmt: skip
_mistake_in_gradient("The -1 is missing in the KL's slope (sigma^2 - 1)/2: log sigma^2 has a slope, too.",
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2 - np.exp(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("You pay the KL with the wrong sign: elbo = rec - kl, so subtract its slopes.",
                     d_mean=lambda dz, m, s, e, n: dz + m / n,
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2 + np.expm1(s) / (2 * n))  # fmt: skip
_mistake_in_gradient("You divide rec's slope by n but not the KL's: the average is over both.",
                     d_mean=lambda dz, m, s, e, n: dz - m,
                     d_logvar=lambda dz, m, s, e, n: dz * e * np.exp(s / 2) / 2 - np.expm1(s) / 2)  # fmt: skip
_mistake_in_gradient("Nothing of rec reaches your encoder: the slope goes back through z into mean and logvar. This "
                     "is slide 9's left picture, before reparametrisation.", cut=True)  # fmt: skip
_mistake_in_gradient("You exchanged the heads: mean first, logvar last.", swapped=True)
_mistake_in_gradient("The slope 1 - h^2 of tanh is missing, in both networks.", bend=np.ones_like)
_mistake_in_gradient("The slope 1 - h^2 of tanh is missing in the encoder.", bend_encoder=np.ones_like)
_mistake_in_gradient("The slope 1 - h^2 of tanh is missing in the decoder.", bend=np.ones_like,
                     bend_encoder=lambda h: 1 - h**2)  # fmt: skip
_mistake_in_gradient("The slope of tanh is 1 - h^2; yours is 1 - h.", bend=lambda h: 1 - h)
_mistake_in_gradient("h (1 - h) is the slope of the logistic function; tanh has 1 - h^2.", bend=lambda h: h * (1 - h))
_mistake_in_gradient("You took x - logits: the slope of rec is x - s(logits).", slope=lambda x, l, n: (x - l) / n)
_mistake_in_gradient("You multiplied by s (1 - s), the slope of s: it cancels in x l - log(1 + e^l), whose slope is "
                     "x - s(l).", slope=lambda x, l, n:
                     (x - _sigmoid(l)) * _sigmoid(l) * (1 - _sigmoid(l)) / n)  # fmt: skip
_mistake_in_gradient("The sign of rec's slope is wrong: d rec / d logits = x - s(logits).",
                     slope=lambda x, l, n: (_sigmoid(l) - x) / n)  # fmt: skip
_mistake_in_gradient("The sign is flipped everywhere: this is the gradient of the loss. Return that of the ELBO.",
                     finish=_scaled(lambda n: -1))  # fmt: skip
_mistake_in_gradient("You summed over the images; the ELBO is averaged over them.", finish=_scaled(lambda n: n))
_mistake_in_gradient("A bias gets the *sum* of its rows of G; you averaged once more.", bias=np.mean)
_mistake_in_gradient("The encoder comes first, then the decoder.",
                     finish=lambda encoder, decoder, n: (decoder, encoder))  # fmt: skip


# -------------------- 7.7 --------------------

BATCH, STEP = "batch_elbo: rec - beta KL, averaged", "ascent_step: uphill by lr"
LEARNED, USED = "train_vae: test ELBO above -22.5", "train_vae: test ELBO above -21, both latents used"


@exercise(
    "7.7", of=("batch_elbo", "ascent_step", "train_vae"), slide=9, title="Train a VAE on digits", slow=True,
    answers=["enm5310.vae.fit", "enm5310.vae.after", "enm5310.vae.by_hand", "enm5310.vae.elbo", "enm5310.training.fit"],
    parts={BATCH: 2, STEP: 1, LEARNED: 1, USED: 1},
    hints=[
        "batch_elbo is 7.4 with beta in front of the KL, then np.mean over the images. ascent_step: "
        "`grad(batch_elbo)(params, x, eps, beta)` has the nesting of params; add lr times it to every W and b.",
        "To train, minimise `-batch_elbo(params, rows, fresh eps, beta)` with "
        "`optimizers.adam(grad(loss), start, num_iters=..., step_size=...)`, where loss(params, i) draws its own rows "
        "and noise.",
        "Encoder 64-100-4, decoder 2-100-64, W scaled by 1 / sqrt(inputs), 100 images per step, 2,000 steps of size "
        "0.005, beta = min(1, i / 500): four seconds, test ELBO near -20.",
    ],
)  # fmt: skip
def training(t):
    for n, p, k, hidden in [(3, 5, 2, [4]), (5, 4, 1, []), (2, 3, 3, [4, 5])]:
        params, x, eps = _random_vae(t.rng, n, p, k, hidden)
        beta, lr = float(t.rng.uniform(0.2, 0.8)), float(t.rng.uniform(0.01, 0.1))
        rec, kl = _sample_by_sample(params, x, eps)
        for weight in (beta, 1.0):
            with t.part(BATCH):
                close(t("batch_elbo", params, x, eps, weight, like=()), np.mean(rec) - weight * np.mean(kl))
        like = {"encoder": _likes(p, *hidden, 2 * k), "decoder": _likes(k, *hidden[::-1], p)}
        with t.part(STEP):
            new = t("ascent_step", params, x, eps, beta, lr, like=like)
            t.left_alone()
            for got, old, want in zip(new, params, grad(_batch_elbo)(params, x, eps, beta), strict=True):
                _expect_step(got, old, want, lr)
    train, test = _hidden_digits(t.rng)
    like = {"encoder": networks.layers_of(64, 4), "decoder": networks.layers_of(2, 64), "activation": str}
    net = networks.trained(t, (LEARNED, USED), "train_vae", train, int(t.rng.integers(10**6)), like=like)
    if net:
        scores = []
        for words, limit in [(LEARNED, -22.5), (USED, -21.0)]:
            with t.part(words):
                scores = scores or _scores(t.rng, test, *net)
                _expect_elbo(limit, words == USED, train, test, *scores)


def _hidden_digits(rng):
    """1,500 black and white digits to train on and 297 to test: a new split, the pixels in a new order, half inverted.

    An independent pixel is as easy to predict inverted, so ELBOs mean what they meant; weights stored beforehand fit no
    such image, unless one goes to the length of undoing all of it.
    """
    X = np.round(networks.digits() - 1e-6)[rng.permutation(1797)][:, rng.permutation(64)]
    X = np.abs(X - rng.integers(0, 2, size=64))
    return X[:1500], X[1500:]


def _scores(rng, test, encoder, decoder, activation, draws=30):
    """rec and kl of the test images, averaged over the check's own noise, and the variance of each latent's mean."""
    if activation not in networks.ACTIVATIONS:
        raise Wrong(f"the activation {activation[:20]!r} is not known; want one of {', '.join(networks.ACTIVATIONS)}")
    mean, logvar = _halves(networks.apply(encoder, test, activation).astype(float), 2)
    eps = rng.normal(size=(draws, len(test), 2))
    logits = networks.apply(decoder, (mean + np.exp(logvar / 2) * eps).reshape(-1, 2), activation).astype(float)
    rec, kl = np.mean(_right_rec(np.tile(test, (draws, 1)), logits)), np.mean(_right_kl(mean, logvar))
    networks.finite(rec, kl)
    return rec, kl, np.var(mean, axis=0)


def _expect_elbo(limit, both, train, test, rec, kl, spread):
    grey = np.clip(np.mean(train, axis=0), 1e-3, 1 - 1e-3)
    independent = np.mean(test @ np.log(grey) + (1 - test) @ np.log(1 - grey))
    told = f"test ELBO {rec - kl:.2f} = rec {rec:.2f} - KL {kl:.2f}, want above {limit:g}"
    if not rec - kl > limit:
        raise Wrong(f"{told} (independent pixels: {independent:.2f}); {_vae_symptom(rec, kl, spread, independent)}")
    if both and not np.all(spread > 0.01):
        raise Wrong("one of your two latents is not used: the variance of its mean over the images is below 0.01")


def _vae_symptom(rec, kl, spread, independent):
    """What to look at, given a VAE whose test ELBO is too low."""
    if kl > 6 and rec < independent + 1:
        return "a large KL that buys nothing: the training diverged. Make the steps smaller, or let them shrink"
    if kl < 0.05 or np.all(spread < 0.01):
        return ("the posterior has collapsed: no latent says anything about x. Let beta grow from 0, check beta's "
                "scale, or make the steps smaller")  # fmt: skip
    if np.any(spread < 0.01):
        return "one latent has collapsed onto the prior: let beta grow from 0, or train longer"
    if kl > 6:
        return "the KL is large: is beta = 1 at the end of the training, and the KL summed over the latents?"
    if rec - kl < independent:
        return "nothing was learned yet (too few steps, or steps too large; is the ELBO maximised?)"
    return "train longer, with more hidden units, or with smaller steps at the end"


def _batch(reduce=np.mean, **wrong):
    """A wrong batch_elbo: 7.4's parts in another way, with beta."""

    def of(params, x, eps, beta):
        _, rec, kl = _vae(**wrong)(params, x, eps)
        return reduce(rec - beta * kl)

    return of


def _mistake_in_batch(say, f):
    training.mistake(say)(f)


_mistake_in_batch("You left beta out: rec - beta kl.", lambda params, x, eps, beta: _batch()(params, x, eps, 1.0))
_mistake_in_batch("beta belongs to the KL alone; you multiplied rec by it as well.",
                  lambda params, x, eps, beta: beta * _batch()(params, x, eps, 1.0))  # fmt: skip
_mistake_in_batch("beta belongs to the KL; you multiplied rec by it instead.", lambda params, x, eps, beta:
                  beta * _batch()(params, x, eps, 1 / beta))  # fmt: skip
_mistake_in_batch("You divided the KL by beta.", lambda params, x, eps, beta: _batch()(params, x, eps, 1 / beta))
_mistake_in_batch("You added the KL: it is a price, rec - beta kl.",
                  lambda params, x, eps, beta: _batch()(params, x, eps, -beta))  # fmt: skip
_mistake_in_batch("The KL is missing: this trains an auto-encoder with noise.",
                  lambda params, x, eps, beta: _batch()(params, x, eps, 0.0))  # fmt: skip
_mistake_in_batch("The sign is flipped: batch_elbo is maximised; put the minus where you hand it to a minimiser.",
                  lambda params, x, eps, beta: -_batch()(params, x, eps, beta))  # fmt: skip
_mistake_in_batch("You summed over the images; average over them, so that the step does not grow with the batch.",
                  _batch(np.sum))  # fmt: skip
_mistake_in_batch("You averaged rec over the pixels (np.mean of everything): then beta = 1 weighs the KL p times too "
                  "much, and the latents collapse (7.8).",
                  _batch(rec=lambda x, l: np.mean(_right_term(x, l), axis=1)))  # fmt: skip
_mistake_in_batch("You averaged the KL over the latents; they add up.", _batch(kl=_kl(reduce=np.mean)))
_mistake_in_batch("You averaged rec over the pixels and the KL over the latents. The reductions choose beta (7.8): "
                  "sum over both.", _batch(rec=lambda x, l: np.mean(_right_term(x, l), axis=1),
                                           kl=_kl(reduce=np.mean)))  # fmt: skip
_mistake_in_batch("You sample with sigma = e^logvar; the head is log sigma^2, so sigma = e^(logvar/2).",
                  _batch(code=lambda m, s, e: m + np.exp(s) * e))  # fmt: skip
_mistake_in_batch("There is no noise in your code: z = mean + sigma eps.", _batch(code=lambda m, s, e: m))
_mistake_in_batch("All images share one noise, eps[0]; each has a row of its own.",
                  _batch(code=lambda m, s, e: m + np.exp(s / 2) * e[:1]))  # fmt: skip


def _moved(times=lambda lr, n: lr, beta=lambda beta: beta, nets=(1, 1), bias=1):
    """A wrong step: another length, another beta, or one network or all biases left where they are."""

    def wrong(params, x, eps, weight, lr):
        d = grad(_batch_elbo)(params, x, eps, beta(weight))
        return tuple([(W + on * times(lr, len(x)) * dW, b + on * bias * times(lr, len(x)) * db)
                      for (W, b), (dW, db) in zip(net, d_net, strict=True)]
                     for net, d_net, on in zip(params, d, nets, strict=True))  # fmt: skip

    return wrong


def _mistake_in_step(say, **wrong):
    training.mistake(say, of="ascent_step")(_moved(**wrong))


_mistake_in_step("You went downhill: the ELBO is maximised, theta + lr * gradient.", times=lambda lr, n: -lr)
_mistake_in_step("You forgot lr, the length of the step.", times=lambda lr, n: 1.0)
_mistake_in_step("Your step has the gradient of the summed ELBO; batch_elbo is an average over the images.",
                 times=lambda lr, n: lr * n)  # fmt: skip
_mistake_in_step("Your step ignores beta.", beta=lambda beta: 1.0)
_mistake_in_step("Only your decoder moved; the encoder learns through the path z = mean + sigma eps.", nets=(0, 1))
_mistake_in_step("Only your weights moved; the biases have a gradient, too.", bias=0)
_mistake_in_step("Only your encoder moved; the decoder has a gradient, too.", nets=(1, 0))


@training.mistake("You returned the gradient; the step is theta + lr * gradient.", of="ascent_step")
def _(params, x, eps, beta, lr):
    return grad(_batch_elbo)(params, x, eps, beta)


# -------------------- 7.8 --------------------

SAME, ONE_MEAN = "both sums, or both means", "one of them a mean"
REPAIR = "kl_weight: the factor that repairs a loss"


@exercise(
    "7.8", of=("implied_beta", "kl_weight"), slide=9, title="Clinic: the beta you did not choose",
    answers=["enm5310.vae.implied_beta"], parts={SAME: 1, ONE_MEAN: 1, REPAIR: 1},
    hints=[
        "Write the loss with totals: rec's mean is (total rec) / D, the KL's mean is (total KL) / K. Then multiply the "
        "loss by whatever makes the factor of the total rec equal to 1.",
        "A mean over D in rec makes rec small, so the KL weighs D times more. A mean over K in the KL makes it weigh K "
        "times less.",
        "beta = (D if rec is a mean, else 1) / (K if the KL is a mean, else 1). A factor w in front of the KL "
        "multiplies that: solve w * implied = beta for w.",
    ],
)  # fmt: skip
def clinic(t):
    for _ in range(3):
        D, K = int(t.rng.integers(40, 900)), int(t.rng.integers(2, 30))
        wanted = float(t.rng.uniform(0.2, 5))
        for red_rec, red_kl in [("sum", "sum"), ("mean", "sum"), ("sum", "mean"), ("mean", "mean")]:
            words = SAME if red_rec == red_kl else ONE_MEAN
            implied = _weight(red_kl, K) / _weight(red_rec, D)
            with t.part(words): close(t("implied_beta", red_rec, red_kl, D, K, like=()), implied)
            with t.part(REPAIR): close(t("kl_weight", wanted, red_rec, red_kl, D, K, like=()), wanted / implied)


def _weight(reduce, n):
    """What "sum" or "mean" makes of n terms that total 1."""
    return getattr(np, reduce)(np.full(n, 1 / n))


def _betas(rec=lambda D: D, kl=lambda K: 1 / K, means=("mean", "mean")):
    """A wrong beta: other factors for a mean."""
    return lambda red_rec, red_kl, D, K: (rec(D) if red_rec == means[0] else 1) * (kl(K) if red_kl == means[1] else 1)


def _mistake_in_beta(say, wrong):
    clinic.mistake(say)(wrong)


_mistake_in_beta("This is 1/beta: a mean over D shrinks *rec*, so the KL gains weight: D in the numerator.",
                 _betas(lambda D: 1 / D, lambda K: K))  # fmt: skip
_mistake_in_beta("The mean over K is missing: it divides the KL, and so beta, by K.", _betas(kl=lambda K: 1))
_mistake_in_beta("The mean over D is missing: it divides rec by D, so beta gains a factor D.", _betas(rec=lambda D: 1))
_mistake_in_beta("Both means as factors, D K: the one of the KL *divides*, D / K.", _betas(kl=lambda K: K))
_mistake_in_beta("Both means divide in your answer; the one of rec makes the KL weigh more: D / K.",
                 _betas(rec=lambda D: 1 / D))  # fmt: skip
_mistake_in_beta("You exchanged D and K: rec has D terms, the KL has K.",
                 lambda red_rec, red_kl, D, K: _betas()(red_rec, red_kl, K, D))  # fmt: skip
_mistake_in_beta("You exchanged sum and mean: a sum needs no correction.", _betas(means=("sum", "sum")))
_mistake_in_beta("You exchanged the two reductions: the first is rec's.",
                 lambda red_rec, red_kl, D, K: _betas()(red_kl, red_rec, D, K))  # fmt: skip
_mistake_in_beta("You answer D / K whatever the reductions are; that is for two means.",
                 lambda red_rec, red_kl, D, K: D / K)  # fmt: skip
_mistake_in_beta("You answer 1 whatever the reductions are: a mean changes the scale of its term.",
                 lambda red_rec, red_kl, D, K: 1.0)  # fmt: skip
_mistake_in_beta("Division without a remainder (//) loses the fraction; use /.",
                 lambda red_rec, red_kl, D, K:
                 (D if red_rec == "mean" else 1) // (K if red_kl == "mean" else 1))  # fmt: skip


def _mistake_in_weight(say, f):
    clinic.mistake(say, of="kl_weight")(lambda beta, *how: f(beta, _betas()(*how)))


_mistake_in_weight("You multiplied by the implied beta; the loss brings that factor already, so divide by it.",
                   lambda beta, implied: beta * implied)  # fmt: skip
_mistake_in_weight("You returned beta itself: that is right only if the reductions imply 1.",
                   lambda beta, implied: beta)  # fmt: skip
_mistake_in_weight("You returned the implied beta; the factor must turn it into the beta that is wanted.",
                   lambda beta, implied: implied)  # fmt: skip
_mistake_in_weight("This repairs the loss to beta = 1; another beta is wanted.", lambda beta, implied: 1 / implied)
clinic.mistake("You answer beta K / D whatever the reductions are; that is for two means.", of="kl_weight")(
    lambda beta, red_rec, red_kl, D, K: beta * K / D)  # fmt: skip
_mistake_in_weight("This is 1 over the factor: w * implied = beta.", lambda beta, implied: implied / beta)


# -------------------- 7.9 --------------------

ACTIVE, IWAE, BITS = "active_units", "iwae: log of the mean weight", "bits_per_dim"


@exercise(
    "7.9", of=("active_units", "iwae", "bits_per_dim"), slide=9, title="How good is it?",
    answers=["enm5310.latent.active_units", "enm5310.latent.log_likelihood", "enm5310.latent.bits_per_dim",
             "enm5310.vae.log_weight"],
    parts={ACTIVE: 1, IWAE: 1, BITS: 1},
    hints=[
        "A latent is active when its posterior *mean* moves with x: `np.var(mean, axis=0) > 0.01`, one answer per "
        "latent.",
        "log w = rec + log N(z; 0, I) - log N(z; mean, sigma^2): the constants log 2 pi cancel, which leaves "
        "rec + 1/2 sum_j [logvar + (z - mean)^2 e^-logvar - z^2].",
        "The average over the K draws (axis 0) is one of *weights*, inside the logarithm. Take the largest log w of "
        "each image out before the exponential.",
        "Bits: nats / log 2. Per dimension: / D. And a code length is *minus* a log probability.",
    ],
)  # fmt: skip
def evaluation(t):
    for n, k in [(4, 6), (8, 5), (3, 7)]:
        mean, active = _means(t.rng, n, k)
        with t.part(ACTIVE):
            got = t("active_units", mean, like=(k,))
            if not np.array_equal(got, active):
                j = int(np.argmax(got != active))
                raise Wrong(f"latent {j + 1}, whose mean has the variance {np.var(mean[:, j]):.4g} over the images, is "
                            f"{'active' if active[j] else 'not active'}")  # fmt: skip
    for K, n, k, level in [(4, 3, 2, -5), (1, 2, 3, -60), (6, 4, 1, -900), (3, 1, 2, -900)]:
        mean, logvar = t.rng.normal(size=(2, n, k)) * np.array([1.0, 0.7])[:, None, None] - [[[0]], [[0.5]]]
        z, rec = t.rng.normal(size=(K, n, k)) + mean, level + 2 * t.rng.normal(size=(K, n))
        rec[:, -1] -= 850 * (n > 1)  # one image is much less likely than the others
        rec[0] -= 800 * (K > 2)  # and one draw says next to nothing
        with t.part(IWAE):
            got = t("iwae", rec, z, mean, logvar, like=(n,))
            close(got, _log_mean_weight(rec, z, mean, logvar), rtol=1e-9 if got.dtype.itemsize > 4 else 2e-5)
    for n in (3, 4):
        log_p, D = -t.rng.uniform(30, 200, size=n), int(t.rng.integers(20, 900))
        with t.part(BITS):  # a code of b bits per dimension has the probability 2^(-b D)
            bits = t("bits_per_dim", log_p, D, like=(n,))
            close(-bits.astype(float) * D * math.log(2), log_p, rtol=tolerance(bits))


def _means(rng, n, k):
    """Posterior means with variances above or below 0.01, some of each; which are above.

    Four latents are not active: one near 0, one that moves almost enough (by 1/(n - 1) it would be enough), one that
    moves a little and one that hardly moves, far from 0.  One that is active, just so, has an average near 0.
    """
    spread = np.array([0.004, 0.098, 0.05, 0.004, 0.103, *rng.choice([0.13, 0.2, 1.5], size=k - 5)])
    level = np.array([0.05, 1.0, 1.0, 1.0, 0.005, *rng.uniform(0.3, 2, size=k - 5)])
    shape = rng.normal(size=(n, k))
    shape = (shape - np.mean(shape, axis=0)) / np.std(shape, axis=0)
    order = rng.permutation(k)
    return (rng.choice([-1.0, 1.0], size=k) * level + spread * shape)[:, order], (np.arange(k) > 3)[order]


def _log_mean_weight(rec, z, mean, logvar):
    """log (1/K) sum_k w_k, image by image, with densities in full and the sum of exponentials by fsum."""

    def log_normal(x, m, v):
        return -0.5 * math.log(2 * math.pi * v) - (x - m) ** 2 / (2 * v)

    out = []
    for i in range(len(mean)):
        log_w = [rec[s, i] + sum(log_normal(a, 0.0, 1.0) - log_normal(a, m, math.exp(v))
                                 for a, m, v in zip(z[s, i], mean[i], logvar[i], strict=True))
                 for s in range(len(rec))]  # fmt: skip
        out.append(max(log_w) + math.log(math.fsum(math.exp(w - max(log_w)) for w in log_w) / len(log_w)))
    return np.array(out)


def _mistake_in_units(say, f):
    evaluation.mistake(say)(f)


_mistake_in_units("You call every latent active; active are those whose mean varies by more than 0.01 over the images.",
                  lambda mean: np.ones(mean.shape[1], bool))  # fmt: skip
_mistake_in_units("You compared the standard deviation with 0.01; the criterion is on the variance.",
                  lambda mean: np.std(mean, axis=0) > 0.01)  # fmt: skip
_mistake_in_units("You took the mean square: a latent that is constant, but not 0, says nothing about x. Subtract the "
                  "average over the images (np.var does).", lambda mean: np.mean(mean**2, axis=0) > 0.01)  # fmt: skip
_mistake_in_units("You averaged the means; what counts is how much they vary from image to image.",
                  lambda mean: np.abs(np.mean(mean, axis=0)) > 0.01)  # fmt: skip
_mistake_in_units("The comparison is turned round: a latent with a small variance has collapsed.",
                  lambda mean: np.var(mean, axis=0) < 0.01)  # fmt: skip
_mistake_in_units("The variance is over the images, axis 0; you took it over the latents.",
                  lambda mean: np.var(mean, axis=1) > 0.01)  # fmt: skip
_mistake_in_units("You returned how many; say which, one answer per latent.",
                  lambda mean: np.sum(np.var(mean, axis=0) > 0.01))  # fmt: skip
_mistake_in_units("You returned the variances; compare them with 0.01.", lambda mean: np.var(mean, axis=0))
_mistake_in_units("You divided by n - 1; the variance over the images is by 1/n.",
                  lambda mean: np.var(mean, axis=0, ddof=1) > 0.01)  # fmt: skip
_mistake_in_units("The threshold is 0.01, not 0.1.", lambda mean: np.var(mean, axis=0) > 0.1)


def _lme(log_w):
    top = np.max(log_w, axis=0)
    return top + np.log(np.mean(np.exp(log_w - top), axis=0))


def _weights(prior=1.0, q=1.0, variance=np.exp, scale=1.0):
    def log_w(rec, z, mean, logvar):
        v = variance(logvar)
        log_q = -0.5 * np.sum(np.log(2 * np.pi) + scale * np.log(v) + (z - mean) ** 2 / v, axis=-1)
        return rec + prior * -0.5 * np.sum(np.log(2 * np.pi) + z**2, axis=-1) - q * log_q

    return log_w


def _mistake_in_iwae(say, log_w=None, finish=_lme):
    log_w = log_w or _weights()
    evaluation.mistake(say, of="iwae")(lambda *args: finish(log_w(*args)))


_mistake_in_iwae("You averaged the log-weights: that is the ELBO again. Average the weights, then take the logarithm.",
                 finish=lambda w: np.mean(w, axis=0))  # fmt: skip
_mistake_in_iwae("-log K is missing: it is the log of a *mean* of weights.",
                 finish=lambda w: _lme(w) + np.log(len(w)))  # fmt: skip
_mistake_in_iwae("e^-900 is 0 to the computer. Take the largest log-weight of each image out first.",
                 finish=lambda w: np.log(np.mean(np.exp(w), axis=0)))  # fmt: skip
_mistake_in_iwae("You took the largest weight of *all* images out: the others underflow. Each image has its own.",
                 finish=lambda w: np.max(w) + np.log(np.mean(np.exp(w - np.max(w)), axis=0)))  # fmt: skip
_mistake_in_iwae("You averaged the weights over the images as well; each image has its own log p(x).",
                 finish=lambda w: _lme(w.reshape(-1)))  # fmt: skip
_mistake_in_iwae("You averaged over the images too; return one value per image.", finish=lambda w: np.mean(_lme(w)))
_mistake_in_iwae("You averaged over the images, axis 1; the K draws are axis 0.", finish=lambda w: _lme(w.T))
_mistake_in_iwae("The prior is missing: w = p(x | z) p(z) / q(z | x).", _weights(prior=0.0))
_mistake_in_iwae("q is missing: w = p(x | z) p(z) / q(z | x).", _weights(q=0.0))
_mistake_in_iwae("You multiplied by q; the weight divides by it.", _weights(q=-1.0))
_mistake_in_iwae("Prior and q are exchanged: w = p(x | z) p(z) / q(z | x).", _weights(prior=-1.0, q=-1.0))
_mistake_in_iwae("You read logvar as log sigma; it is log sigma^2.", _weights(variance=lambda s: np.exp(2 * s)))
_mistake_in_iwae("The logvar in log q is missing: a density in z has 1/sigma in front.", _weights(scale=0.0))
_mistake_in_iwae("You took the largest weight alone; average all K.", finish=lambda w: np.max(w, axis=0))
_mistake_in_iwae("This is rec alone: the weight is p(x | z) p(z) / q(z | x).", lambda rec, z, mean, logvar: rec)
_mistake_in_iwae("You subtracted the KL in closed form; here the weight of each draw needs p(z) / q(z | x) at its own "
                 "z.", lambda rec, z, mean, logvar: rec - _right_kl(mean, logvar))  # fmt: skip


def _mistake_in_bits(say, f):
    evaluation.mistake(say, of="bits_per_dim")(f)


_mistake_in_bits("These are nats per dimension; divide by log 2.", lambda log_p, D: -log_p / D)
_mistake_in_bits("You multiplied by log 2; a bit is log 2 = 0.69 nats, so there are more bits than nats.",
                 lambda log_p, D: -log_p / D * np.log(2))  # fmt: skip
_mistake_in_bits("You divided by log 2 twice.", lambda log_p, D: -log_p / D / np.log(2) ** 2)
_mistake_in_bits("log_p is a logarithm already; divide it by log 2, do not take log2 of it.",
                 lambda log_p, D: np.log2(-log_p) / D)  # fmt: skip
_mistake_in_bits("The sign is missing: a code length is -log p.", lambda log_p, D: log_p / D / np.log(2))
_mistake_in_bits("These are bits per image; divide by D.", lambda log_p, D: -log_p / np.log(2))
_mistake_in_bits("You divided by 2; a nat is 1 / log 2 = 1.44 bits.", lambda log_p, D: -log_p / D / 2)
_mistake_in_bits("You averaged over the images; keep one number per image.",
                 lambda log_p, D: np.mean(-log_p / D / np.log(2)))  # fmt: skip
