"""The instructor's side: grades a folder of notebooks in a sandbox and writes nbgrader's gradebook."""
