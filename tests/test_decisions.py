"""One gradient, four uses, each against an answer worked out another way (slide 6; syllabus T8-T10)."""

import itertools
from itertools import repeat

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from sklearn.datasets import load_iris

from enm5310 import decisions, gradients
from enm5310.decisions import FULL_COVARIANCE, LQR, MEAN_FIELD, Newsvendor
from enm5310.optimize import sgd

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
W = WEIGHTS / np.sqrt(2 * np.pi)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def fresh(*shape, steps, seed=0):
    """New noise for each step."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) for _ in range(steps))


def agrees(rows, mean, variance):
    """Mean within 5 known standard errors; variance within 5 of its own, from the sample's fourth moment."""
    n, centred = len(rows), rows - rows.mean(0)
    z = (rows.mean(0) - mean) / np.sqrt(np.asarray(variance) / n + 1e-30)
    assert np.all(np.abs(z) < 5), f"mean off by {z} standard errors"
    own = np.sqrt(((centred**4).mean(0) - (centred**2).mean(0) ** 2) / n)
    assert np.all(np.abs((centred**2).mean(0) - variance) <= 5 * own + 1e-12), (rows.var(0), variance)


# -------------------- variational inference --------------------


def toy_joint(z):
    """z ~ N(0, 1), x | z ~ N(z, 1), x = 2: posterior N(1, 1/2), log p(x) = -1/2 log 4pi - 1."""
    return anp.sum(-(z**2) / 2 - (2 - z) ** 2 / 2, axis=1) - anp.log(2 * anp.pi)


def toy_lik(z):
    return anp.sum(-((2 - z) ** 2) / 2, axis=1) - anp.log(2 * anp.pi) / 2


LOG_EVIDENCE = -0.5 * np.log(4 * np.pi) - 1
POSTERIOR, PRIOR = np.array([1.0, np.log(0.5) / 2]), np.zeros(2)


def test_elbo_of_the_toy_by_quadrature():
    for theta, exact in [(PRIOR, -3.4189385), (np.array([1.0, 0.0]), -2.4189385), (POSTERIOR, -2.2655121)]:
        rows = decisions.elbo(toy_joint, MEAN_FIELD, theta, NODES[:, None])
        assert W @ rows == pytest.approx(exact, abs=5e-8)
    assert np.ptp(rows) < 1e-10  # at the posterior every sample says log p(x)
    assert rows[0] == pytest.approx(LOG_EVIDENCE)


@pytest.mark.parametrize(
    ("theta", "estimator", "variance"),
    [
        # at the posterior, with s^2 = 1/2: rows of the mean and of log sigma are polynomials in eps
        (POSTERIOR, "all", (2, 2)),
        (POSTERIOR, "kl", (0.5, 1)),
        (POSTERIOR, "stl", (0, 0)),
        # at the prior: d/dm = 2 - 2 e (all) or 2 - e (analytic KL)
        (PRIOR, "all", (4, None)),
        (PRIOR, "kl", (1, None)),
    ],
)
def test_variance_of_the_three_elbo_gradients(theta, estimator, variance):
    rows = {
        "all": lambda eps: gradients.elbo_gradient(toy_joint, MEAN_FIELD.log_q, MEAN_FIELD.g, theta, eps),
        "stl": lambda eps: gradients.sticking_the_landing(toy_joint, MEAN_FIELD.log_q, MEAN_FIELD.g, theta, eps),
        "kl": lambda eps: decisions.analytic_kl_gradient(toy_lik, theta, eps),
    }[estimator](NODES[:, None])
    m, s = theta[0], np.exp(theta[1])
    np.testing.assert_allclose(W @ rows, [2 - 2 * m, 1 - 2 * s**2], atol=1e-9)  # of the ELBO in closed form
    for j, v in enumerate(variance):
        if v is not None:
            assert W @ rows[:, j] ** 2 - (W @ rows[:, j]) ** 2 == pytest.approx(v, abs=1e-9)


def test_the_score_function_pays_for_not_looking_inside():
    def f(z):
        return toy_joint(z) - MEAN_FIELD.log_q(z, PRIOR)

    rows = gradients.score_function(f, MEAN_FIELD.log_q, PRIOR, NODES[:, None])[:, 0]
    assert W @ rows == pytest.approx(2)
    # f = -(2 - e)^2/2 - c, row = e f: E[e^2 f^2] by hand from the moments 1, 3, 15 of e^2, e^4, e^6
    c = 2 + np.log(2 * np.pi) / 2  # f = -c + 2e - e^2/2
    exact = c**2 + (4 + c) * 3 + 15 / 4 - 4
    assert W @ rows**2 - 4 == pytest.approx(exact)
    assert exact == pytest.approx(29.05, abs=0.1)


def correlated(rho):
    P = np.linalg.inv([[1, rho], [rho, 1]])
    return lambda z: -0.5 * anp.sum((z - 1) @ P * (z - 1), axis=1)


def test_mean_field_shrinks_to_one_minus_rho_squared():
    run = decisions.fit_vi(correlated(0.9), np.zeros(4), fresh(20, 2, steps=800), lr=lambda t: 0.05 * 0.997**t)
    np.testing.assert_allclose(np.exp(2 * run.params[2:]), 0.19, rtol=0.05)
    np.testing.assert_allclose(run.params[:2], 1, atol=0.05)
    # -ELBO + log normaliser = KL >= -1/2 log(1 - rho^2) = .8303656, and it is reached
    kl = np.mean(run.values[-300:]) + np.log(2 * np.pi) + 0.5 * np.log(0.19)
    assert -0.5 * np.log(0.19) == pytest.approx(0.8303656, abs=5e-8)
    assert kl == pytest.approx(0.8303656, abs=0.05)


def test_full_covariance_finds_the_correlation_and_then_has_no_noise_left():
    run = decisions.fit_vi(
        correlated(0.9), np.zeros(5), fresh(20, 2, steps=800), FULL_COVARIANCE, lr=lambda t: 0.05 * 0.995**t
    )
    L = decisions.cholesky(run.params, 2)
    np.testing.assert_allclose(L @ L.T, [[1, 0.9], [0.9, 1]], atol=1e-3)
    assert run.values[-1] == pytest.approx(-np.log(2 * np.pi) - 0.5 * np.log(0.19), abs=1e-4)


@pytest.mark.parametrize("estimator", [gradients.elbo_gradient, gradients.sticking_the_landing])
def test_fixed_noise_solves_its_own_problem_exactly(estimator):
    """With whitened eps repeated at every step the sampled ELBO has the exact optimum, so there is no noise floor."""
    eps = np.array([[1.0], [-1.0]])  # mean 0, variance 1
    run = decisions.fit_vi(toy_joint, np.array([0.0, 0.0]), repeat(eps, 400), estimator=estimator, lr=0.03)
    np.testing.assert_allclose(run.params, POSTERIOR, atol=1e-3)


def test_cholesky_puts_every_number_in_its_place():
    theta = np.array([0, 0, 0, np.log(2), np.log(3), np.log(4), 5.0, 6, 7])
    np.testing.assert_allclose(decisions.cholesky(theta, 3), [[2, 0, 0], [5, 3, 0], [6, 7, 4]])
    stacked = np.stack([theta, 0 * theta])
    np.testing.assert_allclose(decisions.cholesky(stacked, 3)[1], np.eye(3))
    check_grads(lambda t: decisions.cholesky(t, 3), modes=["rev"], order=2)(theta)


@pytest.mark.parametrize(("family", "size"), [(MEAN_FIELD, 6), (FULL_COVARIANCE, 9)])
def test_families_are_the_gaussians_they_say(family, size):
    theta, eps = 0.3 * normal(size), normal(7, 3, seed=1)
    L = np.diag(np.exp(theta[3:6]))
    if size == 9:
        L[np.tril_indices(3, -1)] = theta[6:]
    z = family.g(eps, theta)
    np.testing.assert_allclose(z, [theta[:3] + L @ e for e in eps])
    np.testing.assert_allclose(family.log_q(z, theta), stats.multivariate_normal(theta[:3], L @ L.T).logpdf(z))
    np.testing.assert_allclose(family.log_q(z, np.tile(theta, (7, 1))), family.log_q(z, theta))  # one copy per sample
    check_grads(
        lambda t: anp.sum(family.log_q(z, t) * eps[:, 0]) + anp.sum(family.g(eps, t) ** 2), modes=["rev"], order=2
    )(theta)


def iris():
    X, y = load_iris(return_X_y=True)
    x = X[50:, 2]  # petal length of the two species that overlap
    return np.stack([np.ones(100), (x - x.mean()) / x.std()], 1), (y[50:] == 2).astype(float)


def test_bayesian_logistic_regression_between_its_start_and_the_evidence():
    X, y = iris()
    log_joint = decisions.logistic_regression(X, y, 10.0)

    a, b = (g[..., None] for g in np.meshgrid(np.linspace(-3, 4, 141), np.linspace(-1, 20, 211), indexing="ij"))
    prior = stats.norm(0, np.sqrt(10)).logpdf
    log_p = (prior(a) + prior(b))[..., 0] - np.sum(
        np.log1p(np.exp(np.where(y == 1, -1, 1) * (a + b * X[:, 1]))), axis=2
    )
    np.testing.assert_allclose(log_joint(np.array([[a[40, 0, 0], b[0, 50, 0]]])), log_p[40, 50])
    cell = 7 / 140 * 21 / 210
    evidence = np.log(np.sum(np.exp(log_p)) * cell)  # a smooth bump on a fine grid: the plain sum is exact
    posterior = np.exp(log_p - evidence) * cell
    mean = np.array([np.sum(posterior * a[..., 0]), np.sum(posterior * b[..., 0])])
    var = np.array([np.sum(posterior * a[..., 0] ** 2), np.sum(posterior * b[..., 0] ** 2)]) - mean**2
    gaps = []
    for family, size in [(MEAN_FIELD, 4), (FULL_COVARIANCE, 5)]:
        run = decisions.fit_vi(log_joint, np.zeros(size), fresh(20, 2, steps=400), family, lr=lambda t: 0.3 * 0.99**t)
        rows = decisions.elbo(log_joint, family, run.params, normal(20000, 2, seed=9))
        assert -run.values[0] < rows.mean() < evidence + 5 * rows.std() / np.sqrt(20000)
        gaps.append(evidence - rows.mean())
        assert np.all(np.abs(run.params[:2] - mean) < 0.25 * np.sqrt(var))
    assert gaps[1] < gaps[0] + 0.005 and gaps[1] < 0.05  # the richer family is at least as close


def test_vi_bad_input():
    with pytest.raises(ValueError, match="theta"):
        decisions.elbo(toy_joint, MEAN_FIELD, np.zeros(3), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="theta"):
        decisions.elbo(toy_joint, FULL_COVARIANCE, np.zeros(4), np.zeros((5, 2)))
    X, y = iris()
    for bad in (y[:, None], y[:-1], 2 * y - 1, np.full(100, np.nan)):
        with pytest.raises(ValueError, match="label"):
            decisions.logistic_regression(X, bad)


# -------------------- reinforcement learning --------------------


def test_golden_ratio():
    P, K = decisions.riccati(LQR())
    golden = (1 + np.sqrt(5)) / 2
    assert P == pytest.approx(golden) and K == pytest.approx(golden - 1)
    assert (P, K) == pytest.approx((1.618034, 0.618034), abs=5e-7)
    best = optimize.minimize_scalar(lambda k: (1 + k**2) / (1 - (1 - k) ** 2), bounds=(0.1, 1.9), method="bounded")
    assert (best.x, best.fun) == pytest.approx((K, P), abs=1e-5)
    assert decisions.average_cost(LQR(), K) == pytest.approx(1.618034, abs=5e-7)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 3), st.floats(0.2, 3), st.floats(0.1, 5), st.floats(0.1, 5), st.sampled_from([-1, 1]))
def test_riccati_by_iterating_the_value_function(a, b, Q, R, sign):
    b, P = sign * b, 0.0
    for _ in range(20000):
        P, old = Q + a**2 * P - (a * b * P) ** 2 / (R + b**2 * P), P
        if abs(P - old) < 1e-13 * P:
            break
    value, K = decisions.riccati(LQR(a, b, Q, R))
    assert value == pytest.approx(P, rel=1e-6) and K == pytest.approx(a * b * P / (R + b**2 * P), rel=1e-6, abs=1e-9)
    assert decisions.average_cost(LQR(a, b, Q, R), K) == pytest.approx(P, rel=1e-6)  # the optimum pays P per step
    assert grad(lambda k: decisions.average_cost(LQR(a, b, Q, R), k))(K) == pytest.approx(0, abs=1e-5 * P)
    check_grads(lambda k: decisions.average_cost(LQR(a, b, Q, R), k), modes=["rev"], order=1)(K)


def test_an_unstable_loop_costs_without_bound():
    assert np.array_equal(
        np.isinf(decisions.average_cost(LQR(), np.array([-0.1, 0.0, 0.5, 2.0, 3.0]))), [1, 1, 0, 1, 1]
    )
    for bad in (LQR(b=0.0), LQR(Q=0.0), LQR(R=-1.0), LQR(Q=np.nan)):
        with pytest.raises(ValueError, match="Riccati"):
            decisions.riccati(bad)


def quadratic_forms(k, sigma, T):
    """Cost, its derivative and the score as quadratic forms in the noise: everything is linear and Gaussian."""
    C, G, B = np.zeros((3, 2 * T, 2 * T))
    x, dx = np.zeros((2, 2 * T))
    for e, w in zip(np.eye(2 * T)[::2], np.eye(2 * T)[1::2], strict=True):
        u, du = -k * x + sigma * e, -x - k * dx
        C += np.outer(x, x) + np.outer(u, u)
        G += 2 * np.outer(x, dx) + 2 * np.outer(u, du)
        B += np.outer(e, -x) / sigma
        x, dx = x + u + w, dx + du
    return [(M + M.T) / 2 for M in (C, G, B)]


def moment(*forms):
    """E of a product of quadratic forms e'Me of normal e: over partitions, joint cumulants 2^(n-1) sum tr(M..M)."""

    def cumulant(Ms):
        orders = itertools.permutations(Ms[1:])
        return 2 ** (len(Ms) - 1) * sum(np.trace(np.linalg.multi_dot([Ms[0], *o, np.eye(len(Ms[0]))])) for o in orders)

    def partitions(Ms):
        if not Ms:
            return [[]]
        subsets = itertools.chain.from_iterable(itertools.combinations(range(1, len(Ms)), r) for r in range(len(Ms)))
        return [[[Ms[0], *(Ms[i] for i in s)], *p] for s in subsets
                for p in partitions([M for i, M in enumerate(Ms) if i and i not in s])]  # fmt: skip

    return sum(np.prod([cumulant(block) for block in p]) for p in partitions(list(forms)))


# T: variance of pathwise, score function, score function with the mean cost as baseline
LQR_DIGITS = {
    5: (93.8, 1.70e4, 7.97e3),
    10: (762, 1.37e5, 4.45e4),
    20: (2366, 9.07e5, 1.68e5),
    50: (7192, 1.18e7, 9.15e5),
}


@pytest.mark.parametrize("T", LQR_DIGITS)
def test_policy_gradients_and_their_exact_variances(T):
    C, G, B = quadratic_forms(0.4, 0.3, T)
    truth, cost = moment(G), moment(C)
    assert moment(C, B) == pytest.approx(truth)  # two estimators, one gradient
    exact = [
        moment(G, G) - truth**2,
        moment(C, C, B, B) - truth**2,
        moment(C, C, B, B) - 2 * cost * moment(C, B, B) + cost**2 * moment(B, B) - truth**2,
    ]
    np.testing.assert_allclose(exact, LQR_DIGITS[T], rtol=5e-3)
    problem, theta, eps = (
        decisions.lqr_problem(LQR(), 0.3),
        np.array([0.4]),
        normal(20000 if T < 50 else 5000, T, 2, seed=T),
    )
    agrees(problem.f(problem.g(eps, theta)), cost, moment(C, C) - cost**2)
    agrees(decisions.pathwise(problem, theta, eps)[:, 0], truth, exact[0])
    agrees(decisions.likelihood_ratio(problem, theta, eps)[:, 0], truth, exact[1])
    agrees(decisions.likelihood_ratio(problem, theta, eps, cost)[:, 0], truth, exact[2])


def test_reward_to_go_keeps_the_mean_and_lowers_the_variance():
    lqr, theta, eps = LQR(1.1, 0.7, 1.0, 0.5), np.array([0.4]), normal(20000, 8, 2)
    problem = decisions.lqr_problem(lqr, 0.3)
    z = problem.g(eps, theta)
    rows = decisions.reward_to_go(lqr, 0.3, theta, z)
    truth = decisions.pathwise(problem, theta, eps).mean()
    assert abs(rows.mean() - truth) < 5 * rows.std() / np.sqrt(len(rows))
    to_go = np.cumsum(decisions.step_costs(lqr, z)[:, ::-1], 1)[:, ::-1].mean(0)
    better = decisions.reward_to_go(lqr, 0.3, theta, z, to_go)
    assert abs(better.mean() - truth) < 5 * better.std() / np.sqrt(len(rows)) + 1
    assert better.var() < rows.var() < decisions.likelihood_ratio(problem, theta, eps).var()


def test_reward_to_go_and_rollout_by_loops():
    lqr, k, sigma, eps = LQR(0.9, 1.2, 2.0, 0.5), 0.3, 0.4, normal(3, 4, 2)
    problem = decisions.lqr_problem(lqr, sigma, x0=1.5, terminal=2.5)
    z = problem.g(eps, np.array([k]))
    for s in range(3):
        x, path, score = 1.5, [], []
        for e, w in eps[s]:
            u = -k * x + sigma * e
            path.append((x, u, 0.9 * x + 1.2 * u + w))
            score.append((u + k * x) / sigma**2 * -x)  # d/dk log N(u; -k x, sigma^2)
            x = path[-1][2]
        costs = [2 * x**2 + 0.5 * u**2 for x, u, _ in path]
        np.testing.assert_allclose(z[s], path)
        assert problem.f(z)[s] == pytest.approx(sum(costs) + 2.5 * x**2)
        assert decisions.reward_to_go(lqr, sigma, np.array([k]), z, np.arange(4.0))[s, 0] == pytest.approx(
            sum(score[t] * (sum(costs[t:]) - t) for t in range(4))
        )
        log_p = sum(stats.norm(-k * x, sigma).logpdf(u) for x, u, _ in path)
        assert problem.log_p(z, np.array([k]))[s] == pytest.approx(log_p)


@pytest.mark.parametrize("estimator", [decisions.pathwise, decisions.likelihood_ratio])
def test_policy_gradient_walks_to_the_riccati_gain(estimator):
    P, K = decisions.riccati(LQR())
    problem = decisions.lqr_problem(LQR(), 0.3, x0=2.0, terminal=P)  # with P at the end, K is best at any horizon

    def with_baseline(problem, theta, eps):
        if estimator is decisions.pathwise:
            return estimator(problem, theta, eps)
        return estimator(problem, theta, eps, gradients.leave_one_out(problem.f(problem.g(eps, theta))))

    run = decisions.minimise(
        problem, np.array([0.2]), fresh(500, 8, 2, steps=250), with_baseline, lr=lambda t: 0.03 * 0.985**t
    )
    assert run.params[0] == pytest.approx(K, abs=0.02)


def test_without_terminal_cost_the_long_run_optimum_is_k_star_too():
    problem, eps = decisions.lqr_problem(LQR(), 0.3), normal(150, 80, 2)
    run = decisions.minimise(problem, np.array([0.4]), repeat(eps, 40), lr=lambda t: 0.05 * 0.93**t)
    assert run.params[0] == pytest.approx(0.618034, abs=0.02)


def test_exploration_must_be_positive():
    for sigma in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="sigma"):
            decisions.lqr_problem(LQR(), sigma)


# -------------------- pricing --------------------

CASES = [  # S, K, r, sigma, T, price, delta
    (100.0, 100.0, 0.05, 0.2, 1.0, 10.4505836, 0.6368307),
    (100.0, 110.0, 0.03, 0.25, 0.5, 3.8985512, 0.3572144),
]


def by_quadrature(payoff, S, K, r, sigma, T):
    """The discounted average payoff over the normal law of log S_T, split at the kink."""
    kink = (np.log(K / S) - (r - sigma**2 / 2) * T) / (sigma * np.sqrt(T))

    def f(e):
        return payoff(S * np.exp((r - sigma**2 / 2) * T + sigma * np.sqrt(T) * e)) * stats.norm.pdf(e)

    return np.exp(-r * T) * (
        integrate.quad(f, -12, kink, epsabs=1e-13)[0] + integrate.quad(f, kink, 12, epsabs=1e-13)[0]
    )


@pytest.mark.parametrize(("S", "K", "r", "sigma", "T", "price", "delta"), CASES)
def test_black_scholes_prices_and_deltas(S, K, r, sigma, T, price, delta):
    greeks = decisions.black_scholes(S, K, r, sigma, T)
    assert greeks.price == pytest.approx(by_quadrature(lambda s: max(s - K, 0), S, K, r, sigma, T), abs=1e-9)
    assert (greeks.price, greeks.delta) == pytest.approx((price, delta), abs=5e-8)
    digital = decisions.black_scholes_digital(S, K, r, sigma, T)
    assert digital.price == pytest.approx(by_quadrature(lambda s: float(s > K), S, K, r, sigma, T), abs=1e-9)


def test_greeks_digits_at_the_money():
    greeks = decisions.black_scholes(100.0, 100.0, 0.05, 0.2, 1.0)
    assert (greeks.vega, greeks.gamma) == pytest.approx((37.5240347, 0.0187620), abs=5e-8)
    digital = decisions.black_scholes_digital(100.0, 100.0, 0.05, 0.2, 1.0)
    assert (digital.price, digital.delta) == pytest.approx((0.5323248, 0.0187620), abs=5e-8)
    assert digital.delta == pytest.approx(greeks.gamma)  # only because K = S
    other = [f(100.0, 110.0, 0.03, 0.25, 0.5) for f in (decisions.black_scholes, decisions.black_scholes_digital)]
    assert abs(other[0].gamma - other[1].delta) > 1e-3


@settings(max_examples=50, deadline=None)
@given(st.floats(50, 150), st.floats(50, 150), st.floats(-0.02, 0.1), st.floats(0.1, 0.6), st.floats(0.1, 3))
def test_greeks_are_the_derivatives_of_the_price(S, K, r, sigma, T):
    for pricer in (decisions.black_scholes, decisions.black_scholes_digital):
        greeks = pricer(S, K, r, sigma, T)

        def slope(i, field, pricer=pricer):
            return grad(lambda S, sigma: getattr(pricer(S, K, r, sigma, T), field), i)(S, sigma)

        assert slope(0, "price") == pytest.approx(greeks.delta, rel=1e-8, abs=1e-12)
        assert slope(1, "price") == pytest.approx(greeks.vega, rel=1e-8, abs=1e-9)
        assert slope(0, "delta") == pytest.approx(greeks.gamma, rel=1e-8, abs=1e-12)
    tripled = decisions.black_scholes(3 * S, 3 * K, r, sigma, T).price  # the unit of money is free
    assert tripled == pytest.approx(3 * decisions.black_scholes(S, K, r, sigma, T).price, rel=1e-9, abs=1e-12)


def test_price_limits():
    def call(*args):
        return decisions.black_scholes(*args)

    assert call(100.0, 90.0, 0.05, 0.2, 0.0) == pytest.approx((10, 1, 0, 0))
    assert call(80.0, 90.0, 0.05, 0.2, 0.0) == (0, 0, 0, 0)
    assert call(100.0, 100.0, 0.0, 0.2, 0.0) == pytest.approx((0, 0.5, 0, np.inf))  # at the kink
    certain = call(100.0, 90.0, 0.05, 0.0, 2.0)
    assert certain.price == pytest.approx(100 - 90 * np.exp(-0.1)) and certain.delta == 1 and certain.vega == 0
    for small in (1e-3, 1e-6):  # the limit is approached, not jumped to
        assert call(100.0, 90.0, 0.05, small, 2.0).price == pytest.approx(certain.price)
    assert call(100.0, 1e-9, 0.05, 0.2, 1.0).price == pytest.approx(100) and call(100.0, 1e9, 0.05, 0.2, 1.0).price == 0
    several = call(np.array([90.0, 100.0]), 100.0, 0.05, np.array([[0.2], [0.0]]), 1.0)
    assert several.price.shape == (2, 2) and several.price[0, 1] == pytest.approx(10.4505836, abs=5e-8)
    assert several.price[1, 1] == pytest.approx(100 - 100 * np.exp(-0.05))


@pytest.mark.parametrize(
    ("field", "value"), [(0, 0.0), (0, -1.0), (1, 0.0), (1, -5.0), (3, -0.2), (4, -1.0), (3, np.nan), (1, np.nan)]
)
def test_impossible_markets_are_refused(field, value):
    args = [100.0, 100.0, 0.05, 0.2, 1.0]
    args[field] = value
    for pricer in (decisions.black_scholes, decisions.black_scholes_digital):
        with pytest.raises(ValueError, match=["S", "K", "r", "sigma", "T"][field] + " is"):
            pricer(*args)


def test_a_digital_without_time_and_an_option_problem_without_time_are_refused():
    with pytest.raises(ValueError, match="digital"):
        decisions.black_scholes_digital(100.0, 100.0, 0.05, 0.2, 0.0)
    with pytest.raises(ValueError, match="T is"):
        decisions.option(decisions.call(100), 0.05, 0.0)
    for theta in ([100.0, 0.0], [-1.0, 0.2]):
        with pytest.raises(ValueError, match="positive"):
            decisions.pathwise(decisions.option(decisions.call(100), 0.05, 1.0), np.array(theta), normal(3))
    for h in (0.0, -1.0):
        with pytest.raises(ValueError, match="h is"):
            decisions.smoothed_digital(100, h)


def one_path_moments(row, theta, r, T, K):
    """Mean and variance of a Greek's single-path estimate row(S_T, eps), by quadrature on both sides of the kink."""
    S, sigma = theta
    kink = (np.log(K / S) - (r - sigma**2 / 2) * T) / (sigma * np.sqrt(T))

    def E(power):
        def f(e):
            return row(S * np.exp((r - sigma**2 / 2) * T + sigma * np.sqrt(T) * e), e) ** power * stats.norm.pdf(e)

        return integrate.quad(f, -12, kink)[0] + integrate.quad(f, kink, 12)[0]

    return E(1), E(2) - E(1) ** 2


@pytest.mark.parametrize(("S", "K", "r", "sigma", "T", "price", "delta"), CASES)
def test_single_path_greeks_and_their_variances(S, K, r, sigma, T, price, delta):
    theta, eps = np.array([S, sigma]), normal(100000)
    problem, D, root = decisions.option(decisions.call(K), r, T), np.exp(-r * T), np.sqrt(T)
    exact = decisions.black_scholes(S, K, r, sigma, T)
    # textbook formulae, row by row
    oracles = {
        decisions.pathwise: [
            lambda s, e: D * (s > K) * s / S,
            lambda s, e: D * (s > K) * s * (root * e - sigma * T),
        ],
        decisions.likelihood_ratio: [
            lambda s, e: D * max(s - K, 0) * e / (S * sigma * root),
            lambda s, e: D * max(s - K, 0) * ((e**2 - 1) / sigma - e * root),
        ],
    }
    for estimator, formulae in oracles.items():
        rows = estimator(problem, theta, eps)
        S_T = problem.g(eps, theta)
        for j, row in enumerate(formulae):
            np.testing.assert_allclose(
                rows[:50, j], [row(s, e) for s, e in zip(S_T[:50], eps[:50], strict=True)], atol=1e-9
            )
            mean, variance = one_path_moments(row, theta, r, T, K)
            assert mean == pytest.approx((exact.delta, exact.vega)[j], rel=1e-6)
            agrees(rows[:, j], mean, variance)
    agrees(problem.f(problem.g(eps, theta)), price, one_path_moments(lambda s, e: D * max(s - K, 0), theta, r, T, K)[1])


def test_the_price_tomorrow_is_lognormal():
    problem, theta = decisions.option(decisions.call(110.0), 0.03, 0.5), np.array([100.0, 0.25])
    law = stats.lognorm(s=0.25 * np.sqrt(0.5), scale=100 * np.exp((0.03 - 0.25**2 / 2) * 0.5))
    z = np.array([60.0, 90.0, 130.0])
    np.testing.assert_allclose(problem.log_p(z, theta), law.logpdf(z))
    np.testing.assert_allclose(problem.g(stats.norm.ppf([0.1, 0.5, 0.9]), theta), law.ppf([0.1, 0.5, 0.9]))


def test_single_path_digits():
    theta, D = np.array([100.0, 0.2]), np.exp(-0.05)
    _, v_path = one_path_moments(lambda s, e: D * (s > 100) * s / 100, theta, 0.05, 1.0, 100.0)
    _, v_lr = one_path_moments(lambda s, e: D * max(s - 100, 0) * e / 20, theta, 0.05, 1.0, 100.0)
    assert (np.sqrt(v_path), np.sqrt(v_lr), v_lr / v_path) == pytest.approx((0.57638, 1.46583, 6.468), abs=5e-4)
    eps = normal(200000, seed=3)
    problem = decisions.option(decisions.call(100.0), 0.05, 1.0)
    assert decisions.pathwise(problem, theta, eps)[:, 0].std() == pytest.approx(0.57638, rel=0.01)
    assert decisions.likelihood_ratio(problem, theta, eps)[:, 0].std() == pytest.approx(1.46583, rel=0.02)


def test_a_jump_has_no_path_but_has_a_likelihood_ratio():
    theta, eps = np.array([100.0, 0.25]), normal(200000)
    problem = decisions.option(decisions.digital(110.0), 0.03, 0.5)
    assert np.array_equal(decisions.pathwise(problem, theta, eps), np.zeros((200000, 2)))
    exact, D = decisions.black_scholes_digital(100.0, 110.0, 0.03, 0.25, 0.5), np.exp(-0.015)
    _, variance = one_path_moments(lambda s, e: D * (s > 110) * e / (25 * np.sqrt(0.5)), theta, 0.03, 0.5, 110.0)
    rows = decisions.likelihood_ratio(problem, theta, eps)
    agrees(rows[:, 0], exact.delta, variance)
    assert abs(rows[:, 1].mean() - exact.vega) < 5 * rows[:, 1].std() / np.sqrt(200000)


def test_smoothing_trades_bias_for_variance():
    theta = np.array([100.0, 0.25])
    e = np.linspace(-9, 9, 400001)  # the smoothed payoff has no kink: a plain grid average is exact
    w = stats.norm.pdf(e) * (e[1] - e[0])
    truth = decisions.black_scholes_digital(100.0, 110.0, 0.03, 0.25, 0.5).delta
    biases, variances = [], []
    for h in (16.0, 8.0, 4.0, 2.0, 1.0):
        rows = decisions.pathwise(decisions.option(decisions.smoothed_digital(110.0, h), 0.03, 0.5), theta, e)[:, 0]
        biases.append(abs(w @ rows - truth))
        variances.append(w @ rows**2 - (w @ rows) ** 2)
    assert biases == sorted(biases, reverse=True) and variances == sorted(variances)
    assert biases[-2] / biases[-1] == pytest.approx(4, rel=0.05)  # O(h^2)
    assert variances[-1] / variances[-2] == pytest.approx(2, rel=0.15)  # O(1/h)


def test_normal_cdf_against_scipy_far_into_the_tail():
    x = np.array([-37.0, -10, -1, 0, 0.3, 5, 40])
    np.testing.assert_allclose(decisions.normal_cdf(x), stats.norm.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(decisions.normal_pdf(x), stats.norm.pdf(x), rtol=1e-13)
    assert decisions.normal_cdf(0) == 0.5 and isinstance(decisions.normal_cdf(0.0), float)
    check_grads(decisions.normal_cdf, modes=["fwd", "rev"], order=2)(x[1:6])
    check_grads(decisions.normal_cdf, modes=["fwd", "rev"], order=2)(0.7)


# -------------------- inventory --------------------

SHOP = Newsvendor(10.0, 4.0, 1.0)


def expected_by_quad(q, mu, sigma, shop=SHOP):
    def f(D):
        return (shop.p * min(q, D) + shop.s * max(q - D, 0) - shop.c * q) * stats.norm.pdf(D, mu, sigma)

    ends = mu - 12 * sigma, min(max(q, mu - 12 * sigma), mu + 12 * sigma), mu + 12 * sigma
    return sum(integrate.quad(f, a, b, epsabs=1e-11)[0] for a, b in itertools.pairwise(ends))


def test_newsvendor_optimum_digits():
    fractile = decisions.critical_fractile(SHOP)
    q = stats.norm(100, 20).ppf(fractile)
    assert fractile == pytest.approx(2 / 3) and q == pytest.approx(108.6145460, abs=5e-8)
    assert decisions.expected_profit(SHOP, q, 100.0, 20.0) == pytest.approx(534.55204, abs=5e-6)
    best = optimize.minimize_scalar(lambda q: -expected_by_quad(q, 100, 20), bounds=(50, 150), method="bounded")
    assert (best.x, -best.fun) == pytest.approx((q, 534.55204), abs=1e-2)


def test_newsvendor_at_100_digits():
    def f(q, mu, sigma):
        return decisions.expected_profit(SHOP, q, mu, sigma)

    at = (100.0, 100.0, 20.0)
    assert f(*at) == pytest.approx(528.19039, abs=5e-6)
    slopes = [grad(f, i)(*at) for i in range(3)]
    assert slopes == pytest.approx([1.5, 4.5, -3.5904805], abs=5e-8)


@settings(max_examples=30, deadline=None)
@given(st.floats(60, 140), st.floats(80, 120), st.floats(5, 40), st.floats(6, 20), st.floats(0, 3))
def test_expected_profit_by_quadrature(q, mu, sigma, p, s):
    shop = Newsvendor(p, 5.0, s)
    assert decisions.expected_profit(shop, q, mu, sigma) == pytest.approx(
        expected_by_quad(q, mu, sigma, shop), abs=1e-6
    )
    check_grads(lambda a: decisions.expected_profit(shop, a[0], a[1], a[2]), modes=["fwd", "rev"], order=2)(
        np.array([q, mu, sigma])
    )


def test_certain_demand_is_the_limit():
    for q in (90.0, 100.0, 110.0):
        certain = decisions.expected_profit(SHOP, q, 100.0, 0.0)
        assert certain == pytest.approx(decisions.profit(SHOP, q, 100.0))
        assert decisions.expected_profit(SHOP, q, 100.0, 1e-9) == pytest.approx(certain)


def test_profit_and_its_slope_by_cases():
    assert decisions.profit(SHOP, 5, np.array([3.0, 8.0])).tolist() == [10 * 3 + 2 - 20, 50 - 20]
    D = 100 + 20 * normal(1000)
    slopes = decisions.profit_slope(SHOP, 100.0, D)
    assert set(slopes) == {6.0, -3.0}
    np.testing.assert_array_equal(slopes, [6 if d > 100 else -3 for d in D])
    np.testing.assert_array_equal(
        slopes, elementwise_grad(lambda q: decisions.profit(SHOP, q, D))(np.full(1000, 100.0))
    )
    rows = decisions.pathwise(decisions.order_problem(SHOP), np.array([100.0]), D)[:, 0]
    np.testing.assert_array_equal(-rows, slopes)  # infinitesimal perturbation analysis is the pathwise gradient
    D = 100 + 20 * normal(100000, seed=1)
    agrees(decisions.profit_slope(SHOP, 100.0, D), 1.5, 4.5**2)  # +6 or -3, a coin


def test_gradients_in_the_law_of_demand():
    theta, eps = np.array([100.0, np.log(20.0)]), normal(200000)
    problem = decisions.demand_problem(SHOP, 100.0)
    for estimator in (decisions.pathwise, decisions.likelihood_ratio):
        rows = estimator(problem, theta, eps) / [1, 20]  # sigma d/dsigma -> d/dsigma
        assert np.all(np.abs(rows.mean(0) - [4.5, -3.5904805]) < 5 * rows.std(0) / np.sqrt(len(eps)))
    rows = decisions.pathwise(problem, theta, eps) / [1, 20]
    # pathwise rows are 9 * 1[eps < 0] and 9 eps 1[eps < 0]: variances 81/4 and 81 (1/2 - 1/(2 pi))
    agrees(rows, [4.5, -9 / np.sqrt(2 * np.pi)], [81 / 4, 81 * (0.5 - 1 / (2 * np.pi))])
    assert np.array_equal(rows[:, 0], 9.0 * (eps < 0))


def test_stochastic_approximation_finds_the_critical_fractile_from_demands_alone():
    D = (100 + 20 * e for e in fresh(100, steps=1000))
    run = decisions.minimise(
        decisions.order_problem(SHOP), np.array([60.0]), D, update=sgd, lr=lambda t: 100 / (10 + t)
    )
    assert run.params[0] == pytest.approx(108.6145460, abs=1)
    # another law, its density never written down
    rng = np.random.default_rng(1)
    D = (rng.exponential(50, size=150) for _ in range(1000))
    run = decisions.minimise(
        decisions.order_problem(SHOP), np.array([60.0]), D, update=sgd, lr=lambda t: 200 / (10 + t)
    )
    assert run.params[0] == pytest.approx(50 * np.log(3), abs=1.5)  # F(q) = 2/3


def test_shops_that_make_no_sense_are_refused():
    for bad in (Newsvendor(4.0, 4.0), Newsvendor(10.0, 4.0, 4.0), Newsvendor(3.0, 4.0, 1.0), Newsvendor(np.nan, 4.0)):
        with pytest.raises(ValueError, match="salvage"):
            decisions.critical_fractile(bad)
    with pytest.raises(ValueError, match="sigma"):
        decisions.expected_profit(SHOP, 100.0, 100.0, -1.0)


# -------------------- everywhere --------------------


def test_loops_can_be_stopped_and_interrupted():
    problem = decisions.order_problem(SHOP)
    seen = []
    run = decisions.minimise(
        problem, np.array([60.0]), fresh(5, steps=99), callback=lambda t, theta, v: seen.append(v) or t == 2
    )
    assert len(run.values) == 3 and seen == run.values.tolist()

    def interrupt(t, theta, value):
        if t == 4:
            raise KeyboardInterrupt

    assert len(decisions.minimise(problem, np.array([60.0]), fresh(5, steps=99), callback=interrupt).values) == 5
    assert len(decisions.fit_vi(toy_joint, np.zeros(2), fresh(5, 1, steps=99), callback=interrupt).values) == 5


def test_float32_stays_float32():
    f32 = np.float32
    eps1, eps2 = normal(20).astype(f32), normal(20, 2).astype(f32)
    X, y = iris()
    joint = decisions.logistic_regression(X.astype(f32), y.astype(f32))
    S = np.array([90, 100], f32)
    option, theta = decisions.option(decisions.call(100.0), 0.05, 1.0), np.array([100, 0.2], f32)
    smooth = decisions.option(decisions.smoothed_digital(100.0, 5.0), 0.05, 1.0)
    lqr, k, noise = decisions.lqr_problem(LQR(), 0.3), np.array([0.4], f32), normal(20, 5, 2).astype(f32)
    demand, law = decisions.demand_problem(SHOP, 100.0), np.array([100, 3], f32)
    outs = [
        *decisions.black_scholes(S, 100.0, 0.05, 0.2, 1.0),
        *decisions.black_scholes_digital(S, 100.0, 0.05, 0.2, 1.0),
        decisions.normal_cdf(S),
        decisions.normal_pdf(S),
        decisions.profit(SHOP, 100.0, S),
        decisions.profit_slope(SHOP, 100.0, S),
        decisions.expected_profit(SHOP, S, 100.0, 20.0),
        decisions.average_cost(LQR(), S / 200),
        decisions.reward_to_go(LQR(), 0.3, k, lqr.g(noise, k)),
        decisions.analytic_kl_gradient(joint, np.zeros(4, f32), eps2),
        decisions.elbo(joint, MEAN_FIELD, np.zeros(4, f32), eps2),
        decisions.elbo(joint, FULL_COVARIANCE, np.zeros(5, f32), eps2),
        decisions.fit_vi(joint, np.zeros(5, f32), [eps2, eps2], FULL_COVARIANCE).params,
        decisions.fit_vi(joint, np.zeros(4, f32), [eps2, eps2], estimator=gradients.elbo_gradient).params,
    ]
    for problem, t, eps in [(option, theta, eps1), (smooth, theta, eps1), (lqr, k, noise), (demand, law, eps1)]:
        outs += [
            decisions.pathwise(problem, t, eps),
            decisions.likelihood_ratio(problem, t, eps),
            problem.f(problem.g(eps, t)),
        ]
    assert [i for i, out in enumerate(outs) if out.dtype != f32] == []


def test_whole_numbers_keep_the_pennies_of_the_price():
    shop = decisions.Newsvendor(10.5, 4.25, 1.0)
    np.testing.assert_array_equal(decisions.profit_slope(shop, 100, np.array([90, 110])), [-3.25, 6.25])


def test_a_log_joint_that_keeps_an_axis_is_refused():
    with pytest.raises(ValueError, match="one number per sample"):  # (S, 1) - (S,) would be (S, S)
        decisions.elbo(lambda z: -(z**2), decisions.MEAN_FIELD, np.zeros(2), np.ones((3, 1)))
