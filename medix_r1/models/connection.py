"""One way to every OpenAI-compatible server: pooled, balanced, limited, retried, counted; and what each failure means.

A call ends in what `read` makes of the reply, or in one of two errors that the caller chooses: `unavailable` (no
server answers now; the run stops when that lasts for `patience`) or `rejected` (this request will never be answered,
while others are). docs/judge.md has the table. pyreqwest does the transport, in a thread of its own outside
Python, so that the event loop has its time for scoring.
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
from medix_r1.models.http_errors import Trouble, explain, trouble_of
from medix_r1.models.rate_limit import RateLimit
from medix_r1.models.retry_policy import RetryPolicy
from medix_r1.models.server_state import Address, Addresses, ServerState, Usage

logger = logging.getLogger(__name__)

Read = TypeVar("Read")
_WAITING_NOTE_AFTER = 5.0  # seconds: a connection that the server closed while idle is no news
_WAITING_NOTE_EVERY = 15.0  # seconds between two notes that training waits
_THREAD_ENDS = 0.5  # seconds that pyreqwest's thread needs after its last TLS connection is closed
_IDLE = timedelta(seconds=15)  # a connection is kept: shorter than proxies keep one before they drop it in silence
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Call(Generic[Read]):
    """One request.

    Attributes:
        path: below the base address, such as `chat/completions`.
        model: the model that is asked, by its name.
        body: makes the request; called when its turn has come, so that thousands that wait hold no encoded images.
        read: takes the reply apart; ValueError, LookupError, TypeError, AttributeError and ArithmeticError mean that
            it is no proper reply, which is trouble of the server.
        characters, max_tokens: length of the prompt, and of the reply at most; they estimate its tokens.
    """

    path: str
    model: str
    body: Callable[[], Mapping[str, Any]]
    read: Callable[[dict[str, Any]], Read]
    characters: int = 0
    max_tokens: int = 0


class Connection:
    """Posts JSON to the servers of one model. Belongs to the event loop of its first call.

    A call that is cancelled is no longer waited for, and its slot is free; the client gives up the request itself only
    after `timeout`.

    Args:
        name: what to call the servers in messages, such as `judge`.
        urls: base addresses, each ending in `/v1`.
        api_key: sent as a bearer token, and cut out of every message; None sends none.
        unavailable, rejected: the errors to raise.
        concurrency: calls in flight at once, over all addresses.
        timeout: seconds for one call.
        patience: seconds of nothing but failures until the servers count as lost.
        unknown_model_patience: seconds of nothing but answers that the model is unknown until the same.
        requests_per_minute, tokens_per_minute: None for no limit.
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
        self._last_note = 0.0

    async def post(self, call: Call[Read]) -> Read:
        """Make a call and return what its `read` makes of the reply.

        Raises:
            unavailable, rejected: as given to the constructor.
            BudgetSpent: the cost cap is reached.
        """
        started = time.monotonic()
        try:
            return await self._attempt(call, started)
        except Trouble as trouble:
            return await self._again(lambda: self._attempt(call, started), trouble)
        except MedixError:
            self.usage.failures += 1
            raise

    async def _again(self, attempt: Callable[[], Awaitable[Read]], first: Trouble) -> Read:
        """Go on after a first failure; tenacity's bookkeeping would cost every call that succeeds at once."""
        failed, policy = [first], RetryPolicy(self.state, self.addresses)

        async def replayed() -> Read:
            if failed:
                raise failed.pop()
            self.usage.retries += 1
            return await attempt()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Trouble),
            wait=policy.wait,
            stop=policy.ends,
            before_sleep=self._say_waiting,
            reraise=True,
        )
        try:
            return await retrying(replayed)
        except Trouble as trouble:
            self.usage.failures += 1
            if policy.sample_is_to_blame:
                raise self.rejected(
                    f"{trouble} ({policy.attempts} times, while other calls succeed)", code="always-fails"
                ) from None
            raise self._lost(str(trouble)) from None
        except MedixError:
            self.usage.failures += 1
            raise

    async def _attempt(self, call: Call[Read], started: float) -> Read:
        while True:
            self._end_if_lost(started)
            if self._rate_limit is None or await self._rate_limit.turn(call.characters, call.max_tokens):
                break
        async with self._slots:
            while True:
                self._end_if_lost(started)
                now = time.monotonic()
                if (address := self.addresses.pick(now)) is not None:
                    break
                await asyncio.sleep(min(1.0, self.addresses.pause(now)))
            self._check_budget()
            address.in_flight += 1
            try:
                result = await self._send(address, call)
            except Trouble as trouble:
                now = time.monotonic()
                self.addresses.failed(address, now, trouble.retry_after)
                self.state.failed(now, unknown_model=trouble.unknown_model)
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
        try:
            if self._client is None:
                self._client = _open_client(self._key, self._timeout)
            response = await self._client.post(f"{address.url}/{call.path}").body_bytes(data).build().send()
            status, headers, text = response.status, response.headers, (await response.bytes()).to_bytes()
        except TimeoutError:
            raise Trouble(f"{where}: no answer within {self._timeout:g} s; timed out") from None
        except PyreqwestError as error:
            raise Trouble(f"{where}: {self._without_key(_innermost_cause(error))}") from None
        if status != 200:
            said = f"{where}: HTTP {status}: {explain(text, self._key)}"
            if trouble := trouble_of(status, headers, said, call.model):
                raise trouble
            if status in (401, 402):
                raise self._lost(said)  # no sample is to blame, and waiting will not help
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
            said = f"{where} sent no proper reply: {explain(text, self._key)}"
            raise Trouble(said) from None
        if self._rate_limit is not None:
            self._rate_limit.learn(call.characters, tokens)
        if tokens is None and self._cost_cap is not None:
            raise BudgetSpent(
                f"{where} does not say how many tokens a call had, so the cost cap cannot be kept", code="cost-unknown"
            )
        return result

    def _lost(self, message: str) -> MedixError:
        """Give the servers up, and call back whoever waits for a turn, which at a slow pace may be an hour away."""
        self.state.lost(message)
        if self._rate_limit is not None:
            self._rate_limit.call_back()
        return self.unavailable(message, code="server-lost")

    def _end_if_lost(self, started: float) -> None:
        if (lost := self.state.lost_since(started)) is not None:
            raise self.unavailable(lost, code="server-lost")  # waited in line while the servers were given up

    def _check_budget(self) -> None:
        if self._cost_cap is not None and self.usage.cost >= self._cost_cap:
            raise BudgetSpent(
                f"{self.name}: {self.usage.cost:.2f} spent, which reaches the cost cap of {self._cost_cap:g}; "
                "raise cost_cap to go on",
                code="cost-cap-reached",
            )

    def _without_key(self, text: str) -> str:
        """Cut the key out; some servers repeat it in their answer, and this text goes into files."""
        return text if self._key is None else text.replace(self._key, "***")

    def _say_waiting(self, state: RetryCallState) -> None:
        now, waited = time.monotonic(), self.state.down_for()
        if waited > _WAITING_NOTE_AFTER and now - self._last_note > _WAITING_NOTE_EVERY:
            self._last_note = now
            error = state.outcome.exception() if state.outcome else None
            limit = self.state.limit
            logger.warning("waiting for the %s (%.0f of at most %.0f s): %s", self.name, waited, limit, error)

    async def aclose(self) -> None:
        """Close the pool; what is still asked ends with its `timeout`.

        pyreqwest's thread outlives `close()` a little, and aborts a Python that ends meanwhile; seen with TLS alone.
        """
        if self._client is not None:
            await self._client.close()
            self._client = None
            if any(url.startswith("https:") for url in self._urls):
                await asyncio.sleep(_THREAD_ENDS)


def _open_client(api_key: str | None, timeout: float) -> Client:
    """A pool of connections that goes straight to the addresses it is given.

    Args:
        api_key: sent as a bearer token; None sends none.
        timeout: seconds for one call.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    builder = ClientBuilder().timeout(timedelta(seconds=timeout)).pool_idle_timeout(_IDLE)
    builder = builder.default_headers(headers).follow_redirects(False)
    builder = builder.no_proxy()  # prompts go to the addresses and nowhere else
    # no compression: a small reply would be unpacked to any size before it is looked at
    return builder.gzip(False).brotli(False).zstd(False).deflate(False).build()


def _innermost_cause(error: PyreqwestError) -> str:
    """What went wrong with a call: the innermost cause is the one that tells."""
    causes = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else error.message


def to_json(value: Any) -> bytes:
    """A value as JSON in UTF-8; what orjson refuses (lone surrogates) goes the standard library's way."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def from_json(text: bytes) -> Any:
    """What a text of JSON holds; NaN, which orjson refuses, is read as the standard library reads it.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)
