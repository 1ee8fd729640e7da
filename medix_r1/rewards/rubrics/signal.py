"""Signal `rubric`: the points of the criteria that an answer meets, over all positive points, clipped to [0, 1].

HealthBench clips the mean over its examples alone; here each reply is clipped, because a signal is in [0, 1]. A lost
verdict gives bounds, not a guess: the sample is masked only where they lie farther apart than `tolerance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from medix_r1 import prompts
from medix_r1.errors import ConfigError, DataError, JudgeRejected, Problem, RewardError
from medix_r1.models.rubric import Bounds, Criterion, criteria_of, missing_marks, rubric_bounds
from medix_r1.models.verdict import Judge, Verdict, Writer
from medix_r1.rewards.base import Detail, Sample, Score, byte_limit_problems, refused_score
from medix_r1.rewards.rubrics.asking import Asked, CriteriaAsker, Outcome, Trial
from medix_r1.rewards.rubrics.striking import Views, struck, unstruck
from medix_r1.schema.kinds import Kind

_KEY = "reward.signals.rubric"
_SAID = 80  # characters of a judge's reply in a reason
_SAME = 1e-9
_NO_RUBRIC = Score(None, "the row has no rubric")
_NOTHING_LEFT = Score(0.0, "nothing but talk to the judge")


class CriteriaLost(JudgeRejected):
    """Verdicts are missing that could change the value; it masks the sample.

    Attributes:
        details: the criteria, those without a verdict among them.
    """

    details: tuple[Detail, ...] = ()


class RubricReward:
    """The points that an answer earns by the criteria of its row, each a question to the judge.

    Args:
        judge: gives the verdicts.
        prompt: file in `medix_r1/prompts/` that asks about one criterion.
        per_call: criteria of one answer in one call, 1 for one at a time; more only once shown to agree (asking.py).
        trial: criteria that are asked both ways before that is decided.
        agreement: what the agreement has to exceed with 95 % certainty.
        tolerance: how far apart the bounds of a value may lie that has lost verdicts; the value is then the lower one.
        give_question, give_images: what the judge sees beside the answer.
        max_bytes, refuse_echo: answers that score 0 without a call, as in `rule_score`.
        strike: take out of an answer what rules know to be no answer (striking.py).

    Raises:
        ConfigError: all problems of these settings.
    """

    wants_rubric = True

    def __init__(
        self,
        *,
        judge: Judge,
        prompt: str = "criterion_yes_no",
        per_call: Annotated[int, Kind(min=1, max=50)] = 1,
        trial: Annotated[int, Kind(min=1)] = 200,
        agreement: Annotated[float, Kind(min=0, max=1)] = 0.95,
        tolerance: Annotated[float, Kind(min=0, max=1)] = 0.0,
        give_question: bool = True,
        give_images: bool = False,
        max_bytes: Annotated[int | None, Kind(min=1)] = 3000,
        refuse_echo: bool = True,
        strike: bool = True,
    ) -> None:
        template = prompts.load(prompt)
        problems = byte_limit_problems(f"{_KEY}.max_bytes", max_bytes)
        problems += _range_problems(per_call=per_call, trial=trial, agreement=agreement, tolerance=tolerance)
        if missing := missing_marks(template):
            says = f"'{prompt}' lacks {' and '.join(missing)}, so nobody could judge by it; use criterion_yes_no"
            problems.append(Problem(f"{_KEY}.prompt", "no-marks", says))
        if not problems and per_call > 1 and judge is not None and not isinstance(judge, Writer):
            says = f"{type(judge).__name__} takes one question a call; use 1"
            problems.append(Problem(f"{_KEY}.per_call", "one-at-a-time", says))
        if problems:
            raise ConfigError(problems)
        self.judge, self.wants_images = judge, give_images
        self.max_bytes, self.refuse_echo = max_bytes, refuse_echo
        self._give_question, self._tolerance, self._strikes = give_question, tolerance, strike
        trying = Trial(pairs=trial, agreement=agreement)
        self.asker = CriteriaAsker(judge, template=template, per_call=per_call, trial=trying)

    def score(self, sample: Sample) -> Any:
        """The score, at once where rules decide, else to be awaited."""
        by_rule = self.rule_score(sample)
        return by_rule if by_rule is not None else self._judged(sample)

    def rule_score(self, sample: Sample) -> Score | None:
        """The score of a sample that needs no judge; None when the judge has to be asked.

        Raises:
            RewardError: the row's rubric is none.
        """
        if not sample.rubric:
            return _NO_RUBRIC
        criteria = criteria_in(sample)
        found = refused_score(sample, max_bytes=self.max_bytes, refuse_echo=self.refuse_echo)
        if found is None and not self._views(sample, criteria).earning:
            return _NOTHING_LEFT
        return found

    async def _judged(self, sample: Sample) -> Score:
        criteria = criteria_in(sample)
        views = self._views(sample, criteria)
        question = sample.question if self._give_question else ""
        images = sample.images if self.wants_images else ()
        asked = {
            place: Asked(question, text, criterion, images)
            for place, criterion in enumerate(criteria)
            if (text := views.of(criterion))
        }
        answers = dict(zip(asked, await self.asker.ask(list(asked.values())), strict=True))
        details = [_detail(criterion, answers.get(place)) for place, criterion in enumerate(criteria)]
        return rubric_score(details, self._tolerance, views.struck, _first_failure(answers.values()))

    def _views(self, sample: Sample, criteria: Sequence[Criterion]) -> Views:
        answer = sample.completion.answer or ""
        return struck(answer, tuple(criteria)) if self._strikes else unstruck(answer)

    def statistics(self) -> dict[str, float]:
        """The judge's statistics, and counters of the criteria."""
        return {**self.judge.statistics(), **self.asker.statistics()}


class RubricTag:
    """The same for the criteria of one tag, as a signal of its own, for GDPO or as a monitor. It makes no call.

    Args:
        needs: name of the signal with the verdicts, such as `[rubric]`; exactly one.
        tag: of the criteria.
        tolerance: as for the signal.

    Raises:
        ConfigError: not exactly one name.
    """

    needs: tuple[str, ...] = ()
    wants_rubric = True
    reads_failed = True  # a rubric that failed may still have a value for the criteria of this tag

    def __init__(
        self, *, needs: Sequence[str], tag: str, tolerance: Annotated[float, Kind(min=0, max=1)] = 0.0
    ) -> None:
        if isinstance(needs, str) or len(needs) != 1:
            raise ConfigError.of("needs", "not-one-signal", f"{needs!r} has to be a list of one signal, as in [rubric]")
        self.needs, self.tag, self._tolerance = tuple(needs), tag, tolerance

    def score(self, sample: Sample, scores: Mapping[str, Score]) -> Score:
        """The points of the tag's criteria; where rules decided the whole, their verdict."""
        whole = scores[self.needs[0]]
        nothing = Score(None, f"no criterion with positive points has the tag {self.tag}")
        if not sample.rubric or not any(self.tag in one.tags and one.points > 0 for one in criteria_in(sample)):
            return nothing
        if not whole.details:
            return Score(whole.value, whole.reason)
        own = [detail for detail in whole.details if self.tag in detail.tags]
        found = rubric_score(own, self._tolerance, (), whole.reason)
        return replace(found, details=())  # the score of the whole rubric has the details


def criteria_in(sample: Sample) -> tuple[Criterion, ...]:
    """The criteria of a sample's row.

    Raises:
        RewardError: they are none; `check` refuses such data.
    """
    try:
        return criteria_of(sample.rubric)
    except DataError as error:
        raise RewardError(f"the row's rubric: {error}", code="wrong-rubric") from error


def rubric_score(details: Sequence[Detail], tolerance: float, struck_for: Sequence[str], failure: str) -> Score:
    """The score of criteria with their verdicts.

    Args:
        details: the criteria.
        tolerance: how far apart the bounds may lie.
        struck_for: why something of the answer was not shown to the judge.
        failure: why a verdict is missing.

    Raises:
        CriteriaLost: missing verdicts could change the value by more than the tolerance.
    """
    criteria = [Criterion(one.text, one.points, one.tags) for one in details]
    found = rubric_bounds(criteria, [one.met for one in details])
    assert found is not None  # because some criteria have positive points
    bounds = found.clipped()
    lost = sum(one.met is None for one in details)
    if bounds.high - bounds.low > tolerance + _SAME:
        says = (
            f"{lost} of {len(details)} verdicts are lost; the value lies between {bounds.low:.3f} and {bounds.high:.3f}"
        )
        error = CriteriaLost(f"{says}: {failure}", code="criteria-lost")
        error.details = tuple(details)
        raise error
    return Score(bounds.low, _reason(details, bounds, lost, struck_for), _numbers(details, lost), tuple(details))


def _reason(details: Sequence[Detail], bounds: Bounds, lost: int, struck_for: Sequence[str]) -> str:
    earned = sum(one.points for one in details if one.met)
    possible = sum(one.points for one in details if one.points > 0)
    told = [
        f"{earned:g} of {possible:g} points, {sum(one.met is True for one in details)} of {len(details)} criteria met"
    ]
    if lost:
        told.append(f"{lost} lost, value between {bounds.low:.3f} and {bounds.high:.3f}")
    if struck_for:
        told.append(f"not shown to the judge: {', '.join(struck_for)}")
    return "; ".join(told)


def _numbers(details: Sequence[Detail], lost: int) -> dict[str, float]:
    wanted = [one for one in details if one.points > 0]
    return {
        "met": sum(one.met is True for one in wanted) / len(wanted),
        "harmful": float(sum(one.met is True for one in details if one.points < 0)),
        "lost": float(lost),
    }


def _detail(criterion: Criterion, outcome: Outcome | None) -> Detail:
    if outcome is None:  # nothing is left of the answer that could meet it
        return Detail(
            criterion.text, False, criterion.points, "nothing of the answer is left to meet it", criterion.tags
        )
    if isinstance(outcome, Verdict):
        said = outcome.reply.strip()[:_SAID]
        return Detail(criterion.text, outcome.matches, criterion.points, said, criterion.tags)
    return Detail(criterion.text, None, criterion.points, f"lost: {outcome}", criterion.tags)


def _first_failure(outcomes: Any) -> str:
    return next((str(one) for one in outcomes if isinstance(one, JudgeRejected)), "")


def _range_problems(**values: Any) -> list[Problem]:
    problems = []
    for name, low, high in (("per_call", 1, 50), ("trial", 1, None), ("agreement", 0, 1), ("tolerance", 0, 1)):
        value = values[name]
        if isinstance(value, bool) or not (value >= low and (high is None or value <= high)):
            says = f"{value} is not from {low} " + (f"to {high}" if high is not None else "on")
            problems.append(Problem(f"{_KEY}.{name}", "out-of-range", says))
    return problems
