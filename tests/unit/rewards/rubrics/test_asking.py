"""Batches of criteria: believed once they are shown to agree, never otherwise, and cheap either way."""

import pytest

from medix_r1.models.rubric import Criterion, read_criteria
from medix_r1.rewards.rubrics.asking import Asked, CriteriaAsker, Trial
from tests.unit.rewards.rubrics.judges import RuleJudge, WritingJudge, by_words

WORDS = "alpha beta gamma delta epsilon zeta eta theta".split()  # noqa: SIM905
TEMPLATE = "<conversation>{conversation}</conversation><reply>{reply}</reply><criterion>{criterion}</criterion>"


def questions(number: int, criteria: int = 8) -> list[Asked]:
    text = " ".join(word for place, word in enumerate(WORDS) if number >> place & 1) or "none"
    return [Asked("q", f"{text} {number}", Criterion(f"names {word}", 1)) for word in WORDS[:criteria]]


def asker(judge: RuleJudge, per_call: int, pairs: int = 64) -> CriteriaAsker:
    return CriteriaAsker(judge, template=TEMPLATE, per_call=per_call, trial=Trial(pairs=pairs, agreement=0.9))


def calls(judge: WritingJudge) -> int:
    return len(judge.asked) + len(judge.written)


@pytest.mark.parametrize("per_call", [2, 3, 5, 8])
async def test_batches_that_agree_are_believed_and_save_calls(per_call) -> None:
    judge = WritingJudge()
    batched = asker(judge, per_call)
    for number in range(100):
        outcomes = await batched.ask(questions(number))
        assert [one.matches for one in outcomes] == [
            by_words(one.criterion.text, one.text) for one in questions(number)
        ]
        assert calls(judge) <= 1.2 * batched.asked
    assert batched.trial.shown
    assert calls(judge) < 0.95 * batched.asked
    assert batched.statistics()["criteria_batched"] > 0


@pytest.mark.parametrize("per_call", [2, 3, 5, 8])
async def test_batches_that_lean_are_never_believed(per_call) -> None:
    judge = WritingJudge(leaning=lambda criterion, text: True)
    batched = asker(judge, per_call)
    for number in range(100):
        outcomes = await batched.ask(questions(number))
        assert [one.matches for one in outcomes] == [
            by_words(one.criterion.text, one.text) for one in questions(number)
        ]
        assert calls(judge) <= 1.2 * batched.asked
    assert batched.trial.decided
    assert not batched.trial.shown
    assert batched.statistics()["criteria_batched"] == 0


async def test_a_judge_that_writes_no_list_is_asked_one_at_a_time() -> None:
    judge = RuleJudge()
    await asker(judge, 8).ask(questions(7))
    assert len(judge.asked) == 8


async def test_a_judge_whose_lists_become_unreadable_is_asked_one_at_a_time_again() -> None:
    judge = WritingJudge()
    batched = asker(judge, 8)
    for number in range(40):
        await batched.ask(questions(number))
    shown_before = batched.trial.shown
    judge.garbled = True
    for number in range(40, 120):
        outcomes = await batched.ask(questions(number))
        assert [one.matches for one in outcomes] == [
            by_words(one.criterion.text, one.text) for one in questions(number)
        ]
    assert (shown_before, batched.trial.shown) == (True, False)
    assert calls(judge) <= 1.2 * batched.asked


async def test_an_unreadable_batch_agrees_in_nothing() -> None:
    trial = Trial(pairs=2, agreement=0.5)
    outcomes = await asker(WritingJudge(), 1).ask(questions(3, criteria=2))
    trial.add(outcomes, None)
    assert (trial.compared, trial.agreed, trial.shown) == (2, 0, False)


def test_agreement_has_to_be_certain_not_only_seen() -> None:
    trial = Trial(pairs=10, agreement=0.95)
    trial.compared = trial.agreed = 10
    assert trial.lower == pytest.approx(0.05 ** (1 / 10))  # Clopper-Pearson where all agree
    assert not trial.shown
    later = Trial(pairs=10, agreement=0.95)
    later.compared = later.agreed = 100
    assert later.shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 YES\n2 NO", (True, False)),
        ("1. YES\n2. no.\n", (True, False)),
        ("**1: YES**\n\n- 2) NO", (True, False)),
        ("<think>1 NO</think>1 YES\n2 YES", (True, True)),
        ("1 YES", None),
        ("1 YES\n2 NO\n3 NO", None),
        ("1 YES\n1 NO", None),
        ("1 YES\n2 NO\n2 NO", None),
        ("1 YES\n2 maybe", None),
        ("All are met.\n1 YES\n2 NO", None),
        ("YES\nNO", None),
        ("", None),
    ],
)
def test_a_list_of_verdicts_is_whole_or_none(text, found) -> None:
    assert read_criteria(text, 2) == found
