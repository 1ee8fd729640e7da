"""The term that asks for looking: a reply should be likelier with its own picture than with another one.

docs/algorithms/looking.md has the equations.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.metric import AggregationType, Metric


@dataclass(frozen=True, slots=True)
class LookingLoss:
    """Settings of the term (`looking_loss` of the config).

    Attributes:
        coefficient: weight of the term in the loss, above 0.
        bound: most nats that a token can contribute, above 0.
        entropy: weight of the two entropies, at least 0; with 0 they are not computed.
    """

    coefficient: float
    bound: float
    entropy: float

    @classmethod
    def of(cls, node: Any) -> Self | None:
        """From the config's `looking_loss`; None when it asks for nothing."""
        if not node.coefficient:
            return None
        return cls(float(node.coefficient), float(node.bound), float(node.entropy))

    def to_text(self) -> str:
        """What verl carries beside a batch to the workers."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `to_text` made."""
        return cls(**json.loads(text))


def looking_loss(
    settings: LookingLoss,
    log_probs: tuple[torch.Tensor, torch.Tensor],
    entropies: tuple[torch.Tensor, torch.Tensor] | None,
    mask: torch.Tensor,
    actor: Any,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """What is added to the loss, and its metrics.

    Args:
        settings: of the term.
        log_probs: of the reply's tokens with the row's own picture and with another one, each (rows, length).
        entropies: of the policy at these tokens, in the same order; None if `settings.entropy` is 0.
        mask: (rows, length), 1 at the tokens of replies whose row has another picture.
        actor: verl's config of the actor after its own loss has run, which says how tokens are averaged.
    """
    own, other = log_probs

    def mean(values: torch.Tensor) -> torch.Tensor:
        averaged: torch.Tensor = agg_loss(
            loss_mat=values, loss_mask=mask, loss_agg_mode=actor.loss_agg_mode, **actor.global_batch_info
        )
        return averaged

    seen = mean((own - other).clamp(max=settings.bound))
    loss = -settings.coefficient * seen
    metrics = {"looking_nats": Metric(value=seen.detach(), aggregation=AggregationType.SUM)}
    if entropies is not None:
        both = mean(entropies[0]) + mean(entropies[1])
        loss = loss + settings.entropy * both
        metrics["looking_entropies"] = Metric(value=both.detach(), aggregation=AggregationType.SUM)
    return loss, metrics
