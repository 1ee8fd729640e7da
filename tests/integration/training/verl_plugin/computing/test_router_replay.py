"""Routers take the experts that they are told, and are trained as those of a model that has no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from transformers import Qwen3VLMoeTextConfig
from transformers.models.qwen3_vl_moe import modeling_qwen3_vl_moe as moe

from medix_r1.training.verl_plugin.computing.router_replay import replayed, tell_routers

EXPERTS, CHOSEN, LAYERS, TOKENS = 8, 2, 3, 40


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    config = Qwen3VLMoeTextConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        num_experts=EXPERTS,
        num_experts_per_tok=CHOSEN,
        rope_scaling={"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 10000.0},
    )
    text = moe.Qwen3VLMoeTextModel(config).train()
    for parameter in text.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return text


def gradients(model: Any, *, checkpointed: bool = False) -> dict[str, torch.Tensor]:
    model.zero_grad()
    if checkpointed:
        model.gradient_checkpointing_enable()
    ids = torch.arange(TOKENS).remainder(64)[None]
    model(input_ids=ids).last_hidden_state.pow(2).mean().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@contextmanager
def only(routes: torch.Tensor) -> Iterator[None]:
    """Transformers' own router, to which every expert but those of `routes` is out of reach."""
    original, layers = moe.Qwen3VLMoeTextTopKRouter.forward, iter(range(LAYERS))

    def forward(self: Any, hidden: torch.Tensor) -> Any:
        told = routes[:, next(layers)]
        logits = torch.nn.functional.linear(hidden.reshape(-1, self.hidden_dim), self.weight)
        reach = torch.full_like(logits, float("-inf")).scatter(1, told, 0.0)
        values, chosen = torch.topk(torch.softmax(logits + reach, dim=-1, dtype=torch.float), self.top_k, dim=-1)
        return logits, (values / values.sum(-1, keepdim=True)).to(logits.dtype), chosen

    moe.Qwen3VLMoeTextTopKRouter.forward = forward
    try:
        yield
    finally:
        moe.Qwen3VLMoeTextTopKRouter.forward = original


def drawn(seed: int) -> torch.Tensor:
    """Routes that no router chose: of each token and layer, two of the experts."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(TOKENS, LAYERS, EXPERTS, generator=generator).argsort(-1)[..., :CHOSEN]


def largest(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference of a tensor's entries, as a share of the tensor's largest."""
    return max(float((first[name] - second[name]).abs().max() / second[name].abs().max()) for name in second)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_gradients_equal_those_of_a_model_without_other_experts(model: Any, checkpointed: bool) -> None:
    routes = drawn(1)
    with only(routes):
        reference = gradients(model)
    own = gradients(model)
    told: list[torch.Tensor | None] = [routes.to(torch.int16)]
    tell_routers(model, lambda: told[0])

    assert largest(gradients(model, checkpointed=checkpointed), reference) < 1e-5
    assert largest(own, reference) > 0.1
    told[0] = None
    assert largest(gradients(model), own) == 0


def captured(model: Any, change: Callable[[Any], Any]) -> torch.Tensor:
    """The routes of a forward pass of a changed copy of the model."""
    seen: list[torch.Tensor] = []
    hooks = [layer.mlp.gate.register_forward_hook(lambda _, __, out: seen.append(out[2])) for layer in model.layers]
    with torch.no_grad():
        change(model)(input_ids=torch.arange(TOKENS).remainder(64)[None])
    for hook in hooks:
        hook.remove()
    return torch.stack(seen, 1)


def test_own_routes_change_nothing(model: Any) -> None:
    own, routes = gradients(model), captured(model, lambda same: same)
    tell_routers(model, lambda: routes)
    assert largest(gradients(model), own) < 1e-6


def test_tokens_without_a_route_keep_their_own() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).repeat(4, 1)
    own = torch.tensor([[3, 2]]).repeat(4, 1)
    told = torch.tensor([[0, 1], [2, 0], [0, 0]], dtype=torch.int16)

    _, weights, experts = replayed(logits, torch.zeros(4, 2, dtype=torch.bfloat16), own, told)

    assert experts.tolist() == [[0, 1], [2, 0], [3, 2], [3, 2]]
    assert weights.dtype == torch.bfloat16
    assert weights.sum(-1).tolist() == pytest.approx([1] * 4, abs=0.01)


def test_one_expert_a_token_may_be_the_first() -> None:
    _, weights, experts = replayed(torch.rand(2, 4), torch.ones(2, 1), torch.full((2, 1), 3), torch.zeros(2, 1).int())
    assert experts.tolist() == [[0], [0]]
    assert weights.tolist() == [[1], [1]]
