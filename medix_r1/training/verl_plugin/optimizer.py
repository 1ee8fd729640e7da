"""AdamW for bf16 parameters, with Kahan summation and stochastic rounding, so that small updates are not lost.

bf16 has 8 bits of precision, so an update of 1e-6 to a weight of 0.02 rounds to nothing. Kahan's compensated summation
keeps each weight's rounding error, in bf16 too, and adds it to the next update. The second moment decays by a
thousandth a step, which bf16 cannot represent, so it is rounded stochastically, which keeps its expectation. Both
techniques are those of arXiv 2010.06192, which uses them on the weights. verl loads the class by
`actor.optim.optimizer_impl=medix_r1.training.verl_plugin.optimizer` and `actor.optim.optimizer=CompensatedAdamW`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer


class CompensatedAdamW(Optimizer):
    """AdamW (arXiv 1711.05101, algorithm 2) whose state has the parameters' dtype: 6 bytes a bf16 parameter.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: decay of the two moments.
        eps: added to the square root of the second moment.
        weight_decay: decoupled weight decay, scaled by `lr`.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.tensor(0.0)
            for name in ("exp_avg", "exp_avg_sq", "compensation"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        exp_avg, exp_avg_sq, compensation = (_local(state[name]) for name in ("exp_avg", "exp_avg_sq", "compensation"))
        weights, gradient = _local(parameter), _local(parameter.grad).float()
        mean = exp_avg.float().lerp(gradient, 1 - beta1)
        square = exp_avg_sq.float().mul(beta2).addcmul(gradient, gradient, value=1 - beta2)
        exp_avg.copy_(mean)
        exp_avg_sq.copy_(_stochastically_rounded(square) if exp_avg_sq.dtype == torch.bfloat16 else square)

        t = float(state["step"])
        denominator = (square / (1 - beta2**t)).sqrt() + group["eps"]
        update = -group["lr"] * (mean / (1 - beta1**t) / denominator + group["weight_decay"] * weights.float())
        wanted = weights.float() + (update + compensation.float())
        weights.copy_(wanted)
        compensation.copy_(wanted - weights.float())


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's shard of a tensor, sharing its memory; enough, because the update is elementwise."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _stochastically_rounded(numbers: torch.Tensor) -> torch.Tensor:
    """Round to one of the two bf16 neighbours, the closer one more likely; float32 in and out.

    bf16 is the upper half of a float32. Uniform noise in the lower half carries into the upper one with a probability
    in proportion to the lower half.
    """
    bits = numbers.view(torch.int32)
    noise = torch.randint_like(bits, 1 << 16)
    return ((bits + noise) & -(1 << 16)).view(torch.float32)
