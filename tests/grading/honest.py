"""Notebooks that are odd but right: each must earn full marks.

HONEST: name -> (master, function that returns the notebook's JSON or bytes).
"""

import json

from tests.grading import books
from tests.grading.attacks import at, course, foreign

HONEST = {}


def honest(master):
    def add(make):
        HONEST[make.__name__] = master, make
        return make

    return add


ANSWERS = books.blocks(r'''
--- float32
def covariance(X):
    X = X - X.mean(axis=0)
    return (X.T @ X / len(X)).astype(np.float32)
--- a list of lists
def covariance(X):
    X = X - X.mean(axis=0)
    return (X.T @ X / len(X)).tolist()
--- a list of arrays
def covariance(X):
    X = X - X.mean(axis=0)
    return list(X.T @ X / len(X))
--- a tuple of tuples
def covariance(X):
    X = X - X.mean(axis=0)
    return tuple(map(tuple, X.T @ X / len(X)))
--- a matrix
def covariance(X):
    X = X - X.mean(axis=0)
    return np.asmatrix(X.T @ X / len(X))
--- in Fortran's order
def covariance(X):
    X = X - X.mean(axis=0)
    return np.asfortranarray(X.T @ X / len(X))
--- a view with steps
def covariance(X):
    X = X - X.mean(axis=0)
    return (X.T @ X / len(X))[::-1, ::-1][::-1, ::-1]
--- a read-only array
def covariance(X):
    C = np.cov(X.T, bias=True)
    C.flags.writeable = False
    return C
--- big-endian
def covariance(X):
    X = X - X.mean(axis=0)
    return (X.T @ X / len(X)).astype('>f8')
--- complex without an imaginary part
def covariance(X):
    X = X - X.mean(axis=0)
    return (X.T @ X / len(X)).astype(complex)
--- an array of autograd's
import autograd.numpy as anp
def covariance(X):
    X = X - X.mean(axis=0)
    return anp.dot(X.T, X) / len(X)
--- warnings
import warnings
warnings.warn('careful')
def covariance(X):
    X = X - X.mean(axis=0)
    return (warnings.warn('hm'), X.T @ X / len(X))[1]
--- warnings as errors of its own
import warnings
warnings.simplefilter('error')
def covariance(X):
    X = X - X.mean(axis=0)
    return (warnings.warn('hm'), X.T @ X / len(X))[1]
--- logging
import logging
logging.basicConfig(level=0)
logging.warning('x')
def covariance(X):
    X = X - X.mean(axis=0)
    return (logging.warning('hm'), X.T @ X / len(X))[1]
--- prints on stderr
import sys
print('x', file=sys.stderr)
def covariance(X):
    X = X - X.mean(axis=0)
    return (print('hm', file=sys.stderr), X.T @ X / len(X))[1]
--- a progress bar
import tqdm
for _ in tqdm.tqdm(range(3)): pass
def covariance(X):
    X = X - X.mean(axis=0)
    return sum(np.outer(x, x) for x in tqdm.tqdm(X)) / len(X)
--- a divide warning
np.zeros(1) / 0
def covariance(X):
    X = X - X.mean(axis=0)
    return (np.zeros(1) / 0, X.T @ X / len(X))[1]
--- a magic
%matplotlib inline
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- a cell magic
%%time
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- captured
%%capture
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- configuration magics
%config InlineBackend.figure_format = 'svg'
%load_ext autoreload
%autoreload 2
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- pip
!pip install numpy
%pip install numpy
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- commands
files = !ls
!echo hm
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- help
np.cov?
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- a plot left open
import matplotlib.pyplot as plt
plt.plot([1, 2])
def covariance(X):
    X = X - X.mean(axis=0)
    return (plt.plot([1]), X.T @ X / len(X))[1]
--- a slow import
import time
time.sleep(0.5)
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- Greek names
def covariance(X):
    μ = X.mean(axis=0)
    Σ = (X - μ).T @ (X - μ) / len(X)
    return Σ
--- an import of its own
import numpy
from numpy import linalg as la
def covariance(X):
    return numpy.cov(X.T, bias=True)
--- types and a docstring
def covariance(X: 'np.ndarray') -> 'np.ndarray':
    """C."""
    return np.cov(X.T, bias=True)
--- a decorator
import functools
def told(f):
    @functools.wraps(f)
    def g(*args): return f(*args)
    return g

@told
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- a lambda
covariance = lambda X: np.cov(X.T, bias=True)
--- a partial
import functools
covariance = functools.partial(np.cov, rowvar=False, bias=True)
--- a callable object
class C:
    def __call__(self, X): return np.cov(X.T, bias=True)
covariance = C()
--- a keyword with a default
def covariance(X, ddof=0, *, say=False):
    return np.cov(X.T, ddof=ddof)
--- a helper from another cell
def covariance(X):
    Xc, _ = center(X)
    return Xc.T @ Xc / len(X)
--- recursion
def covariance(X, i=0):
    R = X - X.mean(axis=0)
    return 0 if i == len(X) else np.outer(R[i], R[i]) / len(X) + covariance(X, i + 1)
--- a check of its own that fails
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
assert covariance(np.eye(2)).sum() == 7
--- a name that is deleted
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
kept = 3
del kept
--- input in the way
name = input('your name? ')
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- print options
np.set_printoptions(precision=1)
np.seterr(all='raise')
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- another random state
np.random.seed(3)
rng = np.random.default_rng(1)
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- a thread
import threading
t = threading.Thread(target=print, args=('hm',))
t.start()
t.join()
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
--- a file of its own
with open('notes.txt', 'w') as f:
    f.write('hm')
def covariance(X):
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
''')  # how a right answer to the course's 1.2 may look
for _name, _source in ANSWERS.items():
    HONEST[f"answer: {_name}"] = "course", lambda source=_source: course({"covariance": source})


@honest("course")
def a_module_of_its_own():
    def edit(cells):
        i = at(cells, "covariance")
        return [*cells[:i], books.code(written), *cells[i:]]

    written = "%%writefile mine.py\nimport numpy as np\ndef covariance(X):\n    return np.cov(X.T, bias=True)"
    return course({"covariance": "from mine import covariance"}, edit)


@honest("course")
def signs_flipped():
    return course({"pca-fit": "def pca_fit(X, k):\n    lam, U = np.linalg.eigh(np.cov(X.T, bias=True))\n"
                              "    return X.mean(0), -U[:, ::-1][:, :k], lam[::-1][:k]"})  # fmt: skip


@honest("course")
def loadings_rotated():
    return course({"ppca-fit": (
        "def ppca_fit(X, q):\n    lam, U = np.linalg.eigh(np.cov(X.T, bias=True))\n    lam, U = lam[::-1], U[:, ::-1]\n"
        "    s2 = lam[q:].mean()\n    R = np.linalg.qr(np.random.default_rng(0).normal(size=(q, q)))[0]\n"
        "    return U[:, :q] * np.sqrt(lam[:q] - s2) @ R, X.mean(0), np.array(s2)")})  # fmt: skip


@honest("course")
def a_named_tuple():
    named = """from typing import NamedTuple
class Centred(NamedTuple):
    X: object
    mean: object
def center(X): return Centred(X - X.mean(0), X.mean(0))"""
    return course({"center": named})


@honest("course")
def solved_in_cells_of_its_own():
    def edit(cells):
        i = at(cells, "covariance")
        own = [
            books.code("def helper(X):\n    return X - X.mean(axis=0)"),
            books.code("def covariance(X):\n    X = helper(X)\n    return X.T @ X / len(X)"),
        ]
        return [*cells[: i + 1], *own, *cells[i + 1 :]]

    return course({"covariance": "def covariance(X):\n    raise NotImplementedError"}, edit)


@honest("course")
def solution_cells_deleted_and_written_anew():
    def edit(cells):
        return [books.code(c["source"]) if c["id"] in ("covariance", "pca-fit") else c for c in cells]

    return course(edit=edit)


@honest("course")
def all_answers_first_then_all_tests():
    return course(edit=lambda cells: sorted(cells, key=lambda c: c["id"].startswith("test-")))


@honest("course")
def questions_in_another_order():
    def edit(cells):
        i, j = at(cells, "about-svd-to-eig"), at(cells, "about-ppca-fit")
        return [*cells[:3], *cells[i:j], *cells[3:i], *cells[j:]]

    return course(edit=edit)


@honest("course")
def cells_split_and_text_added():
    def edit(cells):
        return [
            x for c in cells for x in (books.text("mine: a < b && c > d"), c, books.code(""), books.code("# nothing"))
        ]

    return course(edit=edit)


@honest("course")
def text_cells_deleted():
    return course(edit=lambda cells: [c for c in cells if c["cell_type"] == "code"])


@honest("course")
def tests_deleted():
    return course(edit=lambda cells: [c for c in cells if not c["id"].startswith("test-")])


@honest("course")
def the_set_up_deleted():
    return course(edit=lambda cells: [c for c in cells if c["id"] != "setup"])


@honest("course")
def a_test_copied_to_the_top():
    return course(edit=lambda cells: [cells[at(cells, "test-covariance")], *cells])


@honest("course")
def every_cell_twice():
    return course(edit=lambda cells: [c for c in cells for _ in range(2)])


@honest("course")
def a_copied_test_cell_made_into_something_else():
    def edit(cells):
        i = at(cells, "test-covariance")
        other = json.loads(json.dumps(cells[at(cells, "test-center")]))
        other["source"] = "mine = 3\nprint(mine)"
        return [*cells[:i], other, *cells[i:]]

    return course(edit=edit)


@honest("course")
def a_cell_turned_into_text():
    def edit(cells):
        cells[at(cells, "covariance")]["cell_type"] = "markdown"
        return cells

    return course(edit=edit)


@honest("course")
def no_metadata_of_nbgrader():
    return course(edit=lambda cells: [{**c, "metadata": {}} for c in cells])


@honest("course")
def no_ids_and_no_metadata():
    document = course(edit=lambda cells: [{k: v for k, v in {**c, "metadata": {}}.items() if k != "id"} for c in cells])
    return {**document, "nbformat_minor": 4}


@honest("course")
def no_metadata_at_all():
    document = course()
    for cell in document["cells"]:
        cell.pop("id", None)
    return {k: v for k, v in document.items() if k != "metadata"} | {"nbformat_minor": 0}


@honest("course")
def no_kernelspec():
    return {**course(), "metadata": {}}


@honest("course")
def another_kernelspec():
    spec = {"name": "conda-env-vae-py", "display_name": "vae", "language": "python"}
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    return {**course(), "metadata": {"kernelspec": spec, "widgets": widgets}}


@honest("course")
def windows_line_ends():
    document = course()
    for cell in document["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    return json.dumps(document, indent=1).replace("\n", "\r\n").encode()


@honest("course")
def a_byte_order_mark():
    return json.dumps(course()).encode("utf-8-sig")


@honest("course")
def sixteen_bits_a_character():
    return json.dumps(course(), ensure_ascii=False).encode("utf-16")


@honest("course")
def lists_of_lines():
    document = course()
    for cell in document["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return document


@honest("course")
def old_outputs_and_attachments():
    document = course()
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell |= {
                "execution_count": 7,
                "outputs": [{"output_type": "stream", "name": "stderr", "text": ["x" * 10**5]}],
            }
        else:
            cell["attachments"] = {"a.png": {"image/png": "AAAA"}}
    return document


@honest("course")
def tags_and_slides():
    return course(
        edit=lambda cells: [
            {**c, "metadata": {**c["metadata"], "tags": ["mine"], "slideshow": {}, "collapsed": True}} for c in cells
        ]
    )


@honest("course")
def raw_cells_and_broken_cells():
    raw = {"cell_type": "raw", "id": "raw", "metadata": {}, "source": "hm"}
    return course(
        edit=lambda cells: [
            raw,
            books.code("1 / 0"),
            books.code("def ("),
            *cells,
            books.code("raise KeyboardInterrupt"),
        ]
    )


@honest("course")
def a_broken_cell_in_the_middle():
    def edit(cells):
        i = at(cells, "covariance")
        return [*cells[:i], books.code("this is no Python"), books.code("undefined_name"), *cells[i:]]

    return course(edit=edit)


@honest("course")
def its_own_use_of_the_check():
    first = "from enm5310.checks import part1 as check\ncheck.covariance.hint()\ncheck.center(lambda X: X)"
    return course(first=first, last="check.covariance(covariance)\ncheck.covariance(covariance, seed=5)")


@honest("course")
def the_library_in_use():
    first = "from enm5310 import pca, plots, datasets, distributions\nimport enm5310\nX = datasets.load_iris().data"
    return course(first=first, last="plots.__name__, pca.fit")


@honest("course")
def the_name_check_in_use():
    return course(last="check = 3\nnumpy = 4\nnp = None\nprint = 5")


FOREIGN = {
    "answers of other types": r"""
--- mean
def mean(xs):
    return np.array(np.mean(np.asarray(xs)))
--- squares
class Odd(ValueError): pass
def squares(n):
    if n < 1:
        raise Odd(n)
    return list(i * i for i in range(1, n + 1))
--- scaled
def scaled(xs, k):
    return list(map(lambda x: k * x, xs))
--- answer
answer, letters = np.int64(42), list('ab')
""",
    "in place by other means": r"""
--- sort_it
def sort_it(xs):
    for i in range(len(xs)):
        for j in range(i):
            if xs[i] < xs[j]:
                xs[i], xs[j] = xs[j], xs[i]
""",
    "in place by slices": r"""
--- sort_it
def sort_it(xs):
    xs[:] = sorted(xs)
""",
    "prints and warns": r"""
--- add
import warnings, sys
def add(a, b):
    warnings.warn('x'); print('x', file=sys.stderr)
    return a + b
""",
    "a subclass of list": r"""
--- scaled
class L(list): pass
def scaled(xs, k):
    return L(k * x for x in xs)
""",
}
for _name, _written in FOREIGN.items():
    HONEST[_name] = "foreign", lambda written=_written: foreign(books.blocks(written))


@honest("foreign")
def tests_in_another_order():
    def edit(cells):
        tests = [c for c in cells if c["id"].startswith("test_")]
        return [*(c for c in cells if not c["id"].startswith("test_")), *tests]

    return foreign(edit=edit)


@honest("foreign")
def a_foreign_test_copied_and_deleted():
    def edit(cells):
        i = at(cells, "test_add")
        return [cells[i], *(c for c in cells if c["id"] not in ("test_squares", "setup"))]

    return foreign(edit=edit)
