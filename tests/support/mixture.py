"""A nano mixture of experts whose routes matter: sixteen experts, two of a token, and weights large enough to tell.

The twin of tools/nano/twins.py has weights of 0.02, so that experts add next to nothing, and no route is close.
"""

from __future__ import annotations

from pathlib import Path

from tests.support import vowels

EXPERTS, LAYERS, SCALE = 16, 3, 4.0
SEED, OUTPUT_SCALE = 1, 8.0  # of the one that is trained in a whole run
REPLAY = "actor_rollout_ref.rollout.enable_rollout_routing_replay=true"


def build_mixture(folder: Path, seed: int = 0, *, output_scale: float = 1.0) -> None:
    """Write it as a model folder; a larger `output_scale` makes the policy surer of its tokens, as a trained one is."""
    import torch
    from transformers import AutoConfig, Qwen3VLMoeForConditionalGeneration

    from medix_r1.checkpoints.parameters.hub_layout import hub_conversions
    from medix_r1.demo.rows import labels
    from tools.nano.twins import build_twin

    build_twin(folder, "qwen3_vl_moe", labels.load())
    config = AutoConfig.from_pretrained(folder)
    config.text_config.num_experts, config.text_config.num_hidden_layers = EXPERTS, LAYERS
    torch.manual_seed(seed)
    model = Qwen3VLMoeForConditionalGeneration(config).float()
    with torch.no_grad():
        for parameter in model.model.language_model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(SCALE)
        model.lm_head.weight.mul_(output_scale)
    model._weight_conversions = hub_conversions(model)
    model.save_pretrained(folder)


def run_words(demo: Path, model: Path, *more: str) -> list[str]:
    """Words of `medix-r1 train`: three steps of the demo's rows with a mixture, vLLM and actor both in bf16."""
    engine = "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=bf16"
    return [
        *["experiment=nano_cpu", f"demo_dir={demo}", f"actor_rollout_ref.model.path={model}", engine],
        *["actor_rollout_ref.rollout.dtype=bfloat16", "actor_rollout_ref.actor.optim.lr_warmup_steps=0"],
        # A random policy's replies have no answer, so what the recipe rewards is 0 for all of them.
        *["reward=embedding_only", "judge=none", "reward.weights.embed=0", "reward.signals.embed=null"],
        *["+reward.weights.vowels=1", f"+reward.signals.vowels._target_={vowels.__file__}:Vowels"],
        *["data.train_batch_size=8", "trainer.total_training_steps=3", "trainer.save_freq=-1", "trainer.test_freq=-1"],
        *["trainer.val_before_train=false", *more],
    ]
