"""Reads a file of EasyR1, MediX-R1, verl or TRL: shell, YAML, JSON or Python. Nothing in it is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from medix_r1.errors import ConfigError
from medix_r1.host.yaml_text import parse_yaml
from medix_r1.migration.found import Project, Script, Unresolved
from medix_r1.migration.python_code import NoConfig, read_python
from medix_r1.migration.shell import UNKNOWN, NotReadable, read_shell
from medix_r1.schema.known import flatten

_MOST_BYTES = 1_000_000  # scripts are a few kilobytes
_MAINS = {"verl.trainer.main": Project.EASYR1, "verl.trainer.main_ppo": Project.VERL}
_SETTING = re.compile(r"[+~]{0,2}([A-Za-z_][\w@/-]*(?:\.[\w-]+)*)=(.*)", re.DOTALL)
_DOTTED = re.compile(r"[+]{0,2}[A-Za-z_]\w*(?:\.[\w-]+)+=.*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d[\d_]*)?\.?\d+([eE][+-]?\d+)?")
_GPU_FLAGS = ("num_processes", "nproc_per_node", "nproc-per-node")
_EXPRESSION = "${"
_MOST_SHOWN = 100  # characters of a value in a remark


def read_script(path: Path) -> Script:
    """The settings of a script, with those of the file that it names as its base.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is of none of the projects.
    """
    text = _text(path)
    if path.suffix in (".yaml", ".yml", ".json"):
        return _of_tree(_tree(path, text), path)
    if path.suffix == ".py":
        return _of_python(path, text)
    try:
        return _of_shell(path, text)
    except NotReadable as error:
        raise ConfigError.of(str(path), "not-readable", f"cannot be read as a shell script: {error}") from error


def _text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError.of(str(path), "no-such-file", "is a folder; name the script in it")
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError.of(str(path), "no-such-file", f"cannot be read ({type(error).__name__})") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError.of(str(path), "too-large", f"is larger than {_MOST_BYTES:,} bytes, so it is no launch script")
    return content.decode("utf-8-sig", errors="replace")


def _of_python(path: Path, text: str) -> Script:
    try:
        return read_python(text)
    except (NoConfig, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        says = "calls no GRPOConfig" if isinstance(error, NoConfig) else "is no Python that can be read"
        raise ConfigError.of(str(path), "not-a-script", f"{says}; translate reads TRL's GRPO scripts") from error


def _tree(path: Path, text: str) -> Mapping[str, Any]:
    try:
        tree = json.loads(text) if path.suffix == ".json" else parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError.of(
            str(path), "broken-yaml", f"cannot be read: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(tree, Mapping) or not all(isinstance(key, str) for key in tree):
        raise ConfigError.of(str(path), "not-a-script", "is no mapping of settings")
    return tree


def _of_tree(tree: Mapping[str, Any], path: Path) -> Script:
    project = Project.EASYR1 if "worker" in tree else Project.VERL if "actor_rollout_ref" in tree else Project.TRL
    settings = _leaves(tree) if project is not Project.TRL else dict(tree)
    if project is Project.TRL and not settings.keys() & _OF_TRL:
        says = (
            "is neither EasyR1's (worker), nor verl's (actor_rollout_ref), nor TRL's (learning_rate, num_generations)"
        )
        raise ConfigError.of(str(path), "not-a-script", says)
    return Script(project, {key: _plain(value) for key, value in settings.items()})


_OF_TRL = frozenset(
    {"num_generations", "max_completion_length", "per_device_train_batch_size", "learning_rate", "model_name_or_path"}
)


def _leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {key: value for key, value in flatten(tree) if not (isinstance(value, Mapping) and value)}
    except (RecursionError, TypeError) as error:
        raise ConfigError.of("", "not-a-script", "its settings are nested too deeply, or in themselves") from error


def _of_shell(path: Path, text: str) -> Script:
    found = read_shell(text)
    starts = [(i, _launches(words)) for i, words in enumerate(found.commands)]
    started = [(i, project) for i, project in starts if project]
    if not started:
        says = "starts neither verl.trainer.main (EasyR1), nor verl.trainer.main_ppo, nor TRL's GRPO"
        raise ConfigError.of(str(path), "not-a-script", says)
    at, project = started[0]
    script = Script(project, environment=dict(found.exported))
    if len(started) > 1:
        script.remarks.append(f"it starts {len(started)} trainings; the first one is translated")
    for name, one in found.depends[at].items():
        others = ", ".join(_short(other, one.taken) for other in one.others)
        says = f"{name} depends on a condition or a loop of the script; {_short(one.taken)} is taken"
        script.remarks.append(f"{says}, not {others}" if others else says)
    words = list(found.commands[at])
    lost = []
    for command in found.commands[at + 1 :]:
        if not _DOTTED.fullmatch(command[0]):
            break
        lost += command
    if lost:
        script.remarks.append(
            "a line of its command ends without a backslash, so the shell loses the lines below; they are translated "
            f"too, from {lost[0].partition('=')[0]} on"
        )
    _read_words(script, [*words, *lost], path)
    return script


def _short(text: str, start: str = "") -> str:
    """A value for a remark; of one that another is the beginning of, what comes more."""
    is_more = bool(start) and text.startswith(start)
    line = " ".join(text.removeprefix(start).split() if is_more else text.split())
    line = line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"
    return f"that with {line!r} besides" if is_more else repr(line)


def _launches(words: list[str]) -> Project | None:
    for word in words:
        if word in _MAINS:
            return _MAINS[word]
        if word.endswith(("verl/trainer/main_ppo.py", ".main_ppo", ".main_dapo")):
            return Project.VERL
    joined = " ".join(words[:30])
    named = re.search(r"\btrl grpo\b|grpo\w*\.py\b|\btrl/\S*\.py\b|\btrl\.scripts\.grpo\b", joined)
    is_trl = named is not None or "--num_generations" in words
    return Project.TRL if is_trl and not words[0].startswith(("echo", "swift")) else None


def _read_words(script: Script, words: list[str], path: Path) -> None:
    base: dict[str, Any] = {}
    if script.project is Project.TRL:
        _read_options(script, words, base, path)
    else:
        _read_settings(script, words, base, path)
    script.settings = {**base, **_opened(script.settings)}


def _read_options(script: Script, words: list[str], base: dict[str, Any], path: Path) -> None:
    """TRL's `--name value …`; what stands before the training script are options of its launcher."""
    start = next((i for i in range(len(words)) if _is_training_script(words, i)), -1)
    i = 0
    while i < len(words):
        if words[i].startswith("--"):
            name, equals, value = words[i][2:].partition("=")
            values = [value] if equals else _following(words, i + 1) if name else []
            if i > start or name in (*_GPU_FLAGS, "config_file"):
                _option(script, name, values, base, path)
            i += len(values) if i > start and not equals else 0
        i += 1


def _is_training_script(words: Sequence[str], at: int) -> bool:
    word, before = words[at], words[at - 1] if at else ""
    if before == "-m":
        return not word.startswith(("torch.distributed", "accelerate", "deepspeed"))
    return word.endswith(".py") or (word == "grpo" and before == "trl")


def _read_settings(script: Script, words: list[str], base: dict[str, Any], path: Path) -> None:
    """`key=value` of EasyR1 and verl; other words of the command are named in a remark."""
    taken_out: list[str] = []
    not_read: list[str] = []
    launcher = next((i for i, word in enumerate(words) if _launches([word])), -1)
    for i, word in enumerate(words):
        if word.startswith("--") and (name := word[2:].partition("=")[0]):
            if name in _GPU_FLAGS:
                value = word[2:].partition("=")[2]
                _option(script, name, [value] if value else words[i + 1 : i + 2], base, path)
            elif i > launcher:
                not_read.append(word)
        elif match := _SETTING.fullmatch(word):
            if match[1] == "config":
                base |= _base(script, match[2], path)
            elif word.startswith("~"):
                taken_out.append(match[1])
            else:
                script.settings[match[1]] = _scalar(match[2])
        elif word.startswith("~"):
            taken_out.append(word[1:])
        elif i > launcher and word:
            not_read.append(word.replace(UNKNOWN, ""))
    if taken_out:
        script.remarks.append(f"it takes keys out: {', '.join(taken_out)}; ~KEY does so here")
    if not_read:
        script.remarks.append(f"of its command no setting, and not read: {' '.join(not_read)}")


def _following(words: list[str], start: int) -> list[str]:
    end = start
    while end < len(words) and not words[end].startswith("--"):
        end += 1
    return words[start:end]


def _option(script: Script, name: str, values: list[str], base: dict[str, Any], path: Path) -> None:
    if name in _GPU_FLAGS and values and values[0].isdigit():
        script.gpus = int(values[0])
    elif script.project is Project.TRL and name in ("config", "config_file") and values:
        found = _base(script, values[0], path)
        if found.keys() & _OF_TRL:
            base |= found
            script.base = None
        elif isinstance(number := found.get("num_processes"), int):
            script.gpus, script.base = number, None  # accelerate's own file
        elif name == "config_file":
            script.base = None
    elif script.project is Project.TRL:
        script.settings[name] = _scalar(values[0]) if len(values) == 1 else [_scalar(one) for one in values] or True


def _base(script: Script, name: str, path: Path) -> dict[str, Any]:
    """The settings of a script's base file, which lies in the working directory or above the script."""
    folders = [Path.cwd(), *path.absolute().parents]
    try:
        file = next((folder / name for folder in folders if UNKNOWN not in name and (folder / name).is_file()), None)
    except (OSError, ValueError):
        file = None
    if file is None:
        script.base = name
        return {}
    tree = _tree(file, _text(file))
    leaves = dict(tree) if script.project is Project.TRL else _leaves(tree)
    return {key: _plain(value) for key, value in leaves.items()}


def _opened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are mappings, as in `key='{"n": 16}'`, become keys of their own."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _leaves({key: value}) if isinstance(value, Mapping) and value else {key: value}
    return found


def _scalar(text: str) -> Any:
    """A value as YAML reads it; numbers such as 1e-6, which YAML takes for a text, are numbers."""
    if UNKNOWN in text:
        return Unresolved(text.replace(UNKNOWN, ""))
    if _NUMBER.fullmatch(text):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    try:
        return _plain(parse_yaml(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """Plain containers, numbers and texts; a text that OmegaConf would compute is not resolved."""
    if isinstance(value, str):
        if _EXPRESSION in value:
            return Unresolved(value)
        return _scalar(value) if re.fullmatch(r"[+-]?\d[\d_]*(\.\d*)?[eE][+-]?\d+", value) else value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if isinstance(value, bool | int | float | None) else str(value)
