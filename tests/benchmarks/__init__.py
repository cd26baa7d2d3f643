"""How fast the library is, beside its peers in the same run: `python -m tests.benchmarks [NAME ...] [--json FILE]`.

One module per line of the table.  The peers (PyTorch, JAX, scikit-learn: the dependency group "bench") are imported
only by the functions that build them, so tests of the harness need none of them.
"""
