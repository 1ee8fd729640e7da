"""FSDP ranks make the features of pictures from pixels that are stored once a prompt.

Upstream: verl 0.9.1 sends the features of a picture (94 MB at 4 megapixels) with every rollout of its prompt, to every
stage: old log-probs, reference, update.

See it: docs/upstream/stored_pictures.py

Here: shared_images.py left a `StoredPictures` in each rollout. A micro-batch fetches the pixels of its prompts, once
for all stages of a step while they are cached, and runs the model's processor over each prompt's pictures once.

Goes when: the script says that a prompt's pictures are stored once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from verl.utils import tensordict_utils
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from medix_r1.training.verl_plugin.patches.shared_images import PICTURES
from medix_r1.training.verl_plugin.pictures import PictureReader, StoredPictures


class StoredPictureFeatures(FSDPEngineWithLMHead):
    """verl's FSDP engine, which makes the features of stored pictures before a forward pass."""

    @functools.cached_property
    def _pictures(self) -> PictureReader:
        return PictureReader(self.model_config.processor)

    def prepare_model_inputs(self, micro_batch: Any) -> Any:
        """As verl's; the batch itself keeps the references, so that features live for one forward pass."""
        if "multi_modal_inputs" in micro_batch:
            rows = with_features(
                [getattr(row, "data", row) for row in micro_batch["multi_modal_inputs"]], self._pictures
            )
            micro_batch = micro_batch.copy()
            tensordict_utils.assign_non_tensor_stack(micro_batch, "multi_modal_inputs", rows)
        return super().prepare_model_inputs(micro_batch)


def with_features(rows: Sequence[dict[str, Any] | None], reader: PictureReader) -> list[dict[str, Any] | None]:
    """Rows of `multi_modal_inputs` as verl makes them, features in place of references."""
    stored = [StoredPictures.from_verl(row[PICTURES]) if row and PICTURES in row else None for row in rows]
    features = reader.features(filter(None, stored))
    return [
        {name: value for name, value in row.items() if name != PICTURES} | features[pictures.key]
        if row and pictures
        else row
        for row, pictures in zip(rows, stored, strict=True)
    ]
