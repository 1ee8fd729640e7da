"""What an evaluation prints: the plan, the table at the end, and the samples that have no score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.errors import ConfigError
from medix_r1.evaluation.benchmarks import sources
from medix_r1.evaluation.benchmarks.items import load_items
from medix_r1.evaluation.benchmarks.tasks import select
from medix_r1.evaluation.phases.messages import message_text
from medix_r1.evaluation.rejudge import Rejudged
from medix_r1.evaluation.results import comparison_text, groups, table
from medix_r1.evaluation.results import looking as looking_results
from medix_r1.evaluation.results.compare import read_comparison
from medix_r1.evaluation.results.records import read_run
from medix_r1.evaluation.results.sheet import Sheet
from medix_r1.evaluation.results.table import HEADLINE, in_order
from medix_r1.evaluation.run import Evaluation, Outcome, remaining_work
from medix_r1.evaluation.settings import code_problems, read_task, read_tasks, with_whole_paths
from medix_r1.untrusted import one_line

_LISTED = 20


def planned(evaluation: Evaluation, console: Console) -> None:
    """Print what would be done, one line for each task."""
    table = Table(
        "task", "samples", "of", "data revision", "replies to ask for", "to judge", title="nothing is started"
    )
    for data in evaluation.tasks:
        remaining = remaining_work(evaluation, data)
        counts = (len(data.items), data.total, data.revision, remaining.replies, remaining.judgements)
        table.add_row(data.task.name, *(escape(str(count)) for count in counts))
    console.print(table)
    console.print(f"result: {evaluation.folder}", highlight=False)


def outcome(result: Outcome, console: Console) -> int:
    """Print the table and the samples without a score; return the exit code."""
    found = table.read_numbers(result.folder)
    table.write(found, result.folder)
    table.sheet(found).show(console)
    by_group(result.folder, console)
    for name, (taken, total) in found.info.extra.get("limited", {}).items():
        console.print(
            f"{name}: only the first {taken} of {total} rows, so this is no benchmark's score", style="yellow"
        )
    missing = result.unscored
    for record in missing[:_LISTED]:
        reason = one_line(record.unscored or "", 200)
        console.print(escape(f"unscored: {record.task} row {record.row} ({record.id}): {reason}"), highlight=False)
    if len(missing) > _LISTED:
        console.print(f"... and {len(missing) - _LISTED} more in records.jsonl", highlight=False)
    logs = f"inspect view --log-dir {result.folder}"
    console.print(f"result: {result.folder} (table.md, table.json, table.csv, scores.png); {logs}", highlight=False)
    if missing:
        console.print(f"{len(missing)} samples have no score; the same command tries them again", style="red")
    return 1 if missing else 0


def by_group(folder: Path, console: Console, out: Path | None = None) -> list[Path]:
    """Print and write the scores by group, where there are groups; returns the files."""
    found = groups.read_breakdowns(folder)
    if not found:
        return []
    model = read_run(folder)[0].model
    groups.sheet(found, model).show(console)
    return groups.write(found, model, out or folder)


def rejudged(result: Rejudged, console: Console) -> int:
    """Print the new result, then how each task's score differs between the two judges; return the exit code."""
    code = outcome(result.second, console)
    found = read_comparison(result.first, result.second.folder)
    comparison_text.show(found, console, examples=3, judges=True)
    comparison_text.write(found, result.second.folder, examples=3, judges=True)
    return code


def looking(folders: Mapping[str, Path], console: Console) -> None:
    """Print and write how the scores change without the real pictures; nothing where `real` is not among them."""
    if "real" not in folders:
        console.print("images=real is not among them, so nothing is compared", highlight=False)
        return
    others = {condition: folder for condition, folder in folders.items() if condition != "real"}
    looks, model = looking_results.read_looks(folders["real"], others), read_run(folders["real"])[0].model
    looking_results.sheet(looks, model).show(console)
    paths = looking_results.write(looks, model, folders["real"])
    console.print(
        f"written: {folders['real']}: {', '.join(path.name for path in paths)}", highlight=False, markup=False
    )


def one_task(name: str, console: Console, config_dirs: Sequence[Path]) -> None:
    """Print every field of one task.

    Raises:
        ConfigError: there is no such task, or its file is wrong.
    """
    known, broken = read_tasks(config_dirs)
    for chosen in select(name, known, broken):
        for key, value in asdict(known[chosen]).items():
            if value not in (None, "", [], {}, ()):
                console.print(f"{key}: {value}", highlight=False, markup=False, soft_wrap=True)


def checked(path: Path, console: Console) -> None:
    """Check a task's file, and read the first row where its rows are in a file of the user's.

    Raises:
        ConfigError: every field that is wrong.
        DataError: the first row does not fit the format.
    """
    task = with_whole_paths(read_task(path))
    if problems := code_problems({task.name: task}):
        raise ConfigError(problems)
    console.print(
        f"{path} is a task: {task.kind}, format {task.format}, scorer {task.scorer}", highlight=False, markup=False
    )
    if task.file is None:
        console.print("its rows are not looked at: it names no file of yours", highlight=False)
        return
    if wrong := sources.problems(task, None):
        raise ConfigError(wrong)
    data = load_items(task, data_dir=None, cache_dir=Path("outputs/eval/.images"), limit=1)
    console.print(f"{data.total} rows; the first as it is asked, and its reference:", highlight=False)
    first = data.items[0]
    if task.restricted:
        console.print("(not shown: it is under a data-use agreement)", highlight=False)
        return
    console.print(one_line(message_text(first, "plain", "thinking"), 1000), highlight=False, markup=False)
    console.print(f"reference: {one_line(first.reference)}", highlight=False, markup=False)


_TABLE_OF_TASKS = 140  # columns of a terminal below which the names in a table would be broken
_SCORED = {
    "short": "right or wrong",
    "report": "grade 0 to 5",
    "rubric": "points of criteria",
    "preference": "people's choices",
}
_LEGEND = (
    "right or wrong: by the option's letter, else the judges' majority of YES or NO",
    "grade 0 to 5: the judges' mean, as a share of 5",
    "points of criteria: each criterion of the row is judged; the mean over samples is clipped to [0, 1]",
    "people's choices: share of six choices between two answers that are theirs, without any judge",
)


def tasks(console: Console, config_dirs: Sequence[Path]) -> None:
    """Print every task with its data set, access and licence; then the tasks of the user's whose files are wrong."""
    header = ("task", "kind", "data set", "a sample is", "counted", "access", "licence")
    table, rows = Table(*header), []
    known, broken = read_tasks(config_dirs)
    for name in in_order(known):
        task = known[name]
        counted = "of the 17" if name in HEADLINE else "by itself"
        scored = _SCORED.get(task.scorer, task.scorer)
        rows.append((name, task.kind, task.path or "your own file", scored, counted, task.access, task.licence))
        table.add_row(*map(escape, rows[-1]))
    if console.width < _TABLE_OF_TASKS:
        Sheet("Tasks", header, rows).show(console)
    else:
        console.print(table)
    for line in _LEGEND:
        console.print(line, highlight=False)
    suites = sorted({suite for task in known.values() for suite in task.suites})
    console.print(
        f"{len(known)} tasks. task= also takes all (the 17), llm, vlm, open, {', '.join(suites)}; "
        "medix-r1 eval tasks NAME shows all of one.",
        highlight=False,
    )
    for error in broken.values():
        console.print(escape(str(error)), highlight=False, style="yellow")
