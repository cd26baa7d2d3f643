"""fonts: the font VAE on families it has not seen: bold, italic, condensed, beside pixels and other models.

Every number is of held-out families (`fonts.hold_out`, seed 0).  What is left of the squared error to the true face
after an edit is 1 - reduction; 1 means that the edit was of no use.
"""

import time

import numpy as np

from enm5310 import datasets, fonts, latent, nets, training
from enm5310.likelihoods import bernoulli
from tests.benchmarks.harness import OURS, Contender, Line, Requirement, Timing, limits

WHAT = "a VAE of 104 typefaces of 62 letters, 32 x 32: training, then bold and italic on held-out families"
K, EPOCHS = 32, 120


def faces(seed=0):
    """The packaged faces, and which of them are held out."""
    g = datasets.load_glyphs()
    return g, fonts.hold_out(g.families, np.random.default_rng(seed))


# -------------------- models: (encode: images -> Z, decode: Z -> images) --------------------


def ours(given):
    images, rng = given
    params = fonts.fit(images, rng, K, EPOCHS).params
    return lambda x: fonts.encode(params, x)[0], lambda Z: fonts.decode_mean(params, Z)


def autodecoder(given):
    images, rng = given
    _, decoder = fonts.fit_autodecoder(images, rng, K, EPOCHS).params
    return lambda x: fonts.find_codes(decoder, x, rng), lambda Z: fonts.decode_mean((None, decoder), Z)


def conditional(given):
    """The article's demonstration: z and a one-hot letter into one perceptron; its encoder averages over letters."""
    images, rng = given
    n, C, side, _ = images.shape
    average = images.mean(axis=0).reshape(C, -1)
    base = np.log((0.01 + 0.98 * average) / (0.99 - 0.98 * average)).astype(np.float32)
    one_hot, p, h = np.eye(C, dtype=np.float32), side * side, 256
    params = {
        "glyph": nets.init([p + C, h], rng, np.float32), "face": nets.init([h, 128, 2 * K], rng, np.float32),
        "decoder": nets.init([K + C, h, h, p], rng, np.float32),
    }  # fmt: skip

    def rows(A, some):  # (m, s, .) with the letter's row beside it
        return np.concatenate([A.reshape(-1, A.shape[-1]), np.tile(one_hot[some], (len(A), 1))], axis=1)

    def up(params, X, some):
        seen = nets.forward(params["glyph"], rows(X - average[some], some), nets.relu)
        h = nets.relu(seen[-1]).reshape(len(X), len(some), -1)
        return seen, h, nets.forward(params["face"], h.mean(axis=1), nets.relu)

    def value_and_gradient(params, i, t):
        some = np.sort(rng.permutation(C)[:20])
        X = images[np.ix_(i, some)].reshape(len(i), 20, p)
        seen, h, face = up(params, X, some)
        mean, logvar = face[-1][:, :K], face[-1][:, K:]
        eps, sigma = rng.standard_normal(mean.shape, np.float32), np.exp(logvar / 2)
        z = np.repeat((mean + sigma * eps)[:, None], 20, axis=1)
        outputs = nets.forward(params["decoder"], rows(z, some), nets.relu)
        rec, slope = bernoulli.log_p_and_slope(X.reshape(-1, p), outputs[-1] + np.tile(base[some], (len(i), 1)))
        w = C / 20 / len(i)
        d_decoder, dz = nets.backward(params["decoder"], outputs, slope * np.float32(w), nets.relu)
        dz = dz[:, :K].reshape(len(i), 20, K).sum(axis=1)
        heads = [dz - mean / len(i), dz * eps * sigma / 2 - np.expm1(logvar) / 2 / len(i)]
        d_face, dh = nets.backward(params["face"], face, np.concatenate(heads, axis=1), nets.relu)
        dh = (np.repeat(dh[:, None] / 20, 20, axis=1) * (h > 0)).reshape(-1, h.shape[-1])
        d_glyph, _ = nets.backward(params["glyph"], seen, dh, nets.relu, to_input=False)
        return -w * rec.sum(), {"glyph": d_glyph, "face": d_face, "decoder": d_decoder}

    steps = EPOCHS * -(-n // 27)
    lr = lambda t: 2e-3 * min(1.0, 2 * (1 - t / steps))  # noqa: E731
    params, every = training.fit(value_and_gradient, params, n, rng, EPOCHS, 27, lr, uphill=True).params, np.arange(C)

    def decode(Z):
        z = np.repeat(Z[:, None], C, axis=1)
        logits = nets.apply(params["decoder"], rows(z, every), nets.relu) + np.tile(base, (len(Z), 1))
        return bernoulli.mean(logits).reshape(len(Z), C, side, side)

    return lambda x: up(params, x.reshape(len(x), C, p), every)[2][-1][:, :K], decode


CONTENDERS = [
    Contender(OURS, ours),
    Contender("auto-decoder (deep-fonts)", autodecoder, limit=2.0),  # the same decoder, no encoder
    Contender("VAE, z and one-hot letter", conditional),
]


# -------------------- what is measured --------------------


def attribute(codes, decode, g, held, has, *same):
    """Of the edit towards `has`, learned on the other families, at the held-out ones: a dictionary of numbers."""
    twins = fonts.pairs(g.families, has, *same)
    new = held[twins[:, 0]]
    learn, (i, j) = twins[~new], twins[new].T
    v = fonts.attribute_vector(codes, has, learn)
    before, after, truth = decode(codes[i]), decode(codes[i] + v), g.images[j]
    edited = np.clip(g.images[i] + after - before, 0, 1)
    shift = np.mean(g.images[learn[:, 1]] - g.images[learn[:, 0]], axis=0)
    wanted, owner = g.images[has], g.families[has]  # every face that has it: which one does the edit come nearest to?
    kind = list(zip(owner, *(np.asarray(s)[has] for s in same), strict=True))
    own = [kind.index((g.families[a], *(np.asarray(s)[a] for s in same))) for a in i]
    return {
        "pairs": len(i), "v": v, "edited": fonts.reduction(g.images[i], edited, truth),
        "decoded": fonts.reduction(before, after, truth),
        "pixels": fonts.reduction(g.images[i], np.clip(g.images[i] + shift, 0, 1), truth),
        "same family": float(np.mean(nearest(edited, wanted) == own)),
        "same family before": float(np.mean(nearest(g.images[i], wanted) == own)),
        "ink": ink(edited).mean() / ink(g.images[i]).mean(), "true ink": ink(truth).mean() / ink(g.images[i]).mean(),
        "length": np.mean((codes[i] + v) ** 2), "true length": np.mean(codes[j] ** 2),
    }  # fmt: skip


def nearest(images, others):
    a, b = images.reshape(len(images), -1), others.reshape(len(others), -1)
    return np.argmin((b * b).sum(axis=1) - 2 * a @ b.T, axis=1)


def ink(images):
    return images.mean(axis=(1, 2, 3))


def greyness(images):
    """The share of ink that is neither paper nor black: mean of 4 p (1 - p) over the mean of p."""
    return float((4 * images * (1 - images)).mean() / images.mean())


def halfway(codes, decode, g, held):
    """Greyness of held-out faces decoded, half-way between two in the latent space, and of the two mixed as pixels."""
    Z = codes[held & (g.target == 0)]
    ends = decode(Z)
    middles = np.concatenate([latent.interpolate(a, b, [0.5]) for a, b in zip(Z, np.roll(Z, 1, axis=0), strict=True)])
    return greyness(ends), greyness(decode(middles)), greyness((ends + np.roll(ends, 1, axis=0)) / 2)


def true_axis(encode, g, held):
    """On a variable font: correlation of weight with the codes along the bold vector; cosine of that and the true axis.

    The font is Roboto Flex, so the Roboto families should be among those held out.
    """
    flex = datasets.load_font_axes()
    weight, width, slant = flex.target.T
    line = (width == 100) & (slant == 0)
    twins = fonts.pairs(g.families, g.weights == 700, g.italic)
    v = fonts.attribute_vector(encode(g.images), g.weights == 700, twins[~held[twins[:, 0]]])
    Z = encode(flex.images[line])
    axis = Z[-1] - Z[0]
    along = np.corrcoef(weight[line], Z @ v)[0, 1]
    return float(along), float(axis @ v / np.linalg.norm(axis) / np.linalg.norm(v))


def measure(contenders):
    g, held = faces()
    found, timings = {}, {}
    for c in contenders:
        start = time.perf_counter()
        encode, decode = c.build((g.images[~held], np.random.default_rng(1)))
        seconds = time.perf_counter() - start
        timings[c.name] = Timing(seconds, seconds)
        codes = encode(g.images)
        both = {
            "bold": attribute(codes, decode, g, held, g.weights == 700, g.italic),
            "italic": attribute(codes, decode, g, held, g.italic, g.weights),
        }
        found[c.name] = codes, decode, both
    bold, italic = found[OURS][2].values()
    needs = (
        Requirement("bold: error left, decoded", 1 - bold["decoded"], 0.65),
        Requirement("bold: error left, edited", 1 - bold["edited"], 0.65),
        Requirement("bold: edited / shifted pixels", (1 - bold["edited"]) / (1 - bold["pixels"]), 1),
        Requirement("italic: error left, decoded", 1 - italic["decoded"], 0.65),
        Requirement("bold: |ink / true ink - 1|", abs(bold["ink"] / bold["true ink"] - 1), 0.1),
        Requirement("training, s", timings[OURS].median, 60),
    )
    return Line("fonts", timings, limits(contenders, timings), requirements=needs, notes=tuple(words(found, g, held)))


def words(found, g, held):
    for name, (codes, decode, both) in found.items():
        error = ((decode(codes[held]) - g.images[held]) ** 2).sum(axis=(2, 3)).mean()
        length = np.mean(codes[held] ** 2)
        yield f"{name}: squared error per held-out letter {error:.2f}; E|z|^2 / k of held-out faces {length:.2f}"
        for what, a in both.items():
            yield (
                f"{name}, {what}, {a['pairs']} pairs: error falls by {a['edited']:.1%} (decoded {a['decoded']:.1%}, "
                f"shifted pixels {a['pixels']:.1%}); ink x {a['ink']:.2f}, in truth x {a['true ink']:.2f}; nearest of "
                f"all such faces is its own family's for {a['same family']:.0%} ({a['same family before']:.0%} before)"
            )
    ends, middle, mixed = halfway(*found[OURS][:2], g, held)
    without = np.char.startswith(g.families, "roboto")
    along, cosine = true_axis(ours((g.images[~without], np.random.default_rng(1)))[0], g, without)
    yield (
        f"Roboto Flex, weights 100 to 1000, no Roboto in training: weight and the codes along the bold vector "
        f"correlate by {along:.3f}; cosine of that vector and the true axis {cosine:.3f}"
    )
    yield f"greyness: decoded faces {ends:.2f}, half-way between two {middle:.2f}, two mixed as pixels {mixed:.2f}"
