"""What a validation with other pictures says: how much the reward falls, and which answers stay the same."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from medix_r1.grammar import parse_reference
from medix_r1.rewards.base import NO_MODALITY
from medix_r1.runs.scored_rollout import OVERALL, ScoredRollout
from medix_r1.wording.spelling import normalize_answer

_Row: TypeAlias = tuple[str, str, str]
_Pair: TypeAlias = tuple[list[ScoredRollout], list[ScoredRollout]]  # of a row: with its picture, with another


def looking_metrics(real: Sequence[ScoredRollout], others: Mapping[str, Sequence[ScoredRollout]]) -> dict[str, float]:
    """`looking/…` of one validation.

    A row counts once, however many replies it has. Rollouts without a score are left out of its mean, and a row with
    none left out of the gap.

    Args:
        real: all scored rollouts of the validation.
        others: kind of picture → the rollouts of the rows that were asked again with such pictures.
    """
    metrics: dict[str, float] = {}
    asked = _by_row(real)
    for kind, rollouts in others.items():
        pairs = [(asked[row], again) for row, again in _by_row(rollouts).items() if row in asked]
        gap = f"looking/real_minus_{kind}"
        metrics[f"looking/rows/{kind}"] = float(len(pairs))
        metrics |= _gaps(pairs, gap) | _unchanged(pairs, f"looking/unchanged_share/{kind}")
        for modality, members in _by_modality(pairs).items():
            metrics |= _mean_of(_differences(members, OVERALL), f"{gap}/by_modality/{modality}")
            metrics |= _unchanged(members, f"looking/unchanged_share/{kind}/by_modality/{modality}")
    return metrics


def _by_row(rollouts: Iterable[ScoredRollout]) -> dict[_Row, list[ScoredRollout]]:
    rows: dict[_Row, list[ScoredRollout]] = defaultdict(list)
    for rollout in rollouts:
        rows[rollout.source, rollout.row_id, rollout.reference].append(rollout)
    return dict(sorted(rows.items()))


def _by_modality(pairs: Sequence[_Pair]) -> dict[str, list[_Pair]]:
    found: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        found[parse_reference(pair[0][0].reference).modality or NO_MODALITY].append(pair)
    return dict(sorted(found.items()))


def _gaps(pairs: Sequence[_Pair], name: str) -> dict[str, float]:
    if not pairs:
        return {}
    total = _differences(pairs, OVERALL)
    metrics = _mean_of(total, name)
    if len(total) > 1:
        metrics[f"{name}/interval"] = 1.96 * statistics.stdev(total) / len(total) ** 0.5
    for part in pairs[0][0][0].parts:
        metrics |= _mean_of(_differences(pairs, part), f"{name}/by_part/{part}")
    return metrics


def _differences(pairs: Sequence[_Pair], part: str) -> list[float]:
    """Of each row that has values on both sides: their mean with the real picture, minus that with the other."""
    sides = [[[v for r in side if (v := r.value(part)) is not None] for side in pair] for pair in pairs]
    return [statistics.fmean(real) - statistics.fmean(other) for real, other in sides if real and other]


def _unchanged(pairs: Sequence[_Pair], name: str) -> dict[str, float]:
    """Share of answers that are the same; a row's first reply is compared with its first, and so on."""
    shares = []
    for real, other in pairs:
        answers = [{_number(r): normalize_answer(r.answer or "") for r in side} for side in (real, other)]
        if both := answers[0].keys() & answers[1].keys():
            shares.append(statistics.fmean(answers[0][number] == answers[1][number] for number in both))
    return _mean_of(shares, name)


def _mean_of(values: Sequence[float], name: str) -> dict[str, float]:
    return {name: statistics.fmean(values)} if values else {}


def _number(rollout: ScoredRollout) -> str:
    """Which of its row's replies it is, by verl's key `uid_session_index`."""
    return rollout.key.rsplit("_", 2)[1]
