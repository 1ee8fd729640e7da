"""Tables of a demo run before and after training, for the terminal and for summary.md."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.demo.result import DECODINGS, SETS, Evaluation, Example
from medix_r1.pages.style import themed_picture

_EXAMPLES = 3
NOTES = {"llm": "llm (judge)", "exact": "exact (no reward)"}


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """The results of a demo run.

    Attributes:
        before, after: evaluations of the policy.
        metrics: of training, by step, then by name.
        seconds: by phase, in order.
    """

    before: Evaluation
    after: Evaluation
    metrics: Mapping[int, Mapping[str, float]]
    seconds: Mapping[str, float]

    @property
    def steps(self) -> int:
        return max((step for step, values in self.metrics.items() if "reward/overall/mean" in values), default=0)

    @property
    def step_seconds(self) -> float | None:
        known = [values["timing_s/step"] for values in self.metrics.values() if "timing_s/step" in values]
        return statistics.median(known) if known else None


def show(report: DemoSummary, console: Console) -> None:
    """Print the tables, the examples and the seconds."""
    for name, meaning in SETS.items():
        table = Table(*_header(), title=f"{name}: {meaning}", title_justify="left")
        table.columns[0].no_wrap = True
        for column in table.columns[1:]:
            column.justify = "right"
        for row in table_rows(report, name):
            table.add_row(*(escape(cell) for cell in row), style="bold" if row[0] == "overall" else None)
        console.print(table)
    for line in _example_lines(report):
        console.print(escape(line), highlight=False)
    console.print(f"seconds: {seconds_line(report)}", highlight=False)
    console.print(f"machine: {report.after.machine}", highlight=False)


def write_summary(report: DemoSummary, path: Path, plots: Sequence[Path]) -> None:
    """Write summary.md; it links plots by file name, so they have to be in its folder."""
    path.write_text("\n".join(_markdown(report, plots)) + "\n", encoding="utf-8")


def table_rows(report: DemoSummary, set_name: str) -> list[list[str]]:
    """One row for each signal: name, then before, after and gain for each decoding."""
    before, after = report.before.sets[set_name], report.after.sets[set_name]
    rows: list[list[str]] = []
    for signal in before.decoded["sampled"].signals:
        pairs = [(before.decoded[d].signals[signal].mean, after.decoded[d].signals[signal].mean) for d in DECODINGS]
        rows.append([NOTES.get(signal, signal), *(cell for pair in pairs for cell in _cells(*pair))])
    shuffled = [(before.decoded[d].shuffled_exact, after.decoded[d].shuffled_exact) for d in DECODINGS]
    rows.append(["exact, shuffled", *(cell for pair in shuffled for cell in _cells(*pair))])
    masked = [[side.decoded[d].signals["overall"].masked_share for side in (before, after)] for d in DECODINGS]
    if any(share for pair in masked for share in pair):
        rows.append(["not scored", *(cell for pair in masked for cell in [*(f"{share:.1%}" for share in pair), ""])])
    return rows


def seconds_line(report: DemoSummary) -> str:
    """Seconds of each phase and of a training step."""
    phases = ", ".join(f"{name} {seconds:.0f}" for name, seconds in report.seconds.items())
    step = report.step_seconds
    return f"{phases}, in all {sum(report.seconds.values()):.0f}" + (f"; a step {step:.1f} (median)" if step else "")


def _header() -> list[str]:
    columns = [f"{name} {side}" for name in DECODINGS.values() for side in ("before", "after", "gain")]
    return ["signal", *(column if not column.endswith("gain") else "gain" for column in columns)]


def _cells(before: float | None, after: float | None) -> list[str]:
    gain = "" if before is None or after is None else f"{after - before:+.3f}"
    return ["-" if value is None else f"{value:.3f}" for value in (before, after)] + [gain]


def _example_lines(report: DemoSummary) -> Iterator[str]:
    """Replies to the same questions before and after training."""
    name = next(iter(SETS))
    after = {example.row_id: example for example in report.after.sets[name].examples}
    for example in list(report.before.sets[name].examples)[:_EXAMPLES]:
        yield f"[{example.modality}] {example.question}  (right: {' | '.join(example.accepted)})"
        yield f"    before: {_answers(example)}"
        if example.row_id in after:
            yield f"    after:  {_answers(after[example.row_id])}"


def _answers(example: Example) -> str:
    counts = Counter(example.sampled)
    sampled = ", ".join(f"{answer} x{count}" if count > 1 else answer for answer, count in counts.most_common())
    return f"{example.greedy}   [T=1: {sampled}]"


def _markdown(report: DemoSummary, plots: Sequence[Path]) -> Iterator[str]:
    yield from ("# What the demo learnt", "")
    yield f"{report.steps} steps of GRPO on {report.after.machine}; seed {report.after.seed}. Before: "
    yield f"`{report.before.model}`. After: `{report.after.model}`. Judge: `{report.after.judge}`; embedder: "
    yield f"`{report.after.embedder}`."
    yield ""
    yield "The policy was warm-started to hedge; what it learns is to commit to answers, not medicine. `exact` is the"
    yield "share of answers equal to an accepted wording and no part of the reward. In `exact, shuffled` each question"
    yield "is shown another picture: what is lost is what the policy owes to looking."
    for name, meaning in SETS.items():
        yield from ("", f"## {name}", "", f"{report.after.sets[name].rows} questions on {meaning}.", "")
        yield f"| {' | '.join(_header())} |"
        yield "|---|" + "---:|" * (len(_header()) - 1)
        yield from (f"| {' | '.join(row)} |" for row in table_rows(report, name))
    yield from ("", "## Examples", "", "Greedy answers, in brackets five samples; the rows were fixed beforehand.", "")
    yield from ("```", *_example_lines(report), "```")
    yield from ("", "## Seconds", "", seconds_line(report), "")
    yield from (themed_picture(plot, plot.stem.replace("_", " ")) for plot in plots)
    yield "Research, not a medical device."
