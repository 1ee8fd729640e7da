"""What a run would do: its composed config, its folder, where it goes on; everything is checked, nothing is loaded."""

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
    """A run that may start: its config, its folder, and where it goes on."""

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
        """By the newest checkpoint where the steps are counted, else by how the last attempt ended."""
        last = self.config.trainer.total_training_steps
        if last is not None:
            return self.first_step > last
        longer = any(difference.key == "trainer.total_epochs" for difference in self.differences)
        return self.resume_from is not None and not longer and self.folder.ended_by_itself


def make_plan(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> Plan:
    """Compose, with a port for a judge that takes any free one, and check.

    Raises:
        ConfigError: with all problems.
    """
    config = configs.compose_train(overrides, config_dirs)
    if not configs.missing_keys(config) and config.judge.server is not None and config.judge.server.port == 0:
        config = configs.compose_train([*overrides, f"judge.server.port={server.free_port()}"], config_dirs)
    return plan_of(config, overrides)


def plan_of(config: DictConfig, overrides: Sequence[str] = ()) -> Plan:
    """Check what is composed; nothing is loaded and nothing is written.

    Raises:
        ConfigError: with all problems.
    """
    problems = checks.problems(config)
    if configs.missing_keys(config):
        raise ConfigError(problems)
    folder = RunFolder(Path(config.run.dir).absolute())
    newest = checkpoints.latest(folder.checkpoints)
    changed = resume.differences(folder.config, config) if newest and folder.config.exists() else []
    problems += resume.problems(folder, config, changed)
    if problems:
        raise ConfigError(problems)
    return Plan(config, folder, newest, changed, tuple(overrides))
