"""`medix-r1 judge bench`: throughput and latency of a training config's judge, compared with the needs of a step.

The questions are synthetic, of the kind and length that the reward asks. All differ, so that neither our response cache
nor the server's prefix cache answers them. Judging overlaps with the rollouts of its step, so a judge keeps up if it
takes less time than they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from medix_r1 import config as configs
from medix_r1.composing import instantiate
from medix_r1.errors import ConfigError, JudgeError
from medix_r1.models.judge import Judge, Question
from medix_r1.models.settings import VERL_ROUTER
from medix_r1.serving.checks import judge_problems, members
from medix_r1.serving.foreground import attached, judge_settings, new_log
from medix_r1.serving.kept import served

_WARM_UP = 8  # questions before timing starts, which open connections and warm up the server
_FINDINGS = (
    "pleural effusion", "consolidation", "pneumothorax", "nodule", "mass", "cyst", "fracture", "haemorrhage",
    "stenosis", "oedema", "atelectasis", "calcification", "thrombus", "abscess", "hernia", "lymphadenopathy",
)  # fmt: skip
_PLACES = (
    "left upper lobe", "left lower lobe", "right upper lobe", "right middle lobe", "right lower lobe", "left kidney",
    "right kidney", "liver segment VI", "spleen", "pancreatic head", "left frontal lobe", "right occipital lobe",
)  # fmt: skip
_QUESTIONS = (
    "What is the main abnormality in this image?",
    "Which finding explains the patient's symptoms?",
    "Describe the most important finding and where it lies.",
)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The measurement, and the needs of one step.

    Attributes:
        model: of the judge.
        asked: timed questions.
        seconds: that they took together.
        failures: count by kind of error.
        first_failure: message of the first error.
        statistics: of the judge's client; latencies in seconds.
        answers_per_step: prompts x rollouts.
        without_call: assumed share of the answers that need no call, in [0, 1].
    """

    model: str
    asked: int
    seconds: float
    failures: dict[str, int]
    first_failure: str | None
    statistics: dict[str, float]
    answers_per_step: int
    without_call: float

    @property
    def answered(self) -> int:
        return self.asked - sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return (self.statistics["prompt_tokens"] + self.statistics["completion_tokens"]) / self.seconds

    @property
    def calls_per_step(self) -> int:
        return round(self.answers_per_step * (1.0 - self.without_call))

    @property
    def seconds_per_step(self) -> float | None:
        """Seconds for the calls of one step at the measured rate; None without any answer."""
        return self.calls_per_step / self.rate if self.answered else None


def make_questions(count: int, seed: int = 1) -> list[Question]:
    """Synthetic questions of the kind that the reward asks, all different."""
    chance = random.Random(seed)
    kinds = itertools.cycle(itertools.product(_FINDINGS, _PLACES, _QUESTIONS))
    made = []
    for number, (finding, place, text) in zip(range(count), kinds, strict=False):
        size = f"{5 + number % 60} mm"
        said = chance.choice((finding, chance.choice(_FINDINGS)))
        where = chance.choice((place, chance.choice(_PLACES)))
        made.append(
            Question(text, f"{finding} in the {place}, {size}", f"{said} of the {where}, case {number}, about {size}")
        )
    return made


def measure(
    overrides: Sequence[str],
    console: Console,
    *,
    questions: int,
    without_call: float,
    config_dirs: Sequence[Path] = (),
) -> BenchResult:
    """Compose a training config, start its judge if it has a server, and time its answers.

    Raises:
        ConfigError: the config is wrong, or no judge answers.
        ServerError: the judge's server did not come up.
    """
    config = configs.compose_train(overrides, config_dirs)
    if missing := [problem for problem in configs.missing_keys(config) if problem.key.startswith("judge.")]:
        raise ConfigError(missing)
    if config.judge.client is None or "_target_" not in config.judge.client:
        raise ConfigError.of("judge=none", "no-judge", "there is no judge to bench; choose one, such as judge=vllm")
    if config.judge.client.get("base_url") == VERL_ROUTER:
        raise ConfigError.of(
            "judge=verl",
            "started-by-verl",
            "verl starts that judge itself; bench the same model with judge=vllm",
        )
    with _running(config, overrides, config_dirs, console) as ready:
        asked = make_questions(questions + _WARM_UP)
        with _progress(console) as progress:
            task = progress.add_task("judge", total=questions)
            return asyncio.run(_ask(ready, asked, without_call, lambda: progress.advance(task)))


@contextlib.contextmanager
def _running(
    config: DictConfig, overrides: Sequence[str], config_dirs: Sequence[Path], console: Console
) -> Iterator[DictConfig]:
    if config.judge.server is None:
        if problems := list(judge_problems(config)):
            raise ConfigError(problems)
        yield config
        return
    settings, log = judge_settings(config), new_log("medix-judge-")
    console.print(f"starting {settings.served_name} at {settings.address}; log: {log}", highlight=False)
    with served(settings, log):
        yield configs.compose_train([*overrides, *attached(config, settings)], config_dirs)


def _without_cache(client: DictConfig) -> Any:
    plain: Any = OmegaConf.to_container(client, resolve=True)
    for _, member in members(plain):
        member.pop("cache_path", None)  # synthetic questions do not belong into the cache on disk
    return plain


async def _ask(
    config: DictConfig, asked: Sequence[Question], without_call: float, advance: Callable[[], None]
) -> BenchResult:
    judge: Judge = instantiate(_without_cache(config.judge.client), "judge.client")
    failures: dict[str, int] = {}
    messages: list[str] = []

    async def one(question: Question) -> None:
        try:
            await judge.judge(question)
        except JudgeError as error:
            failures[type(error).__name__] = failures.get(type(error).__name__, 0) + 1
            messages.append(str(error))
        advance()

    try:
        await asyncio.gather(*(judge.judge(question) for question in asked[:_WARM_UP]), return_exceptions=True)
        before, start = judge.statistics(), time.monotonic()
        await asyncio.gather(*(one(question) for question in asked[_WARM_UP:]))
        seconds, after = time.monotonic() - start, judge.statistics()
    finally:
        await judge.aclose()
    counted = {
        name: value if name.startswith("latency") else value - before.get(name, 0.0) for name, value in after.items()
    }
    return BenchResult(
        model=str(config.judge.client.get("model", "several judges")),
        asked=len(asked) - _WARM_UP,
        seconds=seconds,
        failures=failures,
        first_failure=messages[0] if messages else None,
        statistics=counted,
        answers_per_step=config.data.train_batch_size * config.actor_rollout_ref.rollout.n,
        without_call=without_call,
    )


def show(result: BenchResult, rollout_seconds: float | None, console: Console) -> bool:
    """Print the figures and the verdict; return whether the judge keeps up, as in `verdict`."""
    table = Table("", "", show_header=False, box=None)
    numbers = result.statistics
    failed = ", ".join(f"{count} {kind}" for kind, count in result.failures.items()) or "none"
    rows = [
        ("answers", f"{result.answered} of {result.asked} in {result.seconds:.1f} s: {result.rate:.1f} a second"),
        ("tokens", f"{result.tokens_per_second:.0f} a second" if numbers["prompt_tokens"] else "the server tells none"),
        ("failures", failed),
        ("retries", f"{numbers['retries']:.0f}"),
        (
            "one step",
            f"{result.answers_per_step} answers (prompts x rollouts), of which {result.without_call:.0%} need no call "
            f"(--without-call): {result.calls_per_step} calls",
        ),
    ]
    if "latency_p50" in numbers:
        p50, p95, most = (1000 * numbers[f"latency_{name}"] for name in ("p50", "p95", "max"))
        rows.insert(1, ("latency", f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, longest {most:.0f} ms"))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    ok, sentence = verdict(result, rollout_seconds)
    console.print(f"[{'green' if ok else 'red'}]{sentence}[/]", highlight=False)
    return ok


def verdict(result: BenchResult, rollout_seconds: float | None) -> tuple[bool, str]:
    """Whether the judge keeps up (assumed when `rollout_seconds` is None and no call failed), and a sentence."""
    needed = result.seconds_per_step
    if needed is None:
        return False, f"The judge answered nothing: {result.first_failure}"
    judging = f"{result.calls_per_step} calls of one step take this judge {needed:.1f} s"
    if result.failures:
        return False, f"{judging}, but it failed {sum(result.failures.values())} times; first: {result.first_failure}"
    if rollout_seconds is None:
        return True, (
            f"{judging}; it keeps up with this recipe while the rollouts of a step take longer (--rollout-seconds)."
        )
    if needed <= rollout_seconds:
        return True, f"Yes: {judging}, and its rollouts {rollout_seconds:g} s."
    return False, (
        f"No: {judging}, but its rollouts only {rollout_seconds:g} s. Raise judge.client.concurrency, add servers "
        "(judge.client.base_urls), or take a smaller judge."
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
