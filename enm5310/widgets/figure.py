"""What every interactive figure is in a page: HTML of a poster, a style, and a module that brings the poster to life.
``frames`` and ``pad`` make posters and payloads; here they become one piece of HTML that asks nothing of the outside.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

MAX_BYTES = 4_000_000  # of payload: it travels inside the notebook and the page


def asset(*names):
    """Text of files beside this one: JavaScript and styles, the shared part first."""
    return "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


def to_json(value):
    """JSON that may stand inside a script element: no character of it can end the element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@dataclass(frozen=True)
class Figure:
    """The last line of a cell shows it; ``to_html()`` is the same figure for any page."""

    payload: dict[str, Any]  # what the module needs besides the poster
    inner: str  # HTML of the poster

    classes: ClassVar[str] = "enm-figure"
    css: ClassVar[str]
    js: ClassVar[str]  # an ES module with ``mount(figure, payload)``

    @property
    def size(self):
        """Bytes of the payload."""
        return len(to_json(self.payload))

    @cached_property
    def key(self):
        """Names the figure by its content, so that a notebook run twice gives the same bytes."""
        return hashlib.sha256((self.inner + to_json(self.payload)).encode()).hexdigest()[:12]

    @cached_property
    def poster(self):
        """HTML of the start: what is seen without JavaScript, and what the module brings to life."""
        return f'<figure class="{self.classes}" data-enm-figure="{self.key}">{self.inner}</figure>'

    def to_html(self):
        """Poster, style, module and payload: live in any page, from file:// too, with no request to anywhere."""
        call = f'mountStatic("{self.key}", {to_json(self.payload)});'
        return f'<style>{self.css}</style>{self.poster}<script type="module">{self.js}\n{call}</script>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        # HTML alone: Lab prefers a widget where there is one, and says "model not found" in a notebook reopened later
        return {"text/plain": repr(self), "text/html": self.to_html()}
