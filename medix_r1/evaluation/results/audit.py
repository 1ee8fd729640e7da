"""Inter-rater agreement of the judges: with themselves (other seeds), with each other, and with human labels."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from medix_r1.agreement import Agreement, agreement
from medix_r1.errors import DataError, Problem
from medix_r1.evaluation.results.records import Record, Vote
from medix_r1.evaluation.results.sheet import Sheet, between, number
from medix_r1.evaluation.results.table import MIMIC, Records

NO_RATERS = "No two raters: a single vote a sample and no labels. Ask for more votes, or give --labels FILE."
_WORDS = {"yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0, "right": 1.0, "wrong": 0.0}

_Rater = tuple[str, Mapping[str, Sequence[float]]]  # a name, and values in [0, 1] by the sample's id


@dataclass(frozen=True, slots=True)
class Audit:
    """Two raters on the same samples of one kind.

    Attributes:
        kind: "short" (0 or 1), "criterion" (met or not) or "report" (0 to 5 points).
        first, second: the raters: a judge, one seed of a judge, the final score, or "labels".
        items: samples with a clear value of both.
        ties: samples left out because a judge's own votes are split evenly.
        agreement: Cohen's kappa with its confidence interval; None when there are no items.
        distance: mean absolute difference of the values, which are in [0, 1].
    """

    kind: str
    first: str
    second: str
    items: int
    ties: int
    agreement: Agreement | None
    distance: float | None


def audit(records: Records, labels: Mapping[str, float] | None = None) -> list[Audit]:
    """Compare every two raters. Judge-free samples have no votes, so only the comparison with labels contains them.

    Args:
        records: samples by task name.
        labels: human grades of these replies, in [0, 1], by sample id.
    """
    found: list[Audit] = []
    for kind, rows in _kinds(records).items():
        judges = _votes(rows, lambda _, vote: vote.judge)
        for judge in sorted(judges):
            own = [replace(row, votes=tuple(v for v in row.votes if v.judge == judge)) for row in rows]
            found += [_pair(kind, a, b) for a, b in combinations(sorted(_votes(own, seed_name).items()), 2)]
        found += [_pair(kind, a, b) for a, b in combinations(sorted(judges.items()), 2)]
        if labels:
            said = "labels", {row.id: [labels[row.id]] for row in rows if row.id in labels}
            final = "final score", {row.id: [row.score] for row in rows if row.score is not None}
            found += [_pair(kind, rater, said) for rater in (*sorted(judges.items()), final)]
    return found


def read_labels(path: Path, records: Records) -> dict[str, float]:
    """Read human labels of a result's replies: CSV or JSON lines with `id`, `label`, and optionally `answer`.

    A label is 0 or 1, yes or no, or for reports points out of 5 (`4/5`, or `0.8`).

    Raises:
        DataError: all problems of the file together: unknown ids, values out of range, labels of another reply.
    """
    known = {record.id: record for rows in records.values() for record in rows}
    found: dict[str, float] = {}
    problems: list[Problem] = []
    for number_, row in enumerate(_rows(path), start=1):
        where = f"{path}: label {number_}"
        record = known.get(str(row.get("id")))
        value = _value(row.get("label"))
        if record is None:
            problems.append(Problem(where, "no-such-sample", f"no sample has the id {row.get('id')!r}"))
        elif value is None:
            says = f"{row.get('label')!r} is not 0, 1, yes, no, or points such as 4/5"
            problems.append(Problem(where, "not-a-label", says))
        elif row.get("answer") not in (None, "", record.answer):
            problems.append(Problem(where, "another-answer", "it is about another answer than the one in this result"))
        else:
            found[record.id] = value
    if problems:
        raise DataError.listing(problems[:20], code="labels-refused")
    return found


def sheet(found: Sequence[Audit]) -> Sheet:
    """The audit as a table."""
    header = ["raters", "kind", "samples", "ties", "same", "kappa", "95 % interval", "mean distance"]
    notes = ["Kappa is Cohen's, unweighted: for reports the categories are whole points from 0 to 5."]
    if not found:
        notes = [NO_RATERS]
    return Sheet("Judge audit", header, [_cells(one) for one in found], notes)


def flat_rows(found: Sequence[Audit]) -> list[dict[str, Any]]:
    """The audit as dictionaries, for JSON and CSV."""
    return [
        {
            "kind": one.kind,
            "first": one.first,
            "second": one.second,
            "samples": one.items,
            "ties": one.ties,
            "same": one.agreement.share if one.agreement else None,
            "kappa": one.agreement.kappa if one.agreement else None,
            "kappa_low": _bound(one, "low"),
            "kappa_high": _bound(one, "high"),
            "mean_distance": one.distance,
        }
        for one in found
    ]


def _kinds(records: Records) -> dict[str, list[Record]]:
    """Samples by kind: a task with a vote strictly between 0 and 1 is graded in points, so it is a report task."""
    found: dict[str, list[Record]] = defaultdict(list)
    for task, rows in records.items():
        if any(row.criteria for row in rows):
            found["criterion"] += rows
            continue
        values = {vote.value for row in rows for vote in row.votes if vote.value is not None}
        found["report" if task in MIMIC or not values <= {0.0, 1.0} else "short"] += rows
    return dict(found)


def _votes(rows: Iterable[Record], name: Callable[[int, Vote], str]) -> dict[str, dict[str, list[float]]]:
    """Values by rater and sample, or criterion of one; `name` maps a vote and its position to the rater's name."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for place, vote in enumerate(row.votes):
            if vote.value is not None:
                about = row.id if vote.criterion is None else f"{row.id} {vote.criterion}"
                found[name(place, vote)][about].append(vote.value)
    return found


def seed_name(place: int, vote: Vote) -> str:
    """Name of a judge's vote as a rater of its own: by its seed, or its place without one."""
    return f"{vote.judge} {f'vote {place + 1}' if vote.seed is None else f'seed {vote.seed}'}"


def _pair(kind: str, one: _Rater, other: _Rater) -> Audit:
    (first, ours), (second, theirs) = one, other
    pairs, ties = [], 0
    for sample in sorted(ours.keys() & theirs.keys()):
        values = [sum(side[sample]) / len(side[sample]) for side in (ours, theirs)]
        if kind != "report" and 0.5 in values:
            ties += 1
        else:
            pairs.append(values)
    said = [[_category(kind, values[side]) for values in pairs] for side in (0, 1)]
    found = agreement(said[0], said[1]) if pairs else None
    distance = sum(abs(a - b) for a, b in pairs) / len(pairs) if pairs else None
    return Audit(kind, first, second, len(pairs), ties, found, distance)


def _category(kind: str, value: float) -> str:
    return str(round(5 * value)) if kind == "report" else "yes" if value > 0.5 else "no"


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text, newline="")))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV or JSON-lines file of labels ({error})", code="not-labels") from error


def _value(label: Any) -> float | None:
    text = str(label).strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    points, _, whole = text.partition("/")
    try:
        value = float(points) / (float(whole) if whole else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
    return value if 0.0 <= value <= 1.0 else None


def _bound(one: Audit, side: str) -> float | None:
    interval = one.agreement.kappa_interval if one.agreement else None
    return getattr(interval, side) if interval else None


def _cells(one: Audit) -> list[str]:
    found = one.agreement
    same = "-" if found is None else f"{found.share:.1%}"
    kappa, interval = (None, None) if found is None else (found.kappa, found.kappa_interval)
    middle = [one.kind, str(one.items), str(one.ties), same, number(kappa), between(interval)]
    return [f"{one.first} / {one.second}", *middle, number(one.distance)]
