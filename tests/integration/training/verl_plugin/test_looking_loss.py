"""The term that asks for looking, against its equation in NumPy, and in verl's engine on a real model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from medix_r1.training.verl_plugin.looking.loss import LookingLoss, looking_loss
from medix_r1.training.verl_plugin.pictures import StoredPictures
from tests.support.engine_probe import probe

ROWS, LENGTH = 6, 5


def numbers(seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    log_probs = [-rng.exponential(2.0, (ROWS, LENGTH)) for _ in range(2)]
    entropies = [rng.uniform(0, 3, (ROWS, LENGTH)) for _ in range(2)]
    mask = np.arange(LENGTH) < rng.integers(0, LENGTH + 1, (ROWS, 1))
    mask[0] = True
    return *log_probs, *entropies, mask


def expected(values: Sequence[np.ndarray], settings: LookingLoss, mode: str) -> float:
    """-coefficient · mean of min(log π - log π', bound), plus entropy · the means of both entropies."""
    own, other, own_entropy, other_entropy, mask = values

    def mean(of: np.ndarray) -> float:
        kept = np.where(mask, of, 0.0)
        if mode == "token-mean":
            return float(kept.sum() / mask.sum())
        return float(kept.sum(axis=1).sum() / ROWS)

    seen = mean(np.minimum(own - other, settings.bound))
    return -settings.coefficient * seen + settings.entropy * (mean(own_entropy) + mean(other_entropy))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entropy", [0.0, 0.03])
@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-sum"])
def test_the_term_is_its_equation_and_so_is_its_gradient(seed: int, entropy: float, mode: str) -> None:
    settings, values = LookingLoss(0.1, 1.5, entropy), numbers(seed)
    own, other, *entropies = (torch.tensor(one, requires_grad=True) for one in values[:4])
    mask = torch.tensor(values[4])
    info = {"dp_size": 1, "batch_num_tokens": int(mask.sum()), "global_batch_size": ROWS, "loss_scale_factor": None}
    actor = SimpleNamespace(loss_agg_mode=mode, global_batch_info=info)

    loss, metrics = looking_loss(settings, (own, other), tuple(entropies) if entropy else None, mask, actor)
    loss.backward()

    assert loss.item() == pytest.approx(expected(values, settings, mode))
    assert ("looking_entropies" in metrics) == bool(entropy)
    for which, tensor in enumerate((own, other)):
        for place in np.ndindex(ROWS, LENGTH):
            sides = []
            for step in (1e-6, -1e-6):
                moved = [one.copy() for one in values]
                moved[which][place] += step
                sides.append(expected(moved, settings, mode))
            assert tensor.grad[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-8)


def test_a_token_beyond_the_bound_teaches_nothing_more() -> None:
    own, other = (torch.tensor([[value]], requires_grad=True) for value in (-0.1, -9.0))
    info: dict[str, Any] = {"dp_size": 1, "batch_num_tokens": 1, "global_batch_size": 1, "loss_scale_factor": None}
    actor = SimpleNamespace(loss_agg_mode="token-mean", global_batch_info=info)
    loss, _ = looking_loss(LookingLoss(1.0, 2.0, 0.0), (own, other), None, torch.ones(1, 1, dtype=torch.bool), actor)
    loss.backward()
    assert (loss.item(), own.grad.item(), other.grad.item()) == (-2.0, 0.0, 0.0)


def test_settings_pass_to_the_workers_and_none_are_sent_for_nothing() -> None:
    node = SimpleNamespace(coefficient=0.1, bound=2, entropy=0)
    found = LookingLoss.of(node)
    assert found is not None
    assert LookingLoss.from_text(found.to_text()) == LookingLoss(0.1, 2.0, 0.0)
    assert LookingLoss.of(SimpleNamespace(coefficient=0.0, bound=2, entropy=0)) is None


def test_the_engine_compares_each_row_with_another_picture(nano_policy: Path) -> None:
    now = "actor_rollout_ref.actor.optim.lr_warmup_steps=0"
    asked = probe(nano_policy, "--stored", now, "looking_loss.coefficient=0.1", "looking_loss.entropy=0.01")
    assert abs(asked["looking_nats"]) > 1e-4
    assert asked["loss"] == pytest.approx(
        asked["actor/pg_loss"] - 0.1 * asked["looking_nats"] + 0.01 * asked["looking_entropies"], abs=1e-5
    )


def test_other_pictures_have_the_own_ones_sizes() -> None:
    from medix_r1.training.verl_plugin.pictures import _in_place

    own = StoredPictures("a", ((4, 8), (6, 6), (2, 2)), (), {})
    other = StoredPictures("b", ((2, 2), (1, 3)), (), {})
    pixels = torch.arange(3 * (4 + 3), dtype=torch.uint8)
    assert [image.size for image in _in_place(own, other, pixels)] == [(8, 4), (6, 6), (2, 2)]
