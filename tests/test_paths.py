"""One-liners against scipy's quantiles, densities against scipy and quadrature, determinants against brute force."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian, jacobian, make_jvp
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from enm5310 import paths

BOTH = ["fwd", "rev"]
INVERSE_CDFS = {
    "exponential": (paths.exponential, stats.expon),
    "logistic": (paths.logistic, stats.logistic),
    "gumbel": (paths.gumbel, stats.gumbel_r),
    "laplace": (paths.laplace, stats.laplace),
    "cauchy": (paths.cauchy, stats.cauchy),
}


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def within(estimates, truth, variance):
    """|mean - truth| <= 5 standard errors, with the variance known in closed form."""
    error = abs(np.mean(estimates, axis=0) - truth) / np.sqrt(variance / len(estimates))
    assert np.all(error < 5), f"{error} standard errors from {truth}"


# -------------------- inversion --------------------


@pytest.mark.parametrize("name", INVERSE_CDFS)
def test_inverse_cdf_equals_scipy_on_a_grid(name):
    z, law = INVERSE_CDFS[name]
    u = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(z(u), law.ppf(u), rtol=1e-12, atol=1e-12)
    assert np.all(np.diff(z(u)) > 0)


@pytest.mark.parametrize("name", INVERSE_CDFS)
@settings(deadline=None, max_examples=60)
@given(u=st.floats(2**-60, 1 - 2**-53))
def test_cdf_of_the_inverse_is_u(name, u):
    z, law = INVERSE_CDFS[name]
    assert law.cdf(z(np.array(u))) == pytest.approx(u, rel=1e-9, abs=4e-16)


@pytest.mark.parametrize("name", INVERSE_CDFS)
def test_finite_at_the_ends_of_what_generators_return(name):
    z, _ = INVERSE_CDFS[name]
    for u in [1 - 2**-53, 0.5, 2**-53, 2**-1022]:
        assert np.isfinite(z(np.array(u)))
    assert np.isfinite(z(np.array(1 - 2**-24, np.float32)))


def test_the_tails_are_where_they_should_be():
    top = np.array(1 - 2**-53)
    assert paths.exponential(top) == pytest.approx(53 * np.log(2), rel=1e-14)
    assert paths.logistic(top) == pytest.approx(53 * np.log(2), rel=1e-14)
    assert paths.laplace(top) == pytest.approx(52 * np.log(2), rel=1e-14)
    assert paths.gumbel(top) == pytest.approx(53 * np.log(2), rel=1e-14)
    assert paths.cauchy(top) > 1e15


@pytest.mark.parametrize(
    ("name", "mean", "variance", "fourth"),  # fourth: E (z - mean)^4, so that the variance has a known error
    [
        ("exponential", 1, 1, 9),
        ("logistic", 0, np.pi**2 / 3, 7 * np.pi**4 / 15),
        ("gumbel", np.euler_gamma, np.pi**2 / 6, 5.4 * np.pi**4 / 36),
        ("laplace", 0, 2, 24),
    ],
)
def test_moments_of_the_lecture(rng, name, mean, variance, fourth):
    z = INVERSE_CDFS[name][0](rng.random(200_000))
    within(z, mean, variance)
    within((z - mean) ** 2, variance, fourth - variance**2)


def test_exponential_has_mean_one_over_rate():
    u = np.array([0.2, 0.9])
    np.testing.assert_allclose(paths.exponential(u, 4.0), stats.expon(scale=0.25).ppf(u), rtol=1e-14)


# -------------------- location, scale, polar --------------------


def test_gaussian_and_its_log_density(rng):
    eps, theta = rng.normal(size=6), rng.normal(size=2)
    mu, sigma = theta[0], np.exp(theta[1])
    z = paths.gaussian(eps, theta)
    np.testing.assert_allclose(z, [mu + sigma * e for e in eps], rtol=1e-15)
    np.testing.assert_allclose(paths.gaussian_log_p(z, theta), stats.norm(mu, sigma).logpdf(z), rtol=1e-12)
    np.testing.assert_array_equal(paths.gaussian(eps, np.tile(theta, (6, 1))), z)  # one copy of theta per sample
    np.testing.assert_array_equal(paths.location_scale(paths.logistic(np.array([0.5])), theta), [mu])
    assert paths.gaussian(eps, np.array([0.3, -800.0])).tolist() == [0.3] * 6  # sigma -> 0: a point mass


def test_multivariate_normal_is_exact_in_eps_and_in_its_moments(rng):
    mu, L = rng.normal(size=3), np.linalg.cholesky(np.array([[2.0, 0.6, 0.1], [0.6, 1.0, -0.4], [0.1, -0.4, 0.5]]))
    eps = rng.normal(size=(5, 3))
    expected = [[mu[i] + sum(L[i, j] * e[j] for j in range(3)) for i in range(3)] for e in eps]
    np.testing.assert_allclose(paths.multivariate_normal(eps, mu, L), expected, rtol=1e-14)
    Z = paths.multivariate_normal(np.vstack([np.eye(3), -np.eye(3)]) * np.sqrt(3), mu, L)  # moments of N(0, I) exactly
    np.testing.assert_allclose(Z.mean(0), mu, rtol=1e-13)
    np.testing.assert_allclose((Z - mu).T @ (Z - mu) / 6, L @ L.T, atol=1e-14)


def test_box_muller_moments(rng):
    a, b = paths.box_muller(rng.random(200_000), rng.random(200_000))
    for z in (a, b):
        within(z, 0, 1)
        within(z**2, 1, 2)  # variance 1; without the 2 under the root it is 1/2
        within(z**4, 3, 96)
    within(a * b, 0, 1)
    within(a**2 * b**2, 1, 8)  # independent, not only uncorrelated


def test_box_muller_pulls_the_normal_density_back_to_the_uniform_one():
    """|d(a, b) / d(u, v)| phi(a) phi(b) = 1 at every point of the square."""
    for u, v in [(0.3, 0.1), (0.9, 0.6), (0.01, 0.99)]:
        J = jacobian(lambda t: anp.array(paths.box_muller(t[0], t[1])))(np.array([u, v]))
        a, b = paths.box_muller(np.array(u), np.array(v))
        assert abs(np.linalg.det(J)) * stats.norm.pdf(a) * stats.norm.pdf(b) == pytest.approx(1, rel=1e-12)


# -------------------- densities --------------------

# z = g(eps), its inverse, the law of eps, the law of z
MAPS = {
    "lognormal": (anp.exp, anp.log, stats.norm, stats.lognorm(1)),
    "log of 1 + exponential": (anp.log1p, anp.expm1, stats.expon, None),
    "decreasing": (lambda e: 2 - 3 * e, lambda z: (2 - z) / 3, stats.norm, stats.norm(2, 3)),
    "inverse": (lambda e: 1 / e, lambda z: 1 / z, stats.expon, stats.invgamma(1)),
    "logistic": (paths.logistic, lambda z: 1 / (1 + anp.exp(-z)), stats.uniform, stats.logistic),
    "gumbel": (paths.gumbel, lambda z: anp.exp(-anp.exp(-z)), stats.uniform, stats.gumbel_r),
    "exponential": (paths.exponential, lambda z: 1 - anp.exp(-z), stats.uniform, stats.expon),
    "laplace": (paths.laplace, None, stats.uniform, stats.laplace),
    "cauchy": (paths.cauchy, lambda z: 0.5 + anp.arctan(z) / np.pi, stats.uniform, stats.cauchy),
}


def log_density(law):
    """A log density that autograd can pass through for the laws of eps above."""
    return {
        stats.norm: lambda e: -0.5 * math.log(2 * math.pi) - 0.5 * e**2,
        stats.expon: lambda e: -e,
        stats.uniform: lambda e: 0 * e,
    }[law]


@pytest.mark.parametrize("name", MAPS)
def test_pushforward_density_equals_scipy_and_integrates_to_one(name):
    g, inverse, law, target = MAPS[name]
    eps = law.ppf(np.array([0.02, 0.3, 0.5, 0.77, 0.99]))
    z, log_p = paths.push_forward(log_density(law), g, eps)
    if target:
        np.testing.assert_allclose(log_p, target.logpdf(z), rtol=1e-9, atol=1e-12)
    if inverse:
        np.testing.assert_allclose(paths.pushforward_log_p(log_density(law), inverse, z), log_p, rtol=1e-9, atol=1e-12)

        def p(z):
            return np.exp(paths.pushforward_log_p(log_density(law), inverse, np.array([z])))[0]

        low, high = sorted(np.array(g(law.ppf(np.array([0.01, 0.95])))))
        assert integrate.quad(p, low, high, limit=200)[0] == pytest.approx(0.94, abs=1e-7)


@pytest.mark.parametrize("name", MAPS)
def test_mass_is_conserved_cell_by_cell(name):
    """|p(z) dz| = |p(eps) d eps| (slide 7), against differences of scipy's CDF."""
    g, inverse, law, _ = MAPS[name]
    edges = law.ppf(np.linspace(0.05, 0.95, 19))
    noise = paths.masses(log_density(law), edges)
    np.testing.assert_allclose(noise, np.full(18, 0.05), rtol=1e-9)
    if inverse:
        image = paths.masses(lambda z: paths.pushforward_log_p(log_density(law), inverse, z), g(edges))
        np.testing.assert_allclose(image, noise, rtol=1e-7)


@settings(deadline=None, max_examples=60)
@given(st.floats(-3, 3), st.floats(0.1, 5), st.sampled_from([-1, 1]))
def test_affine_maps_scale_densities_by_the_inverse_slope(shift, slope, sign):
    z = np.linspace(-2, 2, 5)
    log_p = paths.pushforward_log_p(log_density(stats.norm), lambda z: (z - shift) / (sign * slope), z)
    np.testing.assert_allclose(log_p, stats.norm(shift, slope).logpdf(z), rtol=1e-10)


# -------------------- planar flow --------------------


@pytest.mark.parametrize("p", [1, 2, 3])
def test_planar_flow_against_loops_and_the_full_jacobian(rng, p):
    z, w, u, b = rng.normal(size=(4, p)), rng.normal(size=p), rng.normal(size=p), 0.3
    u = u + (0.1 - min(0, u @ w)) * w / (w @ w)  # keeps u^T w > 0
    out, log_det = paths.planar_flow(z, w, u, b)
    for i in range(4):
        h = np.tanh(sum(w[j] * z[i, j] for j in range(p)) + b)
        np.testing.assert_allclose(out[i], [z[i, j] + u[j] * h for j in range(p)], rtol=1e-13)
        J = jacobian(lambda z: paths.planar_flow(z[None], w, u, b)[0][0])(z[i])
        assert log_det[i] == pytest.approx(np.log(abs(np.linalg.det(J))), rel=1e-10)


@pytest.mark.parametrize(("w", "u"), [(1.5, 0.8), (2.0, -0.45), (-0.5, 0.3)])
def test_density_of_a_planar_flow_integrates_to_one(w, u):
    z = np.linspace(-9, 9, 20_001)
    out, log_det = paths.planar_flow(z[:, None], np.array([w]), np.array([u]), 0.2)
    p_out = stats.norm.pdf(z) * np.exp(-log_det)  # change of variables, on the uneven grid of the images
    assert np.trapezoid(p_out, out[:, 0]) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(p_out * out[:, 0] ** 2, out[:, 0]) == pytest.approx(
        stats.norm.expect(lambda z: (z + u * np.tanh(w * z + 0.2)) ** 2), abs=1e-6
    )


# -------------------- differentiable, dtype, bad input --------------------


def test_derivatives_in_both_modes(rng):
    u, v, eps = rng.uniform(0.05, 0.95, (3, 5))
    for z, _ in INVERSE_CDFS.values():
        check_grads(z, modes=BOTH, order=2)(u)
    check_grads(paths.exponential, modes=BOTH, order=2)(u, 1.7)
    check_grads(lambda u, v: paths.box_muller(u, v)[0] * paths.box_muller(u, v)[1], modes=BOTH, order=2)(u, v)
    check_grads(paths.gaussian, modes=BOTH, order=2)(eps, rng.normal(size=2))
    check_grads(paths.gaussian_log_p, modes=BOTH, order=2)(eps, rng.normal(size=2))
    L = np.tril(rng.normal(size=(5, 5)))
    check_grads(paths.multivariate_normal, modes=["rev"], order=2)(rng.normal(size=(3, 5)), rng.normal(size=5), L)
    w, s = np.array([0.5, 0.2]), np.array([0.3, 0.4])

    def flow(z, w, s, b):
        return sum(anp.sum(part) for part in paths.planar_flow(z, w, s, b))

    check_grads(flow, modes=BOTH, order=2)(rng.normal(size=(4, 2)), w, s, 0.1)

    def density(z, mu):
        return paths.pushforward_log_p(log_density(stats.norm), lambda z: anp.arcsinh(z) - mu, z)

    check_grads(density, modes=["rev"], order=1)(u, 0.3)


def test_the_path_of_the_lecture_has_the_exact_gradient():
    """E[z^2 + sin z], z ~ N(phi^3, e^2phi): value and slope at phi = 1/2 and value at -0.1, against closed forms."""
    u = (np.arange(200_000) + 0.5) / 200_000
    eps = stats.norm.ppf(u)

    def cost(phi):
        return anp.mean((z := phi**3 + anp.exp(phi) * eps) ** 2 + anp.sin(z))

    m, v = lambda phi: phi**3, lambda phi: np.exp(2 * phi)

    def exact(phi):
        return m(phi) ** 2 + v(phi) + np.sin(m(phi)) * np.exp(-v(phi) / 2)

    assert exact(0.5) == pytest.approx(2.7659334, abs=5e-8)
    assert exact(-0.1) == pytest.approx(0.8180677, abs=5e-8)
    slope = 6 * 0.5**5 + 2 * np.e + (0.75 * np.cos(0.125) - np.e * np.sin(0.125)) * np.exp(-np.e / 2)
    assert slope == pytest.approx(5.7281641, abs=5e-8)
    assert cost(0.5) == pytest.approx(exact(0.5), abs=2e-4)
    assert grad(cost)(0.5) == pytest.approx(slope, abs=4e-4)


def test_float32_stays_float32(rng):
    u, eps, theta = (a.astype(np.float32) for a in (rng.random(5), rng.normal(size=(5, 2)), rng.normal(size=2)))
    outputs = [z(u) for z, _ in INVERSE_CDFS.values()] + list(paths.box_muller(u, u))
    outputs += [paths.masses(log_density(stats.norm), np.sort(u))]
    outputs += [paths.gaussian(u, theta), paths.gaussian_log_p(u, theta), *paths.planar_flow(eps, theta, theta, 0.1)]
    outputs += [paths.multivariate_normal(eps, theta, np.eye(2, dtype=np.float32))]
    assert {a.dtype for a in outputs} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", INVERSE_CDFS)
@pytest.mark.parametrize("u", [0.0, 1.0, -0.1, np.nan])
def test_noise_outside_the_open_interval_is_refused(name, u):
    with pytest.raises(ValueError, match="between 0 and 1"):
        INVERSE_CDFS[name][0](np.array([0.5, u]))


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="Cholesky"):
        paths.multivariate_normal(np.zeros((3, 2)), np.zeros(2), np.array([[1, 0.5], [0.5, 1]]))  # S for L
    with pytest.raises(ValueError, match="not invertible"):
        paths.planar_flow(np.zeros((1, 2)), np.array([1.0, 0]), np.array([-1.1, 0]), 0.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        paths.box_muller(np.array([0.0]), np.array([0.3]))
    one, column = np.full(3, 0.5), np.full((3, 1), 0.5)
    for f in (paths.gaussian, paths.location_scale, paths.gaussian_log_p):  # (S, 1) with (S,) would give (S, S)
        with pytest.raises(ValueError, match="for each"):
            f(column, np.zeros((3, 2)))
        np.testing.assert_array_equal(f(one, np.zeros((3, 2))), f(one, np.zeros(2)))
    with pytest.raises(ValueError, match="its own two"):
        paths.box_muller(one, column)
    for rate in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="rate"):
            paths.exponential(one, rate)
    with pytest.raises(ValueError, match="one row per row"):
        paths.multivariate_normal(np.zeros((3, 2)), column, np.eye(2))
    for w, u in [(np.ones((2, 1)), np.ones(2)), (np.ones(2), np.ones(1)), (np.ones(3), np.ones(3))]:
        with pytest.raises(ValueError, match=r"\(n, p\), \(p,\)"):
            paths.planar_flow(np.ones((4, 2)), w, u, 0.0)

    def summed(z):
        return np.sum(-(z**2), axis=-1)  # sums over features, and here there are none

    with pytest.raises(ValueError, match="no sum"):
        paths.pushforward_log_p(summed, lambda z: z / 2, column)
    with pytest.raises(ValueError, match="no sum"):
        paths.push_forward(summed, lambda e: 2 * e, column)
    assert paths.gaussian(np.zeros(0), np.zeros(2)).shape == (0,)  # an empty batch stays empty


# -------------------- derivatives by rule against those of the plain formulas --------------------


def plain_location_scale(e, theta):
    return theta[..., 0] + anp.exp(theta[..., 1]) * e


def plain_log_p(z, theta):
    return -0.5 * math.log(2 * math.pi) - theta[..., 1] - 0.5 * ((z - theta[..., 0]) / anp.exp(theta[..., 1])) ** 2


SHAPES = [((5,), (2,)), ((5,), (5, 2)), ((), (5, 2)), ((3, 4), (3, 4, 2)), ((3, 4), (2,)), ((), (2,))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(
    ("fast", "plain"), [(paths.location_scale, plain_location_scale), (paths.gaussian_log_p, plain_log_p)]
)
def test_rules_equal_the_plain_formulas_twice_in_both_modes(fast, plain, shapes):
    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=shape) for shape in shapes]
    np.testing.assert_allclose(fast(*arguments), plain(*arguments), rtol=1e-13)
    weights = rng.normal(size=np.shape(plain(*arguments)))
    for i in (0, 1):
        direction = rng.normal(size=shapes[i])
        results = []
        for f in (fast, plain):
            total = lambda *a, f=f: anp.sum(weights * f(*a) ** 2)  # noqa: E731
            one = lambda a, f=f, i=i: f(*arguments[:i], a, *arguments[i + 1 :])  # noqa: E731
            results.append([
                grad(total, i)(*arguments), hessian(total, i)(*arguments),
                jacobian(grad(total, i), 1 - i)(*arguments), make_jvp(one)(arguments[i])(direction)[1],
            ])  # fmt: skip
        for mine, wanted in zip(*results, strict=True):
            assert np.shape(mine) == np.shape(wanted)
            np.testing.assert_allclose(mine, wanted, rtol=1e-10, atol=1e-11)
        check_grads(fast, argnum=i, modes=["fwd", "rev"], order=2)(*arguments)


def test_a_small_sigma_far_from_zero_keeps_the_digits_of_its_gradient():
    e, theta = np.float32([0.3, -2.0]), np.float32([1000.0, math.log(1e-3)])  # z - mu has lost them
    slope = grad(lambda theta: anp.sum(paths.gaussian(e, theta)))(theta)
    assert slope.dtype == np.float32
    np.testing.assert_allclose(slope, [2, 1e-3 * -1.7], rtol=1e-6)
