"""Paired comparison of two results on the same samples. A difference is always second minus first.

`eval compare A B` uses it for two models, `eval rejudge` for two judges of the same replies.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medix_r1.evaluation.results import statistics
from medix_r1.evaluation.results.gaps import Gap, gap, gap_change
from medix_r1.evaluation.results.groups import EVERY_TASK, QUESTION, SMALLEST, group_of
from medix_r1.evaluation.results.records import Record, RunInfo, read_run
from medix_r1.evaluation.results.statistics import Difference, holm
from medix_r1.evaluation.results.table import Records, headline_tasks, in_order, own_data

PAPER_SHIFT = 0.005
"""Largest difference of a score between judges that the paper reports (arXiv 2602.23363)."""

_SAME = 1e-9  # scores closer than this are equal


@dataclass(frozen=True, slots=True)
class Pair:
    """The same sample in both results, scored in both."""

    first: Record
    second: Record

    @property
    def scores(self) -> tuple[float, float]:
        if self.first.score is None or self.second.score is None:
            raise ValueError(f"{self.first.id} is not scored in both results")
        return self.first.score, self.second.score

    @property
    def change(self) -> float:
        one, other = self.scores
        return 0.0 if abs(other - one) < _SAME else other - one


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Counts of a task's samples that are in no pair.

    Attributes:
        only_first, only_second: in one result only.
        first, second, both: in both results, but unscored in the first, in the second, in both.
    """

    only_first: int = 0
    only_second: int = 0
    first: int = 0
    second: int = 0
    both: int = 0

    @property
    def count(self) -> int:
        return self.only_first + self.only_second + self.first + self.second + self.both


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison.

    Attributes:
        name: task, modality or average.
        pairs: samples scored in both results.
        first, second: mean scores over these pairs (an average over tasks where `name` is one).
        difference: second minus first.
        p_holm: its p-value with the Holm correction over all lines of the same kind; None for averages.
        up, down: samples that the second result scores higher, lower.
        unpaired: samples that are in no pair; None for averages and modalities.
    """

    name: str
    pairs: int
    first: float | None
    second: float | None
    difference: Difference
    p_holm: float | None
    up: int
    down: int
    unpaired: Unpaired | None


@dataclass(frozen=True, slots=True)
class GapChange:
    """How the gap between the best and the worst group changes from the first result to the second.

    Attributes:
        task: its name, or `groups.EVERY_TASK`.
        column: of the rows.
        first, second: the gap in each result, over the pairs and the groups that are large enough.
        change: second minus first; negative is a smaller gap.
        p_holm: its p-value with the Holm correction over all gaps.
    """

    task: str
    column: str
    first: Gap
    second: Gap
    change: Difference
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two results.

    Attributes:
        first, second: settings of the two results.
        tasks, modalities, averages, types: the lines; `types` are closed and open questions, where there are both.
        gaps: between groups, by each column that `subgroup=` named.
        differing: settings other than the model that differ, as "name: first / second".
        other_replies: pairs whose replies are not the same text.
        up, down: changed pairs in the order of their ids, which are hashes, so that examples are not picked by score.
    """

    first: RunInfo
    second: RunInfo
    tasks: tuple[Row, ...]
    modalities: tuple[Row, ...]
    averages: tuple[Row, ...]
    types: tuple[Row, ...]
    gaps: tuple[GapChange, ...]
    differing: tuple[str, ...]
    other_replies: int
    up: tuple[Pair, ...]
    down: tuple[Pair, ...]


def compare(first: tuple[RunInfo, Records], second: tuple[RunInfo, Records]) -> Comparison:
    """Compare two results sample by sample, joined by the samples' ids."""
    pairs: dict[str, list[Pair]] = {}
    unpaired: dict[str, Unpaired] = {}
    for task in in_order({*first[1], *second[1]}):
        pairs[task], unpaired[task] = join(first[1].get(task, ()), second[1].get(task, ()))
    by_modality: dict[str, list[Pair]] = defaultdict(list)
    for pair in (pair for rows in pairs.values() for pair in rows):
        by_modality[pair.first.modality or "not stated"].append(pair)
    changed = sorted((p for rows in pairs.values() for p in rows if p.change), key=lambda p: p.first.id)
    stated = by_modality if set(by_modality) - {"not stated"} else {}
    return Comparison(
        first=first[0],
        second=second[0],
        tasks=_corrected([_row(task, rows, unpaired=unpaired[task]) for task, rows in pairs.items()]),
        modalities=_corrected([_row(name, stated[name]) for name in sorted(stated)]),
        averages=tuple(_averages(pairs, own_data(first[0], second[0]))),
        types=_corrected(_types(pairs)),
        gaps=tuple(_gaps(pairs, int(first[0].extra.get("subgroup_min", SMALLEST)))),
        differing=tuple(_differing(first[0], second[0])),
        other_replies=sum(p.first.reply != p.second.reply for rows in pairs.values() for p in rows),
        up=tuple(pair for pair in changed if pair.change > 0),
        down=tuple(pair for pair in changed if pair.change < 0),
    )


def read_comparison(first: Path, second: Path) -> Comparison:
    """Read two results' folders and compare them.

    Raises:
        DataError: one is not a result folder.
    """
    return compare(read_run(first), read_run(second))


def join(first: Sequence[Record], second: Sequence[Record]) -> tuple[list[Pair], Unpaired]:
    """Pair two results' samples of one task by id; duplicate rows are paired in order."""
    ours, theirs = _keyed(first), _keyed(second)
    pairs, counts = [], dict.fromkeys(("only_first", "only_second", "first", "second", "both"), 0)
    for key, record in ours.items():
        other = theirs.get(key)
        if other is None:
            counts["only_first"] += 1
        elif record.score is None or other.score is None:
            counts["second" if record.score is not None else "first" if other.score is not None else "both"] += 1
        else:
            pairs.append(Pair(record, other))
    counts["only_second"] = len(theirs.keys() - ours.keys())
    return pairs, Unpaired(**counts)


def _keyed(records: Iterable[Record]) -> Mapping[tuple[str, int], Record]:
    seen: dict[str, int] = defaultdict(int)
    found: dict[tuple[str, int], Record] = {}
    for record in sorted(records, key=lambda r: r.row):
        found[record.id, seen[record.id]] = record
        seen[record.id] += 1
    return found


def _row(name: str, pairs: Sequence[Pair], tasks: Sequence[str] | None = None, unpaired: Unpaired | None = None) -> Row:
    firsts, seconds = [p.scores[0] for p in pairs], [p.scores[1] for p in pairs]
    return Row(
        name=name,
        pairs=len(pairs),
        first=_mean(firsts, tasks),
        second=_mean(seconds, tasks),
        difference=statistics.paired(firsts, seconds, [pair.first.group for pair in pairs], tasks),
        p_holm=None,
        up=sum(pair.change > 0 for pair in pairs),
        down=sum(pair.change < 0 for pair in pairs),
        unpaired=unpaired,
    )


def _mean(values: Sequence[float], tasks: Sequence[str] | None) -> float | None:
    if not values:
        return None
    by_task: dict[str, list[float]] = defaultdict(list)
    for value, task in zip(values, tasks or [""] * len(values), strict=True):
        by_task[task].append(value)
    return sum(sum(rows) / len(rows) for rows in by_task.values()) / len(by_task)


def _corrected(rows: Sequence[Row]) -> tuple[Row, ...]:
    corrected = holm([row.difference.p for row in rows])
    return tuple(replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True))


def _averages(pairs: Mapping[str, Sequence[Pair]], own: Collection[str]) -> Iterable[Row]:
    tasks = [task for task in headline_tasks(pairs, own) if pairs[task]]
    rows = [(pair, task) for task in tasks for pair in pairs[task]]
    if rows:
        yield _row(f"macro, {len(tasks)} task(s)", [pair for pair, _ in rows], [task for _, task in rows])
        yield _row(f"micro, {len(rows)} pairs", [pair for pair, _ in rows])


def _types(pairs: Mapping[str, Sequence[Pair]]) -> list[Row]:
    """Closed and open questions, over all tasks, where there are both."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in (pair for rows in pairs.values() for pair in rows):
        found[group_of(pair.first, QUESTION) or ""].append(pair)
    return [_row(name, rows) for name, rows in sorted(found.items())] if len(found) > 1 else []


def _gaps(pairs: Mapping[str, Sequence[Pair]], smallest: int) -> Iterable[GapChange]:
    """The gaps of each task and, where several tasks have a column, over all of them."""
    found: list[GapChange] = []
    columns: dict[str, list[str]] = defaultdict(list)
    for task, rows in pairs.items():
        for column in dict.fromkeys(column for pair in rows for column in pair.first.subgroups):
            columns[column].append(task)
            found += _gap_changes(task, column, rows, smallest)
    for column, tasks in columns.items():
        if len(tasks) > 1:
            every = [pair for task in tasks for pair in pairs[task]]
            found += _gap_changes(EVERY_TASK, column, every, smallest)
    corrected = holm([each.change.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, corrected, strict=True)]


def _gap_changes(task: str, column: str, pairs: Sequence[Pair], smallest: int) -> list[GapChange]:
    """The change of one gap; none without two groups that are large enough."""
    sizes = Counter(pair.first.subgroups.get(column) for pair in pairs)
    rows = [
        (*pair.scores, name, f"{pair.first.task} {pair.first.group}")
        for pair in pairs
        if (name := pair.first.subgroups.get(column)) is not None and sizes[name] >= smallest
    ]
    if len({name for _, _, name, _ in rows}) < 2:
        return []
    firsts, seconds, names, clusters = zip(*rows, strict=True)
    change = gap_change(firsts, seconds, names, clusters)
    return [GapChange(task, column, gap(firsts, names, clusters), gap(seconds, names, clusters), change, None)]


def _differing(first: RunInfo, second: RunInfo) -> Iterable[str]:
    if (one := first.extra.get("images", "real")) != (other := second.extra.get("images", "real")):
        yield f"images: {one} / {other}"
    for name in ("prompt", "prompt_sha"):
        if (one := getattr(first, name)) != (other := getattr(second, name)):
            yield f"{name}: {one} / {other}"
    tables = (("decoding", first.decoding, second.decoding), ("judge", first.judge, second.judge))
    for name, ours, theirs in (*tables, ("data", first.data, second.data)):
        keys = ours.keys() & theirs.keys() if name == "data" else ours.keys() | theirs.keys()
        for key in sorted(keys):
            if ours.get(key) != theirs.get(key):
                yield f"{name}.{key}: {ours.get(key)} / {theirs.get(key)}"
