"""Driver, the process in which verl runs: reads a resolved config, starts Ray, trains, records how it ended.

The supervisor starts it as `python -m medix_r1.training.command.driver RUN_DIR`, so that the user's command stays small
and survives a crash here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.errors import MedixError
from medix_r1.host import gc_tuning
from medix_r1.runs.folder import TRACEBACK, RunFolder
from medix_r1.training.command import trackers
from medix_r1.training.preflight import transfer_queue
from medix_r1.training.preflight.machine import hardware

# Variables with paths and with the names of plug-ins; none holds a secret.
_PATHS = ("VERL_FILE_LOGGER_PATH", "TENSORBOARD_DIR", "MEDIX_R1_RUN", user_code.PLUGINS)
_OF_THE_RUN = (*_PATHS, *trackers.VARIABLES)


def set_environment(config: DictConfig) -> None:
    """Set the variables of Ray's `runtime_env` in this process, too; before verl, which reads them, is imported."""
    for name, value in config.ray_kwargs.ray_init.runtime_env.env_vars.items():
        os.environ[str(name)] = str(value)
    os.environ[user_code.PLUGINS] = json.dumps([*config.run.plugins])
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        del os.environ["CUDA_VISIBLE_DEVICES"]  # an empty value makes ray.init(num_gpus=N) fail


def share_environment(config: DictConfig) -> None:
    """Pass the supervisor's variables on to Ray's workers, which inherit none on an existing cluster."""
    of_the_run = {name: os.environ[name] for name in _OF_THE_RUN if name in os.environ}
    config.ray_kwargs.ray_init.runtime_env.env_vars.update(of_the_run)


def train(config: DictConfig, folder: RunFolder, runner: Callable[[Any], type[Any]]) -> None:
    """Run verl's `run_ppo` with a task runner of ours, which `runner` makes of verl's module."""
    transfer_queue.complete(config, hardware.storage_units(config))
    set_environment(config)
    trackers.continue_runs(config, folder)
    share_environment(config)
    import ray
    import verl.trainer.main_ppo as main_ppo
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    auto_set_device(config)
    validate_config(config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    main_ppo.run_ppo(config, task_runner_class=ray.remote(runner(main_ppo)))


def task_runner_class(main_ppo: Any) -> type[Any]:
    """Subclass of verl's task runner that imports our trainers, which registers their names in its process."""
    base: type[Any] = main_ppo.TaskRunnerV1.__ray_metadata__.modified_class

    class MedixTaskRunner(base):
        def run(self, config: DictConfig) -> None:
            import medix_r1.training.verl_plugin.trainer  # noqa: F401
            from medix_r1.training.verl_plugin.patches import mlflow_params

            mlflow_params.install()
            super().run(config)

    return MedixTaskRunner


def root_cause(error: BaseException) -> BaseException:
    """Follow Ray's wrappers and `__cause__` to the first `MedixError`, or else to the original error."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        wrapped = getattr(error, "cause", None)  # Ray's; its wrapper is also an instance of the wrapped error's class
        inner = wrapped or (None if isinstance(error, MedixError) else error.__cause__)
        if isinstance(inner, BaseException):
            error = inner
    return error


def drive(folder: RunFolder, runner: Callable[[Any], type[Any]]) -> int:
    """Run verl; on failure, the cause goes into an event for the launcher, and the traceback into the log."""
    try:
        train(DictConfig(user_code.importable(OmegaConf.to_container(OmegaConf.load(folder.config)))), folder, runner)
    except Exception as error:  # top level: reported, then raised again
        cause = root_cause(error)
        name, code = ("", cause.code) if isinstance(cause, MedixError) else (f"{type(cause).__name__}: ", "")
        folder.add_event("error", message=f"{name}{cause}", code=code)
        sys.stderr.write(f"{TRACEBACK}\n")
        raise
    folder.add_event("finished")
    return 0


def main() -> int:
    """Train."""
    gc_tuning.tune_for_imports()
    return drive(RunFolder(Path(sys.argv[1])), task_runner_class)


if __name__ == "__main__":
    sys.exit(main())
