"""Means against exact gradients within 5 known standard errors, variances against closed forms within their own error.

The closed forms themselves are tested by Gauss quadrature of the estimators' definitions, written out again here.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from enm5310 import gradients as G
from enm5310.paths import gaussian, gaussian_log_p, location_scale, logistic

S = 200_000
locations = st.floats(-3, 3)
scales = st.floats(0.2, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def quadratic(k):
    return lambda z: (z - k) ** 2


def agrees(rows, mean, variance):
    """Each column's mean within 5 known standard errors, its variance within 5 estimated ones of its own."""
    mean, variance = np.broadcast_to(mean, rows.shape[1:]), np.broadcast_to(variance, rows.shape[1:])
    errors = (rows.mean(0) - mean) / np.sqrt(variance / len(rows))
    assert np.all(np.abs(errors) < 5), f"mean {rows.mean(0)} is {errors} standard errors from {mean}"
    squares = (rows - mean) ** 2
    errors = (squares.mean(0) - variance) / (squares.std(0) / len(rows) ** 0.5)
    assert np.all(np.abs(errors) < 5), f"variance {squares.mean(0)} is {errors} standard errors from {variance}"


# -------------------- one row per sample, exact in the noise --------------------


def test_rows_equal_one_autograd_call_per_sample(rng):
    theta, eps = rng.normal(size=2), rng.normal(size=7)

    def f(z):
        return anp.sin(z) + z**3

    z = gaussian(eps, theta)
    for s in range(7):
        one = grad(lambda theta, s=s: f(gaussian(eps[s], theta)))(theta)
        np.testing.assert_allclose(G.reparameterization(f, gaussian, theta, eps)[s], one, rtol=1e-13)
        one = f(z[s]) * grad(lambda theta, s=s: gaussian_log_p(z[s], theta))(theta)
        np.testing.assert_allclose(G.score_function(f, gaussian_log_p, theta, z)[s], one, rtol=1e-13)


@pytest.mark.parametrize("S", [1, 7, 8, 9, 24])
def test_pieces_of_any_size_give_the_same_rows(rng, monkeypatch, S):
    theta, eps, eps3 = rng.normal(size=2), rng.normal(size=S), rng.normal(size=(S, 3))
    f, z = quadratic(1), gaussian(eps, theta)
    per_row, per_column = rng.normal(size=(S, 1)), rng.normal(size=2)

    def rows():
        return [
            G.reparameterization(f, gaussian, theta, eps),
            *(G.score_function(f, gaussian_log_p, theta, z, b) for b in (0.0, 1.5, per_column, per_row)),
            G.score_function(f, gaussian_log_p, theta, z, per_row * per_column),
            G.measure_valued(f, theta, eps3),
            G.sticking_the_landing(log_joint, gaussian_log_p, gaussian, theta, eps),
        ]

    def mean(theta):
        return anp.sum(G.reparameterization(anp.sin, gaussian, theta, eps)) / S

    whole, second = rows(), grad(mean)(theta)
    monkeypatch.setattr(G, "PIECE", 8)
    for mine, wanted in zip(rows(), whole, strict=True):
        assert mine.shape == wanted.shape == (S, 2)
        np.testing.assert_allclose(mine, wanted, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(grad(mean)(theta), second, rtol=1e-12)  # autograd sees the pieces too


def test_a_piece_is_what_f_gets_and_its_faults_are_found(rng, monkeypatch):
    monkeypatch.setattr(G, "PIECE", 8)
    sizes = []

    def f(z):
        sizes.append(len(z))
        return anp.sum(z**2) if len(sizes) == 3 else z**2

    with pytest.raises(ValueError, match="one number each"):
        G.reparameterization(f, gaussian, np.zeros(2), rng.normal(size=20))
    assert sizes == [8, 8, 4]


def test_rows_as_written_on_the_slides(rng):
    (mu, log_sigma), eps = theta, e = rng.normal(size=2), rng.normal(size=9)
    sigma, k = np.exp(log_sigma), 0.7
    z = mu + sigma * e
    pathwise = np.stack([2 * (z - k), 2 * (z - k) * sigma * e], 1)
    np.testing.assert_allclose(G.reparameterization(quadratic(k), gaussian, theta, eps), pathwise, rtol=1e-12)
    score = np.stack([(z - mu) / sigma**2, (z - mu) ** 2 / sigma**2 - 1], 1)
    np.testing.assert_allclose(G.score(gaussian_log_p, theta, z), score, rtol=1e-10, atol=1e-13)
    for b in [0.0, 1.3, np.array([1.0, -2.0]), rng.normal(size=(9, 1))]:
        rows = G.score_function(quadratic(k), gaussian_log_p, theta, z, b)
        np.testing.assert_allclose(rows, (((z - k) ** 2)[:, None] - b) * score, rtol=1e-9, atol=1e-12)


def test_more_than_one_dimension_and_other_laws(rng):
    """z in R^3 with theta in R^3: d E|z|^2 / d mu; and a logistic law, whose path goes through an inverse CDF."""
    theta, eps = rng.normal(size=3), rng.normal(size=(6, 3))

    def norm2(z):
        return anp.sum(z**2, axis=-1)

    rows = G.reparameterization(norm2, lambda eps, theta: theta + eps, theta, eps)
    np.testing.assert_allclose(rows, 2 * (theta + eps), rtol=1e-13)
    u, theta = rng.random(S), np.array([0.4, -0.3])
    rows = G.reparameterization(quadratic(0), lambda u, theta: location_scale(logistic(u), theta), theta, u)
    v = np.exp(-0.6) * np.pi**2 / 3  # E z^2 = mu^2 + sigma^2 pi^2 / 3
    np.testing.assert_allclose(rows.mean(0), [0.8, 2 * v], atol=5 * np.sqrt(4 * np.exp(-0.6) * 7 * np.pi**4 / 15 / S))


@settings(deadline=None, max_examples=40)
@given(locations, st.floats(-1, 1), st.integers(0, 99))
def test_estimators_are_linear_in_f_and_keep_the_order_of_samples(mu, log_sigma, seed):
    rng = np.random.default_rng(seed)
    theta, eps, order = np.array([mu, log_sigma]), rng.normal(size=5), rng.permutation(5)
    f, h = quadratic(1), anp.sin

    def both(z):
        return 2 * f(z) - h(z)

    for rows in [
        lambda f, eps: G.reparameterization(f, gaussian, theta, eps),
        lambda f, eps: G.score_function(f, gaussian_log_p, theta, gaussian(eps, theta)),
        lambda f, eps: G.measure_valued(f, theta, np.stack([eps, eps**2, eps + 1], 1)),
        lambda f, eps: G.finite_differences(f, gaussian, theta, eps, 0.1),
    ]:
        np.testing.assert_allclose(rows(both, eps), 2 * rows(f, eps) - rows(h, eps), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(rows(f, eps[order]), rows(f, eps)[order], rtol=1e-12, atol=1e-12)


# -------------------- means and variances --------------------


@pytest.mark.parametrize(("mu", "sigma", "k"), [(1, 1, -3), (1, 1, 0), (1, 1, 3), (-0.4, 0.6, 0.5), (2.0, 1.7, 2.0)])
def test_quadratic_cost_means_and_variances(rng, mu, sigma, k):
    """E (z - k)^2 = a^2 + sigma^2: gradient (2a, 2 sigma^2) in (mu, log sigma)."""
    theta, eps = np.array([mu, np.log(sigma)]), rng.normal(size=S)
    f, z = quadratic(k), gaussian(eps, theta)
    exact, to_log = np.array([2 * (mu - k), 2 * sigma**2]), np.array([1, sigma**2])
    v = G.quadratic_variances(mu, sigma, k)
    agrees(G.reparameterization(f, gaussian, theta, eps), exact, v["pathwise"] * to_log)
    agrees(G.score_function(f, gaussian_log_p, theta, z), exact, v["score_function"] * to_log)
    b = G.quadratic_baselines(mu, sigma, k)
    v_b = G.quadratic_variances(mu, sigma, k, b)["score_function"]
    agrees(G.score_function(f, gaussian_log_p, theta, z, b), exact, v_b * to_log)
    rows = G.measure_valued(f, theta, rng.normal(size=(S, 3)))
    if mu != k:
        agrees(rows, exact, v["measure_valued"] * to_log)
    else:  # a = 0: the coupled pair cancels exactly in mu
        np.testing.assert_allclose(rows[:, 0], 0, atol=1e-12)
        agrees(rows[:, 1:], exact[1:], v["measure_valued"][1:] * to_log[1:])


def by_quadrature(mu, sigma, k, baseline=(0, 0)):
    """Variances of d/dmu and d/dsigma for f = (z - k)^2 from their definitions, by Gauss-Hermite (exact here)."""
    e, w = np.polynomial.hermite_e.hermegauss(20)
    w, a = w / w.sum(), mu - k

    def var(r):
        return w @ r**2 - (w @ r) ** 2

    f = (a + sigma * e) ** 2
    pathwise = [var(2 * (a + sigma * e)), var(2 * (a + sigma * e) * e)]
    score = [var((f - baseline[0]) * e / sigma), var((f - baseline[1]) * (e**2 - 1) / sigma)]
    return pathwise, score


@settings(deadline=None, max_examples=100)
@given(locations, scales, locations, st.tuples(locations, locations))
def test_quadratic_variances_by_quadrature(mu, sigma, k, b):
    pathwise, score = by_quadrature(mu, sigma, k, b)
    v = G.quadratic_variances(mu, sigma, k, b)
    np.testing.assert_allclose(v["pathwise"], pathwise, rtol=1e-9)
    np.testing.assert_allclose(v["score_function"], score, rtol=1e-9)


@settings(deadline=None, max_examples=40)
@given(locations, scales, locations)
def test_measure_valued_variances_by_quadrature(mu, sigma, k):
    """Coupled: Rayleigh w on both sides; Maxwell m with m u ~ N(0, 1) for u ~ U(0, 1), as |(x, y, z)| and z are."""
    f, rayleigh = quadratic(k), stats.rayleigh

    def r(w):
        return (f(mu + sigma * w) - f(mu - sigma * w)) / (sigma * np.sqrt(2 * np.pi))

    first, second = rayleigh.expect(r), rayleigh.expect(lambda w: r(w) ** 2)
    assert first == pytest.approx(2 * (mu - k), abs=1e-6)
    v_mu, v_sigma = G.quadratic_variances(mu, sigma, k)["measure_valued"]
    assert v_mu == pytest.approx(second - first**2, abs=1e-5)
    u, wu = np.polynomial.legendre.leggauss(12)
    u, wu = (u[:, None] + 1) / 2, wu[:, None] / 2
    m, wm = np.polynomial.hermite_e.hermegauss(20)
    wm = wm * m**2 / np.sum(wm * m**2)  # double-sided Maxwell
    rows = (f(mu + sigma * m) - f(mu + sigma * m * u)) / sigma
    assert np.sum(wu * wm * rows) == pytest.approx(2 * sigma, rel=1e-9)
    assert v_sigma == pytest.approx(np.sum(wu * wm * rows**2) - 4 * sigma**2, rel=1e-9)


def test_the_coupling_has_the_laws_it_claims(rng):
    """f = 1[z <= t] reads off the two laws: the estimator's pair are a Maxwell and a normal, and two Rayleighs."""
    eps = rng.normal(size=(50_000, 3))
    seen = []
    G.measure_valued(lambda z: seen.append(z) or z, np.zeros(2), eps)
    right, left, m, n = seen
    assert stats.kstest(right, stats.rayleigh.cdf).pvalue > 1e-6
    np.testing.assert_array_equal(left, -right)
    assert stats.kstest(np.abs(m), stats.maxwell.cdf).pvalue > 1e-6
    assert stats.kstest(m, lambda x: 0.5 + 0.5 * np.sign(x) * stats.maxwell.cdf(np.abs(x))).pvalue > 1e-6
    assert stats.kstest(n, stats.norm.cdf).pvalue > 1e-6


def test_numbers_of_the_lecture_for_the_quadratic_cost():
    """Mohamed et al. figure 2: mu = sigma = 1 and k = -3, 0, 3."""
    table = [G.quadratic_variances(1, 1, k) for k in (-3, 0, 3)]

    def column(name, i):
        return [v[name][i] for v in table]

    assert column("score_function", 0) == [495, 30, 87]
    assert column("score_function", 1) == [1546, 136, 346]
    assert column("pathwise", 0) == [4, 4, 4]
    assert column("pathwise", 1) == [72, 12, 24]
    np.testing.assert_allclose(column("measure_valued", 0), [17.487, 1.093, 4.372], atol=5e-4)

    def gain(a):
        return np.subtract(*[G.quadratic_variances(a, 1, 0)[n][0] for n in ("measure_valued", "pathwise")])

    assert optimize.brentq(gain, 1, 3) == pytest.approx(1.91306, abs=5e-6)  # |a| / sigma


@settings(deadline=None, max_examples=40)
@given(locations, scales, locations)
def test_the_optimal_baseline_is_not_the_mean_of_f(mu, sigma, k):
    b, a2, s2 = G.quadratic_baselines(mu, sigma, k), (mu - k) ** 2, sigma**2

    def v(b):
        return G.quadratic_variances(mu, sigma, k, b)["score_function"]

    np.testing.assert_allclose(v(b), [8 * a2 + 6 * s2, 40 * a2 + 24 * s2], rtol=1e-9)
    assert np.all(v(b) < np.minimum(v(1.01 * b), v(0.99 * b)))
    assert np.all(v(b) < v(a2 + s2))  # E f


def test_optimal_baseline_from_samples(rng):
    theta = np.array([0.5, -0.2])
    z = gaussian(rng.normal(size=S), theta)
    b = G.optimal_baseline(quadratic(-1), gaussian_log_p, theta, z)
    np.testing.assert_allclose(b, G.quadratic_baselines(0.5, np.exp(-0.2), -1), rtol=0.02)
    s = G.score(gaussian_log_p, theta, z)
    by_hand = [np.sum((z + 1) ** 2 * s[:, j] ** 2) / np.sum(s[:, j] ** 2) for j in range(2)]
    np.testing.assert_allclose(b, by_hand, rtol=1e-12)


def test_leave_one_out_by_loops_and_unbiased(rng):
    values = rng.normal(size=6)
    expected = [[np.mean([values[t] for t in range(6) if t != s])] for s in range(6)]
    np.testing.assert_allclose(G.leave_one_out(values), expected, rtol=1e-12)
    # groups of 4 samples: the average over many groups is unbiased, the sample mean as a baseline loses 1/4
    theta, f = np.array([1.0, 0.0]), quadratic(0)
    z = gaussian(rng.normal(size=(2000, 4)), theta)

    def group(z, b):
        return G.score_function(f, gaussian_log_p, theta, z, b).mean(0)[0]

    for shrink, baseline in [(1, G.leave_one_out), (0.75, lambda v: np.full((4, 1), v.mean()))]:
        rows = np.array([group(row, baseline(f(row))) for row in z])
        assert abs(rows.mean() - 2 * shrink) < 5 * rows.std() / len(rows) ** 0.5
        assert abs(rows.mean() - 2 * (1.75 - shrink)) > 5 * rows.std() / len(rows) ** 0.5


@settings(deadline=None, max_examples=40)
@given(st.floats(0.05, 4), locations, scales)
def test_cosine_and_exponential_variances_by_quadrature(k, mu, sigma):
    z = mu + sigma * np.linspace(-12, 12, 4001)  # trapezoidal rule: spectrally accurate
    w = stats.norm(mu, sigma).pdf(z) * (z[1] - z[0])

    def var(r):
        return w @ r**2 - (w @ r) ** 2

    score = (z - mu) / sigma**2
    for variances, f, slope in [
        (G.cosine_variances, np.cos(k * z), -k * np.sin(k * z)),
        (G.exponential_variances, np.exp(-k * z**2), -2 * k * z * np.exp(-k * z**2)),
    ]:
        v = variances(mu, sigma, k)
        assert v["pathwise"] == pytest.approx(var(slope), rel=1e-8, abs=1e-12)
        assert v["score_function"] == pytest.approx(var(f * score), rel=1e-8, abs=1e-12)


def test_numbers_of_the_lecture_for_the_cosine_and_exponential_costs(rng):
    """Mohamed et al. figure 3: mu = sigma = 1."""
    table = [
        (G.cosine_variances, [0.5, 1.58, 5], [0.4552, 0.3248, 0.5], [0.0393, 1.0510, 12.5]),
        (G.exponential_variances, [0.1, 1, 10], [0.5635, 0.1758, 0.0769], [0.0163, 0.2117, 0.9416]),
    ]
    for variances, ks, score, pathwise in table:
        np.testing.assert_allclose([variances(1, 1, k)["score_function"] for k in ks], score, atol=5e-5)
        np.testing.assert_allclose([variances(1, 1, k)["pathwise"] for k in ks], pathwise, atol=5e-5)

    def difference(k):
        return np.subtract(*G.cosine_variances(0, 1, k).values())

    assert optimize.brentq(difference, 0.5, 1.2) == pytest.approx(0.8511534, abs=5e-8)
    theta, eps = np.array([1.0, 0.0]), rng.normal(size=S)
    for k, f, variances in [
        (1.58, lambda z: anp.cos(1.58 * z), G.cosine_variances),
        (1, lambda z: anp.exp(-(z**2)), G.exponential_variances),
    ]:
        v = variances(1, 1, k)
        w = stats.norm(1, 1).expect(lambda z: f(z) * (z - 1))  # noqa: B023
        agrees(G.reparameterization(f, gaussian, theta, eps)[:, :1], w, v["pathwise"])
        agrees(G.score_function(f, gaussian_log_p, theta, 1 + eps)[:, :1], w, v["score_function"])


@pytest.mark.parametrize("p", [1, 10, 100])
def test_only_the_score_function_pays_for_the_dimension(rng, p):
    v = G.squared_norm_variances(p)
    assert v == {"pathwise": 4, "score_function": {1: 15, 10: 168, 100: 10608}[p]}
    eps = rng.normal(size=(20_000, p))

    def norm2(z):
        return anp.sum(z**2, axis=-1)

    def log_p(z, mu):
        return -0.5 * anp.sum((z - mu) ** 2, axis=-1)

    agrees(G.reparameterization(norm2, lambda e, mu: mu + e, np.zeros(p), eps)[:, :1], 0, v["pathwise"])
    agrees(G.score_function(norm2, log_p, np.zeros(p), eps)[:, :1], 0, v["score_function"])
    assert G.squared_norm_variances(p, 0.5)["score_function"] == v["score_function"] / 4


def test_the_score_has_mean_zero_and_the_fisher_information_as_variance(rng):
    theta = np.array([0.3, np.log(0.5)])
    agrees(G.score(gaussian_log_p, theta, gaussian(rng.normal(size=S), theta)), 0, [1 / 0.25, 2])


# -------------------- other routes to the same gradient --------------------


def test_implicit_reparameterization_is_the_same_path(rng):
    """Logistic law: the path z = mu + sigma logit(u) and the implicit one through its CDF agree sample by sample."""
    theta, u = np.array([0.3, -0.4]), rng.random(20)

    def standard(z, theta):
        return (z - theta[..., 0]) * anp.exp(-theta[..., 1])

    def cdf(z, theta):
        return 1 / (1 + anp.exp(-standard(z, theta)))

    def log_p(z, theta):
        return -standard(z, theta) - theta[..., 1] - 2 * anp.log1p(anp.exp(-standard(z, theta)))

    def g(u, theta):
        return location_scale(logistic(u), theta)

    def f(z):
        return anp.sin(z) + z**2

    implicit = G.implicit_reparameterization(f, cdf, log_p, theta, g(u, theta))
    np.testing.assert_allclose(implicit, G.reparameterization(f, g, theta, u), rtol=1e-9)


def test_finite_differences_with_common_and_with_fresh_noise(rng):
    """f = (z - k)^2: exact in mu; [4 a e sinh h + 2 e^2 sinh 2h] / 2h in log sigma, a = mu - k, e = sigma eps."""
    theta, eps, h, a, sigma = np.array([0.8, 0.1]), rng.normal(size=S), 0.01, 1.3, np.exp(0.1)
    f, e = quadratic(0.8 - a), sigma * eps
    rows = G.finite_differences(f, gaussian, theta, eps, h)
    np.testing.assert_allclose(rows[:, 0], 2 * (a + e), atol=1e-10)
    np.testing.assert_allclose(rows[:, 1], (2 * a * e * np.sinh(h) + e**2 * np.sinh(2 * h)) / h, atol=1e-9)
    fresh = G.finite_differences(f, gaussian, theta, eps, h, rng.normal(size=S))
    v_up, v_down = (4 * b**2 * sigma**2 + 2 * sigma**4 for b in (a + h, a - h))  # Var f(z) at mu + h, mu - h
    agrees(fresh[:, :1], 2 * a, (v_up + v_down) / (4 * h**2))


# conjugate toy: z ~ N(0, 1), x | z ~ N(z, 1), x = 2; log p(x, z) up to a constant, and its posterior N(1, 1/2)
def log_joint(z):
    return -0.5 * z**2 - 0.5 * (2 - z) ** 2 - np.log(2 * np.pi)


def log_lik(z):
    return -0.5 * (2 - z) ** 2 - 0.5 * np.log(2 * np.pi)


POSTERIOR = np.array([1.0, -0.5 * np.log(2)])
PRIOR = np.zeros(2)


def kl_gradient(theta):
    return np.array([theta[0], np.exp(2 * theta[1]) - 1])  # of KL(N(m, s^2) || N(0, 1)) in (m, log s)


def test_variances_of_the_elbo_gradient_at_the_posterior(rng):
    """All Monte Carlo 2 and 2, analytic KL 0.5 and 1, sticking the landing 0 and 0; the exact gradient is 0."""
    eps = rng.normal(size=S)
    agrees(G.elbo_gradient(log_joint, gaussian_log_p, gaussian, POSTERIOR, eps), 0, 2)
    rows = G.reparameterization(log_lik, gaussian, POSTERIOR, eps) - kl_gradient(POSTERIOR)
    agrees(rows, 0, [0.5, 1])
    stuck = G.sticking_the_landing(log_joint, gaussian_log_p, gaussian, POSTERIOR, eps)
    np.testing.assert_allclose(stuck, 0, atol=1e-13)


def test_variances_of_the_elbo_gradient_at_the_prior(rng):
    """d/dm at q = prior: 4 against 1; the score function 29.03 (by hand: 33.03 - 4); the exact gradient is 2."""
    eps = rng.normal(size=S)
    agrees(G.elbo_gradient(log_joint, gaussian_log_p, gaussian, PRIOR, eps)[:, 0:1], 2, 4)
    rows = G.reparameterization(log_lik, gaussian, PRIOR, eps) - kl_gradient(PRIOR)
    agrees(rows[:, :1], 2, 1)
    A = 2 + 0.5 * np.log(2 * np.pi)  # -log p(x | z) = A - 2z + z^2/2
    exact = A**2 + 12 + 15 / 4 + 3 * A - 4
    assert exact == pytest.approx(29.05, abs=0.05)
    agrees(G.score_function(log_lik, gaussian_log_p, PRIOR, eps)[:, :1], 2, exact)


def test_sticking_the_landing_drops_exactly_the_score(rng):
    theta, eps = np.array([0.3, -0.7]), rng.normal(size=50)
    full = G.elbo_gradient(log_joint, gaussian_log_p, gaussian, theta, eps)
    stuck = G.sticking_the_landing(log_joint, gaussian_log_p, gaussian, theta, eps)
    score = G.score(gaussian_log_p, theta, gaussian(eps, theta))
    np.testing.assert_allclose(stuck - full, score, rtol=1e-10, atol=1e-12)


# -------------------- where the trick fails --------------------


def test_the_path_misses_the_jump_of_heaviside(rng):
    """mu = 1/2, sigma = 1: 0 on every path; the truth phi(1/2) = 0.3520653, which the score function finds."""
    out = G.heaviside_failure(np.array([0.5, 0.0]), rng.normal(size=S))
    assert not np.any(out.pathwise)
    assert out.truth[0] == pytest.approx(0.3520653, abs=5e-8)
    assert out.truth[0] == pytest.approx(stats.norm.pdf(0.5), rel=1e-12)
    p = stats.norm.cdf(0.5)
    second = integrate.quad(lambda e: e**2 * stats.norm.pdf(e), -0.5, np.inf)[0]
    agrees(out.score_function[:, :1], out.truth[0], second - out.truth[0] ** 2)

    def fine(t):
        return stats.norm.cdf(t[0] / np.exp(t[1]))

    for theta in [np.array([0.5, 0.0]), np.array([-0.4, 0.3])]:
        truth = optimize.approx_fprime(theta, fine, 1e-7)
        np.testing.assert_allclose(G.heaviside_failure(theta, np.zeros(1)).truth, truth, atol=1e-6)
    rows = G.measure_valued(lambda z: 1.0 * (z > 0), np.array([0.5, 0.0]), rng.normal(size=(S, 3)))
    errors = (rows.mean(0) - out.truth) / (rows.std(0) / S**0.5)
    assert np.all(np.abs(errors) < 5) and 0 < p < 1


def test_the_score_function_misses_a_moving_support(rng):
    for theta in [1.0, 3.0]:
        out = G.uniform_failure(np.array([theta]), rng.random(S))
        agrees(out.pathwise, 0.5, 1 / 12)
        agrees(out.score_function, -0.5, 1 / 12)  # wrong sign; the boundary term f(theta) p(theta) = 1 is what it lacks
        assert out.truth == [0.5]


# -------------------- differentiable, dtype, bad input --------------------


def test_estimators_can_be_differentiated_again(rng):
    """The average of the rows is itself a function of theta: second derivatives through both modes."""
    eps, theta = rng.normal(size=4), rng.normal(size=2)
    f = anp.sin
    check_grads(lambda t: G.reparameterization(f, gaussian, t, eps), modes=["fwd", "rev"], order=1)(theta)
    check_grads(lambda t: G.score_function(f, gaussian_log_p, t, eps), modes=["fwd", "rev"], order=1)(theta)
    check_grads(lambda t: G.elbo_gradient(log_joint, gaussian_log_p, gaussian, t, eps), modes=["fwd", "rev"], order=1)(
        theta
    )


def test_float32_stays_float32(rng):
    theta, eps, eps3 = (a.astype(np.float32) for a in (rng.normal(size=2), rng.random(5), rng.normal(size=(5, 3))))
    f = quadratic(1)
    z = gaussian(eps, theta)
    rows = [
        G.reparameterization(f, gaussian, theta, eps),
        G.score(gaussian_log_p, theta, z),
        G.score_function(f, gaussian_log_p, theta, z, G.leave_one_out(f(z))),
        G.optimal_baseline(f, gaussian_log_p, theta, z),
        G.measure_valued(f, theta, eps3),
        G.finite_differences(f, gaussian, theta, eps, 0.01),
        G.elbo_gradient(lambda z: -(z**2), gaussian_log_p, gaussian, theta, eps),
        G.sticking_the_landing(lambda z: -(z**2), gaussian_log_p, gaussian, theta, eps),
        *G.heaviside_failure(theta, eps)[:2],
        *G.uniform_failure(np.exp(theta[:1]), eps)[:2],
    ]
    assert {r.dtype for r in rows} == {np.dtype(np.float32)}


def test_integers_as_parameters_and_one_or_no_sample():
    rows = G.reparameterization(quadratic(0), gaussian, np.array([1, 0]), np.array([0.5]))
    np.testing.assert_allclose(rows, [[3, 1.5]])  # autograd alone would round the gradient of integer parameters
    assert G.reparameterization(quadratic(0), gaussian, np.zeros(2), np.zeros(0)).shape == (0, 2)


def norm(z):
    return anp.sum(z**2, axis=-1)


def shifted(z, theta):
    return -((z - theta[:, 0]) ** 2) / 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: G.reparameterization(lambda z: anp.mean(z), gaussian, np.zeros(2), np.zeros(3)), "one number each"),
        (lambda: G.score_function(lambda z: z[:, None], gaussian_log_p, np.zeros(2), np.zeros(3)), "one number each"),
        (lambda: G.score(lambda z, t: anp.sum(gaussian_log_p(z, t)), np.zeros(2), np.zeros(3)), "one number each"),
        (lambda: G.finite_differences(np.sum, gaussian, np.zeros(2), np.zeros(3), 0.1), "one number each"),
        (lambda: G.measure_valued(np.sum, np.zeros(2), np.zeros((3, 3))), "one number each"),
        (lambda: G.reparameterization(quadratic(0), gaussian, np.zeros((3, 2)), np.zeros(3)), "parameter vector"),
        (lambda: G.leave_one_out(np.zeros(1)), "at least 2"),
        (lambda: G.leave_one_out(np.zeros((3, 1))), r"\(S,\)"),
        (lambda: G.score_function(quadratic(0), gaussian_log_p, np.zeros(2), np.zeros(3), np.zeros(3)), r"\(S, 1\)"),
        (lambda: G.score_function(lambda z: z, shifted, np.zeros(1), np.zeros(3), np.zeros(3)), r"\(S, 1\)"),
        (lambda: G.reparameterization(norm, gaussian, np.zeros(2), np.zeros((3, 1))), "for each"),
        (lambda: G.squared_norm_variances(2, -1.0), "sigma"),
        (lambda: G.quadratic_variances(0, 0, 1), "sigma"),
        (lambda: G.cosine_variances(0, -1, 1), "sigma"),
        (lambda: G.exponential_variances(0, np.nan, 1), "sigma"),
        (lambda: G.exponential_variances(0, 1, -1), "k is -1"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
