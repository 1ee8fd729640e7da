from dataclasses import replace

import pytest

from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin.looking.measures import looking_metrics
from tests.support.rollouts import BLANK


def rollout(row: str, session: int, overall: float | None, answer: str | None = "lung", **other) -> ScoredRollout:
    key = f"any{row}_{session}_0"
    return replace(
        BLANK,
        key=key,
        row_id=row,
        overall=overall,
        masked=overall is None,
        parts={"llm": overall},
        answer=answer,
        **other,
    )


def test_a_row_counts_once_however_many_replies_it_has() -> None:
    real = [rollout("a", 0, 1.0), rollout("a", 1, 0.0), rollout("b", 0, 1.0), rollout("not asked again", 0, 1.0)]
    shuffled = [rollout("b", 0, 0.0), rollout("a", 0, 0.0), rollout("a", 1, 0.5), rollout("a", 2, 0.4)]

    found = looking_metrics(real, {"shuffled": shuffled})

    gaps = [0.5 - 0.3, 1.0]
    assert found["looking/rows/shuffled"] == 2
    assert found["looking/real_minus_shuffled"] == pytest.approx(sum(gaps) / 2)
    assert found["looking/real_minus_shuffled/by_part/llm"] == pytest.approx(sum(gaps) / 2)
    assert found["looking/real_minus_shuffled/interval"] == pytest.approx(1.96 * 0.8 / 2)


def test_answers_are_compared_reply_by_reply_and_by_modality() -> None:
    mri = "<MRI_SCAN>\nbrain"
    real = [rollout("a", 0, 1.0), rollout("a", 1, 1.0, "Left lung."), rollout("b", 0, 1.0, reference=mri)]
    blank = [rollout("a", 0, 1.0, "heart"), rollout("a", 1, 1.0, "left lung"), rollout("b", 0, 0.0, reference=mri)]

    found = looking_metrics(real, {"blank": blank})

    assert found["looking/unchanged_share/blank"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["looking/unchanged_share/blank/by_modality/X_RAY"] == 0.5
    assert found["looking/unchanged_share/blank/by_modality/MRI_SCAN"] == 1.0
    assert found["looking/real_minus_blank/by_modality/X_RAY"] == 0.0
    assert found["looking/real_minus_blank/by_modality/MRI_SCAN"] == 1.0


def test_what_nobody_scored_is_left_out_of_the_gap_and_not_of_the_answers() -> None:
    real = [rollout("a", 0, None), rollout("a", 1, 1.0), rollout("b", 0, 1.0)]
    shuffled = [rollout("a", 0, 0.0), rollout("a", 1, 0.5), rollout("b", 0, None)]

    found = looking_metrics(real, {"shuffled": shuffled})

    assert found["looking/real_minus_shuffled"] == pytest.approx(1.0 - 0.25)
    assert "looking/real_minus_shuffled/interval" not in found, "one row has none"
    assert found["looking/unchanged_share/shuffled"] == 1.0


def test_no_number_is_made_up_when_nothing_came_back() -> None:
    assert looking_metrics([rollout("a", 0, 1.0)], {"shuffled": []}) == {"looking/rows/shuffled": 0.0}
