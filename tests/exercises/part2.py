"""What the checks of part 2 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms (of an exercise that trains: its exact step).  RUNS: another right training.
SYMPTOMS: trained networks that are not good enough, with a piece of the sentence that must say why.  ROUTES: a known
misconception coded differently, with a piece of the sentence that must name it.  TOLD: wrong answers that no known
mistake can repeat, with a piece of what the check itself says.  HOSTILE: answers without the idea, which earn nothing.
EQUIVALENT: surviving mutants, by exercise, with the reason.
"""

import functools
import math
import random
from itertools import pairwise

import autograd.numpy as anp
import numpy as np
import scipy.linalg
from autograd import grad

from enm5310 import autoencoder, nets, optimize
from enm5310.datasets import load_digits

# -------------------- right answers by other algorithms --------------------


def init_he_uniform(sizes, seed):
    rng, layers = np.random.default_rng(seed), []
    for i in range(len(sizes) - 1):
        bound = math.sqrt(6 / sizes[i])
        layers.append([rng.uniform(-bound, bound, (sizes[i], sizes[i + 1])), rng.normal(size=sizes[i + 1])])
    return layers


def init_by_the_standard_library(sizes, seed):
    draw = random.Random(seed).gauss
    return [([[draw(0, 0.1) for _ in range(n)] for _ in range(m)], [0.0] * n) for m, n in pairwise(sizes)]


def init_large_float32(sizes, seed):
    rng = np.random.default_rng([seed, 7])
    return tuple((rng.standard_normal(mn, dtype=np.float32), np.full(mn[1], 0.5)) for mn in pairwise(sizes))


def apply_recursively(layers, X):
    if not layers:
        return X
    (W, b), *rest = layers
    return apply_recursively(rest, np.tanh(X @ W + b)) if rest else X @ W + b


def apply_homogeneous(layers, X):
    """Each layer as one matrix on (h, 1); the inverse of tanh undoes the last bend."""
    for W, b in layers[:-1]:
        X = np.tanh(np.hstack([X, np.ones((len(X), 1))]) @ np.vstack([W, b]))
    return np.hstack([X, np.ones((len(X), 1))]) @ np.vstack([*layers[-1]]) if layers else X


def apply_unit_by_unit(layers, X):
    out = []
    for h in X.tolist():
        for i, (W, b) in enumerate(layers):
            a = [sum(x * W[j, c] for j, x in enumerate(h)) + b[c] for c in range(len(b))]
            h = a if i + 1 == len(layers) else [math.tanh(v) for v in a]
        out.append(h)
    return out


def gradient_by_autograd(E, D, X):
    def loss(params):
        return anp.mean(anp.sum((X - X @ params[0] @ params[1]) ** 2, axis=1))

    return tuple(grad(loss)([E, D]))


def gradient_by_covariance(E, D, X):
    """L = tr[(E D - I)' C (E D - I)], so only the covariance of the data matters."""
    C = X.T @ X / len(X)
    M = C @ (E @ D - np.eye(len(C)))
    return 2 * M @ D.T, 2 * E.T @ M


def gradient_by_complex_steps(E, D, X):
    """The imaginary part of L(theta + i h) / h, exact to rounding for a polynomial."""

    def loss(E, D):
        return np.sum((X @ E @ D - X) ** 2) / len(X)

    out = []
    for which, A in enumerate((E, D)):
        G = np.zeros_like(A)
        for at in np.ndindex(A.shape):
            moved = [E.astype(complex), D.astype(complex)]
            moved[which][at] += 1e-20j
            G[at] = loss(*moved).imag / 1e-20
        out.append(G)
    return out


def gradient_sample_by_sample(E, D, X):
    dE, dD = np.zeros_like(E), np.zeros_like(D)
    for x in X:
        r = D.T @ (E.T @ x) - x
        dE += 2 * np.outer(x, D @ r) / len(X)
        dD += 2 * np.outer(E.T @ x, r) / len(X)
    return dE, dD


def angles_by_projectors(A, B):
    PA, PB = (M @ np.linalg.solve(M.T @ M, M.T) for M in (A, B))
    return np.arccos(np.clip(np.linalg.svd(PA @ PB, compute_uv=False)[: A.shape[1]], 0, 1))


def angles_by_svd_bases(A, B):
    UA, UB = (np.linalg.svd(M, full_matrices=False)[0] for M in (A, B))
    return sorted(math.acos(min(1.0, float(c))) for c in np.linalg.svd(UA.T @ UB)[1])


def angles_by_the_generalised_eigenproblem(A, B):
    """Squared cosines: the eigenvalues of (A'A)^-1 A'B (B'B)^-1 B'A; squared sines would be 1 - them."""
    M = np.linalg.solve(A.T @ A, A.T @ B) @ np.linalg.solve(B.T @ B, B.T @ A)
    squares = np.sort(np.linalg.eigvals(M).real)[::-1]
    return np.where(squares > 1 - 1e-10, 0.0, np.arccos(np.sqrt(np.clip(squares, 0, 1))))


def angles_by_sines(A, B):
    """What of each basis vector of B leaves the space of A, largest last; the library sorts the other way round."""
    QA, QB = scipy.linalg.orth(A), scipy.linalg.orth(B)
    sines = np.linalg.svd(QB - QA @ (QA.T @ QB), compute_uv=False)[::-1]
    return np.where(sines < 0.5, np.arcsin(np.minimum(sines, 1)), scipy.linalg.subspace_angles(A, B)[::-1])


def adam_with_one_step_size(theta, g, m, v, t, lr):
    """Both corrections in the step size and in eps, as the paper's section 2 notes."""
    m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
    root = np.sqrt(1 - 0.999**t)
    return [theta - lr * root / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8 * root), m, v]


def adam_entry_by_entry(theta, g, m, v, t, lr):
    out = [np.empty_like(theta) for _ in range(3)]
    for i in np.ndindex(theta.shape):
        first, second = 0.9 * m[i] + 0.1 * g[i], 0.999 * v[i] + 0.001 * g[i] ** 2
        step = first / (1 - 0.9**t) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
        out[0][i], out[1][i], out[2][i] = theta[i] - lr * step, first, second
    return tuple(out)


def adam_in_place(theta, g, m, v, t, lr):
    m *= 0.9
    m += 0.1 * g
    v *= 0.999
    v += 0.001 * g * g
    theta -= lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta, m, v


def loss_image_by_image(encoder, decoder, X):
    errors = [sum((np.array(apply_unit_by_unit(decoder, np.array(apply_unit_by_unit(encoder, x[None]))))[0] - x) ** 2)
              for x in X]  # fmt: skip
    return sum(errors) / len(errors)


def loss_as_one_network(encoder, decoder, X):
    """The last layer of the encoder and the first of the decoder are one affine map."""
    (V, c), (W, b) = encoder[-1], decoder[0]
    merged = [*encoder[:-1], (V @ W, c @ W + b), *decoder[1:]]
    return np.linalg.norm(apply_recursively(merged, X) - X) ** 2 / len(X)


def loss_expanded(encoder, decoder, X):
    """|x_hat|^2 - 2 x'x_hat + |x|^2, averaged."""
    Y = apply_homogeneous(decoder, apply_homogeneous(encoder, X))
    return np.mean(np.einsum("np,np->n", Y, Y) - 2 * np.einsum("np,np->n", X, Y) + np.einsum("np,np->n", X, X))


def count_by_building(sizes):
    layers = [(np.empty((m, n)), np.empty(n)) for m, n in pairwise([*sizes, *sizes[-2::-1]])]
    return nets.count(layers), nets.count([np.empty(sizes[0]), np.empty((sizes[0], sizes[-1]))])


def count_by_inner_products(sizes):
    m = np.array(sizes)  # biases: all widths but the data's, then all but the code's
    return 2 * (m[:-1] @ m[1:]) + sum(m[1:]) + sum(m[:-1]), np.prod([m[0], m[-1] + 1])


def count_layer_by_layer(sizes):
    total, widths = 0.0, [*sizes, *reversed(sizes[:-1])]
    for i in range(1, len(widths)):
        total += widths[i] * (widths[i - 1] + 1)
    return total, float(sizes[0]) + sizes[0] * sizes[-1]


VARIANTS = {
    "mlp": [
        (init_he_uniform, apply_recursively),
        (init_by_the_standard_library, apply_homogeneous),
        (init_large_float32, apply_unit_by_unit),
    ],
    "linear_ae_gradient": [
        gradient_by_autograd, gradient_by_covariance, gradient_by_complex_steps, gradient_sample_by_sample,
    ],
    "principal_angles": [
        angles_by_projectors, angles_by_svd_bases, angles_by_the_generalised_eigenproblem, angles_by_sines,
    ],
    "linear_ae": [adam_with_one_step_size, adam_entry_by_entry, adam_in_place],
    "autoencoder": [loss_image_by_image, loss_as_one_network, loss_expanded],
    "count_parameters": [count_by_building, count_by_inner_products, count_layer_by_layer],
}  # fmt: skip


# -------------------- other trainings, good and bad --------------------


def alternating_least_squares(X, k, seed):
    """The best D for the codes, the best E for D, in turn: no learning rate, and a basis far from orthogonal."""
    mean = X.mean(axis=0)
    R = X - mean
    E = np.random.default_rng(seed).normal(size=(R.shape[1], k))
    for _ in range(60):
        D = np.linalg.lstsq(R @ E, R, rcond=None)[0]
        E = np.linalg.pinv(D)
    A = np.diag(np.arange(1.0, k + 1)) + np.eye(k, k=1)  # any invertible A: (E A, A^-1 D) is as good
    return [(E @ A, -mean @ E @ A)], [(np.linalg.solve(A, D), mean)]


def heavy_ball(X, k, seed):
    """Gradient descent with momentum, by the library."""
    rng, mean = np.random.default_rng(seed), X.mean(axis=0)
    params, v = (0.1 * rng.normal(size=(len(mean), k)), 0.1 * rng.normal(size=(k, len(mean)))), None
    for _ in range(800):
        gradient = autoencoder.linear_gradient(*params, X - mean)
        params, v = optimize.sgd(params, gradient, v, lr=0.003, momentum=0.9)
    E, D = params
    return [(E, -mean @ E)], [(D, mean)]


def two_linear_layers(X, k, seed):
    """The best plane, its decoder split into two layers."""
    encoder, ((D, c),) = alternating_least_squares(X, k, seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(c), len(c))))[0]
    return encoder, [(D @ turn, np.zeros(len(c))), (turn.T, c)]


def logistic_by_the_library(X, seed):
    """Logistic hidden units, as in the paper, in float32, by the library's own training."""
    rng = np.random.default_rng(seed)
    run = autoencoder.fit(autoencoder.init([64, 40, 20, 2], rng, np.float32), X, rng, epochs=100, lr=0.01)
    return *run.params, "logistic"


RUNS = {
    "linear_ae": [alternating_least_squares, heavy_ball, two_linear_layers],
    "autoencoder": [logistic_by_the_library],
}


def principal(X, k):
    mean = X.mean(axis=0)
    return mean, np.linalg.svd(X - mean, full_matrices=False)[2][:k].T


def linear(E, D, b, c):
    return [(E, b)], [(D, c)]


def without_biases(X, k, seed):
    U = principal(X, k)[1]
    return linear(U, U.T, np.zeros(k), np.zeros(len(U)))


def best_without_a_mean(X, k, seed):
    U = np.linalg.svd(X, full_matrices=False)[2][:k].T
    return linear(U, U.T, np.zeros(k), np.zeros(len(U)))


def mean_added_when_encoding(X, k, seed):
    mean, U = principal(X, k)
    return linear(U, U.T, mean @ U, mean)


def one_dimension_unused(X, k, seed):
    mean, U = principal(X, k)
    E = U * (np.arange(k) < k - 1)
    return linear(E, U.T, -mean @ E, mean)


def small_components(X, k, seed):
    mean = X.mean(axis=0)
    U = np.linalg.svd(X - mean, full_matrices=False)[2][-k:].T
    return linear(U, U.T, -mean @ U, mean)


def only_the_mean(X, k, seed):
    p = X.shape[1]
    return linear(np.zeros((p, k)), np.zeros((k, p)), np.zeros(k), X.mean(axis=0))


def stopped_early(X, k, seed):
    mean = X.mean(axis=0)
    E, D = autoencoder.fit_linear(X - mean, k, np.random.default_rng(seed), steps=60, lr=0.02).params
    return linear(E, D, -mean @ E, mean)


def exploded(X, k, seed):
    E, D = autoencoder.fit_linear(X - X.mean(axis=0), k, np.random.default_rng(seed), steps=5).params
    return linear(1e200 * E, 1e200 * D, np.ones(k), X.mean(axis=0))


def pca_as_a_network(X, seed):
    mean, U = principal(X, 2)
    return *linear(U, U.T, -mean @ U, mean), "tanh"


def pca_through_one_number(X, seed):
    mean, U = principal(X, 1)
    E, D = np.hstack([U, U]), np.vstack([U.T, U.T]) / 2
    return *linear(E, D, -mean @ E, mean), "tanh"


def untrained(X, seed):
    return *autoencoder.init([64, 30, 2], np.random.default_rng(seed)), "tanh"


def overflowing_codes(X, seed):
    """The decoder's tanh hides what the encoder's last layer does."""
    encoder, decoder, _ = untrained(X, seed)
    return [(1e200 * W, b) for W, b in encoder[:1]] + [(1e308 * W, b) for W, b in encoder[1:]], decoder, "relu"


def leaky(X, seed):
    """The third number of the code carries what the first two lose."""
    mean, U = principal(X, 3)
    return *linear(U, U.T, -mean @ U, mean), "tanh"


def stored(X, seed):
    """Weights that suit the digits as they are, and not on axes turned at random."""
    return pca_as_a_network(load_digits().data / 16, seed)


SYMPTOMS = {
    "linear_ae": [
        (without_biases, "all your biases are 0"),
        (best_without_a_mean, "all your biases are 0"),
        (mean_added_when_encoding, "constant shift"),
        (one_dimension_unused, "1 of their 2 dimensions"),
        (small_components, "train on"),
        (only_the_mean, "nothing was learned"),
        (stopped_early, "train on"),
        (exploded, "overflow"),
        (lambda X, k, seed: small_components(X, k + 1, seed), "expected"),
    ],
    "autoencoder": [
        (pca_as_a_network, "without hidden layers"),
        (pca_through_one_number, "along one line"),
        (untrained, "nothing was learned"),
        (stored, "nothing was learned"),
        (overflowing_codes, "overflow"),
        (leaky, "3 units; expected 2"),
        (lambda X, seed: (*untrained(X, seed)[:2], "swish"), "'swish' is not known"),
        (lambda X, seed: untrained(X, seed)[:2], "expected a tuple of 3: encoder, decoder, activation"),
        (lambda X, seed: ([(W * np.nan, b) for W, b in untrained(X, seed)[0]], *untrained(X, seed)[1:]), "NaN"),
    ],
}


# -------------------- known misconceptions by another route --------------------


def outputs_by_inputs(sizes, seed):
    rng = np.random.default_rng(seed)
    return [(rng.uniform(-1, 1, (n, m)), rng.uniform(size=n)) for m, n in pairwise(sizes)]


def bias_rows(sizes, seed):
    return [(W, np.atleast_2d(b)) for W, b in init_he_uniform(sizes, seed)]


def all_halves(sizes, seed):
    return [(0 * W + 0.5, b) for W, b in init_he_uniform(sizes, seed)]


def tanh_on_the_output(layers, X):
    for W, b in layers:
        X = np.tanh(X @ W + b)
    return X


def one_matrix(layers, X):
    return apply_homogeneous([], X) if not layers else np.hstack([X, np.ones((len(X), 1))]) @ functools.reduce(
        np.matmul, [np.block([[W, np.zeros((len(W), 1))], [b, 1]]) for W, b in layers])[:, :-1]  # fmt: skip


def halved(E, D, X):
    """The loss (1/2n) |R|^2, whose derivative has no 2."""
    return tuple(G / 2 for G in gradient_by_autograd(E, D, X))


def per_entry(E, D, X):
    return tuple(grad(lambda E, D: anp.mean((X @ E @ D - X) ** 2), which)(E, D) for which in (0, 1))


def angles_without_clipping(A, B):
    UA, UB = (np.linalg.svd(M, full_matrices=False)[0] for M in (A, B))
    return np.array([math.nan if c > 1 else math.acos(c) for c in np.linalg.svd(UA.T @ UB)[1]])


def uncorrected_adam(theta, g, m, v, t, lr):
    m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
    return theta - lr * m / (np.sqrt(v) + 1e-8), m, v


def mean_square(encoder, decoder, X):
    return loss_as_one_network(encoder, decoder, X) / X.shape[1]


def half_the_network(sizes):
    return nets.count(nets.init(sizes, np.random.default_rng(0))), count_by_building(sizes)[1]


def code_in_a_box(encoder, decoder, X):
    return np.mean(np.sum((apply_recursively(decoder, tanh_on_the_output(encoder, X)) - X) ** 2, axis=1))


ROUTES = {
    "mlp": [
        ((outputs_by_inputs, apply_recursively), "outputs by inputs"),
        ((bias_rows, apply_homogeneous), "(1, n)"),
        ((all_halves, apply_homogeneous), "All your weights are equal"),
        ((init_he_uniform, tanh_on_the_output), "after the last layer"),
        ((init_he_uniform, one_matrix), "no tanh between"),
    ],
    "linear_ae_gradient": [
        (halved, "factor 2 is missing"),
        (per_entry, "np.mean"),
        (lambda E, D, X: tuple(-G for G in gradient_by_covariance(E, D, X)), "sign is flipped"),
    ],
    "principal_angles": [
        (lambda A, B: np.rad2deg(angles_by_projectors(A, B)), "degrees"),
        (lambda A, B: np.cos(angles_by_projectors(A, B)), "cosines"),
        (lambda A, B: np.array(angles_by_svd_bases(A, B))[::-1], "other way round"),
    ],
    "linear_ae": [(uncorrected_adam, "correction is missing")],
    "autoencoder": [(mean_square, "np.mean"), (code_in_a_box, "tanh to the code")],
    "count_parameters": [(half_the_network, "half of the network")],
}


def one_generator_per_layer(sizes, seed):
    return [(np.random.default_rng(seed).uniform(-1, 1, mn), np.zeros(mn[1])) for mn in pairwise(sizes)]


TOLD = {
    "mlp": [  # a draw cannot be repeated by another
        ((one_generator_per_layer, apply_recursively), "make one generator, before the loop"),
        ((lambda sizes, seed: init_he_uniform(sizes, 0), apply_recursively), "another seed gave the same weights"),
        ((lambda sizes, seed: init_he_uniform(sizes, None), apply_recursively), "the same seed gave other weights"),
    ],
    "principal_angles": [(angles_without_clipping, "clip it first")],  # which cosine is above 1 depends on the bases
}


HOSTILE = {
    "mlp": [(lambda sizes, seed: [(np.arange(m * n).reshape(m, n) + seed, np.zeros(n)) for m, n in pairwise(sizes)],
             tanh_on_the_output)],
    "principal_angles": [lambda A, B: np.arccos(np.clip(np.diag(np.linalg.qr(A)[0].T @ np.linalg.qr(B)[0]), -1, 1))],
    "count_parameters": [lambda sizes: (2837314, 24304)],
}  # fmt: skip


ANY_SIZE = "the exercise accepts initial weights of any size, as long as they are random"

EQUIVALENT = {
    "mlp": {
        "Div -> Mult in `rng.normal(size=(m, n)) / np.sqrt(m)`": ANY_SIZE,
        "sqrt -> square in `np.sqrt`": ANY_SIZE,
    },
}
