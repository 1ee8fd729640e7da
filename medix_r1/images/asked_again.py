"""Which validation rows `run.looking` asks again with other pictures: the same ones at every validation."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

Identity = tuple[str, str, str]  # source, row id and reference: by these a row is found again among scored rollouts


def row_id(extra_info: Mapping[str, Any]) -> str:
    """Name of a row in its data set; its number where `data prepare` has given it no name."""
    return str(extra_info.get("row_id", extra_info.get("index", "")))


def identity(row: Mapping[str, Any]) -> Identity:
    """By what the rollouts of a row are found again."""
    extra = row.get("extra_info") or {}
    return str(row.get("data_source") or ""), row_id(extra), str(row["reward_model"]["ground_truth"])


def asked_again(identities: Mapping[int, Identity], share: float) -> list[int]:
    """A share of the rows, chosen by a hash of their names; those that cannot be told apart are left out.

    Args:
        identities: number of each row that shows a picture → its identity.
        share: in (0, 1].
    """
    times = Counter(identities.values())
    once = sorted(
        (number for number in identities if times[identities[number]] == 1), key=lambda n: _key(identities[n])
    )
    return sorted(once[: math.ceil(share * len(once))])


def _key(of: Identity) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()
