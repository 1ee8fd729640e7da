"""verl: rollout.full_determinism gives all rollouts of a group one seed, so they are one reply: no advantage."""

import asyncio
from types import SimpleNamespace

from omegaconf import OmegaConf
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

seeds = []


class Engine:
    """Stands for vLLM and notes the seed of each request."""

    async def generate(self, *, sampling_params, **_):
        seeds.append(sampling_params.seed)
        yield SimpleNamespace(outputs=[])


server = object.__new__(vLLMHttpServer)
server.config = OmegaConf.create(
    {"max_model_len": 64, "prompt_length": 32, "response_length": 32, "full_determinism": True, "seed": 1}
)
server.model_config = SimpleNamespace(processor=None, lora_rank=0, lora={})
server.replica_rank, server.global_steps, server.engine, server._admitting = 0, 1, Engine(), 0
server._disaggregation_role = None


async def admitted(request_id):
    server._admitting += 1
    return None


server._park_until_admitted = admitted


async def group():
    for rollout in range(5):
        await server.generate([1, 2, 3], {"temperature": 1.0}, request_id=f"det-{rollout}")


asyncio.run(group())
print("seeds of five rollouts of one prompt:", seeds)
print("STILL THERE: one seed" if len(set(seeds)) == 1 else "GONE: seeds of their own")
