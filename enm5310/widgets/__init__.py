"""Interactive figures without a server: ``frames`` puts sliders over pictures and curves that Python computed, ``pad``
shows what small decoders make of a point in the plane.

Import what you want from its module (``from enm5310.widgets.frames import frames``); nothing is loaded here.  No module
of this folder computes any mathematics of the lecture: ``frames`` shows arrays, ``pad`` runs the layers it is given.
"""
