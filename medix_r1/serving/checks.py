"""Preflight checks of judge and embedder: everything that would keep them from answering."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1.composing import instantiate, without_missing
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.folders import folder_fault, named_path
from medix_r1.model_names import BUILD_DEMO, is_hub_name
from medix_r1.models.settings import VERL_ROUTER
from medix_r1.serving import server
from medix_r1.serving.composed_judges import (
    asks,
    composed_verl_judges,
    composites,
    composition_problems,
    is_composed,
    members,
    parts_by_name,
)
from medix_r1.serving.context import context_of, context_problems
from medix_r1.serving.probe import Kind, server_problems

__all__ = ["client_problems", "embedder_problems", "is_used", "judge_problems", "members"]

_PLACEHOLDERS: dict[str, Any] = {
    "base_url": "http://placeholder/v1",
    "model": "placeholder",
    "judges": [{}],
    "low": 0.1,
    "high": 0.9,
}
_WITHOUT_FAULTS = {
    "_target_": "medix_r1.models.judge.ChatJudge",
    "base_url": _PLACEHOLDERS["base_url"],
    "model": _PLACEHOLDERS["model"],
}
_OF_THE_KEY = ("variable-not-set", "key-not-printable")


def judge_problems(config: DictConfig, *, ask: bool = True) -> Iterator[Problem]:
    """Every problem of the judge: settings, API key, address, port, model, vLLM's installation.

    Args:
        config: with a `judge` node.
        ask: ask a judge that runs elsewhere one question; False only looks at its list of models.
    """
    if "reward" in config and not is_used(config, "judge"):
        return
    settings = config.judge.server
    wrong = list(_settings_problems(config.judge.client, "judge.client"))
    yield from wrong
    judges = members(config.judge.client)
    if routed := [key for key, member in judges if member.get("base_url") == VERL_ROUTER]:
        yield from composed_verl_judges(routed)
        yield from _verl_problems(config)
        return
    plain: Any = OmegaConf.to_container(config.judge.client, resolve=True)
    yield from composition_problems(plain, config.judge.server)
    hint = "; start one (medix-r1 serve) or mend it"
    elsewhere = [(key, member) for key, member in members(plain) if not asks(member, settings)]
    yield from _server_problems(
        elsewhere if is_composed(plain) or settings is None else [], "judge", hint, wrong, ask=ask
    )
    if settings is None:
        return
    yield from _context_problems(plain, settings, wrong)
    if not isinstance(settings.port, int) or not 0 <= settings.port <= 65535:
        yield Problem(
            "judge.server.port",
            "not-a-port",
            f"{settings.port!r} is not a port; choose 1 to 65535, or 0 for any free one",
        )
    elif settings.port and not server.port_is_free(settings.host, settings.port):
        yield Problem(
            "judge.server.port",
            "port-in-use",
            f"{settings.host}:{settings.port} is in use; choose another, or 0 for any free one",
        )
    if not is_hub_name(settings.model) and not named_path(settings.model).is_dir():
        hint = f"; {BUILD_DEMO}" if "demo_dir" in config else ""
        yield Problem("judge.server.model", "no-such-file", f"{settings.model} does not exist{hint}")
    if shutil.which("vllm") is None and not (Path(sys.executable).parent / "vllm").exists():
        yield Problem(
            "judge.server", "vllm-not-installed", "`vllm` is not installed here; install an extra, or use judge=remote"
        )


def embedder_problems(config: DictConfig) -> Iterator[Problem]:
    """Every problem of the embedder: settings, API key, address."""
    if not is_used(config, "embedder"):
        return
    wrong = list(_settings_problems(config.embedder, "embedder"))
    yield from wrong
    plain: Any = OmegaConf.to_container(config.embedder, resolve=True)
    yield from _server_problems([("embedder", plain)], "embedder", "; start one or mend it", wrong)


def client_problems(config: DictConfig) -> Iterator[Problem]:
    """Problems of the settings of judge and embedder alone, whose keys and servers need not be here."""
    for name, node, key in (("judge", config.judge.client, "judge.client"), ("embedder", config.embedder, "embedder")):
        if is_used(config, name):
            wrong = [found for found in _settings_problems(node, key) if found.code not in _OF_THE_KEY]
            yield from wrong
            if name == "judge" and config.judge.server is not None:
                yield from _context_problems(node, config.judge.server, wrong)


def is_used(config: DictConfig, name: str) -> bool:
    """Whether a signal of this reward uses the `judge` or the `embedder`."""
    nodes = [signal.get(name) for signal in config.reward.signals.values() if signal is not None]
    return any(node is not None and "_target_" in node for node in nodes)  # judge=none has no `_target_`


def _settings_problems(node: DictConfig, key: str) -> Iterator[Problem]:
    """Every problem that the client's class finds in its own settings.

    Votes and cascades are checked member by member, so that problems have the members' keys, then by themselves.
    """
    container: Any = OmegaConf.to_container(node, resolve=True)
    plain = without_missing(container, _PLACEHOLDERS)
    leaves = [
        replace(problem, key=problem.key.replace(key, own, 1))
        for own, member in members(plain, key)
        for problem in (*_constructor_problems(dict(member), key), *_cache_problems(member, key))
    ]
    yield from leaves
    for own, one in composites(plain, key):
        bare = {**one, **{name: _stand_in(part) for name, part in parts_by_name(one).items()}}
        for problem in _constructor_problems(bare, key):
            yield replace(problem, key=problem.key.replace(key, own, 1))


def _stand_in(part: Any) -> Any:
    """A part of a composed judge without faults of its own, so that only the whole's are found."""
    return [_WITHOUT_FAULTS for _ in part] if isinstance(part, list) else _WITHOUT_FAULTS


def _constructor_problems(plain: dict[str, Any], key: str) -> Iterator[Problem]:
    """Instantiate a client, which opens and loads nothing, and yield the problems that its constructor raises."""
    plain = {name: value for name, value in plain.items() if name != "cache_path"}  # it would create this folder
    try:
        instantiate(plain, key)
    except ConfigError as error:
        yield from error.problems


def _cache_problems(plain: Mapping[str, Any], key: str) -> Iterator[Problem]:
    """A folder of verdicts that cannot be made or written to."""
    folder = plain.get("cache_path")
    if isinstance(folder, str) and (fault := folder_fault(Path(folder).expanduser().absolute())):
        yield Problem(f"{key}.cache_path", fault.code, fault.says)


def _context_problems(client: Mapping[Any, Any], server: DictConfig, wrong: Sequence[Problem]) -> Iterator[Problem]:
    """Judges that the run's own server would refuse to answer."""
    context = context_of(server.get("arguments") or ())
    for key, member in members(client):
        if asks(member, server) and not any(problem.key.startswith(key) for problem in wrong):
            yield from context_problems(member, key, context, ", or a longer --max-model-len in judge.server.arguments")


def _server_problems(
    clients: Sequence[tuple[str, Any]], kind: Kind, hint: str, wrong: Sequence[Problem], *, ask: bool = True
) -> Iterator[Problem]:
    """Ask the servers of each client (config key, settings) one question, unless its settings are wrong."""
    for own, client in clients:
        if client.get("base_url") is not None and not any(problem.key.startswith(own) for problem in wrong):
            yield from server_problems(client, own, kind, hint, ask=ask)


def _verl_problems(config: DictConfig) -> Iterator[Problem]:
    model = config.reward.reward_model
    if not model.enable:
        yield Problem(
            "reward.reward_model.enable", "reward-model-off", "judge=verl is verl's own reward model; set it to true"
        )
    if not model.enable_resource_pool:
        yield Problem(
            "reward.reward_model.enable_resource_pool",
            "shares-the-gpus",
            "false shares the policy's GPUs, and verl then scores after the "
            "rollouts, without a reference answer for the judge; set it to true and give it GPUs",
        )
    if config.reward.custom_reward_function.path is None:
        yield Problem(
            "reward.custom_reward_function.path",
            "classifier-asked",
            "null makes verl ask a classifier instead of our reward manager; keep the value of configs/judge/verl.yaml",
        )
