"""Bounds that hold, touch and descend; the ELBO, IWAE and surgery against exact values by quadrature."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from enm5310 import bounds as B
from enm5310.gradients import reparameterization
from enm5310.paths import gaussian, gaussian_log_p

BOTH = ["fwd", "rev"]
numbers = st.floats(-20, 20)
X2 = np.array([2.0])  # the observation of the toy


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def joint(z):
    return B.toy_log_joint(X2, z)


def within(estimates, truth):
    error = (np.mean(estimates) - truth) / (np.std(estimates) / len(estimates) ** 0.5)
    assert abs(error) < 5, f"{error} standard errors from {truth}"


# -------------------- Jensen --------------------


def test_jensen_gap_by_loops_on_points_and_on_vectors(rng):
    x, w = rng.normal(size=5), rng.random(5)
    mean = sum(w[i] * x[i] for i in range(5)) / sum(w)
    by_hand = sum(w[i] * np.exp(x[i]) for i in range(5)) / sum(w) - np.exp(mean)
    assert B.jensen_gap(np.exp, x, w) == pytest.approx(by_hand, rel=1e-12)
    assert B.jensen_gap(np.exp, x) == pytest.approx(np.mean(np.exp(x)) - np.exp(np.mean(x)), rel=1e-12)
    X = rng.normal(size=(5, 3))
    square = B.jensen_gap(lambda x: np.sum(x**2, axis=-1), X)
    assert square == pytest.approx(np.trace(np.cov(X.T, bias=True)), rel=1e-12)  # the total variance


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(numbers, st.floats(0, 5)), min_size=1, max_size=6), st.floats(0.1, 9), numbers)
def test_jensen_gap_is_positive_for_convex_zero_for_affine_and_ignores_the_scale_of_w(points, scale, slope):
    x, w = np.array(points).T
    w = w + 0.1
    assert B.jensen_gap(np.abs, x, w) >= -1e-12
    assert B.jensen_gap(np.square, x, w) == pytest.approx(-B.jensen_gap(lambda x: -(x**2), x, w))
    assert B.jensen_gap(lambda x: slope * x - 1, x, w) == pytest.approx(0, abs=1e-11)
    assert B.jensen_gap(np.square, x, scale * w) == pytest.approx(B.jensen_gap(np.square, x, w), abs=1e-10)
    assert B.jensen_gap(np.square, x[::-1], w[::-1]) == pytest.approx(B.jensen_gap(np.square, x, w), abs=1e-10)


# -------------------- variational upper bounds --------------------


@settings(deadline=None, max_examples=100)
@given(st.lists(numbers, min_size=1, max_size=5), numbers, st.floats(1e-3, 50))
def test_half_quadratic_bounds_the_absolute_value_and_touches_it(x, theta, psi):
    x = np.array(x)
    bound = B.half_quadratic(x)
    by_hand = sum(abs(a - theta) for a in x)
    assert bound.f(theta) == pytest.approx(by_hand, abs=1e-12)
    assert bound.g(theta, np.full(len(x), psi)) >= by_hand - 1e-9
    assert bound.g(theta, np.maximum(np.abs(x - theta), 1e-12)) == pytest.approx(by_hand, abs=1e-10)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(numbers, st.booleans()), min_size=1, max_size=5), numbers, numbers)
def test_jaakkola_jordan_bounds_the_logistic_loss_and_touches_it(rows, theta, psi):
    X, y = np.array([[r[0]] for r in rows]), np.array([1.0 * r[1] for r in rows])
    bound, theta = B.jaakkola_jordan(X, y, ridge=0.7), np.array([theta])
    a = X @ theta
    by_hand = sum(np.logaddexp(0, -l if label else l) for l, label in zip(a, y, strict=True))  # -log s(+-a)
    assert bound.f(theta) == pytest.approx(by_hand + 0.35 * theta[0] ** 2, rel=1e-12, abs=1e-12)
    assert bound.g(theta, np.full(len(X), psi)) >= bound.f(theta) - 1e-9 * (1 + bound.f(theta))
    assert bound.g(theta, np.abs(a)) == pytest.approx(bound.f(theta), rel=1e-9, abs=1e-9)


def test_both_half_steps_are_minimisers(rng):
    """No neighbour is lower, in psi or in theta."""
    x, X, y = rng.normal(size=7), rng.normal(size=(9, 2)), rng.integers(0, 2, 9)
    mixture = B.Mixture(np.array([0.3, 0.7]), np.array([-1.0, 0.5]), np.array([0.4, 1.0]))
    cases = [(B.half_quadratic(x), 0.3), (B.jaakkola_jordan(X, y), rng.normal(size=2))]
    for bound, theta in cases:
        psi = bound.best_psi(theta)
        best = bound.best_theta(psi)
        for _ in range(50):
            assert bound.g(theta, psi) <= bound.g(theta, psi * np.exp(0.1 * rng.normal(size=psi.shape))) + 1e-12
            assert bound.g(best, psi) <= bound.g(best + 0.1 * rng.normal(size=np.shape(best)), psi) + 1e-12
    bound = B.em(x)
    q = bound.best_psi(mixture)
    best = bound.best_theta(q)
    for _ in range(50):
        other = q * np.exp(0.1 * rng.normal(size=q.shape))
        assert bound.g(mixture, q) <= bound.g(mixture, other / other.sum(1, keepdims=True)) + 1e-12
        w = best.weights * np.exp(0.1 * rng.normal(size=2))
        v = best.variances * np.exp(0.1 * rng.normal(size=2))
        other = B.Mixture(w / w.sum(), best.means + 0.1 * rng.normal(size=2), v)
        assert bound.g(best, q) <= bound.g(other, q) + 1e-12


def test_irls_finds_the_median_of_the_lecture():
    x = np.array([1.0, 2, 3, 10, 50])
    out = B.minimise(B.half_quadratic(x), x.mean(), 100)
    assert out.theta == pytest.approx(3, abs=1e-9)
    assert out.trace[0] == pytest.approx(sum(abs(a - 13.2) for a in x))
    assert out.trace[-1] == pytest.approx(57, abs=1e-9)
    assert np.all(np.diff(out.trace) <= 1e-12 * out.trace[0])
    assert len(out.trace) == 101
    # one step by hand: the mean with weights 1 / |x_i - 13.2|
    w = [1 / abs(a - 13.2) for a in x]
    one = B.minimise(B.half_quadratic(x), 13.2, 1)
    assert one.theta == pytest.approx(sum(a * b for a, b in zip(w, x, strict=True)) / sum(w), rel=1e-13)
    np.testing.assert_allclose(one.psi, np.abs(x - one.theta), rtol=1e-13)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(0, 10**6), numbers)
def test_irls_finds_a_median_wherever_the_data_sit(n, seed, shift):
    x = np.random.default_rng(seed).normal(size=n) + shift
    out = B.minimise(B.half_quadratic(x), np.mean(x) + 0.01, 300)
    assert np.all(np.diff(out.trace) <= 1e-9)
    excess = out.trace[-1] - np.sum(np.abs(x - np.median(x)))
    assert (
        -1e-9 <= excess < (1e-7 if n % 2 else 0.1)
    )  # n even: the last steps towards the edge of the interval are slow


def test_irls_on_a_data_point_says_so():
    x = np.array([0.0, 0, 0, 4, 1])  # the mean, 1, is a data point; the median is 0
    with pytest.raises(ValueError, match="no median"):
        B.minimise(B.half_quadratic(x), np.mean(x), 10)
    assert B.minimise(B.half_quadratic(x), 0.5, 100).theta == pytest.approx(0, abs=1e-9)
    assert B.minimise(B.half_quadratic(x), 0.0, 5).theta == pytest.approx(0, abs=1e-9)  # a median may be the start


def test_minimise_can_be_stopped_and_interrupted_and_keeps_what_it_has():
    bound, seen = B.half_quadratic(np.array([1.0, 2, 3, 10, 50])), []

    def stop(t, theta, value):
        seen.append((t, theta, value))
        return t == 3

    whole, run = B.minimise(bound, 13.2, 10), B.minimise(bound, 13.2, 10, stop)
    assert [t for t, _, _ in seen] == [0, 1, 2, 3] and seen[0][1] == 13.2
    np.testing.assert_array_equal(run.trace, whole.trace[:4])
    np.testing.assert_array_equal([value for _, _, value in seen], run.trace)
    assert run.theta == seen[-1][1] == B.minimise(bound, 13.2, 3).theta

    def button(psi):
        if len(presses) == 2:
            raise KeyboardInterrupt
        presses.append(psi)
        return bound.best_theta(psi)

    presses = []
    run = B.minimise(bound._replace(best_theta=button), 13.2, 10)
    np.testing.assert_array_equal(run.trace, whole.trace[:3])
    assert bound.g(run.theta, run.psi) == run.trace[-1] == whole.trace[2]  # theta and psi of the same step
    assert len(B.minimise(bound, 13.2, 2, lambda t, theta, value: None).trace) == 3


def test_jaakkola_jordan_reaches_the_optimum_of_logistic_regression(rng):
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    bound = B.jaakkola_jordan(X, y, ridge=0.5)
    out = B.minimise(bound, np.zeros(3), 200)
    assert np.all(np.diff(out.trace) <= 1e-10)

    def loss(t):
        return np.sum(np.logaddexp(0, -(2 * y - 1) * (X @ t))) + 0.25 * t @ t

    best = optimize.minimize(loss, np.zeros(3), tol=1e-12)
    np.testing.assert_allclose(out.theta, best.x, atol=1e-5)
    assert out.trace[-1] == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_allclose(X.T @ (special.expit(X @ out.theta) - y) + 0.5 * out.theta, 0, atol=1e-9)


def test_em_never_decreases_the_elbo_and_ends_at_a_stationary_likelihood(rng):
    x = np.concatenate([rng.normal(-2, 0.5, 60), rng.normal(1.5, 1, 90)])
    start = B.Mixture(np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
    bound = B.em(x)
    out = B.minimise(bound, start, 300)
    assert np.all(np.diff(out.trace) <= 1e-9)

    def likelihood(t):
        return sum(w * stats.norm(m, v**0.5).pdf(x) for w, m, v in zip(*t, strict=True))

    for theta in (start, out.theta):
        assert bound.f(theta) == pytest.approx(-np.log(likelihood(theta)).sum(), rel=1e-12)
        assert bound.g(theta, bound.best_psi(theta)) == pytest.approx(bound.f(theta), rel=1e-12)  # tight: KL = 0
    q = bound.best_psi(start)
    np.testing.assert_allclose(q[:, 1] / q[:, 0], stats.norm(1, 1).pdf(x) / stats.norm(-1, 1).pdf(x), rtol=1e-9)
    q = rng.dirichlet([1, 1], len(x))  # any other q: the gap is sum_i KL(q_i || posterior_i)
    gap = sum(stats.entropy(q[i], out.psi[i]) for i in range(len(x)))
    assert bound.g(out.theta, q) - bound.f(out.theta) == pytest.approx(gap, rel=1e-9)

    def slope(i, t):
        return optimize.approx_fprime(t[i], lambda a: bound.f(t._replace(**{t._fields[i]: a})), 1e-6)

    np.testing.assert_allclose(np.concatenate([slope(1, out.theta), slope(2, out.theta)]), 0, atol=1e-2)


def test_one_component_of_em_is_the_gaussian_fit(rng):
    x = rng.normal(3, 2, 40)
    out = B.minimise(B.em(x), B.Mixture(np.ones(1), np.zeros(1), np.ones(1)), 1)
    np.testing.assert_allclose([out.theta.means[0], out.theta.variances[0]], [x.mean(), x.var()], rtol=1e-12)
    assert out.trace[-1] == pytest.approx(0.5 * 40 * (np.log(2 * np.pi * x.var()) + 1), rel=1e-12)


# -------------------- the toy: everything exact --------------------


def q(mean, variance):
    return np.array([mean], float), np.log(np.array([variance], float))


@pytest.mark.parametrize(("mean", "variance", "elbo"), [(0, 1, -3.4189385), (1, 1, -2.4189385), (1, 0.5, -2.2655121)])
def test_toy_of_the_lecture_by_quadrature(mean, variance, elbo):
    p_x = integrate.quad(lambda z: stats.norm.pdf(z) * stats.norm.pdf(2 - z), -np.inf, np.inf)[0]
    assert B.toy_log_evidence(X2) == pytest.approx(-2.2655121, abs=5e-8)
    assert B.toy_log_evidence(X2) == pytest.approx(np.log(p_x), rel=1e-10)
    law = stats.norm(mean, variance**0.5)

    def integrand(z):
        return stats.norm.logpdf(z) + stats.norm.logpdf(2 - z) - law.logpdf(z)

    assert B.toy_elbo(X2, *q(mean, variance)) == pytest.approx(elbo, abs=5e-8)
    assert B.toy_elbo(X2, *q(mean, variance)) == pytest.approx(law.expect(integrand), rel=1e-9)
    assert B.toy_gap(X2, *q(mean, variance)) == pytest.approx(-2.2655121 - elbo, abs=1e-7)
    np.testing.assert_allclose(joint(np.array([[0.3], [2.0]])), [integrand(z) + law.logpdf(z) for z in (0.3, 2)])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(numbers, st.floats(-5, 5), st.floats(-4, 3)), min_size=1, max_size=4))
def test_evidence_is_elbo_plus_gap(rows):
    x, mean, logvar = np.array(rows).T
    total = B.toy_elbo(x, mean, logvar) + B.toy_gap(x, mean, logvar)
    assert total == pytest.approx(B.toy_log_evidence(x), rel=1e-9, abs=1e-9)
    assert B.toy_gap(x, mean, logvar) >= 0
    assert B.toy_gap(x, *B.toy_posterior(x)) == pytest.approx(0, abs=1e-12)


def test_gap_of_the_prior_and_the_weights_of_the_lecture():
    assert B.toy_gap(X2, *q(0, 1)) == pytest.approx(1.1534264, abs=5e-8)
    chi2 = B.toy_chi2(X2, *q(0, 1))
    assert chi2 == pytest.approx(2 * np.exp(2 / 3) / np.sqrt(3) - 1, rel=1e-12)
    assert chi2 == pytest.approx(1.2490495, abs=5e-8)
    for mean, v in [(0.4, 1.3), (2.0, 0.4)]:

        def w(z):
            return stats.norm.pdf(z) * stats.norm.pdf(2 - z) / stats.norm.pdf(z, mean, v**0.5)  # noqa: B023

        second = stats.norm(mean, v**0.5).expect(lambda z: w(z) ** 2, lb=-20, ub=20)
        assert B.toy_chi2(X2, *q(mean, v)) == pytest.approx(second / np.exp(2 * B.toy_log_evidence(X2)) - 1, rel=1e-6)
    assert B.toy_chi2(X2, *q(1, 0.25)) == np.inf  # too narrow: the weights have no variance
    assert B.toy_chi2(X2, *B.toy_posterior(X2)) == pytest.approx(0, abs=1e-12)
    batch = B.toy_chi2(X2, np.array([[0.0], [1], [0]]), np.log([[1], [0.25], [np.nan]]))  # one row of each kind
    np.testing.assert_allclose(batch, [chi2, np.inf, np.nan], rtol=1e-12)
    assert B.toy_chi2(np.ones(2), np.array([0, 0.5]), np.log([1, 0.2])) == np.inf  # one narrow direction, 0 / 0


# -------------------- the ELBO per sample --------------------


def test_elbo_by_loops_for_a_batch_with_its_own_noise(rng):
    x, mean, logvar = rng.normal(size=(3, 3, 2))
    eps = rng.normal(size=(4, 3, 2))

    def log_lik(z):
        return B.log_standard_normal(x - z)

    outputs = [
        B.elbo_mc(lambda z: B.toy_log_joint(x, z), mean, logvar, eps),
        B.elbo_kl(log_lik, mean, logvar, eps),
        B.elbo_entropy(lambda z: B.toy_log_joint(x, z), mean, logvar, eps),
    ]
    for s in range(4):
        for i in range(3):
            sd = np.exp(logvar[i] / 2)
            z = mean[i] + sd * eps[s, i]
            lik, prior = stats.norm.logpdf(x[i], z).sum(), stats.norm.logpdf(z).sum()
            kl = sum(0.5 * (m**2 + v - 1 - np.log(v)) for m, v in zip(mean[i], sd**2, strict=True))
            expected = [
                lik + prior - stats.norm.logpdf(z, mean[i], sd).sum(),
                lik - kl,
                lik + prior + stats.norm(0, sd).entropy().sum(),
            ]
            np.testing.assert_allclose([o[s, i] for o in outputs], expected, rtol=1e-11)


def test_three_forms_have_one_mean_and_the_posterior_has_no_variance(rng):
    eps = rng.normal(size=(100_000, 1))

    def log_lik(z):
        return B.log_standard_normal(X2 - z)

    for mean, logvar in [q(0, 1), q(1, 1), q(0.7, 0.2)]:
        exact = B.toy_elbo(X2, mean, logvar)
        within(B.elbo_mc(joint, mean, logvar, eps), exact)
        within(B.elbo_kl(log_lik, mean, logvar, eps), exact)
        within(B.elbo_entropy(joint, mean, logvar, eps), exact)
    constant = B.elbo_mc(joint, *B.toy_posterior(X2), eps)
    np.testing.assert_allclose(constant, -2.2655121, atol=5e-8)
    assert np.var(constant) < 1e-29
    assert np.max(B.elbo_mc(joint, *q(0, 1), eps)) > B.toy_log_evidence(X2)  # one *sample* may lie above log p(x)


def test_reverse_kl_seeks_a_mode_of_the_mixture():
    """p = .5 N(-2, .25) + .5 N(2, .25): argmin KL(q || p) = N(1.9998, .5004^2) with KL 0.69305, not N(0, 4.25)."""
    eps = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)[:, None]

    def part(z, m):
        return -2 * (z - m) ** 2 - 0.5 * anp.log(2 * np.pi * 0.25)

    def log_p(z):
        return (anp.logaddexp(part(z, -2), part(z, 2)) - anp.log(2))[..., 0]

    def kl(t):
        return -anp.mean(B.elbo_mc(log_p, t[:1], t[1:], eps))

    best = optimize.minimize(kl, np.array([1.0, 0.0]), jac=grad(kl), tol=1e-10)
    assert best.x[0] == pytest.approx(1.9998, abs=5e-5)
    assert np.exp(best.x[1] / 2) == pytest.approx(0.5004, abs=5e-5)
    assert best.fun == pytest.approx(0.69305, abs=5e-5)
    assert kl(np.array([0, np.log(4.25)])) > 1  # the moment match, argmin of the other direction:

    def cross_entropy(t):  # KL(p || q) up to the entropy of p
        def log_q(z):
            return B.log_gaussian(np.array([z]), t[:1], t[1:])

        return -np.mean([stats.norm(m, 0.5).expect(log_q) for m in (-2, 2)])

    forward = optimize.minimize(cross_entropy, np.array([0.5, 0.5]), tol=1e-9)
    np.testing.assert_allclose([forward.x[0], np.exp(forward.x[1])], [0, 4.25], atol=1e-4)


# -------------------- importance weights: exact expectations by two Laplace transforms --------------------


class Exact:
    """L_K and the moments of d L_K / dm for q = prior, x = 2, free of noise.

    log a = int (e^-t - e^-at) dt/t gives L_K = log p + int (e^-t - phi^K) dt/t - log K with phi = E e^-tw, and
    1/a = int e^-at dt, 1/a^2 = int t e^-at dt give the moments of sum w_k h_k / sum w_k, h = d log w / dm = x - 2z.
    """

    e, step = np.linspace(-12, 12, 2001, retstep=True)
    P = stats.norm.pdf(e) * step
    log_p = stats.norm.logpdf(2, 0, np.sqrt(2))
    w, h = stats.norm.pdf(2 - e) / np.exp(log_p), 2 - 2 * e  # E w = 1
    s, ds = np.linspace(-30, 45, 1501, retstep=True)  # t = e^s
    t = np.exp(s)
    laplace = np.exp(-t[:, None] * w)
    phi, A, C = laplace @ P, laplace @ (P * w * h), laplace @ (P * (w * h) ** 2)

    def L(self, K):
        return self.log_p + np.sum(np.exp(-self.t) - self.phi**K) * self.ds - np.log(K)

    def snr(self, K):
        mean = K * np.sum(self.t * self.A * self.phi ** (K - 1)) * self.ds
        two = (K - 1) * self.A**2 * self.phi ** (K - 2) if K > 1 else 0
        second = K * np.sum(self.t**2 * (self.C * self.phi ** (K - 1) + two)) * self.ds
        return mean / np.sqrt(second - mean**2)


exact = Exact()


def log_weights(rng, S, K):
    z = rng.normal(size=(S, K, 1))
    return joint(z) - stats.norm.logpdf(z)[..., 0]


def test_the_exact_bound_agrees_with_plain_quadrature_and_the_lecture():
    assert exact.L(1) == pytest.approx(-3.4189385, abs=5e-8)
    a, b = np.meshgrid(exact.e, exact.e)
    two = np.log((stats.norm.pdf(2 - a) + stats.norm.pdf(2 - b)) / 2)
    assert exact.L(2) == pytest.approx(exact.P @ two @ exact.P, abs=1e-9)
    assert exact.L(2) == pytest.approx(-2.7579018, abs=5e-8)
    for K, value, error in [(5, -2.4228, 7e-4), (10, -2.3367, 6e-4), (50, -2.2783, 6e-4), (100, -2.2714, 6e-4)]:
        assert abs(exact.L(K) - value) < 3 * error
    assert 10_000 * (exact.log_p - exact.L(10_000)) == pytest.approx(0.6245, abs=2e-4)  # chi^2 / 2


@pytest.mark.parametrize(("K", "S"), [(1, 40_000), (2, 40_000), (5, 40_000), (10, 20_000), (50, 10_000), (100, 8_000)])
def test_iwae_bound_has_the_exact_mean(rng, K, S):
    within(B.iwae_bound(log_weights(rng, S, K)), exact.L(K))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=4), st.floats(-1e4, 1e4))
def test_iwae_bound_is_the_log_of_the_mean_weight(rows, c):
    log_w = np.array(rows)
    value = B.iwae_bound(log_w)
    np.testing.assert_allclose(value, [np.log(sum(np.exp(a) for a in row) / 3) for row in rows], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(B.iwae_bound(log_w + c), value + c, atol=1e-10)
    assert np.all(value >= log_w.mean(-1) - 1e-12)  # never below the ELBO of the same samples
    np.testing.assert_array_equal(B.iwae_bound(log_w[:, :1]), log_w[:, 0])  # K = 1
    np.testing.assert_allclose(B.iwae_bound(np.full((2, 7), c)), c, atol=1e-15)  # constant weights


@pytest.mark.parametrize(("K", "S"), [(1, 40_000), (10, 40_000), (100, 10_000)])
def test_iwae_gradient_loses_its_signal_as_the_square_root_of_k(rng, K, S):
    """At q = prior, x = 2, for d/dm; the exact values come from `Exact`, which has no samples."""
    eps = rng.normal(size=(S, K))
    rows = B.iwae_gradient(lambda z: joint(z[..., None]), gaussian_log_p, gaussian, np.zeros(2), eps)
    snr = B.signal_to_noise(rows)[0]
    assert exact.snr(K) == pytest.approx({1: 1, 10: 0.2498194, 100: 0.0752959}[K], abs=5e-7)
    assert abs(snr - exact.snr(K)) < 5 * np.sqrt((1 + exact.snr(K) ** 2 * 3) / S)


def test_exact_signal_to_noise_falls_at_rate_one_half():
    scaled = [K**0.5 * exact.snr(K) for K in (100, 1000)]
    assert scaled[0] == pytest.approx(scaled[1], rel=5e-3)
    assert exact.snr(10) == pytest.approx(0.247, abs=5e-3)


def test_iwae_gradient_by_loops_and_equal_to_the_elbo_gradient_for_one_sample(rng):
    theta, eps = np.array([0.3, -0.2]), rng.normal(size=(3, 4))
    rows = B.iwae_gradient(lambda z: joint(z[..., None]), gaussian_log_p, gaussian, theta, eps)

    def one(theta, e):
        z = [gaussian(a, theta) for a in e]
        return anp.log(sum(anp.exp(joint(anp.array([a])) - gaussian_log_p(a, theta)) for a in z) / len(z))

    np.testing.assert_allclose(rows, [grad(one)(theta, e) for e in eps], rtol=1e-10)


def test_signal_to_noise_by_hand():
    np.testing.assert_allclose(B.signal_to_noise(np.array([[1.0, -3], [3, -3.5]])), [2, 13])


# -------------------- surgery --------------------


MEANS, LOGVARS = np.array([[-2.0], [0], [2]]), np.full((3, 1), np.log(0.25))


def surgery_by_quadrature():
    z = np.linspace(-12, 12, 8001)
    each = stats.norm.pdf(z, MEANS, 0.5)
    all_ = each.mean(0)
    mi = np.mean([np.trapezoid(np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / all_), 0), z) for p in each])
    return mi, np.trapezoid(all_ * np.log(all_ / stats.norm.pdf(z)), z)


def test_surgery_of_the_lecture(rng):
    mi, marginal = surgery_by_quadrature()
    np.testing.assert_allclose([mi, marginal, mi + marginal], [1.0180429, 0.6334376, 1.6514805], atol=6e-8)
    S = 40_000
    out = B.elbo_surgery(MEANS, LOGVARS, rng.normal(size=(S, 3, 1)))
    assert out.kl == pytest.approx(1.6514805, abs=5e-8)
    assert out.mutual_information == pytest.approx(mi, abs=5 * 0.8 / np.sqrt(3 * S))  # sd of one term is 0.72
    assert out.marginal_kl == pytest.approx(marginal, abs=5 * 1.5 / np.sqrt(3 * S))  # 1.3
    assert out.mutual_information + out.marginal_kl == pytest.approx(out.kl, abs=1e-2)
    assert out.mutual_information <= np.log(3)


def test_surgery_at_its_extremes(rng):
    """Every q(z | x_i) the same: nothing is known about i.  Far apart: everything is, log n."""
    same = B.elbo_surgery(np.zeros((4, 2)), np.zeros((4, 2)), rng.normal(size=(50, 4, 2)))
    np.testing.assert_allclose(same, 0, atol=1e-14)
    apart = B.elbo_surgery(1e3 * np.arange(4.0)[:, None], np.zeros((4, 1)), rng.normal(size=(50, 4, 1)))
    assert apart.mutual_information == pytest.approx(np.log(4), abs=1e-12)
    one = B.elbo_surgery(np.ones((1, 1)), np.zeros((1, 1)), rng.normal(size=(50, 1, 1)))
    assert one.mutual_information == 0


def test_surgery_does_not_depend_on_the_order_of_the_data(rng):
    mean, logvar = rng.normal(size=(2, 5, 2))
    eps, order = rng.normal(size=(6, 5, 2)), rng.permutation(5)
    np.testing.assert_allclose(
        B.elbo_surgery(mean, logvar, eps), B.elbo_surgery(mean[order], logvar[order], eps[:, order]), rtol=1e-12
    )


# -------------------- differentiable, dtype, bad input --------------------


def test_derivatives_in_both_modes(rng):
    mean, logvar, eps, x = rng.normal(size=2), rng.normal(size=2), rng.normal(size=(3, 2)), rng.normal(size=2)
    log_joint, log_lik = (lambda z: B.toy_log_joint(x, z)), (lambda z: B.log_standard_normal(x - z))
    for elbo, f in [(B.elbo_mc, log_joint), (B.elbo_kl, log_lik), (B.elbo_entropy, log_joint)]:
        check_grads(lambda m, l, elbo=elbo, f=f: elbo(f, m, l, eps), modes=BOTH, order=2)(mean, logvar)
    for f in (B.toy_elbo, B.toy_gap):
        check_grads(f, modes=BOTH, order=2)(x, mean, logvar)
    check_grads(B.toy_chi2, modes=BOTH, order=2)(x, mean, 0.1 * logvar)
    check_grads(B.iwae_bound, modes=BOTH, order=2)(rng.normal(size=(3, 4)))
    check_grads(lambda x: B.jensen_gap(anp.exp, x, np.array([1.0, 2])), modes=BOTH, order=2)(x)
    psi = rng.uniform(0.5, 2, 5)
    check_grads(B.half_quadratic(rng.normal(size=5)).g, modes=BOTH, order=2)(0.3, psi)
    logistic = B.jaakkola_jordan(rng.normal(size=(5, 2)), np.array([0, 1, 1, 0, 1]))
    check_grads(logistic.g, modes=BOTH, order=2)(mean, psi)
    check_grads(logistic.f, modes=BOTH, order=2)(mean)

    def surgery(m, l):
        return anp.array(list(B.elbo_surgery(m, l, eps[:, None])))

    check_grads(surgery, modes=["rev"], order=2)(mean[None], logvar[None])


def test_gradient_of_the_elbo_is_the_gradient_of_minus_the_gap(rng):
    theta, S = np.array([0.2, 0.3]), 50_000
    rows = reparameterization(lambda z: -0.5 * (2 - z) ** 2, gaussian, theta, rng.normal(size=S))
    rows = rows - np.array([theta[0], np.exp(2 * theta[1]) - 1])  # minus the gradient of KL to the prior
    gap = grad(lambda t: B.toy_gap(X2, t[:1], 2 * t[1:]))(theta)
    assert np.all(np.abs(rows.mean(0) + gap) < 5 * rows.std(0) / S**0.5)


def test_float32_stays_float32(rng):
    def f32(*shape):
        return rng.normal(size=shape).astype(np.float32)

    x, mean, logvar, eps = f32(2), f32(2), f32(2), f32(3, 2)

    def log_joint(z):
        return B.toy_log_joint(x, z)

    logistic = B.jaakkola_jordan(f32(6, 2), np.array([0, 1, 1, 0, 1, 0], np.float32))
    line = f32(6)
    mixture = B.Mixture(*(np.array(a, np.float32) for a in ([0.5, 0.5], [-1, 1], [1, 1])))
    runs = [
        B.minimise(logistic, np.zeros(2, np.float32), 3),
        B.minimise(B.half_quadratic(line), np.float32(0.123), 3),
        B.minimise(B.em(line), mixture, 3),
    ]
    outputs = [
        B.elbo_mc(log_joint, mean, logvar, eps),
        B.elbo_kl(log_joint, mean, logvar, eps),
        B.elbo_entropy(log_joint, mean, logvar, eps),
        B.iwae_bound(f32(3, 4)),
        *B.elbo_surgery(f32(4, 2), f32(4, 2), f32(3, 4, 2)),
        *[f(x, mean, logvar) for f in (B.toy_elbo, B.toy_gap)],
        *[B.toy_log_joint(x, eps), B.toy_log_evidence(x), *B.toy_posterior(x)],
        B.signal_to_noise(f32(5, 2)),
        B.iwae_gradient(lambda z: -(z**2), gaussian_log_p, gaussian, mean, eps),
        B.jensen_gap(np.exp, x),
        *[run.trace for run in runs],
        *[runs[0].theta, runs[0].psi, runs[1].theta, runs[1].psi, *runs[2].theta, runs[2].psi],
    ]
    assert [a.dtype for a in outputs] == [np.float32] * len(outputs)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: B.jensen_gap(np.exp, np.zeros(3), np.ones(2)), "one weight"),
        (lambda: B.jensen_gap(np.exp, np.zeros(2), np.array([1, -1])), "weight >= 0"),
        (lambda: B.jensen_gap(np.exp, np.zeros(0)), "weight"),
        (lambda: B.half_quadratic(np.zeros(0)), "n >= 1"),
        (lambda: B.half_quadratic(np.array([1, np.nan])), "finite"),
        (lambda: B.em(np.zeros((3, 1))), r"\(n,\)"),
        (lambda: B.jaakkola_jordan(np.zeros((3, 1)), np.array([-1, 1, 1])), "0 or 1"),
        (lambda: B.jaakkola_jordan(np.zeros((3, 1)), np.zeros((3, 1))), "one label per row"),
        (lambda: B.jaakkola_jordan(np.zeros(3), np.zeros(3)), r"X \(n, p\)"),
        (lambda: B.jaakkola_jordan(np.zeros((3, 1)), np.zeros(3), -1.0), "ridge >= 0"),
        (lambda: B.jaakkola_jordan(np.ones((3, 2)), np.ones(3)).f(np.zeros((2, 1))), r"wants \(2,\)"),  # would sum n^2
        (lambda: B.minimise(B.jaakkola_jordan(np.ones((3, 2)), np.ones(3)), np.zeros((2, 1)), 1), r"wants \(2,\)"),
        (lambda: B.iwae_gradient(lambda z: -(z**2), gaussian_log_p, gaussian, np.zeros(2), np.zeros(4)), r"\(S, K\)"),
        (lambda: B.toy_log_joint(np.ones(2), np.zeros((3, 1))), "features"),
        (lambda: B.toy_elbo(np.ones(2), np.zeros(1), np.zeros(1)), "features"),
        (lambda: B.toy_gap(np.ones(2), np.zeros(1), np.zeros(1)), "features"),
        (lambda: B.toy_chi2(np.ones(2), np.zeros(1), np.zeros(1)), "its own"),
        (lambda: B.elbo_mc(joint, np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((5, 1))), "own noise"),
        (lambda: B.elbo_mc(joint, np.zeros(1), np.zeros(()), np.zeros((5, 1))), "want"),
        (lambda: B.elbo_mc(lambda z: z, np.zeros(1), np.zeros(1), np.zeros((5, 1))), "one number each"),
        (lambda: B.elbo_kl(lambda z: 0.0, np.zeros(1), np.zeros(1), np.zeros((5, 1))), "one number each"),
        (lambda: B.iwae_bound(np.zeros((3, 0))), "empty"),
        (lambda: B.signal_to_noise(np.zeros((1, 2))), "at least 2"),
        (lambda: B.em(np.array([0.0, 5])).best_theta(np.eye(2)), "one point"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
