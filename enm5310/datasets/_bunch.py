"""What a loader returns: a dictionary whose entries are attributes too."""


class Bunch(dict):
    """``bunch.data`` is ``bunch["data"]``: scikit-learn's convention, so code written for its loaders runs on ours."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; the fields are {', '.join(self)}") from None

    __setattr__ = dict.__setitem__

    def __dir__(self):
        return [*super().__dir__(), *self]
