"""Natural gradient with Kronecker factors for the auto-encoder of Bernoulli pixels: tanh units, linear code.

For a layer with inputs a = (h, 1) and derivatives g of the log-likelihood of pixels drawn from the network itself, the
Fisher matrix of its weights is E[a a^T (x) g g^T]; taken as A (x) S with A = E[a a^T], S = E[g g^T], its inverse turns
a gradient D, (in + 1, out), into A^-1 D S^-1.  Source: Martens & Grosse (2015), Optimizing neural networks with
Kronecker-factored approximate curvature: the block-diagonal form, with momentum and the damping of their section 6.3.
"""

from typing import NamedTuple

import numpy as np

from enm5310 import nets


class Settings(NamedTuple):
    lr: float = 0.2  # at first; falls linearly to 0
    momentum: float = 0.9
    damping: float = 0.3
    trust: float = 0.3  # at most this for lr^2 d^T F d, d the step before momentum
    warm: int = 20  # steps until the learning rate is whole
    rows: int = 250  # of the minibatch, for A and S
    every: int = 2  # steps between two looks at A and S
    refresh: int = 20  # steps between two inversions
    memory: float = 0.95  # of A and S


# -------------------- the network, layer by layer --------------------


def forward(params, X):
    """What enters every layer, encoder and decoder in a row, and the probabilities of the pixels (n, p)."""
    encoder = nets.forward(params[0], X)
    decoder = nets.forward(params[1], encoder[-1])
    return [*encoder[:-1], *decoder[:-1]], nets.sigmoid(decoder[-1])


def backward(params, inputs, G):
    """d/d(what every layer puts out, before its activation) of a scalar, from that of the last layer, G (n, p)."""
    layers, all_of_them = [*params[0], *params[1]], [G]
    for l in range(len(layers) - 1, 0, -1):
        G = G @ layers[l][0].T
        if l != len(params[0]):  # the code has no activation
            G *= 1 - inputs[l] ** 2
        all_of_them.append(G)
    return all_of_them[::-1]


def with_one(h):
    """Rows (h, 1): the last weight is the bias."""
    return np.hstack([h, np.ones((len(h), 1), h.dtype)])


def layer_gradient(h, G):
    """(in + 1, out): of the weights, and of the bias in the last row."""
    D = np.empty((h.shape[1] + 1, G.shape[1]), G.dtype)
    np.matmul(h.T, G, out=D[:-1])
    np.sum(G, axis=0, out=D[-1])
    return D


def cross_entropy(X, P):
    """(1/n) sum_i -log p(x_i), nats, for pixels X in [0, 1] and probabilities P, both (n, p)."""
    tiny = np.finfo(P.dtype).tiny
    return -float(np.sum(X * np.log(P + tiny) + (1 - X) * np.log1p(-P + np.finfo(P.dtype).eps))) / len(X)


# -------------------- curvature --------------------


def factors(params, inputs, P, signs):
    """[(A, S)] of the layers; signs (n, p) of +-1, even odds: sign sqrt(p (1 - p)) has the variance of a drawn pixel's
    derivative, x - p, and no covariance with its neighbours', which is all of it that S sees."""
    n = np.float32(len(P))
    derivatives = backward(params, inputs, signs * np.sqrt(P * (1 - P)))
    return [((a := with_one(h)).T @ a / n, g.T @ g / n) for h, g in zip(inputs, derivatives, strict=True)]


def inverses(A, S, damping):
    """(A + pi r I)^-1 and (S + r / pi I)^-1 with r^2 the damping and pi^2 the mean eigenvalue of A over that of S."""
    pi = np.sqrt(np.trace(A) / len(A) / (np.trace(S) / len(S)))
    r = np.sqrt(damping)
    return _inverse(A, r * pi), _inverse(S, r / pi)


def _inverse(M, shift):
    M = M.copy()
    M.flat[:: len(M) + 1] += shift
    return np.linalg.inv(M)


# -------------------- steps --------------------


class KFAC:
    """The optimiser: `step` lowers the cross-entropy of `params` = (encoder, decoder) on a minibatch."""

    def __init__(self, params, rng, settings=Settings()):  # noqa: B008 (a tuple, so nobody can change it)
        self.rng, self.settings, self.t = rng, settings, 0
        self.depth = len(params[0])
        self.weights = [np.vstack([W, b]) for W, b in [*params[0], *params[1]]]  # (in + 1, out)
        self.velocity = [np.zeros_like(M) for M in self.weights]
        self.curvature = self.inverse = None

    @property
    def params(self):
        """(encoder, decoder), views of the weights that the next step changes."""
        layers = [(M[:-1], M[-1]) for M in self.weights]
        return layers[: self.depth], layers[self.depth :]

    def step(self, X, progress):
        """One step on the rows of X, progress in [0, 1) of the whole run; the cross-entropy before it."""
        s = self.settings
        inputs, P = forward(self.params, X)
        derivatives = backward(self.params, inputs, (P - X) / np.float32(len(X)))
        gradient = [layer_gradient(h, G) for h, G in zip(inputs, derivatives, strict=True)]
        if self.t % s.every == 0 or self.t < s.warm:
            self.look(inputs, P)
        if self.t % s.refresh == 0 or self.t in (1, 2, 5, 10, 20):  # at first A and S change fast
            self.inverse = [inverses(A, S, s.damping) for A, S in self.curvature]
        natural = [A @ D @ S for (A, S), D in zip(self.inverse, gradient, strict=True)]
        lr = s.lr * min(1, (self.t + 1) / s.warm) * (1 - progress)
        size = lr**2 * sum(float(np.vdot(d, D)) for d, D in zip(natural, gradient, strict=True))
        lr = np.float32(lr * min(1, (s.trust / max(size, 1e-30)) ** 0.5))
        for M, v, d in zip(self.weights, self.velocity, natural, strict=True):
            v *= np.float32(s.momentum)
            d *= lr
            v -= d
            M += v
        self.t += 1
        return cross_entropy(X, P)

    def look(self, inputs, P):
        """Bring A and S up to date from some rows of the minibatch, from all of them at the first step."""
        n = self.settings.rows if self.t else len(P)
        signs = np.where(self.rng.random(P[:n].shape, dtype=np.float32) < 0.5, np.float32(-1), np.float32(1))
        new = factors(self.params, [h[:n] for h in inputs], P[:n], signs)
        if self.curvature is None:
            self.curvature, self.looks = new, 0
        self.looks += 1
        w = np.float32(max(1 / self.looks, 1 - self.settings.memory))
        for (A, S), (A1, S1) in zip(self.curvature, new, strict=True):
            A += w * (A1 - A)
            S += w * (S1 - S)
