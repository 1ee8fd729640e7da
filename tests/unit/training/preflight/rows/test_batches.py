from typing import Any

import pytest

from medix_r1.training.preflight.rows.batches import BatchArithmetic, of_config
from tests.support.configs import composed, varied
from tests.support.problems import numbers


def recipe(ranks: int, **changes: int) -> BatchArithmetic:
    """The public recipes' batch: 512 prompts x 5, mini-batches of 128 prompts, micro-batches of two longest rows."""
    fields: dict[str, Any] = {"prompts": 512, "group": 5, "mini_prompts": 128, "ranks": ranks, "epochs_per_step": 1}
    fields |= {"micro_batch": 16_896, "by_tokens": True, "longest": 8448, "judges": 1, "refills": 0}
    return BatchArithmetic(**{**fields, **changes}, train_rows=51_335)


def test_eight_gpus_need_no_padding():
    batch = recipe(8)
    assert (batch.rollouts, batch.mini_rows, batch.updates) == (2560, 640, 4)
    assert (batch.padding, batch.real_per_update, batch.divides) == (0, 640, True)
    assert batch.steps_per_epoch == 100


@pytest.mark.parametrize(("ranks", "padded", "real"), [(6, 3840, 2560 / 6), (7, 4480, 2560 / 7)])
def test_six_or_seven_gpus_pad(ranks: int, padded: int, real: float):
    batch = recipe(ranks)
    assert batch.padded == padded
    assert batch.real_per_update == pytest.approx(real)
    assert not batch.divides


@pytest.mark.parametrize("ranks", [3, 6, 7, 12])
def test_suggestions_divide(ranks: int):
    suggestions = list(recipe(ranks).suggestions())
    assert suggestions
    for line in suggestions:
        prompts, mini = (int(word.partition("=")[2]) for word in line.split())
        suggested = recipe(ranks, prompts=prompts, mini_prompts=mini)
        assert suggested.divides, line
        assert suggested.padding == 0, line
        assert abs(prompts - 512) <= 128, line


def test_passes_over_a_batch_are_updates():
    assert recipe(8, epochs_per_step=2).updates == 8
    assert recipe(8, epochs_per_step=2).real_per_update == 640


def test_the_lines_say_padding_and_both_vocabularies():
    lines = recipe(7).lines()
    assert numbers(lines["padding"]) == [1920, 2560, 4480, 366, 640]
    assert numbers(recipe(8).lines()["padding"]) == [0, 2560, 2560, 640, 640]
    for name, words in (
        ("prompts a step", ("data.train_batch_size", "rollout_batch_size")),
        ("mini-batch", ("ppo_mini_batch_size", "global_batch_size")),
    ):
        assert [word for word in words if word not in lines[name]] == []
    assert numbers(lines["steps an epoch"]) == [100, 51335]


def test_micro_batches_of_a_step():
    assert recipe(8).micro_batches == 40  # 80 longest rows of a rank, two at a time
    assert numbers(recipe(8).lines()["micro-batches"]) == [16896, 40, 80, 160]
    assert recipe(8, micro_batch=4096, longest=8448).micro_batches == 80, "a row is never split"
    by_rows = recipe(8, by_tokens=False, micro_batch=3)
    assert numbers(by_rows.lines()["micro-batches"]) == [3, 27, 80, 108]


def test_refills_are_judged_too():
    """With a group filter, batches that are generated anew cost judge calls as well."""
    grpo = of_config(composed("experiment=medix_r1_8b_grpo")).lines()["judge calls a step"]
    assert numbers(grpo) == [2560]
    dapo = of_config(composed("experiment=medix_r1_8b_dapo")).lines()["judge calls a step"]
    assert numbers(dapo) == [2560, 51200, 20]


def test_judges_that_vote_are_asked_each_and_none_is_asked_for_nothing():
    assert recipe(8, judges=3).judge_calls == 7680
    assert of_config(composed("experiment=medix_r1_8b_grpo")).judges == 1
    vote = varied("experiment=medix_r1_8b_grpo", "judge=voting")
    assert of_config(vote).judges == len(vote.judge.client.judges) == 3
    assert of_config(composed("experiment=medix_r1_8b_grpo", "reward=embedding_only")).judges == 0


@pytest.mark.parametrize("key", ["fsdp_config.ulysses_sequence_parallel_size", "ulysses_sequence_parallel_size"])
def test_gpus_that_share_a_row_are_one_rank(key):
    gpus = "trainer.n_gpus_per_node=6"
    batch = of_config(composed("experiment=medix_r1_8b_grpo", gpus, f"actor_rollout_ref.actor.{key}=3"))
    assert (batch.ranks, batch.divides, batch.padding) == (2, True, 0)
    assert batch.micro_batch == 3 * 16_896
