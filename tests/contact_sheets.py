"""All figures of a lecture on one small page:  python -m tests.contact_sheets [FOLDER_OF_EXECUTED_NOTEBOOKS]

Writes ``lectures/contact_sheets/NAME.png``, at most 150 kB each, for every lecture that has figures.  Without a folder
the lectures are executed first.  The same notebooks give the same bytes.
"""

import base64
import io
import re
import sys
import tempfile
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw, ImageFont

from tests.execute import execute

LECTURES = Path(__file__).resolve().parent.parent / "lectures"
LIMIT = 150_000  # bytes
COLUMNS, WIDTH, GAP, LINE = 4, 290, 16, 15  # of the page, in pixels
FONT = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 12)
NAMED = {"currentColor": "black", "none": "none"}


def main(folder=None):
    """Writes the sheets; returns the complaints of executing, one line each."""
    lectures, complaints = sorted(LECTURES.glob("*.ipynb")), []
    with tempfile.TemporaryDirectory() as scratch:
        for lecture in lectures if folder is None else []:
            complaints += execute(lecture, Path(scratch))
        for lecture in lectures:
            figures = figures_of(nbformat.read(Path(folder or scratch) / lecture.name, as_version=4))
            if figures:
                save(sheet(figures), LECTURES / "contact_sheets" / f"{lecture.stem}.png")
    return complaints


# -------------------- figures of an executed notebook --------------------


def figures_of(nb):
    """(image, caption) of every picture in the outputs, in order; of an interactive figure, its poster."""
    pages = [output.get("data", {}).get("text/html") for cell in nb.cells for output in cell.get("outputs", [])]
    return [figure for page in pages if page for figure in Figures(page).found]


class Figures(HTMLParser):
    """Finds <img> with a PNG inside, the <svg> panels of `enm5310.widgets.frames` and the plane of `pad`."""

    def __init__(self, page):
        super().__init__()
        self.found, self.panel, self.depth, self.words, self.layer = [], None, 0, None, None
        self.feed(re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.S))

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == "img" and a.get("src", "").startswith("data:image/png;base64,"):
            self.found.append((magnified(a), caption(a["alt"])))
        elif tag == "svg" and (self.panel or "data-panel" in a or "data-plane" in a):
            self.open_svg(a)
        elif tag == "path" and self.panel:
            self.panel.draw_path(a, self.layer)
        elif tag == "text" and self.panel:
            self.words = a

    def open_svg(self, a):
        self.depth += 1
        if self.panel is None:
            self.panel = Panel(*map(float, a["viewbox"].split()[2:]), caption(a["aria-label"]))
        else:
            self.layer = tuple(float(a[name]) for name in ("x", "y", "width", "height"))

    def handle_endtag(self, tag):
        if tag == "svg" and self.panel:
            self.depth, self.layer = self.depth - 1, None
            if self.depth == 0:
                self.found.append((self.panel.image(), self.panel.caption))
                self.panel = None
        elif tag == "text":
            self.words = None

    def handle_data(self, words):
        if self.panel and self.words is not None:
            self.panel.draw_words(words, self.words)


def magnified(a):
    """The picture of an <img>; one that the page shows larger, a few pixels wide, as large squares."""
    image = Image.open(io.BytesIO(base64.b64decode(a["src"].partition(",")[2])))
    times = max(1, int(a.get("width", 0)) // image.width) if image.width < 100 else 1
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def caption(alt):
    """The alt text up to its first colon, semicolon or full stop."""
    return re.split(r"[:;.](?:\s|$)", alt)[0]


# -------------------- the few things that curves are made of --------------------


class Panel:
    """A picture of w by h pixels onto which the paths and words of an SVG panel are drawn, at twice the size."""

    def __init__(self, width, height, words):
        self.caption, self.figure = words, Figure(figsize=(width / 72, height / 72), dpi=144)  # a pixel is a point
        self.canvas = FigureCanvasAgg(self.figure)
        self.ax = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self.ax.set_axis_off()

    def draw_path(self, a, layer):
        if a["d"].endswith("h0"):  # lines of no length with round ends are dots
            places = [tuple(map(float, place.split(","))) for place in re.findall(r"M([^h]*)h0", a["d"])]
            self.ax.scatter(*zip(*places, strict=True), s=float(a["stroke-width"]) ** 2, c=a["stroke"], lw=0, zorder=1)
            return
        dashes = [float(d) for d in a.get("stroke-dasharray", "").split()]
        patch = PathPatch(
            moved(outline(a["d"]), a.get("transform")),
            alpha=float(a.get("opacity", 1)), linewidth=float(a.get("stroke-width", 1)),
            facecolor=NAMED.get(a.get("fill", "none"), a.get("fill")), linestyle=(0, dashes) if dashes else "-",
            edgecolor=NAMED.get(a.get("stroke", "none"), a.get("stroke")),
        )  # fmt: skip
        self.ax.add_patch(patch)
        if layer:
            x, y, width, height = layer
            patch.set_clip_path(Rectangle((x, y), width, height, transform=self.ax.transData))

    def draw_words(self, words, a):
        turned = re.match(r"translate\((\S+) (\S+)\)rotate\(-90\)", a.get("transform", ""))
        x, y = map(float, turned.groups() if turned else (a["x"], a["y"]))
        side = {"middle": "center", "end": "right"}[a.get("text-anchor", "middle")]
        how = {"rotation": 90, "ha": "center", "va": "bottom"} if turned else {"ha": side, "va": "baseline"}
        self.ax.text(x, y, words, size=14, **how)

    def image(self):
        self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba()).copy())


def outline(d):
    """A matplotlib path from SVG's M, L, H, V, Z, from m, l, h, v, and from a, taken as a half circle."""
    points, codes, at, start = [], [], np.zeros(2), np.zeros(2)
    for command, numbers in re.findall(r"([MLHVmlhvaZz])([^MLHVmlhvaZz]*)", d):
        v = [float(number) for number in re.findall(r"-?\d*\.?\d+", numbers)]
        end = start if command in "zZ" else target(command, v, at)
        steps = half_circle(at, end) if command == "a" else [end]
        codes += [{"m": Outline.MOVETO, "z": Outline.CLOSEPOLY}.get(command.lower(), Outline.LINETO)] * len(steps)
        points, at, start = points + steps, end, end if command in "mM" else start
    return Outline(points, codes)


def moved(path, transform):
    """The path after transform="translate(x y)"; without one, as it is."""
    shift = re.match(r"translate\((\S+) (\S+)\)$", transform or "translate(0 0)")
    return Outline(path.vertices + [float(v) for v in shift.groups()], path.codes)


def target(command, v, at):
    """Where a command with the numbers v leads from the point `at`."""
    x, y = at if command.islower() else (0, 0)
    if command in "hH":
        return np.array([x + v[0], at[1]])
    return np.array([at[0], y + v[0]]) if command in "vV" else np.array([x + v[-2], y + v[-1]])


def half_circle(a, b):
    """Points of the half circle from a to b."""
    turn, (x, y) = np.linspace(0, np.pi, 13)[1:], (a - b) / 2
    spokes = np.stack([x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)], axis=1)
    return list((a + b) / 2 + spokes)


# -------------------- the page --------------------


def sheet(figures):
    """One image with all figures in columns, each above its caption; a figure goes where the page is shortest."""
    tiles = [tile(image, words) for image, words in figures]
    heights, places = [GAP] * COLUMNS, []
    for t in tiles:
        column = int(np.argmin(heights))
        places.append((GAP + column * (WIDTH + GAP), heights[column]))
        heights[column] += t.height + GAP
    page = Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), max(heights)), "white")
    for t, place in zip(tiles, places, strict=True):
        page.paste(t, place)
    return page


def tile(image, words):
    """The image, no wider than a column, with its caption below."""
    image = image.convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    lines = textwrap.wrap(words, 44)
    whole = Image.new("RGB", (WIDTH, image.height + 6 + LINE * len(lines)), "white")
    whole.paste(image, ((WIDTH - image.width) // 2, 0))
    pen = ImageDraw.Draw(whole)
    for i, line in enumerate(lines):
        pen.text((4, image.height + 4 + LINE * i), line, "#333333", FONT)
    return whole


def save(page, path, limit=LIMIT):
    """The page as PNG, with as many colours as fit into `limit` bytes; ValueError when 32 are too many."""
    path.parent.mkdir(exist_ok=True)
    for colors in (256, 128, 64, 32):
        png = io.BytesIO()
        few = page.quantize(colors, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        few.save(png, format="png", optimize=True)
        if len(png.getvalue()) <= limit:
            path.write_bytes(png.getvalue())
            return
    raise ValueError(f"{path.name}: {page.size} pixels do not fit into {limit} bytes; show fewer figures")


if __name__ == "__main__":
    said = main(*sys.argv[1:])
    print(*said, sep="\n", file=sys.stderr)
    sys.exit(1 if said else 0)
