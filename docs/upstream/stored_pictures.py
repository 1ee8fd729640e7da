"""verl: every rollout of a group stores the features of the prompt's picture, and the chat twice."""

import asyncio
from types import SimpleNamespace

import numpy as np
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1 import agent_loop_tq

ROLLOUTS = 5
FEATURES = torch.zeros(4096, 1536)  # of a picture of one megapixel, for a Qwen3-VL
PIXELS = np.zeros((1024, 1024, 3), dtype=np.uint8)
stored = []


class Worker(agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class):
    """verl's worker; the reward and the processor are stubs."""

    def __init__(self):
        async def compute_score(data):
            return {"reward_score": 1.0, "reward_extra_info": {}}

        handle = SimpleNamespace(compute_score=SimpleNamespace(remote=compute_score))
        self.reward_loop_worker_handles, self.distillation_enabled = [handle], False
        self.processor, self.tokenizer, self.rollout_config = None, None, OmegaConf.create({})

    def _compute_multi_modal_inputs(self, output, input_ids):
        return {"pixel_values": FEATURES}

    def _get_mm_processor_kwargs(self, audios=None):
        return {}


async def group():
    async def put(fields, **_):
        stored.append(fields)

    tq.async_kv_batch_put = put
    chat = [{"role": "user", "content": [{"type": "image", "image": PIXELS}]}]
    for session in range(ROLLOUTS):
        output = AgentLoopOutput(
            prompt_ids=[1, 2],
            response_ids=[3],
            response_mask=[1],
            multi_modal_data={"images": [PIXELS]},
            metrics=AgentLoopMetrics(),
            num_turns=2,
        )
        prompt = {"uid": "u", "session_id": session, "global_steps": 1, "prompt": chat, "raw_prompt": chat}
        await Worker()._agent_loop_postprocess(output, validate=False, **prompt)


torch.set_num_threads(1)
asyncio.run(group())
rows = [getattr(row["multi_modal_inputs"][0], "data", row["multi_modal_inputs"][0]) for row in stored]
size = sum(row["pixel_values"].numel() * row["pixel_values"].element_size() for row in rows if "pixel_values" in row)
chats = sum(name in row for row in stored for name in ("prompt", "raw_prompt"))
print(f"{ROLLOUTS} rollouts of one prompt with a picture of 3 MiB: {size / 2**20:,.0f} MiB of features, {chats} chats")
print(f"{'STILL THERE' if size > FEATURES.numel() * 4 else 'GONE'}: a prompt's picture is stored with every rollout")
