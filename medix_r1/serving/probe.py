"""Asks judge and embedder one real question with the run's own client, and finds out why none is answered."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from medix_r1.composing import instantiate
from medix_r1.errors import EmbedderError, JudgeError, Problem
from medix_r1.models.judge import Question
from medix_r1.models.reading.faults import server_sentence
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.serving.context import context_problems

Kind = Literal["judge", "embedder"]
QUESTION = Question("Which side is affected?", "left lung", "the left lung")
_TIMEOUT = 30.0  # seconds, at most, for the question
_LOOK = 5.0  # seconds for a look at the list of models
_PATIENCE = 5.0  # seconds, for a server that is busy
_FIRST = 8  # names of models that a message lists
_NOT_HTTP = (OSError, http.client.HTTPException, ValueError)
_REQUESTS: Mapping[Kind, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "judge": lambda model: (
        "chat/completions",
        {"model": model, "messages": [{"role": "user", "content": "Say YES."}], "max_tokens": 4},
    ),
    "embedder": lambda model: ("embeddings", {"model": model, "input": ["left lung"]}),
}


def server_problems(
    node: Mapping[str, Any], key: str, kind: Kind, hint: str = "", *, ask: bool = True
) -> Iterator[Problem]:
    """Problems of each address of a client, found by one question to each.

    Args:
        node: the client's resolved settings, with `_target_`.
        key: their config key, such as `judge.client`.
        kind: what is asked.
        hint: what to do where nobody answers.
        ask: False asks no question and only looks at the list of models.
    """
    for number, address in enumerate([node["base_url"], *(node.get("base_urls") or ())]):
        name = f"{key}.base_url" if number == 0 else f"{key}.base_urls[{number - 1}]"
        one = {**node, "base_url": address}
        server = _Server(str(address).rstrip("/"), os.environ.get(str(node.get("api_key_env"))))
        if (names := server.models()) and str(node["model"]) not in names:
            yield _another_model(server, names, node, key)
            continue
        if names and (too_long := list(context_problems(one, key, names[str(node["model"])]))):
            yield from too_long
            continue
        if (names is not None and not ask) or (ask and _ask(one, key, kind, patience=0.0) is None):
            continue
        if (problem := _reason(server, name, one, key, kind, hint)) is not None:
            yield problem
        elif ask and (failure := _ask(one, key, kind, patience=_PATIENCE)) is not None:
            yield _not_answered(failure, server, name, key, kind)


def _not_answered(failure: Problem, server: _Server, name: str, key: str, kind: Kind) -> Problem:
    if failure.code == "no-log-probabilities":
        says = f"probability needs log-probabilities, which {server.address} does not send; serve the model with vLLM, "
        return Problem(f"{key}.mode", failure.code, f"{says}or set it to binary (not the small judge of a cascade)")
    return Problem(name, "question-not-answered", f"the {kind} does not answer a question: {failure.text}")


def _ask(node: Mapping[str, Any], key: str, kind: Kind, *, patience: float) -> Problem | None:
    """Ask one question, past the cache; returns why there is no answer, None if there is one."""
    own: dict[str, Any] = {"base_urls": [], "patience": patience, "unknown_model_patience": patience}
    own["timeout"] = min(float(node.get("timeout") or _TIMEOUT), _TIMEOUT)
    ours = str(node["_target_"]).startswith("medix_r1.models.")
    plain = {**node, **{name: value for name, value in own.items() if ours or name in node}}
    plain.pop("cache_path", None)  # an answer of before says nothing of the server
    client: Any = instantiate(plain, key)

    async def asked() -> None:
        try:
            async with asyncio.timeout(_TIMEOUT + patience):
                if kind == "judge":
                    await client.judge(QUESTION)
                else:
                    await client.similarity(QUESTION.prediction, QUESTION.reference)
        finally:
            await client.aclose()

    try:
        asyncio.run(asked())
    except (JudgeError, EmbedderError) as error:
        return Problem("", error.code, str(error))
    except TimeoutError:
        return Problem("", "timed-out", f"nothing within {_TIMEOUT + patience:g} s")
    return None


@dataclass(frozen=True, slots=True)
class _Server:
    """An address, without a final slash, and the key to send."""

    address: str
    secret: str | None

    def call(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int | None, bytes]:
        """Status and body of one GET, or of a POST of `body`; the status is None if no HTTP server answers."""
        try:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{self.address}/{path}", data, {"Content-Type": "application/json"})
            if self.secret:
                request.add_header("Authorization", f"Bearer {self.secret}")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxies of the environment
            with opener.open(request, timeout=_LOOK if body is None else _TIMEOUT) as reply:
                return int(reply.status), reply.read()
        except urllib.error.HTTPError as error:
            with error:  # it is the reply, with its connection
                return error.code, error.read()
        except _NOT_HTTP:
            return None, b""

    def models(self) -> Mapping[str, int | None] | None:
        """The models that it lists → tokens of each one's context, which vLLM alone says; None if it lists none."""
        try:
            listed = json.loads(self.call("models")[1])["data"]
            contexts = {str(model["id"]): model.get("max_model_len") for model in listed}
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        return {name: said if isinstance(said, int) else None for name, said in contexts.items()}


def _reason(server: _Server, name: str, node: Mapping[str, Any], key: str, kind: Kind, hint: str) -> Problem | None:
    """What is wrong with address, key or model, by a request of a few words; None if it is something else."""
    model, at = str(node["model"]), server.address
    path, request = _REQUESTS[kind](model)
    status, body = server.call(path, request)
    said = server_sentence(body, SentTexts.of_body(lambda: request, server.secret))
    if status is None:
        return Problem(name, "no-answer", f"no {kind} answers at {at}{hint}")
    if status in (401, 403):
        another = "another" if server.secret else "a"
        return Problem(
            name,
            "wants-a-key",
            f"{at} answers {status} ({said}): it wants {another} key; put it into a variable and name that as "
            f"{key}.api_key_env",
        )
    names = server.models()
    if status == 404 and model in said:
        return _another_model(server, names or {}, node, key)
    return _wrong_path(server, name, kind, status) if names is None and status in (200, 404, 405) else None


def _another_model(server: _Server, names: Collection[str], node: Mapping[str, Any], key: str) -> Problem:
    more = f" and {len(names) - _FIRST} more" if len(names) > _FIRST else ""
    serves = f"serves {', '.join([*names][:_FIRST])}{more}, not" if names else "does not know"
    return Problem(f"{key}.model", "serves-another-model", f"{server.address} {serves} {node['model']}")


def _wrong_path(server: _Server, name: str, kind: Kind, status: int) -> Problem:
    at, path = server.address, _REQUESTS[kind]("")[0]
    for better in (f"{at}/v1", at.removesuffix(f"/{path}"), f"{at.partition('/v1')[0]}/v1"):
        other = _Server(better, server.secret)
        if better != at and (other.models() is not None or other.call("models")[0] in (401, 403)):
            return Problem(name, "wrong-path", f"{at} is not the address of a model server's API; use {better}")
    return Problem(
        name,
        "wrong-path",
        f"{at}/{path} answers {status} as no model server does; the address of such an API ends in /v1",
    )
