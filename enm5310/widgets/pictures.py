"""Panels of pictures: uint8 arrays, which are encoded as PNG here, and matplotlib figures, which save themselves.
Pictures are stored at their own size, one byte per channel; the page enlarges them.
"""

import base64
import io
import struct
import sys
import zlib
from typing import NamedTuple

import numpy as np

from enm5310.widgets.panels import Panel


class Picture(NamedTuple):
    png: bytes
    dpi: float | None  # None: an array, shown at ``scale``


def png(image):
    """PNG bytes of a uint8 image: (h, w) grey, (h, w, 3) RGB, (h, w, 4) RGBA.  ISO/IEC 15948, sections 5 and 11.2."""
    image = np.asarray(image)
    color = {(2,): 0, (3, 3): 2, (3, 4): 6}.get((image.ndim, *image.shape[2:]))
    if image.dtype != np.uint8 or color is None or image.size == 0:
        raise ValueError(
            f"an image is uint8 of shape (h, w), (h, w, 3) or (h, w, 4), this is {image.dtype} {image.shape}; "
            "for x in [0, 1] take (255 * x).round().astype(np.uint8)"
        )
    height, width = image.shape[:2]
    rows = np.insert(image.reshape(height, -1), 0, 0, axis=1)  # each row begins with the number of its filter: 0, none
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def data_url(data):
    """PNG bytes as an address that an <img> may have without a request."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def from_matplotlib(item, dpi):
    """The Figure, or the Figure of the Axes, as PNG; closed, so that the notebook does not show it a second time."""
    while not hasattr(item, "savefig"):
        item = item.figure
    buffer = io.BytesIO()
    item.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})  # a version in it would make bytes differ
    if pyplot := sys.modules.get("matplotlib.pyplot"):  # where pyplot was never imported, nothing is open
        pyplot.close(item)
    return Picture(buffer.getvalue(), dpi)


def panel(pictures, scale, pixelated):
    """One place with pictures, all of one size."""
    sizes = {struct.unpack(">II", p.png[16:24]) for p in pictures}  # (width, height) stand in the IHDR chunk
    if len(sizes) > 1:
        raise ValueError(f"pictures of sizes {sorted(sizes)} (width, height) in one panel; give all frames one size")
    ((width, height),) = sizes
    dpi = pictures[0].dpi
    scale = 100 / dpi if dpi else scale or max(1, round(480 / width))
    mode = ' class="enm-pixelated"' if pixelated and not dpi else ""
    img = f'<img data-panel=""{mode} width="{width * scale:.0f}" height="{height * scale:.0f}"'
    pieces = [[base64.b64encode(p.png).decode()] for p in pictures]
    return Panel(f'<div class="enm-panel">{img} alt="', '" src="data:image/png;base64,', '"></div>', pieces)
