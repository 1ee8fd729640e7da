"""verl's own keys for a reward function, which would be ignored beside our reward: refused; says what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from medix_r1.errors import Problem

_DEFAULT_NAME = "compute_score"
_CONSTANTS = ("true", "false", "null", "nan", "inf")  # what Hydra reads as something else than a text
_OURS = "pkg://medix_r1."  # placeholders of judge=verl, which verl asks for and never calls


def verl_function_problems(node: Mapping[str, Any] | None, key: str) -> list[Problem]:
    """A problem for each key of `custom_reward_function` that is set, the first with the signal to write instead.

    Args:
        node: the mapping with `path`, `name` and `reward_kwargs`, or None.
        key: of the mapping.
    """
    values = dict(node or {})
    if str(values.get("path")).startswith(_OURS):
        return []
    given = [name for name, value in values.items() if value not in (None, {}, _DEFAULT_NAME)]
    return [
        Problem(
            f"{key}.{name}",
            "not-read",
            f"nothing reads it; see {key}.{given[0]}"
            if place
            else "nothing reads it: the reward is a weighted sum of reward.signals, so make the function one of them: "
            f"'+reward.signals.mine={_signal(values)}' with a weight in reward.weights (docs/extend/signal.md)",
        )
        for place, name in enumerate(given)
    ]


def _signal(values: Mapping[str, Any]) -> str:
    """The function as a signal, in Hydra's grammar for overrides."""
    path = str(values.get("path") or "./FILE.py")
    where = path if path.endswith(".py") else path.removeprefix("pkg://").replace("/", ".")
    signal: dict[str, Any] = {
        "_target_": "medix_r1.rewards.adapters.VerlReward",
        "function": f"{where}:{values.get('name') or _DEFAULT_NAME}",
    }
    if kwargs := values.get("reward_kwargs"):
        signal["kwargs"] = kwargs
    return _written(signal)


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./:@%+-]*", value)
    return str(value) if plain and value.lower() not in _CONSTANTS else json.dumps(value)
