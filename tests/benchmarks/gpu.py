"""gpu: the training step of `vae_step` on a CUDA device; not among the lines that run by default.

`python -m tests.benchmarks.gpu [--json FILE]`; exit 2, with the reason, where there is no device.  Every step ends with
a wait for the device: otherwise one would time how fast work is queued.
"""

import importlib
import math
import sys

import numpy as np

from enm5310 import backend, nets, optimize, vae
from tests.benchmarks import __main__ as command
from tests.benchmarks import peers, vae_step
from tests.benchmarks.harness import OURS, Contender, Line, agree, growth, limits, race
from tests.benchmarks.vae_peers import LR, Stepper, TorchTrainer

WHAT = "VAE 784-400-20-400-784, one step of Adam on a batch of 512, float32, on the GPU; x and eps lie there"
BATCH = 512


def stepper(route, device):
    """What `vae.fit` does with a batch, on "gpu" or "cpu", by a route of `vae` to the gradient."""

    def build(given):
        params, x, eps = backend.to_device(tuple(given)) if device == "gpu" else given
        state = None

        def step():
            nonlocal params, state
            now, up = route(params, x, eps, activation=nets.relu)
            params, state = optimize.adam_in_place(params, up, state, lr=-LR)
            return -float(np.mean(now.elbo))  # waits for the device

        return Stepper(step, lambda: backend.to_host(route(params, x, eps, activation=nets.relu)[1]))

    return build


def torch_cuda(given):
    """PyTorch eager on the same device."""
    torch, train = peers.torch(), TorchTrainer(given.params)
    train.flat = [a.detach().cuda().requires_grad_() for a in train.flat]
    train.adam = torch.optim.Adam(train.flat, lr=LR)
    x, eps = torch.from_numpy(given.x).cuda(), torch.from_numpy(given.eps).cuda()
    gradient = lambda: [-g.cpu().numpy() for g in torch.autograd.grad(train.loss(x, eps), train.flat)]  # noqa: E731
    return Stepper(lambda: train(x, eps).item(), gradient)


def products(given):
    """Only the matrix products that no route avoids, on the device."""
    cupy = importlib.import_module("cupy")
    layers = [W for net in given.params for W, _ in net]
    n = len(given.x)
    ins, outs = ([cupy.ones((n, W.shape[side]), np.float32) for W in layers] for side in (0, 1))
    layers = backend.to_device(layers)

    def step():
        for i, (W, h, G) in enumerate(zip(layers, ins, outs, strict=True)):
            last = h @ W, h.T @ G, G @ W.T if i else None
        float(last[0][0, 0])
        return math.nan

    return Stepper(step)


CONTENDERS = [
    Contender(OURS, stepper(vae.by_hand, "gpu"), "cupy"),
    Contender("PyTorch eager, CUDA", torch_cuda, "torch", 1.0),
    Contender("ours on the CPU", stepper(vae.by_hand, "cpu"), limit=1.0),
    Contender("autograd on the GPU", stepper(vae.after, "gpu"), "cupy"),
    Contender("matrix products on the GPU", products, "cupy"),
]


def measure(contenders):
    cuda = not any(c.package == "torch" for c in contenders) or peers.torch().cuda.is_available()
    contenders = [c for c in contenders if c.package != "torch" or cuda]
    steppers = check(contenders)
    timings = race({name: s.step for name, s in steppers.items()}, rounds=15, inner=10)
    steps = [c._replace(build=lambda given, build=c.build: build(given).step) for c in contenders]
    exponents = growth(steps, {n: vae_step.problem(n) for n in (512, 2048, 8192)}, rounds=3, inner=5)
    notes = (device_name(), *(() if cuda else ("PyTorch sees no CUDA device and did not take part",)))
    return Line("gpu", timings, limits(contenders, timings), {"batch": exponents}, notes=notes)


def check(contenders, n=BATCH, steps=20):
    """Steppers by name, after gradients agreed at the start and the losses of the first steps along the way."""
    steppers = {c.name: c.build(vae_step.problem(n)) for c in contenders}
    judged = {name: s for name, s in steppers.items() if s.gradient}
    found = {name: nets.leaves(s.gradient()) for name, s in judged.items()}
    for i in range(len(found[OURS])):
        agree(f"gradient of the VAE, array {i + 1}", {name: g[i] for name, g in found.items()}, rtol=1e-4)
    agree("loss curve of the VAE", {name: [s.step() for _ in range(steps)] for name, s in judged.items()}, rtol=1e-3)
    return steppers


def device_name():
    """The device and CuPy's version, for the notes of the table."""
    cupy = importlib.import_module("cupy")
    return f"{cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()}, CuPy {cupy.__version__}"


if __name__ == "__main__":
    why = backend.why_no_gpu()
    sys.exit(command.fail(why) if why else command.main(["gpu", *sys.argv[1:]], {"gpu": sys.modules[__name__]}))
