"""Rebuilds the packaged data from its source: ``python -m enm5310.datasets.build [--check] [--from SOURCE]``.

The source is one wheel of scikit-learn, of which only two csv files are read: scikit-learn is neither imported nor
installed, and the same wheel serves every platform.  The archives are stored, not compressed: compressed bytes depend
on the zlib that Python was built with, these only on the numbers.
"""

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

WHEEL = "scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"
WHEEL_SHA256 = "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df"
FOLDER = "sklearn/datasets/data/"
SHA256 = {
    "digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    "iris.csv": "f13ffa8fdd56fd8e6c8d16d4081a3fbd3114bcd0aae4256c43205169cd9d1449",
}
HERE = Path(__file__).parent


def digits(source):
    """1797 images (8, 8) and labels, bytes: rows of digits.csv.gz are 64 pixels in 0..16, then the label."""
    table = np.loadtxt(io.BytesIO(gzip.decompress(source["digits.csv.gz"])), delimiter=",").astype(np.uint8)
    return {"images": table[:, :-1].reshape(-1, 8, 8), "target": table[:, -1]}


def iris(source):
    """150 rows of 4 lengths (cm) and labels: iris.csv has a line "n,p,names of the species", then data and label."""
    head, *rows = source["iris.csv"].decode().splitlines()
    table = np.loadtxt(rows, delimiter=",")
    return {
        "data": table[:, :-1].astype("<f8"),
        "target": table[:, -1].astype(np.uint8),
        "target_names": np.array(head.split(",")[2:]).astype("<U10"),
    }


def npz(arrays):
    """The bytes of an .npz file, a function of the arrays alone: fixed times, stored, in the order given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else it tells on which system it was built
            archive.writestr(entry, _npy(array))
    return out.getvalue()


def build(source):
    """{file name: arrays} from {csv name: bytes}; SystemExit if a csv is not the one pinned."""
    for name, sha256 in SHA256.items():
        if hashlib.sha256(source[name]).hexdigest() != sha256:
            raise SystemExit(f"{name}: its SHA-256 is not the pinned one; use {WHEEL}")
    return {"digits.npz": digits(source), "iris.npz": iris(source)}


def read(path):
    """{csv name: bytes} in a wheel, a source archive (.tar.gz), or the folder that holds ``sklearn``."""
    path = Path(path)
    try:
        if path.is_dir():
            return {name: (path / FOLDER / name).read_bytes() for name in SHA256}
        return _from_zip(path) if zipfile.is_zipfile(path) else _from_tar(path)
    except (OSError, KeyError, tarfile.TarError) as why:
        raise SystemExit(f"{path}: cannot read {FOLDER} from it ({why})") from None


def download():
    """{csv name: bytes} from the pinned wheel, which pip downloads into a temporary folder; SystemExit if it cannot."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    wheel = ["--platform=manylinux_2_28_x86_64", "--implementation=cp", "--python-version=3.11", "scikit-learn==1.9.1"]
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([*pip, f"--dest={folder}", *wheel], capture_output=True, text=True)
        if run.returncode:  # only the status counts; pip also talks on stderr when all is well
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            raise SystemExit(f"pip cannot download scikit-learn==1.9.1 ({last}); download {WHEEL} and use --from")
        return read(_pinned(Path(folder, WHEEL)))


def difference(name, arrays):
    """What is wrong with the packaged file, in words; None if it has the same bytes as a rebuild."""
    path = HERE / name
    if not path.exists():
        return f"{name} is missing"
    if path.read_bytes() == npz(arrays):
        return None
    return f"{name} differs from its source {_how(path, arrays)}"


def check(built):
    """One line; exit status 1 if a packaged file is not, byte for byte, what is built from the source."""
    wrong = [words for name, arrays in built.items() if (words := difference(name, arrays))]
    if wrong:
        raise SystemExit("; ".join(wrong) + ": run python -m enm5310.datasets.build")
    print(f"{', '.join(built)}: the same as a rebuild")


def main(argv=None):
    parser = argparse.ArgumentParser("python -m enm5310.datasets.build", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a packaged file differs")
    parser.add_argument("--from", dest="source", help="a scikit-learn wheel, source archive or site-packages folder")
    args = parser.parse_args(argv)
    built = build(read(args.source) if args.source else download())
    if args.check:
        return check(built)
    for name, arrays in built.items():
        (HERE / name).write_bytes(npz(arrays))
        print(f"{name}: " + ", ".join(f"{key} {array.shape} {array.dtype}" for key, array in arrays.items()))


def _npy(array):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return out.getvalue()


def _from_zip(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(FOLDER + name) for name in SHA256}


def _from_tar(path):
    top = path.name.removesuffix(".tar.gz")
    with tarfile.open(path, "r:gz") as archive:
        return {name: archive.extractfile(f"{top}/{FOLDER}{name}").read() for name in SHA256}


def _pinned(path):
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"pip did not download the pinned {WHEEL}; get that file and use --from")
    return path


def _how(path, arrays):
    try:
        with np.load(io.BytesIO(path.read_bytes())) as packaged:
            wrong = [name for name in arrays if not np.array_equal(packaged[name], arrays[name])]
    except Exception as why:  # a damaged archive can fail in any of zipfile's and NumPy's ways
        return f"so far that it cannot be read ({why})"
    return f"in {', '.join(wrong)}" if wrong else "in its bytes, not in its numbers"


if __name__ == "__main__":
    main()
