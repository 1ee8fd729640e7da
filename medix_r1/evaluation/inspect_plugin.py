"""What inspect finds through its entry point: our provider `medix/NAME`, and every task of configs/eval/task.

    inspect eval medix_r1/slake_vqa --model medix/NAME --model-base-url URL --model-role grader=PROVIDER/JUDGE

That command generates and scores in one pass, with inspect's logs, retries and `inspect view`. `medix-r1 eval` adds
separate phases that resume, and statistics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, Model, model_roles
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from medix_r1.errors import ConfigError
from medix_r1.evaluation.benchmarks import sources
from medix_r1.evaluation.benchmarks.items import Item, load_items
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.phases.ballots import VotingSettings
from medix_r1.evaluation.phases.generate_and_judge import as_score
from medix_r1.evaluation.phases.judge_free import judge_free_score
from medix_r1.evaluation.phases.judging import ask_votes
from medix_r1.evaluation.phases.messages import PromptName, earlier_turns, message_text, user_message
from medix_r1.evaluation.phases.model_api import medix
from medix_r1.evaluation.phases.replies import parse_reply
from medix_r1.evaluation.settings import known_tasks
from medix_r1.grammar import ThinkElement

__all__ = ["medix"]


def _task_of(spec: TaskSpec) -> Callable[..., Task]:
    def make(
        data_dir: str | None = None,
        file: str | None = None,
        revision: str | None = None,
        prompt: PromptName = "training",
        think_element: ThinkElement = "thinking",
        votes: int = 3,
    ) -> Task:
        """One benchmark; `file` or `data_dir` read it from local files instead of the hub."""
        chosen = {"file": file} | ({"revision": revision} if revision else {})
        wanted = TaskSpec(**{**_fields(spec), **chosen})
        folder = sources.check_data_dir(data_dir)
        if problems := sources.problems(wanted, folder):
            raise ConfigError(problems)
        data = load_items(wanted, data_dir=folder, cache_dir=Path("outputs/eval/.images"))
        items = {item.id: item for item in data.items}
        samples = [
            Sample(id=item.id, input=message_text(item, prompt, think_element), target=item.letter or item.reference)
            for item in data.items
        ]
        return Task(
            dataset=MemoryDataset(samples, name=wanted.name),
            solver=_ask(items, prompt, think_element),
            scorer=_judge(items, wanted.scorer, prompt, think_element, votes),
            config=GenerateConfig(temperature=0.0, max_tokens=4096, seed=1),
            metadata={"data_revision": data.revision},
        )

    make.__name__ = make.__qualname__ = spec.name
    return task(name=spec.name)(make)


def _fields(spec: TaskSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def _ask(items: Mapping[str, Item], prompt: PromptName, think_element: ThinkElement) -> Solver:
    @solver(name="ask_with_images")
    def ask() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            item = items[str(state.sample_id)]
            question = await asyncio.to_thread(user_message, item, prompt, think_element)
            state.messages = [*earlier_turns(item), question]
            return await generate(state)

        return solve

    return ask()


def _judge(items: Mapping[str, Item], kind: str, prompt: PromptName, think_element: ThinkElement, votes: int) -> Scorer:
    settings = VotingSettings(seeds=tuple(range(1, votes + 1)))

    @scorer(name="medix_judge", metrics=[mean(), stderr()])
    def judge() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            item = items[str(state.sample_id)]
            reply = parse_reply(
                state.output.completion,
                None,
                prompt=prompt,
                think_element=think_element,
                has_image=bool(item.images),
            )
            judges = _graders() if judge_free_score(item, reply, kind) is None else []
            return as_score(await ask_votes(item, reply, kind, judges, settings))

        return score

    return judge()


def _graders() -> list[Model]:
    graders = model_roles().get("grader")
    if not graders:
        raise ConfigError.of("", "no-judge", "no judge: give one with --model-role grader=PROVIDER/NAME")
    return graders if isinstance(graders, list) else [graders]


for _spec in known_tasks().values():
    globals()[_spec.name] = _task_of(_spec)
