"""Checks what vLLM's engines are started with: `rollout.engine_kwargs`, and the arguments of a judge's server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1.errors import Problem
from medix_r1.serving.vllm_arguments import keyword_problems, word_problems

_KEY = "actor_rollout_ref.rollout.engine_kwargs"


def argument_problems(config: DictConfig) -> Iterator[Problem]:
    """Arguments that vLLM does not know, or whose values it would refuse."""
    engines: Any = OmegaConf.to_container(config.actor_rollout_ref.rollout.engine_kwargs, resolve=True)
    for name, arguments in engines.items():
        if name == "vllm":
            yield from keyword_problems(f"{_KEY}.vllm", arguments or {})
        elif arguments:
            yield Problem(f"{_KEY}.{name}", "no-effect", "rollouts are made by vLLM; put its arguments below vllm")
    if config.judge.server is not None:
        words: Any = OmegaConf.to_container(config.judge.server.arguments, resolve=True)
        yield from word_problems("judge.server.arguments", words)
