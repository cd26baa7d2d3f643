"""Principal component analysis (slides 2-3): rotate centred data onto the eigenvectors of its covariance."""

from typing import NamedTuple

import autograd.numpy as np  # plain NumPy on NumPy arrays; differentiable; follows CuPy arrays to the GPU

from enm5310 import backend


class PCA(NamedTuple):
    """The k leading principal components of a data set: x ~ mean + U z."""

    mean: np.ndarray  # (p,)
    U: np.ndarray  # (p, k), orthonormal columns u_k
    variances: np.ndarray  # (k,), sigma_k^2, decreasing


def covariance(X):
    """C = (1/n) sum_i (x_i - mean)(x_i - mean)^T, shape (p, p), for the rows x_i of X, shape (n, p) (slide 2)."""
    X = X - np.mean(X, axis=0)  # x_i <- x_i - (1/n) sum_j x_j
    return X.T @ X / len(X)  # the slide divides by n, not n - 1


def fit(X, k=None, method="eig", rng=None, device="cpu"):
    """C = U diag(sigma^2) U^T: the k leading principal components of the rows of X, shape (n, p).

    k=None keeps all min(n, p).  The three methods give the same components, each column up to its sign:
    "eig" decomposes the p x p covariance as on the slide; "svd" decomposes the centred X and never squares it,
    so small variances keep their digits; "gram" decomposes the n x n matrix of inner products, cheaper when n < p.
    For large data (pca_large): "stream" is "eig" without a copy of X, so X may be a memory map; "randomised" never
    forms C and needs rng, a numpy.random.Generator; "auto" takes the cheapest by pca_large.plan, "randomised" only
    when given rng.  The default is the slide's.
    device="gpu": "eig", "stream" and "auto" send X through the GPU in batches and need it whole nowhere; the other
    methods copy X there.  A device array X stays where it is, and so do its components.
    Raises ValueError when X is not a finite (n, p) matrix or k is outside 0..min(n, p).  Source: slides 2-3.
    """
    if device != "cpu" and method in ("eig", "stream", "auto") and not backend.on_device(X):
        from enm5310 import pca_large  # which imports this module

        return pca_large.fit_stream([X], k, rng, device)
    if device != "cpu" and not backend.on_device(X):
        return backend.run(device, rng, lambda X: fit(X, k, method, rng), X)
    if method not in _METHODS:
        from enm5310 import pca_large

        return pca_large.fit(X, k, method, rng)
    k = _checked(X, k)
    mean = np.mean(X, axis=0)
    U, variances = _METHODS[method](X - mean, k)
    return PCA(mean, U, variances)


def _eig(X, k):
    variances, U = np.linalg.eigh(X.T @ X / len(X))  # C u = sigma^2 u, ascending, so reverse
    return U[:, ::-1][:, :k], np.maximum(variances[::-1][:k], 0)  # rounding may leave a zero variance at -1e-17


def _svd(X, k):
    _, s, Ut = np.linalg.svd(X, full_matrices=False)  # X = V diag(s) U^T, so C = U diag(s^2 / n) U^T
    return Ut[:k].T, s[:k] ** 2 / len(X)


def _gram(X, k):
    variances, V = np.linalg.eigh(X @ X.T / len(X))  # (1/n) X X^T v = sigma^2 v  =>  C (X^T v) = sigma^2 (X^T v)
    U = X.T @ V[:, ::-1][:, :k]
    # X^T v has length sigma sqrt(n), which is zero for directions without variance: QR gives those an orthonormal
    # completion, and leaves the others where they are because they are orthogonal already.
    Q, R = np.linalg.qr(U)
    return Q * np.where(np.diag(R) < 0, -1, 1).astype(Q.dtype), np.maximum(variances[::-1][:k], 0)


_METHODS = {"eig": _eig, "svd": _svd, "gram": _gram}


def encode(pca, X):
    """Coordinates of each row of X in the basis U: Z = (X - mean) U, shape (n, k); mean is the training mean."""
    if np.shape(X)[-1:] != np.shape(pca.mean):  # (n, 1) - (p,) would be (n, p)
        raise ValueError(f"X has shape {np.shape(X)}; the components are of {len(pca.mean)} features, want (n, p)")
    return (X - pca.mean) @ pca.U


def decode(pca, Z):
    """The points of R^p with coordinates Z: Z U^T + mean, shape (n, p)."""
    return Z @ pca.U.T + pca.mean


def reconstruction_error(pca, X):
    """|x_i - decode(encode(x_i))|^2 for each row of X, shape (n,): summed over features.

    On the training data its average is the sum of the discarded variances (Eckart & Young 1936).
    """
    return np.sum((X - decode(pca, encode(pca, X))) ** 2, axis=1)


def explained_variance(variances):
    """(sigma_1^2 + ... + sigma_k^2) / (sigma_1^2 + ... + sigma_p^2) for k = 1..p, shape (p,), from *all* variances.

    Raises ValueError when the variances sum to zero (constant data has no variance to explain) or increase somewhere.
    """
    total = np.sum(variances)
    if not total > 0:
        raise ValueError(f"the variances sum to {total}, so no fraction of them is defined: is the data constant?")
    if np.any(np.diff(variances) > 1e-6 * total):
        raise ValueError("the variances must decrease; eigh returns them in ascending order, reverse with [::-1]")
    return np.cumsum(variances) / total


def n_components(variances, fraction):
    """The smallest k with sigma_1^2 + ... + sigma_k^2 >= fraction (sigma_1^2 + ... + sigma_p^2), for 0 < fraction <= 1.

    Raises ValueError for a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; give a number in (0, 1], such as 0.95 for 95 %")
    # cumsum rounds: without forgiveness fraction = 1 may find no k at all, and exact ties fall on either side
    return int(np.argmax(explained_variance(variances) >= fraction - 1e-12)) + 1


def _checked(X, k):
    if np.ndim(X) != 2 or 0 in np.shape(X):
        raise ValueError(f"X has shape {np.shape(X)}; PCA wants one row per sample, shape (n, p) with n, p >= 1")
    if not np.all(np.isfinite(X)):
        raise ValueError("X contains NaN or infinity; drop or impute those rows first")
    k = min(X.shape) if k is None else k
    if not 0 <= k <= min(X.shape):
        raise ValueError(f"k is {k}; {X.shape[0]} samples of {X.shape[1]} features have 0 to {min(X.shape)} components")
    return k
