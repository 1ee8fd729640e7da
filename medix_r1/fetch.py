"""`medix-r1 fetch`: downloads what a run needs from the hub into one folder, on a machine that reaches it.

Models go into a cache of huggingface_hub below HF_HOME, where every library finds them by name; data sets go into plain
folders, which `data prepare` and `eval` read.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from omegaconf import OmegaConf
from rich import filesize
from rich.console import Console
from rich.markup import escape

from medix_r1.config import compose_train
from medix_r1.errors import ConfigError, DataError, Problem
from medix_r1.evaluation.settings import known_tasks
from medix_r1.model_names import is_hub_name
from medix_r1.untrusted import one_line

TRAINING_DATA = "MBZUAI/medix-rl-data"  # what `data prepare data=medix_rl` reads


@dataclass(frozen=True, slots=True)
class Wanted:
    """One repository of the hub.

    Attributes:
        use: what a run needs it for.
        repo: its name.
        kind: `model` or `dataset`.
        revision: a branch or commit; None is the newest.
    """

    use: str
    repo: str
    kind: str
    revision: str | None = None


def wanted(
    overrides: Sequence[str], config_dirs: Sequence[Path], tasks: Sequence[str], *, data: bool = True
) -> list[Wanted]:
    """What a run with these overrides and an evaluation on these tasks read from the hub; each repository once.

    Args:
        overrides: of the run.
        config_dirs: folders of the user's own configs.
        tasks: names of evaluation tasks, `open` for all open ones, or `none`.
        data: with the training data of the paper, which are large, if the run reads them.

    Raises:
        ConfigError: a config does not compose, or a task is unknown.
    """
    found: dict[tuple[str, str, str | None], Wanted] = {}
    config = compose_train(overrides, config_dirs)
    for one in (*_models(config), *_data_sets(tasks, config_dirs, data and _reads_the_papers_data(config))):
        key = (one.kind, one.repo, one.revision)
        before = found.get(key)
        uses = one.use if before is None else f"{before.use}, {one.use}"
        found[key] = Wanted(uses, one.repo, one.kind, one.revision)
    return list(found.values())


def local_models(overrides: Sequence[str], config_dirs: Sequence[Path]) -> list[str]:
    """A line for each model of the run that is no name on the hub, so that it is not fetched."""
    named = ((use, name) for use, name, _ in _named(compose_train(overrides, config_dirs)) if not _is_on_the_hub(name))
    return [
        f"{use}: {name}, a folder, not from the hub{'' if Path(name).exists() else ', and not there yet'}"
        for use, name in named
    ]


def check_out(out: Path) -> None:
    """Check that `out` can be a folder.

    Raises:
        ConfigError: it, or a name above it, is a file.
    """
    above = next(path for path in (out, *out.parents) if path.exists())
    if not above.is_dir():
        raise ConfigError.of("--out", "not-a-folder", f"{above} is a file; name a folder")


def fetch(parts: Sequence[Wanted], out: Path, console: Console, *, dry_run: bool) -> None:
    """Download the parts, or only say how large they are, and print how a job uses them.

    Raises:
        DataError: some could not be had; all of them are listed, and the others were downloaded.
    """
    problems, total = [], 0
    for part in parts:
        try:
            size = _size(part)
            total += size or 0
            place = out if dry_run else _download(part, out)
            told = "size unknown" if size is None else filesize.decimal(size)
            where = "" if dry_run else f" → {place}"
            console.print(f"{part.use}: {escape(part.repo)} ({part.kind}), {told}{where}", highlight=False)
        except (httpx.HTTPError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0])
            problems.append(Problem(part.repo, "not-fetched", f"{part.use}: {reason}"))
    console.print(f"together {filesize.decimal(total)}", highlight=False)
    if problems:
        raise DataError.listing(problems, code="not-fetched")
    console.print("\nIn the job:", highlight=False)
    console.print(f"  export HF_HOME={_quoted(out)} HF_HUB_OFFLINE=1", highlight=False, soft_wrap=True)
    if any(part.repo == TRAINING_DATA for part in parts):
        console.print(
            f"  medix-r1 data prepare data=medix_rl data.path={_quoted(out / 'datasets' / TRAINING_DATA)}",
            highlight=False,
            soft_wrap=True,
        )
    if any(part.kind == "dataset" and part.repo != TRAINING_DATA for part in parts):
        console.print(f"  medix-r1 eval … data_dir={_quoted(out / 'datasets')}", highlight=False, soft_wrap=True)


def _quoted(path: Path) -> str:
    return escape(shlex.quote(str(path)))


def _models(config: Any) -> Iterator[Wanted]:
    for use, name, revision in _named(config):
        if _is_on_the_hub(name):
            yield Wanted(use, name, "model", revision)


def _is_on_the_hub(name: str) -> bool:
    return is_hub_name(name) and not Path(name).exists()


def _reads_the_papers_data(config: Any) -> bool:
    """Whether the run reads what `data prepare data=medix_rl` writes; data=prepared and the demo have others."""
    files = config.data.train_files
    names = [str(file) for file in (files if OmegaConf.is_list(files) else [files])]
    demo = config.get("demo_dir")
    is_demo = demo is not None and all(name.startswith(str(demo)) for name in names)
    return "folder" not in config.data and not is_demo


def _named(config: Any) -> Iterator[tuple[str, str, str | None]]:
    """Use, name and revision of each model of a run."""
    server = config.judge.get("server")
    embedder = config.get("embedder") or {}
    names = {
        "policy": (config.actor_rollout_ref.model.path, None),
        "judge": (server.model if server is not None else None, None),
        "embedder": (embedder.get("model"), embedder.get("revision")),
    }
    for use, (name, revision) in names.items():
        if name is not None:
            yield use, str(name), revision


def _data_sets(tasks: Sequence[str], config_dirs: Sequence[Path], data: bool) -> Iterator[Wanted]:
    known = known_tasks(config_dirs)
    if odd := sorted(set(tasks) - known.keys() - {"open", "none"}):
        raise ConfigError(
            [Problem(f"--task {name}", "unknown-task", f"known are open, none, {', '.join(known)}") for name in odd]
        )
    if data:
        yield Wanted("training data", TRAINING_DATA, "dataset")
    for task in known.values():
        chosen = task.name in tasks or ("open" in tasks and task.access == "open")
        if chosen and task.path is not None and task.file is None:
            yield Wanted(task.name, task.path, "dataset", task.revision)


def _size(part: Wanted) -> int | None:
    """Size in bytes where the hub tells it."""
    look = HfApi().model_info if part.kind == "model" else HfApi().dataset_info
    files = look(part.repo, revision=part.revision, files_metadata=True).siblings or []
    sizes = [file.size for file in files if file.size is not None]
    return sum(sizes) if len(sizes) == len(files) else None


def _download(part: Wanted, out: Path) -> Path:
    """Download a whole repository: a part of one counts as incomplete when it is looked for without the hub."""
    if part.kind == "model":
        return Path(snapshot_download(part.repo, revision=part.revision, cache_dir=out / "hub"))
    place = out / "datasets" / part.repo
    return Path(snapshot_download(part.repo, repo_type="dataset", revision=part.revision, local_dir=place))
