"""Ray: a set but empty CUDA_VISIBLE_DEVICES makes `ray.init(num_gpus=N)` fail, logical GPUs on a CPU included."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import ray  # after the variable

try:
    ray.init(num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
except ValueError as error:
    print(f"ValueError: {error}")
    print("STILL THERE: an empty list of devices is refused")
else:
    ray.shutdown()
    print("GONE: an empty list of devices does not matter")
