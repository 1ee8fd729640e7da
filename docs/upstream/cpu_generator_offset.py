"""vLLM on a CPU: a request with a seed whose prompt is taken in parts ends the engine."""

import inspect

import torch
from vllm.v1.worker.gpu_model_runner import GPUModelRunner  # the CPU's runner inherits from it

# Of a prompt that is taken in parts, the token sampled after each part but the last is thrown away, and the request's
# generator is put back. `generators` are made on the runner's device.
source = inspect.getsource(GPUModelRunner._bookkeeping_sync)
put_back = "gen.set_offset(gen.get_offset() - 4)"
print("the runner puts every generator back by its offset:", put_back in source)

try:
    generator = torch.Generator(device="cpu").manual_seed(1)
    generator.set_offset(generator.get_offset() - 4)
except RuntimeError as error:
    print(f"RuntimeError: {error}")
    print("STILL THERE: the engine dies" if put_back in source else "GONE: the runner asks first")
else:
    print("GONE: torch's CPU generators have an offset")
