"""MNIST and Fashion-MNIST: 70,000 images of 28 x 28 pixels each, downloaded once into the cache.

Both come as four IDX files. What is pinned is the SHA-256 of the uncompressed stream, so any mirror will do, however it
compresses: a web address or a folder.
"""

import math
import os
import struct
from typing import NamedTuple

import numpy as np

from ._bunch import Bunch
from .download import File, get_data_home, obtain


class IDX(NamedTuple):
    name: str
    shape: tuple  # of the array of bytes in it
    sha256: str  # of the uncompressed file


class LabelledImages(NamedTuple):
    name: str
    train: tuple  # (images, labels), two IDX
    test: tuple
    mirrors: tuple
    target_names: tuple
    licence: str
    DESCR: str


def _pair(name, n, images, labels):
    return IDX(f"{name}-images-idx3-ubyte", (n, 28, 28), images), IDX(f"{name}-labels-idx1-ubyte", (n,), labels)


_ORDER = """
Rows keep the official order: 60,000 for training, then 10,000 for testing. Pixels are bytes, 0 (paper) to 255 (ink);
the lectures divide by 255."""

MNIST = LabelledImages(
    "mnist",
    train=_pair(
        "train",
        60000,
        images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    test=_pair(
        "t10k",
        10000,
        images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://raw.githubusercontent.com/fgnt/mnist/master",
    ),
    target_names=tuple(range(10)),
    licence="CC BY-SA 3.0, as the Keras documentation states it",
    DESCR="""MNIST: handwritten digits, 70,000 images of 28 x 28 pixels, 10 classes.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, Proceedings of
the IEEE 86 (1998) 2278-2324; made by Y. LeCun and C. Cortes from NIST's Special Databases 1 and 3."""
    + _ORDER,
)

FASHION_MNIST = LabelledImages(
    "fashion_mnist",
    train=_pair(
        "train",
        60000,
        images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    test=_pair(
        "t10k",
        10000,
        images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",  # has no https; the SHA-256 protects
    ),
    target_names=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    licence="MIT",
    DESCR="""Fashion-MNIST: photographs of clothes, 70,000 images of 28 x 28 pixels, 10 classes.

H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms,
arXiv:1708.07747 (2017)."""
    + _ORDER,
)


def fetch_mnist(
    *, subset=None, data_home=None, download_if_missing=True, return_X_y=False, n_retries=3, delay=1.0, mirrors=None,
    progress=None, timeout=10.0,
):
    """MNIST's X, shape (n, 784), uint8 in 0..255, and labels, shape (n,), in 0..9; n = 70000, the first 60000 to train.

    The lectures divide by 255; do so before any arithmetic, since bytes wrap around at 256.  Returns a Bunch with
    ``data`` (n, 784), ``images`` (n, 28, 28; the same memory), ``target``, ``target_names``, ``DESCR``; or
    ``(data, target)``.  `subset`: "train" (60000), "test" (10000), "all" or None (both).

    The first call downloads 12 MB and keeps 55 MB in `data_home` (by default what the variable ENM5310_DATA says, else
    the system's cache folder); every call checks the SHA-256.  `mirrors`: addresses or folders asked instead of the
    public ones, with the files as ``.gz`` or unpacked.  After all mirrors failed they are asked again, `n_retries`
    times, `delay` seconds apart; `timeout` seconds of silence count as a failure.  `progress`: True for a bar, False
    for none, None for a bar on a terminal, or a function (file name, bytes done, bytes in all).

    OSError: no mirror has the data (each is named with its reason), the folder cannot be written, or the data is not
    there and `download_if_missing` is false.
    """
    return fetch_images(MNIST, **locals())  # locals: the arguments, and nothing else


def fetch_fashion_mnist(
    *, subset=None, data_home=None, download_if_missing=True, return_X_y=False, n_retries=3, delay=1.0, mirrors=None,
    progress=None, timeout=10.0,
):
    """Fashion-MNIST's X, shape (n, 784), uint8 in 0..255, and labels, shape (n,), in 0..9, in MNIST's format.

    Everything as in `fetch_mnist`; the first call downloads 31 MB; ``target_names`` holds the ten kinds of clothing.
    """
    return fetch_images(FASHION_MNIST, **locals())


def fetch_images(dataset, *, subset=None, data_home=None, return_X_y=False, mirrors=None, **how):
    """What `fetch_mnist` does, for any set of labelled images described by a LabelledImages."""
    parts = {None: ("train", "test"), "all": ("train", "test"), "train": ("train",), "test": ("test",)}
    if subset not in parts:
        raise ValueError(f"subset is {subset!r}; it can be 'train', 'test', or 'all'")
    where, mirrors = folder(dataset, data_home), _mirrors(dataset, mirrors)
    pairs = [[_array(idx, where, mirrors, how) for idx in getattr(dataset, part)] for part in parts[subset]]
    images, target = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    data, target = images.reshape(len(images), -1), target.astype(np.int64)  # a view, and labels that cannot wrap
    if return_X_y:
        return data, target
    names = np.array(dataset.target_names)
    return Bunch(data=data, images=images, target=target, target_names=names, DESCR=dataset.DESCR)


def folder(dataset, data_home=None):
    """Where the files of a data set are kept."""
    return get_data_home(data_home) / dataset.name


def idx_files(dataset):
    """The four files of a data set, as `download.File`s."""
    return [_file(idx) for idx in dataset.train + dataset.test]


def parse_idx(stream, shape):
    """The array in an IDX file, shape `shape`, uint8; `stream` (size,) holds its bytes, which the array shares.

    The format: 0, 0, 8 (for bytes), ndim, then ndim sizes of four bytes, big end first, then the values in C order.
    ValueError if the header or the length says anything but `shape`.
    """
    head, size = idx_header(shape), math.prod(shape)
    came = stream[: len(head)].tobytes()
    if came != head or len(stream) != len(head) + size:
        raise ValueError(
            f"not an IDX file of bytes of shape {shape}: header {came.hex(' ', 4)} and {len(stream)} bytes came, "
            f"header {head.hex(' ', 4)} and {len(head) + size} bytes were expected"
        )
    return stream[len(head) :].reshape(shape)


def idx_header(shape):
    """The bytes before the values."""
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)


def _file(idx):
    return File(idx.name, len(idx_header(idx.shape)) + math.prod(idx.shape), idx.sha256)


def _mirrors(dataset, mirrors):
    if mirrors is None:
        return dataset.mirrors
    return [mirrors] if isinstance(mirrors, str | os.PathLike) else list(mirrors)


def _array(idx, where, mirrors, how):
    return parse_idx(obtain(_file(idx), where, mirrors, **how), idx.shape)
