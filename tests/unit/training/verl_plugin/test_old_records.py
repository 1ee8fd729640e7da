"""Records that a checkpoint of commit 795c22a holds in TransferQueue: read as the samples that commit wrote of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.old_records import ROW_FIELDS, is_old, upgraded
from tests.support.rollouts import BLANK

# Of a run with trainer=colocate_async: what its checkpoint holds of two samples, and their lines in its samples/.
RECORDS = json.loads((Path(__file__).parents[3] / "data/records_795c22a.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["line"]["row_id"])
def test_an_old_record_is_read_as_its_commit_read_it(record: dict[str, dict]) -> None:
    saved, line = record["reward_extra_info"], {**record["line"]}
    assert is_old(saved)
    assert set(record["row"]) == set(ROW_FIELDS)

    read = ScoredRollout.from_verl(upgraded(saved, record["row"]), key=line["key"], tokens=line["tokens"])

    written = json.loads(json.dumps(read.to_line()))
    start, end = written.pop("think_at")
    assert written["reply"][start:end].strip() == line.pop("think")
    assert written == {**line, "advantage": None}  # trained on later
    assert read.statistics == json.loads(saved["detail"])["statistics"]
    assert list(read.seconds) == json.loads(saved["detail"])["seconds"]


def test_a_masked_one_stays_masked() -> None:
    saved = {**RECORDS[0]["reward_extra_info"], "llm": None, "overall": None, "masked": 1.0}

    read = ScoredRollout.from_verl(upgraded(saved, RECORDS[0]["row"]), key="u_0_0", tokens=1)

    assert (read.overall, read.masked, read.parts["llm"]) == (None, True, None)


def test_a_row_may_say_little() -> None:
    row = {"extra_info": None, "reward_model": {"ground_truth": "yes"}, "data_source": None}

    read = ScoredRollout.from_verl(upgraded(RECORDS[0]["reward_extra_info"], row), key="u_0_0", tokens=1)

    assert (read.row_id, read.source, read.question, read.reference, read.choices) == ("", "", "", "yes", ())


def test_todays_records_are_not_old() -> None:
    assert not is_old(BLANK.to_verl())
