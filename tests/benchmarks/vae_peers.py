"""Who else takes the step of `vae_step`: plain autograd, PyTorch, JAX, and the matrix products alone."""

import math
from collections.abc import Callable
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from enm5310 import nets
from tests.benchmarks import peers

P, H, K, LR = 784, 400, 20, 1e-3


class Problem(NamedTuple):
    """Parameters to start from, ((encoder, decoder)), pixels x (n, 784) in {0, 1} and noise eps (n, 20)."""

    params: tuple
    x: np.ndarray
    eps: np.ndarray


class Stepper(NamedTuple):
    """step() takes one step and gives the objective, -ELBO, before it; gradient() the gradient where it stands."""

    step: Callable
    gradient: Callable | None = None


def autograd_stepper(given):
    """Plain autograd: the same loss in a few lines of its NumPy, none of our rules of differentiation; plain Adam."""
    params, state = given.params, None

    def loss(params):
        (V, c), (W, b) = params[0]
        heads = anp.maximum(given.x @ V + c, 0) @ W + b
        mean, logvar = heads[:, :K], heads[:, K:]
        (V, c), (W, b) = params[1]
        logits = anp.maximum((mean + anp.exp(0.5 * logvar) * given.eps) @ V + c, 0) @ W + b
        softplus = anp.maximum(logits, 0) + anp.log1p(anp.exp(-anp.abs(logits)))
        kl = 0.5 * anp.sum(mean**2 + anp.exp(logvar) - 1 - logvar)
        return (anp.sum(softplus - given.x * logits) + kl) / len(given.x)

    both = value_and_grad(loss)

    def step():
        nonlocal params, state
        value, gradient = both(params)
        params, state = plain_adam(params, gradient, state)
        return value

    return Stepper(step, lambda: both(params)[1])


def plain_adam(params, gradient, state):
    """Kingma & Ba (2015), algorithm 1, array by array."""
    theta, g = nets.leaves(params), nets.leaves(gradient)
    m, v, t = state or ([np.zeros_like(a) for a in g], [np.zeros_like(a) for a in g], 0)
    m = [0.9 * m + 0.1 * a for m, a in zip(m, g, strict=True)]
    v = [0.999 * v + 0.001 * a * a for v, a in zip(v, g, strict=True)]
    c1, c2 = 1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)
    theta = [a - LR * (m / c1) / (np.sqrt(v / c2) + 1e-8) for a, m, v in zip(theta, m, v, strict=True)]
    return _nested(theta), (m, v, t + 1)


def _nested(flat):
    """[V, c, W, b, V, c, W, b] as ((encoder, decoder))."""
    layers = list(zip(flat[::2], flat[1::2], strict=True))
    return layers[:2], layers[2:]


def torch_stepper(given):
    """PyTorch eager with its own fused losses and its Adam."""
    torch, step = peers.torch(), TorchTrainer(given.params)
    x, eps = torch.from_numpy(given.x), torch.from_numpy(given.eps)
    return Stepper(lambda: step(x, eps).item(), lambda: step.gradient(x, eps))


class TorchTrainer:
    """One step of Adam per call, (x, eps[, lr]) -> loss, from our parameters; weights are (in, out) as ours are."""

    def __init__(self, params, lr=LR):
        torch = peers.torch()
        self.flat = [torch.from_numpy(a.copy()).requires_grad_() for a in nets.leaves(params)]
        self.adam = torch.optim.Adam(self.flat, lr=lr)

    def __call__(self, x, eps, lr=None):
        for group in self.adam.param_groups:
            group["lr"] = group["lr"] if lr is None else lr
        self.adam.zero_grad(set_to_none=True)
        loss = self.loss(x, eps)
        loss.backward()
        self.adam.step()
        return loss

    def gradient(self, x, eps):
        return [g.numpy() for g in peers.torch().autograd.grad(self.loss(x, eps), self.flat)]

    def loss(self, x, eps):
        torch, (V, c, W, b, V2, c2, W2, b2) = peers.torch(), self.flat
        mean, logvar = torch.addmm(b, torch.relu(torch.addmm(c, x, V)), W).split(K, dim=1)
        z = mean + torch.exp(0.5 * logvar) * eps
        logits = torch.addmm(b2, torch.relu(torch.addmm(c2, z, V2)), W2)
        rec = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (rec + 0.5 * torch.sum(mean**2 + logvar.exp() - 1 - logvar)) / len(x)

    def params(self):
        return _nested([a.detach().numpy() for a in self.flat])


def jax_stepper(given):
    """JAX: the whole step compiled, buffers donated."""
    jax = peers.jax()
    jnp = jax.numpy
    x, eps = jnp.asarray(given.x), jnp.asarray(given.eps)

    def loss(flat):
        V, c, W, b, V2, c2, W2, b2 = flat
        heads = jax.nn.relu(x @ V + c) @ W + b
        mean, logvar = heads[:, :K], heads[:, K:]
        logits = jax.nn.relu((mean + jnp.exp(0.5 * logvar) * eps) @ V2 + c2) @ W2 + b2
        rec = jnp.sum(jax.nn.softplus(logits) - x * logits)
        return (rec + 0.5 * jnp.sum(mean**2 + jnp.exp(logvar) - 1 - logvar)) / len(x)

    def update(flat, m, v, t):
        value, g = jax.value_and_grad(loss)(flat)
        m = [0.9 * m + 0.1 * a for m, a in zip(m, g, strict=True)]
        v = [0.999 * v + 0.001 * a * a for v, a in zip(v, g, strict=True)]
        c1, c2 = 1 - 0.9 ** (t + 1), 1 - 0.999 ** (t + 1)
        flat = [a - LR * (m / c1) / (jnp.sqrt(v / c2) + 1e-8) for a, m, v in zip(flat, m, v, strict=True)]
        return value, (flat, m, v, t + 1)

    update = jax.jit(update, donate_argnums=(0, 1, 2))
    flat = [jnp.array(a) for a in nets.leaves(given.params)]
    state = flat, [jnp.zeros_like(a) for a in flat], [jnp.zeros_like(a) for a in flat], jnp.float32(0)

    def step():
        nonlocal state
        value, state = update(*state)
        jax.block_until_ready(state)
        return float(value)

    return Stepper(step, lambda: [np.asarray(g) for g in jax.jit(jax.grad(loss))(state[0])])


def products(given):
    """Only the matrix products that no route avoids: four forward, four for weights, three to go back."""
    layers = [W for net in given.params for W, _ in net]
    ins = [np.ones((len(given.x), W.shape[0]), np.float32) for W in layers]
    outs = [np.ones((len(given.x), W.shape[1]), np.float32) for W in layers]

    def step():
        for i, (W, h, G) in enumerate(zip(layers, ins, outs, strict=True)):
            _ = h @ W, h.T @ G, G @ W.T if i else None  # nothing flows back into the pixels
        return math.nan

    return Stepper(step)
