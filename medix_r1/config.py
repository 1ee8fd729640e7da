"""Composes a config out of configs/ and verl's own tree, and answers every unknown key with the nearest known one.

Nothing here imports verl or torch: verl's YAML tree is found through the import system without running verl.
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
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from medix_r1 import user_code
from medix_r1.composing import NOT_COMPOSED, composing
from medix_r1.errors import ConfigError, Problem
from medix_r1.moved_names import replace_moved

_PACKAGE = Path(__file__).parent
_OPEN = (  # dictionaries whose keys belong to somebody else
    "override_config",
    "engine_kwargs",
    "ray_init",
    "reward_kwargs",
    "environment",
    "mm_processor_kwargs",
    "extra_body",
    "apply_chat_template_kwargs",
    "mixed_precision",
    "weights",  # names of signals, checked by the composite reward
    "weight_tables",  # sources and modalities of rows, checked there too
)
_SHORT = ("actor.", "rollout.", "ref.", "model.")  # nodes below actor_rollout_ref
_NAMED = ("reward.signals.", "alarms.")  # nodes whose entries are named by whoever adds one
_VERL_FIELDS = _PACKAGE / "verl_fields.json"


def prepared_shards(folder: str, split: str) -> ListConfig:
    """`${shards:FOLDER,SPLIT}` in a YAML file: what `medix-r1 data prepare` wrote there, in order.

    Whole paths, because workers of a Ray cluster that runs already start in another folder. Where nothing has been
    written, the first shard's name stands in, for the checks to say that it does not exist.
    """
    root = Path(folder).expanduser().absolute()
    found = sorted(str(path) for path in root.glob(f"{split}-*.parquet"))
    return ListConfig(found or [str(root / f"{split}-00000.parquet")])


def gpu_list(numbers: Sequence[int]) -> str:
    """`${gpu_list:NUMBERS}`: GPUs as CUDA_VISIBLE_DEVICES takes them."""
    return ",".join(str(number) for number in numbers)


def gpu_count(numbers: Sequence[int]) -> int:
    """`${gpu_count:NUMBERS}`: how many GPUs."""
    return len(numbers)


def gpus_of_node(trained: int, judged: Sequence[int]) -> int:
    """`${gpus_of_node:TRAINED,JUDGED}`: GPUs that a node needs for those that train (0, 1, ...) and the judge's."""
    return max([trained, *(number + 1 for number in judged)])


for _resolver in (gpu_list, gpu_count, gpus_of_node):
    OmegaConf.register_new_resolver(_resolver.__name__, _resolver, replace=True)
OmegaConf.register_new_resolver("shards", prepared_shards, replace=True)


def config_dir() -> Path:
    """Where our YAML files are: inside an installed wheel, or beside the package in a clone."""
    return next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())


def verl_config_dir() -> Path:
    """Where verl's YAML files are.

    Raises:
        ConfigError: verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError.of("", "verl-not-installed", "verl is not installed: pip install medix-r1")
    return Path(next(iter(spec.submodule_search_locations))) / "trainer" / "config"


def compose_train(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose `train.yaml` with command-line overrides, resolved, every key known.

    Args:
        overrides: as on Hydra's command line.
        config_dirs: folders of a user's own with groups in them (reward/, experiment/, ...), looked at after ours.

    Raises:
        ConfigError: with all unknown keys, or with what Hydra could not compose.
    """
    return _compose("train", overrides, config_dirs)


def compose_serve(overrides: Sequence[str]) -> DictConfig:
    """Compose `serve.yaml`, the judge of a training config without the training.

    Raises:
        ConfigError: with all unknown keys, or with what Hydra could not compose.
    """
    return _compose("serve", overrides)


def compose_reward(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """Compose `score.yaml`: reward, judge and embedder of a training config without the training.

    Raises:
        ConfigError: with all unknown keys, or with what Hydra could not compose.
    """
    return _compose("score", overrides, config_dirs)


@functools.cache
def verl_tree() -> dict[str, Any]:
    """verl's own `ppo_trainer` tree without anything of ours."""
    with composing(verl_config_dir()):
        return _plain(compose("ppo_trainer"))


def _compose(name: str, overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    return resolved(unresolved(name, overrides, config_dirs))


def unresolved(name: str, overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> DictConfig:
    """What Hydra composes, its own node included, before any value is filled in from another.

    Raises:
        ConfigError: Hydra could not compose it.
    """
    every = [search_path(config_dirs), *overrides]
    with composing(config_dir()):
        try:
            config: DictConfig = compose(name, overrides=every, return_hydra_config=True)
        except NOT_COMPOSED as error:
            raise ConfigError([explain(error)]) from error
    return config


def resolved(config: DictConfig) -> DictConfig:
    """The second half of composing: without Hydra's node, every value filled in, every key known. Changes `config`.

    Raises:
        ConfigError: with all unknown keys, or with the value that cannot be filled in.
    """
    _fill_run_name(config)
    replace_moved(config, _plain(config))
    _drop_half_a_server(config)
    try:
        OmegaConf.resolve(config)
    except OmegaConfBaseException as error:
        raise ConfigError.of(
            str(getattr(error, "full_key", None) or "config"), "not-resolved", str(error).splitlines()[0]
        ) from error
    config = _with_whole_paths(config)
    OmegaConf.set_struct(config, True)
    if problems := unknown_keys(config):
        raise ConfigError(problems)
    return config


def search_path(config_dirs: Sequence[Path] = ()) -> str:
    """The override that lets Hydra find verl's groups, and those in folders of a user's own."""
    return (
        f"hydra.searchpath=[{','.join(f'file://{folder.absolute()}' for folder in (verl_config_dir(), *config_dirs))}]"
    )


def _fill_run_name(config: DictConfig) -> None:
    """Replace Hydra's own node, which is not ours to keep, by what we use of it: the experiment's name."""
    OmegaConf.set_struct(config, False)
    if "run" in config and OmegaConf.is_interpolation(config.run, "name"):
        config.run.name = config.hydra.runtime.choices.get("experiment") or "unnamed"
    del config["hydra"]


def _drop_half_a_server(config: DictConfig) -> None:
    """A placement sets GPUs of `judge.server` even where the judge has none to start; the checks look for None."""
    if "judge" in config and config.judge.get("server") is not None and "model" not in config.judge.server:
        config.judge.server = None


def _with_whole_paths(config: DictConfig) -> DictConfig:
    """Files of code that are named relative to the current directory get their whole path: workers start elsewhere."""
    plain = _plain(config)
    whole = user_code.changed(plain, user_code.absolute)
    return config if whole == plain else OmegaConf.create(whole)


def missing_keys(config: DictConfig) -> list[Problem]:
    """One problem for every value that is still `???`."""
    unused = () if config.reward.reward_model.enable else ("reward.reward_model.",)
    copies = ("reward.signals.",)  # interpolations of judge and embedder, reported under their own names
    keys = sorted(key for key in OmegaConf.missing_keys(config) if not key.startswith((*unused, *copies)))
    return [Problem(key, "no-value", "has no value; give one") for key in keys]


def explain(error: Exception) -> Problem:
    """What Hydra could not compose, in one line, with the key and the nearest known one."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        wanted = str(error.missing_cfg_file)
        group, _, choice = wanted.rpartition("/")
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
    if word.startswith(_SHORT):  # as the docs and papers name keys; verl has a critic with keys of the same end
        word = f"actor_rollout_ref.{word}"
    if near := difflib.get_close_matches(word, known, n=1, cutoff=0.5):
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(sorted(known))}" if len(known) < 40 else ""


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every node, branches included."""
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
    """Every dotted key of verl's bare tree and of our own base files."""
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
        keys | {"judge", "judge.client", "judge.server", "embedder", "demo_dir", "reward.signals", "alarms"}
    )


def unknown_keys(config: DictConfig) -> list[Problem]:
    """One problem for every key that nothing would read, with the nearest known one."""
    known, tree = known_keys(), _plain(config)
    fields, problems = _fields_of_targets(tree)
    for key in _unknown(tree, known | fields, ""):
        if key.startswith("reward.signals.llm.judge."):
            continue  # an interpolated copy of judge.client, where it is reported
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
        if name == "_target_" or (prefix in _NAMED and (value is None or isinstance(value, Mapping))):
            if isinstance(value, Mapping):
                yield from _unknown(value, known, f"{key}.")
        elif key not in known:
            yield key
        elif isinstance(value, Mapping) and name not in _OPEN and not _is_argument(prefix, value):
            yield from _unknown(value, known, f"{key}.")


def _is_argument(prefix: str, value: Mapping[str, Any]) -> bool:
    """Whether a node is a dictionary that a signal takes: its keys are for the signal to check."""
    return prefix.startswith("reward.signals.") and "_target_" not in value


def _fields_of_targets(tree: Mapping[str, Any]) -> tuple[set[str], list[Problem]]:
    """Every key that a node's `_target_` takes, and what is wrong with targets; interpolated copies are told once."""
    fields: set[str] = set()
    problems: dict[tuple[str, str], Problem] = {}
    for key, node in flatten(tree):
        if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
            continue
        try:
            fields |= {f"{key}.{field}" for field in _fields_of_target(node["_target_"], f"{key}._target_")}
        except ConfigError as error:
            problems |= {(problem.code, problem.text): problem for problem in error.problems}
    return fields, list(problems.values())


def _fields_of_target(target: str, key: str) -> Sequence[str]:
    """Names that a `_target_` takes: from a list made once for verl, from the signature for everything else."""
    if target.startswith("verl."):
        return _verl_fields().get(target, [])
    found = user_code.load(target, key)
    try:
        return list(inspect.signature(found).parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError.of(key, "not-callable", f"{target} is no class or function") from error


@functools.cache
def _verl_fields() -> Mapping[str, Sequence[str]]:
    fields: Mapping[str, Sequence[str]] = json.loads(_VERL_FIELDS.read_text(encoding="utf-8"))
    return fields
