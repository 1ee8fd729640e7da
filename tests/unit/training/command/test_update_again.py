"""What a step's update is made of when the reward is another one, and why an update cannot be done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medix_r1.runs.folder import RunFolder
from medix_r1.training.command.update_again import Updated, as_it_was, update_lines, what_if, why_not
from tests.support.configs import set_in
from tests.support.problems import numbers

NO_FILTER = {"signal": None, "low": None, "high": None}
BY_JUDGE = {"signal": "llm", "low": None, "high": None}


def line(group: str, place: int, **changes: Any) -> dict[str, Any]:
    return {
        "key": f"{group}_{place}_0",
        "uid": group,
        "overall": 0.5,
        "parts": {"llm": 0.5},
        "filtered": False,
    } | changes


LINES = [line(group, place) for group in "ab" for place in range(3)]


def parts(*values: float | None) -> list[dict[str, float | None]]:
    return [{"llm": value} for value in values]


def test_without_words_every_sample_keeps_its_reward() -> None:
    changes = as_it_was(LINES)

    assert list(changes) == [one["key"] for one in LINES]
    assert {one["total"] for one in changes.values()} == {None}


def test_other_rewards_come_with_their_parts() -> None:
    totals = [1.0, 0.0, 0.25, 0.5, 0.5, 0.5]

    changes, says = what_if(LINES, totals, parts(*totals), NO_FILTER)

    assert [one["total"] for one in changes.values()] == totals
    assert changes["a_2_0"]["record"]["overall"] == 0.25
    assert changes["a_2_0"]["record"]["parts"] == {"llm": 0.25}
    assert says == []  # without a filter a group of equal rewards is trained on, with an advantage of 0


def test_masked_samples_and_lone_ones_are_left_out() -> None:
    totals = [1.0, None, 0.0, 1.0, None, None]

    changes, says = what_if(LINES, totals, parts(*totals), NO_FILTER)

    assert list(changes) == ["a_0_0", "a_2_0"]
    assert [numbers(one)[0] for one in says] == [1]


def test_groups_are_filtered_by_the_values_of_now() -> None:
    """Group a was trained on and teaches nothing now; group c was dropped and would teach now, but has no tokens."""
    lines = [*LINES, *(line("c", place, filtered=True) for place in range(3))]
    totals = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]

    changes, says = what_if(lines, totals, parts(1, 1, 1, 0, 1, 1, 0, 0, 1), BY_JUDGE)

    assert list(changes) == ["b_0_0", "b_1_0", "b_2_0", "c_0_0", "c_1_0", "c_2_0"]  # tokens decide about c
    assert [numbers(one)[0] for one in says] == [1, 1]


def test_the_filter_may_look_at_the_total() -> None:
    changes, _ = what_if(LINES, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0], parts(*[None] * 6), BY_JUDGE | {"signal": "overall"})

    assert {key[0] for key in changes} == {"b"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    folder.create()
    return folder


def kept(run: RunFolder, *steps: int) -> None:
    for step in steps:
        run.tokens(step).parent.mkdir(parents=True, exist_ok=True)
        run.tokens(step).touch()


@pytest.mark.parametrize(
    ("steps", "values", "named"),
    [
        ((), {}, "run.samples.tokens"),
        ((1, 2), {}, "1 to 2"),
        ((3,), {}, "run.keep_checkpoints"),
        ((3,), {"run.samples.share": 0.5}, "run.samples.share"),
        ((3,), {"trainer.v1.trainer_mode": "separate_async"}, "separate_async"),
    ],
)
def test_it_says_why_an_update_cannot_be_done_again(
    run: RunFolder, steps: tuple[int, ...], values: dict[str, Any], named: str
) -> None:
    kept(run, *steps)

    reason = why_not(run, 3, set_in("experiment=nano_cpu", **values))

    assert named in str(reason)


def test_the_first_step_needs_no_checkpoint(run: RunFolder) -> None:
    kept(run, 1)

    assert why_not(run, 1, set_in("experiment=nano_cpu")) is None


@pytest.mark.parametrize(
    ("recorded", "changed", "equal"),
    [(0.1, False, True), (0.1 + 1e-16, False, False), (None, False, False), (0.1, True, False)],
)
def test_equal_means_every_bit(recorded: float | None, changed: bool, equal: bool) -> None:
    updated = Updated({"actor/grad_norm": 0.1}, 5, 5, 0.0, "a processor")

    lines = update_lines(updated, recorded, changed=changed, begins="the model")

    assert ("bit for bit" in lines[0]) is equal
    assert any("a processor" in one for one in lines) is (not equal and not changed)
