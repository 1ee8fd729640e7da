"""verl: adapters get the base's dtype, so in bf16 most updates are lost; merged experts go to vLLM still packed."""

import inspect

import torch
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine

source = inspect.getsource(FSDPEngine._build_lora_module)
casts = "param.data = param.data.to(base_dtype)" in source
print("the engine casts adapters to the base's dtype, under FSDP2 too:", casts)

changed = {}
for dtype in (torch.bfloat16, torch.float32):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.empty(64, 2048, dtype=dtype))  # lora_A of rank 64, as peft starts it
    torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
    start, optimizer = weight.detach().clone(), torch.optim.AdamW([weight], lr=1e-5)
    for _ in range(100):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    changed[dtype] = (weight != start).float().mean().item()
    print(f"{dtype}: {changed[dtype]:.0%} of the entries changed in 100 steps of AdamW at 1e-5")

unpacked = "unfuse_moe_params" in inspect.getsource(FSDPEngine._merged_lora_per_tensor_param)
print("weights with merged adapters are unpacked for vLLM, like others:", unpacked)

lost = casts and changed[torch.bfloat16] < 0.9 < changed[torch.float32]
print(
    f"{'STILL THERE' if lost or not unpacked else 'GONE'}: adapters {'lose' if lost else 'keep'} updates, "
    f"merged experts go {'unpacked' if unpacked else 'packed'}"
)
