"""What a `_target_` takes: kinds of its parameters, from its annotations, and which of them it requires."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError
from medix_r1.schema import kinds
from medix_r1.schema.kinds import Kind
from medix_r1.schema.known import verl_fields


@dataclass(frozen=True, slots=True)
class Target:
    """Parameters of a class or function that a config names.

    Attributes:
        parameters: name → kind.
        required: names without a default.
        is_open: whether it takes any other keyword too.
        is_ours: whether it is a class or function of this package.
    """

    parameters: Mapping[str, Kind]
    required: frozenset[str] = frozenset()
    is_open: bool = False
    is_ours: bool = False


def target(reference: str, key: str) -> Target:
    """What a `_target_` takes; for verl from the generated list, which requires nothing.

    Args:
        reference: the value of `_target_`.
        key: its config key, for error messages.

    Raises:
        ConfigError: it cannot be loaded, or it is no class or function.
    """
    if reference.startswith("verl."):
        fields = verl_fields().get(reference)
        parameters = {name: Kind(type=kind) for name, kind in (fields or {}).items()}
        return Target(parameters, is_open=fields is None)
    found = user_code.load(reference, key)
    try:
        return _of(found)
    except (TypeError, ValueError) as error:
        raise ConfigError.of(key, "not-callable", f"{reference} is no class or function") from error


@functools.cache
def _of(found: Any) -> Target:
    parameters = inspect.signature(found).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    hints = _hints(found)
    return Target(
        {one.name: kinds.of_parameter(hints.get(one.name, Any), one.default) for one in named},
        frozenset(one.name for one in named if one.default is inspect.Parameter.empty),
        any(one.kind is one.VAR_KEYWORD for one in parameters),
        str(getattr(found, "__module__", "")).startswith("medix_r1.")
        and not str(found.__module__).startswith(user_code.__name__),
    )


def _hints(found: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(found.__init__ if inspect.isclass(found) else found, include_extras=True)
    except Exception:  # noqa: BLE001  annotations are the user's code; those that cannot be read say nothing
        return {}
