"""The LLM judge: does a prediction mean the same as the reference? YES or NO, from any OpenAI-compatible server.

A call ends in a `Verdict` or in a `JudgeError`; a failed call never scores 0. Equal questions in flight are
deduplicated and verdicts are cached, because the rollouts of a group often give equal answers. Both work per
`ChatJudge` object; training/verl_plugin/scorer.py shares one among all reward workers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from medix_r1 import prompts
from medix_r1.errors import ConfigError, JudgeRejected, JudgeUnavailable, Problem
from medix_r1.models.connection import Call, Connection, to_json
from medix_r1.models.open_questions import written
from medix_r1.models.reading.reply_text import Message, message_of
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.reading.unreadable import why_unreadable
from medix_r1.models.response_cache import ResponseCache
from medix_r1.models.settings import connection_problems, count_problems, key_problems
from medix_r1.models.verdict import Judge, OpenQuestion, Question, Verdict, parse_verdict, yes_probability

__all__ = ["ChatJudge", "Judge", "Question", "Verdict"]

logger = logging.getLogger(__name__)

Thinking = Literal["disabled", "cut", "default"]
Mode = Literal["binary", "probability"]
_TOP_LOGPROBS = 20  # vLLM's default maximum
_SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


class ChatJudge:
    """Asks a chat-completions server for a verdict.

    Args:
        base_url: address of the server, ending in `/v1`.
        base_urls: further servers of the same model; each call goes to the one with the fewest in flight.
        model: name of the model as the servers know it.
        revision: of the model; used only as a part of the cache key.
        prompt: name of a file in `medix_r1/prompts/`.
        mode: `binary` takes YES or NO from the reply (reply_text.py), `probability` P(YES) / (P(YES) + P(NO)) of the
            first token.
        api_key_env: name of the environment variable that holds the key, or None for a server without one.
        max_tokens: maximum tokens of a reply; with `thinking=cut` they include the thinking.
        constrained: let the server generate only YES or NO (vLLM's structured outputs). If the server refuses this,
            later requests go without it, and the log says so.
        thinking: `disabled` turns thinking off in the chat template, `cut` lets the model think and removes it from the
            reply, `default` sends no setting.
        concurrency: maximum calls in flight, over all servers.
        requests_per_minute, tokens_per_minute: rate limits over all servers; None for no limit.
        timeout: seconds for one call.
        patience: seconds in which all calls fail until the judge is given up.
        unknown_model_patience: seconds in which all calls are answered with an unknown model until the same.
        parse_attempts: calls until an unreadable reply is given up.
        cache_size: verdicts cached in memory.
        cache_path: folder of a disk cache that runs and processes share, or None.
        price_prompt, price_completion: money per million tokens; None counts no cost.
        cost_cap: money after which the run stops; needs both prices.

    Raises:
        ConfigError: all problems of these settings.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        base_urls: Sequence[str] = (),
        revision: str | None = None,
        prompt: str = "match",
        mode: Mode = "binary",
        api_key_env: str | None = None,
        max_tokens: int = 4,
        constrained: bool = True,
        thinking: Thinking = "disabled",
        concurrency: int = 64,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 60.0,
        patience: float = 600.0,
        unknown_model_patience: float = 30.0,
        parse_attempts: int = 3,
        cache_size: int = 200_000,
        cache_path: str | None = None,
        price_prompt: float | None = None,
        price_completion: float | None = None,
        cost_cap: float | None = None,
    ) -> None:
        urls = [base_url, *base_urls]
        limits: dict[str, Any] = {
            "concurrency": concurrency,
            "timeout": timeout,
            "patience": patience,
            "unknown_model_patience": unknown_model_patience,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "price_prompt": price_prompt,
            "price_completion": price_completion,
            "cost_cap": cost_cap,
        }
        problems = [
            *_problems(mode, constrained, thinking),
            *_prompt_problems(prompt),
            *connection_problems("judge.client", urls, limits),
            *count_problems(
                "judge.client", max_tokens=max_tokens, parse_attempts=parse_attempts, cache_size=cache_size
            ),
            *key_problems("judge.client.api_key_env", api_key_env),
        ]
        if problems:
            raise ConfigError(problems)
        self.model, self.mode, self.parse_attempts = model, mode, parse_attempts
        self._templates: dict[str | None, str] = {None: prompts.load(prompt)}
        self._base, self._extensions = _request(model, mode, max_tokens, constrained, thinking)
        self._level, self._level_known = 0, False  # index of the extensions that the server accepts
        identity = [model, revision, self._templates[None], self._base, constrained, thinking, mode]
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        self._cache = ResponseCache(cache_size, cache_path)
        self._in_flight: dict[bytes, tuple[asyncio.Task[Any], list[asyncio.Future[Any]]]] = {}
        self.cache_hits = self.shared = self.rejected = 0
        self._connection = Connection(
            name="judge",
            urls=urls,
            api_key=os.environ[api_key_env] if api_key_env else None,
            unavailable=JudgeUnavailable,
            rejected=JudgeRejected,
            **limits,
        )

    def judge(self, question: Question) -> asyncio.Future[Verdict]:
        """Ask for the verdict on one question; the call is in flight when this returns.

        Returns:
            A future of the caller's own: cancelling it does not cancel the call for others with an equal question.

        Raises:
            JudgeUnavailable: all calls failed for `patience` seconds.
            BudgetSpent: the cost cap is reached.
            JudgeRejected: the server refuses this request, or its replies cannot be read.
        """
        key = self._key(question)
        return self._once(key, lambda known: Verdict(*known), lambda: self._find_or_ask(key, question))

    def write(self, question: OpenQuestion) -> asyncio.Future[str]:
        """Ask for a text; it is deduplicated and cached as verdicts are. Sampling is greedy, and nothing constrains it.

        Raises:
            JudgeUnavailable, BudgetSpent, JudgeRejected: as of `judge`.
        """
        digest = self._identity.copy()
        digest.update(to_json(["open", question.text, question.max_tokens]))
        key = digest.digest()[:16]
        return self._once(key, lambda known: str(known[0]), lambda: self._write(key, question))

    def _once(
        self, key: bytes, of_known: Callable[[Any], Any], ask: Callable[[], Coroutine[Any, Any, Any]]
    ) -> asyncio.Future[Any]:
        """A future of the caller's own: of what is cached, of an equal question in flight, or of a new call."""
        own: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if (known := self._cache.get(key)) is not None:
            self.cache_hits += 1
            own.set_result(of_known(known))
        elif (asked := self._in_flight.get(key)) is not None:
            self.shared += 1
            asked[1].append(own)
        else:
            task = asyncio.create_task(ask())
            self._in_flight[key] = task, [own]
            task.add_done_callback(partial(self._finished, key))
        return own

    def _finished(self, key: bytes, task: asyncio.Task[Any]) -> None:
        _, waiting = self._in_flight.pop(key)
        error = None if task.cancelled() else task.exception()
        for future in waiting:
            if future.done():
                continue
            if task.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
                future.exception()  # mark as retrieved, or asyncio logs an error if no caller is left
            else:
                future.set_result(task.result())

    def _template(self, name: str | None) -> str:
        if name not in self._templates:
            self._templates[name] = prompts.load(str(name))
        return self._templates[name]

    def _key(self, question: Question) -> bytes:
        images = [hashlib.sha256(image).hexdigest() for image in question.images]
        fields: list[Any] = [question.question, question.reference, question.prediction, question.choices, images]
        digest = self._identity.copy()  # saves hashing the prompt's text again
        if question.text is not None:
            fields.append(question.text)
        elif question.prompt is not None:
            digest.update(self._template(question.prompt).encode())
        digest.update(to_json(fields))
        return digest.digest()[:16]

    async def _find_or_ask(self, key: bytes, question: Question) -> Verdict:
        if self._cache.on_disk and (known := await self._cache.get_from_disk(key)) is not None:
            return Verdict(*known)
        text = question.text if question.text is not None else self._filled(question)
        for _ in range(self.parse_attempts):
            verdict, message = await self._complete(text, question.images)
            if verdict is not None:
                await self._cache.put(key, [verdict.matches, verdict.reply, verdict.probability])
                return verdict
        self.rejected += 1
        wanted = "YES or NO beyond doubt" if self.mode == "binary" else "YES or NO by its first token"
        sent = SentTexts.of(question.question, question.reference, question.prediction, *question.choices)
        problem = why_unreadable(message, self._base["max_tokens"], wanted, sent)
        raise JudgeRejected.from_problem(replace(problem, text=f"judge {self.model} {problem.text}"))

    def _filled(self, question: Question) -> str:
        return prompts.fill(
            self._template(question.prompt),
            question=question.question,
            reference=question.reference,
            prediction=question.prediction,
            options=prompts.options(question.choices),
        )

    async def _write(self, key: bytes, question: OpenQuestion) -> str:
        if self._cache.on_disk and (known := await self._cache.get_from_disk(key)) is not None:
            return str(known[0])
        free = {name: value for name, value in self._extensions[0].items() if name != "structured_outputs"}
        try:
            text = await written(question, self._connection, self.model, free, self.parse_attempts)
        except JudgeRejected:
            self.rejected += 1
            raise
        await self._cache.put(key, [text])
        return text

    async def _complete(self, text: str, images: Sequence[bytes]) -> tuple[Verdict | None, Message]:
        level = self._level
        while True:
            call = Call(
                "chat/completions",
                self.model,
                partial(self._body, text, images, self._extensions[level]),
                self._read,
                characters=len(text),
                max_tokens=self._base["max_tokens"],
            )
            try:
                answer = await self._connection.post(call)
            except JudgeRejected as error:
                last = self._level if self._level_known else len(self._extensions) - 1
                if error.status not in (400, 422) or level >= last:
                    raise
                level += 1
                continue
            self._remember_level(level)
            return answer

    def _body(self, text: str, images: Sequence[bytes], extensions: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._base, **extensions, "messages": [{"role": "user", "content": _content(text, images)}]}

    def _remember_level(self, level: int) -> None:
        """Note which extensions the server accepts, after the first call that succeeds; log those that it refuses."""
        if self._level_known:
            return
        self._level, self._level_known = level, True
        if refused := self._extensions[0].keys() - self._extensions[level].keys():
            logger.warning("the judge refuses %s; it is asked without from now on", " and ".join(sorted(refused)))

    def _read(self, reply: Mapping[str, Any]) -> tuple[Verdict | None, Message]:
        """Parse a chat completion: the verdict, None when it is neither YES nor NO, and the reply."""
        first = reply["choices"][0]
        message = message_of(first)
        text = message.text
        if self.mode == "binary":
            matches = parse_verdict(text)
            return (None if matches is None else Verdict(matches, text)), message
        if not (first.get("logprobs") or {}).get("content"):
            raise JudgeUnavailable(
                f"judge {self.model} gives no log-probabilities; set judge.client.mode=binary, or serve it elsewhere",
                code="no-log-probabilities",
            )
        probability = yes_probability(first["logprobs"]["content"][0]["top_logprobs"])
        return (None if probability is None else Verdict(probability >= 0.5, text, probability)), message

    def statistics(self) -> dict[str, float]:
        """Counters and latencies (seconds) so far, by name.

        `cache_hits` counts verdicts from memory, `disk_hits` from disk, `shared` from an equal question in flight.
        """
        return self._connection.usage.statistics() | {
            "cache_hits": float(self.cache_hits),
            "disk_hits": float(self._cache.disk_hits),
            "shared": float(self.shared),
            "rejected": float(self.rejected),
        }

    async def aclose(self) -> None:
        """Close the connection pool and the cache."""
        await self._connection.aclose()
        self._cache.close()


def _prompt_problems(prompt: str) -> list[Problem]:
    try:
        prompts.load(prompt)
    except ConfigError as error:
        return [problem.below("judge.client.prompt") for problem in error.problems]
    return []


def _problems(mode: str, constrained: bool, thinking: str) -> list[Problem]:
    problems = []
    if mode not in ("binary", "probability"):
        problems.append(Problem("judge.client.mode", "not-a-choice", f"'{mode}' is neither binary nor probability"))
    if thinking not in ("disabled", "cut", "default"):
        problems.append(
            Problem("judge.client.thinking", "not-a-choice", f"'{thinking}' is none of disabled, cut, default")
        )
    if constrained and thinking == "cut":
        problems.append(
            Problem(
                "judge.client.constrained",
                "constrained-cannot-think",
                "a constrained judge cannot think; set it to false",
            )
        )
    if mode == "probability" and thinking == "cut":
        problems.append(
            Problem(
                "judge.client.mode",
                "probability-cannot-think",
                "probability reads the first token, so the judge cannot think first",
            )
        )
    return problems


def _request(
    model: str, mode: Mode, max_tokens: int, constrained: bool, thinking: Thinking
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fields of every request, and sets of vLLM's extensions from all to none, for servers that refuse some."""
    base: dict[str, Any] = {"model": model, "temperature": 0.0, "max_tokens": max_tokens}
    if mode == "probability":
        base |= {"max_tokens": 1, "logprobs": True, "top_logprobs": _TOP_LOGPROBS}
    extensions: list[dict[str, Any]] = [{}]
    if thinking == "disabled":
        extensions.insert(0, {"chat_template_kwargs": {"enable_thinking": False}})
    if constrained:
        extensions.insert(0, {**extensions[0], "structured_outputs": {"choice": ["YES", "NO"]}})
    return base, extensions


def _content(text: str, images: Sequence[bytes]) -> str | list[dict[str, Any]]:
    """Message content: plain text, or the images before it."""
    if not images:
        return text
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
    return [*parts, {"type": "text", "text": text}]


def _data_url(image: bytes) -> str:
    kind = next((kind for signature, kind in _SIGNATURES.items() if image.startswith(signature)), None)
    if kind is None:
        raise JudgeRejected("the image is none of PNG, JPEG, WebP, GIF", code="not-an-image")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
