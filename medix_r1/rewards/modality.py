"""Signal `modality`: 1 when the reply's modality tag is the reference's."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score


class ModalityReward:
    """Compares the modality tags. Not applicable without an image or without a tag in the reference."""

    def score(self, sample: Sample) -> Score:
        wanted, given = sample.reference.modality, sample.completion.modality
        if wanted is None or not sample.has_image:
            return Score(None, "no modality to name")
        return Score(float(given == wanted), f"said {given}, is {wanted}")
