"""The best Gaussian approximation of two kinds of posteriors, worked out without noise: the measure of part 5's runs.

At the largest ELBO the expected slope of log p is 0, and the inverse covariance of q is the expected curvature of
-log p; of independent coordinates only its diagonal counts.  Half Newton steps on these two equations converge.
"""

import math

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

NODES, WEIGHTS = hermegauss(24)
WEIGHTS = WEIGHTS / np.sum(WEIGHTS)  # averages over eps ~ N(0, 1)


def best_for_counts(L, c, y):
    """The best mean and sigma for log p = z^T y - sum e^z - (z - c)^T L (z - c) / 2, with E e^z = e^(m + s^2/2)."""
    m, s = c, np.full(2, 0.7)
    for _ in range(200):
        rate = np.exp(m + s**2 / 2)
        s = np.sqrt(0.5 * s**2 + 0.5 / (np.diag(L) + rate))
        m = m + 0.5 * np.linalg.solve(L + np.diag(rate), y - rate - L @ (m - c))
    return m, s


def exact_elbo(mean, C, X, y, v):
    """The ELBO of q = N(mean, C) for logistic regression with the prior N(0, v I), X (n, d), labels y (n,) of 0 and 1.

    Every x_i^T z is Gaussian under q, so each row's term is an integral over one number.
    """
    d, spread = len(mean), np.sqrt(np.einsum("ij,jk,ik->i", X, C, X))
    a = (2 * y - 1)[:, None] * ((X @ mean)[:, None] + spread[:, None] * NODES)
    prior = -0.5 * d * math.log(2 * math.pi * v) - 0.5 * (mean @ mean + np.trace(C)) / v
    entropy = 0.5 * np.linalg.slogdet(C)[1] + 0.5 * d * math.log(2 * math.pi * math.e)
    return float(prior - np.sum(np.logaddexp(0, -a) @ WEIGHTS) + entropy)


def _steps(X, y, v, full, at_the_mode, steps=50):
    """The mean and covariance where log p's slope, at the mean or on average, is 0, and q's curvature is that of p."""
    m, precision, nodes = np.zeros(X.shape[1]), np.eye(X.shape[1]), NODES * (not at_the_mode)
    for _ in range(steps):
        C = np.linalg.inv(precision)
        spread = np.sqrt(np.einsum("ij,jk,ik->i", X, C, X))
        p = 1 / (1 + np.exp(-((X @ m)[:, None] + spread[:, None] * nodes)))
        H = (X.T * ((p * (1 - p)) @ WEIGHTS)) @ X + np.eye(len(m)) / v
        m = m + 0.5 * np.linalg.solve(H, X.T @ (y - p @ WEIGHTS) - m / v)
        precision = 0.5 * precision + 0.5 * (H if full else np.diag(np.diag(H)))
    return m, np.linalg.inv(precision)


def laplace(X, y, v, full):
    """The Gaussian that touches the posterior at its mode; without `full`, the diagonal of its inverse covariance."""
    return _steps(X, y, v, full, at_the_mode=True)


def best_for_logistic(X, y, v, full):
    """The Gaussian of largest ELBO, with any covariance or with a diagonal one."""
    return _steps(X, y, v, full, at_the_mode=False)


def gap(q, X, y, v, full):
    """How far the ELBO of q = (mean, covariance) is below the best."""
    return exact_elbo(*best_for_logistic(X, y, v, full), X, y, v) - exact_elbo(*q, X, y, v)
