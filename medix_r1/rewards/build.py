"""Builds the reward from the `reward` node of a config; training and all verbs use this."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from medix_r1 import prompts, user_code
from medix_r1.composing import instantiate, instantiate_each, without_missing
from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.adapters.verl_keys import verl_function_problems
from medix_r1.rewards.base import PARSERS, Reward
from medix_r1.rewards.calibration_bounds import calibration_problems
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.findings.reward import split_problems
from medix_r1.rewards.groups.whole_group import needs_group
from medix_r1.rewards.needs import needs_problems
from medix_r1.rewards.overlong import overlong_problems
from medix_r1.rewards.weights import gate_problems, table_problems, veto_problems, weight_problems

THINK_ELEMENTS = ("think", "thinking")
_OURS = "medix_r1.rewards."
_NANO_JUDGE = "nano-judge"  # the demo's (configs/judge/nano.yaml), which knows YES and NO alone


def build_reward(settings: Any) -> CompositeReward:
    """Build the composite of a resolved `reward` node; signals set to null are left out.

    Raises:
        ConfigError: all problems that `reward_problems` finds, or those that a signal's constructor finds.
    """
    if problems := reward_problems(settings):
        raise ConfigError(problems)
    node = _plain(settings)
    return CompositeReward(
        signals=dict.fromkeys(node["signals"]) | instantiate_each(node["signals"], "reward.signals"),
        weights=node["weights"],
        gate=node["gate"],
        weight_tables=node["weight_tables"],
    )


def build_rules(settings: Any, name: str) -> Reward | None:
    """Build one signal without its judge or embedder, to call its `rule_score`; None if the node has no such signal."""
    signal = _plain(settings)["signals"].get(name)
    if signal is None:
        return None
    rules: Reward = instantiate(_without_models(signal), f"reward.signals.{name}")
    return rules


def _without_models(signal: Mapping[str, Any]) -> dict[str, Any]:
    return {**signal, **dict.fromkeys(signal.keys() & {"judge", "embedder"})}


def reward_problems(settings: Any) -> list[Problem]:
    """Every problem of a `reward` node that can be found before a model loads."""
    node = _plain(settings)
    signals, problems = node["signals"], []
    for key, allowed in (("think_element", THINK_ELEMENTS), ("parser", tuple(PARSERS))):
        if node[key] not in allowed:
            text = f"'{node[key]}' is neither {' nor '.join(allowed)}"
            problems.append(Problem(f"reward.{key}", "not-a-choice", text))
    problems += overlong_problems(node)
    if (prefilled := node.get("prefilled_element")) is not None and prefilled not in THINK_ELEMENTS:
        says = f"'{prefilled}' is neither think nor thinking; use null where the chat template opens no element"
        problems.append(Problem("reward.prefilled_element", "not-a-choice", says))
    problems += weight_problems(node["weights"], signals)
    problems += gate_problems(node["gate"], signals)
    problems += table_problems(node["weight_tables"], signals)
    problems += veto_problems(signals)
    problems += needs_problems(signals)
    problems += calibration_problems(node)
    problems += verl_function_problems(node.get("custom_reward_function"), "reward.custom_reward_function")
    for name, signal in signals.items():
        if isinstance(signal, Mapping):
            key = f"reward.signals.{name}"
            problems += _class_problems(signal, key) or _own_problems(signal, key)
            found = [*_signal_problems(signal), *split_problems(signal)]
            problems += [problem.below(f"reward.signals.{name}.") for problem in found]
    return problems


def _class_problems(signal: Mapping[str, Any], key: str) -> list[Problem]:
    """Settings that the signal's class lacks, and a `score` that takes no sample: found without building it."""
    try:
        made = user_code.load(signal.get("_target_"), f"{key}._target_")
    except ConfigError:
        return []  # reported when the config was composed
    problems = []
    settings = {name: value for name, value in signal.items() if not name.startswith("_")}
    if (wrong := _not_bound(made, (), settings)) is not None:
        problems.append(Problem(key, "settings-refused", f"{signal['_target_']}: {wrong}"))
    taken = ["samples" if (whole := needs_group(signal)) else "sample"]
    if "needs" in signal or hasattr(made, "needs"):
        taken.append("scores")
    name = "score_group" if whole else "score"
    if inspect.isclass(made) and (wrong := _wrong_score(made, name, len(taken))) is not None:
        text = f"{signal['_target_']} needs a method {name}({', '.join(taken)}): {wrong}"
        problems.append(Problem(f"{key}._target_", "arguments-do-not-fit", text))
    return problems


def _wrong_score(made: type, name: str, arguments: int) -> str | None:
    """Why the instances of a class have no such method that takes so many arguments."""
    if not hasattr(made, name):
        return "it has none"
    without_self = isinstance(inspect.getattr_static(made, name), staticmethod | classmethod)
    return _not_bound(getattr(made, name), (None,) * (arguments + (not without_self)), {})


def _not_bound(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """Why a function cannot take these arguments; None if it can, or shows no parameters."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    except ValueError:  # written in C, without a signature
        return None
    return None


def _own_problems(signal: Mapping[str, Any], key: str) -> list[Problem]:
    """What a class of ours says of its settings: it is built without judge and embedder, so nothing loads.

    Building the adapter of another framework's function loads the function, and calls nothing.
    """
    if not str(signal.get("_target_")).startswith(_OURS):
        return []
    try:
        instantiate(without_missing(_without_models(signal)), key)
    except ConfigError as error:
        return [problem if problem.key.startswith(key) else problem.below(f"{key}.") for problem in error.problems]
    return []


def _signal_problems(signal: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if (prompt := signal.get("prompt")) is not None:
        try:
            prompts.load(prompt)
        except ConfigError as error:
            problems += [problem.below("prompt") for problem in error.problems]
    if _needs_writer(signal) and not _writes(judge := signal.get("judge") or {}):
        who = judge["model"] if judge.get("model") == _NANO_JUDGE else judge["_target_"]
        says = f"{who} gives verdicts alone; choose a judge that writes, such as judge=remote or judge=vllm"
        problems.append(Problem("judge", "does-not-write", says))
    if "judge" in signal and "_target_" not in (signal["judge"] or {}):
        problems.append(
            Problem("judge", "no-judge", "there is none (judge=none); choose a judge, or set the signal to null")
        )
    return problems


def _needs_writer(signal: Mapping[str, Any]) -> bool:
    """Whether a signal asks its judge for texts, such as a ranking, and not for verdicts alone."""
    try:
        return bool(getattr(user_code.load(signal.get("_target_"), "_target_"), "needs_writer", False))
    except ConfigError:
        return False  # reported when the config was composed


def _writes(judge: Mapping[str, Any]) -> bool:
    """Whether a judge's class writes texts; true of one that is missing or not loadable, which is said elsewhere."""
    try:
        if "_target_" not in judge:
            return True
        return judge.get("model") != _NANO_JUDGE and hasattr(user_code.load(judge["_target_"], "_target_"), "write")
    except ConfigError:
        return True


def _plain(settings: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(settings, resolve=True) if OmegaConf.is_config(settings) else dict(settings)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
