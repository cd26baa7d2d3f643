"""mohamed: variances of three gradient estimators, Mohamed, Rosca, Figurnov & Mnih (2020), figures 2 and 3.

The gradient is of E f(z), z ~ N(mu, sigma^2), with respect to mu and sigma, for f = (z - k)^2, cos kz and e^(-k z^2).
The paper integrates numerically; here are closed forms, and the library's estimators with their sampling errors.
"""

from collections.abc import Callable
from math import erf, exp, pi, sqrt
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np

from enm5310 import gradients, paths, plots
from tests.benchmarks.reproduce.record import Result, Row

TITLE = "Which gradient estimator has the least variance?"
PAPER = (
    "S. Mohamed, M. Rosca, M. Figurnov & A. Mnih (2020), Monte Carlo gradient estimation in machine learning, "
    "*Journal of Machine Learning Research* 21 (132), 1-62, figures 2 and 3."
)
ESTIMATORS = {
    "score_function": "score function", "with_baseline": "score function, best baseline", "pathwise": "pathwise",
    "measure_valued": "measure-valued, coupled",
}  # fmt: skip
PARAMETERS = ("μ", "σ")


class Size(NamedTuple):
    """The budget."""

    samples: int = 200_000  # for a variance
    points: int = 9  # values of k that are measured, for each cost
    seeds: int = 10  # for the place of a crossing
    crossing_samples: int = 50_000


FULL, TINY = Size(), Size(samples=4000, points=3, seeds=2, crossing_samples=5000)
MU = SIGMA = 1.0  # in both figures


# -------------------- closed forms --------------------
# Each gives {estimator: variances of one row of (d/dmu, d/dsigma)}.  With e = (z - mu) / sigma the rows are
#   score function (f - b) (e, e^2 - 1) / sigma,  pathwise f' (1, e),
#   measure-valued [f(mu + sigma w) - f(mu - sigma w)] / (sigma sqrt(2 pi)), w Rayleigh, and
#   [f(mu + sigma m) - f(mu + sigma m u)] / sigma, m two-sided Maxwell, u uniform, so that m u ~ N(0, 1).


def quadratic(mu, sigma, k):
    """f = (z - k)^2: the library's."""
    v = gradients.quadratic_variances(mu, sigma, k)
    best = gradients.quadratic_variances(mu, sigma, k, gradients.quadratic_baselines(mu, sigma, k))
    return {**v, "with_baseline": best["score_function"]}


def cosine(mu, sigma, k):
    """f = cos kz, from E[e^n cos(a e)] = H_n(a) e^(-a^2/2): 1, 1 - a^2, a^4 - 6 a^2 + 3 for n = 0, 2, 4."""
    s, wave, wave2 = k * sigma, np.cos(k * mu), np.cos(2 * k * mu)
    mean = -k * exp(-s * s / 2) * np.array([np.sin(k * mu), s * wave])

    def fourth(a):  # E[(e^2 - 1)^2 cos(a e)]
        return (a**4 - 4 * a**2 + 2) * exp(-a * a / 2)

    def second(a):  # E[e^2 cos(a e)]; also E cos(a m)
        return (1 - a * a) * exp(-a * a / 2)

    g1, g2 = exp(-s * s / 2), exp(-2 * s * s)  # E cos(s e), E cos(2 s e)
    score = np.array([1 + wave2 * second(2 * s), 2 + wave2 * fourth(2 * s)]) / (2 * sigma**2)
    path = k**2 / 2 * np.array([1 - wave2 * g2, 1 - wave2 * second(2 * s)])
    rayleigh = 2 * np.sin(k * mu) ** 2 * sqrt(2) * s * 2 * dawson(sqrt(2) * s) / (2 * pi * sigma**2)
    cross = wave2 * (2 * g2 - g1) + g1  # 2 E cos cos: the integral over u of (1 - a^2) e^(-a^2/2), a = s (1 +- u)
    maxwell = (1 + wave2 * (second(2 * s) + g2) / 2 - cross) / sigma**2
    gain = np.array([wave * second(s), wave * fourth(s)]) / sigma**2  # E[f score^2]
    return _variances(score, path, np.array([rayleigh, maxwell]), gain, mean, sigma)


def exponential(mu, sigma, k):
    """f = e^(-k z^2): times N(mu, sigma^2) it is a mass times another Gaussian, whose moments are known."""
    once, twice = _tilted(mu, sigma, k), _tilted(mu, sigma, 2 * k)
    mean = np.array([once(lambda z, e: e), once(lambda z, e: e * e - 1)]) / sigma
    score = np.array([twice(lambda z, e: e * e), twice(lambda z, e: (e * e - 1) ** 2)]) / sigma**2
    path = 4 * k**2 * np.array([twice(lambda z, e: z * z), twice(lambda z, e: (z * e) ** 2)])
    gain = np.array([once(lambda z, e: e * e), once(lambda z, e: (e * e - 1) ** 2)]) / sigma**2
    both = 2 * exp(-2 * k * mu**2) / (1 + 4 * k * sigma**2)  # 2 E f(mu + sigma w) f(mu - sigma w)
    rayleigh = (sqrt(2 * pi) * twice.size - both) / (2 * pi * sigma**2)
    maxwell = (twice(lambda z, e: e * e) + twice(lambda z, e: 1 + 0 * e) - 2 * _maxwell_cross(mu, sigma, k)) / sigma**2
    return _variances(score, path, np.array([rayleigh, maxwell]), gain, mean, sigma)


def _variances(score, path, measure, gain, mean, sigma):
    """Second moments less the squared mean; the best baseline takes E[f score^2]^2 / E[score^2] from the score's."""
    fisher = np.array([1, 2]) / sigma**2
    second = {"score_function": score, "with_baseline": score - gain**2 / fisher, "pathwise": path}
    return {name: value - mean**2 for name, value in {**second, "measure_valued": measure}.items()}


def dawson(x):
    """D(x) = integral of e^(t^2 - x^2) over t from 0 to x >= 0, by Gauss-Legendre on pieces of length 1/2 or less."""
    t, w = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(0, x, 2 + int(2 * x))
    half = np.diff(edges)[:, None] / 2
    t = edges[:-1, None] + half * (t + 1)
    return float(np.sum(half * w * np.exp(t**2 - x**2)))


class _Tilted(NamedTuple):
    """Integrals against e^(-c z^2) N(z; mu, sigma^2) = mass N(z; m, v), as functions of z and e = (z - mu) / sigma."""

    mu: float
    sigma: float
    mass: float
    m: float
    v: float

    def __call__(self, g):
        x, w = np.polynomial.hermite_e.hermegauss(6)  # exact for the polynomials g of degree up to 11
        z = self.m + sqrt(self.v) * x
        return self.mass * float(w @ g(z, (z - self.mu) / self.sigma)) / sqrt(2 * pi)

    @property
    def size(self):
        """Of |e|."""
        m, s = (self.m - self.mu) / self.sigma, sqrt(self.v) / self.sigma
        return self.mass * (s * sqrt(2 / pi) * exp(-(m**2) / (2 * s * s)) + m * erf(m / (s * sqrt(2))))


def _tilted(mu, sigma, c):
    shrink = 1 + 2 * c * sigma**2
    return _Tilted(mu, sigma, exp(-c * mu**2 / shrink) / sqrt(shrink), mu / shrink, sigma**2 / shrink)


def _maxwell_cross(mu, sigma, k):
    """E f(mu + sigma m) f(mu + sigma m u): over m a Gaussian integral, over u by Gauss-Legendre.

    -k [2 mu^2 + 2 mu sigma m (1 + u) + sigma^2 m^2 (1 + u^2)] - m^2 / 2 is quadratic in m, and E m^2 = mean^2 + v.
    """
    u, w = np.polynomial.legendre.leggauss(60)
    u, w = (u + 1) / 2, w / 2
    v = 1 / (1 + 2 * k * sigma**2 * (1 + u**2))
    mean = -2 * k * mu * sigma * (1 + u) * v
    return float(w @ (np.sqrt(v) * np.exp(mean**2 / (2 * v) - 2 * k * mu**2) * (mean**2 + v)))


class Cost(NamedTuple):
    """A cost with the values of k of its figure."""

    name: str
    f: Callable  # k -> the function of z
    variances: Callable
    low: float
    high: float
    log: bool

    def axis(self, n):
        return np.geomspace(self.low, self.high, n) if self.log else np.linspace(self.low, self.high, n)


COSTS = [
    Cost("(z − k)²", lambda k: lambda z: (z - k) ** 2, quadratic, -3, 3, False),
    Cost("cos kz", lambda k: lambda z: anp.cos(k * z), cosine, 0.1, 10, True),
    Cost("exp(−kz²)", lambda k: lambda z: anp.exp(-k * z**2), exponential, 0.1, 10, True),
]


# -------------------- measured --------------------


def rows_of(f, mu, sigma, rng, samples, names=tuple(ESTIMATORS)):
    """{estimator: its rows (samples, 2) for (d/dmu, d/dsigma)} by `enm5310.gradients`; all but one share the noise."""
    theta, eps = np.array([mu, np.log(sigma)]), rng.standard_normal(samples)
    log_p, z = paths.gaussian_log_p, paths.gaussian(eps, theta)

    def with_baseline():
        apart = paths.gaussian(rng.standard_normal(samples), theta)  # a baseline from z itself would be biased
        return gradients.score_function(f, log_p, theta, z, gradients.optimal_baseline(f, log_p, theta, apart))

    ways = {
        "score_function": lambda: gradients.score_function(f, log_p, theta, z),
        "with_baseline": with_baseline,
        "pathwise": lambda: gradients.reparameterization(f, paths.gaussian, theta, eps),
        "measure_valued": lambda: gradients.measure_valued(f, theta, rng.standard_normal((samples, 3))),
    }
    return {name: ways[name]() / [1, sigma] for name in names}  # d/dsigma = d/dlog sigma / sigma


def variance(rows):
    """The variance of each column and its standard error, sqrt((m4 - variance^2) / S) with the fourth moment m4."""
    squares = (rows - rows.mean(axis=0)) ** 2
    return squares.mean(axis=0), squares.std(axis=0) / len(rows) ** 0.5


def measured(cost, size, rng):
    """[(k, {estimator: (variances, standard errors)})]"""
    return [
        (float(k), {name: variance(rows) for name, rows in rows_of(cost.f(k), MU, SIGMA, rng, size.samples).items()})
        for k in cost.axis(size.points)
    ]


def bisect(difference, low, high, steps=40):
    """Where difference, which has opposite signs at both ends, is zero."""
    below = difference(low) < 0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if (difference(middle) < 0) == below else (low, middle)
    return (low + high) / 2


class Crossing(NamedTuple):
    """Where two estimators have the same variance: cost (of COSTS), parameter, estimators, bracket in k."""

    cost: int
    parameter: int
    one: str
    other: str
    low: float
    high: float


CROSSINGS = [
    Crossing(0, 0, "measure_valued", "pathwise", -2.5, 0),
    Crossing(0, 0, "measure_valued", "pathwise", 2, 4),
    Crossing(1, 0, "pathwise", "score_function", 0.5, 2),
    Crossing(1, 1, "pathwise", "score_function", 0.5, 3),
    Crossing(2, 0, "pathwise", "score_function", 0.5, 2),
    Crossing(2, 1, "pathwise", "score_function", 0.5, 6),
]


def crossing(c, size):
    """By closed forms; and by samples, the noise held fixed while k moves: mean over seeds and its standard error."""
    cost = COSTS[c.cost]

    def theory(k):
        v = cost.variances(MU, SIGMA, k)
        return v[c.one][c.parameter] - v[c.other][c.parameter]

    def sampled(seed):
        def difference(k):
            rng = np.random.default_rng(seed)
            rows = rows_of(cost.f(k), MU, SIGMA, rng, size.crossing_samples, (c.one, c.other))
            return variance(rows[c.one])[0][c.parameter] - variance(rows[c.other])[0][c.parameter]

        return bisect(difference, c.low, c.high, steps=12)

    found = [sampled(1000 + seed) for seed in range(size.seeds)]
    return bisect(theory, c.low, c.high), float(np.mean(found)), float(np.std(found, ddof=1) / size.seeds**0.5)


# -------------------- the experiment --------------------


def run(say, size=FULL):
    rng = np.random.default_rng(0)
    points = []
    for cost in COSTS:
        points.append(measured(cost, size, rng))
        say(f"{cost.name}: {size.points} values of k measured")
    places = [crossing(c, size) for c in CROSSINGS]
    z = scores(points)
    figures = {"figure2": figure2(points[0]), "figure3": figure3(points[1:])}
    return Result(rows(points, places, z), how(size), figures, remarks(z))


def scores(points):
    """(measured - closed form) / standard error, wherever the error is not zero: all of them."""
    return np.array([
        (v[j] - cost.variances(MU, SIGMA, k)[name][j]) / error[j]
        for cost, measurements in zip(COSTS, points, strict=True) for k, found in measurements
        for name, (v, error) in found.items() for j in (0, 1) if error[j] > 1e-9
    ])  # fmt: skip


def rows(points, places, z):
    found = []
    for measurements, cost in zip(points, COSTS, strict=True):
        for k, values in (measurements[0], measurements[len(measurements) // 2], measurements[-1]):
            theory = cost.variances(MU, SIGMA, k)
            for j in (0, 1):
                what = f"{cost.name}, k = {k:g}, variance of d/d{PARAMETERS[j]}: score, pathwise, measure-valued"
                names = ("score_function", "pathwise", "measure_valued")
                ours = ", ".join(f"{number(*(part[j] for part in values[name]))}" for name in names)
                found.append(Row(what, "-", ours, "closed form " + ", ".join(f"{theory[n][j]:.4g}" for n in names)))
    for c, (theory, mean, error) in zip(CROSSINGS, places, strict=True):
        what = (
            f"{COSTS[c.cost].name}, d/d{PARAMETERS[c.parameter]}: {ESTIMATORS[c.one]} and {ESTIMATORS[c.other]} equal "
            "at k ="
        )
        found.append(Row(what, "-", f"{mean:.4f} ± {error:.4f}", f"closed form {theory:.4f}"))
    inside = np.mean(np.abs(z) < 2)
    remark = "95 % expected of independent ones; those of one k share their noise"
    found.append(Row(f"of {len(z)} measured variances within two standard errors", "-", f"{inside:.0%}", remark))
    return found


def number(value, error):
    """`12.34 ± 0.05`, to two digits of the error."""
    digits = max(0, 1 - int(np.floor(np.log10(error)))) if error > 1e-9 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def how(size):
    return [
        "z ~ N(1, 1) as in both figures, one sample per gradient; figure 2 has (z - k)^2 for k from -3 to 3, figure 3 "
        "the other two costs (figure 3's mu and sigma are those of this course's syllabus, its range of k is our "
        "choice).",
        f"Points: {size.samples:,} samples of `enm5310.gradients` for each k, seed 0; ± is a standard error of a "
        "variance, sqrt((m4 - v^2) / S), bars are two of them.",
        f"Crossings: bisection with the noise held fixed, mean and standard error over {size.seeds} seeds of "
        f"{size.crossing_samples:,} samples.",
        "The best baseline is E[f score^2] / E[score^2], from other samples; lines are closed forms, of which one (the "
        "measure-valued d/dσ of the exponential) has an integral over (0, 1) left and two use Dawson's or the error "
        "function.",
    ]


def remarks(z):
    return (
        "The paper prints curves and no numbers, so closed forms stand beside measurements. For the quadratic the "
        "score function is the worst by far, with its best baseline too, and near k = μ the measure-valued estimator "
        "beats the pathwise one. For costs that stay bounded while their slope grows with k, the pathwise estimator "
        "beats the score function for small k and loses to it for large k. The coupled measure-valued estimator, which "
        "calls the cost twice, is the lowest for d/dμ in all of figure 3, but not for d/dσ of the exponential at large "
        "k.",
        f"Largest deviation of a measured variance from its closed form: {np.max(np.abs(z)):.1f} standard errors of "
        f"{len(z)}.",
    )


def figure2(measurements):
    left, right = axes = plots.panels(2, height=3.7)
    for j, ax in enumerate(axes):
        draw(ax, COSTS[0], measurements, j, f"d/d{PARAMETERS[j]}")
        ax.set_ylim(0.5, 5000)
    right.set_ylabel("")
    left.figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return left.figure, (
        "Variance on a log scale against k from -3 to 3 for the quadratic cost, d/dμ on the left, d/dσ on the right. "
        "Measured points lie on the lines. The score function is far above the others; with the best baseline it comes "
        "closer; for μ the pathwise line is flat and the measure-valued one dips below it around k = 1."
    )


def figure3(points):
    fig, axes = plots.plt.subplots(2, 2, figsize=(plots.WIDTH, 6.4), layout="constrained", sharex=True)
    for line, cost, measurements in zip(axes, COSTS[1:], points, strict=True):
        for j, ax in enumerate(line):
            draw(ax, cost, measurements, j, f"{cost.name}: d/d{PARAMETERS[j]}")
        line[1].set_ylabel("")
    for ax in axes[0]:
        ax.set_xlabel("")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return fig, (
        "Variance against k from 0.1 to 10, both on log scales, in four panels: cosine above, exponential below, d/dμ "
        "left, d/dσ right. Measured points lie on the lines. In every panel the pathwise line rises and crosses that "
        "of the score function near k = 1. The measure-valued line is lowest for d/dμ, with deep dips for the cosine."
    )


def draw(ax, cost, measurements, j, title):
    k_axis = cost.axis(121)
    theory = [cost.variances(MU, SIGMA, float(k)) for k in k_axis]
    scale = "log" if cost.log else "linear"
    for i, (name, words) in enumerate(ESTIMATORS.items()):
        color = plots.COLORS[(3, 1, 0, 2)[i]]
        ax.plot(k_axis, [v[name][j] for v in theory], color=color, linestyle=plots.DASHES[i], linewidth=1.8)
        k, v, error = np.transpose([(k, found[name][0][j], found[name][1][j]) for k, found in measurements])
        ax.errorbar(k, v, 2 * error, fmt=plots.MARKERS[i], color=color, markersize=5, capsize=2, label=words)
    ax.set(xscale=scale, yscale="log", xlabel="k", ylabel="variance of one sample", title=title)
    ax.spines[["top", "right"]].set_visible(False)
