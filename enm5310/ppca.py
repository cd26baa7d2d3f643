"""Probabilistic PCA: x = W z + mu + sigma e, the exact bridge from PCA (slides 2-3) to the VAE (slides 8-9).

With z ~ N(0, I_q) and e ~ N(0, I_p) everything the VAE approximates has a closed form here: the likelihood, its
maximum and the posterior (Tipping & Bishop 1999).
"""

import math
from typing import NamedTuple

import autograd.numpy as np

from enm5310 import pca

LOG_2PI = math.log(2 * math.pi)  # a Python float, so that float32 stays float32


class PPCA(NamedTuple):
    """p(x) = N(x | mu, W W^T + s2 I)."""

    W: np.ndarray  # (p, q), loadings; defined up to a rotation W R
    mu: np.ndarray  # (p,)
    s2: float  # noise variance sigma^2


def fit(X, q):
    """Maximum likelihood: W = U_q (Lambda_q - s2 I)^(1/2), s2 = mean of the discarded variances, for X (n, p), q < p.

    Raises ValueError when q is outside 0..p-1 or the discarded variances are all zero (the likelihood has no maximum).
    Source: Tipping & Bishop (1999), equations 14-15, with the rotation R = I.
    """
    p = np.shape(X)[1]
    if not 0 <= q < p:
        raise ValueError(f"q is {q}; {p} features leave room for 0 to {p - 1} latent dimensions and some noise")
    mu, U, lam = pca.fit(X, None, "svd")
    s2 = np.sum(lam[q:]) / (p - q)  # divides by p - q also when n < p: the variances left out are zero
    if not s2 > 1e-14 * np.sum(lam):
        raise ValueError(f"the {p - q} discarded variances are zero, so the likelihood grows without bound: lower q")
    return PPCA(U[:, :q] * np.sqrt(np.maximum(lam[:q] - s2, 0)), mu, s2)


def _precision(ppca):
    if not ppca.s2 > 0:
        raise ValueError(f"the noise variance s2 is {ppca.s2}; a density on all of R^p wants s2 > 0")
    return ppca.W.T @ ppca.W + ppca.s2 * np.eye(ppca.W.shape[1], dtype=ppca.W.dtype)  # M, s2 times p(z | x)'s precision


def _centred(X, mu):
    if np.shape(X)[-1:] != np.shape(mu):  # (n, 1) - (p,) would be (n, p)
        raise ValueError(f"X has shape {np.shape(X)}; the model is of {len(mu)} features, want (n, p)")
    return X - mu


def log_likelihood(ppca, X):
    """log p(x_i) = -1/2 [p ln 2pi + ln|K| + (x_i - mu)^T K^-1 (x_i - mu)], K = W W^T + s2 I, shape (n,), nats.

    By Woodbury only the q x q matrix M = W^T W + s2 I is factorised: O(n p q + q^3), not O(p^3).
    """
    W, mu, s2 = ppca
    p, q = W.shape
    R = _centred(X, mu)
    M = _precision(ppca)
    RW = R @ W
    mahalanobis = (np.sum(R**2, axis=1) - np.sum(RW * np.linalg.solve(M, RW.T).T, axis=1)) / s2  # K^-1 by Woodbury
    log_det = (p - q) * np.log(s2) + np.linalg.slogdet(M)[1]  # |K| = s2^(p-q) |M|
    return -0.5 * (p * LOG_2PI + log_det + mahalanobis)


def max_log_likelihood(variances, q):
    """-1/2 [p ln 2pi + sum_{j<=q} ln lambda_j + (p - q) ln s2 + p]: the average of log p(x_i) at the maximum, nats.

    variances: all p eigenvalues of the covariance, decreasing.  Source: Tipping & Bishop (1999), section 3.
    """
    p = len(variances)
    if not 0 <= q < p or not np.all(np.diff(variances) <= 0):
        raise ValueError(f"q is {q} of {p} variances; want 0 <= q < p and decreasing variances: reverse those of eigh")
    s2 = np.mean(variances[q:])
    return -0.5 * (p * LOG_2PI + np.sum(np.log(variances[:q])) + (p - q) * np.log(s2) + p)


def posterior(ppca, X):
    """p(z | x_i) = N(z | M^-1 W^T (x_i - mu), s2 M^-1), M = W^T W + s2 I: means (n, q) and the one covariance (q, q).

    The mean is shrunk towards 0 against PCA's orthogonal projection; it reaches it as s2 -> 0.
    """
    W, mu, s2 = ppca
    M = _precision(ppca)
    return np.linalg.solve(M, W.T @ _centred(X, mu).T).T, s2 * np.linalg.inv(M)


def decode(ppca, Z):
    """E[x | z] = W z + mu for the rows of Z, shape (n, p)."""
    return Z @ ppca.W.T + ppca.mu


def sample(ppca, eps_z, eps_x):
    """x = W eps_z + mu + sigma eps_x ~ N(mu, W W^T + s2 I) for standard normal eps_z (n, q) and eps_x (n, p)."""
    x = decode(ppca, eps_z)
    if np.shape(eps_x) != np.shape(x):
        raise ValueError(f"eps_x has shape {np.shape(eps_x)}; every feature wants its own noise, shape {np.shape(x)}")
    return x + np.sqrt(ppca.s2) * eps_x


# -------------------- the linear VAE: the same model with an encoder --------------------


class LinearVAE(NamedTuple):
    """p(x | z) = N(W z + mu, s2 I) with the encoder q(z | x) = N(V (x - mu), diag(d)): a VAE whose ELBO is exact."""

    ppca: PPCA
    V: np.ndarray  # (q, p)
    d: np.ndarray  # (q,), posterior variances, the same for every x


def best_encoder(ppca):
    """V = M^-1 W^T, d_j = s2 / M_jj, M = W^T W + s2 I: the LinearVAE whose diagonal q maximises every sample's ELBO.

    The means are those of the posterior N(V (x - mu), s2 M^-1); 1 / d_j is the diagonal of its *precision* M / s2.
    """
    W, s2 = ppca.W, ppca.s2
    M = _precision(ppca)
    return LinearVAE(ppca, np.linalg.solve(M, W.T), s2 / np.diag(M))


def linear_vae_elbo(vae, X):
    """elbo = rec - kl, rec and kl for each row of X (n, p), exactly: three arrays (n,), nats.

    rec = E_q[log p(x|z)] = -1/2 [p ln(2 pi s2) + (|x - mu - W m|^2 + sum_j d_j |w_j|^2) / s2],  m = V (x - mu);
    kl = 1/2 sum_j (m_j^2 + d_j - ln d_j - 1).  Source: Lucas, Tucker, Grosse & Norouzi (2019), section 4.
    """
    (W, mu, s2), V, d = vae
    R = _centred(X, mu)
    m = R @ V.T
    squares = np.sum((R - m @ W.T) ** 2, axis=1) + np.sum(d * np.sum(W**2, axis=0))  # E_q |x - mu - W z|^2
    rec = -0.5 * (len(mu) * np.log(2 * np.pi * s2) + squares / s2)
    kl = 0.5 * np.sum(m**2 + d - np.log(d) - 1, axis=1)
    return rec - kl, rec, kl


def elbo_gap(ppca):
    """1/2 [sum_j ln M_jj - ln |M|] >= 0, nats: log p(x) minus the ELBO of `best_encoder`, the same for every x.

    Zero if and only if the columns of W are orthogonal (Hadamard's inequality): the likelihood does not see a rotation
    W R, this ELBO does.
    """
    M = _precision(ppca)
    return 0.5 * (np.sum(np.log(np.diag(M))) - np.linalg.slogdet(M)[1])


def fit_loadings(X, q, s2):
    """Maximum likelihood for a *given* noise variance s2 > 0: w_j = u_j (lambda_j - s2)_+^(1/2), X (n, p), q <= p.

    A direction with lambda_j <= s2 gets w_j = 0: its latent collapses onto the prior, and the exact likelihood wants it
    so, not the ELBO.  Raises ValueError when q is outside 0..p or s2 is not positive.  Source: Lucas et al. (2019).
    """
    p = np.shape(X)[1]
    if not (0 <= q <= p and s2 > 0):
        raise ValueError(f"q is {q} and s2 {s2}; {p} features want 0 <= q <= {p} and a positive noise variance")
    mu, U, lam = pca.fit(X, None, "svd")
    W = U[:, :q] * np.sqrt(np.maximum(lam[:q] - s2, 0))
    return PPCA(np.pad(W, ((0, 0), (0, q - W.shape[1]))), mu, s2)  # n < q: no variance is left, so no loadings


def active_latents(variances, s2, q=None):
    """#{j <= q: lambda_j > s2}: how many of q latents (default: all) do not collapse at noise variance s2."""
    if not s2 >= 0 or (q or 0) < 0 or np.any(np.diff(variances) > 0):
        raise ValueError(f"s2 is {s2} and q {q}; want s2, q >= 0 and decreasing variances: reverse those of eigh")
    return int(np.sum(np.asarray(variances)[:q] > s2))


def to_nets(vae):
    """The LinearVAE as parameters (encoder, decoder) of `vae`: one layer [(W, b)] each, (p, 2q) and (q, p)."""
    (W, mu, _), V, d = vae
    heads = np.concatenate([V, np.zeros_like(V)]).T  # the log-variance does not look at x
    return [(heads, np.concatenate([-V @ mu, np.log(d)]))], [(W.T, mu)]
