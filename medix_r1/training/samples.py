"""One scored rollout as it is logged: read from TransferQueue, reduced to metrics, written as a line of JSON."""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OVERALL = "overall"
_NOT_PARTS = {OVERALL, "masked", "cut", "detail"}


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout with its reward, as it stands in `samples/`. `overall` is None for a masked one."""

    key: str  # verl's key: uid_session_index
    uid: str  # its group
    row_id: str
    source: str
    question: str
    reference: str
    reply: str
    answer: str | None
    modality: str | None
    parts: Mapping[str, float | None]
    reasons: Mapping[str, str]
    overall: float | None
    masked: bool
    failure: str | None
    outage: bool
    cut: bool
    tokens: int


def read_rollout(key: str, fields: Mapping[str, Any], tokens: int) -> ScoredRollout:
    """Put one sample's TransferQueue fields into words; `fields` holds extra_fields, extra_info, reward_model, …."""
    reward = fields["extra_fields"]["reward_extra_info"]
    extra_info = fields.get("extra_info") or {}
    detail = json.loads(reward["detail"])
    return ScoredRollout(
        key=key,
        uid=key.split("_")[0],
        row_id=str(extra_info.get("row_id", extra_info.get("index", ""))),
        source=str(fields.get("data_source", "")),
        question=str(extra_info.get("question", "")),
        reference=str(fields["reward_model"]["ground_truth"]),
        reply=detail["text"],
        answer=detail["answer"],
        modality=detail["modality"],
        parts={name: value for name, value in reward.items() if name not in _NOT_PARTS},
        reasons=detail["reasons"],
        overall=reward[OVERALL],
        masked=bool(reward["masked"]),
        failure=detail["failure"],
        outage=detail["outage"],
        cut=bool(reward["cut"]),
        tokens=tokens,
    )


def reward_metrics(rollouts: Sequence[ScoredRollout], prefix: str) -> dict[str, float]:
    """Mean, deviation and missing share of each part and of the total, and how many groups teach nothing.

    Deviations are population deviations over the values that exist. A group counts as `zero_variance` in a part when it
    has at least two values and they are equal.
    """
    if not rollouts:
        return {}
    columns: dict[str, list[float | None]] = {OVERALL: [rollout.overall for rollout in rollouts]}
    columns |= {name: [rollout.parts[name] for rollout in rollouts] for name in rollouts[0].parts}
    metrics: dict[str, float] = {}
    for name, column in columns.items():
        values = [value for value in column if value is not None]
        if values:
            metrics[f"{prefix}/{name}/mean"] = statistics.fmean(values)
            metrics[f"{prefix}/{name}/std"] = statistics.pstdev(values)
            metrics[f"{prefix}/{name}/zero_variance_groups"] = _zero_variance_share(rollouts, column)
        metrics[f"{prefix}/{name}/masked_share"] = 1.0 - len(values) / len(column)
    metrics[f"{prefix}/masked_share"] = statistics.fmean(rollout.masked for rollout in rollouts)
    metrics[f"{prefix}/cut_share"] = statistics.fmean(rollout.cut for rollout in rollouts)
    return metrics


def _zero_variance_share(rollouts: Sequence[ScoredRollout], column: Sequence[float | None]) -> float:
    groups: dict[str, list[float]] = defaultdict(list)
    for rollout, value in zip(rollouts, column, strict=True):
        if value is not None:
            groups[rollout.uid].append(value)
    comparable = [values for values in groups.values() if len(values) > 1]
    return statistics.fmean(min(v) == max(v) for v in comparable) if comparable else 0.0


def write_samples(rollouts: Sequence[ScoredRollout], path: Path) -> None:
    """Write one JSON line a rollout; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(rollout), ensure_ascii=False) + "\n" for rollout in rollouts)
    os.replace(temporary, path)
