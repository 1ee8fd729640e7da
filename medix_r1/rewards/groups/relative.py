"""Signal `relative`: one call of the judge ranks the answers of a group; a reply's value is the share that it beats."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from medix_r1 import prompts
from medix_r1.errors import ConfigError, JudgeRejected, Problem
from medix_r1.models.verdict import OpenQuestion, Writer
from medix_r1.rewards.base import Sample, Score, byte_limit_problems, rule_score
from medix_r1.rewards.groups.ranking import position_bias, ranking_prompt, read_ranking, values
from medix_r1.schema.kinds import Kind
from medix_r1.wording.spelling import normalize_answer

_KEY = "reward.signals.relative"
_TOKENS_EACH = 6  # tokens of one answer in a ranking: a letter, a sign and two blanks
_MOST_ANSWERS = 100  # answers in one prompt


def _prompt_problems(prompt: str) -> list[Problem]:
    """A problem if a prompt shows no answers to rank."""
    with contextlib.suppress(ConfigError):  # a missing prompt is reported for all signals together
        if "{answers}" in prompts.load(prompt):
            return []
        return [
            Problem(f"{_KEY}.prompt", "shows-no-answers", f"prompt '{prompt}' has no {{answers}}, so it ranks nothing")
        ]
    return []


class RelativeReward:
    """Ranks the answers of a group against the reference, by one call a group at most.

    Rules come first: an answer that is ungradable (as in `rule_score`) is worst and not shown; nothing stands above one
    that equals the reference, and it and what the judge ranks beside it get 1. Equal answers are shown once, in an
    order drawn by `seed` and the texts: it is the same in every run, and no rollout has a place of its own.

    Args:
        judge: a client that writes (`Writer`); its `JudgeError`s are not caught here, and mask the group.
        prompt: name of a file in `medix_r1/prompts/`.
        seed: of the order.
        give_question: show the judge the question.
        give_choices: show it the options of a multiple-choice question.
        max_bytes, refuse_echo: answers that are worst without being shown, as in `rule_score`.
        max_tokens: of the judge's reply; None: enough for the ranking alone. A judge that thinks needs more.
    """

    needs_group = True
    needs_writer = True

    def __init__(
        self,
        *,
        judge: Any,
        prompt: str = "rank",
        seed: int = 0,
        give_question: bool = True,
        give_choices: bool = True,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
        refuse_echo: bool = True,
        max_tokens: Annotated[int | None, Kind(min=1)] = None,
    ) -> None:
        problems = [*byte_limit_problems(f"{_KEY}.max_bytes", max_bytes), *_prompt_problems(prompt)]
        if judge is not None and not isinstance(judge, Writer):
            problems.append(Problem(f"{_KEY}.judge", "does-not-write", f"{type(judge).__name__} gives verdicts alone"))
        if problems:
            raise ConfigError(problems)
        self.judge, self._template, self._seed = judge, "" if judge is None else prompts.load(prompt), seed
        self._give_question, self._give_choices, self._max_tokens = give_question, give_choices, max_tokens
        self._max_bytes, self._refuse_echo = max_bytes, refuse_echo

    async def score_group(self, samples: Sequence[Sample]) -> list[Score]:
        """Score a group of at least two.

        Raises:
            JudgeUnavailable: no server answers.
            JudgeRejected: no reply of the judge is a ranking of all that it was shown.
        """
        rules = [rule_score(sample, max_bytes=self._max_bytes, refuse_echo=self._refuse_echo) for sample in samples]
        members: dict[str, list[int]] = defaultdict(list)  # by answer: equal ones are shown once
        for place, (sample, rule) in enumerate(zip(samples, rules, strict=True)):
            if rule is None or rule.value:
                members[normalize_answer(sample.completion.answer or "")].append(place)
        shown = self._shuffled(samples[0], list(members))
        ranks = await self._ranks(samples[0], [samples[members[one][0]].completion.answer or "" for one in shown])
        best = min((rank for one, rank in zip(shown, ranks, strict=True) if rules[members[one][0]]), default=None)
        tiers = [len(samples)] * len(samples)  # what rules call worthless stays below all that was ranked
        for one, rank in zip(shown, ranks, strict=True):
            for place in members[one]:
                tiers[place] = rank if best is None else max(rank, best)  # nothing is above the reference
        numbers = {"position_bias": position_bias(ranks), "shown": float(len(shown))} if len(shown) > 1 else None
        return [
            _score(tiers, place, value, is_right=tiers[place] == best, rule=rule, numbers=numbers)
            for place, (value, rule) in enumerate(zip(values(tiers), rules, strict=True))
        ]

    def _shuffled(self, sample: Sample, answers: Sequence[str]) -> list[str]:
        """The answers in an order that depends on nothing but the seed and the texts."""
        ordered = sorted(answers)
        random.Random(repr((self._seed, sample.question, ordered))).shuffle(ordered)
        return ordered

    async def _ranks(self, sample: Sample, answers: Sequence[str]) -> list[int]:
        """Tiers of the answers in the order shown; without a call where there is nothing to compare."""
        if len(answers) < 2:
            return [0] * len(answers)
        if len(answers) > _MOST_ANSWERS:
            raise JudgeRejected(f"{len(answers)} answers are too many for one ranking", code="too-many-answers")
        text = ranking_prompt(
            self._template,
            question=sample.question if self._give_question else None,
            options=prompts.options(sample.choices) if self._give_choices else None,
            reference=sample.reference.answer,
            answers=answers,
            max_chars=4000,
        )
        said = await self.judge.write(
            OpenQuestion(
                text,
                self._max_tokens or _TOKENS_EACH * len(answers) + 16,
                lambda reply: read_ranking(reply, len(answers)) is not None,
                f"a ranking of all {len(answers)} answers in one line",
                (sample.question, sample.reference.answer, *answers),
            )
        )
        ranks = read_ranking(said, len(answers))
        assert ranks is not None  # as `reads` found
        return ranks

    def statistics(self) -> dict[str, float]:
        """The judge's statistics: name → count, or seconds for `latency_*`."""
        found: dict[str, float] = self.judge.statistics()
        return found


def _score(
    tiers: Sequence[int],
    place: int,
    value: float,
    *,
    is_right: bool,
    rule: Score | None,
    numbers: Mapping[str, float] | None,
) -> Score:
    own = tiers[place]
    below, equal = sum(other > own for other in tiers), sum(other == own for other in tiers) - 1
    said = f"above {below} and equal to {equal} of {len(tiers) - 1} others"
    if rule is not None and not rule.value:
        return Score(0.0, rule.reason, numbers)
    return Score(1.0 if is_right else value, f"as good as the reference; {said}" if is_right else said, numbers)
