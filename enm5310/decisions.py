"""One gradient, four uses (slide 6): variational inference, reinforcement learning, pricing, inventory control.

Each use is a Problem: E_{p(z; theta)}[f(z)] with a path z = g(eps, theta) and a density.  The same two estimators of
`gradients` serve them all, one row per sample, and the same loop minimises them all.  Noise eps is an argument.
"""

import math
from math import e, erfc, pi, sqrt
from typing import NamedTuple

import autograd.numpy as np
from autograd.extend import defjvp, defvjp, primitive

from enm5310.distributions import kl_standard_normal, log_bernoulli, log_gaussian
from enm5310.gradients import per_sample, reparameterization, score_function, sticking_the_landing
from enm5310.optimize import adam, train
from enm5310.paths import gaussian, gaussian_log_p


class Problem(NamedTuple):
    """E_{p(z; theta)}[f(z)]: what is averaged, how z is made from noise, and how likely z is."""

    f: object  # z -> (S,)
    g: object  # eps, theta -> z
    log_p: object = None  # z, theta -> (S,), log p(z; theta); None where only the path is used


def pathwise(problem, theta, eps):
    """grad_theta f(g(eps_s, theta)), shape (S, d): infinitesimal perturbation analysis, or the pathwise Greeks."""
    return reparameterization(problem.f, problem.g, theta, eps)


def likelihood_ratio(problem, theta, eps, baseline=0.0):
    """(f(z_s) - b) grad_theta log p(z_s; theta), shape (S, d), at z = g(eps, theta): REINFORCE, or the LR Greeks."""
    return score_function(problem.f, problem.log_p, theta, problem.g(eps, theta), baseline)


def minimise(problem, theta, noise, estimator=pathwise, update=adam, lr=0.01, callback=None):
    """theta <- theta - lr (average row of the estimator): a Run, one step for each eps (S, ...) in `noise`.

    Run.values holds the average of f at every step.  callback(t, theta, value) may return True to stop;
    KeyboardInterrupt returns what there is.
    """

    def value_and_gradient(theta, eps, t):
        return np.mean(problem.f(problem.g(eps, theta))), np.mean(estimator(problem, theta, eps), axis=0)

    return train(value_and_gradient, theta, noise, update, callback, lr)


# -------------------- variational inference --------------------


class Family(NamedTuple):
    """A family of laws q(z; theta) on R^d, theta = (mean (d), log sigma or log diag L (d), the rest)."""

    g: object  # eps (S, d), theta -> z (S, d)
    log_q: object  # z (S, d), theta -> (S,)


def _mean_field_path(eps, theta):
    d = np.shape(eps)[-1]
    _right_length(theta, 2 * d, f"(mean, log sigma) in {d} dimensions")
    return theta[..., :d] + np.exp(theta[..., d:]) * eps


def _mean_field_log_q(z, theta):
    d = np.shape(z)[-1]
    return log_gaussian(z, theta[..., :d], 2 * theta[..., d:])


def cholesky(theta, d):
    """L (..., d, d), lower triangular, from theta (..., d(d+3)/2) = (mean, log diagonal, entries below row by row)."""
    _right_length(theta, d * (d + 3) // 2, f"(mean, log diag L, below the diagonal) in {d} dimensions")
    below = np.zeros((d * (d - 1) // 2, d, d), theta.dtype)  # one matrix unit for each entry: differentiable in theta
    below[(np.arange(len(below)), *np.tril_indices(d, -1))] = 1
    diagonal = np.exp(theta[..., d : 2 * d])[..., None] * np.eye(d, dtype=theta.dtype)
    return diagonal + np.einsum("...k,kij->...ij", theta[..., 2 * d :], below)


def _full_path(eps, theta):
    d = np.shape(eps)[-1]
    return theta[..., :d] + np.einsum("...ij,...j->...i", cholesky(theta, d), eps)


def _full_log_q(z, theta):
    d = np.shape(z)[-1]
    # one L per sample, because autograd's solve does not add up the gradients of a shared one
    L = cholesky(theta, d) + 0 * z[..., None]
    eps = np.linalg.solve(L, (z - theta[..., :d])[..., None])[..., 0]  # L eps = z - mean
    return log_gaussian(eps, 0 * eps, 0 * eps) - np.sum(theta[..., d : 2 * d], axis=-1)


def _right_length(theta, length, what):
    if np.shape(theta)[-1] != length:
        raise ValueError(f"theta has length {np.shape(theta)[-1]}; {what} wants {length}")


MEAN_FIELD = Family(_mean_field_path, _mean_field_log_q)  # N(mean, diag sigma^2); theta (2d,)
FULL_COVARIANCE = Family(_full_path, _full_log_q)  # N(mean, L L^T); theta (d(d + 3) / 2,)


def elbo(log_joint, family, theta, eps):
    """log p(x, z_s) - log q(z_s; theta) at z = g(eps, theta), shape (S,): rows average to the ELBO; all Monte Carlo."""
    z = family.g(eps, theta)
    log_p, log_q = log_joint(z), family.log_q(z, theta)
    if np.shape(log_p) != np.shape(log_q):
        raise ValueError(f"log_joint gave shape {np.shape(log_p)}; want one number per sample, {np.shape(log_q)}")
    return log_p - log_q


def analytic_kl_gradient(log_lik, theta, eps):
    """grad_theta [log p(x | z_s) - KL(q || N(0, I))], shape (S, 2d): mean field, the KL in closed form."""
    d = np.shape(eps)[-1]

    def one(theta):
        return log_lik(_mean_field_path(eps, theta)) - kl_standard_normal(theta[..., :d], 2 * theta[..., d:])

    return per_sample(one, theta, len(eps))


def fit_vi(
    log_joint, theta, noise, family=MEAN_FIELD, estimator=sticking_the_landing, update=adam, lr=0.01, callback=None
):
    """Black-box variational inference, maximising the ELBO: a Run with theta and -ELBO per step.

    log_joint maps z (S, d) to log p(x, z) (S,).  noise yields eps (S, d) for each step: fresh draws, or the same draws
    again and again (sample average approximation).  estimator: `gradients.sticking_the_landing` or `elbo_gradient`.
    Source: Ranganath, Gerrish & Blei (2014); Kucukelbir et al. (2017).
    """

    def value_and_gradient(theta, eps, t):
        rows = estimator(log_joint, family.log_q, family.g, theta, eps)
        return -np.mean(elbo(log_joint, family, theta, eps)), -np.mean(rows, axis=0)

    return train(value_and_gradient, theta, noise, update, callback, lr)


def logistic_regression(X, y, prior_variance=1.0):
    """z -> log N(z; 0, v I) + sum_i log Bernoulli(y_i; s(x_i^T z)), (S, d) -> (S,): Bayesian logistic regression.

    X (n, d), labels y (n,) in {0, 1}.  The likelihood sums over all n samples: that sets its weight against the prior.
    """
    if np.shape(y) != (len(X),) or not np.all((y == 0) | (y == 1)):
        raise ValueError(f"y has shape {np.shape(y)} for {len(X)} rows of X; give one label 0 or 1 for each row")
    log_v = math.log(prior_variance)
    return lambda z: log_gaussian(z, 0 * z, log_v + 0 * z) + log_bernoulli(y, z @ X.T)


# -------------------- reinforcement learning: the scalar linear-quadratic regulator --------------------


class LQR(NamedTuple):
    """x_{t+1} = a x_t + b u_t + w_t, w_t ~ N(0, 1), u_t = -k x_t + sigma eps_t; cost sum_t Q x_t^2 + R u_t^2."""

    a: float = 1.0
    b: float = 1.0
    Q: float = 1.0
    R: float = 1.0


def riccati(lqr):
    """P = Q + a^2 P R / (R + b^2 P) > 0 and the best gain K = a b P / (R + b^2 P), exactly.

    a = b = Q = R = 1 gives the golden ratio.  P is also the least average cost per step.  Raises ValueError unless
    Q, R > 0 and b != 0.
    """
    a, b, Q, R = lqr
    if not (Q > 0 and R > 0 and b != 0):
        raise ValueError(f"{lqr}: the Riccati equation wants costs Q, R > 0 and an input that acts, b != 0")
    half = (b**2 * Q - R * (1 - a**2)) / 2  # b^2 P^2 - 2 half P - Q R = 0
    P = (half + sqrt(half**2 + b**2 * Q * R)) / b**2
    return P, a * b * P / (R + b**2 * P)


def average_cost(lqr, k):
    """(Q + R k^2) / (1 - (a - b k)^2): the cost per step of u = -k x without exploration, in the long run.

    Infinite where |a - b k| >= 1: the loop is unstable.
    """
    return _over(lqr.Q + lqr.R * k**2, 1 - (lqr.a - lqr.b * k) ** 2)


def lqr_problem(lqr, sigma, x0=0.0, terminal=0.0):
    """The expected cost of T steps as a Problem in theta = (k,): eps (S, T, 2) drives the policy and the process.

    z (S, T, 3) holds (x_t, u_t, x_{t+1}); g is the simulator, log_p only the policy: REINFORCE needs no model.
    terminal: weight of x_T^2; with the Riccati P the best constant gain is K for any horizon.
    """
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; without exploration the policy has no density: use sigma > 0")

    def g(eps, theta):
        x, z = x0 * np.ones_like(eps[:, 0, 0]), []
        for t in range(eps.shape[1]):
            u = -theta[..., 0] * x + sigma * eps[:, t, 0]
            x_next = lqr.a * x + lqr.b * u + eps[:, t, 1]
            z.append(np.stack([x, u, x_next], axis=-1))
            x = x_next
        return np.stack(z, axis=1)

    def f(z):
        return np.sum(step_costs(lqr, z), axis=1) + terminal * z[:, -1, 2] ** 2

    return Problem(f, g, policy_log_p(sigma))


def step_costs(lqr, z):
    """Q x_t^2 + R u_t^2, shape (S, T), along trajectories z (S, T, 3)."""
    return lqr.Q * z[..., 0] ** 2 + lqr.R * z[..., 1] ** 2


def policy_log_p(sigma):
    """z, theta -> sum_t log N(u_t; -k x_t, sigma^2), shape (S,): all of log p(trajectory) that depends on k."""

    def log_p(z, theta):
        action = np.stack([-theta * z[..., 0], 0 * z[..., 0] + math.log(sigma)], axis=-1)
        return np.sum(gaussian_log_p(z[..., 1], action), axis=-1)

    return log_p


def reward_to_go(lqr, sigma, theta, z, baseline=0.0):
    """sum_t (G_t - b_t) grad log p(u_t | x_t), G_t = cost from t on, shape (S, 1): no action pays for the past.

    baseline: one number, or one for each t (T,).  Terminal cost 0.  Source: Williams (1992); Sutton et al. (2000).
    """
    S, T = z.shape[:2]
    G = np.cumsum(step_costs(lqr, z)[:, ::-1], axis=1)[:, ::-1] - baseline
    steps = np.concatenate([z, G[..., None]], axis=2).reshape(S * T, 1, 4)  # every step its own sample, of length one
    rows = score_function(lambda steps: steps[:, 0, 3], policy_log_p(sigma), theta, steps)
    return np.sum(rows.reshape(S, T, -1), axis=1)


# -------------------- derivative pricing --------------------


def normal_pdf(x):
    """phi(x) = e^(-x^2/2) / sqrt(2 pi), elementwise."""
    return np.exp(-0.5 * x**2) / sqrt(2 * pi)


_erfc = np.vectorize(erfc, otypes=[float])


@primitive
def normal_cdf(x):
    """Phi(x) = erfc(-x / sqrt 2) / 2, elementwise, with full relative accuracy in the lower tail; differentiable."""
    x = np.asarray(x)
    return (_erfc(-x / sqrt(2)) / 2).astype(np.result_type(x, np.float32))[()]


defvjp(normal_cdf, lambda ans, x: lambda g: g * normal_pdf(x))
defjvp(normal_cdf, lambda g, ans, x: g * normal_pdf(x))


class Greeks(NamedTuple):
    """A price today and its derivatives."""

    price: np.ndarray
    delta: np.ndarray  # d price / d S
    vega: np.ndarray  # d price / d sigma
    gamma: np.ndarray  # d^2 price / d S^2


def black_scholes(S, K, r, sigma, T):
    """S Phi(d1) - K e^(-rT) Phi(d2), the price of max(S_T - K, 0), and its Greeks.

    d1, d2 = [log(S/K) + rT] / sd +- sd/2 with sd = sigma sqrt T.  sd = 0 gives the limit: the discounted payoff of a
    certain S_T, whose gamma is infinite at the kink.  Arrays broadcast.  Raises ValueError unless S, K > 0 and sigma,
    T >= 0.  Source: Black & Scholes (1973).
    """
    d1, d2, sd = _d1_d2(S, K, r, sigma, T)
    price = S * normal_cdf(d1) - K * e ** (-r * T) * normal_cdf(d2)
    return Greeks(price, normal_cdf(d1), S * normal_pdf(d1) * T**0.5, _over(normal_pdf(d1), sd) / S)


def black_scholes_digital(S, K, r, sigma, T):
    """e^(-rT) Phi(d2), the price of 1[S_T > K], and its Greeks; d1, d2 as for `black_scholes`.

    Raises ValueError unless all of S, K, sigma, T are positive: without them the price is the jump itself.
    """
    d1, d2, sd = _d1_d2(S, K, r, sigma, T)
    if not np.all(sd > 0):
        raise ValueError(f"sigma sqrt(T) is {sd}; a digital option has finite Greeks only where it is positive")
    discount, density = e ** (-r * T), normal_pdf(d2) / sd  # density = d Phi(d2) / d log S
    vega, gamma = -density * d1 * T**0.5, -density * d1 / sd / S**2
    return Greeks(discount * normal_cdf(d2), discount * density / S, discount * vega, discount * gamma)


def _d1_d2(S, K, r, sigma, T):
    for name, value, good in [("S", S, S > 0), ("K", K, K > 0), ("sigma", sigma, sigma >= 0), ("T", T, T >= 0)]:
        if not np.all(good):
            raise ValueError(f"{name} is {value}; prices are for S, K > 0 and sigma, T >= 0")
    sd = sigma * T**0.5 + 0 * (S + K)
    moneyness = np.log(S / K) + r * T + 0 * sd
    d = _over(moneyness, sd)
    return d + sd / 2, d - sd / 2, sd


def _over(a, sd):
    """a / sd where sd > 0, elsewhere the limit for sd -> 0: infinite with a's sign, or 0 where a = 0."""
    infinite = np.inf * np.ones_like(a)  # arrays throughout: np.where would upcast float32 to meet a Python number
    limit = np.where(a > 0, infinite, np.where(a < 0, -infinite, 0 * a))
    return np.where(sd > 0, a / (sd + (sd == 0)), limit)


def option(payoff, r, T):
    """The price E[e^(-rT) payoff(S_T)] as a Problem in theta = (S, sigma): rows are (delta, vega).

    S_T = S exp((r - sigma^2/2) T + sigma sqrt(T) eps) is a path and, by its lognormal density, a likelihood ratio.
    The payoff belongs to the contract (structural), S and sigma to the law of S_T (distributional).
    """
    if not T > 0:
        raise ValueError(
            f"T is {T}; the price moves only if there is time left, T > 0 (`black_scholes` gives the limit)"
        )

    def log_law(theta):
        S, sigma = theta[..., 0], theta[..., 1]
        if not np.all((S > 0) & (sigma > 0)):
            raise ValueError("theta = (S, sigma) must be positive: the price today and its volatility")
        return np.stack([np.log(S) + (r - sigma**2 / 2) * T, np.log(sigma * T**0.5)], axis=-1)

    def log_p(z, theta):
        return gaussian_log_p(np.log(z), log_law(theta)) - np.log(z)

    return Problem(lambda z: e ** (-r * T) * payoff(z), lambda eps, theta: np.exp(gaussian(eps, log_law(theta))), log_p)


def call(K):
    """S_T -> max(S_T - K, 0): continuous, so its path has a gradient."""
    return lambda S_T: np.maximum(S_T - K, 0)


def digital(K):
    """S_T -> 1[S_T > K]: every path has slope 0, all of the gradient sits in the jump, and pathwise Greeks are 0."""
    return lambda S_T: (S_T > K) + 0 * S_T  # 0 * S_T: a path for autograd to follow, and find nothing on


def smoothed_digital(K, h):
    """S_T -> Phi((S_T - K) / h): the jump spread over a width h > 0; bias O(h^2), pathwise variance O(1/h)."""
    if not h > 0:
        raise ValueError(f"h is {h}; smoothing needs a width h > 0 (h -> 0 is the digital itself)")
    return lambda S_T: normal_cdf((S_T - K) / h)


# -------------------- inventory control --------------------


class Newsvendor(NamedTuple):
    """Buy q at cost c, sell at price p while demand lasts, and return the rest for salvage s; s < c < p."""

    p: float
    c: float
    s: float = 0.0


def profit(shop, q, D):
    """p min(q, D) + s max(q - D, 0) - c q, elementwise."""
    return shop.p * np.minimum(q, D) + shop.s * np.maximum(q - D, 0) - shop.c * q


def profit_slope(shop, q, D):
    """d profit / dq = p - c where D > q, s - c where D < q, elementwise: the IPA gradient, of mean 0 at the best q."""
    return np.where(D > q, shop.p - shop.c, shop.s - shop.c).astype(np.result_type(q, D, np.float32))


def critical_fractile(shop):
    """P(D <= q*) = (p - c) / (p - s): the best order is this quantile of demand; ValueError unless s < c < p."""
    if not shop.s < shop.c < shop.p:
        raise ValueError(f"{shop}: an order is worth thinking about when s < c < p (salvage < cost < price)")
    return (shop.p - shop.c) / (shop.p - shop.s)


def expected_profit(shop, q, mu, sigma):
    """(p - c) q - (p - s) E[max(q - D, 0)], D ~ N(mu, sigma^2): differentiable in q, mu and sigma.

    E[max(q - D, 0)] = (q - mu) Phi(u) + sigma phi(u) with u = (q - mu) / sigma.  sigma = 0 is
    certain demand.  Raises ValueError unless sigma >= 0.
    """
    if not np.all(sigma >= 0):
        raise ValueError(f"sigma is {sigma}; a standard deviation cannot be negative")
    u = _over(q - mu, sigma + 0 * (q - mu))
    return (shop.p - shop.c) * q - (shop.p - shop.s) * ((q - mu) * normal_cdf(u) + sigma * normal_pdf(u))


def demand_problem(shop, q):
    """The expected profit as a Problem in theta = (mu, log sigma) of the demand: rows are (d/dmu, sigma d/dsigma)."""
    return Problem(lambda D: profit(shop, q, D), gaussian, gaussian_log_p)


def order_problem(shop):
    """Minus the expected profit as a Problem in theta = (q,), a parameter of the cost and not of the law.

    eps is the demand D itself.  `minimise` then is stochastic approximation: it finds the critical fractile from
    demands alone, no density needed.
    """
    return Problem(lambda z: -z, lambda D, theta: profit(shop, theta[..., 0], D))
