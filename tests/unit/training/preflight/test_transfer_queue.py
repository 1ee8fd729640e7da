"""Sizes and limits of TransferQueue come from the batch."""

from __future__ import annotations

import pytest

from medix_r1.training.preflight import transfer_queue
from medix_r1.training.preflight.transfer_queue import SIZE, TIMEOUT, UNITS
from tests.support.configs import composed, set_in

RECIPE = "experiment=medix_r1_8b_grpo"
BATCH = "data.train_batch_size"
ROLLOUTS = "actor_rollout_ref.rollout.n"
REPLY = "data.max_response_length"


@pytest.mark.parametrize("recipe", ["medix_r1_8b_grpo", "medix_r1_8b_dapo", "medix_r1_2b_gpu24"])
def test_what_verl_has_is_the_least(recipe: str) -> None:
    config = composed(f"experiment={recipe}")

    assert transfer_queue.size(config) >= 100_000
    assert transfer_queue.timeout(config, 8) == 200


def test_a_batch_that_would_not_fit_has_room() -> None:
    """verl's 100,000 rows are fewer than 512 prompts x 16 rollouts with their pictures and 20 refills."""
    config = set_in("experiment=medix_r1_8b_dapo", **{ROLLOUTS: 16})

    assert transfer_queue.size(config) == 2 * (512 * 16 + 512) * 21


def test_a_request_may_take_longer_where_more_is_fetched_from_fewer_units() -> None:
    config = set_in(RECIPE, **{BATCH: 8192, ROLLOUTS: 16, REPLY: 16384})
    of_eight, of_two = transfer_queue.timeout(config, 8), transfer_queue.timeout(config, 2)

    assert 200 < of_eight < of_two
    assert of_two == pytest.approx(4 * of_eight, rel=0.01)


def test_what_the_config_says_stays() -> None:
    config = set_in(RECIPE)
    transfer_queue.complete(config, 2)
    found = config.transfer_queue.backend.SimpleStorage
    environment = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert (found.num_data_storage_units, found.total_storage_size, environment[TIMEOUT]) == (2, 100_000, "200")

    own = set_in(RECIPE, **{UNITS: 3, SIZE: 7})
    own.ray_kwargs.ray_init.runtime_env.env_vars[TIMEOUT] = "30"
    transfer_queue.complete(own, 2)
    found = own.transfer_queue.backend.SimpleStorage
    assert (found.num_data_storage_units, found.total_storage_size) == (3, 7)
    assert own.ray_kwargs.ray_init.runtime_env.env_vars[TIMEOUT] == "30"
