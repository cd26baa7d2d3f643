"""`python -m tests.benchmarks.streaming ROWS COLUMNS FILE OUT`: streaming PCA of a file, and the memory it took.

A process of its own, because peak memory is a property of processes.  FILE holds raw float32; OUT gets U (.npy);
printed is by how many bytes the peak of resident memory rose over what Python and NumPy took before.
"""

import resource
import sys
from pathlib import Path

import numpy as np

from enm5310 import pca, pca_large

COMPONENTS, ROWS = 30, 2048


def main(n, p, file, out):
    pca.fit(np.random.default_rng(0).standard_normal((50, 5), dtype=np.float32), 2)  # BLAS takes its buffers
    before = peak()
    U = pca_large.fit_stream(batches(int(n), int(p), file), COMPONENTS).U
    print(peak() - before)
    np.save(out, U)


def batches(n, p, file):
    """Rows read from the file, never mapped: mapped pages would count as ours though they can be dropped."""
    with open(file, "rb") as f:
        for i in range(0, n, ROWS):
            yield np.fromfile(f, np.float32, min(ROWS, n - i) * p).reshape(-1, p)


def peak():
    """Bytes: the high-water mark of this process; where Linux has no say, that of getrusage."""
    status = Path("/proc/self/status")  # getrusage would start from the parent's peak there
    if status.exists():
        return 1024 * int(next(l for l in status.read_text().splitlines() if l.startswith("VmHWM")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
