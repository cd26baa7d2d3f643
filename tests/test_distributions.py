"""Every density against scipy.stats and quadrature, every divergence against an integral or a sum over all states."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from enm5310 import distributions as d

BOTH = ["fwd", "rev"]
logits = st.floats(-30, 30)
means = st.floats(-5, 5)
logvars = st.floats(-3, 3)


def covariance(rng, p):
    A = rng.normal(size=(p, p))
    return A @ A.T / p + 0.3 * np.eye(p)


def labels(rng, n, K):
    return np.eye(K)[rng.integers(K, size=n)]


@pytest.fixture
def rng():
    return np.random.default_rng(5)


# -------------------- building blocks --------------------


def test_softplus_and_sigmoid_equal_scipy_and_survive_any_logit():
    a = np.array([-1e4, -800.0, -40, -1, 0, 1e-9, 1, 40, 800, 1e4])
    np.testing.assert_allclose(d.softplus(a), np.logaddexp(0, a), rtol=1e-15)
    np.testing.assert_allclose(d.sigmoid(a), special.expit(a), rtol=4e-16)
    np.testing.assert_array_equal(elementwise_grad(d.softplus)(a), d.sigmoid(a))
    assert elementwise_grad(elementwise_grad(d.softplus))(np.zeros(1)) == 0.25  # the kinks of |a| must cancel here


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_mean_exp_is_the_log_of_the_mean(rng, axis):
    a = rng.normal(size=(3, 4))
    np.testing.assert_allclose(d.log_mean_exp(a, axis), np.log(np.exp(a).mean(axis)), rtol=1e-14)
    np.testing.assert_allclose(d.log_mean_exp(a, axis) + np.log(a.shape[axis]), special.logsumexp(a, axis), rtol=1e-13)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9), st.floats(-1e4, 1e4))
def test_log_mean_exp_moves_with_a_shift_and_lies_between_mean_and_max(a, c):
    a = np.array(a)
    value = d.log_mean_exp(a)
    assert d.log_mean_exp(a + c) == pytest.approx(value + c, abs=1e-10)
    assert a.mean() - 1e-12 <= value <= a.max() + 1e-12  # Jensen
    assert d.log_mean_exp(a[::-1]) == pytest.approx(value, abs=1e-13)


def test_log_mean_exp_at_its_limits():
    np.testing.assert_array_equal(d.log_mean_exp(np.array([[-1e4], [3.0]]), 1), [-1e4, 3])  # K = 1
    assert d.log_mean_exp(np.full(7, -1e4)) == -1e4
    assert d.log_mean_exp(np.array([-np.inf, 0.0])) == pytest.approx(-np.log(2))
    assert d.log_mean_exp(np.array([-np.inf, -np.inf])) == -np.inf
    assert d.log_mean_exp(np.array([np.inf, 0.0])) == np.inf
    assert np.isnan(d.log_mean_exp(np.array([np.nan, 0.0])))
    assert d.log_mean_exp(np.zeros((0, 3))).shape == (0,)  # an empty batch has no values
    with pytest.raises(ValueError, match="empty"):
        d.log_mean_exp(np.zeros((3, 0)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-800, 800), min_size=1, max_size=6))
def test_log_softmax_equals_scipy(l):
    np.testing.assert_allclose(d.log_softmax(np.array(l)), special.log_softmax(l), atol=1e-12)


# -------------------- densities --------------------


@pytest.mark.parametrize("p", [1, 2, 16])
def test_log_gaussian_equals_scipy_and_counts_every_feature_once(rng, p):
    x, mean, logvar = rng.normal(size=(3, 5, p))
    np.testing.assert_allclose(
        d.log_gaussian(x, mean, logvar), stats.norm.logpdf(x, mean, np.exp(logvar / 2)).sum(1), rtol=1e-12
    )
    np.testing.assert_allclose(d.log_gaussian(x, mean[0], 0.3), stats.norm.logpdf(x, mean[0], np.exp(0.15)).sum(1))
    np.testing.assert_allclose(d.log_standard_normal(x), stats.norm.logpdf(x).sum(1), rtol=1e-13)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_log_gaussian_full_equals_scipy(rng, p):
    S, mean, x = covariance(rng, p), rng.normal(size=p), rng.normal(size=(7, p))
    L = np.linalg.cholesky(S)
    expected = stats.multivariate_normal(mean, S).logpdf(x)
    np.testing.assert_allclose(d.log_gaussian_full(x, mean, L), expected, rtol=1e-10)
    np.testing.assert_allclose(d.log_gaussian_full(x[0], mean, L), expected.flat[0], rtol=1e-10)
    np.testing.assert_allclose(d.log_gaussian_full(x.reshape(7, 1, p), mean, L)[:, 0], expected, rtol=1e-10)
    np.testing.assert_allclose(d.log_gaussian_full(x, x[::-1] + mean, L).shape, (7,))


def test_gaussians_integrate_to_one():
    t = np.linspace(-12, 12, 241)  # the trapezoidal rule is spectrally accurate for Gaussians
    z = np.stack(np.meshgrid(t, t, indexing="ij"), -1)
    cell = (t[1] - t[0]) ** 2
    S = np.array([[1.0, 0.8], [0.8, 2.0]])
    for log_p in [
        d.log_gaussian(z, np.array([0.5, -1.0]), np.array([0.4, -0.7])),
        d.log_gaussian_full(z, np.array([0.5, -1.0]), np.linalg.cholesky(S)),
        d.log_standard_normal(z),
    ]:
        assert np.exp(log_p).sum() * cell == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("l", [-1e3, -3.0, -1e-5, 0.0, 0.7, 1.0, 12.0])
def test_continuous_bernoulli_integrates_to_one_with_the_stated_mean(l):
    def log_p(x):
        return float(d.log_continuous_bernoulli(np.array([x]), np.array([l])))

    near = [1e-3, 1e-2, 0.1, 0.9, 0.99, 0.999]
    mass, _ = integrate.quad(lambda x: np.exp(log_p(x)), 0, 1, points=near)
    mean, _ = integrate.quad(lambda x: x * np.exp(log_p(x)), 0, 1, points=near)
    assert mass == pytest.approx(1, abs=1e-9)
    assert mean == pytest.approx(d.continuous_bernoulli_mean(np.array([l]))[0], abs=1e-9)
    unnormalised = d.log_bernoulli(np.array([0.3]), np.array([l])) + d.continuous_bernoulli_logC(np.array([l]))
    assert unnormalised[0] == pytest.approx(log_p(0.3), abs=1e-9)


def test_continuous_bernoulli_normaliser_of_the_lecture():
    lam = np.array([0.1, 0.3, 0.5])
    C = np.exp(d.continuous_bernoulli_logC(special.logit(lam)))
    np.testing.assert_allclose(C, [2.7465307, 2.1182447, 2], atol=5e-8)
    np.testing.assert_allclose(C[:2], 2 * np.arctanh(1 - 2 * lam[:2]) / (1 - 2 * lam[:2]), rtol=1e-14)
    assert 1 / C[2] == pytest.approx(0.5)  # the mass of a "Bernoulli density" at lambda = 1/2


@settings(deadline=None, max_examples=60)
@given(st.floats(-1e-3, 1e-3))
def test_continuous_bernoulli_is_smooth_at_one_half(l):
    """log C = log 2 + l^2/12 + O(l^4): value and two derivatives follow the series."""
    logC = d.continuous_bernoulli_logC
    assert logC(np.array(l)) == pytest.approx(np.log(2) + l**2 / 12, abs=1e-14)
    assert elementwise_grad(logC)(np.array([l]))[0] == pytest.approx(l / 6, abs=1e-10)  # next: 7 l^3 / 360
    assert elementwise_grad(elementwise_grad(logC))(np.array([l]))[0] == pytest.approx(1 / 6, abs=1e-6)


def test_continuous_bernoulli_has_no_seam_between_series_and_closed_form():
    l = np.concatenate([np.linspace(0.9, 1.1, 41), [1 - 1e-12, 1 + 1e-12, 50, 1e4, -1e4]])
    with np.errstate(over="ignore"):
        closed = np.log(l / np.tanh(l / 2))
    np.testing.assert_allclose(d.continuous_bernoulli_logC(l), closed, atol=2e-12)
    np.testing.assert_allclose(d.continuous_bernoulli_mean(l), 1 / -np.expm1(-np.maximum(l, -700)) - 1 / l, atol=1e-13)


def test_bernoulli_sums_to_one_over_all_states_and_equals_scipy():
    l = np.array([-2.0, 0.0, 3.0])
    x = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    assert np.exp(d.log_bernoulli(x, l)).sum() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(d.log_bernoulli(x, l), stats.bernoulli.logpmf(x, special.expit(l)).sum(1), rtol=1e-12)


@pytest.mark.parametrize("big", [1e3, 1e4])
def test_bernoulli_at_huge_logits(big):
    x, l = np.array([[1.0, 0, 1, 0]]), np.array([[big, -big, -big, big]])
    assert d.log_bernoulli(x, l) == -2 * big
    np.testing.assert_array_equal(grad(lambda l: d.log_bernoulli(x, l)[0])(l), [[0, 0, 1, -1]])
    assert d.log_continuous_bernoulli(x, l) == pytest.approx(-2 * big + 4 * np.log(big), rel=1e-14)


def test_categorical_sums_to_one_and_equals_scipy(rng):
    l = rng.normal(size=(6, 4)) * 3
    x = labels(rng, 6, 4)
    assert np.exp(d.log_categorical(np.eye(4), l[:1])).sum() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(
        d.log_categorical(x, l), [stats.multinomial.logpmf(a, 1, special.softmax(b)) for a, b in zip(x, l, strict=True)]
    )
    np.testing.assert_allclose(d.log_categorical(x, l + 1e4), d.log_categorical(x, l), atol=1e-11)
    assert d.log_categorical(np.eye(2), np.array([[1e4, -1e4]])).tolist() == [0, -2e4]
    assert d.log_categorical(np.ones((3, 1)), np.ones((3, 1))).tolist() == [0, 0, 0]  # K = 1


# -------------------- divergences --------------------


def kl_by_quadrature(m1, s1, m2, s2):
    p, q = stats.norm(m1, s1), stats.norm(m2, s2)
    z = np.linspace(m1 - 12 * s1, m1 + 12 * s1, 401)  # the trapezoidal rule is spectrally accurate here
    return np.trapezoid(p.pdf(z) * (p.logpdf(z) - q.logpdf(z)), z)


@pytest.mark.parametrize(
    ("m1", "s1", "m2", "s2", "kl"),
    [(0, 1, 1, 1, 0.5), (0, 1, 0, 2, 0.3181472), (0, 2, 0, 1, 0.8068528), (0, np.e, 0, 1, 2.1945280)],
)
def test_kl_of_the_lecture_by_three_routes_and_quadrature(m1, s1, m2, s2, kl):
    v = np.array([m1, 2 * np.log(s1), m2, 2 * np.log(s2)], float)[:, None]
    assert kl_by_quadrature(m1, s1, m2, s2) == pytest.approx(kl, abs=5e-8)
    assert d.kl_diag(*v) == pytest.approx(kl, abs=5e-8)
    full = d.kl_gaussians(v[0], np.array([[s1**2]], float), v[2], np.array([[s2**2]], float))
    assert full == pytest.approx(kl, abs=5e-8)
    if (m2, s2) == (0, 1):
        assert d.kl_standard_normal(v[0], v[1]) == pytest.approx(kl, abs=5e-8)


def test_mean_field_of_a_correlated_gaussian_costs_what_the_lecture_says():
    rho = 0.9  # the reverse-KL optimum has variances 1 - rho^2 = 0.19, and the divergence -1/2 log(1 - rho^2)
    S = np.array([[1, rho], [rho, 1]])

    def kl(v):
        return d.kl_gaussians(np.zeros(2), v * np.eye(2), np.zeros(2), S)

    assert kl(0.19) == pytest.approx(0.8303656, abs=5e-8)
    assert kl(0.19) == pytest.approx(-0.5 * np.log(1 - rho**2), rel=1e-13)
    assert kl(0.19) < min(kl(0.18), kl(0.2))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(means, logvars), min_size=1, max_size=4), st.permutations(range(4)))
def test_kl_standard_normal_adds_over_dimensions_in_any_order(rows, order):
    mean, logvar = np.array(rows).T
    kl = d.kl_standard_normal(mean, logvar)
    each = [kl_by_quadrature(m, np.exp(l / 2), 0, 1) for m, l in rows]
    assert kl == pytest.approx(sum(each), rel=1e-7, abs=1e-9)
    order = [i for i in order if i < len(rows)]
    assert d.kl_standard_normal(mean[order], logvar[order]) == pytest.approx(kl, rel=1e-12)
    assert d.kl_diag(mean, logvar, 0 * mean, 0 * logvar) == pytest.approx(kl, rel=1e-12, abs=1e-13)


def test_kl_is_accurate_where_q_is_almost_the_prior_and_where_sigma_vanishes():
    tiny = np.array([1e-7])
    series = tiny[0] ** 2 / 4 + tiny[0] ** 3 / 12  # of 1/2 (e^l - 1 - l); abs=0, since approx forgives 1e-12 by itself
    assert d.kl_standard_normal(0 * tiny, tiny) == pytest.approx(series, rel=1e-5, abs=0)
    assert d.kl_diag(0 * tiny, tiny, 0 * tiny, 0 * tiny) == pytest.approx(series, rel=1e-5, abs=0)
    assert d.kl_standard_normal(np.zeros(1), np.array([-1e4])) == pytest.approx(
        5e3 - 0.5
    )  # sigma -> 0: grows as -log sigma
    assert d.kl_standard_normal(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(0, 10**6))
def test_kl_gaussians_is_invariant_under_affine_maps_and_not_symmetric(p, seed):
    rng = np.random.default_rng(seed)
    m1, m2 = rng.normal(size=(2, p))
    S1, S2 = covariance(rng, p), covariance(rng, p)
    A, b = rng.normal(size=(p, p)) + 3 * np.eye(p), rng.normal(size=p)
    kl = d.kl_gaussians(m1, S1, m2, S2)
    trace = np.trace(np.linalg.inv(S2) @ S1) + (m2 - m1) @ np.linalg.inv(S2) @ (m2 - m1) - p
    assert kl == pytest.approx(0.5 * (trace + np.log(np.linalg.det(S2) / np.linalg.det(S1))), rel=1e-8, abs=1e-10)
    assert kl >= 0
    assert d.kl_gaussians(A @ m1 + b, A @ S1 @ A.T, A @ m2 + b, A @ S2 @ A.T) == pytest.approx(kl, rel=1e-6, abs=1e-8)
    assert abs(kl - d.kl_gaussians(m2, S2, m1, S1)) > 1e-12
    assert d.kl_gaussians(m1, S1, m1, S1) == pytest.approx(0, abs=1e-12)


def test_kl_gaussians_of_diagonal_covariances_is_kl_diag(rng):
    m1, l1, m2, l2 = rng.normal(size=(4, 3))
    full = d.kl_gaussians(m1, np.diag(np.exp(l1)), m2, np.diag(np.exp(l2)))
    assert full == pytest.approx(d.kl_diag(m1, l1, m2, l2), rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(logits, logits), min_size=1, max_size=3))
def test_kl_bernoulli_is_the_sum_over_all_states(pairs):
    l1, l2 = np.array(pairs).T
    x = np.array(np.meshgrid(*[[0, 1]] * len(pairs))).reshape(len(pairs), -1).T
    log_p, log_q = d.log_bernoulli(x, l1), d.log_bernoulli(x, l2)
    assert d.kl_bernoulli(l1, l2) == pytest.approx(np.sum(np.exp(log_p) * (log_p - log_q)), rel=1e-8, abs=1e-11)


def test_kl_bernoulli_at_huge_logits():
    assert d.kl_bernoulli(np.array([-1e4, 1e4]), np.array([1e4, 1e4])) == 1e4
    assert d.kl_bernoulli(np.array([1e4]), np.array([1e4])) == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(logits, logits), min_size=1, max_size=5), st.floats(-1e3, 1e3))
def test_kl_categorical_equals_scipy_and_ignores_a_shift_of_the_logits(pairs, c):
    l1, l2 = np.array(pairs).T
    kl = d.kl_categorical(l1, l2)
    assert kl == pytest.approx(stats.entropy(special.softmax(l1), special.softmax(l2)), rel=1e-8, abs=1e-10)
    assert d.kl_categorical(l1 + c, l2) == pytest.approx(kl, rel=1e-9, abs=1e-9)


def test_kl_of_two_coins_as_categorical_and_as_bernoulli():
    a, b = np.array([0.7]), np.array([-1.3])
    zero = np.zeros(1)
    both = d.kl_categorical(np.concatenate([a, zero]), np.concatenate([b, zero]))
    assert d.kl_bernoulli(a, b) == pytest.approx(both, rel=1e-13)


def test_entropies_equal_scipy(rng):
    logvar, x = rng.normal(size=(4, 3)), rng.random((4, 3))
    np.testing.assert_allclose(
        d.entropy_gaussian(logvar), stats.norm(0, np.exp(logvar / 2)).entropy().sum(1), rtol=1e-12
    )
    np.testing.assert_allclose(d.entropy_bernoulli(x), stats.bernoulli(x).entropy().sum(1), rtol=1e-12)
    assert d.entropy_bernoulli(np.array([0, 1, 0.5])) == pytest.approx(np.log(2))


def test_entropy_is_the_floor_of_the_cross_entropy_on_grey_pixels(rng):
    x = rng.random((5, 8))
    assert np.all(-d.log_bernoulli(x, rng.normal(size=(5, 8))) > d.entropy_bernoulli(x))
    np.testing.assert_allclose(-d.log_bernoulli(x, special.logit(x)), d.entropy_bernoulli(x), rtol=1e-12)


def test_optimal_variance_is_the_maximum_of_the_likelihood(rng):
    x, mean = rng.normal(size=(2, 6, 4))
    v = d.optimal_variance(x, mean)

    def total(v):
        return stats.norm.logpdf(x, mean, np.sqrt(v)).sum()

    assert total(v) > max(total(v * 1.01), total(v / 1.01))
    assert v == pytest.approx(sum((x[i, j] - mean[i, j]) ** 2 for i in range(6) for j in range(4)) / 24)
    assert d.optimal_variance(x, x) == 0  # and the likelihood has no maximum


# -------------------- differentiable, and in the dtype that came in --------------------


DIFFERENTIABLE = {
    "softplus": (d.softplus, 1),
    "sigmoid": (d.sigmoid, 1),
    "log_mean_exp": (d.log_mean_exp, 1),
    "log_mean_exp axis 0": (lambda a: d.log_mean_exp(a, 0), 1),
    "log_softmax": (d.log_softmax, 1),
    "log_standard_normal": (d.log_standard_normal, 1),
    "log_gaussian": (d.log_gaussian, 3),
    "log_gaussian, one logvar": (lambda x, m: d.log_gaussian(x, m, 0.3), 2),
    "log_bernoulli": (lambda a: d.log_bernoulli(_X.astype(a.dtype) if hasattr(a, "astype") else _X, a), 1),
    "continuous_bernoulli_logC": (d.continuous_bernoulli_logC, 1),
    "continuous_bernoulli_mean": (d.continuous_bernoulli_mean, 1),
    "kl_standard_normal": (d.kl_standard_normal, 2),
    "kl_diag": (d.kl_diag, 4),
    "kl_bernoulli": (d.kl_bernoulli, 2),
    "kl_categorical": (d.kl_categorical, 2),
    "entropy_gaussian": (d.entropy_gaussian, 1),
    "optimal_variance": (d.optimal_variance, 2),
}
_X = np.random.default_rng(9).random((3, 4)).astype(np.float32)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_of_both_orders_in_both_modes(rng, name):
    f, count = DIFFERENTIABLE[name]
    check_grads(f, modes=BOTH, order=2)(*rng.normal(size=(count, 3, 4)))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float32_stays_float32_in_value_and_gradient(rng, name):
    f, count = DIFFERENTIABLE[name]
    args = list(rng.normal(size=(count, 3, 4)).astype(np.float32))
    assert f(*args).dtype == np.float32
    if name != "optimal_variance":  # np.mean's derivative is float64 in autograd; nothing trains through this one
        assert grad(lambda a: anp.sum(f(a, *args[1:])))(args[0]).dtype == np.float32


def test_densities_with_constraints_on_x_differentiate_too(rng):
    x, l, one_hot = rng.random((3, 4)) * 0.8 + 0.1, rng.normal(size=(3, 4)), labels(rng, 3, 4)
    check_grads(d.log_bernoulli, modes=BOTH, order=2)(x, l)
    check_grads(d.log_continuous_bernoulli, modes=BOTH, order=2)(x, l)
    check_grads(d.log_continuous_bernoulli, modes=BOTH, order=2)(x, 1e-4 * l)
    check_grads(d.entropy_bernoulli, modes=BOTH, order=2)(x)
    check_grads(lambda l: d.log_categorical(one_hot, l), modes=BOTH, order=2)(l)
    f32 = [a.astype(np.float32) for a in (x, l, one_hot)]
    assert d.log_continuous_bernoulli(f32[0], f32[1]).dtype == d.log_categorical(f32[2], f32[1]).dtype == np.float32
    assert grad(lambda l: anp.sum(d.log_continuous_bernoulli(f32[0], l)))(f32[1]).dtype == np.float32


def test_full_covariances_differentiate_in_reverse_mode(rng):
    """autograd has no forward rule for solve and Cholesky."""
    S1, S2, x = covariance(rng, 3), covariance(rng, 3), rng.normal(size=(4, 3))
    L, m = np.linalg.cholesky(S1), x[0]

    def lower(L):
        return anp.tril(L)  # so that the numeric derivative keeps the triangle

    check_grads(lambda x, m, L: d.log_gaussian_full(x, m, lower(L)), modes=["rev"], order=2)(x, m, L)

    def symmetric(S):
        return (S + S.T) / 2

    def kl(m1, S1, m2, S2):
        return d.kl_gaussians(m1, symmetric(S1), m2, symmetric(S2))

    check_grads(kl, modes=["rev"], order=2)(m, S1, x[1], S2)
    f32 = [a.astype(np.float32) for a in (m, S1, x[1], S2, L)]
    assert d.kl_gaussians(*f32[:4]).dtype == d.log_gaussian_full(f32[0][None], f32[2], f32[4]).dtype == np.float32


# -------------------- bad input --------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: d.log_gaussian(np.zeros((3, 1)), np.zeros(3), np.zeros(3)), "features"),  # would broadcast to (3, 3)
        (lambda: d.log_gaussian(np.zeros((3, 4)), np.zeros((3, 1)), 0.0), "features"),
        (lambda: d.log_bernoulli(np.full((2, 2), 255), np.zeros((2, 2))), "grey"),
        (lambda: d.log_bernoulli(np.full((2, 2), np.nan), np.zeros((2, 2))), r"\[0, 1\]"),
        (lambda: d.log_continuous_bernoulli(np.full((2, 2), -0.1), np.zeros((2, 2))), r"\[0, 1\]"),
        (lambda: d.log_categorical(np.array([0, 2, 1]), np.zeros((3, 3))), "np.eye"),  # labels for one-hot, n = K
        (lambda: d.log_categorical(np.array([[0.5, 0.2]]), np.zeros((1, 2))), "one-hot"),
        (lambda: d.kl_standard_normal(np.zeros((3, 2)), np.zeros((3, 1))), "features"),
        (lambda: d.kl_gaussians(np.zeros(2), np.eye(2), np.zeros(2), -np.eye(2)), "positive definite"),
        (lambda: d.kl_gaussians(np.zeros(2), np.array([[1, 0.5], [0, 1]]), np.zeros(2), np.eye(2)), "symmetric"),
        (lambda: d.kl_gaussians(np.zeros(2), np.full((2, 2), np.nan), np.zeros(2), np.eye(2)), "symmetric"),
        (lambda: d.kl_gaussians(np.zeros(2), np.ones(2), np.zeros(2), np.eye(2)), "symmetric"),
        (lambda: d.log_gaussian_full(np.zeros(2), np.zeros(2), np.array([[1, 0.5], [0.5, 1]])), "Cholesky"),
        (lambda: d.kl_gaussians(np.zeros((2, 2)), np.eye(2), np.ones((2, 2)), np.eye(2)), "loop over a batch"),
        (lambda: d.log_gaussian_full(np.zeros(2), np.zeros(2), -np.eye(2)), "Cholesky"),
        (lambda: d.optimal_variance(np.zeros((0, 3)), np.zeros((0, 3))), "at least one"),
        (lambda: d.optimal_variance(np.zeros((3, 1)), np.zeros(3)), "features"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
