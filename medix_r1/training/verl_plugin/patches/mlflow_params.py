"""A resumed run stays in MLflow although a setting has changed since its first attempt.

Upstream: verl 0.9.1 logs every setting as an MLflow parameter. Parameters cannot change, so a run that is attached to
an earlier one (MLFLOW_RUN_ID) and differs in one value, such as a port, is refused. verl then goes on without MLflow.

See it: docs/upstream/mlflow_params.py

Here: parameters that the run has with another value are left out, and become tags `changed/NAME`.

Goes when: verl logs only parameters that the run does not have yet.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from verl.utils import tracking

from medix_r1.training.verl_plugin.patches.replacing import replace_once


def install() -> None:
    """Wrap verl's function that makes the parameters; a second call does nothing."""
    replace_once(tracking, "_compute_mlflow_params_from_objects", _unchanged)


def _unchanged(original: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @functools.wraps(original)
    def parameters(settings: Any) -> dict[str, Any]:
        found = original(settings)
        if not os.environ.get("MLFLOW_RUN_ID"):
            return found
        import mlflow

        active = mlflow.active_run()
        had = active.data.params if active is not None else {}
        changed = {key: value for key, value in found.items() if key in had and had[key] != str(value)}
        if changed:
            mlflow.set_tags({f"changed/{key}": str(value) for key, value in changed.items()})
        return {key: value for key, value in found.items() if key not in changed}

    return parameters
