"""Gives verl's data loader our sampler, and tells it how each group turned out.

verl 0.9.1 has no place for a curriculum: `create_rl_sampler` knows a random and a sequential order, and the trainer
tells a sampler nothing. So both functions with which the trainer makes its data are replaced while it makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import transfer_queue as tq
from verl.trainer.ppo.v1 import trainer_base

from medix_r1.training.verl_plugin.curriculum.drawing import EVEN, Curriculum, Settings

if TYPE_CHECKING:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class _Base(PPOTrainer):
        """verl's class, for the type checker alone; at run time it comes after ours in each trainer."""
else:
    _Base = object


class CurriculumRows(_Base):
    """Mix-in for verl's trainer with `data.curriculum`; goes before verl's class."""

    _curriculum: Curriculum | None = None

    def _init_dataloader(self) -> None:
        settings = settings_of(self.config)
        if settings is None:
            super()._init_dataloader()
            return
        kept: list[float | None] = []
        left_out: list[float | None] = []

        def dataset(original: Callable[..., Any], *args: Any, is_train: bool = True, **kwargs: Any) -> Any:
            made = original(*args, is_train=is_train, **kwargs)
            if is_train:
                rates = rates_of(made.dataframe)
                places = [place for place, rate in enumerate(rates) if settings.in_band(rate)]
                kept.extend(rates[place] for place in places)
                left_out.extend(rate for rate in rates if not settings.in_band(rate))
                made.dataframe = made.dataframe.select(places)
            return made

        def sampler(original: Callable[..., Any], data: Any, rows: Any) -> Curriculum:
            self._curriculum = Curriculum(
                kept,
                left_out,
                settings,
                group=int(self.config.actor_rollout_ref.rollout.n),
                batch=int(data.train_batch_size),
                seed=int(data.seed or 0),
            )
            return self._curriculum

        with _replaced("create_rl_dataset", dataset), _replaced("create_rl_sampler", sampler):
            super()._init_dataloader()
        self.replay_buffer.observed_signal = settings.signal

    def _learn(self) -> dict[str, float]:
        """At a step's end, before the loader's state is read: take in its groups, and return metrics."""
        if self._curriculum is None:
            return {}
        filtered = self.config.trainer.v1.sampler.sampler_kwargs.filter.signal is not None
        metrics = self._curriculum.learn(self.replay_buffer.take_observed(), refilled=filtered)
        self._curriculum.forget((tq.kv_list("train") or {}).get("train", {}))
        return metrics


def settings_of(config: Any) -> Settings | None:
    """The settings of a run's curriculum; None where every row is drawn alike."""
    node = config.data.curriculum
    if node.weigh == EVEN and node.band is None:
        return None
    band = None if node.band is None else (float(node.band[0]), float(node.band[1]))
    return Settings(band, node.weigh, node.signal, float(node.floor), float(node.strength), float(node.memory))


def rates_of(rows: Any) -> list[float | None]:
    """`extra_info.difficulty` of each row of a `datasets.Dataset`."""
    found = [(info or {}).get("difficulty") for info in rows.select_columns(["extra_info"])["extra_info"]]
    return [None if rate is None else float(rate) for rate in found]


@contextmanager
def _replaced(name: str, by: Callable[..., Any]) -> Iterator[None]:
    original = getattr(trainer_base, name)
    setattr(trainer_base, name, lambda *args, **kwargs: by(original, *args, **kwargs))
    try:
        yield
    finally:
        setattr(trainer_base, name, original)
