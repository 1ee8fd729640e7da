"""Runs a simulation in a process of its own, and gives its result or one line about why there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from medix_r1.errors import ConfigError, Problem, TrainingError
from medix_r1.model_names import is_hub_name
from medix_r1.training.preflight.machine import micro_batch
from medix_r1.training.preflight.model import known_models
from medix_r1.training.preflight.model.model_folder import model_config, snapshot
from medix_r1.training.preflight.rows.batches import sequence_parallel
from medix_r1.training.simulation.asked import asked_of, stand_ins_of
from medix_r1.training.simulation.process import ENVIRONMENT

SUPPORTED = ("qwen3_vl", "qwen3_vl_moe", "qwen2_5_vl")
_MODEL = "actor_rollout_ref.model.path"


@dataclass(frozen=True, slots=True)
class PhasePeak:
    """Peak of a phase on one GPU, in bytes, and its parts; `host` is what is offloaded meanwhile."""

    bytes: int
    parts: Mapping[str, int]
    host: int


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a simulation found.

    Attributes:
        phases: name → peak, in the order of a step.
        stages: the micro-batches.
        stand_ins: what replaced a kernel or a value, a sentence each.
        seconds: that it took.
    """

    phases: Mapping[str, PhasePeak]
    stages: micro_batch.Stages
    stand_ins: tuple[str, ...]
    seconds: float

    @property
    def peak(self) -> int:
        return max(phase.bytes for phase in self.phases.values())


def simulate(config: DictConfig, say: Callable[[str], None], *, pictures: int | None = None) -> Simulated:
    """Simulate one rank's step.

    Args:
        config: a composed training config.
        say: is told what begins, a line each.
        pictures: of a micro-batch of the update; None takes as many of the largest as fit.

    Raises:
        ConfigError: the config asks for something that cannot be simulated.
        TrainingError: the simulation failed; the message has the last line of what it printed.
    """
    if problems := list(_problems(config)):
        raise ConfigError(problems)
    stages = micro_batch.of_config(config, pictures)
    asked = asked_of(config, stages)
    with tempfile.TemporaryDirectory() as scratch:
        file, log = Path(scratch, "asked.json"), Path(scratch, "log.txt")
        file.write_text(json.dumps(asked), encoding="utf-8")
        line: dict[str, Any] = {}
        for line in _lines(file, log):
            if "begins" in line:
                say(f"{line['seconds']:6.1f} s  {line['begins']}")
        if "phases" not in line:
            last = [text.strip() for text in log.read_text(errors="replace").splitlines() if text.strip()]
            raise TrainingError(
                f"the simulation failed: {_cause(last)}; the estimate of `check` without --simulate does not need it",
                code="simulation-failed",
            )
    phases = {
        name: PhasePeak(int(phase["bytes"]), phase["parts"], int(phase["host"]))
        for name, phase in line["phases"].items()
    }
    return Simulated(phases, stages, tuple(stand_ins_of(config)), float(line["seconds"]))


def _cause(lines: list[str]) -> str:
    """The error in a traceback, else the last line; a rank's prefix is left out."""
    plain = [line.removeprefix("[rank0]:").strip() for line in lines]
    errors = [line for line in plain if line.partition(":")[0].rpartition(".")[2].endswith(("Error", "Exception"))]
    return (errors or plain or ["it printed nothing"])[-1][:300]


def _lines(file: Path, log: Path) -> Iterator[dict[str, Any]]:
    root = str(Path(__file__).parents[3])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "medix_r1.training.simulation.process", str(file)],
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for text in process.stdout:
                yield json.loads(text)
        finally:
            if process.poll() is None:
                process.kill()


def _problems(config: DictConfig) -> Iterator[Problem]:
    node = config.actor_rollout_ref
    if node.actor.strategy != "fsdp2":
        yield Problem(
            "actor_rollout_ref.actor.strategy", "not-simulated", f"{node.actor.strategy}: only fsdp2 is simulated"
        )
    if sequence_parallel(node.actor) > 1:
        yield Problem(
            "actor_rollout_ref.actor.ulysses_sequence_parallel_size", "not-simulated", "more than 1 is not simulated"
        )
    if config.looking_loss.coefficient:
        says = "its second pass is not simulated; set it to 0 here (the estimate counts both passes)"
        yield Problem("looking_loss.coefficient", "not-simulated", says)
    model = node.model.path
    values = _values(model)
    if not values:
        if is_hub_name(str(model)):
            yield Problem(_MODEL, "not-downloaded", f"{model} is not on this machine; `hf download {model}` fetches it")
        else:
            yield Problem(_MODEL, "no-such-model", f"{model} does not exist, or has no config.json")
    elif values.get("model_type") not in SUPPORTED:
        yield Problem(
            _MODEL, "not-simulated", f"{model} is {values.get('model_type')}; simulated are {', '.join(SUPPORTED)}"
        )


def _values(model: str) -> Mapping[str, Any]:
    known = known_models.find(model)
    return known.config if known else model_config(snapshot(model))
