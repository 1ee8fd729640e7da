"""The model servers of an evaluation: running ones given by address, or ones started for the length of a phase."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import httpx
from inspect_ai.model import GenerateConfig, Model

from medix_r1.errors import Problem
from medix_r1.evaluation.phases.ballots import VotingSettings
from medix_r1.evaluation.phases.generate_and_judge import decoding
from medix_r1.evaluation.phases.judging import first_questions
from medix_r1.evaluation.phases.model_api import open_model
from medix_r1.evaluation.settings import EvalSettings, JudgeAddress, ServedModel
from medix_r1.model_names import is_hub_name
from medix_r1.models.reading.faults import Fault, fault_of_body, fault_of_status, why
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.settings import key_problems
from medix_r1.serving import server
from medix_r1.serving.address import is_loopback
from medix_r1.serving.kept import served


@contextlib.contextmanager
def model_under_test(settings: EvalSettings, log: Path) -> Iterator[Callable[[], Model]]:
    """Serve the model under test for the length of a `with` block.

    Yields:
        A function that opens a client. Each inspect evaluation needs its own, because each has its own event loop.

    Raises:
        ServerError: a server that had to be started did not come up.
    """
    config = decoding(
        settings.decoding,
        connections=settings.connections,
        timeout=settings.timeout,
        attempts=settings.attempts,
    )
    revision = None if Path(settings.model).expanduser().is_dir() else settings.revision
    with _address(settings.model, settings.base_url, settings.server, revision, log) as address:
        key = settings.api_key_env if settings.base_url else None
        yield lambda: open_model(settings.model, address, key, config)


@contextlib.contextmanager
def judges(settings: EvalSettings, log: Path) -> Iterator[Callable[[], list[Model]]]:
    """Serve the judges for the length of a `with` block.

    Yields:
        A function that opens a client of each judge, in the order of the settings.

    Raises:
        ServerError: a server that had to be started did not come up.
    """
    judge, config = settings.judge, _judge_decoding(settings)
    with contextlib.ExitStack() as stack:
        opened: list[tuple[JudgeAddress, str]] = []
        for each in judge.judges:
            revision = None if Path(each.model).expanduser().is_dir() else each.revision
            context = _address(each.model, each.base_url, judge.server, revision, log)
            opened.append((each, stack.enter_context(context)))
        yield lambda: [open_model(each.model, address, each.api_key_env, config) for each, address in opened]


@contextlib.contextmanager
def _address(
    model: str, base_url: str | None, settings: ServedModel | None, revision: str | None, log: Path
) -> Iterator[str]:
    if base_url is not None:
        yield base_url
        return
    assert settings is not None
    pinned = ["--revision", revision] if revision else []
    server_settings = server.ServerSettings(
        model=str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model,
        served_name=model,
        port=server.free_port(),
        start_timeout=settings.start_timeout,
        arguments=[*map(str, settings.arguments), *pinned],
        environment=dict(settings.environment or {}),
    )
    with served(server_settings, log):
        yield f"{server_settings.address}/v1"


def unready_judges(settings: EvalSettings, voting: VotingSettings, scorers: Collection[str]) -> list[Problem]:
    """Problems of the judges that must be running now: each is asked one easy question of each kind that is needed."""
    judge, wrong, opened = settings.judge, list[Problem](), dict[str, Model]()
    config = _judge_decoding(settings)
    for index, each in enumerate(judge.judges):
        if each.base_url is None:
            continue  # started when the model's server has ended
        if found := unreachable(f"judge.judges[{index}].", each.model, each.base_url, each.api_key_env):
            wrong += found
        else:
            opened[f"judge.judges[{index}]"] = open_model(each.model, each.base_url, each.api_key_env, config)
    ours = {"report", "rubric"} & set(scorers)
    kinds = ours | ({"short"} if set(scorers) - ours else set()) | ({"short"} if voting.reasoning else set())
    return wrong + asyncio.run(first_questions(opened, voting, kinds))


def _judge_decoding(settings: EvalSettings) -> GenerateConfig:
    judge = settings.judge
    parameters: dict[str, Any] = {
        "temperature": judge.temperature,
        "top_p": judge.top_p,
        "max_tokens": judge.max_tokens,
        "extra_body": dict(judge.extra_body) or None,
    }
    return decoding(parameters, connections=judge.connections, timeout=judge.timeout, attempts=judge.attempts)


def problems(settings: EvalSettings) -> list[Problem]:
    """Problems of API keys, addresses and folders of the model and the judges, found without calling a server."""
    found = _problems("", settings.model, settings.base_url, settings.api_key_env)
    return found + judge_problems(settings)


def judge_problems(settings: EvalSettings) -> list[Problem]:
    """The same for the judges only."""
    found: list[Problem] = []
    for index, judge in enumerate(settings.judge.judges):
        found += _problems(f"judge.judges[{index}].", judge.model, judge.base_url, judge.api_key_env)
    return found


def _problems(prefix: str, model: str, base_url: str | None, key: str | None) -> list[Problem]:
    if wrong := key_problems(f"{prefix}api_key_env", key):
        return wrong
    if base_url is not None:
        if base_url.startswith(("http://", "https://")):
            return []
        says = f"{base_url!r} is no address; it begins with http:// and ends in /v1"
        return [Problem(f"{prefix}base_url", "not-an-address", says)]
    folder = Path(model).expanduser()
    if folder.is_dir():
        if code := [path.name for path in folder.glob("*.py")]:
            says = f"{model} brings Python files ({', '.join(code)}), which are never run"
            return [Problem(f"{prefix}model", "brings-code", says)]
    elif not is_hub_name(model):
        return [Problem(f"{prefix}model", "no-such-file", f"the folder {model} does not exist")]
    return []


def unreachable(prefix: str, model: str, base_url: str | None, key: str | None) -> list[Problem]:
    """Problems of a server that must be running now: it does not answer, or does not serve the model."""
    if base_url is None:
        return []
    headers = {"Authorization": f"Bearer {os.environ[key]}"} if key else {}
    sent = SentTexts(lambda: (), [os.environ[key]] if key else [])
    try:
        with httpx.Client(trust_env=not is_loopback(base_url), timeout=10.0) as client:
            reply = client.get(f"{base_url.rstrip('/')}/models", headers=headers)
    except httpx.HTTPError as error:
        says = f"no model server answers at {base_url} ({why(error, sent).text}); start one first"
        return [Problem(f"{prefix}base_url", "no-answer", says)]
    if reply.status_code != 200:
        problem = fault_of_status(reply.status_code, reply.content, sent).problem()
        where = "api_key_env" if problem.code == "wrong-key" else "base_url"
        return [Problem(f"{prefix}{where}", problem.code, f"{base_url}/models: {problem.text}")]
    try:
        names = [str(entry["id"]) for entry in reply.json()["data"]]
    except (ValueError, LookupError, TypeError):
        fault = fault_of_body(reply.content, sent) or Fault("no-list", "HTTP 200 without a list of models")
        says = f"{base_url}/models: {fault.problem().text}; base_url ends in /v1"
        return [Problem(f"{prefix}base_url", "no-answer", says)]
    if model in names:
        return []
    return [Problem(f"{prefix}model", "serves-another-model", f"{base_url} serves {', '.join(names[:5])}, not {model}")]
