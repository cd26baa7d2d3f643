"""Neural networks as data (slide 3): a network is a list of layers (W, b), and a function applies it.

The building blocks of the auto-encoders: activations that are stable at any input and differentiable in both modes of
autograd to any order, the multilayer perceptron, and its gradient written by hand (plain NumPy, no autograd needed).
"""

from itertools import pairwise

import autograd.numpy as np
from autograd.builtins import isinstance  # sees a list in the list that `grad` passes
from autograd.extend import defjvp, defvjp, primitive

from enm5310.distributions import sigmoid, softplus
from enm5310.fused import affine

# -------------------- activations: sigmoid, softplus and --------------------


@primitive
def relu(x):
    """max(x, 0), elementwise; its slope at 0 is taken as 0."""
    return np.maximum(x, 0)


@primitive
def tanh(x):
    """(e^x - e^-x) / (e^x + e^-x), elementwise."""
    return np.tanh(x)


def identity(x):
    """x itself: the activation of a linear layer."""
    return x


defvjp(relu, lambda ans, x: lambda g: g * (x > 0))
defjvp(relu, lambda g, ans, x: g * (x > 0))
defvjp(tanh, lambda h, x: lambda g: g * (1 - h * h))  # by rule: autograd divides by cosh^2, which overflows in float32
defjvp(tanh, lambda g, h, x: g * (1 - h * h))

# The slope of each activation from its value h = f(x), so the backward pass need not keep x.
_SLOPE = {
    sigmoid: lambda h: h * (1 - h),
    softplus: lambda h: -np.expm1(-h),  # sigmoid(x) = 1 - e^-softplus(x)
    relu: lambda h: h > 0,
    tanh: lambda h: 1 - h * h,
    identity: np.ones_like,
}

# -------------------- multilayer perceptron --------------------


def init(sizes, rng, dtype=np.float64):
    """Layers (W, b) for widths sizes = [p, h_1, ..., k]: W ~ N(0, 2 / (in + out)), shape (in, out), and b = 0, (out,).

    One width gives the empty list, the identity network.  Raises ValueError when a width is not a positive integer.
    Source: Glorot & Bengio (2010), equation 12.
    """
    if not len(sizes) or any(m != int(m) or m < 1 for m in sizes):
        raise ValueError(f"sizes is {list(sizes)}; give the width of every layer, input first, such as [64, 32, 2]")
    return [_layer(m, n, rng, dtype) for m, n in pairwise(sizes)]


def _layer(m, n, rng, dtype):
    W = rng.standard_normal((m, n)) * np.sqrt(2 / (m + n))
    return W.astype(dtype), np.zeros(n, dtype)  # b of shape (n,), one per unit


def apply(params, X, activation=tanh):
    """f(... f(X W_1 + b_1) ...) W_L + b_L for X (..., p), shape (..., k): no activation after the last layer.

    No layers: X itself.  Raises ValueError when X does not have the p columns that W_1 has rows.
    """
    return forward(params, X, activation)[-1]


def forward(params, X, activation=tanh):
    """[X, h_1, ..., h_{L-1}, output]: what every layer of `apply` puts out, as the backward pass needs it."""
    if params and np.shape(X)[-1:] != np.shape(params[0][0])[:1]:
        raise ValueError(f"the network takes {len(params[0][0])} features and X has shape {np.shape(X)}: want (..., p)")
    outputs = [X]
    for i, (W, b) in enumerate(params, 1):
        A = affine(outputs[-1], W, b)  # (..., m) (m, n) + (n,)
        outputs.append(A if i == len(params) else activation(A))  # the last layer is linear
    return outputs


def backward(params, outputs, G, activation=tanh, to_input=True):
    """Gradients of a scalar by back-propagation: layers (dW, db) like params, and d/dX, from G = d/d(output), (n, k).

    outputs is what `forward` gave for X (n, p).  Plain matrix products: dW = h^T G, db = sum_i G_i, G <- (G W^T) f'.
    to_input=False saves the last product: None in place of d/dX.  Source: Rumelhart, Hinton & Williams (1986).
    """
    layers = []
    for (W, _), h in zip(params[::-1], outputs[-2::-1], strict=True):
        layers.append((h.T @ G, np.sum(G, axis=0)))
        if h is not outputs[0]:
            G = (G @ W.T) * _SLOPE[activation](h)
        elif to_input:  # the input has no activation to go back through
            G = G @ W.T
    return layers[::-1], G if to_input else None


# -------------------- parameters --------------------


def count(params):
    """How many numbers a nested list, tuple or dict of arrays holds: sum over layers of in x out + out."""
    return sum(np.size(a) for a in leaves(params))


def leaves(params):
    """The arrays of a nested list, tuple or dict, in order."""
    if not isinstance(params, (list, tuple, dict)):
        return [params]
    return [a for part in (params.values() if isinstance(params, dict) else params) for a in leaves(part)]


def tree_map(f, params, *others):
    """f(a, b, ...) for every array a of params and the arrays b, ... at its place in the others, nested like params."""
    if isinstance(params, dict):
        return {key: tree_map(f, params[key], *(other[key] for other in others)) for key in params}
    if isinstance(params, (list, tuple)):
        parts = [tree_map(f, *part) for part in zip(params, *others, strict=True)]
        return parts if isinstance(params, list) else _same_tuple(params, parts)
    return f(params, *others)


def _same_tuple(params, parts):
    return type(params)(*parts) if hasattr(params, "_fields") else tuple(parts)  # a NamedTuple takes its fields apart


def flatten(params):
    """All numbers of params as one vector, in the order of `leaves`."""
    return np.concatenate([np.ravel(a) for a in leaves(params)] or [np.zeros(0)])


def unflatten(vector, like):
    """The numbers of the vector as arrays of the shapes and the nesting of `like`; undoes `flatten`.

    Raises ValueError when the vector has not exactly as many numbers as `like`.
    """
    if np.shape(vector) != (count(like),):
        raise ValueError(f"the vector has shape {np.shape(vector)}; these parameters hold {count(like)} numbers")
    ends = iter(np.cumsum([np.size(a) for a in leaves(like)]))
    return tree_map(lambda a: np.reshape(vector[(end := next(ends)) - np.size(a) : end], np.shape(a)), like)
