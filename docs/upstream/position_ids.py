"""verl: 3D position ids cannot be taken apart when all sequences of a batch have one length."""

import torch
from tensordict import TensorDict
from verl.utils.tensordict_utils import maybe_fix_3d_position_ids


def taken_apart(*lengths):
    """Shapes of the samples of a batch that is packed as TransferQueue does and mended as verl does."""
    samples = [torch.arange(4 * length).reshape(4, length) for length in lengths]  # text, time, height, width
    packed = torch.nested.as_nested_tensor(samples, layout=torch.jagged)
    data = TensorDict({"position_ids": packed}, batch_size=[len(lengths)])
    maybe_fix_3d_position_ids(data)
    return [tuple(one.shape) for one in data["position_ids"].unbind()]


print("lengths 5 and 7:", taken_apart(5, 7))
try:
    print("lengths 6 and 6:", taken_apart(6, 6))
except RuntimeError as error:
    print(f"lengths 6 and 6: RuntimeError: {error}")
    print("STILL THERE: a batch of equal lengths cannot be taken apart")
else:
    print("GONE: a batch of equal lengths can be taken apart")
