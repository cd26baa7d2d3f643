"""The pad without a browser: what is decoded, drawn, stored, refused and escaped.

Oracles: enm5310.nets runs the same decoders, Pillow reads our PNGs, the tick labels of our SVG say where dots must lie,
brute force finds the nearest code; node runs the module of the page.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode

import numpy as np
import pytest

from enm5310 import nets, plots
from enm5310.widgets import pad_codes, pad_decoder, pad_plane
from enm5310.widgets.pad import JS, pad
from tests.test_widgets import SVG, Tags, loaded, pixels, rulers

NETS = {"linear": nets.identity, "logistic": nets.sigmoid, "relu": nets.relu, "softplus": nets.softplus,
        "tanh": nets.tanh}  # fmt: skip
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def layers(*sizes, size=1.0, seed=0):
    """Layers (W, b) with normal weights, biases too."""
    rng = np.random.default_rng(seed)
    return [(size * rng.normal(size=(m, n)), size * rng.normal(size=n)) for m, n in itertools.pairwise(sizes)]


def oracle(net, z, activation, output):
    """The net's answer in float64 with the weights rounded to float32, by the library."""
    rounded = [(np.float32(W).astype(float), np.float32(b).astype(float)) for W, b in net]
    return NETS[output](nets.apply(rounded, np.asarray(z, float), NETS[activation]))


def small(net=None, **options):
    """A pad with a picture of 3 x 4 pixels."""
    options = {"activations": "tanh", "output": "logistic", "alt": "a plane"} | options
    return pad(layers(2, 5, 12) if net is None else net, (3, 4), **options)


CODES = np.random.default_rng(3).normal([1, -2], [2, 0.5], (60, 2))
LABELS = np.arange(60) % 3


def cloud(**options):
    return small(points=CODES, labels=LABELS, **options)


def in_node(folder, body, **data):
    """What ``body`` prints as JSON; it sees the module's exports and the data."""
    (folder / "pad.mjs").write_text(JS, encoding="utf-8")
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    names = "code, decode, grey, nearestClass, pictureText, placeAfter, placeAt, readoutText, stateText, unpacked, word"
    head = f'import {{ readFileSync }} from "node:fs"; import {{ {names} }} from "./pad.mjs";'
    read = 'const data = JSON.parse(readFileSync("data.json"));'
    (folder / "test.mjs").write_text(f"{head} {read} console.log(JSON.stringify((() => {{ {body} }})()));")
    done = subprocess.run(["node", "test.mjs"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -------------------- the decoder --------------------

DECODE = "return data.runs.map(([d, z]) => [...decode(z, unpacked(d))]);"
CASES = [(f, g, depth, size) for f in NETS for g in NETS for depth in (1, 2, 4) for size in (1.0, 30.0)]


def decoders():
    """Random decoders of every activation, shallow and deep, some with weights that drive every unit to its ends."""
    for i, (f, g, depth, size) in enumerate(CASES):
        net = layers(2, *[7] * (depth - 1), 6, size=size, seed=i)
        yield net, f, g, pad_decoder.read(net, 6, f, g)[0]


Z = [(0, 0), (0.3, -1.7), (-1000, 1000), (1e-30, -1e-30)]


@needs_node
def test_javascript_decodes_what_the_library_decodes(tmp_path):
    runs = [(d.packed(), z) for *_, d in decoders() for z in Z]
    answers = in_node(tmp_path, DECODE, runs=runs)
    wanted = [oracle(net, z, f, g) for net, f, g, _ in decoders() for z in Z]
    assert len(answers) == len(CASES) * len(Z) and np.isfinite(answers).all()
    for answer, want in zip(answers, wanted, strict=True):
        np.testing.assert_allclose(answer, want, rtol=1e-11, atol=1e-12)


def test_the_posters_decoder_is_the_librarys():
    for net, f, g, decoder in decoders():
        for z in Z:
            np.testing.assert_allclose(decoder(z), oracle(net, z, f, g), rtol=1e-11, atol=1e-12)


def test_float32_weights_change_nothing_that_is_seen():
    net = layers(2, 32, 64)
    (decoder,) = pad_decoder.read(net, 64, "tanh", "logistic")
    exact = nets.sigmoid(nets.apply(net, np.array([0.5, -1])))
    assert 0 < np.abs(decoder([0.5, -1]) - exact).max() < 1e-5  # a level of grey is 4e-3


@pytest.mark.parametrize("name", sorted({*pad_decoder.ACTIVATIONS, *pad_decoder.ALSO}))
def test_every_name_means_what_the_library_means(name):
    function = NETS.get(name) or getattr(nets, name)
    a = np.array([-800, -40, -1, 0, 1e-9, 2, 40, 800.0])
    name = pad_decoder.ALSO.get(name, name)
    np.testing.assert_allclose(pad_decoder.ACTIVATIONS[name](a), function(a), rtol=1e-14, atol=0)


def test_the_library_offers_no_activation_without_a_name():
    names = {f.__name__ for f in nets._SLOPE}
    assert names <= {*pad_decoder.ACTIVATIONS, *pad_decoder.ALSO}


# -------------------- pictures --------------------


def poster_pictures(figure):
    found = re.findall(r'data-picture=""[^>]* src="data:image/png;base64,([^"]+)"', figure.poster)
    return [pixels(b64decode(png)) for png in found]


def ink(values, vmin=0.0, vmax=1.0):
    """Bytes of grey, value by value: dark ink, the nearest of 256 levels."""
    return [round(255 * min(max((vmax - v) / (vmax - vmin), 0), 1)) for v in values]


@pytest.mark.parametrize("vmin, vmax", [(0, 1), (0.2, 0.6), (1, 0)])
def test_the_poster_shows_the_decoded_start(vmin, vmax):
    net = layers(2, 5, 12)
    (picture,) = poster_pictures(small(net, start=(0.5, -1), vmin=vmin, vmax=vmax))
    assert picture.ravel().tolist() == ink(oracle(net, (0.5, -1), "tanh", "logistic"), vmin, vmax)
    assert picture.shape == (3, 4) and len(set(picture.ravel())) > 3


@needs_node
def test_javascript_paints_the_posters_pictures(tmp_path):
    nets_ = {"AE": layers(2, 6, 12), "PCA": layers(2, 12, seed=1)}
    named = {"activations": {"AE": "relu", "PCA": "linear"}, "output": {"AE": "sigmoid", "PCA": "identity"}}
    figure = small(nets_, start=(1, 2), vmin=-0.5, vmax=1.5, **named)
    body = """const { decoders, axes, start, grey: limits } = data;
        return decoders.map((d) => [...grey(decode(code(start, axes), unpacked(d)), limits)]);"""
    painted = in_node(tmp_path, body, **figure.payload)
    for name, f, g, bytes_, picture in zip(nets_, ("relu", "linear"), ("logistic", "linear"), painted,
                                           poster_pictures(figure), strict=True):
        assert bytes_ == picture.ravel().tolist() == ink(oracle(nets_[name], (1, 2), f, g), -0.5, 1.5)
    assert painted[0] != painted[1]


def test_pictures_are_enlarged_on_the_screen_alone():
    size = lambda figure: re.findall(r'<img data-picture.*?width="(\d+)" height="(\d+)"', figure.poster)  # noqa: E731
    assert size(small()) == [("280", "210")]  # as high or as wide as the plane
    assert size(small({"a": layers(2, 12), "b": layers(2, 12)})) == [("152", "114")] * 2
    assert size(small(scale=3)) == [("12", "9")]


# -------------------- places --------------------


def axis(figure, d):
    return pad_plane.Steps(**figure.payload["axes"][d])


@pytest.mark.parametrize("limits, step, count", [((-3, 3), 0.05, 121), ((0, 1), 0.005, 201), ((-40, 7), 0.5, 95),
                                                 ((2e5, 3e5), 500, 201), ((-1e-3, 2e-3), 2e-5, 151)])
def test_the_point_stands_at_round_numbers_within_the_limits(limits, step, count):
    x = axis(small(xlim=limits, ylim=(-1, 1)), 0)
    assert x.step == pytest.approx(step) and x.last - x.first + 1 == count
    assert x.value(x.first) >= limits[0] - 1e-9 * step and x.value(x.last) <= limits[1] + 1e-9 * abs(limits[1])
    assert x.value(x.first) - limits[0] < x.step and limits[1] - x.value(x.last) < x.step
    for i in range(x.first, x.last + 1):
        assert float(x.word(i).replace("−", "-")) == pytest.approx(x.value(i), rel=1e-12, abs=1e-12 * step)


def test_limits_hold_every_point_at_equal_scales():
    for figure in cloud(), small():
        x, y = axis(figure, 0), axis(figure, 1)
        assert x.high - x.low == pytest.approx(y.high - y.low)
    x, y = axis(cloud(), 0), axis(cloud(), 1)
    assert (CODES.min(0) > [x.low, y.low]).all() and (CODES.max(0) < [x.high, y.high]).all()
    assert (x.low, x.high) == pytest.approx((CODES[:, 0].min() - 0.04 * np.ptp(CODES[:, 0]),
                                             CODES[:, 0].max() + 0.04 * np.ptp(CODES[:, 0])))
    x, y = axis(cloud(xlim=(-1, 7), ylim=(0, 2)), 0), axis(cloud(xlim=(-1, 7), ylim=(0, 2)), 1)
    assert (x.low, x.high, y.low, y.high) == (-1, 7, 0, 2)


def test_the_start_is_the_origin_or_what_is_asked_for():
    code = lambda **o: [axis(f := small(**o), d).value(f.payload["start"][d]) for d in range(2)]  # noqa: E731
    assert code() == [0, 0]
    assert code(start=(1.5, -0.24)) == pytest.approx([1.5, -0.25])  # the nearest place
    assert code(xlim=(2, 4), ylim=(-9, -1)) == pytest.approx([2, -1])  # as near to 0 as may be
    assert code(start=(99, -99)) == pytest.approx([3, -3])


@needs_node
def test_keys_pixels_and_words_in_javascript(tmp_path):
    figure = small(xlim=(-3, 3), ylim=(0, 10), start=(1, 2))
    x, y = axis(figure, 0), axis(figure, 1)
    assert (x.step, y.step) == (0.05, 0.05)
    pixels_ = figure.payload["pixels"]
    keys = [["ArrowLeft", 0], ["ArrowRight", 1], ["ArrowUp", 1], ["ArrowDown", 0], ["Home", 0], ["Home", 1], ["a", 0]]
    body = """const { axes, start, pixels, keys, spots, far, all } = data;
        return { moved: keys.map(([key, large]) => placeAfter(key, large, [3, 40], start, axes)),
          ends: Object.entries(far).map(([key, at]) => placeAfter(key, true, at, start, axes)),
          places: spots.map((spot) => placeAt(spot, axes, pixels)),
          words: axes.map((axis, d) => all[d].map((i) => word(i, axis))),
          states: [stateText([-3, 40], axes), ...["", "AE"].map((title) => pictureText("digit", title, "here"))] };"""
    every = [list(range(steps.first, steps.last + 1)) for steps in (x, y)]
    at = lambda a, b: [pixels_["left"] + a * 280, pixels_["bottom"] - b * 280]  # noqa: E731
    far = {"ArrowLeft": [-55, 0], "ArrowRight": [59, 0], "ArrowDown": [0, 9], "ArrowUp": [0, 200]}
    spots = [at(0, 0), at(1, 1), at(0.5, 0.25), at(0.5 + 0.4 / 120, 0.25 + 0.6 / 200), [-500, -500], [9000, 9000]]
    out = in_node(tmp_path, body, **figure.payload, keys=keys, spots=spots, far=far, all=every)
    assert out["moved"] == [[2, 40], [13, 40], [3, 50], [3, 39], [20, 40], [20, 40], None]
    assert out["ends"] == [[-60, 0], [60, 0], [0, 0], [0, 200]]
    assert out["places"] == [[-60, 0], [60, 200], [0, 50], [0, 51], [-60, 200], [60, 0]]
    assert out["words"] == [[steps.word(i) for i in row] for steps, row in zip((x, y), every, strict=True)]
    assert out["states"] == ["z1 = −0.15, z2 = 2.00", "digit at here", "digit, AE, at here"]


# -------------------- codes and words --------------------


def drawing(figure):
    svg = re.search(r"<svg data-plane.*?</g></svg>(?=<div|</div)", figure.poster).group()
    return ET.fromstring(svg.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))


def dots(root):
    """{colour: places (n, 2) in pixels} of the lines of no length."""
    group = next(g for g in root.iter(SVG + "g") if g.get("stroke-linecap") == "round")
    places = lambda p: np.array(re.findall(r"M(-?[\d.]+),(-?[\d.]+)h0", p.get("d")), float)  # noqa: E731
    return {p.get("stroke"): places(p) for p in group}


def test_codes_and_the_point_lie_where_the_tick_labels_say():
    root = drawing(figure := cloud(start=(1, -2)))
    x, y = rulers(root)
    drawn = dots(root)
    assert list(drawn) == pad_codes.COLORS[:3]
    for c, places in enumerate(drawn.values()):
        np.testing.assert_allclose(np.c_[x(places[:, 0]), y(places[:, 1])], CODES[LABELS == c], atol=5e-3)
    cross, ring = (g.get("transform") for g in root.iter() if g.get("data-point") is not None)
    a, b = map(float, re.findall(r"[-\d.]+", ring))
    assert cross == ring
    np.testing.assert_allclose([x(a), y(b)], [1, -2], atol=5e-3)
    p = figure.payload["pixels"]
    corners = [x(p["left"]), x(p["right"]), y(p["bottom"]), y(p["top"])]
    np.testing.assert_allclose(corners, [end for d in range(2) for end in (axis(figure, d).low, axis(figure, d).high)],
                               atol=5e-3)  # fmt: skip


def test_a_class_has_the_colour_it_has_in_every_picture_of_the_course():
    assert pad_codes.COLORS == plots.COLORS
    figure = cloud(classes=["zero", "one", "two", "three"])
    assert list(dots(drawing(figure))) == plots.COLORS[:3]
    legend = re.findall(r'fill="(#\w+)"/></svg>(\w+)</span>', figure.poster)
    assert legend == list(zip(plots.COLORS, ["zero", "one", "two", "three"], strict=False))


def test_yellow_has_a_rim_and_codes_without_classes_one_colour():
    ten = small(points=CODES, labels=np.arange(60) % 10)
    assert list(dots(drawing(ten))) == [*plots.COLORS[:7], "#555", *plots.COLORS[7:]]
    plain = small(points=CODES)
    assert list(dots(drawing(plain))) == plots.COLORS[:1] and "enm-legend" not in plain.poster
    assert plain.payload["codes"] is None and "nearest" not in plain.poster


def test_labels_without_names_stand_for_themselves():
    assert small(points=CODES, labels=LABELS * 3 - 1).payload["codes"]["classes"] == ["-1", "2", "5"]
    assert 'role="status" aria-live="polite">z1 = 0.0, z2 = 0.0; nearest code: 1</p>' in cloud().poster


@needs_node
def test_javascript_names_the_class_of_the_nearest_code(tmp_path):
    grid = np.random.default_rng(0).uniform(-4, 4, (300, 2))
    names = ["zero", "one", "two"]
    figure = cloud(classes=names)
    body = """const bytes = Buffer.from(data.codes.places, "base64");
        const places = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
        return data.grid.map((z) => nearestClass(z, { ...data.codes, places }));"""
    answers = in_node(tmp_path, body, codes=figure.payload["codes"], grid=grid.tolist())
    distance = np.linalg.norm(grid[:, None] - CODES, axis=2)
    wanted = np.array(names)[LABELS[distance.argmin(1)]]
    first, second = np.sort(distance, axis=1)[:, :2].T
    clear = second - first > 1e-3  # 16 bits cannot decide the others
    assert clear.sum() > 250 and set(wanted) == set(names)
    np.testing.assert_array_equal(np.array(answers)[clear], wanted[clear])


@needs_node
def test_every_place_has_its_text(tmp_path):
    text = lambda z: f"<{z[0]:.4g}|{z[1]:.4g}>"  # noqa: E731
    figure = small(text=text, xlim=(-1, 2), ylim=(0, 30), start=(0.5, 7))
    x, y = axis(figure, 0), axis(figure, 1)
    assert (x.last - x.first + 1, y.last - y.first + 1) == (31, 31)
    body = """const { axes } = data; const rows = [];
        for (let i = axes[0].first; i <= axes[0].last; i++) for (let j = axes[1].first; j <= axes[1].last; j++)
          rows.push(readoutText([i, j], data));
        return rows;"""
    wanted = [
        f"z1 = {x.word(i)}, z2 = {y.word(j)}\n{text((x.value(i), y.value(j)))}"
        for i in range(x.first, x.last + 1) for j in range(y.first, y.last + 1)
    ]  # fmt: skip
    assert in_node(tmp_path, body, **figure.payload) == wanted and len(set(wanted)) == 31**2
    assert "z1 = 0.5, z2 = 7\n&lt;0.5|7&gt;</p>" in figure.poster


def test_equal_texts_are_stored_once_and_a_plane_with_text_is_coarse():
    seen = []
    figure = small(text=lambda z: seen.append(z) or ("left", "right")[int(z[0] > 0)])
    assert figure.payload["texts"]["pool"] == ["left", "right"]
    assert len(seen) <= 51**2 + 1 and all(z.shape == (2,) for z in seen)


def test_what_readers_who_cannot_see_are_told():
    figure = small({"AE": layers(2, 12), "VAE": layers(2, 12)}, alt="codes", picture="decoded digit", caption="Why")
    assert 'role="img" aria-label="codes; z1 = 0.00, z2 = 0.00"' in figure.poster
    assert re.findall(r'alt="([^"]*)"', figure.poster) == [
        f"decoded digit, {name}, at z1 = 0.00, z2 = 0.00" for name in ("AE", "VAE")
    ]
    assert "<figcaption>Why</figcaption>" in figure.poster
    assert 'alt="decoded digit at z1' in small(picture="decoded digit").poster


# -------------------- what is refused --------------------

GOOD = layers(2, 5, 12)
BAD = np.array([[np.nan, 0]])
REFUSED = {
    "pad was given no decoder": lambda: small({}),
    "the decoder has no layers": lambda: small([]),
    "the decoder of decoder 'AE' has no layers": lambda: small({"AE": []}),
    "the layers are not a list of pairs": lambda: small([np.zeros((3, 12))]),
    "layer 2 has W of shape (5, 12) and b of shape (11,)": lambda: small([GOOD[0], (GOOD[1][0], np.zeros(11))]),
    "layer 1 of decoder 'AE' has W of shape (2,)": lambda: small({"AE": [(np.zeros(2), np.zeros(2))]}),
    "layer 1 has weights that are not finite in float32": lambda: small([(np.full((2, 12), 1e39), np.zeros(12))]),
    "layer 1 has weights that are not finite": lambda: small([(np.zeros((2, 12)), np.full(12, np.nan))]),
    "shapes (3, 12); want (2, m), (m, n), ... to 12 pixels": lambda: small(layers(3, 12)),
    "shapes (2, 5), (5, 13); want": lambda: small(layers(2, 5, 13)),
    "shapes (2, 5), (6, 12); want": lambda: small([*layers(2, 5), *layers(6, 12)]),
    "activation 'gelu' is not one of linear, logistic, relu, softplus, tanh": lambda: small(activations="gelu"),
    "activation 'exp' is not one of": lambda: small(output="exp"),
    "activation None of decoder 'VAE'": lambda: small({"AE": GOOD, "VAE": GOOD}, output={"AE": "linear"}),
    "shape is 12; give (height, width)": lambda: pad(GOOD, 12, alt="a", activations="tanh", output="linear"),
    "shape is (0, 4)": lambda: pad(GOOD, (0, 4), alt="a", activations="tanh", output="linear"),
    "alt is ''": lambda: small(alt=""),
    "picture ''": lambda: small(picture=""),
    "vmin is 1 and vmax 1": lambda: small(vmin=1, vmax=1),
    "vmin is nan": lambda: small(vmin=np.nan),
    "points have shape (2, 3); give": lambda: small(points=np.zeros((2, 3))),
    "points have shape (1, 2), not all finite": lambda: small(points=BAD),
    "points have shape (0, 2)": lambda: small(points=np.zeros((0, 2))),
    "labels and classes say what points are": lambda: small(labels=[1]),
    "labels are int64 of shape (2,) for 1 points": lambda: small(points=[[0, 0]], labels=[1, 2]),
    "labels are float64": lambda: small(points=[[0, 0]], labels=[1.0]),
    "labels from 0 to 2 for 2 classes": lambda: cloud(classes=["a", "b"]),
    "labels from -1 to 1 for 9 classes": lambda: small(points=CODES, labels=LABELS - 1, classes="abcdefghi"),
    "for 11 classes; labels count the classes from 0, and a plane shows at most 10": (
        lambda: small(points=CODES, labels=np.arange(60) % 11)
    ),
    "xlim is (1, 1)": lambda: small(xlim=(1, 1)),
    "xlim is 3; give": lambda: small(xlim=3),
    "ylim is (0, inf)": lambda: small(ylim=(0, np.inf)),
    "start is [1.0]": lambda: small(start=[1]),
    "start is [nan, 0.0]": lambda: small(start=BAD[0]),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_came_and_what_to_try(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        REFUSED[message]()


def test_too_many_bytes_are_refused():
    with pytest.raises(ValueError, match=r"the figure takes 4\.\d\d MB, the limit is 4 MB; give the decoder fewer"):
        pad(layers(2, 1000, 784), (28, 28), alt="a plane", activations="tanh", output="logistic")


def test_a_small_decoder_is_small():
    figure = pad(layers(2, 16, 64), (8, 8), alt="a plane", activations="tanh", output="logistic")
    weights = 4 * (2 * 16 + 16 + 16 * 64 + 64)
    assert figure.size < weights * 4 / 3 + 700 < 7000
    many = np.random.default_rng(0).normal(size=(2000, 2))
    plane = pad(layers(2, 16, 64), (8, 8), alt="a plane", activations="tanh", output="logistic", points=many,
                labels=np.arange(2000) % 10)  # fmt: skip
    assert plane.size - figure.size < 2000 * (4 * 4 / 3 + 1) + 300
    assert len(plane.to_html()) < 75_000


# -------------------- what is sent to the notebook --------------------


def test_a_notebook_gets_html_and_text():
    figure = small({"AE": GOOD, "PCA": layers(2, 12)})
    data = figure._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"} and data["text/html"] == figure.to_html()
    assert re.fullmatch(r"Pad\(AE 2-5-12, PCA 2-12; \d kB\): a plane", data["text/plain"])


def everywhere(words):
    names = {"alt": words, "caption": words, "picture": words, "xlabel": words, "ylabel": words}
    more = {"text": lambda z: words, "points": CODES, "labels": LABELS, "classes": [words, "a", "b"]}
    return small({words: GOOD}, **names, **more)


def test_no_text_can_leave_its_place():
    hostile = "</script></style><!--<script><img src=x onerror=alert(1)>\"'&lt;\u2028</svg>"
    figure = everywhere(hostile)
    parsed = Tags(figure.to_html())
    assert parsed.tags == Tags(everywhere("harmless").to_html()).tags
    assert parsed.script.count("mountStatic(") == 2  # its definition and the call: the script ran on to its end
    (payload,) = re.findall(rf'mountStatic\("{figure.key}", (.*)\);$', parsed.script)
    assert json.loads(payload) == figure.payload and figure.payload["alt"] == hostile
    assert not set("<>&") & set(payload)


def test_nothing_outside_is_named():
    html = everywhere("words").to_html()
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(|fetch|\bimport\b", html.replace("// ", ""))


def test_ids_depend_on_the_content_alone():
    code = (
        "import numpy as np; from enm5310.widgets.pad import pad; "
        "print(pad({'b': [(np.eye(2), np.ones(2))], 'a': [(np.ones((2, 2)), np.ones(2))]}, (1, 2), alt='a plane', "
        "activations='tanh', output='linear', points=np.eye(2), labels=[1, 0], text=str).to_html())"
    )
    run = lambda seed: subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},  # noqa: E731
                                      capture_output=True, text=True, check=True).stdout
    first = run("1")
    assert first == run("2") and len(first) > 1000
    assert small().key == small().key != small(alt="another plane").key


def test_importing_is_light():
    new = loaded("import enm5310.widgets.pad")
    assert not {"matplotlib", "ipywidgets", "IPython", "PIL", "autograd", "enm5310.nets"} & new
