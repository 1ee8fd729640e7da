"""verl: the processor runs over a prompt's images twice for every rollout, though those of a group are the same."""

import asyncio
from types import SimpleNamespace

import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1 import agent_loop_tq

ROLLOUTS = 5
calls = []


class Worker(agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class):
    """verl's worker, counting the calls of the processor; the rest of what it needs is stubbed."""

    def __init__(self):
        async def compute_score(data):
            return {"reward_score": 1.0, "reward_extra_info": {}}

        handle = SimpleNamespace(compute_score=SimpleNamespace(remote=compute_score))
        self.reward_loop_worker_handles, self.distillation_enabled = [handle], False
        self.processor, self.tokenizer, self.rollout_config = None, None, OmegaConf.create({})

    def _compute_multi_modal_inputs(self, output, input_ids):
        calls.append(id(output.multi_modal_data["images"]))
        return {}

    def _get_mm_processor_kwargs(self, audios=None):
        return {}


async def group():
    async def put(**_):
        return None

    tq.async_kv_batch_put = put
    images = ["the same image for the whole group"]
    for session in range(ROLLOUTS):
        output = AgentLoopOutput(
            prompt_ids=[1, 2],
            response_ids=[3],
            response_mask=[1],
            multi_modal_data={"images": images},
            metrics=AgentLoopMetrics(),
            num_turns=2,
        )
        prompt = {"uid": "u", "session_id": session, "global_steps": 1, "raw_prompt": []}
        await Worker()._agent_loop_postprocess(output, validate=False, **prompt)


torch.set_num_threads(1)
asyncio.run(group())
print(f"calls of the processor for {ROLLOUTS} rollouts of one prompt: {len(calls)}")
print(f"{'STILL THERE' if len(calls) > 1 else 'GONE'}: {len(calls)} calls where one would do")
