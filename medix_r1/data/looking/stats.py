"""`medix-r1 data stats`: statistics of a prepared set as tables, Markdown and a PNG, computed from its index alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.data.prepared import read_index, read_manifest
from medix_r1.data.summary import Summary
from medix_r1.host.files import atomic_file
from medix_r1.pages.style import figure_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PERCENTILES = (0, 25, 50, 75, 95, 100)
_PERCENTILE_NAMES = ("least", "25 %", "median", "75 %", "95 %", "most")
_COLUMNS = ("source", "tag", "answer", "num_choices", "text_tokens", "image_tokens", "split")
_IMAGE_COLUMNS = tuple(f"images.list.element.{name}" for name in ("width", "height", "bytes", "format"))
_NUMBER = re.compile(r"[-+]?[\d.,]+\s*(?:%|[a-zA-Zµ]{1,4}(?:/[a-zA-Z]{1,3})?)?")
Numbers = np.ndarray[Any, Any]
_TOP = 30  # values of a table; the others are summed in one row


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the report."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """The statistics of a set."""

    name: str
    summary: Summary
    sections: tuple[Section, ...]
    tokens: Numbers  # of each prompt, shape (rows,)
    megapixels: Numbers  # of each image, shape (images,)
    counts: dict[str, Counter[str]]  # modality, source, answer type, rejects


def compute(folder: Path) -> Stats:
    """Compute the statistics of a prepared set.

    Raises:
        ConfigError: the folder is not a prepared set.
    """
    manifest = read_manifest(folder)
    table = read_index(folder, (*_COLUMNS, *_IMAGE_COLUMNS))
    summary = Summary(**manifest["counts"])
    images = table["images"].combine_chunks() if len(table) else pa.array([], table.schema.field("images").type)
    flat = images.flatten()
    width, height = (np.asarray(flat.field(name), np.float64) for name in ("width", "height"))
    text, image = (np.asarray(table[name], np.int64) for name in ("text_tokens", "image_tokens"))
    answers = zip(table["answer"].to_pylist(), table["num_choices"].to_pylist(), strict=True)
    answer_types = Counter(answer_type(answer, choices) for answer, choices in answers)
    tags, sources = Counter(_tag_names(table)), Counter(table["source"].to_pylist())
    return Stats(
        name=Path(manifest["plan"]["source"]["name"]).name,
        summary=summary,
        sections=(
            Section("Rows", ("", "rows"), _summary_rows(summary)),
            _counted("Modality", tags),
            _counted("Source", sources),
            _counted("Answer type", answer_types),
            _spread("Prompt tokens", {"text": text, "images": image, "together": text + image}),
            _counted("Images of a row", Counter(map(str, np.asarray(images.value_lengths().fill_null(0)).tolist()))),
            _spread(
                "Image size",
                {
                    "width": width,
                    "height": height,
                    "megapixels": width * height / 1e6,
                    "kilobytes": np.asarray(flat.field("bytes"), np.float64) / 1e3,
                },
            ),
            _counted("Image format", Counter(flat.field("format").to_pylist())),
            _counted("Rejected", Counter(summary.rejected)),
        ),
        tokens=text + image,
        megapixels=width * height / 1e6,
        counts={
            "modality": tags,
            "source": sources,
            "answer type": answer_types,
            "rejected": Counter(summary.rejected),
        },
    )


def answer_type(answer: str, num_choices: int) -> str:
    """Kind of answer: choice, yes/no, number, one word, phrase (2 to 5 words) or sentence."""
    if num_choices:
        return "choice"
    if answer.strip(" .").lower() in ("yes", "no"):
        return "yes/no"
    if _NUMBER.fullmatch(answer.strip()):
        return "number"
    words = len(answer.split())
    return "one word" if words <= 1 else "phrase" if words <= 5 else "sentence"


def _tag_names(table: pa.Table) -> list[str]:
    has_image = np.asarray(pc.list_value_length(table["images"]).fill_null(0)) > 0
    return [
        (tag or "none") if shown else "no image" for tag, shown in zip(table["tag"].to_pylist(), has_image, strict=True)
    ]


def _summary_rows(summary: Summary) -> tuple[tuple[str, str], ...]:
    numbers = {
        "in": summary.rows_in,
        "train": summary.train,
        "validation": summary.validation,
        "rejected": sum(summary.rejected.values()),
        "merged (exact duplicates)": summary.merged,
        "removed as leaks": summary.leaked,
        "shrunk to fit": summary.shrunk,
    }
    return tuple((name, str(number)) for name, number in numbers.items())


def _counted(title: str, counts: Counter[str]) -> Section:
    total = counts.total()
    shown = counts.most_common(_TOP)
    rest = total - sum(count for _, count in shown)
    rows = [*shown, *([(f"{len(counts) - _TOP} others", rest)] if rest else [])]
    return Section(title, ("", "count", "share"), tuple((n, str(c), f"{100 * c / total:.1f} %") for n, c in rows))


def _spread(title: str, columns: dict[str, Numbers]) -> Section:
    rows = tuple(
        (name, *(f"{value:.4g}" if value < 1000 else f"{value:.0f}" for value in np.percentile(values, _PERCENTILES)))
        for name, values in columns.items()
        if len(values)
    )
    return Section(title, ("", *_PERCENTILE_NAMES), rows)


def show(stats: Stats, console: Console) -> None:
    """Print the tables."""
    for section in stats.sections:
        if not section.rows:
            continue
        table = Table(*section.head, title=section.title)
        for row in section.rows:
            table.add_row(*(escape(_plain(cell)) for cell in row))
        console.print(table)
    console.print(str(stats.summary), highlight=False)


def write_markdown(stats: Stats, path: Path) -> None:
    """Write the tables as Markdown."""
    parts = [f"# {_cell(stats.name)}", str(stats.summary)]
    for section in stats.sections:
        if section.rows:
            lines = [section.head, ("---",) * len(section.head), *section.rows]
            parts.append(f"## {section.title}\n\n" + "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))
    with atomic_file(path) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _cell(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


@figure_files
def write_png(stats: Stats) -> Figure:
    """Draw charts of prompt lengths, image sizes, modalities, sources, answer types and rejects."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3).flatten()
    for axis, title, unit, values in (
        (axes[0], "prompt tokens", "rows", stats.tokens),
        (axes[1], "megapixels", "images", stats.megapixels),
    ):
        axis.hist(values, bins=40, color="C0")
        axis.set(title=title, ylabel=unit)
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis, (title, counts) in zip(axes[2:], stats.counts.items(), strict=True):
        shown = counts.most_common(16)[::-1]
        if not shown:
            axis.set(title=f"{title}: none")
            axis.set_axis_off()
            continue
        axis.barh([_plain(name)[:30] for name, _ in shown], [count for _, count in shown], color="C5")
        axis.set(title=title, ylim=(-0.5, max(len(shown), 6) - 0.5))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(f"{_plain(stats.name)}\n{stats.summary}".replace("$", r"\$"), fontsize=10)
    return figure
