"""`medix-r1 translate`: prints what becomes of every key, and writes the experiment or the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from medix_r1 import config as configs
from medix_r1.errors import ConfigError
from medix_r1.migration.draft import Draft, Entry, Fate
from medix_r1.migration.found import NAMES
from medix_r1.migration.translate import Translation, translate
from medix_r1.migration.writing import command_line, experiment_text
from medix_r1.untrusted import one_line

_TITLES = {
    Fate.SAME: "the same here",
    Fate.CHANGED: "changed",
    Fate.NOT_NEEDED: "not needed",
    Fate.NONE: "no counterpart",
}


def show_translation(script: Path, out: Path | None, console: Console, *, gpus: int | None, force: bool) -> int:
    """Translate, print, and write the experiment where `out` is given; returns the exit code.

    Raises:
        ConfigError: the script cannot be read, or `out` exists and `force` is false.
    """
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise ConfigError.of(
            "--out", "not-yaml", f"{out} is no .yaml file; name one, such as mine/experiment/NAME.yaml"
        )
    if out is not None and out.exists() and not force:
        raise ConfigError.of("--out", "already-there", f"{out} exists; name another file, or give --force")
    found = translate(script, gpus)
    draft = found.draft
    _without_defaults(draft)
    _show_entries(draft, console)
    for remark in draft.script.remarks:
        console.print(f"[yellow]note:[/] {escape(one_line(remark))}", highlight=False)
    if draft.script.environment:
        names = ", ".join(sorted(draft.script.environment))
        console.print(
            f"[yellow]note:[/] it sets {escape(one_line(names))}; set what you still want yourself", highlight=False
        )
    _print_steps(found, script, out, console)
    for problem in found.problems:
        console.print(f"  - {escape(one_line(str(problem)))}", highlight=False)
    return 1 if found.problems else 0


def _print_steps(found: Translation, script: Path, out: Path | None, console: Console) -> None:
    draft = found.draft
    if out is None:
        console.print("\nAs a command (--out FILE.yaml writes an experiment instead):\n", highlight=False)
        console.print(escape(command_line(draft, _known(draft))), highlight=False, soft_wrap=True)
        check = None
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(experiment_text(draft, script.name), encoding="utf-8")
        console.print(f"\nwrote {escape(str(out))}", highlight=False)
        if out.parent.name == "experiment":
            check = f"medix-r1 check --config-dir {out.parent.parent} experiment={out.stem} --offline"
        else:
            place = out.parent / "configs" / "experiment"
            console.print(f"  mkdir -p {place} && mv {out} {place}/", highlight=False)
            check = f"medix-r1 check --config-dir {place.parent} experiment={out.stem} --offline"
    console.print("\nNext:" if check or draft.next_commands else "", highlight=False)
    for command in [check, *draft.next_commands]:
        if command:
            console.print(f"  {escape(command)}", highlight=False, soft_wrap=True)


def _show_entries(draft: Draft, console: Console) -> None:
    kinds: Sequence[tuple[bool, str]] = ((False, ""), (True, f" (defaults of {NAMES[draft.script.project]})"))
    counts = {
        fate: sum(1 for one in draft.entries.values() if one.fate is fate and not one.is_default) for fate in Fate
    }
    console.print(
        f"{NAMES[draft.script.project]}: {len(draft.script.settings)} keys: "
        + ", ".join(f"{count} {_TITLES[fate]}" for fate, count in counts.items()),
        highlight=False,
    )
    for is_default, remark in kinds:
        for fate in Fate:
            shown = [one for one in draft.entries.values() if one.fate is fate and one.is_default == is_default]
            if not shown or (is_default and fate in (Fate.NOT_NEEDED, Fate.NONE)):
                continue
            console.print(f"\n[bold]{_TITLES[fate]}{remark}[/]", highlight=False)
            for entry in shown:
                for line in _lines(entry):
                    console.print(escape(line), highlight=False)


def _lines(entry: Entry) -> list[str]:
    first = f"  {one_line(entry.theirs, 100)}={_shown(entry.value)}"
    renamed = [
        f"      {key}={_shown(value)}"
        for key, value in entry.ours.items()
        if key != entry.theirs or value != entry.value
    ]
    return [first, *renamed, *([f"      {one_line(entry.why)}"] if entry.why else [])]


def _shown(value: Any) -> str:
    plain = isinstance(value, bool | int | float | list | dict | None)
    return one_line(json.dumps(value, default=str, ensure_ascii=False) if plain else str(value), 120)


def _base(draft: Draft) -> DictConfig:
    """The config of the choices alone."""
    choices = [f"{group}={choice}" for group, choice in draft.choices.items()]
    return configs.composed_train(choices).config


def _known(draft: Draft) -> Mapping[str, Any]:
    base: Any = OmegaConf.to_container(_base(draft), resolve=False, throw_on_missing=False)
    return dict(configs.flatten(base))


def _without_defaults(draft: Draft) -> None:
    """Leave out the values that the choices of groups have already."""
    known = _known(draft)
    kept = {
        key: value
        for key, value in draft.values.items()
        if key not in known or known[key] != value or type(known[key]) is not type(value)
    }
    draft.values.clear()
    draft.values.update(kept)
