"""Part 4, reparametrisation and gradient estimators: exercises 4.1-4.10.

Noise is an argument everywhere, so answers are exact: one-liners are judged on the grid u_i = (i - 1/2)/n, estimators
row by row.  Expectations that the answers give in closed form are computed here by quadrature.
"""

import math

import numpy as np
from autograd import elementwise_grad
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

from enm5310.checks import panel
from enm5310.checks.answers import Wrong, close
from enm5310.checks.engine import Fn, exercise

progress = panel.of(__name__)

ENDS = np.array([2.0**-53, 1 - 2.0**-53])  # the smallest and the largest u that a generator gives inside (0, 1)
NODES, WEIGHTS = hermegauss(12)  # exact for E of polynomials in eps ~ N(0, 1) up to degree 23
WEIGHTS = WEIGHTS / np.sum(WEIGHTS)


def _grid(t, n):
    """The grid (i - 1/2) / n in random order."""
    return t.rng.permutation((np.arange(n) + 0.5) / n)


def _mean(values):
    """E over eps ~ N(0, 1) of values at NODES, last axis."""
    return values @ WEIGHTS


# -------------------- 4.1 --------------------

CDF = {
    "exponential": lambda z, rate: 1 - np.exp(-rate * z),
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "gumbel": lambda z: np.exp(-np.exp(-z)),
    "laplace": lambda z: np.where(z < 0, 0.5 * np.exp(-np.abs(z)), 1 - 0.5 * np.exp(-np.abs(z))),
    "cauchy": lambda z: 0.5 + np.arctan(z) / np.pi,
}


@exercise(
    "4.1", of=tuple(CDF), slide=7, title="One-liners", canon=np.sort, parts=dict.fromkeys(CDF, 1),
    answers=[f"enm5310.paths.{name}" for name in CDF],
    hints=[
        "Set u = F(z), the probability below z, and solve for z: that is z = F^-1(u), and P(z <= a) = P(u <= F(a)) = "
        "F(a).",
        "Exponential: u = 1 - e^(-rate z). Logistic: u = 1/(1 + e^-z). Gumbel: u = e^(-e^-z). Cauchy: u = 1/2 + "
        "arctan(z)/pi.",
        "Laplace has two halves: u = e^z / 2 for z < 0 and u = 1 - e^-z / 2 for z > 0. Solve each, then choose by "
        "`np.where(u < 0.5, ..., ...)`.",
        "exponential -log(1 - u)/rate; logistic log(u/(1 - u)); gumbel -log(-log u); laplace log(2u) or -log(2 - 2u); "
        "cauchy tan(pi (u - 1/2)).",
    ],
)  # fmt: skip
def one_liners(t):
    for name, cdf in CDF.items():
        with t.part(name):
            for n in 2 * t.rng.integers(4, 12, size=3):  # even, so that tan(pi u) meets no pole
                u, rate = _grid(t, n), [float(t.rng.uniform(0.3, 3))] if name == "exponential" else []
                z = t(name, u, *rate, like=(int(n),))
                _quantiles(np.sort(z.astype(float)), lambda z, cdf=cdf, rate=rate: cdf(z, *rate))
                close(t(name, u[::-1], *rate, like=(int(n),)), z[::-1],
                      "z must be computed from its own u, one by one; yours change when u is given in another order")
            t(name, ENDS, *rate, like=(2,))  # infinity here comes up once in a while in a long run


def _quantiles(z, cdf):
    """Raises Wrong unless F(z_(i)) = (i - 1/2)/n for the sorted z."""
    wanted, got = (np.arange(len(z)) + 0.5) / len(z), cdf(z)
    i = int(np.argmax(np.abs(got - wanted)))
    if np.abs(got - wanted)[i] > 1e-6:
        raise Wrong(f"P(z <= {z[i]:.4g}) is {got[i]:.4f} for this law, but a fraction {wanted[i]:.4f} of your z lie "
                    "there")  # fmt: skip


one_liners.mistake("exponential: you multiplied by the rate. The mean is 1/rate, so divide: z = -log(1 - u)/rate.")(
    lambda u, rate: -np.log(1 - u) * rate)  # fmt: skip
one_liners.mistake("exponential: the sign is missing; log(1 - u) is negative, and waiting times are not.")(
    lambda u, rate: np.log(1 - u) / rate)  # fmt: skip
one_liners.mistake("exponential: you left the rate out; z = -log(1 - u)/rate.")(lambda u, rate: -np.log(1 - u))
one_liners.mistake("exponential: you took the density e^(-rate z) rate at u; invert the distribution function F.")(
    lambda u, rate: rate * np.exp(-rate * u))  # fmt: skip
one_liners.mistake("exponential: you took F itself, 1 - e^(-rate u); the one-liner is its inverse.")(
    lambda u, rate: 1 - np.exp(-rate * u))  # fmt: skip
one_liners.mistake("logistic: you took F itself, 1/(1 + e^-u); the one-liner is its inverse, log u - log(1 - u).",
                   of="logistic")(lambda u: 1 / (1 + np.exp(-u)))  # fmt: skip
one_liners.mistake("logistic: log(u)/(1 - u) divides outside the logarithm; it is log(u/(1 - u)).", of="logistic")(
    lambda u: np.log(u) / (1 - u))  # fmt: skip
one_liners.mistake("logistic: these are the odds u/(1 - u); take their logarithm.", of="logistic")(
    lambda u: u / (1 - u))  # fmt: skip
one_liners.mistake("logistic: log u alone is minus an exponential; subtract log(1 - u).", of="logistic")(np.log)
one_liners.mistake("logistic: you standardised to variance 1; the logistic law has variance pi^2/3.", of="logistic")(
    lambda u: np.log(u / (1 - u)) * np.sqrt(3) / np.pi)  # fmt: skip
one_liners.mistake("gumbel: the outer sign is missing, so this is the law of a minimum; z = -log(-log u).",
                   of="gumbel")(lambda u: np.log(-np.log(u)))  # fmt: skip
one_liners.mistake("gumbel: -log u is an exponential; take -log of that once more.", of="gumbel")(lambda u: -np.log(u))
one_liners.mistake("gumbel: log of log u has no real value, since log u < 0; z = -log(-log u).", of="gumbel")(
    lambda u: -np.log(np.log(u)))  # fmt: skip
one_liners.mistake("laplace: the factor 2 is missing: each half of the law holds half of the mass, so u = e^z / 2.",
                   of="laplace")(lambda u: np.where(u < 0.5, np.log(u), -np.log(1 - u)))  # fmt: skip
one_liners.mistake("laplace: the factor 2 is missing: each half of the law holds half of the mass, so u = e^z / 2.",
                   of="laplace")(lambda u: -np.sign(u - 0.5) * np.log(1 - np.abs(u - 0.5)))  # fmt: skip
one_liners.mistake("laplace: you halved where you should double: u = e^z / 2 gives z = log(2u).", of="laplace")(
    lambda u: np.where(u < 0.5, np.log(u / 2), -np.log((1 - u) / 2)))  # fmt: skip
one_liners.mistake("laplace: you inverted the left half for every u; above u = 1/2 it is -log(2 - 2u).", of="laplace")(
    lambda u: np.log(2 * u))  # fmt: skip
one_liners.mistake("laplace: the sign of the right half is wrong, so both halves fall below 0; use -log(2 - 2u) there.",
                   of="laplace")(lambda u: np.where(u < 0.5, np.log(2 * u), np.log(2 - 2 * u)))  # fmt: skip
one_liners.mistake("laplace: you standardised to variance 1; the density e^-|z| / 2 has variance 2.", of="laplace")(
    lambda u: np.where(u < 0.5, np.log(2 * u), -np.log(2 - 2 * u)) / np.sqrt(2))  # fmt: skip
one_liners.mistake("cauchy: tan(pi u / 2) is never negative, so this is |z|; use tan(pi (u - 1/2)).", of="cauchy")(
    lambda u: np.tan(np.pi * u / 2))  # fmt: skip
one_liners.mistake("cauchy: pi is missing; arctan(z) runs over pi, so z = tan(pi (u - 1/2)).", of="cauchy")(
    lambda u: np.tan(u - 0.5))  # fmt: skip
one_liners.mistake("cauchy: pi is missing; arctan(z) runs over pi, so z = tan(pi (u - 1/2)).", of="cauchy")(np.tan)
one_liners.mistake("cauchy: pi stands inside the tangent: z = tan(pi (u - 1/2)).", of="cauchy")(
    lambda u: np.pi * np.tan(u - 0.5))  # fmt: skip
one_liners.mistake("cauchy: you took F itself, 1/2 + arctan(u)/pi; the one-liner is its inverse.", of="cauchy")(
    lambda u: 0.5 + np.arctan(u) / np.pi)  # fmt: skip


# -------------------- 4.2 --------------------


def _polar(out):
    """A pair up to which is sine and which cosine, and u or 1 - u: sorted squared radii, sorted coordinates."""
    x, y = out
    return np.shape(x), np.shape(y), np.sort(x**2 + y**2), np.sort(np.concatenate([x, y]))


@exercise(
    "4.2", of="box_muller", slide=7, title="Box and Muller's pair", answers=["enm5310.paths.box_muller"],
    canon=_polar, parts={"radius r = sqrt(-2 log u)": 1, "every radius takes a full turn, uniformly": 1},
    hints=[
        "Go to polar coordinates: the density of two standard normals is e^(-r^2/2) r dr dphi / 2 pi. What is the "
        "probability that the radius exceeds r?",
        "P(radius > r) = e^(-r^2/2). Set it to u and solve for r. The angle is uniform over one turn, 2 pi v.",
        "`r = np.sqrt(-2 * np.log(u))`, then `r * np.cos(2 * np.pi * v), r * np.sin(2 * np.pi * v)`.",
    ],
)  # fmt: skip
def box_muller(t):
    for n, m in [(1, 4), (int(t.rng.integers(3, 8)), 8), (int(t.rng.integers(3, 8)), 12)]:  # 4 | m: sine for cosine
        u, v = (a.ravel() for a in np.meshgrid(_grid(t, n), _grid(t, m), indexing="ij"))
        order = t.rng.permutation(n * m)
        u, v = u[order], v[order]
        x, y = t("box_muller", u, v, like={"x": (n * m,), "y": (n * m,)})
        r2 = x.astype(float) ** 2 + y.astype(float) ** 2
        with t.part("radius r = sqrt(-2 log u)"):
            either = [-2 * np.log(u), -2 * np.log(1 - u)]
            wanted = min(either, key=lambda r2_: np.max(np.abs(r2 - r2_)))
            if np.max(np.abs(r2 - wanted)) > 1e-6 * np.max(wanted):
                i = int(np.argmax(np.abs(r2 - wanted)))
                raise Wrong(f"for u = {u[i]:.4f}, x^2 + y^2 should be -2 log u = {wanted[i]:.4f}; yours is {r2[i]:.4f}")
        with t.part("every radius takes a full turn, uniformly"):
            turns = np.mod(np.arctan2(y.astype(float), x.astype(float)) / (2 * np.pi), 1)
            for one in np.unique(u):
                if np.max(np.abs(np.sort(turns[u == one]) - (np.arange(m) + 0.5) / m)) > 1e-6:
                    raise Wrong(f"at u = {one:.4f}, {m} evenly spaced v should give {m} evenly spaced angles")


BOX_MULLER_POLAR = "You returned radius and angle; x = r cos(angle) and y = r sin(angle) are the two normals."


def _pair(radius=lambda u: np.sqrt(-2 * np.log(u)), angle=lambda u, v: 2 * np.pi * v, y=np.sin):
    """A wrong version of Box-Muller: another radius, another angle, another second coordinate."""
    return lambda u, v: (radius(u) * np.cos(angle(u, v)), radius(u) * y(angle(u, v)))


box_muller.mistake("The 2 is missing: r = sqrt(-2 log u). With sqrt(-log u) the variance is 1/2.")(
    _pair(lambda u: np.sqrt(-np.log(u))))  # fmt: skip
box_muller.mistake("The 2 stands under the root: sqrt(-2 log u), not 2 sqrt(-log u); your variance is 2.")(
    _pair(lambda u: 2 * np.sqrt(-np.log(u))))  # fmt: skip
box_muller.mistake("The square root is missing: -2 log u is r^2.")(_pair(lambda u: -2 * np.log(u)))
box_muller.mistake("The minus is missing: log u < 0, so r^2 = -2 log u.")(_pair(lambda u: np.sqrt(2 * np.log(u))))
box_muller.mistake("Your radius is u itself, uniform; a normal pair has r = sqrt(-2 log u).")(_pair(lambda u: u))
box_muller.mistake("Your angle runs over half a turn only, so y is never negative; use 2 pi v.")(
    _pair(angle=lambda u, v: np.pi * v))  # fmt: skip
box_muller.mistake("Your angle runs over two turns, so every direction comes twice; a full turn is 2 pi v.")(
    _pair(angle=lambda u, v: 4 * np.pi * v))  # fmt: skip
box_muller.mistake("You exchanged the roles of u and v: here the radius comes from u and the angle from v.")(
    lambda u, v: _pair()(v, u))  # fmt: skip
box_muller.mistake("Your angle is v itself, less than one radian; a full turn is 2 pi v.")(_pair(angle=lambda u, v: v))
box_muller.mistake("Your angle is in degrees; np.cos and np.sin want radians, 2 pi v.")(
    _pair(angle=lambda u, v: 360 * v))  # fmt: skip
box_muller.mistake("You used u for the angle as well: radius and angle must not know of each other, so use v.")(
    _pair(angle=lambda u, v: 2 * np.pi * u))  # fmt: skip
box_muller.mistake("Both coordinates are the same, so they are not independent; one takes the cosine, one the sine.")(
    _pair(y=np.cos))  # fmt: skip
box_muller.mistake(BOX_MULLER_POLAR)(lambda u, v: (np.sqrt(-2 * np.log(u)), 2 * np.pi * v))


# -------------------- 4.3 --------------------

LAWS = {  # log density of eps, and its distribution function
    "normal": ("-0.5 * e**2 - 0.5 * np.log(2 * np.pi)", np.vectorize(lambda e: 0.5 * math.erfc(-e / math.sqrt(2)))),
    "logistic": ("-e - 2 * np.log(1 + np.exp(-e))", lambda e: 1 / (1 + np.exp(-e))),
}
KEPT, DECREASING = "|p(z) dz| = |p(eps) d eps| in every cell", "also where g decreases"
MAPS = {  # z = g(e), e = inverse(z)
    "straight": ("a + b * e", "(z - a) / b"),
    "exponential": ("a + b * np.exp(c * e)", "np.log((z - a) / b) / c"),
    "sinh": ("a + b * np.sinh(c * e)", "np.arcsinh((z - a) / b) / c"),
}


@exercise(
    "4.3", of="pushforward_logpdf", slide=7, title="The density of z",
    answers=["enm5310.paths.pushforward_log_p", "enm5310.paths.push_forward"],
    parts={KEPT: 2, DECREASING: 1},
    hints=[
        "The slide: p(z) = |d eps / dz| p(eps). Take the logarithm: a product becomes a sum.",
        "Where is it evaluated? At eps = inverse(z). And d eps/dz = 1/(dz/d eps): `elementwise_grad(inverse)(z)`, or "
        "1 over `elementwise_grad(g)` at eps.",
        "A decreasing g has a negative slope, and lengths are positive: `np.log(np.abs(...))`.",
    ],
)  # fmt: skip
def pushforward_logpdf(t):
    x, w = leggauss(12)  # quadrature inside each cell
    for g, inverse in MAPS.values():
        for sign, words in [(1, KEPT), (-1, DECREASING)]:
            with t.part(words):
                law, cdf = LAWS[str(t.rng.choice(list(LAWS)))]
                a, b, c = (float(number) for number in t.rng.uniform([-1, 0.5, 0.5], [1, 2, 1]))
                log_p, data = Fn(f"def f(e): return {law}"), {"a": a, "b": sign * b, "c": c}
                g_, inverse_ = Fn(f"def f(e): return {g}", **data), Fn(f"def f(z): return {inverse}", **data)
                edges = np.sort(t.rng.uniform(-1.5, 1.5, size=4)) + np.arange(4) * 0.1
                cells = g_(edges)
                middle, half = (cells[1:] + cells[:-1]) / 2, np.diff(cells) / 2
                z = (middle[:, None] + half[:, None] * x).ravel()
                order = t.rng.permutation(len(z))
                log_z = np.empty(len(z))
                log_z[order] = t("pushforward_logpdf", log_p, g_, inverse_, z[order], like=z.shape)
                _masses(cells, np.abs(half) * (np.exp(log_z.reshape(3, -1)) @ w), np.diff(cdf(edges)))


def _masses(cells, mass, wanted):
    i = int(np.argmax(np.abs(mass - wanted)))
    if not np.abs(mass - wanted)[i] <= 1e-6:
        low, high = sorted(cells[i : i + 2])
        raise Wrong(f"between z = {low:.4g} and {high:.4g} your density holds a mass of {mass[i]:.4f}, "
                    f"but eps puts {wanted[i]:.4f} there")  # fmt: skip


def _pushed(jacobian, log_p_at=lambda inverse, z: inverse(z)):
    """A wrong version: log p(eps) + jacobian(g, inverse, eps, z)."""
    return lambda log_p, g, inverse, z: log_p(log_p_at(inverse, z)) + jacobian(g, inverse, inverse(z), z)


def _slope(f, x):
    return elementwise_grad(f)(x)


pushforward_logpdf.mistake("You used |dz/d eps|, the inverse of the Jacobian; the slide multiplies by |d eps/dz|.")(
    _pushed(lambda g, inverse, e, z: np.log(np.abs(_slope(g, e)))))  # fmt: skip
pushforward_logpdf.mistake("The Jacobian is missing: where g stretches, the density gets thinner, by |d eps/dz|.")(
    _pushed(lambda g, inverse, e, z: 0))  # fmt: skip
pushforward_logpdf.mistake("|...| is missing: a decreasing g has a negative slope, whose logarithm is not a number.")(
    _pushed(lambda g, inverse, e, z: np.log(_slope(inverse, z))))  # fmt: skip
pushforward_logpdf.mistake("You added the Jacobian itself; on the log scale the factor becomes + log |d eps/dz|.")(
    _pushed(lambda g, inverse, e, z: np.abs(_slope(inverse, z))))  # fmt: skip
pushforward_logpdf.mistake("You evaluated log p(eps) at z; it belongs at eps = inverse(z).")(
    _pushed(lambda g, inverse, e, z: np.log(np.abs(_slope(inverse, z))), lambda inverse, z: z))  # fmt: skip
pushforward_logpdf.mistake("You took the slope of g at z; dz/d eps belongs at eps = inverse(z).")(
    _pushed(lambda g, inverse, e, z: -np.log(np.abs(_slope(g, z)))))  # fmt: skip
pushforward_logpdf.mistake("You took the slope of the inverse at eps; d eps/dz belongs at z.")(
    _pushed(lambda g, inverse, e, z: np.log(np.abs(_slope(inverse, e)))))  # fmt: skip


@pushforward_logpdf.mistake("This is the density itself; its logarithm is asked for.")
def _(log_p, g, inverse, z):
    return np.exp(log_p(inverse(z))) * np.abs(_slope(inverse, z))


@pushforward_logpdf.mistake("You multiplied log p(eps) by the Jacobian; a product of factors is a *sum* of logarithms.")
def _(log_p, g, inverse, z):
    return log_p(inverse(z)) * np.abs(_slope(inverse, z))


# -------------------- 4.4 --------------------


@exercise(
    "4.4", of="sample_mvn", slide=7, title="Correlated normals", answers=["enm5310.paths.multivariate_normal"],
    parts={"eps is left alone": 0, "mean mu": 0, "covariance L L^T": 1, "z_s = mu + L eps_s": 1},
    hints=[
        "For one sample, a column vector, z = mu + L eps. Here each sample is a *row* of eps, shape (S, p).",
        "Transpose z = L eps: z^T = eps^T L^T. So rows times what?",
        "`mu + eps @ L.T`.",
    ],
)  # fmt: skip
def sample_mvn(t):
    for S, p in [(5, 3), (3, 2), (4, 4), (2, 1)]:
        L = np.tril(t.rng.normal(size=(p, p)), -1) + np.diag(t.rng.uniform(0.5, 2, size=p))
        mu, eps = t.rng.normal(size=p) + 3, t.rng.normal(size=(S, p))
        Z = t("sample_mvn", mu, L, eps, like=(S, p))
        with t.part("eps is left alone"): t.left_alone()
        with t.part("mean mu"): close(t("sample_mvn", mu, L, np.zeros((S, p)), like=(S, p)), np.tile(mu, (S, 1)))
        with t.part("covariance L L^T"):
            A = t("sample_mvn", mu, L, np.eye(p), like=(p, p)) - mu  # row j is where the j-th noise direction goes
            close(A.T @ A, sum(np.outer(column, column) for column in L.T))
        with t.part("z_s = mu + L eps_s"): close(Z, np.stack([mu + [row @ e for row in L] for e in eps]))


sample_mvn.mistake("You multiplied rows by L; for rows it is eps @ L.T. Your covariance is L^T L, not L L^T.")(
    lambda mu, L, eps: mu + eps @ L)  # fmt: skip
sample_mvn.mistake("You used the covariance L L^T in place of its factor L, so the covariance is squared.")(
    lambda mu, L, eps: mu + eps @ (L @ L.T))  # fmt: skip
sample_mvn.mistake("You gave every sample the same noise, eps[0]; row s takes its own eps_s.")(
    lambda mu, L, eps: mu + np.tile(eps[:1] @ L.T, (len(eps), 1)))  # fmt: skip
sample_mvn.mistake("You used only the diagonal of L, so the coordinates are independent.")(
    lambda mu, L, eps: mu + eps * np.diag(L))  # fmt: skip
sample_mvn.mistake("mu is missing: z = mu + L eps.")(lambda mu, L, eps: eps @ L.T)
sample_mvn.mistake("You divided by L (solved with it): that turns correlated normals into independent ones.")(
    lambda mu, L, eps: mu + np.linalg.solve(L, eps.T).T)  # fmt: skip
sample_mvn.mistake("You added L eps to mu and took the transpose; return one sample per row, shape (S, p).")(
    lambda mu, L, eps: (mu + eps @ L.T).T)  # fmt: skip


# -------------------- 4.5 --------------------


def _cost(t):
    """A random smooth cost: a polynomial of degree 3 and a wave, and its derivative."""
    a, b, c, d, w = (float(x) for x in t.rng.normal([2, -2, 1, 2, 2]))
    f = Fn("def f(z): return a * z + b * z**2 + c * z**3 + d * np.cos(w * z)", a=a, b=b, c=c, d=d, w=w)
    return f, lambda z: a + 2 * b * z + 3 * c * z**2 - d * w * np.sin(w * z)


def _theta(t):
    """mu and log sigma; sigma is never near 1, where sigma, its square and its logarithm are hard to tell apart."""
    return float(t.rng.normal() + 1), float(t.rng.choice([-1, 1]) * t.rng.uniform(0.3, 0.9))


@exercise(
    "4.5", of="pathwise_grad", slide=7, title="The reparametrised gradient",
    answers=["enm5310.gradients.reparameterization"], parts={"eps is left alone": 0, "d/dmu": 1, "d/dlog sigma": 2},
    hints=[
        "Write z = mu + sigma eps with sigma = exp(log_sigma), and differentiate f(z) by the chain rule.",
        "dz/dmu = 1 and dz/dlog sigma = sigma eps. Both are multiplied by f'(z), which is `elementwise_grad(f)(z)`.",
        "One row per sample: `np.stack([df, df * sigma * eps], axis=1)`, without averaging.",
    ],
)  # fmt: skip
def pathwise_grad(t):
    for S in (5, 2, 6, 1):  # several first: then the message can say "the sign is flipped everywhere"
        (f, df), (mu, log_sigma), eps = _cost(t), _theta(t), t.rng.normal(size=S)
        rows = t("pathwise_grad", f, mu, log_sigma, eps, like=(S, 2))
        z = mu + math.exp(log_sigma) * eps
        with t.part("eps is left alone"): t.left_alone()
        with t.part("d/dmu"): close(rows[:, 0], df(z))
        with t.part("d/dlog sigma"): close(rows[:, 1], df(z) * (z - mu))


def _path(z=lambda mu, s, eps: mu + np.exp(s) * eps, dz=lambda s, eps: np.exp(s) * eps, finish=lambda rows: rows):
    """A wrong version of the pathwise rows: another sample, another dz/dlog sigma, another last step."""

    def wrong(f, mu, s, eps):
        df = _slope(f, z(mu, s, eps))
        return finish(np.stack([df, df * dz(s, eps)], axis=1))

    return wrong


pathwise_grad.mistake("The chain factor sigma is missing: dz/dlog sigma = sigma eps. You differentiated by sigma.")(
    _path(dz=lambda s, eps: eps))  # fmt: skip
pathwise_grad.mistake("The noise is missing in dz/dlog sigma = sigma eps.")(
    _path(dz=lambda s, eps: np.exp(s) * np.ones_like(eps)))  # fmt: skip
pathwise_grad.mistake("You used the variance where the standard deviation belongs: z = mu + sigma eps.")(
    _path(lambda mu, s, eps: mu + np.exp(2 * s) * eps, lambda s, eps: np.exp(2 * s) * eps))  # fmt: skip
pathwise_grad.mistake("You used log_sigma as if it were log sigma^2: sigma = exp(log_sigma), without the 1/2.")(
    _path(lambda mu, s, eps: mu + np.exp(s / 2) * eps, lambda s, eps: np.exp(s / 2) * eps))  # fmt: skip
pathwise_grad.mistake("You used log_sigma as if it were log sigma^2: sigma = exp(log_sigma), without the 1/2.")(
    _path(lambda mu, s, eps: mu + np.exp(s / 2) * eps, lambda s, eps: np.exp(s / 2) * eps / 2))  # fmt: skip
pathwise_grad.mistake("You used log_sigma as sigma; take the exponential first.")(
    _path(lambda mu, s, eps: mu + s * eps, lambda s, eps: s * eps))  # fmt: skip
pathwise_grad.mistake("You used log_sigma as sigma; take the exponential first.")(
    _path(lambda mu, s, eps: mu + s * eps, lambda s, eps: eps))  # fmt: skip
pathwise_grad.mistake("You took f' at the noise eps; it belongs at the sample z = mu + sigma eps.")(
    _path(lambda mu, s, eps: eps))  # fmt: skip
pathwise_grad.mistake("You took f' at mu; it belongs at the sample z = mu + sigma eps.")(
    _path(lambda mu, s, eps: mu + 0 * eps))  # fmt: skip
pathwise_grad.mistake("You averaged over the samples; return one row per sample, shape (S, 2).")(
    _path(finish=lambda rows: rows.mean(axis=0)))  # fmt: skip
pathwise_grad.mistake("You divided by the number of samples; the rows are averaged later, by whoever uses them.")(
    _path(finish=lambda rows: rows / len(rows)))  # fmt: skip
pathwise_grad.mistake("Parameters belong in the columns, samples in the rows: use np.stack([...], axis=1).")(
    _path(finish=lambda rows: rows.T))  # fmt: skip
pathwise_grad.mistake("Your columns are exchanged: d/dmu comes first.")(_path(finish=lambda rows: rows[:, ::-1]))


@pathwise_grad.mistake("Every gradient is 0: you held z fixed, but theta reaches f only through z = g(eps, theta).")
def _(f, mu, log_sigma, eps):
    return np.zeros((len(eps), 2))


@pathwise_grad.mistake("You used f(z) itself; the chain rule needs its slope f'(z), which is elementwise_grad(f)(z).")
def _(f, mu, log_sigma, eps):
    sigma = np.exp(log_sigma)
    return f(mu + sigma * eps)[:, None] * np.stack([np.ones_like(eps), sigma * eps], axis=1)


@pathwise_grad.mistake("This is the score function estimator, f(z) times the score; the pathwise one uses f'(z).")
def _(f, mu, log_sigma, eps):
    return _score_rows(f(mu + np.exp(log_sigma) * eps), log_sigma, eps)


# -------------------- 4.6 --------------------


def _score_rows(signal, log_sigma, eps):
    """signal_s (d/dmu, d/dlog sigma) log N(z_s; mu, sigma^2)."""
    return signal[:, None] * np.stack([eps / np.exp(log_sigma), eps**2 - 1], axis=1)


@exercise(
    "4.6", of="score_grad", slide=6, title="The score function estimator",
    answers=["enm5310.gradients.score_function", "enm5310.gradients.score"],
    parts={"eps is left alone": 0, "d/dmu": 1, "d/dlog sigma": 1, "baseline": 1},
    hints=[
        "log p(z) = -log sigma - (z - mu)^2 / (2 sigma^2) + constant. Differentiate by mu and by log sigma, z fixed.",
        "With z - mu = sigma eps the score is (eps/sigma, eps^2 - 1).",
        "The row of a sample is (f(z) - baseline) times its score: subtract *before* you multiply.",
    ],
)  # fmt: skip
def score_grad(t):
    for S in (5, 2, 6, 1):  # several first: then the message can say "the sign is flipped everywhere"
        a, b, c = (float(x) for x in t.rng.normal([2, 3, 0]))  # a jump at c: no path goes through it
        f = Fn("def f(z): return a * (z > c) + b * np.cos(z) + z**2", a=a, b=b, c=c)
        (mu, log_sigma), eps, baseline = _theta(t), t.rng.normal(size=S), float(t.rng.normal() + 3)
        sigma = math.exp(log_sigma)
        z = mu + sigma * eps
        score = np.stack([(z - mu) / sigma**2, ((z - mu) ** 2 - sigma**2) / sigma**2], axis=1)
        plain = t("score_grad", f, mu, log_sigma, eps, 0.0, like=(S, 2))
        with t.part("eps is left alone"): t.left_alone()
        with t.part("d/dmu"): close(plain[:, 0], f(z) * score[:, 0])
        with t.part("d/dlog sigma"): close(plain[:, 1], f(z) * score[:, 1])
        with t.part("baseline"):
            close(t("score_grad", f, mu, log_sigma, eps, baseline, like=(S, 2)) - plain, -baseline * score,
                  "a baseline b must change each row by -b times its score, whose mean is 0")  # fmt: skip


def _scored(signal=lambda f, z, b: f(z) - b, score=lambda sigma, eps: (eps / sigma, eps**2 - 1),
            finish=lambda rows, b: rows, sample=lambda mu, sigma, eps: mu + sigma * eps):  # fmt: skip
    """A wrong version of the score function rows: another signal, score, last step or sample."""

    def wrong(f, mu, log_sigma, eps, b):
        sigma = np.exp(log_sigma)
        return finish(signal(f, sample(mu, sigma, eps), b)[:, None] * np.stack(score(sigma, eps), axis=1), b)

    return wrong


score_grad.mistake("You subtracted the baseline after multiplying: that shifts the mean. It is (f(z) - b) * score.")(
    _scored(lambda f, z, b: f(z), finish=lambda rows, b: rows - b))  # fmt: skip
score_grad.mistake("You added the baseline; it is (f(z) - b) times the score.")(_scored(lambda f, z, b: f(z) + b))
score_grad.mistake("You ignored the baseline; it is (f(z) - b) times the score.")(_scored(lambda f, z, b: f(z)))
score_grad.mistake("You used f'(z); the log-derivative trick differentiates the density and keeps f itself.")(
    _scored(lambda f, z, b: _slope(f, z) - b))  # fmt: skip
score_grad.mistake("This score is the derivative by sigma; by log sigma the chain factor sigma cancels its 1/sigma.")(
    _scored(score=lambda sigma, eps: (eps / sigma, (eps**2 - 1) / sigma)))  # fmt: skip
score_grad.mistake("The score for mu is (z - mu)/sigma^2 = eps/sigma; you left out the 1/sigma.")(
    _scored(score=lambda sigma, eps: (eps, eps**2 - 1)))  # fmt: skip
score_grad.mistake("The score for mu is (z - mu)/sigma^2 = eps/sigma; one sigma too many in your denominator.")(
    _scored(score=lambda sigma, eps: (eps / sigma**2, eps**2 - 1)))  # fmt: skip
score_grad.mistake("The score for log sigma is eps^2 - 1; the -1 comes from -log sigma in log p.")(
    _scored(score=lambda sigma, eps: (eps / sigma, eps**2)))  # fmt: skip
score_grad.mistake("The sign of the score is wrong: moving mu towards z raises log p, so d/dmu log p = +eps/sigma.")(
    _scored(score=lambda sigma, eps: (-eps / sigma, 1 - eps**2)))  # fmt: skip
score_grad.mistake("You subtracted the mean cost of the batch; the baseline is the number that is handed in.")(
    _scored(lambda f, z, b: f(z) - np.mean(f(z))))  # fmt: skip
score_grad.mistake("You evaluated f at the noise eps; it belongs at the sample z = mu + sigma eps.")(
    _scored(sample=lambda mu, sigma, eps: eps))  # fmt: skip
score_grad.mistake("You averaged over the samples; return one row per sample, shape (S, 2).")(
    _scored(finish=lambda rows, b: rows.mean(axis=0)))  # fmt: skip
score_grad.mistake("Your columns are exchanged: d/dmu comes first.")(_scored(finish=lambda rows, b: rows[:, ::-1]))


@score_grad.mistake("Your score has z in place of z - mu: log p contains (z - mu)^2.")
def _(f, mu, log_sigma, eps, b):
    sigma = np.exp(log_sigma)
    z = mu + sigma * eps
    return (f(z) - b)[:, None] * np.stack([z / sigma**2, (z / sigma) ** 2 - 1], axis=1)


@score_grad.mistake("This is the pathwise estimator, f'(z) dz/dtheta. Here f may jump: differentiate log p instead.")
def _(f, mu, log_sigma, eps, baseline):
    return _path()(f, mu, log_sigma, eps)


@score_grad.mistake("This is the score alone; multiply it by f(z) - b.")
def _(f, mu, log_sigma, eps, baseline):
    return _score_rows(np.ones_like(eps), log_sigma, eps)


@score_grad.mistake("You multiplied by the density p(z); the score is the derivative of log p alone, grad p / p.")
def _(f, mu, log_sigma, eps, b):
    p = np.exp(-0.5 * eps**2) / np.sqrt(2 * np.pi) / np.exp(log_sigma)
    return _score_rows((f(mu + np.exp(log_sigma) * eps) - b) * p, log_sigma, eps)


# -------------------- 4.7 --------------------


def _estimators(mu, sigma, k):
    """Rows for f = (z - k)^2 at NODES: pathwise d/dmu, d/dsigma, score function d/dmu, d/dsigma."""
    z = mu + sigma * NODES
    f, df, score = (z - k) ** 2, 2 * (z - k), NODES / sigma
    return np.stack([df, df * NODES, f * score, f * (NODES**2 - 1) / sigma])


def _variance(rows):
    return _mean(rows**2) - _mean(rows) ** 2


def _setting(t):
    """mu, sigma and k with mu - k well away from 0."""
    mu, sigma = float(t.rng.normal()), float(t.rng.choice([t.rng.uniform(0.4, 0.8), t.rng.uniform(1.3, 2)]))
    return mu, sigma, mu - float(t.rng.choice([-1, 1]) * t.rng.uniform(0.5, 3))


@exercise(
    "4.7", of="grad_variance", slide=6, title="Four variances in closed form",
    answers=["enm5310.gradients.quadratic_variances"],
    parts={"pathwise, d/dmu and d/dsigma": 1, "score function, d/dmu": 1, "score function, d/dsigma": 1},
    hints=[
        "Write z - k = a + sigma eps with a = mu - k. Every row is then a polynomial in eps, and E eps^2 = 1, "
        "E eps^4 = 3, E eps^6 = 15, E eps^8 = 105; odd powers have mean 0.",
        "Pathwise rows: 2(a + sigma eps) and 2(a + sigma eps) eps. Score rows: (a + sigma eps)^2 eps/sigma and "
        "(a + sigma eps)^2 (eps^2 - 1)/sigma. Their means are 2a and 2 sigma.",
        "Variance = mean square - square of the mean. The first two come out as 4 sigma^2 and 4(a^2 + 2 sigma^2).",
        "Score function: a^4/s^2 + 14 a^2 + 15 s^2 for mu, 2 a^4/s^2 + 60 a^2 + 74 s^2 for sigma, with s = sigma.",
    ],
)  # fmt: skip
def grad_variance(t):
    for _ in range(4):
        mu, sigma, k = _setting(t)
        names = ["pathwise d/dmu", "pathwise d/dsigma", "score d/dmu", "score d/dsigma"]
        got = np.array(t("grad_variance", mu, sigma, k, like=dict.fromkeys(names, ())), dtype=float)
        wanted = _variance(_estimators(mu, sigma, k))
        with t.part("pathwise, d/dmu and d/dsigma"):
            for i in (0, 1): close(got[i], wanted[i])
        with t.part("score function, d/dmu"): close(got[2], wanted[2])
        with t.part("score function, d/dsigma"): close(got[3], wanted[3])


def _variances(change=lambda mu, sigma, k: _estimators(mu, sigma, k), finish=lambda v, rows, sigma: v):
    """A wrong version: other rows, or another last step from their variances."""

    def wrong(mu, sigma, k):
        rows = change(mu, sigma, k)
        return tuple(finish(_variance(rows), rows, sigma))

    return wrong


grad_variance.mistake("These are mean squares; subtract the squared means, (2a)^2 and (2 sigma)^2.")(
    _variances(finish=lambda v, rows, sigma: _mean(rows**2)))  # fmt: skip
grad_variance.mistake("These are standard deviations; the variance is asked for.")(
    _variances(finish=lambda v, rows, sigma: np.sqrt(v)))  # fmt: skip
grad_variance.mistake("Your derivatives are by log sigma; here they are by sigma, and the variances sigma^2 apart.")(
    _variances(finish=lambda v, rows, sigma: v * [1, sigma**2, 1, sigma**2]))  # fmt: skip
grad_variance.mistake("f'(z) = 2(z - k): the factor 2 is missing in the pathwise rows, hence 4 in their variance.")(
    _variances(finish=lambda v, rows, sigma: v / [4, 4, 1, 1]))  # fmt: skip
grad_variance.mistake("The score for mu is eps/sigma and for sigma (eps^2 - 1)/sigma: you left out the 1/sigma.")(
    _variances(finish=lambda v, rows, sigma: v * [1, 1, sigma**2, sigma**2]))  # fmt: skip
grad_variance.mistake("The score function comes last: return pathwise mu, pathwise sigma, score mu, score sigma.")(
    _variances(finish=lambda v, rows, sigma: v[[2, 3, 0, 1]]))  # fmt: skip
grad_variance.mistake("Order them by estimator: pathwise mu, pathwise sigma, then score mu, score sigma.")(
    _variances(finish=lambda v, rows, sigma: v[[0, 2, 1, 3]]))  # fmt: skip
grad_variance.mistake("You set k = 0: the distance that counts is a = mu - k.")(
    _variances(lambda mu, sigma, k: _estimators(mu, sigma, 0)))  # fmt: skip


grad_variance.mistake("These are for sigma = 1; in general z - k = a + sigma eps, and the scores contain 1/sigma.")(
    _variances(lambda mu, sigma, k: _estimators(mu, 1.0, k)))  # fmt: skip


@grad_variance.mistake("You subtracted the baseline E f; these are the variances without a baseline.")
def _(mu, sigma, k):
    rows, mean_f = _estimators(mu, sigma, k), (mu - k) ** 2 + sigma**2
    rows[2:] -= mean_f * np.stack([NODES, NODES**2 - 1]) / sigma
    return tuple(_variance(rows))


# -------------------- 4.8 --------------------


def _baseline(mu, sigma, k, score=lambda sigma: NODES / sigma):
    """E[f s^2] / E[s^2] for f = (z - k)^2."""
    f, s2 = (mu + sigma * NODES - k) ** 2, score(sigma) ** 2
    return float(_mean(f * s2) / _mean(s2))


def _norm_variance(D, sigma):
    """Var of |z|^2 z_1 / sigma^2 for z ~ N(0, sigma^2 I_D): a product grid, exact for polynomials of degree 7."""
    x, w = hermegauss(4)
    grid = np.stack(np.meshgrid(*[x] * D, indexing="ij")).reshape(D, -1)
    mass = np.prod(np.stack(np.meshgrid(*[w / np.sum(w)] * D, indexing="ij")).reshape(D, -1), axis=0)
    return float(np.sum(mass * (sigma * np.sum(grid**2, axis=0) * grid[0]) ** 2))


@exercise(
    "4.8", of=("optimal_baseline", "dimension_law"), slide=6, title="The best baseline, and the price of dimension",
    answers=["enm5310.gradients.optimal_baseline", "enm5310.gradients.quadratic_baselines",
             "enm5310.gradients.squared_norm_variances"],
    parts={"optimal baseline": 2, "dimension law": 1},
    hints=[
        "The mean of (f - b) s does not depend on b, so minimise its mean square E[(f - b)^2 s^2] in b.",
        "Set the derivative to 0: b = E[f s^2] / E[s^2]. With s = eps/sigma and f = (a + sigma eps)^2 the even moments "
        "of eps do the rest.",
        "dimension_law: the row for z_1 is |z|^2 z_1 / sigma^2, and its mean is 0. With z = sigma eps its mean square "
        "is sigma^2 E[|eps|^4 eps_1^2] = sigma^2 E|eps|^6 / D, by symmetry.",
        "E|eps|^6 = D (D + 2)(D + 4). For the path, f' = 2 z_1.",
    ],
)  # fmt: skip
def best_baseline(t):
    for _ in range(4):
        mu, sigma, k = _setting(t)
        with t.part("optimal baseline"):
            b = t("optimal_baseline", mu, sigma, k, like=())
            _least_variance(mu, sigma, k, float(b))
    for D in [1, *(int(D) for D in t.rng.choice(range(2, 8), size=4, replace=False))]:
        sigma = float(t.rng.uniform(0.4, 2))
        with t.part("dimension law"):
            path, score = t("dimension_law", D, sigma, like={"pathwise": (), "score function": ()})
            close(path, 4 * _mean((sigma * NODES) ** 2), "the pathwise row is 2 z_1, and z_1 has the variance sigma^2")
            close(score, _norm_variance(D, sigma))


def _least_variance(mu, sigma, k, b):
    best = _baseline(mu, sigma, k)
    if abs(b - best) > 1e-6 * abs(best):
        f, s = (mu + sigma * NODES - k) ** 2, NODES / sigma
        here, least = _variance((f - b) * s), _variance((f - best) * s)
        raise Wrong(f"with your b = {b:.5g} the variance is {here:.5g}, but another constant reaches {least:.5g}")


best_baseline.mistake("You returned E f = a^2 + sigma^2. The best b weighs f by the squared score: E[f s^2]/E[s^2].")(
    lambda mu, sigma, k: (mu - k) ** 2 + sigma**2)  # fmt: skip
best_baseline.mistake("You returned f(mu) = a^2, the cost at the centre; average f with the weight s^2.")(
    lambda mu, sigma, k: (mu - k) ** 2)  # fmt: skip
best_baseline.mistake("You set k = 0: the distance that counts is a = mu - k.")(
    lambda mu, sigma, k: _baseline(mu, sigma, 0.0))  # fmt: skip
best_baseline.mistake("This is for sigma = 1; the weight on the spread is 3 sigma^2.")(
    lambda mu, sigma, k: _baseline(mu, 1.0, k))  # fmt: skip
best_baseline.mistake("This is the best baseline for d/dsigma, score (eps^2 - 1)/sigma; for d/dmu it is eps/sigma.")(
    lambda mu, sigma, k: _baseline(mu, sigma, k, lambda sigma: (NODES**2 - 1) / sigma))  # fmt: skip
best_baseline.mistake("You did not divide by E[s^2] = 1/sigma^2.")(
    lambda mu, sigma, k: _baseline(mu, sigma, k) / sigma**2)  # fmt: skip
best_baseline.mistake("You weighed f by the score s, not by its square: E[f s] is the gradient.")(
    lambda mu, sigma, k: 2 * (mu - k))  # fmt: skip
best_baseline.mistake("You averaged f s^2 as if f and s^2 were independent, with E eps^4 = 1; it is 3.")(
    lambda mu, sigma, k: (mu - k) ** 2 + 2 * sigma**2)  # fmt: skip
best_baseline.mistake("The coordinates of z share one |z|^2: E[|eps|^4 eps_1^2] is (D + 2)(D + 4), not D (D + 2).",
                      of="dimension_law")(lambda D, sigma: (4 * sigma**2, D * (D + 2) * sigma**2))  # fmt: skip
best_baseline.mistake("You added the variances of all D coordinates; one coordinate is asked for.", of="dimension_law")(
    lambda D, sigma: (4 * D * sigma**2, D * (D + 2) * (D + 4) * sigma**2))  # fmt: skip
best_baseline.mistake("Your score function does not see D, but f = |z|^2 adds up D coordinates, all noise to z_1.",
                      of="dimension_law")(lambda D, sigma: (4 * sigma**2, 15 * sigma**2))  # fmt: skip
best_baseline.mistake("These are for sigma = 1; both variances grow as sigma^2.", of="dimension_law")(
    lambda D, sigma: (4, (D + 2) * (D + 4)))  # fmt: skip


# -------------------- 4.9 --------------------


def _normal_density(x):
    return math.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)


def _jump_gradients(mu, sigma, c):
    """(pathwise, score function, truth) for f = 1[z > c]; the last two by quadrature and by finite differences."""
    x, w = leggauss(60)
    e = (c - mu) / sigma + 6 * (x + 1)  # from the jump twelve standard deviations upwards
    score = 6 * np.sum(w * e / sigma * np.exp(-0.5 * e**2)) / math.sqrt(2 * math.pi)
    h = 1e-4 * sigma  # error h^2 / 6 relative
    above = [0.5 * math.erfc((c - m) / sigma / math.sqrt(2)) for m in (mu + h, mu - h, mu + 2 * h, mu - 2 * h)]
    return 0.0, float(score), (8 * (above[0] - above[1]) - (above[2] - above[3])) / (12 * h)


def _support_gradients(theta, p):
    """(pathwise, score function, truth) for f = z^p and z = theta u: quadrature over u, exact for polynomials."""
    x, w = leggauss(8)
    u, w = (x + 1) / 2, w / 2
    f, df = (theta * u) ** p, p * (theta * u) ** (p - 1)
    mean = float(np.sum(w * f))
    truth = theta ** (p - 1) - mean / theta  # Leibniz: f(theta)/theta - E f/theta
    return float(np.sum(w * df * u)), -mean / theta, truth


@exercise(
    "4.9", of=("heaviside_fails", "uniform_fails"), slide=6, title="When it fails",
    answers=["enm5310.gradients.heaviside_failure", "enm5310.gradients.uniform_failure"],
    parts={"a jump in f": 1, "a support that moves: pathwise and truth": 1, "a support that moves: score function": 1},
    hints=[
        "Truth first: write E f as a function of the parameter, without an integral, and differentiate. For the jump "
        "E f = P(z > c); for the uniform law E z^p = theta^p / (p + 1).",
        "Pathwise means E[f'(z) dz/dtheta]. What is f' of a step, wherever it exists? For the uniform law z = theta u, "
        "so dz/dtheta = u.",
        "Score function means E[f(z) d/dtheta log p]. Normal: d/dmu log p = (z - mu)/sigma^2. Uniform: p = 1/theta, so "
        "d/dtheta log p = -1/theta on the support, whatever z is.",
        "Jump: (0, d, d) with d = phi((c - mu)/sigma)/sigma, phi the standard normal density. Uniform: pathwise and "
        "truth p theta^(p-1)/(p + 1), score function -theta^(p-1)/(p + 1).",
    ],
)  # fmt: skip
def when_it_fails(t):
    like = {"pathwise": (), "score function": (), "truth": ()}
    for p in t.rng.permutation([1, 2, 3, 4]).tolist():
        mu, sigma, _ = _setting(t)
        c = mu + sigma * float(t.rng.normal())
        theta = float(t.rng.choice([t.rng.uniform(0.5, 0.8), t.rng.uniform(1.3, 2.5)]))
        with t.part("a jump in f"):
            got, wanted = t("heaviside_fails", mu, sigma, c, like=like), _jump_gradients(mu, sigma, c)
            for name, mine, right in zip(like, got, wanted, strict=True):
                _expect(name, float(mine), right, f"mu = {mu:.3f}, sigma = {sigma:.3f}, c = {c:.3f}")
        with t.part("a support that moves: pathwise and truth"):
            got, wanted = t("uniform_fails", theta, p, like=like), _support_gradients(theta, p)
            for i in (0, 2): _expect(list(like)[i], float(got[i]), wanted[i], f"theta = {theta:.3f}, p = {p}")
        with t.part("a support that moves: score function"):
            got = t("uniform_fails", theta, p, like=like)
            _expect("score function", float(got[1]), wanted[1], f"theta = {theta:.3f}, p = {p}")


def _expect(name, got, wanted, where):
    if abs(got - wanted) > 1e-6 * max(abs(wanted), 1e-3):
        raise Wrong(f"{name}: expected {wanted:.6g} for {where}, got {got:.6g}")


def _normal_jump(row):
    """A wrong version for the jump: row(d, x, sigma) with d the true gradient and x = (c - mu)/sigma."""
    return lambda mu, sigma, c: row(_normal_density((c - mu) / sigma) / sigma, (c - mu) / sigma, sigma)


def _tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2))


when_it_fails.mistake("You called the pathwise estimator right for the jump, but f' is 0 at every sample it sees.")(
    _normal_jump(lambda d, x, s: (d, d, d)))  # fmt: skip
when_it_fails.mistake("You let the score function fail for the jump, but it never differentiates f.")(
    _normal_jump(lambda d, x, s: (0.0, 0.0, d)))  # fmt: skip
when_it_fails.mistake("The truth is not 0: moving mu moves probability across the jump.")(
    _normal_jump(lambda d, x, s: (0.0, d, 0.0)))  # fmt: skip
when_it_fails.mistake("The sign is wrong: a larger mu puts more probability above c, so dE f/dmu > 0.")(
    _normal_jump(lambda d, x, s: (0.0, -d, -d)))  # fmt: skip
when_it_fails.mistake("The 1/sigma is missing: d/dmu P(z > c) = phi((c - mu)/sigma)/sigma.")(
    _normal_jump(lambda d, x, s: (0.0, d * s, d * s)))  # fmt: skip
when_it_fails.mistake("You did not standardise: the truth is phi((c - mu)/sigma)/sigma, with sigma twice.")(
    _normal_jump(lambda d, x, s: (0.0, _normal_density(x * s), _normal_density(x * s))))  # fmt: skip
when_it_fails.mistake("You returned the expectation P(z > c) itself; its derivative is asked for.")(
    _normal_jump(lambda d, x, s: (0.0, _tail(x), _tail(x))))  # fmt: skip
when_it_fails.mistake("Pathwise and score function are exchanged: the path is the one that misses the jump.")(
    _normal_jump(lambda d, x, s: (d, 0.0, d)))  # fmt: skip


def _support(row):
    """A wrong version for the uniform law: row(m, p) in units of theta^(p-1), where m = 1/(p + 1) is E u^p."""
    return lambda theta, p: tuple(x * theta ** (p - 1) for x in row(1 / (p + 1), p))


when_it_fails.mistake("You called the score function right for U[0, theta]; it does not see the support's end move.",
                      of="uniform_fails")(_support(lambda m, p: (p * m, p * m, p * m)))  # fmt: skip
when_it_fails.mistake("The sign of the score is wrong: log p = -log theta, so d/dtheta log p = -1/theta.",
                      of="uniform_fails")(_support(lambda m, p: (p * m, m, p * m)))  # fmt: skip
when_it_fails.mistake("Your score function mean is -E f; the score -1/theta divides it by theta.", of="uniform_fails")(
    lambda theta, p: tuple(x * theta ** (p - 1) / (p + 1) for x in (p, -theta, p)))  # fmt: skip
when_it_fails.mistake("The score of U[0, theta] is not 0: the height 1/theta falls with theta.", of="uniform_fails")(
    _support(lambda m, p: (p * m, 0.0, p * m)))  # fmt: skip
when_it_fails.mistake("You let the pathwise estimator fail for U[0, theta]; z = theta u moves with theta, end and all.",
                      of="uniform_fails")(_support(lambda m, p: (-m, -m, p * m)))  # fmt: skip
when_it_fails.mistake("You let the pathwise estimator fail for U[0, theta]; z = theta u moves with theta, end and all.",
                      of="uniform_fails")(_support(lambda m, p: (0.0, -m, p * m)))  # fmt: skip
when_it_fails.mistake("You differentiated under the integral only and lost Leibniz' boundary term, f(theta)/theta.",
                      of="uniform_fails")(_support(lambda m, p: (p * m, -m, -m)))  # fmt: skip
when_it_fails.mistake("dz/dtheta = u is missing in the pathwise mean E[f'(z) u]: you averaged f'(z) alone.",
                      of="uniform_fails")(_support(lambda m, p: (1.0, -m, p * m)))  # fmt: skip


# -------------------- 4.10 --------------------

HEADS = {  # what a network's second output may stand for: sigma, and sigma^2 beside its logarithm, from the head
    "log variance": ("np.exp(head / 2)", "np.exp(head)", "head"),
    "log sd": ("np.exp(head)", "np.exp(2 * head)", "2 * head"),
    "variance": ("np.sqrt(head)", "head", "np.log(head)"),
    "sd": ("head", "head**2", "2 * np.log(head)"),
    "log precision": ("np.exp(-head / 2)", "np.exp(-head)", "-head"),
    "precision": ("1 / np.sqrt(head)", "1 / head", "-np.log(head)"),
    "softplus": ("np.log(1 + np.exp(head))", "np.log(1 + np.exp(head)) ** 2", "2 * np.log(np.log(1 + np.exp(head)))"),
    "scaled log": ("np.exp(c * head)", "np.exp(2 * c * head)", "2 * c * head"),
}
FAMILIES = {
    "log variance and log standard deviation": ["log variance", "log sd"],
    "variance and standard deviation": ["variance", "sd"],
    "any other head": ["log precision", "precision", "softplus", "scaled log"],
}


def _heads(kl, sample, c):
    """(kl_fn, sample_fn) that read their head in two ways, equal or not."""
    _, v, log_v = HEADS[kl]
    per_dimension = f"np.atleast_1d({v} + mean**2 - 1 - ({log_v}))"  # plain numbers are welcome, too
    kl_fn = Fn(f"def f(mean, head): return 0.5 * np.sum({per_dimension}, axis=-1)", c=c)
    return kl_fn, Fn(f"def f(mean, head, eps): return mean + {HEADS[sample][0]} * eps", c=c)


@exercise(
    "4.10", of="consistent", slide=7, title="Clinic: one head, two readings", parts=dict.fromkeys(FAMILIES, 1),
    hints=[
        "You cannot see the convention, but you can ask: what does sample_fn do to eps = 0, and to eps = 1?",
        "sample_fn(mean, head, 1) - sample_fn(mean, head, 0) is the sigma that really is used. Which KL belongs to it?",
        "KL(N(m, sigma^2) || N(0, 1)) = (sigma^2 + m^2 - 1)/2 - log sigma, summed over the dimensions. Compare it with "
        "kl_fn at the same head.",
        "Choose the head with care: at head = 0 log variance and log sd agree, at 1 variance and sd do. Take 2, say.",
    ],
)  # fmt: skip
def consistent(t):
    for words, names in FAMILIES.items():
        pairs = [(a, b) for a in names for b in names] * (4 // len(names))
        for i in t.rng.permutation(len(pairs)):
            kl, sample = pairs[i]
            with t.part(words):
                told = t("consistent", *_heads(kl, sample, float(t.rng.uniform(0.6, 0.8))), like=bool)
                if told != (kl == sample):
                    raise Wrong(f"kl_fn takes the head for {_article(kl)}, sample_fn for {_article(sample)}, "
                                f"and you returned {told}")  # fmt: skip


def _article(name):
    return "an sd (standard deviation)" if name == "sd" else f"a {name}"


def _sigma(sample_fn, head, mean=0.0):
    mean, head = np.array([mean]), np.array([head])
    return (sample_fn(mean, head, np.ones(1)) - sample_fn(mean, head, np.zeros(1))).item()


def _matches(head, kl=lambda s: 0.5 * (s**2 - 1) - np.log(s)):
    """A version that compares at one head only, by default with the right formula."""

    def wrong(kl_fn, sample_fn):
        got, wanted = kl_fn(np.zeros(1), np.array([head])), kl(_sigma(sample_fn, head))
        return bool(np.isclose(got, wanted))

    return wrong


consistent.mistake("You asked at head = 0 only. There sigma = 1 for a log variance and for a log sd, and all agree.")(
    _matches(0.0))  # fmt: skip
consistent.mistake("You asked at head = 1 only. There sigma = 1 for a variance and for an sd, and all agree.")(
    _matches(1.0))  # fmt: skip
consistent.mistake("You answer True whatever you get: a pair that mixes two conventions must be caught.")(
    lambda kl_fn, sample_fn: True)  # fmt: skip


def _assumed(sigma):
    """A version that expects this sigma from head = 2 of both functions."""

    def wrong(kl_fn, sample_fn):
        kl = kl_fn(np.zeros(1), np.array([2.0]))
        return bool(np.isclose(_sigma(sample_fn, 2.0), sigma) and np.isclose(kl, 0.5 * (sigma**2 - 1) - np.log(sigma)))

    return wrong


consistent.mistake("You took log variance for granted. Any convention will do, as long as both functions share it.")(
    _assumed(np.exp(1)))  # fmt: skip
consistent.mistake("You took log sigma for granted. Any convention will do, as long as both functions share it.")(
    _assumed(np.exp(2)))  # fmt: skip
for wrong in (
    lambda kl_fn, sample_fn: False,
    _matches(2.0, lambda s: 0.5 * (s - 1) - np.log(s)),
    _matches(2.0, lambda s: 0.5 * (s**2 - 1 - np.log(s))),
    _matches(2.0, lambda s: s**2 - 1 - 2 * np.log(s)),
    _matches(2.0, lambda s: 0.5 / s**2 - 0.5 + np.log(s)),
):
    consistent.mistake("You answer False whatever you get. If you compare with a KL of your own, is it "
                       "(sigma^2 + m^2 - 1)/2 - log sigma, with the sigma that multiplies eps?")(wrong)  # fmt: skip
