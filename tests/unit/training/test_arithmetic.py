import pytest

from medix_r1.training.arithmetic import BatchArithmetic


def recipe(ranks: int, **changes: int) -> BatchArithmetic:
    """The public recipes' batch: 512 prompts x 5, mini-batches of 128 prompts."""
    fields = {"prompts": 512, "group": 5, "mini_prompts": 128, "ranks": ranks, "epochs_per_step": 1}
    return BatchArithmetic(**{**fields, **changes}, rows_per_pass=None, train_rows=51_335)


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
