"""Density ratio estimation (slide 4): r(x) = p(x) / q(x) from samples of p and of q when neither density is known.

The two samples come as feature matrices Phi_p (n_p, m) and Phi_q (n_q, m), or as a function's values on them, T_p
(n_p,) and T_q (n_q,).  An average may carry weights w that sum to 1: then the same code does quadrature.
"""

from typing import NamedTuple

import autograd.numpy as np

from enm5310.distributions import log_mean_exp, sigmoid, softplus


def mean(values, w=None):
    """E[values] ~ sum_i w_i values_i, with w_i = 1/n when no weights are given; values (n,)."""
    if np.shape(values)[0] == 0:
        raise ValueError("an average over no samples was asked for: both p and q need at least one sample")
    return np.mean(values, axis=0) if w is None else np.dot(_weights(w), values)


def _weights(w):
    if not abs(np.sum(w) - 1) <= 1e-3:
        raise ValueError(f"the weights sum to {np.sum(w)}, an average wants 1: divide them by their sum")
    return w


# -------------------- a classifier is a ratio --------------------


def log_loss(t_p, t_q, w_p=None, w_q=None):
    """-1/2 E_p log s(t) - 1/2 E_q log s(-t): the loss of a classifier with logit t, both classes equally likely; nats.

    It is smallest at t = log p(x) / q(x), where it equals ln 2 - JSD(p, q).  Source: Goodfellow et al. (2014), part 4.
    """
    return (mean(softplus(-t_p), w_p) + mean(softplus(t_q), w_q)) / 2  # softplus(-t) = -log s(t)


def polynomial(x, degree=2):
    """Features (1, x, ..., x^degree), shape (n, degree + 1), for x (n,); the log ratio of Gaussians has degree 2."""
    return np.stack([x**k for k in range(degree + 1)], axis=1)


class LogRatio(NamedTuple):
    """log r = Phi w - log(n_p / n_q): the classifier's logit, corrected for the sizes of the two classes."""

    w: np.ndarray  # (m,), weights of the logit
    log_prior: float  # log(n_p / n_q), what unequal class sizes add to the logit


def log_ratio(model, Phi):
    """log p(x) / q(x) for the rows of Phi, shape (n,)."""
    return Phi @ model.w - model.log_prior


def fit_logistic(Phi_p, Phi_q, ridge=0.0, steps=25):
    """Logistic regression of p's samples (label 1) against q's (label 0), by Newton's method: a LogRatio.

    Minimises -(1/n) sum log s(+-Phi w) + sum_j ridge_j w_j^2 / 2; ridge is one number or one per feature (0 leaves the
    intercept free).  Include a constant column: it absorbs the normaliser of the ratio.  Raises ValueError when the
    features separate the samples and ridge = 0, because then no maximum of the likelihood exists.
    Source: Sugiyama, Suzuki & Kanamori (2012), chapter 4; Newton's method here is iteratively reweighted least squares.
    """
    _check(Phi_p, Phi_q)
    Phi = np.concatenate([Phi_p, Phi_q]).astype(float)  # solve in double precision, answer in the precision given
    y = np.repeat([1.0, 0.0], [len(Phi_p), len(Phi_q)])
    ridge = ridge * np.ones(Phi.shape[1])
    if not np.all(ridge >= 0):
        raise ValueError(f"ridge is {ridge}; it must be zero or positive")
    w = np.zeros(Phi.shape[1])
    for _ in range(steps):
        step, decrement = _newton_step(w, Phi, y, ridge)
        if decrement < 1e-14:
            log_prior = float(np.log(len(Phi_p) / len(Phi_q)))
            return LogRatio((w - step).astype(np.result_type(Phi_p, Phi_q, np.float32)), log_prior)
        w = _shorten(w, step, Phi, y, ridge)
    # Newton doubles the correct digits per step if a minimum exists, and only gains a factor e if it lies at infinity
    raise ValueError(
        f"no minimum after {steps} Newton steps: the features separate the two samples, so the estimated "
        "ratio grows without bound there; give ridge > 0, fewer features, or samples that overlap"
    )


def _objective(w, Phi, y, ridge):
    return np.mean(softplus(Phi @ w) - y * (Phi @ w)) + np.sum(ridge * w**2) / 2


def _newton_step(w, Phi, y, ridge):
    D = sigmoid(Phi @ w)
    g = Phi.T @ (D - y) / len(y) + ridge * w
    H = (Phi.T * (D * (1 - D))) @ Phi / len(y) + np.diag(ridge)
    step, *_ = np.linalg.lstsq(H, g, rcond=None)  # collinear features leave w open, not the ratio: take the smallest w
    return step, g @ step


def _shorten(w, step, Phi, y, ridge):
    """w - step / 2^j with the first j that does not increase the objective: a full Newton step may overshoot."""
    now = _objective(w, Phi, y, ridge)
    for j in range(40):
        if _objective(w - step / 2**j, Phi, y, ridge) <= now:
            return w - step / 2**j
    return w


# -------------------- a model of the ratio itself --------------------


def gaussian_kernels(X, centres, width):
    """k_j(x_i) = exp(-|x_i - c_j|^2 / (2 width^2)), shape (n, m), for X (n, d) and centres (m, d).

    Raises ValueError unless width > 0.
    """
    if not width > 0:
        raise ValueError(
            f"the kernel width is {width}; it must be positive (the median distance of the data is a start)"
        )
    if np.ndim(X) != 2 or np.ndim(centres) != 2 or np.shape(X)[1] != np.shape(centres)[1]:
        raise ValueError(f"X has shape {np.shape(X)} and centres {np.shape(centres)}; want (n, d) and (m, d)")
    return np.exp(-np.sum((X[:, None] - centres) ** 2, axis=2) / (2 * width**2))


def ulsif(K_p, K_q, lam):
    """alpha = (H + lam I)^-1 h, H = K_q^T K_q / n_q, h = mean of the rows of K_p: r(x) ~ k(x)^T alpha, shape (m,).

    The minimiser of J(alpha) + lam |alpha|^2 / 2 (see `ulsif_criterion`).  The fitted ratio is not clipped and may dip
    below zero; use np.maximum(K @ alpha, 0) where that matters.  Source: Kanamori, Hido & Sugiyama (2009), equation 9.
    """
    _check(K_p, K_q)
    if not lam >= 0:
        raise ValueError(f"lam is {lam}; the regulariser must be zero or positive")
    H = K_q.T @ K_q / len(K_q)
    return np.linalg.solve(H + lam * np.eye(H.shape[0], dtype=H.dtype), np.mean(K_p, axis=0))


def ulsif_criterion(alpha, K_p, K_q):
    """J(alpha) = 1/2 E_q[r^2] - E_p[r] with r = K alpha: half the squared error of r under q, up to a constant.

    On held-out samples it chooses the kernel width and lam.
    """
    return mean((K_q @ alpha) ** 2) / 2 - mean(K_p @ alpha)


def kliep(K_p, K_q, steps=2000, callback=None):
    """alpha = argmax E_p[log r] subject to E_q[r] = 1, alpha >= 0, r(x) = k(x)^T alpha: min KL(p || r q), shape (m,).

    alpha_j E_q[k_j] are the proportions of a mixture, so EM fits them: no step size, and E_p[log r] never falls.
    callback(t, alpha) may return True to stop; KeyboardInterrupt returns what there is.  Raises ValueError unless the
    kernels are >= 0, each seen by a sample of q, and each sample of p by a kernel.  Source: Sugiyama et al. (2008).
    """
    _check(K_p, K_q)
    b = np.mean(K_q, axis=0)
    if not (np.all(K_p >= 0) and np.all(K_q >= 0) and np.all(b > 0) and np.all(np.sum(K_p, axis=1) > 0)):
        raise ValueError("a kernel is negative or sees no sample of q, or no kernel sees some sample of p: widen them")
    alpha = 1 / (len(b) * b)
    try:
        for t in range(steps):
            if callback is not None and callback(t, alpha):
                break
            alpha = alpha * np.mean(K_p / (K_p @ alpha)[:, None], axis=0) / b
    except KeyboardInterrupt:
        pass
    return alpha


def _check(Phi_p, Phi_q):
    for name, Phi in [("p", Phi_p), ("q", Phi_q)]:
        if np.ndim(Phi) != 2 or 0 in np.shape(Phi):
            raise ValueError(
                f"the features of {name}'s samples have shape {np.shape(Phi)}; give one row per sample, (n, m)"
            )
        if not np.all(np.isfinite(Phi)):
            raise ValueError(f"the features of {name}'s samples contain NaN or infinity")
    if np.shape(Phi_p)[1] != np.shape(Phi_q)[1]:
        raise ValueError(f"p's samples have {np.shape(Phi_p)[1]} features, q's {np.shape(Phi_q)[1]}: use the same ones")


# -------------------- what a ratio is good for --------------------


def importance_weights(log_r):
    """r(x_i) / sum_j r(x_j) for samples x_i ~ q, shape (n,): E_p[f] ~ sum_i w_i f(x_i) (self-normalised)."""
    log_r = log_r - np.max(log_r)
    return np.exp(log_r) / np.sum(np.exp(log_r))


def nwj_bound(T_p, T_q, w_p=None, w_q=None):
    """E_p[T] - E_q[exp(T - 1)] <= KL(p || q) for any T, with equality at T = 1 + log r; nats.

    Source: Nguyen, Wainwright & Jordan (2010).
    """
    return mean(T_p, w_p) - mean(np.exp(T_q - 1), w_q)


def dv_bound(T_p, T_q, w_p=None, w_q=None):
    """E_p[T] - log E_q[exp T] <= KL(p || q) for any T, with equality at T = log r + any constant; nats.

    Its estimate from samples of q is biased upwards, because the log stands outside the average.
    Source: Donsker & Varadhan (1983).
    """
    if w_q is not None:  # log mean exp(T + log n w) = log sum w exp(T); a weight may have underflowed to zero
        T_q = T_q + np.log(np.maximum(len(w_q) * _weights(w_q), float(np.finfo(float).tiny)))
    return mean(T_p, w_p) - log_mean_exp(T_q)
