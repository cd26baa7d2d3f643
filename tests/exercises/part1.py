"""What the checks of part 1 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  ROUTES: a known misconception coded differently, with a piece of the
sentence that must name it.  EQUIVALENT: surviving mutants, by exercise, with the reason.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.stats

rng = np.random.default_rng(1)


def sign_flips(U):
    return U * rng.choice([-1, 1], size=U.shape[1])


def rotation(q):
    return np.linalg.qr(rng.normal(size=(q, q)))[0]


# -------------------- right answers by other algorithms --------------------


def center_by_projection(X):
    n = len(X)
    return (np.eye(n) - np.ones((n, n)) / n) @ X, np.ones(n) @ X / n


def center_by_loops(X):
    n, p = X.shape
    mean = [sum(float(X[i, j]) for i in range(n)) / n for j in range(p)]
    return [[float(X[i, j]) - mean[j] for j in range(p)] for i in range(n)], mean


def center_by_weights(X):
    mean = np.average(X, axis=0, weights=np.full(len(X), 2.0))
    return np.subtract(X, mean), mean


def covariance_by_pairs(X):
    D = X[:, None] - X[None]  # C = (1 / 2n^2) sum_ij (x_i - x_j)(x_i - x_j)^T
    return np.einsum("abi,abj->ij", D, D) / (2 * len(X) ** 2)


def covariance_by_moments(X):
    return np.einsum("ni,nj->ij", X, X) / len(X) - np.outer(X.mean(axis=0), X.mean(axis=0))


class Fit(NamedTuple):
    mean: np.ndarray
    U: np.ndarray
    lam: np.ndarray


def pca_by_svd(X, k):
    mean = X.mean(axis=0)
    _, s, Ut = np.linalg.svd(X - mean, full_matrices=False)
    return Fit(mean, sign_flips(Ut[:k].T), s[:k] ** 2 / len(X))


def pca_by_unsorted_eig(X, k):
    lam, U = np.linalg.eig(np.cov(X, rowvar=False, bias=True))
    order = np.argsort(-lam)[:k]
    U = np.linalg.qr(U[:, order])[0]  # eig's basis of an eigenspace may be oblique
    return X.mean(axis=0), sign_flips(U), lam[order]


def pca_by_gram(X, k):
    mean = X.mean(axis=0)
    lam, V = np.linalg.eigh((X - mean) @ (X - mean).T / len(X))
    U = (X - mean).T @ V[:, ::-1][:, :k]
    return [mean, U / np.linalg.norm(U, axis=0), lam[::-1][:k]]


def pca_rotated_where_equal(X, k):
    mean, U, lam = pca_by_svd(X, k)
    if k == 2 and abs(lam[0] - lam[1]) < 1e-9:
        U = U @ rotation(2)
    return mean, U, lam


def pca_complex_but_real(X, k):
    mean, U, lam = pca_by_svd(X, k)
    return mean, U.astype(complex), lam.astype(complex)


def errors_by_projector(X_train, X_test, k):
    mean = X_train.mean(axis=0)
    U = scipy.linalg.eigh(np.cov(X_train.T, bias=True), subset_by_index=[64 - k, 63])[1]
    P = np.eye(64) - U @ U.T
    return tuple(np.trace(P @ (X - mean).T @ (X - mean)) / len(X) for X in (X_train, X_test))


def errors_by_svd(X_train, X_test, k):
    mean = X_train.mean(axis=0)
    Ut = np.linalg.svd(X_train - mean, full_matrices=False)[2][:k]
    return np.array([np.square(X - mean - (X - mean) @ Ut.T @ Ut).sum() / len(X) for X in (X_train, X_test)])


def errors_in_loops(X_train, X_test, k):
    mean = X_train.mean(axis=0)
    U = np.linalg.svd(X_train - mean, full_matrices=False)[2][:k].T
    return [float(np.mean([np.sum((x - mean - U @ (U.T @ (x - mean))) ** 2) for x in X])) for X in (X_train, X_test)]


def tail_rule(lam, fraction):
    """Drop components from the end while what is dropped stays within (1 - fraction) of the total."""
    total, k = sum(lam), len(lam)
    while k > 1 and sum(lam[k - 1 :]) <= (1 - fraction) * total + 1e-12 * total:
        k -= 1
    return k


def running_sum(lam, fraction):
    kept = 0.0
    for k, value in enumerate(lam, start=1):
        kept += float(value)
        if kept >= fraction * float(np.sum(lam)) * (1 - 1e-13):
            return k


def ppca_by_svd(X, q):
    mu = X.mean(axis=0)
    _, s, Ut = np.linalg.svd(X - mean_of(X), full_matrices=False)
    s2 = (np.sum(s**2) - np.sum(s[:q] ** 2)) / len(X) / (X.shape[1] - q)
    return (Ut[:q].T * np.sqrt(s[:q] ** 2 / len(X) - s2)) @ rotation(q), mu, s2


def mean_of(X):
    return X.mean(axis=0)


def ppca_by_cholesky(X, q):
    """W from the Cholesky factor of the q leading rows of W W^T: another rotation of the same loadings."""
    lam, U = np.linalg.eigh(np.cov(X.T, bias=True))
    lam, U = lam[::-1], U[:, ::-1]
    s2 = lam[q:].sum() / (len(lam) - q)
    S = (U[:, :q] * (lam[:q] - s2)) @ U[:, :q].T
    L = np.linalg.cholesky(S[:q, :q])
    return S[:, :q] @ np.linalg.inv(L).T, list(X.mean(axis=0)), np.float64(s2)


def ppca_by_eig(X, q):
    lam, U = np.linalg.eig(np.cov(X.T, bias=True))
    order = np.argsort(lam)[::-1]
    lam, U = lam[order].real, U[:, order].real  # eig may return complex numbers without an imaginary part
    s2 = float(np.mean(lam[q:]))
    return sign_flips(U[:, :q]) @ np.diag(np.sqrt(lam[:q] - s2)), X.mean(axis=0), s2


def loglik_by_woodbury(X, W, mu, s2):
    (p, q), R = W.shape, X - mu
    M = W.T @ W + s2 * np.eye(q)
    quadratic = (np.sum(R**2) - np.sum((R @ W) * np.linalg.solve(M, (R @ W).T).T)) / s2 / len(X)
    return -0.5 * (p * np.log(2 * np.pi) + (p - q) * np.log(s2) + np.log(np.linalg.det(M)) + quadratic)


def loglik_by_cholesky(X, W, mu, s2):
    L = np.linalg.cholesky(W @ W.T + s2 * np.eye(len(W)))
    white = scipy.linalg.solve_triangular(L, (X - mu).T, lower=True)
    return np.mean(np.sum(scipy.stats.norm.logpdf(white), axis=0)) - np.sum(np.log(np.diag(L)))


def loglik_by_scipy(X, W, mu, s2):
    return scipy.stats.multivariate_normal(mu, W @ W.T + s2 * np.eye(len(W))).logpdf(X).mean()


VARIANTS = {
    "center": [center_by_projection, center_by_loops, center_by_weights],
    "covariance": [lambda X: np.cov(X, rowvar=False, bias=True), covariance_by_pairs, covariance_by_moments],
    "pca_fit": [pca_by_svd, pca_by_unsorted_eig, pca_by_gram, pca_rotated_where_equal, pca_complex_but_real],
    "encode_decode": [
        (lambda X, T, U: np.einsum("np,pk->nk", X - T.mean(0), U), lambda Z, T, U: np.add(Z.dot(U.T), T.mean(0))),
        (
            lambda X, T, U: np.linalg.lstsq(U, (X - T.mean(0)).T, rcond=None)[0].T,
            lambda Z, T, U: np.linalg.lstsq(U.T, Z.T, rcond=None)[0].T + T.mean(0),
        ),
        (
            lambda X, T, U: [[float(u @ (x - T.mean(0))) for u in U.T] for x in X],
            lambda Z, T, U: [list(U @ z + T.mean(0)) for z in Z],
        ),
    ],
    "reconstruction_error": [
        lambda X, m, U: np.sum((X - m) ** 2, axis=1) - np.sum(((X - m) @ U) ** 2, axis=1),
        lambda X, m, U: [float(np.linalg.norm((x - m) - U @ (U.T @ (x - m)))) ** 2 for x in X],
        lambda X, m, U: np.sum(((X - m) @ scipy.linalg.null_space(U.T)) ** 2, axis=1),
    ],
    "n_components": [
        tail_rule,
        running_sum,
        lambda lam, f: np.searchsorted(np.cumsum(lam), f * lam.sum() * (1 - 1e-13)) + 1,
    ],
    "svd_to_eig": [
        lambda s, n: (s / np.sqrt(n)) ** 2,
        lambda s, n: np.diag(np.diag(s) @ np.diag(s)) / n,
        lambda s, n: [float(x) * float(x) / n for x in s],
    ],
    "ppca_fit": [ppca_by_svd, ppca_by_cholesky, ppca_by_eig],
    "ppca_loglik": [loglik_by_woodbury, loglik_by_cholesky, loglik_by_scipy],
    "pca_errors": [errors_by_projector, errors_by_svd, errors_in_loops],
}


# -------------------- known misconceptions by another route --------------------


def pca_unbiased_by_eigh(X, k):
    lam, U = np.linalg.eigh(np.cov(X.T))
    return X.mean(axis=0), sign_flips(U[:, ::-1][:, :k]), lam[::-1][:k]


def pca_rows_by_svd(X, k):
    mean = X.mean(axis=0)
    _, s, Ut = np.linalg.svd(X - mean, full_matrices=False)
    return mean, Ut[:k], s[:k] ** 2 / len(X)


def pca_ascending_by_svd(X, k):
    mean, U, lam = pca_by_svd(X, k)
    return mean, U[:, ::-1], lam[::-1]


def pca_smallest_by_eigh(X, k):
    mean = X.mean(0)
    lam, U = np.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    return mean, U[:, :k], lam[:k]


def pca_standard_deviations_by_svd(X, k):
    mean, U, lam = pca_by_svd(X, k)
    return mean, U, lam**0.5


def pca_uncentred_by_svd(X, k):
    _, s, Ut = np.linalg.svd(X, full_matrices=False)
    return X.mean(axis=0), sign_flips(Ut[:k].T), s[:k] ** 2 / len(X)


def ppca_without_s2_by_svd(X, q):
    mu = X.mean(axis=0)
    _, s, Ut = np.linalg.svd(X - mu, full_matrices=False)
    lam = s**2 / len(X)
    return (Ut[:q].T * np.sqrt(lam[:q])) @ rotation(q), mu, np.mean(lam[q:])


def ppca_smallest_by_svd(X, q):
    mu = X.mean(axis=0)
    _, s, Ut = np.linalg.svd(X - mu, full_matrices=False)
    lam = s**2 / len(X)
    return (Ut[:q].T * np.sqrt(lam[:q] - lam[-1])) @ rotation(q), mu, lam[-1]


ROUTES = {
    "center": [(lambda X: ((X - np.mean(X, 0)) / np.sqrt(np.var(X, 0)), np.mean(X, 0)), "standard deviation")],
    "covariance": [
        (lambda X: (X - X.mean(0)).T @ (X - X.mean(0)) / (len(X) - 1), "n - 1"),
        (lambda X: np.einsum("ni,nj->ij", X, X) / X.shape[0], "remove the mean"),
        (lambda X: np.corrcoef(X.T), "correlation"),
    ],
    "pca_fit": [
        (pca_unbiased_by_eigh, "n - 1"),
        (pca_rows_by_svd, "rows of U"),
        (pca_ascending_by_svd, "ascending"),
        (pca_smallest_by_eigh, "smallest variances"),
        (pca_standard_deviations_by_svd, "standard deviations"),
        (pca_uncentred_by_svd, "remove the mean"),
    ],
    "encode_decode": [((lambda X, T, U: np.dot(X, U), lambda Z, T, U: np.dot(Z, U.T) + T.mean(0)), "remove the mean")],
    "reconstruction_error": [
        (lambda X, m, U: np.mean((X - m - (X - m) @ (U @ U.T)) ** 2, axis=-1), "averaged over the features"),
        (lambda X, m, U: np.linalg.norm(X - m - (X - m) @ U @ U.T, "fro"), "one norm of the whole"),
        (lambda X, m, U: np.sqrt(np.sum((X - m) ** 2, 1) - np.sum(((X - m) @ U) ** 2, 1)), "root"),
    ],
    "n_components": [(lambda lam, f: int(np.searchsorted(np.cumsum(lam), f * lam.sum() * (1 - 1e-13))), "Off by one")],
    "svd_to_eig": [(lambda s, n: np.square(s) / (n - 1), "n - 1")],
    "ppca_fit": [(ppca_without_s2_by_svd, "subtract s2"), (ppca_smallest_by_svd, "smallest eigenvalue")],
    "ppca_loglik": [
        (lambda X, W, mu, s2: loglik_by_scipy(X, W, mu, s2) / np.log(2), "bits"),
        (lambda X, W, mu, s2: loglik_by_scipy(X, W, mu, s2) * len(X), "summed over the samples"),
    ],
    "pca_errors": [
        (lambda A, B, k: (errors_by_svd(A, B, k)[0], errors_by_svd(A, A, k)[1]), "training error again"),
        (lambda A, B, k: tuple(errors_by_svd(A, B, k) / 64), "averaged over the pixels"),
    ],
}

CENTRED_ONCE = "sum_i (x_i - m)(x_i + m)^T = sum_i (x_i - m)(x_i - m)^T, since sum_i (x_i - m) = 0"

EQUIVALENT = {
    "pca_fit": {"Sub -> Add in `X - mean`": CENTRED_ONCE},
    "n_components": {
        "comparison in `kept >= fraction - 1e-12`": "nothing lies at distance exactly 1e-12 of a tie",
    },
    "ppca_fit": {"Sub -> Add in `X - mu`": CENTRED_ONCE},
    "pca_errors": {"Sub -> Add in `X_train - mean`": CENTRED_ONCE},
}
