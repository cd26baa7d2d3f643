"""Data: ``load_*`` comes with the package and needs no network; ``fetch_*`` downloads once, checks and keeps.

Conventions are scikit-learn's: keyword arguments only, a Bunch with ``data`` (n, p) and ``target`` (n,), or the pair
``(data, target)`` with ``return_X_y=True``.  Each loader's docstring says the scale of its numbers.
"""

from typing import NamedTuple

from .download import get_data_home
from .mnist import FASHION_MNIST, MNIST, fetch_fashion_mnist, fetch_mnist, folder, idx_files
from .packaged import LICENCES, load_digits, load_iris, packaged_file

__all__ = [
    "Entry", "available", "fetch", "fetch_fashion_mnist", "fetch_mnist", "get_data_home", "load_digits", "load_iris",
]

_LOADERS = {"digits": load_digits, "iris": load_iris, "mnist": fetch_mnist, "fashion_mnist": fetch_fashion_mnist}


class Entry(NamedTuple):
    name: str
    kind: str  # "packaged" or "fetchable"
    state: str  # "packaged", "cached" or "not cached"
    size: int  # bytes on disk, once it is there
    where: str  # the file or the folder
    licence: str


def available(data_home=None):
    """All data sets, one Entry each, without reading any: "cached" means that all files are there in full length."""
    return [_packaged(name) for name in LICENCES] + [_fetchable(d, data_home) for d in (MNIST, FASHION_MNIST)]


def fetch(name, **options):
    """The data set of that name in `available()`, downloaded if need be; `options` are those of its own loader."""
    if name.replace("-", "_") not in _LOADERS:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(_LOADERS)}")
    return _LOADERS[name.replace("-", "_")](**options)


def _packaged(name):
    file = packaged_file(name)
    return Entry(name, "packaged", "packaged", len(file.read_bytes()), str(file), LICENCES[name])


def _fetchable(dataset, data_home):
    files, where = idx_files(dataset), folder(dataset, data_home)
    there = all((where / f.name).is_file() and (where / f.name).stat().st_size == f.size for f in files)
    state = "cached" if there else "not cached"
    return Entry(dataset.name, "fetchable", state, sum(f.size for f in files), str(where), dataset.licence)
