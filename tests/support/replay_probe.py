"""Router replay between vLLM and verl's FSDP engine, both in bf16, a process for each.

python -m tests.support.replay_probe rollouts STARTED UPDATED FILE    vLLM writes replies, probabilities and routes
python -m tests.support.replay_probe actor UPDATED FILE               prints how far the actor is from them, as JSON

vLLM starts with one model's weights and is given another's, as after an update.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.engine_probe import ENVIRONMENT, QUESTIONS, build_engine

REPLY = 48  # tokens
BF16 = "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=bf16"
VLLM = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # so that the model can be reached
}


def run(*words: str | Path) -> str:
    """Run one of the two and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.replay_probe", *map(str, words)],
        cwd=Path(__file__).parents[2],
        env={**ENVIRONMENT, **VLLM},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _requests(processor: Any) -> list[tuple[str, Any]]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    found = []
    for question in QUESTIONS * 2:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        found.append((text, Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))))
    return found


def rollouts(started: str, updated: str, file: str) -> None:
    """Replies of the second model by an engine that started with the first."""
    import numpy as np
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from verl.utils.vllm.patch import patch_vllm_moe_model_weight_loader
    from verl.workers.engine.fsdp.utils import unfuse_moe_params
    from vllm import LLM, SamplingParams
    from vllm.model_executor.model_loader.utils import process_weights_after_loading

    engine = LLM(
        model=started,
        dtype="bfloat16",
        enforce_eager=True,
        max_model_len=256,
        max_num_batched_tokens=1024,
        enable_chunked_prefill=False,
        enable_return_routed_experts=True,
        limit_mm_per_prompt={"image": 1, "video": 0},
        worker_extension_cls="medix_r1.training.verl_plugin.cpu.linear_weights.CpuWorkerExtension",
    )
    weights = AutoModelForImageTextToText.from_pretrained(updated, dtype=torch.bfloat16).state_dict()

    def load(model: Any) -> None:
        """As verl's `update_weights_from_ipc`."""
        patch_vllm_moe_model_weight_loader(model)
        model.load_weights(unfuse_moe_params(weights.items(), "qwen3_vl_moe"))
        process_weights_after_loading(model, engine.llm_engine.vllm_config.model_config, torch.device("cpu"))

    engine.apply_model(load)
    requests = _requests(AutoProcessor.from_pretrained(updated))
    sampling = SamplingParams(temperature=1.0, max_tokens=REPLY, logprobs=0, seed=1, ignore_eos=True)
    replies = engine.generate(
        # Arrays, as the agent loop gives them.
        [{"prompt": text, "multi_modal_data": {"image": [np.asarray(picture)]}} for text, picture in requests],
        sampling,
    )
    torch.save(
        [
            {
                "prompt": list(reply.prompt_token_ids),
                "reply": list(reply.outputs[0].token_ids),
                "log_probs": [
                    at[token].logprob
                    for at, token in zip(reply.outputs[0].logprobs, reply.outputs[0].token_ids, strict=True)
                ],
                "routes": torch.tensor(reply.outputs[0].routed_experts.astype("int16")),
            }
            for reply in replies
        ],
        file,
    )


def _batch(engine: Any, processor: Any, said: list[dict[str, Any]]) -> Any:
    import torch
    from tensordict.tensorclass import NonTensorStack
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.utils import tensordict_utils

    columns: dict[str, list[torch.Tensor]] = {}
    images = []
    for (text, picture), one in zip(_requests(processor), said, strict=True):
        inputs = dict(processor(text=[text], images=[picture], return_tensors="pt"))
        prompt, reply = inputs.pop("input_ids")[0], torch.tensor(one["reply"])
        inputs.pop("attention_mask")
        assert prompt.tolist() == one["prompt"]
        ids = torch.cat([prompt, reply])
        routes = torch.zeros(len(ids), *one["routes"].shape[1:], dtype=torch.int16)  # as verl's agent loop fills it up
        routes[: len(one["routes"])] = one["routes"]
        row = {
            "input_ids": ids,
            "position_ids": AgentLoopWorker._compute_position_ids(
                SimpleNamespace(processor=processor), ids[None], torch.ones_like(ids)[None], inputs
            )[0],
            "prompts": prompt,
            "responses": reply,
            "response_mask": torch.ones_like(reply),
            "loss_mask": torch.ones_like(reply),
            "routed_experts": routes,
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
        images.append(inputs)
    ragged = {name: 2 if name == "position_ids" else 1 for name in columns}
    nested = {
        name: tensordict_utils.nested_tensor_from_tensor_list(values, ragged_idx=ragged[name])
        for name, values in columns.items()
    }
    settings = {
        "temperature": 1.0,
        "use_dynamic_bsz": False,
        "micro_batch_size_per_gpu": 4,
        "use_remove_padding": engine.model_config.use_remove_padding,
        "global_batch_size": len(said),
    }
    data = tensordict_utils.get_tensordict(nested, settings)
    data["multi_modal_inputs"] = NonTensorStack(*images)
    return data


def actor(folder: str, file: str) -> None:
    """The k3 estimate of KL between vLLM and the actor, by its own routes and by vLLM's, packed rows and padded."""
    import torch
    import torch.distributed
    from verl.workers.utils.padding import response_from_nested

    said = torch.load(file)
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    theirs = torch.cat([torch.tensor(one["log_probs"]) for one in said])
    found: dict[str, float] = {"routes": float(torch.stack([one["routes"].float().std() for one in said]).min())}
    for name, packed in (("packed", "true"), ("padded", "false")):
        engine, model, _ = build_engine(folder, [BF16, f"actor_rollout_ref.model.use_remove_padding={packed}"])
        for way in ("own", "replayed"):
            data = _batch(engine, model.processor, said)
            if way == "own":
                del data["routed_experts"]
            with engine.eval_mode():
                output = engine.infer_batch(data)
            ours = response_from_nested(output["model_output"]["log_probs"], data["response_mask"])
            ratio = torch.cat(list(ours.unbind())).float() - theirs
            found[f"{name}, {way}"] = float((ratio.exp() - 1 - ratio).mean())
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    if sys.argv[1] == "rollouts":
        rollouts(*sys.argv[2:])
    else:
        actor(*sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # vLLM's engine and a process group of one have nobody to say goodbye to
