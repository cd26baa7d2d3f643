"""Density ratios against closed forms, quadrature and scikit-learn (slide 4; syllabus T11)."""

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from sklearn.linear_model import LogisticRegression

from enm5310 import ratios

# p = N(0, 1), q = N(1, 1): log r(x) = -x^2/2 + (x - 1)^2/2 = 1/2 - x.  Nodes and weights of both by Gauss-Hermite.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
W = WEIGHTS / np.sqrt(2 * np.pi)
X_P, X_Q = NODES, NODES + 1


def log_r(x):
    return 0.5 - x


def draws(n_p, n_q, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n_p), 1 + rng.normal(size=n_q)


# -------------------- logistic regression --------------------


def test_balanced_loss_of_the_true_log_ratio_is_ln2_minus_jsd():
    p, q = stats.norm(0, 1).pdf, stats.norm(1, 1).pdf

    def kl_to_mixture(f):
        return integrate.quad(lambda x: f(x) * np.log(2 * f(x) / (p(x) + q(x))), -12, 13)[0]

    jsd = (kl_to_mixture(p) + kl_to_mixture(q)) / 2
    loss = ratios.log_loss(log_r(X_P), log_r(X_Q), W, W)
    assert loss == pytest.approx(np.log(2) - jsd, abs=1e-9)
    assert loss == pytest.approx(0.5817257, abs=5e-8)


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-1, 1))
def test_no_other_logit_has_a_smaller_loss(a, b, c):
    best = ratios.log_loss(log_r(X_P), log_r(X_Q), W, W)
    assert ratios.log_loss(a + b * X_P + c * X_P**2, a + b * X_Q + c * X_Q**2, W, W) >= best - 1e-12


def test_loss_is_finite_for_logits_of_any_size():
    t = np.array([1e4, -1e4])
    assert ratios.log_loss(t, t) == pytest.approx(1e4 / 2)  # half of each class is wrong by 1e4 nats


def standard_errors(n_p, n_q):
    """Of (intercept, slope): the inverse Fisher information of logistic regression, by quadrature under the model."""
    t = [log_r(x) + np.log(n_p / n_q) for x in (X_P, X_Q)]
    information = sum(
        n * np.einsum("i,ij,ik->jk", W / (2 + np.exp(t) + np.exp(-t)), F, F)  # s(t) s(-t) = 1 / (2 + e^t + e^-t)
        for n, t, F in zip((n_p, n_q), t, [np.stack([np.ones_like(x), x], 1) for x in (X_P, X_Q)], strict=True)
    )
    return np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize(("n_p", "n_q"), [(5000, 5000), (7500, 2500), (1000, 9000)])
def test_slope_minus_one_and_intercept_one_half_whatever_the_class_sizes(n_p, n_q):
    x_p, x_q = draws(n_p, n_q)
    model = ratios.fit_logistic(ratios.polynomial(x_p, 1), ratios.polynomial(x_q, 1))
    corrected = np.array([model.w[0] - model.log_prior, model.w[1]])
    assert np.all(np.abs(corrected - [0.5, -1]) < 5 * standard_errors(n_p, n_q))


def test_three_to_one_classes_shift_the_logit_by_ln3_and_not_the_ratio():
    model = ratios.fit_logistic(*(ratios.polynomial(x, 1) for x in draws(30000, 10000)))
    se = standard_errors(30000, 10000)[0]
    assert abs(model.w[0] - 1.5986) < 5 * se < 0.15 < np.log(3)  # .5 + ln 3, told apart from .5 by far
    assert abs(ratios.log_ratio(model, np.array([[1.0, 0.0]]))[0] - 0.5) < 5 * se


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_newton_finds_what_scikit_learn_finds(ridge):
    rng = np.random.default_rng(1)
    P, Q = rng.normal(size=(60, 3)), rng.normal(size=(40, 3)) * 1.3 + 0.4
    y = np.repeat([1, 0], [60, 40])
    C = 1 / (ridge * 100) if ridge else np.inf  # scikit-learn sums the losses and leaves the intercept free
    other = LogisticRegression(C=C, tol=1e-10, max_iter=10000).fit(np.vstack([P, Q]), y)
    one = [np.hstack([np.ones((len(A), 1)), A]) for A in (P, Q)]
    model = ratios.fit_logistic(*one, ridge=ridge * np.array([0.0, 1, 1, 1]))
    np.testing.assert_allclose(model.w, [*other.intercept_, *other.coef_[0]], atol=1e-5)


def test_a_much_wider_q_is_no_problem_for_newton():
    rng = np.random.default_rng(2)  # N(0, 1) against N(0, 10^2): logits down to about -500
    model = ratios.fit_logistic(*(ratios.polynomial(s * rng.normal(size=4000)) for s in (1, 10)))
    x = np.array([0.0, 1.0])
    exact = stats.norm(0, 1).logpdf(x) - stats.norm(0, 10).logpdf(x)
    np.testing.assert_allclose(ratios.log_ratio(model, ratios.polynomial(x)), exact, atol=0.2)


@pytest.mark.parametrize("seed", range(30))
def test_samples_far_out_do_not_throw_newton_off(seed):
    rng = np.random.default_rng(seed)  # full Newton steps run away on some of these; the objective is convex, so check
    x_p, x_q = rng.normal(size=20) * np.exp(2 * rng.normal(size=20)), np.exp(2 * rng.normal(size=40))
    P, Q = ratios.polynomial(x_p), ratios.polynomial(x_q)  # that its gradient, from the definition, is zero
    w = ratios.fit_logistic(P, Q).w
    D = [1 / (1 + np.exp(-np.clip(F @ w, -700, 700))) for F in (P, Q)]
    gradient = Q.T @ D[1] - P.T @ (1 - D[0])
    assert np.all(np.abs(gradient) < 1e-8 * np.abs(P).sum(0))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(0.3, 3))
def test_the_ratio_ignores_sample_order_units_and_origin(seed, shift, scale):
    x_p, x_q = draws(40, 30, seed)
    rng = np.random.default_rng(seed)

    def at_zero_and_one(f):
        model = ratios.fit_logistic(*(ratios.polynomial(f(x), 1) for x in (rng.permutation(x_p), x_q)))
        return ratios.log_ratio(model, ratios.polynomial(f(np.array([0.0, 1.0])), 1))

    try:
        plain = at_zero_and_one(lambda x: x)
    except ValueError:  # the draw happened to be separable, in any units
        with pytest.raises(ValueError, match="separate"):
            at_zero_and_one(lambda x: shift + scale * x)
    else:
        np.testing.assert_allclose(at_zero_and_one(lambda x: shift + scale * x), plain, atol=1e-6)


def test_swapping_p_and_q_turns_the_ratio_over():
    P, Q = (ratios.polynomial(x) for x in draws(300, 500))
    np.testing.assert_allclose(
        ratios.log_ratio(ratios.fit_logistic(P, Q), P), -ratios.log_ratio(ratios.fit_logistic(Q, P), P), atol=1e-7
    )


def test_collinear_features_leave_the_ratio_alone():
    P, Q = (ratios.polynomial(x, 1) for x in draws(50, 50))
    twice = ratios.fit_logistic(np.hstack([P, P]), np.hstack([Q, Q]))
    once = ratios.fit_logistic(P, Q)
    np.testing.assert_allclose(ratios.log_ratio(twice, np.hstack([P, P])), ratios.log_ratio(once, P), atol=1e-7)


@pytest.mark.parametrize("gap", [0.0, 1.0])  # touching in one point (the estimate still runs off), and apart
def test_separated_supports_are_refused_and_a_ridge_cures_them(gap):
    P, Q = (ratios.polynomial(x, 1) for x in (np.linspace(0, 1, 9), np.linspace(-1, 0, 9) - gap))
    with pytest.raises(ValueError, match="ridge"):
        ratios.fit_logistic(P, Q)
    model = ratios.fit_logistic(P, Q, ridge=1e-3)
    assert np.all(np.isfinite(model.w)) and model.w[1] > 0


@pytest.mark.parametrize(
    ("P", "Q", "says"),
    [
        (np.ones((0, 2)), np.ones((3, 2)), "one row per sample"),
        (np.ones(3), np.ones((3, 2)), "one row per sample"),
        (np.ones((3, 2)), np.ones((3, 1)), "features"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "NaN"),
    ],
)
def test_bad_samples_are_named(P, Q, says):
    with pytest.raises(ValueError, match=says):
        ratios.fit_logistic(P, Q)
    with pytest.raises(ValueError, match=says):
        ratios.ulsif(P, Q, 0.1)


# -------------------- least squares --------------------


def test_ulsif_minimises_its_criterion():
    rng = np.random.default_rng(3)
    K_p, K_q, lam = rng.uniform(size=(20, 4)), rng.uniform(size=(30, 4)), 0.1

    def loss(alpha):  # by loops, from the definition
        squares = np.mean([sum(a * k for a, k in zip(alpha, row, strict=True)) ** 2 for row in K_q])
        return squares / 2 - np.mean([row @ alpha for row in K_p]) + lam * alpha @ alpha / 2

    best = optimize.minimize(loss, np.zeros(4), tol=1e-12).x
    alpha = ratios.ulsif(K_p, K_q, lam)
    np.testing.assert_allclose(alpha, best, atol=1e-5)
    assert ratios.ulsif_criterion(alpha, K_p, K_q) == pytest.approx(loss(alpha) - lam * alpha @ alpha / 2)


def test_ulsif_on_indicators_is_the_ratio_of_histograms():
    x_p, x_q = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    alpha = ratios.ulsif(np.eye(3)[x_p], np.eye(3)[x_q], 0.0)
    np.testing.assert_allclose(alpha, [(2 / 4) / (1 / 6), (1 / 4) / (3 / 6), (1 / 4) / (2 / 6)])


def test_the_criterion_is_the_squared_error_up_to_a_constant():
    def error(alpha):  # 1/2 E_q[(r_hat - r)^2] for r_hat = alpha_0 + alpha_1 x, on the same quadrature
        return np.sum(W * (alpha[0] + alpha[1] * X_Q - np.exp(log_r(X_Q))) ** 2) / 2

    def criterion(alpha):
        return np.sum(W * (alpha[0] + alpha[1] * X_Q) ** 2) / 2 - np.sum(W * (alpha[0] + alpha[1] * X_P))

    a, b = np.array([1.0, -0.3]), np.array([2.0, 0.4])
    x_p, x_q = draws(400000, 400000)
    sampled = [ratios.ulsif_criterion(c, ratios.polynomial(x_p, 1), ratios.polynomial(x_q, 1)) for c in (a, b)]
    assert error(a) - error(b) == pytest.approx(criterion(a) - criterion(b), abs=1e-9)
    assert sampled[0] - sampled[1] == pytest.approx(criterion(a) - criterion(b), abs=0.02)  # about 6 standard errors


def test_ulsif_with_kernels_learns_the_ratio_where_there_are_samples():
    x_p, x_q = (x[:, None] for x in draws(2000, 2000, 5))
    centres = np.linspace(-2, 3, 12)[:, None]
    K_p, K_q = (ratios.gaussian_kernels(x, centres, 1.0) for x in (x_p, x_q))
    x = np.linspace(-0.5, 2, 11)[:, None]
    r = ratios.gaussian_kernels(x, centres, 1.0) @ ratios.ulsif(K_p, K_q, 1e-3)
    np.testing.assert_allclose(r, np.exp(log_r(x[:, 0])), atol=0.25)


def test_kliep_on_indicators_is_the_ratio_of_histograms():
    x_p, x_q = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    alpha = ratios.kliep(np.eye(3)[x_p], np.eye(3)[x_q], steps=1)  # disjoint kernels: EM is there at once
    np.testing.assert_allclose(alpha, [(2 / 4) / (1 / 6), (1 / 4) / (3 / 6), (1 / 4) / (2 / 6)])
    np.testing.assert_allclose(ratios.kliep(np.ones((3, 1)), np.full((4, 1), 0.5)), [2])  # one kernel: E_q[r] = 1


def test_kliep_is_the_constrained_maximum_and_climbs_to_it():
    x_p, x_q = (x[:, None] for x in draws(300, 300, 6))
    centres, path = np.linspace(-2, 3, 5)[:, None], []
    K_p, K_q = (ratios.gaussian_kernels(x, centres, 1.0) for x in (x_p, x_q))
    alpha = ratios.kliep(K_p, K_q, 20000, callback=lambda t, alpha: path.append(alpha))
    values = [np.mean(np.log(K_p @ a)) for a in path]
    assert np.min(np.diff(values)) > -1e-12 and np.all(alpha >= 0)
    np.testing.assert_allclose([np.mean(K_q @ a) for a in path], 1, rtol=1e-12)
    constraint = {"type": "eq", "fun": lambda a: np.mean(K_q @ a) - 1}
    best = optimize.minimize(lambda a: -np.mean(np.log(K_p @ a)), path[0], method="SLSQP", tol=1e-13,
                             bounds=[(1e-12, None)] * 5, constraints=constraint)  # fmt: skip
    assert values[-1] == pytest.approx(-best.fun, abs=1e-6)
    assert values[-1] == pytest.approx(0.5, abs=0.15)  # the KL of the two Gaussians


def test_kliep_can_be_stopped_and_interrupted():
    K_p, K_q = np.random.default_rng(0).uniform(size=(2, 20, 3))

    def button(t, alpha):
        if t == 2:
            raise KeyboardInterrupt

    two = ratios.kliep(K_p, K_q, 2)
    np.testing.assert_array_equal(ratios.kliep(K_p, K_q, 9, button), two)
    np.testing.assert_array_equal(ratios.kliep(K_p, K_q, 9, lambda t, alpha: t == 2), two)


@pytest.mark.parametrize(
    ("K_p", "K_q"),
    [(np.eye(2), np.eye(2)[:1]), (np.eye(2) * 0, np.eye(2)), (-np.eye(2), np.eye(2)), (np.eye(2) - 0.1, np.eye(2))],
)
def test_kliep_refuses_kernels_that_see_nothing_or_are_negative(K_p, K_q):
    with pytest.raises(ValueError, match="widen"):
        ratios.kliep(K_p, K_q)


def test_whole_numbers_have_the_ratio_of_floats():
    x_p, x_q = np.random.default_rng(0).integers(-3, 4, 200), np.random.default_rng(1).integers(-2, 5, 200)
    whole, real = (ratios.fit_logistic(*(ratios.polynomial(x.astype(t), 1) for x in (x_p, x_q))) for t in (int, float))
    np.testing.assert_allclose(whole.w, real.w, rtol=1e-12)
    assert abs(real.w[1]) > 0.1  # rounded, it would be 0


def test_weights_that_do_not_sum_to_one_and_a_negative_ridge_are_refused():
    T, w = np.ones(4), np.ones(4)
    for f in (ratios.nwj_bound, ratios.dv_bound, ratios.log_loss):
        for weights in [(w, w / 4), (w / 4, w), (w / 4, w * np.nan)]:
            with pytest.raises(ValueError, match="divide them by their sum"):
                f(T, T, *weights)
    with pytest.raises(ValueError, match="ridge"):
        ratios.fit_logistic(np.ones((3, 1)), np.ones((4, 1)), -0.1)


def test_kernels_want_matrices_with_the_same_features():
    for X, centres in [((4, 1), (3,)), ((4, 2), (3, 1)), ((4,), (3, 1))]:  # the first two would broadcast
        with pytest.raises(ValueError, match=r"\(m, d\)"):
            ratios.gaussian_kernels(np.ones(X), np.ones(centres), 1.0)


def test_gaussian_kernels_by_loops():
    rng = np.random.default_rng(4)
    X, C = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    loops = [[np.exp(-((x[0] - c[0]) ** 2 + (x[1] - c[1]) ** 2) / (2 * 0.7**2)) for c in C] for x in X]
    np.testing.assert_allclose(ratios.gaussian_kernels(X, C, 0.7), loops)
    for width in (0, -1, np.nan):
        with pytest.raises(ValueError, match="width"):
            ratios.gaussian_kernels(X, C, width)


def test_negative_regulariser_is_refused():
    with pytest.raises(ValueError, match="lam"):
        ratios.ulsif(np.eye(2), np.eye(2), -1.0)


# -------------------- bounds on the KL --------------------


def test_bounds_of_the_true_ratio_are_the_kl_and_half_the_logit_costs_what_it_should():
    def T(x, share):
        return share * log_r(x)

    # E_p[log r] = 1/2 and, for x ~ N(1, 1), E_q[e^{(1/2 - x)/2}] = e^{-1/8}
    assert ratios.nwj_bound(1 + T(X_P, 1), 1 + T(X_Q, 1), W, W) == pytest.approx(0.5, abs=1e-12)
    assert ratios.nwj_bound(1 + T(X_P, 0.5), 1 + T(X_Q, 0.5), W, W) == pytest.approx(1.25 - np.exp(-1 / 8), abs=1e-12)
    assert ratios.nwj_bound(1 + T(X_P, 0.5), 1 + T(X_Q, 0.5), W, W) == pytest.approx(0.3675031, abs=5e-8)
    assert ratios.dv_bound(T(X_P, 1) + 7, T(X_Q, 1) + 7, W, W) == pytest.approx(0.5, abs=1e-12)  # any constant
    assert ratios.dv_bound(T(X_P, 0.5), T(X_Q, 0.5), W, W) == pytest.approx(0.375, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6), st.integers(0, 10**6))
def test_nwj_is_below_dv_is_below_kl_for_any_function(T, seed):
    p, q = np.random.default_rng(seed).dirichlet(np.ones(6), size=2)  # two laws on six points: every sum is exact
    T, kl = np.array(T), np.sum(p * np.log(p / q))
    nwj, dv = ratios.nwj_bound(T, T, p, q), ratios.dv_bound(T, T, p, q)
    assert nwj <= dv + 1e-9 and dv <= kl + 1e-9
    assert ratios.nwj_bound(1 + np.log(p / q), 1 + np.log(p / q), p, q) == pytest.approx(kl)


def test_without_weights_every_sample_counts_the_same():
    T_p, T_q = np.array([0.2, -1.0, 0.5]), np.array([1.0, 0.3])
    assert ratios.nwj_bound(T_p, T_q) == pytest.approx(-0.1 - (np.exp(0) + np.exp(-0.7)) / 2)
    assert ratios.dv_bound(T_p, T_q) == pytest.approx(-0.1 - np.log((np.e + np.exp(0.3)) / 2))
    assert ratios.dv_bound(T_p, T_q) == pytest.approx(ratios.dv_bound(T_p, T_q, np.ones(3) / 3, np.ones(2) / 2))


def test_dv_survives_large_values_and_vanishing_weights():
    T = np.array([1000.0, 999.0])
    assert ratios.dv_bound(T, T) == pytest.approx(999.5 - 1000 - np.log((1 + np.exp(-1)) / 2))
    w = np.array([1.0, 0.0])
    assert ratios.dv_bound(T[:1], T - 1000, None, w) == pytest.approx(1000)


def test_bounds_and_loss_are_differentiable():
    rng = np.random.default_rng(6)
    T_q = rng.normal(size=4)
    for f in (ratios.nwj_bound, ratios.dv_bound, ratios.log_loss):
        check_grads(lambda T, f=f: f(T, T_q), modes=["fwd", "rev"], order=2)(rng.normal(size=3))
        check_grads(lambda T, f=f: f(T_q, T), modes=["fwd", "rev"], order=2)(rng.normal(size=3))
    K_p, K_q = rng.uniform(size=(5, 3)), rng.uniform(size=(6, 3))
    check_grads(lambda K: ratios.ulsif(K, K_q, 0.1), modes=["rev"], order=1)(K_p)


def test_climbing_a_bound_finds_the_kl():
    def objective(w):  # T = w_0 + w_1 x
        return ratios.nwj_bound(w[0] + w[1] * X_P, w[0] + w[1] * X_Q, W, W)

    w = np.zeros(2)
    for _ in range(400):
        w = w + 0.5 * grad(objective)(w)
    np.testing.assert_allclose(w, [1.5, -1], atol=1e-3)  # T* = 1 + log r
    assert objective(w) == pytest.approx(0.5, abs=1e-6)


# -------------------- using a ratio --------------------


def test_importance_weights_move_averages_from_q_to_p():
    _, x = draws(1, 200000)
    w = ratios.importance_weights(log_r(x))
    assert np.sum(w) == pytest.approx(1)
    # standard error of the self-normalised estimate of E_p[x] = 0: sqrt(E_q[r^2 x^2] / n)
    se = np.sqrt(np.sum(W * np.exp(2 * log_r(X_Q)) * X_Q**2) / len(x))
    assert abs(np.sum(w * x)) < 5 * se
    np.testing.assert_allclose(ratios.importance_weights(log_r(x) + 1e4), w, rtol=1e-8)


def test_averages_over_nothing_are_refused():
    none, some = np.zeros(0), np.zeros(3)
    for f in (ratios.nwj_bound, ratios.dv_bound, ratios.log_loss):
        for args in [(none, some), (some, none)]:
            with pytest.raises(ValueError):
                f(*args)


def test_float32_stays_float32():
    P, Q = (ratios.polynomial(x.astype(np.float32)) for x in draws(200, 200))
    model = ratios.fit_logistic(P, Q)
    K = ratios.gaussian_kernels(P, Q[:5], 1.0)
    for out in (
        P, model.w, ratios.log_ratio(model, P), K, ratios.ulsif(K, K, 0.1), ratios.ulsif_criterion(K[0], K, K),
        ratios.nwj_bound(P[:, 1], Q[:, 1]), ratios.dv_bound(P[:, 1], Q[:, 1]), ratios.log_loss(P[:, 1], Q[:, 1]),
        ratios.importance_weights(P[:, 1]),
    ):  # fmt: skip
        assert out.dtype == np.float32
