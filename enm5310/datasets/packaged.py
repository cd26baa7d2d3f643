"""Data that comes with the package: no network, the same numbers everywhere, fresh arrays on every call.

The ``.npz`` files beside this module are written by ``python -m enm5310.datasets.build``; LICENSES.md says where they
come from.
"""

from importlib.resources import files

import numpy as np

from ._bunch import Bunch

LICENCES = {
    "digits": "BSD-3-Clause (scikit-learn's copy); UCI's own terms not verified",
    "iris": "BSD-3-Clause (scikit-learn's copy); measurements published by Fisher, 1936",
}

_DIGITS = """Optical recognition of handwritten digits: 1797 images of 8 x 8 pixels, 10 classes.

A pixel counts the ink in a 4 x 4 block of a 32 x 32 bitmap, so it is an integer in 0..16. The 13 writers are those of
the original's test set. E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, data set 80; the copy is the
one in scikit-learn. Preprocessing: Garris et al., NIST Form-Based Handprint Recognition System, NISTIR 5469 (1994)."""

_IRIS = """Iris flowers: 150 plants, 50 of each of 3 species, 4 lengths in cm.

R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936) 179-188. The copy is
the one in scikit-learn: Fisher's numbers, without the two misprints of the UCI file."""


def load_digits(*, return_X_y=False):
    """The digits X, shape (1797, 64), float64 in 0..16, and their labels, shape (1797,), in 0..9.

    The scale is scikit-learn's; the lectures divide by 16.  Returns a Bunch with ``data`` (1797, 64), ``images``
    (1797, 8, 8; the same memory), ``target``, ``target_names``, ``feature_names``, ``DESCR``; or ``(data, target)``.
    """
    arrays = _read("digits")
    images, target = arrays["images"].astype(np.float64), arrays["target"].astype(np.int64)
    data = images.reshape(len(images), -1)
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    fields = {"images": images, "target_names": np.arange(10), "feature_names": names, "DESCR": _DIGITS}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def load_iris(*, return_X_y=False):
    """The iris measurements X, shape (150, 4), float64 in cm, and their species, shape (150,), in 0..2.

    Returns a Bunch with ``data``, ``target``, ``target_names``, ``feature_names``, ``DESCR``; or ``(data, target)``.
    """
    arrays = _read("iris")
    data, target = arrays["data"].astype(np.float64), arrays["target"].astype(np.int64)
    names = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
    fields = {"target_names": arrays["target_names"], "feature_names": names, "DESCR": _IRIS}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def packaged_file(name):
    """The ``.npz`` of a packaged data set, as a path or, inside a zip, what behaves like one."""
    return files(__package__).joinpath(f"{name}.npz")


def _read(name):
    with packaged_file(name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
