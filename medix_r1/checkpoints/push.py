"""Uploads a merged model to a hub repository. huggingface_hub finds the token itself (HF_TOKEN)."""

from __future__ import annotations

from pathlib import Path

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from medix_r1.errors import CheckpointError


def prepare(repo: str, *, public: bool) -> None:
    """Create the repository if needed, and check that it is private unless `public`; called before the merge.

    Args:
        repo: `owner/name`.
        public: whether the repository may be public.

    Raises:
        CheckpointError: the name is invalid, the hub refuses, or the repository is public and `public` is not set.
    """
    try:
        HfApi().create_repo(repo, private=not public, exist_ok=True)
        is_private = HfApi().model_info(repo).private
    except (HFValidationError, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise CheckpointError(f"--push {repo}: {_first_line(error)}", code="push-refused") from None
    if not public and not is_private:
        raise CheckpointError(
            f"--push {repo}: this repository is public; add --public if the model may be seen by all",
            code="repository-is-public",
        )


def upload(folder: Path, repo: str) -> str:
    """Upload a model folder in one commit; return the commit's URL.

    Raises:
        CheckpointError: the upload failed; the folder stays.
    """
    try:
        return str(
            HfApi().upload_folder(repo_id=repo, folder_path=folder, commit_message="Merged by medix-r1").commit_url
        )
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:  # ValueError: the hub refuses the card
        again = f"the model is in {folder}; send it again with `hf upload {repo} {folder}`"
        raise CheckpointError(f"--push {repo}: {_first_line(error)}; {again}", code="push-refused") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
