"""Odd rows as data: what a user meant is read, or refused with the way to say it (tests/unit/golden/rows.yaml)."""

import base64
import json
from pathlib import Path

import pytest

from medix_r1.data.check import RowRules, check_row
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.row import RowRejected
from medix_r1.data.sources.base import Reading, known_columns
from medix_r1.host.yaml_text import read_yaml
from medix_r1.images.rules import ImageRules
from tests.unit.data.support import encoded, picture

CASES = read_yaml(Path(__file__).parents[1] / "golden/rows.yaml")
FILES = {name: encoded(picture(seed)) for seed, name in enumerate(("a.png", "b.png"))}
PNG = FILES["a.png"]
BASE64 = base64.b64encode(PNG).decode()
STAND_INS = {
    "{png}": PNG,
    "{uri}": f"data:image/png;base64,{BASE64}",
    "{base64}": BASE64,
    "{struct}": {"bytes": PNG, "path": "of_another_machine/a.png"},
    "{long}": "x/" * 50_000,
    "{many}": json.dumps([f"data:image/png;base64,{BASE64}"] * 40),
}
PLAIN = {"question": "Which lung?", "answer": "left lung", "tag": "X_RAY", "image": "a.png"}


@pytest.fixture(scope="module")
def counter(backbone):
    return PromptCounter(backbone)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "sub").mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        (folder / "sub" / name).write_bytes(content)
    return str(folder)


def filled(value):
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner) for inner in value]
    return STAND_INS.get(value, value) if isinstance(value, str) else value


def record_of(case):
    """The plain row with the case's columns over it, without question and answer where a conversation has them."""
    gone = {key for key in ("question", "answer") if _layout(case)}
    laid = {key: value for key, value in PLAIN.items() if key not in gone} | case["record"]
    if "Question" in laid or "problem" in laid:
        laid.pop("question", None)
    return filled(laid)


def _layout(case):
    return {"conversations", "messages", "prompt"} & set(case["record"])


def outcome(case, root, counter):
    columns = {**known_columns(), **case.get("columns", {})}
    reading = Reading(columns, turns=case.get("turns", "reject"), system=case.get("system", "reject"))
    rows = list(reading.rows(record_of(case), "rows.jsonl:1", root))
    rules = RowRules(image=ImageRules(), default_source="mine", **case.get("rules", {}))
    return len(rows), check_row(rows[0], rules, counter)


def name_of(case):
    told = ", ".join(f"{key}={value}" for key, value in case["record"].items())
    return f"{case['kind']}: {told}"[:100]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_row_has_its_right_outcome(case, root, counter):
    if "rejected" in case:
        with pytest.raises(RowRejected) as caught:
            outcome(case, root, counter)
        assert caught.value.reason == case["rejected"]
        assert case.get("says", "") in caught.value.detail
        assert len(caught.value.detail) < 300
        return
    count, measured = outcome(case, root, counter)
    row = measured.row
    found = {
        "question": row.question,
        "answers": list(row.answers),
        "choices": list(row.choices),
        "tag": row.tag,
        "source": row.source,
        "given_id": row.given_id,
        "images": len(row.images),
        "order": [next(name for name, content in FILES.items() if content == image.content) for image in row.images],
        "rows": count,
    }
    right = dict(case["right"])
    assert right.pop("prompt", "") in measured.prompt
    assert {key: found[key] for key in right} == right


def test_there_are_many():
    assert len(CASES) >= 120
    assert len({case["kind"] for case in CASES}) >= 12
