"""sequences: the recurrent primitive against its formulas step by step, autograd's loop and finite differences."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import sequences
from enm5310.distributions import log_categorical, sigmoid

T, N, H, V = 4, 3, 2, 5


def example(seed=0, dtype=np.float64):
    """A, h0, U, b of a short run."""
    rng = np.random.default_rng(seed)
    shapes = (T, N, 3 * H), (N, H), (H, 3 * H), (H,)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def plain(A, h0, U, b):
    """The formulas of the docstring with the three parts apart; autograd goes through the loop."""
    (W_r, W_u, W_c), h, out = anp.split(U, 3, axis=1), h0, []
    for a in A:
        a_r, a_u, a_c = anp.split(a, 3, axis=1)
        r, u = sigmoid(a_r + h @ W_r), sigmoid(a_u + h @ W_u)
        c = anp.tanh(a_c + r * (h @ W_c + b))
        h = u * h + (1 - u) * c
        out.append(h)
    return anp.stack(out)


def test_states_equal_the_formulas_step_by_step():
    assert_allclose(sequences.gru(*example()), plain(*example()), rtol=1e-13)


@pytest.mark.parametrize("by", range(4))
def test_back_propagation_through_time_is_the_gradient_of_the_loop(by):
    arguments, weights = example(), np.random.default_rng(1).normal(size=(T, N, H))
    mine, wanted = (grad(lambda *a, f=f: anp.sum(weights * f(*a) ** 2), by)(*arguments) for f in (sequences.gru, plain))
    assert mine.shape == np.shape(arguments[by])
    assert_allclose(mine, wanted, rtol=1e-11, atol=1e-13)
    check_grads(sequences.gru, argnum=by, modes=["rev"], order=1)(*arguments)


def test_all_gradients_at_once_equal_those_one_by_one():
    arguments = example(2)
    together = grad(lambda a: anp.sum(anp.sin(sequences.gru(*a))))(arguments)
    for by, mine in enumerate(together):
        assert_allclose(mine, grad(lambda *a: anp.sum(anp.sin(sequences.gru(*a))), by)(*arguments), rtol=1e-14)


def test_one_step_by_hand():
    # A = 0, U = 0, b = 0: r = u = 1/2, c = 0, so the state halves; a bias b is halved by the reset gate: c = tanh(b/2)
    h = sequences.gru(np.zeros((2, 1, 3)), np.ones((1, 1)), np.zeros((1, 3)), np.zeros(1))
    assert_allclose(h[:, 0, 0], [0.5, 0.25])
    h = sequences.gru(np.zeros((1, 1, 3)), np.zeros((1, 1)), np.zeros((1, 3)), np.array([1.0]))
    assert_allclose(h[0, 0, 0], np.tanh(0.5) / 2)


def test_strings_of_a_batch_do_not_see_each_other():
    A, h0, U, b = example()
    alone = np.concatenate([sequences.gru(A[:, i : i + 1], h0[i : i + 1], U, b) for i in range(N)], axis=1)
    assert_allclose(sequences.gru(A, h0, U, b), alone, rtol=1e-13)


def test_float32_stays_float32_and_far_inputs_overflow_nowhere():
    A, h0, U, b = example(dtype=np.float32)
    every = grad(lambda a: anp.sum(sequences.gru(*a)))([A, h0, U, b])
    assert {a.dtype for a in [sequences.gru(A, h0, U, b), *every]} == {np.dtype(np.float32)}
    with np.errstate(all="raise", under="ignore"):
        far = sequences.gru(1e4 * A, h0, U, b)
        slopes = grad(lambda A: anp.sum(sequences.gru(A, h0, U, b)))(1e4 * A)
    assert np.all(np.isfinite(far)) and np.all(np.isfinite(slopes))


# -------------------- log p of a string --------------------


def strings(seed=0):
    rng = np.random.default_rng(seed)
    return np.eye(V)[rng.integers(V, size=(T, N))], 3 * rng.normal(size=(T, N, V))


def test_log_p_is_the_sum_over_characters_of_the_categorical_one():
    X, logits = strings()
    assert_allclose(sequences.log_strings(X, logits), log_categorical(X, logits).sum(axis=0), rtol=1e-13)


def test_probabilities_of_all_strings_sum_to_one():
    every = np.eye(3)[np.stack(np.meshgrid(*[range(3)] * 4)).reshape(4, -1)]  # (4, 81, 3)
    logits = np.random.default_rng(1).normal(size=(4, 1, 3))  # of independent characters
    assert_allclose(np.exp(sequences.log_strings(every, np.repeat(logits, 81, axis=1))).sum(), 1, rtol=1e-13)


def test_rows_of_zero_do_not_count_and_have_no_gradient():
    X, logits = strings()
    X[2:, 1] = 0
    value = sequences.log_strings(X, logits)
    assert_allclose(value[1], log_categorical(X[:2, 1], logits[:2, 1]).sum(), rtol=1e-13)
    slope = grad(lambda l: anp.sum(sequences.log_strings(X, l)))(logits)
    assert not slope[2:, 1].any() and slope[:2, 1].all()


def test_the_slope_equals_finite_differences():
    X, logits = strings(2)
    X[3, 0] = 0
    check_grads(lambda l: sequences.log_strings(X, l), modes=["rev"], order=1)(logits)


def test_logits_of_a_thousand_overflow_nowhere():
    X, l = np.eye(2, dtype=np.float32)[[[0], [1]]], np.array([[[1e3, -1e3]], [[1e3, -1e3]]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        value, slope = sequences.log_strings(X, l), grad(lambda l: anp.sum(sequences.log_strings(X, l)))(l)
    assert_array_equal(value, [-2000])
    assert_array_equal(slope[:, 0], [[0, 0], [-1, 1]])
    assert value.dtype == slope.dtype == np.float32
