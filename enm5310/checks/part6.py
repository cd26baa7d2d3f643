"""Part 6, density ratios, evolution strategies and games: exercises 6.1-6.9.

Noise is an argument and samples are small, so answers are exact.  A law on a few points becomes a sample without any
sampling error when each point is repeated as often as it is likely: an average over it is then an expectation.
"""

import math

import numpy as np

from enm5310.checks import panel
from enm5310.checks.answers import Wrong, close
from enm5310.checks.engine import Fn, exercise

progress = panel.of(__name__)


def _softplus(t):
    """log(1 + e^t), without overflow: -log s(-t)."""
    return np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t)))


def _sigmoid(t):
    return 1 / (1 + np.exp(-t))


def _two_laws(t):
    """Probabilities p and q on four points, and the point numbers of a sample of each, as often as they are likely."""
    times_p = t.rng.permutation([1, 2, 3, 5])
    times_q = np.roll(times_p, 1) + 1  # another total, so that the samples differ in size
    samples = [t.rng.permutation(np.repeat(np.arange(4), times)) for times in (times_p, times_q)]
    return times_p / np.sum(times_p), times_q / np.sum(times_q), *samples


# -------------------- 6.1 --------------------

LINE, SLOPE = "a straight line in x", "slope"
EQUAL, UNEQUAL = "level, classes of equal size", "level, classes of unequal size"


@exercise(
    "6.1", of="log_ratio_logistic", slide=4, title="A classifier is a ratio",
    answers=["enm5310.ratios.fit_logistic", "enm5310.ratios.log_ratio"],
    parts={LINE: 0, SLOPE: 1, EQUAL: 1, UNEQUAL: 1},
    hints=[
        "Label p's samples 1 and q's 0, with the features (1, x), and fit w: the gradient of the log-likelihood is "
        "Phi^T (y - s(Phi w)). Set it to 0.",
        "Newton: w = w + np.linalg.solve((Phi.T * (D * (1 - D))) @ Phi, Phi.T @ (y - D)) with D = s(Phi w). From w = 0 "
        "ten steps are plenty.",
        "The logit w_0 + w_1 x estimates log D/(1 - D) = log r(x) + log(n_p / n_q). Subtract what does not belong.",
    ],
)  # fmt: skip
def log_ratio_logistic(t):
    for n_p, n_q, words in [(9, 9, EQUAL), (24, 8, UNEQUAL), (7, 21, UNEQUAL)]:
        x_p, x_q = _overlapping(t, n_p, n_q)
        x = t.rng.permutation(np.quantile(np.concatenate([x_p, x_q]), [0, 0.3, 0.5, 0.8, 1]))
        got = t("log_ratio_logistic", x_p, x_q, x, like=(5,)).astype(float)
        w0, w1 = _logistic(x_p, x_q)
        slope, level = np.polyfit(x - np.mean(x_p), got, 1)  # the level is that at the mean of p's samples
        with t.part(LINE):
            if np.max(np.abs(slope * (x - np.mean(x_p)) + level - got)) > 1e-3 * max(1, np.max(np.abs(got))):
                raise Wrong("with the features (1, x) the log ratio is a line, w_0 + w_1 x; yours is bent")
        with t.part(SLOPE):
            told = f"the most likely slope is {w1:.4f}, yours is {slope:.4f}; a flat one points to a strong regulariser"
            close(slope, w1, told, rtol=2e-3)
        with t.part(words):
            wanted = w0 + w1 * np.mean(x_p) - math.log(n_p / n_q)
            if abs(level - wanted) > 3e-3:
                raise Wrong(f"with n_p = {n_p} and n_q = {n_q} the log ratio at the mean of x_p is {wanted:.4f}, yours "
                            f"is {level:.4f}; log(n_p/n_q) = {math.log(n_p / n_q):.4f}")  # fmt: skip


def _overlapping(t, n_p, n_q):
    """Two samples on a line whose ranges overlap by more than half, so that no classifier separates them."""
    middle, size, apart = t.rng.normal(), t.rng.uniform(0.5, 2), t.rng.choice([-1, 1]) * t.rng.uniform(0.6, 1.2)
    samples = []
    for n, at in [(n_p, apart), (n_q, 0)]:
        grid = np.linspace(-2, 2, n) + t.rng.uniform(-0.1, 0.1, size=n)
        samples.append(t.rng.permutation(middle + size * (grid + at)))
    return samples


def _logistic(x_p, x_q, intercept=True):
    """(w_0, w_1) of the most likely logit w_0 + w_1 x, by Newton's method on standardised x."""
    x, y = np.concatenate([x_p, x_q]), np.repeat([1.0, 0.0], [len(x_p), len(x_q)])
    m, s = (np.mean(x), np.std(x)) if intercept else (0.0, np.std(x))
    Phi = np.stack([np.full(len(x), float(intercept)), (x - m) / s], axis=1)
    w = np.zeros(2)
    for _ in range(12):
        D = _sigmoid(Phi @ w)
        w = w + np.linalg.lstsq((Phi.T * (D * (1 - D))) @ Phi, Phi.T @ (y - D), rcond=None)[0]
    return w[0] - w[1] * m / s, w[1] / s


def _fitted(answer, **options):
    """A wrong version: another answer made from the logit at x and the log of n_p/n_q."""

    def wrong(x_p, x_q, x):
        w0, w1 = _logistic(x_p, x_q, **options)
        return answer(w0 + w1 * x, math.log(len(x_p) / len(x_q)))

    return wrong


log_ratio_logistic.mistake("You returned D itself. The ratio is D/(1 - D), so its logarithm is the logit w_0 + w_1 x.")(
    _fitted(lambda logit, prior: _sigmoid(logit)))  # fmt: skip
log_ratio_logistic.mistake("You took log D; the ratio is D/(1 - D), and log D - log(1 - D) is the logit.")(
    _fitted(lambda logit, prior: -_softplus(-logit)))  # fmt: skip
log_ratio_logistic.mistake("You took log D; the ratio is D/(1 - D), and log D - log(1 - D) is the logit.")(
    _fitted(lambda logit, prior: -_softplus(-logit) - prior))  # fmt: skip
log_ratio_logistic.mistake("Your ratio is inverted: p's samples have the label 1, and log r = log p(x)/q(x).")(
    _fitted(lambda logit, prior: prior - logit))  # fmt: skip
log_ratio_logistic.mistake("You left the class sizes in: the logit is log r + log(n_p/n_q). Subtract the last term.")(
    _fitted(lambda logit, prior: logit))  # fmt: skip
log_ratio_logistic.mistake("You added log(n_p/n_q); many samples of p raise the logit by it, so subtract.")(
    _fitted(lambda logit, prior: logit + prior))  # fmt: skip
log_ratio_logistic.mistake("You subtracted n_p/n_q; on the log scale it is log(n_p/n_q).")(
    _fitted(lambda logit, prior: logit - np.exp(prior)))  # fmt: skip
log_ratio_logistic.mistake("You returned the ratio r(x); its logarithm is asked for.")(
    _fitted(lambda logit, prior: np.exp(logit - prior)))  # fmt: skip
log_ratio_logistic.mistake("The constant feature is missing: with (x) alone the log ratio is forced to 0 at x = 0.")(
    _fitted(lambda logit, prior: logit - prior, intercept=False))  # fmt: skip


@log_ratio_logistic.mistake("You fitted the labels 0 and 1 by least squares; D = s(w_0 + w_1 x) maximises likelihood.")
def _(x_p, x_q, x):
    y = np.repeat([1.0, 0.0], [len(x_p), len(x_q)])
    return np.polyval(np.polyfit(np.concatenate([x_p, x_q]), y, 1), x) - math.log(len(x_p) / len(x_q))


# -------------------- 6.2 --------------------

ALONE, PLAIN, RIDGE = "the kernels are left alone", "H alpha = h for lam = 0", "(H + lam I) alpha = h"


@exercise(
    "6.2", of="ulsif", slide=4, title="Fit the ratio itself", answers=["enm5310.ratios.ulsif"],
    parts={ALONE: 0, PLAIN: 1, RIDGE: 2},
    hints=[
        "Expand the square: E_q[(k^T alpha - r)^2]/2 = alpha^T H alpha/2 - h^T alpha + constant. Which sample does "
        "each of H and h average over? Remember that q r = p.",
        "H = K_den^T K_den / n_den and h = the mean of the rows of K_num. The gradient is H alpha - h + lam alpha.",
        "`np.linalg.solve(H + lam * np.eye(m), h)` with m = K_num.shape[1].",
    ],
)  # fmt: skip
def ulsif(t):
    for n_num, n_den, m in [(5, 9, 3), (9, 6, 2), (6, 8, 4), (5, 7, 1)]:
        signs = np.where(np.arange(m) % 2, 1, -1)  # some entries of alpha come out negative: clipping shows
        K_num = t.rng.normal(size=(n_num, m)) + 2 * signs
        K_den = np.linalg.qr(t.rng.normal(size=(n_den, m)))[0] * t.rng.uniform(1, 3, size=m) + t.rng.normal() / 5
        for lam, words in [(0.0, PLAIN), (float(t.rng.uniform(0.1, 0.6)), RIDGE)]:
            alpha = t("ulsif", K_num, K_den, lam, like=(m,)).astype(float)
            with t.part(ALONE): t.left_alone()
            with t.part(words):
                left = sum(row * (row @ alpha) for row in K_den) / n_den + lam * alpha
                close(left, sum(K_num) / n_num, rtol=1e-6)


def _solved(H=lambda P, Q: Q.T @ Q / len(Q), h=lambda P, Q: np.mean(P, axis=0), ridge=lambda lam, P, Q: lam * np.eye(
    P.shape[1]), finish=lambda alpha, P, Q: alpha):  # fmt: skip
    """A wrong version: another H, h, regulariser or last step."""
    return lambda P, Q, lam: finish(np.linalg.solve(H(P, Q) + ridge(lam, P, Q), h(P, Q)), P, Q)


ulsif.mistake("Your H averages over the numerator's samples; the square is weighed by q: H = K_den^T K_den / n_den.")(
    _solved(lambda P, Q: P.T @ P / len(P)))  # fmt: skip
ulsif.mistake("You exchanged the samples: H belongs to the denominator q, h to the numerator p.")(
    _solved(lambda P, Q: P.T @ P / len(P), lambda P, Q: np.mean(Q, axis=0)))  # fmt: skip
ulsif.mistake("Your h averages over the denominator's samples; E_q[k r] = E_p[k], so h is the mean over p.")(
    _solved(h=lambda P, Q: np.mean(Q, axis=0)))  # fmt: skip
ulsif.mistake("H is an average: divide K_den^T K_den by n_den.")(_solved(lambda P, Q: Q.T @ Q))
ulsif.mistake("h is an average: divide the sum of K_num's rows by n_num.")(_solved(h=lambda P, Q: np.sum(P, axis=0)))
ulsif.mistake("H and h are averages: divide by n_den and by n_num. Their factors do not cancel.")(
    _solved(lambda P, Q: Q.T @ Q, lambda P, Q: np.sum(P, axis=0)))  # fmt: skip
ulsif.mistake("You divided H by n_num; it is an average over the n_den samples of q.")(
    _solved(lambda P, Q: Q.T @ Q / len(P)))  # fmt: skip
ulsif.mistake("lam is missing: add lam I to H.")(_solved(ridge=lambda lam, P, Q: np.zeros((P.shape[1],) * 2)))
ulsif.mistake("You added lam to every entry of H; only the diagonal gets it, H + lam I.")(
    _solved(ridge=lambda lam, P, Q: lam))  # fmt: skip
ulsif.mistake("You multiplied lam by n_den; with averages in H and h it is lam I alone.")(
    _solved(ridge=lambda lam, P, Q: lam * len(Q) * np.eye(P.shape[1])))  # fmt: skip
ulsif.mistake("You counted lam twice: the penalty is lam |alpha|^2 / 2, and its gradient lam alpha.")(
    _solved(ridge=lambda lam, P, Q: 2 * lam * np.eye(P.shape[1])))  # fmt: skip
ulsif.mistake("You clipped alpha at 0. Here nothing is clipped: alpha solves the linear system, whatever its signs.")(
    _solved(finish=lambda alpha, P, Q: np.maximum(alpha, 0)))  # fmt: skip
ulsif.mistake("You returned the ratio at the samples; the weights alpha are asked for, shape (m,).")(
    _solved(finish=lambda alpha, P, Q: P @ alpha))  # fmt: skip
ulsif.mistake("You returned the ratio at the samples; the weights alpha are asked for, shape (m,).")(
    _solved(finish=lambda alpha, P, Q: Q @ alpha))  # fmt: skip


# -------------------- 6.3 --------------------

NWJ, DV, LARGE = "nwj_bound", "dv_bound", "dv_bound where exp(T) overflows"


@exercise(
    "6.3", of=("nwj_bound", "dv_bound"), slide=4, title="Two lower bounds on the KL",
    answers=["enm5310.ratios.nwj_bound", "enm5310.ratios.dv_bound"], parts={NWJ: 1, DV: 1, LARGE: 1},
    hints=[
        "Each is one line: an average of T over p's samples minus something about exp(T) over q's.",
        "NWJ: the -1 stands in the exponent, exp(T - 1), and T = 1 + log r makes it tight. DV: the logarithm stands "
        "*outside* the average.",
        "Overflow: log mean e^T = c + log mean e^(T - c) for any c. Take the largest T for c (exercise 3.3).",
    ],
)  # fmt: skip
def kl_bounds(t):
    for _ in range(3):
        p, q, at_p, at_q = _two_laws(t)
        log_r, kl = np.log(p / q), sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        c, T = t.rng.normal(), t.rng.normal(size=4) * 1.5
        for T_, tight in [(log_r, "T = log r"), (T, "")]:
            with t.part(NWJ):
                T1 = T_ + 1 if tight else T_
                got = float(t("nwj_bound", T1[at_p], T1[at_q], like=()))
                _bounded(got, sum(p * T1) - sum(q * np.exp(T1 - 1)), kl, tight and "T = 1 + log r")
            with t.part(DV):
                got = float(t("dv_bound", (T_ + c)[at_p], (T_ + c)[at_q], like=()))
                _bounded(got, sum(p * T_) - math.log(sum(q * np.exp(T_))), kl, tight and "T = log r + any constant")
        with t.part(LARGE):
            far = 900 * t.rng.permutation([-1.0, 1.0, -1.0, 1.0]) + T  # e^900 is no float64, and neither is e^-900
            got = float(t("dv_bound", far[at_p], far[at_q], like=()))
            top = max(far)
            close(got, sum(p * far) - top - math.log(sum(q * np.exp(far - top))))


def _bounded(got, wanted, kl, tight):
    if abs(got - wanted) <= 1e-6:
        return
    if tight:
        raise Wrong(f"at {tight} the bound is tight: KL = {kl:.6f}, and you got {got:.6f}")
    told = f"expected {wanted:.6f}, got {got:.6f}"
    raise Wrong(told + (f", which is above KL = {kl:.6f}: no lower bound" if got > kl else ""))


NWJ_PLAIN = "e^T without the -1 is no bound: E_p[T] - E_q[exp(T - 1)]. Above KL you have proved nothing."
SWAPPED = "You exchanged the samples: T is averaged over p, its exponential over q."
kl_bounds.mistake(NWJ_PLAIN)(lambda T_p, T_q: np.mean(T_p) - np.mean(np.exp(T_q)))
kl_bounds.mistake("The -1 belongs in the exponent, exp(T - 1). 1 + E_p[T] - E_q[exp T] is the bound for T = log r.")(
    lambda T_p, T_q: 1 + np.mean(T_p) - np.mean(np.exp(T_q)))  # fmt: skip
kl_bounds.mistake(SWAPPED)(lambda T_p, T_q: np.mean(T_q) - np.mean(np.exp(T_p - 1)))
kl_bounds.mistake("You took the exponential of the average; average the exponentials, E_q[exp(T - 1)].")(
    lambda T_p, T_q: np.mean(T_p) - np.exp(np.mean(T_q) - 1))  # fmt: skip
kl_bounds.mistake("You added the exponentials; they are subtracted: they keep T from growing without bound.")(
    lambda T_p, T_q: np.mean(T_p) + np.mean(np.exp(T_q - 1)))  # fmt: skip
kl_bounds.mistake("In nwj_bound there is no logarithm; this is Donsker and Varadhan's bound.")(
    lambda T_p, T_q: np.mean(T_p) - np.log(np.mean(np.exp(T_q))))  # fmt: skip
kl_bounds.mistake("You summed over the samples; both terms are averages.")(
    lambda T_p, T_q: np.sum(T_p) - np.sum(np.exp(T_q - 1)))  # fmt: skip


def _log_mean_exp(T):
    return np.max(T) + np.log(np.mean(np.exp(T - np.max(T))))


kl_bounds.mistake("exp(T) overflows for large T. Subtract the largest T before exp, and add it after log.",
                  of="dv_bound")(lambda T_p, T_q: np.mean(T_p) - np.log(np.mean(np.exp(T_q))))  # fmt: skip
kl_bounds.mistake("You subtracted the average of T; DV wants the logarithm of the average of exp T, which is larger.",
                  of="dv_bound")(lambda T_p, T_q: np.mean(T_p) - np.mean(T_q))  # fmt: skip
kl_bounds.mistake("log *mean* exp: you summed over q's samples, so log n_q is subtracted on top.", of="dv_bound")(
    lambda T_p, T_q: np.mean(T_p) - _log_mean_exp(T_q) - np.log(len(T_q)))  # fmt: skip
kl_bounds.mistake(SWAPPED, of="dv_bound")(lambda T_p, T_q: np.mean(T_q) - _log_mean_exp(T_p))
kl_bounds.mistake("The logarithm is missing: E_p[T] - log E_q[exp T].", of="dv_bound")(
    lambda T_p, T_q: np.mean(T_p) - np.mean(np.exp(T_q)))  # fmt: skip
kl_bounds.mistake("DV has no -1: the logarithm takes any constant in T out by itself.", of="dv_bound")(
    lambda T_p, T_q: np.mean(T_p) - _log_mean_exp(T_q - 1))  # fmt: skip
kl_bounds.mistake("The sign of the second term is wrong: E_p[T] minus log E_q[exp T].", of="dv_bound")(
    lambda T_p, T_q: np.mean(T_p) + _log_mean_exp(T_q))  # fmt: skip


# -------------------- 6.4 --------------------

BEST, VALUE = "optimal_discriminator: p / (p + q)", "gan_value: E_p log D + E_q log(1 - D)"
STABLE = "both far out in the tails"


@exercise(
    "6.4", of=("optimal_discriminator", "gan_value"), slide=4, title="The best discriminator, and what it earns",
    answers=["enm5310.adversarial.optimal_discriminator", "enm5310.adversarial.value"],
    parts={BEST: 1, VALUE: 1, STABLE: 1},
    hints=[
        "Divide numerator and denominator of p/(p + q) by p: D* = 1/(1 + q/p) = s(log p - log q). Only the difference "
        "of the logarithms is needed.",
        "log s(t) = -log(1 + e^-t), and 1 - s(t) = s(-t), so log(1 - s(t)) = -log(1 + e^t).",
        "log(1 + e^t) without overflow is np.logaddexp(0, t), or np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t))).",
    ],
)  # fmt: skip
def discriminator(t):
    for _ in range(3):
        p, q, at_p, at_q = _two_laws(t)
        level = float(t.rng.normal())  # densities need not be below 1
        with t.part(BEST):
            D = t("optimal_discriminator", np.log(p) + level, np.log(q) + level, like=(4,))
            close(D, [a / (a + b) for a, b in zip(p, q, strict=True)])
        logits = [np.log(p / q), t.rng.normal(size=4) * 2]
        with t.part(VALUE):
            for logit, words in zip(logits, ["D*: -log 4 + 2 JSD(p, q)", "random logits"], strict=True):
                wanted = -sum(p * _softplus(-logit)) - sum(q * _softplus(logit))
                got = float(t("gan_value", logit[at_p], logit[at_q], like=()))
                if abs(got - wanted) > 1e-6 * abs(wanted):
                    raise Wrong(f"at {words}, the value is {wanted:.6f}; you got {got:.6f}")
    with t.part(STABLE): _far_apart(t)
    with t.part(STABLE): _far_logits(t)


def _far_apart(t):
    apart = t.rng.permutation([-800.0, -40.0, 40.0, 800.0]) + t.rng.uniform(-3, 3, size=4)
    log_q = t.rng.uniform(-3000, -2000, size=4)  # e^-2000 is 0 in float64
    D = t("optimal_discriminator", log_q + apart, log_q, like=(4,))
    for got, d in zip(D, apart, strict=True):
        right = math.exp(max(d, -745)) if d < 0 else 1.0  # s(d), to a relative error of e^-37
        if abs(got - right) > 1e-6 * right + 1e-300:
            raise Wrong(f"optimal_discriminator: log p - log q = {d:.4g} gives D* = {right:.4g}, you got {got:.4g}")


def _far_logits(t):
    for far in (40.0, 800.0):  # s(40) rounds to 1, and e^800 is no float64
        logits = t.rng.permutation([-far, far, far, 0.5]) + t.rng.uniform(-3, 3, size=4)
        wanted = -np.mean(_softplus(-logits)) - np.mean(_softplus(logits[::-1]))
        close(t("gan_value", logits, logits[::-1].copy(), like=()), wanted)


discriminator.mistake("You divided q by p + q; D* is the probability that x came from the data p, p/(p + q).")(
    lambda log_p, log_q: _sigmoid(log_q - log_p))  # fmt: skip
discriminator.mistake("This is the ratio p/q; D* = p/(p + q) is a probability.")(
    lambda log_p, log_q: np.exp(log_p - log_q))  # fmt: skip
discriminator.mistake("This is the logit log p - log q; D* is its logistic function s(t).")(
    lambda log_p, log_q: log_p - log_q)  # fmt: skip
discriminator.mistake("exp(log p) and exp(log q) both underflow to 0, and 0/0 is not a number. Use log p - log q.")(
    lambda log_p, log_q: np.exp(log_p) / (np.exp(log_p) + np.exp(log_q)))  # fmt: skip
discriminator.mistake("log p and log q are logarithms: you divided them as if they were the densities.")(
    lambda log_p, log_q: log_p / (log_p + log_q))  # fmt: skip


def _valued(of_p=lambda t: -_softplus(-t), of_q=lambda t: -_softplus(t), factor=1):
    """A wrong version of the value: another term for p's or for q's samples."""
    return lambda t_p, t_q: factor * (np.mean(of_p(t_p)) + np.mean(of_q(t_q)))


def _mistake_in_value(say, **wrong):
    discriminator.mistake(say, of="gan_value")(_valued(**wrong))


_mistake_in_value("On q's samples it is log(1 - D); you took log D there as well.", of_q=lambda t: -_softplus(-t))
_mistake_in_value("Both terms are added: E_p log D + E_q log(1 - D).", of_q=_softplus)
_mistake_in_value("The sign is flipped: this is the loss that D minimises. The value is at most 0, -log 4 at p = q.",
                  factor=-1)  # fmt: skip
_mistake_in_value("You averaged over both classes with weight 1/2 each; the value adds the two averages.", factor=0.5)
_mistake_in_value("You used D where log D belongs.", of_p=_sigmoid, of_q=lambda t: _sigmoid(-t))
_mistake_in_value("You summed two bare logits; D = s(t), and its logarithm is taken.", of_p=lambda t: t,
                  of_q=lambda t: -t)  # fmt: skip
_mistake_in_value("log(1 - s(t)) is log 0 from t = 37 on. Write 1 - s(t) = s(-t), so it is -log(1 + e^t).",
                  of_p=lambda t: np.log(_sigmoid(t)), of_q=lambda t: np.log(1 - _sigmoid(t)))  # fmt: skip
_mistake_in_value("e^t overflows for large t: use np.logaddexp(0, t) for log(1 + e^t).",
                  of_p=lambda t: -np.log(1 + np.exp(-t)), of_q=lambda t: -np.log(1 + np.exp(t)))  # fmt: skip


@discriminator.mistake("You exchanged the samples: the first argument holds the logits on the data p.", of="gan_value")
def _(t_p, t_q):
    return _valued()(t_q, t_p)


@discriminator.mistake("You returned the JSD; the value itself is asked for, V = -log 4 + 2 JSD at D*.", of="gan_value")
def _(t_p, t_q):
    return math.log(2) + _valued()(t_p, t_q) / 2


@discriminator.mistake("You summed over the samples; each expectation is an average.", of="gan_value")
def _(t_p, t_q):
    return -np.sum(_softplus(-t_p)) - np.sum(_softplus(t_q))


# -------------------- 6.5 --------------------

PROBABILITY, ANY = "probability: s(t)", "gan_objective: the value at any w"
TOP = "gan_objective: largest where D = p / (p + q)"


@exercise(
    "6.5", of=("probability", "gan_objective"), slide=4, title="Clinic: the objective that has no maximum",
    answers=["enm5310.ratios.log_loss"],
    parts={PROBABILITY: 1, ANY: 1, TOP: 1},
    hints=[
        "Two lines are wrong. tanh(t) = 2 s(2t) - 1: which function is (tanh(t) + 1)/2, then? And what should D say "
        "about a sample of q?",
        "(tanh(t) + 1)/2 = s(2t); s(t) is 1/(1 + e^-t). On q's samples D should be small: reward log(1 - D), which is "
        "at most 0, in place of -log D, which has no end.",
        "`t_p, t_q = w[0] + w[1] * x_p, w[0] + w[1] * x_q`, then `np.mean(np.log(probability(t_p))) + "
        "np.mean(np.log(1 - probability(t_q)))`.",
    ],
)  # fmt: skip
def repair(t):
    for a in t.rng.permutation([2, 3]):
        with t.part(PROBABILITY):
            logits = t.rng.permutation(np.linspace(-6, 6, 5)) + t.rng.uniform(-1, 1, size=5)
            close(t("probability", logits, like=(5,)), [1 / (1 + math.exp(-one)) for one in logits])
        x_p, x_q, best = _straight_ratio(t, int(a))

        def V(w, x_p=x_p, x_q=x_q):
            return float(t("gan_objective", w, x_p, x_q, like=()))

        with t.part(ANY):
            _has_an_end(V, best)
            for w in (best, t.rng.normal(size=2)):
                t_p, t_q = w[0] + w[1] * x_p, w[0] + w[1] * x_q
                close(V(w), -np.mean(_softplus(-t_p)) - np.mean(_softplus(t_q)))
        with t.part(TOP):
            _has_an_end(V, best)
            _is_the_top(V, best)


def _has_an_end(V, best):
    for c in (1.0, 3.0, 6.0):
        value = V(c * best)
        if value > 1e-9:
            raise Wrong(f"at {c:g} times the best w you get {value:.3f} > 0, and it grows with the factor; both log D "
                        "and log(1 - D) are at most 0")  # fmt: skip


def _is_the_top(V, best):
    """V falls in six directions, and farther away it has fallen more."""
    for turn in np.arange(6) * math.pi / 3:
        move = np.array([math.cos(turn), math.sin(turn)])
        top, near, far = V(best), V(best + 0.2 * move), V(best + 0.6 * move)
        if not top > near + 1e-6 > far + 2e-6:
            raise Wrong(f"at w = log p/q, where D = p/(p + q), you get {top:.4f}, but {near:.4f} and {far:.4f} at "
                        "steps away from it: the best discriminator is not D*")  # fmt: skip


def _straight_ratio(t, a):
    """Samples on four points whose log ratio is a line, and its (w_0, w_1): binomial counts, q's tilted by a."""
    j, times = np.arange(4), np.array([1, 3, 3, 1])
    start, gap = float(t.rng.normal()), float(t.rng.choice([-1, 1]) * t.rng.uniform(0.5, 1.5))
    x_p, x_q = (t.rng.permutation(start + gap * np.repeat(j, n)) for n in (times, times * a**j))
    w1 = -math.log(a) / gap
    return x_p, x_q, np.array([math.log((1 + a) ** 3 / 8) - w1 * start, w1])


repair.mistake("(tanh(t) + 1)/2 is s(2t), not s(t): D* would then come out at half of the log ratio.")(
    lambda t: 0.5 * (np.tanh(t) + 1))  # fmt: skip
repair.mistake("tanh runs from -1 to 1; a probability runs from 0 to 1, s(t) = 1/(1 + e^-t).")(np.tanh)
repair.mistake("The sign of t is wrong: D grows with its logit, s(t) = 1/(1 + e^-t).")(lambda t: _sigmoid(-t))
repair.mistake("This is s(t/2); s(t) = (tanh(t/2) + 1)/2.")(lambda t: _sigmoid(t / 2))


def _objective(of_p=lambda t: -_softplus(-t), of_q=lambda t: -_softplus(t), scale=1, average=np.mean):
    """A wrong version of the objective."""

    def wrong(w, x_p, x_q):
        return average(of_p(scale * (w[0] + w[1] * x_p))) + average(of_q(scale * (w[0] + w[1] * x_q)))

    return wrong


def _mistake_in_objective(say, **wrong):
    repair.mistake(say, of="gan_objective")(_objective(**wrong))


_mistake_in_objective("Nothing is repaired yet: -E_q log D has no upper end, and s(2t) stands where s(t) belongs.",
                      of_q=lambda t: _softplus(-t), scale=2)  # fmt: skip
_mistake_in_objective("Only the squashing is repaired: -E_q log D still grows like c/2. On fakes it is log(1 - D).",
                      of_q=lambda t: _softplus(-t))  # fmt: skip
_mistake_in_objective("The objective still uses s(2t): its best logit is half of log p/q.", scale=2)
_mistake_in_objective("The sign is flipped: D *maximises* E_p log D + E_q log(1 - D).", of_p=lambda t: _softplus(-t),
                      of_q=_softplus)  # fmt: skip
_mistake_in_objective("You subtracted E_q log(1 - D); both terms are added.", of_q=_softplus)
_mistake_in_objective("Now D is rewarded for calling the fakes real: on q's samples it is log(1 - D).",
                      of_q=lambda t: -_softplus(-t))  # fmt: skip
_mistake_in_objective("You summed over the samples: with unequal numbers that tilts D*. Average each of them.",
                      average=np.sum)  # fmt: skip
_mistake_in_objective("You halved the value; the two averages are added, without weights.",
                      average=lambda v: np.mean(v) / 2)  # fmt: skip
_mistake_in_objective("This is D and 1 - D without their logarithms.", of_p=_sigmoid, of_q=lambda t: _sigmoid(-t))


# -------------------- 6.6 --------------------

STEP, ONE, MANY = "extragradient_step", "solve_game: one number each", "solve_game: vectors"


@exercise(
    "6.6", of=("extragradient_step", "solve_game"), slide=4, title="A game that runs in circles",
    answers=["enm5310.adversarial.extragradient", "enm5310.adversarial.play"],
    parts={STEP: 1, ONE: 1, MANY: 1},
    hints=[
        "x goes downhill, x - eta gx; y goes uphill, y + eta gy. The step looks ahead first: where would both land?",
        "Ask F *there*, at the look-ahead point, and take the real step from the old (x, y) with those gradients.",
        "gx, gy = F(x, y); hx, hy = F(x - eta * gx, y + eta * gy); return x - eta * hx, y + eta * hy. Some 400 such "
        "steps with eta = 0.4 solve the games here. Alternating steps and the average of the circle work too, but want "
        "thousands.",
    ],
)  # fmt: skip
def game(t):
    for m in (1, 2, 3):
        F, x, y = _curved_field(t, m), t.rng.normal(size=m), t.rng.normal(size=m)
        eta = float(t.rng.uniform(0.1, 0.5))
        new_x, new_y = t("extragradient_step", F, x, y, eta, like={"x": (m,), "y": (m,)})
        with t.part(STEP):
            t.left_alone()
            gx, gy = F(x, y)
            hx, hy = F(x - eta * gx, y + eta * gy)
            close(new_x, x - eta * hx)
            close(new_y, y + eta * hy)
    for m, words in [(1, ONE), (2, MANY)]:
        F, a, b = _bilinear_field(t, m)
        x, y = a + _apart(t, m), b + _apart(t, m)
        with t.part(words):
            _solved_game(*t("solve_game", F, x, y, like={"x": (m,), "y": (m,)}), x, y, a, b)


def _matrix(t, m):
    """A random m by m matrix with singular values between 0.8 and 1.25."""
    U, V = (np.linalg.qr(t.rng.normal(size=(m, m)))[0] for _ in range(2))
    return U * t.rng.uniform(0.8, 1.25, size=m) @ V


def _curved_field(t, m):
    data = {"M": _matrix(t, m), "a": t.rng.normal(size=m), "c": float(t.rng.uniform(0.2, 0.6))}
    return Fn("def f(x, y): return M @ (y - a) + c * x**3, M.T @ x - c * y", **data)


def _bilinear_field(t, m):
    """(grad_x L, grad_y L) of L = (x - a)^T M (y - b), and its saddle point (a, b)."""
    a, b = (t.rng.choice([-1, 1], size=m) * t.rng.uniform(1.2, 2, size=m) for _ in range(2))
    return Fn("def f(x, y): return M @ (y - b), M.T @ (x - a)", M=_matrix(t, m), a=a, b=b), a, b


def _apart(t, m):
    return t.rng.choice([-1, 1], size=m) * t.rng.uniform(0.5, 1, size=m)


def _solved_game(got_x, got_y, x, y, a, b):
    left = math.sqrt(np.sum((got_x - a) ** 2) + np.sum((got_y - b) ** 2))
    start = math.sqrt(np.sum((x - a) ** 2) + np.sum((y - b) ** 2))
    if left < 1e-2:
        return
    told = f"you end at a distance of {left:.3g} from the saddle point, and began at {start:.3g}; want less than 0.01"
    if left > 1.5 * start:
        raise Wrong(f"{told}. You spiral outwards: simultaneous steps grow by sqrt(1 + eta^2) each (or is y "
                    "going downhill?)")  # fmt: skip
    if left > 0.5 * start:
        raise Wrong(f"{told}. You go in circles: look ahead before each step, or return the average of the circle")
    raise Wrong(f"{told}: you are on the way, so take more steps")


def _ahead(x, y, F, eta, sx=-1, sy=1):
    gx, gy = F(x, y)
    return x + sx * eta * gx, y + sy * eta * gy


@game.mistake("This is a simultaneous step: the gradients must come from the look-ahead point, not from (x, y).")
def _(F, x, y, eta):
    return _ahead(x, y, F, eta)


@game.mistake("You stepped from the look-ahead point; only the *gradients* come from there, the step starts at (x, y).")
def _(F, x, y, eta):
    return _ahead(*_ahead(x, y, F, eta), F, eta)


def _extra(look=(-1, 1), move=(-1, 1), mix=lambda g, h: h):
    """A wrong extragradient step: other signs, or another use of the gradients here, g, and at the look-ahead, h."""

    def wrong(F, x, y, eta):
        (gx, gy), (hx, hy) = F(x, y), F(*_ahead(x, y, F, eta, *look))
        return x + move[0] * eta * mix(gx, hx), y + move[1] * eta * mix(gy, hy)

    return wrong


game.mistake("y maximises: it moves uphill, y + eta grad_y L. Yours goes down, in both half steps.")(
    _extra((-1, -1), (-1, -1)))  # fmt: skip
game.mistake("y maximises: your look-ahead goes the right way, but the step itself takes y downhill.")(
    _extra(move=(-1, -1)))  # fmt: skip
game.mistake("y maximises: your step is right, but its look-ahead takes y downhill.")(_extra((-1, -1)))
game.mistake("Both players go uphill; x minimises, so it moves to x - eta grad_x L.")(_extra((1, 1), (1, 1)))
game.mistake("The players' roles are exchanged: x minimises, y maximises.")(_extra((1, -1), (1, -1)))
game.mistake("You averaged the two gradients (Heun's rule); extragradient uses those of the look-ahead point alone.")(
    _extra(mix=lambda g, h: (g + h) / 2))  # fmt: skip
game.mistake("This is the optimistic formula, 2 h - g; here the step takes the look-ahead's gradients h alone.")(
    _extra(mix=lambda g, h: 2 * h - g))  # fmt: skip


@game.mistake("You let x move first and y answer: that is the alternating rule. Here both look ahead together.")
def _(F, x, y, eta):
    x = x - eta * F(x, y)[0]
    return x, y + eta * F(x, y)[1]


@game.mistake("You returned the start: no step was taken.", of="solve_game")
def _(F, x, y):
    return x, y


# -------------------- 6.7 --------------------

UNTOUCHED, ROWS, PAIRS = "eps is left alone", "es_gradient", "antithetic_gradient"


@exercise(
    "6.7", of=("es_gradient", "antithetic_gradient"), slide=4, title="Evolution strategies",
    answers=["enm5310.evolution.es_gradient", "enm5310.evolution.antithetic_gradient"],
    parts={UNTOUCHED: 0, ROWS: 2, PAIRS: 1},
    hints=[
        "It is the score function estimator of 4.6 for the mean alone: the score of N(mu, sigma^2 I) is "
        "(x - mu)/sigma^2 = eps/sigma.",
        "f gives one value per row, shape (S,), eps has shape (S, d): `f(...)[:, None] * eps / sigma`.",
        "A pair: the rows of eps and of -eps, averaged, are (f(mu + sigma eps) - f(mu - sigma eps)) eps / (2 sigma).",
    ],
)  # fmt: skip
def evolution(t):
    for S, d in [(4, 2), (3, 1), (1, 3), (6, 4)]:
        mu, eps = t.rng.normal(size=d), t.rng.normal(size=(S, d))
        sigma = float(t.rng.choice([t.rng.uniform(0.2, 0.7), t.rng.uniform(1.4, 2.5)]))
        data = {"a": t.rng.normal(size=d) + 2, "b": float(t.rng.normal() + 3), "c": float(t.rng.normal())}
        f = Fn("def f(x): return x @ a + b * np.cos(x[:, 0]) + np.sum(x**2, axis=1) + b * (x[:, -1] > c) + b", **data)
        up, down = ([float(f((mu + s * sigma * e)[None])[0]) for e in eps] for s in (1, -1))
        rows = t("es_gradient", f, mu, sigma, eps, like=(S, d))
        with t.part(UNTOUCHED): t.left_alone()
        with t.part(ROWS): close(rows, [u * e / sigma for u, e in zip(up, eps, strict=True)])
        rows = t("antithetic_gradient", f, mu, sigma, eps, like=(S, d))
        with t.part(UNTOUCHED): t.left_alone()
        with t.part(PAIRS): close(rows, [(u - v) / 2 * e / sigma for u, v, e in zip(up, down, eps, strict=True)])


def _es(signal=lambda f: f, direction=lambda eps, sigma: eps / sigma, at=lambda mu, sigma, eps: mu + sigma * eps,
        finish=lambda rows: rows):  # fmt: skip
    """A wrong version of the rows: other values, another direction, another point or another last step."""
    return lambda f, mu, sigma, eps: finish(signal(f(at(mu, sigma, eps)))[:, None] * direction(eps, sigma))


def _ranks(values):
    return (np.argsort(np.argsort(values)) - (len(values) - 1) / 2) / max(len(values) - 1, 1)


evolution.mistake("The 1/sigma is missing: the score of N(mu, sigma^2 I) is eps/sigma.")(
    _es(direction=lambda eps, sigma: eps))  # fmt: skip
evolution.mistake("One sigma too many below: (x - mu)/sigma^2 with x - mu = sigma eps is eps/sigma.")(
    _es(direction=lambda eps, sigma: eps / sigma**2))  # fmt: skip
evolution.mistake("You multiplied by sigma; the score is eps/sigma.")(_es(direction=lambda eps, sigma: eps * sigma))
evolution.mistake("You evaluated f at the noise eps; it belongs at mu + sigma eps.")(
    _es(at=lambda mu, sigma, eps: eps))  # fmt: skip
evolution.mistake("You evaluated f at mu + eps; the noise is scaled, mu + sigma eps.")(
    _es(at=lambda mu, sigma, eps: mu + eps))  # fmt: skip
evolution.mistake("You used the variance: x = mu + sigma eps, not mu + sigma^2 eps.")(
    _es(at=lambda mu, sigma, eps: mu + sigma**2 * eps))  # fmt: skip
evolution.mistake("You subtracted the average of f. A good baseline, but here the plain rows are asked for.")(
    _es(lambda f: f - np.mean(f)))  # fmt: skip
evolution.mistake("You replaced the values by their ranks. That changes what the rows average to: leave it off here.")(
    _es(_ranks))  # fmt: skip
evolution.mistake("The sign is wrong: these rows average to the gradient itself. The minus comes with the step.")(
    _es(direction=lambda eps, sigma: -eps / sigma))  # fmt: skip
evolution.mistake("You averaged over the samples; return one row per sample, shape (S, d).")(
    _es(finish=lambda rows: rows.mean(axis=0)))  # fmt: skip
evolution.mistake("You divided by the number of samples; the rows are averaged later, by whoever uses them.")(
    _es(finish=lambda rows: rows / len(rows)))  # fmt: skip


def _pairs(values=lambda up, down, middle: (up - down) / 2, direction=lambda eps, sigma: eps / sigma):
    """A wrong version of the antithetic rows."""

    def wrong(f, mu, sigma, eps):
        up, down, middle = f(mu + sigma * eps), f(mu - sigma * eps), f(mu + 0 * eps)
        return values(up, down, middle)[:, None] * direction(eps, sigma)

    return wrong


def _mistake_in_pairs(say, **wrong):
    evolution.mistake(say, of="antithetic_gradient")(_pairs(**wrong))


_mistake_in_pairs("The 2 is missing: a pair has two rows, and their average is divided by 2 sigma.",
                  values=lambda up, down, middle: up - down)  # fmt: skip
_mistake_in_pairs("You added the two values; the second row has -eps, so the values are subtracted.",
                  values=lambda up, down, middle: (up + down) / 2)  # fmt: skip
_mistake_in_pairs("The 1/sigma is missing: divide by 2 sigma.", direction=lambda eps, sigma: eps)
_mistake_in_pairs("You compared with f(mu), a one-sided difference; the partner of eps is -eps.",
                  values=lambda up, down, middle: up - middle)  # fmt: skip
_mistake_in_pairs("You took the pair the wrong way round: f(mu + sigma eps) comes first.",
                  values=lambda up, down, middle: (down - up) / 2)  # fmt: skip
_mistake_in_pairs("There is no pair here: f is asked at mu - sigma eps as well.", values=lambda up, down, middle: up)


@evolution.mistake("You stacked both halves, 2S rows; average the two rows of each pair.", of="antithetic_gradient")
def _(f, mu, sigma, eps):
    return _es()(f, mu, sigma, np.concatenate([eps, -eps]))


# -------------------- 6.8 --------------------

SMOOTH, CONVEX = "smooth_rastrigin", "convex_sigma"
GRID = np.linspace(-10, 10, 801)  # the trapezoidal rule: exact to rounding for smooth integrands that vanish outside
MASS = np.exp(-0.5 * GRID**2) / np.sum(np.exp(-0.5 * GRID**2))


@exercise(
    "6.8", of=("smooth_rastrigin", "convex_sigma"), slide=4, title="How much noise makes a function convex?",
    answers=["enm5310.evolution.smoothed_rastrigin", "enm5310.evolution.convex_sigma"],
    parts={SMOOTH: 2, CONVEX: 1},
    hints=[
        "Average term by term. E(mu + sigma eps)^2 = mu^2 + sigma^2, and E cos(m + s eps) = cos(m) e^(-s^2/2): what "
        "are m and s here?",
        "s = 2 pi sigma, so the wave is damped by e^(-2 pi^2 sigma^2). Convex: the second derivative in mu, "
        "2 + 4 pi^2 A cos(2 pi mu) e^(-2 pi^2 sigma^2), is nowhere negative. Where is it smallest?",
        "At mu = 1/2: 2 = 4 pi^2 A e^(-2 pi^2 sigma^2) at the threshold, so sigma^2 = log(2 pi^2 A)/(2 pi^2).",
    ],
)  # fmt: skip
def rastrigin(t):
    for n in (1, 4, 3):
        A, mu, sigma = float(t.rng.uniform(2, 30)), t.rng.normal(size=n) * 1.5, float(t.rng.uniform(0.05, 0.4))
        x = mu[:, None] + sigma * GRID
        with t.part(SMOOTH):
            close(t("smooth_rastrigin", mu, sigma, A, like=(n,)), (x**2 + A - A * np.cos(2 * np.pi * x)) @ MASS)
        with t.part(CONVEX):
            got, wanted = float(t("convex_sigma", A, like=())), _threshold(A)
            if abs(got - wanted) > 1e-3:
                least = _curvature(got, A)
                told = f"at your sigma = {got:.4f}, A = {A:.3g}, the smallest second derivative is {least:.4g}"
                raise Wrong(told + (": not convex yet" if least < 0 else ": convex, but so it is for a smaller sigma"))


def _curvature(sigma, A):
    """The smallest second derivative of the smoothed function, which lies at mu = 1/2: by quadrature."""
    return 2 + 4 * np.pi**2 * A * float(np.cos(2 * np.pi * (0.5 + sigma * GRID)) @ MASS)


def _threshold(A):
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _curvature(middle, A) > 0 else (middle, high)
    return high


def _smoothed(bowl=lambda mu, s: mu**2 + s**2, damping=lambda s: np.exp(-2 * np.pi**2 * s**2), offset=1, wave=-1,
              turn=2 * np.pi):  # fmt: skip
    """A wrong version of the smoothed function."""
    return lambda mu, sigma, A: bowl(mu, sigma) + offset * A + wave * A * np.cos(turn * mu) * damping(sigma)


rastrigin.mistake("sigma^2 is missing: E(mu + sigma eps)^2 = mu^2 + sigma^2.")(_smoothed(lambda mu, s: mu**2))
rastrigin.mistake("You added sigma; E(mu + sigma eps)^2 = mu^2 + sigma^2.")(_smoothed(lambda mu, s: mu**2 + s))
rastrigin.mistake("The wave is not damped: E cos(2 pi (mu + sigma eps)) = cos(2 pi mu) e^(-2 pi^2 sigma^2).")(
    _smoothed(damping=lambda s: 1))  # fmt: skip
rastrigin.mistake("This is f at mu, without any smoothing.")(_smoothed(lambda mu, s: mu**2, lambda s: 1))
rastrigin.mistake("The 1/2 is missing in the damping: E cos(m + s eps) = cos(m) e^(-s^2/2), with s = 2 pi sigma.")(
    _smoothed(damping=lambda s: np.exp(-4 * np.pi**2 * s**2)))  # fmt: skip
rastrigin.mistake("The frequency is missing in the damping: s = 2 pi sigma, so it is e^(-2 pi^2 sigma^2).")(
    _smoothed(damping=lambda s: np.exp(-(s**2) / 2)))  # fmt: skip
rastrigin.mistake("Square sigma in the damping: e^(-2 pi^2 sigma^2).")(
    _smoothed(damping=lambda s: np.exp(-2 * np.pi**2 * s)))  # fmt: skip
rastrigin.mistake("Square pi in the damping: e^(-2 pi^2 sigma^2).")(
    _smoothed(damping=lambda s: np.exp(-2 * np.pi * s**2)))  # fmt: skip
rastrigin.mistake("The sign of the wave is wrong: f has its minimum 0 at x = 0, so A - A cos(2 pi x).")(
    _smoothed(wave=1))  # fmt: skip
rastrigin.mistake("The constant A is missing: f = x^2 + A - A cos(2 pi x), which is 0 at 0.")(_smoothed(offset=0))


def _mistake_in_threshold(say, sigma):
    rastrigin.mistake(say, of="convex_sigma")(sigma)


_mistake_in_threshold("This is sigma^2; take the root.", lambda A: np.log(2 * np.pi**2 * A) / (2 * np.pi**2))
_mistake_in_threshold("The bowl's curvature is 2, not 1: 2 pi^2 A e^(..) = 1 at the threshold.",
                      lambda A: np.sqrt(np.log(4 * np.pi**2 * A) / (2 * np.pi**2)))  # fmt: skip
_mistake_in_threshold("The bowl's curvature is 2, from mu^2: without it the wave could never be flat enough.",
                      lambda A: np.sqrt(np.log(np.pi**2 * A) / (2 * np.pi**2)))  # fmt: skip
_mistake_in_threshold("Differentiate twice: cos(2 pi mu) gives (2 pi)^2, you have one 2 pi.",
                      lambda A: np.sqrt(np.log(np.pi * A) / (2 * np.pi**2)))  # fmt: skip
_mistake_in_threshold("That is the value for A = 10; it depends on A.",
                      lambda A: np.sqrt(np.log(20 * np.pi**2) / (2 * np.pi**2)))  # fmt: skip
_mistake_in_threshold("The exponent is 2 pi^2 sigma^2; you solved with 4 pi^2 sigma^2.",
                      lambda A: np.sqrt(np.log(2 * np.pi**2 * A) / (4 * np.pi**2)))  # fmt: skip
_mistake_in_threshold("A is missing in the logarithm: a higher wave needs more noise.",
                      lambda A: np.sqrt(np.log(2 * np.pi**2) / (2 * np.pi**2)))  # fmt: skip


# -------------------- 6.9 --------------------

D_SLOPE, G_SLOPE = "discriminator_gradient", "generator_gradient"
FITTED = "train_gan: shift and scale within 0.15"


@exercise(
    "6.9", of=("discriminator_gradient", "generator_gradient", "train_gan"), slide=4, title="A GAN on a line",
    slow=True, answers=["enm5310.adversarial.generator_gradient", "enm5310.adversarial.fit_gan"],
    parts={D_SLOPE: 1, G_SLOPE: 1, FITTED: 2},
    hints=[
        "d/dt log s(t) = 1 - D and d/dt log(1 - s(t)) = -D with D = s(t). For D's parameters multiply by dt/dw = "
        "(1, x, x^2) and average over each sample.",
        "For G: -log s(t(x)) has the slope -(1 - D) in t, t has the slope w_1 + 2 w_2 x in x, and x = shift + scale "
        "eps the slopes (1, eps). Multiply, average.",
        "The run: play D to its best in every round, some Newton steps as in 6.1 on the features (1, x, x^2), with a "
        "ridge of 0.01 so that w stays finite while the samples are apart; then one step of G.",
        "theta = theta - 0.05 * g / max(1, |g|), from theta = (0, 1), 400 rounds, 500 fresh eps in each. D answers the "
        "new G in every round.",
    ],
)  # fmt: skip
def gan(t):
    for n, m in [(3, 5), (6, 2), (1, 4)]:
        w, x_p, x_q = t.rng.normal(size=3) * [1, 1, 0.4], t.rng.normal(size=n) + 1, t.rng.normal(size=m) - 1
        with t.part(D_SLOPE):
            want = sum((1 - _D(w, x)) * np.array([1, x, x**2]) for x in x_p) / n
            want = want - sum(_D(w, x) * np.array([1, x, x**2]) for x in x_q) / m
            close(t("discriminator_gradient", w, x_p, x_q, like=(3,)), want)
        theta, eps = t.rng.normal(size=2) + np.array([1, 2]), t.rng.normal(size=m)
        with t.part(G_SLOPE):
            want = np.zeros(2)
            for e in eps:
                x = theta[0] + theta[1] * e
                want += (_D(w, x) - 1) * (w[1] + 2 * w[2] * x) * np.array([1, e]) / m
            close(t("generator_gradient", w, theta, eps, like=(2,)), want)
    sign, seed = float(t.rng.choice([-1, 1])), int(t.rng.integers(10**6))
    x = sign * t.rng.uniform(2, 3.5) + t.rng.uniform(0.4, 0.7) * t.rng.normal(size=1000)
    with t.part(FITTED): _expect_fit(*(float(number) for number in t("train_gan", x, seed, like=(2,))), x)


def _expect_fit(shift, scale, x):
    mean, sd = float(np.mean(x)), float(np.std(x))
    if abs(shift - mean) > 0.15:
        told = f"your generator sits at {shift:.3f}, the data at {mean:.3f}"
        raise Wrong(told + ("; it never moved: does G get a slope from D in every round?" if abs(shift) < 0.15 else
                            "; play more rounds, and let D answer the new G in each"))  # fmt: skip
    if abs(abs(scale) - sd) > 0.15:  # a negative scale gives the same law
        told = f"your generator's scale is {scale:.3f}, the data's {sd:.3f}"
        raise Wrong(told + ("; it collapsed to a point: D is too slow or cannot see the spread, it needs x^2" if
                            abs(scale) < 0.3 * sd else "; play more rounds, and give D the feature x^2"))  # fmt: skip


def _D(w, x):
    return 1 / (1 + math.exp(-(w[0] + w[1] * x + w[2] * x**2)))


def _ascent(of_p=lambda D: 1 - D, of_q=lambda D: -D, features=lambda x: np.stack([x**0, x, x**2]), average=np.mean):
    """A wrong gradient for D."""

    def wrong(w, x_p, x_q):
        D_p, D_q = (_sigmoid(w[0] + w[1] * x + w[2] * x**2) for x in (x_p, x_q))
        return average(of_p(D_p) * features(x_p), axis=1) + average(of_q(D_q) * features(x_q), axis=1)

    return wrong


def _mistake_in_d(say, **wrong):
    gan.mistake(say)(_ascent(**wrong))


_mistake_in_d("The sign is flipped: D climbs, so return the gradient of V itself, not of -V.", of_p=lambda D: D - 1,
              of_q=lambda D: D)  # fmt: skip
_mistake_in_d("On p's samples d/dt log s(t) = 1 - D, not D.", of_p=lambda D: D)
_mistake_in_d("On q's samples d/dt log(1 - s(t)) = -D; you used -(1 - D).", of_q=lambda D: D - 1)
_mistake_in_d("Both terms have a plus now; on q's samples the slope is -D.", of_q=lambda D: D)
_mistake_in_d("You differentiated D itself, D(1 - D); the objective has log D, whose slope is 1 - D.",
              of_p=lambda D: D * (1 - D), of_q=lambda D: -D * (1 - D))  # fmt: skip
_mistake_in_d("You summed over the samples; each expectation is an average.", average=np.sum)
_mistake_in_d("dt/dw_2 is x^2; 2 x is the slope in x, which G needs.", features=lambda x: np.stack([x**0, x, 2 * x]))


def _descent(slope=lambda D: D - 1, line=lambda w, x: w[1] + 2 * w[2] * x, path=lambda e: (e**0, e), average=np.mean):
    """A wrong gradient for G."""

    def wrong(w, theta, eps):
        x = theta[0] + theta[1] * eps
        D = _sigmoid(w[0] + w[1] * x + w[2] * x**2)
        return average(slope(D) * line(w, x) * np.stack(path(eps)), axis=1)

    return wrong


def _mistake_in_g(say, **wrong):
    gan.mistake(say, of="generator_gradient")(_descent(**wrong))


_mistake_in_g("This is the saturating gradient, of log(1 - D): slope -D. For -log D it is -(1 - D).",
              slope=lambda D: -D)  # fmt: skip
_mistake_in_g("The sign is flipped: you return the gradient of +log D; G minimises -log D.", slope=lambda D: 1 - D)
_mistake_in_g("The 2 is missing: t = w_0 + w_1 x + w_2 x^2 has the slope w_1 + 2 w_2 x.",
              line=lambda w, x: w[1] + w[2] * x)  # fmt: skip
_mistake_in_g("D's logit is quadratic: its slope w_1 + 2 w_2 x depends on x, you took w_1 alone.",
              line=lambda w, x: w[1] + 0 * x)  # fmt: skip
_mistake_in_g("The slope of the logit in x is missing: the path to theta leads through x.", line=lambda w, x: 1 + 0 * x)
_mistake_in_g("dx/dscale = eps is missing: x = shift + scale eps.", path=lambda e: (e**0, e**0))
_mistake_in_g("The scale comes second: return (d/dshift, d/dscale).", path=lambda e: (e, e**0))
_mistake_in_g("You summed over the samples; the loss is an average.", average=np.sum)


@gan.mistake("These are moments of x. The step asks how the loss moves with theta, through a given D.",
             of="generator_gradient")  # fmt: skip
def _(w, theta, eps):
    x = theta[0] + theta[1] * eps
    return np.array([np.mean(x), np.std(x)])
