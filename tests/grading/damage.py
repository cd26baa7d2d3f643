"""Damaged notebooks without end: wrong bytes, and JSON of a wrong structure."""

import json

JUNK = [
    10**400,
    None, True, -1, 1e999, "", "x" * 5000, "\ud800", "\0", [], {}, [[]], {"a": []}, [None], "setup", "test_add",
]  # fmt: skip


def damaged(rng, data):
    """A damaged copy of a notebook's bytes; rng: a random.Random."""
    if rng.random() < 0.3:
        data = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            if data:
                _bytes(rng, data)
        return bytes(data)
    document = json.loads(data)
    for _ in range(rng.randint(1, 6)):
        _structure(rng, document)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _bytes(rng, data):
    i, j = sorted(rng.randrange(len(data)) for _ in range(2))
    kind = rng.randrange(5)
    if kind == 0:
        data[i] = rng.randrange(256)
    elif kind == 1:
        del data[i : min(j, i + 500)]
    elif kind == 2:
        data.insert(i, rng.choice(b'"\\{}[],:\x00\xff'))
    elif kind == 3:
        data[i:i] = data[i : i + 200]
    elif rng.random() < 0.2:
        del data[j:]


def _structure(rng, document):
    places = list(_places(document))
    if not places:
        return
    node, key = rng.choice(places)
    kind = rng.randrange(5)
    if kind == 0:
        node[key] = rng.choice(JUNK)
    elif kind == 1:
        del node[key]
    elif kind == 2 and isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), json.loads(json.dumps(node[key])))
    elif kind == 3 and isinstance(node, list):
        rng.shuffle(node)
    else:
        other, its = rng.choice(places)
        if isinstance(other[its], (str, int)):
            node[key] = other[its]


def _places(node):
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _places(node[key])
