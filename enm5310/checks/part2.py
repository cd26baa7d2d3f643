"""Part 2, neural-network auto-encoders: exercises 2.1-2.6.

A network is a list of layers (W, b): hidden layers with an activation, the last one linear.  The two exercises that
train (2.4, 2.5) return such lists, and the check applies them itself: what a student reports about a network is no
evidence.  Sizes are never square (p, k, n all differ), so that no transposition goes unseen.
"""

from itertools import pairwise

import autograd.numpy
import numpy as np
from autograd import grad

from enm5310.checks import networks, panel
from enm5310.checks.answers import Wrong, close, fit, step_tolerance
from enm5310.checks.engine import exercise

progress = panel.of(__name__)

# -------------------- 2.1 --------------------


def _kind_of_layers(out):
    """Initial weights up to the draw: shapes, and whether a layer's weights are all the same number."""
    return [(np.shape(W), np.shape(b), bool(np.ptp(W) == 0)) for W, b in out]


INIT, APPLY = "mlp_init: one random (W, b) per layer", "mlp_apply: tanh between the layers, the last one linear"


@exercise(
    "2.1", of=("mlp_init", "mlp_apply"), slide=3, title="A network is a list of layers",
    answers=["enm5310.nets.init", "enm5310.nets.apply"], canon={"mlp_init": _kind_of_layers},
    parts={INIT: 1, APPLY: 1},
    hints=[
        "sizes = [64, 32, 2] has *two* layers, 64 -> 32 and 32 -> 2: `zip(sizes[:-1], sizes[1:])` gives all (m, n).",
        "Rows are samples: a layer maps X (N, m) to X W + b, so W has shape (m, n), and b one number per unit, (n,). "
        "Draw W from `np.random.default_rng(seed)`, scaled by 1 / sqrt(m); b may start at 0.",
        "In `mlp_apply`, loop over the layers: `X = X @ W + b`, followed by `X = np.tanh(X)` except after the last. "
        "For an empty list the loop does nothing, and X comes back as it was.",
    ],
)  # fmt: skip
def mlp(t):
    for widths in [[5, 4, 3], [3, 2], [2, 6, 5, 4]]:
        seed = int(t.rng.integers(10**6))
        with t.part(INIT): _expect_initial(t, widths, seed)
    with t.part(INIT): t("mlp_init", [4], int(t.rng.integers(10**6)), like=[])  # one width, no layer
    for n, widths in [(5, [3, 4, 2]), (1, [4, 6, 3, 2]), (7, [2, 3]), (3, [4])]:
        layers, X = networks.random_layers(t.rng, widths), t.rng.normal(size=(n, widths[0]))
        with t.part(APPLY): close(t("mlp_apply", layers, X, like=(n, widths[-1])), networks.row_by_row(layers, X))


def _expect_initial(t, widths, seed):
    like = {f"layer {i}": {"W": (m, n), "b": (n,)} for i, (m, n) in enumerate(pairwise(widths), 1)}
    first, again, other = (t("mlp_init", widths, s, like=like) for s in (seed, seed, seed + 1))
    for i, ((W, _), (W_again, _), (W_other, _)) in enumerate(zip(first, again, other, strict=True), 1):
        if np.ptp(W) == 0:
            raise Wrong(f"all weights of layer {i} are {W.flat[0]:g}: its units would compute and learn the same thing")
        if len(np.unique(W)) < W.size:
            raise Wrong(f"some weights of layer {i} are equal; draw every one of them at random")
        if not np.array_equal(W, W_again):
            raise Wrong(f"the same seed gave other weights; draw from np.random.default_rng(seed), seed = {seed}")
        if np.array_equal(W, W_other):
            raise Wrong("another seed gave the same weights; draw from np.random.default_rng(seed)")
    for i, ((W, _), (V, _)) in enumerate(pairwise(first), 1):
        n = min(W.size, V.size)  # 12 at least: independent draws never come near such a correlation
        if abs(np.corrcoef(W.ravel()[:n], V.ravel()[:n])[0, 1]) > 0.999:
            raise Wrong(f"layers {i} and {i + 1} hold the same numbers; make one generator, before the loop, for all")


def _initial(shape_W=lambda m, n: (m, n), shape_b=lambda m, n: n, widths=lambda sizes: sizes, draw=None):
    """A wrong initialisation: other shapes, other widths or other weights."""

    def wrong(sizes, seed):
        rng = np.random.default_rng(seed)
        return [((draw or rng.normal)(size=shape_W(m, n)), np.zeros(shape_b(m, n))) for m, n in pairwise(widths(sizes))]

    return wrong


def _constant(value):
    return lambda size: np.full(size, value)


def _mistake_in_init(say, **wrong):
    mlp.mistake(say)(_initial(**wrong))


_mistake_in_init("Your b has shape (1, n). X W + b hides it, its gradient will not: one bias per unit, shape (n,).",
                 shape_b=lambda m, n: (1, n))  # fmt: skip
_mistake_in_init("Your W has shape (n, m), outputs by inputs. Rows are samples here, X W + b, so W has shape (m, n).",
                 shape_W=lambda m, n: (n, m))  # fmt: skip
_mistake_in_init("Your b has one entry per input; there is one bias per unit of the layer, shape (n,).",
                 shape_b=lambda m, n: m)  # fmt: skip
for value in (0.0, 1.0):
    _mistake_in_init("All your weights are equal: the units of a layer then compute the same thing, get the same "
                     "gradient and stay equal for ever. Draw W at random.", draw=_constant(value))  # fmt: skip
_mistake_in_init("The first layer is missing: three widths need two layers, and the first takes the data.",
                 widths=lambda sizes: sizes[1:])  # fmt: skip
_mistake_in_init("The last layer is missing: the pairs are (sizes[0], sizes[1]), ..., up to the last width.",
                 widths=lambda sizes: sizes[:-1])  # fmt: skip


def _applied(layer=None, hidden=np.tanh, last=lambda a: a):
    """A wrong forward pass: another layer, another activation, or one on the output."""
    layer = layer or (lambda X, W, b: X @ W + b)

    def wrong(layers, X):
        for i, (W, b) in enumerate(layers, 1):
            X = layer(X, W, b)
            X = last(X) if i == len(layers) else hidden(X)
        return X

    return wrong


def _mistake_in_apply(say, **wrong):
    mlp.mistake(say, of="mlp_apply")(_applied(**wrong))


_mistake_in_apply("You applied tanh after the last layer too: the output is then boxed into (-1, 1). It stays linear.",
                  last=np.tanh)  # fmt: skip
_mistake_in_apply("There is no tanh between your layers: without it the whole network is one linear map.",
                  hidden=lambda a: a)  # fmt: skip
_mistake_in_apply("You left out the biases: a layer is X W + b.", layer=lambda X, W, b: X @ W)
_mistake_in_apply("You used the logistic function; here the hidden layers have tanh.",
                  hidden=networks.ACTIVATIONS["logistic"])  # fmt: skip
_mistake_in_apply("You used the ReLU; here the hidden layers have tanh.", hidden=networks.ACTIVATIONS["relu"])


@mlp.mistake("You activate before the layer, tanh(X) W + b: the data themselves go in as they are.", of="mlp_apply")
def _(layers, X):
    for W, b in layers:
        X = np.tanh(X) @ W + b
    return X


@mlp.mistake("You return the last hidden layer; the output is that times the last W, plus the last b.", of="mlp_apply")
def _(layers, X):
    for W, b in layers[:-1]:
        X = np.tanh(X @ W + b)
    return X


@mlp.mistake("Your last layer lacks its bias: without tanh, but with b, the output is X W + b.", of="mlp_apply")
def _(layers, X):
    for W, b in layers[:-1]:
        X = np.tanh(X @ W + b)
    return X @ layers[-1][0] if layers else X


@mlp.mistake("Only your first layer has a tanh; every layer has one, except the last.", of="mlp_apply")
def _(layers, X):
    for i, (W, b) in enumerate(layers):
        X = X @ W + b if i else np.tanh(X @ W + b)
    return X


# -------------------- 2.2 --------------------


@exercise(
    "2.2", of="linear_ae_gradient", slide=3, title="The gradient of the linear auto-encoder, by hand",
    answers=["enm5310.autoencoder.linear_gradient"], parts={"dE": 2, "dD": 2},
    hints=[
        "Name the pieces: codes Z = X E, residual R = Z D - X, loss L = (1/n) sum of R^2. First dL/dR = (2/n) R.",
        "For any product A B, a gradient G of the result gives G B' for A and A' G for B. Apply this to Z D, then X E.",
        "dD = (2/n) Z' R. For dE the error goes back through D first, dL/dZ = (2/n) R D', and then dE = X' dL/dZ. "
        "Shapes decide the rest: dE has that of E, dD that of D.",
    ],
)  # fmt: skip
def linear_ae_gradient(t):
    for n, p, k in [(3, 4, 2), (7, 5, 3), (6, 2, 1), (4, 6, 3)]:
        X = t.rng.normal(size=(n, p)) * np.arange(1, p + 1)
        X = X - sum(X) / n
        E, D = t.rng.normal(size=(p, k)) / np.sqrt(p), t.rng.normal(size=(k, p))
        dE, dD = t("linear_ae_gradient", E, D, X, like={"dE": (p, k), "dD": (k, p)})
        with t.part("dE"): close(dE, grad(_linear_loss, 0)(E, D, X))
        with t.part("dD"): close(dD, grad(_linear_loss, 1)(E, D, X))


def _linear_loss(E, D, X):
    """The slide's picture in one line, for autograd: (1/n) sum_i |x_i E D - x_i|^2."""
    return autograd.numpy.sum((X @ E @ D - X) ** 2) / len(X)


def _gradient(scale=lambda X: 2 / len(X), residual=lambda E, D, X: X @ E @ D - X, dE=None, dD=None):
    """A wrong gradient: another factor, another residual, another way back."""

    def wrong(E, D, X):
        R = scale(X) * residual(E, D, X)
        return (dE(E, D, X, R) if dE else X.T @ R @ D.T), (dD(E, D, X, R) if dD else E.T @ X.T @ R)

    return wrong


def _mistake_in_gradient(say, **wrong):
    linear_ae_gradient.mistake(say)(_gradient(**wrong))


_mistake_in_gradient("The factor 2 is missing: the derivative of R^2 is 2 R.", scale=lambda X: 1 / len(X))
_mistake_in_gradient("The factor 1/n is missing: the loss averages over the samples.", scale=lambda X: 2)
_mistake_in_gradient("The factor 2/n is missing: the square brings the 2, the average over samples the 1/n.",
                     scale=lambda X: 1)  # fmt: skip
_mistake_in_gradient("You divided by n p, the number of entries (np.mean): the loss sums over the features.",
                     scale=lambda X: 2 / X.size)  # fmt: skip
_mistake_in_gradient("You divided by p, the number of features: the loss averages over the n samples.",
                     scale=lambda X: 2 / X.shape[1])  # fmt: skip
_mistake_in_gradient("The sign is flipped: with R = X E D - X the gradient is +(2/n) ...; descent subtracts it.",
                     residual=lambda E, D, X: X - X @ E @ D)  # fmt: skip
_mistake_in_gradient("You forgot to subtract X: the residual is R = X E D - X.", residual=lambda E, D, X: X @ E @ D)
_mistake_in_gradient("Only the decoder learns: dE is zero. The error also goes back through D: dE = (2/n) X' R D'.",
                     dE=lambda E, D, X, R: np.zeros_like(E))  # fmt: skip
_mistake_in_gradient("Your dE sends the error back through E; it comes through the decoder: dE = (2/n) X' R D'.",
                     dE=lambda E, D, X, R: X.T @ R @ E)  # fmt: skip
_mistake_in_gradient("Your dE holds what belongs to dD as well, as if D were E'. E and D are free of each other here.",
                     dE=lambda E, D, X, R: X.T @ R @ D.T + R.T @ X @ E)  # fmt: skip
_mistake_in_gradient("You transposed both: dE has the shape of E, (p, k), and dD that of D, (k, p).",
                     dE=lambda E, D, X, R: (X.T @ R @ D.T).T, dD=lambda E, D, X, R: (E.T @ X.T @ R).T)  # fmt: skip
_mistake_in_gradient("You returned (dD, dE); the order is dE, then dD.",
                     dE=lambda E, D, X, R: E.T @ X.T @ R, dD=lambda E, D, X, R: X.T @ R @ D.T)  # fmt: skip
_mistake_in_gradient("Your dD meets the residual with D, not with the codes: dD = (2/n) (X E)' R.",
                     dD=lambda E, D, X, R: D @ X.T @ R)  # fmt: skip


# -------------------- 2.3 --------------------


def _to_four_decimals(out):
    """Angles up to the rounding of whatever route led to them, of which the arc cosine near 1 leaves 1e-8."""
    return np.round(np.asarray(out, float), 4)


@exercise(
    "2.3", of="principal_angles", slide=3, title="Do two sets of directions span the same plane?",
    answers=["enm5310.autoencoder.principal_angles"], canon=_to_four_decimals,
    parts={"known angles in any bases": 1, "the same space, and spaces at right angles": 1},
    hints=[
        "The columns of A are some basis. Make them orthonormal first, in the same space: `np.linalg.qr(A)[0]`.",
        "The largest u'v for unit vectors u in one space and v in the other is the first singular value of Q_A' Q_B, "
        "and the cosine of the smallest angle; the other singular values are the other cosines.",
        "`np.linalg.svd(QA.T @ QB, compute_uv=False)` gives the cosines, largest first. Rounding can make one "
        "1.0000000000000002, and arccos of that is NaN: take `np.minimum(cosines, 1)` first.",
    ],
)  # fmt: skip
def principal_angles(t):
    for p, k in [(5, 2), (3, 1), (9, 4), (6, 3)]:
        angles = np.sort(t.rng.uniform(0.1, 1.4, size=k))
        A, B = _spaces(t.rng, p, k, angles)
        with t.part("known angles in any bases"):
            _expect_angles(t("principal_angles", A, B, like=_angles_form(k)), angles)
    for p, k, angle in [*[(8, 4, 0.0)] * 8, (7, 3, np.pi / 2), (4, 2, np.pi / 2)]:
        with t.part("the same space, and spaces at right angles"):
            A, B = _spaces(t.rng, p, k, np.full(k, angle))
            _expect_angles(t("principal_angles", A, B, like=_angles_form(k)), np.full(k, angle))


def _angles_form(k):
    """k finite numbers; which cosine comes out above 1 depends on the bases, so NaN is explained here."""

    def fitted(out):
        try:
            return fit(out, (k,))
        except Wrong as why:
            raise Wrong(f"NaN. {ABOVE_ONE}" if "NaN" in str(why) else str(why)) from None

    return fitted


ABOVE_ONE = "Rounding made a cosine slightly larger than 1, and arccos is not defined there: clip it first."


def _spaces(rng, p, k, angles):
    """Two k-dimensional spaces of R^p at these principal angles, each given in a random basis of its own."""
    Q = np.linalg.qr(rng.normal(size=(p, 2 * k)))[0]
    A, beside = Q[:, :k], Q[:, k:]
    return _mixed(rng, A), _mixed(rng, A * np.cos(angles) + beside * np.sin(angles))


def _mixed(rng, Q):
    """Another basis of the same space: lengths from 1 to 3, none orthogonal to another."""
    k = Q.shape[1]
    turn = np.linalg.qr(rng.normal(size=(k, k)))[0]
    return Q @ turn @ (np.diag(rng.uniform(1, 3, size=k)) + 0.7 * np.triu(np.ones((k, k)), 1))


def _expect_angles(got, angles):
    """Up to 1e-6 rad: the arc cosine loses half of the digits near 0."""
    off = np.abs(got - angles)
    if np.max(off) > 1e-6:
        i = int(np.argmax(off))
        raise Wrong(f"angle {i + 1} of {len(angles)} is {angles[i]:.6f} rad, got {got[i]:.6f}; all, increasing, are "
                    f"{np.round(angles, 4).tolist()}")  # fmt: skip


def _angles(basis=lambda A: np.linalg.qr(A)[0], cosines=None, out=lambda c: np.arccos(np.minimum(c, 1))):
    """Wrong principal angles: another basis, other cosines, another last step."""

    def wrong(A, B):
        QA, QB = basis(A), basis(B)
        return out(cosines(QA, QB) if cosines else np.linalg.svd(QA.T @ QB, compute_uv=False))

    return wrong


def _unit_columns(A):
    return A / np.linalg.norm(A, axis=0)


def _mistake_in_angles(say, **wrong):
    principal_angles.mistake(say)(_angles(**wrong))


_mistake_in_angles(f"NaN. {ABOVE_ONE}", out=np.arccos)
for basis, out in [
    (_unit_columns, lambda c: np.arccos(np.clip(c, -1, 1))),
    (_unit_columns, lambda c: np.sort(np.arccos(np.clip(c, -1, 1)))),
    (lambda A: np.linalg.qr(A)[0], lambda c: np.arccos(np.clip(c, -1, 1))),
]:
    _mistake_in_angles("You compared column by column. Columns are one basis of many: the spaces meet in the singular "
                       "values of Q_A' Q_B.", basis=basis, cosines=lambda A, B: np.sum(A * B, axis=0),
                       out=out)  # fmt: skip
_mistake_in_angles("Unit columns are not enough, they must be at right angles to each other too: np.linalg.qr(A)[0].",
                   basis=_unit_columns)  # fmt: skip
_mistake_in_angles("A and B need orthonormal bases first: np.linalg.qr(A)[0]; a product A'B depends on lengths.",
                   basis=lambda A: A)  # fmt: skip
_mistake_in_angles("These are the cosines; the angles are their arc cosines.", out=lambda c: c)
_mistake_in_angles("These are the sines; the singular values are cosines, so take the arc cosine.",
                   out=lambda c: np.sqrt(np.maximum(1 - c**2, 0)))  # fmt: skip
_mistake_in_angles("You took the arc sine; the singular values of Q_A' Q_B are cosines.",
                   out=lambda c: np.arcsin(np.minimum(c, 1)))  # fmt: skip
_mistake_in_angles("These cosines are squared, like the eigenvalues of M'M for M = Q_A' Q_B: take the root first.",
                   out=lambda c: np.arccos(np.minimum(c**2, 1)))  # fmt: skip
_mistake_in_angles("These are degrees; angles are in radians here.",
                   out=lambda c: np.rad2deg(np.arccos(np.minimum(c, 1))))  # fmt: skip
_mistake_in_angles("The order is the other way round: increasing, the smallest angle first.",
                   out=lambda c: np.arccos(np.minimum(c, 1))[::-1])  # fmt: skip


# -------------------- 2.4 --------------------

MOMENTS, THETA = "adam_step: m and v", "adam_step: theta"
FLOOR, PLANE = "train_linear_ae: loss within 1 % of PCA's", "train_linear_ae: PCA's subspace"
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


@exercise(
    "2.4", of=("adam_step", "train_linear_ae"), slide=3, title="Train a linear auto-encoder",
    answers=["enm5310.optimize.adam", "enm5310.optimize.adam_in_place", "enm5310.autoencoder.fit_linear"], slow=True,
    parts={MOMENTS: 1, THETA: 1, FLOOR: 1, PLANE: 1},
    hints=[
        "Adam is the five lines of the formula, in their order. m and v are running averages; t counts from 1. Return "
        "m and v as they are, without the correction, which is only for the update of theta.",
        "Centre first: mean = X.mean(axis=0). Train E and D on X - mean with the gradient of 2.2, from small random "
        "weights, one adam_step for each of them per iteration: each has an m and a v of its own.",
        "At the end put the mean into the biases: the code of x is (x - mean) E = x E + b with b = -mean E, and "
        "decoding adds the mean, c = mean. Loss still too high? More steps, or let lr fall: lr * (1 - step / steps).",
    ],
)  # fmt: skip
def linear_ae(t):
    for shape, size in [((3, 2), 1.0), ((4,), 1.0), ((2, 5), 1e-8), ((3,), 1e-8)]:  # at 1e-8 the eps shows where it is
        _adam_step(t, shape, size)
    for n, p, k in [(60, 5, 2), (90, 7, 3)]:
        X, seed = _cloud(t.rng, n, p, k), int(t.rng.integers(10**6))
        like = {"encoder": networks.layers_of(p, k), "decoder": networks.layers_of(k, p)}
        net = networks.trained(t, (FLOOR, PLANE), "train_linear_ae", X, k, seed, like=like)
        if net:
            with t.part(FLOOR): _expect_floor(X, k, *net)
            with t.part(PLANE): _expect_plane(X, k, *net)


def _adam_step(t, shape, size):
    theta, g, m = (scale * t.rng.normal(size=shape) for scale in (1, size, size))
    v, lr = size**2 * t.rng.uniform(0.5, 2, size=shape), float(t.rng.uniform(0.01, 0.1))
    for step, past in [(1, 0.0), (int(t.rng.integers(2, 9)), 1.0)]:  # the first step, and a later one
        _one_step(t, theta, g, past * m, past * v, step, lr)


def _one_step(t, theta, g, m, v, step, lr):
    like = {name: g.shape for name in ("theta", "m", "v")}
    new, m_new, v_new = t("adam_step", theta, g, m, v, step, lr, like=like)
    with t.part(MOMENTS):
        close(m_new, m + (1 - BETA1) * (g - m))
        close(v_new, v + (1 - BETA2) * (g * g - v))
    m_hat = (BETA1 * m + (1 - BETA1) * g) / (1 - BETA1**step)
    v_hat = (BETA2 * v + (1 - BETA2) * g * g) / (1 - BETA2**step)
    change = -m_hat / (np.sqrt(v_hat) + EPS)
    with t.part(THETA): close((new - theta) / lr, change, rtol=step_tolerance(new, change, lr))


def _cloud(rng, n, p, k):
    """n points of R^p around a far mean: k directions of large variance, clearly above the others."""
    scales = np.concatenate([np.linspace(3, 2, k), np.linspace(0.6, 0.4, p - k)])
    Q = np.linalg.qr(rng.normal(size=(p, p)))[0]
    return (rng.normal(size=(n, p)) * scales) @ Q.T + rng.choice([-4.0, 5.0], size=p)


def _linear(layers, X):
    for W, b in layers:
        X = X @ W + b
    return X


def _expect_floor(X, k, encoder, decoder):
    R = _linear(decoder, _linear(encoder, X)) - X
    loss, lam = np.mean(np.sum(R**2, axis=1)), np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    networks.finite(loss)
    told = f"the loss of your network is {loss:.4g}, PCA's with {k} components {sum(lam[k:]):.4g}"
    if loss <= 1.01 * sum(lam[k:]):
        return
    if not any(np.any(b) for _, b in (*encoder, *decoder)):
        raise Wrong(f"{told}; all your biases are 0, but X is not centred: b = -mean E and c = mean")
    if np.sum(np.mean(R, axis=0) ** 2) > 0.5 * loss:
        raise Wrong(f"{told}; most of it is a constant shift: the biases are to be b = -mean E and c = mean")
    if loss >= 0.99 * sum(lam):
        raise Wrong(f"{told}, and the mean alone has {sum(lam):.4g}: nothing was learned")
    kept = np.linalg.matrix_rank(_linear(encoder, X) - _linear(encoder, X[:1]), tol=1e-3 * np.sqrt(len(X)))
    raise Wrong(told + (f"; your codes use {kept} of their {k} dimensions" if kept < k else
                        "; train on, or lower the learning rate towards the end"))  # fmt: skip


def _expect_plane(X, k, encoder, decoder):
    """The largest principal angle between what the decoder can draw and the k leading eigenvectors of C."""
    D = _linear(decoder, np.eye(k)) - _linear(decoder, np.zeros((1, k)))
    networks.finite(np.sum(D**2))
    if np.linalg.matrix_rank(D, tol=1e-6 * np.linalg.norm(D)) < k:
        raise Wrong(f"your decoder spans fewer than {k} dimensions")
    U = np.linalg.eigh(np.cov(X.T, bias=True))[1][:, -k:]
    missed = np.linalg.svd(np.linalg.qr(D.T)[0].T @ (np.eye(len(U)) - U @ U.T), compute_uv=False)  # sines
    angle = float(np.arcsin(min(1.0, np.max(missed))))
    if angle >= 0.05:
        raise Wrong(f"the largest angle between your decoder's space and PCA's is {angle:.3f} rad; want less than 0.05")


def _adam(beta1=BETA1, beta2=BETA2, square=lambda g: g * g, update=None, corrected=False, t0=0):
    """A wrong step of Adam: other decays, another second moment, another update, or corrected moments returned."""
    update = update or (lambda m_hat, v_hat, m, v: -m_hat / (np.sqrt(v_hat) + EPS))

    def wrong(theta, g, m, v, t, lr):
        m, v, t = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * square(g), t + t0
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return (theta + lr * update(m_hat, v_hat, m, v), *((m_hat, v_hat) if corrected else (m, v)))

    return wrong


def _mistake_in_adam(say, **wrong):
    linear_ae.mistake(say)(_adam(**wrong))


_mistake_in_adam("The correction is missing: m and v start at 0 and are too small at first; divide by 1 - beta^t.",
                 update=lambda m_hat, v_hat, m, v: -m / (np.sqrt(v) + EPS))  # fmt: skip
_mistake_in_adam("You returned the corrected moments. The next step needs m and v themselves, without the correction.",
                 corrected=True)  # fmt: skip
_mistake_in_adam("You counted t from 0 and added 1: the t that is handed in counts from 1 already.", t0=1)
_mistake_in_adam("You swapped the decays: beta1 = 0.9 belongs to m, beta2 = 0.999 to v.", beta1=BETA2, beta2=BETA1)
_mistake_in_adam("You went uphill: Adam minimises, so theta moves against m_hat.",
                 update=lambda m_hat, v_hat, m, v: m_hat / (np.sqrt(v_hat) + EPS))  # fmt: skip
_mistake_in_adam("The root is missing: the step is m_hat / (sqrt(v_hat) + eps).",
                 update=lambda m_hat, v_hat, m, v: -m_hat / (v_hat + EPS))  # fmt: skip
_mistake_in_adam("You put eps under the root; it is added after it, sqrt(v_hat) + eps.",
                 update=lambda m_hat, v_hat, m, v: -m_hat / np.sqrt(v_hat + EPS))  # fmt: skip
_mistake_in_adam("v averages the *squared* gradient; you averaged its size.", square=np.abs)
_mistake_in_adam("v averages the *squared* gradient; you averaged the gradient.", square=lambda g: g)
_mistake_in_adam("This is momentum alone: Adam divides m_hat by sqrt(v_hat) + eps.",
                 update=lambda m_hat, v_hat, m, v: -m_hat)  # fmt: skip
_mistake_in_adam("eps is missing: the step is m_hat / (sqrt(v_hat) + eps), which is finite where v_hat is 0.",
                 update=lambda m_hat, v_hat, m, v: -m_hat / np.sqrt(v_hat))  # fmt: skip
_mistake_in_adam("You corrected m only; v starts at 0 as well, so divide it by 1 - beta2^t.",
                 update=lambda m_hat, v_hat, m, v: -m_hat / (np.sqrt(v) + EPS))  # fmt: skip
_mistake_in_adam("You added eps to sqrt(v) and corrected afterwards; here eps is added to sqrt(v_hat).",
                 update=lambda m_hat, v_hat, m, v: -m_hat * np.sqrt(v / v_hat) / (np.sqrt(v) + EPS))  # fmt: skip


@linear_ae.mistake("You updated theta with the old m and v; renew them first, with this step's gradient.")
def _(theta, g, m, v, t, lr):
    m_hat, v_hat = m / (1 - BETA1**t), v / (1 - BETA2**t)
    return theta - lr * m_hat / (np.sqrt(v_hat) + EPS), BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g


@linear_ae.mistake("The factors 1 - beta are missing: m and v are averages, beta m + (1 - beta) g.")
def _(theta, g, m, v, t, lr):
    m, v = BETA1 * m + g, BETA2 * v + g * g
    return theta - lr * m / (1 - BETA1**t) / (np.sqrt(v / (1 - BETA2**t)) + EPS), m, v


# -------------------- 2.5 --------------------

LINEAR, HIDDEN = "ae_loss: summed over pixels, averaged over images", "ae_loss: tanh in the hidden layers only"
BETTER, BENT = "train_ae: test error at most 0.9 of PCA's", "train_ae: test error below 2.6"
LIMIT = 2.6  # of the squared error per test image; PCA with two components has 3.2 to 3.5, depending on the split


@exercise(
    "2.5", of=("ae_loss", "train_ae"), slide=3, title="Bend the plane: a deep auto-encoder",
    answers=["enm5310.autoencoder.loss", "enm5310.autoencoder.fit", "enm5310.training.fit"], slow=True,
    parts={LINEAR: 1, HIDDEN: 1, BETTER: 1, BENT: 1},
    hints=[
        "Encoder and decoder are two networks as in 2.1: tanh after each layer except the last one, of *both*. So code "
        "and output are linear. Then square the difference, sum over the pixels, average over the images.",
        "autograd differentiates `lambda params: ae_loss(*params, X[rows])`, params = (encoder, decoder), and "
        "`autograd.misc.optimizers.adam(gradient, params, num_iters=..., step_size=...)` minimises: it calls "
        "gradient(params, i) with the number i of the step, so that each step can take its own rows.",
        "Encoder 64-50-25-2, decoder mirrored, W scaled by 1 / sqrt(inputs), b = 0, 100 random images per step, 1,500 "
        "steps of size 0.01: a few seconds, and a test error near 2.2.",
    ],
)  # fmt: skip
def autoencoder(t):
    for words, n, widths in [
        (LINEAR, 4, [5, 2]), (LINEAR, 1, [4, 3]), (HIDDEN, 5, [6, 4, 2]), (HIDDEN, 7, [3, 5, 4, 2]),
    ]:  # fmt: skip
        encoder, decoder = networks.random_layers(t.rng, widths), networks.random_layers(t.rng, widths[::-1])
        X = t.rng.normal(size=(n, widths[0]))
        R = networks.row_by_row(decoder, networks.row_by_row(encoder, X)) - X
        with t.part(words): close(t("ae_loss", encoder, decoder, X, like=()), sum(r @ r for r in R) / n)
    train, test = _turned_digits(t.rng)
    like = {"encoder": networks.layers_of(64, 2), "decoder": networks.layers_of(2, 64), "activation": str}
    net = networks.trained(t, (BETTER, BENT), "train_ae", train, int(t.rng.integers(10**6)), like=like)
    if net:
        plane = _pca_error(train, test)
        with t.part(BETTER): _expect_error(0.9 * plane, plane, train, test, *net)
        with t.part(BENT): _expect_error(LIMIT, plane, train, test, *net)


def _turned_digits(rng):
    """1,500 images to train on and 297 to test, shuffled, on axes turned at random.

    No distance changes, so errors mean what they meant; and weights trained elsewhere are of no use.
    """
    X = networks.digits()[rng.permutation(1797)] @ np.linalg.qr(rng.normal(size=(64, 64)))[0]
    return X[:1500], X[1500:]


def _pca_error(train, test):
    """Squared error per test image of the best plane for the training images."""
    mean = np.mean(train, axis=0)
    U = np.linalg.eigh(np.cov(train.T, bias=True))[1][:, -2:]
    return np.sum((test - mean) ** 2) / len(test) - np.sum(((test - mean) @ U) ** 2) / len(test)


def _expect_error(limit, plane, train, test, encoder, decoder, activation):
    """Squared error per test image: the decoder sees nothing but the code, two numbers per image."""
    if activation not in networks.ACTIVATIONS:
        raise Wrong(f"the activation {activation[:20]!r} is not known; want one of {', '.join(networks.ACTIVATIONS)}")
    R = networks.apply(decoder, networks.apply(encoder, test, activation), activation) - test
    error = np.mean(np.sum(R**2, axis=1))
    networks.finite(error, networks.apply(encoder, train, activation))
    if error > limit:
        told = f"test error {error:.3f}, want at most {limit:.3f} (PCA with two numbers: {plane:.3f})"
        raise Wrong(f"{told}; {_symptom(error, train, test, encoder, decoder, activation)}")


def _symptom(error, train, test, encoder, decoder, activation):
    """What to look at, given a network whose test error is too large."""
    mean_image = np.mean(np.sum((test - np.mean(train, axis=0)) ** 2, axis=1))
    if error > 0.97 * mean_image:
        return f"the mean image alone has {mean_image:.3f}: nothing was learned (too few steps, or steps too large)"
    codes = networks.apply(encoder, train, activation)
    s = np.linalg.svd(codes - np.mean(codes, axis=0), compute_uv=False)
    if s[1] < 0.02 * s[0]:
        return "your two code numbers move together, along one line: the second is not used"
    if len(encoder) == 1 and len(decoder) == 1:
        return "without hidden layers the network is linear, and no linear network beats PCA"
    return "train longer, or with more hidden units"


def _ae(hidden=np.tanh, code=lambda z: z, output=lambda x: x, error=None):
    """A wrong loss: other activations, or another way to add the errors up."""
    error = error or (lambda R: np.sum(R**2) / len(R))

    def wrong(encoder, decoder, X):
        Z = _applied(hidden=hidden, last=code)(encoder, X)
        return error(_applied(hidden=hidden, last=output)(decoder, Z) - X)

    return wrong


def _mistake_in_loss(say, **wrong):
    autoencoder.mistake(say)(_ae(**wrong))


_mistake_in_loss("You applied tanh to the code: it is then boxed into a square. The code layer is linear.",
                 code=np.tanh)  # fmt: skip
_mistake_in_loss("You applied tanh to the output: the last layer of the decoder is linear.", output=np.tanh)
_mistake_in_loss("You applied tanh to the code and to the output: the last layer of each network is linear.",
                 code=np.tanh, output=np.tanh)  # fmt: skip
_mistake_in_loss("There is no tanh in your hidden layers: the whole auto-encoder is then linear, and at best PCA.",
                 hidden=lambda a: a)  # fmt: skip
_mistake_in_loss("You used the logistic function in the hidden layers; in `ae_loss` they have tanh.",
                 hidden=networks.ACTIVATIONS["logistic"])  # fmt: skip
_mistake_in_loss("You used the ReLU in the hidden layers; in `ae_loss` they have tanh.",
                 hidden=networks.ACTIVATIONS["relu"])  # fmt: skip
_mistake_in_loss("You applied the logistic function to the output, as the lecture's network does; here it is linear.",
                 output=networks.ACTIVATIONS["logistic"])  # fmt: skip
_mistake_in_loss("You halved the loss; here it is the squared distance itself, without a factor 1/2.",
                 error=lambda R: np.sum(R**2) / len(R) / 2)  # fmt: skip
_mistake_in_loss("You averaged over the pixels as well (np.mean): the error of an image is summed over its pixels.",
                 error=lambda R: np.mean(R**2))  # fmt: skip
_mistake_in_loss("You summed over the images: divide by their number n.", error=lambda R: np.sum(R**2))
_mistake_in_loss("You took a root: the loss is the *squared* distance.",
                 error=lambda R: np.sqrt(np.sum(R**2) / len(R)))  # fmt: skip
_mistake_in_loss("You averaged distances: square them, without a root, before you average.",
                 error=lambda R: np.mean(np.sqrt(np.sum(R**2, axis=1))))  # fmt: skip
_mistake_in_loss("You summed over the images and averaged over the pixels; it is the other way round.",
                 error=lambda R: np.sum(np.mean(R**2, axis=1)))  # fmt: skip


# -------------------- 2.6 --------------------


@exercise(
    "2.6", of="count_parameters", slide=3, title="What is compared with what: counting parameters",
    parts={"auto-encoder": 1, "PCA": 1},
    hints=[
        "A layer from m units to n holds a W of m n numbers and a b of n: (m + 1) n in all.",
        "The decoder goes through the same widths backwards, so its layers are n -> m: (n + 1) m numbers each.",
        "PCA with k components stores the mean, p numbers, and U, p k numbers. p = sizes[0], k = sizes[-1].",
    ],
)  # fmt: skip
def count_parameters(t):
    for depth in (1, 2, 3, 4):
        sizes = [int(m) for m in np.sort(t.rng.choice(np.arange(2, 400), size=depth + 1, replace=False))[::-1]]
        numbers, components = t("count_parameters", sizes, like={"auto-encoder": int, "PCA": int})
        layers = [(np.zeros((m, n)), np.zeros(n)) for m, n in pairwise([*sizes, *sizes[-2::-1]])]
        with t.part("auto-encoder"): _expect_count(numbers, sum(W.size + b.size for W, b in layers), sizes)
        with t.part("PCA"): _expect_count(components, (1 + sizes[-1]) * sizes[0], sizes)


def _expect_count(got, wanted, sizes):
    if got != wanted:
        widths = "-".join(map(str, sizes))
        raise Wrong(f"{wanted:,} numbers for an encoder {widths}, got {got:,}")


def _counts(layer=lambda m, n: (m + 1) * n, pca=lambda p, k: p * k + p, decoder=True):
    """Wrong counts: other layers, another PCA, or half of the network."""

    def wrong(sizes):
        pairs = list(pairwise(sizes))
        pairs += [(n, m) for m, n in pairs] if decoder else []
        return sum(layer(m, n) for m, n in pairs), pca(sizes[0], sizes[-1])

    return wrong


def _mistake_in_count(say, **wrong):
    count_parameters.mistake(say)(_counts(**wrong))


_mistake_in_count("You counted half of the network: the decoder has as many layers as the encoder.", decoder=False)
_mistake_in_count("You forgot the biases: a layer from m units to n has m n weights and n biases.",
                  layer=lambda m, n: m * n)  # fmt: skip
_mistake_in_count("PCA stores its mean too, p more numbers: without it nothing can be encoded or decoded.",
                  pca=lambda p, k: p * k)  # fmt: skip
_mistake_in_count("PCA decodes with the same U that it encodes with: count it once.", pca=lambda p, k: 2 * p * k + p)
_mistake_in_count("PCA needs no variances to encode and decode: the mean and U are enough.",
                  pca=lambda p, k: p * k + p + k)  # fmt: skip
_mistake_in_count("PCA's mean has one number per feature, p; you counted one per component.",
                  pca=lambda p, k: p * k + k)  # fmt: skip


@count_parameters.mistake("You doubled the encoder. The decoder has as many weights, but its biases sit on the other "
                          "side: a layer n -> m has m of them.")  # fmt: skip
def _(sizes):
    return 2 * sum((m + 1) * n for m, n in pairwise(sizes)), sizes[0] * (sizes[-1] + 1)


@count_parameters.mistake("You counted a layer from the code to the code. On the way back its width is not repeated.")
def _(sizes):
    return sum((m + 1) * n for m, n in pairwise([*sizes, *sizes[::-1]])), sizes[0] * (sizes[-1] + 1)
