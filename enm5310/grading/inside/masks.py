"""The library without the answers, and without the checks: by name, when the student's code imports them.

No file is hidden and nothing of ``enm5310`` is imported here beforehand.  A masked attribute is replaced the moment
its module has been executed, so that other modules which import it by name get the replacement, too.
"""

import importlib.abc
import importlib.machinery
import sys

CHECKS = "enm5310.checks"
ERRORS = {"CheckFailed": AssertionError, "NotAttempted": NotImplementedError, "Wrong": Exception}


def install(masks):
    """masks: {"enm5310.pca.fit": "1.3"}: attributes that refuse, and the exercise that asks to write them."""
    sys.meta_path.insert(0, _Finder(dict(masks)))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, masks):
        self.masks, self.busy = masks, set()

    def find_spec(self, name, path=None, target=None):
        if name == CHECKS or name.startswith(f"{CHECKS}."):
            return importlib.machinery.ModuleSpec(name, _Stub(), is_package=True)
        if not any(masked.startswith(f"{name}.") for masked in self.masks):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Masking(spec.loader, self.masks)
        return spec


class _Masking(importlib.abc.Loader):
    def __init__(self, loader, masks):
        self.loader, self.masks = loader, masks

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        for masked, exercise in self.masks.items():
            if masked.startswith(f"{module.__name__}."):
                *inner, name = masked.removeprefix(f"{module.__name__}.").split(".")
                owner = module
                for step in inner:
                    owner = getattr(owner, step, None)
                if owner is not None and hasattr(owner, name):
                    setattr(owner, name, _refusing(masked, exercise))

    def __getattr__(self, name):  # get_source and its like
        return getattr(self.loader, name)


def _refusing(masked, exercise):
    def refuse(*args, **kwargs):
        raise PermissionError(f"{exercise} asks you to write this; {masked} is not there while it is graded")

    refuse.__name__ = refuse.__qualname__ = masked.rpartition(".")[2]
    return refuse


class Inert(int):
    """Takes any attribute and any call, is the number 0 and shows as nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __getattr__(self, name):
        if name.startswith("_"):  # IPython asks for many, and for one that nothing should have
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __iter__(self):
        return iter(())

    def __enter__(self):
        return self

    def __exit__(self, *why):
        return False

    def __repr__(self):
        return ""

    __str__ = __repr__

    def _ipython_display_(self):
        """Nothing is shown."""


class _Stub(importlib.abc.Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        def attribute(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (ERRORS[name],), {}) if name in ERRORS else Inert()

        module.__getattr__ = attribute
