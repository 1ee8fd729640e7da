"""vLLM on a CPU: new experts of a mixture of experts cannot be loaded, and its routes are not written down."""

from types import SimpleNamespace

import torch
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.cpu_fused_moe import CPUFusedMOE
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner
from vllm.platforms import current_platform

assert current_platform.is_cpu(), "for vLLM's CPU build"
EXPERTS, HIDDEN, WIDTH = 4, 64, 32
# Processors with AMX pack bf16 alone, with a kernel that asks the system first; take the kernel that all others have.
torch.cpu._is_amx_tile_supported = lambda: False


def parameter(*shape: int) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.rand(shape), requires_grad=False)
    made.weight_loader = "set by the layer when it is made"
    return made


layer = torch.nn.Module()
layer.w13_weight, layer.w2_weight = parameter(EXPERTS, 2 * WIDTH, HIDDEN), parameter(EXPERTS, HIDDEN, WIDTH)
kernel = CPUFusedMOE(layer)
loadable = hasattr(layer.w13_weight, "weight_loader")
print("the experts have a weight_loader after they were packed:", loadable)


def computed(x: torch.Tensor, router_logits: torch.Tensor, input_ids: None) -> torch.Tensor:
    """As vLLM's CPU path calls it: the kernel chooses the experts."""
    return kernel(layer, x, False, 2, router_logits, True, global_num_experts=EXPERTS, activation=MoEActivation.SILU)


written: list[torch.Tensor] = []
runner = SimpleNamespace(
    router=SimpleNamespace(capture_fn=written.append),
    routed_experts=SimpleNamespace(quant_method=SimpleNamespace(is_monolithic=True), forward_monolithic=computed),
    _maybe_apply_shared_experts=lambda *_: None,
    _shared_experts=None,
)
MoERunner._apply_quant_method(runner, torch.rand(3, HIDDEN), torch.rand(3, EXPERTS), None)
print("routes written down of three tokens:", [routes.shape[0] for routes in written])
if loadable and written:
    print("GONE: experts can be loaded again, and routes are written down")
else:
    print("STILL THERE: the second load fails, or a route is lost")
