"""Archives of arrays whose bytes depend on the arrays alone, and how a packaged one is compared with a rebuild."""

import io
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1]


def npz(arrays, compress=False):
    """The bytes of an .npz file: fixed times, in the order given; stored, they are a function of the arrays alone.

    Compressed, they depend on the zlib that Python was built with too, so those archives are compared by their arrays.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else it tells on which system it was built
            entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            archive.writestr(entry, _npy(array), compresslevel=9 if compress else None)
    return out.getvalue()


def write(name, arrays, compress=False):
    """Puts the archive where the loaders look for it."""
    (HERE / name).write_bytes(npz(arrays, compress))


def difference(name, arrays, compress=False, tolerance=None):
    """What is wrong with a packaged file, in words; None if it is what `arrays`, a rebuild, would give.

    tolerance: {name of an array: by how much its numbers may differ}, for pictures drawn by another FreeType.
    """
    path = HERE / name
    if not path.exists():
        return f"{name} is missing"
    if not compress and path.read_bytes() == npz(arrays):
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as packaged:
            wrong = [key for key in arrays if not _close(packaged[key], arrays[key], (tolerance or {}).get(key, 0))]
    except Exception as why:  # a damaged archive can fail in any of zipfile's and NumPy's ways
        return f"{name} differs from its source so far that it cannot be read ({why})"
    if wrong:
        return f"{name} differs from its source in {', '.join(wrong)}"
    return None if compress else f"{name} differs from its source in its bytes, not in its numbers"


def _close(a, b, tolerance):
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.max(np.abs(a.astype(float) - b)) <= tolerance) if tolerance else np.array_equal(a, b)


def _npy(array):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return out.getvalue()
