"""Gaussian process regression and expected improvement: where to look next, from few expensive values (slide 12).

Inputs are codes Z (n, k).  Everything costs O(n^3) once and O(n^2) for each new code: meant for some hundred values.
Source: Rasmussen & Williams (2006), chapter 2.
"""

from math import erf, pi
from typing import NamedTuple

import numpy as np


class GP(NamedTuple):
    """f ~ GP(mean, amplitude^2 e^(-|z - z'|^2 / 2 lengthscale^2)) given y = f + noise at the rows of Z."""

    Z: np.ndarray  # (n, k)
    L: np.ndarray  # (n, n), Cholesky factor of K + noise^2 I
    alpha: np.ndarray  # (n,), (K + noise^2 I)^-1 (y - mean)
    residual: np.ndarray  # (n,), y - mean
    mean: float
    amplitude: float
    lengthscale: float
    noise: float


def condition(Z, y, lengthscale, amplitude, noise, mean=0.0):
    """The GP given y (n,) at Z (n, k).  Raises ValueError when the shapes disagree or noise is not positive."""
    if np.ndim(Z) != 2 or np.shape(y) != np.shape(Z)[:1] or not noise > 0:
        raise ValueError(f"Z {np.shape(Z)}, y {np.shape(y)}, noise {noise}; want (n, k), (n,) and noise > 0")
    K = kernel(Z, Z, lengthscale, amplitude)
    L = np.linalg.cholesky(K + noise**2 * np.eye(len(Z)))
    residual = y - mean
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, residual))
    return GP(Z, L, alpha, residual, mean, amplitude, lengthscale, noise)


def kernel(A, B, lengthscale, amplitude):
    """amplitude^2 exp(-|a_i - b_j|^2 / 2 lengthscale^2), shape (n, m)."""
    d2 = np.sum(A * A, axis=1)[:, None] + np.sum(B * B, axis=1) - 2 * A @ B.T
    return amplitude**2 * np.exp(-np.maximum(d2, 0) / (2 * lengthscale**2))


def posterior(gp, Z):
    """Mean and standard deviation of f (not of y) at the rows of Z, (m,) each.

    Source: Rasmussen & Williams (2006), algorithm 2.1.
    """
    k = kernel(gp.Z, Z, gp.lengthscale, gp.amplitude)  # (n, m)
    v = np.linalg.solve(gp.L, k)
    return gp.mean + k.T @ gp.alpha, np.sqrt(np.maximum(gp.amplitude**2 - np.sum(v * v, axis=0), 0))


def log_evidence(gp):
    """log p(y) = -1/2 r^T (K + noise^2 I)^-1 r - sum_i log L_ii - n/2 log 2pi, with r = y - mean."""
    return -0.5 * gp.residual @ gp.alpha - np.sum(np.log(np.diag(gp.L))) - 0.5 * len(gp.Z) * float(np.log(2 * pi))


def fit(Z, y):
    """The GP of the highest `log_evidence` on a grid of length scales (times sqrt k) and noises (times sd y)."""
    spread = float(np.std(y)) or 1.0
    grid = [(l * len(Z[0]) ** 0.5, noise * spread) for l in (0.25, 0.5, 1.0, 2.0) for noise in (0.05, 0.2, 0.5)]
    return max((condition(Z, y, l, spread, noise, float(np.mean(y))) for l, noise in grid), key=log_evidence)


def expected_improvement(mean, sd, best):
    """E[max(f - best, 0)] = sd [u Phi(u) + phi(u)], u = (mean - best) / sd, for f ~ N(mean, sd^2), elementwise.

    max(mean - best, 0) where sd = 0.  Source: Mockus, Tiesis & Zilinskas (1978).
    """
    gain, sure = np.asarray(mean, float) - best, np.asarray(sd) == 0
    u = gain / np.where(sure, 1.0, sd)
    Phi = 0.5 * (1 + np.vectorize(erf, otypes=[float])(u / 2**0.5))
    phi = np.exp(-0.5 * u * u) / (2 * pi) ** 0.5
    return np.where(sure, np.maximum(gain, 0), sd * np.maximum(u * Phi + phi, 0))
