"""Reads scored rollouts in the format of commit 795c22a and older.

Old checkpoints of trainer=colocate_async hold such records, because TransferQueue saves what is in flight. The records
lack the data set's columns, which are in other fields of the sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medix_r1.runs.scored_rollout import RECORD

ROW_FIELDS = ("extra_info", "reward_model", "data_source")
_NOT_PARTS = {"overall", "masked", "cut", RECORD}


def is_old(reward_extra_info: Mapping[str, Any]) -> bool:
    """Whether a record lacks the data set's columns."""
    return "reply" not in json.loads(reward_extra_info[RECORD])


def upgraded(reward_extra_info: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """An old record in the current format of `ScoredRollout.from_verl`.

    Args:
        reward_extra_info: the saved record.
        row: the sample's `ROW_FIELDS`.
    """
    record, extra = json.loads(reward_extra_info[RECORD]), row.get("extra_info") or {}
    record |= {
        "uid": "",  # `from_verl` sets it and `tokens` from the sample's key and tag
        "tokens": 0,
        "row_id": str(extra.get("row_id", extra.get("index", ""))),
        "source": str(row.get("data_source") or ""),
        "question": str(extra.get("question") or ""),
        "reference": str(row["reward_model"]["ground_truth"]),
        "reply": record.pop("text"),
        "parts": {name: value for name, value in reward_extra_info.items() if name not in _NOT_PARTS},
        "overall": reward_extra_info["overall"],
        "masked": bool(reward_extra_info["masked"]),
        "cut": bool(reward_extra_info["cut"]),
        "split": str(extra.get("split", "")),
        "choices": _texts(extra.get("choices")),
        "accepted": _texts(extra.get("answers")),
    }
    return {**reward_extra_info, RECORD: json.dumps(record)}


def _texts(values: Any) -> list[str]:
    return [] if values is None else [str(value) for value in values]
