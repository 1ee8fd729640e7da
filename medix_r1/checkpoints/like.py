"""`merge --like BASE`: the settings, tokenizer and processor files of the base model, byte for byte.

transformers saves them anew in the form of its own version. A merged model whose files are those of the base model is
read by whatever reads the base model.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import AutoConfig, AutoTokenizer

from medix_r1.checkpoints.model_files import COPIED
from medix_r1.checkpoints.parameters.blueprint import refuse_code
from medix_r1.errors import CheckpointError

_OWN = ("dtype", "torch_dtype", "transformers_version", "use_cache", "_name_or_path", "architectures")  # may differ
_TEMPLATES = ("chat_template.jinja", "chat_template.json")  # the run's own: the model was trained with it
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf", "*.index.json", "original/*")
_LISTED = 5


def settings_of(base: str) -> Path:
    """The folder of a base model: itself, or the files of a hub name without weights.

    Raises:
        CheckpointError: there is no such folder and no such model on the hub, or it brings code.
    """
    folder = Path(base)
    if not folder.is_dir():
        try:
            folder = Path(snapshot_download(base, ignore_patterns=list(_WEIGHTS)))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CheckpointError(
                f"--like {base}: neither a folder nor a model that the hub gives: {reason}", code="no-such-base"
            ) from None
    refuse_code(folder)
    return folder


def copy_like(base: Path, folder: Path) -> None:
    """Replace the files of a merged model by those of its base model, where that has them.

    Raises:
        CheckpointError: it is another model: a setting or the vocabulary differs.
    """
    if odd := sorted(_differences(_config(base), _config(folder))):
        raise CheckpointError(
            f"--like {base}: another model than the one that was trained: {', '.join(odd[:_LISTED])} differ",
            code="another-model",
        )
    if _vocabulary(base) != _vocabulary(folder):
        raise CheckpointError(
            f"--like {base}: its tokenizer has another vocabulary than the one that was trained with",
            code="another-vocabulary",
        )
    for file in sorted(base.iterdir()):
        if file.is_file() and file.suffix in COPIED and not file.name.endswith(("index.json", *_TEMPLATES)):
            shutil.copyfile(file, folder / file.name)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        ).to_dict()
    except Exception as error:  # noqa: BLE001  the folder may hold anything
        raise _not_a_model(folder, error) from None
    return config


def _vocabulary(folder: Path) -> dict[str, int]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return dict(tokenizer.get_vocab())
    except Exception as error:  # noqa: BLE001  the folder may hold anything
        raise _not_a_model(folder, error) from None


def _not_a_model(folder: Path, error: Exception) -> CheckpointError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return CheckpointError(f"--like: {folder} is no folder of a model: {reason}", code="no-such-base")


def _differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key in (one.keys() | other.keys()) - set(_OWN):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            found |= _differences(first, second, f"{prefix}{key}.")
        elif first != second:
            found.add(f"{prefix}{key}")
    return found
