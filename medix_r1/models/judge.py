"""The LLM judge: does a prediction mean the same as the reference? YES or NO, from any OpenAI-compatible server.

A judge that fails is not a wrong answer: a call ends in a `Verdict` or in a `JudgeError`, never in a made-up score.
Equal questions in flight are asked once and answers are kept, because a group of rollouts repeats itself; both hold
for the whole job, since `reward.num_workers` is 1 and a training step's calls all run in that worker's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import openai
from cachetools import LRUCache
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential
from tenacity.stop import stop_after_delay

from medix_r1 import prompts
from medix_r1.errors import ConfigError, JudgeError, JudgeRejected, JudgeUnavailable

logger = logging.getLogger(__name__)

Thinking = Literal["disabled", "cut", "default"]
_FIRST_WORD = re.compile(r"\s*[*_\"'(\[]{0,4}([A-Za-z]+)")
_NO_KEY = "none"  # the client insists on a value; a server without authentication ignores it
_WAITING_NOTE_AFTER = 5.0  # seconds: a connection that the server closed while idle is no news
_WAITING_NOTE_EVERY = 15.0  # seconds between two notes that training waits for the judge


@dataclass(frozen=True, slots=True)
class Question:
    """What the judge is asked about. Texts are raw; the prompt defuses them."""

    question: str
    reference: str
    prediction: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer; `reply` is what the server sent, for the samples file."""

    matches: bool
    reply: str


def parse_verdict(reply: str) -> bool | None:
    """Read YES or NO as the first word after any thinking; everything else is None, not a guess."""
    match = _FIRST_WORD.match(strip_thinking(reply))
    return {"YES": True, "NO": False}.get(match[1].upper()) if match else None


def strip_thinking(reply: str) -> str:
    """Cut a leading think block; an unfinished one leaves nothing to read a verdict from."""
    if "</think>" in reply:
        return reply.rsplit("</think>", 1)[1]
    return "" if reply.lstrip().startswith("<think>") else reply


class ChatJudge:
    """Asks a chat-completions server for a verdict.

    Args:
        base_url: address of the server, ending in `/v1`.
        model: name of the model as the server knows it.
        prompt: name of a file in `medix_r1/prompts/`.
        api_key_env: name of the environment variable that holds the key, or None for a server without one.
        max_tokens: tokens of a reply; with `thinking=cut` this must hold the thinking as well.
        constrained: ask the server to generate nothing but YES or NO (vLLM's structured outputs).
        thinking: `disabled` tells the chat template not to think, `cut` lets the model think and cuts it off,
            `default` says nothing to the server.
        concurrency: calls in flight at once.
        timeout: seconds for one call.
        patience: seconds of retrying before a server that is down counts as an outage.
        parse_attempts: calls until an unreadable reply is given up.
        cache_size: verdicts kept in memory.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        prompt: str = "match",
        api_key_env: str | None = None,
        max_tokens: int = 4,
        constrained: bool = True,
        thinking: Thinking = "disabled",
        concurrency: int = 64,
        timeout: float = 60.0,
        patience: float = 600.0,
        parse_attempts: int = 3,
        cache_size: int = 200_000,
    ) -> None:
        if constrained and thinking == "cut":
            raise ConfigError(["judge.client.constrained: a constrained judge cannot think; set it to false"])
        self.model, self.patience, self.parse_attempts = model, patience, parse_attempts
        self.calls = self.cache_hits = self.failures = 0
        self.latencies: deque[float] = deque(maxlen=4096)
        self._template = prompts.load(prompt)
        self._parameters = _request_parameters(model, max_tokens, constrained, thinking)
        self._slots = asyncio.Semaphore(concurrency)
        self._cache: LRUCache[Question, Verdict] = LRUCache(cache_size)
        self._in_flight: dict[Question, asyncio.Task[Verdict]] = {}
        self._last_note = 0.0
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=_api_key(api_key_env),
            max_retries=0,  # tenacity below, which knows how long training may wait
            timeout=timeout,
            # no proxy from the environment: prompts go to `base_url` and nowhere else
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False, timeout=timeout),
        )

    async def judge(self, question: Question) -> Verdict:
        """Return the verdict on one question.

        Raises:
            JudgeUnavailable: the server stayed unreachable for `patience` seconds.
            JudgeRejected: the server refuses this request, or its replies cannot be read.
        """
        if (known := self._cache.get(question)) is not None:
            self.cache_hits += 1
            return known
        task = self._in_flight.get(question)
        if task is None:
            task = asyncio.create_task(self._ask(question))
            self._in_flight[question] = task
            task.add_done_callback(lambda _: self._in_flight.pop(question, None))
        else:
            self.cache_hits += 1
        return await asyncio.shield(task)

    async def _ask(self, question: Question) -> Verdict:
        text = prompts.fill(
            self._template,
            question=question.question,
            reference=question.reference,
            prediction=question.prediction,
        )
        for _ in range(self.parse_attempts):
            reply = await self._complete_with_retries(text)
            if (matches := parse_verdict(reply)) is not None:
                verdict = self._cache[question] = Verdict(matches, reply)
                return verdict
        self.failures += 1
        raise JudgeRejected(f"judge {self.model} answered {reply[:80]!r}, which starts with neither YES nor NO")

    async def _complete_with_retries(self, text: str) -> str:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(JudgeUnavailable),
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(multiplier=0.5, max=10.0),
            before_sleep=self._say_waiting,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    async with self._slots:
                        return await self._complete(text)
        except JudgeError:
            self.failures += 1
            raise
        raise AssertionError("unreachable: tenacity returns or raises")

    async def _complete(self, text: str) -> str:
        self.calls += 1
        start = time.monotonic()
        try:
            completion = await self._client.chat.completions.create(
                messages=[{"role": "user", "content": text}], **self._parameters
            )
            reply = completion.choices[0].message.content or ""
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            raise JudgeUnavailable(f"judge at {self._client.base_url}: {self._without_key(error)}") from error
        except openai.APIStatusError as error:
            if error.status_code in (404, 408, 409, 425):  # 404: a server that restarts with its model still loading
                raise JudgeUnavailable(f"judge at {self._client.base_url}: {self._without_key(error)}") from error
            raise JudgeRejected(f"judge at {self._client.base_url} refused: {self._without_key(error)}") from error
        except (openai.APIError, ValueError, TypeError, IndexError, AttributeError) as error:
            # a body that is no chat completion: cut short, or garbage from something that is not a judge
            raise JudgeUnavailable(
                f"judge at {self._client.base_url} sent no chat completion: {self._without_key(error)}"
            ) from error
        self.latencies.append(time.monotonic() - start)
        return reply

    def _without_key(self, error: Exception) -> str:
        """What went wrong; some servers repeat the key in their answer, and this text goes into files."""
        key = self._client.api_key
        return str(error) if key == _NO_KEY else str(error).replace(key, "***")

    def _say_waiting(self, state: RetryCallState) -> None:
        now, waited = time.monotonic(), state.seconds_since_start or 0.0
        if waited > _WAITING_NOTE_AFTER and now - self._last_note > _WAITING_NOTE_EVERY:
            self._last_note = now
            error = state.outcome.exception() if state.outcome else None
            logger.warning("waiting for the judge (%.0f of at most %.0f s): %s", waited, self.patience, error)

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._client.close()


def _api_key(variable: str | None) -> str:
    if variable is None:
        return _NO_KEY
    if not os.environ.get(variable):
        raise ConfigError([f"judge.client.api_key_env: the environment variable {variable} is not set"])
    return os.environ[variable]


def _request_parameters(model: str, max_tokens: int, constrained: bool, thinking: Thinking) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if constrained:
        extra["structured_outputs"] = {"choice": ["YES", "NO"]}
    if thinking == "disabled":
        extra["chat_template_kwargs"] = {"enable_thinking": False}
    return {"model": model, "temperature": 0.0, "max_tokens": max_tokens, "extra_body": extra}
