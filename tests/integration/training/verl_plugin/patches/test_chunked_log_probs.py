"""Chunked log-probs equal verl's row by row, with a number of operator calls that does not depend on the rows."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from verl.utils import torch_functional

from medix_r1.training.verl_plugin.patches import chunked_log_probs
from medix_r1.training.verl_plugin.patches.replacing import _OURS


@pytest.fixture(autouse=True)
def installed() -> None:
    chunked_log_probs.install()


class Calls(TorchDispatchMode):
    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def rows(number: int, dtype: torch.dtype, vocabulary: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    logits = (4 * torch.randn(number, vocabulary)).to(dtype).requires_grad_()
    return logits, torch.randint(0, vocabulary, (number,)), torch.randn(number)


def result(function: Any, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> tuple[Any, Any]:
    logits = logits.detach().clone().requires_grad_()
    context = torch.autocast("cpu", torch.bfloat16) if logits.dtype == torch.bfloat16 else nullcontext()
    with context:
        log_probs = function(logits, labels)
    (log_probs * weights).sum().backward()
    return log_probs.detach(), logits.grad


@pytest.mark.parametrize("number", [1, 5, 16, 17, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_and_gradients_are_verls(number: int, dtype: torch.dtype) -> None:
    data = rows(number, dtype)
    theirs = getattr(torch_functional.logprobs_from_logits_v2, _OURS)

    ours, gradient = result(torch_functional.logprobs_from_logits_v2, *data)
    # CUDA's autocast computes a softmax in float32, the CPU's does not.
    wanted, wanted_gradient = result(theirs, data[0].float() if dtype == torch.bfloat16 else data[0], *data[1:])

    assert ours.dtype == wanted.dtype
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, wanted_gradient.to(dtype))


def test_leading_dimensions_stay() -> None:
    logits, labels, _ = rows(12, torch.float32)

    flat = torch_functional.logprobs_from_logits(logits, labels)
    shaped = torch_functional.logprobs_from_logits(logits.view(3, 4, -1), labels.view(3, 4))

    assert torch.equal(shaped.flatten(), flat)


def test_a_token_has_the_same_value_in_any_micro_batch() -> None:
    """Old and new log-probs of one policy do not differ because their micro-batches do."""
    logits, labels, _ = rows(100, torch.bfloat16)

    together = torch_functional.logprobs_from_logits(logits, labels)
    apart = [
        torch_functional.logprobs_from_logits(logits[start : start + 7], labels[start : start + 7])
        for start in range(0, 100, 7)
    ]

    assert torch.equal(torch.cat(apart), together)


def test_the_number_of_calls_does_not_depend_on_the_rows() -> None:
    numbers = set()
    for number in (64, 640, 6400):
        logits, labels, weights = rows(number, torch.bfloat16, vocabulary=8)
        with Calls() as calls, torch.autocast("cpu", torch.bfloat16):
            (torch_functional.logprobs_from_logits(logits, labels) * weights).sum().backward()
        numbers.add(calls.number)
    assert len(numbers) == 1
    assert numbers.pop() < 500
