"""AdamW for bf16 parameters that loses no small update.

A bf16 number has 8 bits of precision, so an update of 1e-6 to a weight of 0.02 rounds to nothing. Each parameter
carries what the last rounding left over (Kahan's compensated sum), in bf16 too. The second moment decays by a
thousandth a step, less than bf16 can take away, so it is rounded up or down at random, with the chances that keep its
expectation. Both techniques are those of arXiv 2010.06192, which uses them on the weights. verl takes it by
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
        eps: added to the root of the second moment.
        weight_decay: decoupled from the gradient.
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
        exp_avg, exp_avg_sq, compensation = (_own(state[name]) for name in ("exp_avg", "exp_avg_sq", "compensation"))
        weights, gradient = _own(parameter), _own(parameter.grad).float()
        mean = exp_avg.float().lerp(gradient, 1 - beta1)
        square = exp_avg_sq.float().mul(beta2).addcmul(gradient, gradient, value=1 - beta2)
        exp_avg.copy_(mean)
        exp_avg_sq.copy_(_rounded_at_random(square) if exp_avg_sq.dtype == torch.bfloat16 else square)

        t = float(state["step"])
        denominator = (square / (1 - beta2**t)).sqrt() + group["eps"]
        update = -group["lr"] * (mean / (1 - beta1**t) / denominator + group["weight_decay"] * weights.float())
        wanted = weights.float() + (update + compensation.float())
        weights.copy_(wanted)
        compensation.copy_(wanted - weights.float())


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of a sharded tensor, sharing its memory: every element is updated by itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _rounded_at_random(numbers: torch.Tensor) -> torch.Tensor:
    """float32 numbers of which bf16 can hold each: one of its two neighbours, the closer one more often.

    bf16 is the upper half of a float32: noise over the whole lower half carries into the upper one in proportion.
    """
    bits = numbers.view(torch.int32)
    noise = torch.randint_like(bits, 1 << 16)
    return ((bits + noise) & -(1 << 16)).view(torch.float32)
