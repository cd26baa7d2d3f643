"""backend: autograd on device arrays, function by function, and the road to the device and back."""

import subprocess
import sys

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, jacobian
from autograd.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import backend
from tests import device
from tests.device import TRAFFIC, Device


@pytest.fixture(params=device.KINDS)
def gpu(request, monkeypatch):
    return device.Gpu(request.param, monkeypatch)


# -------------------- the list of covered functions --------------------


def positive_definite(A):
    return A @ A.T + 3 * anp.diag(anp.ones_like(A[:, 0]))


W, v = np.linspace(0.3, 1.7, 12).reshape(3, 4) ** 1.5, np.linspace(-1, 2, 4)


def functions(names, wrap=lambda f: f):
    return {name: wrap(getattr(anp, name)) for name in names.split()}


def reduced_thrice(f):
    return lambda x: f(x) * f(x, axis=0) + f(x, axis=-1, keepdims=True)


unary = functions("abs absolute arctan cos cosh exp expm1 log log1p negative reciprocal sin sinh sqrt square tan tanh")
binary = functions("add arctan2 divide logaddexp maximum minimum multiply power subtract true_divide")
reduction = functions("amax amin max mean min prod std sum var", reduced_thrice)
CASES = {  # COVERED's name: cases (function, arguments), all differentiated by all arguments
    **{name: [(f, (W,))] for name, f in unary.items()},
    **{name: [(f, (W, W[::-1] + 0.05)), (f, (W, v + 1.5)), (f, (W[:, :1], W + 0.01)),
              (lambda x, f=f: f(x, 0.7), (W,)), (lambda x, f=f: f(0.7, x), (W,))] for name, f in binary.items()},
    **{name: [(f, (W * W[::-1, ::-1],))] for name, f in reduction.items()},
    "sum": [(reduction["sum"], (W,)), (lambda x: anp.sum(x, axis=(0, 2)), (W.reshape(3, 2, 2),))],
    "max": [(reduction["max"], (W * W[::-1, ::-1],)), (anp.max, (np.array([1.0, 3.0, 3.0]),))],  # a tie
    "where": [(lambda x, y: anp.where(x > 1, x * x, y), (W, W[::-1])), (lambda x: anp.where(x > 1, x, 0.5), (W,))],
    "clip": [(lambda x: anp.clip(x, 0.5, 1.5), (W,))],
    "cumsum": [(lambda x: anp.cumsum(x, axis=0) * anp.cumsum(x, axis=1), (W,)), (anp.cumsum, (W,))],
    "array": [(lambda x: anp.array([x[0, 0], x[1, 1] ** 2]), (W,)), (lambda x: anp.array(x, ndmin=3), (W,))],
    "astype": [(lambda x: x.astype(float) ** 2, (W,))],
    "broadcast_to": [(lambda x: anp.broadcast_to(x[:, :1], (3, 4)) * x, (W,))],
    "concatenate": [(lambda x, y: anp.concatenate([x, y * y], axis=1), (W, W[:, :2]))],
    "stack": [(lambda x, y: anp.stack([x, x * y], axis=1), (W, W[::-1]))],
    "vstack": [(lambda x, y: anp.vstack([x, y * y]), (W, v))],
    "hstack": [(lambda x, y: anp.hstack([x, y * y]), (W, W[:, :2])), (lambda x: anp.hstack([x, x * x]), (v,))],
    "diag": [(lambda x: anp.diag(x @ x.T), (W,)), (anp.diag, (v,))],
    "diff": [(lambda x: anp.diff(x * x, axis=0), (W,))],
    "expand_dims": [(lambda x: anp.expand_dims(x, 1) * x, (W[:3, :3],))],
    "getitem": [(lambda x: x[1:, None, ::2] * x[0, 0] + x[..., -1:], (W,)), (lambda x: x[0] * x[1, 2], (W,))],
    "moveaxis": [(lambda x: anp.moveaxis(x, 0, -1) ** 2, (W.reshape(3, 2, 2),))],
    "ravel": [(lambda x: anp.ravel(x) ** 2, (W,)), (lambda x: x.ravel() ** 2, (W,)),
              (lambda x: x.flatten() ** 3, (W,))],
    "repeat": [(lambda x: anp.repeat(x, 2, axis=1) ** 2, (W,))],
    "reshape": [(lambda x: anp.reshape(x, (2, -1)) ** 2, (W,)), (lambda x: x.reshape(4, 3) @ x, (W,)),
                (lambda x: anp.reshape(x, (4, 3), order="F") @ x, (W,))],
    "split": [(lambda x: anp.split(x, 2, axis=1)[1] ** 2, (W,))],
    "squeeze": [(lambda x: anp.squeeze(x[None] ** 2, 0), (W,))],
    "swapaxes": [(lambda x: anp.swapaxes(x, 0, 1) @ x, (W,))],
    "tile": [(lambda x: anp.tile(x, (2, 1)) ** 2, (W,))],
    "transpose": [(lambda x: x.T @ x, (W,)), (lambda x: anp.transpose(x, (2, 0, 1)) ** 2, (W.reshape(3, 2, 2),))],
    "tril": [(lambda x: anp.tril(x, -1) ** 2, (W,))],
    "triu": [(lambda x: anp.triu(x, 1) ** 2, (W,))],
    "dot": [(anp.dot, (W, W.T)), (anp.dot, (v, v + 1)), (anp.dot, (W, v)), (lambda x: anp.dot(x[0, 0], x), (W,))],
    "einsum": [(lambda x, y: anp.einsum("ij,kj->ik", x, y), (W, W[:2])),
               (lambda x, y: anp.einsum("...ij,...jk->...ik", x, y), (W, W.T))],
    "inner": [(anp.inner, (v, v + 1)), (anp.inner, (W, v))],
    "matmul": [(anp.matmul, (W, W.T)), (anp.matmul, (W, v)), (anp.matmul, (v, v + 1)),
               (anp.matmul, (W.reshape(3, 2, 2), W[:2, :2]))],
    "outer": [(anp.outer, (v, v + 1))],
    "tensordot": [(lambda x, y: anp.tensordot(x, y, [[0], [1]]), (W.reshape(3, 2, 2), W.T)),
                  (lambda x, y: anp.tensordot(x, y, 1), (W, W.T))],
    "cholesky": [(lambda A: anp.linalg.cholesky(positive_definite(A)), (W[:, :3],))],
    "det": [(lambda A: anp.linalg.det(positive_definite(A)), (W[:, :3],))],
    "inv": [(lambda A: anp.linalg.inv(positive_definite(A)), (W[:, :3],))],
    "norm": [(anp.linalg.norm, (W,)), (lambda x: anp.linalg.norm(x, axis=0), (W,))],
    "solve": [(lambda A, b: anp.linalg.solve(positive_definite(A), b), (W[:, :3], W)),
              (lambda A, b: anp.linalg.solve(positive_definite(A), b), (W[:, :3], v[:3]))],
}  # fmt: skip
COVERED = [name for names in backend.COVERED.values() for name in names]
ALL = [(name, *case) for name in COVERED for case in CASES.get(name, [(None, ())])]


def weighted(f, args):
    """A number that every entry of f's value moves by a weight of its own, and its gradient."""

    def number(args):  # tanh: the second derivative is not zero
        values = anp.tanh(0.3 * f(*args))
        return anp.sum(anp.cumsum(values, axis=-1) if anp.ndim(values) else values)

    return number(args), grad(number)(args)


def second(f, args):
    """The derivative of |gradient|^2."""
    return grad(lambda args: sum(anp.sum(g * g) for g in weighted(f, args)[1]))(args)


@pytest.mark.parametrize(("name", "f", "args"), ALL, ids=[name for name, *_ in ALL])
def test_covered_functions_and_their_derivatives_are_those_of_the_host(gpu, name, f, args):
    assert f is not None, f"{name} is in COVERED and has no case here"
    there = gpu(args)
    with gpu.no_copies():
        value, gradient = weighted(f, there)
        curvature = second(f, there)
    wanted, by_host = weighted(f, args)
    assert all(isinstance(a, gpu.array) for a in (value, *gradient, *curvature))
    assert_allclose(value.get(), wanted, rtol=1e-12)
    for mine, host in zip((*gradient, *curvature), (*by_host, *second(f, args)), strict=True):
        assert mine.dtype == np.float64
        assert_allclose(mine.get(), host, rtol=1e-9, atol=1e-12)


def test_jacobians_and_derivatives_of_what_does_not_depend_on_x_work(gpu):
    x = gpu(v)
    assert_allclose(jacobian(lambda x: x**3)(x).get(), np.diag(3 * v**2))
    with pytest.warns(UserWarning, match="independent"):
        zero = grad(lambda x: anp.sum(anp.ones_like(x)))(x)
    assert isinstance(zero, gpu.array) and not zero.get().any()


def test_float32_stays_float32(gpu):
    x = gpu(W.astype(np.float32))

    def f(x):
        return anp.sum(anp.mean(anp.tanh(x) ** 2, axis=0) + anp.max(x, axis=0) * anp.std(x, axis=0) + x[0] / 3)

    assert grad(f)(x).dtype == np.float32


def test_dot_of_many_dimensions_says_what_to_take(gpu):
    A = gpu(W.reshape(3, 2, 2))
    with pytest.raises(NotImplementedError, match="tensordot"):
        grad(lambda A: anp.sum(anp.dot(A, A[0])))(A)


def test_indices_that_repeat_add_up(gpu):
    i = np.array([0, 2, 0, 0])
    mine = grad(lambda x, i: anp.sum(x[i] ** 2))(gpu(W), gpu(i)).get()
    assert_allclose(mine, grad(lambda x: anp.sum(x[i] ** 2))(W))


# -------------------- on the host nothing changes --------------------


@pytest.mark.parametrize("modes", [["rev"], ["fwd"]])
def test_autograd_on_the_host_is_as_it_was(gpu, modes):
    gpu(v)  # autograd has learnt
    for f in (
        lambda x: anp.concatenate([x, x**2], axis=1), lambda x: anp.array([x[0, 0], x[1, 1]]), anp.sum, anp.std,
        lambda x: anp.where(x > 1, x, 2 * x), lambda x: anp.stack([x, x]), anp.max, lambda x: anp.reshape(x, (2, 6)),
        lambda x: anp.dot(x, x.T), lambda x: x[:, ::2], lambda x: anp.einsum("ij,kj->ik", x, x), anp.mean, anp.ravel,
    ):  # fmt: skip
        check_grads(f, modes=modes, order=2)(W)
    assert type(anp.concatenate([W, W])) is type(grad(lambda x: anp.sum(x[0]))(W)) is np.ndarray
    assert anp.array([1, 2]).dtype == int and anp.array(W, dtype=np.float32).dtype == np.float32


# -------------------- is there one? --------------------


class Refuses:
    """A finder of modules in whose hands `import cupy` fails."""

    def __init__(self, error):
        self.error = error

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise self.error


LONG = "\n================\nFailed to import CuPy.\n\nIf you installed CuPy via wheels, ...\n================"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'cupy'", name="cupy"), "CuPy is not installed: pip install 'enm5310[gpu"),
        (ImportError(LONG), "CuPy fails: Failed to import CuPy."),
        (OSError("libcuda.so.1: cannot open shared object"), "CuPy fails: libcuda.so.1: cannot open shared object"),
        (RuntimeError(), "CuPy fails: RuntimeError"),
    ],
)
def test_a_wheel_that_is_missing_or_broken_is_one_line(monkeypatch, error, words):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuses(error), *sys.meta_path])
    assert not backend.gpu_available()
    why = backend.why_no_gpu()
    assert why.startswith(words) and "\n" not in why
    with pytest.raises(RuntimeError, match=words[:10]):
        backend.to_device(W)


def test_an_autograd_that_lets_no_other_arrays_near_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", device.module())
    monkeypatch.delattr(backend.ArrayBox, "__array_ufunc__")
    assert backend.why_no_gpu() == "the GPU needs autograd 1.9: pip install -U autograd"


def test_cupy_without_a_device_or_without_its_libraries_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", device.module(available=False))
    assert backend.why_no_gpu() == "CuPy 0.stand-in sees no CUDA device"

    def ones(shape):
        raise ImportError("libcublas.so.12: cannot open shared object file\nmore")

    cupy = device.module()
    cupy.ones = ones
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert backend.why_no_gpu() == "CuPy 0.stand-in cannot compute: libcublas.so.12: cannot open shared object file"

    def is_available():
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")

    cupy = device.module()
    cupy.cuda.is_available = is_available
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert backend.why_no_gpu().startswith("CuPy 0.stand-in cannot compute: cudaErrorInsufficientDriver")


def test_there_and_back_keeps_nesting_types_and_what_is_no_array(gpu):
    tree = [(W.astype(np.float32), {"n": 3}), None, v]
    there = gpu(tree)
    assert backend.on_device(there[0][0]) and not backend.on_device(W) and not backend.on_device(3.0)
    back = backend.to_host(there)
    assert back[0][0].dtype == np.float32 and back[0][1] == {"n": 3} and back[1] is None
    assert_array_equal(back[2], v)
    assert backend.to_host(v) is v and backend.beside(v, W) is v and backend.on_device(backend.beside(v, there[2]))


def test_importing_the_library_does_not_look_for_a_gpu():
    code = "import sys, enm5310.vae, enm5310.backend; assert not any('cupy' in name for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------- the stand-in refuses what CuPy refuses --------------------


def test_the_stand_in_refuses_at_least_what_cupy_refuses(monkeypatch):
    x = device.Gpu("stand-in", monkeypatch)(W)
    for refused in (
        lambda: x + W, lambda: W + x, lambda: x @ W.T, lambda: W @ x.T, lambda: x * np.float32(2),
        lambda: np.asarray(x), lambda: np.array([x, x]), lambda: np.concatenate([x, W]), lambda: np.where(W > 1, x, 0),
        lambda: np.full(3, x[0, 0]), lambda: x[np.array([0, 1])], lambda: x[[0, 1]], lambda: W[x[0] > 1],
        lambda: np.cov(x), lambda: np.max(x, initial=0), lambda: np.reshape(x, (12,), order=None),
        lambda: np.exp(x, where=x > 1), lambda: np.add(x, x, out=W), lambda: np.zeros_like(x, shape=()),
        lambda: np.logical_and.reduce(x > 1), lambda: len(x[0, 0]), lambda: list(x[0, 0]), lambda: np.astype(x, float),
        lambda: range(x[0, 0]), lambda: np.full_like(x, np.float64(1)), lambda: hash(x),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            refused()
    for refused in (lambda: x.view(np.ndarray), lambda: x.__setitem__(0, W[0]), lambda: bool(x)):
        with pytest.raises(ValueError):
            refused()
    TRAFFIC.clear()
    assert isinstance(np.sum(x), Device) and isinstance(x[0, 0], Device) and not TRAFFIC
    for copying in (float, bool, str, repr, lambda a: a.item(), lambda a: f"{a}", lambda a: x[x > 1]):
        copying(x[0, 0])
    assert TRAFFIC == {"to_host": 7}


def test_the_device_is_named(gpu):
    assert ", CuPy " in backend.device_name()
