import asyncio
import itertools
from typing import Any

import pytest

from medix_r1.errors import ConfigError, JudgeError, JudgeRejected, JudgeUnavailable
from medix_r1.models.ensemble.cascade import CascadeJudge
from medix_r1.models.ensemble.voting import VotingJudge
from medix_r1.models.judge import Question, Verdict
from tests.support.judge_stub import JudgeStub
from tests.support.problems import coded, codes, only

DOWN, REFUSED = JudgeUnavailable("down"), JudgeRejected("too long")


class Member:
    """Says the same of every question: a probability, a verdict, or an error."""

    def __init__(
        self, says: float | bool | Exception, cost: float = 0.25, together: asyncio.Barrier | None = None
    ) -> None:
        self.says, self.cost, self.together, self.questions = says, cost, together, list[Question]()
        self.closed = False

    async def judge(self, question: Question) -> Verdict:
        self.questions.append(question)
        if self.together is not None:
            await self.together.wait()
        if isinstance(self.says, Exception):
            raise self.says
        if isinstance(self.says, bool):
            return Verdict(self.says, "YES" if self.says else "NO")
        return Verdict(self.says >= 0.5, "YES" if self.says >= 0.5 else "NO", self.says)

    def statistics(self) -> dict[str, float]:
        return {"calls": 3.5, "cost": self.cost, "latency_p50": self.cost}

    async def aclose(self) -> None:
        self.closed = True


def question(number: int = 0) -> Question:
    return Question("Which side?", "left lung", f"answer {number}")


def cascade(small: Any, strong: Any, **settings: Any) -> CascadeJudge:
    members = {
        name: Member(says) if isinstance(says, float | bool | Exception) else says
        for name, says in (("small", small), ("strong", strong))
    }
    return CascadeJudge(**{"low": 0.2, "high": 0.8, "audit_share": 0.0, **members, **settings})


@pytest.mark.parametrize(
    ("probability", "strong", "matches", "asked"),
    [
        (0.1, True, False, False),
        (0.9, False, True, False),
        (0.2, True, True, True),  # the band's ends belong to it
        (0.8, False, False, True),
        (0.5, True, True, True),
        (0.6, False, False, True),
    ],
)
async def test_only_the_band_goes_to_the_strong_judge(probability, strong, matches, asked):
    judge = cascade(probability, strong)
    verdict = await judge.judge(question())

    assert (verdict.matches, verdict.probability) == (matches, None)
    assert verdict.score == float(matches)
    assert bool(judge.strong.questions) is asked  # type: ignore[attr-defined]
    numbers = judge.statistics()
    assert (numbers["asked"], numbers["in_band"]) == (1, float(asked))


async def test_a_band_beside_one_half_moves_the_limit():
    judge = cascade(0.3, False, low=0.02, high=0.1)
    assert (await judge.judge(question())).matches is True


@pytest.mark.parametrize("error", [DOWN, REFUSED])
@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_strong_judge_that_fails_is_never_replaced_by_the_small_one(error, share):
    judge = cascade(0.6, error, audit_share=share)
    with pytest.raises(type(error), match=str(error)):
        await judge.judge(question())
    assert judge.statistics()["strong_failed"] == 1
    assert "estimated_from" not in judge.statistics()


async def test_a_drawn_question_outside_the_band_fails_with_the_strong_judge_too():
    with pytest.raises(JudgeRejected, match="too long"):
        await cascade(0.99, REFUSED, audit_share=1.0).judge(question())


async def test_a_strong_judge_that_is_down_does_not_matter_while_the_small_one_is_sure():
    assert (await cascade(0.99, DOWN).judge(question())).matches is True


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("error", [DOWN, REFUSED])
async def test_a_small_judge_that_fails(error, share):
    with pytest.raises(type(error), match=str(error)):
        await cascade(error, True, audit_share=share).judge(question())


async def test_an_outage_counts_more_than_a_refusal_when_both_judges_fail():
    for small, strong in itertools.permutations((DOWN, REFUSED)):
        with pytest.raises(JudgeUnavailable):
            await cascade(small, strong, audit_share=1.0).judge(question())


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_bug_is_no_failed_judge(share):
    with pytest.raises(ZeroDivisionError):
        await cascade(ZeroDivisionError(), True, audit_share=share).judge(question())


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_small_judge_without_probabilities_stops_the_run(share):
    with pytest.raises(JudgeUnavailable, check=coded("no-probability")):
        await cascade(True, True, audit_share=share).judge(question())


async def test_the_strong_judges_verdict_counts_on_a_drawn_question():
    judge = cascade(0.99, False, audit_share=1.0)
    verdict = await judge.judge(question())

    assert verdict.matches is False
    assert judge.statistics()["estimated_error"] == 1.0


async def test_the_draw_goes_by_the_question_and_the_seed():
    async def drawn(seed: int, numbers: list[int]) -> set[str]:
        judge = cascade(0.99, True, audit_share=0.3, seed=seed)
        for number in numbers:
            await judge.judge(question(number))
        return {asked.prediction for asked in judge.strong.questions}  # type: ignore[attr-defined]

    everyone = list(range(400))
    first = await drawn(1, everyone)
    assert 0.2 < len(first) / 400 < 0.4
    assert await drawn(1, everyone[::-1]) == first
    assert await drawn(2, everyone) != first


async def test_both_judges_of_a_drawn_question_are_asked_at_once():
    together = asyncio.Barrier(2)  # neither answers before both are asked
    judge = cascade(Member(0.99, together=together), Member(True, together=together), audit_share=1.0)
    async with asyncio.timeout(30):
        await judge.judge(question())


async def test_the_estimates_take_a_question_once():
    judge = cascade(0.9, True, audit_share=1.0)
    await asyncio.gather(*(judge.judge(question(number % 3)) for number in range(12)))
    assert judge.statistics()["estimated_from"] == 3
    assert judge.statistics()["drawn"] == 12


async def test_counters_of_both_judges():
    judge = cascade(Member(0.1, cost=0.25), Member(True, cost=0.75))
    for number in range(4):
        await judge.judge(question(number))
    assert judge.statistics() == {
        "calls": 7.0,
        "cost": 1.0,
        "latency_p50": 0.75,
        "small/calls": 3.5,
        "small/cost": 0.25,
        "small/latency_p50": 0.25,
        "strong/calls": 3.5,
        "strong/cost": 0.75,
        "strong/latency_p50": 0.75,
        "asked": 4.0,
        "in_band": 0.0,
        "drawn": 0.0,
        "strong_failed": 0.0,
        "estimated_cost_per_1000": 250.0,
    }
    await judge.aclose()
    assert judge.small.closed  # type: ignore[attr-defined]
    assert judge.strong.closed  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"low": 0.8, "high": 0.2}, ("low", "band-crossed")),
        ({"low": -0.1}, ("low", "out-of-range")),
        ({"high": 1.5}, ("high", "out-of-range")),
        ({"low": float("nan")}, ("low", "out-of-range")),
        ({"high": True}, ("high", "out-of-range")),
        ({"low": "0.1"}, ("low", "out-of-range")),
        ({"low": 0.0, "high": 1.0}, ("low", "band-holds-all")),
        ({"low": 0.5, "high": 0.5}, ("high", "strong-never-asked")),
        ({"audit_share": 1.2}, ("audit_share", "out-of-range")),
        ({"audit_share": -1}, ("audit_share", "out-of-range")),
        ({"window": 0}, ("window", "not-a-count")),
        ({"seed": 1.5}, ("seed", "not-a-whole-number")),
        ({"expected_agreement": 0}, ("expected_agreement", "out-of-range")),
        ({"expected_agreement": 93}, ("expected_agreement", "out-of-range")),
    ],
)
def test_settings_that_cannot_be(settings, problem):
    with pytest.raises(ConfigError, check=only((f"judge.client.{problem[0]}", problem[1]))):
        cascade(0.5, True, **settings)


def test_all_wrong_settings_are_said_together():
    with pytest.raises(ConfigError) as caught:
        cascade(0.5, True, low=0.9, high=0.1, audit_share=7, window=-1)
    assert sorted(key.rpartition(".")[2] for key, _ in codes(caught.value)) == ["audit_share", "low", "window"]


def test_an_empty_band_is_allowed_where_a_share_is_drawn():
    cascade(0.5, True, low=0.5, high=0.5, audit_share=0.1)


@pytest.mark.parametrize("strong", [True, False])
async def test_the_small_judge_may_be_a_vote_and_the_strong_one_another(strong):
    small = VotingJudge(judges=[Member(0.4), Member(0.8)])  # the mean is 0.6
    votes = VotingJudge(judges=[Member(strong), Member(strong), Member(not strong)])
    assert (await cascade(small, votes).judge(question())).matches is strong


async def test_a_vote_that_is_open_masks():
    votes = VotingJudge(judges=[Member(True), Member(REFUSED), Member(False)], quorum=2)
    with pytest.raises(JudgeRejected, check=coded("vote-open")):
        await cascade(0.6, votes).judge(question())


async def test_a_cascade_may_be_a_member_of_a_vote_and_the_strong_judge_of_another_cascade():
    inner = cascade(0.5, True)
    assert (await VotingJudge(judges=[inner, Member(True), Member(False)]).judge(question())).matches is True
    outer = cascade(0.5, cascade(0.4, True))
    assert (await outer.judge(question())).matches is True
    assert "strong/small/calls" in outer.statistics()


async def test_a_cascade_without_probability_cannot_be_the_small_judge():
    with pytest.raises(JudgeError, check=coded("no-probability")):
        await cascade(cascade(0.9, True), True).judge(question())


async def test_real_clients_share_calls_and_verdicts_outlive_a_run(make_judge, tmp_path):
    """Cascade, vote and cache together: in a second run nobody is asked."""
    with JudgeStub() as small, JudgeStub(answer=lambda _: "YES") as one, JudgeStub(answer=lambda _: "NO") as two:
        small.tokens = {"YES": -0.69, "NO": -0.69}  # it does not know

        def build() -> CascadeJudge:
            def judge(stub: JudgeStub, name: str, **settings: Any) -> Any:
                return make_judge(stub.address, model=name, cache_path=str(tmp_path), **settings)

            votes = VotingJudge(judges=[judge(one, "a"), judge(one, "b"), judge(two, "c")])
            return cascade(judge(small, "s", mode="probability"), votes)

        for calls in (1, 1):
            both = build()
            verdicts = await asyncio.gather(*(both.judge(question()) for _ in range(5)))
            assert {verdict.matches for verdict in verdicts} == {True}
            assert [len(stub.calls) for stub in (small, one, two)] == [calls, 2 * calls, calls]
            await both.aclose()
