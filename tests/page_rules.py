"""What may stand on a page of feedback or of the report, as a browser's parser sees it; the rest is a violation."""

import base64
import hashlib
import importlib.resources
import itertools
import struct
from collections import Counter

from bleach._vendor import html5lib  # the reference parser of HTML5, which nbconvert brings along

PLAIN = {
    "body", "b", "br", "caption", "code", "dd", "div", "dl", "dt", "em", "figure", "h1", "h2", "h3", "head", "i", "li",
    "main", "ol", "p", "pre", "span", "strong", "style", "sub", "sup", "table", "tbody", "tfoot", "thead", "title",
    "tr", "ul",
}  # fmt: skip
WITH = {
    "html": {"lang"}, "a": {"href", "class"}, "img": {"alt", "src", "width", "height"}, "th": {"scope"}, "td": set(),
    "meta": {"charset", "http-equiv", "content", "name"}, "span": {"aria-hidden"}, "h2": {"id"}, "main": {"id"},
    "pre": {"tabindex"},
}  # fmt: skip


def parsed(page):
    return html5lib.HTMLParser(html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False, strict=False).parse(page)


def violations(page):
    """What is on a page that must not be, or is missing, in words."""
    tree, found = parsed(page), []
    for element in tree.iter():
        tag = element.tag
        if not isinstance(tag, str):
            found.append("a comment")
            continue
        if tag not in PLAIN and tag not in WITH:
            found.append(f"<{tag}>")
        spans = {"colspan", "rowspan"} if tag in ("td", "th") else set()
        odd = set(element.attrib) - WITH.get(tag, set()) - {"class"} - spans
        found += [f"<{tag} {name}>" for name in sorted(odd)]
        if not element.attrib.get("href", "#").startswith("#"):
            found.append(f"a link to {element.attrib['href'][:60]}")
        if element.attrib.get("tabindex", "0") != "0":
            found.append("another order of the Tab key")
        if tag == "img":
            found += _picture(element.attrib)
    count = Counter(element.tag for element in tree.iter())
    found += [f"{count[tag]} <{tag}>" for tag in ("h1", "main", "title", "style", "body") if count[tag] != 1]
    ids = Counter(element.attrib["id"] for element in tree.iter() if "id" in element.attrib)
    found += [f"the id {name} twice" for name, times in ids.items() if times > 1]
    missing = {e.attrib["href"][1:] for e in tree.iter("a")} - set(ids)
    found += [f"a link to nothing, #{name}" for name in sorted(missing)]
    levels = [int(element.tag[1]) for element in tree.iter() if element.tag in ("h1", "h2", "h3")]
    found += ["a level of headings is skipped"] * any(b > a + 1 for a, b in itertools.pairwise(levels))
    return found + _policy(tree)


def _policy(tree):
    css = importlib.resources.files("enm5310.reporting").joinpath("pages.css").read_text(encoding="utf-8")
    found = [] if tree.find(".//style").text == css else ["a style that is not ours"]
    (policy,) = [m.attrib["content"] for m in tree.iter("meta") if "http-equiv" in m.attrib]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    wanted = {"default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'",
              "form-action 'none'"}  # fmt: skip
    return found + ["another policy"] * (set(policy.split("; ")) != wanted)


def _picture(attributes):
    head, _, data = attributes.get("src", "").partition(",")
    if head != "data:image/png;base64" or not attributes.get("alt"):
        return ["an <img> that is no PNG of ours with a text"]
    kinds = chunks(base64.b64decode(data, validate=True))
    return [] if set(kinds) <= {b"IHDR", b"IDAT", b"IEND", b"PLTE"} else [f"a PNG with {set(kinds)}"]


def chunks(png):
    """The kinds of a PNG's chunks."""
    at, kinds = 8, []
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        kinds.append(kind)
        at += 12 + length
    return kinds


def said(page):
    """The text of a page, as a reader sees it, with single spaces."""
    apart = page.replace("</td>", " </td>").replace("</th>", " </th>")
    return " ".join("".join(parsed(apart).find("body").itertext()).split())
