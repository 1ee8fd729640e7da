"""The phases that call a model, each as inspect evaluations: a task's missing replies, then its missing judgements.

What is through is in a journal beside inspect's log; the next run asks for the rest only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import inspect_ai
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageUser, ContentReasoning, GenerateConfig, Model, ModelOutput
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from medix_r1.errors import DataError, EvaluationError
from medix_r1.evaluation.benchmarks.items import Item, TaskData
from medix_r1.evaluation.phases.journal import Journal
from medix_r1.evaluation.phases.judging import Judgement, VotingSettings, ask_votes
from medix_r1.evaluation.phases.messages import PromptName, message_text, user_message
from medix_r1.evaluation.phases.replies import Reply, take_apart
from medix_r1.grammar import ThinkElement

GENERATIONS, JUDGEMENTS, LOGS = "generations.jsonl", "judgements.jsonl", "logs"
Advance = Callable[[], None]
_T = TypeVar("_T")
_AT_ONCE = 1000  # samples of one evaluation of inspect, each with a log of its own


@dataclass(frozen=True, slots=True)
class Asking:
    """How a reply is asked for: prompt, required element, calls in flight."""

    prompt: PromptName
    think_element: ThinkElement
    connections: int


@dataclass
class Outage:
    """What became of each sample of a phase; after `limit` failures in a row no further one is tried."""

    limit: int
    in_a_row: int = 0
    fatal: BaseException | None = None
    done: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    def check(self, sample: str) -> None:
        """Raise when this sample should not be tried any more."""
        told = None
        if self.fatal is not None:
            told = f"not tried: {self.fatal}"
        elif self.in_a_row >= self.limit:
            told = f"not tried: {self.in_a_row} samples failed in a row before it"
        if told:
            self.failures[sample] = told
            raise EvaluationError(told, code="given-up")

    def succeeded(self, sample: str) -> None:
        """Note a sample that is through."""
        self.done.add(sample)
        self.in_a_row = 0

    def failed(self, sample: str, error: BaseException | str) -> None:
        """Note why a sample has no result."""
        self.failures[sample] = error if isinstance(error, str) else f"{type(error).__name__}: {str(error)[:300]}"
        self.in_a_row += 1


def reply_of(item: Item, generation: Mapping[str, Any], asking: Asking) -> Reply:
    """A saved generation, taken apart."""
    return take_apart(
        generation["reply"],
        generation["reasoning"],
        prompt=asking.prompt,
        think_element=asking.think_element,
        has_image=bool(item.images),
    )


def generate_missing(
    data: TaskData, folder: Path, open_model: Callable[[], Model], asking: Asking, outage: Outage, advance: Advance
) -> None:
    """Ask the model for every reply that the journal does not hold.

    Args:
        data: the task's samples.
        folder: of the task's results.
        open_model: makes a client of the model, one for each evaluation: each has an event loop of its own.
        asking: how to ask.
        outage: notes what fails.
        advance: called after each reply.

    Raises:
        DataError: the journal cannot be written.
        KeyboardInterrupt: the user stopped; what is through is kept.
    """
    with Journal(folder / GENERATIONS) as journal:
        done = journal.read()
        missing = {item.id: item for item in data.items if item.id not in done}
        for part in _parts(missing):
            samples = [
                Sample(id=item.id, input=message_text(item, asking.prompt, asking.think_element), target=_target(item))
                for item in part.values()
            ]
            ask = _asking(part, asking, journal, outage, advance)
            _run(data.task.name, "generate", samples, folder, asking.connections, outage, ask, open_model())


@dataclass(frozen=True, slots=True)
class Answered:
    """A sample with its reply: as generated, and taken apart."""

    item: Item
    text: str
    reply: Reply


def answered(data: TaskData, folder: Path, asking: Asking) -> dict[str, Answered]:
    """Every sample of a task whose reply is saved, by id."""
    generations = Journal(folder / GENERATIONS).read()
    return {
        item.id: Answered(item, generations[item.id]["reply"], reply_of(item, generations[item.id], asking))
        for item in data.items
        if item.id in generations
    }


def read_judgements(folder: Path) -> dict[str, Judgement]:
    """A task's judgements so far, by the sample's id."""
    return {sample: Judgement.from_json(entry) for sample, entry in Journal(folder / JUDGEMENTS).read().items()}


def judge_missing(
    name: str,
    scorer: str,
    replies: Mapping[str, Answered],
    folder: Path,
    open_judges: Callable[[], list[Model]],
    voting: VotingSettings,
    connections: int,
    outage: Outage,
    advance: Advance,
) -> None:
    """Judge every saved reply whose judgement is missing or lacks a vote; replies that need no judge cost no call.

    `open_judges` is to `generate_missing`'s `open_model` what judges are to the model.

    Raises:
        DataError: the journal cannot be written.
        KeyboardInterrupt: the user stopped; what is through is kept.
    """
    known = read_judgements(folder)
    missing = {key: value for key, value in replies.items() if not (key in known and known[key].is_final)}
    judges: list[Model] = []
    with Journal(folder / JUDGEMENTS) as journal:

        async def judge(sample: str) -> Judgement:
            outage.check(sample)
            each = missing[sample]
            try:
                judgement = await ask_votes(each.item, each.reply, scorer, judges, voting, known.get(sample))
            except Exception as error:  # counted, and raised again
                outage.failed(sample, error)
                raise
            _append(journal, judgement.to_json(sample), outage)
            if judgement.is_final:
                outage.succeeded(sample)
            else:
                outage.failed(sample, judgement.unscored or "the rubric's vote failed")
            advance()
            return judgement

        for part in _parts(missing):
            judges[:] = open_judges()
            samples = [
                Sample(id=key, input=each.item.question, target=_target(each.item)) for key, each in part.items()
            ]
            roles = {"grader": list(judges)} if judges else None
            solver, judging = _replaying(part), _judging(judge)
            _run(name, "judge", samples, folder, connections, outage, solver, "none/none", judging, roles)


def _parts(items: Mapping[str, _T]) -> Iterator[dict[str, _T]]:
    """Some samples at a time: inspect holds what it has run until an evaluation ends."""
    for first in range(0, len(items), _AT_ONCE):
        yield dict(islice(items.items(), first, first + _AT_ONCE))


def _run(
    name: str,
    phase: str,
    samples: list[Sample],
    folder: Path,
    connections: int,
    outage: Outage,
    solver: Solver,
    model: Model | str,
    scorer: Scorer | None = None,
    model_roles: Any = None,
) -> None:
    task = inspect_ai.Task(
        dataset=MemoryDataset(samples, name=name), solver=solver, scorer=scorer, name=f"{name}_{phase}"
    )
    logs = inspect_ai.eval(
        task,
        model=model,
        model_roles=model_roles,
        log_dir=str(folder / LOGS),
        display="none",
        log_level="error",
        fail_on_error=False,  # a failed sample is unscored; the rest goes on
        retry_on_error=0,  # calls are retried, bounded, by the client
        max_samples=connections,
        max_tasks=1,
        log_images=False,
        log_realtime=False,
        log_model_api=False,
        log_header_only=True,
        score=scorer is not None,
        score_display=False,
        ctl_server=False,
        acp_server=False,
    )
    _check(logs, {str(sample.id) for sample in samples}, outage)


def _check(logs: Sequence[EvalLog], samples: set[str], outage: Outage) -> None:
    if outage.fatal is not None:
        raise outage.fatal
    for log in logs:
        if log.status == "error":
            raise EvaluationError(
                f"inspect stopped: {log.error.message if log.error else 'no reason given'}", code="inspect-stopped"
            )
    if samples - outage.done - set(outage.failures):
        raise KeyboardInterrupt  # inspect takes Ctrl-C for itself and returns what there is


def _asking(items: Mapping[str, Item], asking: Asking, journal: Journal, outage: Outage, advance: Advance) -> Solver:
    @solver(name="ask")
    def ask() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            sample = str(state.sample_id)
            outage.check(sample)
            try:
                message = await asyncio.to_thread(user_message, items[sample], asking.prompt, asking.think_element)
                state.messages = [message]
                start = time.monotonic()
                state = await generate(state)
            except Exception as error:  # counted, and raised again
                outage.failed(sample, error)
                raise
            _append(journal, _generation(sample, state.output, time.monotonic() - start), outage)
            outage.succeeded(sample)
            if not isinstance(message.content, str):  # image bytes neither stay in memory nor in the log
                state.messages[0] = ChatMessageUser(content=state.input_text)
            advance()
            return state

        return solve

    return ask()


def _append(journal: Journal, entry: dict[str, Any], outage: Outage) -> None:
    try:
        journal.append(entry)
    except DataError as error:
        outage.fatal = error
        raise


def _generation(sample: str, output: ModelOutput, seconds: float) -> dict[str, Any]:
    content = output.message.content
    apart = [] if isinstance(content, str) else [c.reasoning for c in content if isinstance(c, ContentReasoning)]
    return {
        "id": sample,
        "reply": output.completion,
        "reasoning": "\n".join(apart) or None,
        "finish_reason": {"max_tokens": "length"}.get(output.stop_reason, output.stop_reason),
        "tokens_in": output.usage.input_tokens if output.usage else 0,
        "tokens_out": output.usage.output_tokens if output.usage else 0,
        "seconds": round(output.time if output.time is not None else seconds, 4),
    }


def _replaying(replies: Mapping[str, Answered]) -> Solver:
    @solver(name="replay")
    def replay() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.output = ModelOutput.from_content("saved", replies[str(state.sample_id)].text)
            state.messages.append(state.output.message)
            return state

        return solve

    return replay()


def _judging(judge: Callable[[str], Any]) -> Scorer:
    @scorer(name="judge", metrics=[mean()])
    def judging() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            return as_score(await judge(str(state.sample_id)))

        return score

    return judging()


def as_score(judgement: Judgement) -> Score:
    """A judgement in inspect's words; unscored stays unscored."""
    votes = [f"{vote.judge} ({vote.seed}): {vote.value} {vote.reason}" for vote in judgement.votes]
    told: dict[str, Any] = {"votes": votes, "judge_free": judgement.judge_free}
    if judgement.rubric is not None:
        told["rubric"] = judgement.rubric.value
    if judgement.score is None:
        return Score.unscored(reason="grader_failed", explanation=judgement.unscored, metadata=told)
    return Score(value=judgement.score, explanation="\n".join(votes) or "no judge was needed", metadata=told)


def _target(item: Item) -> str:
    return f"{item.letter}. {item.reference}" if item.letter else item.reference


def decoding(settings: Mapping[str, Any], *, connections: int, timeout: float, attempts: int) -> GenerateConfig:
    """Inspect's settings of a model's calls: how it decodes, and how long and how often it is tried."""
    return GenerateConfig(
        **settings,
        max_connections=connections,
        attempt_timeout=max(1, round(timeout)),
        max_retries=attempts - 1,
    )
