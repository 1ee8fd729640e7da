"""A validation bootstraps the total reward alone.

Upstream: verl 0.9.1 draws 1,000 bootstrap samples in plain Python for each question, number of samples and *each key*
of the reward's extra information. With the parts and monitors of a composite reward, a validation of 152 questions x 5
took 12 to 16 s longer (docs/cpu.md).

See it: docs/upstream/validation_bootstrap.py

Here: verl gets the total; means of the parts are our own (reward_metrics.py).

Goes when: the script counts no draws in Python for keys that nobody asked for, or verl lets a run name the keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class _Base(PPOTrainer):
        """verl's class, for the type checker alone; at run time it comes after ours in each trainer."""
else:
    _Base = object


class BootstrapOfTheTotal(_Base):
    """Mix-in for verl's trainer that bootstraps the total alone; goes before verl's class."""

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[int],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        total = {"reward": reward_extra_infos_dict["reward"]}
        metrics: dict[str, float] = super()._val_metrics_update(
            data_sources, sample_uids, total, sample_turns, expected_acc_counts
        )
        return metrics
