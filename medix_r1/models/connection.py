"""Client of OpenAI-compatible servers: connection pool, load balancing, rate limits, retries, and counters.

A call ends in the result of its `read`, or in one of two errors that the caller chooses: `unavailable` (the servers
failed for `patience` seconds, so the run has to stop) or `rejected` (the servers answer other requests but never this
one). docs/judge.md has the table of failures. pyreqwest does the HTTP in a native thread, outside the GIL, which
leaves the event loop's time to scoring.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from medix_r1.errors import BudgetSpent, EmbedderRejected, JudgeRejected, MedixError
from medix_r1.models.http_errors import RetryableError, retryable_error
from medix_r1.models.rate_limit import RateLimit
from medix_r1.models.reading.faults import Fault, fault_of_body, fault_of_status, line, server_sentence
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.retry_policy import RetryPolicy
from medix_r1.models.server_state import Address, Addresses, ServerState, Usage

logger = logging.getLogger(__name__)

Read = TypeVar("Read")
_LOG_WAIT_AFTER = 5.0  # seconds; a connection that the server closed while idle needs no log line
_LOG_WAIT_EVERY = 15.0  # seconds between log lines
_THREAD_ENDS = 0.5  # seconds that pyreqwest's thread needs after its last TLS connection is closed
_IDLE = timedelta(seconds=15)  # pool timeout; shorter than that of proxies, which drop idle connections silently
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Call(Generic[Read]):
    """One request.

    Attributes:
        path: below the base address, such as `chat/completions`.
        model: name of the model.
        body: builds the JSON request; called just before it is sent, so that queued calls hold no encoded images.
        read: parses the reply; ValueError, LookupError, TypeError, AttributeError and ArithmeticError mean that the
            reply is malformed, which is retried.
        characters: length of the prompt; used to estimate the call's tokens.
        max_tokens: maximum tokens of the reply.
    """

    path: str
    model: str
    body: Callable[[], Mapping[str, Any]]
    read: Callable[[dict[str, Any]], Read]
    characters: int = 0
    max_tokens: int = 0


class Connection:
    """Posts JSON to the servers of one model. All calls must come from one event loop.

    Cancelling a call frees its slot at once; the HTTP request itself ends only after `timeout`.

    Args:
        name: what to call the servers in messages, such as `judge`.
        urls: base addresses, each ending in `/v1`.
        api_key: sent as a bearer token, and redacted from every message; None sends none.
        unavailable, rejected: the error classes to raise.
        concurrency: maximum calls in flight, over all addresses.
        timeout: seconds for one call.
        patience: seconds in which all calls fail until the servers are given up.
        unknown_model_patience: seconds in which all calls are answered with an unknown model until the same.
        requests_per_minute, tokens_per_minute: rate limits over all addresses; None for no limit.
        price_prompt, price_completion: money per million tokens; None counts no cost.
        cost_cap: money after which every call ends in `BudgetSpent`; needs both prices.
    """

    def __init__(
        self,
        *,
        name: str,
        urls: Sequence[str],
        api_key: str | None,
        unavailable: type[MedixError],
        rejected: type[JudgeRejected] | type[EmbedderRejected],
        concurrency: int = 64,
        timeout: float = 60.0,
        patience: float = 600.0,
        unknown_model_patience: float = 30.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        price_prompt: float | None = None,
        price_completion: float | None = None,
        cost_cap: float | None = None,
    ) -> None:
        self.name, self.unavailable, self.rejected, self._cost_cap = name, unavailable, rejected, cost_cap
        self.usage = Usage(price_prompt, price_completion)
        self.state = ServerState(patience, unknown_model_patience)
        self.addresses, self._urls = Addresses(urls), tuple(urls)
        limited = requests_per_minute is not None or tokens_per_minute is not None
        self._rate_limit = RateLimit(requests_per_minute, tokens_per_minute) if limited else None
        self._slots = asyncio.Semaphore(concurrency)
        self._key, self._timeout = api_key, timeout
        self._client: Client | None = None
        self._last_log = 0.0

    async def post(self, call: Call[Read]) -> Read:
        """Make a call, with retries, and return the result of its `read`.

        Raises:
            unavailable, rejected: as given to the constructor.
            BudgetSpent: the cost cap is reached.
        """
        started = time.monotonic()
        try:
            return await self._attempt(call, started)
        except RetryableError as error:
            return await self._retry(lambda: self._attempt(call, started), error)
        except MedixError:
            self.usage.failures += 1
            raise

    async def _retry(self, attempt: Callable[[], Awaitable[Read]], first: RetryableError) -> Read:
        """Retry after a first failure; the first attempt runs without tenacity, whose overhead most calls can save."""
        failed, policy = [first], RetryPolicy(self.state, self.addresses)

        async def replayed() -> Read:
            if failed:
                raise failed.pop()
            self.usage.retries += 1
            return await attempt()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RetryableError),
            wait=policy.wait,
            stop=policy.stop,
            before_sleep=self._log_waiting,
            reraise=True,
        )
        try:
            return await retrying(replayed)
        except RetryableError as error:
            self.usage.failures += 1
            if policy.sample_is_to_blame:
                raise self.rejected(
                    f"{error} ({policy.attempts} times, while other calls succeed)", code="always-fails"
                ) from None
            raise self._give_up(str(error)) from None
        except MedixError:
            self.usage.failures += 1
            raise

    async def _attempt(self, call: Call[Read], started: float) -> Read:
        while True:
            self._raise_if_lost(started)
            if self._rate_limit is None or await self._rate_limit.acquire(call.characters, call.max_tokens):
                break
        async with self._slots:
            while True:
                self._raise_if_lost(started)
                now = time.monotonic()
                if (address := self.addresses.pick(now)) is not None:
                    break
                pause = self.addresses.pause(now)
                if self.state.down_for() + pause > self.state.limit:  # a call made after others gave the servers up
                    raise self._give_up(
                        f"{self.name}: every server asks to wait, for {pause:.0f} s more, which is beyond the patience "
                        f"of {self.state.limit:g} s"
                    )
                await asyncio.sleep(min(1.0, pause))
            self._check_budget()
            address.in_flight += 1
            try:
                result = await self._send(address, call)
            except RetryableError as error:
                now = time.monotonic()
                self.addresses.failed(address, now, error.retry_after)
                self.state.failed(now, unknown_model=error.unknown_model)
                raise
            finally:
                address.in_flight -= 1
        self.addresses.succeeded(address)
        self.state.succeeded()
        return result

    async def _send(self, address: Address, call: Call[Read]) -> Read:
        data = to_json(call.body())
        self.usage.calls += 1
        where, start = f"{self.name} at {address.url}", time.monotonic()

        def sent() -> SentTexts:
            return SentTexts.of_body(call.body, self._key)

        try:
            if self._client is None:
                self._client = _open_client(self._key, self._timeout)
            response = await self._client.post(f"{address.url}/{call.path}").body_bytes(data).build().send()
            status, headers, text = response.status, response.headers, (await response.bytes()).to_bytes()
        except TimeoutError:
            raise RetryableError(f"{where}: no answer within {self._timeout:g} s; timed out") from None
        except PyreqwestError as error:
            raise RetryableError(f"{where}: {line(_innermost_cause(error), sent())}") from None
        if status != 200:
            said = f"{where}: {fault_of_status(status, text, sent(), call.model).problem().text}"
            if retryable := retryable_error(status, headers, said, call.model):
                raise retryable
            if status in (401, 402):
                raise self._give_up(said)  # every sample would fail, and waiting does not help
            self.state.succeeded()
            self.addresses.succeeded(address)
            refused = self.rejected(said, code="refused-by-server")
            refused.status = status
            raise refused
        try:
            reply = from_json(text)
            result = call.read(reply)
            tokens = self.usage.count(reply, time.monotonic() - start)
        except _UNREADABLE:
            fault = fault_of_body(text, sent()) or Fault(
                "", "HTTP 200 with a damaged reply", server_sentence(text, sent())
            )
            raise RetryableError(f"{where}: {fault.problem().text}") from None
        if self._rate_limit is not None:
            self._rate_limit.observe(call.characters, tokens)
        if tokens is None and self._cost_cap is not None:
            raise BudgetSpent(
                f"{where} does not say how many tokens a call had, so the cost cap cannot be kept", code="cost-unknown"
            )
        return result

    def _give_up(self, message: str) -> MedixError:
        """Give the servers up and return the error; also end the waits for the rate limit, which may last an hour."""
        self.state.lost(message)
        if self._rate_limit is not None:
            self._rate_limit.cancel_waits()
        return self.unavailable(message, code="server-lost")

    def _raise_if_lost(self, started: float) -> None:
        """Raise if the servers were given up while this call was queued."""
        if (lost := self.state.lost_since(started)) is not None:
            raise self.unavailable(lost, code="server-lost")

    def _check_budget(self) -> None:
        if self._cost_cap is not None and self.usage.cost >= self._cost_cap:
            raise BudgetSpent(
                f"{self.name}: {self.usage.cost:.2f} spent, which reaches the cost cap of {self._cost_cap:g}; "
                "raise cost_cap to go on",
                code="cost-cap-reached",
            )

    def _log_waiting(self, state: RetryCallState) -> None:
        now, waited = time.monotonic(), self.state.down_for()
        if waited > _LOG_WAIT_AFTER and now - self._last_log > _LOG_WAIT_EVERY:
            self._last_log = now
            error = state.outcome.exception() if state.outcome else None
            limit = self.state.limit
            logger.warning("waiting for the %s (%.0f of at most %.0f s): %s", self.name, waited, limit, error)

    async def aclose(self) -> None:
        """Close the pool; requests still in flight end after their `timeout`.

        pyreqwest's thread outlives `close()` briefly; if Python exits meanwhile, the process aborts (seen with TLS
        only).
        """
        if self._client is not None:
            await self._client.close()
            self._client = None
            if any(url.startswith("https:") for url in self._urls):
                await asyncio.sleep(_THREAD_ENDS)


def _open_client(api_key: str | None, timeout: float) -> Client:
    """Build the HTTP client.

    Args:
        api_key: sent as a bearer token; None sends none.
        timeout: seconds for one call.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    builder = ClientBuilder().timeout(timedelta(seconds=timeout)).pool_idle_timeout(_IDLE)
    builder = builder.default_headers(headers).follow_redirects(False)
    builder = builder.no_proxy()  # prompts must not go through proxies of the environment
    # no compression, against decompression bombs
    return builder.gzip(False).brotli(False).zstd(False).deflate(False).build()


def _innermost_cause(error: PyreqwestError) -> str:
    """The message of the last cause in the chain, the most specific one."""
    causes = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else error.message


def to_json(value: Any) -> bytes:
    """Dump a value as JSON in UTF-8; the standard library's `json` handles lone surrogates, which orjson refuses."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def from_json(text: bytes) -> Any:
    """Parse JSON; the standard library's `json` handles NaN, which orjson refuses.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)
