"""The judges' prompts, the calls for their votes, and how votes become a score.

A failed vote is kept with its reason and leaves the sample unscored; it never counts as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inspect_ai.model import ContentReasoning, GenerateConfig, Model, ModelOutput, ResponseSchema
from inspect_ai.util import JSONSchema

from medix_r1 import prompts
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.phases.grades import BEST_GRADE, read_grade, read_match
from medix_r1.evaluation.phases.judge_free import judge_free_score
from medix_r1.evaluation.phases.replies import Reply
from medix_r1.evaluation.results.records import Vote, passage
from medix_r1.models.chat_message import Message, why_unreadable
from medix_r1.wording.spelling import is_gradable

_MAX_CHARS = 16_000  # of one inserted field; reports are shorter


@dataclass(frozen=True, kw_only=True)
class VotingSettings:
    """How judges vote (YAML: `judge`).

    Attributes:
        seeds: each judge votes once for each seed, so votes = judges x seeds.
        match_prompt, report_prompt, rubric_prompt: files in medix_r1/prompts/.
        rubric: also grade the think block; the grade does not enter the score.
        schema: send the JSON schema of grades to the server (vLLM and OpenAI support it).
        parse_attempts: calls made until a vote can be parsed.
    """

    seeds: Sequence[int] = (1, 2, 3)
    match_prompt: str = "eval_match"
    report_prompt: str = "eval_report"
    rubric_prompt: str = "eval_rubric"
    rubric: bool = False
    schema: bool = True
    parse_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of one reply.

    Attributes:
        score: in [0, 1]; None when `unscored` says why.
        votes: all votes, failed ones included.
        rubric: grade of the think block; None when not asked for.
        judge_free: no judge was needed.
        unscored: the reason for having no score.
    """

    score: float | None
    votes: tuple[Vote, ...] = ()
    rubric: Vote | None = None
    judge_free: bool = False
    unscored: str | None = None

    def to_json(self, sample: str) -> dict[str, Any]:
        return {"id": sample, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Judgement:
        rubric = data["rubric"]
        return cls(
            score=data["score"],
            votes=tuple(Vote(**vote) for vote in data["votes"]),
            rubric=Vote(**rubric) if rubric else None,
            judge_free=data["judge_free"],
            unscored=data["unscored"],
        )

    @property
    def is_final(self) -> bool:
        """Whether all votes succeeded, so that no call is left to make."""
        return self.unscored is None and (self.rubric is None or self.rubric.value is not None)


def voting_prompt(item: Item, reply: Reply, scorer: str, settings: VotingSettings) -> str:
    """What each judge is asked; every inserted text is neutralised."""
    name = settings.report_prompt if scorer == "report" else settings.match_prompt
    return prompts.fill(prompts.load(name), max_chars=_MAX_CHARS, **_fields(item, prediction=reply.answer or ""))


def rubric_prompt(item: Item, reply: Reply, settings: VotingSettings) -> str:
    """What the first judge is asked about the think block."""
    text = prompts.load(settings.rubric_prompt)
    fields = _fields(item, reasoning=reply.think or "") | {"question": passage(item.context, item.question)}
    return prompts.fill(text, max_chars=_MAX_CHARS, **fields)


def _fields(item: Item, **more: str) -> dict[str, str | None]:
    reference = f"({item.letter}) {item.reference}" if item.letter else item.reference
    return {"question": item.question, "options": prompts.options(item.choices), "reference": reference, **more}


async def ask_votes(
    item: Item,
    reply: Reply,
    scorer: str,
    judges: Sequence[Model],
    settings: VotingSettings,
    known: Judgement | None = None,
) -> Judgement:
    """Call every judge once for each seed, except for the valid votes in `known`, and combine the votes."""
    free = judge_free_score(item, reply, scorer)
    votes: list[Vote] = []
    if free is None:
        kept = {(vote.judge, vote.seed): vote for vote in known.votes if vote.value is not None} if known else {}
        text = voting_prompt(item, reply, scorer, settings)
        for judge in judges:
            for seed in settings.seeds:
                vote = kept.get((judge.name, seed))
                votes.append(vote or await _vote(judge, seed, text, scorer == "report", settings))
    rubric = known.rubric if known else None
    if settings.rubric and (rubric is None or rubric.value is None):
        rubric = await _rubric(item, reply, judges[0], settings)
    score, reason = (free, None) if free is not None else combine_votes(votes, scorer)
    return Judgement(score, tuple(votes), rubric, judge_free=free is not None, unscored=reason)


async def _rubric(item: Item, reply: Reply, judge: Model, settings: VotingSettings) -> Vote:
    if not is_gradable(reply.think):
        return Vote(judge.name, None, 0.0, "there is no reasoning", "")
    return await _vote(judge, settings.seeds[0], rubric_prompt(item, reply, settings), True, settings)


async def _vote(judge: Model, seed: int, text: str, graded: bool, settings: VotingSettings) -> Vote:
    reply, output = "", ModelOutput()
    for attempt in range(settings.parse_attempts):
        config = GenerateConfig(
            seed=seed + 1000 * attempt, response_schema=_SCHEMA if graded and settings.schema else None
        )
        try:
            output = await judge.generate(text, config=config)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises becomes a failed vote with its reason
            return Vote(judge.name, seed, None, f"{type(error).__name__}: {str(error)[:300]}", reply)
        reply = output.completion
        if (read := (read_grade if graded else read_match)(reply)) is not None:
            return Vote(judge.name, seed, read[0], read[1], reply)
    wanted = f"JSON with a reason and a whole score from 0 to {BEST_GRADE}" if graded else "YES or NO beyond doubt"
    problem = why_unreadable(_message(output), judge.config.max_tokens, wanted)
    return Vote(judge.name, seed, None, f"the judge {problem.text}", reply)


def _message(output: ModelOutput) -> Message:
    content = output.message.content
    apart = [] if isinstance(content, str) else [c.reasoning for c in content if isinstance(c, ContentReasoning)]
    finish_reason = {"max_tokens": "length"}.get(output.stop_reason, output.stop_reason)
    return Message(output.completion, "\n".join(apart), finish_reason)


def combine_votes(votes: Sequence[Vote], scorer: str) -> tuple[float | None, str | None]:
    """Majority of the votes for short answers, mean of the grades for reports; (None, reason) when a vote failed."""
    failed = [vote for vote in votes if vote.value is None]
    if failed:
        return None, f"{len(failed)} of {len(votes)} votes failed: {failed[0].reason}"
    values = [vote.value for vote in votes if vote.value is not None]
    mean = sum(values) / len(values)
    return (mean, None) if scorer == "report" else (float(mean > 0.5), None)


_SCHEMA = ResponseSchema(
    name="grade",
    json_schema=JSONSchema(
        type="object",
        properties={
            "reason": JSONSchema(type="string"),
            "score": JSONSchema(type="integer", enum=list(range(BEST_GRADE + 1))),
        },
        required=["reason", "score"],
        additionalProperties=False,
    ),
    strict=True,
)
