"""gradients: three estimators of d/dtheta E[f(z)], z ~ N(mu, sigma^2), one row per sample, on 10^6 samples."""

from typing import NamedTuple

import numpy as np

from enm5310 import gradients, paths
from tests.benchmarks import peers
from tests.benchmarks.harness import OURS, Contender, Line, Requirement, agree, growth, limits, race

WHAT = "pathwise, score-function and measure-valued gradients of E[(z - 1)^2], 10^6 samples, float32"
SAMPLES = 1_000_000
THETA = np.array([0.5, -0.3], np.float32)  # mu, log sigma


class Problem(NamedTuple):
    eps: np.ndarray  # (S,)
    eps3: np.ndarray  # (S, 3), for the measure-valued estimator


def problem(S=SAMPLES):
    rng = np.random.default_rng(0)
    return Problem(rng.standard_normal(S, dtype=np.float32), rng.standard_normal((S, 3), dtype=np.float32))


def f(z):
    return (z - 1) ** 2


def ours(given):
    z = paths.gaussian(given.eps, THETA)
    return lambda: (
        gradients.reparameterization(f, paths.gaussian, THETA, given.eps),
        gradients.score_function(f, paths.gaussian_log_p, THETA, z),
        gradients.measure_valued(f, THETA, given.eps3),
    )


def torch_estimators(given):
    """The same definitions in PyTorch: one copy of theta per sample, one backward pass for all rows."""
    torch = peers.torch()
    theta, eps, eps3 = torch.from_numpy(THETA), torch.from_numpy(given.eps), torch.from_numpy(given.eps3)
    z = theta[0] + theta[1].exp() * eps

    def per_sample(h):
        copies = theta.expand(len(eps), 2).clone().requires_grad_()
        return torch.autograd.grad(h(copies).sum(), copies)[0]

    def log_p(t):
        return -0.5 * torch.log(torch.tensor(2 * torch.pi)) - t[:, 1] - 0.5 * ((z - t[:, 0]) * (-t[:, 1]).exp()) ** 2

    def measure_valued():
        with torch.no_grad():
            return _measure_valued(torch, theta, eps3)

    return lambda: (
        per_sample(lambda t: f(t[:, 0] + t[:, 1].exp() * eps)),
        f(z)[:, None] * per_sample(log_p),
        measure_valued(),
    )


def jax_estimators(given):
    """JAX, all three compiled into one function: what fusing can do.  Per-sample rows by vmap."""
    jax = peers.jax()
    jnp = jax.numpy
    eps, eps3 = jnp.asarray(given.eps), jnp.asarray(given.eps3)

    def log_p(theta, z):
        return -0.5 * jnp.log(2 * jnp.pi) - theta[1] - 0.5 * ((z - theta[0]) * jnp.exp(-theta[1])) ** 2

    def all_three(theta, eps, eps3):
        z = theta[0] + jnp.exp(theta[1]) * eps
        path = jax.vmap(lambda e: jax.grad(lambda t: f(t[0] + jnp.exp(t[1]) * e))(theta))(eps)
        score = f(z)[:, None] * jax.vmap(jax.grad(log_p), (None, 0))(theta, z)
        return path, score, _measure_valued(jnp, theta, eps3)

    compiled, theta = jax.jit(all_three), jnp.asarray(THETA)
    return lambda: jax.block_until_ready(compiled(theta, eps, eps3))


def _measure_valued(xp, theta, eps):
    """Mohamed et al. (2020), table 1: Rayleigh pairs for mu, a two-sided Maxwell against the normal for log sigma."""
    mu, sigma, n = theta[0], xp.exp(theta[1]), eps[:, 2]
    w2 = eps[:, 0] ** 2 + eps[:, 1] ** 2
    w, m = xp.sqrt(w2), xp.copysign(xp.sqrt(w2 + n**2), n)
    d_mu = (f(mu + sigma * w) - f(mu - sigma * w)) / (sigma * (2 * np.pi) ** 0.5)
    return xp.stack([d_mu, f(mu + sigma * m) - f(mu + sigma * n)], 1)


CONTENDERS = [
    Contender(OURS, ours),
    Contender("PyTorch eager", torch_estimators, "torch", 1.0),
    Contender("JAX jit", jax_estimators, "jax"),
]


def measure(contenders):
    calls = {c.name: c.build(problem()) for c in contenders}
    for i, what in enumerate(["pathwise", "score-function", "measure-valued"]):
        agree(f"{what} gradients", {name: call()[i] for name, call in calls.items()}, rtol=1e-5)
    timings = race(calls, rounds=9)
    exponents = growth(contenders, {S: problem(S) for S in (125_000, 250_000, 500_000, 1_000_000)}, rounds=5)
    linear = Requirement("our exponent in samples, linear up to caches", exponents[OURS], 1.15)
    notes = ("all rows of all contenders agree to 1e-5",)
    return Line("gradients", timings, limits(contenders, timings), {"samples": exponents}, (linear,), notes)
