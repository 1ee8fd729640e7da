"""verl: the trainer waits for ever for a rollout that does not come, and refills for ever groups that teach nothing."""

from types import SimpleNamespace

import torch
from verl.trainer.ppo.v1 import replay_buffer

MANY = 1000


class Enough(Exception):
    """Raised by a stub, as verl does not stop by itself."""


def polls():
    """A prompt that stays in the state `running`: its worker is gone."""
    looked = []

    def kv_list():
        looked.append(1)
        if len(looked) > MANY:
            raise Enough
        return {"train": {"prompt": {"is_prompt": True, "status": "running", "global_steps": 1}}}

    replay_buffer.tq = SimpleNamespace(kv_list=kv_list)
    buffer = replay_buffer.ReplayBuffer("sync", None, None, "drop", {}, poll_interval=0.0)
    try:
        buffer.sample(global_steps=1, partition_id="train", batch_size=1)
    except Enough:
        return len(looked) - 1
    return 0


def refills():
    """Every group is all wrong: max_num_gen_batches is documented as the limit, and ignored."""
    asked = []

    def refill(prompts):
        asked.append(prompts)
        if len(asked) > MANY:
            raise Enough
        return prompts

    def kv_list():
        uid = f"prompt{len(asked)}"
        group = {f"{uid}_{i}_0": {"status": "success"} for i in range(2)}
        return {"train": {uid: {"is_prompt": True, "status": "finished", "global_steps": 1}, **group}}

    replay_buffer.tq = SimpleNamespace(
        kv_list=kv_list,
        kv_clear=lambda **_: None,
        kv_batch_get=lambda keys, **_: {"rm_scores": [torch.zeros(1) for _ in keys]},
    )
    settings = {"refill_fn": refill, "filter_groups_metric": "reward", "train_batch_size": 1, "gen_batch_size": 1}
    buffer = replay_buffer.ReplayBuffer("sync", None, None, "drop", {}, poll_interval=0.0, **settings)
    try:
        buffer.sample(global_steps=1, partition_id="train", batch_size=1)
    except Enough:
        return len(asked) - 1
    return 0


looked, asked = polls(), refills()
print(f"looks at a rollout that never comes: {looked} (we stopped it)")
print(f"batches generated anew in one step: {asked} (we stopped it)")
print("STILL THERE: no limit" if looked == asked == MANY else "GONE: there is a limit")
