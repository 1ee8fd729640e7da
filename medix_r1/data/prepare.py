"""`medix-r1 data prepare`: source → staged units → split → shards and manifest. The same command resumes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from medix_r1.config import flatten
from medix_r1.data import ending, groups, shards, staging
from medix_r1.data.files import locked, read_json, write_json
from medix_r1.data.lengths.tokens import PromptCounter, backbone_folder, fingerprint
from medix_r1.data.prepared import MANIFEST, REJECTS, STAGING, read_manifest
from medix_r1.data.settings import Settings, read_settings
from medix_r1.data.sources.hidden import hidden
from medix_r1.data.summary import Summary
from medix_r1.errors import ConfigError, DataError
from medix_r1.host.files import atomic_file
from medix_r1.prompts import digest, load

__all__ = ["Summary", "prepare"]

FORMAT = 1
_NOT_IN_PLAN = ("workers", "out")  # settings that change no row; nor does data.max_rejected


def prepare(overrides: Sequence[str], console: Console, *, strict: bool = False, force: bool = False) -> Summary:
    """Prepare a data set, or resume preparing it; with `force`, what the folder holds is prepared anew.

    Raises:
        ConfigError: wrong settings, or the folder was prepared with other settings.
        DataError: a file cannot be read or written; no row is left for training, or more are rejected than
            data.max_rejected allows; with `strict`, a row was rejected.
    """
    settings = read_settings(overrides)
    backbone = backbone_folder(settings.backbone)
    PromptCounter(backbone, settings.min_pixels, settings.max_pixels)  # reports a bad backbone before any work
    with locked(settings.out):
        plan = _plan(settings, backbone)
        if force:
            _delete_prepared(settings.out)
        if (settings.out / MANIFEST).is_file():
            _refuse_other(read_manifest(settings.out)["plan"], plan, settings.out)
            console.print(f"{settings.out} is complete; nothing is left to do", highlight=False)
            summary = Summary(**read_manifest(settings.out)["counts"])
        else:
            for cut in settings.out.glob(
                ".*.part"
            ):  # of a process that was killed while it wrote; nobody else has the lock
                cut.unlink()
            summary = _run(settings, backbone, plan, console, strict)
    ending.show_rejects(settings.out, console)
    console.print(f"[green]done:[/] {summary}; {settings.out / MANIFEST}", highlight=False)
    ending.show_next(settings, summary, console)
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
    ending.show_notes(settings.source, console)
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
        _join_rejects(folder, results, settings.out)
        ending.check_left(settings, results, split, console)
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
    """Write the manifest, then remove the staging folder; a kill in between can be resumed."""
    folder = settings.out / STAGING
    summary = _count(results, split, entries)
    if not summary.adds_up:
        raise DataError(
            f"the counts do not add up ({summary}); this is a fault of the program, nothing was published",
            code="counts-do-not-add-up",
        )
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


def _join_rejects(folder: Path, results: list[staging.UnitResult], out: Path) -> None:
    with atomic_file(out / REJECTS) as temporary, temporary.open("wb") as joined:
        for result in results:
            with staging.unit_path(folder, result.number, "rejects.jsonl").open("rb") as part:
                shutil.copyfileobj(part, joined)


def _delete_prepared(out: Path) -> None:
    """Delete what `data prepare` writes, the manifest first; other files of the folder stay."""
    for pattern in (MANIFEST, REJECTS, *(f"{split}-*.parquet" for split in (*shards.SPLITS, "index"))):
        for file in out.glob(pattern):
            file.unlink()
    shutil.rmtree(out / STAGING, ignore_errors=True)


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
    options["data"] = {key: value for key, value in options["data"].items() if key != "max_rejected"}
    if options["data"].get("hide_names"):
        paths = {key: hidden(str(options["data"][key])) for key in ("path", "image_root") if options["data"].get(key)}
        options["data"] |= paths
    texts = ("policy", "policy_text", *(("policy_confidence",) if options["confidence"] else ()))
    plan = {
        "source": asdict(settings.source.revision()),
        "options": options,
        "backbone": {"name": settings.backbone, "fingerprint": fingerprint(backbone)},
        "prompts": {name: digest(load(name)) for name in texts} if options["instructions"] else {},
    }
    plan = json.loads(json.dumps(plan))
    return {**plan, "hash": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]}


def _refuse_other(old: dict[str, Any], new: dict[str, Any], out: Path) -> None:
    if old["hash"] == new["hash"]:
        return
    before, now = dict(flatten(old)), dict(flatten(new))
    known = [key for key in before if key != "hash" and not isinstance(before[key], dict)]  # an older version had fewer
    changed = [f"{key} ({before[key]} → {now.get(key)})" for key in sorted(known) if before[key] != now.get(key)]
    if changed:
        raise ConfigError.of(
            "out",
            "prepared-otherwise",
            f"{out} was prepared with another {', '.join(changed)}; choose another out=, or give --force to prepare it "
            "anew",
        )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
