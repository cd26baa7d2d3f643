"""fused: every primitive against the plain formula, in value, first and second derivatives and both modes."""

import autograd.numpy as np
import pytest
from autograd import grad, hessian, jacobian, make_jvp
from autograd.test_util import check_grads
from numpy.testing import assert_allclose
from scipy import special

from enm5310 import distributions, fused, nets


def plain_affine(X, W, b):
    return X @ W + b


RNG = np.random.default_rng(0)
X, W, b = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 2)), RNG.normal(size=2)
GREY, LOGITS = RNG.uniform(size=(4, 3)), 3 * RNG.normal(size=(4, 3))
MEAN, LOGVAR = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))

# name: (fused, plain, arguments)
PRIMITIVES = {
    "affine": (fused.affine, plain_affine, (X, W, b)),
    "affine, one row": (fused.affine, plain_affine, (X[0], W, b)),
    "affine, stacked": (fused.affine, plain_affine, (RNG.normal(size=(2, 4, 3)), W, b)),
    "log_bernoulli": (fused.log_bernoulli, distributions.log_bernoulli, (GREY, LOGITS)),
    "log_bernoulli, binary": (fused.log_bernoulli, distributions.log_bernoulli, (np.round(GREY), LOGITS)),
    "log_bernoulli, one row": (fused.log_bernoulli, distributions.log_bernoulli, (GREY, LOGITS[0])),
    "log_bernoulli, draws": (fused.log_bernoulli, distributions.log_bernoulli, (GREY, RNG.normal(size=(2, 4, 3)))),
    "kl": (fused.kl_standard_normal, distributions.kl_standard_normal, (MEAN, LOGVAR)),
    "kl, one logvar": (fused.kl_standard_normal, distributions.kl_standard_normal, (MEAN, LOGVAR[0])),
    "kl, one mean": (fused.kl_standard_normal, distributions.kl_standard_normal, (MEAN[0], LOGVAR)),
}
each = pytest.mark.parametrize("name", PRIMITIVES)


def where_differentiable(name, arguments):
    """The positions of arguments to differentiate by; x on the edge of [0, 1] may not leave it."""
    return [1] if "binary" in name else range(len(arguments))


@each
def test_values_and_first_and_second_derivatives_equal_the_plain_ones(name):
    fast, plain, arguments = PRIMITIVES[name]
    assert_allclose(fast(*arguments), plain(*arguments), rtol=1e-13)
    weights = RNG.normal(size=np.shape(plain(*arguments)))
    for i in where_differentiable(name, arguments):
        for of in (grad, hessian):
            mine, wanted = (of(lambda *a, f=f: np.sum(weights * f(*a) ** 2), i)(*arguments) for f in (fast, plain))
            assert mine.shape == wanted.shape
            assert_allclose(mine, wanted, rtol=1e-10, atol=1e-10)


@each
def test_mixed_second_derivatives_equal_the_plain_ones(name):
    fast, plain, arguments = PRIMITIVES[name]
    for i, j in [(0, 1), (1, 0)]:
        mine, wanted = (jacobian(grad(lambda *a, f=f: np.sum(f(*a) ** 2), i), j)(*arguments) for f in (fast, plain))
        assert_allclose(mine, wanted, rtol=1e-10, atol=1e-10)


@each
def test_forward_mode_equals_the_plain_one(name):
    fast, plain, arguments = PRIMITIVES[name]
    for i in where_differentiable(name, arguments):
        direction = RNG.normal(size=np.shape(arguments[i]))
        mine, wanted = (
            make_jvp(lambda a, f=f, i=i: f(*arguments[:i], a, *arguments[i + 1 :]))(arguments[i])(direction)[1]
            for f in (fast, plain)
        )
        assert mine.shape == wanted.shape
        assert_allclose(mine, wanted, rtol=1e-12, atol=1e-12)


@each
def test_derivatives_equal_finite_differences_twice_in_both_modes(name):
    fast, _, arguments = PRIMITIVES[name]
    for i in where_differentiable(name, arguments):
        check_grads(fast, argnum=i, modes=["fwd", "rev"], order=2)(*arguments)


# -------------------- far away, and in float32 --------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_a_thousand_overflow_nowhere(dtype):
    l = np.array([[-1e3, -200, -90, -1, 0, 1, 90, 200, 1e3]], dtype)
    eps = np.finfo(dtype).eps
    for x in (np.zeros_like(l), np.ones_like(l), np.full_like(l, 0.25)):
        with np.errstate(all="raise", under="ignore"):
            value = fused.log_bernoulli(x, l)
            slope = grad(lambda l, x=x: np.sum(fused.log_bernoulli(x, l)))(l)
            curvature = grad(lambda l, x=x: np.sum(grad(lambda l: np.sum(fused.log_bernoulli(x, l)))(l)))(l)
            both = fused.log_bernoulli_and_slope(x, l)
        exact = np.float64(l)
        log_p = np.sum(x * special.log_expit(exact) + (1 - x) * special.log_expit(-exact), axis=-1)
        assert_allclose(value, log_p, rtol=20 * eps)
        assert_allclose(slope, x - special.expit(exact), rtol=20 * eps, atol=1e-36)
        assert_allclose(curvature, -special.expit(exact) * special.expit(-exact), rtol=300 * eps, atol=1e-36)
        assert_allclose(both[0], log_p, rtol=20 * eps)
        assert_allclose(both[1], x - special.expit(exact), rtol=0, atol=2 * eps)
        assert {a.dtype for a in (value, slope, curvature, *both)} == {np.dtype(dtype)}


def test_the_kl_near_the_prior_keeps_its_digits():
    mean, logvar = np.array([[1e-9]]), np.array([[2e-9]])  # 1/2 (mean^2 + logvar^2 / 2) + O(logvar^3)
    assert_allclose(fused.kl_standard_normal(mean, logvar), [1.5e-18], rtol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(1, 7), (5, 7), (0, 3), (3, 0), (81, 817), (3, 40_000)])  # blocks: 40 rows, 1 row
def test_value_and_slope_in_one_pass_equal_the_two_apart(n, p):
    x, l = RNG.uniform(size=(n, p)), 5 * RNG.normal(size=(n, p))
    before = x.copy(), l.copy()
    value, slope = fused.log_bernoulli_and_slope(x, l)
    assert_allclose(value, distributions.log_bernoulli(x, l), rtol=1e-13)
    assert_allclose(slope, grad(lambda l: np.sum(distributions.log_bernoulli(x, l)))(l), rtol=1e-11, atol=1e-15)
    assert (x == before[0]).all() and (l == before[1]).all()  # filled in place are only its own arrays


@each
def test_float32_stays_float32_and_loses_only_its_own_rounding(name):
    fast, plain, arguments = PRIMITIVES[name]
    single = [np.float32(a) for a in arguments]
    exact = [np.float64(a) for a in single]
    gradient = grad(lambda args, f=fast: np.sum(f(*args)))
    for mine, wanted in [(fast(*single), plain(*exact)), *zip(gradient(single), gradient(exact), strict=True)]:
        assert mine.dtype == np.float32
        assert_allclose(mine, wanted, rtol=2e-6, atol=2e-6)


def test_a_wider_bias_or_whole_numbers_widen_the_result_as_the_plain_sum_does():
    for args in [(np.float32(X), np.float32(W), b), (np.ones((2, 3), int), np.ones((3, 2), int), b)]:
        mine, wanted = fused.affine(*args), plain_affine(*args)
        assert mine.dtype == wanted.dtype == np.float64
        assert_allclose(mine, wanted, rtol=1e-6)


# -------------------- bad input --------------------


@pytest.mark.parametrize("f", [fused.log_bernoulli, fused.log_bernoulli_and_slope])
def test_pixels_outside_the_unit_interval_or_of_another_count_are_refused(f):
    for bad in (16 * GREY, GREY - 1, np.full((4, 3), np.nan)):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            f(bad, LOGITS)
    with pytest.raises(ValueError, match="features are the last axis"):
        f(GREY, LOGITS[:, :1])


def test_a_divergence_between_other_features_is_refused():
    with pytest.raises(ValueError, match="features are the last axis"):
        fused.kl_standard_normal(MEAN, LOGVAR[:, :2])


def test_networks_are_made_of_the_fused_layer():
    params = nets.init([3, 5, 2], np.random.default_rng(0))
    (W1, b1), (W2, b2) = params
    assert_allclose(nets.apply(params, X), np.tanh(X @ W1 + b1) @ W2 + b2, rtol=1e-13)
