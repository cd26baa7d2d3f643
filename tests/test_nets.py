"""nets: shapes, the layers as loops, stable activations, back-propagation against autograd, nested parameters."""

import math
from typing import NamedTuple

import autograd.numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from enm5310 import nets

ACTIVATIONS = [nets.sigmoid, nets.softplus, nets.relu, nets.tanh, nets.identity]


def random_net(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [(W, rng.normal(size=b.shape)) for W, b in nets.init(sizes, rng)]


def scalar_tanh_net(params, x):
    """The network as on the slide: one unit at a time, in plain Python."""
    h = list(x)
    for number, (W, b) in enumerate(params, 1):
        a = [sum(h[i] * W[i][j] for i in range(len(h))) + b[j] for j in range(len(b))]
        h = a if number == len(params) else [math.tanh(value) for value in a]
    return h


# -------------------- activations --------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_equal_scipy_at_any_size_without_a_warning(dtype):
    x = np.array([-1e4, -800, -40, -1.5, -1e-3, 0, 1e-3, 2, 40, 800, 1e4], dtype)
    exact = np.asarray(x, float)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13  # e^-40 amplifies the rounding of its argument
    for f, oracle in [(nets.sigmoid, special.expit), (nets.tanh, np.tanh), (nets.relu, lambda x: (x > 0) * x)]:
        assert f(x).dtype == dtype
        assert_allclose(f(x), oracle(exact), rtol=tolerance, atol=1e-300 if dtype == np.float64 else 1e-37)
    assert_allclose(nets.softplus(x), -special.log_expit(-exact), rtol=tolerance, atol=1e-37)
    assert nets.softplus(x).dtype == dtype


@pytest.mark.parametrize("f", [nets.sigmoid, nets.softplus, nets.tanh, nets.identity])
def test_activations_differentiate_twice_also_at_zero(f):
    for x in [0.0, -30.0, np.array([[-2.0, 0.0, 1.5]])]:
        check_grads(f, modes=["fwd", "rev"], order=2)(x)


def test_second_derivative_of_softplus_at_zero_is_a_quarter():
    assert grad(grad(nets.softplus))(0.0) == pytest.approx(0.25, abs=1e-15)


def test_relu_has_slope_one_right_of_zero_and_none_left_of_it():
    x = np.array([-2.0, 0.0, 3.0])
    assert_array_equal(grad(lambda x: np.sum(nets.relu(x)))(x), [0, 0, 1])
    check_grads(nets.relu, modes=["fwd", "rev"], order=2)(np.array([-2.0, 3.0]))


# -------------------- the network --------------------


def test_init_has_one_bias_per_unit_and_glorot_scale():
    params = nets.init([300, 200, 5], np.random.default_rng(0))
    assert [(W.shape, b.shape) for W, b in params] == [((300, 200), (200,)), ((200, 5), (5,))]
    W = params[0][0]
    sd = math.sqrt(2 / 500)
    assert abs(W.std() - sd) < 5 * sd / math.sqrt(2 * W.size) and abs(W.mean()) < 5 * sd / math.sqrt(W.size)
    assert all(not b.any() for _, b in params)


def test_init_repeats_for_the_same_generator_state_and_follows_dtype():
    first, again = (nets.init([4, 3, 2], np.random.default_rng(7), np.float32) for _ in range(2))
    for a, b in zip(nets.leaves(first), nets.leaves(again), strict=True):
        assert_array_equal(a, b)
        assert a.dtype == np.float32


@pytest.mark.parametrize("sizes", [[], [4, 0, 2], [4, -1], [3, 2.5]])
def test_init_refuses_widths_that_are_no_widths(sizes):
    with pytest.raises(ValueError, match="width"):
        nets.init(sizes, np.random.default_rng(0))


def test_apply_equals_the_loops_of_the_slide():
    params = random_net([4, 3, 5, 2])
    X = np.random.default_rng(1).normal(size=(6, 4))
    assert_allclose(nets.apply(params, X), [scalar_tanh_net(params, x) for x in X], rtol=1e-13)


def test_last_layer_is_linear_for_every_activation():
    X = np.random.default_rng(1).normal(size=(6, 4))
    for f in ACTIVATIONS:
        params = random_net([4, 3, 2])
        scaled = [*params[:-1], (-9 * params[-1][0], -9 * params[-1][1])]
        assert_allclose(nets.apply(scaled, X, f), -9 * nets.apply(params, X, f), rtol=1e-12)


def test_no_layers_is_the_identity_and_one_layer_is_affine():
    X = np.random.default_rng(0).normal(size=(3, 4))
    assert nets.init([4], np.random.default_rng(0)) == []
    assert nets.apply([], X) is X
    ((W, b),) = params = random_net([4, 2])
    assert_allclose(nets.apply(params, X, nets.sigmoid), X @ W + b, rtol=1e-14)


def test_apply_takes_leading_axes_and_single_rows():
    params = random_net([4, 3, 2])
    X = np.random.default_rng(0).normal(size=(5, 6, 4))
    out = nets.apply(params, X)
    assert out.shape == (5, 6, 2)
    assert_allclose(out[2, 3], nets.apply(params, X[2, 3]), rtol=1e-13)


@pytest.mark.parametrize("shape", [(5, 3), (5,), (5, 1), ()])
def test_apply_refuses_other_features_than_it_was_made_for(shape):
    with pytest.raises(ValueError, match="takes 4 features"):
        nets.apply(random_net([4, 3, 2]), np.ones(shape))


@given(st.permutations(range(7)))
def test_rows_do_not_see_each_other(order):
    params = random_net([4, 3, 2])
    X = np.random.default_rng(2).normal(size=(7, 4))
    assert_allclose(nets.apply(params, X[order]), nets.apply(params, X)[order], rtol=1e-12)


@pytest.mark.parametrize("f", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [[3], [3, 2], [3, 4, 2], [3, 5, 4, 1]])
def test_backward_equals_autograd_for_every_parameter_and_the_input(f, sizes):
    params, rng = random_net(sizes), np.random.default_rng(1)
    X, G = rng.normal(size=(6, 3)), rng.normal(size=(6, sizes[-1]))
    layers, dX = nets.backward(params, nets.forward(params, X, f), G, f)
    wanted = grad(lambda args: np.sum(G * nets.apply(args[0], args[1], f)))((params, X))
    assert len(layers) == len(params)
    for a, b in zip(nets.leaves((layers, dX)), nets.leaves(wanted), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_backward_without_the_input_gives_the_same_layers_and_none():
    params, rng = random_net([3, 5, 4, 1]), np.random.default_rng(1)
    X, G = rng.normal(size=(6, 3)), rng.normal(size=(6, 1))
    outputs = nets.forward(params, X)
    untouched = [(None, None), *params[1:]]  # no product with the first weights
    layers, dX = nets.backward(untouched, outputs, G, to_input=False)
    assert dX is None and nets.backward([], [X], X, to_input=False) == ([], None)
    for a, b in zip(nets.leaves(layers), nets.leaves(nets.backward(params, outputs, G)[0]), strict=True):
        assert_array_equal(a, b)


def test_backward_equals_a_finite_difference():
    params, X = random_net([3, 4, 2]), np.random.default_rng(1).normal(size=(6, 3))
    layers, _ = nets.backward(params, nets.forward(params, X), np.ones((6, 2)))
    h, W = 1e-6, params[0][0]
    step = np.zeros_like(W)
    step[1, 2] = h
    up, down = (np.sum(nets.apply([(W + s, params[0][1]), params[1]], X)) for s in (step, -step))
    assert layers[0][0][1, 2] == pytest.approx((up - down) / (2 * h), rel=1e-7)


@pytest.mark.parametrize("f", [nets.sigmoid, nets.softplus, nets.tanh])
def test_gradients_of_a_network_in_both_modes_and_twice(f):
    X = np.random.default_rng(3).normal(size=(3, 2))
    check_grads(lambda params: nets.apply(params, X, f), modes=["fwd", "rev"], order=2)(random_net([2, 3, 1]))


@pytest.mark.parametrize("f", ACTIVATIONS)
def test_float32_stays_float32_forwards_and_backwards(f):
    params = nets.init([3, 4, 2], np.random.default_rng(0), np.float32)
    X = np.ones((5, 3), np.float32)
    layers, dX = nets.backward(params, nets.forward(params, X, f), np.ones((5, 2), np.float32), f)
    by_autograd = grad(lambda params: np.sum(nets.apply(params, X, f)))(params)
    assert {a.dtype for a in nets.leaves((layers, dX, by_autograd))} == {np.dtype(np.float32)}


# -------------------- nested parameters --------------------


class Pair(NamedTuple):
    a: np.ndarray
    b: list


NESTED = {"x": Pair(np.arange(3.0), [(np.ones((2, 2)), np.zeros(()))]), "y": ()}


def test_count_adds_in_times_out_plus_out():
    sizes = [7, 5, 3, 2]
    wanted = sum(sizes[l] * sizes[l + 1] + sizes[l + 1] for l in range(3))
    assert nets.count(nets.init(sizes, np.random.default_rng(0))) == wanted == 7 * 5 + 5 + 5 * 3 + 3 + 3 * 2 + 2
    assert nets.count(NESTED) == 3 + 4 + 1 and nets.count([]) == 0


def test_tree_map_keeps_every_kind_of_nesting():
    out = nets.tree_map(lambda a, b: a + 2 * b, NESTED, NESTED)
    assert type(out["x"]) is Pair and type(out["x"].b) is list and type(out["x"].b[0]) is tuple and out["y"] == ()
    assert_array_equal(out["x"].a, 3 * np.arange(3.0))


def test_tree_map_refuses_trees_of_different_size():
    with pytest.raises(ValueError, match="zip"):
        nets.tree_map(lambda a, b: a, [1, 2], [1])


def test_flatten_and_unflatten_undo_each_other():
    vector = nets.flatten(NESTED)
    assert_array_equal(vector, [0, 1, 2, 1, 1, 1, 1, 0])
    back = nets.unflatten(vector, NESTED)
    assert type(back["x"]) is Pair
    for a, b in zip(nets.leaves(back), nets.leaves(NESTED), strict=True):
        assert_array_equal(a, b)
        assert a.shape == b.shape
    assert nets.flatten([]).shape == (0,)


@pytest.mark.parametrize("shape", [(7,), (9,), (8, 1)])
def test_unflatten_refuses_another_count(shape):
    with pytest.raises(ValueError, match="hold 8 numbers"):
        nets.unflatten(np.zeros(shape), NESTED)


def test_autograd_sees_through_flatten_and_leaves():
    params, X = random_net([3, 2]), np.ones((4, 3))
    by_vector = grad(lambda v: np.sum(nets.apply(nets.unflatten(v, params), X) ** 2))(nets.flatten(params))
    by_list = grad(lambda p: np.sum(nets.apply(p, X) ** 2))(params)
    assert_allclose(by_vector, nets.flatten(by_list), rtol=1e-12)
    decay = grad(lambda p: sum(np.sum(a**2) for a in nets.leaves(p)))(params)
    assert_allclose(nets.flatten(decay), 2 * nets.flatten(params), rtol=1e-12)


@pytest.mark.parametrize("f", ACTIVATIONS)
@pytest.mark.parametrize("x", [50.0, 1e4, 1e30])
def test_gradients_of_activations_do_not_overflow_in_float32(f, x):
    both = np.array([-x, x], np.float32)
    with np.errstate(all="raise", under="ignore"):
        slope = grad(lambda a: np.sum(f(a)))(both)
    limits = {nets.sigmoid: [0, 0], nets.tanh: [0, 0], nets.softplus: [0, 1], nets.relu: [0, 1], nets.identity: [1, 1]}
    assert slope.dtype == np.float32 and np.allclose(slope, limits[f], rtol=1e-6, atol=1e-20)
