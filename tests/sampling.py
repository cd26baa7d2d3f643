"""Long tables of cases: a sample of them in the fast suite, the others marked slow."""

import pytest


def one_in(n, cases):
    """The cases as parameters: every n-th as it is, the rest marked slow."""
    return [case if i % n == 0 else pytest.param(case, marks=pytest.mark.slow) for i, case in enumerate(cases)]
