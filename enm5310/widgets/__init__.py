"""Interactive figures without a server: ``frames`` puts sliders over pictures and curves computed in Python.

Import what you want from its module (``from enm5310.widgets.frames import frames``); nothing is loaded here.  No module
of this folder computes any mathematics of the lecture: each shows the arrays it is given.
"""
