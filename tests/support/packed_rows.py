"""Computes logits of rows packed into one, and of each row alone, through verl's patches; prints how far they differ.

python -m tests.support.packed_rows MODEL_FOLDER ATTENTION

A process of its own, because verl's patches change transformers' classes. Where verl calls flash-attn itself
(Qwen2.5-VL), a stand-in computes what its functions are documented to compute, attention within each row, in fp32.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PICTURES = ((64, 96), (128, 64), None, (96, 96))  # height and width; None: a row of text
REPLIES = (13, 29, 17, 5)


def differences(folder: Path, attention: str) -> list[dict[str, float]]:
    """Of each row: its tokens, the largest difference of a logit, and the largest logit."""
    environment = {
        **os.environ,
        "VERL_PLATFORM": "cpu",
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.packed_rows", str(folder), attention],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rows(processor: Any) -> list[dict[str, Any]]:
    import numpy as np
    import torch
    from PIL import Image
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker

    rng, rows = np.random.default_rng(0), []
    for size, reply in zip(PICTURES, REPLIES, strict=True):
        content = [{"type": "image"}] if size else []
        text = processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": "which view is this ?"}]}],
            add_generation_prompt=True,
            tokenize=False,
        )
        images = [Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8))] if size else None
        inputs = dict(processor(text=[text], images=images, return_tensors="pt"))
        prompt = inputs.pop("input_ids")[0]
        inputs.pop("attention_mask")
        ids = torch.cat([prompt, torch.tensor(rng.integers(20, 200, reply))])
        position = AgentLoopWorker._compute_position_ids(
            SimpleNamespace(processor=processor), ids[None], torch.ones_like(ids)[None], dict(inputs)
        )[0]
        pictures = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
        rows.append({"ids": ids, "position": position, "pictures": pictures})
    return rows


def _logits(model: Any, rows: list[dict[str, Any]]) -> Any:
    import torch

    pictures = {
        name: torch.cat([row["pictures"][name] for row in rows if name in row["pictures"]])
        for name in {name for row in rows for name in row["pictures"]}
    }
    with torch.no_grad():
        return (
            model(
                input_ids=torch.cat([row["ids"] for row in rows])[None].to(model.device),
                attention_mask=None,
                position_ids=torch.cat([row["position"] for row in rows], dim=-1)[:, None].to(model.device),
                use_cache=False,
                **{name: tensor.to(model.device) for name, tensor in pictures.items()},
            )
            .logits[0]
            .float()
        )


def _install_flash_attention() -> None:
    """For the module that calls flash-attn by itself."""
    import torch
    import verl.models.transformers.qwen2_vl as module
    from torch.nn.functional import scaled_dot_product_attention

    def within(query: Any, key: Any, value: Any, causal: bool, scale: float | None) -> Any:
        q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
        return scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)[0].transpose(0, 1)

    def packed(q: Any, k: Any, v: Any, cu_seqlens_q: Any, causal: bool = False, **rest: Any) -> Any:
        bounds = pairwise(cu_seqlens_q.tolist())
        scale = rest.get("softmax_scale")
        return torch.cat([within(q[a:b], k[a:b], v[a:b], causal, scale) for a, b in bounds])

    def one_row(query: Any, key: Any, value: Any, mask: Any, length: int, is_causal: bool = True, **rest: Any) -> Any:
        assert mask is None
        return within(query[0], key[0], value[0], is_causal, rest.get("softmax_scale"))[None]

    module.fa_peft_integration_check = lambda *tensors, **_: tensors  # it casts to bf16
    module.flash_attn_varlen_func = packed
    module._flash_attention_forward = one_row
    module._flash_supports_window_size = module._flash_supports_deterministic = module._flash_use_top_left_mask = False


def compared(folder: str, attention: str, device: str = "cpu") -> list[dict[str, float]]:
    """In this process; on CUDA in bf16, which packed kernels ask for."""
    import torch
    from transformers import AutoModelForImageTextToText
    from verl.models.transformers.monkey_patch import apply_monkey_patch
    from verl.utils.tokenizer import hf_processor

    import medix_r1.training.verl_plugin.engine  # noqa: F401  (registers our attention)

    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=attention, dtype=dtype)
    model = model.to(device)
    apply_monkey_patch(model=model, use_remove_padding=True, ulysses_sp_size=1)
    if model.config.model_type == "qwen2_5_vl" and device == "cpu":
        _install_flash_attention()
    rows = _rows(hf_processor(folder))
    model.eval()
    packed, start, found = _logits(model, rows), 0, []
    for row in rows:
        alone = _logits(model, [row])
        of_row = packed[start : start + len(alone)]
        found.append(
            {
                "tokens": len(alone),
                "difference": float((of_row - alone).abs().max()),
                "scale": float(alone.abs().max()),
            }
        )
        start += len(alone)
    return found


def main() -> None:
    folder, attention = sys.argv[1:]
    sys.stdout.write(f"\n{json.dumps(compared(folder, attention))}\n")


if __name__ == "__main__":
    main()
