"""The actor of a mixture of experts takes the experts that vLLM took (router replay, R3, arXiv 2510.11370).

A router chooses, so a small difference between vLLM and the actor picks other experts, and probabilities jump. With
`rollout.enable_rollout_routing_replay` vLLM writes down the experts of every token, and verl carries them with each
rollout. Its Megatron and VeOmni engines read them; here ours does: old log-probs and updates use vLLM's experts, with
weights from the actor's own router, which is so trained as ever. The reference goes its own way, as in verl.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from verl.utils import tensordict_utils
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

ROUTES = "routed_experts"  # verl's name of the field: of each token, [layers, experts a token]
_ROUTER = re.compile(r"\.layers\.(\d+)\.mlp\.gate$")


class ReplaysRoutes(FSDPEngineWithLMHead):
    """verl's FSDP engine, whose routers choose what a micro-batch says, if it says."""

    _is_reference = False  # whether an actor computes as the reference, without its adapters
    _routes: torch.Tensor | None = None  # of the current micro-batch: [tokens, layers, experts a token]

    def _build_module(self) -> nn.Module:
        module = super()._build_module()
        tell_routers(module, lambda: self._routes)
        return module

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """As verl's, which computes the reference's log-probs so."""
        self._is_reference = True
        try:
            with super().disable_adapter():
                yield
        finally:
            self._is_reference = False

    def prepare_model_inputs(self, micro_batch: Any) -> Any:
        """As verl's; the routes stay until the next micro-batch, because checkpointed layers are computed again."""
        own = self._is_reference or self.engine_config.forward_only
        packed = tensordict_utils.get_non_tensor_data(micro_batch, key="use_remove_padding", default=True)
        self._routes = None if own or ROUTES not in micro_batch else _by_token(micro_batch[ROUTES], packed=packed)
        return super().prepare_model_inputs(micro_batch)


def tell_routers(module: nn.Module, routes: Callable[[], torch.Tensor | None]) -> None:
    """Let every router of a model choose what `routes` says at that moment; None leaves the choice to it."""
    for name, router in module.named_modules():
        if found := _ROUTER.search(f".{name}"):
            router.register_forward_hook(_telling(routes, int(found[1])))


def _telling(routes: Callable[[], torch.Tensor | None], layer: int) -> Callable[[nn.Module, Any, Any], Any]:
    def replay(_: nn.Module, __: Any, output: Any) -> Any:
        told = routes()
        if told is None:
            return output
        logits, weights, experts = output
        return replayed(logits, weights, experts, told[:, layer])

    return replay


def replayed(
    logits: torch.Tensor, weights: torch.Tensor, experts: torch.Tensor, told: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a router gives if it takes the experts that it is told.

    Args:
        logits: of all experts, [tokens, experts].
        weights: of the experts that it chose itself, [tokens, experts a token].
        experts: those.
        told: experts by token. vLLM computes no route of a reply's last token, and padding has none: there all are
            zero, and the router's own stay.
    """
    routes = experts.clone()
    routes[: len(told)] = torch.where(_is_route(told), told.to(experts), experts[: len(told)])
    probabilities = torch.softmax(logits, dim=-1, dtype=torch.float).gather(1, routes)
    return logits, (probabilities / probabilities.sum(-1, keepdim=True)).to(weights.dtype), routes


def _is_route(told: torch.Tensor) -> torch.Tensor:
    """[tokens, 1]: a token has each expert once, so a row of equal numbers is none; one expert alone always is."""
    if told.shape[-1] == 1:
        return torch.ones_like(told, dtype=torch.bool)
    return (told != told[:, :1]).any(-1, keepdim=True)


def _by_token(routes: torch.Tensor, *, packed: bool) -> torch.Tensor:
    """[tokens, layers, experts a token], in the order of the model's input."""
    if routes.is_nested:
        if packed:
            return routes.values()
        longest = int(routes.offsets().diff().max())  # to which verl pads the ids
        routes = torch.nested.to_padded_tensor(routes, 0, (len(routes), longest, *routes.shape[2:]))
    return routes if routes.dim() == 3 else routes.flatten(0, 1)
