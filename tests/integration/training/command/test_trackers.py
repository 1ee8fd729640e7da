"""One run in the trackers over several attempts: W&B itself, offline; MLflow as a stand-in with its rules."""

import json
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.training.command import trackers


class MlflowException(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.error_code = code


class Store:
    """MLflow's client and module functions, on dictionaries."""

    def __init__(self) -> None:
        self.experiments, self.runs, self.active, self.away = {}, {}, None, False

    def get_experiment_by_name(self, name):
        if self.away:
            raise ConnectionError("refused")
        found = self.experiments.get(name)
        return SimpleNamespace(experiment_id=found) if found else None

    def create_experiment(self, name):
        return self.experiments.setdefault(name, str(len(self.experiments) + 1))

    def create_run(self, experiment, run_name):
        name = f"run{len(self.runs) + 1}"
        self.runs[name] = {"experiment": experiment, "name": run_name, "params": {}, "tags": {}}
        return SimpleNamespace(info=SimpleNamespace(run_id=name))

    def get_run(self, name):
        if name not in self.runs:
            raise MlflowException("RESOURCE_DOES_NOT_EXIST")
        return SimpleNamespace(info=SimpleNamespace(run_id=name))

    def module(self) -> Any:
        mlflow: Any = ModuleType("mlflow")
        mlflow.MlflowClient = lambda tracking_uri: self
        mlflow.exceptions = SimpleNamespace(MlflowException=MlflowException)
        mlflow.set_tracking_uri = mlflow.end_run = lambda *_: None
        mlflow.start_run = lambda run_id: setattr(self, "active", run_id)
        mlflow.active_run = lambda: SimpleNamespace(data=SimpleNamespace(params=dict(self.runs[self.active]["params"])))
        mlflow.log_params = self._log_params
        mlflow.set_tags = lambda tags: self.runs[self.active]["tags"].update(tags)
        return mlflow

    def _log_params(self, params):
        had = self.runs[self.active]["params"]
        for key, value in params.items():
            if had.setdefault(key, str(value)) != str(value):
                raise MlflowException("INVALID_PARAMETER_VALUE")


@pytest.fixture
def store(monkeypatch):
    found = Store()
    monkeypatch.setitem(sys.modules, "mlflow", found.module())
    return found


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(tmp_path)
    found.create()
    return found


def config(*loggers: str):
    trainer = {"logger": ["console", *loggers], "project_name": "p", "experiment_name": "e"}
    return OmegaConf.create({"trainer": trainer})


def attempt(folder: RunFolder, *loggers: str, **environment: str) -> dict[str, str]:
    trackers.continue_runs(config(*loggers), folder, environment)
    return environment


def test_every_attempt_has_the_same_runs(folder, store):
    first, second = attempt(folder, "wandb", "mlflow"), attempt(folder, "wandb", "mlflow")

    assert first == second
    assert first["WANDB_RESUME"] == "allow"
    assert list(store.runs) == [first["MLFLOW_RUN_ID"]]
    assert store.runs["run1"]["name"] == "e"


def test_without_trackers_nothing_is_set_or_written(folder):
    assert attempt(folder, "tensorboard") == {}
    assert not folder.trackers.exists()


def test_a_name_of_the_users_wins(folder, store):
    assert attempt(folder, "wandb", "mlflow", WANDB_RUN_ID="mine", MLFLOW_RUN_ID="mine") == {
        "WANDB_RUN_ID": "mine",
        "MLFLOW_RUN_ID": "mine",
    }
    assert store.runs == {}


def test_a_run_that_mlflow_no_longer_has_begins_anew(folder, store):
    attempt(folder, "mlflow")
    store.runs.clear()
    store.runs["another"] = {}

    assert attempt(folder, "mlflow")["MLFLOW_RUN_ID"] == "run2"
    assert json.loads(folder.trackers.read_text(encoding="utf-8")) == {"mlflow": "run2"}


def test_an_mlflow_that_is_away_is_said_and_ends_nothing(folder, store):
    attempt(folder, "mlflow")
    store.away = True

    assert attempt(folder, "mlflow") == {}
    assert [event["event"] for event in read_lines(folder.events)] == ["waiting"]
    store.away = False
    assert attempt(folder, "mlflow")["MLFLOW_RUN_ID"] == "run1"


def test_changed_settings_do_not_end_mlflow(folder, store, monkeypatch):
    """verl's own `Tracking`, with our patch."""
    from verl.utils import tracking

    from medix_r1.training.verl_plugin.patches import mlflow_params

    monkeypatch.setattr(
        tracking, "_compute_mlflow_params_from_objects", tracking._compute_mlflow_params_from_objects
    )  # put back afterwards
    mlflow_params.install()
    for port in (8000, 8001):
        monkeypatch.setenv("MLFLOW_RUN_ID", attempt(folder, "mlflow")["MLFLOW_RUN_ID"])
        settings = {"trainer": {}, "judge": {"port": port}}
        assert "mlflow" in tracking.Tracking("p", "e", ["mlflow"], config=settings).logger

    assert store.runs["run1"]["params"]["judge/port"] == "8000"
    assert store.runs["run1"]["tags"] == {"changed/judge/port": "8001"}


def test_wandb_takes_the_name(folder, tmp_path):
    """W&B itself, offline: both attempts write folders of the same run."""
    script = "import wandb, sys; run = wandb.init(project='p', name='e', dir=sys.argv[1]); print(run.id); run.finish()"
    ids = []
    for _ in range(2):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
        trackers.continue_runs(config("wandb"), folder, environment)
        told = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], env=environment, check=True, capture_output=True, text=True
        )
        ids.append(told.stdout.split()[-1])

    assert ids == [json.loads(folder.trackers.read_text(encoding="utf-8"))["wandb"]] * 2
