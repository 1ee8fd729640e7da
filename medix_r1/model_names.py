"""Names of models (hub name or folder), and names of vision towers in the models' code."""

from __future__ import annotations

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, in no __all__

BUILD_DEMO = "build the demo first: medix-r1 demo build; one that lies elsewhere: demo_dir=FOLDER/outputs/demo"
# Names of the vision tower in the supported architectures: Qwen, SmolVLM, others. Qwen's includes the merger; SmolVLM's
# projection is a separate module (`connector`).
VISION_TOWERS = ("visual", "vision_model", "vision_tower")


def is_hub_name(model: str) -> bool:
    """Whether this is a valid name of a model on the hub; every other value is a path, existing or not."""
    try:
        validate_repo_id(model)
    except HFValidationError:
        return False
    return True
