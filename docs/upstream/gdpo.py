"""verl: adv_estimator=gdpo cannot work on the v1 trainer, which fetches neither prompts nor the parts of the reward."""

from types import SimpleNamespace

import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from tensordict.tensorclass import NonTensorStack
from verl.trainer.ppo.v1 import trainer_base

algorithm = {"adv_estimator": "gdpo", "use_kl_in_reward": False, "gamma": 1.0, "lam": 1.0}
algorithm |= {"norm_adv_by_std_in_grpo": True, "gdpo_reward_keys": ["format", "accuracy"]}
trainer = SimpleNamespace(config=OmegaConf.create({"algorithm": algorithm, "actor_rollout_ref": {"rollout": {"n": 2}}}))


def kv_batch_get(keys, partition_id, select_fields):
    """TransferQueue, with two replies of two tokens."""
    print("fetched:", ", ".join(select_fields))
    tensors = {
        "response_mask": torch.nested.as_nested_tensor([torch.ones(2, dtype=torch.int64)] * 2, layout=torch.jagged),
        "rm_scores": torch.nested.as_nested_tensor([torch.tensor([0.0, 1.0]), torch.zeros(2)], layout=torch.jagged),
    }
    return TensorDict({**tensors, "uid": NonTensorStack("a", "a")}, batch_size=2)


trainer_base.tq = SimpleNamespace(kv_batch_get=kv_batch_get, kv_batch_put=lambda **_: None)
batch = SimpleNamespace(keys=["a_0_0", "a_1_0"], partition_id="train")
try:
    trainer_base.PPOTrainer._compute_advantage(trainer, batch, {})
except KeyError as error:
    print(f"KeyError: {error}")
    print("STILL THERE: no advantage can be computed")
else:
    print("GONE: advantages are computed")
