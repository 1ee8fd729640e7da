"""verl: after a rollout or its reward has failed, what is left of the group is trained on without a word."""

from types import SimpleNamespace

from verl.trainer.ppo.v1 import replay_buffer

# One prompt of five rollouts; four of them ended in an exception, of the reward for example.
stored = {"prompt": {"is_prompt": True, "status": "failure", "global_steps": 1}, "prompt_0_0": {"status": "success"}}
replay_buffer.tq = SimpleNamespace(kv_list=lambda: {"train": stored}, kv_clear=lambda **_: None)
buffer = replay_buffer.ReplayBuffer("sync", None, None, "drop", {}, poll_interval=0.0)

batch, metrics = buffer.sample(global_steps=1, partition_id="train", batch_size=1)
print("handed to the update:", batch.keys, "metrics:", metrics)
lone = batch.keys == ["prompt_0_0"] and not metrics
print("STILL THERE: a group of one, and no metric says so" if lone else "GONE: a failed group is told or refused")
