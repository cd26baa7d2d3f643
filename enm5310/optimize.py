"""Stochastic gradient descent: pure update rules, minibatches, and one training loop for every model of the course.

An update rule takes (params, gradient, state) and returns new (params, state); params may be any nesting of lists,
tuples and dicts of arrays.  Everything here *minimises*: to maximise an ELBO, minimise its negative.
"""

from typing import NamedTuple

import autograd.numpy as np
import numpy as onp

from enm5310 import backend
from enm5310.nets import tree_map


def sgd(params, gradient, state=None, lr=0.01, momentum=0.0):
    """v <- momentum v - lr g,  theta <- theta + v: new (params, v); state=None starts with v = 0.

    Source: Polyak (1964), heavy ball; Robbins & Monro (1951) for momentum = 0.
    """
    v = _zeros(params, gradient) if state is None else state
    v = tree_map(lambda v, g: momentum * v - lr * g, v, gradient)
    return tree_map(lambda theta, v: theta + v, params, v), v


class Moments(NamedTuple):
    """What Adam remembers: running means of the gradient and of its square, and the number of steps."""

    m: list
    v: list
    t: int


def adam(params, gradient, state=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """theta <- theta - lr m_hat / (sqrt(v_hat) + eps): new (params, Moments); state=None starts with m = v = 0.

    m and v start at zero and are therefore too small at first; dividing by 1 - beta^t makes them unbiased.
    Source: Kingma & Ba (2015), algorithm 1.
    """
    m, v, t = state or Moments(_zeros(params, gradient), _zeros(params, gradient), 0)
    t = t + 1
    m = tree_map(lambda m, g: beta1 * m + (1 - beta1) * g, m, gradient)
    v = tree_map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, gradient)
    c1, c2 = 1 - beta1**t, 1 - beta2**t  # m_hat = m / c1, v_hat = v / c2
    params = tree_map(lambda theta, m, v: theta - lr * (m / c1) / (np.sqrt(v / c2) + eps), params, m, v)
    return params, Moments(m, v, t)


class Sums(NamedTuple):
    """What `adam_in_place` remembers: sum_s beta1^(t-s) g_s, sum_s beta2^(t-s) g_s^2, and the number of steps t."""

    m: list
    v: list
    t: int


BLOCK = 2**16  # numbers at a time: what ten passes over them need stays in the cache


def adam_in_place(params, gradient, state=None, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """`adam` in fewer passes over memory: new (params, Sums), the same to rounding.  The state given is overwritten.

    A mean is a sum over its weights, m_hat = m / w1 with w1 = 1 + beta1 + ... + beta1^(t-1), so keeping sums saves two
    passes, and the constants leave the arrays: theta <- theta - (lr sqrt(w2) / w1) m / (sqrt(v) + eps sqrt(w2)).
    For training with networks of 10^5 numbers and more; a negative lr goes uphill.
    """
    m, v, t = state or Sums(_zeros(params, gradient), _zeros(params, gradient), 0)
    t = t + 1
    w1, w2 = ((1 - beta**t) / (1 - beta) for beta in (beta1, beta2))
    length, floor = lr * w2**0.5 / w1, eps * w2**0.5

    def step(theta, g, m, v):
        new = onp.empty_like(m)
        block = max(1, m.size) if backend.on_device(m) else BLOCK  # a device has no use for pieces
        spare = onp.empty_like(m, shape=(min(block, new.size),))
        whole = [onp.ravel(a) for a in (theta, g, m, v, new)]  # m, v and new lie in one piece: no copies of them
        for i in range(0, new.size, block):
            a, g, m, v, out = (x[i : i + block] for x in whole)
            d = spare[: len(g)]
            m *= beta1
            m += g
            v *= beta2
            v += onp.multiply(g, g, out=d)
            onp.sqrt(v, out=d)
            d += floor
            onp.divide(m, d, out=d)
            d *= length
            onp.subtract(a, d, out=out)
        return new

    return tree_map(step, params, gradient, m, v), Sums(m, v, t)


def _zeros(params, gradient):
    def zeros(theta, g):
        if np.shape(theta) != np.shape(g):  # (n,) with (n, 1) would become (n, n)
            raise ValueError(f"the gradient has shape {np.shape(g)} where the parameter has {np.shape(theta)}")
        return np.zeros_like(theta + 0.0, order="C")  # real numbers, even where theta is whole

    return tree_map(zeros, params, gradient)


def minibatches(n, size, rng):
    """The indices 0..n-1, shuffled, in arrays of `size` (the last may be shorter): each sample exactly once per epoch.

    Raises ValueError when n or size is not positive.
    """
    if n < 1 or size < 1:
        raise ValueError(f"n is {n} and size {size}; an epoch needs at least one sample and batches of at least one")
    order = rng.permutation(n)
    return (order[i : i + size] for i in range(0, n, size))


class Run(NamedTuple):
    """A training run: the parameters it ended with and the objective of every step."""

    params: list
    values: np.ndarray  # (steps,)
    stopped: bool  # by the callback or the stop button, before the batches ran out


def train(value_and_gradient, params, batches, update=adam_in_place, callback=None, lr=1e-3):
    """Minimise by params, state = update(params, gradient, state, lr) over the batches; the Run.

    value_and_gradient(params, batch, t) gives the objective on one batch and its gradient, nested like params, at
    step t = 0, 1, ...; batches is any iterable, `epochs` for instance; lr is a number or a function of t.
    callback(t, params, value) is called before each update and stops the run by returning True.  KeyboardInterrupt
    (the stop button) ends it too: either way you get what has been learned.
    Raises ValueError when the objective is not finite: everything after would be NaN.  On a device this is seen at
    the end, or at the step itself when there is a callback: to read a number stops the queue.
    """
    return train_on(value_and_gradient, params, batches, update, callback, lr)[0]


def train_on(value_and_gradient, params, batches, update, callback, lr, state=None, start=0):
    """The same from an optimiser's state at step `start`: the Run and the state it ended with."""
    values, stopped = [], False
    try:
        for t, batch in enumerate(batches, start):
            with np.errstate(over="ignore", invalid="ignore"):  # it ends below, in an error that names the step
                value, gradient = value_and_gradient(params, batch, t)
            values.append(value if callback is None and backend.on_device(value) else finite(value, t))
            if callback is not None and callback(t, params, values[-1]):
                stopped = True
                break
            params, state = update(params, gradient, state, float(lr(t) if callable(lr) else lr))
    except KeyboardInterrupt:
        stopped = True
    values = backend.read(values)
    for t in np.flatnonzero(~np.isfinite(values))[:1]:  # the first of what stayed on a device
        finite(values[t], start + t)
    return Run(params, values, stopped), state


class Average:
    """A running mean of the parameters it is called with: a <- a + w (theta - a) with w = 9 / (k + 8) at the k-th call.

    theta_j weighs (j + 7)! / (j - 1)!, so the last tenth of the run is three fifths of it: the noise of the steps
    averages out and the learning rate may stay high.  Call it in a callback, at every tenth step for instance;
    `params` is the mean.
    Source: Polyak & Juditsky (1992); the weights are those of Shamir & Zhang (2013).
    """

    def __init__(self):
        self.params, self.count = None, 0

    def __call__(self, params):
        self.count += 1
        w = 9 / (self.count + 8)
        mean = params if self.params is None else self.params
        self.params = tree_map(lambda a, theta: a + w * (theta - a), mean, params)


def epochs(n, size, rng, count):
    """The minibatches of `count` passes over n samples, each pass in a new order."""
    return (batch for _ in range(count) for batch in minibatches(n, size, rng))


def warm_up(steps, beta=1.0):
    """t -> beta min(1, t / steps): a weight that grows from 0 to beta over the first steps and stays there.

    For the KL of a VAE: the decoder learns to use z before z is taxed.  Source: Bowman et al. (2016).
    """
    return lambda t: beta * (t / steps if t < steps else 1.0)


def finite(value, t):
    """The value as a float; ValueError, with the step, when it is NaN or infinite."""
    value = float(value)
    if not np.isfinite(value):
        raise ValueError(f"the objective is {value} at step {t}; lower the learning rate, or look for NaN in the data")
    return value
