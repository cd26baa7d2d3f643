"""What the checks of part 5 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  RUNS, SYMPTOMS: other trainings, good and bad.  ROUTES: a known
misconception coded differently, with a piece of the sentence that must name it.  TOLD: wrong answers that no known
mistake can repeat.  HOSTILE: answers without the idea.  EQUIVALENT: surviving mutants, with the reason.
"""

import math

import autograd.numpy as np
import numpy as onp
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
from autograd import elementwise_grad, grad, jacobian

from enm5310 import decisions, gradients, optimize

# -------------------- right answers by other algorithms --------------------


def elbo_by_autograd(log_p, mean, log_sigma, eps):
    """All Monte Carlo, log q included, differentiated through every path: the entropy comes out exact."""

    def estimate(theta):
        m, s = theta
        z = m + np.exp(s) * eps
        log_q = np.sum(-0.5 * ((z - m) / np.exp(s)) ** 2 - s, axis=1)
        return np.mean(log_p(z) - log_q)

    return tuple(grad(estimate)((mean, log_sigma)))


def elbo_by_the_library(log_p, mean, log_sigma, eps):
    """One row per sample, then the average."""
    theta, d = np.concatenate([mean, log_sigma]), len(mean)
    family = decisions.MEAN_FIELD
    rows = gradients.elbo_gradient(log_p, family.log_q, family.g, theta, eps)
    return rows.mean(axis=0)[:d], rows.mean(axis=0)[d:]


def elbo_by_differences(log_p, mean, log_sigma, eps):
    def estimate(m, s):
        return sum(float(log_p((m + np.exp(s) * e)[None])[0]) for e in eps) / len(eps) + sum(s)

    h = 1e-4 * onp.eye(len(mean))
    return ([(estimate(mean + e, log_sigma) - estimate(mean - e, log_sigma)) / 2e-4 for e in h],
            [(estimate(mean, log_sigma + e) - estimate(mean, log_sigma - e)) / 2e-4 for e in h])  # fmt: skip


def joint_by_scipy(Z, X, y, v):
    d = Z.shape[1]
    prior = scipy.stats.multivariate_normal(np.zeros(d), v * np.eye(d)).logpdf(Z)
    t = Z @ X.T
    return np.atleast_1d(prior) + np.sum(np.where(y == 1, scipy.special.log_expit(t), scipy.special.log_expit(-t)), 1)


def joint_in_loops(Z, X, y, v):
    out = []
    for z in Z:
        total = sum(-0.5 * math.log(2 * math.pi * v) - w * w / (2 * v) for w in z)
        for x, label in zip(X, y, strict=True):
            t = sum(a * b for a, b in zip(x, z, strict=True))
            total += label * t - (max(t, 0) + math.log1p(math.exp(-abs(t))))
        out.append(total)
    return out


def joint_by_cases(Z, X, y, v):
    t = Z @ X.T
    lik = t @ y - np.sum(np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t))), axis=1)
    return lik - np.sum(Z**2 / v + np.log(2 * np.pi * v), axis=1) / 2


def value_from(joint):
    def value(X, y, v, mean, log_sigma, eps):
        rows = joint(mean + eps @ np.diag(np.exp(log_sigma)), X, y, v)
        return sum(rows) / len(eps) + scipy.stats.multivariate_normal(mean, np.diag(np.exp(2 * log_sigma))).entropy()

    return value


def value_dimension_by_dimension(X, y, v, mean, log_sigma, eps):
    total = np.mean([joint_in_loops([mean + np.exp(log_sigma) * e], X, y, v)[0] for e in eps])
    return total + sum(s + (1 + math.log(2 * math.pi)) / 2 for s in log_sigma)


def value_from_log_q(X, y, v, mean, log_sigma, eps):
    """-log q at one standard deviation in every direction is the entropy."""
    rows = joint_by_cases(mean + np.exp(log_sigma) * eps, X, y, v)
    sigma = np.exp(log_sigma)
    return rows.mean() - np.sum(scipy.stats.norm(mean, sigma).logpdf(mean - sigma))


def _q(m, log_s):
    return lambda z: -0.5 * ((z - m) / np.exp(log_s)) ** 2 - log_s


def total_by_autograd(log_joint, m, log_s, eps):
    def one(theta, e):
        z = theta[0] + np.exp(theta[1]) * e
        return log_joint(z) - _q(*theta)(z)

    return [grad(one)(np.array([m, log_s]), e) for e in eps]


def kl_by_autograd(log_lik, m, log_s, eps):
    def rows(theta):
        s2 = np.exp(2 * theta[1])
        kl = 0.5 * (theta[0] ** 2 + s2 - 1 - np.log(s2))
        return log_lik(theta[0] + np.exp(theta[1]) * eps) - kl

    return jacobian(rows)(np.array([m, log_s]))


def stl_by_autograd(log_joint, m, log_s, eps):
    q = _q(m, log_s)  # outside: autograd does not see its m and s

    def rows(theta):
        z = theta[0] + np.exp(theta[1]) * eps
        return log_joint(z) - q(z)

    return jacobian(rows)(np.array([m, log_s]))


def stl_without_the_score(log_joint, m, log_s, eps):
    """The total gradient minus -score(z)."""
    return np.array(total_by_autograd(log_joint, m, log_s, eps)) + np.stack([eps / np.exp(log_s), eps**2 - 1], axis=1)


def _family(z, theta):
    return decisions.MEAN_FIELD.log_q(z[:, None], theta)


def _line(eps, theta):
    return decisions.MEAN_FIELD.g(eps[:, None], theta)[..., 0]


def total_by_the_library(log_joint, m, log_s, eps):
    return gradients.elbo_gradient(log_joint, _family, _line, np.array([m, log_s]), eps)


def kl_by_the_library(log_lik, m, log_s, eps):
    return decisions.analytic_kl_gradient(lambda z: log_lik(z[..., 0]), np.array([m, log_s]), eps[:, None])


def stl_by_the_library(log_joint, m, log_s, eps):
    return gradients.sticking_the_landing(log_joint, _family, _line, np.array([m, log_s]), eps)


def _differences(value, m, log_s, eps):
    """Columns of central differences of value(m, log_s) (S,)."""
    h = 1e-4
    return np.stack([(value(m + h, log_s) - value(m - h, log_s)) / (2 * h),
                     (value(m, log_s + h) - value(m, log_s - h)) / (2 * h)], axis=1)  # fmt: skip


def total_by_differences(log_joint, m, log_s, eps):
    return _differences(lambda a, b: log_joint(a + np.exp(b) * eps) + b, m, log_s, eps)


def kl_by_differences(log_lik, m, log_s, eps):
    return _differences(lambda a, b: log_lik(a + np.exp(b) * eps) - (a**2 + np.exp(2 * b)) / 2 + b, m, log_s, eps)


def stl_by_differences(log_joint, m, log_s, eps):
    q = _q(m, log_s)
    return _differences(lambda a, b: log_joint(a + np.exp(b) * eps) - q(a + np.exp(b) * eps), m, log_s, eps)


def cost_one_by_one(a, b, cost, k, w):
    totals = []
    for pushes in w:
        x, total = 0.0, 0.0
        for push in pushes:
            total += float(cost(np.array([x]), np.array([-k * x]))[0])
            x = (a - b * k) * x + push
        totals.append(total)
    return totals


def cost_of_all_states(a, b, cost, k, w):
    """x_t = sum_j (a - b k)^(t - 1 - j) w_j, as one matrix product."""
    T = w.shape[1]
    later = np.arange(T)[None, :] - 1 - np.arange(T)[:, None]
    x = w @ np.where(later >= 0, (a - b * k) ** np.maximum(later, 0), 0.0)
    return np.sum(cost(x.ravel(), -k * x.ravel()).reshape(x.shape), axis=1)


def cost_by_the_library(a, b, cost, k, w):
    """The simulator of decisions; its exploration made as small as float64 allows."""
    problem = decisions.lqr_problem(decisions.LQR(a, b), 1e-300)
    z = problem.g(np.stack([0 * w, w], axis=-1), np.array([k]))
    return sum(cost(z[:, t, 0], z[:, t, 1]) for t in range(w.shape[1]))


def policy_by_autograd(a, b, cost, k, w):
    def total(k):
        x, total = np.zeros(len(w)), 0.0
        for t in range(w.shape[1]):
            u = -k * x
            total, x = total + cost(x, u), a * x + b * u + w[:, t]
        return total

    return elementwise_grad(total)(np.full(len(w), k))


def policy_backwards(a, b, cost, k, w):
    """The adjoint: what a small change of x_t costs from t on, from the end to the start."""
    T, x = w.shape[1], [np.zeros(len(w))]
    for t in range(T):
        x.append((a - b * k) * x[-1] + w[:, t])
    price, total = np.zeros(len(w)), np.zeros(len(w))
    for t in reversed(range(T)):
        of_u = elementwise_grad(cost, 1)(x[t], -k * x[t]) + b * price
        total = total - of_u * x[t]
        price = elementwise_grad(cost, 0)(x[t], -k * x[t]) + a * price - k * of_u
    return total


def policy_by_differences(a, b, cost, k, w):
    up, down = (np.array(cost_of_all_states(a, b, cost, k + h, w)) for h in (1e-4, -1e-4))
    return (up - down) / 2e-4


def _end(S, r, sigma, T, eps):
    return np.exp(np.log(S) + r * T - 0.5 * sigma * sigma * T + sigma * math.sqrt(T) * eps)


def path_by_autograd(S, K, r, sigma, T, eps):
    pay = elementwise_grad(lambda S: np.exp(-r * T) * np.maximum(_end(S, r, sigma, T, eps) - K, 0))
    return pay(np.full(len(eps), S))


def ratio_by_autograd(S, K, r, sigma, T, eps):
    z = _end(S, r, sigma, T, eps)

    def log_p(S):
        return -0.5 * ((np.log(z / S) - (r - sigma**2 / 2) * T) / (sigma * T**0.5)) ** 2

    return np.exp(-r * T) * np.maximum(z - K, 0) * elementwise_grad(log_p)(np.full(len(eps), S))


def path_in_loops(S, K, r, sigma, T, eps):
    ends = [S * math.exp((r - sigma**2 / 2) * T + sigma * math.sqrt(T) * e) for e in eps]
    return [math.exp(-r * T) * end / S if end > K else 0.0 for end in ends]


def ratio_in_loops(S, K, r, sigma, T, eps):
    """By a difference of the log density of scipy."""
    rows = []
    for e in eps:
        end = float(_end(S, r, sigma, T, e))
        log_p = [scipy.stats.lognorm.logpdf(end, sigma * T**0.5, scale=at * math.exp((r - sigma**2 / 2) * T))
                 for at in (S * 1.00001, S * 0.99999)]  # fmt: skip
        rows.append(math.exp(-r * T) * max(end - K, 0) * (log_p[0] - log_p[1]) / (0.00002 * S))
    return rows


def _option(payoff, estimator):
    """The library's estimators; first column is delta."""

    def rows(S, K, r, sigma, T, eps):
        return estimator(decisions.option(payoff(K), r, T), np.array([S, sigma]), eps)[:, 0]

    return rows


def smoothed_by_a_box(S, K, r, sigma, T, h, eps):
    """A call spread: the payoff climbs on a straight line from K - h to K + h."""
    z = _end(S, r, sigma, T, eps)
    return np.exp(-r * T) * (np.abs(z - K) < h) / (2 * h) * z / S


def smoothed_logistic(S, K, r, sigma, T, h, eps):
    def payoff(S):
        return np.exp(-r * T) * 0.5 * (1 + np.tanh((_end(S, r, sigma, T, eps) - K) / h))

    return elementwise_grad(payoff)(np.full(len(eps), S))


def smoothed_by_the_library(S, K, r, sigma, T, h, eps):
    return _option(lambda K: decisions.smoothed_digital(K, h), decisions.pathwise)(S, K, r, sigma, T, eps)


def smoothed_above(S, K, r, sigma, T, h, eps):
    """One-sided: the payoff climbs from K to K + h, as a careful seller of the option would have it."""
    z = _end(S, r, sigma, T, eps)
    return np.exp(-r * T) * ((z > K) & (z < K + h)) / h * z / S


def slope_in_a_loop(q, D, shop):
    p, c, s, d = shop
    return [(p - c if one > q else s - c) - d * q for one in D]


def slope_by_autograd(q, D, shop):
    def profit(q):
        p, c, s, d = shop
        return p * np.minimum(q, D) + s * np.maximum(q - D, 0) - c * q - d * q**2 / 2

    return elementwise_grad(profit)(np.full(len(D), q))


def slope_by_differences(q, D, shop):
    p, c, s, d = shop
    up, down = (p * np.minimum(x, D) + s * np.maximum(x - D, 0) - c * x - d * x**2 / 2 for x in (q + 1e-3, q - 1e-3))
    return (up - down) / 2e-3


def slope_by_the_library(q, D, shop):
    p, c, s, d = shop
    return decisions.profit_slope(decisions.Newsvendor(p, c, s), q, D) - d * q


def climb_recursively(q, D, shop, lr, t=1):
    if len(D) == 0:
        return q
    p, c, s, d = shop
    return climb_recursively(q + lr / t * ((p if D[0] > q else s) - c - d * q), D[1:], shop, lr, t + 1)


def climb_by_the_library(q, D, shop, lr):
    def value_and_gradient(q, one, t):
        return 0.0, -slope_by_autograd(q, np.array([one]), shop)[0]

    return optimize.train(value_and_gradient, q, D, optimize.sgd, lr=lambda t: lr / (t + 1)).params


def climb_with_weights(q, D, shop, lr):
    """Every step as a fraction of the way: q (1 - d lr / t) + lr / t (p - c or s - c)."""
    p, c, s, d = shop
    for t, one in enumerate(D, 1):
        q = q * (1 - d * lr / t) + lr / t * ((p - c) * (one > q) + (s - c) * (one < q))
    return q


def demand_by_score(shop, q, mu, sigma, eps):
    p, c, s = shop
    D = mu + sigma * eps
    earned = p * np.minimum(q, D) + s * np.maximum(q - D, 0) - c * q
    return np.stack([earned * eps / sigma, earned * (eps**2 - 1) / sigma], axis=1)


def demand_by_autograd(shop, q, mu, sigma, eps):
    def earned(theta):
        p, c, s = shop
        D = theta[0] + theta[1] * eps
        return p * np.minimum(q, D) + s * np.maximum(q - D, 0) - c * q

    return jacobian(earned)(np.array([mu, sigma]))


def demand_by_the_library(shop, q, mu, sigma, eps):
    """By log sigma there, so divided by sigma."""
    problem = decisions.demand_problem(decisions.Newsvendor(*shop), q)
    return decisions.pathwise(problem, np.array([mu, np.log(sigma)]), eps) / np.array([1, sigma])


def demand_by_either(shop, q, mu, sigma, eps):
    """The path for the mean, the score function for the spread."""
    path, score = (route(shop, q, mu, sigma, eps) for route in (demand_by_autograd, demand_by_score))
    return np.stack([path[:, 0], score[:, 1]], axis=1)


def expected_by_integration(shop, q, mu, sigma):
    u, phi = (q - mu) / sigma, scipy.stats.norm.pdf
    averages = scipy.integrate.quad(phi, -12, u)[0], scipy.integrate.quad(lambda e: phi(e) * e, -12, u)[0]
    return tuple((shop[0] - shop[2]) * one for one in averages)


def expected_by_sampling(shop, q, mu, sigma):
    return demand_by_autograd(shop, q, mu, sigma, onp.random.default_rng(5).normal(size=400_000)).mean(axis=0)


def expected_by_autograd(shop, q, mu, sigma):
    shop = decisions.Newsvendor(*shop)
    return tuple(grad(lambda theta: decisions.expected_profit(shop, q, *theta))((mu, sigma)))


def expected_by_stratified_scores(shop, q, mu, sigma):
    eps = scipy.special.ndtri((onp.arange(200_000) + 0.5) / 200_000)
    return demand_by_score(shop, q, mu, sigma, eps).mean(axis=0)


VARIANTS = {
    "bbvi": [(elbo_by_autograd,), (elbo_by_the_library,), (elbo_by_differences,)],
    "logistic": [
        (joint_by_scipy, value_from(joint_by_scipy)),
        (joint_in_loops, value_dimension_by_dimension),
        (joint_by_cases, value_from_log_q),
    ],
    "three_gradients": [
        (total_by_autograd, kl_by_autograd, stl_by_autograd),
        (total_by_the_library, kl_by_the_library, stl_by_the_library),
        (total_by_differences, kl_by_differences, stl_without_the_score),
        (total_by_autograd, kl_by_differences, stl_by_differences),
    ],
    "lqr": [
        (cost_one_by_one, policy_by_autograd),
        (cost_of_all_states, policy_backwards),
        (cost_by_the_library, policy_by_differences),
    ],
    "call_delta": [
        (path_by_autograd, ratio_by_autograd),
        (path_in_loops, ratio_in_loops),
        (_option(decisions.call, decisions.pathwise), _option(decisions.call, decisions.likelihood_ratio)),
    ],
    "digital_delta": [
        (lambda S, K, r, sigma, T, eps: np.zeros(len(eps)), _option(decisions.digital, decisions.likelihood_ratio),
         smoothed_by_the_library),
        (_option(decisions.digital, decisions.pathwise),
         lambda S, K, r, sigma, T, eps: ratio_by_autograd(S, 0.0, r, sigma, T, eps) / _end(S, r, sigma, T, eps)
         * (_end(S, r, sigma, T, eps) > K), smoothed_by_a_box),
        (lambda S, K, r, sigma, T, eps: [0] * len(eps), _option(decisions.digital, decisions.likelihood_ratio),
         smoothed_logistic),
        (_option(decisions.digital, decisions.pathwise), _option(decisions.digital, decisions.likelihood_ratio),
         smoothed_above),
    ],
    "newsvendor": [
        (slope_in_a_loop, climb_recursively),
        (slope_by_autograd, climb_by_the_library),
        (slope_by_differences, climb_with_weights),
        (slope_by_the_library, climb_with_weights),
    ],
    "demand_gradient": [
        (demand_by_score, expected_by_integration),
        (demand_by_autograd, expected_by_autograd),
        (demand_by_the_library, expected_by_stratified_scores),
        (demand_by_either, expected_by_integration),
    ],
}  # fmt: skip


# -------------------- other trainings, good and bad --------------------


def vi_by_the_library(log_p, d, seed):
    """Sticking the landing, Adam, and an average of the last steps."""
    rng, mean = onp.random.default_rng(seed), optimize.Average()
    noise = (rng.normal(size=(20, d)) for _ in range(1200))
    decisions.fit_vi(log_p, onp.zeros(2 * d), noise, lr=lambda t: 0.05 * (1 - t / 1200),
                     callback=lambda t, theta, value: mean(theta) if t % 10 == 0 else None)  # fmt: skip
    return mean.params[:d], np.exp(mean.params[d:])


def vi_on_fixed_noise(log_p, d, seed):
    """The same 40,000 draws in every step: an ordinary function, and BFGS."""
    eps = onp.random.default_rng(seed).normal(size=(40_000, d))

    def loss(theta):
        return -np.mean(log_p(theta[:d] + np.exp(theta[d:]) * eps)) - np.sum(theta[d:])

    theta = scipy.optimize.minimize(loss, np.zeros(2 * d), jac=grad(loss), method="L-BFGS-B").x
    return theta[:d], np.exp(theta[d:])


def logistic_with_a_full_covariance(X, y, v, seed):
    rng, d = onp.random.default_rng(seed), X.shape[1]
    target = decisions.logistic_regression(X, y, v)
    noise = (rng.normal(size=(20, d)) for _ in range(2000))
    theta = decisions.fit_vi(target, onp.zeros(d * (d + 3) // 2), noise, decisions.FULL_COVARIANCE,
                             lr=lambda t: 0.05 * (1 - t / 2000)).params  # fmt: skip
    return theta[:d], decisions.cholesky(theta, d)


def logistic_on_fixed_noise(X, y, v, seed):
    d = X.shape[1]
    half = onp.random.default_rng(seed).normal(size=(2000, d))
    eps = onp.concatenate([half, -half])

    def loss(theta):
        return -value_from_log_q(X, y, v, theta[:d], theta[d:], eps)

    def plain(theta):
        rows = joint_by_cases(theta[:d] + np.exp(theta[d:]) * eps, X, y, v)
        return -np.mean(rows) - np.sum(theta[d:])

    theta = scipy.optimize.minimize(plain, np.zeros(2 * d), jac=grad(plain), method="BFGS").x
    return theta[:d], np.exp(theta[d:])


def gain_on_fixed_pushes(a, b, cost, k, seed):
    """One set of pushes, and a search along the line without any gradient."""
    w = onp.random.default_rng(seed).normal(size=(1000, 60))
    ends = sorted([(a - 0.9) / b, (a + 0.6) / b])
    return scipy.optimize.minimize_scalar(lambda k: np.mean(cost_of_all_states(a, b, cost, k, w)), bounds=ends,
                                          method="bounded").x  # fmt: skip


def gain_by_score_function(a, b, cost, k, seed):
    """REINFORCE on the gain itself: every rollout has its own k + sigma eps, its mirror image is the baseline."""
    rng, sigma, S, T = onp.random.default_rng(seed), 0.05, 1000, 50
    for i in range(200):
        eps, w = rng.normal(size=S), rng.normal(size=(S, T))
        up, down = (cost_of_many_gains(a, b, cost, k + sign * sigma * eps, w) for sign in (1, -1))
        g = onp.mean((up - down) / 2 * eps / sigma) / T
        k = k - (1 - i / 200) * onp.clip(0.1 * g, -0.05, 0.05)
    return k


def cost_of_many_gains(a, b, cost, k, w):
    x, total = onp.zeros(len(w)), 0.0
    for push in w.T:
        u = -k * x
        total, x = total + cost(x, u), a * x + b * u + push
    return total


def order_by_adam(D, shop, seed):
    rng, average = onp.random.default_rng(seed), optimize.Average()

    def value_and_gradient(q, batch, t):
        return 0.0, -onp.mean(slope_in_a_loop(q, D[batch], shop))

    optimize.train(value_and_gradient, float(onp.median(D)), optimize.epochs(len(D), 25, rng, 40), optimize.adam,
                   lambda t, q, value: average(q), lr=1.0)  # fmt: skip
    return average.params


def order_by_all_demands(D, shop, seed):
    """Plain ascent on the average of all demands, with small steps at the end."""
    q = float(np.mean(D))
    for t in range(1, 301):
        q = q + np.std(D) / t**0.7 * np.mean(slope_by_the_library(q, D, shop))
    return q


RUNS = {
    "bbvi": [vi_by_the_library, vi_on_fixed_noise],
    "logistic": [logistic_with_a_full_covariance, logistic_on_fixed_noise],
    "lqr": [gain_on_fixed_pushes, gain_by_score_function],
    "newsvendor": [order_by_adam, order_by_all_demands],
}


def climbed(log_p, d, seed, steps=250, entropy=1.0, power=1):
    """The run of 5.1 with a fault."""
    rng, m, s = onp.random.default_rng(seed), onp.zeros(d), onp.zeros(d)
    for i in range(steps):
        g_m, g_s = elbo_by_the_library(log_p, m, s, rng.normal(size=(20, d)))
        lr = 0.1 * (1 - i / steps)
        m, s = m + lr * onp.exp(2 * s) * g_m, s + lr * onp.clip(g_s - 1 + entropy, -5, 5)
    return m, onp.exp(power * s)


def mode_and_curvature(log_p, d):
    """Laplace's approximation, by Newton's method: no noise, no ELBO."""
    z, f = onp.zeros(d), lambda z: log_p(z[None])[0]
    for _ in range(60):
        H = -jacobian(grad(f))(z)
        z = z + 0.7 * onp.linalg.solve(H, grad(f)(z))
    return z, H


def laplace(log_p, d, seed):
    z, H = mode_and_curvature(log_p, d)
    return z, 1 / onp.sqrt(onp.diag(H))


def moments(log_p, d, seed):
    """The target's own standard deviations: the answer of KL(p || q), for a Gaussian."""
    z, H = mode_and_curvature(log_p, d)
    return z, onp.sqrt(onp.diag(onp.linalg.inv(H)))


def laplace_of_flowers(X, y, v, seed, scale=1.0, full=False):
    z, H = mode_and_curvature(lambda Z: joint_by_cases(Z, X, y, v), X.shape[1])
    return z, scale * (onp.linalg.cholesky(onp.linalg.inv(H)) if full else 1 / onp.sqrt(onp.diag(H)))


def vi_read_as(scale, log_p, d, seed):
    """The right q, its sigma returned as something else."""
    mean, sigma = vi_on_fixed_noise(log_p, d, seed)
    return mean, scale(sigma)


def logistic_read_as(scale, X, y, v, seed):
    mean, sigma = logistic_on_fixed_noise(X, y, v, seed)
    return mean, scale(sigma)


def between(X, y, v, seed):
    """Half of the way from Laplace's approximation to the best."""
    z, s = laplace_of_flowers(X, y, v, seed)
    m, t = logistic_on_fixed_noise(X, y, v, seed)
    return z + 0.35 * (m - z), s + 0.35 * (t - s)


def riccati(a, b, cost, k, seed):
    """Q and R read off the cost, and the gain of the quadratic problem: no noise, no gradient."""
    Q, R = (float(cost(np.array([x]), np.array([u]))[0]) for x, u in [(1.0, 0.0), (0.0, 1.0)])
    return decisions.riccati(decisions.LQR(a, b, Q, R))[1]


SYMPTOMS = {
    "bbvi": [
        (lambda log_p, d, seed: climbed(log_p, d, seed, entropy=0.0), "shrinks to a point"),
        (moments, "target's own standard deviations"),
        (laplace, "best mean is not the mode"),
        (lambda log_p, d, seed: climbed(log_p, d, seed, steps=8), "more steps"),
        (lambda log_p, d, seed: (onp.zeros(d), onp.log(climbed(log_p, d, seed)[1]) - 1), "not their logarithms"),
        (lambda log_p, d, seed: vi_read_as(lambda sigma: sigma**2, log_p, d, seed), "right as variances"),
        (lambda log_p, d, seed: (onp.zeros(d), onp.full(d, onp.nan)), "NaN"),
        (lambda log_p, d, seed: onp.zeros(d), "expected shape (2,)"),
    ],
    "logistic": [
        (laplace_of_flowers, "Laplace's approximation is"),
        (lambda *args: laplace_of_flowers(*args, full=True), "Laplace's approximation is"),
        (lambda *args: laplace_of_flowers(*args, scale=0.2), "likelihood counted more than once"),
        (lambda *args: laplace_of_flowers(*args, scale=4), "averaged over the flowers"),
        (between, "wanted are 0.1"),
        (lambda *args: logistic_read_as(lambda sigma: sigma**2, *args), "right as variances"),
        (lambda *args: logistic_read_as(lambda sigma: onp.diag(sigma**2), *args), "right as variances"),
        (lambda *args: (onp.zeros(3), -onp.ones(3)), "not their logarithms"),
        (lambda *args: (onp.zeros(3), onp.zeros((3, 3))), "singular"),
        (lambda *args: (onp.zeros(3), [[1.0], [2.0, 3.0]]), "different lengths"),
        (lambda *args: onp.zeros(3), "expected a tuple of 2"),
    ],
    "lqr": [
        (riccati, "but this cost is another function"),
        (lambda a, b, cost, k, seed: k, "never moved"),
        (lambda a, b, cost, k, seed: k + 2 / abs(b), "x explodes"),
        (lambda a, b, cost, k, seed: 0.618034, "your gain is 0.618"),
        (lambda a, b, cost, k, seed: (k + riccati(a, b, cost, k, seed)) / 2, "take more rollouts"),
        (lambda a, b, cost, k, seed: onp.nan, "NaN"),
    ],
    "newsvendor": [
        (lambda D, shop, seed: onp.quantile(D, shop[1] / shop[0]), "quantile c/p"),
        (lambda D, shop, seed: onp.quantile(D, (shop[0] - shop[1]) / (shop[0] + shop[2])), "quantile (p - c)/(p + s)"),
        (lambda D, shop, seed: onp.quantile(D, (shop[0] - shop[1]) / (shop[0] - shop[2])), "constant price"),
        (lambda D, shop, seed: onp.mean(D), "mean demand"),
        (lambda D, shop, seed: onp.median(D), "median demand"),
        (lambda D, shop, seed: onp.min(D), "more steps"),
    ],
}


# -------------------- known misconceptions by another route --------------------


def elbo_without_entropy(log_p, mean, log_sigma, eps):
    return tuple(grad(lambda theta: np.mean(log_p(theta[0] + np.exp(theta[1]) * eps)))((mean, log_sigma)))


def stl_in_5_1(log_p, mean, log_sigma, eps):
    theta, d, family = np.concatenate([mean, log_sigma]), len(mean), decisions.MEAN_FIELD
    rows = gradients.sticking_the_landing(log_p, family.log_q, family.g, theta, eps)
    return rows.mean(axis=0)[:d], rows.mean(axis=0)[d:]


def wrong_factor(log_joint, m, log_s, eps):
    """z held fixed in log q, m and s not."""
    z0 = m + np.exp(log_s) * eps

    def rows(theta):
        return log_joint(theta[0] + np.exp(theta[1]) * eps) - _q(*theta)(z0)

    return jacobian(rows)(np.array([m, log_s]))


def frozen_states(a, b, cost, k, w):
    """Autograd, but the states are recorded first: what k does to them is lost."""
    x = [np.zeros(len(w))]
    for t in range(w.shape[1] - 1):
        x.append((a - b * k) * x[-1] + w[:, t])
    x = np.stack(x, axis=1)
    return elementwise_grad(lambda k: np.sum(cost(x, -k[:, None] * x), axis=1))(np.full(len(w), k))


def undiscounted(estimator):
    return lambda S, K, r, sigma, T, eps: np.exp(r * T) * np.array(estimator(S, K, r, sigma, T, eps))


STEP_5_2 = VARIANTS["logistic"][0]
DIGITAL = VARIANTS["digital_delta"][0]

ROUTES = {
    "bbvi": [((elbo_without_entropy,), "entropy is missing"), ((stl_in_5_1,), "exercise 5.3")],
    "logistic": [
        ((lambda Z, X, y, v: [np.mean(joint_by_scipy(Z[i : i + 1], X, y, v)) for i in range(len(Z))]
          - (1 - 1 / len(y)) * (joint_by_cases(Z, X, y, v) - joint_by_cases(Z, 0 * X, y, v) - len(y) * np.log(2)),
          STEP_5_2[1]), "averaged over the flowers"),
        ((STEP_5_2[0], lambda X, y, v, m, s, eps: np.mean(joint_by_scipy(m + np.exp(s) * eps, X, y, v))),
         "entropy of q is missing"),
    ],
    "three_gradients": [
        ((total_by_autograd, kl_by_autograd, wrong_factor), "wrong factor"),
        ((stl_by_autograd, kl_by_autograd, stl_by_autograd), "this is stl_grad"),
        ((total_by_autograd, kl_by_autograd, total_by_autograd), "This is total_grad"),
    ],
    "lqr": [((cost_one_by_one, frozen_states), "dx/dk is missing")],
    "call_delta": [
        ((undiscounted(path_by_autograd), ratio_by_autograd), "forgot to discount"),
        ((path_by_autograd, path_by_autograd), "This is the pathwise estimator"),
        ((ratio_by_autograd, ratio_by_autograd), "This is the likelihood ratio estimator"),
    ],
    "digital_delta": [
        ((DIGITAL[1], *DIGITAL[1:]), "sees only the payoff's slope"),
        ((*DIGITAL[:2], lambda *args: 0 * args[-1]), "Nothing is smoothed"),
    ],
    "newsvendor": [
        ((lambda q, D, shop: slope_by_autograd(q, D, (*shop[:2], -shop[2], shop[3])), climb_recursively), "salvage"),
    ],
    "demand_gradient": [
        ((lambda shop, q, mu, sigma, eps: np.outer(slope_by_the_library(q, mu + sigma * eps, (*shop, 0)), [1, 1])
          * np.stack([np.ones(len(eps)), eps], axis=1), expected_by_integration), "parameter of the cost"),
        ((demand_by_score, lambda shop, q, mu, sigma: tuple(g * f for g, f in zip(
            expected_by_autograd(shop, q, mu, sigma), (1, sigma), strict=True))), "by log sigma"),
    ],
}  # fmt: skip

def box_of(change):
    """A smoothed digital by a box instead of a bell, so that no known mistake repeats it; change(K, h) spoils it."""

    def rows(S, K, r, sigma, T, h, eps):
        factor, K, h = change(K, h)
        return factor * smoothed_by_a_box(S, K, r, sigma, T, h, eps)

    return rows


def clipped(Z, X, y, v):
    """Probabilities kept away from 0 and 1: right for small weights only."""
    p = np.clip(1 / (1 + np.exp(-np.clip(Z @ X.T, -700, 700))), 1e-15, 1 - 1e-15)
    return np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1) + joint_by_cases(Z, 0 * X, y, v) + len(y) * np.log(2)


def wrong_width(width):
    """A box of a width that does not go with h."""
    return lambda S, K, r, sigma, T, h, eps: smoothed_by_a_box(S, K, r, sigma, T, width(h), eps)


def by_half(rows, factor):
    """A slip that no known mistake repeats."""
    return lambda *args: factor * np.array(rows(*args))


TOLD = {
    "logistic": [((clipped, STEP_5_2[1]), "weights in the thousands")],
    "demand_gradient": [((by_half(demand_by_score, 0.7), expected_by_integration), "by the score function expected")],
    "digital_delta": [
        ((*DIGITAL[:2], wrong_width(lambda h: h**0.5)), "Is h the width of your kernel"),
        ((*DIGITAL[:2], wrong_width(lambda h: h**2 / 5)), "Is h the width of your kernel"),
        ((*DIGITAL[:2], box_of(lambda K, h: (2, K, h))), "instead of 1"),
        ((*DIGITAL[:2], box_of(lambda K, h: (1, K, 5.0))), "width of your kernel"),
        ((*DIGITAL[:2], box_of(lambda K, h: (1, K - 6, h / 2))), "has to vanish with h"),
    ],
}


# -------------------- answers without the idea --------------------


def exact_delta(S, K, r, sigma, T, eps):
    """The closed form, the same in every row: no estimator."""
    return decisions.black_scholes(S, K, r, sigma, T).delta + 0 * eps


def exact_digital_delta(S, K, r, sigma, T, *rest):
    return decisions.black_scholes_digital(S, K, r, sigma, T).delta + 0 * rest[-1]


HOSTILE = {
    "bbvi": [(lambda log_p, mean, log_sigma, eps: (-mean, 1 - np.exp(2 * log_sigma)),)],
    "logistic": [(lambda Z, X, y, v: 0 * Z[:, 0] - len(y) * np.log(2), lambda X, y, v, m, s, eps: -len(y) * np.log(2))],
    "three_gradients": [(lambda f, m, s, eps: np.zeros((len(eps), 2)),) * 3,
                        (lambda f, m, s, eps: np.stack([-eps / np.exp(s), 1 - eps**2], axis=1),) * 3],
    "lqr": [(lambda a, b, cost, k, w: np.sum(w**2, axis=1), lambda a, b, cost, k, w: 0 * w[:, 0])],
    "call_delta": [(exact_delta,) * 2],
    "digital_delta": [(exact_digital_delta,) * 3,
                      (lambda S, K, r, sigma, T, eps: 0 * eps, exact_digital_delta, exact_digital_delta)],
    "newsvendor": [(lambda q, D, shop: D - q, lambda q, D, shop, lr: np.mean(D)),
                   (lambda q, D, shop: np.sign(D - q), lambda q, D, shop, lr: np.quantile(D, 2 / 3))],
    "demand_gradient": [(lambda shop, q, mu, sigma, eps: np.stack([1 + 0 * eps, eps], axis=1), lambda *args: (4.5,
                         -3.5905))],
}  # fmt: skip


# -------------------- mutants --------------------

NO_TIES = "no price ends exactly at the strike, and no demand is exactly the order: the exercise says so"

EQUIVALENT = {
    "call_delta": {"comparison in `S_T > K`": NO_TIES},
    "digital_delta": {"comparison in `S_T > K`": NO_TIES, "Mult -> Div in `0.0 * eps`": "eps is never exactly 0"},
    "newsvendor": {"comparison in `D > q`": NO_TIES, "0 - 1 in `0`": "the array has one entry"},
    "demand_gradient": {"comparison in `mu + sigma * eps < q`": NO_TIES},
}
