"""A student's notebook, checked away from the notebook: in a process of its own, which may hang, crash or flood.

    places      which notebooks are meant, and which course folder they belong to
    notebook    a file becomes code cells, or one line that says why not
    plan        code cells become steps: run this cell, judge that exercise here
    runner      runs the steps: cells in another process (grading/inside), checks here with that process's functions
    piped       that process where there is no fork
    processes   starting and ending them
    progress    what is remembered between two calls
    watch       checks on save: the loop; saves (which files), background, keys, watching (what is drawn)
    screens     how all this looks in a terminal
"""


class Problem(Exception):
    """Something the user has to mend; the message is one line that names the problem and the next step."""
