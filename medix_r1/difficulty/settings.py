"""Settings of `medix-r1 data difficulty`: own words, and what is left for the reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlsplit

from medix_r1.errors import ConfigError, Problem
from medix_r1.schema.known import config_dir

SERVERS = ("vllm", "cpu")


@dataclass(frozen=True, slots=True)
class Settings:
    """Own words of the command, `key=value`.

    Attributes:
        model: hub name or folder of the policy; required.
        base_url: an OpenAI-compatible server of it, ending in `/v1`; None starts one.
        api_key_env: name of the environment variable with that server's key.
        server: how to start one, a file of configs/eval/server/.
        k: replies a row.
        temperature, top_p, max_tokens: of sampling; use those of training.
        signal: part of the reward that counts as right, from 0.5 on.
        concurrency: rows in flight.
        rows: at most so many rows, the first of a random order; None: all.
        seed: of that order and of sampling.
        batch: prompts of a training step, for what a step would cost.
    """

    model: str = ""
    base_url: str | None = None
    api_key_env: str | None = None
    server: str = "vllm"
    k: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 4096
    signal: str = "llm"
    concurrency: int = 32
    rows: int | None = None
    seed: int = 1
    batch: int = 512


_NUMBERS: dict[str, tuple[type, float, float]] = {  # key → type, least, greatest
    "k": (int, 2, 256),
    "temperature": (float, 1e-3, 100.0),
    "top_p": (float, 1e-6, 1.0),
    "max_tokens": (int, 1, 2**20),
    "concurrency": (int, 1, 4096),
    "rows": (int, 1, 2**31),
    "seed": (int, 0, 2**31),
    "batch": (int, 1, 2**20),
}


def split(words: Sequence[str]) -> tuple[Settings, list[str]]:
    """Own settings, and the words that are overrides of the reward.

    Raises:
        ConfigError: all wrong values.
    """
    own = {field.name for field in fields(Settings)}
    given: dict[str, Any] = {}
    problems, others = [], []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in own:
            others.append(word)
        elif key in _NUMBERS:
            number = _number(text, *_NUMBERS[key])
            if number is None and text != "null":
                kind, least, greatest = _NUMBERS[key]
                what = "an integer" if kind is int else "a number"
                says = f"'{text}' is not {what} from {least:g} to {greatest:g}"
                problems.append(Problem(key, "out-of-range", says))
            given[key] = number
        else:
            given[key] = None if text == "null" else text
    settings = replace(Settings(), **{key: value for key, value in given.items() if value is not None})
    problems += _text_problems(settings)
    if problems:
        raise ConfigError(problems)
    return settings, others


def _number(text: str, kind: type, least: float, greatest: float) -> Any:
    try:
        value = kind(text)
    except ValueError:
        return None
    return value if least <= value <= greatest else None


def _text_problems(settings: Settings) -> list[Problem]:
    problems = []
    if not settings.model:
        problems.append(Problem("model", "missing", "which policy? give model=FOLDER or model=HUB/NAME"))
    if settings.server not in SERVERS:
        says = f"'{settings.server}' is none of {', '.join(SERVERS)}; or give base_url=http://HOST:PORT/v1"
        problems.append(Problem("server", "not-a-choice", says))
    if settings.base_url is not None:
        parts = urlsplit(settings.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            says = f"'{settings.base_url}' is no address; write http://HOST:PORT/v1"
            problems.append(Problem("base_url", "not-an-address", says))
    return problems


def server_file(name: str) -> Any:
    """The settings of `vllm serve` of that name."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(config_dir() / "eval" / "server" / f"{name}.yaml"))
