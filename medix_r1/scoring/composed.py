"""Composes and validates a reward from Hydra overrides, and starts its judge."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medix_r1 import config as configs
from medix_r1 import prompts, user_code
from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward, reward_problems
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.weights import veto_problems
from medix_r1.serving import server
from medix_r1.serving.checks import judge_problems
from medix_r1.serving.foreground import attached, judge_settings, new_log, running_judge
from medix_r1.serving.kept import served

DEFAULT_JUDGE_CHECK = 5.0  # seconds, timeout of asking a running judge for its models


@dataclass(frozen=True, slots=True)
class ReadyReward:
    """A reward whose judge is running, and what parses replies for it."""

    composite: CompositeReward
    reader: SampleReader
    overlong: str
    think_element: str

    async def aclose(self) -> None:
        """Close the signals' connections and caches."""
        await self.composite.aclose()


class PlannedReward:
    """The reward of a config, validated but not started.

    Args:
        overrides: Hydra overrides of configs/score.yaml.
        judge_url: a running judge, ending in `/v1`, to use instead of starting one; ignored if the reward has no judge.
        config_dirs: the user's own folders with config groups.
        alone: name of the only signal to keep, with the weight 1; what it does not call is neither started nor loaded.
        besides: gives the problems of what will be scored, by the name of the parser.

    Raises:
        ConfigError: all problems that can be found before a model loads.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        *,
        judge_url: str | None = None,
        config_dirs: Sequence[Path] = (),
        alone: str | None = None,
        besides: Callable[[str], Sequence[Problem]] = lambda _: (),
    ) -> None:
        self._overrides, self._dirs, self._alone = [*overrides], config_dirs, alone
        self.config = self._compose()
        if judge_url and self.config.judge.client is not None and self.asks_a_judge:  # else nothing would call it
            self._overrides += _running_judge(self.config, judge_url)
            self.config = self._compose()
        problems = [*besides(self.config.reward.parser), *reward_problems(self.config.reward)]
        if self.asks_a_judge:
            missing = configs.missing_keys(self.config)
            problems += missing or list(judge_problems(self.config, ask=False))
        if problems:
            raise ConfigError(problems)

    def _compose(self, *further: str) -> DictConfig:
        config = configs.compose_reward([*self._overrides, *further], self._dirs)
        return config if self._alone is None else _keeping(config, self._alone)

    @property
    def asks_a_judge(self) -> bool:
        """Whether a signal uses a judge; that of `reward=embedding_only` does not."""
        signals = OmegaConf.to_container(self.config.reward.signals, resolve=True)
        assert isinstance(signals, dict)
        return any(key.endswith(".judge") for key, _ in configs.flatten(_named(signals)))

    def refuse_soft_overlong(self) -> None:
        """Refuse what only training can apply.

        Raises:
            ConfigError: overlong=soft, which needs each reply's length in tokens.
        """
        if self.config.reward.overlong == "soft":
            text = (
                "soft needs each reply's length in tokens, which a file of texts lacks; use reward, zero or mask with "
            )
            raise ConfigError.of("reward.overlong", "needs-tokens", f"{text}reward.overlong_cache=null")

    def settings(self) -> dict[str, Any]:
        """Everything that a score depends on, as dotted key → value; an output file is tied to it."""
        node = user_code.changed(OmegaConf.to_container(self.config.reward, resolve=True), user_code.identity)
        kept = {key: node[key] for key in _SCORE_KEYS if key in node}
        if node.get("confidence", "none") != "none":  # else as in files from before this key
            kept["confidence"] = node["confidence"]
        flat = {key: value for key, value in configs.flatten(_named(kept)) if not isinstance(value, Mapping)}
        for key in [key for key, name in flat.items() if key.endswith(".prompt") and name is not None]:
            flat[f"{key} (text)"] = prompts.digest(prompts.load(flat[key]))
        return {key: value for key, value in flat.items() if not set(key.split(".")) & set(_OPERATIONAL)}

    @contextlib.contextmanager
    def ready(self, console: Console) -> Iterator[ReadyReward]:
        """Run the judge's server, if the config has one, for the length of a `with` block.

        Raises:
            ConfigError: a signal rejects its settings.
            ServerError: the judge did not come up.
        """
        if not self.asks_a_judge or self.config.judge.server is None:
            yield _ready(self.config)
            return
        settings = judge_settings(self.config)
        log, start = new_log("medix-judge-"), time.monotonic()
        console.print(f"starting judge {settings.served_name} at {settings.address}; log: {log}", highlight=False)
        with served(settings, log):
            console.print(f"judge ready after {time.monotonic() - start:.0f} s", highlight=False)
            yield _ready(self._compose(*attached(self.config, settings)))


# Keys of the reward node that scores depend on; its other keys are verl's.
_SCORE_KEYS = ("weights", "weight_tables", "gate", "signals", "think_element", "parser", "overlong")
# Settings of a judge or an embedder that change how it is called, not what it answers.
_OPERATIONAL = [
    "base_url",
    "base_urls",
    "api_key_env",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout",
    "patience",
    "unknown_model_patience",
    "cache_size",
    "cache_path",
    "price_prompt",
    "price_completion",
    "cost_cap",
    "device",
    "batch_size",
]


def _ready(config: DictConfig) -> ReadyReward:
    reward = config.reward
    return ReadyReward(build_reward(reward), SampleReader.of(reward), str(reward.overlong), str(reward.think_element))


def _keeping(config: DictConfig, name: str) -> DictConfig:
    """The config with one signal, of weight 1.

    Raises:
        ConfigError: the reward has no such signal.
    """
    signals = config.reward.signals
    if signals.get(name) is None:
        known = ", ".join(str(one) for one, node in signals.items() if node is not None)
        raise ConfigError.of(f"--signal {name}", "no-such-signal", f"this reward has none of that name; known: {known}")
    if problems := [one for one in veto_problems(signals) if one.key == f"reward.signals.{name}.veto"]:
        raise ConfigError(problems)
    alone: dict[str, Any] = {
        "signals": {name: {**signals[name], "veto": None} if "veto" in signals[name] else signals[name]},
        "weights": {name: 1.0},
        "weight_tables": {"source": {}, "modality": {}},
        "gate": None,
    }
    for key, value in alone.items():
        OmegaConf.update(config, f"reward.{key}", value, merge=False)
    return config


def _named(tree: Mapping[Any, Any]) -> dict[str, Any]:
    """The tree with lists as mappings from position to value, so that every leaf has a dotted key."""
    named: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        named[str(key)] = _named(value) if isinstance(value, Mapping) else value
    return named


def _running_judge(config: DictConfig, url: str) -> list[str]:
    if not url.startswith(("http://", "https://")):
        raise ConfigError.of("--judge-url", "not-an-address", f"{url!r} is no address such as http://127.0.0.1:8000/v1")
    address = url.rstrip("/").removesuffix("/v1") + "/v1"
    names = server.served_models(address, timeout=DEFAULT_JUDGE_CHECK)
    if not names:
        raise ConfigError.of(
            "--judge-url", "no-answer", f"no judge answers at {address}; start one with medix-r1 serve"
        )
    return running_judge(config.judge, address, names[0])
