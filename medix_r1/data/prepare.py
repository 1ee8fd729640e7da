"""`medix-r1 data prepare`: source → staged units → split → shards and manifest. The same command resumes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from medix_r1.config import flatten
from medix_r1.data import groups, shards, staging
from medix_r1.data.files import atomic_file, locked, read_json, write_json
from medix_r1.data.prepared import MANIFEST, REJECTS, STAGING, read_manifest
from medix_r1.data.settings import Settings, read_settings
from medix_r1.data.tokens import PromptCounter, backbone_folder, fingerprint
from medix_r1.errors import ConfigError, DataError
from medix_r1.prompts import digest, load

FORMAT = 1
_NOT_IN_PLAN = ("workers", "out")  # settings that change no row


@dataclass(frozen=True, slots=True)
class Summary:
    """The row counts of a prepared set; rows_in = train + validation + sum(rejected) + merged + leaked.

    Attributes:
        rows_in: read from the source.
        train, validation: written.
        rejected: by reason.
        merged: exact duplicates.
        shrunk: rows whose images were shrunk to fit.
        leaked: removed by `medix-r1 data leaks --remove`.
    """

    rows_in: int
    train: int
    validation: int
    rejected: dict[str, int]
    merged: int
    shrunk: int
    leaked: int = 0

    @property
    def adds_up(self) -> bool:
        out = self.train + self.validation
        return self.rows_in == out + sum(self.rejected.values()) + self.merged + self.leaked

    def __str__(self) -> str:
        rejected = sum(self.rejected.values())
        return (
            f"{self.rows_in} rows in = {self.train + self.validation} out ({self.train} train, {self.validation} "
            f"validation) + {rejected} rejected + {self.merged} merged"
            + (f" + {self.leaked} removed as leaks" if self.leaked else "")
            + f"; {self.shrunk} shrunk"
        )


def prepare(overrides: Sequence[str], console: Console, *, strict: bool = False) -> Summary:
    """Prepare a data set, or resume preparing it.

    Raises:
        ConfigError: wrong settings, or the folder was prepared with other settings.
        DataError: a file cannot be read or written; with `strict`, a row was rejected.
    """
    settings = read_settings(overrides)
    backbone = backbone_folder(settings.backbone)
    PromptCounter(backbone, settings.min_pixels, settings.max_pixels)  # reports a bad backbone before any work
    with locked(settings.out):
        plan = _plan(settings, backbone)
        if (settings.out / MANIFEST).is_file():
            _refuse_other(read_manifest(settings.out)["plan"], plan, settings.out)
            console.print(f"{settings.out} is complete; nothing is left to do", highlight=False)
            summary = Summary(**read_manifest(settings.out)["counts"])
        else:
            summary = _run(settings, backbone, plan, console, strict)
    console.print(f"[green]done:[/] {summary}; {settings.out / MANIFEST}", highlight=False)
    return summary


def _run(settings: Settings, backbone: Path, plan: dict[str, Any], console: Console, strict: bool) -> Summary:
    folder = settings.out / STAGING
    folder.mkdir(exist_ok=True)
    if (folder / "plan.json").is_file():
        _refuse_other(read_json(folder / "plan.json"), plan, settings.out)
    write_json(folder / "plan.json", plan)
    for part in folder.glob(".*.part"):
        part.unlink()  # left by a killed run
    units = settings.source.units(settings.unit_rows)
    if not units:
        raise DataError(f"data: {settings.source.name} has no rows", code="no-rows")
    job = staging.UnitJob(
        settings.source, settings.rules, backbone, settings.min_pixels, settings.max_pixels, folder, strict
    )
    done = staging.finished_units(folder)
    with _progress(console) as progress:
        bar = progress.add_task("checking rows", total=len(units), completed=len(done))
        left = [unit for unit in units if unit.number not in done]

        def advance(result: staging.UnitResult) -> None:
            done[result.number] = result
            progress.advance(bar)

        staging.stage(job, left, settings.workers, advance)
        results = [done[unit.number] for unit in units]
        split = groups.split_rows(
            [staging.unit_path(folder, unit.number, "index.parquet") for unit in units],
            share=settings.validation,
            seed=settings.seed,
            near_distance=settings.near_distance,
        )
        tasks = list(shards.plan_shards(results, split, settings.shard_bytes, folder, settings.out))
        bar = progress.add_task("writing shards", total=len(tasks))
        entries = shards.write_shards(tasks, settings.workers, lambda: progress.advance(bar))
    return _finish(settings, plan, results, split, entries)


def _finish(
    settings: Settings,
    plan: dict[str, Any],
    results: list[staging.UnitResult],
    split: groups.Split,
    entries: list[dict[str, Any]],
) -> Summary:
    """Join the rejects, write the manifest, then remove the staging folder; a kill in between can be resumed."""
    folder = settings.out / STAGING
    summary = _count(results, split, entries)
    if not summary.adds_up:
        raise DataError(
            f"the counts do not add up ({summary}); this is a fault of the program, nothing was published",
            code="counts-do-not-add-up",
        )
    with atomic_file(settings.out / REJECTS) as temporary, temporary.open("wb") as joined:
        for result in results:
            with staging.unit_path(folder, result.number, "rejects.jsonl").open("rb") as part:
                shutil.copyfileobj(part, joined)
    write_json(
        settings.out / MANIFEST,
        {
            "format": FORMAT,
            "written_by": f"medix-r1 {version('medix-r1')}",
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "plan": plan,
            "counts": asdict(summary),
            "groups": {"count": split.num_groups, "largest": split.largest_group},
            "shards": entries,
        },
    )
    shutil.rmtree(folder)
    return summary


def _count(results: list[staging.UnitResult], split: groups.Split, entries: list[dict[str, Any]]) -> Summary:
    rejected: Counter[str] = Counter()
    for result in results:
        rejected.update(result.rejected)
    rows = {name: sum(entry["rows"] for entry in entries if entry["split"] == name) for name in shards.SPLITS}
    return Summary(
        rows_in=sum(result.rows_in for result in results),
        train=rows["train"],
        validation=rows["validation"],
        rejected=dict(sorted(rejected.items())),
        merged=split.merged,
        shrunk=sum(result.shrunk for result in results),
    )


def _plan(settings: Settings, backbone: Path) -> dict[str, Any]:
    """Everything that the written rows depend on, with its hash; equal plans give equal shards."""
    options = {key: value for key, value in settings.tree.items() if key not in _NOT_IN_PLAN}
    plan = {
        "source": asdict(settings.source.revision()),
        "options": options,
        "backbone": {"name": settings.backbone, "fingerprint": fingerprint(backbone)},
        "prompts": {name: digest(load(name)) for name in ("policy", "policy_text")} if options["instructions"] else {},
    }
    plan = json.loads(json.dumps(plan))
    return {**plan, "hash": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]}


def _refuse_other(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    if old["hash"] != new["hash"]:
        before, now = dict(flatten(old)), dict(flatten(new))
        keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key) and key != "hash")
        changed = ", ".join(key for key in keys if not isinstance(now.get(key), dict))
        raise ConfigError.of(
            "out",
            "prepared-otherwise",
            f"{out} was prepared with another {changed}; choose another out=, or delete that folder",
        )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
