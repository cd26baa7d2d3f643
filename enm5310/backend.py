"""The GPU: arrays of CuPy go through the same mathematics, and autograd differentiates by them.

`vae.fit`, `autoencoder.fit` and `pca.fit` take device="gpu"; data and results are NumPy arrays as always.  For anything
else: `X = to_device(X)`, any function of the mathematics, `to_host(result)`.  The same numbers come out, to rounding:
noise and the order of the samples are drawn on the host, from the Generator that the caller gave.

autograd's `grad` alone does not work on CuPy arrays (HIPS/autograd issue 46).  It makes or wants host arrays in a few
places, and `differentiable` fills them in: the tables of types; the zeros and ones of a vector space; the derivatives
of sums, extremes, `where`, `dot`, `cholesky` and indexing; `order=None` in reshape and ravel; `.view(np.ndarray)` in
concatenate; `np.array` and `np.astype`, which NumPy does not pass on to devices.  `COVERED` lists what works.

A step of training on the device copies nothing back: objectives are read at the end of an epoch, or one by one when a
callback wants to see them.  Checks that would have to look at the values are made before the data go to the device.

Verified on a stand-in that dispatches and refuses as CuPy does (tests/device.py); the calls that the tests make on it
were also made on the wheels of CuPy 13.6.0 and 14.2.0, as far as they go without a driver.  Verified on hardware: not
yet; `pytest -m gpu` does it where there is a device.
"""

import importlib
import math
import warnings
from functools import cache

import autograd.numpy as np
import numpy as onp
from autograd.core import primitive_jvps, primitive_vjps
from autograd.extend import SparseObject, defvjp, notrace_primitive, primitive, vspace
from autograd.numpy import numpy_wrapper
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vjps import grad_inner, matmul_vjp_0, matmul_vjp_1, unbroadcast_f
from autograd.numpy.numpy_vspaces import ArrayVSpace
from autograd.tracer import getval
from autograd.util import func

# Functions of autograd.numpy with values and derivatives on device arrays: reverse mode, to any order, real numbers.
# Not covered: forward mode; eigh, svd, qr (they run, without derivatives); einsum that sums an index of one operand
# alone; tensordot to a number (take np.sum(a * b)); dot of more than two dimensions (take tensordot); functions that
# make arrays from numbers (for np.zeros(n), which lies on the host, take np.zeros_like).
COVERED = {
    "elementwise": (
        "abs absolute add arctan arctan2 clip cos cosh divide exp expm1 log log1p logaddexp maximum minimum multiply "
        "negative power reciprocal sin sinh sqrt square subtract tan tanh true_divide where"
    ).split(),
    "reductions": "amax amin cumsum max mean min prod std sum var".split(),
    "shapes": (
        "array astype broadcast_to concatenate diag diff expand_dims getitem hstack moveaxis ravel repeat reshape "
        "split squeeze stack swapaxes tile transpose tril triu vstack"
    ).split(),
    "products": "dot einsum inner matmul outer tensordot".split(),
    "linalg": "cholesky det inv norm solve".split(),
}

# -------------------- is there one? --------------------


def gpu_available():
    """Whether CuPy is installed, sees a device and can compute on it."""
    return why_no_gpu() is None


def why_no_gpu():
    """None where a GPU can be used, else one line that says why not."""
    if not hasattr(ArrayBox, "__array_ufunc__"):  # a device array plus a box would fail
        return "the GPU needs autograd 1.9: pip install -U autograd"
    try:
        cupy = _cupy()
    except Exception as why:  # a wheel for another CUDA raises an ImportError of many lines, a broken driver anything
        missing = isinstance(why, ModuleNotFoundError) and why.name == "cupy"
        return "CuPy is not installed: pip install 'enm5310[gpu-cuda12]'" if missing else f"CuPy fails: {_line(why)}"
    return _try(cupy)


@cache
def _try(cupy):
    try:
        if not cupy.cuda.is_available():  # CuPy 13 raises where there is no driver, 14 says no
            return f"CuPy {cupy.__version__} sees no CUDA device"
        float((cupy.ones((2, 2)) @ cupy.ones((2, 2))).sum())  # needs the driver, its compiler and cuBLAS
    except Exception as why:
        return f"CuPy {cupy.__version__} cannot compute: {_line(why)}"
    return None


def device_name():
    """The name of the device and the version of CuPy, where `gpu_available`."""
    cupy = _cupy()
    return f"{cupy.cuda.runtime.getDeviceProperties(0)['name'].decode()}, CuPy {cupy.__version__}"


def _line(why):
    lines = [line for line in map(str.strip, str(why).splitlines()) if line.strip("=")]
    return (lines or [type(why).__name__])[0][:120]


def _cupy():
    return importlib.import_module("cupy")


# -------------------- to and fro --------------------


def to_device(params):
    """Copies on the GPU of the NumPy arrays in a nested list, tuple or dict.  RuntimeError, one line, without a GPU."""
    if why := why_no_gpu():
        raise RuntimeError(why)
    differentiable(_cupy())
    return _tree_map(lambda a: _cupy().asarray(a) if isinstance(a, onp.ndarray) else a, params)


def to_host(params):
    """The same with NumPy arrays for those of the device; what lies on the host is not copied."""
    return _tree_map(lambda a: a.get() if on_device(a) else a, params)


def _tree_map(f, params):
    from enm5310.nets import tree_map  # which stands on this module

    return tree_map(f, params)


def on_device(a):
    """Whether a, or what autograd's box around it holds, lies on a GPU."""
    return hasattr(type(getval(a)), "__cuda_array_interface__")


def read(values):
    """Numbers as a NumPy array, those of a device in one copy."""
    return onp.stack(values).get() if values and on_device(values[0]) else onp.array(values)


def beside(host, a):
    """The host array where a lies: noise and indices, drawn on the host, go to the data."""
    return to_device(host) if on_device(a) else host


def run(device, rng, work, *data):
    """work(*data) with the data on the device, "cpu" or "gpu", and the result on the host.

    Where no GPU can be used, or its memory does not suffice, one warning says so and the CPU does the work from the
    start, rng as it was: the numbers are those of device="cpu".  rng is a numpy.random.Generator or None.
    """
    if device not in ("cpu", "gpu"):
        raise ValueError(f'device is {device!r}; take "cpu" or "gpu"')
    if device == "cpu":
        return work(*data)
    why = why_no_gpu()
    if why is None:
        state = None if rng is None else rng.bit_generator.state
        try:
            return to_host(work(*to_device(data)))
        except MemoryError as full:  # CuPy's OutOfMemoryError is one
            why = f"the GPU's memory does not suffice ({_line(full)})"
        if rng is not None:
            rng.bit_generator.state = state
    warnings.warn(f"{why}; the CPU is used", RuntimeWarning, stacklevel=3)
    return work(*data)


# -------------------- what autograd lacks --------------------


class DeviceVSpace(ArrayVSpace):
    """The vector space of an array on a device: the zeros and ones that autograd starts from lie there too."""

    def __init__(self, value):
        self.shape, self.dtype = value.shape, value.dtype

    def zeros(self):
        """0 of this space."""
        return _cupy().zeros(self.shape, self.dtype)

    def ones(self):
        """All ones: what `grad` starts from."""
        return _cupy().ones(self.shape, self.dtype)

    def standard_basis(self):
        """e_1, e_2, ...: what `jacobian` starts from."""
        return map(_cupy().asarray, ArrayVSpace(onp.empty(self.shape, self.dtype)).standard_basis())


def differentiable(cupy):
    """Let autograd differentiate by arrays of cupy.ndarray; `to_device` calls it.  Nothing changes for host arrays."""
    if cupy.ndarray not in ArrayVSpace.mappings:
        ArrayBox.register(cupy.ndarray)
        DeviceVSpace.register(cupy.ndarray)
        _teach()


@cache  # once, also where there are two array types, as in the tests
def _teach():
    _replace("concatenate_args", lambda axis, *arrays: onp.concatenate(arrays, axis))
    _replace("_array_from_scalar_or_array", lambda args, kwargs, a: _array(a, *args, **kwargs))
    _replace("array_from_args", lambda args, kwargs, *arrays: _array(onp.stack(arrays), *args, **kwargs))
    _replace("_astype", lambda a, dtype, *args, **kwargs: a.astype(dtype))
    parse = numpy_wrapper.parse_einsum_input  # looks at shapes only
    numpy_wrapper.parse_einsum_input = notrace_primitive(lambda *args: parse(*map(_shape_of, map(getval, args))))

    _add_rules(np.sum, lambda ans, x, axis=None, keepdims=False, **_: lambda g: _spread(g, x, axis))
    _add_rules(np.prod, lambda ans, x, axis=None, keepdims=False, **_: lambda g: _spread(g * ans, x, axis) / x)
    _add_rules(numpy_wrapper._primitive_mean, _mean)  # np.mean is a wrapper around it
    _add_rules(numpy_wrapper._primitive_var, _var)
    _add_rules(numpy_wrapper._primitive_std, _std)
    for extreme in {np.max, np.min, np.amax, np.amin}:
        _add_rules(extreme, _extreme)
    _add_rules(np.reshape, _reshape)
    _add_rules(np.ravel, _reshape)
    _add_rules(
        np._original_where,
        None,
        lambda ans, c, x, y: unbroadcast_f(x, lambda g: np.where(c, g, 0.0)),
        lambda ans, c, x, y: unbroadcast_f(y, lambda g: np.where(c, 0.0, g)),
    )
    _add_rules(np.dot, _as_matmul(matmul_vjp_0, 0), _as_matmul(matmul_vjp_1, 1))
    _add_rules(np.inner, _inner(0), _inner(1))
    _add_rules(np.linalg.cholesky, _cholesky)
    _add_rules(func(ArrayBox.__getitem__), lambda ans, A, index: lambda g: _scatter(g, index, vspace(A)))


def _replace(name, on_devices):
    """A primitive of autograd.numpy that NumPy does not pass on, by one that asks the device; its rules stay."""
    host = getattr(numpy_wrapper, name)
    both = primitive(lambda *args, **kw: (on_devices if any(map(on_device, args)) else host.fun)(*args, **kw))
    for rules in (primitive_vjps, primitive_jvps):
        if host in rules:
            rules[both] = rules[host]
    setattr(numpy_wrapper, name, both)


def _add_rules(fun, *rules):
    """Derivatives of fun by its arguments where one of them is on a device; autograd's own stay for host arrays."""
    host = primitive_vjps[fun]
    defvjp(fun, *rules)
    device = primitive_vjps[fun]
    primitive_vjps[fun] = lambda argnums, ans, args, kwargs: (device if any(map(on_device, args)) else host)(
        argnums, ans, args, kwargs
    )


def _array(a, dtype=None, ndmin=0, **_):
    return a[(None,) * max(0, ndmin - a.ndim)].astype(a.dtype if dtype is None else dtype)  # a copy


def _shape_of(a):
    return onp.broadcast_to(0.0, a.shape) if on_device(a) else a


def _spread(g, x, axis):
    """g, one number for every reduced piece of x, repeated over the shape of x."""
    shape = np.shape(x)
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {a % len(shape) for a in axes}
    return np.broadcast_to(np.reshape(g, tuple(1 if a in reduced else m for a, m in enumerate(shape))), shape)


def _count(ans, x):
    return math.prod(np.shape(x)) // max(1, math.prod(np.shape(ans)))  # numbers in each piece


def _mean(ans, x, axis=None, keepdims=False, **_):
    return lambda g: _spread(g, x, axis) / _count(ans, x)


def _var(ans, x, axis=None, ddof=0, keepdims=False, **_):
    return lambda g: _spread(g, x, axis) * (x - np.mean(x, axis=axis, keepdims=True)) * (2 / (_count(ans, x) - ddof))


def _std(ans, x, axis=None, ddof=0, keepdims=False, **_):
    return lambda g: _spread(g / ans, x, axis) * (x - np.mean(x, axis=axis, keepdims=True)) / (_count(ans, x) - ddof)


def _extreme(ans, x, axis=None, keepdims=False, **_):
    def shares(g):  # the extremes share it equally
        where = (x == _spread(ans, x, axis)) * np.ones_like(x)
        return _spread(g, x, axis) * where / np.sum(where, axis=axis, keepdims=True)

    return shares


def _reshape(ans, x, *args, order="C", **_):
    return lambda g: np.reshape(g, np.shape(x), order=order or "C")


def _as_matmul(rule, argnum):
    def of_dot(ans, A, B):
        if np.ndim(A) == 0 or np.ndim(B) == 0:
            return unbroadcast_f((A, B)[argnum], lambda g: g * (B, A)[argnum])
        if max(np.ndim(A), np.ndim(B)) > 2:
            raise NotImplementedError("dot of more than two dimensions on a device: take np.tensordot or np.matmul")
        return rule(ans, A, B)

    return of_dot


def _inner(argnum):
    def of_inner(ans, A, B):
        if np.ndim(ans) == 0:  # CuPy's tensordot wants no numbers
            return unbroadcast_f((A, B)[argnum], lambda g: g * (B, A)[argnum])
        return grad_inner(argnum, ans, A, B)

    return of_inner


def _cholesky(L, A):
    """dA = (S + S^T) / 2, S = L^-T phi(L^T dL) L^-1, phi the lower triangle with half the diagonal.  Murray (2016)."""

    def rule(g):
        P = L.T @ g
        P = np.tril(P) - 0.5 * np.diag(np.diag(P))
        S = np.linalg.solve(L.T, np.linalg.solve(L.T, P.T).T)
        return (S + S.T) / 2

    return rule


@primitive
def _scatter(x, index, space):
    def add_to(A):
        if all(i is None or i is Ellipsis or isinstance(i, int | slice) for i in _tuple(index)):
            A[index] += x
        else:  # the same place may come twice
            onp.add.at(A, index, x)
        return A

    return SparseObject(space, add_to)


defvjp(_scatter, lambda ans, x, index, space: lambda g: g[index])


def _tuple(index):
    return index if isinstance(index, tuple) else (index,)
