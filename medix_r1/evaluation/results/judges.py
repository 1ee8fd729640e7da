"""What each judge makes of the same saved replies: the headline under each, its shift, and how far they agree.

The judges are those of one result (`judge.judges` with several), or of several results of the same replies, as
`medix-r1 eval rejudge` leaves them. A result of one judge alone is looked at vote by vote, one view for each seed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1.errors import DataError
from medix_r1.evaluation.results import audit as raters
from medix_r1.evaluation.results import statistics
from medix_r1.evaluation.results.audit import Audit, seed_name
from medix_r1.evaluation.results.compare import PAPER_SHIFT, Pair, join
from medix_r1.evaluation.results.records import Record, RunInfo, Vote, met_criteria, read_run
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number
from medix_r1.evaluation.results.statistics import Difference, Estimate
from medix_r1.evaluation.results.table import Records, clipped, headline_tasks, in_order, own_data
from medix_r1.host.files import atomic_write
from medix_r1.models.rubric import rubric_bounds
from medix_r1.pages.style import themed_picture

HEADLINE = "headline"
_Result = tuple[RunInfo, Records]
_Rater = Callable[[int, Vote], str]


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """One task, or the headline, under one judge.

    Attributes:
        judge: its name.
        task: or `HEADLINE`, the macro average.
        score: mean over the samples that it gave a clear verdict on.
        shift: its score minus the first result's own, on the same samples.
    """

    judge: str
    task: str
    score: Estimate
    shift: Difference


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """All judges of the same replies.

    Attributes:
        model: whose replies they are.
        rows: for each judge its headline, then its tasks.
        agreements: of every two of them.
        other_replies: samples whose reply is another one in a further result, which are left out.
    """

    model: str
    rows: tuple[JudgeRow, ...]
    agreements: tuple[Audit, ...]
    other_replies: int


def read_judges(folders: Sequence[Path]) -> JudgeReport:
    """Look at the judges of one result, or of several results of the same replies.

    Raises:
        DataError: one is not a result folder, two are of different models, or there is a single vote a sample.
    """
    results = [read_run(folder) for folder in folders]
    if others := sorted({info.model for info, _ in results} - {results[0][0].model}):
        says = f"{folders[0]} holds replies of {results[0][0].model}; another holds those of {', '.join(others)}"
        raise DataError(f"{says}. Judges are compared on the same replies", code="other-replies")
    return look(results)


def look(results: Sequence[_Result]) -> JudgeReport:
    """The report of results of the same replies; the first one's scores are what shifts are measured from."""
    info, first = results[0]
    names = _judge_names(results)
    by_seed = sum(map(len, names)) == 1
    rater: _Rater = seed_name if by_seed else lambda _, vote: vote.judge
    merged, other = _merged(results, names)
    found = {
        judge: {
            task: [_under(judge, row, rater, _is_report(info, task)) for row in rows] for task, rows in merged.items()
        }
        for judge in _said_by(merged, rater)
    }
    if len(found) < 2:
        raise DataError(
            "there is a single vote a sample; judge again with `eval rejudge`, or with more seeds", code="one-rater"
        )
    rows = [row for judge, records in found.items() for row in _rows(judge, first, records, own_data(info))]
    return JudgeReport(info.model, tuple(rows), tuple(_agreements(merged, found)), other)


def _judge_names(results: Sequence[_Result]) -> list[dict[str, str]]:
    """For each result: its judges' names; with its key behind, where two results have a judge of one name."""
    models = [
        list(dict.fromkeys(v.judge for rows in records.values() for r in rows for v in r.votes))
        for _, records in results
    ]
    seen = Counter(model for each in models for model in each)
    return [
        {model: model if seen[model] == 1 else f"{model} ({info.key[:6]})" for model in each}
        for each, (info, _) in zip(models, results, strict=True)
    ]


def _merged(results: Sequence[_Result], names: Sequence[Mapping[str, str]]) -> tuple[dict[str, list[Record]], int]:
    """The first result's samples with the votes of all; and how many samples have other replies elsewhere."""
    votes: dict[str, list[Vote]] = defaultdict(list)
    replies = {row.id: row.reply for rows in results[0][1].values() for row in rows}
    other = 0
    for (_, records), known in zip(results, names, strict=True):
        for row in (row for rows in records.values() for row in rows):
            if replies.get(row.id) == row.reply:
                votes[row.id] += [replace(vote, judge=known[vote.judge]) for vote in row.votes]
            else:
                other += 1
    first = results[0][1]
    return {task: [replace(row, votes=tuple(votes[row.id])) for row in first[task]] for task in in_order(first)}, other


def _said_by(records: Records, rater: _Rater) -> list[str]:
    votes = ((place, vote) for rows in records.values() for row in rows for place, vote in enumerate(row.votes))
    return list(dict.fromkeys(rater(place, vote) for place, vote in votes))


def _is_report(info: RunInfo, task: str) -> bool:
    return bool(info.extra.get("scorers", {}).get(task) == "report")


def _under(judge: str, row: Record, rater: _Rater, is_report: bool) -> Record:
    """A sample with the score that one judge's own votes give it; None without a clear verdict."""
    if row.judge_free:
        return row
    own = [vote for place, vote in enumerate(row.votes) if rater(place, vote) == judge and vote.value is not None]
    score: float | None = None
    if row.criteria:
        bounds = rubric_bounds(row.criteria, met_criteria(own, len(row.criteria)))
        score = bounds.value if bounds and own else None
    elif own:
        mean = sum(vote.value or 0.0 for vote in own) / len(own)
        graded = is_report or any(vote.value not in (0.0, 1.0) for vote in row.votes)
        score = mean if graded else None if mean == 0.5 else float(mean > 0.5)
    return replace(row, score=score)


def _rows(judge: str, first: Records, under: Records, own: Iterable[str]) -> Iterator[JudgeRow]:
    pairs = {task: join(first[task], rows)[0] for task, rows in under.items()}
    tasks = [task for task in headline_tasks(pairs, tuple(own)) if pairs[task]]
    yield _row(judge, HEADLINE, [p for t in tasks for p in pairs[t]], [t for t in tasks for _ in pairs[t]])
    for task, rows in pairs.items():
        if rows:
            yield _row(judge, task, rows)


def _row(judge: str, name: str, pairs: Sequence[Pair], tasks: Sequence[str] | None = None) -> JudgeRow:
    scores = [pair.scores for pair in pairs]
    groups = [pair.first.group for pair in pairs]
    firsts, seconds = [one for one, _ in scores], [other for _, other in scores]
    score = statistics.mean(seconds, groups, tasks)
    by_rubric = any(pair.first.criteria for pair in pairs)
    return JudgeRow(
        judge, name, clipped(score) if by_rubric else score, statistics.paired(firsts, seconds, groups, tasks)
    )


def _agreements(merged: Records, found: Mapping[str, Records]) -> list[Audit]:
    """Agreement of every two judges, or of every two seeds of the only one."""
    return [each for each in raters.audit(merged) if each.first in found and each.second in found]


def sheet(found: JudgeReport) -> Sheet:
    """Score and shift under each judge."""
    header = ["judge", "task", "n", "score", "95 % interval", "shift", "95 % interval of the shift", "within"]
    return Sheet(
        f"{found.model}: the same replies under each judge",
        header,
        [_cells(r) for r in found.rows],
        list(_notes(found)),
    )


def agreement_sheet(found: JudgeReport) -> Sheet:
    """How far every two judges agree."""
    return raters.sheet(found.agreements)


def _cells(row: JudgeRow) -> list[str]:
    shift = row.shift.estimate
    within = "-" if shift.value is None else "yes" if abs(shift.value) <= PAPER_SHIFT else "no"
    numbers = [str(row.score.samples), number(row.score.value), between(row.score.interval)]
    return [row.judge, row.task, *numbers, number(shift.value, "+.3f"), between(shift.interval, "+.3f"), within]


def _notes(found: JudgeReport) -> Iterator[str]:
    heads = [row for row in found.rows if row.task == HEADLINE and row.score.value is not None]
    values = [row.score.value for row in heads if row.score.value is not None]
    if values:
        yield (
            f"The headline lies between {min(values):.3f} and {max(values):.3f}, by judge. The paper has scores move "
            f"by at most {PAPER_SHIFT} (within: the shift does; its interval says how sure that is)."
        )
    yield "A shift is the judge's score minus the first result's own, on samples with a clear verdict of both."
    if found.other_replies:
        yield f"{found.other_replies} samples have another reply in a further result and are left out."


def flat_rows(found: JudgeReport) -> list[dict[str, Any]]:
    """The rows as dictionaries, for CSV."""
    return [
        {"judge": r.judge, "task": r.task, **flat(r.score), **flat(r.shift.estimate, "shift"), "p": r.shift.p}
        for r in found.rows
    ]


def write(found: JudgeReport, folder: Path) -> list[Path]:
    """Write judges.json, judges.csv, judges.md, judges.png and judges_dark.png into a folder."""
    from medix_r1.evaluation.results.forest import Line, forest

    paths = [folder / f"judges.{end}" for end in ("json", "csv", "md", "png")]
    content: dict[str, Any] = {
        "model": found.model,
        "rows": flat_rows(found),
        "agreements": raters.flat_rows(found.agreements),
    }
    content |= {"other_replies": found.other_replies, "details": [asdict(each) for each in found.agreements]}
    atomic_write(paths[0], json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    atomic_write(paths[1], csv_text(flat_rows(found)))
    tables = f"{sheet(found).markdown()}\n{agreement_sheet(found).markdown()}"
    atomic_write(paths[2], f"{tables}\n{themed_picture(paths[3], f'Shift of {found.model} by judge')}")
    lines = [Line(f"{r.judge}, {r.task}", r.shift.estimate, strong=r.task == HEADLINE) for r in found.rows]
    axis = "score minus the first result's own, with its 95 % interval; dashed: no shift"
    return paths[:3] + forest(paths[3], lines, title=f"{found.model}: shift by judge", axis=axis, zero=True)
