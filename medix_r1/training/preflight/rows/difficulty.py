"""Checks `data.curriculum` against the rows: pass rates that are not there, and a band that leaves no row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig

from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_files import UnreadableFile, read_difficulties

_NODE = "data.curriculum"
_MEASURE = "measure them with `medix-r1 data difficulty … --write` (docs/difficulty.md)"


def curriculum_problems(config: DictConfig) -> Iterator[Problem]:
    """What the config alone tells."""
    node, mode = config.data.curriculum, config.trainer.v1.trainer_mode
    if node.weigh == "none" and node.band is None:
        return
    if not mode.startswith("medix_"):
        says = f"trainer.v1.trainer_mode={mode} is verl's own trainer, which draws rows alike; use trainer=sync"
        yield Problem(f"{_NODE}.weigh" if node.band is None else f"{_NODE}.band", "not-our-trainer", says)
    if node.band is not None and not _is_band(node.band):
        says = f"{list(node.band)} is no band of pass rates; write [0.1,0.9]"
        yield Problem(f"{_NODE}.band", "not-a-band", says)
    if node.band is not None and config.data.train_max_samples > 0:
        says = f"{config.data.train_max_samples} rows are taken before the band leaves some out; drop one of the two"
        yield Problem("data.train_max_samples", "switches-disagree", says)
    if not config.data.shuffle:
        says = "false keeps the files' order, and a curriculum draws rows at random; use true"
        yield Problem("data.shuffle", "switches-disagree", says)
    if config.data.dataloader_num_workers:
        says = (
            f"{config.data.dataloader_num_workers} workers draw rows ahead, before their difficulty is known; use 0 "
            "(pictures are not read here, so it costs little)"
        )
        yield Problem("data.dataloader_num_workers", "draws-ahead", says)
    signals = [name for name, signal in config.reward.signals.items() if signal is not None]
    if node.signal not in [*signals, "overall"]:
        says = f"the reward has no signal '{node.signal}'; known: {', '.join(signals)}, overall"
        yield Problem(f"{_NODE}.signal", "no-such-signal", says)


def _is_band(band: Sequence[float]) -> bool:
    return len(band) == 2 and band[0] <= band[1]


def difficulty_problems(config: DictConfig) -> Iterator[Problem]:
    """What the rows tell; reads one column of numbers."""
    node = config.data.curriculum
    asked = "band" if node.band is not None else "weigh"
    if node.band is None and node.weigh != "difficulty":
        return  # with `adapt`, the run measures the difficulty itself
    if node.band is not None and not _is_band(node.band):
        return  # reported by the check that needs no rows
    paths = [named_path(name) for name in batches.data_files(config, "train_files")]
    if not paths or not all(path.is_file() for path in paths):
        return  # reported by the check of the files
    try:
        rates = read_difficulties(paths)
    except UnreadableFile:
        return
    if lacking := sum(rate is None for rate in rates):
        says = f"{lacking} of {len(rates)} rows of data.train_files have no extra_info.difficulty; {_MEASURE}"
        yield Problem(f"{_NODE}.{asked}", "no-difficulty", says)
    wrong = [rate for rate in rates if rate is not None and not _is_rate(rate)]
    if wrong:
        says = (
            f"extra_info.difficulty is {wrong[0]!r} in a row and {len(wrong)} are no pass rates from 0 to 1; {_MEASURE}"
        )
        yield Problem(f"{_NODE}.{asked}", "not-a-pass-rate", says)
    elif node.band is not None and not lacking:
        low, high = node.band
        kept, batch = sum(low <= rate <= high for rate in rates if rate is not None), config.data.train_batch_size
        if kept < batch:
            seen = sorted(rate for rate in rates if rate is not None)
            half = f"half of all rows lie from {seen[len(seen) // 4]:.2f} to {seen[-(len(seen) // 4) - 1]:.2f}"
            says = f"[{low:g}, {high:g}] leaves {kept} of {len(rates)} rows, not enough for a step of {batch}; {half}"
            yield Problem(f"{_NODE}.band", "band-empty", says)


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and 0.0 <= value <= 1.0
