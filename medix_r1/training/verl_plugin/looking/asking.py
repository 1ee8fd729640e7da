"""FSDP ranks add the term that asks for looking: a second forward pass with another prompt's picture.

The other picture is one of the same rank's mini-batch, scaled to the size of the row's own, so that a row keeps its
length. Any picture belongs to some row, so a policy cannot see from the picture alone that it is a stand-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from verl.utils import tensordict_utils
from verl.workers.utils.padding import no_padding_2_padding

from medix_r1.images.stand_ins import other_of_each
from medix_r1.training.verl_plugin.looking.loss import LookingLoss, looking_loss
from medix_r1.training.verl_plugin.patches.shared_images import PICTURES
from medix_r1.training.verl_plugin.patches.stored_pictures import StoredPictureFeatures
from medix_r1.training.verl_plugin.pictures import StoredPictures

SETTINGS = "medix_looking_loss"  # key of a batch's metadata; the value is a text


@contextmanager
def asked_for(extra_info: dict[str, Any], node: Any) -> Iterator[None]:
    """While an update runs, say in the batch's `extra_info` what `looking_loss` asks for."""
    settings = LookingLoss.of(node)
    if settings is not None:
        extra_info[SETTINGS] = settings.to_text()
    try:
        yield
    finally:
        extra_info.pop(SETTINGS, None)


class AsksToLook(StoredPictureFeatures):
    """verl's FSDP engine, whose update also compares each reply with what it would be of another picture."""

    _asked: LookingLoss | None = None

    def forward_backward_batch(self, data: Any, loss_function: Callable[..., Any], forward_only: bool = False) -> Any:
        """Run one mini-batch; an update with the term, if the batch says so."""
        text = "" if forward_only else tensordict_utils.get_non_tensor_data(data, key=SETTINGS, default="")
        self._asked = LookingLoss.from_text(text) if text else None
        # key of a prompt → whose pictures stand in for its own
        self._others: Mapping[str, StoredPictures] = others_of(data) if text else {}
        return super().forward_backward_batch(data, loss_function, forward_only)

    def forward_step(self, micro_batch: Any, loss_function: Callable[..., Any], forward_only: bool) -> Any:
        """Run one micro-batch, its loss with the term."""
        if forward_only or self._asked is None:
            return super().forward_step(micro_batch, loss_function, forward_only)
        if self._asked.entropy:
            tensordict_utils.assign_non_tensor(micro_batch, calculate_entropy=True)
        return super().forward_step(micro_batch, self._with_term(self._asked, loss_function), forward_only)

    def _with_term(self, asked: LookingLoss, loss_function: Callable[..., Any]) -> Callable[..., Any]:
        def both(*, model_output: Any, data: Any, dp_group: Any) -> tuple[torch.Tensor, dict[str, Any]]:
            loss, metrics = loss_function(model_output=model_output, data=data, dp_group=dp_group)
            other, has_other = self._answer_to_others(data)
            outputs = (model_output, other)
            log_probs = tuple(no_padding_2_padding(output["log_probs"], data) for output in outputs)
            entropies = tuple(no_padding_2_padding(output["entropy"], data) for output in outputs if asked.entropy)
            mask = data.select("response_mask").to_padded_tensor()["response_mask"].bool() & has_other[:, None]
            actor = loss_function.keywords["config"]  # type: ignore[attr-defined]  # verl's partial(ppo_loss, config=…)
            term, more = looking_loss(asked, log_probs, entropies or None, mask, actor)
            return loss + term, {**metrics, **more}

        return both

    def _answer_to_others(self, micro_batch: Any) -> tuple[Any, torch.Tensor]:
        """The model's output with other pictures, and which rows have one: (rows,).

        It runs when no row has one, too: other ranks may have some, and all take part in gathering the weights.
        """
        rows = [getattr(row, "data", row) for row in micro_batch["multi_modal_inputs"]]
        own = [StoredPictures.from_verl(row[PICTURES]) if row and PICTURES in row else None for row in rows]
        pairs = {one.key: (one, self._others[one.key]) for one in own if one is not None and one.key in self._others}
        features = self._pictures.features_of_others(pairs)
        changed = [
            {name: value for name, value in row.items() if name != PICTURES} | features[one.key]
            if one is not None and one.key in pairs
            else row
            for row, one in zip(rows, own, strict=True)
        ]
        other = micro_batch.copy()
        tensordict_utils.assign_non_tensor_stack(other, "multi_modal_inputs", changed)
        inputs, arguments = self.prepare_model_inputs(other)
        output = self.prepare_model_outputs(
            output=self.module(**inputs, use_cache=False),
            output_args=arguments,
            micro_batch=other,
            logits_processor_func=None,
        )
        has_other = [one is not None and one.key in pairs for one in own]
        return output, torch.tensor(has_other, device=micro_batch["input_ids"].device)


def others_of(data: Any) -> dict[str, StoredPictures]:
    """Key of each prompt of a mini-batch → another prompt's pictures; empty if no two prompts have any."""
    if "multi_modal_inputs" not in data:
        return {}
    rows = [getattr(row, "data", row) for row in data["multi_modal_inputs"]]
    stored = {row[PICTURES]["key"]: StoredPictures.from_verl(row[PICTURES]) for row in rows if row and PICTURES in row}
    if len(stored) < 2:
        return {}
    return {key: stored[other] for key, other in other_of_each(stored, "a mini-batch").items()}
