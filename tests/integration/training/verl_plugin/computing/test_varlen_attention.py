"""`torch_varlen`: packed rows see themselves alone, without a mask over all tokens, and padded rows are sdpa's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.nn import functional

from medix_r1.training.verl_plugin.computing import varlen_attention
from medix_r1.training.verl_plugin.computing.varlen_attention import NAME, row_starts
from tests.support import packed
from tests.support.engine_probe import probe


@pytest.fixture(scope="module", params=["qwen3_vl", "qwen3_vl_moe"])
def folder(request: pytest.FixtureRequest, nano_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    varlen_attention.register()
    if request.param == "qwen3_vl":
        return nano_policy
    from medix_r1.demo.rows import labels
    from tools.nano.twins import build_twin

    twin = tmp_path_factory.mktemp("twins") / request.param
    build_twin(twin, request.param, labels.load())
    return twin


def test_where_rows_begin() -> None:
    assert row_starts(torch.tensor([0, 1, 2, 0, 1, 0, 1, 2])).tolist() == [0, 3, 5, 8]
    assert row_starts(torch.tensor([7, 8, 9, 0, 0, 0])).tolist() == [0, 3, 4, 5, 6]


def test_packed_rows_equal_each_row_alone_and_sdpas(folder: Path) -> None:
    rows = packed.rows(folder)
    model, reference = packed.load(folder, NAME), packed.load(folder, "sdpa")
    masks: list[Any] = []
    kernel = functional.scaled_dot_product_attention

    def spy(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: Any = None, **rest: Any) -> Any:
        masks.append(attn_mask)
        return kernel(query, key, value, attn_mask=attn_mask, **rest)

    with torch.no_grad():
        with patch.object(functional, "scaled_dot_product_attention", spy):
            together = packed.logits(model, rows)
        alone = torch.cat([packed.logits(model, [row]) for row in rows])
        theirs = packed.logits(reference, rows)

    torch.testing.assert_close(together, alone, rtol=0, atol=2e-5)
    torch.testing.assert_close(together, theirs, rtol=0, atol=2e-5)
    assert len(masks) >= len(rows) * model.config.text_config.num_hidden_layers
    assert not [mask for mask in masks if mask is not None]


def test_gradients_equal_sdpas(folder: Path) -> None:
    rows = packed.rows(folder)
    gradients = []
    for attention in (NAME, "sdpa"):
        model = packed.load(folder, attention)
        packed.logits(model, rows).square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    ours, theirs = gradients
    assert set(ours) == set(theirs)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-6, msg=name)


def test_padded_rows_are_sdpas(folder: Path) -> None:
    ids = torch.randint(40, 200, (2, 12), generator=torch.Generator().manual_seed(0))
    seen = torch.ones_like(ids)
    seen[1, 7:] = 0
    with torch.no_grad():
        ours, theirs = (
            packed.load(folder, attention)(input_ids=ids, attention_mask=seen, use_cache=False).logits
            for attention in (NAME, "sdpa")
        )
    torch.testing.assert_close(ours[seen.bool()], theirs[seen.bool()], rtol=0, atol=2e-5)


def test_the_engine_takes_the_same_step(nano_policy: Path) -> None:
    packing = ["actor_rollout_ref.model.use_remove_padding=true", "actor_rollout_ref.actor.optim.lr_warmup_steps=0"]
    attention = "actor_rollout_ref.model.override_config.attn_implementation"

    ours = probe(nano_policy, *packing, f"{attention}={NAME}")
    theirs = probe(nano_policy, *packing, f"{attention}=sdpa")

    assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-5)
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
