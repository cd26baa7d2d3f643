"""vae_step: one training step, gradient and Adam, of the VAE 784-400-20-400-784, on a given batch and given noise."""

import numpy as np

from enm5310 import nets, optimize, vae
from tests.benchmarks import vae_peers
from tests.benchmarks.data import mnist
from tests.benchmarks.harness import OURS, Contender, Line, agree, growth, limits, race
from tests.benchmarks.vae_peers import LR, H, K, P, Problem, Stepper

WHAT = "VAE 784-400-20-400-784, one step of Adam on a batch of 128, float32"
BATCH = 128


def problem(n=BATCH):
    rng = np.random.default_rng(0)
    grey = mnist()[0][:n]
    x = (rng.random(grey.shape) < grey).astype(np.float32)
    return Problem(vae.init(P, [H], K, rng, np.float32), x, rng.standard_normal((n, K)).astype(np.float32))


def ours(given):
    """What `vae.fit` does with a batch: the gradient derived by hand, and Adam uphill."""
    params, state = given.params, None

    def elbo_and_gradient():
        now, up = vae.by_hand(params, given.x, given.eps, activation=nets.relu)
        return float(np.mean(now.elbo)), up

    def step():
        nonlocal params, state
        elbo, up = elbo_and_gradient()
        params, state = optimize.adam_in_place(params, up, state, lr=-LR)
        return -elbo

    return Stepper(step, lambda: nets.tree_map(np.negative, elbo_and_gradient()[1]))


CONTENDERS = [
    Contender(OURS, ours),
    Contender("PyTorch eager", vae_peers.torch_stepper, "torch", 1.0),
    Contender("JAX jit", vae_peers.jax_stepper, "jax", 1.0),
    Contender("plain autograd", vae_peers.autograd_stepper, "autograd"),
    Contender("matrix products", vae_peers.products, limit=1.7),
]


def measure(contenders):
    steppers = check(contenders)
    timings = race({name: s.step for name, s in steppers.items()}, rounds=15, inner=10)
    steps = [c._replace(build=lambda given, build=c.build: build(given).step) for c in contenders]
    exponents = growth(steps, {n: problem(n) for n in (64, 128, 256, 512)}, rounds=3, inner=5)
    notes = (f"pixels of {mnist()[2]}; all contenders agree on the gradient and on the loss of 20 steps",)
    return Line("vae_step", timings, limits(contenders, timings), {"batch": exponents}, notes=notes)


def check(contenders, n=BATCH, steps=20):
    """Steppers by name, after gradients agreed at the start and the losses of the first steps along the way."""
    steppers = {c.name: c.build(problem(n)) for c in contenders}
    judged = {name: s for name, s in steppers.items() if s.gradient}
    found = {name: nets.leaves(s.gradient()) for name, s in judged.items()}
    for i in range(len(found[OURS])):  # each array by its own scale, or a wrong bias would hide behind the weights
        agree(f"gradient of the VAE, array {i + 1}", {name: g[i] for name, g in found.items()}, rtol=1e-5)
    agree("loss curve of the VAE", {name: [s.step() for _ in range(steps)] for name, s in judged.items()}, rtol=1e-4)
    return steppers
