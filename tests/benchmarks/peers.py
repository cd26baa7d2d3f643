"""PyTorch and JAX, imported on first use and set to the threads that the command line chose."""

import os
from functools import cache


@cache
def torch():
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    return torch


@cache
def jax():
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    return jax
