"""vLLM on a CPU: a linear layer's weight is dropped once it is packed, so new weights cannot be loaded."""

import torch
from vllm.model_executor.layers.linear import UnquantizedLinearMethod
from vllm.platforms import current_platform

assert current_platform.is_cpu(), "for vLLM's CPU build"
layer = torch.nn.Linear(64, 64, bias=False)
new = torch.zeros_like(layer.weight)

UnquantizedLinearMethod().process_weights_after_loading(layer)
print("shape of the weight after it was packed:", tuple(layer.weight.shape))
try:
    layer.weight.data.copy_(new)  # what a model's load_weights does
except RuntimeError as error:
    print(f"loading new weights: RuntimeError: {str(error).splitlines()[0]}")
    print("STILL THERE: the second load fails")
else:
    print("GONE: the second load works")
