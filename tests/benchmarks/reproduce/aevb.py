"""aevb: the bound against the images seen, for latent spaces of 3 to 200 dimensions, and the manifold of two.

Kingma & Welling (2013), figures 2 and 4: one hidden layer of 500 tanh units on each side, minibatches of 100, one draw
per image, Adagrad.  Beside the curve of N_z = 3 stands what the score function makes of the same network.
"""

import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import NullFormatter

from enm5310 import latent, nets, optimize, plots, vae
from tests.benchmarks.reproduce import images
from tests.benchmarks.reproduce.record import Result, Row

TITLE = "The bound and the size of the latent space, MNIST"
PAPER = "Kingma & Welling (2013), Auto-Encoding Variational Bayes, figures 2 and 4"
BATCH = 100


class Size(NamedTuple):
    """The budget: images seen by each curve; `score` is for the score function, which costs three times as much."""

    hidden: int = 500
    latents: tuple = (3, 5, 10, 20, 200)
    seen: int = 2_000_000
    score: int = 1_000_000
    manifold: int = 3_000_000
    first: int = 10_000  # where the curves begin
    points: int = 16  # on each curve, equally far apart on its logarithmic axis
    judged: int = 5_000  # training images and test images each
    side: int = 20  # of the manifold
    held_out: int = 10_000  # the last training images, by which the step size is chosen
    tried: int = 60_000  # images seen by each step size that is tried, N_z = 20


FULL = Size()
TINY = Size(8, (2, 3, 4), 1200, 600, 600, 200, 3, 50, 3, 50, 200)

# -------------------- training --------------------

EPS = 1e-8


def adagrad(params, gradient, state=None, lr=0.02):
    """s <- s + g^2, theta <- theta - lr g / (sqrt(s) + eps): new (params, s); state=None starts with s = 0.

    The s given is overwritten.  Source: Duchi, Hazan & Singer (2010).
    """
    state = nets.tree_map(np.zeros_like, params) if state is None else state

    def step(theta, g, s):
        d = g * g
        s += d
        np.sqrt(s, out=d)
        d += EPS
        np.divide(g, d, out=d)
        d *= lr
        return np.subtract(theta, d, out=d)

    return nets.tree_map(step, params, gradient, state), state


class Score:
    """The route `vae.before` with the running mean of rec as its baseline: made of earlier batches alone."""

    def __init__(self, keep=0.9):
        self.keep, self.mean = keep, None  # the first batch goes without: its estimate is only noisier

    def __call__(self, params, x, eps):
        baseline = 0.0 if self.mean is None else self.mean
        now, gradient = vae.before(params, x, eps, baseline=np.float32(baseline))
        rec = float(np.mean(now.rec))
        self.mean = rec if self.mean is None else self.keep * self.mean + (1 - self.keep) * rec
        return now, gradient


class Curve(NamedTuple):
    """The bound per image on the way, in nats; the standard errors are those over images, for one draw each."""

    seen: list  # images evaluated so far, an image at each visit
    train: list
    test: list
    errors: list  # of the test bound
    params: tuple
    seconds: float  # of processor time in training, without judging


def start(grey, hidden, k):
    """Random weights, as `vae.init` draws them, from a seed that all curves share."""
    return vae.init(np.shape(grey)[1], [hidden], k, np.random.default_rng(0), np.float32)


def curve(params, grey, judges, marks, lr, route=vae.by_hand):
    """Train by Adagrad on pixels drawn afresh from grey (n, p) until the last of the marks; the Curve at the marks.

    judges = (train, test), pairs (x, eps) of binary images and noise.  The weight decay is that of a prior N(0, I) on
    the parameters of the decoder: theta / n beside the gradient of the average bound over n images.
    """
    rng, n, k = np.random.default_rng(1), len(grey), len(params[1][0][0])
    marks, found, clock = list(marks), [], {"judging": 0.0}

    def downhill(params, i, t):
        x = vae.draw_pixels(grey[i], rng)
        now, (encoder, decoder) = route(params, x, rng.standard_normal((len(i), k), np.float32))
        decoder = nets.tree_map(lambda g, theta: theta / n - g, decoder, params[1])
        return -np.mean(now.elbo), (nets.tree_map(np.negative, encoder), decoder)

    def judge(t, params, value):
        if t * BATCH >= marks[0]:
            began = time.process_time()
            found.append((t * BATCH, *(bound(params, *judge) for judge in judges)))
            marks.pop(0)
            clock["judging"] += time.process_time() - began
        return not marks

    passes = -(-(marks[-1] + BATCH) // n) + 1
    batches = (i for i in optimize.epochs(n, BATCH, rng, passes) if len(i) == BATCH)
    began = time.process_time()
    run = optimize.train(downhill, params, batches, adagrad, judge, lr)
    seconds = time.process_time() - began - clock["judging"]
    seen, train, test = zip(*found, strict=True)
    return Curve(seen, [m for m, _ in train], [m for m, _ in test], [e for _, e in test], run.params, seconds)


def bound(params, x, eps):
    """The average of `vae.elbo` over images, one draw each, and its standard error."""
    values = [vae.elbo(params, x[i : i + 1000], eps[i : i + 1000]).elbo for i in range(0, len(x), 1000)]
    values = np.concatenate(values).astype(np.float64)
    return float(np.mean(values)), float(np.std(values) / len(values) ** 0.5)


def judge_of(grey, count, k, seed):
    """`count` images spread over the rows of grey, made binary once, and one draw of noise for each."""
    rng = np.random.default_rng(seed)
    rows = grey[np.linspace(0, len(grey) - 1, min(count, len(grey))).astype(int)]
    return vae.draw_pixels(rows, rng), rng.standard_normal((len(rows), k), np.float32)


def marks(size, last):
    """Numbers of images at which a curve is judged: whole minibatches, at equal ratios."""
    steps = np.geomspace(size.first, last, size.points) / BATCH
    return np.unique(np.round(steps).astype(int)) * BATCH


# -------------------- the experiment --------------------

RATES = 0.01, 0.02, 0.05, 0.1  # of Adagrad


def tried(grey, size):
    """{step size: bound of all images held out, after training on the others}, for N_z = 20."""
    others, rest = grey[: -size.held_out], grey[-size.held_out :]
    judges = [judge_of(rest, 1, 20, 4), judge_of(rest, size.held_out, 20, 5)]
    begin = start(grey, size.hidden, 20)
    return {lr: curve(begin, others, judges, [size.tried], lr).test[-1] for lr in RATES}


def run(say, size=FULL, data=None):
    """The curves of figure 2, the score function's beside the first, and the manifold of figure 4."""
    grey, test = images(data)

    def judges(k):
        return judge_of(grey, size.judged, k, 2), judge_of(test, size.judged, k, 3)

    found, curves = tried(grey, size), {}
    lr = max(found, key=found.get)
    say(f"step sizes by the images held out: {step_sizes(found)}")
    for k in size.latents:
        curves[k] = curve(start(grey, size.hidden, k), grey, judges(k), marks(size, size.seen), lr)
        say(f"N_z = {k}: {curves[k].test[-1]:.1f} on the test images, {curves[k].seconds:.0f} s")
    k = size.latents[0]
    score = curve(start(grey, size.hidden, k), grey, judges(k), marks(size, size.score), lr, Score())
    say(f"score function, N_z = {k}: {score.test[-1]:.1f}, {score.seconds:.0f} s")
    flat = curve(start(grey, size.hidden, 2), grey, judges(2), marks(size, size.manifold), lr)
    say(f"N_z = 2: {flat.test[-1]:.1f}, {flat.seconds:.0f} s")
    figures = {"bound": bounds_drawn(curves, score), "manifold": manifold(flat.params, size.side)}
    return Result(rows(curves, score), how(size, found), figures, remarks(curves, score, flat))


def rows(curves, score):
    plot = "figure 2 is a plot, it prints no number"
    found = [
        Row(
            f"bound per test image, nats, N_z = {k}, after {seen(c)} images", "-",
            f"{c.test[-1]:.1f} ± {c.errors[-1]:.1f} (training images {c.train[-1]:.1f})", plot,
        )
        for k, c in curves.items()
    ]  # fmt: skip
    least, most = min(curves), max(curves)
    faster = at(curves[least], score.seen[-1])
    minutes = [c.seconds / 60 / c.seen[-1] * 1e6 for c in curves.values()]
    return [
        *found,
        Row(
            f"superfluous latents overfit (N_z = {most})", "no", overfits(curves[most]),
            "section 5 and the caption of figure 2",
        ),
        Row("order of the test bounds, lowest first: N_z", "-", order(curves), "at the end of our curves"),
        Row(
            f"score function, N_z = {least}: bound per test image after {seen(score)} images", "impractical",
            f"{score.test[-1]:.1f} ± {score.errors[-1]:.1f} (reparametrised {faster:.1f})",
            "section 2.2, of the estimator without a baseline; ours has one",
        ),
        Row(
            "minutes per million training images", "20-40", f"{min(minutes):.1f}-{max(minutes):.1f}",
            "caption of figure 2, a Xeon at 40 GFLOPS; ours of processor time, one thread",
        ),
    ]  # fmt: skip


def seen(c):
    return spaced(c.seen[-1])


def spaced(n):
    return f"{n:,}".replace(",", " ")


def at(c, images):
    """The test bound of a curve at a number of images, between its points straight on the logarithmic axis."""
    return float(np.interp(np.log(images), np.log(c.seen), c.test))


def rising(curves):
    """Which test curves are at their highest at the end, in words."""
    found = [str(k) for k, c in curves.items() if c.test[-1] == max(c.test)]
    return "all of them still rise" if len(found) == len(curves) else f"those of N_z = {', '.join(found)} still rise"


def overfits(c):
    """Whether the test bound fell from its highest point by more than its standard error, and what it did, in words."""
    fall, gap = max(c.test) - c.test[-1], c.train[-1] - c.test[-1]
    ending = f"fell by {fall:.1f} from its highest" if fall else "was highest at the end"
    answer = "yes" if fall > c.errors[-1] else "no"
    return f"{answer}: the test bound {ending}, {abs(gap):.1f} {'below' if gap > 0 else 'above'} the training one"


def order(curves):
    """The sizes from the lowest test bound to the highest; ~ where two differ by less than two standard errors."""
    ranked = sorted(curves, key=lambda k: curves[k].test[-1])
    words = [str(ranked[0])]
    for a, b in pairwise(ranked):
        apart = curves[b].test[-1] - curves[a].test[-1]
        error = np.hypot(curves[a].errors[-1], curves[b].errors[-1])
        words += ["<" if apart > 2 * error else "~", str(b)]
    return " ".join(words)


def step_sizes(found):
    return ", ".join(f"{lr:g} {nats:.1f}" for lr, nats in found.items())


def how(size, found):
    lr, before = max(found, key=found.get), f"{spaced(size.tried)} images of the others"
    return [
        f"60 000 training and 10 000 test images, each pixel drawn as 0 or 1 with its grey level as the probability, "
        f"afresh at every visit: then the bound is one on the probability of binary images (the paper does not say "
        f"how it made pixels binary). Network 784-{size.hidden}-N_z-{size.hidden}-784, tanh, Bernoulli; the encoder "
        f"gives mean and log-variance; float32. Minibatches of {BATCH}, one draw of z, KL exact, Adagrad with step "
        f"size {lr:g}, decay of the decoder's parameters as under a prior N(0, I), all as in the paper; random weights "
        f"as in Glorot & Bengio (2010) where the paper has N(0, 0.01).",
        f"The step size was chosen for N_z = 20 by the bound of the last {spaced(size.held_out)} training images after "
        f"{before}: {step_sizes(found)} nats (the paper chose from 0.01, 0.02 and 0.1, on the training set); then all "
        f"60 000 were used.",
        f"A bound is the average over {spaced(size.judged)} training or test images, one draw of pixels and of z each, "
        f"± its standard error. Score function: `vae.before`, baseline the running mean of log p(x | z) over earlier "
        f"minibatches (factor 0.9), same start and same images. Seeds 0 to 3.",
    ]


def remarks(curves, score, flat):
    k = min(curves)
    ahead = next((s for s, b in zip(curves[k].seen, curves[k].test, strict=True) if b >= score.test[-1]), None)
    reached = f"had passed by {spaced(ahead)}" if ahead else "has not reached"
    return (
        f"The paper's curves go on to 10^8 images; ours end at {seen(curves[k])}; {rising(curves)} there. "
        f"Wake-sleep, the paper's rival, was not run. The score function's bound after {seen(score)} images is one "
        f"that the reparametrised gradient {reached}, from the same start.",
        f"The manifold is of a network with N_z = 2 trained in the same way on {seen(flat)} images: "
        f"{flat.test[-1]:.1f} ± {flat.errors[-1]:.1f} nats per test image.",
    )


# -------------------- figures --------------------


def bounds_drawn(curves, score):
    """One panel for each size, as in the paper, all on one scale."""
    axes = plots.panels(len(curves), height=3.3, width=8.0, sharey=True)
    least = min(curves)
    for ax, (k, c) in zip(axes, curves.items(), strict=True):
        lines = {"test images": (c.seen, c.test), "training images": (c.seen, c.train)}
        if k == least:
            lines["score function, test images"] = (score.seen, score.test)
        hidden = {f"_{name}": line for name, line in lines.items()}  # one legend below serves all panels
        plots.curves(None, hidden, ax, xlabel="", ylabel="", title=f"$N_z = {k}$", xscale="log")
        if k == least:
            drawn = dict(zip(lines, ax.lines, strict=True))
        ax.grid(alpha=0.3)
        ax.xaxis.set_minor_formatter(NullFormatter())
    top = max(max(c.test) for c in curves.values())
    axes[0].set(ylabel="bound per image, nats", ylim=(top - 120, top + 5))
    figure = axes[0].figure
    figure.supxlabel("training images evaluated", size=10)
    figure.legend(drawn.values(), drawn, loc="outside upper center", ncols=3, frameon=False)
    gap = max(abs(c.train[-1] - c.test[-1]) for c in curves.values())
    ends = ", ".join(f"{c.test[-1]:.0f} for N_z = {k}" for k, c in curves.items())
    return figure, (
        f"{len(curves)} panels, one for each N_z: the bound per image against the number of training images on a "
        f"logarithmic axis. Training and test curves end at most {gap:.1f} nats apart, the test curves at {ends}, and "
        f"{rising(curves)} to the end. In the first panel the score function's curve ends at {score.test[-1]:.0f}, "
        f"{at(curves[least], score.seen[-1]) - score.test[-1]:.0f} nats below the other at that point."
    )


def manifold(params, side):
    """What the decoder says at the cells of `latent.grid`, as a picture."""
    Z = latent.grid(side).astype(np.float32)
    X = vae.decode_mean(params, Z.reshape(-1, 2)).reshape(side, side, *([int(len(params[0][0][0]) ** 0.5)] * 2))
    ax = plots.images(X, limits=(0, 1))
    return ax.figure, (
        f"{side} by {side} images of digits, one for each cell of a plane of two latents, which change smoothly into "
        f"one another from cell to cell."
    )
