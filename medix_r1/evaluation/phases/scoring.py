"""The third phase: saved replies and judgements become records. It calls no model, so it can always run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medix_r1.evaluation.benchmarks.items import Item, TaskData
from medix_r1.evaluation.phases.generate_and_judge import GENERATIONS, RequestSettings, read_judgements, reply_of
from medix_r1.evaluation.phases.journal import Journal
from medix_r1.evaluation.phases.judging import Judgement
from medix_r1.evaluation.results.records import RECORDS_FILE, Record, write_records

NOT_YET = "not judged yet"


def score_task(data: TaskData, folder: Path, request: RequestSettings, failures: Mapping[str, str]) -> list[Record]:
    """Write a task's records.

    Args:
        data: its samples.
        folder: of the task, with the journals of the first two phases.
        request: prompt and think element, which decide how replies are parsed.
        failures: why samples failed in this run, by id; the journals hold successes only.
    """
    generations = Journal(folder / GENERATIONS).read()
    judgements = read_judgements(folder)
    records = [
        _record(item, generations.get(item.id), judgements.get(item.id), request, data.task.restricted, failures)
        for item in data.items
    ]
    write_records(folder / RECORDS_FILE, records)
    return records


def _record(
    item: Item,
    generation: Mapping[str, Any] | None,
    judgement: Judgement | None,
    request: RequestSettings,
    restricted: bool,
    failures: Mapping[str, str],
) -> Record:
    reply = reply_of(item, generation, request) if generation else None
    record = Record(
        id=item.id,
        task=item.task,
        row=item.row,
        group=item.group,
        modality=item.modality,
        question=item.question,
        context=item.context,
        choices=item.choices,
        reference=item.reference,
        reference_letter=item.letter,
        reply=generation["reply"] if generation else None,
        think=reply.think if reply else None,
        answer=reply.answer if reply else None,
        finish_reason=generation["finish_reason"] if generation else None,
        problems=reply.problems if reply else (),
        score=None,
        votes=(),
        rubric=None,
        judge_free=False,
        unscored=None,
        tokens_in=generation["tokens_in"] if generation else 0,
        tokens_out=generation["tokens_out"] if generation else 0,
        seconds=generation["seconds"] if generation else 0.0,
        restricted=restricted,
        turns=item.turns,
        criteria=item.criteria,
        answer_type=item.answer_type,
        rationale=item.rationale,
        confidence=reply.confidence if reply else None,
        subgroups=item.subgroups,
    )
    return with_judgement(record, judgement, failures.get(item.id))


def with_judgement(record: Record, judgement: Judgement | None, failure: str | None) -> Record:
    """A copy of a record with its judgement; `failure` says why there is no reply or no judgement."""
    if record.reply is None:
        return replace(record, unscored=f"no reply: {failure or 'not generated yet'}")
    if judgement is None:
        return replace(record, unscored=f"not judged: {failure or NOT_YET}")
    return replace(
        record,
        score=judgement.score,
        votes=judgement.votes,
        rubric=judgement.rubric.value if judgement.rubric else None,
        judge_free=judgement.judge_free,
        unscored=judgement.unscored and f"not judged: {judgement.unscored}",
    )
