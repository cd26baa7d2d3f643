"""What grades an answer: ``from enm5310.checks import part1 as check``, then ``check.covariance(covariance)``.

An exercise is declared once, in ``partN.py`` in the lecture's order, with named parts, known mistakes and hints
(``engine``); answers are rebuilt as plain data before they are believed (``answers``); a ``report`` is a number for
nbgrader, text for a terminal, HTML for a notebook.  Checks are properties, never a comparison with the library's own
code: this package imports no module of the mathematics.
"""

from enm5310.checks.answers import Wrong, close
from enm5310.checks.engine import Exercise, Fn, exercise
from enm5310.checks.report import CheckFailed, NotAttempted, Report

__all__ = ["CheckFailed", "Exercise", "Fn", "NotAttempted", "Report", "Wrong", "close", "exercise"]
