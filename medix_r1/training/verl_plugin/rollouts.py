"""Reads scored rollouts from TransferQueue, names their prompts, and removes those that are not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta

from medix_r1.runs.group_filter import MIN_GROUP
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.old_records import ROW_FIELDS, is_old, upgraded


def prompt_name(step: int, number: int) -> str:
    """Uid of the `number`-th prompt fetched in a step: equal in every run, and sorting in the order of fetching."""
    return f"step{step:06d}-prompt{number:06d}"


def step_of(uid: str) -> int:
    """The step in which a prompt was fetched."""
    return int(uid.removeprefix("step").partition("-")[0])


def plain(column: Any) -> list[Any]:
    """Unwrap a non-tensor column of a TensorDict into Python objects."""
    return [getattr(value, "data", value) for value in list(column)]


def read_batch(batch: KVBatchMeta) -> list[ScoredRollout]:
    """Sort a batch by key, in place, and read its scored rollouts in that order.

    Samples arrive in the order in which they finished. A fixed order makes sums over the same samples bit-equal.
    """
    if not batch.keys:
        return []
    batch.reorder(sorted(range(len(batch.keys)), key=lambda index: sort_key(batch.keys[index])))
    return read_rollouts(batch.keys, batch.tags, batch.partition_id)


def read_rollouts(keys: Sequence[str], tags: Sequence[Mapping[str, Any]], partition_id: str) -> list[ScoredRollout]:
    """Read the scored rollouts of some samples, in the order of `keys`; `tags` are theirs."""
    if not keys:
        return []
    (found,) = _columns(keys, partition_id, ["extra_fields"])
    records = [extra["reward_extra_info"] for extra in found]
    if any(map(is_old, records)):
        rows = zip(*_columns(keys, partition_id, ROW_FIELDS), strict=True)
        records = [
            upgraded(record, dict(zip(ROW_FIELDS, row, strict=True))) if is_old(record) else record
            for record, row in zip(records, rows, strict=True)
        ]
    return [
        ScoredRollout.from_verl(record, key=key, tokens=int(tag["response_len"]))
        for key, tag, record in zip(keys, tags, records, strict=True)
    ]


def _columns(keys: Sequence[str], partition_id: str, names: Sequence[str]) -> list[list[Any]]:
    data = tq.kv_batch_get(keys=list(keys), partition_id=partition_id, select_fields=list(names))
    return [plain(data[name]) for name in names]


def sort_key(key: str) -> tuple[str, int, int]:
    """Order of samples: by group, then by number; `key` is verl's, uid_session_index."""
    uid, session, index = key.rsplit("_", 2)
    return uid, int(session), int(index)


def comparable(rollouts: Sequence[ScoredRollout]) -> list[ScoredRollout]:
    """The rollouts, masked ones included, whose group has at least `MIN_GROUP` unmasked ones."""
    sizes: dict[str, int] = defaultdict(int)
    for rollout in rollouts:
        sizes[rollout.uid] += not rollout.masked
    return [rollout for rollout in rollouts if sizes[rollout.uid] >= MIN_GROUP]


def keep_only(batch: KVBatchMeta, kept: Sequence[ScoredRollout]) -> KVBatchMeta:
    """The batch with only the samples of `kept`; the others are also deleted from TransferQueue."""
    wanted = {rollout.key for rollout in kept}
    dropped = [key for key in batch.keys if key not in wanted]
    if not dropped:
        return batch
    tq.kv_clear(keys=dropped, partition_id=batch.partition_id)
    pairs = [(key, tag) for key, tag in zip(batch.keys, batch.tags, strict=True) if key in wanted]
    return KVBatchMeta(
        partition_id=batch.partition_id,
        keys=[key for key, _ in pairs],
        tags=[tag for _, tag in pairs],
        extra_info=batch.extra_info,
    )
