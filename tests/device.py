"""A stand-in for CuPy without a GPU: arrays that live "on a device", and a module `cupy` to put into sys.modules.

It refuses at least what CuPy refuses, where the library relies on CuPy.  Read in CuPy's sources (cupy/_core/core.pyx:
`_should_use_rop`, `__array_ufunc__`, `__array_function__`, `__array__`, `__getitem__`, `__iter__`; and
cupy/_creation/basic.py) and tried on the wheels 13.6.0 and 14.2.0, whose arrays can be made, sliced and dispatched
without a driver:

- no implicit conversion to NumPy (`__array__` raises TypeError), so `np.array(a)` and `np.full(n, a)` fail;
- NEP 13: host arrays raise TypeError, unknown types give NotImplemented so that autograd's boxes are asked next;
  `at` is there, `where=` and `reduce` of most ufuncs are not;
- NEP 18: what CuPy lacks or spells otherwise fails: `np.max(initial=)`, `np.reshape(order=None)`, `np.astype` (13.6),
  `view(np.ndarray)`; `shape=` of the *_like functions is ignored by CuPy when it is 0 or (), so it is refused here;
- reductions give arrays of shape (), never scalars; float(), bool(), int(), item() and printing copy to the host.

Stricter than CuPy on purpose: NumPy scalars of another type than the array (CuPy 13 and 14 promote them differently),
host arrays and lists as indices (CuPy copies them to the device without a word), any function that is not listed below.
Every copy is counted in `TRAFFIC`.
"""

import contextlib
import importlib
import sys
import types
from collections import Counter

import numpy as np
import pytest

from enm5310 import backend

KINDS = ["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)]  # what the fixtures `gpu` of the tests run on
TRAFFIC = Counter()  # "to_host", "to_device": how many copies
LIMIT = [float("inf")]  # bytes of the largest array that the device can hold

UFUNCS = set(
    "absolute add arctan arctan2 bitwise_and bitwise_or conjugate copysign cos cosh divide equal exp expm1 floor "
    "greater greater_equal invert isfinite less less_equal log log1p logaddexp logical_and logical_not logical_or "
    "matmul maximum minimum multiply negative not_equal power reciprocal sign sin sinh sqrt square subtract tan "
    "tanh".split()
)

_NONE, _REDUCE, _LIKE = set(), {"axis", "keepdims", "out"}, {"dtype", "order", "shape"}
FUNCTIONS = {  # name: the keywords that CuPy has, of those that we might use
    **dict.fromkeys(["sum", "mean", "prod"], _REDUCE | {"dtype"}),
    **dict.fromkeys(["std", "var"], _REDUCE | {"dtype", "ddof"}),
    **dict.fromkeys(["amax", "amin", "max", "min", "all", "any"], _REDUCE),
    **dict.fromkeys(["zeros_like", "ones_like", "empty_like", "full_like"], _LIKE),
    **dict.fromkeys(["shape", "ndim", "size", "result_type", "iscomplexobj"], _NONE),
    "reshape": {"order"}, "ravel": {"order"},
    "transpose": {"axes"}, "swapaxes": set(), "moveaxis": set(), "expand_dims": {"axis"}, "squeeze": {"axis"},
    "broadcast_to": set(), "repeat": {"axis"}, "tile": set(), "split": {"axis"},
    "concatenate": {"axis"}, "stack": {"axis"}, "hstack": set(), "atleast_1d": set(), "atleast_2d": set(),
    "where": set(), "clip": set(), "diag": {"k"}, "triu": {"k"}, "tril": {"k"}, "diff": {"axis"}, "cumsum": {"axis"},
    "argmax": {"axis"}, "flatnonzero": set(), "allclose": {"rtol", "atol"}, "dot": set(), "outer": set(),
    "inner": set(), "tensordot": {"axes"}, "einsum": set(), "argsort": {"axis"},
    "linalg.eigh": {"UPLO"}, "linalg.svd": {"full_matrices", "compute_uv"}, "linalg.qr": set(), "linalg.solve": set(),
    "linalg.inv": set(), "linalg.det": set(), "linalg.norm": {"axis", "ord"}, "linalg.cholesky": set(),
    "linalg.matrix_rank": set(),
}  # fmt: skip


_METHODS = {"sum", "mean", "max", "min", "all", "any", "ravel", "transpose", "swapaxes", "std", "var", "argmax"}


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError"""


def upload(host):
    """cupy.asarray: a copy on the device."""
    if isinstance(host, Device):
        return host
    TRAFFIC["to_device"] += 1
    return Device(np.array(host))


def download(array):
    """cupy.asnumpy: a copy on the host."""
    return array.get() if isinstance(array, Device) else np.asarray(array)


class Device(np.lib.mixins.NDArrayOperatorsMixin):
    """What we rely on of cupy.ndarray."""

    __array_priority__ = 100
    __cuda_array_interface__ = {"version": 3}  # CuPy looks for it in its own arguments  # noqa: RUF012

    def __init__(self, array):
        if array.nbytes > LIMIT[0]:
            raise OutOfMemoryError(f"Out of memory allocating {array.nbytes:,} bytes")
        self._array = array

    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    dtype = property(lambda self: self._array.dtype)
    nbytes = property(lambda self: self._array.nbytes)
    T = property(lambda self: Device(self._array.T))

    # -------------------- to the host, always counted --------------------

    def get(self):
        TRAFFIC["to_host"] += 1
        return self._array.copy()

    def item(self):
        return self.get().item()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self.get())

    def __repr__(self):
        return repr(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    # -------------------- containers --------------------

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return Device(np.asarray(self._array[_index(index)]))

    def __setitem__(self, index, value):
        if not isinstance(value, Device | bool | int | float):
            raise ValueError(f"{type(value)} cannot be used for fill")
        self._array[_index(index)] = value._array if isinstance(value, Device) else value

    __hash__ = None

    # -------------------- methods --------------------

    def astype(self, dtype, order="K", copy=True):
        return Device(self._array.astype(dtype, order=order, copy=copy))

    def copy(self):
        return Device(self._array.copy())

    def reshape(self, *shape):
        return Device(self._array.reshape(*shape))

    def flatten(self):
        return Device(self._array.flatten())

    def view(self, dtype):
        raise ValueError("When changing to a larger dtype, its size must be a divisor of the total size in bytes")

    def __getattr__(self, name):
        if name in _METHODS:
            return lambda *args, **kwargs: getattr(np, name)(self, *args, **kwargs)
        raise AttributeError(f"the stand-in has no attribute {name!r}")

    # -------------------- NEP 13 and NEP 18 --------------------

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if ufunc.__name__ not in UFUNCS or (method != "__call__" and (method, ufunc.__name__) != ("at", "add")):
            return NotImplemented
        if method == "at":
            target, index, value = inputs
            _known(value)
            np.add.at(target._array, _index(index), value._array if isinstance(value, Device) else value)
            return None
        if kwargs.keys() - {"out", "dtype"}:
            raise TypeError(f"Wrong arguments {kwargs}")
        out = kwargs.pop("out", ())
        for a in (*inputs, *out):
            if not isinstance(a, Device | np.ndarray | np.generic | bool | int | float | complex):
                return NotImplemented
            if not (isinstance(a, np.generic) and all(b.dtype == a.dtype for b in inputs if isinstance(b, Device))):
                _known(a)
        if not all(isinstance(a, Device) for a in out):
            raise TypeError("return arrays must be on the device")
        result = ufunc(*_bare(inputs), out=tuple(a._array for a in out) or None, **kwargs)
        return out[0] if out else _wrap(result)

    def __array_function__(self, func, kinds, args, kwargs):
        name = f"{func.__module__}.{func.__name__}".removeprefix("numpy.")
        if name not in FUNCTIONS or not all(kind in (Device, np.ndarray) for kind in kinds):
            return NotImplemented
        if kwargs.keys() - FUNCTIONS[name]:
            raise TypeError(f"{name}() got an unexpected keyword argument: {kwargs.keys() - FUNCTIONS[name]}")
        if name in ("reshape", "ravel") and kwargs.get("order", "C") is None:
            raise TypeError("object of type 'NoneType' has no len()")
        if "shape" in kwargs and not kwargs["shape"]:
            raise TypeError("CuPy ignores an empty shape")
        if name == "tensordot" and not all(np.ndim(a) for a in args[:2]):
            raise ValueError("An input is zero-dim while axes has dimensions")
        if name == "full_like":
            _scalar(args[1])
        if name == "where" and isinstance(args[0], Device):
            args = (args[0].astype(bool), *args[1:])
        _known(args if name not in ("reshape", "transpose", "tensordot", "result_type") else args[:1])
        out = kwargs.pop("out", None)
        if out is not None:
            func(*_bare(args), out=out._array, **kwargs)
            return out
        result = func(*_bare(args), **kwargs)
        return result if name in ("shape", "ndim", "size", "result_type", "iscomplexobj") else _wrap(result)


def _known(a):
    """No host array, no NumPy scalar, however deep."""
    if isinstance(a, list | tuple):
        for part in a:
            _known(part)
    elif isinstance(a, np.ndarray | np.generic):
        raise TypeError(f"Unsupported type {type(a)}")


def _scalar(a):
    if not isinstance(a, bool | int | float):
        raise TypeError(f"{type(a)} is no fill value that every version of CuPy takes")


def _bare(a):
    if isinstance(a, list | tuple):
        return type(a)(_bare(part) for part in a)
    return a._array if isinstance(a, Device) else a


def _wrap(a):
    """Arrays of shape () instead of scalars, plain tuples instead of NumPy's named ones."""
    if isinstance(a, tuple):
        return tuple(_wrap(part) for part in a)
    if isinstance(a, list):
        return [_wrap(part) for part in a]
    return Device(np.asarray(a))


def _index(index):
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    if isinstance(index, Device):
        if index.dtype == bool:
            TRAFFIC["to_host"] += 1  # how long the answer is
        return index._array
    if index is None or index is Ellipsis or (isinstance(index, slice | int) and not isinstance(index, bool)):
        return index
    raise TypeError(f"an index of type {type(index)} is copied to the device without a word")


class Gpu:
    """What a test sees of a device: to send arrays there by a call, their type, and a region without copies."""

    def __init__(self, kind, monkeypatch):
        if kind == "cupy" and (why := backend.why_no_gpu()):
            pytest.skip(why)
        if kind == "stand-in":
            monkeypatch.setitem(sys.modules, "cupy", module())
            TRAFFIC.clear()
        self.kind, self.array = kind, importlib.import_module("cupy").ndarray

    def __call__(self, params):
        return backend.to_device(params)

    @contextlib.contextmanager
    def no_copies(self):
        """Fails when anything is copied between host and device, on CuPy when something is copied to the host."""
        if self.kind == "cupy":
            with importlib.import_module("cupyx").allow_synchronize(False):
                yield
        else:
            before = dict(TRAFFIC)
            yield
            assert dict(TRAFFIC) == before, "copied between host and device"


def module(available=True):
    """A module `cupy` for sys.modules."""
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "0.stand-in"
    cupy.ndarray, cupy.asarray, cupy.asnumpy = Device, upload, download
    cupy.zeros = lambda shape, dtype=float: Device(np.zeros(shape, dtype))
    cupy.ones = lambda shape, dtype=float: Device(np.ones(shape, dtype))
    memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    runtime = types.SimpleNamespace(getDeviceProperties=lambda i: {"name": b"stand-in"})
    cupy.cuda = types.SimpleNamespace(is_available=lambda: available, memory=memory, runtime=runtime)
    return cupy
