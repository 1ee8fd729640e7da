"""verl: a reward model that shares the policy's GPUs (enable_resource_pool=false) is given no reference answer."""

from types import SimpleNamespace

import torch
from tensordict.tensorclass import NonTensorStack
from verl.trainer.ppo.v1 import trainer_base

seen = []


class Enough(Exception):
    """Raised by the stub once it has seen what it is given."""


def compute_rm_score(data):
    seen.extend([*data.batch.keys(), *data.non_tensor_batch])
    raise Enough


def kv_batch_get(keys, partition_id, select_fields):
    ids = torch.nested.as_nested_tensor([torch.tensor([1, 2]), torch.tensor([3])], layout=torch.jagged)
    return {"prompts": ids, "responses": ids, "raw_prompt": NonTensorStack([{"role": "user"}], [{"role": "user"}])}


trainer_base.tq = SimpleNamespace(kv_batch_get=kv_batch_get)
trainer = SimpleNamespace(
    reward_loop_manager=SimpleNamespace(compute_rm_score=compute_rm_score),
    tokenizer=SimpleNamespace(pad_token_id=0),
    _lengths_to_mask=trainer_base.PPOTrainer._lengths_to_mask,
)


class Batch(SimpleNamespace):
    """Two samples by their keys."""

    def __len__(self):
        return len(self.keys)


try:
    trainer_base.PPOTrainer._compute_reward_colocate(trainer, Batch(keys=["a_0_0", "b_0_0"], partition_id="train"))
except Enough:
    print("the reward is given:", ", ".join(seen))
    known = "reward_model" in seen
    print("GONE: the reference is passed on" if known else "STILL THERE: neither reward_model nor extra_info")
