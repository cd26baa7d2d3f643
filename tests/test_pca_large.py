"""The routes for large data against the SVD of the centred matrix in double precision, and against each other."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from autograd import grad
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA, IncrementalPCA

from enm5310 import pca, pca_large


def by_svd(X):
    """All components by LAPACK's SVD of the centred data in float64, sharing no step with the routes under test."""
    X = np.asarray(X, float)
    mean = np.array([np.sum(column) for column in X.T]) / len(X)
    _, s, Ut = np.linalg.svd(X - mean, full_matrices=False)
    return pca.PCA(mean, Ut.T, s**2 / len(X))


def angle(U, V):
    """Largest principal angle between the spans, from its sine: arccos cannot see angles below 1e-8."""
    U, V = (np.linalg.qr(np.asarray(A, float))[0] for A in (U, V))
    return np.arcsin(min(1, np.linalg.norm(U - V @ (V.T @ U), 2)))


def decaying(seed, n, p, power=1.0, dtype=float):
    """Rows with standard deviations 1, 2^-power, 3^-power, ... along random directions, around a mean of order 1."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(p, p)))[0]
    return (rng.normal(size=(n, p)) * np.arange(1, p + 1) ** -power @ directions + rng.normal(size=p)).astype(dtype)


def cut(X, sizes):
    """The rows of X in batches of these sizes, the rest in the last one."""
    return np.split(X, np.minimum(np.cumsum(sizes), len(X)))


def blocks_of(rows):
    """So few rows per block that small data fill many blocks."""
    return mock.patch.object(pca_large, "ROWS", rows)


def same(a, b, rtol):
    scale = b.variances.max() if b.variances.size else 0
    assert np.allclose(a.mean, b.mean, rtol=rtol, atol=rtol * (np.sqrt(scale) + abs(b.mean).max()))
    assert np.allclose((a.U * a.variances) @ a.U.T, (b.U * b.variances) @ b.U.T, atol=rtol * scale)
    assert np.allclose(a.variances, b.variances, atol=rtol * scale)


# --- one pass over batches


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6), st.lists(st.integers(0, 9)), st.integers(1, 12))
def test_stream_is_the_svd_however_rows_are_cut(seed, n, p, sizes, rows):
    X = decaying(seed, n, p)
    with blocks_of(rows):
        f = pca_large.fit_stream(iter(cut(X, sizes)))
        whole = pca_large.fit_stream([X])
    same(f, by_svd(X), 1e-11)
    assert f.U.shape == (p, min(n, p)) and np.allclose(f.U.T @ f.U, np.eye(min(n, p)), atol=1e-12)
    same(f, whole, 1e-14)


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 1e3))
def test_order_of_the_rows_does_not_matter(seed, rows, drift):
    """Sorted data, whose mean moves from block to block, as well as shuffled data."""
    rng = np.random.default_rng(seed)
    X = decaying(seed, 50, 4) + drift * np.linspace(0, 1, 50)[:, None]
    with blocks_of(rows):
        a, b = pca_large.fit_stream([X]), pca_large.fit_stream([rng.permutation(X)])
    same(a, b, 1e-12)
    same(a, by_svd(X), 1e-12)


@pytest.mark.parametrize("offset", [0, 30, 1e3, 1e4])
def test_float32_loses_nothing_to_a_large_mean(offset):
    """The oracle takes the same float32 numbers in double precision, so only the route's own rounding is left."""
    X = (decaying(0, 30_000, 8) + offset).astype(np.float32)
    f, exact = pca_large.fit_stream(cut(X, [5, 10_000])), by_svd(X)
    assert {a.dtype for a in f} == {np.dtype(np.float32)}
    assert np.allclose(f.variances, exact.variances, rtol=0, atol=1e-6)  # the largest variance is 1
    assert np.allclose(f.mean, exact.mean, rtol=1.2e-7) and angle(f.U[:, :3], exact.U[:, :3]) < 3e-6


def test_a_first_batch_far_away_costs_no_digits():
    X = decaying(1, 20_000, 5, dtype=np.float32)
    X[:3] += 1000
    f, exact = pca_large.fit_stream(cut(X, [3])), by_svd(X)
    assert np.allclose(f.variances, exact.variances, rtol=0, atol=1e-6 * exact.variances[0])


def test_error_does_not_grow_with_the_number_of_rows():
    """Constant rows plus their negatives: variances are known exactly, float32 sums over all rows would drift."""
    row = np.array([[0.1, 0.7, 0.3]], np.float32)
    f = pca_large.fit_stream(np.repeat(s * row, 5000, 0) for s in (1, -1) * 50)
    assert np.allclose(f.variances[0], np.sum(row.astype(float) ** 2), rtol=1e-6) and abs(f.variances[1]) < 1e-6


def test_integers_are_computed_in_double_precision():
    X = np.random.default_rng(2).integers(0, 256, size=(5000, 6), dtype=np.uint8)
    f = pca_large.fit_stream(cut(X, [4500]))
    assert f.U.dtype == float
    same(f, by_svd(X), 1e-12)


def test_scikit_learn_agrees():
    X = decaying(3, 400, 12)
    f, theirs = pca_large.fit_stream([X], 4), PCA(4, svd_solver="full").fit(X)
    assert angle(f.U, theirs.components_.T) < 1e-10
    assert np.allclose(f.variances, theirs.explained_variance_ * 399 / 400)  # theirs divides by n - 1
    full = IncrementalPCA(12, batch_size=100).fit(X)
    assert angle(f.U, full.components_[:4].T) < 1e-10


def test_batches_are_left_alone_and_read_once():
    X = decaying(4, 30, 3)
    before = X.copy()
    rows = iter(cut(X, [7, 7]))
    pca_large.fit_stream(rows)
    assert np.array_equal(X, before) and next(rows, None) is None


def peak(n, p, batch):
    """Peak memory in bytes of one pass over n random rows made on the fly."""
    rng = np.random.default_rng(0)
    tracemalloc.start()
    pca_large.fit_stream((rng.random((batch, p), dtype=np.float32) for _ in range(n // batch)), 2)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_depend_on_the_number_of_rows():
    few, many = peak(10_000, 40, 1000), peak(80_000, 40, 1000)
    assert many < 1.05 * few and many < 0.3 * 80_000 * 40 * 4


def test_a_memory_map_is_read_in_pieces(tmp_path):
    X = decaying(5, 60_000, 20, dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    tracemalloc.start()
    f = pca.fit(np.load(tmp_path / "X.npy", mmap_mode="r"), 3, "stream")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.3 * X.nbytes
    same(f, pca_large.fit_stream([X], 3), 1e-7)


good = np.ones((4, 3))
holed = np.ones((9000, 3))
holed[5017, 1] = np.nan


@pytest.mark.parametrize(
    ("batches", "k", "error", "words"),
    [
        ([], None, ValueError, "there is no row"),
        ([good[:0]], None, ValueError, "there is no row"),
        ([good, good[:, :2]], None, ValueError, "batch 1 has 2 features in float64, the first had 3"),
        ([good, good.astype(np.float32)], None, ValueError, "batch 1 has 3 features in float32, the first had 3 in fl"),
        (good, None, ValueError, r"batch 0 has shape \(3,\)"),
        ([good[:, :0]], None, ValueError, r"batch 0 has shape \(4, 0\)"),
        ([good, holed], None, ValueError, "row 5021 contains NaN"),
        ([np.array([[1.0, np.inf], [1.0, -np.inf]])], None, ValueError, "row 0 contains NaN or inf"),
        ([np.full((9, 1), 1e38, np.float32)], None, ValueError, "sum of rows 0 to 8"),
        ([good], 4, ValueError, "0 to 3 components"),
        ([good], -1, ValueError, "0 to 3 components"),
        ([good * 1j], None, TypeError, "batch 0"),
        ([[1.0, 2.0]], None, TypeError, "batch 0 is a list"),
    ],
)
def test_bad_batches_are_refused_with_a_reason(batches, k, error, words):
    with pytest.raises(error, match=words):
        pca_large.fit_stream(batches, k)


def test_a_generator_changes_the_stream_by_rounding_only():
    X, equal = decaying(15, 300, 120, 0.8), np.repeat(np.eye(100), 2, axis=0)
    f, exact = pca_large.fit_stream([X], 5, np.random.default_rng(0)), by_svd(X)
    assert angle(f.U, exact.U[:, :5]) < 1e-6 and np.allclose(f.variances, exact.variances[:5], rtol=1e-11)
    f = pca_large.fit_stream([equal], 3, np.random.default_rng(0))  # 99 variances 1/100: no basis can tell them apart
    assert np.allclose(f.variances, 0.01) and np.allclose(f.U.T @ f.U, np.eye(3))


# --- a random basis

shapes = pytest.mark.parametrize(("n", "p"), [(600, 200), (200, 600), (300, 300)])


@shapes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_randomised_finds_the_subspace_to_1e_4(n, p, dtype):
    X = decaying(6, n, p, 0.8, dtype)
    f, exact = pca.fit(X, 5, "randomised", np.random.default_rng(0)), by_svd(X)
    assert {a.dtype for a in f} == {np.dtype(dtype)}
    assert angle(f.U, exact.U[:, :5]) < 1e-4 and np.allclose(f.U.T @ f.U, np.eye(5), atol=1e-5)
    assert np.allclose(f.variances, exact.variances[:5], rtol=1e-5)
    assert np.allclose(f.mean, exact.mean, atol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from([1e-1, 1e-3, 1e-6]), st.integers(0, 6))
def test_the_estimated_angle_is_no_promise_broken(seed, tol, k):
    X = decaying(7, 300, 150, 0.7)
    f = pca_large.fit_randomised(X, k, np.random.default_rng(seed), tol)
    assert k == 0 or angle(f.U, EXACT.U[:, :k]) < tol


EXACT = by_svd(decaying(7, 300, 150, 0.7))


def test_the_same_generator_gives_the_same_basis():
    X = decaying(8, 300, 200)
    a, b = (pca.fit(X, 3, "randomised", np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_data_of_low_rank():
    X = decaying(9, 400, 6) @ np.random.default_rng(9).normal(size=(6, 200))
    f, exact = pca_large.fit_randomised(X, 6, np.random.default_rng(0)), by_svd(X)
    assert angle(f.U, exact.U[:, :6]) < 1e-4 and np.allclose(f.variances, exact.variances[:6])


def test_fewer_powers_than_needed_is_an_error_that_says_how_far_it_came():
    X = decaying(7, 300, 150, 0.7)
    with pytest.raises(ArithmeticError, match=r"known to \de[-+]\d\d rad, not 1e-09"):
        pca_large.fit_randomised(X, 5, np.random.default_rng(0), tol=1e-9, powers=4)


def twins():
    """400 orthogonal rows whose variances 3 and 4 are equal: no method can tell which direction is the third."""
    s = np.r_[9.0, 5, 2, 2, 1, 0.5 ** np.arange(1, 195)]
    V = np.linalg.qr(np.random.default_rng(10).normal(size=(199, 199)))[0]
    return np.vstack([np.diag(s), -np.diag(s)]) @ V.T


def test_equal_variances_have_no_subspace_and_auto_goes_the_exact_way():
    X, rng = twins(), np.random.default_rng(0)
    with pytest.raises(ArithmeticError, match="the variances 3 and 4 hardly differ"):
        pca_large.fit_randomised(X, 3, rng)
    pretend = pca_large.Plan("randomised", {}, ""), pca_large.Plan("eig", {}, "")
    with mock.patch.object(pca_large, "plan", side_effect=pretend):
        f = pca.fit(X, 3, "auto", rng)
    assert np.allclose(f.variances, np.array([81, 25, 4]) * 2 / len(X))


def test_randomised_refuses_what_fit_refuses_and_asks_for_a_generator():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="NaN"):
        pca.fit(np.full((50, 50), np.nan), 1, "randomised", rng)
    with pytest.raises(ValueError, match="0 to 3 components"):
        pca.fit(good, 4, "randomised", rng)
    with pytest.raises(ValueError, match=r"pass rng=numpy\.random"):
        pca.fit(good, 1, "randomised")
    with pytest.raises(ArithmeticError, match='k is not small against 3; take another k or method="eig"'):
        pca.fit(good, 1, "randomised", rng)


# --- the plan


@pytest.mark.parametrize(
    ("n", "p", "k", "exact", "best"),
    [
        (60_000, 784, 30, "stream", "stream"),
        (300, 5000, 10, "gram", "gram"),
        (6000, 2500, 10, "stream", "randomised"),
        (2500, 6000, 20, "gram", "randomised"),
        (5000, 4000, None, "stream", "stream"),
    ],
)
def test_the_cheapest_route_by_shape(n, p, k, exact, best):
    """These orders were measured; `python -m tests.benchmarks pca` measures the first again."""
    assert pca_large.plan(n, p, k, np.float32).method == best
    assert pca_large.plan(n, p, k, np.float32, ["eig", "stream", "svd", "gram"]).method == exact


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.data(), st.sampled_from([np.float32, np.float64]))
def test_the_plan_explains_itself(n, p, data, dtype):
    k = data.draw(st.none() | st.integers(0, min(n, p)))
    plan = pca_large.plan(n, p, k, dtype)
    assert plan.costs[plan.method] == min(plan.costs.values()) and next(iter(plan.costs)) == plan.method
    assert f"of {n} x {p}" in plan.why and all(method in plan.why for method in plan.costs)
    more = pca_large.plan(2 * n, p, k, dtype).costs
    assert all(more[m] >= plan.costs[m] or np.isinf(plan.costs[m]) for m in more)


@pytest.mark.parametrize(("n", "p"), [(300, 20), (20, 300), (5000, 3), (40, 40)])
def test_auto_is_eig_up_to_rounding(n, p):
    X = decaying(11, n, p)
    for rng in (None, np.random.default_rng(0)):
        same(pca.fit(X, None, "auto", rng), pca.fit(X), 1e-11)


def test_auto_draws_nothing_without_a_generator():
    X = decaying(12, 700, 650, 1.0, np.float32)
    pretend = {"eig": 3.0, "gram": 2.0, "stream": 1.5, "randomised": 1.0}

    def plan(n, p, k, dtype, methods):
        return pca_large.Plan(min(methods, key=pretend.get), {}, "")

    with mock.patch.object(pca_large, "plan", plan), mock.patch.object(pca_large, "fit_randomised") as randomised:
        assert pca.fit(X, 2, "auto").U.shape == (650, 2) and not randomised.called
        assert pca.fit(X, 2, "auto", np.random.default_rng(0)) is randomised.return_value


@pytest.mark.parametrize(("n", "p"), [(5000, 3), (6, 3)])
def test_auto_stays_differentiable(n, p):
    """d(sum of discarded variances) / dX = 2 (x_i - mean) (I - U U^T) / n, as for the default."""
    X = decaying(13, n, p)
    gradient = grad(lambda X: np.sum(pca.fit(X, None, "auto").variances[1:]))(X)
    f = by_svd(X)
    assert np.allclose(gradient, 2 / n * (X - f.mean) @ (np.eye(p) - np.outer(f.U[:, 0], f.U[:, 0])), atol=1e-10)


@pytest.mark.parametrize("X", [np.zeros(3), np.zeros((0, 3))])
@pytest.mark.parametrize("rng", [None, np.random.default_rng(0)])
def test_auto_refuses_what_is_not_one_row_per_sample(X, rng):
    with pytest.raises(ValueError, match="one row per sample"):
        pca.fit(X, 1, "auto", rng)


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="method is 'qr'; take \"eig\""):
        pca.fit(good, 1, "qr")


# --- MNIST


@pytest.fixture(scope="module")
def train(mnist):
    return mnist[0].astype(np.float32)


@pytest.fixture(scope="module")
def spectrum(train):
    """Eigenvectors of the covariance in double precision, summed over thousands of rows at a time."""
    X = train - train.mean(axis=0, dtype=float)
    variances, U = np.linalg.eigh(X.T @ X / len(X))
    return U[:, :-31:-1], variances[:-31:-1]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["eig", "stream", "randomised", "auto"])
def test_mnist_to_1e_4_rad(train, spectrum, method):
    U, variances = spectrum
    f = pca.fit(train, 30, method, np.random.default_rng(0))
    assert angle(f.U, U) < 1e-4 and np.allclose(f.variances, variances, rtol=2e-6)
    assert f.U.dtype == np.float32


@pytest.mark.slow
def test_mnist_from_disk_takes_less_than_a_third_of_its_memory(train, spectrum, tmp_path):
    np.save(tmp_path / "X.npy", train)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    f = pca_large.fit_stream((np.array(X[i : i + 1000]) for i in range(0, len(X), 1000)), 30)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most <= 0.3 * train.nbytes and angle(f.U, spectrum[0]) < 1e-5
