"""A plug-in that takes back what medix-r1 changes about pictures, groups and routing; large_pictures.py loads it.

Each rollout then reads, resizes, processes and stores its pictures as verl 0.9.1 does, and goes to the replica with the
fewest requests. Seeds stay, so that replies and rewards can be compared.
"""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.experimental.agent_loop.agent_loop import register as register_with_verl
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout import router

from medix_r1.training.verl_plugin.agent_loop import NAME, rollout_identity, rollout_seed

_REPLACED = "_medix_r1_replaced"
PATCHED = (
    (RLHFDataset, "__getitem__"),
    (AgentLoopWorker, "_compute_multi_modal_inputs"),
    (AgentLoopWorker, "_compute_score"),
    (router, "get_router_handle"),
)


class VerlsLoop(SingleTurnAgentLoop):  # type: ignore[misc]
    """verl's loop with our seeds."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        """Generate one reply."""
        seed = rollout_seed(self.rollout_config.seed, *rollout_identity(kwargs))
        return await super().run({**sampling_params, "seed": seed}, **kwargs)


for _owner, _name in PATCHED:
    setattr(_owner, _name, getattr(getattr(_owner, _name), _REPLACED))
register_with_verl(NAME)(VerlsLoop)
