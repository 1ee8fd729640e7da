"""Judges the saved replies of a result by another judge, into a result of its own.

The replies come from the result's records, so neither the model nor the data is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from medix_r1 import user_code
from medix_r1.errors import ConfigError
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.benchmarks.kept_task import TASK_FILE
from medix_r1.evaluation.phases import servers
from medix_r1.evaluation.phases.fingerprint import describe_judge, folder_name, with_key
from medix_r1.evaluation.phases.generate_and_judge import GENERATIONS, AnsweredItem, read_judgements
from medix_r1.evaluation.phases.replies import Reply
from medix_r1.evaluation.phases.scoring import with_judgement
from medix_r1.evaluation.results.records import RECORDS_FILE, Record, RunInfo, read_run, write_records, write_run
from medix_r1.evaluation.run import CODE_DIR, DATA_FILE, Outcome, ToJudge, judge_all, locked
from medix_r1.evaluation.settings import compose_eval
from medix_r1.host.files import atomic_write


@dataclass(frozen=True)
class Rejudged:
    """A result's folder, and the outcome of the same replies with another judge."""

    first: Path
    second: Outcome


def rejudge(result: Path, overrides: Sequence[str], config_dirs: Sequence[Path], console: Console) -> Rejudged:
    """Judge a result's replies by the judge that the overrides name, into a new folder beside it.

    Raises:
        DataError: `result` is not a result folder.
        ConfigError: the judge's settings are wrong, or it is the judge that the result already has.
    """
    info, records = read_run(result)
    settings = compose_eval([f"model='{info.model}'", *overrides], config_dirs, needs_task=False)
    if problems := servers.judge_problems(settings):
        raise ConfigError(problems)
    new = with_key(replace(info, judge=describe_judge(settings.judge)))
    if new.key == info.key:
        raise ConfigError.of("judge", "same-judge", f"{result} was judged by this very judge; choose another")
    folder = result.parent / folder_name(new)
    outcome = Outcome(folder)
    with locked(folder):
        write_run(folder, new)
        if (result / CODE_DIR).is_dir():
            shutil.copytree(result / CODE_DIR, folder / CODE_DIR, dirs_exist_ok=True)
        work = []
        for task, rows in records.items():
            _copy(result / task, folder / task)
            replies = {row.id: _answered(row) for row in rows if row.reply is not None}
            work.append(ToJudge(task, _scorer_of(info, task, folder), folder / task, replies))
        failures = judge_all(work, settings, folder, console)
        for task, rows in records.items():
            judgements = read_judgements(folder / task)
            judged_rows = [
                with_judgement(_without_score(row), judgements.get(row.id), failures.get(row.id)) for row in rows
            ]
            write_records(folder / task / RECORDS_FILE, judged_rows)
            outcome.records[task] = judged_rows
    return Rejudged(result, outcome)


def _scorer_of(info: RunInfo, task: str, folder: Path) -> str:
    scorer: str = info.extra["scorers"][task]
    return str(folder / scorer) if user_code.is_file(scorer) else scorer


def _copy(source: Path, target: Path) -> None:
    """Copy the replies, so that `medix-r1 eval` with this judge can resume in the new folder."""
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(source.stat().st_mode)  # restricted texts stay for the user alone
    for name in (GENERATIONS, DATA_FILE, TASK_FILE):
        if (source / name).is_file() and not (target / name).exists():
            atomic_write(target / name, (source / name).read_text(encoding="utf-8"), private=True)


def _answered(row: Record) -> AnsweredItem:
    item = Item(
        id=row.id,
        task=row.task,
        row=row.row,
        group=row.group,
        modality=row.modality,
        question=row.question,
        context=row.context,
        choices=row.choices,
        reference=row.reference,
        letter=row.reference_letter,
        images=(),
        restricted=row.restricted,
        turns=row.turns,
        criteria=row.criteria,
        rationale=row.rationale,
    )
    return AnsweredItem(item, row.reply or "", Reply(row.think, row.answer, row.problems))


def _without_score(row: Record) -> Record:
    return replace(row, score=None, votes=(), rubric=None, judge_free=False, unscored=None)
