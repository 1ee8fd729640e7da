"""What benchmarks/simulated_memory.py recorded is of today's recipes, and the quick estimate is close to it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from medix_r1.training.preflight.machine import memory, micro_batch
from medix_r1.training.simulation.asked import fingerprint
from tests.support.configs import composed

ROOT = Path(__file__).parents[4]
RECORDED: dict[str, Any] = json.loads((ROOT / "benchmarks/results/simulated_memory.json").read_text(encoding="utf-8"))


def cases() -> tuple[list[str], dict[str, tuple[tuple[str, ...], int | None]]]:
    """Recipes and cases of the benchmark, which is no module that a test can import."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        benchmark = importlib.import_module("simulated_memory")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return [f"medix_r1_{name}" for name in benchmark.RECIPES], benchmark.CASES


RECIPES, CASES = cases()


def test_every_recipe_is_recorded() -> None:
    assert set(RECIPES) <= set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_what_was_simulated_is_what_is_configured(name: str) -> None:
    """If not: `python benchmarks/simulated_memory.py NAME`, then `make docs`."""
    overrides, pictures = CASES[name]
    config = composed(*overrides)
    assert fingerprint(config, micro_batch.of_config(config, pictures)) == RECORDED[name]["fingerprint"]


def test_a_changed_recipe_is_noticed() -> None:
    name = RECIPES[0]
    config = composed(f"experiment={name}", "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=20000")
    assert fingerprint(config, micro_batch.of_config(config)) != RECORDED[name]["fingerprint"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_quick_estimate_is_within_a_tenth(name: str) -> None:
    config = composed(f"experiment={name}")
    found = memory.estimate(memory.size_of(config.actor_rollout_ref.model.path), config, 0.0)
    estimated = {"reference log-probs": found.reference, "old log-probs": found.log_probs, "update": found.update}
    for phase, simulated in RECORDED[name]["phases"].items():
        assert sum(estimated[phase].values()) == pytest.approx(simulated["bytes"], rel=0.1), phase
