"""verl: rows of padding count in the denominator of a mean over sequences, so they shrink its gradient."""

import inspect

import torch
from verl.trainer.ppo.core_algos import agg_loss
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

REPLIES, PADDING = 4, 3
loss = torch.ones(REPLIES + PADDING, 6)
mask = torch.zeros_like(loss)
mask[:REPLIES] = 1.0

# What the trainer hands to the engine (PPOTrainer._update_actor): the configured size of a mini-batch.
source = inspect.getsource(PPOTrainer)
configured = '"global_batch_size": ppo_mini_batch_size' in source
print("the trainer says the configured size, whatever is padding:", configured)

values = {}
for mode in ("token-mean", "seq-mean-token-mean"):
    for rows in (REPLIES, REPLIES + PADDING):
        values[mode, rows] = agg_loss(
            loss[:rows], mask[:rows], mode, dp_size=1, batch_num_tokens=int(mask.sum()), global_batch_size=rows
        ).item()
        print(f"{mode}, {REPLIES} replies and {rows - REPLIES} rows of padding: {values[mode, rows]:.4f}")

shrunk = values["seq-mean-token-mean", REPLIES + PADDING] < values["seq-mean-token-mean", REPLIES]
print(f"{'STILL THERE' if configured and shrunk else 'GONE'}: padding {'shrinks' if shrunk else 'does not shrink'} it")
