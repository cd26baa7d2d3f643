"""plots: every function draws the data it is given on the axes it is given, and leaves nothing behind."""

import ast
import base64
import importlib
import inspect
import io
import itertools
import re
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgba
from PIL import Image

from enm5310 import plots
from tests import contact_sheets
from tests.notebooks import ROOT

X = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, -1.0]])
LABELS = np.array([0, 2, 0])
C = np.array([[2.5, 1.5], [1.5, 2.5]])
MEAN = np.array([3.0, -1.0])
E = np.linspace(-2, 2, 21)
P_E = np.exp(-(E**2) / 2)
ETHANOLATE = SimpleNamespace(  # as `enm5310.molecular_graphs.Molecule` has it
    atoms=("C", "C", "O"), bonds=((0, 1, 1), (1, 2, 1)), hydrogens=(3, 2, 0), charges=(0, 0, -1)
)
IMAGES = np.arange(2 * 3 * 2 * 4, dtype=float).reshape(2, 3, 2, 4)
CALLS = {  # how each function is called with some data and the axes
    "images": lambda ax: plots.images(IMAGES, ax, rows=["a", "b"]),
    "network": lambda ax: plots.network([9, 2, 3], ax, names=["in", "code", "out"], most=4),
    "classes": lambda ax: plots.classes(X, LABELS, range(3), ax),
    "shaded": lambda ax: plots.shaded(X, [1.0, 3.0, 2.0], ax, name="logP"),
    "cloud": lambda ax: plots.cloud(X, ax),
    "segments": lambda ax: plots.segments(X, X + 1, ax),
    "axes_arrows": lambda ax: plots.axes_arrows(MEAN, C, ax),
    "ellipse": lambda ax: plots.ellipse(MEAN, C, ax),
    "curves": lambda ax: plots.curves([1, 2], {"f": [3, 4]}, ax, xlabel="x", ylabel="y"),
    "contours": lambda ax: plots.contours(E, E, E**2 + E[:, None] ** 2, ax, levels=[1, 2]),
    "bars": lambda ax: plots.bars([1.0, 3.0], ax, names=["a", "b"]),
    "course_map": plots.course_map,
    "scree": lambda ax: plots.scree([3.0, 1.0], [0.75, 1.0], ax),
    "mass_map": lambda ax: plots.mass_map(E, P_E, np.exp(E), P_E / np.exp(E), [0, 10, 20], ax),
    "graph": lambda ax: plots.graph({"a": (0, 0), "b": (1, 1)}, [("a", "b")], ax),
    "molecule": lambda ax: plots.molecule(["C", "O"], [(0, 1, 1)], X[:2] / 3, ax),
    "molecules": lambda ax: plots.molecules(2 * [(ETHANOLATE, X)], ax, columns=2, names=["a", "b"]),
}


@pytest.fixture(autouse=True)
def no_figure_leaks():
    assert matplotlib.get_backend().lower() == "agg"
    yield
    plt.close("all")


def functions():
    return [f for f in vars(plots).values() if inspect.isfunction(f) and f.__module__ == plots.__name__]


def points(ax):
    """All points of the scatters on the axes, in drawing order."""
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])


# -------------------- what holds for all --------------------


@pytest.mark.parametrize("name", CALLS)
def test_returns_the_axes_it_was_given_and_makes_its_own_otherwise(name):
    ax = plots.panels(2)[1]
    assert CALLS[name](ax) is ax and len(plt.get_fignums()) == 1
    own = CALLS[name](None)
    assert own is not ax and len(plt.get_fignums()) == 2
    assert own.figure.get_figwidth() <= plots.WIDTH + 1e-9


def test_every_public_function_that_takes_axes_is_in_this_test():
    others = {"show", "panels", "label", "dot", "band"}
    assert {f.__name__ for f in functions() if f.__name__[0] != "_"} == set(CALLS) | others


def test_bodies_are_short():
    for f in functions():
        (tree,) = ast.parse(inspect.getsource(f)).body
        body = tree.body[1:] if ast.get_docstring(tree) else tree.body
        assert body[-1].end_lineno - body[0].lineno < 15, f.__name__


@pytest.mark.parametrize("name", ["classes", "cloud", "curves", "contours", "scree"])
def test_axes_are_named_and_letters_are_large_enough(name):
    ax = CALLS[name](None)
    assert ax.get_xlabel() and ax.get_ylabel()
    ax.figure.canvas.draw()
    words = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    assert min(t.get_fontsize() for t in words) >= 9


def test_names_given_first_are_kept_by_what_is_drawn_later():
    ax = plots.cloud(X, xlabel="length", ylabel="width")
    plots.segments(X, X + 1, plots.cloud(X + 1, ax))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length", "width")


def test_importing_changes_no_setting():
    before = dict(matplotlib.rcParams)
    importlib.reload(plots)
    assert dict(matplotlib.rcParams) == before


# -------------------- the colours --------------------

# Machado, Oliveira & Fernandes (2009), severity 1.0: what is left of linear RGB without one kind of cone
SEEN = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(color, seen):
    """CIE L*a*b* of a colour as seen."""
    rgb = np.array(to_rgba(color)[:3])
    linear = np.clip(seen @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    t = xyz / [0.9505, 1, 1.089]
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_ten_colours_are_told_apart_with_and_without_each_kind_of_cone(seen):
    assert len(plots.COLORS) == 10
    colors = [lab(c, np.array(seen)) for c in plots.COLORS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colors, 2)) > 15  # 2.3 is just noticeable


def test_colour_is_never_the_only_cue():
    assert len(set(plots.MARKERS)) == 10 and len(set(map(str, plots.DASHES))) == 10
    ax = plots.curves([0, 1], {f"f{i}": [0, i] for i in range(10)}, xlabel="x", ylabel="y")
    assert len({(str(line._unscaled_dash_pattern), line.get_linestyle()) for line in ax.lines}) == 10


# -------------------- each draws its data --------------------


def test_images_stand_in_a_grid_one_pixel_apart():
    ax = plots.images(IMAGES, rows=["top", "bottom"], columns=[7, 8, 9])
    mosaic = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert mosaic.shape == (2 * 2 + 1, 3 * 4 + 2)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(mosaic[3 * i : 3 * i + 2, 5 * j : 5 * j + 4], IMAGES[i, j])
    assert np.isnan(mosaic[2]).all() and np.isnan(mosaic[:, [4, 9]]).all()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["top", "bottom"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["7", "8", "9"]
    np.testing.assert_array_equal(ax.get_yticks(), [0.5, 3.5])  # the middle of each row of images
    np.testing.assert_array_equal(ax.get_xticks(), [1.5, 6.5, 11.5])


def test_signed_images_are_white_at_zero_and_others_have_dark_ink():
    signed = plots.images(IMAGES - 7, signed=True).images[0]  # from -7 to 40
    assert signed.get_clim() == (-40, 40)
    assert min(signed.cmap(signed.norm(0.0))[:3]) > 0.95
    red, blue = (signed.cmap(signed.norm(v)) for v in (40.0, -40.0))
    assert red[0] > red[2] and blue[2] > blue[0]
    plain = plots.images(IMAGES, limits=(0, 50)).images[0]
    assert plain.get_clim() == (0, 50) and plain.cmap(plain.norm(50.0))[0] < 0.05 < plain.cmap(plain.norm(0.0))[0]


def test_a_network_joins_every_shown_unit_to_all_of_the_next_layer():
    ax = CALLS["network"](None)
    first, second, *columns = ax.collections
    segments = first.get_segments() + second.get_segments()
    assert [len(c.get_offsets()) for c in columns] == [4, 2, 3]  # four stand for the nine
    assert len(segments) == len({segment.tobytes() for segment in segments}) == 4 * 2 + 2 * 3
    ends = {tuple(p) for segment in segments for p in segment.tolist()}
    assert ends == {tuple(p) for c in columns for p in np.asarray(c.get_offsets()).tolist()}
    assert [to_hex(c.get_facecolor()[0]) == plots.COLORS[3].lower() for c in columns] == [False, True, False]
    words = [t.get_text() for t in ax.texts]
    assert [w for w in words if w] == ["9", "in", "\u22ee", "2", "code", "3", "out"]


def test_classes_are_drawn_as_numerals_in_their_colours_and_named_at_their_places():
    at = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, -1.0]])
    ax = plots.classes(X, LABELS, range(3), at=at)
    np.testing.assert_array_equal(points(ax), X[[0, 2, 1]])  # class 0, then 2; class 1 has no points
    for c, (text, drawn) in enumerate(zip(ax.texts, ax.collections, strict=True)):
        assert text.get_text() == str(c) and text.get_position() == tuple(at[c])
        assert {to_hex(color) for color in drawn.get_facecolor()} <= {plots.COLORS[c].lower()}
    numerals = {len(drawn.get_paths()[0].vertices) for drawn in ax.collections}
    assert len(numerals) == 3  # three different outlines: 0, 1 and 2


def test_classes_with_long_names_have_markers_and_a_legend():
    ax = plots.classes(X, LABELS, ["setosa", "versicolor", "virginica"])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["setosa", "versicolor", "virginica"]


def test_shaded_points_get_lighter_with_the_value_and_have_a_named_scale():
    ax = plots.shaded(X, [1.0, 3.0, 2.0], name="logP", limits=(0, 4))
    drawn = ax.collections[0]
    np.testing.assert_array_equal(drawn.get_offsets(), X[[0, 2, 1]])  # the highest value is drawn last, on top
    np.testing.assert_array_equal(drawn.get_array(), [1, 2, 3])
    assert drawn.get_clim() == (0, 4)
    light = drawn.to_rgba([1.0, 2.0, 3.0])[:, :3] @ [0.2126, 0.7152, 0.0722]  # luminance: the order without colours
    assert np.all(np.diff(light) > 0.1)
    assert [a.get_ylabel() for a in ax.figure.axes if a is not ax] == ["logP"]


def test_clouds_have_equal_scales_and_keep_their_window():
    ax = plots.cloud(X, name="data", hollow=True)
    np.testing.assert_array_equal(points(ax), X)
    assert ax.get_aspect() == 1 and ax.get_legend().get_texts()[0].get_text() == "data"
    ax = plots.cloud(X, window=((-9, 9), (-5, 5)))
    plots.cloud(100 * X, ax).figure.canvas.draw()
    assert ax.get_aspect() == 1 and (ax.get_xlim(), ax.get_ylim()) == ((-9, 9), (-5, 5))


def test_segments_join_row_to_row():
    (line,) = plots.segments(X, 2 * X).lines
    xy = line.get_xydata().reshape(3, 3, 2)
    np.testing.assert_array_equal(xy[:, 0], X)
    np.testing.assert_array_equal(xy[:, 1], 2 * X)
    assert np.isnan(xy[:, 2]).all()


def test_arrows_start_at_the_mean_and_follow_the_columns():
    vectors = np.array([[2.0, -1.0], [1.0, 3.0]])
    ax = plots.axes_arrows(MEAN, vectors, names=["u1", "u2"])
    (arrows,) = ax.collections
    np.testing.assert_array_equal(arrows.XY, [MEAN, MEAN])
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V]), vectors)
    assert [t.get_text() for t in ax.texts] == ["u1", "u2"]


def test_ellipses_are_the_level_sets_of_the_gaussian():
    for r, line in zip((1, 2.5), plots.ellipse(MEAN, C, radii=(1, 2.5)).lines, strict=True):
        R = line.get_xydata() - MEAN
        np.testing.assert_allclose(np.sum(R @ np.linalg.inv(C) * R, axis=1), r**2)
        np.testing.assert_allclose(R[0], R[-1], atol=1e-12)


def test_an_ellipse_without_width_is_a_line():
    R = plots.ellipse([0, 0], [[1.0, 1.0], [1.0, 1.0]], radii=(1,)).lines[0].get_xydata()
    np.testing.assert_allclose(R[:, 0], R[:, 1], atol=1e-7)
    assert np.abs(R).max() == pytest.approx(1)


def test_curves_are_named_and_marked():
    ax = plots.curves([1, 2], {"f": [3, 4], "_g": ([0, 5], [6, 7])}, xlabel="k", ylabel="v", yscale="log", mark=(2, 4))
    f, g, dot = ax.lines
    np.testing.assert_array_equal(f.get_xydata(), [[1, 3], [2, 4]])
    np.testing.assert_array_equal(g.get_xydata(), [[0, 6], [5, 7]])
    np.testing.assert_array_equal(dot.get_xydata(), [[2, 4]])
    assert ax.get_yscale() == "log" and [t.get_text() for t in ax.get_legend().get_texts()] == ["f"]


def test_a_band_lies_between_its_two_ends():
    ax = plots.curves([0, 1], {"f": [1, 2]}, xlabel="x", ylabel="y")
    plots.band(ax, [0, 1], [0.5, 1], [1.5, 4], color=2, name="error")
    (area,) = ax.collections
    corners = {tuple(point) for point in area.get_paths()[0].vertices}
    assert corners == {(0, 0.5), (1, 1), (0, 1.5), (1, 4)}
    assert area.get_facecolor()[0, 3] == 0.25 and area.get_zorder() < ax.lines[0].get_zorder()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["f", "error"]


def test_scree_shows_variances_as_bars_and_fractions_as_a_line():
    ax = plots.scree([3.0, 1.0, 0.5], [0.6, 0.9, 1.0], marks={2: "90 %"})
    assert [bar.get_height() for bar in ax.patches] == [3, 1, 0.5]
    assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == pytest.approx([1, 2, 3])
    right = ax.figure.axes[-1]
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[1, 0.6], [2, 0.9], [3, 1]])
    np.testing.assert_array_equal(right.lines[1].get_xydata(), [[2, 0.9]])
    assert right.texts[0].get_text() == "90 %"


def test_a_mass_map_shades_the_same_cells_on_both_axes():
    z, cells = np.exp(-E), [0, 4, 10, 20]  # a decreasing map
    ax = plots.mass_map(E, P_E, z, P_E / z, cells, window=((-2, 2), (0, 5)))
    bends, curve = ax.lines
    np.testing.assert_array_equal(curve.get_xydata(), np.transpose([E, z]))
    below, beside = ax.collections[::2], ax.collections[1::2]  # in pairs
    assert len(below) == len(beside) == 3
    for a, b, low, left in zip(cells[:-1], cells[1:], below, beside, strict=True):
        (x, y), (u, v) = (np.transpose(area.get_paths()[0].vertices) for area in (low, left))
        assert (x.min(), x.max()) == (E[a], E[b]) and (v.min(), v.max()) == (z[b], z[a])
        assert y.max() == pytest.approx(0.27 * P_E[a : b + 1].max())
        assert u.max() == pytest.approx(0.27 * (P_E / z)[a : b + 1].max() / (P_E / z).max())
        np.testing.assert_array_equal(low.get_facecolor(), left.get_facecolor())
    assert to_hex(below[0].get_facecolor()[0]) != to_hex(below[1].get_facecolor()[0])
    corners = {tuple(p) for p in bends.get_xydata() if np.isfinite(p).all()}
    assert {(E[i], z[i]) for i in cells} <= corners
    assert min(ax.get_xticks()) >= -2 and min(ax.get_yticks()) >= 0  # no numbers under the densities


def test_a_graph_draws_its_names_arrows_and_the_ways_of_the_gradient():
    places = {"a": (0, 0), "b": (1, 1), "c": (2, 0)}
    ax = plots.graph(places, [("a", "b")], random=["b"], back=[("b", "a")], stopped=[("c", "b")])
    names = {t.get_text(): t for t in ax.texts if t.get_text()}
    assert {name: t.get_position() for name, t in names.items()} == places
    round_ = {name: type(t.get_bbox_patch().get_boxstyle()).__name__ for name, t in names.items()}
    assert round_ == {"a": "Round", "b": "Circle", "c": "Round"}
    arrows = [t for t in ax.texts if not t.get_text()]
    ways = [(tuple(t.xyann), tuple(t.xy), t.arrow_patch.get_linestyle()) for t in arrows]
    assert ways == [((0, 0), (1, 1), "-"), ((1, 1), (0, 0), "--"), ((2, 0), (1, 1), "--")]
    ax.figure.canvas.draw()
    cross = ax.transData.transform(ax.lines[0].get_xydata())
    ends = ax.transData.transform([places["c"], places["b"]])
    a, control, b = arrows[-1].arrow_patch.get_connectionstyle()(*ends).vertices  # a parabola, on paper
    np.testing.assert_allclose(cross, [(a + 2 * control + b) / 4], atol=0.1)  # pixels: the middle of the arrow


def words_of(ax):
    """[(number of outlines, colour, box)] of the letters; a box of white lies under each."""
    shapes = [p for p in ax.patches if type(p).__name__ == "PathPatch"]
    boxes = [p for p in ax.patches if type(p).__name__ == "Rectangle"]
    assert len(shapes) == len(boxes) and all(to_hex(box.get_facecolor()) == "#ffffff" for box in boxes)
    return [(to_hex(p.get_facecolor()), p.get_path().get_extents()) for p in shapes]


def test_bars_stand_over_their_names_and_a_line_says_what_it_is():
    ax = plots.bars([2.0, 0.5, 1.0], names=["a", "b", "c"], line=(0.7, "enough"))
    assert [bar.get_height() for bar in ax.patches] == [2, 0.5, 1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b", "c"]
    assert set(ax.lines[0].get_ydata()) == {0.7} and [t.get_text() for t in ax.texts] == ["enough"]
    assert [tick.get_text() for tick in plots.bars([1.0, 2.0]).get_xticklabels()] == ["1", "2"]


def test_the_course_map_joins_every_model_with_its_tricks_and_nothing_else():
    ax = plots.course_map()
    place = {text.get_text().split("\n")[0]: text.get_position() for text in ax.texts}
    assert set(place) == set(plots.TRICKS) | set(plots.MODELS)
    drawn = {tuple(map(tuple, np.transpose(line.get_data()).tolist())) for line in ax.lines}
    wanted = {(place[trick], place[model]) for model, (_, tricks) in plots.MODELS.items() for trick in tricks}
    assert drawn == wanted and len(ax.lines) == len(wanted)
    assert len({(line.get_color(), str(line.get_linestyle())) for line in ax.lines}) == len(plots.MODELS)


def test_a_molecule_has_a_line_for_each_order_and_letters_for_all_but_carbon():
    h = 3**0.5 / 2
    X = np.array([[0.0, 0.0], [h, 0.5], [2 * h, 0.0], [h, 1.5], [3 * h, 0.5], [4 * h, 0]])
    bonds = [(0, 1, 1), (1, 2, 2), (1, 3, 1), (2, 4, 1), (4, 5, 3)]
    ax = plots.molecule(["C", "C", "C", "O", "C", "N"], bonds, X, hydrogens=[3, 0, 1, 1, 0, 0])
    lines = np.array(ax.collections[0].get_segments())
    assert len(lines) == sum(order for *_, order in bonds)
    for i, j, order in bonds:  # as many lines run along each bond, near its middle
        along = [line for line in lines if abs(np.linalg.det([line[1] - line[0], X[j] - X[i]])) < 1e-9]
        near = [line for line in along if np.linalg.norm(line.mean(axis=0) - (X[i] + X[j]) / 2) < 0.2]
        assert len(near) == order
        inner = [0.76] if (i, j) == (1, 2) else [1] * (order - 1)  # between corners the second line is shorter
        np.testing.assert_allclose(sorted(np.linalg.norm(b - a) for a, b in near), [*inner, 1])
    (oxygen, box), (nitrogen, own) = words_of(ax)
    assert (oxygen, nitrogen) == (plots.COLORS[3].lower(), plots.COLORS[0].lower())
    assert box.x0 < X[3, 0] < box.x1 and box.width > 1.5 * own.width  # OH
    np.testing.assert_allclose([(own.x0 + own.x1) / 2, (own.y0 + own.y1) / 2], X[5], atol=0.05)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < min(X[:, 0]) and right > own.x1 and low < 0 and high > box.y1 and ax.get_aspect() == 1


def test_hydrogens_stand_where_there_is_no_bond():
    def middle(bonds, element="N", hydrogens=1):
        X = np.array([[0.0, 0.0], *bonds])
        rest = len(bonds) * ["C"]
        drawn = plots.molecule([element, *rest], [(0, k + 1, 1) for k in range(len(bonds))], X, hydrogens=[
            hydrogens, *(0 for _ in bonds)])  # fmt: skip
        boxes = [box for _, box in words_of(drawn)]
        return min(b.x0 for b in boxes), max(b.x1 for b in boxes), min(b.y0 for b in boxes), max(b.y1 for b in boxes)

    left, right, low, high = middle([(-1, 0)])
    assert right > 0.5 > -0.3 < left
    left, right, low, high = middle([(1, 0)])
    assert left < -0.5 and right < 0.3
    left, right, low, high = middle([(-0.9, 0.4), (0.9, 0.4)])  # the letter is at the bottom of a zigzag
    assert low < -0.6 and high < 0.4
    left, right, low, high = middle([(-0.9, -0.4), (0.9, -0.4)])
    assert high > 0.6 and low > -0.4
    assert middle([], "O", 2)[0] < -0.5 and middle([], "N", 3)[1] > 0.5  # H2O and NH3


def test_molecules_stand_in_rows_of_one_scale_with_their_names():
    ax = plots.molecules(5 * [(ETHANOLATE, X)], columns=2, names="abcde")
    lines = np.array(ax.collections[0].get_segments())
    starts = np.array([np.array(c.get_segments())[0, 0] for c in ax.collections])
    steps = starts - starts[0]
    wide, high = np.ptp(X[:, 0]) + 1.6, np.ptp(X[:, 1]) + 2.2  # room for letters and names
    np.testing.assert_allclose(lines.min(axis=(0, 1)) + lines.max(axis=(0, 1)), 0, atol=1e-9)  # the first is centred
    np.testing.assert_allclose(steps, [[0, 0], [wide, 0], [0, -high], [wide, -high], [0, -2 * high]], atol=1e-9)
    np.testing.assert_allclose(lines[:, 1] - lines[:, 0], [X[1] - X[0], X[2] - X[1]])
    assert len(words_of(ax)) == 5
    assert [t.get_text() for t in ax.texts] == list("abcde") and ax.figure.get_figheight() <= 9


# -------------------- what leaves --------------------


def test_show_gives_the_picture_with_its_words_and_closes_the_figure():
    picture = plots.show(plots.cloud(X), alt='three points <not> "four"')
    assert not plt.get_fignums()
    html = picture._repr_html_()
    assert 'alt="three points &lt;not&gt; &quot;four&quot;"' in html and repr(picture) == picture.alt
    png = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    data, metadata = picture._repr_png_()
    assert png == data == picture.png and metadata["alt"] == picture.alt
    image = Image.open(io.BytesIO(png))
    assert image.width == 1.5 * picture.width == 1.5 * 100 * plots.WIDTH


def test_show_keeps_the_colours_it_saves_bytes_on():
    """The few colours of the PNG against the figure as matplotlib draws it."""
    Z = np.random.default_rng(0).normal(size=(200, 2))
    ax = plots.classes(Z, np.arange(200) % 10, range(10), at=np.eye(10)[:, :2])
    drawn = io.BytesIO()
    ax.figure.savefig(drawn, dpi=150)
    before, after = (
        np.asarray(Image.open(png).convert("RGB")).astype(int) for png in (drawn, io.BytesIO(plots.show(ax, "x").png))
    )
    assert before.shape == after.shape and np.abs(before - after).max() <= 32


def test_the_same_figure_gives_the_same_bytes():
    assert plots.show(plots.cloud(X), "x") == plots.show(plots.cloud(X), "x")


# -------------------- contact sheets --------------------


def notebook(*pages):
    outputs = [nbformat.v4.new_output("display_data", {"text/html": page}) for page in pages]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[out]) for out in outputs])


def test_a_sheet_holds_every_picture_and_poster_with_the_head_of_its_words():
    from enm5310.widgets.frames import frames

    still = plots.show(plots.cloud(X), alt="Three points: nothing else.")._repr_html_()
    curves = {"x": [0, 1, 2], "lines": {"f": [0, 1, 0]}, "marks": {"here": (1, 1)}, "xlabel": "x", "ylabel": "y"}
    moving = frames({"k": [1, 2]}, lambda k: (np.full((9, 9), 40 * k, np.uint8), curves), alt=["Grey", "A peak"])
    figures = contact_sheets.figures_of(notebook(still, "<p>no figure</p>", moving.to_html()))
    assert [words for _, words in figures] == ["Three points", "Grey", "A peak"]
    assert np.unique(np.asarray(figures[1][0])).tolist() == [40]  # the poster shows the first frame
    assert contact_sheets.sheet(figures).width == contact_sheets.GAP + 4 * (contact_sheets.WIDTH + contact_sheets.GAP)


def test_contours_lie_where_z_has_the_level_and_are_darker_inside_a_hill():
    x, y = np.linspace(-2, 2, 81), np.linspace(-1.5, 1.5, 61)  # not square: a transposed Z would raise
    ax = plots.contours(x, y, -(x**2) - (y[:, None] - 0.5) ** 2, levels=[-2, -1])
    filled, lines = ax.collections[:2]
    for path, level in zip(lines.get_paths(), [-2, -1], strict=True):
        a, b = path.vertices.T
        np.testing.assert_allclose(a**2 + (b - 0.5) ** 2, -level, atol=2e-3)
    greys = [to_rgba(c)[0] for c in filled.get_facecolor()]
    assert len(greys) == 3 and greys == sorted(greys, reverse=True)
    assert {t.get_text() for t in ax.texts} == {"-2", "-1"}


def test_curves_of_a_poster_are_drawn_where_they_are():
    page = (
        '<svg data-panel viewBox="0 0 100 50" aria-label="A bar"><svg data-layer x="10" y="0" width="60" height="50">'
        '<path d="M0,20H90v10h-90Z" fill="#D55E00"/></svg>'
        '<path d="M80,40m-5,0a5,5 0 1,0 10,0a5,5 0 1,0-10,0z" fill="#0072B2"/></svg>'
    )
    ((image, words),) = contact_sheets.figures_of(notebook(page))
    seen = np.asarray(image.convert("RGB"))
    assert words == "A bar" and seen.shape == (100, 200, 3)  # twice the size
    bar, disc = ((seen == color).all(axis=2) for color in ([0xD5, 0x5E, 0x00], [0x00, 0x72, 0xB2]))
    assert bar[41:59, 21:139].all() and not bar[:, :19].any() and not bar[:, 141:].any() and not bar[:39].any()
    assert disc.sum() == pytest.approx(np.pi * 10**2, rel=0.2) and disc[80, 160]


def test_a_plane_of_codes_and_its_small_picture_are_on_the_sheet():
    from enm5310.widgets.pad import pad

    decoder = [(np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]]), np.array([0.0, 0, 1, 1]))]
    corners = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]  # the name of a class stands between its two
    codes = {"points": corners, "labels": [0, 0, 3, 3], "classes": "abcd", "xlim": (-2, 2), "ylim": (-2, 2)}
    figure = pad(decoder, (2, 2), alt="two codes; more", picture="four pixels", activations="linear", output="linear",
                 start=(1.0, 0.0), **codes)  # fmt: skip
    (plane, words), (picture, _) = contact_sheets.figures_of(notebook(figure.to_html()))
    seen = {to_hex(np.array(c[:3]) / 255) for _, c in plane.convert("RGB").getcolors(10**6)}
    assert words == "two codes" and {plots.COLORS[0].lower(), plots.COLORS[3].lower()} <= seen  # a dot of each class
    pixels = np.asarray(picture.convert("L"))
    assert pixels.shape == (pixels.shape[1],) * 2 and pixels.shape[0] > 50  # as large as on the page
    assert [int(pixels[r, c]) for r in (5, -5) for c in (5, -5)] == [0, 255, 0, 0]  # z1 = 1 is ink, z2 = 0 is paper


def test_sheets_on_disk_are_small_and_shown_with_words():
    readme = (ROOT / "lectures" / "README.md").read_text(encoding="utf-8")
    sheets = sorted((ROOT / "lectures" / "contact_sheets").glob("*.png"))
    assert sheets
    for sheet in sheets:
        assert sheet.stat().st_size <= contact_sheets.LIMIT
        assert (ROOT / "lectures" / f"{sheet.stem}.ipynb").is_file()
        assert re.search(rf"!\[[^\]]{{40,}}\]\(contact_sheets/{sheet.name}\)", readme), "a picture without words"


def test_a_sheet_that_is_too_large_is_refused(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    contact_sheets.save(noise, tmp_path / "fewer.png", limit=2000)
    assert 900 < (tmp_path / "fewer.png").stat().st_size <= 2000
    with pytest.raises(ValueError, match="fewer figures"):
        contact_sheets.save(noise, tmp_path / "noise.png", limit=900)
    assert not (tmp_path / "noise.png").exists()
