"""One evaluation from settings to records: load, generate, judge, score. Running it again resumes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inspect_ai.model import Model
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from medix_r1 import user_code
from medix_r1.errors import ConfigError, DataError, EvaluationError, Problem
from medix_r1.evaluation.benchmarks import sources
from medix_r1.evaluation.benchmarks.image_conditions import with_images
from medix_r1.evaluation.benchmarks.items import TaskData, load_items
from medix_r1.evaluation.benchmarks.kept_task import keep_task
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.phases import servers
from medix_r1.evaluation.phases.ballots import VotingSettings
from medix_r1.evaluation.phases.fingerprint import describe, folder_name
from medix_r1.evaluation.phases.generate_and_judge import (
    GENERATIONS,
    AnsweredItem,
    CircuitBreaker,
    RequestSettings,
    answered_items,
    generate_and_judge_missing,
    generate_missing,
    judge_missing,
    read_judgements,
)
from medix_r1.evaluation.phases.judge_free import judge_free_score
from medix_r1.evaluation.phases.scoring import score_task
from medix_r1.evaluation.results.records import RUN_FILE, Record, RunInfo, read_run, write_run
from medix_r1.evaluation.settings import EvalSettings, known_tasks
from medix_r1.host.files import atomic_write

DATA_FILE, CODE_DIR, _LOCK_FILE = "data.key", "code", ".lock"
PRIVATE = 0o700  # the mode of a folder with texts under a data-use agreement
_ASIDE_MARK = "@"  # TASK@KEY: a task's results on other data; read_run skips such folders


@dataclass(frozen=True)
class Evaluation:
    """A validated evaluation: its settings, its data, and its result folder."""

    settings: EvalSettings
    info: RunInfo
    folder: Path
    tasks: tuple[TaskData, ...]
    request: RequestSettings

    def folder_of(self, data: TaskData) -> Path:
        return self.folder / data.task.name


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """Samples of a task that still lack a reply or a judgement.

    Attributes:
        replies: samples to generate.
        judgements: samples to judge.
        judge_calls: those of `judgements` that need the judge model.
    """

    replies: int
    judgements: int
    judge_calls: int


@dataclass
class Outcome:
    """The result folder and every task's records."""

    folder: Path
    records: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def unscored(self) -> list[Record]:
        return [record for records in self.records.values() for record in records if record.unscored]


def plan(settings: EvalSettings) -> Evaluation:
    """Read the data and name the result folder; starts and writes nothing.

    Args:
        settings: with one condition in `images`; tasks without pictures are left out where it is not `real`.

    Raises:
        ConfigError: all problems of settings, API keys and sources together.
        DataError: rows do not have the schema of their format.
    """
    data_dir = sources.check_data_dir(settings.data_dir)
    problems = servers.problems(settings)
    for task in settings.tasks.values():
        problems += sources.problems(task, data_dir)
    if problems:
        raise ConfigError(problems)
    cache, (condition,) = Path(settings.out_dir) / ".images", settings.images
    tasks: list[TaskData] = []
    broken: list[Problem] = []
    for task in settings.tasks.values():
        try:
            data = load_items(
                task, data_dir=data_dir, cache_dir=cache, limit=settings.limit, subgroup=settings.subgroup
            )
            if (changed := with_images(data, condition)) is not None:
                tasks.append(changed)
        except DataError as error:
            broken += error.problems or (Problem("", error.code, str(error)),)
    if broken:
        raise DataError.listing(broken, code="rows-refused")
    if unknown := [name for name in settings.subgroup if not any(name in data.columns for data in tasks)]:
        there = ", ".join(sorted({name for data in tasks for name in data.columns}))
        raise ConfigError.of("subgroup", "no-such-column", f"no task has {', '.join(unknown)}; there are {there}")
    if not tasks:
        raise ConfigError.of("images", "no-pictures", f"none of the tasks has pictures, so {condition} has no meaning")
    info = describe(settings, {data.task.name: data.revision for data in tasks})
    request = RequestSettings(settings.prompt, settings.think_element, settings.connections)
    return Evaluation(settings, info, Path(settings.out_dir) / folder_name(info), tuple(tasks), request)


def remaining_work(evaluation: Evaluation, data: TaskData) -> RemainingWork:
    """Count a task's samples that still lack a reply or a judgement."""
    folder = evaluation.folder_of(data)
    keys = _keys(folder)
    is_this_data = keys[:1] in ([], [data.key])
    replies = answered_items(data, folder, evaluation.request) if is_this_data or keys[1:] == [data.asked_key] else {}
    judgements = read_judgements(folder) if is_this_data else {}
    unjudged = [i for i in data.items if not (i.id in judgements and judgements[i.id].is_final)]
    return RemainingWork(
        replies=sum(item.id not in replies for item in data.items),
        judgements=len(unjudged),
        judge_calls=sum(_needs_judge(replies.get(item.id), data.task.scorer, evaluation.settings) for item in unjudged),
    )


def _needs_judge(reply: AnsweredItem | None, scorer: str, settings: EvalSettings) -> bool:
    if reply is None or settings.judge.reasoning:
        return scorer != "preference" or settings.judge.reasoning
    try:
        return judge_free_score(reply.item, reply.reply, scorer) is None
    except EvaluationError:
        return False  # raised again, and counted, when the reply is scored


def run(evaluation: Evaluation, console: Console) -> Outcome:
    """Generate and judge what is missing, then write the records.

    Raises:
        EvaluationError: another command holds the folder's lock, or inspect stopped.
        ServerError: a server did not come up.
        DataError: a file cannot be written.
        KeyboardInterrupt: the user stopped; finished samples are in the journals.
    """
    outcome = Outcome(evaluation.folder)
    phase = evaluation.settings.phase
    with locked(evaluation.folder):
        _write_run_file(evaluation)
        for data in evaluation.tasks:
            _open_task_folder(evaluation, data)
        failures: dict[str, str] = {}
        if phase == "all":
            _ask_judges_first(evaluation)
        if phase == "all" and evaluation.settings.overlap:
            failures |= _generate_and_judge(evaluation, console)
        elif phase in ("all", "generate"):
            failures |= _generate(evaluation, console)
        if phase in ("all", "judge"):
            failures |= _judge(evaluation, console, failures)
        for data in evaluation.tasks:  # whatever the phase, so that a partial result is readable too
            records = score_task(data, evaluation.folder_of(data), evaluation.request, failures)
            outcome.records[data.task.name] = records
    return outcome


def _ask_judges_first(evaluation: Evaluation) -> None:
    """Find a judge that cannot answer before anything is generated."""
    scorers = {data.task.scorer for data in evaluation.tasks if remaining_work(evaluation, data).judge_calls}
    if scorers and (wrong := servers.unready_judges(evaluation.settings, _voting(evaluation.settings), scorers)):
        raise ConfigError(wrong)


def _generate(evaluation: Evaluation, console: Console) -> dict[str, str]:
    settings = evaluation.settings
    counts = {data.task.name: remaining_work(evaluation, data).replies for data in evaluation.tasks}
    if not sum(counts.values()):
        return {}
    if wrong := servers.unreachable("", settings.model, settings.base_url, settings.api_key_env):
        raise ConfigError(wrong)
    breaker = CircuitBreaker(settings.give_up_after)
    log = evaluation.folder / "model_server.log"
    with _progress(console, "generate", counts) as bars, servers.model_under_test(settings, log) as open_model:
        for data in evaluation.tasks:
            if counts[data.task.name]:
                folder, bar = evaluation.folder_of(data), bars[data.task.name]
                generate_missing(data, folder, open_model, evaluation.request, breaker, bar)
    return breaker.failures


def _generate_and_judge(evaluation: Evaluation, console: Console) -> dict[str, str]:
    """Generate what is missing and judge it at once; judgements that are missing besides are left to `_judge`."""
    settings = evaluation.settings
    counts = {data.task.name: remaining_work(evaluation, data).replies for data in evaluation.tasks}
    if not sum(counts.values()):
        return {}
    if wrong := servers.unreachable("", settings.model, settings.base_url, settings.api_key_env):
        raise ConfigError(wrong)
    breakers = CircuitBreaker(settings.give_up_after), CircuitBreaker(settings.give_up_after)
    logs = [evaluation.folder / f"{name}_server.log" for name in ("model", "judge")]
    with contextlib.ExitStack() as stack:
        bars = stack.enter_context(_progress(console, "generate", counts, then="judge"))
        open_model = stack.enter_context(servers.model_under_test(settings, logs[0]))
        open_judges = stack.enter_context(servers.judges(settings, logs[1]))
        for data in evaluation.tasks:
            if counts[name := data.task.name]:
                generate_and_judge_missing(
                    data,
                    evaluation.folder_of(data),
                    open_model,
                    open_judges,
                    evaluation.request,
                    _voting(settings),
                    breakers,
                    (bars[name], bars[f"judge {name}"]),
                )
    return breakers[0].failures | breakers[1].failures


@dataclass(frozen=True, slots=True)
class ToJudge:
    """The saved replies of one task that lack a judgement."""

    name: str
    scorer: str
    folder: Path
    replies: Mapping[str, AnsweredItem]


def _judge(evaluation: Evaluation, console: Console, failed: Collection[str]) -> dict[str, str]:
    """Judge what is missing, except for samples that failed in this run."""
    work = []
    for data in evaluation.tasks:
        folder = evaluation.folder_of(data)
        replies = answered_items(data, folder, evaluation.request)
        left = {sample: reply for sample, reply in replies.items() if sample not in failed}
        work.append(ToJudge(data.task.name, data.task.scorer, folder, left))
    return judge_all(work, evaluation.settings, evaluation.folder, console)


def judge_all(work: Sequence[ToJudge], settings: EvalSettings, folder: Path, console: Console) -> dict[str, str]:
    """Judge the replies without a final judgement; start or call a judge only when a reply needs one.

    Returns:
        The reason of each failure, by sample id.
    """
    todo = []
    for each in work:
        known = read_judgements(each.folder)
        left = {key: reply for key, reply in each.replies.items() if not (key in known and known[key].is_final)}
        if left:
            todo.append(replace(each, replies=left))
    if not todo:
        return {}
    needs_judge = any(_needs_judge(reply, each.scorer, settings) for each in todo for reply in each.replies.values())
    breaker, judge = CircuitBreaker(settings.give_up_after), settings.judge
    counts = {each.name: len(each.replies) for each in todo}
    with _progress(console, "judge", counts) as bars, contextlib.ExitStack() as stack:
        open_judges: Callable[[], list[Model]] = list
        if needs_judge:
            if wrong := servers.unready_judges(settings, _voting(settings), {each.scorer for each in todo}):
                raise ConfigError(wrong)
            open_judges = stack.enter_context(servers.judges(settings, folder / "judge_server.log"))
        for t in todo:
            voting, bar = _voting(settings), bars[t.name]
            judge_missing(t.name, t.scorer, t.replies, t.folder, open_judges, voting, judge.connections, breaker, bar)
    return breaker.failures


def _voting(settings: EvalSettings) -> VotingSettings:
    judge = settings.judge
    return VotingSettings(
        seeds=tuple(judge.seeds),
        match_prompt=judge.match_prompt,
        report_prompt=judge.report_prompt,
        reasoning_prompt=judge.reasoning_prompt,
        criterion_verdict="yes_no" if judge.criterion_verdict == "yes_no" else "json",
        criterion_template=judge.criterion_template,
        reasoning=judge.reasoning,
        schema=judge.schema,
        parse_attempts=judge.parse_attempts,
    )


@contextlib.contextmanager
def _progress(
    console: Console, phase: str, counts: Mapping[str, int], *, then: str | None = None
) -> Iterator[dict[str, Any]]:
    """A progress bar for each task with work; without a terminal, one line for each such task at the start.

    With a second phase at the same time, its bars are named `THEN TASK`.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        bars = {}
        for name, count in counts.items():
            if count:
                bar = progress.add_task(f"{phase} {name}", total=count)
                bars[name] = lambda bar=bar: progress.advance(bar)
                if then:
                    second = progress.add_task(f"{then} {name}", total=count)
                    bars[f"{then} {name}"] = lambda bar=second: progress.advance(bar)
                if not console.is_terminal:
                    console.print(f"{phase} {name}: {count} to do", highlight=False)
        yield bars


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a result folder, so that one command at a time writes into it.

    Raises:
        EvaluationError: another command holds the lock.
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}", code="not-written") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise EvaluationError(
            f"another command works in {folder}; wait for it, or choose another out_dir", code="in-use"
        ) from error
    try:
        yield
    finally:
        os.close(handle)


def _write_run_file(evaluation: Evaluation) -> None:
    """Write run.json, keeping the entries of tasks that earlier commands evaluated in this folder."""
    info = evaluation.info
    limited = {d.task.name: [len(d.items), d.total] for d in evaluation.tasks if len(d.items) < d.total}
    own = {d.task.name for d in evaluation.tasks if d.task.file is not None and d.task.path is not None}
    changed = {d.task.name for d in evaluation.tasks if _is_changed(d.task)}
    scorers: dict[str, str] = {}
    if (evaluation.folder / RUN_FILE).exists():
        before = read_run(evaluation.folder)[0]
        names = {data.task.name for data in evaluation.tasks}
        limited = {n: v for n, v in before.extra.get("limited", {}).items() if n not in names} | limited
        scorers = before.extra.get("scorers", {})
        own |= set(before.extra.get("own_data", ())) - names
        changed |= set(before.extra.get("changed", ())) - names
        info = replace(info, data=before.data | info.data)
    scorers = scorers | {data.task.name: _kept_scorer(data.task, evaluation.folder) for data in evaluation.tasks}
    extra = {**info.extra, "limited": limited, "scorers": scorers, "own_data": sorted(own)}
    extra["changed"] = sorted(changed)
    extra["subgroup_min"] = evaluation.settings.subgroup_min
    write_run(evaluation.folder, replace(info, extra=extra))


def _is_changed(task: TaskSpec) -> bool:
    """Whether a task of ours asks other rows than the benchmark's or scores otherwise; rules of pictures are free."""
    ours = known_tasks().get(task.name)
    return ours is not None and replace(ours, image={}).definition() != replace(task, image={}).definition()


def _kept_scorer(task: TaskSpec, folder: Path) -> str:
    """Copy the task's own code into the result; returns the scorer, a file's path relative to the result."""
    user_code.keep(task.format, folder / CODE_DIR)
    kept = user_code.keep(task.scorer, folder / CODE_DIR)
    return f"{CODE_DIR}/{user_code.identity(kept)}" if user_code.is_file(kept) else kept


def _open_task_folder(evaluation: Evaluation, data: TaskData) -> None:
    """Rename a task folder that holds results on other data to TASK@KEY, and restore the one of this data if any.

    Where only the scorer is another one, the replies are taken along.
    """
    folder = evaluation.folder_of(data)
    before = _data_key(folder)
    if before is not None and before != data.key:
        other = folder.rename(folder.with_name(f"{folder.name}{_ASIDE_MARK}{before}"))
        aside = folder.with_name(f"{folder.name}{_ASIDE_MARK}{data.key}")
        if aside.is_dir():
            aside.rename(folder)
        elif _keys(other)[1:] == [data.asked_key] and (other / GENERATIONS).is_file():
            atomic_write(folder / GENERATIONS, (other / GENERATIONS).read_text(encoding="utf-8"), private=True)
    atomic_write(folder / DATA_FILE, f"{data.key}\n{data.asked_key}\n")
    keep_task(data.task, evaluation.settings.data_dir, folder)
    if data.task.restricted:
        folder.chmod(PRIVATE)  # inspect's logs hold the texts, too


def _data_key(folder: Path) -> str | None:
    return next(iter(_keys(folder)), None)


def _keys(folder: Path) -> list[str]:
    """The data key of a task's folder, and the part of it that replies depend on."""
    path = folder / DATA_FILE
    return path.read_text(encoding="utf-8").split() if path.is_file() else []
