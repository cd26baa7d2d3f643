"""Variational optimisation and evolution strategies (slide 4): an average of f has a gradient even where f has none.

min_x f(x) <= min_theta E_{x ~ p(x; theta)}[f(x)], as an average is never below the minimum (Staines & Barber 2012);
here p = N(mu, sigma^2 I).  f takes points as rows, (S, d) -> (S,); estimators give one row per sample to average.
"""

import autograd.numpy as np

from enm5310.optimize import sgd, train


def bound(f, mu, sigma, eps):
    """f(mu + sigma eps_s), shape (S,), for eps ~ N(0, I) (S, d): their average estimates E[f] >= min f.

    It bounds the *minimum* of f; the value f(mu) itself may lie above or below it.
    Raises ValueError unless f gives one value per row.
    """
    values = f(mu + sigma * eps)
    if len(eps) == 0 or np.shape(values) != (len(eps),):
        raise ValueError(
            f"f gave shape {np.shape(values)} for {len(eps)} points; it must give one value per row, (S,), S >= 1"
        )
    return values


def es_gradient(f, mu, sigma, eps, shaping=None):
    """f(mu + sigma eps_s) eps_s / sigma, shape (S, d): rows average to grad_mu E[f(mu + sigma eps)], for mu (d,).

    This is the score-function estimator, as grad_mu log N(x; mu, sigma^2 I) = eps / sigma.  shaping (such as `ranks`)
    replaces the S values by others first; it makes the step robust and changes what the rows average to.
    Raises ValueError unless sigma > 0.  Source: Rechenberg (1973); Salimans et al. (2017), equation 1.
    """
    return _rows(bound(f, mu, sigma, eps), sigma, eps, shaping)


def _rows(values, sigma, eps, shaping):
    if not np.all(sigma > 0):
        raise ValueError(
            f"sigma is {sigma}; it must be positive. As sigma -> 0 the target is f's own gradient: use autograd"
        )
    return (values if shaping is None else shaping(values))[:, None] * eps / sigma


def es_gradient_log_sigma(f, mu, sigma, eps):
    """f(mu + sigma eps_s) (|eps_s|^2 - d), shape (S,): rows average to d/d log sigma of E[f(mu + sigma eps)].

    Positive while a narrower search is better: sigma is a parameter of the bound and not a step size.
    """
    return bound(f, mu, sigma, eps) * np.sum(eps**2 - 1, axis=1)


# -------------------- less variance --------------------


def antithetic(eps):
    """(eps, -eps), shape (2S, d): the same law, and every odd part of f is balanced out exactly."""
    return np.concatenate([eps, -eps])


def antithetic_gradient(f, mu, sigma, eps):
    """[f(mu + sigma eps_s) - f(mu - sigma eps_s)] eps_s / (2 sigma), shape (S, d): the average of each pair's two rows.

    Constants in f cancel.  On a linear f in d dimensions one pair still has relative squared error d + 1.
    """
    rows = es_gradient(f, mu, sigma, antithetic(eps))
    return (rows[: len(eps)] + rows[len(eps) :]) / 2


def ranks(values):
    """The rank of each value, ties shared, scaled to [-1/2, 1/2], shape (S,): unchanged by any increasing map of f.

    Raises ValueError when a value is NaN, which has no rank.  Source: Salimans et al. (2017), section 2.1.
    """
    if np.any(np.isnan(values)):
        raise ValueError("f gave NaN, which has no rank; make f return a large number there")
    ordered, S = np.sort(values), len(values)
    middle = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - 1) / 2
    return ((middle - (S - 1) / 2) / max(S - 1, 1)).astype(np.result_type(values, np.float32))


def minimise(f, mu, sigma, rng, steps=300, pairs=20, lr=0.1, shaping=None, update=sgd, callback=None):
    """mu <- mu - lr (average of `es_gradient` over antithetic pairs): a Run, the last mu and the average f per step.

    sigma is a number or a function of the step; update is a rule of `optimize`.  callback(t, mu, value) may return True
    to stop; KeyboardInterrupt returns what there is.  The minimum found is that of the smoothed f, not of f.
    """

    def value_and_gradient(mu, _, t):
        width = sigma(t) if callable(sigma) else sigma
        eps = antithetic(rng.standard_normal((pairs, len(mu)))).astype(np.result_type(mu, np.float32))  # follow float32
        values = bound(f, mu, width, eps)
        return np.mean(values), np.mean(_rows(values, width, eps, shaping), axis=0)

    return train(value_and_gradient, mu, range(steps), update, callback, lr)


# -------------------- a function whose smoothing is known --------------------


def smoothed_rastrigin(mu, sigma, amplitude=10.0):
    """sum_j mu_j^2 + sigma^2 + A - A cos(2 pi mu_j) e^(-2 pi^2 sigma^2), shape (...), for mu (..., d).

    This is E[f(mu + sigma eps)]; sigma = 0 is the Rastrigin function f itself, a bowl with a local minimum near every
    point of integer coordinates.
    """
    sigma = sigma + 0 * mu  # an array of mu's precision: np.exp of one number would upcast float32
    damping = np.exp(-2 * np.pi**2 * sigma**2)  # E[cos(2 pi (mu + sigma eps))] = cos(2 pi mu) e^(-(2 pi sigma)^2 / 2)
    return np.sum(mu**2 + sigma**2 + amplitude - amplitude * np.cos(2 * np.pi * mu) * damping, axis=-1)


def convex_sigma(amplitude=10.0):
    """sqrt(ln(2 pi^2 |A|) / (2 pi^2)): the smallest sigma whose smoothed Rastrigin is convex; 0.5174466 for A = 10.

    The second derivative 2 + 4 pi^2 A cos(2 pi mu) e^(-2 pi^2 sigma^2) never changes sign iff 2 pi^2 |A| e^(..) <= 1.
    """
    return np.sqrt(np.log(np.maximum(2 * np.pi**2 * np.abs(amplitude), 1)) / (2 * np.pi**2))
