"""Evaluates a policy with the reward that it is trained on, and with exact accuracy, which is not rewarded.

It imports torch, so `medix-r1 demo run` calls it in a child process, `medix-r1 demo evaluate`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transformers import AutoProcessor
from transformers.utils.logging import disable_progress_bar

from medix_r1.demo.batches import EncodedRows, read_rows
from medix_r1.demo.replies import SAMPLES, Reply, answer_all, load_policy
from medix_r1.demo.result import DECODINGS, SETS, Decoded, Evaluation, Example, SetResult, SignalMean
from medix_r1.errors import ConfigError, DataError, EmbedderError, JudgeUnavailable, Problem
from medix_r1.host.machine import this_machine
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.rewards.composite import RewardBreakdown
from medix_r1.rewards.monitors.exact import ExactMatch
from medix_r1.serving.composed_judges import members

_EXAMPLES = 3  # of each set
_Replies = dict[str, list[Reply]]


def evaluate(policy: Path, config: DictConfig) -> Evaluation:
    """Generate replies to both held-out sets and score them with the reward of a composed training config.

    Args:
        policy: a model folder, built here or merged from a checkpoint.
        config: has the reward, the embedder, a running judge's address, the data folder and the length limits.

    Raises:
        ConfigError: the policy or the rows are missing.
        JudgeUnavailable, EmbedderError: a model of the reward is down.
    """
    start = time.monotonic()
    data = Path(config.demo_dir) / "data"
    _check(policy, data)
    disable_progress_bar()  # loading takes a moment only
    model, processor = load_policy(policy), AutoProcessor.from_pretrained(policy)
    rows = {name: EncodedRows(read_rows(data / f"{name}.parquet"), processor) for name in SETS}
    replies = {name: _answer(model, rows[name], config, shuffled=False) for name in SETS}
    shuffled = {name: _answer(model, rows[name], config, shuffled=True) for name in SETS}

    async def score() -> dict[str, SetResult]:
        scorer = Scorer(config)  # inside the event loop, which the judge's connections are bound to
        try:
            return {name: await _set_result(scorer, rows[name], replies[name], shuffled[name]) for name in SETS}
        finally:
            await scorer.aclose()

    return Evaluation(
        model=str(policy),
        judge=" and ".join(str(member["model"]) for _, member in members(config.judge.client)),
        embedder=str(config.embedder.model),
        seed=int(config.run.seed),
        machine=str(this_machine()),
        sets=asyncio.run(score()),
        seconds=round(time.monotonic() - start, 1),
    )


def _check(policy: Path, data: Path) -> None:
    problems = []
    if not (policy / "config.json").is_file():
        problems.append(Problem(str(policy), "no-model-there", "no model there (no config.json)"))
    problems += [
        Problem(f"{data / name}.parquet", "not-built", "does not exist; build the demo first: medix-r1 demo build")
        for name in SETS
        if not (data / f"{name}.parquet").is_file()
    ]
    if problems:
        raise ConfigError(problems)


def _answer(model: Any, rows: EncodedRows, config: DictConfig, *, shuffled: bool) -> _Replies:
    limit, seed = config.data.max_response_length, config.run.seed
    return {
        name: answer_all(model, rows, name, max_new_tokens=limit, seed=seed, shuffled=shuffled) for name in DECODINGS
    }


class Scorer:
    """The composite reward of a training config, on rows of the demo."""

    def __init__(self, config: DictConfig) -> None:
        self._reader = SampleReader.of(config.reward)
        self._composite = build_reward(config.reward)
        self._exact = ExactMatch()

    async def score(self, rows: EncodedRows, replies: Sequence[Reply]) -> list[RewardBreakdown]:
        """Score replies; a failed one has no value.

        Raises:
            JudgeUnavailable, EmbedderError: a server is down.
        """
        breakdowns = await asyncio.gather(*(self._composite.score(self._sample(rows, reply)) for reply in replies))
        for breakdown in breakdowns:
            if breakdown.outage:
                failure = breakdown.failure or ""
                raise (JudgeUnavailable if "llm" in failure else EmbedderError)(
                    f"evaluation stopped: {failure}", code="evaluation-stopped"
                )
        return list(breakdowns)

    async def aclose(self) -> None:
        """Close the judge's connections."""
        await self._composite.aclose()

    def exact_accuracy(self, rows: EncodedRows, replies: Sequence[Reply]) -> float:
        """Share of replies whose answer is the reference or an accepted wording."""
        scores = [self._exact.score(self._sample(rows, reply)) for reply in replies]
        return sum(score.value or 0.0 for score in scores) / len(scores)

    def answer(self, rows: EncodedRows, reply: Reply) -> str:
        """The answer in a reply, or a note that it has none."""
        return self._sample(rows, reply).completion.answer or "(no answer block)"

    def _sample(self, rows: EncodedRows, reply: Reply) -> Sample:
        row = rows.rows[reply.row]
        extra = row["extra_info"]
        return self._reader.read(
            reply.text,
            reference=row["reward_model"]["ground_truth"],
            has_image=True,  # like every row of the demo
            question=extra["question"],
            source=row["data_source"],
            cut=reply.cut,
            accepted=extra["answers"],
        )


async def _set_result(scorer: Scorer, rows: EncodedRows, replies: _Replies, shuffled: _Replies) -> SetResult:
    if not len(rows):
        raise DataError("a held-out set of the demo is empty; build it again: medix-r1 demo build", code="no-rows")
    decoded = {
        name: _decoded(await scorer.score(rows, replies[name]), scorer.exact_accuracy(rows, shuffled[name]))
        for name in DECODINGS
    }
    return SetResult(len(rows), decoded, [_example(scorer, rows, replies, i) for i in example_rows(rows.rows)])


def _decoded(breakdowns: Sequence[RewardBreakdown], shuffled_exact: float) -> Decoded:
    columns: dict[str, list[float | None]] = {"overall": [breakdown.total for breakdown in breakdowns]}
    columns |= {name: [b.parts[name].value for b in breakdowns] for name in breakdowns[0].parts}
    signals = {name: SignalMean.of(values) for name, values in columns.items()}
    return Decoded(replies=len(breakdowns), signals=signals, shuffled_exact=shuffled_exact)


def example_rows(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Indices of the first rows with different modalities and question types, chosen without looking at replies."""
    chosen: list[int] = []
    seen: set[str] = set()
    for index, row in enumerate(rows):
        kinds = {row["extra_info"]["modality"], row["extra_info"]["question_type"]}
        if len(chosen) < _EXAMPLES and not kinds & seen:
            chosen.append(index)
            seen |= kinds
    return chosen


def _example(scorer: Scorer, rows: EncodedRows, replies: _Replies, index: int) -> Example:
    extra = rows.rows[index]["extra_info"]
    start = index * SAMPLES["sampled"]
    return Example(
        row_id=extra["row_id"],
        question=extra["question"],
        modality=extra["modality"],
        accepted=list(extra["answers"]),
        greedy=scorer.answer(rows, replies["greedy"][index]),
        sampled=[scorer.answer(rows, reply) for reply in replies["sampled"][start : start + SAMPLES["sampled"]]],
    )
