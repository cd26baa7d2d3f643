"""Digits and iris: two csv files in one wheel of scikit-learn, which serves every platform."""

import gzip
import io

import numpy as np

from .sources import members, pip_download

WHAT, COMPRESS, TOLERANCE = "a scikit-learn wheel, source archive or site-packages folder", False, {}
WHEEL = "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
WHEEL_SHA256 = "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df"
FOLDER = "sklearn/datasets/data/"
SHA256 = {
    "digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    "iris.csv": "f13ffa8fdd56fd8e6c8d16d4081a3fbd3114bcd0aae4256c43205169cd9d1449",
}


def download(folder):
    """The wheel."""
    which = ["--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--implementation=cp", "--python-version=3.11"]
    return pip_download("scikit-learn==1.9.1", WHEEL, WHEEL_SHA256, folder, *which)


def build(path):
    """{file name: arrays}."""
    source = members(path, {name: FOLDER + name for name in SHA256}, SHA256)
    return {"digits.npz": digits(source["digits.csv.gz"]), "iris.npz": iris(source["iris.csv"])}


def digits(stream):
    """1797 images (8, 8) and labels, bytes: rows of digits.csv.gz are 64 pixels in 0..16, then the label."""
    table = np.loadtxt(io.BytesIO(gzip.decompress(stream)), delimiter=",").astype(np.uint8)
    return {"images": table[:, :-1].reshape(-1, 8, 8), "target": table[:, -1]}


def iris(stream):
    """150 rows of 4 lengths (cm) and labels: iris.csv has a line "n,p,names of the species", then data and label."""
    head, *rows = stream.decode().splitlines()
    table = np.loadtxt(rows, delimiter=",")
    return {
        "data": table[:, :-1].astype("<f8"),
        "target": table[:, -1].astype(np.uint8),
        "target_names": np.array(head.split(",")[2:]).astype("<U10"),
    }
