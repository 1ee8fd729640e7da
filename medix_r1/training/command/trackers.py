"""Gives every attempt of a run the same run in Weights & Biases and MLflow; TensorBoard's folder is the run's anyway.

verl's `Tracking` starts a new one in each process. Both trackers attach to the run that a variable names, so the driver
sets the variables before verl starts. The names stand in `trackers.json` of the run folder.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import MutableMapping
from typing import Any

from omegaconf import DictConfig

from medix_r1.runs.folder import RunFolder

WANDB, WANDB_RESUME, MLFLOW = "WANDB_RUN_ID", "WANDB_RESUME", "MLFLOW_RUN_ID"
VARIABLES = (WANDB, WANDB_RESUME, MLFLOW)
_MLFLOW_STORE = "sqlite:////tmp/mlruns.db"  # verl's default


def continue_runs(config: DictConfig, folder: RunFolder, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that attach this attempt to the run of the earlier ones.

    A variable that the user has set stays. A tracker that cannot be reached is said as an event: verl goes on without.

    Args:
        config: of the run; `trainer.logger` names its trackers.
        folder: keeps the names.
        environment: of the process in which verl starts.
    """
    known = _known(folder)
    if "wandb" in config.trainer.logger and WANDB not in environment:
        environment[WANDB] = known.setdefault("wandb", secrets.token_hex(4))
        environment.setdefault(WANDB_RESUME, "allow")
    if "mlflow" in config.trainer.logger and MLFLOW not in environment:
        try:
            known["mlflow"] = environment[MLFLOW] = _mlflow_run(config, known.get("mlflow"), environment)
        except Exception as error:  # noqa: BLE001  (MLflow's, the store's or the network's)
            message = f"MLflow cannot be reached ({type(error).__name__}); see the log"
            folder.add_event("waiting", message=message)
    if known != _known(folder):
        folder.trackers.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _known(folder: RunFolder) -> dict[str, str]:
    """Tracker → name of the run there; empty for a run that has none yet, or that older code started."""
    if not folder.trackers.exists():
        return {}
    found: dict[str, str] = json.loads(folder.trackers.read_text(encoding="utf-8"))
    return found


def _mlflow_run(config: DictConfig, known: str | None, environment: MutableMapping[str, str]) -> str:
    """The known run if the store has it, else a new one."""
    import mlflow

    client: Any = mlflow.MlflowClient(tracking_uri=environment.get("MLFLOW_TRACKING_URI", _MLFLOW_STORE))
    project, name = config.trainer.project_name, config.trainer.experiment_name
    experiment = client.get_experiment_by_name(project)
    place = experiment.experiment_id if experiment is not None else client.create_experiment(project)
    if known is not None:
        try:
            return str(client.get_run(known).info.run_id)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    return str(client.create_run(place, run_name=name).info.run_id)
