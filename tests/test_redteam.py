"""The second table of attacks (tests/grading/redteam.py), and attacks that need more than one submission."""

import json

import pytest

from enm5310.grading import engine
from tests.grading import books
from tests.grading.redteam import CASES, SLOW

FAST = {name for name in CASES if not any(words in name for words in SLOW)}


def _tried(name):
    case = CASES[name]
    executed, record = books.grade(case.make(), case.master())
    shown = engine.text(executed) if executed else ""
    told = shown + json.dumps(record, ensure_ascii=False)
    told.encode()  # half a character would stop whoever writes it to a file
    earned, worth = books.points(record), {e["grade_id"]: e["max_score"] for e in record["exercises"]}
    for target in case.targets:
        assert earned[target] == (worth[target] if case.earn else 0), record
    if not case.spoils:
        others = {name: score for name, score in earned.items() if name not in case.targets and score is not None}
        assert others == {name: worth[name] for name in others}, record
    assert record["score"] <= record["max_score"]
    outputs = [cell.get("outputs") for cell in executed["cells"]] if executed else []
    said = json.dumps([record, outputs], ensure_ascii=False)
    assert not [words for words in case.forbidden if words in said]
    assert any(case.noted in note for note in record["notes"]) or not case.noted, "no note about it"
    assert len(record["notes"]) <= 40
    assert len(shown) < 40e6


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_nothing_is_gained(name):
    _tried(name)
