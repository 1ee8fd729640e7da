"""The calls for the judges' votes, and how votes become a score.

A failed vote is kept with its reason and leaves the sample unscored; it never counts as 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from inspect_ai.model import ContentReasoning, GenerateConfig, Model, ModelOutput

from medix_r1.errors import Problem
from medix_r1.evaluation.benchmarks.items import Item
from medix_r1.evaluation.phases.ballots import Ballot, VotingSettings, ballots, reasoning_ballots
from medix_r1.evaluation.phases.judge_free import judge_free_score
from medix_r1.evaluation.phases.replies import Reply
from medix_r1.evaluation.results.records import Vote, met_criteria
from medix_r1.models.reading.faults import why
from medix_r1.models.reading.reply_text import Message
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.reading.unreadable import why_unreadable
from medix_r1.models.rubric import Criterion, rubric_bounds
from medix_r1.wording.spelling import is_gradable


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of one reply.

    Attributes:
        score: in [0, 1], by a rubric at most 1; None when `unscored` says why.
        votes: all votes, failed ones included.
        rubric: grade of the think block (`judge.reasoning`); None when not asked for.
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


async def ask_votes(
    item: Item,
    reply: Reply,
    scorer: str,
    judges: Sequence[Model],
    settings: VotingSettings,
    known: Judgement | None = None,
) -> Judgement:
    """Call every judge once for each seed, except for the valid votes in `known`, and combine the votes.

    With a rubric each judge is called so about each criterion, all of them at once.
    """
    free = judge_free_score(item, reply, scorer)
    votes: list[Vote] = []
    if free is None:
        valid = [vote for vote in known.votes if vote.value is not None] if known else []
        kept = {(vote.judge, vote.seed, vote.criterion): vote for vote in valid}
        sent = _sent(item, reply)

        async def ask_each_judge(ballot: Ballot) -> list[Vote]:
            told = []
            for judge in judges:
                for seed in settings.seeds:
                    vote = kept.get((judge.name, seed, ballot.criterion))
                    told.append(vote or await _vote(judge, seed, ballot, settings, sent))
            return told

        for told in await asyncio.gather(*map(ask_each_judge, ballots(item, reply, scorer, settings))):
            votes += told
    rubric = known.rubric if known else None
    if settings.reasoning and (rubric is None or rubric.value is None):
        rubric = await _reasoning(item, reply, judges[0], settings)
    score, reason = (free, None) if free is not None else combine_votes(votes, scorer, item.criteria)
    return Judgement(score, tuple(votes), rubric, judge_free=free is not None, unscored=reason)


async def _reasoning(item: Item, reply: Reply, judge: Model, settings: VotingSettings) -> Vote:
    """The share of the steps that the think block supports, as one vote; it has no value where a verdict is missing."""
    if not is_gradable(reply.think):
        return Vote(judge.name, None, 0.0, "there is no reasoning", "")
    seed, sent = settings.seeds[0], _sent(item, reply)
    asked = [_vote(judge, seed, one, settings, sent) for one in reasoning_ballots(item, reply, settings)]
    votes = await asyncio.gather(*asked)
    said = "\n".join(vote.reply for vote in votes)
    if (failed := next((vote for vote in votes if vote.value is None), None)) is not None:
        return Vote(judge.name, seed, None, failed.reason, said)
    share = sum(vote.value or 0.0 for vote in votes) / len(votes)
    missing = [str(place) for place, vote in enumerate(votes, start=1) if not vote.value]
    whose = "of the rationale" if item.rationale else "that hold for any question"
    told = f"{len(votes) - len(missing)} of {len(votes)} steps {whose} are supported"
    return Vote(judge.name, seed, share, f"{told}; not: {', '.join(missing)}" if missing else told, said)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was put into a judge's prompt, and whether a reason may quote the judge's reply to it."""

    texts: SentTexts
    quote: bool


def _sent(item: Item, reply: Reply) -> _Sent:
    texts = (item.question, item.context, item.reference, *item.choices, reply.answer, reply.think)
    return _Sent(SentTexts.of(*texts, *item.said, *item.looked_for, *item.rationale), quote=not item.restricted)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A judge's answer: score and reason, or the problem; and its raw reply."""

    read: tuple[float, str] | None
    reply: str
    problem: Problem | None = None


async def _vote(judge: Model, seed: int, ballot: Ballot, settings: VotingSettings, sent: _Sent) -> Vote:
    answer = await _ask(judge, seed, ballot, settings, sent)
    if answer.read is not None:
        return Vote(judge.name, seed, *answer.read, answer.reply, ballot.criterion)
    reason = f"the judge {answer.problem.text if answer.problem else ''}"
    return Vote(judge.name, seed, None, reason, answer.reply, ballot.criterion)


async def _ask(judge: Model, seed: int, ballot: Ballot, settings: VotingSettings, sent: _Sent) -> _Answer:
    reply, output = "", ModelOutput()
    for attempt in range(settings.parse_attempts):
        config = GenerateConfig(seed=seed + 1000 * attempt, response_schema=ballot.schema if settings.schema else None)
        try:
            output = await judge.generate(ballot.text, config=config)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises becomes a failed vote with its reason
            reason = why(error, sent.texts)
            return _Answer(None, reply, replace(reason, text=f"did not answer: {reason.text}"))
        reply = output.completion
        if (read := ballot.read(reply)) is not None:
            return _Answer(read, reply)
    why_not = why_unreadable(_message(output), judge.config.max_tokens, ballot.wanted, sent.texts, quote=sent.quote)
    return _Answer(None, reply, why_not)


async def first_questions(
    judges: Mapping[str, Model], settings: VotingSettings, kinds: Collection[str]
) -> list[Problem]:
    """Ask each judge one easy question of each kind that is needed, so that a bad judge or key is found at once.

    Args:
        judges: by the config key of each.
        settings: as for the votes.
        kinds: those of `short`, `report` and `rubric` that are to be judged.
    """
    problems = []
    for key, judge in judges.items():
        for kind, item in _EASY.items():
            if kind not in kinds:
                continue
            reply = Reply(None, item.reference, ())
            ballot = next(ballots(item, reply, kind, settings))
            answer = await _ask(judge, settings.seeds[0], ballot, settings, _sent(item, reply))
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


def combine_votes(
    votes: Sequence[Vote], scorer: str, criteria: Sequence[Criterion] = ()
) -> tuple[float | None, str | None]:
    """Majority of the votes for short answers and for each criterion, mean of the grades for reports.

    Returns:
        The score, or None and the reason when a vote failed. By a rubric it is the points of the met criteria over all
        positive points, which may be negative.
    """
    failed = [vote for vote in votes if vote.value is None]
    if failed:
        return None, f"{len(failed)} of {len(votes)} votes failed: {failed[0].reason}"
    if scorer == "rubric":
        bounds = rubric_bounds(criteria, met_criteria(votes, len(criteria)))
        return (None, "its rubric has no positive points") if bounds is None else (bounds.value, None)
    values = [vote.value for vote in votes if vote.value is not None]
    mean = sum(values) / len(values)
    return (mean, None) if scorer == "report" else (float(mean > 0.5), None)


_EASY = {
    "short": Item("", "", 0, "", None, "Which organ pumps the blood?", "", (), "the heart", None, ()),
    "report": Item("", "", 0, "", None, "Write the impression.", "", (), "No acute cardiopulmonary disease.", None, ()),
    "rubric": Item(
        *("", "", 0, "", None, "Which organ pumps the blood?", "", (), "The heart does.", None, ()),
        criteria=(Criterion("Names the heart", 1.0),),
    ),
}
