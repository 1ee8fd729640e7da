"""What a model is called in a config (a name on the hub, or a folder here), and its vision tower in its code."""

from __future__ import annotations

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, in no __all__

# Names of the vision tower in the supported architectures: Qwen, SmolVLM, others.
VISION_TOWERS = ("visual", "vision_model", "vision_tower")


def is_hub_name(model: str) -> bool:
    """Whether a model on the hub can have this name; everything else is a folder, there or not."""
    try:
        validate_repo_id(model)
    except HFValidationError:
        return False
    return True
