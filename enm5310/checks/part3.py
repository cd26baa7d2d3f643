"""Part 3, variational bounds, Jensen, ELBO: exercises 3.1-3.9.

Noise is an argument, so nearly every answer is exact.  Data are small, never square, and every axis has its own length.
"""

import itertools

import numpy as np

from enm5310.checks import panel
from enm5310.checks.answers import Wrong, close
from enm5310.checks.engine import Fn, exercise

progress = panel.of(__name__)

LOG_2PI = np.log(2 * np.pi)


def _numbers(out):
    """An answer whose right value is sometimes 0, where 0 and 1e-17 are the same when a mistake is looked up."""
    return np.round(np.asarray(out, float), 9)


def _each(out):
    return tuple(_numbers(item) for item in out)


def _nearly_zero(value, scale, say):
    """Raises Wrong(say) unless |value| is rounding beside `scale`."""
    if not abs(float(value)) <= 1e-9 * max(1.0, abs(float(scale))):
        raise Wrong(say)


def _log_normal(z, mean, sd):
    """log N(z; mean, diag sd^2), summed over the last axis."""
    return -0.5 * np.sum(((z - mean) / sd) ** 2 + LOG_2PI, axis=-1) - np.sum(np.log(sd) + 0 * mean, axis=-1)


# -------------------- 3.1 --------------------

SHAPES = {  # source of f, law of the points, whether f is convex (1), concave (-1) or affine (0)
    "exp": ("def f(x): return np.exp(a * x)", 1),
    "square": ("def f(x): return a * (x - 1) ** 2", 1),
    "hyperbola": ("def f(x): return np.sqrt(1 + (a * x - 2) ** 2)", 1),
    "log": ("def f(x): return a * np.log(x)", -1),
    "line": ("def f(x): return a * x - 3", 0),
}


@exercise(
    "3.1", of="jensen_gap", slide=5, canon=_numbers, title="Jensen's gap", answers=["enm5310.bounds.jensen_gap"],
    parts={"weights that sum to 1": 1, "any weights: divided by their sum": 1, "0 for an affine f": 0},
    hints=[
        "Two averages of the same points with the same weights: of the heights f(x_i), and of the places x_i.",
        "The weights must sum to 1 in *both* averages: start with w = w / np.sum(w).",
        "`np.sum(w * f(x)) - f(np.sum(w * x))`: first the mean of f, then f of the mean.",
    ],
)  # fmt: skip
def jensen_gap(t):
    for source, curved in SHAPES.values():
        f = Fn(source, a=float(t.rng.uniform(0.5, 1.2)))
        for n in (2, 3, 6):
            x = 0.7 * t.rng.permutation(n) + t.rng.uniform(0.5, 1, size=n)  # apart from each other
            w = t.rng.dirichlet(np.ones(n)) + 0.1
            w /= sum(w)
            scale, wanted = float(t.rng.uniform(3, 9)), _gap(f, x, w)
            if not curved:
                with t.part("0 for an affine f"):
                    _nearly_zero(t("jensen_gap", f, x, w, like=()), 9, "a straight line has no gap")
                continue
            with t.part("weights that sum to 1"): close(t("jensen_gap", f, x, w, like=()), wanted)
            with t.part("any weights: divided by their sum"): close(t("jensen_gap", f, x, w * scale, like=()), wanted)


def _gap(f, x, w):
    """The average height of the chords above the curve: sum_i w_i [f(x_i) - f(m)]."""
    middle = np.average(x, weights=w)
    return sum(b * (float(f(a)) - float(f(middle))) for a, b in zip(x, w, strict=True)) / sum(w)


@jensen_gap.mistake("You gave all points the same weight (np.mean); the averages are weighted by w.")
def _(f, x, w):
    return np.mean(f(x)) - f(np.mean(x))


@jensen_gap.mistake("The sign is flipped: the gap is the mean of f minus f of the mean, >= 0 for convex f.")
def _(f, x, w):
    return f(np.average(x, weights=w)) - np.average(f(x), weights=w)


@jensen_gap.mistake("You did not divide the weights by their sum; an average needs weights that sum to 1.")
def _(f, x, w):
    return np.sum(w * f(x)) - f(np.sum(w * x))


@jensen_gap.mistake("You divided by sum(w) in the mean of f only; f of the mean needs the same average of x.")
def _(f, x, w):
    return np.average(f(x), weights=w) - f(np.sum(w * x))


@jensen_gap.mistake("You divided by sum(w) in f of the mean only; the mean of f is an average as well.")
def _(f, x, w):
    return np.sum(w * f(x)) - f(np.average(x, weights=w))


@jensen_gap.mistake("You weighted the mean of f, but took f at the plain mean of x. Both averages carry the weights w.")
def _(f, x, w):
    return np.average(f(x), weights=w) - f(np.mean(x))


@jensen_gap.mistake("This is the mean of f alone; subtract f of the mean.")
def _(f, x, w):
    return np.average(f(x), weights=w)


@jensen_gap.mistake("You took the absolute value. For a concave f, such as log, the gap is negative: let it be.")
def _(f, x, w):
    return abs(np.average(f(x), weights=w) - f(np.average(x, weights=w)))


@jensen_gap.mistake("You cut the gap off at 0. For a concave f, such as log, it is negative: let it be.")
def _(f, x, w):
    return max(0.0, np.average(f(x), weights=w) - f(np.average(x, weights=w)))


@jensen_gap.mistake("You divided by n on top of the weights: sum_i w_i f(x_i) is the average already.")
def _(f, x, w):
    w = w / np.sum(w)
    return np.mean(w * f(x)) - f(np.mean(w * x))


@jensen_gap.mistake("You put w_i x_i into f one by one; f of the mean is f at one place, sum_i w_i x_i.")
def _(f, x, w):
    w = w / np.sum(w)
    return np.sum(w * f(x)) - np.sum(f(w * x))


# -------------------- 3.2 --------------------

STEP, RUN = "mm_median: one step", "mm_median: down to a median, also from a data point"


@exercise(
    "3.2", of=("half_quadratic", "mm_median"), slide=5, canon=_numbers, title="A median by majorise-minimise",
    answers=["enm5310.bounds.half_quadratic", "enm5310.bounds.minimise"],
    parts={"half_quadratic: the bound": 1, STEP: 1, RUN: 1},
    hints=[
        "The bound replaces each |x_i - theta| by half of (x_i - theta)^2 / psi_i + psi_i, and sums over i.",
        "Given theta, the best psi_i is |x_i - theta|. Given psi, set the derivative of sum_i (x_i - theta)^2 / psi_i "
        "to 0: a weighted mean of x with weights 1 / psi_i.",
        "Start the path with theta itself; then `steps` times psi = np.maximum(np.abs(x - theta), 1e-9) and "
        "theta = np.sum(x / psi) / np.sum(1 / psi).",
    ],
)  # fmt: skip
def mm_median(t):
    for n in (3, 5, 7):
        x = t.rng.normal(size=n) * 3 + 5
        inside, psi = _in_the_widest_gap(t, x), t.rng.uniform(0.5, 3, size=n)
        with t.part("half_quadratic: the bound"):
            wanted = sum(((a - inside) ** 2 / b + b) / 2 for a, b in zip(x, psi, strict=True))
            close(t("half_quadratic", x, inside, psi, like=()), wanted)
            touching = t("half_quadratic", x, inside, np.abs(x - inside), like=())
            close(touching, _distances(x, inside))
        with t.part(STEP):
            path = t("mm_median", x, inside, 1, like=(2,))
            _starts_at(inside, path)
            if abs(path[1] - _weighted_mean(x, inside)) > 1e-5:
                raise Wrong(f"from {inside:.5g} to {path[1]:.6g}; the minimiser of g(., psi) is the mean of x with "
                            f"weights 1 / psi_i, {_weighted_mean(x, inside):.6g}")  # fmt: skip
        with t.part(RUN):
            _descends(x, t("mm_median", x, inside, 60, like=(61,)), inside)
            start = float(np.sort(x)[t.rng.choice([0, -1])])  # the smallest or the largest: no median
            _descends(x, t("mm_median", x, start, 100, like=(101,)), start)


def _in_the_widest_gap(t, x):
    x = np.sort(x)
    i = np.argmax(np.diff(x))
    return float(x[i] + t.rng.uniform(0.3, 0.7) * (x[i + 1] - x[i]))


def _distances(x, theta):
    return sum(abs(a - theta) for a in x)


def _weighted_mean(x, theta):
    return np.average(x, weights=1 / np.abs(x - theta))


def _starts_at(theta, path):
    if abs(path[0] - theta) > 1e-9:
        raise Wrong(f"the path starts at {path[0]:.6g}; its first entry is theta itself, {theta:.6g}")


def _descends(x, path, start):
    """Every step away from the data is the weighted mean, none goes up, the last is at the median."""
    _starts_at(start, path)
    for step, (here, there) in enumerate(itertools.pairwise(path), start=1):
        if np.min(np.abs(x - here)) > 1e-2:
            if abs(there - _weighted_mean(x, here)) > 1e-4:
                raise Wrong(f"step {step} from {here:.5g} goes to {there:.5g}; the mean with weights 1 / |x_i - theta| "
                            f"is {_weighted_mean(x, here):.5g}")  # fmt: skip
        elif abs(there - here) > 1:
            raise Wrong(f"step {step} leaps from the data point {here:.5g}; 1 / psi_i is huge there, so it stays near")
        if _distances(x, there) > _distances(x, here) + 1e-4:
            raise Wrong(f"step {step} raises sum |x_i - theta|; no step of majorise-minimise can")
    if abs(path[-1] - np.median(x)) > 1e-4:
        if start in x and abs(path[-1] - start) < 1e-6:
            raise Wrong(f"started on the data point {start:.5g} and stuck there: keep every psi_i >= 1e-9")
        raise Wrong(f"after {len(path) - 1} steps theta = {path[-1]:.6g}; the median is {np.median(x):.6g}")


def _bound(wrong, say):
    mm_median.mistake(say, of="half_quadratic")(wrong)


_bound(lambda x, theta, psi: np.sum((x - theta) ** 2 / psi + psi),
       "The factor 1/2 is missing: g = 1/2 sum_i [(x_i - theta)^2 / psi_i + psi_i].")  # fmt: skip
_bound(lambda x, theta, psi: np.sum((x - theta) ** 2 / psi) / 2,
       "You left out + psi_i. Without it the bound fails, and psi would run off to infinity.")  # fmt: skip
_bound(lambda x, theta, psi: np.sum((x - theta) ** 2 / psi) / 2 + np.sum(psi),
       "The 1/2 stands in front of both terms: [(x_i - theta)^2 / psi_i + psi_i] / 2.")  # fmt: skip
_bound(lambda x, theta, psi: np.sum((x - theta) ** 2 / (2 * psi)) + psi / 2,
       "You summed the first term only and left one number per data point; sum over i.")  # fmt: skip
_bound(lambda x, theta, psi: np.sum((x - theta) ** 2 * psi + psi) / 2,
       "You multiplied by psi_i; the square is divided by it.")  # fmt: skip
_bound(lambda x, theta, psi: np.sum(np.abs(x - theta) / psi + psi) / 2,
       "The distance is not squared: it is (x_i - theta)^2 that is divided by psi_i.")  # fmt: skip
_bound(lambda x, theta, psi: np.mean((x - theta) ** 2 / psi + psi) / 2,
       "You averaged over the data; the objective is the sum over i of |x_i - theta|.")  # fmt: skip
_bound(lambda x, theta, psi: ((x - theta) ** 2 / psi + psi) / 2,
       "You returned one number per data point; sum over i.")  # fmt: skip
_bound(lambda x, theta, psi: np.sum(np.abs(x - theta)),
       "This is the objective f(theta) and ignores psi; the bound g(theta, psi) is larger for other psi.")  # fmt: skip


def _path(step):
    """A wrong version of the path: step(x, theta, psi) in place of the weighted mean."""

    def wrong(x, theta, steps):
        path = [theta]
        for _ in range(steps):
            path.append(step(x, path[-1], np.maximum(np.abs(x - path[-1]), 1e-9)))
        return np.array(path)

    return wrong


def _path_mistake(say, wrong):
    mm_median.mistake(say, of="mm_median")(wrong)


_path_mistake("Every step is the plain mean of x; weight x_i by 1 / psi_i.", _path(lambda x, theta, psi: np.mean(x)))
_path_mistake("You weighted by psi_i, so far points count most. The bound divides by psi_i: weights 1 / psi_i.",
              _path(lambda x, theta, psi: np.sum(x * psi) / np.sum(psi)))  # fmt: skip
_path_mistake("You weighted by 1 / psi_i^2; the square in the bound is divided by psi_i once.",
              _path(lambda x, theta, psi: np.sum(x / psi**2) / np.sum(1 / psi**2)))  # fmt: skip
_path_mistake("Your path repeats np.median(x). It is where the path ends; each step is the mean with weights 1/psi_i.",
              _path(lambda x, theta, psi: np.median(x)))  # fmt: skip


@mm_median.mistake("You divided by 0: on a data point psi_i = |x_i - theta| is 0. Keep psi_i >= 1e-9.", of="mm_median")
def _(x, theta, steps):
    path = [theta]
    for _ in range(steps):
        w = 1 / np.abs(x - path[-1])
        path.append(np.sum(w * x) / np.sum(w))
    return np.array(path)


@mm_median.mistake("You computed psi once, at the start. Renew psi_i = |x_i - theta| for every step.", of="mm_median")
def _(x, theta, steps):
    psi = np.maximum(np.abs(x - theta), 1e-9)
    return np.r_[theta, np.full(steps, np.sum(x / psi) / np.sum(1 / psi))]


@mm_median.mistake("You returned only the last theta; return the whole path, shape (steps + 1,).", of="mm_median")
def _(x, theta, steps):
    return _path(lambda x, theta, psi: np.sum(x / psi) / np.sum(1 / psi))(x, theta, steps)[-1]


@mm_median.mistake("Your path lacks its start: theta itself comes first, shape (steps + 1,).", of="mm_median")
def _(x, theta, steps):
    return _path(lambda x, theta, psi: np.sum(x / psi) / np.sum(1 / psi))(x, theta, steps)[1:]


# -------------------- 3.3 --------------------


@exercise(
    "3.3", of="log_mean_exp", slide=5, title="The log of a mean of exponentials",
    answers=["enm5310.distributions.log_mean_exp"],
    parts={"log (1/K) sum_k exp(a_k)": 1, "numbers near 10,000 and -10,000": 1},
    hints=[
        "exp(1000) overflows and exp(-1000) is 0. Take the largest entry m out first: exp(a) = exp(m) exp(a - m).",
        "Each row has its own m = np.max(a, axis=axis, keepdims=True); then every a - m <= 0 and one of them is 0.",
        "`np.log(np.mean(np.exp(a - m), axis=axis)) + np.squeeze(m, axis=axis)`.",
    ],
)  # fmt: skip
def log_mean_exp(t):
    for shape, axis in [((3, 1), 1), ((4, 4), 0), ((3, 5), -1), ((2, 3, 4), 1), ((4, 1, 5), 2), ((6,), 0)]:
        a = t.rng.normal(size=shape) * 2
        with t.part("log (1/K) sum_k exp(a_k)"):
            close(t("log_mean_exp", a, axis, like=_reduced(a, axis)), _log_mean(a, axis))
        far = 1e4 * (-1.0) ** np.arange(a.size // a.shape[axis]).reshape(_reduced(a, axis))
        a = a + np.expand_dims(far, axis)
        np.moveaxis(a, axis, 0)[0] += 1e3  # the others no longer count, unless the shift is too small for this one
        with t.part("numbers near 10,000 and -10,000"):
            answer = t("log_mean_exp", a, axis, like=_reduced(a, axis))
            close(answer, _log_mean(a, axis), rtol=1e-6)  # 0.01: more than float32 rounds off, less than log K


def _reduced(a, axis):
    return tuple(np.delete(a.shape, axis))


def _log_mean(a, axis):
    return np.logaddexp.reduce(a, axis=axis) - np.log(a.shape[axis])


def _shifted(combine, of_all=False):
    """A wrong version with a safe shift: combine(mean exponential, m, K, size)."""

    def wrong(a, axis):
        m = np.max(a) if of_all else np.max(a, axis=axis, keepdims=True)
        return combine(np.mean(np.exp(a - m), axis=axis), m if of_all else np.squeeze(m, axis), a.shape[axis], a.size)

    return wrong


@log_mean_exp.mistake("exp overflows, or vanishes: subtract the largest entry first and add it back after the log.")
def _(a, axis):
    return np.log(np.mean(np.exp(a), axis=axis))


@log_mean_exp.mistake("exp overflows, or vanishes: subtract the largest entry first and add it back after the log.")
def _(a, axis):
    return np.log(np.sum(np.exp(a), axis=axis) / a.shape[axis])


@log_mean_exp.mistake("exp overflows, or vanishes, and log K is missing: shift by the largest entry, divide by K.")
def _(a, axis):
    return np.log(np.sum(np.exp(a), axis=axis))


log_mean_exp.mistake("This is the log of the *sum*: log K is missing. A mean divides by K, so subtract log K.")(
    _shifted(lambda e, m, K, size: np.log(e * K) + m))  # fmt: skip
log_mean_exp.mistake("You added log K; dividing by K subtracts it.")(
    _shifted(lambda e, m, K, size: np.log(e * K) + m + np.log(K)))  # fmt: skip
log_mean_exp.mistake("You divided by K outside the log: (1/K) log sum is not log (1/K) sum.")(
    _shifted(lambda e, m, K, size: (np.log(e * K) + m) / K))  # fmt: skip
log_mean_exp.mistake("You divided by the number of all entries; K is the length of `axis` alone.")(
    _shifted(lambda e, m, K, size: np.log(e * K / size) + m))  # fmt: skip
log_mean_exp.mistake("You forgot to add the largest entry back after the log.")(
    _shifted(lambda e, m, K, size: np.log(e)))  # fmt: skip
log_mean_exp.mistake("You shifted all rows by one maximum, so rows far below it vanish; each row needs its own.")(
    _shifted(lambda e, m, K, size: np.log(e) + m, of_all=True))  # fmt: skip
log_mean_exp.mistake("You subtracted the largest entry once more at the end; it has to be added back.")(
    _shifted(lambda e, m, K, size: np.log(e) - m))  # fmt: skip


@log_mean_exp.mistake("You shifted by the mean; only a shift by the *largest* entry keeps all exponentials below 1.")
def _(a, axis):
    m = np.mean(a, axis=axis, keepdims=True)
    return np.log(np.mean(np.exp(a - m), axis=axis)) + np.squeeze(m, axis)


@log_mean_exp.mistake("You shifted by the smallest entry, so the largest overflows; shift by the largest, np.max.")
def _(a, axis):
    m = np.min(a, axis=axis, keepdims=True)
    return np.log(np.mean(np.exp(a - m), axis=axis)) + np.squeeze(m, axis)


@log_mean_exp.mistake("You divided by len(a), the length of the first axis; K is the length of `axis`, a.shape[axis].")
def _(a, axis):
    return np.logaddexp.reduce(a, axis=axis) - np.log(len(a))


@log_mean_exp.mistake("This is the mean of the exponentials; take its log, with the largest entry out first.")
def _(a, axis):
    return np.mean(np.exp(a), axis=axis)


@log_mean_exp.mistake("This is the mean of a, the mean of the logs. By Jensen the log of the mean is larger.")
def _(a, axis):
    return np.mean(a, axis=axis)


@log_mean_exp.mistake("This is the largest entry: a bound, but the others count as well.")
def _(a, axis):
    return np.max(a, axis=axis)


@log_mean_exp.mistake("You reduced the last axis whatever `axis` says.")
def _(a, axis):
    return _log_mean(a, -1)


@log_mean_exp.mistake("You reduced all entries to one number; reduce `axis` alone.")
def _(a, axis):
    return _log_mean(a.ravel(), 0)


@log_mean_exp.mistake("The reduced axis is still there with length 1: drop it (np.squeeze, or no keepdims at the end).")
def _(a, axis):
    return np.expand_dims(_log_mean(a, axis), axis)


@log_mean_exp.mistake("Your maximum has lost its axis, so it is subtracted from the wrong entries: keepdims=True.")
def _(a, axis):
    m = np.max(a, axis=axis)
    return np.log(np.mean(np.exp(a - m), axis=axis)) + m


@log_mean_exp.mistake("Clipping a before exp changes the answer: shift by the largest entry, which is exact.")
def _(a, axis):
    return np.log(np.mean(np.exp(np.clip(a, -700, 700)), axis=axis))


# -------------------- 3.4 --------------------


@exercise(
    "3.4", of="kl_std_normal", slide=5, canon=_numbers, title="KL to the standard normal",
    answers=[*(f"enm5310.{module}.kl_standard_normal" for module in ("distributions", "fused")),
             "enm5310.distributions.kl_diag"],
    parts={"0 at the prior": 0, "mean moved": 1, "mean and variance": 1},
    hints=[
        "Per dimension: 1/2 [mean^2 + sigma^2 - 1 - log sigma^2]. Which of these is `logvar`?",
        "logvar = log sigma^2, so sigma^2 = np.exp(logvar): no factor 2, no 1/2 in the exponent.",
        "Independent dimensions add up: `0.5 * np.sum(..., axis=1)`, one number per row.",
    ],
)  # fmt: skip
def kl_std_normal(t):
    for n, p in [(3, 1), (4, 2), (5, 3), (3, 3)]:
        mean, logvar = t.rng.normal(size=(2, n, p))
        with t.part("0 at the prior"):
            at_prior = t("kl_std_normal", np.zeros((n, p)), np.zeros((n, p)), like=(n,))
            _nearly_zero(np.max(np.abs(at_prior)), 1, "for mean 0 and variance 1 q is the prior, and KL is 0")
        with t.part("mean moved"):
            close(t("kl_std_normal", mean, np.zeros((n, p)), like=(n,)), [sum(m * m for m in row) / 2 for row in mean])
        with t.part("mean and variance"):
            close(t("kl_std_normal", mean, logvar, like=(n,)), _kl_by_moments(mean, np.exp(logvar)))


def _kl_by_moments(mean, v):
    """E_q[log q] - E_q[log p] from the first two moments of q, summed over the last axis."""
    minus_entropy = -0.5 * (LOG_2PI + 1 + np.log(v))
    cross_entropy = 0.5 * (LOG_2PI + mean**2 + v)
    return np.sum(minus_entropy + cross_entropy, axis=-1)


def _kl(terms, combine=lambda a: 0.5 * np.sum(a, axis=1)):
    return lambda mean, logvar: combine(terms(mean, logvar))


def _right(m, l):
    return m**2 + np.exp(l) - 1 - l


kl_std_normal.mistake("You read logvar as log sigma. It is log sigma^2: sigma^2 = exp(logvar), log sigma^2 = logvar.")(
    _kl(lambda m, l: m**2 + np.exp(2 * l) - 1 - 2 * l))  # fmt: skip
kl_std_normal.mistake("You read logvar as log sigma in the exponential alone: sigma^2 is exp(logvar).")(
    _kl(lambda m, l: m**2 + np.exp(2 * l) - 1 - l))  # fmt: skip
kl_std_normal.mistake("exp(logvar / 2) is sigma; the formula has sigma^2 = exp(logvar).")(
    _kl(lambda m, l: m**2 + np.exp(l / 2) - 1 - l))  # fmt: skip
kl_std_normal.mistake("logvar is log sigma^2 already: it stands in the formula as it is, and sigma^2 is exp(logvar).")(
    _kl(lambda m, l: m**2 + l - 1 - np.log(l)))  # fmt: skip
kl_std_normal.mistake("logvar is log sigma^2 already: it stands in the formula as it is, and sigma^2 is exp(logvar).")(
    _kl(lambda m, l: m**2 + np.exp(l) - 1 - np.log(l)))  # fmt: skip
kl_std_normal.mistake("You read logvar as sigma itself; it is log sigma^2, so sigma^2 = exp(logvar).")(
    _kl(lambda m, l: m**2 + l**2 - 1 - np.log(l**2)))  # fmt: skip
kl_std_normal.mistake("You subtracted 1 once; every dimension has its own -1.")(
    _kl(lambda m, l: m**2 + np.exp(l) - l, lambda a: 0.5 * (np.sum(a, axis=1) - 1)))  # fmt: skip
kl_std_normal.mistake("You averaged over the dimensions; the KL of independent dimensions is their sum.")(
    _kl(_right, lambda a: 0.5 * np.mean(a, axis=1)))  # fmt: skip
kl_std_normal.mistake("The factor 1/2 is missing.")(_kl(_right, lambda a: np.sum(a, axis=1)))
kl_std_normal.mistake("The sign is flipped: this is -KL, and a KL is never negative.")(
    _kl(_right, lambda a: -0.5 * np.sum(a, axis=1)))  # fmt: skip
kl_std_normal.mistake("You added up the rows as well; return one KL per row, shape (n,).")(
    _kl(_right, lambda a: 0.5 * np.sum(a)))  # fmt: skip
kl_std_normal.mistake("You averaged over the rows; return one KL per row, shape (n,).")(
    _kl(_right, lambda a: 0.5 * np.mean(np.sum(a, axis=1))))  # fmt: skip
kl_std_normal.mistake("You summed over the rows (axis=0); sum over the dimensions, axis=1, for each row.")(
    _kl(_right, lambda a: 0.5 * np.sum(a, axis=0)))  # fmt: skip
kl_std_normal.mistake("You kept the dimensions apart; sum over them: one KL per row, shape (n,).")(
    _kl(_right, lambda a: 0.5 * a))  # fmt: skip
kl_std_normal.mistake("The square of the mean is missing.")(_kl(lambda m, l: m + np.exp(l) - 1 - l))
kl_std_normal.mistake("The -1 is missing: at mean 0, variance 1 the KL must be 0.")(
    _kl(lambda m, l: m**2 + np.exp(l) - l))  # fmt: skip
kl_std_normal.mistake("The sign of the log term is wrong: it is - log sigma^2, which punishes a narrow q.")(
    _kl(lambda m, l: m**2 + np.exp(l) - 1 + l))  # fmt: skip
kl_std_normal.mistake("This is the other direction, KL(prior || q). The ELBO needs KL(q || prior).")(
    _kl(lambda m, l: (m**2 + 1) * np.exp(-l) - 1 + l))  # fmt: skip


# -------------------- 3.5 --------------------


@exercise(
    "3.5", of="kl_gaussians", slide=5, canon=_numbers, title="KL between two Gaussians",
    answers=["enm5310.distributions.kl_gaussians"],
    parts={"0 for equal laws": 0, "means apart": 1, "covariances apart": 1, "both, also in 40 small dimensions": 1},
    hints=[
        "KL(N1 || N2) = E_N1[log N1 - log N2]. The expectation of a quadratic form under N1 is a trace with S1.",
        "1/2 [tr(S2^-1 S1) + (m2 - m1)' S2^-1 (m2 - m1) - p + log(|S2| / |S1|)]: only S2 is inverted.",
        "`np.linalg.slogdet(S)[1]` is log|S| where det itself would underflow; `np.linalg.solve(S2, S1)` is S2^-1 S1.",
    ],
)  # fmt: skip
def kl_gaussians(t):
    for p in (1, 2, 3):
        m1, m2 = t.rng.normal(size=(2, p)) * 2
        S1, S2 = _covariance(t, p), _covariance(t, p)
        with t.part("0 for equal laws"):
            _nearly_zero(t("kl_gaussians", m1, S1, m1, S1, like=()), p, "for N1 = N2 the KL is 0")
        with t.part("means apart"): close(t("kl_gaussians", m1, S1, m2, S1, like=()), _kl_whitened(m1, S1, m2, S1))
        with t.part("covariances apart"):
            close(t("kl_gaussians", m1, S1, m1, S2, like=()), _kl_whitened(m1, S1, m1, S2))
        with t.part("both, also in 40 small dimensions"):
            close(t("kl_gaussians", m1, S1, m2, S2, like=()), _kl_whitened(m1, S1, m2, S2))
    unit, p = 1e-5, 40  # the same two laws, measured in another unit: a determinant of 1e-400 is 0 to a computer
    m1, m2, S1, S2 = *(t.rng.normal(size=(2, p))), _covariance(t, p), _covariance(t, p)
    with t.part("both, also in 40 small dimensions"):
        answer = t("kl_gaussians", unit * m1, unit**2 * S1, unit * m2, unit**2 * S2, like=())
        close(answer, _kl_whitened(m1, S1, m2, S2))


def _covariance(t, p):
    A = t.rng.normal(size=(p, p + 2))
    return A @ A.T / p + 0.3 * np.diag(t.rng.uniform(0.5, 2, size=p))


def _kl_whitened(m1, S1, m2, S2):
    """In coordinates where S2 = I and S1 is diagonal: a sum over dimensions."""
    lam, U = np.linalg.eigh(S2)
    white = U / np.sqrt(lam)
    variances = np.linalg.eigvalsh(white.T @ S1 @ white)
    return 0.5 * (np.sum(variances - 1 - np.log(variances)) + np.sum((white.T @ (m2 - m1)) ** 2))


def _two_gaussians(trace=None, quadratic=None, logdet=None, p=len, half=0.5):
    """A wrong version of the KL: other terms in place of the right ones."""

    def wrong(m1, S1, m2, S2):
        d, inverse = m2 - m1, np.linalg.inv(S2)
        a = trace(S1, S2) if trace else np.trace(inverse @ S1)
        b = quadratic(d, S1, S2) if quadratic else d @ inverse @ d
        c = logdet(S1, S2) if logdet else np.linalg.slogdet(S2)[1] - np.linalg.slogdet(S1)[1]
        return half * (a + b - p(m1) + c)

    return wrong


kl_gaussians.mistake("The ratio of the determinants is upside down: it is log |S2| / |S1|.")(
    _two_gaussians(logdet=lambda S1, S2: np.linalg.slogdet(S1)[1] - np.linalg.slogdet(S2)[1]))  # fmt: skip
kl_gaussians.mistake("The trace has the wrong inverse: it is tr(S2^-1 S1), the expectation is under N1.")(
    _two_gaussians(trace=lambda S1, S2: np.trace(np.linalg.solve(S1, S2))))  # fmt: skip
kl_gaussians.mistake("The distance of the means is measured with S2: (m2 - m1)' S2^-1 (m2 - m1); you used S1.")(
    _two_gaussians(quadratic=lambda d, S1, S2: d @ np.linalg.solve(S1, d)))  # fmt: skip
kl_gaussians.mistake("You inverted S1 throughout; the expectation is under N1, so only S2 is inverted.")(
    _two_gaussians(lambda S1, S2: np.trace(np.linalg.solve(S1, S2)),
                   lambda d, S1, S2: d @ np.linalg.solve(S1, d)))  # fmt: skip
kl_gaussians.mistake("You took |m2 - m1|^2; the distance is measured with S2: (m2 - m1)' S2^-1 (m2 - m1).")(
    _two_gaussians(quadratic=lambda d, S1, S2: d @ d))  # fmt: skip
kl_gaussians.mistake("The 1/2 belongs to the log-determinants as well: it stands in front of the whole bracket.")(
    _two_gaussians(logdet=lambda S1, S2: 2 * (np.linalg.slogdet(S2)[1] - np.linalg.slogdet(S1)[1])))  # fmt: skip
kl_gaussians.mistake("You multiplied by S2; the quadratic form needs its inverse.")(
    _two_gaussians(quadratic=lambda d, S1, S2: d @ S2 @ d))  # fmt: skip
kl_gaussians.mistake("The distance of the means is not squared: (m2 - m1)' S2^-1 (m2 - m1).")(
    _two_gaussians(quadratic=lambda d, S1, S2: np.sqrt(d @ np.linalg.solve(S2, d))))  # fmt: skip
kl_gaussians.mistake("The term with the means is missing.")(_two_gaussians(quadratic=lambda d, S1, S2: 0.0))
kl_gaussians.mistake("The log-determinants are missing.")(_two_gaussians(logdet=lambda S1, S2: 0.0))
kl_gaussians.mistake("The -p is missing: for equal laws tr(S2^-1 S1) = p, and the KL is 0.")(
    _two_gaussians(p=lambda m: 0))  # fmt: skip
kl_gaussians.mistake("You subtracted 1; the trace of p dimensions is balanced by -p.")(_two_gaussians(p=lambda m: 1))
kl_gaussians.mistake("The factor 1/2 is missing.")(_two_gaussians(half=1.0))
kl_gaussians.mistake("The sign is flipped: a KL is never negative.")(_two_gaussians(half=-0.5))
kl_gaussians.mistake("You used the diagonals alone; the covariances are full matrices.")(
    lambda m1, S1, m2, S2: _two_gaussians()(m1, np.diag(np.diag(S1)), m2, np.diag(np.diag(S2))))  # fmt: skip
kl_gaussians.mistake("You divided the diagonals entry by entry; the trace is that of the matrix product S2^-1 S1.")(
    _two_gaussians(trace=lambda S1, S2: np.sum(np.diag(S1) / np.diag(S2))))  # fmt: skip
kl_gaussians.mistake("You divided by the entries of S2; S2^-1 is the inverse matrix (np.linalg.solve).")(
    _two_gaussians(lambda S1, S2: np.trace(S1 / S2), lambda d, S1, S2: d @ (1 / S2) @ d))  # fmt: skip
kl_gaussians.mistake("This is the other direction, KL(N2 || N1). A KL is not symmetric.")(
    lambda m1, S1, m2, S2: _two_gaussians()(m2, S2, m1, S1))  # fmt: skip
kl_gaussians.mistake("det underflows to 0 for many small variances; np.linalg.slogdet(S)[1] is log|S| itself.")(
    _two_gaussians(logdet=lambda S1, S2: np.log(np.linalg.det(S2) / np.linalg.det(S1))))  # fmt: skip
kl_gaussians.mistake("det underflows to 0 for many small variances; np.linalg.slogdet(S)[1] is log|S| itself.")(
    _two_gaussians(logdet=lambda S1, S2: np.log(np.linalg.det(S2)) - np.log(np.linalg.det(S1))))  # fmt: skip


# -------------------- 3.6 --------------------

LINEAR = """
def f(z):
    prior = -0.5 * np.sum(z**2 + np.log(2 * np.pi), axis=-1)
    return prior - 0.5 * np.sum((x - z * w) ** 2 / s2 + np.log(2 * np.pi * s2), axis=-1)
"""  # z ~ N(0, I), x | z ~ N(w z, s2 I): the posterior is diagonal
CONSTANT = "constant at the posterior, and only there"
QUARTIC = "def f(z): return -np.sum(a * z**4 + np.sin(z + b), axis=-1)"


@exercise(
    "3.6", of="elbo_mc", slide=5, title="The ELBO, sample by sample",
    answers=["enm5310.bounds.elbo_mc"],
    parts={"q standard normal": 1, "any mean and sigma": 2, CONSTANT: 1},
    hints=[
        "Each row of eps makes one sample z_s = mean + sigma eps_s. What do log_joint and log q say about z_s?",
        "log q(z_s) sums over dimensions: -1/2 [log 2 pi + eps^2] - log_sigma, because (z - mean) / sigma is eps.",
        "`log_joint(z) - np.sum(-0.5 * (np.log(2 * np.pi) + eps**2) - log_sigma, axis=1)`, one number per row.",
    ],
)  # fmt: skip
def elbo_mc(t):
    for S, p in [(4, 1), (5, 2), (3, 3)]:
        eps, mean, log_sigma = t.rng.normal(size=(S, p)), t.rng.normal(size=p), t.rng.uniform(0.2, 0.8, size=p)
        log_sigma = log_sigma * t.rng.choice([-1, 1], size=p)
        quartic = Fn(QUARTIC, a=float(t.rng.uniform(0.1, 0.3)), b=float(t.rng.normal()))
        with t.part("q standard normal"):
            close(t("elbo_mc", quartic, np.zeros(p), np.zeros(p), eps, like=(S,)), _elbo(quartic, 0.0, 1.0, eps))
        with t.part("any mean and sigma"):
            answer = t("elbo_mc", quartic, mean, log_sigma, eps, like=(S,))
            close(answer, _elbo(quartic, mean, np.exp(log_sigma), eps))
        x, w, s2 = t.rng.normal(size=p) + 1, t.rng.normal(size=p), float(t.rng.uniform(0.2, 0.8))
        log_p = _log_normal(x, 0 * x, np.sqrt(w**2 + s2))  # x ~ N(0, w^2 + s2)
        variance = 1 / (1 + w**2 / s2)
        with t.part(CONSTANT):
            linear, center, scale = Fn(LINEAR, x=x, w=w, s2=s2), variance * w * x / s2, np.sqrt(variance)
            answer = t("elbo_mc", linear, center, np.log(scale), eps, like=(S,))
            close(answer, np.full(S, log_p), "q is the posterior here: every sample must give log p(x) = "
                  f"{log_p:.6g}, got {answer.min():.6g} to {answer.max():.6g}")  # fmt: skip
            beside = t("elbo_mc", linear, center + 1, np.log(scale), eps, like=(S,))
            close(beside, _elbo(linear, center + 1, scale, eps))


def _elbo(log_joint, mean, sd, eps):
    z = [mean + sd * e for e in eps]
    return np.array([float(log_joint(a)) - float(_log_normal(a, mean + 0 * a, sd + 0 * a)) for a in z])


def _sampled(q=None, z=None, combine=None):
    """A wrong version of the ELBO: another log q(z, mean, log_sigma, eps), other samples, another combination."""
    q = q or (lambda z, m, l, e: np.sum(-0.5 * (LOG_2PI + e**2) - l, axis=1))

    def wrong(log_joint, mean, log_sigma, eps):
        sample = z(mean, log_sigma, eps) if z else mean + np.exp(log_sigma) * eps
        a, b = log_joint(sample), q(sample, mean, log_sigma, eps)
        return combine(a, b) if combine else a - b

    return wrong


def _as_logvar(z, m, l, e):
    return -0.5 * np.sum(LOG_2PI + l + (z - m) ** 2 * np.exp(-l), axis=1)


elbo_mc.mistake("log q(z) is missing: the ELBO averages log p(x, z) - log q(z).")(_sampled(combine=lambda a, b: a))
elbo_mc.mistake("The sign of log q is wrong: log p(x, z) - log q(z).")(_sampled(combine=lambda a, b: a + b))
elbo_mc.mistake("Everything has the wrong sign: this is -log p(x, z) + log q(z), the loss. Return the ELBO.")(
    _sampled(combine=lambda a, b: b - a))  # fmt: skip
elbo_mc.mistake("You averaged over the samples; return one value per row of eps, shape (S,).")(
    _sampled(combine=lambda a, b: np.mean(a - b)))  # fmt: skip
elbo_mc.mistake("Your log q still has one number per dimension: sum it over the p dimensions of each sample.")(
    _sampled(lambda z, m, l, e: -0.5 * (LOG_2PI + e**2) - l))  # fmt: skip
elbo_mc.mistake("log q lacks - log sigma: a narrow density is a tall one.")(
    _sampled(lambda z, m, l, e: -0.5 * np.sum(LOG_2PI + e**2, axis=1)))  # fmt: skip
elbo_mc.mistake("log q lacks the constant 1/2 log 2 pi per dimension.")(
    _sampled(lambda z, m, l, e: np.sum(-0.5 * e**2 - l, axis=1)))  # fmt: skip
elbo_mc.mistake("Your log q counts the constant p times too often: 1/2 log 2 pi per dimension, then one sum.")(
    _sampled(lambda z, m, l, e: np.sum(-0.5 * (e.shape[1] * LOG_2PI + e**2) - l, axis=1)))  # fmt: skip
elbo_mc.mistake("You read log_sigma as log sigma^2: here sigma = exp(log_sigma), without the 1/2.")(
    _sampled(_as_logvar, lambda m, l, e: m + np.exp(l / 2) * e))  # fmt: skip
elbo_mc.mistake("Mixed heads: you sample with sigma = exp(log_sigma), but log q reads log_sigma as log sigma^2.")(
    _sampled(_as_logvar))  # fmt: skip
elbo_mc.mistake("Mixed heads: you sample with sigma = exp(log_sigma / 2), but log q reads it as log sigma.")(
    _sampled(lambda z, m, l, e: np.sum(-0.5 * (LOG_2PI + ((z - m) * np.exp(-l)) ** 2) - l, axis=1),
             lambda m, l, e: m + np.exp(l / 2) * e))  # fmt: skip
elbo_mc.mistake("One eps for all: you used the first row of eps for every sample. Each sample has its own noise.")(
    lambda log_joint, m, l, e: _sampled()(log_joint, m, l, np.tile(e[:1], (len(e), 1))))  # fmt: skip
elbo_mc.mistake("You evaluated log_joint at eps; the sample is z = mean + sigma eps.")(
    _sampled(z=lambda m, l, e: e))  # fmt: skip
elbo_mc.mistake("You evaluated log_joint at the mean of q and drew no sample: z = mean + sigma eps.")(
    _sampled(z=lambda m, l, e: m + 0 * e))  # fmt: skip
elbo_mc.mistake("You took z = mean in log q as well and drew no sample; each row of eps makes its own z.")(
    lambda log_joint, m, l, e: _sampled()(log_joint, m, l, 0 * e))  # fmt: skip
elbo_mc.mistake("The square in log q(z) is ((z - mean) / sigma)^2; you did not divide by sigma.")(
    _sampled(lambda z, m, l, e: np.sum(-0.5 * (LOG_2PI + (z - m) ** 2) - l, axis=1)))  # fmt: skip
elbo_mc.mistake("log sigma has the wrong sign in log q: a narrow density is a tall one, so it is - log sigma.")(
    _sampled(lambda z, m, l, e: np.sum(-0.5 * (LOG_2PI + e**2) + l, axis=1)))  # fmt: skip
elbo_mc.mistake("z = mean + eps forgets sigma.")(_sampled(z=lambda m, l, e: m + e))
elbo_mc.mistake("You scaled eps by the variance: z = mean + sigma eps.")(
    _sampled(z=lambda m, l, e: m + np.exp(2 * l) * e))  # fmt: skip
elbo_mc.mistake("You subtracted log N(z; 0, I), the prior, in place of log q(z).")(
    _sampled(lambda z, m, l, e: -0.5 * np.sum(LOG_2PI + z**2, axis=1)))  # fmt: skip
elbo_mc.mistake("You added the exact entropy of q: the mean is right, but all Monte Carlo means -log q(z_s) itself.")(
    _sampled(lambda z, m, l, e: -0.5 * np.sum(LOG_2PI + 1 + 2 * l) + 0 * e[:, 0]))  # fmt: skip
elbo_mc.mistake("You subtracted KL(q || prior), but log_joint holds the prior already; subtract log q(z).")(
    _sampled(lambda z, m, l, e: 0.5 * np.sum(m**2 + np.exp(2 * l) - 1 - 2 * l) + 0 * e[:, 0]))  # fmt: skip


# -------------------- 3.7 --------------------


@exercise(
    "3.7", of="iwae_bound", slide=5, title="The importance-weighted bound",
    answers=["enm5310.bounds.iwae_bound"],
    parts={"K = 1, and equal weights": 0, "log of the mean weight, average over data": 2, "log-weights near -1,000": 1},
    hints=[
        "Three operations: the mean over the K samples, the log, the mean over the n data points. In which order?",
        "The mean over K is a mean of *weights*, so it stands inside the log; the mean over data stands outside.",
        "Do not form the weights: use log-mean-exp (3.3) along axis 1, then np.mean.",
    ],
)  # fmt: skip
def iwae_bound(t):
    for n, K in [(3, 2), (4, 6), (5, 5), (1, 7)]:
        logw = t.rng.normal(size=(n, K)) * 2 - 3
        with t.part("K = 1, and equal weights"):
            close(t("iwae_bound", logw[:, :1], like=()), sum(logw[:, 0]) / n)
            same = np.repeat(logw[:, :1], K, axis=1)
            close(t("iwae_bound", same, like=()), sum(logw[:, 0]) / n)
        with t.part("log of the mean weight, average over data"):
            close(t("iwae_bound", logw, like=()), np.sum(_log_mean(logw, 1)) / n)
        with t.part("log-weights near -1,000"):
            far = logw - 1000 - 400 * np.arange(n)[:, None]
            far[-1, 0] += 1000  # this weight stands alone
            close(t("iwae_bound", far, like=()), np.sum(_log_mean(far, 1)) / n)


iwae_bound.mistake("You averaged the logs: the ELBO again, whatever K is. The mean over K goes inside the log.")(
    lambda logw: np.mean(logw))  # fmt: skip
iwae_bound.mistake("log K is missing: the log of the *mean* of K weights, not of their sum.")(
    lambda logw: np.mean(_log_mean(logw, 1) + np.log(logw.shape[1])))  # fmt: skip
iwae_bound.mistake("The mean over the data went inside the log too. Each data point has its own log p(x).")(
    lambda logw: _log_mean(logw.ravel(), 0))  # fmt: skip
iwae_bound.mistake("You mixed up the axes: average weights over the K samples (axis 1), logs over the n data points.")(
    lambda logw: np.mean(_log_mean(logw, 0)))  # fmt: skip
iwae_bound.mistake("You subtracted log n; the mean inside the log is over the K samples, so log K is subtracted.")(
    lambda logw: np.mean(np.logaddexp.reduce(logw, axis=1)) - np.log(len(logw)))  # fmt: skip
iwae_bound.mistake("You divided by K outside the log: (1/K) log sum is not log (1/K) sum.")(
    lambda logw: np.mean(np.logaddexp.reduce(logw, axis=1)) / logw.shape[1])  # fmt: skip
iwae_bound.mistake("You summed over the data; the course averages over them.")(
    lambda logw: np.sum(_log_mean(logw, 1)))  # fmt: skip
iwae_bound.mistake("You returned one bound per data point; average them to one number.")(
    lambda logw: _log_mean(logw, 1))  # fmt: skip
iwae_bound.mistake("You kept the largest weight only; the bound takes the mean of all K.")(
    lambda logw: np.mean(np.max(logw, axis=1)))  # fmt: skip
iwae_bound.mistake("exp underflows for log-weights near -1,000: take the largest out of each row first (3.3).")(
    lambda logw: np.mean(np.log(np.mean(np.exp(logw), axis=1))))  # fmt: skip
iwae_bound.mistake("You shifted all rows by one maximum, so rows far below it vanish; each row needs its own.")(
    lambda logw: np.mean(np.log(np.mean(np.exp(logw - logw.max()), axis=1))) + logw.max())  # fmt: skip
iwae_bound.mistake("These are bits (log2); the course counts in nats.")(
    lambda logw: np.mean(_log_mean(logw, 1)) / np.log(2))  # fmt: skip
iwae_bound.mistake("The sign is flipped: this is the loss; return the bound.")(
    lambda logw: -np.mean(_log_mean(logw, 1)))  # fmt: skip
iwae_bound.mistake("This is the mean weight; take its log.")(lambda logw: np.mean(np.exp(_log_mean(logw, 1))))


# -------------------- 3.8 --------------------


@exercise(
    "3.8", of="elbo_gap", slide=5, canon=_each, title="The gap, and L_1 to L_K",
    answers=[f"enm5310.bounds.{name}" for name in ("toy_gap", "toy_elbo", "toy_posterior", "iwae_bound")],
    parts={"gap = KL(q || posterior)": 2, "L_1, ..., L_K": 2},
    hints=[
        "The posterior of the toy is N(x / 2, 1/2): precisions add, 1 + 1 = 2. The gap is a KL between two Gaussians.",
        "gap = 1/2 [v / t - 1 - log(v / t) + (mean - x/2)^2 / t] with v = exp(2 log_sigma) and t = 1/2.",
        "log w = log N(z; 0, 1) + log N(x; z, 1) - log N(z; mean, v), shape (R, K). For L_k take the first k columns: "
        "log-mean-exp along each row, then the mean over the rows.",
    ],
)  # fmt: skip
def elbo_gap(t):
    for R, K in [(3, 4), (6, 5), (2, 9)]:
        x, mean, log_sigma = (float(a) for a in t.rng.normal(size=3) * [2, 1, 0.5])
        log_sigma += 0.3 if log_sigma > 0 else -0.3
        eps = t.rng.normal(size=(R, K))
        with t.part("gap = KL(q || posterior)"):
            gap, _ = t("elbo_gap", x, mean, log_sigma, eps, like={"gap": (), "L": (K,)})
            close(gap, _exact_gap(x, mean, np.exp(log_sigma)))
            gap, _ = t("elbo_gap", x, x / 2, -0.5 * np.log(2), eps, like={"gap": (), "L": (K,)})
            _nearly_zero(gap, 1, f"q is the posterior N(x/2, 1/2) here, so the gap is 0; got {gap:.6g}")
        with t.part("L_1, ..., L_K"):
            _, L = t("elbo_gap", x, mean, log_sigma, eps, like={"gap": (), "L": (K,)})
            z = mean + np.exp(log_sigma) * eps
            log_w = -0.5 * (z**2 + (x - z) ** 2 + LOG_2PI - eps**2) + log_sigma
            close(L, [np.mean(_log_mean(log_w[:, :k], 1)) for k in range(1, K + 1)])


def _exact_gap(x, mean, sd):
    """log p(x) - ELBO, both in closed form: E_q of a quadratic needs the moments of q only."""
    log_p = -0.25 * x**2 - 0.5 * np.log(4 * np.pi)
    energy = -LOG_2PI - 0.5 * (mean**2 + sd**2 + (x - mean) ** 2 + sd**2)
    return log_p - energy - 0.5 * (LOG_2PI + 1) - np.log(sd)


def _toy(gap=None, log_w=None, bounds=None):
    """A wrong version of the toy: another gap(x, m, v), other log-weights(x, z, m, s, eps), other bounds from them."""

    def wrong(x, mean, log_sigma, eps):
        s = np.exp(log_sigma)
        z = mean + s * eps
        w = (log_w or _log_w)(x, z, mean, s, eps)
        K = eps.shape[1]
        L = bounds(w) if bounds else np.array([np.mean(_log_mean(w[:, :k], 1)) for k in range(1, K + 1)])
        return gap(x, mean, s**2, w) if gap else _kl_1d(mean, s**2, x / 2, 0.5), L

    return wrong


def _log_w(x, z, m, s, eps):
    return -0.5 * (LOG_2PI + z**2 + (x - z) ** 2 - eps**2) + np.log(s)


def _kl_1d(m1, v1, m2, v2):
    return 0.5 * (v1 / v2 - 1 - np.log(v1 / v2) + (m1 - m2) ** 2 / v2)


def _by_k(value):
    return lambda w: np.array([value(w, k) for k in range(1, w.shape[1] + 1)])


elbo_gap.mistake("Your gap is the other direction, KL(posterior || q); log p(x) - ELBO is KL(q || posterior).")(
    _toy(lambda x, m, v, w: _kl_1d(x / 2, 0.5, m, v)))  # fmt: skip
elbo_gap.mistake("Your gap is KL(q || prior); the gap is the KL to the posterior N(x/2, 1/2).")(
    _toy(lambda x, m, v, w: _kl_1d(m, v, 0, 1)))  # fmt: skip
elbo_gap.mistake("Your gap takes the posterior for N(x, 1), the likelihood read as a density of z; it is N(x/2, 1/2).")(
    _toy(lambda x, m, v, w: _kl_1d(m, v, x, 1)))  # fmt: skip
elbo_gap.mistake("Your posterior has standard deviation 1/2; its *variance* is 1/2.")(
    _toy(lambda x, m, v, w: _kl_1d(m, v, x / 2, 0.25)))  # fmt: skip
elbo_gap.mistake("Your gap takes exp(log_sigma) for the variance of q; that is sigma, and the variance its square.")(
    _toy(lambda x, m, v, w: _kl_1d(m, np.sqrt(v), x / 2, 0.5)))  # fmt: skip
elbo_gap.mistake("The sign of the gap is flipped: log p(x) - ELBO >= 0.")(
    _toy(lambda x, m, v, w: -_kl_1d(m, v, x / 2, 0.5)))  # fmt: skip
elbo_gap.mistake("The factor 1/2 of the Gaussian KL is missing in your gap.")(
    _toy(lambda x, m, v, w: 2 * _kl_1d(m, v, x / 2, 0.5)))  # fmt: skip
elbo_gap.mistake("You returned the ELBO; the gap is log p(x) - ELBO.")(
    _toy(lambda x, m, v, w: -0.25 * x**2 - 0.5 * np.log(4 * np.pi) - _kl_1d(m, v, x / 2, 0.5)))  # fmt: skip
elbo_gap.mistake("Your gap is log p(x) minus a sample average: right on average, but a closed form is asked for.")(
    _toy(lambda x, m, v, w: -0.25 * x**2 - 0.5 * np.log(4 * np.pi) - np.mean(w)))  # fmt: skip
elbo_gap.mistake("Your gap is log p(x) minus a sample average: right on average, but a closed form is asked for.")(
    _toy(lambda x, m, v, w: -0.25 * x**2 - 0.5 * np.log(4 * np.pi) - np.mean(w[:, 0])))  # fmt: skip
elbo_gap.mistake("You reused one draw: the same weight K times has itself as mean, so every L_k is L_1.")(
    _toy(bounds=_by_k(lambda w, k: np.mean(w[:, 0]))))  # fmt: skip
elbo_gap.mistake("You averaged the logs, so your L_k are ELBOs all; the mean over k goes inside the log.")(
    _toy(bounds=_by_k(lambda w, k: np.mean(w[:, :k]))))  # fmt: skip
elbo_gap.mistake("log k is missing in L_k: the log of the mean of k weights, not of their sum.")(
    _toy(bounds=_by_k(lambda w, k: np.mean(np.logaddexp.reduce(w[:, :k], axis=1)))))  # fmt: skip
elbo_gap.mistake("You divided by K everywhere; L_k is a mean over its own k weights.")(
    _toy(bounds=_by_k(lambda w, k: np.mean(np.logaddexp.reduce(w[:, :k], axis=1)) - np.log(w.shape[1]))))  # fmt: skip
elbo_gap.mistake("The R rows went inside the log as well; average L_k over the rows outside.")(
    _toy(bounds=_by_k(lambda w, k: _log_mean(w[:, :k].ravel(), 0))))  # fmt: skip
elbo_gap.mistake("You mixed up the axes: the K columns are the samples of one bound, the R rows repeat it.")(
    lambda x, m, l, e: _toy()(x, m, l, e.T))  # fmt: skip
elbo_gap.mistake("Your weights lack the prior: log w = log p(z) + log p(x | z) - log q(z).")(
    _toy(log_w=lambda x, z, m, s, e: _log_w(x, z, m, s, e) + 0.5 * (LOG_2PI + z**2)))  # fmt: skip
elbo_gap.mistake("Your weights lack - log q(z): log w = log p(x, z) - log q(z).")(
    _toy(log_w=lambda x, z, m, s, e: -LOG_2PI - 0.5 * (z**2 + (x - z) ** 2)))  # fmt: skip
elbo_gap.mistake("Your weights lack the constants 1/2 log 2 pi of the three densities.")(
    _toy(log_w=lambda x, z, m, s, e: _log_w(x, z, m, s, e) + 0.5 * LOG_2PI))  # fmt: skip
elbo_gap.mistake("Your log q lacks - log sigma.")(
    _toy(log_w=lambda x, z, m, s, e: _log_w(x, z, m, s, e) - np.log(s)))  # fmt: skip
elbo_gap.mistake("Your log q takes the variance exp(2 log_sigma) for the standard deviation.")(
    _toy(log_w=lambda x, z, m, s, e: -0.5 * (LOG_2PI + z**2 + (x - z) ** 2 - ((z - m) / s**2) ** 2) + 2 * np.log(s)))
elbo_gap.mistake("You read log_sigma as log sigma^2: here sigma = exp(log_sigma).")(
    lambda x, m, l, e: _toy()(x, m, l / 2, e))  # fmt: skip
elbo_gap.mistake("You returned (L, gap); the order is gap, then L.")(
    lambda x, m, l, e: _toy()(x, m, l, e)[::-1])  # fmt: skip


# -------------------- 3.9 --------------------


@exercise(
    "3.9", of="elbo_surgery", slide=5, title="ELBO surgery", answers=["enm5310.bounds.elbo_surgery"],
    parts={"average KL, exact": 1, "mutual information": 1, "KL of the aggregate": 1},
    hints=[
        "The aggregate is a mixture: q(z) = (1/n) sum_j N(z; means_j, exp(logvars_j)). Score every sample under all n.",
        "Mutual information: average log q(z | x_i) - log q(z) over the samples. Marginal KL: log q(z) - log p(z).",
        "`d = z[:, :, None] - means` has shape (S, n, n, p): sample (s, i) under encoder j. Sum the log density over p "
        "and take log-mean-exp over j; j = i gives log q(z | x_i).",
    ],
)  # fmt: skip
def elbo_surgery(t):
    for S, n, p in [(3, 2, 1), (4, 3, 2), (2, 5, 3)]:
        means, logvars = t.rng.normal(size=(n, p)) * 1.5, t.rng.normal(size=(n, p)) * 0.7 - 0.5
        if p == 3:
            means[0] += 60  # an encoder far from all others
        z = means + np.exp(logvars / 2) * t.rng.normal(size=(S, n, p))
        wanted = {"average KL": (), "mutual information": (), "marginal KL": ()}
        with t.part("average KL, exact"):
            kl = t("elbo_surgery", means, logvars, z, like=wanted)[0]
            close(kl, sum(_kl_by_moments(means, np.exp(logvars))) / n)
        with t.part("mutual information"):
            close(t("elbo_surgery", means, logvars, z, like=wanted)[1], _surgery(means, logvars, z)[1])
        with t.part("KL of the aggregate"):
            close(t("elbo_surgery", means, logvars, z, like=wanted)[2], _surgery(means, logvars, z)[2])


def _surgery(means, logvars, z, aggregate=None, sd=None, average=np.mean):
    """The three terms with loops over samples; `aggregate(z, means, sd, i)` may stand in for log q(z)."""
    sd = np.exp(logvars / 2) if sd is None else sd
    aggregate = aggregate or _mixture
    own, every, prior = [], [], []
    for row in z:
        for i, point in enumerate(row):
            own.append(_log_normal(point, means[i], sd[i]))
            every.append(aggregate(point, means, sd, i))
            prior.append(_log_normal(point, 0 * point, 1 + 0 * point))
    own, every, prior = np.array(own), np.array(every), np.array(prior)
    kl = np.mean(_kl_by_moments(means, sd**2))
    return kl, average(own - every), average(every - prior)


def _mixture(point, means, sd, i):
    return _log_mean(_log_normal(point, means, sd), 0)


def _one_gaussian(point, means, sd, i):
    """The moment match of the mixture, dimension by dimension."""
    variance = np.mean(sd**2, axis=0) + np.var(means, axis=0)
    return _log_normal(point, np.mean(means, axis=0), np.sqrt(variance))


def _without_own(point, means, sd, i):
    others = np.arange(len(means)) != i
    return _log_mean(_log_normal(point, means[others], sd[others]), 0)


def _surgery_mistake(say, aggregate=None, after=None, sd=None):
    def wrong(means, logvars, z):
        out = _surgery(means, logvars, z, aggregate, sd(logvars) if sd else None)
        return after(out, means, logvars, z) if after else out

    elbo_surgery.mistake(say)(wrong)


_surgery_mistake("Your aggregate is a single Gaussian with matched moments. q(z) is the *mixture* of all n encoders.",
                 _one_gaussian)  # fmt: skip
_surgery_mistake("Your aggregate is one Gaussian with averaged parameters. q(z) is the *mixture* of all n encoders.",
                 lambda a, m, s, i: _log_normal(a, m.mean(0), np.sqrt(np.mean(s**2, axis=0))))  # fmt: skip
_surgery_mistake("You left the sample's own encoder out of the aggregate; q(z) averages over all n, j = i included.",
                 _without_own)  # fmt: skip
_surgery_mistake("Your aggregate lacks the 1/n: q(z) is the mean of the n densities, not their sum.",
                 lambda a, m, s, i: np.logaddexp.reduce(_log_normal(a, m, s)))  # fmt: skip
_surgery_mistake("You averaged the log densities over j; q(z) averages the densities, and the log comes after.",
                 lambda a, m, s, i: np.mean(_log_normal(a, m, s)))  # fmt: skip
_surgery_mistake("You mixed each dimension on its own; a code is a whole vector: sum over the dimensions, then mix.",
                 lambda a, m, s, i: np.sum([_mixture(a[[j]], m[:, [j]], s[:, [j]], i) for j in range(len(a))])
                 )  # fmt: skip
_surgery_mistake("You read logvars as log sigma: the variance is exp(logvars).", sd=np.exp)
_surgery_mistake("You took exp(logvars) for the standard deviation in the densities; it is the variance.", sd=np.exp,
                 after=lambda out, m, l, z: (np.mean(_kl_by_moments(m, np.exp(l))), *out[1:]))  # fmt: skip
_surgery_mistake("You swapped the last two: average KL, mutual information, marginal KL.",
                 after=lambda out, m, l, z: (out[0], out[2], out[1]))  # fmt: skip
_surgery_mistake("You summed the KL over the data; the surgery averages over them.",
                 after=lambda out, m, l, z: (out[0] * len(m), *out[1:]))  # fmt: skip
_surgery_mistake("You averaged the KL over the dimensions; the KL of independent dimensions is their sum.",
                 after=lambda out, m, l, z: (np.mean(0.5 * (m**2 + np.exp(l) - 1 - l)), *out[1:]))  # fmt: skip
_surgery_mistake("Your KL is a sample average of log q(z | x) - log p(z); the first number has a closed form (3.4).",
                 after=lambda out, m, l, z: (out[1] + out[2], *out[1:]))  # fmt: skip
_surgery_mistake("Your mutual information is log q(z | x) - log p(z), the KL again; subtract log q(z) instead.",
                 after=lambda out, m, l, z: (out[0], out[1] + out[2], out[2]))  # fmt: skip
_surgery_mistake("The sign of the mutual information is flipped: log q(z | x) - log q(z), >= 0 on average.",
                 after=lambda out, m, l, z: (out[0], -out[1], out[2]))  # fmt: skip
_surgery_mistake("The sign of the marginal KL is flipped: log q(z) - log p(z), >= 0 on average.",
                 after=lambda out, m, l, z: (out[0], out[1], -out[2]))  # fmt: skip
_surgery_mistake("You summed the last two over the samples; average over all S n of them.",
                 after=lambda out, m, l, z: (out[0], *(a * z.shape[0] * z.shape[1] for a in out[1:])))  # fmt: skip
_surgery_mistake("Your marginal KL is the remainder KL - mutual information; estimate it from log q(z) - log p(z).",
                 after=lambda out, m, l, z: (out[0], out[1], out[0] - out[1]))  # fmt: skip
_surgery_mistake("Your mutual information is the remainder KL - marginal KL; estimate it from log q(z | x) - log q(z).",
                 after=lambda out, m, l, z: (out[0], out[0] - out[2], out[2]))  # fmt: skip
