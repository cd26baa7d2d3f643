"""autoencoder: the linear one against PCA, gradients against autograd, RBMs against enumeration of all states."""

import itertools
import math

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits

from enm5310 import autoencoder as ae
from enm5310 import nets


def digits():
    """1500 training and 297 test digits in [0, 1], shuffled."""
    X = load_digits().data / 16
    order = np.random.RandomState(0).permutation(1797)
    return X[order[:1500]], X[order[1500:]]


def pca_floor(train, test, k):
    """Mean squared error per test sample of the best k-dimensional affine subspace for the training samples."""
    mean = train.mean(0)
    Vt = np.linalg.svd(train - mean, full_matrices=False)[2][:k]
    R = test - mean
    return ((R - R @ Vt.T @ Vt) ** 2).sum(1).mean()


# -------------------- linear --------------------


def test_linear_loss_equals_the_double_sum():
    rng = np.random.default_rng(0)
    E, D, X = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), rng.normal(size=(5, 4))
    total = 0.0
    for x in X:
        z = [sum(x[j] * E[j, c] for j in range(4)) for c in range(2)]
        total += sum((sum(z[c] * D[c, j] for c in range(2)) - x[j]) ** 2 for j in range(4))
    assert ae.linear_loss(E, D, X) == pytest.approx(total / 5, rel=1e-13)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_linear_gradient_equals_autograd_for_all_shapes(p, k, n, seed):
    rng = np.random.default_rng(seed)
    E, D, X = rng.normal(size=(p, k)), rng.normal(size=(k, p)), rng.normal(size=(n, p))
    for by_hand, argument in zip(ae.linear_gradient(E, D, X), (0, 1), strict=True):
        assert_allclose(by_hand, grad(ae.linear_loss, argument)(E, D, X), rtol=1e-9, atol=1e-11)


def test_linear_autoencoder_finds_the_pca_subspace_of_the_digits():
    X = digits()[0]
    X = X - X.mean(0)
    variances, U = np.linalg.eigh(X.T @ X / 1500)
    floor = variances[:-2].sum()  # Eckart & Young: the discarded variances
    E, D = ae.fit_linear(X, 2, np.random.default_rng(0), lr=0.02).params
    assert floor == pytest.approx(3.3567580579, abs=1e-10)
    assert floor - 1e-12 < ae.linear_loss(E, D, X) < floor + 2e-10
    assert_allclose(D @ E, np.eye(2), atol=1e-5)
    assert ae.principal_angles(D.T, U[:, -2:])[-1] < 1e-4
    assert abs(D @ D.T - np.eye(2)).max() > 0.05  # the subspace is PCA's, the basis is not


def test_fit_linear_wants_centred_and_finite_data():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="subtract"):
        ae.fit_linear(1e-9 * (rng.normal(size=(9, 3)) + 1), 2, rng)  # whatever the unit of measurement
    large = 1e9 * rng.normal(size=(9, 3))
    assert len(ae.fit_linear(large - large.mean(0), 2, rng, steps=3).values) == 3
    for X in [np.full((4, 2), np.nan), np.zeros((0, 3)), np.zeros(3), np.zeros((3, 0))]:
        with pytest.raises(ValueError, match="finite matrix"):
            ae.fit_linear(X, 1, rng)


def test_fit_linear_stays_float32_and_can_be_stopped():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4)).astype(np.float32)
    X -= X.mean(0)
    run = ae.fit_linear(X, 2, rng, callback=lambda t, params, value: t == 4)
    assert run.stopped and len(run.values) == 5 and run.params[0].dtype == run.params[1].dtype == np.float32


# -------------------- principal angles --------------------


def test_principal_angles_equal_scipy_and_the_plane():
    rng = np.random.default_rng(0)
    for p, k, l in [(6, 2, 3), (6, 3, 2), (5, 1, 1), (4, 3, 3), (3, 3, 1)]:
        A, B = rng.normal(size=(p, k)), rng.normal(size=(p, l))
        assert_allclose(ae.principal_angles(A, B), np.sort(subspace_angles(A, B)), atol=1e-14)
    e = np.eye(3)
    tilted = np.stack([e[0], math.cos(0.3) * e[1] + math.sin(0.3) * e[2]], axis=1)
    assert_allclose(ae.principal_angles(e[:, :2], tilted), [0, 0.3], atol=1e-15)
    assert_allclose(ae.principal_angles(e[:, :1], e[:, 1:]), [math.pi / 2], rtol=1e-15)


@pytest.mark.parametrize("angle", [1e-3, 1e-6, 1e-9, 1e-12])
def test_tiny_angles_keep_their_digits(angle):
    A = np.array([[1.0], [0.0]])
    assert ae.principal_angles(A, [[math.cos(angle)], [math.sin(angle)]])[0] == pytest.approx(angle, rel=1e-3)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_principal_angles_do_not_see_bases_or_rotations(seed):
    rng = np.random.default_rng(seed)
    A, B = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    Q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    S = np.linalg.qr(rng.normal(size=(2, 2)))[0] @ np.diag(rng.uniform(0.5, 2, 2))
    assert_allclose(ae.principal_angles(Q @ A @ S, Q @ B), ae.principal_angles(B, A), atol=1e-12)


def test_principal_angles_refuse_dependent_columns():
    with pytest.raises(ValueError, match="dependent"):
        ae.principal_angles(np.ones((4, 2)), np.eye(4)[:, :2])


# -------------------- deep --------------------


def test_parameter_counts_of_the_published_networks():
    def dense(sizes):  # every weight and bias by hand
        return sum((m + 1) * n for m, n in itertools.pairwise(sizes))

    published = "784-400-200-100-50-25-6 784-1000-500-250-30 625-2000-1000-500-30 2000-500-250-125-10"
    assert ["-".join(map(str, sizes)) for sizes in ae.HINTON_SIZES.values()] == published.split()
    for name, sizes in ae.HINTON_SIZES.items():
        both = nets.count(ae.init(sizes, np.random.default_rng(0), np.float32))
        assert both == dense([*sizes, *sizes[-2::-1]]), name
        assert name != "mnist" or both == 2_837_314
    assert nets.count((np.zeros(784), np.zeros((784, 30)))) == 24_304  # PCA-30: mean and basis


def test_loss_equals_loops_over_samples_and_features():
    rng = np.random.default_rng(0)
    params, X = ae.init([3, 4, 2], rng), rng.uniform(size=(5, 3))
    total = 0.0
    for x in X:
        h = [1 / (1 + math.exp(-a)) for a in x @ params[0][0][0] + params[0][0][1]]
        z = np.array(h) @ params[0][1][0] + params[0][1][1]  # the code is linear
        h = [1 / (1 + math.exp(-a)) for a in z @ params[1][0][0] + params[1][0][1]]
        out = [1 / (1 + math.exp(-a)) for a in np.array(h) @ params[1][1][0] + params[1][1][1]]
        total += sum((o - xj) ** 2 for o, xj in zip(out, x, strict=True))
    assert ae.loss(params, X, output=nets.sigmoid) == pytest.approx(total / 5, rel=1e-12)
    assert ae.reconstruction_error(params, X, output=nets.sigmoid).sum() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("output", [nets.identity, nets.sigmoid])
def test_gradient_of_the_deep_loss_in_both_modes_and_twice(output):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(3, 3))
    check_grads(lambda w: ae.loss(w, X, output=output), modes=["fwd", "rev"], order=2)(ae.init([3, 2, 1], rng))


@given(st.permutations(range(6)))
@settings(deadline=None)
def test_errors_follow_their_samples(order):
    rng = np.random.default_rng(0)
    params, X = ae.init([3, 4, 2], rng), rng.uniform(size=(6, 3))
    assert_allclose(ae.reconstruction_error(params, X[order]), ae.reconstruction_error(params, X)[order], rtol=1e-12)


def test_code_is_linear_and_logistic_output_is_in_the_unit_interval():
    rng = np.random.default_rng(0)
    encoder, decoder = ae.init([3, 4, 2], rng)
    X = rng.uniform(size=(6, 3))
    scaled = [encoder[0], (50 * encoder[1][0], 50 * encoder[1][1])]
    assert_allclose(ae.encode((scaled, decoder), X), 50 * ae.encode((encoder, decoder), X), rtol=1e-12)
    out = ae.decode((encoder, decoder), 1e5 * rng.normal(size=(6, 2)), output=nets.sigmoid)
    assert out.shape == (6, 3) and (out >= 0).all() and (out <= 1).all()


def test_a_deep_autoencoder_beats_pca_at_the_same_code_size():
    train, test = (X.astype(np.float32) for X in digits())
    rng = np.random.default_rng(0)
    start = ae.init([64, 64, 32, 2], rng, np.float32)
    run = ae.fit(start, train, rng, epochs=80, lr=4e-3, activation=nets.tanh, output=nets.sigmoid)
    error = ae.loss(run.params, test, nets.tanh, nets.sigmoid)
    assert pca_floor(*digits(), 2) == pytest.approx(3.354, abs=5e-4)
    assert error < 2.6
    assert ae.encode(run.params, test, nets.tanh).shape == (297, 2)
    assert {a.dtype for a in nets.leaves(run.params)} == {np.dtype(np.float32)} and error.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize(("k", "error", "floor"), [(2, 1.86, 3.354), (10, 0.575, 1.265)])
def test_numbers_of_the_lecture_for_the_deep_autoencoder(k, error, floor):
    """Test errors 1.86 and 0.575 depend on seed and schedule by some 10 %; that of PCA is exact."""
    train, test = (X.astype(np.float32) for X in digits())
    rng = np.random.default_rng(0)
    start = ae.init([64, 64, 32, k], rng, np.float32)
    run = ae.fit(start, train, rng, epochs=200, lr=4e-3, activation=nets.tanh, output=nets.sigmoid)
    assert pca_floor(*digits(), k) == pytest.approx(floor, abs=5e-4)
    assert ae.loss(run.params, test, nets.tanh, nets.sigmoid) < 1.15 * error < 0.7 * floor


def test_fit_repeats_stops_and_refuses_bad_data():
    rng = np.random.default_rng(0)
    start, X = ae.init([3, 2, 1], rng), rng.uniform(size=(20, 3))
    a, b = (ae.fit(start, X, np.random.default_rng(1), epochs=3, size=8) for _ in range(2))
    assert_array_equal(nets.flatten(a.params), nets.flatten(b.params))
    assert len(a.values) == 9
    run = ae.fit(start, X, rng, size=8, callback=lambda t, params, value: t == 2)
    assert run.stopped and len(run.values) == 3
    for bad in [np.full((4, 3), np.inf), np.zeros((0, 3)), np.zeros(3)]:
        with pytest.raises(ValueError, match="finite matrix"):
            ae.fit(start, bad, rng)
    with pytest.raises(ValueError, match="takes 3 features"):
        ae.fit(start, np.zeros((4, 2)), rng)


# -------------------- restricted Boltzmann machines --------------------


def states(m):
    return np.array(list(itertools.product([0.0, 1.0], repeat=m)))


def all_states(rbm):
    """Every (v, h) and its exact probability, from the energy in the definition."""
    pairs = [(v, h) for v in states(len(rbm.a)) for h in states(len(rbm.b))]
    weight = np.array([math.exp(v @ rbm.W @ h + rbm.a @ v + rbm.b @ h) for v, h in pairs])
    return pairs, weight / weight.sum()


def average_log_likelihood(rbm, V):
    pairs, p = all_states(rbm)
    p_v = {}
    for (v, _), weight in zip(pairs, p, strict=True):
        p_v[tuple(v)] = p_v.get(tuple(v), 0.0) + weight
    return np.mean([math.log(p_v[tuple(v)]) for v in V])


def small_rbm(seed=0):
    rng = np.random.default_rng(seed)
    return ae.RBM(rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=2))


def test_hidden_mean_equals_enumeration():
    rbm = small_rbm()
    pairs, p = all_states(rbm)
    for v in states(3):
        match = [(h, w) for (u, h), w in zip(pairs, p, strict=True) if (u == v).all()]
        wanted = sum(h * w for h, w in match) / sum(w for _, w in match)
        assert_allclose(ae.hidden_mean(rbm, v[None])[0], wanted, rtol=1e-12)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("draw_v", [False, True])
def test_contrastive_divergence_equals_loops(linear, draw_v):
    rbm, rng = small_rbm(), np.random.default_rng(1)
    V = (rng.random((4, 3)) < 0.5).astype(float)
    eps, eps_v = (rng.normal(size=(4, 2)) if linear else rng.random((4, 2))), rng.random((4, 3))
    s = (lambda a: a) if linear else (lambda a: 1 / (1 + math.exp(-a)))
    W, a, b, error = np.zeros((3, 2)), np.zeros(3), np.zeros(2), 0.0
    for n in range(4):
        H = [s(b_j + sum(V[n, i] * rbm.W[i, j] for i in range(3))) for j, b_j in enumerate(rbm.b)]
        h = [m + e if linear else float(e < m) for m, e in zip(H, eps[n], strict=True)]
        v = [1 / (1 + math.exp(-rbm.a[i] - sum(h[j] * rbm.W[i, j] for j in range(2)))) for i in range(3)]
        v = [float(u < m) for m, u in zip(v, eps_v[n], strict=True)] if draw_v else v
        H1 = [s(b_j + sum(v[i] * rbm.W[i, j] for i in range(3))) for j, b_j in enumerate(rbm.b)]
        error += sum((V[n, i] - v[i]) ** 2 for i in range(3)) / 4
        for i, j in itertools.product(range(3), range(2)):
            W[i, j] += (V[n, i] * H[j] - v[i] * H1[j]) / 4
        a += (V[n] - v) / 4
        b += (np.array(H) - H1) / 4
    settings = ({"linear": True} if linear else {}) | ({"eps_v": eps_v} if draw_v else {})
    direction, value = ae.contrastive_divergence(rbm, V, eps, **settings)
    for mine, wanted in zip((*direction, value), (W, a, b, error), strict=True):
        assert_allclose(mine, wanted, rtol=1e-12, atol=1e-14)


def test_contrastive_divergence_has_mean_zero_when_the_data_are_the_model():
    rbm, rng, n = small_rbm(), np.random.default_rng(0), 40_000
    pairs, p = all_states(rbm)
    V = np.array([pairs[i][0] for i in rng.choice(len(p), n, p=p)])
    eps, eps_v = rng.random((n, 2)), rng.random((n, 3))
    rows = np.array([nets.flatten(ae.contrastive_divergence(rbm, *one)[0]) for one in zip(  # one sample at a time
        V[:4000, None], eps[:4000, None], [False] * 4000, eps_v[:4000, None], strict=True)])  # fmt: skip
    direction = nets.flatten(ae.contrastive_divergence(rbm, V, eps, False, eps_v)[0])
    assert (abs(direction) < 5 * rows.std(0) / math.sqrt(n)).all()
    away = nets.flatten(ae.contrastive_divergence(rbm, 1 - V, eps, False, eps_v)[0])  # other data: not zero
    assert (abs(away) > 20 * rows.std(0) / math.sqrt(n)).any()


def test_fit_rbm_raises_the_exact_likelihood_of_its_data():
    V = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1], [0, 1, 1]] * 20)
    start, rng = ae.RBM(0.1 * small_rbm().W, np.zeros(3), np.zeros(2)), np.random.default_rng(0)
    run = ae.fit_rbm(start, V, rng, epochs=60, size=20, lr=0.1)
    best = np.mean([math.log((V == v).all(1).mean()) for v in V])  # minus the entropy of the data: nothing is above
    p = V.mean(0)
    independent = (p * np.log(p) + (1 - p) * np.log(1 - p)).sum()  # the best without hidden units
    assert average_log_likelihood(start, V) < independent < -2.0
    assert independent + 0.5 < average_log_likelihood(run.params, V) <= best


@pytest.mark.parametrize("linear", [False, True])
def test_fit_rbm_takes_the_steps_of_the_paper(linear):
    start, V = small_rbm(), np.random.default_rng(1).random((6, 3))
    settings = {"lr": 0.1, "momentum": 0.5, "decay": 0.3}
    run = ae.fit_rbm(start, V, np.random.default_rng(2), epochs=2, size=6, linear=linear, **settings)
    rng, rbm, velocity = np.random.default_rng(2), start, [0.0, 0.0, 0.0]
    for _ in range(2):
        rows = V[rng.permutation(6)]
        eps = rng.standard_normal((6, 2)) if linear else rng.random((6, 2))
        direction, _ = ae.contrastive_divergence(rbm, rows, eps, linear)
        up = direction._replace(W=direction.W - 0.3 * rbm.W)  # weights decay, biases do not
        velocity = [0.5 * v + 0.1 * g for v, g in zip(velocity, up, strict=True)]
        rbm = ae.RBM(*(old + v for old, v in zip(rbm, velocity, strict=True)))
    assert_allclose(nets.flatten(run.params), nets.flatten(rbm), rtol=1e-12)


# -------------------- pretraining --------------------


def test_pretrained_weights_are_a_better_start_than_random_ones():
    X = digits()[0].astype(np.float32)
    random = ae.init([64, 48, 24, 6], np.random.default_rng(0), np.float32)
    pretrained = ae.pretrain(X, [64, 48, 24, 6], np.random.default_rng(0), epochs=20)
    errors = []
    for start in (random, pretrained):
        run = ae.fit(start, X, np.random.default_rng(1), epochs=10, output=nets.sigmoid)
        errors.append((ae.loss(start, X, output=nets.sigmoid), ae.loss(run.params, X, output=nets.sigmoid)))
    mean_error = X.var(0).sum()  # every reconstruction the mean digit
    assert errors[1][0] < mean_error < errors[0][0]
    assert errors[1][1] < 0.8 * errors[0][1]
    assert {a.dtype for a in nets.leaves(pretrained)} == {np.dtype(np.float32)}


def test_unrolling_shares_weights_between_the_two_halves():
    rng = np.random.default_rng(0)
    rbms = [ae.RBM(rng.normal(size=(m, n)), rng.normal(size=m), rng.normal(size=n)) for m, n in [(4, 3), (3, 2)]]
    params, X = ae.unroll(rbms), rng.uniform(size=(5, 4))
    Z = ae.hidden_mean(rbms[1], ae.hidden_mean(rbms[0], X), linear=True)
    assert_allclose(ae.encode(params, X), Z, rtol=1e-12)
    h = 1 / (1 + np.exp(-(Z @ rbms[1].W.T + rbms[1].a)))
    assert_allclose(ae.decode(params, Z), h @ rbms[0].W.T + rbms[0].a, rtol=1e-12)


def test_each_machine_learns_from_the_one_below_and_only_the_code_is_linear(monkeypatch):
    seen, fit_rbm = [], ae.fit_rbm

    def spy(rbm, V, rng, epochs, size, lr, linear, callback):
        run = fit_rbm(rbm, V, rng, epochs, size, lr, linear, callback=callback)
        seen.append((V, lr, linear, run.params))
        return run

    monkeypatch.setattr(ae, "fit_rbm", spy)
    X = np.random.default_rng(0).uniform(size=(30, 5))
    encoder, decoder = ae.pretrain(X, [5, 4, 3, 2], np.random.default_rng(0), epochs=2, size=10, lr=0.2, linear_lr=0.01)
    assert [(lr, linear) for _, lr, linear, _ in seen] == [(0.2, False), (0.2, False), (0.01, True)]
    below = X
    for (V, _, _, rbm), (W, b), (W_down, a) in zip(seen, encoder, decoder[::-1], strict=True):
        assert_allclose(V, below, rtol=1e-12)
        assert_array_equal(W, rbm.W)
        assert_array_equal(b, rbm.b)
        assert_array_equal(W_down, rbm.W.T)
        assert_array_equal(a, rbm.a)
        below = 1 / (1 + np.exp(-(V @ rbm.W + rbm.b)))


def test_a_stopped_pretraining_stops_altogether_and_still_gives_a_network():
    X, machines = np.random.default_rng(0).uniform(size=(30, 5)), []

    def callback(t, rbm, error):
        machines.append(rbm.W.shape)
        return t == 1

    params = ae.pretrain(X, [5, 4, 3], np.random.default_rng(0), size=10, callback=callback)
    assert machines == [(5, 4), (5, 4)]  # the second machine did not start
    assert ae.decode(params, ae.encode(params, X)).shape == X.shape


@pytest.mark.parametrize("X", [2 * np.ones((3, 2)), -np.ones((3, 2))])
def test_pretraining_wants_probabilities(X):
    with pytest.raises(ValueError, match=r"scale to \[0, 1\]"):
        ae.pretrain(X, [2, 1], np.random.default_rng(0))


def test_whole_numbers_train_like_floats():
    X = np.random.default_rng(0).integers(0, 2, (40, 5)).astype(np.uint8)
    whole, real = (ae.pretrain(x, [5, 3, 2], np.random.default_rng(1)) for x in (X, X.astype(np.float32)))
    assert_array_equal(nets.flatten(whole), nets.flatten(real))
    run = ae.fit(whole, X.astype(float), np.random.default_rng(2), epochs=2)
    assert {a.dtype for a in nets.leaves((whole, run.params))} == {np.dtype(np.float32)}


def test_noise_shared_by_units_or_rows_is_refused():
    rbm, V = small_rbm(), np.ones((4, 3))
    for eps, eps_v in [(np.zeros((4, 1)), None), (np.zeros(2), None), (np.zeros((4, 2)), np.zeros((4, 1)))]:
        with pytest.raises(ValueError, match="one per unit"):
            ae.contrastive_divergence(rbm, V, eps, eps_v=eps_v)


def test_fit_rbm_takes_whole_numbers_and_wants_probabilities():
    V = np.random.default_rng(0).integers(0, 2, (40, 3))  # noise in V's type would be rounded to 0
    whole, real = (ae.fit_rbm(small_rbm(), v, np.random.default_rng(1), epochs=2).params for v in (V, V.astype(float)))
    assert_allclose(nets.flatten(whole), nets.flatten(real), rtol=1e-12)
    for bad, words in [(255 * V, "scale to"), (V - 1, "scale to"), (V[:0], "finite"), (V * np.nan, "finite")]:
        with pytest.raises(ValueError, match=words):
            ae.fit_rbm(small_rbm(), bad, np.random.default_rng(0))
