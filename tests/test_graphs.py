"""graphs: the recorded calls of a computation; gradients on arrows against the chain rule by hand and autograd."""

import autograd.numpy as np
import numpy as onp
import pytest
from autograd import grad
from numpy.testing import assert_allclose

from enm5310 import graphs, nets, vae

rng = onp.random.default_rng(0)
X, EPS = (rng.random((4, 5)) < 0.5) * 1.0, rng.normal(size=(4, 2))
HEADS = {"mean": rng.normal(size=(4, 2)), "logvar": rng.normal(size=(4, 2))}
THETA = rng.normal(size=(2, 5))


def after(mean, logvar, theta):
    return vae.elbo_at((None, [(theta, onp.zeros(5))]), X, mean, logvar, EPS).elbo


def before(mean, logvar, theta):
    z = graphs.draw(mean, logvar, EPS)
    return vae.bernoulli.log_p(X, nets.apply([(theta, onp.zeros(5))], z)) - vae.kl_standard_normal(mean, logvar)


def test_calls_are_recorded_in_order_with_their_arrows():
    graph = graphs.trace(lambda a, b: np.sum(np.exp(a) * b), a=np.array([0.0, 1.0]), b=np.array([2.0, 3.0]))
    assert sorted(graph.inputs) == ["a", "b"] and graph.calls == ["exp", "multiply", "sum"]
    assert set(graph.flow) == {("a", "exp"), ("exp", "multiply"), ("b", "multiply"), ("multiply", "sum")}


def test_the_gradient_on_every_arrow_is_that_of_the_chain_rule():
    flow = graphs.trace(lambda a, b: np.sum(np.exp(a) * b), a=np.array([0.0, 1.0]), b=np.array([2.0, -3.0])).flow
    assert flow["multiply", "sum"] == pytest.approx(2)  # 1 for each entry
    assert flow["exp", "multiply"] == pytest.approx(2 + 3)  # |b|
    assert flow["b", "multiply"] == pytest.approx(1 + onp.e)  # e^a
    assert flow["a", "exp"] == pytest.approx(2 + 3 * onp.e)  # |b| e^a


def test_what_is_used_twice_has_one_arrow_each_and_adds_up():
    graph = graphs.trace(lambda a: a * a * a, a=np.array([2.0]))
    assert graph.calls == ["multiply", "multiply₂"]
    assert graph.flow["a", "multiply"] == pytest.approx(2 * 2 * 2)  # two arrows of one name: a twice
    assert graph.flow["a", "multiply₂"] == pytest.approx(4)


def test_gradients_that_meet_in_a_call_are_added_before_they_go_on():
    flow = graphs.trace(lambda a: np.exp(a) * np.sin(np.exp(a)), {"exp": "b"}, a=np.array([0.3])).flow
    shared = graphs.trace(lambda a: (lambda b: b * np.sin(b))(np.exp(a)), {"exp": "b"}, a=np.array([0.3])).flow
    b = onp.exp(0.3)
    assert shared["a", "b"] == pytest.approx(abs((onp.sin(b) + b * onp.cos(b)) * b))
    assert flow["a", "b"] + flow["a", "b₂"] == pytest.approx(shared["a", "b"])  # both terms are positive here


def test_names_may_be_given():
    graph = graphs.trace(lambda a: np.exp(np.exp(a)), {"exp": "e^x"}, a=np.array([0.1]))
    assert graph.calls == ["e^x", "e^x₂"]


def test_after_reparametrisation_the_gradient_reaches_both_heads():
    flow = graphs.trace(after, **HEADS, theta=THETA).flow
    assert all(size > 0 for size in flow.values())
    rec_only = grad(lambda m: np.sum(after(m, HEADS["logvar"], THETA) + vae.kl_standard_normal(m, HEADS["logvar"])))
    assert flow["mean", "add"] == pytest.approx(onp.abs(rec_only(HEADS["mean"])).sum())


def test_before_reparametrisation_none_comes_back_through_the_sample():
    flow = graphs.trace(before, **HEADS, theta=THETA).flow
    assert flow["mean", "draw"] == flow["logvar", "draw"] == 0
    assert flow["draw", "affine"] > 0 and flow["theta", "affine"] > 0
    assert flow["mean", "_kl_standard_normal"] == pytest.approx(onp.abs(HEADS["mean"]).sum())


def test_draw_has_the_value_of_the_path_and_no_slope():
    assert_allclose(graphs.draw(**HEADS, eps=EPS), vae.reparametrise(**HEADS, eps=EPS), rtol=1e-14)
    slope = grad(lambda m: np.sum(graphs.draw(m, HEADS["logvar"], EPS) ** 2))(HEADS["mean"])
    assert not slope.any()
    assert_allclose(before(**HEADS, theta=THETA), after(**HEADS, theta=THETA), rtol=1e-12)


@pytest.mark.parametrize("f", [after, before])
def test_the_layout_has_every_name_once_and_all_arrows_go_to_the_right(f):
    graph = graphs.trace(f, **HEADS, theta=THETA)
    places = graphs.layout(graph)
    assert set(places) == {*graph.inputs, *graph.calls} and len(set(places.values())) == len(places)
    assert all(places[a][0] < places[b][0] for a, b in graph.flow)
    assert places[graph.calls[-1]][0] == 0 == max(x for x, _ in places.values())
