from medix_r1.training.preflight.machine import micro_batch
from tests.support.configs import composed


def test_as_many_of_the_largest_pictures_as_fit() -> None:
    stages = micro_batch.of_config(composed("experiment=medix_r1_8b_grpo"))
    assert (stages.update.tokens, stages.update.pictures) == (16896, (4096,) * 4)
    assert stages.log_probs == stages.update, "they are computed in the update's micro-batches"
    assert stages.reference is not None, "GRPO's recipe has a KL loss"
    assert (stages.reference.tokens, len(stages.reference.pictures)) == (33792, 8)
    shuffled = micro_batch.of_config(composed("experiment=medix_r1_8b_grpo", "actor_rollout_ref.actor.shuffle=true"))
    assert shuffled.log_probs == stages.reference


def test_no_reference_without_kl() -> None:
    assert micro_batch.of_config(composed("experiment=medix_r1_8b_dapo")).reference is None


def test_pictures_can_be_set_for_the_update() -> None:
    stages = micro_batch.of_config(composed("experiment=medix_r1_8b_dapo"), pictures=1)
    assert (len(stages.update.pictures), len(stages.log_probs.pictures)) == (1, 4)


def test_rows_that_are_counted_and_padded() -> None:
    config = composed(
        "experiment=medix_r1_8b_dapo",
        "actor_rollout_ref.actor.use_dynamic_bsz=false",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2",
        "actor_rollout_ref.model.use_remove_padding=false",
    )
    update = micro_batch.of_config(config).update
    assert (update.rows, update.tokens, update.padded, len(update.pictures)) == (2, 2 * 8448, True, 2)


def test_text_alone() -> None:
    config = composed("experiment=medix_r1_8b_dapo", "data.mm_processor_kwargs.max_pixels=null")
    assert micro_batch.of_config(config).update.pictures == ()
