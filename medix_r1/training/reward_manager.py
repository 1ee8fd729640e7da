"""The composite reward inside verl: one finished rollout in, its reward and every unweighted part out.

verl calls `run_single` from its agent loop as soon as a rollout is finished, while others still generate. What it
returns travels with the sample through TransferQueue to our sampler, which masks, logs and writes it down.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from verl.experimental.reward_loop.reward_manager import register as register_with_verl
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.rewards.base import Sample
from medix_r1.rewards.composite import CompositeReward, RewardBreakdown
from medix_r1.training.run_folder import RunFolder, WaitingHandler

NAME = "medix"
OVERLONG = ("reward", "zero", "mask")


@dataclass(frozen=True, slots=True)
class Rollout:
    """What verl hands over for one reply."""

    text: str
    cut: bool
    row: Mapping[str, Any]


class CompositeRewardManager(RewardManagerBase):
    """Parses a rollout, runs the signals of `reward.signals` at once, weighs them by `reward.weights`."""

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        settings = config.reward
        self._think_element = settings.think_element
        self._overlong = settings.overlong
        self._max_response_length = config.data.max_response_length
        waiting = WaitingHandler(RunFolder(Path(config.run.dir)))
        logging.getLogger("medix_r1.models.judge").addHandler(waiting)
        self._composite = CompositeReward(
            signals=instantiate(settings.signals, _convert_="all"), weights=dict(settings.weights)
        )

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score the last sequence of `data` (a `DataProto` of one trajectory).

        Never raises for a judge or embedder that failed: verl would drop the sample without a word
        (ARCHITECTURE: such a sample comes back with `masked`, and the sampler keeps it out of the update).
        """
        rollout = self._rollout(data[-1:][0])
        sample = self._sample(rollout)
        breakdown = await self._composite.score(sample)
        return self._to_verl(rollout, sample, breakdown)

    def _rollout(self, item: Any) -> Rollout:
        responses = item.batch["responses"]
        length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        tokens = responses[:length].tolist()
        ended = bool(tokens) and tokens[-1] == self.tokenizer.eos_token_id
        return Rollout(
            text=self.tokenizer.decode(tokens, skip_special_tokens=True),
            cut=length >= self._max_response_length and not ended,
            row=item.non_tensor_batch,
        )

    def _sample(self, rollout: Rollout) -> Sample:
        extra: dict[str, Any] = rollout.row.get("extra_info") or {}
        accepted = extra.get("answers")
        reference = parse_reference(rollout.row["reward_model"]["ground_truth"])
        has_image = prompt_has_image(rollout.row.get("raw_prompt"))
        return Sample(
            completion=parse_completion(rollout.text, think_element=self._think_element, wants_modality=has_image),
            reference=reference,
            question=str(extra.get("question") or ""),
            source=str(rollout.row.get("data_source") or ""),
            has_image=has_image,
            cut=rollout.cut,
            accepted=() if accepted is None else tuple(accepted),
        )

    def _to_verl(self, rollout: Rollout, sample: Sample, breakdown: RewardBreakdown) -> dict[str, Any]:
        total = breakdown.total
        if rollout.cut and self._overlong == "zero" and total is not None:
            total = 0.0
        masked = total is None or (rollout.cut and self._overlong == "mask")
        detail = {
            "answer": sample.completion.answer,
            "modality": sample.completion.modality,
            "problems": list(sample.completion.problems),
            "reasons": {name: part.reason for name, part in breakdown.parts.items()},
            "failure": breakdown.failure,
            "outage": breakdown.outage,
            "text": rollout.text,
        }
        # verl reads the keys of the first sample and looks them up in every other one, so all samples have the same.
        parts = {name: part.value for name, part in breakdown.parts.items()}
        return {
            "reward_score": 0.0 if total is None else total,
            "reward_extra_info": {
                **parts,
                "overall": None if masked else total,
                "masked": float(masked),
                "cut": float(rollout.cut),
                "detail": json.dumps(detail, ensure_ascii=False),
            },
        }


def prompt_has_image(messages: Any) -> bool:
    """Whether any message of a chat has an image part."""
    contents = [message.get("content") for message in (messages if messages is not None else ())]
    return any(
        isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "image" for part in content)
        for content in contents
    )


def register() -> None:
    """Make the manager known to verl as `reward.reward_manager.name=medix`; safe to call again."""
    register_with_verl(NAME)(CompositeRewardManager)
