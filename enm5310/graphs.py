"""The graph of a computation as autograd records it (slides 7 and 9): what was called, and where a gradient flows back.

`trace` runs a function on named inputs and one backward pass through the recorded calls; every arrow then knows how
large the gradient is that went back along it.  0 means that nothing did: the picture "before reparametrisation".
"""

from collections import Counter
from typing import NamedTuple

import autograd.numpy as np
from autograd.core import VJPNode, vspace
from autograd.extend import defvjp, primitive
from autograd.tracer import new_box, trace_stack


class Graph(NamedTuple):
    """Names of inputs and calls in the order of computation, and the size of the gradient on every arrow."""

    inputs: list  # names
    calls: list  # names, the last one is the output
    flow: dict  # {(from, to): |gradient that came back along this arrow|}


_BELOW = str.maketrans("0123456789", "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089")  # as subscripts


class _Step(VJPNode):
    """A call that autograd recorded, with the name of the function."""

    __slots__ = ["name"]

    def __init__(self, value, fun, args, kwargs, parent_argnums, parents):
        super().__init__(value, fun, args, kwargs, parent_argnums, parents)
        self.name = fun.__name__

    def initialize_root(self, name):
        self.name, self.parents, self.vjp = name, [], lambda g: ()


@primitive
def draw(mean, logvar, eps):
    """z ~ N(mean, e^logvar) from a random number generator: numbers come out, and no slope goes back to mean or logvar.

    It computes mean + sigma eps, as `vae.reparametrise` does, so that both can be compared on the same noise.
    """
    return mean + np.exp(logvar / 2) * eps


defvjp(draw, None, None, None)  # zeros


def trace(f, words=None, **inputs):
    """The Graph of f(**inputs), an array, and the gradient of its sum on every arrow.

    words = {name of a primitive: name to show}; a name that comes up again gets a number.
    """
    with trace_stack.new_trace() as level:
        roots = {name: _Step.new_root(name) for name in inputs}
        out = f(**{name: new_box(value, level, roots[name]) for name, value in inputs.items()})
    steps = _in_order(out._node)
    names, seen = {}, Counter()
    for step in steps:
        word = (words or {}).get(step.name, step.name) if step.parents else step.name
        seen[word] += 1
        names[step] = word + (str(seen[word]).translate(_BELOW) if seen[word] > 1 else "")
    flow, arriving = {}, {out._node: vspace(out._value).ones()}
    for step in reversed(steps):
        for parent, g in zip(step.parents, step.vjp(arriving[step]), strict=True):
            arrow = names[parent], names[step]
            flow[arrow] = flow.get(arrow, 0.0) + float(np.sum(np.abs(g)))
            arriving[parent] = arriving[parent] + g if parent in arriving else g
    return Graph([names[s] for s in steps if not s.parents], [names[s] for s in steps if s.parents], flow)


def _in_order(last):
    """All steps that lead to the last one, each after those it depends on."""
    order, seen = [], set()

    def visit(step):
        if step not in seen:
            seen.add(step)
            for parent in step.parents:
                visit(parent)
            order.append(step)

    visit(last)
    return order


def layout(graph):
    """{name: (x, y)} with the output on the right: x counts the arrows that are left, y spreads what shares a column.

    A name stands as low or high as what it leads to; those of one column are one apart.
    """
    left = {graph.calls[-1]: 0}
    for name in [*graph.inputs, *graph.calls][::-1] + graph.calls[::-1] + graph.inputs:
        after = [left[b] + 1 for a, b in graph.flow if a == name and b in left]
        left[name] = max([left.get(name, 0), *after])
    height, places = {}, {}
    for x in range(max(left.values()) + 1):
        column = [name for name in left if left[name] == x]
        for name in column:
            aims = [height[b] for a, b in graph.flow if a == name]
            height[name] = sum(aims) / len(aims) if aims else 0.0
        middle = sum(height[name] for name in column) / len(column)
        for i, name in enumerate(sorted(column, key=lambda name: height[name])):
            height[name] = middle + i - (len(column) - 1) / 2
            places[name] = (float(-x), float(height[name]))
    return places
