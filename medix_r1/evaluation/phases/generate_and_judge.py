"""The two phases that call a model, each run as inspect evaluations: missing replies, then missing judgements.

Each finished sample is appended to a journal, so the next run resumes with the rest.
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
from medix_r1.evaluation.phases.ballots import VotingSettings
from medix_r1.evaluation.phases.journal import Journal
from medix_r1.evaluation.phases.judging import Judgement, ask_votes
from medix_r1.evaluation.phases.messages import PromptName, earlier_turns, message_text, user_message
from medix_r1.evaluation.phases.replies import Reply, parse_reply
from medix_r1.grammar import ThinkElement
from medix_r1.models.reading.faults import why

GENERATIONS, JUDGEMENTS, LOGS = "generations.jsonl", "judgements.jsonl", "logs"
Advance = Callable[[], None]
_T = TypeVar("_T")
_CHUNK = 1000  # samples of one inspect evaluation, each chunk with a log of its own


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How replies are requested.

    Attributes:
        prompt: `training` or `plain`.
        think_element: element that the prompt asks the reasoning to be in.
        connections: concurrent calls.
    """

    prompt: PromptName
    think_element: ThinkElement
    connections: int


@dataclass
class CircuitBreaker:
    """Tracks the samples of a phase, and refuses further ones after `limit` consecutive failures.

    Attributes:
        limit: consecutive failures until the breaker opens.
        consecutive: failures since the last success.
        fatal: error after which no sample is tried, such as a full disk.
        done: ids of finished samples.
        failures: reason by id of each failed or refused sample.
    """

    limit: int
    consecutive: int = 0
    fatal: BaseException | None = None
    done: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    def check(self, sample: str) -> None:
        """Raise EvaluationError when the breaker is open; the sample then counts as failed."""
        told = None
        if self.fatal is not None:
            told = f"not tried: {self.fatal}"
        elif self.consecutive >= self.limit:
            told = f"not tried: {self.consecutive} samples failed in a row before it"
        if told:
            self.failures[sample] = told
            raise EvaluationError(told, code="given-up")

    def succeeded(self, sample: str) -> None:
        """Record a finished sample."""
        self.done.add(sample)
        self.consecutive = 0

    def failed(self, sample: str, reason: str) -> None:
        """Record why a sample has no result."""
        self.failures[sample] = reason
        self.consecutive += 1


def reply_of(item: Item, generation: Mapping[str, Any], request: RequestSettings) -> Reply:
    """Parse a saved generation."""
    return parse_reply(
        generation["reply"],
        generation["reasoning"],
        prompt=request.prompt,
        think_element=request.think_element,
        has_image=bool(item.images),
    )


def generate_missing(
    data: TaskData,
    folder: Path,
    open_model: Callable[[], Model],
    request: RequestSettings,
    breaker: CircuitBreaker,
    advance: Advance,
) -> None:
    """Generate every reply that the journal lacks.

    Args:
        data: the task's samples.
        folder: of the task's results.
        open_model: opens a client. Each inspect evaluation needs its own, because each has its own event loop.
        request: prompt and concurrency.
        breaker: tracks failures.
        advance: called after each reply.

    Raises:
        DataError: the journal cannot be written.
        KeyboardInterrupt: the user stopped; finished samples are in the journal.
    """
    with Journal(folder / GENERATIONS) as journal:
        done = journal.read()
        missing = {item.id: item for item in data.items if item.id not in done}
        for part in _chunks(missing):
            samples = [_asked_sample(item, request) for item in part.values()]
            ask = _asking(part, request, journal, breaker, advance)
            _run(data.task.name, "generate", samples, folder, request.connections, breaker, ask, open_model())


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """A sample with its reply, as generated (`text`) and parsed (`reply`)."""

    item: Item
    text: str
    reply: Reply


def answered_items(data: TaskData, folder: Path, request: RequestSettings) -> dict[str, AnsweredItem]:
    """The samples of a task that have a saved reply, by id."""
    generations = Journal(folder / GENERATIONS).read()
    return {
        item.id: AnsweredItem(item, generations[item.id]["reply"], reply_of(item, generations[item.id], request))
        for item in data.items
        if item.id in generations
    }


def read_judgements(folder: Path) -> dict[str, Judgement]:
    """A task's journalled judgements, by sample id."""
    return {sample: Judgement.from_json(entry) for sample, entry in Journal(folder / JUDGEMENTS).read().items()}


def judge_missing(
    name: str,
    scorer: str,
    replies: Mapping[str, AnsweredItem],
    folder: Path,
    open_judges: Callable[[], list[Model]],
    voting: VotingSettings,
    connections: int,
    breaker: CircuitBreaker,
    advance: Advance,
) -> None:
    """Judge every reply whose judgement is missing or lacks a vote; replies that need no judge make no call.

    Args:
        name: of the task.
        scorer: `short`, `report`, `rubric` or the user's own.
        replies: by sample id.
        folder: of the task's results.
        open_judges: opens a client of each judge, for one inspect evaluation.
        voting: prompts, seeds and retries of a vote.
        connections: concurrent samples.
        breaker: tracks failures.
        advance: called after each judgement.

    Raises:
        DataError: the journal cannot be written.
        KeyboardInterrupt: the user stopped; finished samples are in the journal.
    """
    known = read_judgements(folder)
    missing = {key: value for key, value in replies.items() if not (key in known and known[key].is_final)}
    with Journal(folder / JUDGEMENTS) as journal:
        taking = VoteTaking(scorer, voting, known, journal, breaker, advance)
        for part in _chunks(missing):
            taking.judges = open_judges()
            samples = [
                Sample(id=key, input=each.item.question, target=_target(each.item)) for key, each in part.items()
            ]
            roles = {"grader": list(taking.judges)} if taking.judges else None
            solver, judging = _replaying(part), _judging(lambda sample: taking.judge(missing[sample]))
            _run(name, "judge", samples, folder, connections, breaker, solver, "none/none", judging, roles)


def generate_and_judge_missing(
    data: TaskData,
    folder: Path,
    open_model: Callable[[], Model],
    open_judges: Callable[[], list[Model]],
    request: RequestSettings,
    voting: VotingSettings,
    breakers: tuple[CircuitBreaker, CircuitBreaker],
    advance: tuple[Advance, Advance],
) -> None:
    """Generate every missing reply, and judge each as soon as it is there, so that both servers work at once.

    What else lacks a judgement is left to `judge_missing`.

    Args:
        data: the task's samples.
        folder: of the task's results.
        open_model: opens a client of the model, for one inspect evaluation.
        open_judges: opens a client of each judge, for one inspect evaluation.
        request: prompt and concurrency of the replies.
        voting: prompts, seeds and retries of a vote.
        breakers: track failures of replies and of judgements.
        advance: called after each reply, and after each judgement.

    Raises:
        DataError: a journal cannot be written.
        KeyboardInterrupt: the user stopped; finished samples are in the journals.
    """
    answered: dict[str, AnsweredItem] = {}
    known = read_judgements(folder)
    with Journal(folder / GENERATIONS) as journal, Journal(folder / JUDGEMENTS) as judgements:
        taking = VoteTaking(data.task.scorer, voting, known, judgements, breakers[1], advance[1])
        done = journal.read()
        missing = {item.id: item for item in data.items if item.id not in done}

        def keep(sample: str, generation: Mapping[str, Any]) -> None:
            item = missing[sample]
            answered[sample] = AnsweredItem(item, generation["reply"], reply_of(item, generation, request))

        for part in _chunks(missing):
            taking.judges = open_judges()
            samples = [_asked_sample(item, request) for item in part.values()]
            ask = _asking(part, request, journal, breakers[0], advance[0], keep)
            judging = _judging(lambda sample: taking.judge(answered.pop(sample)))
            roles = {"grader": list(taking.judges)}
            # twice as many samples as connections: some wait for the model while others wait for the judges
            limit, name = 2 * request.connections, data.task.name
            _run(name, "generate_and_judge", samples, folder, limit, breakers[0], ask, open_model(), judging, roles)
            if breakers[1].fatal is not None:
                raise breakers[1].fatal


@dataclass
class VoteTaking:
    """Has replies judged, and appends each judgement to the journal.

    Attributes:
        scorer: of the task.
        voting: prompts, seeds and retries of a vote.
        known: judgements that are there, whose valid votes are kept.
        journal: that judgements are appended to.
        breaker: tracks failures.
        advance: called after each judgement.
        judges: clients for the inspect evaluation that runs.
    """

    scorer: str
    voting: VotingSettings
    known: Mapping[str, Judgement]
    journal: Journal
    breaker: CircuitBreaker
    advance: Advance
    judges: Sequence[Model] = ()

    async def judge(self, each: AnsweredItem) -> Judgement:
        """Judge one reply.

        Raises:
            EvaluationError: it has no judgement; the reason holds no text of the sample.
        """
        sample = each.item.id
        self.breaker.check(sample)
        try:
            known = self.known.get(sample)
            judgement = await ask_votes(each.item, each.reply, self.scorer, self.judges, self.voting, known)
        except Exception as error:  # noqa: BLE001 - counted, and raised again without the sample's texts
            raise _failed(sample, error, each.item, self.breaker) from None
        _append(self.journal, judgement.to_json(sample), self.breaker)
        if judgement.is_final:
            self.breaker.succeeded(sample)
        else:
            self.breaker.failed(sample, judgement.unscored or "the rubric's vote failed")
        self.advance()
        return judgement


def _asked_sample(item: Item, request: RequestSettings) -> Sample:
    return Sample(id=item.id, input=message_text(item, request.prompt, request.think_element), target=_target(item))


def _chunks(items: Mapping[str, _T]) -> Iterator[dict[str, _T]]:
    """Split the samples: inspect keeps every sample of an evaluation in memory until it ends."""
    for first in range(0, len(items), _CHUNK):
        yield dict(islice(items.items(), first, first + _CHUNK))


def _run(
    name: str,
    phase: str,
    samples: list[Sample],
    folder: Path,
    connections: int,
    breaker: CircuitBreaker,
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
        fail_on_error=False,  # a failed sample stays unscored; the others continue
        retry_on_error=0,  # the client retries calls, a bounded number of times
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
    for log in logs:
        Path(log.location).chmod(0o600)  # the texts of questions and replies are in it
    _check(logs, {str(sample.id) for sample in samples}, breaker)


def _check(logs: Sequence[EvalLog], samples: set[str], breaker: CircuitBreaker) -> None:
    if breaker.fatal is not None:
        raise breaker.fatal
    for log in logs:
        if log.status == "error":
            raise EvaluationError(
                f"inspect stopped: {log.error.message if log.error else 'no reason given'}", code="inspect-stopped"
            )
    if samples - breaker.done - set(breaker.failures):
        raise KeyboardInterrupt  # inspect swallows Ctrl-C and returns the samples it has


def _asking(
    items: Mapping[str, Item],
    request: RequestSettings,
    journal: Journal,
    breaker: CircuitBreaker,
    advance: Advance,
    keep: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> Solver:
    """Asks for a reply and appends it to the journal; `keep` gets it, too."""

    @solver(name="ask")
    def ask() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            sample = str(state.sample_id)
            breaker.check(sample)
            try:
                message = await asyncio.to_thread(user_message, items[sample], request.prompt, request.think_element)
                state.messages = [*earlier_turns(items[sample]), message]
                start = time.monotonic()
                state = await generate(state)
            except Exception as error:  # noqa: BLE001 - counted, and raised again without the sample's texts
                raise _failed(sample, error, items[sample], breaker) from None
            generation = _generation(sample, state.output, time.monotonic() - start)
            _append(journal, generation, breaker)
            breaker.succeeded(sample)
            if keep is not None:
                keep(sample, generation)
            if not isinstance(message.content, str):  # keeps image bytes out of memory and the log
                state.messages[len(items[sample].turns)] = ChatMessageUser(content=state.input_text)
            advance()
            return state

        return solve

    return ask()


def _failed(sample: str, error: Exception, item: Item, breaker: CircuitBreaker) -> EvaluationError:
    """Count a failed sample; returns the error for inspect's log, which holds the reason and no text of the sample."""
    reason = why(error, item.texts)
    breaker.failed(sample, reason.text)
    return EvaluationError.from_problem(reason)


def _append(journal: Journal, entry: dict[str, Any], breaker: CircuitBreaker) -> None:
    try:
        journal.append(entry)
    except DataError as error:
        breaker.fatal = error
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


def _replaying(replies: Mapping[str, AnsweredItem]) -> Solver:
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
    """A judgement as inspect's Score; an unscored one stays unscored."""
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
    """inspect's settings of a model's calls: decoding, timeout in seconds of an attempt, and retries."""
    return GenerateConfig(
        **settings,
        max_connections=connections,
        attempt_timeout=max(1, round(timeout)),
        max_retries=attempts - 1,
    )
