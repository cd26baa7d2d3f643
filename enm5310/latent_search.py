"""Searching a latent space for a high f(z) at a given number of calls of f (slide 12): random, evolution, Bayes, slope.

f takes codes as rows, (m, k) -> (m,), and gives NaN where a code decodes to nothing valid; such calls count as well.
Every search maximises, spends its whole budget and returns a `Search`.  They start from the prior N(0, I) alone.
"""

from typing import NamedTuple

import numpy as np

from enm5310 import evolution, gaussian_process

# -------------------- what was called --------------------


class Search(NamedTuple):
    """All codes that were tried and what f said of them, in order."""

    Z: np.ndarray  # (calls, k)
    values: np.ndarray  # (calls,), NaN where invalid

    @property
    def best_so_far(self):
        """The highest value up to each call, (calls,); -inf before the first valid one."""
        return np.maximum.accumulate(np.where(np.isnan(self.values), -np.inf, self.values))


class Counted:
    """f with a budget: passes codes on to f, remembers all, and refuses the call that would exceed the budget."""

    def __init__(self, f, budget):
        self.f, self.budget, self.Z, self.values = f, budget, [], []

    @property
    def left(self):
        """How many codes may still be tried."""
        return self.budget - len(self.values)

    def __call__(self, Z):
        """f of the rows of Z; NaN as it comes."""
        if len(Z) > self.left:
            raise ValueError(f"{len(Z)} calls asked for and {self.left} of {self.budget} left")
        values = np.asarray(self.f(Z), float)
        if values.shape != (len(Z),):
            raise ValueError(f"f gave shape {values.shape} for {len(Z)} codes; it must give one value per row")
        self.Z.extend(np.asarray(Z, float))
        self.values.extend(values)
        return values

    def search(self):
        """What was tried so far."""
        return Search(np.array(self.Z), np.array(self.values))


def filled(values):
    """NaN replaced by the lowest valid value (0 if there is none): an invalid string is as bad as the worst seen."""
    valid = values[~np.isnan(values)]
    return np.where(np.isnan(values), valid.min() if len(valid) else 0.0, values)


# -------------------- without a model --------------------


def random_search(f, k, budget, rng):
    """z ~ N(0, I), again and again: what every other search must beat."""
    f = Counted(f, budget)
    f(rng.standard_normal((budget, k)))
    return f.search()


def evolution_search(f, k, budget, rng, pairs=10, sigma=0.7, lr=1.0):
    """`evolution.minimise` of -f by ranks from mu = 0: z = mu + sigma eps in pairs +-eps, and mu follows the better.

    Steps of 2 `pairs` calls; what is left of the budget is drawn around the last mu.
    """
    f = Counted(f, budget)
    loss = lambda Z: -filled(f(Z))  # noqa: E731
    steps = budget // (2 * pairs)
    mu = evolution.minimise(loss, np.zeros(k), sigma, rng, steps, pairs, lr, evolution.ranks).params
    if f.left:
        f(mu + sigma * rng.standard_normal((f.left, k)))
    return f.search()


# -------------------- with a model: a Gaussian process, or the slope of a prediction --------------------


def bayesian_search(f, k, budget, rng, start=20, candidates=400, every=10):
    """`start` draws from the prior, then one call at a time where the expected improvement is the highest.

    It is maximised over candidates that cost no call of f: draws from the prior and steps from the five best codes.
    The GP's own parameters are chosen anew after `every` calls.
    """
    if start < 1:
        raise ValueError(f"start is {start}; a Gaussian process needs at least one value to begin with")
    f = Counted(f, budget)
    f(rng.standard_normal((min(start, budget), k)))
    while f.left:
        found = f.search()
        y = filled(found.values)
        if (len(y) - start) % every == 0:
            own = gaussian_process.fit(found.Z, y)
        gp = gaussian_process.condition(found.Z, y, own.lengthscale, own.amplitude, own.noise, own.mean)
        near = found.Z[np.argsort(-y)[rng.integers(min(5, len(y)), size=candidates)]]
        steps = rng.choice([0.1, 0.3, 0.6], (candidates, 1)) * rng.standard_normal((candidates, k))
        pool = np.concatenate([rng.standard_normal((candidates, k)), near + steps])
        gain = gaussian_process.expected_improvement(*gaussian_process.posterior(gp, pool), y.max())
        f(pool[[np.argmax(gain)]])
    return f.search()


def ascend(slope, Z, steps=60, lr=0.1, radius=None):
    """z <- z + lr slope(z) / |slope(z)|, all rows of Z at once: the path, (steps + 1, m, k).

    radius: the ball that z may not leave; sqrt(k), where the prior has its mass, keeps the prediction near the data
    that it was learned from.
    """
    path = [np.asarray(Z, float)]
    for _ in range(steps):
        g = np.asarray(slope(path[-1]), float)
        z = path[-1] + lr * g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)
        if radius is not None:
            z = z / np.maximum(1, np.linalg.norm(z, axis=1, keepdims=True) / radius)
        path.append(z)
    return np.stack(path)


def gradient_search(f, slope, k, budget, rng, stops=4, steps=60, lr=0.1, radius="prior"):
    """`ascend` from draws of the prior; f is called at `stops` points of every path, the last one included.

    slope (m, k) -> (m, k) is the gradient of a prediction of f and costs no call.  radius: "prior" is sqrt(k).
    """
    f, radius = Counted(f, budget), k**0.5 if radius == "prior" else radius
    path = ascend(slope, rng.standard_normal((-(-budget // stops), k)), steps, lr, radius)
    at = np.round(np.linspace(0, steps, stops + 1)[1:]).astype(int)
    f(path[at].reshape(-1, k)[::-1][:budget])  # the ends of the paths first
    return f.search()
