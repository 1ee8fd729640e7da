"""Checks modules and names that verl imports only when a run has started, in their files, without importing them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig

from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema.known import verl_names
from medix_r1.training.preflight.algorithm import unregistered
from medix_r1.training.preflight.python_files import defined, module_file, python_file

LOOP = "medix_single_turn"  # of verl_plugin/agent_loop.py
_LOOPS = "verl.experimental.agent_loop.agent_loop"
_ENGINES = ("naive", "nccl", "nixl", "kimi_ckpt_engine", "mooncake", "delta_sharded")  # verl 0.9.1 for GPUs
_SAMPLER = "trainer.v1.sampler.custom_sampler"


def module_problems(config: DictConfig) -> Iterator[Problem]:
    """The sampler's file and class, and the libraries of the model, that are not there."""
    sampler = config.trainer.v1.sampler.custom_sampler
    if sampler.path is not None:
        file = python_file(sampler.path)
        if file is None:
            yield Problem(f"{_SAMPLER}.path", "not-loadable", f"{sampler.path} is neither a module nor a file")
        elif sampler.name is not None and sampler.name not in (names := sorted(defined(file))):
            near = difflib.get_close_matches(sampler.name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Problem(f"{_SAMPLER}.name", "not-loadable", f"{sampler.path} has no {sampler.name}{hint}")
    named = config.actor_rollout_ref.model.external_lib
    for library in named if isinstance(named, ListConfig) else [named]:
        if library is not None and module_file(library) is None:
            says = f"there is no module {library}; put its folder into PYTHONPATH, or mend the name"
            yield Problem("actor_rollout_ref.model.external_lib", "not-loadable", says)


def loop_problems(config: DictConfig) -> Iterator[Problem]:
    """The agent loop and the checkpoint engine, which verl looks up by name when the workers have started."""
    rollout = config.actor_rollout_ref.rollout
    agent, key = rollout.agent, "actor_rollout_ref.rollout.agent"
    module, own = sys.modules.get(_LOOPS), set[str]()
    if (path := agent.agent_loop_config_path) is not None:
        if (found := _loops_of(named_path(path))) is None:
            says = f"{path} is no YAML file with a list of name and _target_"
            yield Problem(f"{key}.agent_loop_config_path", "not-loadable", says)
            return
        own = found
    known = {LOOP, *verl_names(f"{_LOOPS}._agent_loop_registry"), *getattr(module, "_agent_loop_registry", ()), *own}
    yield from unregistered(f"{key}.default_agent_loop", agent.default_agent_loop, sorted(known))
    manager = agent.get("agent_loop_manager_class")  # in no YAML file of verl
    if manager is not None and module_file(manager.rpartition(".")[0]) is None:
        says = f"{manager} is not there; put its folder into PYTHONPATH, or mend the name"
        yield Problem(f"{key}.agent_loop_manager_class", "not-loadable", says)
    engine, key = rollout.checkpoint_engine, "actor_rollout_ref.rollout.checkpoint_engine"
    if engine.custom_backend_module is None:
        yield from unregistered(f"{key}.backend", engine.backend, _ENGINES)
    elif module_file(engine.custom_backend_module) is None:
        says = f"there is no module {engine.custom_backend_module}; put its folder into PYTHONPATH, or mend the name"
        yield Problem(f"{key}.custom_backend_module", "not-loadable", says)


def _loops_of(file: Path) -> set[str] | None:
    """Names of the agent loops in a file of the user's; None if it is not such a file."""
    try:
        return {str(one["name"]) for one in read_yaml(file) if one["_target_"]}
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError):
        return None
