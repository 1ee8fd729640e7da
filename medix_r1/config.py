"""Composes a config from configs/ and verl's own YAML tree, and reports unknown keys with the nearest known one.

Nothing here imports verl or torch; `find_spec` locates verl's YAML files.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from medix_r1 import user_code
from medix_r1.composing import NOT_COMPOSED, composing
from medix_r1.errors import ConfigError, Problem
from medix_r1.moved_names import replace_moved
from medix_r1.prepared_folders import prepared_shards, prompt_tokens_of

_PACKAGE = Path(__file__).parent
_FREE_KEYS = (  # dictionaries whose keys are not checked here
    "override_config",
    "engine_kwargs",
    "ray_init",
    "reward_kwargs",
    "environment",
    "mm_processor_kwargs",
    "extra_body",
    "apply_chat_template_kwargs",
    "mixed_precision",
    "folder",  # shares of prepared folders
    "weights",  # checked by the composite reward
    "weight_tables",  # checked by the composite reward
)
_SHORT = ("actor.", "rollout.", "ref.", "model.")  # nodes below actor_rollout_ref
_FREE_NAMES = ("reward.signals.", "alarms.")  # nodes whose entries a user names
_VERL_FIELDS = _PACKAGE / "verl_fields.json"


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


def config_dir() -> Path:
    """The folder of our YAML files: inside the package in an installed wheel, beside it in a clone."""
    return next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())


def verl_config_dir() -> Path:
    """The folder of verl's YAML files.

    Raises:
        ConfigError: verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError.of("", "verl-not-installed", "verl is not installed: pip install medix-r1")
    return Path(next(iter(spec.submodule_search_locations))) / "trainer" / "config"


def compose_train(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose and resolve `train.yaml` with command-line overrides.

    Args:
        overrides: as on Hydra's command line.
        config_dirs: a user's folders of config groups (reward/, experiment/, ...), searched after ours.

    Raises:
        ConfigError: all unknown keys, or Hydra's error.
    """
    return _compose("train", overrides, config_dirs)


def compose_serve(overrides: Sequence[str]) -> DictConfig:
    """Compose and resolve `serve.yaml`: only the judge of a training config.

    Raises:
        ConfigError: all unknown keys, or Hydra's error.
    """
    return _compose("serve", overrides)


def compose_reward(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose and resolve `score.yaml`: only reward, judge and embedder of a training config.

    Raises:
        ConfigError: all unknown keys, or Hydra's error.
    """
    return _compose("score", overrides, config_dirs)


@functools.cache
def verl_tree() -> dict[str, Any]:
    """verl's own `ppo_trainer` config."""
    with composing(verl_config_dir()):
        return _plain(compose("ppo_trainer"))


def _compose(name: str, overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    return resolved(unresolved(name, overrides, config_dirs))


def unresolved(name: str, overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """First half of composing: what Hydra composes, with its own node and before interpolations are resolved.

    Raises:
        ConfigError: Hydra could not compose it.
    """
    every = [search_path(config_dirs), *overrides]
    with composing(config_dir()):
        try:
            config: DictConfig = compose(name, overrides=every, return_hydra_config=True)
        except NOT_COMPOSED as error:
            raise ConfigError([composing_problem(error)]) from error
    return config


def resolved(config: DictConfig) -> DictConfig:
    """Second half of composing: delete Hydra's node, resolve all values, check all keys. Changes `config` in place.

    Raises:
        ConfigError: all unknown keys, or a value that cannot be resolved.
    """
    _fill_run_name(config)
    replace_moved(config, _plain(config))
    _drop_incomplete_server(config)
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        inner: BaseException | None = error
        while inner is not None:  # OmegaConf wraps what a resolver of ours raises
            if isinstance(inner, ConfigError):
                raise inner from error
            inner = inner.__context__
        raise ConfigError.of(
            str(getattr(error, "full_key", None) or "config"), "not-resolved", str(error).splitlines()[0]
        ) from error
    _open_folders(config)
    config = _with_whole_paths(config)
    OmegaConf.set_struct(config, True)
    if problems := unknown_keys(config):
        raise ConfigError(problems)
    return config


def search_path(config_dirs: Sequence[Path] = ()) -> str:
    """The override of `hydra.searchpath` that adds verl's groups and those of a user's folders."""
    return (
        f"hydra.searchpath=[{','.join(f'file://{folder.absolute()}' for folder in (verl_config_dir(), *config_dirs))}]"
    )


def _fill_run_name(config: DictConfig) -> None:
    """Set `run.name` to the experiment's name, and delete Hydra's own node, which held it."""
    OmegaConf.set_struct(config, False)
    if "run" in config and OmegaConf.is_interpolation(config.run, "name"):
        config.run.name = config.hydra.runtime.choices.get("experiment") or "unnamed"
    del config["hydra"]


def _drop_incomplete_server(config: DictConfig) -> None:
    """Set `judge.server` to None where a `placement` gave GPUs to a judge that starts no server."""
    if "judge" in config and config.judge.get("server") is not None and "model" not in config.judge.server:
        config.judge.server = None


def _open_folders(config: DictConfig) -> None:
    """Replace a prepared folder that stands where files are meant by its shards."""
    if "data" not in config:
        return
    for key, split in (("train_files", "train"), ("val_files", "validation")):
        value = config.data.get(key)
        names = [value] if isinstance(value, str) else list(value or ())
        if any(Path(str(name)).expanduser().is_dir() for name in names):
            config.data[key] = [
                shard
                for name in names
                for shard in (prepared_shards(name, split) if Path(name).expanduser().is_dir() else [name])
            ]


def _with_whole_paths(config: DictConfig) -> DictConfig:
    """Make relative paths of users' code files absolute, because workers have another working directory."""
    plain = _plain(config)
    whole = user_code.changed(plain, user_code.absolute)
    return config if whole == plain else OmegaConf.create(whole)


def missing_keys(config: DictConfig) -> list[Problem]:
    """One problem for every mandatory value (`???`) that is not set."""
    unused = () if config.reward.reward_model.enable else ("reward.reward_model.",)
    copies = ("reward.signals.",)  # interpolated copies of judge and embedder, reported under their own keys
    keys = sorted(key for key in OmegaConf.missing_keys(config) if not key.startswith((*unused, *copies)))
    return [Problem(key, "no-value", "has no value; give one") for key in keys]


def composing_problem(error: Exception) -> Problem:
    """Turn an error of Hydra or OmegaConf into a problem of one line, with the nearest known key or choice."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        wanted = str(error.missing_cfg_file)
        group, _, choice = wanted.rpartition("/")
        if group == "data" and (config_dir() / f"prepare/data/{choice}.yaml").is_file():
            says = (
                "is a kind of data set for `medix-r1 data prepare`; train on the folder that it writes: "
                "data=prepared data.folder=FOLDER"
            )
            return Problem(f"data={choice}", "not-prepared", says)
        return Problem(
            f"{group or 'config'}={choice}",
            "no-such-file",
            f"there is no such file{_nearest(choice, error.options or [])}",
        )
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1]
        groups = [path.name for path in config_dir().iterdir() if path.is_dir()]
        return Problem(key, "no-such-key", f"no such key{_nearest(key, [*known_keys(), *groups])}")
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        text = f"{text.splitlines()[0]} {error.__cause__}"
    if isinstance(error, InterpolationKeyError):
        text = f"{error.full_key}: {text.splitlines()[0]}"
    return Problem("config", "not-composed", " ".join(text.split()))


def _nearest(word: str, known: Sequence[str]) -> str:
    if word.startswith(_SHORT):  # docs and papers shorten keys so; without this the critic's keys may match better
        word = f"actor_rollout_ref.{word}"
    if near := difflib.get_close_matches(word, known, n=1, cutoff=0.5):
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(sorted(known))}" if len(known) < 40 else ""


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every node of a config, inner nodes included."""
    for key, value in config.items():
        full = f"{prefix}{key}"
        yield full, value
        if isinstance(value, Mapping):
            yield from flatten(value, f"{full}.")


def _plain(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@functools.cache
def known_keys() -> frozenset[str]:
    """Every dotted key of verl's tree and of our base files."""
    keys = {key for key, _ in flatten(verl_tree())}
    for name, prefix in (
        ("train", ""),
        ("verl", ""),
        ("reward/composite", "reward."),
        ("judge/client", "judge."),
        ("judge/vllm", "judge."),
    ):
        tree = yaml.safe_load((config_dir() / f"{name}.yaml").read_text(encoding="utf-8"))
        tree.pop("defaults", None)
        keys |= {key for key, _ in flatten(tree, prefix)}
    return frozenset(
        keys
        | {"judge", "judge.client", "judge.server", "embedder", "demo_dir", "data.folder", "reward.signals", "alarms"}
    )


def unknown_keys(config: DictConfig) -> list[Problem]:
    """One problem for every unknown key, with the nearest known one."""
    known, tree = known_keys(), _plain(config)
    fields, problems = _fields_of_targets(tree)
    for key in _unknown(tree, known | fields, ""):
        if key.startswith("reward.signals.llm.judge."):
            continue  # an interpolated copy of judge.client, reported there
        siblings = [k for k in known | fields if k.rpartition(".")[0] == key.rpartition(".")[0]]
        problems.append(
            Problem(
                key, "no-such-key", f"no such key{_nearest(key, siblings) or _nearest(key, sorted(known | fields))}"
            )
        )
    return problems


def _unknown(tree: Mapping[str, Any], known: frozenset[str], prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if name == "_target_" or (prefix in _FREE_NAMES and (value is None or isinstance(value, Mapping))):
            if isinstance(value, Mapping):
                yield from _unknown(value, known, f"{key}.")
        elif key not in known:
            yield key
        elif isinstance(value, Mapping) and name not in _FREE_KEYS and not _is_argument(prefix, value):
            yield from _unknown(value, known, f"{key}.")


def _is_argument(prefix: str, value: Mapping[str, Any]) -> bool:
    """Whether a node is a dictionary argument of a signal, whose keys the signal checks."""
    return prefix.startswith("reward.signals.") and "_target_" not in value


def _fields_of_targets(tree: Mapping[str, Any]) -> tuple[set[str], list[Problem]]:
    """Dotted keys of all parameters of `_target_`s, and the problems of targets (those of interpolated copies once)."""
    fields: set[str] = set()
    problems: dict[tuple[str, str], Problem] = {}
    for key, node in flatten(tree):
        if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
            continue
        try:
            names = _fields_of_target(node["_target_"], f"{key}._target_")
        except ConfigError as error:
            problems |= {(problem.code, problem.text): problem for problem in error.problems}
            names = None
        # What takes any keyword, and what cannot be loaded, has no unknown keys.
        fields |= {f"{key}.{field}" for field in (node if names is None else names)}
    return fields, list(problems.values())


def _fields_of_target(target: str, key: str) -> Sequence[str] | None:
    """Parameter names of a `_target_`, None if it takes any; for verl from verl_fields.json."""
    if target.startswith("verl."):
        return verl_fields().get(target, [])
    found = user_code.load(target, key)
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigError.of(key, "not-callable", f"{target} is no class or function") from error
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


@functools.cache
def verl_fields() -> Mapping[str, Sequence[str]]:
    """verl's dataclasses -> their fields and registries -> their names, read without importing it."""
    fields: Mapping[str, Sequence[str]] = json.loads(_VERL_FIELDS.read_text(encoding="utf-8"))
    return fields
