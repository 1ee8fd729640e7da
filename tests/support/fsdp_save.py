"""Checkpoints as verl writes them: real FSDP models on gloo, saved by verl's own checkpoint manager.

Run as a process: python -m tests.support.fsdp_save ROOT CASE [CASE ...]

For each case ROOT/CASE/ is a run folder with one sealed checkpoint, global_step_3. Beside `checkpoints` lie the truths
that a merge is compared with, neither of them made by this project's code:
    base/       the model folder the run started from
    full.pt     the full state dict, gathered by torch from the sharded model
    logits.pt   {"input_ids", "logits"}: what the sharded model answers, computed across the ranks
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
STEP = 3


@dataclass(frozen=True)
class Case:
    """One way of training: how many processes, how they share the model, and which model."""

    ranks: int
    version: int = 2  # of FSDP
    fsdp_size: int = -1  # smaller than ranks: hybrid, the rest replicates
    model: str = "nano"  # nano, tied, moe (fused experts), moe_text (stored expert by expert, no pictures)
    lora: bool = False
    dtype: str = "float32"


CASES = {
    "one": Case(1),
    "two": Case(2),
    "three": Case(3),  # divides hardly any dimension: uneven shards
    "four": Case(4),
    "hybrid": Case(4, fsdp_size=2),
    "replicated": Case(2, fsdp_size=1),
    "bf16": Case(2, dtype="bfloat16"),
    "tied": Case(2, model="tied"),
    "moe": Case(4, model="moe"),  # 3 experts on 4 ranks: one rank holds none
    "moe_text": Case(2, model="moe_text"),
    "lora": Case(2, lora=True),
    "fsdp1_one": Case(1, version=1),
    "fsdp1_two": Case(2, version=1),
    "fsdp1_three": Case(3, version=1),
    "fsdp1_hybrid": Case(4, version=1, fsdp_size=2),
    "fsdp1_lora": Case(2, version=1, lora=True),
}


def checkpoint_of(run: Path) -> Path:
    return run / "checkpoints" / f"global_step_{STEP}"


def save_base(folder: Path, kind: str) -> None:
    """Write the model folder that a run starts from: the demo's nano architecture, random weights."""
    import torch
    from transformers import (
        AutoProcessor,
        GenerationConfig,
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLMoeConfig,
        Qwen3VLMoeForConditionalGeneration,
    )

    from medix_r1.checkpoints.parameters.hub_layout import hub_conversions
    from medix_r1.demo.shipped import shipped_folder

    nano = shipped_folder("policy")
    processor = AutoProcessor.from_pretrained(nano)
    generation = GenerationConfig.from_pretrained(nano)
    settings = Qwen3VLConfig.from_pretrained(nano).to_dict()
    torch.manual_seed(0)
    model: Any
    if kind == "tied":
        settings["tie_word_embeddings"] = settings["text_config"]["tie_word_embeddings"] = True
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(settings))
    elif kind == "moe":
        settings.pop("model_type")
        text = {**settings.pop("text_config"), "model_type": "qwen3_vl_moe_text", "decoder_sparse_step": 1}
        text |= {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 96, "norm_topk_prob": True}
        vision = {**settings.pop("vision_config"), "model_type": "qwen3_vl_moe_vision"}
        settings["architectures"] = ["Qwen3VLMoeForConditionalGeneration"]
        model = Qwen3VLMoeForConditionalGeneration(Qwen3VLMoeConfig(text_config=text, vision_config=vision, **settings))
    elif kind == "moe_text":
        keys = (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
        )
        text = {key: settings["text_config"][key] for key in keys}
        model = Qwen3MoeForCausalLM(
            Qwen3MoeConfig(**text, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=48, intermediate_size=96)
        )
        model.generation_config = generation
        model.save_pretrained(folder)
        processor.tokenizer.save_pretrained(folder)
        return
    else:
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(settings))
    model.generation_config = generation
    model._weight_conversions = hub_conversions(model)
    model.float().save_pretrained(folder)
    processor.save_pretrained(folder)


def _rank(rank: int, case: Case, run: Path) -> None:
    import torch
    import torch.distributed as dist
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
    from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager
    from verl.workers.engine.fsdp.utils import create_device_mesh

    torch.set_num_threads(1)
    store = f"file://{run / 'rendezvous'}"
    dist.init_process_group("cpu:gloo", init_method=store, rank=rank, world_size=case.ranks)
    mesh = create_device_mesh(case.ranks, case.fsdp_size)
    is_text = case.model == "moe_text"
    auto_class = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
    base: Any = auto_class.from_pretrained(run / "base", dtype=getattr(torch, case.dtype))
    if case.lora:
        base = _with_lora(base)
    model = _wrap(base, case, mesh)
    checkpoint = checkpoint_of(run)
    saver = FSDPCheckpointManager(
        model,
        processing_class=(AutoTokenizer if is_text else AutoProcessor).from_pretrained(run / "base"),
        checkpoint_config={"save_contents": ["model"], "load_contents": ["model"]},
    )
    saver.save_checkpoint(str(checkpoint / "actor"), global_step=STEP)
    input_ids = torch.arange(40, 64).unsqueeze(0)
    full = _gather(model)
    with torch.no_grad():
        logits = model(input_ids=input_ids, use_cache=False).logits
    if rank == 0:
        torch.save({"input_ids": input_ids, "logits": logits.detach().clone()}, run / "logits.pt")
        torch.save(full, run / "full.pt")
    dist.barrier()
    dist.destroy_process_group()


def _gather(model: Any) -> dict[str, Any]:
    """The whole model on every rank, by torch's own all-gather."""
    from torch.distributed.fsdp import ShardedStateDictConfig, StateDictType
    from verl.utils.fsdp_utils import get_fsdp_state_ctx

    with get_fsdp_state_ctx(model, StateDictType.SHARDED_STATE_DICT, ShardedStateDictConfig(), None):
        shards = model.state_dict()
    return {
        name: (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().clone()
        for name, value in shards.items()
    }


def _with_lora(model: Any) -> Any:
    """As verl's engine does it (verl/workers/engine/fsdp/transformer_impl.py), with an adapter that is not zero."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=4,
        lora_alpha=6,
        target_modules="all-linear",
        exclude_modules=".*visual.*",
        bias="none",
    )
    model = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return model


def _wrap(model: Any, case: Case, mesh: Any) -> Any:
    """As verl's engine does it."""
    import torch
    from omegaconf import OmegaConf
    from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecisionPolicy
    from verl.utils.fsdp_utils import apply_fsdp2, fsdp2_load_full_state_dict, get_fsdp_wrap_policy
    from verl.workers.engine.fsdp.utils import get_sharding_strategy

    if case.version == 1:
        return FullyShardedDataParallel(
            model,
            auto_wrap_policy=get_fsdp_wrap_policy(model, is_lora=case.lora),
            device_id=torch.device("cpu"),
            sharding_strategy=get_sharding_strategy(mesh),
            device_mesh=mesh,
            use_orig_params=False,
        )
    full = model.state_dict()
    policy = {"mesh": mesh, "mp_policy": MixedPrecisionPolicy(), "offload_policy": None, "reshard_after_forward": True}
    apply_fsdp2(model, policy, OmegaConf.create({}))
    fsdp2_load_full_state_dict(model, full, mesh, None)
    return model


def main(root: Path, names: list[str]) -> None:
    """Import once, then fork the ranks of one case after the other."""
    import peft  # noqa: F401
    import transformers.models.qwen3_moe.modeling_qwen3_moe
    import transformers.models.qwen3_vl.modeling_qwen3_vl
    import transformers.models.qwen3_vl.processing_qwen3_vl
    import transformers.models.qwen3_vl_moe.modeling_qwen3_vl_moe  # noqa: F401
    import verl.utils.checkpoint.fsdp_checkpoint_manager
    import verl.workers.engine.fsdp.utils  # noqa: F401

    from medix_r1.runs import checkpoints
    from medix_r1.training.verl_plugin.cpu import install

    install()
    context = multiprocessing.get_context("fork")
    bases: dict[str, Path] = {}  # of each kind of model the one that was written first
    for name in names:
        case, run = CASES[name], root / name
        run.mkdir(parents=True)
        if case.model in bases:
            shutil.copytree(bases[case.model], run / "base")
        else:
            writer = context.Process(target=save_base, args=(run / "base", case.model))
            writer.start()
            writer.join()
            bases[case.model] = run / "base"
        ranks = [context.Process(target=_rank, args=(rank, case, run)) for rank in range(case.ranks)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        if failed := [rank for rank, process in enumerate(ranks) if process.exitcode]:
            raise SystemExit(f"{name}: ranks {failed} failed")
        checkpoints.seal(checkpoint_of(run))
        print(name, "saved", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
