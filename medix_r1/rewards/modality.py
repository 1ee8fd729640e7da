"""Signal `modality`: 1 when the tag before the think block is the reference's."""

from __future__ import annotations

from medix_r1.rewards.base import Sample, Score


class ModalityReward:
    """Did the policy recognise the imaging modality? Not applicable without an image or without a reference tag."""

    def score(self, sample: Sample) -> Score:
        wanted, given = sample.reference.modality, sample.completion.modality
        if wanted is None or not sample.has_image:
            return Score(None, "no modality to name")
        return Score(float(given == wanted), f"said {given}, is {wanted}")
