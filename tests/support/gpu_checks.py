"""What scripts/gpu_probe.py tries, one check a process: python -m tests.support.gpu_checks CHECK DEVICE FOLDER SCRATCH

DEVICE is cuda or cpu, FOLDER a policy's (the nano policy, or a real one). The last line is JSON: figures by name. A
check that fails raises. Ray and vLLM are not started; where Ray is not installed, without_ray/ stands in for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

FSDP = "actor_rollout_ref.actor.fsdp_config"
OPTIM = "actor_rollout_ref.actor.optim"
NOW = f"{OPTIM}.lr_warmup_steps=0"
COMPENSATED = (
    f"{FSDP}.model_dtype=bf16",
    f"{OPTIM}.optimizer_impl=medix_r1.training.verl_plugin.optimizer",
    f"{OPTIM}.optimizer=CompensatedAdamW",
)


def _settings(device: str, *more: str) -> list[str]:
    from tests.support.gpu import NANO_ON_GPU

    bf16 = f"{FSDP}.mixed_precision.param_dtype=bf16"
    return [*(NANO_ON_GPU if device == "cuda" else [bf16]), NOW, *more]


def _stepped(device: str, folder: Path, *more: str) -> tuple[Any, dict[str, float]]:
    """An engine after two updates, and figures of them."""
    import torch
    from verl.workers.utils.losses import ppo_loss

    from tests.support.engine_probe import build_engine, rows

    engine, model, actor = build_engine(str(folder), _settings(device, *more))
    before = {name: _whole(p) for name, p in engine.module.named_parameters()}
    figures: dict[str, float] = {}
    for name in ("first", "second"):
        data, began = rows(engine, model.processor, 0).to(device), time.perf_counter()
        with engine.train_mode():
            output = engine.train_batch(data, partial(ppo_loss, config=actor))
        engine.lr_scheduler_step()
        figures[f"seconds of the {name} update"] = round(time.perf_counter() - began, 3)
    norm = float(output["metrics"]["grad_norm"])
    assert norm > 0, "the gradient is zero"
    changed = [name for name, p in engine.module.named_parameters() if not torch.equal(_whole(p), before[name])]
    assert changed, "no parameter changed"
    return engine, {**figures, "gradient norm": round(norm, 5), "changed tensors": len(changed)}


def _whole(parameter: Any) -> Any:
    tensor = parameter.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().clone()


def adamw(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Forward, backward and AdamW, computed in bf16."""
    return _stepped(device, folder)[1]


def compensated(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """The same with bf16 parameters and CompensatedAdamW."""
    return _stepped(device, folder, *COMPENSATED)[1]


def offload(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Parameters and optimizer states go to the host and come back as they were; then an update."""
    import torch

    engine, figures = _stepped(device, folder)
    before = {name: _whole(p) for name, p in engine.module.named_parameters()}
    engine.to("cpu")
    places = {p.device.type for p in engine.module.parameters()}
    assert places == {"cpu"}, places
    engine.to(device)
    same = all(torch.equal(_whole(p), before[name]) for name, p in engine.module.named_parameters())
    assert same, "parameters came back changed"
    return figures


def packed(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Packed rows equal rows alone, with every attention that is there."""
    from tests.support import packed_rows

    names = ["sdpa", "torch_varlen"]
    if device == "cuda" and importlib.util.find_spec("flash_attn") is not None:
        names.append("flash_attention_2")
    found: dict[str, Any] = {}
    for attention in names:
        rows = packed_rows.compared(str(folder), attention, device)
        worst = max(row["difference"] / row["scale"] for row in rows)
        assert worst < (0.05 if device == "cuda" else 1e-4), (attention, rows)
        found[attention] = f"{worst:.1e}"
    return found


def group(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """A process group of one reduces a tensor: NCCL on CUDA, gloo on a CPU."""
    import torch
    import torch.distributed as dist

    ones = torch.ones(8, device=device)
    dist.all_reduce(ones)
    assert float(ones.sum()) == 8.0
    return {"backend": dist.get_backend()}


def checkpoint(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """An FSDP2 checkpoint becomes a model folder whose logits are the trained model's (`merge --verify`)."""
    import subprocess

    engine, _ = _stepped(device, folder)
    engine.save_checkpoint(str(scratch / "actor"), global_step=1)
    words = [sys.executable, "-m", "medix_r1.cli", "merge", str(scratch / "actor"), "--out", str(scratch / "model")]
    done = subprocess.run(
        [*words, "--unsealed", "--verify", "--force"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
    return {"merged": True}


def attention_times(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Milliseconds of a forward and backward pass of 4,096 tokens (64 on a CPU), by attention."""
    import torch
    from transformers import AutoModelForImageTextToText

    import medix_r1.training.verl_plugin.engine  # noqa: F401  (registers our attention)

    names = ["sdpa", "torch_varlen"]
    if device == "cuda" and importlib.util.find_spec("flash_attn") is not None:
        names.append("flash_attention_2")
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    found: dict[str, Any] = {}
    for name in names:
        model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, attn_implementation=name)
        model = model.to(device)
        tokens = torch.arange(40, 40 + (4096 if device == "cuda" else 64), device=device).remainder(200)[None]
        for _ in range(3):
            began = time.perf_counter()
            model(input_ids=tokens, use_cache=False).logits.float().mean().backward()
            if device == "cuda":
                torch.cuda.synchronize()
        found[f"{name}, ms"] = round(1000 * (time.perf_counter() - began), 1)
    return found


def peak(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """The 2B model at real size with random weights: most bytes of an update on CUDA beside the simulation's."""
    from medix_r1.config import compose_train
    from medix_r1.training.preflight.machine import micro_batch
    from medix_r1.training.simulation.run import simulate

    if device != "cuda":
        return {"skipped": "a CPU counts no bytes of a GPU"}
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from medix_r1.training.preflight.model import known_models

    config = compose_train(["experiment=medix_r1_2b_gpu24", "judge.client.base_url=http://127.0.0.1:1/v1"])
    config.actor_rollout_ref.model.override_config = {"attn_implementation": "torch_varlen"}
    simulated = simulate(config, lambda line: None, pictures=0).phases["update"]
    known = known_models.find("Qwen/Qwen3-VL-2B-Instruct")
    assert known is not None
    with torch.device("cuda"):
        model: Any = AutoModelForImageTextToText.from_config(
            AutoConfig.for_model(**known.config), dtype=torch.bfloat16, attn_implementation="sdpa"
        )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.requires_grad_(False).enable_input_require_grads()
    torch.cuda.reset_peak_memory_stats()
    tokens = micro_batch.of_config(config, 0).update.tokens
    inputs = torch.zeros(1, tokens, dtype=torch.long, device="cuda")
    model.train()(input_ids=inputs, use_cache=False).logits.mean().backward()
    gib = 1024**3
    without = sum(simulated.parts.get(part, 0) for part in ("gradients", "optimizer"))
    return {
        "simulated GiB, without adapters' gradients and states": round((simulated.bytes - without) / gib, 2),
        "counted GiB": round(torch.cuda.max_memory_allocated() / gib, 2),
        "reserved GiB": round(torch.cuda.max_memory_reserved() / gib, 2),
    }


def minilm(device: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """MiniLM gives two sentences the same similarity on the device as on a CPU."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return {"skipped": "sentence-transformers is not there"}
    from sentence_transformers import SentenceTransformer

    from medix_r1.config import compose_train
    from medix_r1.models.embedder import locate_model

    name = locate_model(compose_train(["experiment=nano_cpu", "embedder=minilm"]).embedder.model)
    pairs = {}
    for place in dict.fromkeys((device, "cpu")):
        model = SentenceTransformer(name, device=place)
        first, second = model.encode(["left lung", "the left lung"], normalize_embeddings=True)
        pairs[place] = float(first @ second)
    assert max(pairs.values()) - min(pairs.values()) < 1e-2, pairs
    return {f"similarity on {place}": round(value, 4) for place, value in pairs.items()}


CHECKS: dict[str, Callable[[str, Path, Path], dict[str, Any]]] = {
    "group": group,
    "adamw": adamw,
    "compensated": compensated,
    "offload": offload,
    "packed": packed,
    "checkpoint": checkpoint,
    "attention_times": attention_times,
    "peak": peak,
    "minilm": minilm,
}
_IN_A_GROUP = ("group", "adamw", "compensated", "offload", "checkpoint")


def main() -> None:
    name, device, folder, scratch = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    if importlib.util.find_spec("ray") is None:
        sys.path.insert(0, str(Path(__file__).with_name("without_ray")))
    if name in _IN_A_GROUP:
        import torch.distributed

        torch.distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
        )
    figures = CHECKS[name](device, folder, scratch)
    if device == "cuda":
        import torch

        figures["peak GiB of the process"] = round(torch.cuda.max_memory_allocated() / 1024**3, 2)
    sys.stdout.write(f"\n{json.dumps(figures)}\n")
    sys.stdout.flush()
    os._exit(0)  # a process group of one has nobody to say goodbye to


if __name__ == "__main__":
    main()
