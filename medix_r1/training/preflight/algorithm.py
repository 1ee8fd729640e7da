"""The user's plug-ins, and whether somebody registers the estimator and the policy loss that the config names."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from medix_r1 import user_code
from medix_r1.algorithms.estimators import ESTIMATORS, needs_parts
from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.calibration_bounds import calibrated
from medix_r1.schema.known import verl_names
from medix_r1.training.preflight.python_files import defined, module_file

_VERL = "verl.trainer.ppo.core_algos"
_OURS = "medix_"  # trainers of ours (trainer.v1.trainer_mode)


def plugin_problems(config: DictConfig) -> Iterator[Problem]:
    """Loads `run.plugins` into this process as well, so that what fails is known before the run starts."""
    plugins = config.run.plugins
    if not isinstance(plugins, ListConfig) or not all(isinstance(plugin, str) for plugin in plugins):
        yield Problem("run.plugins", "not-a-list", f"{plugins!r} is no list; write run.plugins=[module,./file.py]")
        return
    for plugin in plugins:
        try:
            user_code.load_module(plugin, "run.plugins")
        except ConfigError as error:
            yield from error.problems


def optimizer_problems(config: DictConfig) -> Iterator[Problem]:
    """An optimizer that is not there; loads a file of the user's own."""
    optim, node = config.actor_rollout_ref.actor.optim, "actor_rollout_ref.actor.optim"
    implementation, key = optim.optimizer_impl, f"{node}.optimizer_impl"
    if user_code.is_file(implementation):
        try:
            user_code.load(f"{implementation}:{optim.optimizer}", key)
        except ConfigError as error:
            yield from error.problems
    elif (file := module_file(implementation)) is None:
        says = f"there is no module {implementation}; install its package, or mend the name"
        yield Problem(key, "not-loadable", says)
    elif (names := defined(file)) and optim.optimizer not in names:
        near = difflib.get_close_matches(optim.optimizer, sorted(names), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Problem(f"{node}.optimizer", "not-loadable", f"{implementation} has no {optim.optimizer}{hint}")


def algorithm_problems(config: DictConfig) -> Iterator[Problem]:
    """Names that nobody registers, and a reward that the estimator cannot weigh."""
    name, loss = config.algorithm.adv_estimator, config.actor_rollout_ref.actor.policy_loss.loss_mode
    if any(plugin_problems(config)):
        return  # what they would register is not known
    yield from unregistered("algorithm.adv_estimator", name, [*ESTIMATORS, *_registered("ADV_ESTIMATOR_REGISTRY")])
    yield from unregistered("actor_rollout_ref.actor.policy_loss.loss_mode", loss, _registered("POLICY_LOSS_REGISTRY"))
    if name == "gae" or config.critic.enable:
        key = "algorithm.adv_estimator" if name == "gae" else "critic.enable"
        yield Problem(key, "needs-a-critic", "there is no critic; choose an algorithm that compares replies of a group")
    if not needs_parts(name):
        return
    reward, mode = config.reward, config.trainer.v1.trainer_mode
    weighted = [one for one in calibrated(_plain(reward)) if reward.weights.get(one)]
    if weighted:
        yield Problem(
            "algorithm.adv_estimator",
            "weighs-parts-itself",
            f"{name} scales each part by its spread, so {weighted[0]} may outweigh the verdict and pay for being "
            f"surely wrong; choose another algorithm, or reward.weights.{weighted[0]}=0",
        )
    if reward.gate or any(reward.weight_tables.values()):
        yield Problem(
            "algorithm.adv_estimator",
            "weighs-parts-itself",
            f"{name} weighs the parts by reward.weights and knows no reward.gate and no weight_tables; drop them",
        )
    if reward.overlong in ("zero", "soft"):
        yield Problem(
            "reward.overlong",
            "weighs-parts-itself",
            f"{name} learns from the parts, which {reward.overlong} does not change; use reward or mask",
        )
    if not mode.startswith(_OURS):
        yield Problem(
            "algorithm.adv_estimator",
            "not-our-trainer",
            f"{name} needs the parts of the reward, which trainer.v1.trainer_mode={mode} does not bring; use "
            "trainer=sync or colocate_async",
        )


def _registered(registry: str) -> Sequence[str]:
    """Names in a registry of verl: as it is, where a plug-in has imported it, else as it is without one."""
    module: Any = sys.modules.get(_VERL)
    return [*getattr(module, registry)] if module else verl_names(f"{_VERL}.{registry}")


def _plain(node: DictConfig) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return {str(key): value for key, value in plain.items()}


def unregistered(key: str, name: str, known: Sequence[str]) -> Iterator[Problem]:
    """A problem if nobody registers a name."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "one of your own is registered by a file in run.plugins"
        yield Problem(key, "not-registered", f"nobody registers '{name}'; {hint} (docs/extend/algorithm.md)")
