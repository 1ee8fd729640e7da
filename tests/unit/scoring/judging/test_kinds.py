import pytest

from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.scoring.judging.kinds import Rated, by_kind, holes, kind_of, youden


def sample(answer: str, reference: str, choices: tuple[str, ...] = ()) -> Sample:
    reply = f"<thinking>x</thinking><answer>{answer}</answer>"
    return SampleReader().read(reply, reference=reference, has_image=False, choices=choices)


@pytest.mark.parametrize(
    ("answer", "reference", "kind"),
    [
        ("the left one", "left lung", "side"),
        ("lung", "left lung", "side"),
        ("3 cm", "30 mm", "number"),
        ("no fracture", "fracture", "negation"),
        ("liver or spleen", "liver", "several answers"),
        ("I cannot tell", "liver", "does not know"),
        ("the organ which lies below the diaphragm and makes bile", "liver", "much longer"),
        ("hepar", "liver", "other words"),
    ],
)
def test_what_rules_see_in_an_answer(answer, reference, kind):
    assert kind_of(sample(answer, reference)) == kind


def test_a_question_with_options_is_a_kind_of_its_own():
    assert kind_of(sample("left lung", "B", ("left lung", "right lung"))) == "multiple choice"


def rows(kind: str, *counts: int) -> list[Rated]:
    """Right and accepted, right and refused, wrong and accepted, wrong and refused."""
    values = ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0))
    return [Rated(kind, *pair) for pair, count in zip(values, counts, strict=True) for _ in range(count)]


def test_errors_by_kind_with_the_worst_first():
    found = by_kind([*rows("a", 90, 10, 5, 95), *rows("hedge", 0, 0, 30, 20), *rows("b", 5, 0, 0, 0)])

    assert [one.kind for one in found] == ["all", "hedge", "a", "b"]
    assert (found[0].false_no.count, found[0].false_no.of) == (10, 105)
    assert (found[0].false_yes.count, found[0].false_yes.of) == (35, 150)
    assert found[1].false_no.share is None
    assert found[1].false_no.interval is None
    assert found[1].false_yes.share == 0.6
    interval = found[1].false_yes.interval
    assert interval is not None
    assert 0.4 < interval.low < 0.6 < interval.high < 0.8


def test_a_kind_pays_a_policy_that_earns_less_by_its_own_answers():
    found = by_kind([*rows("own", 80, 20, 0, 100), *rows("hedge", 0, 0, 50, 50)])
    hedge = next(one for one in found if one.kind == "hedge")

    # Own answers of a policy that is right in p of them: 0.8 p + 0.25 (1 - p), as 50 of 200 wrong ones are accepted.
    assert hedge.pays_below is not None
    assert hedge.pays_below == pytest.approx(0.25 / 0.55)
    assert 0.8 * hedge.pays_below + 0.25 * (1 - hedge.pays_below) == pytest.approx(0.5)
    assert next(one for one in found if one.kind == "own").pays_below is None


def test_a_kind_pays_everybody_where_the_judge_tells_nothing_apart():
    found = by_kind([*rows("own", 50, 50, 45, 55), *rows("hedge", 0, 0, 90, 10)])
    assert next(one for one in found if one.kind == "hedge").pays_below == 1.0


def test_holes_are_kinds_that_are_accepted_beyond_chance():
    found = by_kind([*rows("small", 0, 0, 1, 3), *rows("sure", 0, 0, 20, 80), *rows("safe", 9, 0, 1, 99)])
    assert [one.kind for one in holes(found, 0.1)] == ["sure"]


def test_right_answers_minus_wrong_ones():
    found = youden(by_kind(rows("a", 90, 10, 5, 95))[0])
    assert found is not None
    value, interval = found
    assert value == pytest.approx(0.85)
    assert 0.75 < interval.low < 0.85 < interval.high < 0.92


@pytest.mark.parametrize("counts", [(5, 5, 0, 0), (0, 0, 5, 5)])
def test_nothing_is_told_apart_where_all_is_right_or_all_is_wrong(counts):
    assert youden(by_kind(rows("a", *counts))[0]) is None
