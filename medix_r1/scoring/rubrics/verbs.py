"""What the verbs of `medix-r1 rubric` do: draft criteria, read a corrected sheet, attack a rubric."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_write
from medix_r1.models.rubric import MACHINE_MADE
from medix_r1.models.verdict import Writer
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.rubrics.signal import RubricReward
from medix_r1.scoring.composed import PlannedReward, ReadyReward
from medix_r1.scoring.plain import plain
from medix_r1.scoring.rubrics import draft, probe, sheet
from medix_r1.scoring.rubrics.gullible import GullibleJudge
from medix_r1.scoring.running import run_with_progress

_SIGNAL = "rubric"
_SHOWN = 10  # failures and broken bounds that are printed


def draft_rubrics(
    file: Path,
    out: Path,
    overrides: Sequence[str],
    judge_url: str | None,
    config_dirs: Sequence[Path],
    console: Console,
    *,
    most: int,
    in_flight: int,
) -> int:
    """Write `out` with rubrics, and a sheet beside it; returns the exit code."""
    rows = draft.read_rows(file)
    if out.resolve() == file.resolve():
        raise ConfigError.of("--out", "same-file", f"{out} is the file of the rows; give another name")
    planned = _planned(overrides, judge_url, config_dirs)
    if planned.config.judge.client.get("cache_path", "") is None:  # so that the same command goes on
        planned = _planned([*overrides, f"judge.client.cache_path={out}.answers"], judge_url, config_dirs)
    made: list[draft.Drafted] = []
    with planned.ready(console) as ready:
        judge = _signal(ready).judge
        if not isinstance(judge, Writer):
            says = f"{type(judge).__name__} writes no texts; draft with one judge, such as judge=remote"
            raise ConfigError.of("judge.client", "writes-nothing", says)
        writer: Writer = judge

        async def work(advance: Callable[[int], None]) -> None:
            made.extend(await draft.drafted(rows, writer, most=most, in_flight=in_flight, advance=advance))

        if not run_with_progress(work, [ready], console, "drafting", len(rows)):
            console.print("stopped; the same command goes on")
            return 1
    atomic_write(out, "".join(row.line() for row in made))
    atomic_write(out.with_suffix(".csv"), "\ufeff" + sheet.written(made))
    failed = [row for row in made if row.failure is not None]
    written = sum(len(row.rubric or ()) for row in made)
    console.print(
        f"{out}: {len(made)} rows, {written} criteria, those of the judge tagged {MACHINE_MADE}", highlight=False
    )
    console.print(f"{out.with_suffix('.csv')}: the sheet to correct; then medix-r1 rubric read", highlight=False)
    for row in failed[:_SHOWN]:
        console.print(plain(f"no criteria for row {row.name}: {row.failure}"))
    if len(failed) > _SHOWN:
        console.print(f"and for {len(failed) - _SHOWN} more rows")
    return 1 if failed else 0


def read_sheet(path: Path, rows: Path, out: Path, console: Console) -> int:
    """Write the rows with the criteria of a corrected sheet; returns the exit code."""
    if out.resolve() == rows.resolve():
        raise ConfigError.of("--out", "same-file", f"{out} is the file of the drafts; give another name")
    found = sheet.corrected(draft.read_rows(rows), path)
    tags = [one["tags"] for row in found for one in row.rubric or ()]
    unseen = sum(MACHINE_MADE in own for own in tags)
    atomic_write(out, "".join(row.line() for row in found))
    without = sum(row.rubric is None for row in found)
    console.print(
        f"{out}: {len(found)} rows, {without} of them without a rubric; {len(tags)} criteria, {unseen} of them "
        f"{MACHINE_MADE} and looked at by nobody",
        highlight=False,
    )
    return 0


def probe_rubric(
    attacks: Path | None,
    overrides: Sequence[str],
    judge_url: str | None,
    config_dirs: Sequence[Path],
    json_out: Path | None,
    console: Console,
    *,
    gullible: bool,
) -> int:
    """Score the attacks, show a table and the broken bounds; returns the exit code."""
    file = probe.load(probe.BUILT_IN if attacks is None else attacks)
    outcomes: list[probe.Outcome] = []
    if gullible:
        signal = RubricReward(judge=GullibleJudge())
        outcomes += asyncio.run(probe.run(file, signal, SampleReader(), "thinking"))
    else:
        planned = _planned(overrides, judge_url, config_dirs)
        with planned.ready(console) as ready:

            async def work(_: Callable[[int], None]) -> None:
                outcomes.extend(await probe.run(file, _signal(ready), ready.reader, ready.think_element))

            if not run_with_progress(work, [ready], console, "attacking", len(outcomes)):
                console.print("stopped")
                return 1
    found = probe.summary(outcomes)
    console.print(_table(found))
    broken = [one for one in outcomes if one.broken]
    for one in broken[:_SHOWN]:
        says = f"{one.family}/{one.number:02d} ({one.rests_on}) earns {_number(one.value)}, plain {_number(one.plain)}"
        console.print(plain(f"{says}: {one.attack[:200]}"))
    by_rules = sum(one.rests_on == "rules" for one in broken)
    raised = sum(one.fools_naive for one in outcomes)
    console.print(
        f"{len(outcomes)} attacks: {by_rules} break a bound that rests on rules, {len(broken) - by_rules} one that "
        f"rests on the judge; the naive mean rises in {raised}",
        highlight=False,
    )
    if json_out is not None:
        told = {"families": found, "attacks": [{**asdict(one), "attack": one.attack[:2000]} for one in outcomes]}
        atomic_write(json_out, json.dumps(told, indent=1) + "\n")
    return 1 if broken else 0


def _planned(overrides: Sequence[str], judge_url: str | None, config_dirs: Sequence[Path]) -> PlannedReward:
    chosen = [] if any(one.startswith("reward=") for one in overrides) else ["reward=rubric"]
    return PlannedReward([*chosen, *overrides], judge_url=judge_url, config_dirs=config_dirs, alone=_SIGNAL)


def _signal(ready: ReadyReward) -> RubricReward:
    signal = ready.composite.signals[_SIGNAL]
    if not isinstance(signal, RubricReward):
        raise ConfigError.of(f"reward.signals.{_SIGNAL}", "not-a-rubric", f"{type(signal).__name__} asks no criteria")
    return signal


def _table(found: object) -> Table:
    assert isinstance(found, dict)
    table = Table(title="Attacks on the rubric", title_justify="left")
    for name, justify in (
        *(("family", "left"), ("attacks", "right"), ("rests on", "left"), ("broken", "right"), ("highest", "right")),
        *(("naive mean", "right"), ("naive raised", "right")),
    ):
        table.add_column(name, justify=justify, no_wrap=name == "family")  # type: ignore[arg-type]
    for name, one in found.items():
        numbers = (_number(one["highest"]), _number(one["naive_highest"]), str(one["naive_raised"]))
        table.add_row(name, str(one["attacks"]), one["rests_on"], str(one["broken"]), *numbers)
    return table


def _number(value: float | None) -> str:
    return "unscored" if value is None else f"{value:.3f}"
