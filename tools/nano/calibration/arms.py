"""The two arms of the demonstration: the same policy, once paid for its confidence and once not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from medix_r1.errors import ServerError

POLICY = "policy_confident"  # in the models of the demo's folder
STEPS = 60
VALIDATED = 10
SAVED = 30
SAMPLES = 5  # replies to a held-out question, at T=1
WEIGHT = 0.34  # of the calibration; with the composite's other weights times 0.66 the largest that is allowed is 0.341
ROLLOUTS = 8  # of a question
RATE = 3e-4  # the learning rate
LONGEST = 48  # tokens of a reply
COMPOSITE = {"llm": 0.5175, "embed": 0.3375, "format": 0.10, "modality": 0.045}
ARMS: dict[str, float] = {"earned": WEIGHT, "plain": 0.0}
"""Name of an arm → weight of the calibration. Both log the signal."""


def overrides(arm: str, seed: int, demo: Path, policy: Path, run: Path) -> list[str]:
    """What `medix-r1 train` is told for one run.

    Args:
        arm: of `ARMS`.
        seed: of the run.
        demo: folder of `medix-r1 demo build`.
        policy: the policy that says confidences.
        run: the run's folder.
    """
    return [
        "experiment=nano_cpu",
        "reward=calibrated",
        *(f"reward.weights.{name}={value:g}" for name, value in weights(arm).items()),
        f"demo_dir={demo}",
        f"actor_rollout_ref.model.path={policy}",
        f"data.max_response_length={LONGEST}",
        f"actor_rollout_ref.actor.optim.lr={RATE}",
        f"actor_rollout_ref.rollout.n={ROLLOUTS}",
        f"actor_rollout_ref.rollout.val_kwargs.n={SAMPLES}",
        f"trainer.total_training_steps={STEPS}",
        f"trainer.test_freq={VALIDATED}",
        f"trainer.save_freq={SAVED}",
        f"run.seed={seed}",
        f"run.dir={run}",
    ]


def weights(arm: str) -> dict[str, float]:
    """The weight of each signal in an arm."""
    weight = ARMS[arm]
    return {**{name: round(value * (1.0 - weight), 6) for name, value in COMPOSITE.items()}, "calibration": weight}


def train(arm: str, seed: int, demo: Path, policy: Path, run: Path) -> None:
    """Run one arm to its end, or resume it.

    Raises:
        ServerError: the run did not end well; it has said why.
    """
    command = [sys.executable, "-m", "medix_r1.cli", "train", *overrides(arm, seed, demo, policy, run)]
    if code := subprocess.run(command, check=False).returncode:
        raise ServerError(f"{run}: the training ended with code {code}; what it said stands above", code="not-trained")
