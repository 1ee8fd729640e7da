"""The composite reward inside verl: scores one finished rollout, and returns its reward and all unweighted parts.

verl calls `run_single` from its agent loop as soon as a rollout is finished, while others still generate. The result
travels with the sample through TransferQueue to our sampler, which masks, logs and saves it.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verl.experimental.reward_loop.reward_manager import register as register_with_verl
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from medix_r1.errors import DataError
from medix_r1.images.asked_again import row_id
from medix_r1.models.rubric import criteria_of
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.rewards.overlong import Overlong
from medix_r1.runs.scored_rollout import ScoredRollout
from medix_r1.training.verl_plugin import scorer
from medix_r1.training.verl_plugin.patches.shared_images import CHAT
from medix_r1.training.verl_plugin.watching import seats

NAME = "medix"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One reply as verl hands it over."""

    text: str
    cut: bool  # reached the maximum length without an end token
    tokens: int  # length of the reply
    row: Mapping[str, Any]  # the data set's columns

    @property
    def extra_info(self) -> Mapping[str, Any]:
        return self.row.get("extra_info") or {}

    @property
    def reference(self) -> str:
        return str(self.row["reward_model"]["ground_truth"])


class CompositeRewardManager(RewardManagerBase):
    """Parses a rollout, runs the signals of `reward.signals` concurrently, weighs them by `reward.weights`."""

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
        self._reader = SampleReader.of(settings)
        self._names = [name for name, signal in settings.signals.items() if signal is not None]
        self._max_response_length = config.data.max_response_length
        self._overlong = Overlong.of(settings, self._max_response_length)
        self._seated = seats.scores_groups(config)
        self._scorer = scorer.make_scorer(config, reward_router_address)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score the last sequence of `data` (a `DataProto` of one trajectory).

        A failing judge or embedder raises nothing, because verl would then drop the sample silently. The sample is
        returned as `masked`, and the sampler keeps it out of the update (docs/judge.md).

        Returns:
            `reward_score`, in [0, 1] (overlong=soft: in [-1, 1]) and 0.0 for a masked sample, and `reward_extra_info`,
            a `ScoredRollout` for verl.
        """
        started = time.time()
        rollout = self._rollout(data[-1:][0])
        step = training_step(rollout.row)
        sample = await self._sample(rollout)
        if self._seated:
            sample = replace(sample, seat=seats.seat_of(rollout.row, self.config))
        scored = await self._scorer.score(sample, step)
        total = scored.breakdown.total
        if self._overlong is not None:
            total = self._overlong.reward(total, cut=rollout.cut, tokens=rollout.tokens)
        record = replace(
            self._record(rollout, sample, scored.breakdown, total),
            statistics=scored.statistics,
            seconds=(started, time.time()),
        )
        return {"reward_score": 0.0 if total is None else total, "reward_extra_info": record.to_verl()}

    def _rollout(self, item: Any) -> Rollout:
        responses = item.batch["responses"]
        length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        tokens = responses[:length].tolist()
        ended = bool(tokens) and tokens[-1] == self.tokenizer.eos_token_id
        return Rollout(
            text=self.tokenizer.decode(tokens, skip_special_tokens=True),
            cut=length >= self._max_response_length and not ended,
            tokens=length,
            row=item.non_tensor_batch,
        )

    async def _sample(self, rollout: Rollout) -> Sample:
        extra = rollout.extra_info
        messages = rollout.row.get("raw_prompt")
        images: tuple[bytes, ...] = ()
        if self._scorer.wants_images:
            if CHAT in rollout.row:
                messages = await rollout.row[CHAT]
            images = await asyncio.to_thread(encoded_images, messages)
        return self._reader.read(
            rollout.text,
            reference=rollout.reference,
            has_image=prompt_has_image(messages),
            question=str(extra.get("question") or ""),
            choices=texts(extra.get("choices")),
            images=images,
            source=str(rollout.row.get("data_source") or ""),
            cut=rollout.cut,
            accepted=texts(extra.get("answers")),
            rubric=extra.get("rubric"),
            rationale=texts(extra.get("rationale")),
        )

    def _record(
        self, rollout: Rollout, sample: Sample, breakdown: RewardBreakdown, total: float | None
    ) -> ScoredRollout:
        """The record for the sampler; verl adds the sample's key."""
        extra = rollout.extra_info
        parts = breakdown.parts
        return ScoredRollout(
            uid=str(rollout.row.get("uid", "")),
            row_id=row_id(extra),
            source=sample.source,
            question=sample.question,
            reference=rollout.reference,
            reply=rollout.text,
            answer=sample.completion.answer,
            modality=sample.completion.modality,
            think=sample.completion.think,
            problems=tuple(sample.completion.problems),
            parts={name: parts[name].value if name in parts else None for name in self._names},
            reasons={name: part.reason for name, part in parts.items()},
            weights=breakdown.weights,
            numbers=breakdown.numbers,
            details=breakdown.details,
            rubric=rubric_of(sample),
            rationale=tuple(map(str, sample.rationale)),
            overall=total,
            masked=total is None,
            gate_shut=breakdown.gate_shut,
            failure=breakdown.failure,
            outage=breakdown.outage,
            cut=rollout.cut,
            tokens=rollout.tokens,
            split=str(extra.get("split", "")),
            image=sample.has_image,
            choices=sample.choices,
            accepted=sample.accepted,
        )


def texts(values: Any) -> tuple[str, ...]:
    """A list, an array or None from a column of the data set, as a tuple of texts."""
    return () if values is None else tuple(str(value) for value in values)


def rubric_of(sample: Sample) -> tuple[Mapping[str, Any], ...]:
    """The criteria of a row for the record; what is none is left to the signal that reads them, and to its error."""
    try:
        criteria = criteria_of(sample.rubric) if sample.rubric else ()
    except DataError:
        return ()
    return tuple({"criterion": one.text, "points": one.points, "tags": list(one.tags)} for one in criteria)


def training_step(row: Mapping[str, Any]) -> str | None:
    """The step part of our trainer's `step…-prompt…` uid; None for a validation row."""
    uid = str(row.get("uid", ""))
    return uid.split("-")[0] if uid.startswith("step") else None


def prompt_has_image(messages: Any) -> bool:
    """Whether any message of a chat has an image part."""
    return any(True for _ in _image_parts(messages))


def encoded_images(messages: Any) -> tuple[bytes, ...]:
    """The images of a chat in verl's format, in order, each as the bytes of an image file."""
    return tuple(encoded_image(part) for part in _image_parts(messages))


def _image_parts(messages: Any) -> Iterator[Mapping[str, Any]]:
    for message in messages if messages is not None else ():
        content = message.get("content")
        if isinstance(content, list):
            yield from (part for part in content if isinstance(part, dict) and part.get("type") == "image")


def encoded_image(part: Mapping[str, Any]) -> bytes:
    """The image of a part of a chat as the bytes of an image file."""
    if part.get("bytes"):
        return bytes(part["bytes"])
    image: Any = part.get("image") or part.get("path")
    if isinstance(image, str):
        return Path(image.removeprefix("file://")).read_bytes()
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")  # a PIL image
    return buffer.getvalue()


def register() -> None:
    """Make the manager known to verl as `reward.reward_manager.name=medix`; safe to call again."""
    register_with_verl(NAME)(CompositeRewardManager)
