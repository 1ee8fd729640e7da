"""Composes a config from configs/ and verl's own YAML tree, converts and checks its keys and values.

Nothing here imports verl or torch; `find_spec` locates verl's YAML files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from medix_r1 import user_code
from medix_r1.composing import NOT_COMPOSED, composing, plain
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.folders import named_path
from medix_r1.schema import command_line, half_filled, values
from medix_r1.schema.broken_files import broken_files
from medix_r1.schema.hydra_errors import composing_problem, refused_override
from medix_r1.schema.known import config_dir, flatten, known_keys, verl_config_dir
from medix_r1.schema.moved_names import replace_moved
from medix_r1.schema.prepared_folders import prepared_shards, prompt_tokens_of
from medix_r1.schema.unknown import unknown, unknown_keys, without_package
from medix_r1.schema.unread import unread_problems

__all__ = ["composing_problem", "config_dir", "flatten", "verl_config_dir"]


def gpu_list(numbers: Sequence[int]) -> str:
    """Resolver `${gpu_list:NUMBERS}`: GPU numbers in the form of CUDA_VISIBLE_DEVICES."""
    return ",".join(str(number) for number in numbers)


def gpu_count(numbers: Sequence[int]) -> int:
    """Resolver `${gpu_count:NUMBERS}`: the number of GPUs."""
    return len(numbers)


def gpus_of_node(trained: int, judged: Sequence[int]) -> int:
    """Resolver `${gpus_of_node:TRAINED,JUDGED}`: GPUs that a node must have.

    Args:
        trained: number of training GPUs, which are 0, 1, ...
        judged: numbers of the judge's GPUs.
    """
    return max([trained, *(number + 1 for number in judged)])


for _resolver in (gpu_list, gpu_count, gpus_of_node):
    OmegaConf.register_new_resolver(_resolver.__name__, _resolver, replace=True)
OmegaConf.register_new_resolver("shards", prepared_shards, replace=True)
OmegaConf.register_new_resolver("prompt_tokens_of", prompt_tokens_of, replace=True)


@dataclass(frozen=True, slots=True)
class Composed:
    """A resolved config with its problems; a value that its key does not take is missing (`???`) in it."""

    config: DictConfig
    problems: tuple[Problem, ...] = ()
    taken_out: frozenset[str] = frozenset()  # keys of such values, copies of them included

    def checked(self) -> DictConfig:
        """The config.

        Raises:
            ConfigError: it has problems.
        """
        if self.problems:
            raise ConfigError(self.problems)
        return self.config


_REQUIRED = {  # nodes that no choice of a group may leave out
    "train": (
        *("run", "placement", "judge.client", "judge.server", "embedder", "reward.signals", "alarms", "algorithm"),
        *("data.train_files", "actor_rollout_ref.actor", "ray_kwargs.ray_init"),
        "trainer.v1.sampler.sampler_kwargs.filter",
    ),
    "serve": ("judge.client", "judge.server"),
    "score": ("judge.client", "judge.server", "embedder", "reward.signals"),
}


def compose_train(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose and resolve `train.yaml` with command-line overrides.

    Args:
        overrides: as on Hydra's command line.
        config_dirs: a user's folders of config groups (reward/, experiment/, ...), searched after ours.

    Raises:
        ConfigError: all unknown keys and wrong values, or Hydra's error.
    """
    return composed_train(overrides, config_dirs).checked()


def composed_train(
    overrides: Sequence[str], config_dirs: Sequence[Path] = (), free_port: Callable[[], int] | None = None
) -> Composed:
    """`compose_train`, with the problems beside the config, so that other checks can add theirs.

    Args:
        overrides: as in `compose_train`.
        config_dirs: as in `compose_train`.
        free_port: gives the port of a judge whose `judge.server.port` is 0; None keeps 0.

    Raises:
        ConfigError: there is no config to look at, because Hydra cannot compose it.
    """
    return _composed("train", overrides, config_dirs, free_port)


def compose_serve(overrides: Sequence[str]) -> DictConfig:
    """Compose and resolve `serve.yaml`: only the judge of a training config.

    Raises:
        ConfigError: as `compose_train`.
    """
    return _composed("serve", overrides).checked()


def compose_reward(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose and resolve `score.yaml`: only reward, judge and embedder of a training config.

    Raises:
        ConfigError: as `compose_train`.
    """
    return _composed("score", overrides, config_dirs).checked()


def _composed(
    name: str,
    overrides: Sequence[str],
    config_dirs: Sequence[Path] = (),
    free_port: Callable[[], int] | None = None,
) -> Composed:
    config, problems = _by_hydra(name, overrides, config_dirs)
    if config is None:
        raise ConfigError(problems)
    if free_port is not None and OmegaConf.select(config, "judge.server.port", throw_on_missing=False) == 0:
        config.judge.server.port = free_port()
    found = settled(config, name)
    return replace(found, problems=(*problems, *found.problems))


def unresolved(name: str, overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """First half of composing: what Hydra composes, with its own node and before interpolations are resolved.

    Raises:
        ConfigError: Hydra could not compose it.
    """
    config, problems = _by_hydra(name, overrides, config_dirs)
    if config is None or problems:
        raise ConfigError(problems)
    return config


def _by_hydra(
    name: str, overrides: Sequence[str], config_dirs: Sequence[Path]
) -> tuple[DictConfig | None, list[Problem]]:
    """What Hydra composes without the overrides that it refuses, and their problems; None if it composes nothing."""
    left, problems = command_line.parse(overrides)
    problems += folder_problems(config_dirs)
    folders = [folder for folder in config_dirs if named_path(str(folder)).is_dir()]
    choices = command_line.wrong_choices(left, [config_dir(), *folders], [verl_config_dir()])
    if prepared := [problem for problem in choices.values() if problem.code == "not-prepared"]:
        return None, prepared  # further keys are those of `data prepare`
    if name == "train":
        choices |= command_line.deleting_overrides(left)
    problems += choices.values()
    is_complete = all(command_line.read(one).is_delete() for one in choices)
    left = [one for one in left if one not in choices]
    with composing(config_dir()):
        while is_complete:
            try:
                config: DictConfig = compose(name, overrides=[search_path(folders), *left], return_hydra_config=True)
            except NOT_COMPOSED as error:
                refused = command_line.unknown_overrides(left) if name == "train" else {}
                refused |= refused_override(error, left)
                kept = [one for one in left if one not in refused]
                problems += refused.values()
                if len(kept) == len(left):
                    said = composing_problem(error)
                    problems += (
                        broken_files(folders, command_line.chosen_files(left)) if said.code == "not-composed" else []
                    ) or [said]
                    break
                left = kept
            else:
                known = {*known_keys(), *(key for key, _ in flatten(plain(config)))}
                return config, [unknown(one.key, known) if one.code == "no-such-key" else one for one in problems]
    # Without a config, values are looked at one by one; keys that the missing file may have are not.
    if name == "train":
        refused = command_line.unknown_overrides(left)
        problems += refused.values()
        left = [one for one in left if one not in refused]
    return None, [*problems, *command_line.wrong_values(left).values()]


def folder_problems(config_dirs: Sequence[Path]) -> list[Problem]:
    """Folders of `--config-dir` that are none, or that hold no group of configs, which Hydra ignores in silence."""
    problems = []
    for folder in config_dirs:
        if not named_path(str(folder)).is_dir():
            problems.append(Problem("--config-dir", "no-such-folder", f"{folder} is no folder"))
        elif not any(folder.glob("*/*.yaml")):
            says = f"{folder} holds no group of configs; name the folder that holds experiment/, reward/ and so on"
            problems.append(Problem("--config-dir", "no-groups", says))
    return problems


def resolved(config: DictConfig) -> DictConfig:
    """Second half of composing: delete Hydra's node, resolve all values, check keys and values. Changes `config`.

    Raises:
        ConfigError: all unknown keys and wrong values, or a value that cannot be resolved.
    """
    return settled(config).checked()


def settled(config: DictConfig, name: str = "train") -> Composed:
    """`resolved`, with the problems beside the config.

    Raises:
        ConfigError: a node that a run needs is not there, or a value cannot be resolved.
    """
    OmegaConf.set_struct(config, False)
    hydra = config.pop("hydra", None)
    choices: dict[str, Any] = dict(hydra.runtime.choices) if hydra is not None else {}
    if problems := values.broken_nodes(plain(config), _REQUIRED[name]):
        raise ConfigError(problems)
    if "run" in config and OmegaConf.is_interpolation(config.run, "name"):
        config.run.name = choices.get("experiment") or "unnamed"
    half_filled.drop_incomplete_server(config)
    half_filled.drop_settings_of_removed_signals(config)
    before = plain(config)
    replace_moved(config, before)
    try:
        with _hydra_readable(hydra):
            OmegaConf.resolve(config)
    except (OmegaConfBaseException, RecursionError) as error:
        inner: BaseException | None = error
        while inner is not None:  # OmegaConf wraps what a resolver of ours raises
            if isinstance(inner, ConfigError):
                raise inner from error
            inner = inner.__context__
        raise ConfigError(values.unresolved(config, before) or [composing_problem(error)]) from error
    half_filled.open_folders(config)
    unread = unread_problems(before) if name == "train" else []
    found = _checked(config, choices, before)
    return replace(found, problems=(*found.problems, *unread))


@contextmanager
def _hydra_readable(hydra: DictConfig | None) -> Iterator[None]:
    """Let `${hydra:…}` read Hydra's own node within the block, as it does under Hydra's own command line."""
    state: Any = HydraConfig.instance()
    before = state.cfg
    if hydra is not None:
        state.cfg = SimpleNamespace(hydra=hydra)
    try:
        yield
    finally:
        state.cfg = before


def _checked(config: DictConfig, choices: Mapping[str, Any], before: Mapping[str, Any]) -> Composed:
    """Convert values to their keys' types, and find unknown keys and wrong values, which become missing.

    Args:
        config: resolved.
        choices: group → chosen file.
        before: the config before it was resolved, as plain containers.
    """
    given = plain(config)
    # Relative paths of users' code become absolute, because workers have another working directory.
    tree: dict[str, Any] = user_code.changed(given, user_code.absolute)
    values.convert(tree)
    problems = without_package(tree, choices) or unknown_keys(tree)
    wrong, taken_out = values.take_out(tree, before)
    _assign(config, given, tree)
    OmegaConf.set_struct(config, True)
    return Composed(config, (*problems, *wrong), taken_out)


def _assign(config: DictConfig, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Set what differs in a config, which is far less work than to make it anew."""
    for name, value in after.items():
        if value == before.get(name):
            continue
        if isinstance(value, Mapping) and isinstance(old := before.get(name), Mapping):
            _assign(config[name], old, value)
        else:
            config[name] = value


def search_path(config_dirs: Sequence[Path] = ()) -> str:
    """The override of `hydra.searchpath` that adds verl's groups and those of a user's folders."""
    folders = ",".join(
        command_line.quoted(f"file://{folder.absolute()}") for folder in (verl_config_dir(), *config_dirs)
    )
    return f"hydra.searchpath=[{folders}]"


def missing_keys(config: DictConfig) -> list[Problem]:
    """One problem for every mandatory value (`???`) that is not set."""
    inside = OmegaConf.select(config, "reward.reward_model.enable", throw_on_missing=False)
    unused = () if inside else ("reward.reward_model.",)
    copies = ("reward.signals.",)  # interpolated copies of judge and embedder, reported under their own keys
    keys = sorted(key for key in _missing(plain(config), "") if not key.startswith((*unused, *copies)))
    return [Problem(key, "no-value", "has no value; give one") for key in keys]


def _missing(node: Any, key: str) -> Iterator[str]:
    """As `OmegaConf.missing_keys`, of plain containers."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _missing(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _missing(value, f"{key}[{number}]")
    elif node == "???":
        yield key
