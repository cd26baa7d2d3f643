"""Pictures that student code made, read and written anew: what reaches a page is ours, whatever came in."""

import base64
import binascii
import io
import warnings

from PIL import Image

PIXELS = 12_000_000  # of a picture that is read
WIDEST = 1400  # pixels of one that is shown
LONGEST = 2800


def anew(data):
    """(base64 of a PNG, its width, its height) for the base64 of a PNG or JPEG, or None when it is not shown.

    Only pixels pass: no text, no profile, no frames but the first.
    """
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata; sizes are looked at below, before a pixel is read
            with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > PIXELS or not picture.width * picture.height:
                    return None
                flat = _on_white(picture)
    except Exception:  # Pillow's readers of damaged files raise many kinds
        return None
    flat.thumbnail((WIDEST, LONGEST))
    made = io.BytesIO()
    Image.frombytes("RGB", flat.size, flat.tobytes()).save(made, format="PNG", compress_level=4)
    return base64.b64encode(made.getvalue()).decode(), flat.width, flat.height


def _on_white(picture):
    if picture.mode in ("RGB", "L"):
        return picture.convert("RGB")
    layers = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
