"""`medix-r1 replay RUN --step N`: what a step's samples earn with another reward, and what that changes.

The run's own command line is composed again with the words that are given on top, so without words it shows what the
present code and judge make of the samples. Where the run kept the step's tokens and the checkpoint before it, the
update is done again, too. Nothing of the run is written.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from medix_r1.config import compose_train
from medix_r1.errors import ConfigError, DataError
from medix_r1.host.files import atomic_write
from medix_r1.rewards.overlong import Overlong
from medix_r1.runs.folder import RunFolder
from medix_r1.scoring import rows as row_file
from medix_r1.scoring.composed import PlannedReward, ReadyReward
from medix_r1.scoring.groups import group_sizes, score_group, whole_groups
from medix_r1.scoring.rows import Line, Row
from medix_r1.scoring.running import run_with_progress
from medix_r1.serving.foreground import new_log
from medix_r1.untrusted import one_line

_EQUAL = 1e-9  # rewards that differ by less are equal
_EPSILON = 1e-6  # of verl's GRPO, beside the standard deviation
_SHOWN = 5
_GROUPS_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Replayed:
    """One sample before and now.

    Attributes:
        key, group: of the sample, and of its group (`uid`).
        answer: what it answered.
        before, now: the reward; None for a masked sample.
        parts_before, parts_now: signal → value.
        advantage_before, advantage_now: GRPO's, within its group; None without a reward.
        failure: why there is no reward now.
    """

    key: str
    group: str
    answer: str | None
    before: float | None
    now: float | None
    parts_before: Mapping[str, float | None]
    parts_now: Mapping[str, float | None]
    advantage_before: float | None
    advantage_now: float | None
    failure: str | None


class RunReward(PlannedReward):
    """The reward of a run, with the words on top of its own command line."""

    def __init__(self, run: Path, words: Sequence[str], config_dirs: Sequence[Path] = ()) -> None:
        recorded = RunFolder(run).root / "provenance.json"
        if not recorded.is_file():
            raise ConfigError.of(str(run), "no-run-there", "no run there (no provenance.json)")
        own: list[str] = json.loads(recorded.read_text(encoding="utf-8"))["overrides"]
        changed = {_name(word) for word in words}
        others = tuple(f"{name}." for name in ("judge", "embedder") if name in changed)  # settings of the one before
        kept = [word for word in own if _name(word) not in changed and not _name(word).startswith(others)]
        super().__init__([*kept, *words], config_dirs=config_dirs)

    def _compose(self, *further: str) -> DictConfig:
        return compose_train([*self._overrides, *further], self._dirs)


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def replay(
    run: Path,
    step: int,
    words: Sequence[str],
    console: Console,
    *,
    out: Path | None = None,
    config_dirs: Sequence[Path] = (),
    scores_only: bool = False,
) -> None:
    """Score a step's samples again, print what changes, and write it if a file is named; then do the update again.

    Raises:
        ConfigError: there is no such run or step, or the words are wrong.
        DataError: a server went away in the middle.
        TrainingError: the update failed.
    """
    file = RunFolder(run).samples / "train" / f"{step:06d}.jsonl"
    if not file.is_file():
        steps = sorted(int(path.stem) for path in file.parent.glob("*.jsonl") if path.stem.isdigit())
        there = f"{steps[0]} to {steps[-1]}" if steps else "none"
        raise ConfigError.of("--step", "no-such-step", f"no samples of step {step} in {run}; there are: {there}")
    planned = RunReward(run, words, config_dirs)
    planned.refuse_soft_overlong()
    raw = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = list(row_file.read(file, Row))
    found: list[tuple[float | None, Mapping[str, float | None], str | None]] = []
    with planned.ready(console) as ready:
        done = run_with_progress(
            lambda advance: _score(ready, lines, file.parent, found, advance), [ready], console, "samples", len(lines)
        )
    if not done:
        console.print("stopped")
        return
    samples = compared(raw, found)
    show(samples, console)
    if out is not None:
        atomic_write(out, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in samples))
        console.print(f"written: {out}", markup=False, highlight=False)
    if not scores_only:
        _update(RunFolder(run), step, planned.config, raw, found if words else None, console)


def _update(
    run: RunFolder,
    step: int,
    config: DictConfig,
    lines: Sequence[Mapping[str, Any]],
    found: Sequence[tuple[float | None, Mapping[str, float | None], str | None]] | None,
    console: Console,
) -> None:
    from medix_r1.training.command import update_again as again

    if (reason := again.why_not(run, step, config)) is not None:
        console.print(f"the update is not done again: {reason}", markup=False, highlight=False)
        return
    changes = again.as_it_was(lines)
    says: list[str] = []
    if found is not None:
        filtering = config.trainer.v1.sampler.sampler_kwargs.filter
        totals, parts = [total for total, _, _ in found], [parts for _, parts, _ in found]
        changes, says = again.what_if(lines, totals, parts, filtering)
    if not changes:
        says.append("no group is left to train on, so there is no update")
    else:
        before = again.checkpoint_before(run, step)
        begins = "the model" if before is None else before.name
        log = new_log("medix-replay-")
        console.print(f"doing the update again from {begins}; log: {log}", markup=False, highlight=False)
        updated = again.update_again(run, step, config, changes, log)
        recorded = run.metrics_by_step().get(step, {}).get("actor/grad_norm")
        says += again.update_lines(updated, recorded, changed=found is not None, begins=begins)
    console.print(*says, sep="\n", markup=False, highlight=False)


async def _score(
    ready: ReadyReward,
    lines: Sequence[Line[Row]],
    folder: Path,
    found: list[tuple[float | None, Mapping[str, float | None], str | None]],
    advance: Callable[[int], None],
) -> None:
    overlong, slots = Overlong(ready.overlong), asyncio.Semaphore(_GROUPS_IN_FLIGHT)
    by_line: dict[int, tuple[float | None, Mapping[str, float | None], str | None]] = {}

    async def one(group: Sequence[Line[Row]]) -> None:
        async with slots:
            samples = [
                line.row.sample(ready.reader, line.row.images(folder) if ready.composite.wants_images else ())
                for line in group
            ]
            breakdowns = await score_group(ready.composite, samples, group[0].row.group_name)
        for line, breakdown in zip(group, breakdowns, strict=True):
            if breakdown.outage:
                raise DataError(f"the reward cannot be computed: {breakdown.failure}", code="reward-outage")
            total = overlong.reward(breakdown.total, cut=line.row.cut, tokens=0)
            parts = {name: part.value for name, part in breakdown.parts.items()}
            by_line[line.number] = total, parts, breakdown.failure
            advance(1)

    try:
        async with asyncio.TaskGroup() as tasks:
            for group in whole_groups(lines, group_sizes(lines)):
                tasks.create_task(one(group))
    except* DataError as errors:
        raise errors.exceptions[0] from None
    found += [by_line[line.number] for line in lines]


def compared(
    raw: Sequence[Mapping[str, Any]],
    found: Sequence[tuple[float | None, Mapping[str, float | None], str | None]],
) -> list[Replayed]:
    """Join the run's samples with what they earn now."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, line in enumerate(raw):
        groups[line["uid"]].append(place)
    before: list[float | None] = [None if line["masked"] else line["overall"] for line in raw]
    now = [total for total, _, _ in found]
    was, becomes = advantages(before, list(groups.values())), advantages(now, list(groups.values()))
    return [
        Replayed(
            key=line["key"],
            group=line["uid"],
            answer=line["answer"],
            before=before[place],
            now=now[place],
            parts_before=line["parts"],
            parts_now=found[place][1],
            advantage_before=was[place],
            advantage_now=becomes[place],
            failure=found[place][2],
        )
        for place, line in enumerate(raw)
    ]


def advantages(rewards: Sequence[float | None], groups: Sequence[Sequence[int]]) -> list[float | None]:
    """GRPO's advantages (arXiv 2402.03300): reward minus the group's mean, over its standard deviation (n - 1).

    Masked samples are left out of their group; a group with one sample left has none, as in training.
    """
    found: list[float | None] = [None] * len(rewards)
    for places in groups:
        there = [place for place in places if rewards[place] is not None]
        if len(there) < 2:
            continue
        values = np.array([rewards[place] for place in there], dtype=float)
        scaled = (values - values.mean()) / (values.std(ddof=1) + _EPSILON)
        for place, value in zip(there, scaled, strict=True):
            found[place] = float(value)
    return found


def show(samples: Sequence[Replayed], console: Console) -> None:
    """Print means by part, what changes within groups, and the samples that change most."""
    table = Table(title=f"{len(samples)} samples", title_justify="left")
    for place, name in enumerate(("part", "before", "now", "changed")):
        table.add_column(name, justify="right" if place else "left")
    names = list(dict.fromkeys(name for one in samples for name in (*one.parts_before, *one.parts_now)))
    table.add_row("overall", *_columns([one.before for one in samples], [one.now for one in samples]))
    for name in names:
        was = [one.parts_before.get(name) for one in samples]
        becomes = [one.parts_now.get(name) for one in samples]
        table.add_row(name, *_columns(was, becomes))
    console.print(table)
    for line in _within_groups(samples):
        console.print(line, markup=False, highlight=False)
    moved = sorted(samples, key=lambda one: -abs((one.now or 0.0) - (one.before or 0.0)))
    for one in moved[:_SHOWN]:
        if _differs(one.before, one.now):
            said = one_line(one.answer or "(no answer)", 60)
            console.print(
                f"{one.key}: {_number(one.before)} → {_number(one.now)}  {said}", markup=False, highlight=False
            )


def _columns(before: Sequence[float | None], now: Sequence[float | None]) -> tuple[str, str, str]:
    changed = sum(_differs(a, b) for a, b in zip(before, now, strict=True))
    return _number(_mean(before)), _number(_mean(now)), str(changed)


def _within_groups(samples: Sequence[Replayed]) -> list[str]:
    groups: dict[str, list[Replayed]] = defaultdict(list)
    for one in samples:
        groups[one.group].append(one)
    swapped = equal_before = equal_now = moved = 0
    for members in groups.values():
        pairs = [
            ((a.before or 0.0) - (b.before or 0.0), (a.now or 0.0) - (b.now or 0.0))
            for a, b in itertools.combinations(members, 2)
            if None not in (a.before, b.before, a.now, b.now)
        ]
        swapped += any(_sign(was) * _sign(becomes) < 0 for was, becomes in pairs)
        moved += any(_sign(was) != _sign(becomes) for was, becomes in pairs)
        equal_before += _all_equal([one.before for one in members])
        equal_now += _all_equal([one.now for one in members])
    signs = sum(_sign(one.advantage_before or 0.0) * _sign(one.advantage_now or 0.0) < 0 for one in samples)
    lost = sum(one.now is None and one.before is not None for one in samples)
    return [
        f"{moved} of {len(groups)} groups are ordered differently; in {swapped} of them two samples change places",
        f"groups without any difference, which teach nothing: {equal_before} before, {equal_now} now",
        f"GRPO's advantage changes its sign for {signs} of {len(samples)} samples",
        *([f"{lost} samples had a reward and have none now"] if lost else []),
    ]


def _all_equal(values: Sequence[float | None]) -> bool:
    there = [value for value in values if value is not None]
    return not there or max(there) - min(there) <= _EQUAL


def _sign(value: float) -> int:
    return 0 if abs(value) <= _EQUAL else 1 if value > 0 else -1


def _differs(a: float | None, b: float | None) -> bool:
    return (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > _EQUAL)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
