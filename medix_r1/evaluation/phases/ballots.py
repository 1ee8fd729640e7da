"""What a judge is asked about a reply, and how its answer is read: matches, grades of reports, criteria of rubrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from inspect_ai.model import ResponseSchema
from inspect_ai.util import JSONSchema

from medix_r1 import prompts
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.phases.grades import BEST_GRADE, read_grade, read_match
from medix_r1.evaluation.phases.replies import Reply
from medix_r1.evaluation.results.records import passage
from medix_r1.models.rationale import GENERAL, PROMPT, step_criteria
from medix_r1.models.rubric import PROMPTS, WANTED, VerdictForm, criterion_prompt, read_criterion

Reader = Callable[[str], tuple[float, str] | None]
_MAX_CHARS = 16_000  # of one inserted field; reports are shorter


@dataclass(frozen=True, kw_only=True)
class VotingSettings:
    """How judges vote (YAML: `judge`).

    Attributes:
        seeds: each judge votes once for each seed, so votes = judges x seeds.
        match_prompt, report_prompt, reasoning_prompt: files in medix_r1/prompts/.
        criterion_verdict: `json` asks about a rubric's criterion as HealthBench does, `yes_no` as for short answers.
        criterion_template: text of the question about a criterion; None takes ours for that form.
        reasoning: also grade the think block; the grade does not enter the score.
        schema: send the JSON schema of grades to the server (vLLM and OpenAI support it).
        parse_attempts: calls made until a vote can be parsed.
    """

    seeds: Sequence[int] = (1, 2, 3)
    match_prompt: str = "eval_match"
    report_prompt: str = "eval_report"
    reasoning_prompt: str = PROMPT
    criterion_verdict: VerdictForm = "json"
    criterion_template: str | None = None
    reasoning: bool = False
    schema: bool = True
    parse_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Ballot:
    """One question to each judge.

    Attributes:
        text: of the question; every inserted text is neutralised.
        read: value in [0, 1] and reason of an answer; None where it has none beyond doubt.
        wanted: what is asked for, as a reason says it.
        schema: of the answer; None where it is a word.
        criterion: place in the rubric of the criterion that it is about; None without a rubric.
    """

    text: str
    read: Reader
    wanted: str
    schema: ResponseSchema | None = None
    criterion: int | None = None


def ballots(item: Item, reply: Reply, scorer: str, settings: VotingSettings) -> Iterator[Ballot]:
    """What the judges are asked about a reply: one question, or one for each criterion."""
    if scorer == "rubric":
        yield from _criteria(item, reply, settings)
    elif scorer == "report":
        yield _graded(settings.report_prompt, _fields(item, prediction=reply.answer or ""))
    else:
        text = prompts.fill(
            prompts.load(settings.match_prompt), max_chars=_MAX_CHARS, **_fields(item, prediction=reply.answer or "")
        )
        yield Ballot(text, read_match, "YES or NO beyond doubt")


def reasoning_ballots(item: Item, reply: Reply, settings: VotingSettings) -> Iterator[Ballot]:
    """What the first judge is asked about the think block: each step of the row's rationale, or general ones."""
    template = prompts.load(settings.reasoning_prompt)
    turns = [*item.turns, ("user", passage(item.context, item.question))]
    for place, step in enumerate(step_criteria(item.rationale or GENERAL)):
        text = criterion_prompt(template, turns, reply.think or "", step, max_chars=_MAX_CHARS)
        yield Ballot(text, read_match, WANTED["yes_no"], None, place)


def _criteria(item: Item, reply: Reply, settings: VotingSettings) -> Iterator[Ballot]:
    form = settings.criterion_verdict
    template = settings.criterion_template or prompts.load(PROMPTS[form])
    turns = [*item.turns, ("user", item.question)]

    def read(answer: str) -> tuple[float, str] | None:
        found = read_criterion(answer, form)
        return None if found is None else (float(found[0]), found[1])

    for place, criterion in enumerate(item.criteria):
        text = criterion_prompt(template, turns, reply.answer or "", criterion, max_chars=_MAX_CHARS)
        yield Ballot(text, read, WANTED[form], _CRITERION if form == "json" else None, place)


def _graded(name: str, fields: dict[str, str | None]) -> Ballot:
    text = prompts.fill(prompts.load(name), max_chars=_MAX_CHARS, **fields)
    return Ballot(text, read_grade, f"JSON with a reason and a whole score from 0 to {BEST_GRADE}", _GRADE)


def _fields(item: Item, **more: str) -> dict[str, str | None]:
    reference = f"({item.letter}) {item.reference}" if item.letter else item.reference
    return {"question": item.question, "options": prompts.options(item.choices), "reference": reference, **more}


def _schema(name: str, **properties: JSONSchema) -> ResponseSchema:
    wanted = JSONSchema(type="object", properties=properties, required=list(properties), additionalProperties=False)
    return ResponseSchema(name=name, json_schema=wanted, strict=True)


_GRADE = _schema(
    "grade",
    reason=JSONSchema(type="string"),
    score=JSONSchema(type="integer", enum=list(range(BEST_GRADE + 1))),
)
_CRITERION = _schema("criterion", explanation=JSONSchema(type="string"), criteria_met=JSONSchema(type="boolean"))
