"""Evolution strategies against smoothed functions whose gradient is known (slide 4; syllabus T12)."""

import numpy as np
import pytest
from autograd import elementwise_grad, grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats

from enm5310 import evolution, gradients
from enm5310.optimize import adam

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / np.sqrt(2 * np.pi)


def within_5_se(rows, truth, variance):
    """The average of the rows against the truth, in units of the known standard error."""
    z = (rows.mean(0) - truth) / np.sqrt(np.asarray(variance) / len(rows))
    assert np.all(np.abs(z) < 5), f"off by {z} standard errors"


def variance_within_its_error(rows, variance):
    """The sample variance against the closed form; its own error comes from the sample's fourth moment."""
    centred = rows - rows.mean(0)
    se = np.sqrt(((centred**4).mean(0) - (centred**2).mean(0) ** 2) / len(rows))
    assert np.all(np.abs((centred**2).mean(0) - variance) < 5 * se)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# -------------------- the bound --------------------


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 2))
def test_no_average_is_below_the_minimum(mu, sigma):
    def f(x):
        return (x[:, 0] ** 2 - 1) ** 2 + 0.3 * x[:, 0]

    lowest = optimize.minimize_scalar(lambda x: (x**2 - 1) ** 2 + 0.3 * x, bounds=(-2, 0), method="bounded").fun
    smoothed = WEIGHTS @ f(mu + sigma * NODES[:, None])
    assert smoothed >= lowest
    rows = evolution.bound(f, np.array([mu]), sigma, NODES[:, None])
    assert WEIGHTS @ rows == pytest.approx(smoothed)


def test_the_bound_is_on_the_minimum_and_not_on_the_function():
    values = evolution.bound(lambda x: -(x[:, 0] ** 2), np.zeros(1), 0.5, normal((1000, 1)))
    assert values.mean() < 0  # f(mu) = 0 lies above the average: a concave f is smoothed downwards


def test_sigma_to_zero_makes_the_bound_tight():
    def smoothed(mu, sigma):  # |x|, whose minimum is 0 and whose smoothing is known: sigma sqrt(2/pi) at mu = 0
        return WEIGHTS @ evolution.bound(lambda x: np.abs(x[:, 0]), np.array([mu]), sigma, NODES[:, None])

    values = [smoothed(0.0, sigma) for sigma in (1, 0.1, 0.01, 0)]
    assert values == sorted(values, reverse=True) and values[-1] == 0


# -------------------- the gradient --------------------


def test_rows_are_those_of_the_score_function():
    mu, sigma, eps = np.array([0.3, -1.0, 2.0]), 0.7, normal((50, 3))

    def f(x):
        return np.sin(x[:, 0]) + x[:, 1] * x[:, 2] ** 2

    def log_p(z, mu):
        return -np.sum((z - mu) ** 2, axis=-1) / (2 * sigma**2)

    np.testing.assert_allclose(
        evolution.es_gradient(f, mu, sigma, eps), gradients.score_function(f, log_p, mu, mu + sigma * eps)
    )


def test_log_sigma_rows_are_those_of_the_score_function():
    mu, eps = np.array([0.3, -1.0]), normal((50, 2))

    def f(x):
        return np.sin(x[:, 0]) + x[:, 1] ** 2

    def log_p(z, theta):  # theta = (log sigma,)
        from autograd import numpy as anp

        log_sigma = theta[..., 0]
        return -anp.sum((z - mu) ** 2, axis=-1) * anp.exp(-2 * log_sigma) / 2 - 2 * log_sigma

    theta = np.array([np.log(0.7)])
    np.testing.assert_allclose(
        evolution.es_gradient_log_sigma(f, mu, 0.7, eps),
        gradients.score_function(f, log_p, theta, mu + 0.7 * eps)[:, 0],
    )


def test_rows_by_loops():
    mu, sigma, eps = np.array([0.5, 2.0]), 0.2, normal((4, 2))
    loops = [[(x := mu + sigma * e)[0] * x[1] * e[j] / sigma for j in range(2)] for e in eps]
    np.testing.assert_allclose(evolution.es_gradient(lambda x: x[:, 0] * x[:, 1], mu, sigma, eps), loops)


def test_quadratic_is_exact_by_quadrature_and_the_variance_is_the_closed_form():
    mu, sigma, k = np.array([1.0]), 1.0, -3.0

    def f(x):
        return (x[:, 0] - k) ** 2

    rows = evolution.es_gradient(f, mu, sigma, NODES[:, None])[:, 0]
    a = mu[0] - k
    assert WEIGHTS @ rows == pytest.approx(2 * a)
    assert WEIGHTS @ rows**2 - (2 * a) ** 2 == pytest.approx(a**4 + 14 * a**2 + 15)  # 495, the score function's
    rows = evolution.es_gradient(f, mu, sigma, normal((100000, 1)))[:, 0]
    within_5_se(rows, 2 * a, 495)
    variance_within_its_error(rows, 495)


@pytest.mark.parametrize("mu", [-0.8, 0.0, 1.3])
def test_a_step_gets_the_slope_of_its_smoothing(mu):
    sigma = 0.5  # f = 1[x > 0]: E f = Phi(mu / sigma), so the gradient is phi(mu / sigma) / sigma; f' itself is 0
    rows = evolution.es_gradient(lambda x: np.heaviside(x[:, 0], 0.5), np.array([mu]), sigma, normal((200000, 1)))[:, 0]
    truth = stats.norm.pdf(mu / sigma) / sigma
    t = -mu / sigma  # E[(f eps / sigma)^2] = int_t^inf e^2 phi(e) de / sigma^2
    second = (t * stats.norm.pdf(t) + stats.norm.sf(t)) / sigma**2
    within_5_se(rows, truth, second - truth**2)
    variance_within_its_error(rows, second - truth**2)


def test_smoothed_absolute_value():
    values = evolution.bound(lambda x: np.abs(x[:, 0]), np.zeros(1), 1.0, normal((200000, 1)))
    assert np.sqrt(2 / np.pi) == pytest.approx(0.7978846, abs=5e-8)
    within_5_se(values[:, None], 0.7978846, 1 - 2 / np.pi)


def test_log_sigma_gradient_of_a_quadratic():
    mu, sigma = np.array([1.0, -2.0]), 0.6  # E f = |mu|^2 + 2 sigma^2, so d/dlog sigma = 4 sigma^2
    rows = evolution.es_gradient_log_sigma(lambda x: np.sum(x**2, axis=1), mu, sigma, normal((400000, 2)))
    # f = M + L + Q with Q = sigma^2 |eps|^2, L = 2 sigma mu.eps: second moment by quadrature on the product grid
    E1, E2 = (e.ravel() for e in np.meshgrid(NODES, NODES))
    w = np.outer(WEIGHTS, WEIGHTS).ravel()
    exact = ((mu[0] + sigma * E1) ** 2 + (mu[1] + sigma * E2) ** 2) * (E1**2 + E2**2 - 2)
    assert w @ exact == pytest.approx(4 * sigma**2)
    within_5_se(rows[:, None], 4 * sigma**2, w @ exact**2 - (w @ exact) ** 2)


def test_as_sigma_falls_the_gradient_becomes_that_of_f():
    def smoothed_slope(sigma):
        return WEIGHTS @ evolution.es_gradient(lambda x: np.sin(x[:, 0]), np.ones(1), sigma, NODES[:, None])[:, 0]

    errors = [abs(smoothed_slope(s) - np.cos(1.0)) for s in (1, 0.1, 0.01)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-4
    assert smoothed_slope(1.0) == pytest.approx(np.cos(1.0) * np.exp(-0.5))  # E sin(mu + sigma eps) is damped


# -------------------- less variance --------------------


def test_a_pair_is_the_average_of_its_two_rows():
    mu, sigma, eps = np.array([0.5, 2.0]), 0.3, normal((6, 2))

    def f(x):
        return np.exp(x[:, 0]) + x[:, 1]

    pairs = evolution.antithetic_gradient(f, mu, sigma, eps)
    loops = [(f(mu[None] + sigma * e)[0] - f(mu[None] - sigma * e)[0]) * e / (2 * sigma) for e in eps]
    np.testing.assert_allclose(pairs, loops)
    both = evolution.es_gradient(f, mu, sigma, evolution.antithetic(eps))
    np.testing.assert_allclose(pairs.mean(0), both.mean(0))


@pytest.mark.parametrize("d", [1, 10, 100])
def test_one_pair_on_a_linear_function_has_relative_squared_error_d_plus_1(d):
    b = np.arange(1, d + 1) / d
    eps = normal((20000, d))
    rows = evolution.antithetic_gradient(lambda x: 7 + x @ b, np.zeros(d), 0.4, eps)
    error = np.sum((rows - b) ** 2, axis=1) / (b @ b)
    # rows = (eps.b) eps, so E|rows|^2 = (d + 2)|b|^2, and the error is (d + 2) - 2 + 1 = d + 1: 2, 11, 101
    assert abs(error.mean() - (d + 1)) < 5 * error.std() / np.sqrt(len(eps))
    assert error.std() / np.sqrt(len(eps)) < 0.03 * (d + 1)


def test_pairs_are_blind_to_even_functions_and_to_constants():
    mu, eps = np.zeros(2), normal((10, 2))
    np.testing.assert_allclose(
        evolution.antithetic_gradient(lambda x: 5 + np.sum(x**2, 1), mu, 1.0, eps), 0, atol=1e-12
    )


def test_at_equal_evaluations_pairs_have_less_variance_on_the_quadratic():
    def f(x):
        return (x[:, 0] + 3) ** 2

    eps, mu = normal((100000, 1)), np.ones(1)
    pairs = evolution.antithetic_gradient(f, mu, 1.0, eps)[:, 0]
    # f(mu + e) - f(mu - e) = 4 a e with a = 4: rows 2 a e^2, variance 4 a^2 Var(e^2) = 8 a^2 = 128, against 495 / 2
    within_5_se(pairs, 8, 128)
    variance_within_its_error(pairs, 128)
    assert pairs.var() < evolution.es_gradient(f, mu, 1.0, eps).var() / 2


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.integers(1, 20), elements=st.floats(-5, 5)))
def test_ranks_are_those_of_scipy_and_keep_under_increasing_maps(values):
    r = evolution.ranks(values)
    expected = (stats.rankdata(values) - 1) / (len(values) - 1) - 0.5 if len(values) > 1 else np.zeros(1)
    np.testing.assert_allclose(r, expected, atol=1e-12)
    np.testing.assert_array_equal(evolution.ranks(4 * values), r)
    assert abs(r.sum()) < 1e-9


def test_ranks_forget_outliers_and_the_gradient_uses_them():
    mu, eps = np.zeros(1), normal((8, 1))
    tame = evolution.es_gradient(lambda x: x[:, 0], mu, 1.0, eps, evolution.ranks)
    wild = evolution.es_gradient(lambda x: np.exp(20 * x[:, 0]), mu, 1.0, eps, evolution.ranks)
    np.testing.assert_array_equal(tame, wild)
    np.testing.assert_allclose(tame[:, 0], evolution.ranks(eps[:, 0]) * eps[:, 0])
    assert evolution.ranks(np.array([0.0, np.inf, 1.0])).tolist() == [-0.5, 0.5, 0.0]
    with pytest.raises(ValueError, match="NaN"):
        evolution.ranks(np.array([0.0, np.nan]))


# -------------------- Rastrigin --------------------


@settings(max_examples=30, deadline=None)
@given(arrays(float, 2, elements=st.floats(-3, 3)), st.floats(0, 1), st.floats(0, 15))
def test_smoothed_rastrigin_is_the_average_of_rastrigin(mu, sigma, amplitude):
    def rastrigin(x):
        return amplitude + x**2 - amplitude * np.cos(2 * np.pi * x)

    exact = sum(WEIGHTS @ rastrigin(m + sigma * NODES) for m in mu)
    assert evolution.smoothed_rastrigin(mu, sigma, amplitude) == pytest.approx(exact, abs=1e-7)
    assert evolution.smoothed_rastrigin(mu, 0.0, amplitude) == pytest.approx(np.sum(rastrigin(mu)))


@pytest.mark.parametrize("amplitude", [10.0, 3.7, -10.0])
def test_convexity_threshold_by_looking_at_the_curvature(amplitude):
    grid = np.linspace(-1, 1, 2001)[:, None]
    curvature = elementwise_grad(elementwise_grad(lambda m, s: evolution.smoothed_rastrigin(m, s, amplitude)))

    def lowest(sigma):
        return curvature(grid, sigma).min()

    sigma = evolution.convex_sigma(amplitude)
    assert optimize.brentq(lowest, 0.1, 1) == pytest.approx(sigma, abs=1e-7)


def test_convexity_threshold_digits_and_limits():
    assert evolution.convex_sigma() == pytest.approx(0.5174466, abs=5e-8)
    assert evolution.convex_sigma(0.0) == 0 and evolution.convex_sigma(1 / (2 * np.pi**2)) == 0  # convex as it is


def test_smoothed_rastrigin_is_differentiable():
    check_grads(evolution.smoothed_rastrigin, modes=["fwd", "rev"], order=2)(normal(3), 0.3)
    mu = np.array([0.4])
    rows = evolution.es_gradient(lambda x: evolution.smoothed_rastrigin(x, 0), mu, 0.5, NODES[:, None])
    np.testing.assert_allclose(WEIGHTS @ rows, grad(evolution.smoothed_rastrigin)(mu, 0.5), atol=1e-6)


# -------------------- the loop --------------------


def rastrigin(x):
    return evolution.smoothed_rastrigin(x, 0)


def test_wide_search_leaves_the_local_minimum_that_traps_a_narrow_one():
    start = np.array([2.9, -1.9])
    narrow = evolution.minimise(rastrigin, start, 0.05, np.random.default_rng(0), steps=300, lr=1e-3)
    wide = evolution.minimise(rastrigin, start, 0.6, np.random.default_rng(0), steps=300, lr=0.02)
    np.testing.assert_allclose(narrow.params, [2.985, -1.99], atol=0.05)  # the minimum of its cell
    assert np.all(np.abs(wide.params) < 0.5) and rastrigin(narrow.params) > 10


def test_the_average_of_a_run_stays_above_the_minimum():
    run = evolution.minimise(lambda x: np.sum(x**2, 1), np.array([3.0]), 0.3, np.random.default_rng(0), steps=200)
    assert np.all(run.values >= 0) and run.values[-50:].mean() == pytest.approx(0.09, abs=0.03)  # sigma^2, not 0


@pytest.mark.parametrize(
    "options", [{"shaping": evolution.ranks}, {"update": adam, "lr": 0.05}, {"lr": lambda t: 0.2 / (1 + t / 50)}]
)
def test_options_of_the_loop(options):
    run = evolution.minimise(lambda x: np.sum((x - 1) ** 2, 1), np.zeros(3), 0.1, np.random.default_rng(1), **options)
    np.testing.assert_allclose(run.params, 1, atol=0.1)


def test_a_falling_sigma_and_float32():
    widths = []

    def sigma(t):
        widths.append(t)
        return 0.5 * 0.98**t

    run = evolution.minimise(rastrigin, np.zeros(2, np.float32), sigma, np.random.default_rng(2), steps=40, lr=1e-3)
    assert widths == list(range(40)) and run.params.dtype == np.float32
    eps = normal((4, 2)).astype(np.float32)
    for out in (
        evolution.bound(rastrigin, eps[0], 0.5, eps), evolution.es_gradient(rastrigin, eps[0], 0.5, eps),
        evolution.es_gradient(rastrigin, eps[0], 0.5, eps, evolution.ranks), evolution.ranks(eps[0]),
        evolution.antithetic_gradient(rastrigin, eps[0], 0.5, eps), evolution.smoothed_rastrigin(eps, 0.2),
        evolution.es_gradient_log_sigma(rastrigin, eps[0], 0.5, eps),
    ):  # fmt: skip
        assert out.dtype == np.float32


def test_integer_start_is_not_truncated():
    ints, floats = (
        evolution.minimise(lambda x: np.sum((x - 0.5) ** 2, 1), mu, 0.1, np.random.default_rng(3), steps=2)
        for mu in (np.array([3]), np.array([3.0]))
    )
    np.testing.assert_array_equal(ints.params, floats.params)


def test_callback_stops_and_interrupt_returns_what_there_is():
    def f(x):
        return np.sum(x**2, 1)

    seen = []

    def stop(t, mu, value):
        seen.append((t, mu.copy(), value))
        return t == 4

    run = evolution.minimise(f, np.ones(2), 0.1, np.random.default_rng(0), callback=stop)
    assert [t for t, _, _ in seen] == [0, 1, 2, 3, 4] and len(run.values) == 5

    def interrupt(t, mu, value):
        if t == 3:
            raise KeyboardInterrupt

    run = evolution.minimise(f, np.ones(2), 0.1, np.random.default_rng(0), callback=interrupt)
    assert len(run.values) == 4 and not np.allclose(run.params, 1)


def test_bad_input_is_named():
    eps, mu = normal((5, 2)), np.zeros(2)
    for sigma in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="sigma"):
            evolution.es_gradient(rastrigin, mu, sigma, eps)
    with pytest.raises(ValueError, match="one value per row"):
        evolution.es_gradient(lambda x: x[:, :1], mu, 1.0, eps)
    with pytest.raises(ValueError, match="one value per row"):
        evolution.es_gradient(rastrigin, mu, 1.0, np.zeros((0, 2)))
    with pytest.raises(ValueError, match="objective"):
        evolution.minimise(lambda x: np.full(len(x), np.nan), mu, 1.0, np.random.default_rng(0))


def test_ranks_of_whole_numbers_are_not_rounded():
    np.testing.assert_array_equal(evolution.ranks(np.array([3, 1, 2])), [0.5, -0.5, 0])
