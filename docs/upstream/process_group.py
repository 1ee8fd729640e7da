"""verl: on a device that is the CPU itself, the backend string names the CPU twice, which torch refuses."""

import os

import verl.utils.distributed as distributed

os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
# What an out-of-tree platform for the CPU says (verl.plugin.platform.PlatformRegistry); verl's own are cuda and npu.
distributed.get_device_name, distributed.get_nccl_backend = lambda: "cpu", lambda: "gloo"

try:
    distributed.initialize_global_process_group_ray()
except ValueError as error:
    print(f"ValueError: {error}")
    print("STILL THERE: no process group on the CPU")
else:
    distributed.destroy_global_process_group()
    print("GONE: the process group starts")
