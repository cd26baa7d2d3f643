"""hinton: the auto-encoder 784-1000-500-250-30 of Hinton & Salakhutdinov (2006), trained on MNIST on one processor.

Every contender has the same processor time; its clock counts pretraining and stands still while it is judged.  The
error of the test images is recorded on the way for the figure; nothing is chosen by it.
"""

import math
import time
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from enm5310 import autoencoder, nets
from enm5310.optimize import minibatches
from tests.benchmarks import kfac, peers
from tests.benchmarks.data import mnist
from tests.benchmarks.harness import OURS, Contender, Line, Requirement, Timing

WHAT = "auto-encoder 784-1000-500-250-30: squared error per test image after minutes of training"
WANTED = 3.00  # Hinton & Salakhutdinov (2006), caption of figure 2
MINUTES = 30
PRETRAINED = "enm5310, pretrained"
TORCH = "PyTorch eager"


class Plan(NamedTuple):
    """The budget and the recipe."""

    sizes: tuple = tuple(autoencoder.HINTON_SIZES["mnist"])
    seconds: float = 660.0  # of processor time, each
    marks: int = 20  # how often the test error is looked at
    size: int = 1000  # of a minibatch
    pretraining: int = 5  # epochs of each machine
    jitter: float = 0.06
    jittered: float = 0.8  # of the time; then the images as they are
    settings: kfac.Settings = kfac.Settings()


FULL = Plan()


# -------------------- the clock --------------------


class Watch:
    """One contender's processor time and its test error along it: {seconds: error}; to score costs no time."""

    def __init__(self, score, plan, clock=time.process_time):
        self.score, self.plan, self.clock = score, plan, clock
        self.errors, self.pretraining, self.steps = {}, 0.0, 0
        self.start()

    def start(self):
        """From here on time counts: after imports."""
        self.outside, self.began = 0.0, self.clock()

    @property
    def seconds(self):
        return self.clock() - self.began - self.outside

    @property
    def progress(self):
        """The part of the budget that is used, 1.0 at most: the learning rate falls with it."""
        return min(1.0, self.seconds / self.plan.seconds)

    def look(self, params, last=False):
        """Score params() when the next mark is reached, and at the end."""
        seconds, scored, marks = self.seconds, len(self.errors), self.plan.marks
        if seconds >= self.plan.seconds * (scored + 1) / marks or (last and scored < marks):
            self.errors[seconds] = self.score(params())
            self.outside += self.seconds - seconds


def error(X, params, activation=nets.tanh):
    """|x - reconstruction|^2, mean over the rows of X, in pieces that fit the cache."""
    pieces = np.array_split(X, max(1, len(X) // 1000))
    rows = [autoencoder.reconstruction_error(params, piece, activation, nets.sigmoid) for piece in pieces]
    return float(np.mean(np.concatenate(rows), dtype=np.float64))


# -------------------- ours --------------------


def jitter(X, rng, scale):
    """Each image seen through its own linear map of the plane, I + scale N(0, 1) in each of the four entries.

    Turned, sheared and stretched a little about the centre; between pixels the image is bilinear, the rows of X (n,
    side^2) are square images.  New digits that somebody might have written.
    """
    n, side = len(X), math.isqrt(X.shape[1])
    last = side - 1
    maps = np.eye(2, dtype=np.float32) + np.float32(scale) * rng.standard_normal((n, 2, 2), dtype=np.float32)
    line = np.arange(side, dtype=np.float32) - np.float32(last / 2)
    grid = np.stack(np.meshgrid(line, line, indexing="ij")).reshape(2, -1)
    place = np.clip(maps @ grid + np.float32(last / 2), 0, np.float32(last - 1e-3))  # (n, 2, side^2): where to look
    corner = place.astype(np.int32)
    down, right = (place - corner.astype(np.float32)).transpose(1, 0, 2)
    first = corner[:, 0] * side + corner[:, 1] + np.arange(0, X.size, side * side, dtype=np.int32)[:, None]
    pixel = np.ravel(X)
    a, b, c, d = (pixel[first + k] for k in (0, 1, side, side + 1))
    top = a + right * (b - a)
    return top + down * (c + right * (d - c) - top)


def tanh_units(params):
    """The same network with tanh units in place of logistic ones: s(a) = (1 + tanh(a / 2)) / 2, to rounding.

    Hidden values then have means near 0, which makes training faster.  The code and the pixels stay as they are.
    """
    half, parts = np.float32(0.5), []
    for layers in params:
        new = []
        for i, (W, b) in enumerate(layers):
            if i > 0:  # the layer below was logistic
                b, W = b + half * np.sum(W, axis=0), half * W
            new.append((W, b) if i == len(layers) - 1 else (half * W, half * b))
        parts.append(new)
    return tuple(parts)


def random_start(train, plan, rng, watch):
    """Glorot's weights; the last bias is the log-odds of the mean image."""
    encoder, decoder = autoencoder.init(list(plan.sizes), rng, np.float32)
    mean = np.clip(np.mean(train, axis=0), 1e-3, 1 - 1e-3)
    return encoder, [*decoder[:-1], (decoder[-1][0], np.log(mean) - np.log1p(-mean))]


def pretrained_start(train, plan, rng, watch):
    """The stack of restricted Boltzmann machines, unrolled."""
    params = tanh_units(autoencoder.pretrain(train, list(plan.sizes), rng, plan.pretraining))
    watch.pretraining = watch.seconds
    return params


def ours(start, train, plan, watch):
    """Natural gradient on the cross-entropy of jittered images; the parameters at the end of the budget."""
    rng = np.random.default_rng(0)
    optimiser = kfac.KFAC(start(train, plan, rng, watch), rng, plan.settings)
    while watch.progress < 1:
        for i in minibatches(len(train), plan.size, rng):
            X = jitter(train[i], rng, plan.jitter) if watch.progress < plan.jittered else train[i]
            optimiser.step(X, watch.progress)
            watch.steps += 1
            watch.look(lambda: optimiser.params)
            if watch.progress >= 1:
                break
    watch.look(lambda: optimiser.params, last=True)
    return optimiser.params


# -------------------- PyTorch --------------------


def torch_run(train, plan, watch, size=256):
    """What one would write first: ReLU, squared error, Adam at 1e-3; the parameters as ours are nested."""
    torch = peers.torch()
    torch.manual_seed(0)
    widths, k = [*plan.sizes, *plan.sizes[-2::-1]], len(plan.sizes) - 1
    layers = [torch.nn.Linear(m, n) for m, n in pairwise(widths)]
    parts = [m for i, l in enumerate(layers, 1) for m in ([l] if i in (k, 2 * k) else [l, torch.nn.ReLU()])]
    net, X = torch.nn.Sequential(*parts, torch.nn.Sigmoid()), torch.from_numpy(train)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def params():
        flat = [(l.weight.detach().numpy().T, l.bias.detach().numpy()) for l in layers]
        return flat[:k], flat[k:]

    watch.start()  # PyTorch imports some of itself only when it is used
    while watch.progress < 1:
        for i in torch.randperm(len(X)).split(size):
            optimiser.zero_grad()
            (torch.sum((net(X[i]) - X[i]) ** 2) / len(i)).backward()
            optimiser.step()
            watch.steps += 1
            watch.look(params)
            if watch.progress >= 1:
                break
    watch.look(params, last=True)
    return params()


# -------------------- the line --------------------

CONTENDERS = [
    Contender(OURS, partial(ours, random_start)),
    Contender(PRETRAINED, partial(ours, pretrained_start)),
    Contender(TORCH, torch_run, "torch", 1.0),
]


class Trained(NamedTuple):
    watch: Watch
    params: tuple
    train_error: float

    @property
    def test_error(self):
        return list(self.watch.errors.values())[-1]


def activation(name):
    return nets.relu if name == TORCH else nets.tanh


def compete(contenders, train, test, plan=FULL, say=print):
    """{contender's name: Trained}, one after the other."""
    done = {}
    for c in contenders:
        f = activation(c.name)
        watch = Watch(lambda params, f=f: error(test, params, f), plan)
        params = c.build(train, plan, watch)
        done[c.name] = t = Trained(watch, params, error(train, params, f))
        say(f"{c.name}: {max(watch.errors):.0f} s, test error {t.test_error:.3f}, train error {t.train_error:.3f}")
    return done


def measure(contenders, plan=FULL, say=print):
    train, test, source = mnist()
    return line(compete(contenders, train, test, plan, say), source)


def line(done, source):
    """median: the test error at the end; min: the best on the way."""
    timings = {name: Timing(t.test_error, min(t.watch.errors.values())) for name, t in done.items()}
    best = done[OURS]
    wanted = (
        Requirement("squared error per test image", best.test_error, WANTED),
        Requirement("minutes of processor time", max(best.watch.errors) / 60, MINUTES),
    )
    limits = {c.name: c.limit for c in CONTENDERS if c.name in done and c.name != OURS}
    shown = [
        f"{name}: {t.watch.steps} steps, {t.watch.pretraining:.0f} s of pretraining, train error {t.train_error:.2f}, "
        f"test error {', '.join(f'{s:.0f} s {e:.2f}' for s, e in t.watch.errors.items())}"
        for name, t in done.items()
    ]
    curves = {name: {f"{s:.1f}": e for s, e in t.watch.errors.items()} for name, t in done.items()}
    return Line(
        "hinton", timings, limits, {}, wanted, (f"data: {source}", *shown), "per image", {"curves": curves},
    )  # fmt: skip
