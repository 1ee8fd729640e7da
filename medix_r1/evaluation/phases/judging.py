"""The judges' prompts, the calls for their votes, and how votes become a score.

A failed vote is kept with its reason and leaves the sample unscored; it never counts as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from inspect_ai.model import ContentReasoning, GenerateConfig, Model, ModelOutput, ResponseSchema
from inspect_ai.util import JSONSchema

from medix_r1 import prompts
from medix_r1.errors import Problem
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.phases.grades import BEST_GRADE, read_grade, read_match
from medix_r1.evaluation.phases.judge_free import judge_free_score
from medix_r1.evaluation.phases.replies import Reply
from medix_r1.evaluation.results.records import Vote, passage
from medix_r1.models.reading.chat_message import Message, why_unreadable
from medix_r1.models.reading.faults import why
from medix_r1.models.reading.sent_texts import SentTexts
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
                votes.append(vote or await _vote(judge, seed, text, scorer == "report", settings, _sent(item, reply)))
    rubric = known.rubric if known else None
    if settings.rubric and (rubric is None or rubric.value is None):
        rubric = await _rubric(item, reply, judges[0], settings)
    score, reason = (free, None) if free is not None else combine_votes(votes, scorer)
    return Judgement(score, tuple(votes), rubric, judge_free=free is not None, unscored=reason)


async def _rubric(item: Item, reply: Reply, judge: Model, settings: VotingSettings) -> Vote:
    if not is_gradable(reply.think):
        return Vote(judge.name, None, 0.0, "there is no reasoning", "")
    return await _vote(
        judge, settings.seeds[0], rubric_prompt(item, reply, settings), True, settings, _sent(item, reply)
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was put into a judge's prompt, and whether a reason may quote the judge's reply to it."""

    texts: SentTexts
    quote: bool


def _sent(item: Item, reply: Reply) -> _Sent:
    texts = (item.question, item.context, item.reference, *item.choices, reply.answer, reply.think)
    return _Sent(SentTexts.of(*texts), quote=not item.restricted)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A judge's answer: score and reason, or the problem; and its raw reply."""

    read: tuple[float, str] | None
    reply: str
    problem: Problem | None = None


async def _vote(judge: Model, seed: int, text: str, graded: bool, settings: VotingSettings, sent: _Sent) -> Vote:
    answer = await _ask(judge, seed, text, graded, settings, sent)
    if answer.read is not None:
        return Vote(judge.name, seed, *answer.read, answer.reply)
    return Vote(judge.name, seed, None, f"the judge {answer.problem.text if answer.problem else ''}", answer.reply)


async def _ask(judge: Model, seed: int, text: str, graded: bool, settings: VotingSettings, sent: _Sent) -> _Answer:
    reply, output = "", ModelOutput()
    for attempt in range(settings.parse_attempts):
        config = GenerateConfig(
            seed=seed + 1000 * attempt, response_schema=_SCHEMA if graded and settings.schema else None
        )
        try:
            output = await judge.generate(text, config=config)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises becomes a failed vote with its reason
            reason = why(error, sent.texts)
            return _Answer(None, reply, replace(reason, text=f"did not answer: {reason.text}"))
        reply = output.completion
        if (read := (read_grade if graded else read_match)(reply)) is not None:
            return _Answer(read, reply)
    wanted = f"JSON with a reason and a whole score from 0 to {BEST_GRADE}" if graded else "YES or NO beyond doubt"
    return _Answer(
        None, reply, why_unreadable(_message(output), judge.config.max_tokens, wanted, sent.texts, quote=sent.quote)
    )


async def first_questions(
    judges: Mapping[str, Model], settings: VotingSettings, *, short: bool, report: bool
) -> list[Problem]:
    """Ask each judge one easy question of each kind that is needed, so that a bad judge or key is found at once.

    Args:
        judges: by the config key of each.
        settings: as for the votes.
        short: whether answers are to be judged.
        report: whether reports or reasoning are to be graded.
    """
    problems = []
    for key, judge in judges.items():
        for item, graded, needed in ((_EASY, False, short), (_EASY_REPORT, True, report)):
            if not needed:
                continue
            reply = Reply(None, item.reference, ())
            text = voting_prompt(item, reply, "report" if graded else "short", settings)
            answer = await _ask(judge, settings.seeds[0], text, graded, settings, _sent(item, reply))
            if answer.problem is not None:
                where = f"{key}.api_key_env" if answer.problem.code == "wrong-key" else key
                problems.append(replace(answer.problem, key=where, text=f"{judge.name} {answer.problem.text}"))
                break
        await judge.api.aclose()
    return problems


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
_EASY = Item("", "", 0, "", None, "Which organ pumps the blood?", "", (), "the heart", None, ())
_EASY_REPORT = Item("", "", 0, "", None, "Write the impression.", "", (), "No acute cardiopulmonary disease.", None, ())
