"""The numbers of one result: one row for each task, averages over tasks, and the files they are written to.

Scores are in [0, 1]; the paper prints them times 100. A sample without a score is counted and left out of the mean; it
never counts as 0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1.agreement import Interval
from medix_r1.evaluation.results import statistics
from medix_r1.evaluation.results.records import Record, RunInfo, read_run
from medix_r1.evaluation.results.sheet import Sheet, between, csv_text, flat, number
from medix_r1.evaluation.results.statistics import Estimate
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import themed_picture

MIMIC = ("mimic_cxr_report_summarization", "mimic_cxr_report_generation")
HEADLINE = (
    "mmlu_clinical_knowledge",
    "mmlu_college_biology",
    "mmlu_college_medicine",
    "mmlu_medical_genetics",
    "mmlu_professional_medicine",
    "mmlu_anatomy",
    "medmcqa",
    "medqa",
    "usmle_sa",
    "pubmedqa",
    "slake_vqa",
    "rad_vqa",
    "path_vqa",
    "pmc_vqa",
    "pmc_vqa_hard",
    *MIMIC,
)
"""The 17 tasks of the paper's average (arXiv 2602.23363)."""

Records = Mapping[str, Sequence[Record]]


@dataclass(frozen=True, slots=True)
class TaskNumbers:
    """One task of one result.

    Attributes:
        task: its name.
        samples: scored or not.
        available: samples in the source; more than `samples` when `limit` was given.
        score: mean over the scored samples.
        lowest, highest: the mean if every unscored sample were 0, and if every one were 1.
        unscored: samples without a score.
        reasons: count of unscored samples by reason.
        truncated: replies cut at the length limit, scored or not.
        judge_free: share of the scored samples that needed no judge; None when none is scored.
        rubric: mean grade of the think blocks in [0, 1]; it does not enter the score.
        tokens_in, tokens_out, seconds: mean of a generated reply; None when the server did not report it.
        by_rubric: whether criteria were judged; the mean is clipped to [0, 1] then, single scores may be negative.
    """

    task: str
    samples: int
    available: int
    score: Estimate
    lowest: float | None
    highest: float | None
    unscored: int
    reasons: dict[str, int]
    truncated: int
    judge_free: float | None
    rubric: Estimate
    tokens_in: float | None
    tokens_out: float | None
    seconds: float | None
    by_rubric: bool = False


@dataclass(frozen=True, slots=True)
class Average:
    """An average over tasks (macro) or over their samples (micro)."""

    name: str
    tasks: tuple[str, ...]
    score: Estimate


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """All numbers of one result."""

    info: RunInfo
    tasks: tuple[TaskNumbers, ...]
    averages: tuple[Average, ...]

    @property
    def unscored(self) -> int:
        return sum(task.unscored for task in self.tasks)


def numbers(info: RunInfo, records: Records) -> RunNumbers:
    """Compute all numbers of a result from its settings and its records by task."""
    limited = info.extra.get("limited", {})
    tasks = [task_numbers(task, records[task], limited.get(task, [0, 0])[1]) for task in in_order(records)]
    return RunNumbers(info, tuple(tasks), tuple(averages(records, own_data(info))))


def task_numbers(task: str, records: Sequence[Record], available: int = 0) -> TaskNumbers:
    """Compute one task's row of the table; `available` is the number of samples in its source, if known."""
    scored = [record for record in records if record.score is not None]
    by_rubric = any(record.criteria for record in records)
    total, missing = sum(_score(record) for record in scored), len(records) - len(scored)
    graded = [record for record in records if record.rubric is not None]
    return TaskNumbers(
        task=task,
        samples=len(records),
        available=max(available, len(records)),
        score=clipped(_mean(scored)) if by_rubric else _mean(scored),
        lowest=total / len(records) if records else None,
        highest=(total + missing) / len(records) if records else None,
        unscored=missing,
        reasons=dict(Counter(r.unscored or "no reason given" for r in records if r.score is None).most_common()),
        truncated=sum(record.truncated for record in records),
        judge_free=sum(record.judge_free for record in scored) / len(scored) if scored else None,
        rubric=statistics.mean([float(r.rubric or 0.0) for r in graded], [r.group for r in graded]),
        tokens_in=_average(record.tokens_in for record in records),
        tokens_out=_average(record.tokens_out for record in records),
        seconds=_average(record.seconds for record in records),
        by_rubric=by_rubric,
    )


def clipped(score: Estimate) -> Estimate:
    """A mean and its interval clipped to [0, 1], as HealthBench does: single scores by a rubric may be negative."""
    if score.value is None:
        return score
    low, high = (score.interval.low, score.interval.high) if score.interval else (score.value, score.value)
    value, low, high = (min(1.0, max(0.0, number)) for number in (score.value, low, high))
    note = score.note if score.value >= 0.0 else "; ".join(filter(None, (score.note, "clipped to 0")))
    return replace(score, value=value, interval=Interval(low, high) if score.interval else None, note=note)


def in_order(names: Iterable[str]) -> list[str]:
    """Tasks in the paper's order, others after them by name."""
    return sorted(names, key=lambda name: (HEADLINE.index(name) if name in HEADLINE else len(HEADLINE), name))


def judge_names(info: RunInfo) -> list[str]:
    """Names of the judges' models."""
    return [str(judge["model"]) for judge in info.judge.get("judges", [])]


def own_data(*infos: RunInfo) -> frozenset[str]:
    """Tasks whose rows came from a file of the user's in place of the benchmark's, or that were changed otherwise."""
    extras = [info.extra for info in infos]
    return frozenset(name for extra in extras for key in ("own_data", "changed") for name in extra.get(key, ()))


def headline_tasks(names: Iterable[str], own: Collection[str] = ()) -> list[str]:
    """The tasks to average over: those of the 17 with the benchmark's rows, or all when there is none of these."""
    there = in_order(names)
    return [name for name in there if name in HEADLINE and name not in own] or there


def averages(records: Records, own: Collection[str] = ()) -> list[Average]:
    """Macro and micro averages; also macro averages without MIMIC's two tasks and of them, whose use is restricted."""
    scored = {task: [r for r in rows if r.score is not None] for task, rows in records.items()}
    there = [task for task in headline_tasks(records, own) if scored[task]]
    if not there:
        return []
    apart = [task for task in there if task in MIMIC]
    rest = [task for task in there if task not in MIMIC]
    found = [_macro(f"macro, {_which(there, own)}", there, scored)]
    if apart and rest:
        found += [_macro(f"macro without MIMIC ({len(rest)})", rest, scored)]
        found += [_macro(f"MIMIC alone ({len(apart)})", apart, scored)]
    flat_records = [record for task in there for record in scored[task]]
    return [*found, Average(f"micro, {len(flat_records)} samples", tuple(there), _mean(flat_records))]


def sheet(found: RunNumbers) -> Sheet:
    """The numbers as a formatted table."""
    with_rubric = any(task.rubric.samples for task in found.tasks)
    header = ["task", "n", "score", "95 % interval", "unscored", "truncated", "judge-free"]
    header += ["tokens in", "tokens out", "seconds"] + ["reasoning"] * with_rubric
    own = dict.fromkeys(own_data(found.info), "changed")
    own |= dict.fromkeys(found.info.extra.get("own_data", ()), "own data")
    rows = [_cells(task, own) + [number(task.rubric.value)] * with_rubric for task in found.tasks]
    for average in found.averages:
        score = average.score
        cells = [average.name, str(score.samples), number(score.value), between(score.interval)]
        rows.append(cells + [""] * (len(header) - len(cells)))
    images = f", images {found.info.extra['images']}" if "images" in found.info.extra else ""
    return Sheet(f"{found.info.model}, prompt {found.info.prompt}{images}", header, rows, list(_notes(found)))


def flat_rows(found: RunNumbers) -> list[dict[str, Any]]:
    """The numbers as dictionaries for CSV: one for each task, then one for each average."""
    rows = []
    for task in found.tasks:
        plain = {k: v for k, v in asdict(task).items() if k not in ("task", "score", "rubric", "reasons")}
        rows.append({"kind": "task", "name": task.task, **flat(task.score), **plain, **flat(task.rubric, "rubric")})
    empty = dict.fromkeys(rows[0] if rows else (), None)
    kinds = {average.name: average.name.split(",")[0].split(" ")[0] for average in found.averages}
    return rows + [{**empty, "kind": kinds[a.name], "name": a.name, **flat(a.score)} for a in found.averages]


def write(found: RunNumbers, folder: Path) -> list[Path]:
    """Write table.json, table.csv, table.md, scores.png and scores_dark.png into a folder."""
    from medix_r1.evaluation.results.forest import Line, forest

    paths = [folder / name for name in ("table.json", "table.csv", "table.md", "scores.png")]
    atomic_write(paths[0], json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n", private=True)
    atomic_write(paths[1], csv_text(flat_rows(found)))
    says = f"Scores of {found.info.model}"
    atomic_write(paths[2], f"{sheet(found).markdown()}\n{themed_picture(paths[3], says)}")
    lines = [Line(task.task, task.score) for task in found.tasks]
    lines += [Line(average.name, average.score, strong=True) for average in found.averages]
    axis = "score, with its 95 % interval"
    return paths[:3] + forest(paths[3], lines, title=found.info.model, axis=axis, limits=(0.0, 1.0))


def read_numbers(folder: Path) -> RunNumbers:
    """Read a result's folder and compute its numbers.

    Raises:
        DataError: this is not a result folder.
    """
    return numbers(*read_run(folder))


def _score(record: Record) -> float:
    if record.score is None:
        raise ValueError(f"{record.id} has no score")
    return record.score


def _mean(scored: Sequence[Record], tasks: Sequence[str] | None = None) -> Estimate:
    return statistics.mean([_score(r) for r in scored], [r.group for r in scored], tasks)


def _macro(name: str, tasks: Sequence[str], scored: Records) -> Average:
    rows = [(record, task) for task in tasks for record in scored[task]]
    return Average(name, tuple(tasks), _mean([r for r, _ in rows], [task for _, task in rows]))


def _which(tasks: Sequence[str], own: Collection[str]) -> str:
    headline = sum(task in HEADLINE and task not in own for task in tasks)
    if headline == len(HEADLINE):
        return f"all {headline}"
    count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    return f"{headline} of the {len(HEADLINE)}" if headline else f"{count}, none of the {len(HEADLINE)}"


def _average(values: Iterable[float]) -> float | None:
    said = [value for value in values if value]
    return sum(said) / len(said) if said else None


def _cells(task: TaskNumbers, own: Mapping[str, str]) -> list[str]:
    free = "-" if task.judge_free is None else f"{task.judge_free:.0%}"
    middle = [str(task.unscored), str(task.truncated), free]
    end = [number(task.tokens_in, ".0f"), number(task.tokens_out, ".0f"), number(task.seconds, ".2f")]
    count = f"{task.samples} of {task.available}" if task.available > task.samples else str(task.samples)
    name = f"{task.task} ({own[task.task]})" if task.task in own else task.task
    return [name, count, number(task.score.value), between(task.score.interval), *middle, *end]


def _protocol_of_rubrics(info: RunInfo) -> str:
    criterion = info.judge.get("criterion", {})
    if criterion.get("verdict") == "yes_no":
        return "Criteria were judged by YES or NO: not comparable with HealthBench's own numbers."
    prompt = "a prompt of your own" if criterion.get("prompt") else "our prompt"
    return f"Criteria were judged by {', '.join(judge_names(info))} with {prompt}; HealthBench has gpt-4.1 and its own."


def _notes(found: RunNumbers) -> Iterable[str]:
    info = found.info
    judge = ", ".join(judge_names(info)) or "none"
    yield f"Prompt hash {info.prompt_sha[:12]}, judge {judge}, key {info.key[:12]}. Tokens and seconds: mean a reply."
    if rubrics := [task.task for task in found.tasks if task.by_rubric]:
        yield f"By rubrics, the mean clipped to [0, 1]: {', '.join(rubrics)}. {_protocol_of_rubrics(info)}"
    if images := info.extra.get("images"):
        yield f"The pictures were {images}, to see whether the model looks: these are not the benchmarks' scores."
    covered = {task for average in found.averages[:1] for task in average.tasks}
    if apart := [task.task for task in found.tasks if task.task not in covered and task.score.value is not None]:
        yield f"Not in the averages: {', '.join(apart)}."
    if own := sorted(info.extra.get("own_data", ())):
        yield f"Own data in place of the benchmark's, so no benchmark's score, in no headline: {', '.join(own)}."
    if changed := sorted(own_data(info) - set(own)):
        yield (
            "Other rows than the benchmark's, or another scorer, so no benchmark's score, in no headline: "
            f"{', '.join(changed)}."
        )
    if part := [task.task for task in found.tasks if task.available > task.samples]:
        yield f"Only the first samples were asked, so these are not the benchmark's scores: {', '.join(part)}."
    if empty := [task.task for task in found.tasks if task.score.value is None]:
        yield f"No score at all, so in no average: {', '.join(empty)}."
    for task in found.tasks:
        if task.unscored and task.samples > task.unscored:
            reasons = "; ".join(f"{count} × {reason}" for reason, count in list(task.reasons.items())[:3])
            yield (
                f"{task.task}: {task.unscored} of {task.samples} unscored ({reasons}). They are left out; with all of "
                f"them wrong the score is {number(task.lowest)}, with all right {number(task.highest)}."
            )
    for name, score in [(t.task, t.score) for t in found.tasks] + [(a.name, a.score) for a in found.averages]:
        if score.note and score.value is not None:
            yield f"{name}: {score.note}."
