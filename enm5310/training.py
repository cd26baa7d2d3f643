"""Training by epochs that can be stopped, continued and judged on rows held out, for `vae.fit` and `autoencoder.fit`.

A checkpoint holds all that the next step depends on (parameters, Adam's sums, the generator, the count of steps), so
a run that was interrupted and continued ends with the same bits as one that was not.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from enm5310 import backend, nets, optimize
from enm5310.optimize import Run, Sums, adam_in_place


class State(NamedTuple):
    """A run at the end of an epoch."""

    params: list
    sums: Sums | None  # Adam's
    values: np.ndarray  # (steps,), the objective of every step so far
    best: list  # the parameters of the epoch with the lowest loss on the rows held out
    losses: np.ndarray  # (epochs,), that loss after every epoch; NaN where nothing is held out


def fit(
    value_and_gradient, params, n, rng, epochs, size, lr, callback=None, loss=None, patience=None, checkpoint=None,
    uphill=False,
):  # fmt: skip
    """Adam over `epochs` passes through n samples in minibatches of `size`, each pass in a new order; the Run.

    value_and_gradient, callback and lr are those of `optimize.train`; uphill: the gradient is that of minus the value.
    loss(params), if given, judges every epoch: the Run has the parameters of the best one, and it ends after `patience`
    epochs without a better one.  checkpoint: the .npz file written after every epoch; when it is there already, the run
    goes on from it, rng included, and gives the same bits as one that was never interrupted.
    Raises ValueError when the checkpoint is of other parameters, or patience comes without a loss.
    """
    if patience is not None and loss is None:
        raise ValueError(f"patience is {patience} and nothing judges the epochs: hold some rows out")
    update = _uphill if uphill else adam_in_place
    now, stopped = State(params, None, np.zeros(0), params, np.zeros(0)), False
    if checkpoint is not None and Path(checkpoint).exists():
        now = load(checkpoint, params, rng)
    while not stopped and len(now.losses) < epochs and not _is_over(now.losses, patience):
        batches = optimize.minibatches(n, size, rng)
        run, sums = optimize.train_on(
            value_and_gradient, now.params, batches, update, callback, lr, now.sums, len(now.values)
        )
        now, stopped = now._replace(params=run.params, sums=sums, values=np.append(now.values, run.values)), run.stopped
        if not stopped:  # a whole epoch
            now = _judge(now, loss)
            if checkpoint is not None:
                save(checkpoint, now, rng)
    judged = loss is not None and len(now.losses)
    return Run(now.best if judged else now.params, now.values, stopped)


def _uphill(params, gradient, state, lr):
    return adam_in_place(params, gradient, state, -lr)


def _judge(now, loss):
    value = np.nan if loss is None else optimize.finite(loss(now.params), len(now.values))
    better = loss is None or value < np.min(now.losses, initial=np.inf)
    return now._replace(losses=np.append(now.losses, value), best=now.params if better else now.best)


def _is_over(losses, patience):
    return patience is not None and len(losses) > 0 and len(losses) - 1 - int(np.argmin(losses)) >= patience


# -------------------- checkpoints --------------------


def save(file, state, rng):
    """Write the State and the generator's as .npz, whole or not at all: a crash leaves the file that was there."""
    trees = {"params": state.params, "m": state.sums.m, "v": state.sums.v, "best": state.best}
    arrays = {f"{name}{i}": a for name, tree in trees.items() for i, a in enumerate(nets.leaves(backend.to_host(tree)))}
    generator = json.dumps(rng.bit_generator.state, default=lambda a: {"array": a.tolist(), "dtype": a.dtype.name})
    half = Path(f"{file}.part")
    with open(half, "wb") as out:  # given a name, np.savez would add .npz to it
        np.savez(out, **arrays, steps=state.sums.t, values=state.values, losses=state.losses, generator=generator)
    os.replace(half, file)


def load(file, params, rng):
    """The State in a file that `save` wrote, nested like params and where they lie; rng is set as it was.

    Raises ValueError when the file holds other parameters, or the generator is of another kind.
    """
    with np.load(file) as stored:  # no pickle: a file cannot run code
        data = dict(stored)
    trees = [_nested(data, name, params, file) for name in ("params", "m", "v", "best")]
    rng.bit_generator.state = json.loads(str(data["generator"]), object_hook=_array)
    return State(trees[0], Sums(*trees[1:3], int(data["steps"])), data["values"], trees[3], data["losses"])


def _nested(data, name, params, file):
    wanted = [(np.shape(a), a.dtype) for a in nets.leaves(params)]
    stored = [data[f"{name}{i}"] for i in range(sum(key.rstrip("0123456789") == name for key in data))]
    if [(a.shape, a.dtype) for a in stored] != wanted:
        raise ValueError(f"{file} is of other parameters than those to train; delete it, or give another file")
    arrays = iter(stored)
    return nets.tree_map(lambda a: backend.beside(next(arrays), a), params)


def _array(entry):
    return np.array(entry["array"], entry["dtype"]) if "array" in entry else entry
