"""Plans a run: composes and checks its config, and finds the checkpoint to resume from; loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server
from medix_r1.training.command import resume
from medix_r1.training.preflight import checks


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that passed all checks; `resume_from` is its newest checkpoint, if there is one."""

    config: DictConfig
    folder: RunFolder
    resume_from: Path | None
    differences: Sequence[resume.Difference]
    overrides: Sequence[str] = ()

    @property
    def first_step(self) -> int:
        return checkpoints.step_of(self.resume_from) + 1 if self.resume_from else 1

    @property
    def is_finished(self) -> bool:
        """By the newest checkpoint if the number of steps is set, else by how the last attempt ended."""
        last = self.config.trainer.total_training_steps
        if last is not None:
            return self.first_step > last
        longer = any(difference.key == "trainer.total_epochs" for difference in self.differences)
        return self.resume_from is not None and not longer and self.folder.ended_by_itself

    @property
    def standing(self) -> str:
        """The state of the run's folder in words: finished, resuming, or new."""
        if self.is_finished:
            return f"has finished step {self.first_step - 1}; nothing is left to do"
        return f"resumes after step {self.first_step - 1}" if self.resume_from else "new"


def make_plan(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Plan:
    """Compose a config and check it; `judge.server.port=0` becomes a free port.

    Raises:
        ConfigError: with all problems.
    """
    return plan_of(configs.composed_train(overrides, config_dirs, server.free_port), overrides)


def plan_of(composed: configs.Composed, overrides: Sequence[str] = ()) -> Plan:
    """Check a composed config; loads and writes nothing.

    Raises:
        ConfigError: with all problems.
    """
    config = composed.config
    problems = checks.problems_of(composed)
    if configs.missing_keys(config):
        raise ConfigError(problems)
    folder = RunFolder(Path(config.run.dir).absolute())
    newest = checkpoints.latest(folder.checkpoints)
    changed = resume.differences(folder.config, config) if newest and folder.config.exists() else []
    problems += resume.problems(folder, config, changed)
    if problems:
        raise ConfigError(problems)
    return Plan(config, folder, newest, changed, tuple(overrides))
