"""The table and figure of a measurement, its JSON, and rows with their pass rates."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from medix_r1.data.files import sha256_of, write_json
from medix_r1.difficulty.estimates import Estimates, Mean, estimates
from medix_r1.difficulty.sampling import Measured
from medix_r1.difficulty.settings import Settings
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.files import atomic_file
from medix_r1.pages.style import figure_files, paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all rows"
CURATED = "curated.json"
_FEW_GROUPS = 0.3  # below this share of groups that teach something a run wastes most of its rollouts


def by_part(rows: Sequence[Measured]) -> dict[str, Estimates]:
    """Estimates of all rows, then of each source and of each modality; rows without any value are left out."""
    scored = [row for row in rows if row.values]
    parts: dict[str, list[Measured]] = {ALL: scored}
    for what in ("source", "modality"):
        groups: dict[str, list[Measured]] = defaultdict(list)
        for row in scored:
            groups[f"{what} {getattr(row, what)}"].append(row)
        parts |= dict(sorted(groups.items())) if len(groups) > 1 else {}
    return {name: _estimates(members) for name, members in parts.items() if members}


def _estimates(rows: Sequence[Measured]) -> Estimates:
    tokens = [row.tokens / len(row.values) for row in rows if row.tokens]
    return estimates([row.values for row in rows], tokens, sum(row.cut for row in rows))


def show(found: Mapping[str, Estimates], rows: Sequence[Measured], settings: Settings, console: Console) -> None:
    """Print what was found and what follows from it."""
    whole = found[ALL]
    largest = max(whole.passes)
    names = [
        "",
        "rows",
        "pass@1",
        f"pass@{largest}",
        *(f"n={n}{'*' if n in whole.extrapolated else ''}" for n in whole.teaches),
    ]
    table = Table(title=f"{settings.model}: {settings.signal}, {settings.k} replies a row", title_justify="left")
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for name, one in found.items():
        table.add_row(name, str(one.rows), *map(_mean, (one.passes[1], one.passes[largest], *one.teaches.values())))
    console.print(table)
    console.print(
        "n=…: share of groups of that size whose values differ, so that they teach something (95 % intervals)."
    )
    if whole.extrapolated:
        console.print(f"*: larger than k={settings.k}, so extrapolated; a larger k measures it.", markup=False)
    console.print(*_advice(whole, rows, settings), sep="\n", markup=False, highlight=False)


def _advice(whole: Estimates, rows: Sequence[Measured], settings: Settings) -> Iterator[str]:
    for n, share in whole.teaches.items():
        if share.value > 0:
            needed = settings.batch / share.value
            cost = f", {needed * n * whole.tokens / 1e6:.3g} million tokens" if whole.tokens else ""
            step = f"a step of {settings.batch} groups of {n} that teach"
            yield f"{step} takes {needed:.0f} groups, {needed * n:.0f} replies{cost}"
        else:
            yield f"no group of {n} would teach anything"
    if whole.tokens:
        yield f"a reply has {whole.tokens:.0f} tokens; {whole.cut:.1%} were cut at max_tokens={settings.max_tokens}"
    if (masked := sum(len(row.masked) for row in rows)) > 0:
        reason = Counter(reason for row in rows for reason in row.masked).most_common(1)[0][0]
        yield f"{masked} replies have no value, most often: {reason}"
    never = sum(bool(row.values) and max(row.values) < 0.5 for row in rows)
    always = sum(bool(row.values) and min(row.values) >= 0.5 for row in rows)
    yield f"{never} rows were never right, {always} always: of {len(rows)}"
    if max(share.value for share in whole.teaches.values()) < _FEW_GROUPS:
        yield "most groups would teach nothing: take other rows (--keep 0.1,0.9), algorithm=dapo, or another model"


def _mean(one: Mean) -> str:
    bounds = f" [{one.interval.low:.2f}, {one.interval.high:.2f}]" if one.interval else ""
    return f"{one.value:.3f}{bounds}"


def write_summary(found: Mapping[str, Estimates], settings: Settings, folder: Path) -> None:
    """Write `difficulty.json` with all figures."""
    parts = {name: asdict(one) for name, one in found.items()}
    write_json(folder / "difficulty.json", {"settings": asdict(settings), "parts": parts})


@figure_files
def write_plot(rows: Sequence[Measured], settings: Settings) -> Figure:
    """A histogram of the rows' pass rates: what is at 0 and 1 teaches nothing."""
    from matplotlib.figure import Figure

    rates = [rate(row) for row in rows if row.values]
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    edges = [(place - 0.5) / settings.k for place in range(settings.k + 2)]
    axes.hist(rates, bins=edges, color="C0", edgecolor=paper())
    axes.set(xlabel=f"share of {settings.k} replies that are right", ylabel="rows", xlim=(-0.08, 1.08))
    axes.set_title("rows at 0 and 1 teach nothing", fontsize=10, loc="left")
    return figure


def rate(row: Measured) -> float:
    """Share of a row's replies that are right."""
    return sum(value >= 0.5 for value in row.values) / len(row.values)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows a curated set keeps.

    Attributes:
        low, high: pass rates that are kept, both included.
        per_source: at most so many rows of a source.
        others: share of the rows outside the band that is kept nevertheless, easy and hard ones alike.
        seed: of what is drawn.
    """

    low: float = 0.0
    high: float = 1.0
    per_source: int | None = None
    others: float = 0.0
    seed: int = 1

    def problems(self) -> list[Problem]:
        """Bounds that leave nothing."""
        found = []
        if not 0.0 <= self.low <= self.high <= 1.0:
            found.append(
                Problem("--keep", "out-of-range", f"{self.low:g},{self.high:g} is no band within 0,1; such as 0.1,0.9")
            )
        if not 0.0 <= self.others <= 1.0:
            found.append(Problem("--others", "out-of-range", f"{self.others:g} is no share from 0 to 1"))
        if self.per_source is not None and self.per_source < 1:
            found.append(Problem("--per-source", "out-of-range", f"{self.per_source} is less than 1 row"))
        return found


def curate(files: Sequence[Path], rows: Sequence[Measured], choice: Choice, out: Path) -> dict[str, Any]:
    """Write the chosen rows, each with its pass rate in `extra_info.difficulty`, and a manifest.

    Args:
        files: the files that were measured.
        rows: what was measured; rows without a value are left out.
        choice: which ones to keep.
        out: a new folder.

    Raises:
        ConfigError: nothing is left.
    """
    kept = _kept([row for row in rows if row.values], choice)
    if not kept:
        raise ConfigError.of("--keep", "nothing-left", f"no row has a pass rate from {choice.low:g} to {choice.high:g}")
    out.mkdir(parents=True, exist_ok=True)
    written: list[dict[str, Any]] = []
    for number, file in enumerate(files):
        rates = {row.position: rate(row) for row in kept if row.file == number}
        if rates:
            target = out / f"train-{len(written):05d}.parquet"
            _write_rows(file, rates, target)
            written.append({"file": target.name, "rows": len(rates), "of": str(file), "sha256": sha256_of(target)})
    manifest = {"choice": asdict(choice), "measured": len(rows), "kept": len(kept), "files": written}
    write_json(out / CURATED, manifest)
    return manifest


def _kept(rows: Sequence[Measured], choice: Choice) -> list[Measured]:
    drawn = random.Random(choice.seed)
    inside = [row for row in rows if choice.low <= rate(row) <= choice.high]
    outside = [row for row in rows if not choice.low <= rate(row) <= choice.high]
    kept = inside + drawn.sample(outside, round(choice.others * len(outside)))
    if choice.per_source is None:
        return kept
    by_source: dict[str, list[Measured]] = defaultdict(list)
    for row in kept:
        by_source[row.source].append(row)
    return [
        row
        for members in by_source.values()
        for row in (members if len(members) <= choice.per_source else drawn.sample(members, choice.per_source))
    ]


def _write_rows(file: Path, rates: Mapping[int, float], target: Path) -> None:
    with pq.ParquetFile(file) as source, atomic_file(target) as temporary:
        writer: pq.ParquetWriter | None = None
        position = 0
        try:
            for batch in source.iter_batches(batch_size=8):
                table = pa.Table.from_batches([batch])
                places = [position + place for place in range(len(table))]
                position += len(table)
                chosen = table.filter(pa.array([place in rates for place in places]))
                if not len(chosen):
                    continue
                chosen = _with_rate(chosen, [rates[place] for place in places if place in rates])
                writer = writer or pq.ParquetWriter(temporary, chosen.schema)
                writer.write_table(chosen)
        finally:
            if writer is not None:
                writer.close()


def _with_rate(table: pa.Table, rates: Sequence[float]) -> pa.Table:
    """Set `extra_info.difficulty`, which rows of other tools lack."""
    info = table["extra_info"].combine_chunks()
    names = [field.name for field in info.type]
    columns: dict[str, pa.Array] = {name: info.field(place) for place, name in enumerate(names)}
    columns["difficulty"] = pa.array(rates, pa.float64())
    struct = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    return table.set_column(table.schema.get_field_index("extra_info"), "extra_info", struct)
