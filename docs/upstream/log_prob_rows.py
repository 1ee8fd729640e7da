"""verl: without flash-attn, log-probabilities are computed in a Python loop over every token."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from verl.utils.torch_functional import logprobs_from_logits_v2


class Calls(TorchDispatchMode):
    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += 1
        return func(*args, **(kwargs or {}))


numbers = {}
for rows in (64, 256):
    logits = torch.randn(rows, 16, dtype=torch.bfloat16, requires_grad=True)
    with Calls() as calls, torch.autocast("cpu", dtype=torch.bfloat16):
        logprobs_from_logits_v2(logits, torch.randint(0, 16, (rows,))).sum().backward()
    numbers[rows] = calls.number
    print(f"{rows} tokens, bf16, forward and backward: {calls.number} operator calls")

grows = numbers[256] > 2 * numbers[64]
print(f"{'STILL THERE' if grows else 'GONE'}: calls {'grow' if grows else 'do not grow'} with the tokens")
