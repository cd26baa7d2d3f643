"""The tests, on one thread of BLAS: notebooks run beside them, and on busy cores its threads wait for each other."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported; a test of 2 s took 180 s with two
