"""Each public set by its name: rows of its published schema, with made-up values, become what was meant."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.config import config_dir
from medix_r1.data.check import check_row
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.settings import read_settings
from medix_r1.host.yaml_text import read_yaml
from tests.unit.data.support import encoded, picture

SETS = read_yaml(Path(__file__).parents[1] / "golden/presets.yaml")
FILES = {name: encoded(picture(seed)) for seed, name in enumerate(("a.png", "b.png"))}
KINDS = {"csv", "folder", "jsonl", "parquet"}


@pytest.fixture(scope="module")
def counter(backbone):
    return PromptCounter(backbone)


def write(root: Path, case: dict) -> Path:
    path = root / case["file"]
    path.parent.mkdir(parents=True)
    if "pictures" in case:
        (root / case["pictures"]).mkdir(parents=True)
        for name, content in FILES.items():
            (root / case["pictures"] / name).write_bytes(content)
    rows = [{key: _filled(value) for key, value in row.items()} for row in case["rows"]]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(json.dumps(rows, indent=1))
    return path


def _filled(value):
    if value == "{struct}":
        return {"bytes": FILES["a.png"], "path": None}
    return [_filled(item) for item in value] if isinstance(value, list) else value


def found(row):
    return {
        "question": row.question,
        "answers": list(row.answers),
        "choices": list(row.choices),
        "tag": row.tag,
        "source": row.source,
        "given_id": row.given_id,
        "images": len(row.images),
        "rubric": [[one.text, one.points, list(one.tags)] for one in row.rubric],
    }


@pytest.mark.parametrize("name", SETS)
def test_rows_of_the_published_schema_are_read(name, tmp_path, counter):
    path = write(tmp_path, SETS[name])
    overrides = [text.format(root=tmp_path) for text in SETS[name].get("overrides", [])]

    settings = read_settings([f"data={name}", f"data.path={path}", *overrides])
    source = settings.source
    rows = [check_row(raw, settings.rules, counter).row for unit in source.units(10) for raw in source.rows(unit)]

    right = SETS[name]["right"]
    assert [{key: found(row)[key] for key in one} for row, one in zip(rows, right, strict=True)] == right


def test_every_preset_is_tested_and_says_source_and_licence():
    files = {path.stem: path.read_text(encoding="utf-8") for path in (config_dir() / "prepare/data").glob("*.yaml")}

    assert set(files) - KINDS == set(SETS)
    for name in set(SETS) - {"medix_rl"}:
        comment = files[name].split("defaults:")[0]
        assert "Schema: " in comment
        assert "icence" in comment or "agreement" in comment
