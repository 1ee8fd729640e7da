"""Checks that signals of whole groups get them: enough rollouts, a trainer that names them, a scored validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig

from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.groups.whole_group import needs_group, smallest_group

_N = "actor_rollout_ref.rollout.n"
_VALIDATION_N = "actor_rollout_ref.rollout.val_kwargs.n"
_OURS = "medix_"  # trainers of ours (trainer.v1.trainer_mode)
_OWN_SIZE = "__rollout_n__"  # verl's column with the rollouts of a prompt


def group_problems(config: DictConfig) -> Iterator[Problem]:
    """Groups that are smaller than a signal needs, rollouts without names, and a validation that no signal scores."""
    rollout, smallest = config.actor_rollout_ref.rollout, smallest_groups(config)
    if not smallest:
        return
    for name, size in smallest.items():
        if 2 <= rollout.n < size:  # below 2 no group has an advantage, which is said of every reward
            yield Problem(_N, "group-too-small", f"{name} compares at least {size} rollouts; raise {_N}")
    mode = config.trainer.v1.trainer_mode
    if not mode.startswith(_OURS):
        yield Problem(
            f"reward.signals.{next(iter(smallest))}",
            "not-our-trainer",
            f"it scores whole groups, whose rollouts trainer.v1.trainer_mode={mode} does not name; use trainer=sync "
            "or colocate_async",
        )
    validates = config.trainer.test_freq > 0 or config.trainer.val_before_train
    size = rollout.val_kwargs.n
    if validates and (tables := _tables_without_score(config, {name for name, n in smallest.items() if n > size})):
        yield Problem(
            _VALIDATION_N,
            "validation-without-score",
            f"groups of {size} are too small for {', '.join(n for n, least in smallest.items() if least > size)}, and "
            f"no other signal of {tables[0]} has a weight, so no reply of a validation would be scored; use "
            f"{_VALIDATION_N}={max(smallest.values())}, or give a signal of single replies a weight",
        )


def smallest_groups(config: DictConfig) -> dict[str, int]:
    """Signal of whole groups → the fewest rollouts that it is asked about."""
    found = {}
    for name, node in config.reward.signals.items():
        try:
            if isinstance(node, Mapping) and needs_group(node):
                found[str(name)] = smallest_group(node)
        except (ConfigError, TypeError, ValueError):
            continue  # reported by the check of the reward
    return found


def _tables_without_score(config: DictConfig, unscored: set[str]) -> list[str]:
    """Keys of the tables of weights that give all of it to some signals."""
    tables: dict[str, Any] = {"reward.weights": config.reward.weights}
    for by, table in (config.reward.weight_tables or {}).items():
        tables |= {f"reward.weight_tables.{by}.{value}": weights for value, weights in (table or {}).items()}
    return [key for key, weights in tables.items() if {name for name, weight in weights.items() if weight} <= unscored]


def column_problems(config: DictConfig, key: str, schema: pa.Schema) -> Iterator[Problem]:
    """A column of the data that gives prompts numbers of rollouts of their own, which a group would wait for."""
    if _OWN_SIZE in schema.names and (grouped := smallest_groups(config)):
        says = (
            f"its column {_OWN_SIZE} gives prompts groups of other sizes than {_N}, and {next(iter(grouped))} waits "
            "for whole groups; drop the column"
        )
        yield Problem(key, "groups-of-other-sizes", says)
