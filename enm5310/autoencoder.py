"""Auto-encoders (slide 3): squeeze each sample through a code of k numbers and learn to get it back.

A linear auto-encoder finds the subspace of PCA and no more; a deep one, trained from the weights that a stack of
restricted Boltzmann machines found, bends that subspace (Hinton & Salakhutdinov 2006).  Neither is a density: nothing
says which codes are likely, so decoding a random code is not sampling.  Parameters are a pair (encoder, decoder).
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import autograd.numpy as np
from autograd import value_and_grad

from enm5310 import backend, nets, optimize, training

# The encoders of Hinton & Salakhutdinov (2006): pixels or word counts first, code last; the decoder mirrors them.
HINTON_SIZES = {
    "curves": [784, 400, 200, 100, 50, 25, 6],
    "mnist": [784, 1000, 500, 250, 30],
    "faces": [625, 2000, 1000, 500, 30],
    "documents": [2000, 500, 250, 125, 10],
}

# -------------------- linear --------------------


def linear_loss(E, D, X):
    """(1/n) sum_i |x_i E D - x_i|^2 for centred X (n, p), encoder E (p, k), decoder D (k, p)."""
    return np.sum((X @ E @ D - X) ** 2) / len(X)


def linear_gradient(E, D, X):
    """dE = (2/n) X^T R D^T, (p, k), and dD = (2/n) (X E)^T R, (k, p), with R = X E D - X, of `linear_loss`."""
    Z = X @ E
    R = Z @ D - X
    return 2 / len(X) * X.T @ (R @ D.T), 2 / len(X) * Z.T @ R


def fit_linear(X, k, rng, steps=1500, lr=0.01, callback=None):
    """(E, D) that minimise `linear_loss` on the rows of X (n, p), which must be centred, by Adam on all of X at once.

    At the optimum D E = I and the rows of D span the k leading principal directions, but are no eigenvectors: for any
    invertible A, (E A, A^-1 D) does as well.  (E spans them too unless some direction has no variance to learn from.)
    The learning rate falls linearly to 0.  Returns a Run.  Source: Baldi & Hornik (1989).
    Raises ValueError when X is not a finite matrix or its columns are not centred.
    """
    X = _checked(X)
    if np.max(np.abs(np.mean(X, axis=0))) > 1e-4 * np.std(X):
        raise ValueError("the columns of X have means, which this network cannot shift: subtract np.mean(X, axis=0)")
    ((E, _),), ((D, _),) = init([X.shape[1], k], rng, X.dtype)
    return optimize.train(
        lambda params, _, t: (linear_loss(*params, X), linear_gradient(*params, X)),
        (E, D), range(steps), callback=callback, lr=lambda t: lr * (1 - t / steps),
    )  # fmt: skip


def principal_angles(A, B):
    """The angles in [0, pi/2] between the column spaces of A (p, k) and B (p, l), increasing, shape (min(k, l),).

    With orthonormal bases Q_A, Q_B the cosines are the singular values of Q_A^T Q_B, the sines those of what Q_A misses
    of Q_B; the arc tangent of both is accurate where one of them is flat.  Free of the choice of bases.
    Raises ValueError when the columns of A or B are dependent.  Source: Bjorck & Golub (1973).
    """
    QA, QB = _basis(A), _basis(B)
    if QA.shape[1] < QB.shape[1]:
        QA, QB = QB, QA
    C = QA.T @ QB
    cosines = np.linalg.svd(C, compute_uv=False)  # decreasing
    sines = np.linalg.svd(QB - QA @ C, compute_uv=False)[::-1]  # increasing
    return np.arctan2(sines, cosines)


def _basis(A):
    if np.linalg.matrix_rank(A) < np.shape(A)[1]:
        raise ValueError(f"the {np.shape(A)[1]} columns are dependent, they span fewer dimensions: drop some")
    return np.linalg.qr(A)[0]


# -------------------- deep --------------------


def init(sizes, rng, dtype=np.float64):
    """(encoder, decoder) for encoder widths sizes = [p, ..., k], the decoder mirrored: two lists of (W, b)."""
    return nets.init(sizes, rng, dtype), nets.init(sizes[::-1], rng, dtype)


def encode(params, X, activation=nets.sigmoid):
    """The codes Z (n, k) of the rows of X (n, p); the code layer is linear, so that codes are not boxed in."""
    return nets.apply(params[0], X, activation)


def decode(params, Z, activation=nets.sigmoid, output=nets.identity):
    """The reconstructions (n, p) of codes Z (n, k); output = nets.sigmoid keeps them in (0, 1) like pixels."""
    return output(nets.apply(params[1], Z, activation))


def reconstruction_error(params, X, activation=nets.sigmoid, output=nets.identity):
    """|x_i - decode(encode(x_i))|^2 for each row of X, shape (n,): summed over features."""
    return np.sum((decode(params, encode(params, X, activation), activation, output) - X) ** 2, axis=-1)


def loss(params, X, activation=nets.sigmoid, output=nets.identity):
    """(1/n) sum_i |x_i - decode(encode(x_i))|^2: summed over features, averaged over samples."""
    return np.sum(reconstruction_error(params, X, activation, output)) / len(X)  # np.mean's gradient is float64


def fit(
    params, X, rng, epochs=100, size=100, lr=1e-3, activation=nets.sigmoid, output=nets.identity, callback=None,
    held_out=None, patience=None, checkpoint=None, device="cpu",
):  # fmt: skip
    """Minimise `loss` on the rows of X (n, p) from params = (encoder, decoder), by Adam on minibatches; the Run.

    The networks' dtype is kept, whatever X has.  callback(t, params, value) may stop the run by returning True.
    held_out: rows like those of X; return the parameters of the epoch with the lowest `loss` on them, and stop after
    `patience` epochs without a lower one.  checkpoint: a file from which an interrupted run goes on exactly.
    device="gpu" trains there, in the same order; a callback then gets the parameters as they lie there.
    Raises ValueError when X is not a finite matrix or the objective diverges.
    """
    dtype = np.result_type(*nets.leaves(params))
    X = _checked(X).astype(dtype, copy=False)
    held_out = held_out if held_out is None else _checked(held_out).astype(dtype, copy=False)

    def run(params, X, held_out):
        return training.fit(
            lambda params, i, t: value_and_grad(loss)(params, X[backend.beside(i, X)], activation, output),
            params, len(X), rng, epochs, size, lr, callback,
            None if held_out is None else lambda params: float(loss(params, held_out, activation, output)),
            patience, checkpoint,
        )  # fmt: skip

    return backend.run(device, rng, run, params, X, held_out)


# -------------------- pretraining --------------------


class RBM(NamedTuple):
    """A restricted Boltzmann machine: p(v, h) ~ exp(v^T W h + a^T v + b^T h) for binary v (p,) and h (k,)."""

    W: np.ndarray  # (p, k)
    a: np.ndarray  # (p,), of the visible units
    b: np.ndarray  # (k,), of the hidden units


def hidden_mean(rbm, V, linear=False):
    """E[h | v] = sigmoid(W^T v + b) for the rows v of V (n, p), shape (n, k); without the sigmoid for linear units."""
    return V @ rbm.W + rbm.b if linear else nets.sigmoid(V @ rbm.W + rbm.b)


def contrastive_divergence(rbm, V, eps, linear=False, eps_v=None):
    """The direction <v h> - <v' h'> of one step V -> h -> V' -> h' of Gibbs sampling, an RBM, and (1/n) sum |v - v'|^2.

    eps (n, k) draws h: uniform noise in [0, 1) for binary units, standard normal noise for linear ones (unit variance).
    eps_v (n, p), uniform, draws V'; without it V' holds the probabilities, which is less noisy and what is used in
    practice.  Source: Hinton (2002); Hinton & Salakhutdinov (2006), equation 2.
    """
    H = hidden_mean(rbm, V, linear)
    if np.shape(eps) != np.shape(H) or np.shape(eps_v) not in {(), np.shape(V)}:
        raise ValueError(f"eps {np.shape(eps)}, eps_v {np.shape(eps_v)}; want one per unit: {H.shape}, {np.shape(V)}")
    h = H + eps if linear else (eps < H).astype(H.dtype)
    V1 = nets.sigmoid(h @ rbm.W.T + rbm.a)
    V1 = V1 if eps_v is None else (eps_v < V1).astype(V1.dtype)
    H1 = hidden_mean(rbm, V1, linear)
    n = len(V)
    direction = RBM((V.T @ H - V1.T @ H1) / n, np.sum(V - V1, axis=0) / n, np.sum(H - H1, axis=0) / n)
    return direction, np.sum((V - V1) ** 2) / n


def fit_rbm(rbm, V, rng, epochs=10, size=100, lr=0.1, linear=False, momentum=0.9, decay=2e-4, callback=None):
    """Ascend `contrastive_divergence` - decay W on the rows of V (n, p) in [0, 1], minibatches with momentum; a Run.

    Raises ValueError when V is not a finite matrix with entries in [0, 1].
    """
    V = _probabilities(V)

    def value_and_gradient(rbm, i, t):
        shape = len(i), len(rbm.b)
        eps = (rng.standard_normal(shape) if linear else rng.random(shape)).astype(V.dtype)
        (W, a, b), error = contrastive_divergence(rbm, V[i], eps, linear)
        return error, RBM(decay * rbm.W - W, -a, -b)  # a minimiser's gradient

    update = partial(optimize.sgd, momentum=momentum)
    return optimize.train(value_and_gradient, rbm, optimize.epochs(len(V), size, rng, epochs), update, callback, lr)


def pretrain(X, sizes, rng, epochs=10, size=100, lr=0.1, linear_lr=1e-3, callback=None):
    """(encoder, decoder) of widths sizes = [p, ..., k] from a stack of RBMs on X (n, p) in [0, 1], to start `fit` from.

    Each machine learns the hidden means of the one below; the code's machine has linear hidden units.  Unrolled, its
    (W, b) is a layer of the encoder and (W^T, a) one of the decoder, logistic: continue by `fit` with output=sigmoid.
    callback(t, rbm, error) counts from t = 0 in each machine; when it or the stop button ends one, the machines above
    keep the random weights they start from.  Raises ValueError when X is not a finite matrix with entries in [0, 1].
    Source: Hinton & Salakhutdinov (2006), figure 1.
    """
    V = _probabilities(X)
    rbms = [_random_rbm(p, k, rng, V.dtype) for p, k in pairwise(sizes)]
    for l, rbm in enumerate(rbms):
        linear = l == len(rbms) - 1
        run = fit_rbm(rbm, V, rng, epochs, size, linear_lr if linear else lr, linear, callback=callback)
        rbms[l] = run.params
        if run.stopped:
            break
        V = hidden_mean(run.params, V, linear)
    return unroll(rbms)


def _random_rbm(p, k, rng, dtype):
    return RBM((0.1 * rng.standard_normal((p, k))).astype(dtype), np.zeros(p, dtype), np.zeros(k, dtype))


def _probabilities(X):
    X = _checked(X)
    if np.min(X) < 0 or np.max(X) > 1:
        raise ValueError(f"X has entries from {np.min(X)} to {np.max(X)}; units are probabilities: scale to [0, 1]")
    return X


def unroll(rbms):
    """The stack of machines as an auto-encoder: encoder [(W, b), ...] upwards, decoder [(W^T, a), ...] downwards."""
    return [(W, b) for W, _, b in rbms], [(W.T, a) for W, a, _ in rbms[::-1]]


def _checked(X):
    if np.ndim(X) != 2 or 0 in np.shape(X) or not np.all(np.isfinite(X)):
        raise ValueError(f"X has shape {np.shape(X)}; want a finite matrix (n, p) with at least one row and no NaN")
    return X.astype(np.result_type(X, np.float32), copy=False)  # whole numbers, such as binary pixels, become float
