"""Peak memory of the recipes at real size: `python benchmarks/simulated_memory.py [CASE …]`, all cases without a name.

Runs `check --simulate` of each recipe and of variants that should differ, and keeps results/simulated_memory.json, from
which `make docs` writes the tables of docs/check.md and docs/gpu.md. About two minutes a case on two cores.
"""

from __future__ import annotations

import sys

import results_file

from medix_r1.config import compose_train
from medix_r1.training.preflight.machine import micro_batch
from medix_r1.training.simulation.asked import fingerprint
from medix_r1.training.simulation.run import simulate

_ATTENTION = "+actor_rollout_ref.model.override_config.attn_implementation"
_DEFERRED = "actor_rollout_ref.actor.fsdp_config.use_no_sync_for_gradient_accumulation=true"
RECIPES = ("2b_dapo", "2b_gpu24", "7b_gspo", "8b_dapo", "8b_grpo", "30b_dapo")
# Name of a case -> its overrides, and the pictures of an update's micro-batch (None: all that fit).
CASES: dict[str, tuple[tuple[str, ...], int | None]] = {
    **{f"medix_r1_{name}": ((f"experiment=medix_r1_{name}",), None) for name in RECIPES},
    "8B, 2 pictures a micro-batch": (("experiment=medix_r1_8b_dapo",), 2),
    "8B, torch_varlen": (("experiment=medix_r1_8b_dapo", f"{_ATTENTION}=torch_varlen"), None),
    "8B, sdpa": (("experiment=medix_r1_8b_dapo", f"{_ATTENTION}=sdpa"), None),
    "8B, deferred gradient sync": (("experiment=medix_r1_8b_dapo", _DEFERRED), None),
    "8B, LoRA": (("experiment=medix_r1_8b_dapo", "lora=rank64"), None),
    "8B, two nodes": (("experiment=medix_r1_8b_dapo", "hardware=a100x8_2nodes"), None),
    "2B, fused kernels": (("experiment=medix_r1_2b_dapo", "actor_rollout_ref.model.use_fused_kernels=true"), None),
    "2B, one GPU": (("experiment=medix_r1_2b_dapo", "trainer.n_gpus_per_node=1"), None),
}
ADDRESS = "judge.client.base_url=http://HOST:8000/v1"


def main() -> None:
    """Simulate the named cases, or all."""
    about = results_file.provenance()
    for name in sys.argv[1:] or CASES:
        overrides, pictures = CASES[name]
        config = compose_train([*overrides, ADDRESS])
        found = simulate(config, lambda line: print(line, flush=True), pictures=pictures)
        row = {
            **about,
            "fingerprint": fingerprint(config, micro_batch.of_config(config, pictures)),
            "seconds": round(found.seconds),
            "pictures": len(found.stages.update.pictures),
            "phases": {
                phase: {"bytes": peak.bytes, "parts": dict(peak.parts), "host": peak.host}
                for phase, peak in found.phases.items()
            },
            "stand_ins": list(found.stand_ins),
        }
        results_file.keep("simulated_memory", name, row)
        print(name, {phase: round(peak.bytes / 2**30, 2) for phase, peak in found.phases.items()}, flush=True)


if __name__ == "__main__":
    main()
