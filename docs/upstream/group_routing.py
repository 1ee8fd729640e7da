"""verl: the rollouts of one prompt are spread over all replicas, and each computes prompt and pictures again."""

import asyncio
from types import SimpleNamespace

from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.router import GlobalRequestLoadBalancer

REPLICAS, PROMPTS, ROLLOUTS = 4, 64, 5
balancer = GlobalRequestLoadBalancer({f"replica {number}": None for number in range(REPLICAS)})


class Ended(Exception):
    """The request has been routed; nothing is generated."""


async def generate(request_id, **_):
    server, _ = balancer.acquire_server(request_id)
    raise Ended(server)


class Loop(SingleTurnAgentLoop):
    """verl's loop; the prompt is a stub."""

    def __init__(self):
        self.rollout_config, self.server_manager = SimpleNamespace(), SimpleNamespace(generate=generate)

    async def process_multi_modal_info(self, messages):
        return {}

    def _get_mm_processor_kwargs(self, audios=None):
        return {}

    def _assert_mm_supported(self, has_multi_modal):
        pass

    async def ct_build_initial_tokens(self, messages, **_):
        return [1, 2, 3]

    def build_sglang_video_payload(self, videos, mm_inputs):
        return None


async def replica_of_a_rollout(uid):
    try:
        await Loop().run({}, raw_prompt=[], uid=uid)
    except Ended as routed:
        return str(routed)


async def group(uid):
    return {await replica_of_a_rollout(uid) for _ in range(ROLLOUTS)}


used = [len(asyncio.run(group(f"prompt {number}"))) for number in range(PROMPTS)]
print(f"{ROLLOUTS} rollouts a prompt, {REPLICAS} replicas: {sum(used) / PROMPTS:.1f} replicas compute each prompt")
print(f"{'STILL THERE: a group is spread' if max(used) > 1 else 'GONE: a group goes to one replica'}")
