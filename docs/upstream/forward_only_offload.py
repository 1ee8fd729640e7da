"""verl: a forward-only FSDP2 model is always put under CPUOffloadPolicy(pin_memory=True), also without a GPU."""

import inspect
import os

import torch
from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine

os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
source = inspect.getsource(FSDPEngine._build_fsdp_module)
always = "offload_policy = CPUOffloadPolicy(pin_memory=True)" in source
print("verl pins whatever the device is:", always)

torch.distributed.init_process_group("gloo")
mesh = torch.distributed.init_device_mesh("cpu", (1,))
try:
    fully_shard(torch.nn.Linear(2, 2), mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=True))
except RuntimeError as error:
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    print("STILL THERE: such a model cannot be built on a CPU" if always else "GONE: verl asks first")
else:
    print("GONE: torch takes it (or this machine has a GPU)")
torch.distributed.destroy_process_group()
