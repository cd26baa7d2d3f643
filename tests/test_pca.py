"""PCA against the slide's sums, brute force and numbers known to many digits (slides 2-3)."""

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris

from enm5310 import pca

METHODS = ["eig", "svd", "gram"]
every_method = pytest.mark.parametrize("method", METHODS)
digits, iris = load_digits().data, load_iris().data


def cloud(seed, n, p):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 5


clouds = st.builds(cloud, st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 8))


def covariance_as_on_the_slide(X):
    n, p = X.shape
    mean = [sum(X[j, a] for j in range(n)) / n for a in range(p)]
    return np.array([
        [sum((X[i, a] - mean[a]) * (X[i, b] - mean[b]) for i in range(n)) / n for b in range(p)] for a in range(p)
    ])  # fmt: skip


def test_covariance_is_the_slides_sum():
    X = cloud(0, 6, 4)
    assert np.allclose(pca.covariance(X), covariance_as_on_the_slide(X), rtol=1e-12)


@every_method
@pytest.mark.parametrize(("n", "p"), [(9, 4), (4, 9), (5, 5), (2, 1), (1, 3)])
def test_components_diagonalise_the_covariance(method, n, p):
    X = cloud(n, n, p)
    mean, U, variances = pca.fit(X, None, method)
    k = min(n, p)
    assert U.shape == (p, k) and variances.shape == (k,)
    assert np.allclose(U.T @ U, np.eye(k), atol=1e-9) or n == 1
    assert np.allclose((U * variances) @ U.T, pca.covariance(X), atol=1e-9)
    assert (np.diff(variances) <= 1e-12).all() and (variances >= 0).all()
    assert np.allclose(mean, sum(X) / n)


@given(clouds, st.data())
def test_all_methods_span_the_same_subspace_when_variances_differ(X, data):
    fits = [pca.fit(X, None, method) for method in METHODS]
    k = data.draw(st.integers(0, min(X.shape)))
    lam = np.append(fits[0].variances, 0)
    if k and lam[k - 1] - lam[k] < 1e-3 * lam[0]:
        return  # the subspace itself is not determined
    projectors = [f.U[:, :k] @ f.U[:, :k].T for f in fits]
    assert all(np.allclose(P, projectors[0], atol=1e-6) for P in projectors)
    assert all(np.allclose(f.variances, fits[0].variances, atol=1e-8 * max(lam[0], 1)) for f in fits)


@given(clouds, st.integers(0, 8))
def test_mean_error_is_the_sum_of_the_discarded_variances(X, k):
    k = min(k, *X.shape)
    full, cut = pca.fit(X), pca.fit(X, k)
    error = pca.reconstruction_error(cut, X)
    by_hand = [np.linalg.norm(x - pca.decode(cut, pca.encode(cut, x[None]))[0]) ** 2 for x in X]
    assert np.allclose(error, by_hand)
    assert np.isclose(error.mean(), full.variances[k:].sum(), atol=1e-9 * (1 + full.variances.sum()))


@given(st.integers(0, 10**6))
def test_no_other_subspace_loses_less(seed):
    """Eckart & Young by brute force: random orthonormal bases never beat the principal one."""
    X = cloud(seed, 10, 4)
    best = pca.reconstruction_error(pca.fit(X, 2), X).mean()
    U = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 2)))[0]
    assert pca.reconstruction_error(pca.PCA(X.mean(0), U, None), X).mean() >= best - 1e-9


@given(clouds, st.floats(-100, 100), st.integers(0, 10**6))
def test_invariances(X, shift, seed):
    a = pca.fit(X)
    order = np.random.default_rng(seed).permutation(len(X))
    assert np.allclose(pca.fit(X + shift).variances, a.variances, atol=1e-7 * (1 + shift**2))
    assert np.allclose(pca.fit(X[order]).variances, a.variances, atol=1e-8 * (1 + a.variances.sum()))
    assert np.allclose(pca.fit(3 * X).variances, 9 * a.variances, atol=1e-7 * (1 + a.variances.sum()))


def test_encode_uses_its_argument_and_the_training_mean():
    X, new = cloud(1, 8, 3), cloud(2, 4, 3)
    f = pca.fit(X, 2)
    assert np.allclose(pca.encode(f, new), (new - X.mean(0)) @ f.U)
    assert np.allclose(pca.encode(f, pca.decode(f, pca.encode(f, new))), pca.encode(f, new))
    assert np.allclose(pca.encode(f, X).mean(axis=0), 0)
    assert np.allclose(pca.covariance(pca.encode(f, X)), np.diag(f.variances))


def test_known_numbers_of_the_digits():
    f = pca.fit(digits)
    assert np.allclose(f.variances[:3], [178.9073, 163.6266, 141.7095], atol=5e-5)
    assert np.allclose(pca.explained_variance(f.variances)[:2], [0.148906, 0.148906 + 0.136188], atol=1.5e-6)
    for k, error in [(2, 858.9448), (10, 314.5150), (30, 49.1580)]:
        assert np.isclose(pca.reconstruction_error(pca.fit(digits, k), digits).mean(), error, atol=5e-5)
    assert [pca.n_components(f.variances, fraction) for fraction in (0.90, 0.95, 0.99)] == [21, 29, 41]
    assert np.sum(f.variances > 1e-9) == 61


def test_known_numbers_of_iris():
    f = pca.fit(iris)
    assert np.allclose(f.variances, [4.200053, 0.241053, 0.077688, 0.023676], atol=5e-7)
    R = iris - pca.decode(pca.fit(iris, 2), pca.encode(pca.fit(iris, 2), iris))
    assert np.isclose(pca.reconstruction_error(pca.fit(iris, 2), iris).mean(), 0.101364, atol=5e-7)
    assert np.isclose(np.linalg.norm(R) / np.linalg.norm(iris), 0.039924, atol=5e-7)
    assert np.isclose(np.linalg.norm(R, 2) / np.linalg.norm(iris, 2), 0.035574, atol=5e-7)  # not the Frobenius norm


def test_explained_variance_and_number_of_components():
    lam = np.array([5.0, 3.0, 1.0, 1.0])
    assert np.allclose(pca.explained_variance(lam), [0.5, 0.8, 0.9, 1.0])
    assert [pca.n_components(lam, f) for f in (0.01, 0.5, 0.51, 0.8, 0.81, 1.0)] == [1, 1, 2, 2, 3, 4]
    assert pca.n_components(np.full(7, 0.1), 1.0) == 7  # cumsum / sum ends at 0.9999999999999999


@given(clouds, st.floats(0.01, 1.0))
def test_number_of_components_by_search(X, fraction):
    lam = pca.fit(X).variances
    k = pca.n_components(lam, fraction)
    assert lam[:k].sum() >= fraction * lam.sum() * (1 - 1e-9)
    assert k == 1 or lam[: k - 1].sum() < fraction * lam.sum() * (1 + 1e-9)


@every_method
def test_float32_stays_float32(method):
    f = pca.fit(cloud(3, 9, 4).astype(np.float32), 2, method)
    assert {a.dtype for a in f} == {np.dtype(np.float32)}
    X = cloud(4, 2, 4).astype(np.float32)
    assert pca.decode(f, pca.encode(f, X)).dtype == pca.reconstruction_error(f, X).dtype == np.float32


def test_constant_data_have_no_variance_to_explain():
    f = pca.fit(np.ones((5, 3)))
    assert np.allclose(f.variances, 0) and np.allclose(f.U.T @ f.U, np.eye(3))
    with pytest.raises(ValueError, match="is the data constant"):
        pca.explained_variance(f.variances)


@pytest.mark.parametrize(
    ("X", "k", "words"),
    [
        (np.zeros(3), 1, "one row per sample"),
        (np.zeros((0, 3)), 0, "one row per sample"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), 1, "NaN"),
        (np.zeros((4, 3)), 4, "0 to 3 components"),
        (np.zeros((4, 3)), -1, "0 to 3 components"),
    ],
)
def test_bad_input_is_refused_with_a_reason(X, k, words):
    with pytest.raises(ValueError, match=words):
        pca.fit(X, k)


def test_fraction_outside_0_1_is_refused():
    with pytest.raises(ValueError, match=r"such as 0\.95"):
        pca.n_components(np.ones(3), 95)


@pytest.mark.parametrize("method", ["eig", "svd"])
def test_the_error_is_differentiable(method):
    X = cloud(5, 6, 3)

    def error(X):
        return np.sum(pca.reconstruction_error(pca.fit(X, 1, method), X))

    check_grads(error, modes=["rev"], order=1)(X)
    # d(sum of discarded variances) = 2 (x_i - mean) projected on the discarded directions
    f = pca.fit(X, 1)
    assert np.allclose(grad(error)(X), 2 * (X - f.mean) @ (np.eye(3) - f.U @ f.U.T), atol=1e-8)


def test_other_features_than_the_training_data_are_refused():
    f = pca.fit(cloud(0, 9, 3), 2)
    for bad in (np.ones((4, 1)), np.ones((4, 2)), np.ones(1)):  # (n, 1) would be repeated over all features
        for use in (pca.encode, pca.reconstruction_error):
            with pytest.raises(ValueError, match="3 features"):
                use(f, bad)


def test_variances_in_the_order_of_eigh_are_refused():
    X = cloud(1, 20, 4)
    lam = np.linalg.eigvalsh(pca.covariance(X))
    for use in (pca.explained_variance, lambda v: pca.n_components(v, 0.9)):
        with pytest.raises(ValueError, match="reverse with"):
            use(lam)
    assert np.allclose(pca.explained_variance(lam[::-1]), pca.explained_variance(pca.fit(X).variances))
