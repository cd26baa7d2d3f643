"""Frames without a browser: what is drawn, stored, refused and escaped.

Oracles: Pillow reads our PNGs, the tick labels of our SVGs say where data must lie, node runs the module's own lookup.
"""

import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from enm5310.widgets.curves import COLORS
from enm5310.widgets.frames import JS, frames
from enm5310.widgets.grid import MAX_BYTES
from enm5310.widgets.pictures import png

RNG = np.random.default_rng(0)


def box(k=1, **others):
    return np.full((4, 8), 10 * k, np.uint8)


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return np.asarray(image)


def shown(figure, *at):
    """The pieces of every panel at slider positions ``at``, found as a reader of the payload would: by counting."""
    order = list(itertools.product(*(range(len(s["values"])) for s in figure.payload["sliders"])))
    return [[figure.payload["pool"][i] for i in ids] for ids in figure.payload["frames"][order.index(at)]]


# -------------------- pictures --------------------


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (6, 3, 3), (3, 300, 4)])
def test_png_is_read_back_by_pillow(shape):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(pixels(png(image)), image)


@pytest.mark.parametrize("image", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros(4, np.uint8),
                                   np.zeros((0, 3), np.uint8), np.zeros((2, 2), bool)])
def test_png_refuses_what_would_not_be_a_picture(image):
    with pytest.raises(ValueError, match=re.escape(f"this is {image.dtype} {image.shape}")):
        png(image)


def test_every_combination_has_its_own_picture_and_readout():
    def draw(i, j, split):
        return np.array([[i, j, len(split)]], np.uint8), f"{i} {j} {split}"

    values = {"i": [1, 2], "j": range(3, 6), "split": ["train", "test"]}
    figure = frames(values, draw, alt="a row")
    for n, at in enumerate(itertools.product(range(2), range(3), range(2))):
        i, j, split = (list(v)[a] for v, a in zip(values.values(), at, strict=True))
        ((piece,),) = shown(figure, *at)
        assert pixels(b64decode(piece)).tolist() == [[i, j, len(split)]]
        assert figure.payload["texts"][n] == f"{i} {j} {split}"


def test_equal_pictures_are_stored_once():
    figure = frames({"k": range(100)}, lambda k: box(k % 2), alt="a box")
    assert len(figure.payload["pool"]) == 2


def test_arrays_are_enlarged_on_the_screen_not_in_the_payload():
    assert 'width="480" height="240"' in frames({"k": [1]}, box, alt="a box").poster  # 8 pixels, about 480 wide
    html = frames({"k": [1]}, box, alt="a box", scale=3, pixelated=False).poster
    assert 'width="24" height="12"' in html and "enm-pixelated" not in html


@pytest.mark.parametrize("give", ["figure", "axes", "subfigure axes"])
def test_matplotlib_figures_become_png_and_are_closed(give):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    def draw(k):
        figure = plt.figure(figsize=(2, 1), facecolor=(k / 4, 0, 0))
        part = figure.subfigures() if give == "subfigure axes" else figure
        part.set_facecolor((k / 4, 0, 0))
        return figure if give == "figure" else part.subplots()

    mine = plt.figure()
    figure = frames({"k": [0, 4]}, draw, alt="a plot", dpi=50)
    assert plt.get_fignums() == [mine.number]  # no leak, no second display, and the reader's own figure is left open
    plt.close(mine)
    for at, red in (0, 0), (1, 255):
        picture = pixels(b64decode(shown(figure, at)[0][0]))
        assert picture.shape == (50, 100, 4) and picture[0, 0].tolist() == [red, 0, 0, 255]
    assert 'width="200" height="100"' in figure.poster  # inches times 100, whatever the dpi


# -------------------- curves --------------------

SVG = "{http://www.w3.org/2000/svg}"


def svg(figure, *at):
    """The panel of curves at ``at`` as an XML tree, put together as frames.js does."""
    poster = re.search(r"<svg data-panel.*?</svg></svg>", figure.poster).group()
    start = "".join(shown(figure, *figure.payload["start"])[-1])
    assert poster.count(start) == 1
    moved = poster.replace(start, "".join(shown(figure, *at)[-1]))
    return ET.fromstring(moved.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))


def ruler(pixel, value):
    """Pixel -> data along an axis."""
    slope, offset = np.polyfit(np.array(pixel, float), value, 1)
    return lambda place: slope * place + offset


def rulers(root, xlog=False, ylog=False):
    """Pixel -> data along both axes (log10 of it where log), read off the grid lines and their words alone."""
    grid = root.find(SVG + "path").get("d")
    across, up = re.findall(r"M([\d.]+),[\d.]+V", grid), re.findall(r"M[\d.]+,([\d.]+)H", grid)
    words = [t.text.replace("−", "-") for t in root.findall(SVG + "text") if t.text and t.text[0] in "−0123456789"]
    x, y = np.array(words[: len(across)], float), np.array(words[len(across) :], float)
    return ruler(across, np.log10(x) if xlog else x), ruler(up, np.log10(y) if ylog else y)


def points(path):
    return np.array([[float(a), float(b)] for a, b in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path)])


def paths(root):
    return [p for p in root.find(SVG + "svg")]


def wave(k):
    x = np.linspace(0, 3, 7)
    marks = {"peak": ([1.5, 2], [k, -k])}
    return {"x": x, "lines": {"wave": k * np.sin(x)}, "marks": marks, "xlabel": "x", "ylabel": "f"}


def test_curves_lie_where_the_tick_labels_say():
    figure = frames({"k": [1, 20]}, wave, alt="a wave")
    for at, k in (0, 1), (1, 20):
        root = svg(figure, at)
        x, y = rulers(root)
        line, marks = paths(root)
        a, b = points(line.get("d")).T
        np.testing.assert_allclose(x(a), np.linspace(0, 3, 7), atol=3e-3)  # paths and grid lines have 0.1 pixel
        np.testing.assert_allclose(y(b), k * np.sin(np.linspace(0, 3, 7)), atol=3e-2)
        a, b = points(marks.get("d")).T
        np.testing.assert_allclose([x(a), y(b)], [[1.5, 2], [k, -k]], atol=3e-2)


def test_log_axes():
    x, y = np.array([1, 10, 500.0]), np.array([3e-5, 2.0, 7e3])
    draw = lambda k: {"lines": {"f": (x, y)}, "xscale": "log", "yscale": "log"}  # noqa: E731
    root = svg(frames({"k": [1]}, draw, alt="a curve"), 0)
    across, up = rulers(root, xlog=True, ylog=True)
    a, b = points(paths(root)[0].get("d")).T
    np.testing.assert_allclose(across(a), np.log10(x), atol=3e-3)
    np.testing.assert_allclose(up(b), np.log10(y), atol=1e-2)


def test_all_frames_share_the_axes_and_the_colours():
    def draw(k):
        return {"lines": {f"only {k}": ([0, k], [0, -(k**2)]), "both": ([0, 1], [0, 1])}}

    figure = frames({"k": [1, 5]}, draw, alt="lines")
    first, last = svg(figure, 0), svg(figure, 1)
    still = lambda root: [ET.tostring(e) for e in root if e.tag != SVG + "svg"]  # noqa: E731
    assert still(first) == still(last)
    assert "only 5" in figure.poster  # the legend also names what only the last frame has
    x, y = rulers(first)
    assert x(466) > 5 and y(252) < -25  # the corner of the axes in frame one has room for frame two
    assert paths(first)[1].get("stroke") == paths(last)[1].get("stroke")
    assert len({p.get("stroke") for p in [*paths(first), *paths(last)]}) == 3


def test_limits_are_exact_and_one_end_may_be_free():
    draw = lambda k: {"lines": {"f": ([0, 1], [2, 3])}, "xlim": (-1, 2), "ylim": (0, None)}  # noqa: E731
    x, y = rulers(root := svg(frames({"k": [1]}, draw, alt="a line"), 0))
    clip = {k: float(root.find(SVG + "svg").get(k)) for k in ("x", "y", "width", "height")}
    np.testing.assert_allclose([x(clip["x"]), x(clip["x"] + clip["width"])], [-1, 2], atol=1e-2)
    np.testing.assert_allclose(y(clip["y"] + clip["height"]), 0, atol=1e-2)
    assert 3 < y(clip["y"]) < 3.5


def test_gaps_stay_gaps():
    y = np.array([1, 2, np.nan, 4, np.inf, 1, 3])
    draw = lambda k: {"x": np.arange(7), "lines": {"f": y}, "areas": {"a": (y, 0)}}  # noqa: E731
    area, line = paths(svg(frames({"k": [1]}, draw, alt="a broken line"), 0))
    assert re.sub("[^MLZ]", "", line.get("d")) == "MLMML"  # 2 points, 1 alone, 2 points
    assert re.sub("[^MLZ]", "", area.get("d")) == "MLLLZMLZMLLLZ"  # each closed along its lower edge


def test_what_does_not_move_is_stored_once():
    x = np.arange(200)
    draw = lambda k: {"x": x, "lines": {"scree": 1 / (1 + x)}, "marks": {"k": (k, 1 / (1 + k))}}  # noqa: E731
    figure = frames({"k": range(100)}, draw, alt="a scree curve")
    assert len(figure.payload["pool"]) == 101 and len(figure.to_html()) < 40_000


def test_colours_have_3_to_1_on_white_and_on_a_dark_page():
    def luminance(color):  # WCAG 2.2, relative luminance; 3:1 is what its criterion 1.4.11 asks of graphics
        c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for color in COLORS:
        light, dark = (1.05 / (luminance(color) + 0.05)), (luminance(color) + 0.05) / (luminance("#111111") + 0.05)
        assert min(light, dark) >= 3, color


def test_sixteen_curves_can_be_told_apart():
    draw = lambda k: {"x": [0, 1], "lines": {str(i): [0, i] for i in range(16)}}  # noqa: E731
    drawn = paths(svg(frames({"k": [1]}, draw, alt="a fan"), 0))
    assert len({(p.get("stroke"), p.get("stroke-dasharray")) for p in drawn}) == 16
    assert len({p.get("stroke-dasharray") for p in drawn[:4]}) == 4  # never by colour alone


# -------------------- what is refused --------------------

REFUSED = {
    "takes 1 to 3": lambda: frames({}, box, alt="a box"),
    "'k' has values []": lambda: frames({"k": []}, box, alt="a box"),
    "'k' has values 'abc'": lambda: frames({"k": "abc"}, box, alt="a box"),
    "whose words differ": lambda: frames({"k": [1, 1]}, box, alt="a box"),
    "3 x 167 = 501 frames, the limit is 500": lambda: frames({"k": [1, 2, 3], "l": range(167)}, box, alt="a box"),
    "start asks for 3, the slider has 1, 2": lambda: frames({"k": [1, 2]}, box, alt="a box", start={"k": 3}),
    "start names ['j'], the sliders are ['k']": lambda: frames({"k": [1]}, box, alt="a box", start={"j": 1}),
    "labels names ['j']": lambda: frames({"k": [1]}, box, alt="a box", labels={"j": "J"}),
    "alt is '' for 1 panels": lambda: frames({"k": [1]}, box, alt=""),
    "alt is ['a'] for 2 panels": lambda: frames({"k": [1]}, lambda k: (box(), box()), alt=["a"]),
    "draw returned NoneType for k = 1": lambda: frames({"k": [1]}, lambda k: None, alt="a box"),
    "draw returned no panel for k = 1": lambda: frames({"k": [1]}, lambda k: "words", alt="a box"),
    "1 readouts for 2 frames": lambda: frames({"k": [1, 2]}, lambda k: (box(), "x")[:k], alt="a box"),
    "2 readouts for 1 frames": lambda: frames({"k": [1]}, lambda k: (box(), "x"), text="{k}".format, alt="a box"),
    "sizes [(1, 1), (2, 1)]": lambda: frames({"k": [1, 2]}, lambda k: np.zeros((1, k), np.uint8), alt="a box"),
    "other panels for k = 2": lambda: frames({"k": [1, 2]}, lambda k: (box(), wave(1))[:k], alt="a box"),
    "curves have no ['line']": lambda: frames({"k": [1]}, lambda k: {"line": {}}, alt="a box"),
    "'f' has no x for k = 1": lambda: frames({"k": [1]}, lambda k: {"lines": {"f": [1, 2]}}, alt="a box"),
    "'f' has shapes [(2,), (3,)]": lambda: frames({"k": [1]}, lambda k: {"lines": {"f": ([1, 2], [0] * 3)}}, alt="a"),
    "['xlabel'] for k = 2 differ": lambda: frames({"k": [1, 2]}, lambda k: {"xlabel": str(k)}, alt="a box"),
    "limits (2, 1) leave no room": lambda: frames({"k": [1]}, lambda k: {"xlim": (2, 1)}, alt="a box"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_came_and_what_to_try(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        REFUSED[message]()


def test_too_many_frames_are_refused_before_any_is_drawn():
    with pytest.raises(ValueError, match="give a slider fewer values"):
        frames({"k": range(501)}, lambda k: pytest.fail("drawn"), alt="a box")


def test_too_many_bytes_are_refused_early():
    made = []

    def noise(k):
        made.append(k)
        return RNG.integers(0, 256, (700, 1000), dtype=np.uint8)  # does not compress: 0.93 MB in base64

    with pytest.raises(ValueError, match=r"5 of 50 frames take 4\.67 MB, the limit is 4 MB; .*scale=.* dpi"):
        frames({"k": range(50)}, noise, alt="noise")
    assert len(made) == 5


def test_too_many_points_are_refused():
    draw = lambda k: {"x": np.arange(60_000), "lines": {"f": np.arange(60_000) * k}}  # noqa: E731
    with pytest.raises(ValueError, match=f"the limit is {MAX_BYTES / 1e6:g} MB.*fewer points"):
        frames({"k": range(6)}, draw, alt="lines")


# -------------------- sliders --------------------


def test_values_are_shown_as_words_and_passed_as_they_are():
    seen = []
    values = {"k": np.array([1, 60000]), "s": [0.1 + 0.2, 1e-7], "on": [False, True]}
    figure = frames(values, lambda **v: seen.append(v) or box(), alt="a box", labels={"s": "σ"})
    assert [s["label"] for s in figure.payload["sliders"]] == ["k", "σ", "on"]
    assert [s["values"] for s in figure.payload["sliders"]] == [["1", "60000"], ["0.3", "1e-07"], ["False", "True"]]
    assert seen[0] == {"k": 1, "s": 0.1 + 0.2, "on": False} and type(seen[0]["k"]) is np.int64
    assert seen[-1] == {"k": 60000, "s": 1e-7, "on": True}


def test_words_of_ones_own_stand_for_values_of_any_kind():
    X = {"train": box(1), "test": box(2)}
    figure = frames({"split": X}, lambda split: split, alt="a box", start={"split": "test"})
    assert figure.payload["sliders"] == [{"label": "split", "values": ["train", "test"]}]
    assert figure.payload["start"] == [1]
    assert pixels(b64decode(shown(figure, 1)[0][0]))[0, 0] == 20


def test_the_poster_shows_the_start_frame():
    words = {"alt": ["a box", "a wave"], "caption": "What k does", "text": lambda k, l: f"{k}+{l}={k + l}"}
    draw = lambda k, l: (box(10 * k + l), wave(k))  # noqa: E731
    figure = frames({"k": [1, 2], "l": [3, 4]}, draw, start={"k": 2, "l": 3}, **words)
    (image,) = re.findall(r'alt="a box: k = 2, l = 3" src="data:image/png;base64,([^"]+)"', figure.poster)
    assert pixels(b64decode(image))[0, 0] == 230
    assert 'role="img" aria-label="a wave: k = 2, l = 3"' in figure.poster
    assert '<p class="enm-readout" role="status" aria-live="polite">2+3=5</p>' in figure.poster
    assert "<figcaption>What k does</figcaption>" in figure.poster
    assert 'class="enm-readout"' not in frames({"k": [1]}, box, alt="a box").poster


# -------------------- what is sent to the notebook --------------------


def test_a_notebook_gets_html_and_text():
    figure = frames({"k": [1, 2]}, box, alt="a box")
    data = figure._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"} and data["text/html"] == figure.to_html()
    assert re.fullmatch(r"Frames\(k: 2 values; 2 frames, \d+ kB\): a box", data["text/plain"])


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.script = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, sorted(name for name, _ in attrs)))

    def handle_data(self, data):
        if self.lasttag == "script":
            self.script += data


def everywhere(words):
    def draw(**values):
        curves = {"lines": {words + "line": ([0, 1], [0, 1])}, "xlabel": words, "ylabel": words}
        return box(), curves, words

    return frames({words: ["a" + words]}, draw, alt=[words, words], caption=words)


def test_no_text_can_leave_its_place():
    hostile = "</script></style><!--<script><img src=x onerror=alert(1)>\"'&lt;\u2028</svg>"
    figure = everywhere(hostile)
    parsed = Tags(figure.to_html())
    assert parsed.tags == Tags(everywhere("harmless").to_html()).tags
    assert parsed.script.count("mountStatic(") == 2  # its definition and the call: the script ran on to its end
    (payload,) = re.findall(rf'mountStatic\("{figure.key}", (.*)\);$', parsed.script)
    assert json.loads(payload) == figure.payload and figure.payload["texts"] == [hostile]
    assert not set("<>&") & set(payload)  # "</script " ends the element too


def test_nothing_outside_is_named():
    html = everywhere("words").to_html()
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(", html.replace("// ", ""))


def test_ids_depend_on_the_content_alone():
    code = (
        "import numpy as np; from enm5310.widgets.frames import frames; "
        "draw = lambda k: ({'lines': {'a': ([0, k], [0, 1]), 'b': ([0, 1], [k, 0])}}, np.full((2, 2), k, np.uint8)); "
        "print(frames({'k': [1, 2]}, draw, alt='a box').to_html())"
    )
    run = lambda seed: subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},  # noqa: E731
                                      capture_output=True, text=True, check=True).stdout
    first = run("1")
    assert first == run("2") and len(first) > 1000
    assert frames({"k": [1]}, box, alt="a box").key != frames({"k": [1]}, box, alt="another box").key


def loaded(statement):
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_is_light():
    assert "numpy" not in loaded("import enm5310.widgets")
    new = loaded("import enm5310.widgets.frames")
    parts = {f"enm5310.widgets.{name}" for name in ("frames", "figure", "grid", "panels", "pictures", "curves", "axes")}
    assert {m for m in new if m.startswith("enm5310")} == {"enm5310", "enm5310.widgets", *parts}
    assert not {"matplotlib", "ipywidgets", "IPython", "PIL", "autograd"} & new


# -------------------- the module that runs in the page --------------------


def test_javascript_computes_nothing():
    assert "Math" not in JS and "import" not in re.sub(r"//.*", "", JS)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_looks_up_what_python_stored(tmp_path):
    def draw(i, j, k):
        return {"lines": {"still": ([0, 1], [0, 1]), "moves": ([0, 1], [i, 10 * j + k])}}

    figure = frames({"i": [1, 2], "j": [3, 4, 5], "k": ["x", "y"]}, lambda i, j, k: draw(i, j, len(k)), alt="lines")
    (tmp_path / "frames.mjs").write_text(JS, encoding="utf-8")
    (tmp_path / "payload.json").write_text(json.dumps(figure.payload))
    (tmp_path / "test.mjs").write_text("""
        import { readFileSync } from "node:fs";
        import { altText, frameIndex, pieces, stateText } from "./frames.mjs";
        const { sliders, frames, pool, alts } = JSON.parse(readFileSync("payload.json"));
        const rows = [];
        for (let i = 0; i < 2; i++) for (let j = 0; j < 3; j++) for (let k = 0; k < 2; k++) {
          const index = frameIndex([i, j, k], [2, 3, 2]);
          rows.push([[i, j, k], pieces(frames[index][0], pool), altText(alts[0], stateText([i, j, k], sliders))]);
        }
        console.log(JSON.stringify({ rows }));
    """)
    out = subprocess.run(["node", "test.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    answer = json.loads(out.stdout)
    assert len(answer["rows"]) == 12
    for at, drawn, alt in answer["rows"]:
        assert drawn == "".join(shown(figure, *at)[0])
        assert alt == f"lines: i = {[1, 2][at[0]]}, j = {[3, 4, 5][at[1]]}, k = {'xy'[at[2]]}"
