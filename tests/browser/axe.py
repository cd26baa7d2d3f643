"""What axe-core, the usual checker of accessibility, finds wrong with a page that a browser shows."""

from functools import cache
from importlib.resources import files

RULES = "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"


@cache
def source():
    """axe-core itself, as the package axe-playwright-python brings it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(page, inside="html", without=(), rules=RULES):
    """["rule, impact: what is wrong: where"] of the elements within a CSS selector; [] when axe has no objection.

    ``without`` names rules of axe that do not apply, ``rules`` the tags of those that do.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(source())
    options = {
        "runOnly": {"type": "tag", "values": list(rules)},
        "rules": {rule: {"enabled": False} for rule in without},
        "resultTypes": ["violations"],
    }
    found = page.evaluate("([inside, options]) => axe.run(inside, options)", [inside, options])
    return [
        f"{rule['id']}, {node['impact']}: {rule['help']}: {node['html'][:200]} at {node['target']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
