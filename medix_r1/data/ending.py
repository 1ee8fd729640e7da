"""How `data prepare` ends: what was rejected and why, whether anything is left to train on, and how to train on it."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.config import config_dir
from medix_r1.data.groups import Split
from medix_r1.data.prepared import REJECTS
from medix_r1.data.settings import Settings
from medix_r1.data.sources.base import Source
from medix_r1.data.staging import UnitResult
from medix_r1.data.summary import Summary
from medix_r1.errors import DataError
from medix_r1.host.yaml_text import read_yaml

_SHOWN = 160  # characters of an example
_BATCH, _MINI_BATCH = 512, 128  # prompts, of the public recipes


def show_notes(source: Source, console: Console) -> None:
    """Print what the source says about columns that are not read."""
    for note in getattr(source, "notes", ()):  # a source of a user's own need not have any
        console.print(f"[yellow]note:[/] {escape(note)}", highlight=False)


def show_rejects(out: Path, console: Console) -> None:
    """Print a table of the reasons, each with its rows and one example; nothing without rejects."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for reject in _rejects(out / REJECTS):
        counts[reject["reason"]] += 1
        examples.setdefault(reject["reason"], f"{reject['row']}: {reject['detail']}")
    if not counts:
        return
    table = Table("reason", "rows", "for example", title=f"rejected rows (all in {out / REJECTS})")
    for reason, count in counts.most_common():
        table.add_row(reason, str(count), escape(_line(examples[reason])))
    console.print(table)


def _rejects(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _line(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def check_left(settings: Settings, results: list[UnitResult], split: Split, console: Console) -> None:
    """Refuse to write a set that trains nothing, or that lost more rows than is allowed. The work so far is kept.

    Raises:
        DataError: no row is left for training, or too many are rejected.
    """
    rows = sum(result.rows_in for result in results)
    rejected = sum(sum(result.rejected.values()) for result in results)
    train = int((split.kept & ~split.held_out).sum())
    where = settings.out / REJECTS
    if rows and rejected == rows:
        show_rejects(settings.out, console)
        raise DataError(
            f"all {rows} rows were rejected, so there is nothing to train on; see {where}", code="no-train-rows"
        )
    if rejected > settings.max_rejected * rows:
        show_rejects(settings.out, console)
        raise DataError(
            f"{rejected} of {rows} rows were rejected ({rejected / rows:.0%}), more than data.max_rejected="
            f"{settings.max_rejected:g} allows; see {where}. With a larger share, the same command goes on from here",
            code="too-many-rejected",
        )
    if not rows:
        chosen = settings.tree["data"].get("where")
        which = f" with data.where={chosen}" if chosen else ""
        raise DataError(f"{settings.source.name} has no rows to read{which}", code="no-rows")
    if not train:
        show_rejects(settings.out, console)
        raise DataError(_nothing_left(split), code="no-train-rows")


def _nothing_left(split: Split) -> str:
    rows = int(split.kept.sum())
    says = (
        f"all {rows} rows share pictures, so none is left for training"
        if split.num_groups == 1
        else (f"all {split.num_groups} groups of rows that share pictures are held out, so none is left for training")
    )
    return f"{says}; set split.validation to 0 or a smaller share, or choose another split.seed"


def show_next(settings: Settings, summary: Summary, console: Console) -> None:
    """Print the command that trains on the set, and what it lacks for it."""
    experiment = experiment_of(settings.backbone)
    command = ["medix-r1", "train", f"experiment={experiment}", "data=prepared", f"data.folder={settings.out}"]
    command += _for_few(summary.train, is_nano=experiment.startswith("nano"))
    if not summary.validation:
        console.print(
            "[yellow]note:[/] no row is held out, and training validates on some: prepare with a larger "
            "split.validation, or give data.val_files",
            highlight=False,
        )
    console.print(f"train on it: {' '.join(map(shlex.quote, command))}", highlight=False)


def _for_few(rows: int, *, is_nano: bool) -> list[str]:
    """Overrides without which a small set, or the demo's small model, cannot be trained on."""
    batch = 2 ** (rows.bit_length() - 1)  # at most the rows
    few = [f"data.train_batch_size={min(batch, 16) if is_nano else batch}"] if rows < _BATCH or is_nano else []
    if is_nano:
        return [*few, "data.max_response_length=40", "data.dataloader_num_workers=0"]
    return [*few, f"actor_rollout_ref.actor.ppo_mini_batch_size={batch}"] if batch < _MINI_BATCH else few


def experiment_of(backbone: str) -> str:
    """The first experiment that trains this model, by its name or the end of its folder; NAME where there is none."""
    models = {path.stem: _path_of(path) for path in sorted((config_dir() / "model").glob("*.yaml"))}
    wanted = {name for name, path in models.items() if path and (path == backbone or _same_folder(path, backbone))}
    for path in sorted((config_dir() / "experiment").glob("*.yaml")):
        defaults = read_yaml(path).get("defaults", [])
        chosen = {entry.get("override /model") for entry in defaults if isinstance(entry, dict)}
        if chosen & wanted and not path.stem.startswith(("ablation", "nano_ablation")):
            return path.stem
    return "NAME"


def _path_of(model: Path) -> str:
    tree = read_yaml(model) or {}
    return str(tree.get("actor_rollout_ref", {}).get("model", {}).get("path", ""))


def _same_folder(path: str, backbone: str) -> bool:
    """Whether a local folder is meant: `${demo_dir}/models/policy` ends as `outputs/demo/models/policy` does."""
    inside = path.partition("}")[2] if path.startswith("${") else ""
    return bool(inside) and str(Path(backbone)).endswith(inside)
