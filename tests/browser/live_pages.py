"""Pages and notebooks with figures in them, and what a browser shows of them."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

PRIORITY = '--NbConvertBase.display_data_priority=["text/html", "image/png", "text/plain"]'


def write(path, *figures):
    """A page as a site would have it: dark where the reader's system is dark."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Figures</title>'
    scheme = '<meta name="color-scheme" content="light dark">'
    body = "".join(figure.to_html() for figure in figures)
    path.write_text(f'<!doctype html><html lang="en">{head}{scheme}<main>{body}</main></html>', encoding="utf-8")
    return path.as_uri()


def picture(image):
    """The pixels that an <img> or a <canvas> shows, drawn and read by the browser."""
    url = image.evaluate("""async (shown) => {
        if (shown.decode) await shown.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [shown.naturalWidth ?? shown.width, shown.naturalHeight ?? shown.height];
        canvas.getContext("2d").drawImage(shown, 0, 0);
        return canvas.toDataURL();
    }""")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as shown:
        return np.asarray(shown.convert("L"))


def notebook(path, module, function, *cells):
    """A notebook whose first cell shows the figure that ``function`` of a test module makes."""
    folder = str(Path(__file__).parent)
    found = f"import sys\nsys.path.insert(0, {folder!r})\nfrom {module} import {function}"
    first = f"{found}\nfigure = {function}()\nfigure"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in (first, *cells)], metadata=kernel)
    nbformat.write(made, path)


def export(path):
    """The notebook, executed and exported to HTML: the address of the page."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", PRIORITY, path.name]
    no_cdn = ["--HTMLExporter.mathjax_url=", "--HTMLExporter.require_js_url="]  # the template asks for both, always
    done = subprocess.run([*command, *no_cdn], cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path.with_suffix(".html").as_uri()


def run_all(page, lab, name):
    page.goto(lab.url(name))
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)  # cells run before the kernel answers are lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def live_figures(page, count):
    figures = page.locator(".jp-Notebook figure[data-live]")
    figures.nth(count - 1).wait_for(state="attached", timeout=60_000)
    assert figures.count() == count
    return figures
