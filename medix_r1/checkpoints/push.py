"""Uploads a merged model to a hub repository. huggingface_hub finds the token itself (HF_TOKEN)."""

from __future__ import annotations

from pathlib import Path

import httpx
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from medix_r1.errors import CheckpointError

_TOKEN_REFUSED = (401, 403)


def prepare(repo: str, *, public: bool) -> None:
    """Create the repository if needed, and check that it is private unless `public`; called before the merge.

    Args:
        repo: `owner/name`.
        public: whether the repository may be public.

    Raises:
        CheckpointError: there is no token or a wrong one, the name is invalid, the hub refuses, or the repository is
            public and `public` is not set.
    """
    if get_token() is None:
        raise CheckpointError(
            f"--push {repo}: no token; set HF_TOKEN to one that may write, or run `hf auth login`", code="no-token"
        )
    try:
        HfApi().create_repo(repo, private=not public, exist_ok=True)
        is_private = HfApi().model_info(repo).private
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in _TOKEN_REFUSED:
            raise CheckpointError(
                f"--push {repo}: the hub refuses the token ({status}): it is wrong, has expired, or "
                f"may not write to {repo.split('/')[0]}; set HF_TOKEN to another",
                code="token-refused",
            ) from None
        raise CheckpointError(f"--push {repo}: {_first_line(error)}", code="push-refused") from None
    except (HFValidationError, httpx.HTTPError, OSError) as error:
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
