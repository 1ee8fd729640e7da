"""A cascade of two judges: a small one answers, and a strong one decides what the small one is not sure of.

The small judge gives P(YES). Below the band it means NO and above it YES; inside the band the strong judge is asked. A
random share of all questions goes to both, so that running_agreement.py can say how well they agree.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping

from medix_r1.errors import ConfigError, JudgeError, JudgeUnavailable, Problem
from medix_r1.models.connection import to_json
from medix_r1.models.ensemble.running_agreement import RunningAgreement
from medix_r1.models.settings import count_problems
from medix_r1.models.verdict import Judge, Question, Verdict, added_up

_KEY = "judge.client"


class CascadeJudge:
    """Asks the small judge, and the strong one where the small one is unsure or the question is drawn.

    Where the strong judge is asked, its verdict counts. Where it fails, the cascade fails as it did: the small judge's
    verdict never stands in for it. Verdicts are YES or NO, without a probability, because those of two models do not
    compare.

    Args:
        small: gives the probabilities: a `ChatJudge` with `mode=probability`, or a vote with such a member.
        strong: any judge.
        low, high: the band, in [0, 1]: a probability below `low` is NO, one above `high` is YES, the rest is asked.
        audit_share: share of the questions, in [0, 1], that go to both judges. The question's own hash decides, so
            equal questions are drawn alike in every process and after every restart.
        seed: of the draw.
        window: number of drawn questions that a running estimate looks back on.
        expected_agreement: of both judges, in (0, 1], as `medix-r1 judge band` measures it; what the drift counts from.
            None: the agreement on the first `window` questions drawn.

    Raises:
        ConfigError: all problems of these settings.
    """

    def __init__(
        self,
        *,
        small: Judge,
        strong: Judge,
        low: float,
        high: float,
        audit_share: float = 0.02,
        seed: int = 1,
        window: int = 200,
        expected_agreement: float | None = None,
    ) -> None:
        problems = [*_band_problems(low, high, audit_share), *count_problems(_KEY, window=window)]
        if not _is_within(audit_share):
            says = f"{audit_share!r} is not from 0 (no question is drawn) to 1 (every question goes to both)"
            problems.append(Problem(f"{_KEY}.audit_share", "out-of-range", says))
        if not isinstance(seed, int) or isinstance(seed, bool):
            problems.append(Problem(f"{_KEY}.seed", "not-a-whole-number", f"{seed!r} is no whole number"))
        if expected_agreement is not None and not (_is_within(expected_agreement) and expected_agreement > 0):
            says = f"{expected_agreement!r} is no agreement above 0, up to 1; null takes that of the first questions"
            problems.append(Problem(f"{_KEY}.expected_agreement", "out-of-range", says))
        if problems:
            raise ConfigError(problems)
        self.small, self.strong, self.low, self.high = small, strong, low, high
        self._share, self._seed = audit_share, seed
        self._agreement = RunningAgreement(window=window, expected=expected_agreement)
        self.asked = self.in_band = self.drawn = self.strong_failed = 0

    async def judge(self, question: Question) -> Verdict:
        """Return the small judge's verdict where it is sure and the question is not drawn, else the strong judge's.

        Raises:
            JudgeUnavailable: a judge that was asked is unavailable; or the small one gives no probabilities.
            JudgeRejected: a judge that was asked rejects the question.
        """
        self.asked += 1
        key = _digest(self._seed, question)
        if int.from_bytes(key[:8]) < self._share * 2**64:
            return await self._ask_both(key, question)
        small = await self.small.judge(question)
        by_small = self._by_small(small)
        if by_small is not None:
            return Verdict(by_small, f"{_word(by_small)} (small judge, {_leaning(small)})")
        self.in_band += 1
        return self._by_strong(small, await self._ask_strong(question))

    async def _ask_both(self, key: bytes, question: Question) -> Verdict:
        """Ask both at once; the strong judge's verdict counts, and the estimates take note of both."""
        small, strong = await asyncio.gather(
            self.small.judge(question), self._ask_strong(question), return_exceptions=True
        )
        for outcome in sorted((small, strong), key=lambda one: not isinstance(one, JudgeUnavailable)):
            if isinstance(outcome, BaseException):
                raise outcome
        assert isinstance(small, Verdict)
        assert isinstance(strong, Verdict)
        by_small = self._by_small(small)
        self.drawn += 1
        self.in_band += by_small is None
        self._agreement.add(key, small=small.matches, strong=strong.matches, by_small=by_small)
        return self._by_strong(small, strong)

    async def _ask_strong(self, question: Question) -> Verdict:
        try:
            return await self.strong.judge(question)
        except JudgeError:
            self.strong_failed += 1
            raise

    def _by_small(self, verdict: Verdict) -> bool | None:
        """The small judge's verdict outside the band; None inside it."""
        if verdict.probability is None:
            raise JudgeUnavailable(
                "the small judge of the cascade gives no probabilities; set mode=probability for it",
                code="no-probability",
            )
        if self.low <= verdict.probability <= self.high:
            return None
        return verdict.probability > self.high

    def _by_strong(self, small: Verdict, strong: Verdict) -> Verdict:
        said = f"{_word(strong.matches)} (strong judge: {strong.reply.strip()}; small {_leaning(small)})"
        return Verdict(strong.matches, said)

    def statistics(self) -> dict[str, float]:
        """Both judges' counters added up, each one's own under `small/` and `strong/`, the cascade's, the estimates.

        `asked` counts questions, `in_band` those that the small judge was not sure of, `drawn` those that went to both
        at random, `strong_failed` those that the strong judge left without a verdict.
        """
        members: Mapping[str, dict[str, float]] = {
            "small": self.small.statistics(),
            "strong": self.strong.statistics(),
        }
        own = {
            "asked": float(self.asked),
            "in_band": float(self.in_band),
            "drawn": float(self.drawn),
            "strong_failed": float(self.strong_failed),
        }
        total = added_up(members.values())
        if self.asked and total.get("cost"):
            own["estimated_cost_per_1000"] = 1000 * total["cost"] / self.asked
        each = {f"{name}/{key}": value for name, numbers in members.items() for key, value in numbers.items()}
        return total | each | own | self._agreement.estimates()

    async def aclose(self) -> None:
        """Close both judges."""
        await self.small.aclose()
        await self.strong.aclose()


def _band_problems(low: float, high: float, audit_share: float) -> list[Problem]:
    problems = [
        Problem(f"{_KEY}.{name}", "out-of-range", f"{value!r} is no probability; use a number from 0 to 1")
        for name, value in (("low", low), ("high", high))
        if not _is_within(value)
    ]
    if problems:
        return problems
    if low > high:
        says = f"{low:g} is above high={high:g}; the band goes from low to high (medix-r1 judge band chooses one)"
        return [Problem(f"{_KEY}.low", "band-crossed", says)]
    if low == 0 and high == 1:
        says = "the band from 0 to 1 holds every answer, so the small judge decides nothing; use the strong one alone"
        return [Problem(f"{_KEY}.low", "band-holds-all", says)]
    if low == high and audit_share == 0:
        says = (
            f"the band from {low:g} to {high:g} holds next to nothing and audit_share=0 draws nothing, so the strong "
        )
        says += "judge is never asked; widen the band (medix-r1 judge band chooses one) or raise audit_share"
        return [Problem(f"{_KEY}.high", "strong-never-asked", says)]
    return []


def _is_within(value: object) -> bool:
    """Whether a value is a number in [0, 1]."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 and math.isfinite(value)


def _digest(seed: int, question: Question) -> bytes:
    """A hash of the seed and of everything that is asked."""
    images = [hashlib.sha256(image).hexdigest() for image in question.images]
    fields = [question.question, question.reference, question.prediction, question.choices]
    return hashlib.sha256(to_json([seed, *fields, images, question.prompt, question.text])).digest()[:16]


def _word(matches: bool) -> str:
    return "YES" if matches else "NO"


def _leaning(verdict: Verdict) -> str:
    return f"P(YES) {verdict.probability:.3g}"
