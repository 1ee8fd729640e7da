import pytest

from medix_r1.reports.outcome import changes, sentence


def steps(before, after, half=0.05, source="views"):
    key = f"heldout/{source}/overall"
    return {0: {f"{key}/mean": before, f"{key}/interval": half}, 8: {f"{key}/mean": after, f"{key}/interval": half}}


@pytest.mark.parametrize(
    ("after", "is_clear", "said"),
    [(0.5, True, "rose: views 0.200 → 0.500"), (0.0, True, "fell"), (0.25, False, "moved within its 95 % intervals")],
)
def test_a_change_is_clear_where_the_intervals_are_apart(after, is_clear, said):
    found = changes(steps(0.2, after))

    assert [one.is_clear for one in found] == [is_clear]
    assert said in sentence({}, found, 0)
    assert "no alarm rang" in sentence({}, found, 0)


def test_sets_that_differ_are_told_apart():
    a, b = steps(0.2, 0.9, source="a"), steps(0.9, 0.2, source="b")

    said = sentence({}, changes({step: a[step] | b[step] for step in a}), 2)

    assert "0.900 (rose)" in said
    assert "0.200 (fell)" in said
    assert "2 alarms rang" in said


def test_without_two_validations_it_is_the_training_reward():
    found = changes(
        {0: {"heldout/a/overall/mean": 0.1}, 1: {"reward/overall/mean": 0.2}, 2: {"reward/overall/mean": 0.4}}
    )

    assert [(one.source, one.steps, one.is_clear) for one in found] == [("training", (1, 2), None)]
    assert sentence({}, found, 0).startswith("Training reward rose: 0.200 → 0.400")


@pytest.mark.parametrize(("exact", "is_said"), [((0.2, 0.24), True), ((0.2, 0.1), True), ((0.2, 0.6), False)])
def test_a_reward_that_rises_alone_is_said(exact, is_said):
    found = steps(0.2, 0.9)
    for step, mean in zip(found, exact, strict=True):
        found[step] |= {"heldout/views/exact/mean": mean, "heldout/views/exact/interval": 0.05}

    assert ("did not rise" in sentence({}, changes(found), 0)) == is_said


def test_where_the_reward_does_not_rise_nothing_is_said_of_exact_match():
    found = steps(0.2, 0.25)
    found[0] |= {"heldout/views/exact/mean": 0.2}
    found[8] |= {"heldout/views/exact/mean": 0.1}

    assert "exact" not in sentence({}, changes(found), 0)


def test_a_run_of_one_step_has_no_outcome_yet():
    assert changes({1: {"reward/overall/mean": 0.2}}) == []
    assert "twice" in sentence({}, [], 0)
