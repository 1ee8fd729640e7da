"""The nano model on a GPU: what tests/gpu runs there, and what a test without a GPU composes."""

from __future__ import annotations

STEPS = 2

# experiment=nano_cpu on hardware=gpu24: bf16, offloaded parameters, CUDA graphs, vLLM's sleep mode, CUDA IPC.
NANO_ON_GPU = [
    "hardware=gpu24",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.actor.fsdp_config.model_dtype=fp32",
    "actor_rollout_ref.rollout.max_model_len=128",
    "trainer.save_freq=1",
]
