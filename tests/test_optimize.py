"""optimize: update rules against closed forms and the published algorithm, minibatches as a partition, the loop."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import nets, optimize


def run_rule(rule, gradient, theta, steps, **settings):
    state = None
    for _ in range(steps):
        theta, state = rule(theta, gradient(theta), state, **settings)
    return theta


# -------------------- update rules --------------------


def test_sgd_on_a_quadratic_is_a_geometric_sequence():
    a, lr = np.array([0.5, 2.0]), 0.3  # f = 1/2 a theta^2, so theta_t = (1 - lr a)^t theta_0
    theta = run_rule(optimize.sgd, lambda theta: a * theta, np.array([3.0, -1.0]), 20, lr=lr)
    assert_allclose(theta, (1 - lr * a) ** 20 * np.array([3.0, -1.0]), rtol=1e-12)


def test_heavy_ball_on_a_quadratic_is_a_matrix_power():
    a, lr, momentum = 2.0, 0.1, 0.8
    step = np.array([[1 - lr * a, momentum], [-lr * a, momentum]])  # (theta, v) -> next
    theta = run_rule(optimize.sgd, lambda theta: a * theta, np.array(3.0), 25, lr=lr, momentum=momentum)
    assert theta == pytest.approx((np.linalg.matrix_power(step, 25) @ [3.0, 0.0])[0], rel=1e-12)


def adam_as_published(theta, gradient, steps, alpha, beta1, beta2, eps):
    """Algorithm 1 of Kingma & Ba (2015) for one number."""
    m = v = 0.0
    for t in range(1, steps + 1):
        g = gradient(theta)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (math.sqrt(v_hat) + eps)
    return theta


@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2), (0.0, 0.99, 1e-8)])
def test_adam_equals_the_published_algorithm_number_by_number(beta1, beta2, eps):
    gradient = lambda theta: theta**3 - 2 * theta + 0.3  # noqa: E731
    start = np.array([[1.0, -2.0, 0.1]])
    theta = run_rule(optimize.adam, gradient, start, 30, lr=0.05, beta1=beta1, beta2=beta2, eps=eps)
    wanted = [adam_as_published(x, gradient, 30, 0.05, beta1, beta2, eps) for x in start[0]]
    assert_allclose(theta[0], wanted, rtol=1e-12)


def test_adam_starts_with_the_published_settings():
    gradient = lambda theta: theta**3 - 2 * theta + 0.3  # noqa: E731
    theta = run_rule(optimize.adam, gradient, np.array(1.0), 30)
    assert theta == pytest.approx(adam_as_published(1.0, gradient, 30, 0.001, 0.9, 0.999, 1e-8), rel=1e-14)


def test_first_step_of_adam_has_length_lr_whatever_the_gradient():
    theta, _ = optimize.adam(np.zeros(3), np.array([1e-3, -5.0, 1e4]), lr=0.01)
    assert_allclose(theta, [-0.01, 0.01, -0.01], rtol=1.1e-5)


# -------------------- the fast update --------------------


@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2), (0.0, 0.99, 1e-8)])
def test_adam_in_place_equals_the_published_algorithm_number_by_number(beta1, beta2, eps):
    gradient = lambda theta: theta**3 - 2 * theta + 0.3  # noqa: E731
    start = np.array([[1.0, -2.0, 0.1]])
    theta = run_rule(optimize.adam_in_place, gradient, start, 30, lr=0.05, beta1=beta1, beta2=beta2, eps=eps)
    wanted = [adam_as_published(x, gradient, 30, 0.05, beta1, beta2, eps) for x in start[0]]
    assert_allclose(theta[0], wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_in_place_equals_adam_across_the_borders_of_its_blocks(dtype, monkeypatch):
    monkeypatch.setattr(optimize, "BLOCK", 7)
    rng = np.random.default_rng(0)
    shapes = [(5, 4), (7,), (1,), (2, 7), (), (0, 3)]  # ragged, exact, small, none
    fast = plain = [(np.array(rng.normal(size=s), dtype), {"b": np.array(rng.normal(size=s), dtype)}) for s in shapes]
    sums = moments = None
    for t in range(20):
        gradient = nets.tree_map(lambda a: (a**3 - a + rng.normal(size=a.shape)).astype(dtype), plain)
        fast, sums = optimize.adam_in_place(fast, gradient, sums, lr=0.1 / (t + 1))
        plain, moments = optimize.adam(plain, gradient, moments, lr=0.1 / (t + 1))
    assert sums.t == moments.t == 20
    for a, b in zip(nets.leaves(fast), nets.leaves(plain), strict=True):
        assert a.dtype == dtype and a.shape == b.shape
        assert_allclose(a, b, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-6 if dtype == np.float32 else 1e-13)


def test_adam_in_place_takes_transposed_weights_and_whole_numbers_and_goes_uphill():
    W = np.arange(6.0).reshape(2, 3)
    for theta, gradient in [(W.T, np.ones((3, 2))), (W.T, np.ones((2, 3)).T), (np.arange(6).reshape(3, 2), 2 * W.T)]:
        state = plain_state = None
        new = plain = theta
        for _ in range(3):
            new, state = optimize.adam_in_place(new, gradient, state, lr=-0.1)
            plain, plain_state = optimize.adam(plain, gradient, plain_state, lr=-0.1)
        assert_allclose(new, plain, rtol=1e-13)
        assert (new >= theta).all() and (theta == (W.T if theta.dtype == float else theta)).all()


def test_adam_in_place_leaves_parameters_and_gradient_alone_and_uses_up_the_state():
    params, gradient = [np.ones(3), np.zeros(2)], [np.arange(3.0), np.ones(2)]
    first, state = optimize.adam_in_place(params, gradient, lr=0.1)
    kept, sums = [a.copy() for a in first], [a.copy() for a in state.m]
    second, after = optimize.adam_in_place(first, gradient, state, lr=0.1)
    assert_array_equal(params[0], np.ones(3))
    assert_array_equal(gradient[0], np.arange(3.0))
    for a, b in zip(first, kept, strict=True):
        assert_array_equal(a, b)  # a callback may keep what it was shown
    assert second[0] is not first[0] and after.m[0] is state.m[0] and (state.m[0][1:] != sums[0][1:]).all()


class Model(NamedTuple):
    W: np.ndarray
    layers: list


@pytest.mark.parametrize("rule", [optimize.sgd, optimize.adam])
def test_rules_keep_nesting_and_dtype_and_leave_their_arguments_alone(rule):
    params = Model(np.ones((2, 3), np.float32), [(np.ones(2, np.float32), {"b": np.zeros((), np.float32)})])
    gradient, before = nets.tree_map(np.ones_like, params), nets.flatten(params)
    new, state = rule(params, gradient, lr=0.1)
    kept = nets.flatten(state[0] if rule is optimize.adam else state)
    newer, _ = rule(new, gradient, state, lr=0.1)
    assert type(newer) is Model and type(newer.layers[0]) is tuple
    assert {a.dtype for a in nets.leaves(newer)} == {np.dtype(np.float32)}
    assert_array_equal(nets.flatten(params), before)
    assert_array_equal(nets.flatten(state[0] if rule is optimize.adam else state), kept)
    assert (nets.flatten(newer) < nets.flatten(new)).all() and (nets.flatten(new) < before).all()


# -------------------- minibatches --------------------


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 9))
def test_an_epoch_visits_every_sample_once(n, size, seed):
    batches = list(optimize.minibatches(n, size, np.random.default_rng(seed)))
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
    assert len(batches) == math.ceil(n / size) and all(len(batch) == size for batch in batches[:-1])


def test_each_epoch_has_its_own_order_and_repeats_with_the_seed():
    first, again = (
        np.concatenate(list(optimize.epochs(50, 8, np.random.default_rng(3), 2))).reshape(2, 50) for _ in range(2)
    )
    assert_array_equal(first, again)
    assert (first[0] != first[1]).any() and (first[0] != np.arange(50)).any()
    assert_array_equal(np.sort(first), np.tile(np.arange(50), (2, 1)))


@pytest.mark.parametrize(("n", "size"), [(0, 4), (4, 0), (-1, 2), (3, -2)])
def test_an_epoch_of_nothing_is_refused(n, size):
    with pytest.raises(ValueError, match="at least one"):
        optimize.minibatches(n, size, np.random.default_rng(0))


# -------------------- the loop --------------------


def least_squares(seed=0, n=60, p=3):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)

    def value_and_gradient(theta, i, t):
        r = X[i] @ theta - y[i]
        return r @ r / len(i), 2 / len(i) * X[i].T @ r

    return X, y, value_and_gradient


def test_train_reaches_the_normal_equations():
    X, y, f = least_squares()
    everything = [np.arange(60)] * 400
    run = optimize.train(f, np.zeros(3), everything, optimize.sgd, lr=0.1)
    assert_allclose(run.params, np.linalg.solve(X.T @ X, X.T @ y), atol=1e-12)
    assert len(run.values) == 400 and run.values[0] == pytest.approx(y @ y / 60) and not run.stopped


def test_train_by_minibatches_with_falling_steps_gets_close():
    X, y, f = least_squares()
    batches = optimize.epochs(60, 10, np.random.default_rng(0), 200)
    run = optimize.train(f, np.zeros(3), batches, optimize.adam, lr=lambda t: 0.02 / (1 + t / 100))
    assert_allclose(run.params, np.linalg.solve(X.T @ X, X.T @ y), atol=0.02)


def test_train_repeats_for_the_same_generator_state():
    _, _, f = least_squares()
    a, b = (optimize.train(f, np.zeros(3), optimize.epochs(60, 7, np.random.default_rng(5), 3)) for _ in range(2))
    assert_array_equal(a.params, b.params)
    assert_array_equal(a.values, b.values)


def test_train_hands_over_batch_and_step_and_takes_a_schedule():
    seen = []

    def f(theta, batch, t):
        seen.append((batch, t))
        return 0.0, np.ones(1, np.float32)

    run = optimize.train(f, np.zeros(1, np.float32), "abc", optimize.sgd, lr=lambda t: np.float64(10.0) ** t)
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert run.params == -111 and run.params.dtype == np.float32  # also when the schedule is a NumPy float64


def test_callback_sees_every_step_and_may_stop():
    seen = []

    def callback(t, params, value):
        seen.append((t, float(params), value))
        return t == 3

    square = lambda theta, b, t: (theta**2, 2 * theta)  # noqa: E731
    run = optimize.train(square, np.array(1.0), range(99), optimize.sgd, callback, 0.25)
    assert seen == [(t, 0.5**t, 0.25**t) for t in range(4)]
    assert run.stopped and run.params == 0.5**3 and list(run.values) == [0.25**t for t in range(4)]


def test_a_callback_may_keep_the_parameters_it_sees():
    kept = []
    square = lambda theta, b, t: (float(theta @ theta), 2 * theta)  # noqa: E731
    optimize.train(square, np.ones(2), range(5), callback=lambda t, theta, value: kept.append((theta, value)))
    assert len({value for _, value in kept}) == 5 and all(theta @ theta == value for theta, value in kept)


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_an_average_weighs_its_parameters_by_binomial_coefficients(k):
    rng, average = np.random.default_rng(0), optimize.Average()
    seen = [[(rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=()))] for _ in range(k)]
    for params in seen:
        average(params)
    weights = [math.comb(j + 7, 8) for j in range(1, k + 1)]  # (j + 7)! / (j - 1)! / 8!
    (W, b), total = average.params[0], sum(weights)
    assert_allclose(W, sum(w * params[0][0] for w, params in zip(weights, seen, strict=True)) / total, atol=2e-6)
    assert b == pytest.approx(sum(w * params[0][1] for w, params in zip(weights, seen, strict=True)) / total, rel=1e-12)
    assert W.dtype == np.float32 and W is not seen[0][0][0]
    assert k != 40 or sum(weights[-8:]) > 0.8 * total  # most of it from the last fifth


def test_the_average_of_a_noisy_run_is_nearer_to_the_minimum_than_its_end():
    X, y, f = least_squares()
    best, average = np.linalg.solve(X.T @ X, X.T @ y), optimize.Average()
    batches = optimize.epochs(60, 5, np.random.default_rng(0), 100)
    last = []
    optimize.train(f, best, batches, optimize.sgd, lambda t, theta, v: average(theta) or last.append(theta), lr=0.05)
    noise = np.sqrt(np.mean([np.sum((theta - best) ** 2) for theta in last[-200:]]))
    assert np.linalg.norm(average.params - best) < 0.4 * noise


def test_the_stop_button_returns_what_there_is():
    def f(theta, b, t):
        if t == 5:
            raise KeyboardInterrupt
        return theta**2, 2 * theta

    run = optimize.train(f, np.array(1.0), range(99), optimize.sgd, lr=0.25)
    assert run.stopped and run.params == 0.5**5 and len(run.values) == 5


def test_other_errors_are_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        optimize.train(lambda theta, b, t: 1 / 0, np.array(1.0), range(9))


def test_no_batches_give_the_start():
    run = optimize.train(lambda theta, b, t: (theta, theta), np.array(2.0), [])
    assert run.params == 2 and run.values.shape == (0,) and not run.stopped


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverging_run_is_an_error_that_names_the_step(bad):
    with pytest.raises(ValueError, match="at step 2"):
        optimize.train(lambda theta, b, t: (bad if t == 2 else 1.0, theta), np.array(1.0), range(9))


@pytest.mark.parametrize("rule", [optimize.sgd, optimize.adam, optimize.adam_in_place])
def test_a_gradient_of_another_shape_is_refused(rule):
    for theta, gradient in [(np.zeros(3), np.zeros((3, 1))), ([np.zeros((3, 1))], [np.zeros(3)]), (np.zeros(3), 0.0)]:
        with pytest.raises(ValueError, match="where the parameter has"):
            rule(theta, gradient)


def test_a_warm_up_of_no_length_is_over():
    assert [optimize.warm_up(steps, 2.0)(t) for steps in (0, -5) for t in (0, 3)] == [2.0] * 4


def test_warm_up_rises_to_beta_and_stays():
    assert [optimize.warm_up(4, 2.0)(t) for t in (0, 1, 2, 4, 9)] == [0, 0.5, 1, 2, 2]
    assert optimize.warm_up(4)(3) == 0.75 and optimize.warm_up(4)(9) == 1
