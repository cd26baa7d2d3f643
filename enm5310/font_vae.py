"""A VAE of whole alphabets (slide 10): a face is one sample x, all its letters, and the code z is its style.

Both networks see every letter through weights that the letters share (strokes: pixels to features and back) and through
weights of the letter's own (what this style does to an A).  A decoder fed with z and a one-hot letter, as the article's
demonstration has it, shares all weights but one row; after as many epochs, and about as long, the error with which it
rebuilds and edits families that it has not seen is larger (`python -m tests.benchmarks fonts`).

Pictures are images (n, C, size, size) in [0, 1]; `letters` picks some of the C, for fonts that lack the others.
Source: Carter & Nielsen, Using artificial intelligence to augment human intelligence, Distill (2017).
"""

from typing import NamedTuple

import autograd.numpy as np
import numpy as onp

from enm5310 import training
from enm5310.distributions import sigmoid
from enm5310.fused import kl_standard_normal
from enm5310.likelihoods import bernoulli
from enm5310.nets import relu
from enm5310.vae import Elbo, reparametrise


class Encoder(NamedTuple):
    """x -> relu(x_c W_in + b_in,c) -> relu(C average over letters of (. W_read,c) + b_read) -> mean, logvar."""

    W_in: onp.ndarray  # (p, h), shared by the letters
    b_in: onp.ndarray  # (C, h)
    W_read: onp.ndarray  # (C, h, g)
    b_read: onp.ndarray  # (g,)
    W_head: onp.ndarray  # (g, 2 k)
    b_head: onp.ndarray  # (2 k,)


class Decoder(NamedTuple):
    """z -> relu(z W_letter,c + b_letter,c) -> . W_out + b_out,c: logits of letter c; b_out is the average letter."""

    W_letter: onp.ndarray  # (C, k, h)
    b_letter: onp.ndarray  # (C, h)
    W_out: onp.ndarray  # (h, p), shared by the letters
    b_out: onp.ndarray  # (C, p)


def init(images, k, rng, hidden=256, read=64, dtype=onp.float32):
    """(Encoder, Decoder) with k latents, for the letters and the size of images, whose averages are the start."""
    X = letter_major(images)  # (C, n, p)
    average = X.mean(axis=1)
    C, p = average.shape

    def normal(*shape, fan):
        return (rng.standard_normal(shape) * fan**-0.5).astype(dtype)

    W_in = normal(p, hidden, fan=(p + hidden) / 2)
    encoder = Encoder(
        W_in, (-average @ W_in).astype(dtype), normal(C, hidden, read, fan=C * hidden / 2), onp.zeros(read, dtype),
        normal(read, 2 * k, fan=25 * read), onp.zeros(2 * k, dtype),
    )  # fmt: skip
    decoder = Decoder(
        normal(C, k, hidden, fan=k / 3), 0.3 * rng.random((C, hidden), dtype), normal(hidden, p, fan=5 * (hidden + p)),
        onp.log((0.01 + 0.98 * average) / (0.99 - 0.98 * average)).astype(dtype),  # their logits
    )  # fmt: skip
    return encoder, decoder


# -------------------- the model --------------------


def encode(params, images, letters=None):
    """mean and logvar of q(z | x), each (n, k), from those letters that images (n, len(letters), ...) show."""
    letters = _letters(params, images, letters)
    return _heads(_up(params[0], letter_major(images), letters)[-1])


def decode(params, Z, letters=None):
    """Logits of the letters, (n, len(letters), p), for codes Z (n, k); all letters by default."""
    letters = np.arange(len(params[1].b_out)) if letters is None else letters
    return np.swapaxes(down(params[1], Z, letters)[-1], 0, 1)


def decode_mean(params, Z, letters=None):
    """Pictures in [0, 1], (n, len(letters), size, size), for codes Z (n, k)."""
    return _square(sigmoid(decode(params, Z, letters)))


def elbo(params, images, eps, letters=None, beta=1.0):
    """rec - beta KL of every face, eps (n, k): log p(x | z) is that of a Bernoulli, of all letters.

    From s letters out of C, rec is their sum times C / s: over random choices of letters its mean is that of all.
    """
    letters = _letters(params, images, letters)
    mean, logvar = encode(params, images, letters)
    logits = np.swapaxes(decode(params, reparametrise(mean, logvar, eps), letters), 0, 1)
    rec = np.sum(bernoulli.log_p(letter_major(images), logits), axis=0) * (len(params[1].b_out) / len(letters))
    kl = kl_standard_normal(mean, logvar)
    return Elbo(rec - beta * kl, rec, kl)


def by_hand(params, images, eps, letters=None, beta=1.0):
    """`elbo` and the gradient of its average over the faces, nested like params: back-propagation, plain NumPy."""
    encoder, decoder = params
    letters, X = _letters(params, images, letters), letter_major(images)
    (s, n, p), weight = X.shape, len(decoder.b_out) / len(letters)
    up = _up(encoder, X, letters)
    mean, logvar = _heads(up[-1])
    sigma = onp.exp(logvar / 2)
    outputs = down(decoder, mean + sigma * eps, letters)
    rec, slope = bernoulli.log_p_and_slope(X.reshape(s * n, p), outputs[-1].reshape(s * n, p))
    rec, kl = rec.reshape(s, n).sum(axis=0) * weight, kl_standard_normal(mean, logvar)

    d_decoder, dz = back_down(decoder, outputs, slope.reshape(s, n, p) * (weight / n), letters)
    d_mean = dz - beta / n * mean
    d_logvar = dz * eps * sigma / 2 - beta / n * onp.expm1(logvar) / 2
    d_encoder = _back_up(encoder, up, onp.concatenate([d_mean, d_logvar], axis=1), letters)
    return Elbo(rec - beta * kl, rec, kl), (d_encoder, d_decoder)


def fit(
    images, rng, k=32, epochs=120, size=27, letters=20, lr=5e-3, beta=1.0, hidden=256, read=64, params=None,
    callback=None,
):  # fmt: skip
    """Maximise the average `elbo` of images (n, C, ...) by Adam; a Run, its params made `standardise`d, in float32.

    A step sees `size` faces and some `letters` of them, drawn anew; lr falls to 0 over the second half.  params: where
    to go on from, instead of `init`.
    Raises ValueError when the pictures are not in [0, 1].
    """
    images = onp.asarray(images, onp.float32)
    if images.ndim != 4 or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"images has shape {images.shape}; want (n, C, size, size) with grey levels in [0, 1], no NaN")
    params = init(images, k, rng, hidden, read) if params is None else params
    (n, C), k = images.shape[:2], params[1].W_letter.shape[1]
    steps = epochs * -(-n // size)

    def value_and_gradient(params, i, t):
        some = onp.sort(rng.permutation(C)[:letters])
        eps = rng.standard_normal((len(i), k), onp.float32)
        now, gradient = by_hand(params, images[onp.ix_(i, some)], eps, some, beta)
        return -onp.mean(now.elbo), gradient

    told = callback and (lambda t, params, value: callback(t, params, -value))
    schedule = lambda t: lr * min(1.0, 2 * (1 - t / steps))  # noqa: E731
    run = training.fit(value_and_gradient, params, n, rng, epochs, size, schedule, told, uphill=True)
    return run._replace(params=standardise(run.params, images), values=-run.values)


def standardise(params, images):
    """The same pictures from codes with average 0 and E[mean^2 + sigma^2] = 1 in every latent: no other has a lower KL.

    z_j = shift_j + scale_j z'_j, undone by the decoder's first weights.  The KL of a latent depends on its scale a as
    a^2 E[mean^2 + sigma^2] / 2 - log a, which is lowest where that product is 1; and on its shift, where the average
    of the means is 0.  So the codes are spread as the prior says.
    """
    (encoder, decoder), (mean, logvar) = params, encode(params, images)
    shift = mean.mean(axis=0)
    scale = onp.sqrt(onp.mean((mean - shift) ** 2 + onp.exp(logvar), axis=0))
    k = len(scale)
    W, b = encoder.W_head.copy(), encoder.b_head.copy()
    W[:, :k] /= scale
    b[:k] = (b[:k] - shift) / scale
    b[k:] -= 2 * onp.log(scale)
    return encoder._replace(W_head=W, b_head=b), decoder._replace(
        W_letter=decoder.W_letter * scale[:, None], b_letter=decoder.b_letter + shift @ decoder.W_letter
    )


# -------------------- both networks, letter by letter: arrays (s, n, .) --------------------


def _up(encoder, X, letters):
    """X, features, code features, heads."""
    a = relu(X @ encoder.W_in + encoder.b_in[letters][:, None])
    u = np.sum(a @ encoder.W_read[letters], axis=0) * (len(encoder.b_in) / len(letters)) + encoder.b_read
    return X, a, relu(u), relu(u) @ encoder.W_head + encoder.b_head


def _back_up(encoder, up, G, letters):
    X, a, r, _ = up
    dr = G @ encoder.W_head.T * (r > 0)
    weighted = dr * (len(encoder.b_in) / len(letters))
    da = weighted @ onp.swapaxes(encoder.W_read[letters], 1, 2) * (a > 0)
    rows = _flat(da)
    return Encoder(
        _flat(X).T @ rows, into(encoder.b_in, letters, da.sum(axis=1)),
        into(encoder.W_read, letters, onp.swapaxes(a, 1, 2) @ weighted), dr.sum(axis=0), r.T @ G, G.sum(axis=0),
    )  # fmt: skip


def down(decoder, Z, letters):
    """Z, strokes (s, n, h), logits (s, n, p)."""
    a = relu(Z @ decoder.W_letter[letters] + decoder.b_letter[letters][:, None])
    return Z, a, a @ decoder.W_out + decoder.b_out[letters][:, None]


def back_down(decoder, outputs, G, letters):
    """Gradients of the Decoder and of Z, (n, k), from G = d / d(logits)."""
    Z, a, _ = outputs
    da = G @ decoder.W_out.T * (a > 0)
    dz = onp.sum(da @ onp.swapaxes(decoder.W_letter[letters], 1, 2), axis=0)
    return Decoder(
        into(decoder.W_letter, letters, Z.T @ da), into(decoder.b_letter, letters, da.sum(axis=1)),
        _flat(a).T @ _flat(G), into(decoder.b_out, letters, G.sum(axis=1)),
    ), dz  # fmt: skip


def into(like, letters, values):
    """values at those letters, 0 at the others, shaped like `like`."""
    out = onp.zeros_like(like)  # letters that were not seen have no gradient
    out[letters] = values
    return out


def _flat(A):
    return A.reshape(-1, A.shape[-1])


def _heads(output):
    k = output.shape[1] // 2
    return output[:, :k], output[:, k:]


def _letters(params, images, letters):
    letters = np.arange(len(params[1].b_out)) if letters is None else np.asarray(letters)
    if np.ndim(images) < 3 or np.shape(images)[1] != len(letters) or len(letters) == 0:
        raise ValueError(f"images has shape {np.shape(images)}; want (n, {len(letters)}, ...), a picture per letter")
    return letters


def letter_major(images):
    """(n, s, ...) as (s, n, p)."""
    return np.swapaxes(np.reshape(images, (*np.shape(images)[:2], -1)), 0, 1)


def _square(X):
    side = round(np.shape(X)[-1] ** 0.5)
    return np.reshape(X, (*np.shape(X)[:-1], side, side))
