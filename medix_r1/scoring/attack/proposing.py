"""A model that proposes attacks: any OpenAI-compatible server, or the policy itself, whose own replies are tried.

The model never decides what is wrong. It proposes templates around a wrong answer that is certain, or it replies as the
policy does and its answer counts only where the rules call it another thing than the reference.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from medix_r1 import prompts
from medix_r1.errors import JudgeRejected, Problem, ServerError
from medix_r1.models.connection import Call, Connection
from medix_r1.models.reading.reply_text import message_of
from medix_r1.models.settings import address_problems, key_problems
from medix_r1.scoring.attack.attempts import THINK, Attempt
from medix_r1.scoring.attack.journal import Journal
from medix_r1.scoring.attack.wrong import Target, Wrong, others_of_a_kind
from medix_r1.wording.spelling import is_gradable

if TYPE_CHECKING:
    from medix_r1.scoring.attack.search import Search

ROLES = ("attacker", "policy")
_TEMPLATES = 12  # asked for at once
_AT_ONCE = 4
_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_TOKENS = {"attacker": 1024, "policy": 1024}


@dataclass(frozen=True, slots=True)
class ProposerSettings:
    """Where the model is, and how often it is asked.

    Attributes:
        url: address of the server, ending in `/v1`.
        model: name of the model there.
        role: `attacker` is asked for templates, `policy` gets the questions as in training.
        key_env: name of the environment variable that holds the server's key.
        questions: how often it is asked.
        temperature: of its replies.
        seed: of its replies.
    """

    url: str
    model: str
    role: str = "attacker"
    key_env: str | None = None
    questions: int = 40
    temperature: float = 1.0
    seed: int = 1

    def problems(self) -> list[Problem]:
        """What is wrong, before anything is asked."""
        problems = key_problems("--propose-key-env", self.key_env)
        if not self.url:
            problems.append(Problem("--propose-url", "missing", "which server? give --propose-url http://HOST:PORT/v1"))
        else:
            problems += address_problems("--propose-url", self.url)
        if not self.model:
            problems.append(Problem("--propose-model", "missing", "which model of that server? give its name"))
        if self.role not in ROLES:
            says = f"'{self.role}' is neither {' nor '.join(ROLES)}"
            problems.append(Problem("--propose-as", "not-a-choice", says))
        return problems


class Proposer:
    """Asks the model, a few questions at a time; what it said is kept, so that a resumed search does not ask again."""

    def __init__(self, settings: ProposerSettings, journal: Journal) -> None:
        self.settings, self._journal, self._asked = settings, journal, 0
        self._connection = Connection(
            name="proposing model",
            urls=[settings.url],
            api_key=os.environ[settings.key_env] if settings.key_env else None,
            unavailable=ServerError,
            rejected=JudgeRejected,
            concurrency=_AT_ONCE,
            patience=60.0,
            timeout=300.0,
        )

    async def __call__(self, search: Search) -> list[Attempt]:
        """Attempts out of the next replies; none when all questions are asked.

        Raises:
            ServerError: the server does not answer.
        """
        numbers = range(self._asked, min(self._asked + _AT_ONCE, self.settings.questions))
        self._asked += len(numbers)
        make = self._templates if self.settings.role == "attacker" else self._replies
        found: list[Attempt] = []
        for attempts in await asyncio.gather(*(make(search, number) for number in numbers)):
            found += attempts
        # a round without a usable reply is not the end
        return found or (await self(search) if self._asked < self.settings.questions else [])

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    async def _templates(self, search: Search, number: int) -> list[Attempt]:
        carrier = search.state.carriers[number % len(search.state.carriers)]
        target, wrong = carrier.target, carrier.wrong
        paid = "; ".join(kind.name for kind in search.state.kinds[-8:]) or "nothing so far"
        fields = {"question": target.question, "wrong": wrong.text, "paid": paid, "count": str(_TEMPLATES)}
        text = prompts.fill(prompts.load("attack"), **fields, mark="{wrong}")  # type: ignore[arg-type]
        said = await self._ask(number, [{"role": "user", "content": text}])
        found = []
        for before, after in templates_in(said):
            found.append(Attempt(target, "proposed", wrong, wrong.because, before=before, after=after))
        return found

    async def _replies(self, search: Search, number: int) -> list[Attempt]:
        asked = [target for target in search.targets if target.messages]
        if not asked:
            return []
        target = asked[number % len(asked)]
        said = await self._ask(number, target.messages)
        return own_reply(target, said, search.scorer.ready.reader.read)

    async def _ask(self, number: int, messages: Sequence[Mapping[str, Any]]) -> str:
        key = f"{self.settings.role} {number}"
        if key not in self._journal.said:
            body = {
                "model": self.settings.model,
                "messages": list(messages),
                "temperature": self.settings.temperature,
                "max_tokens": _TOKENS[self.settings.role],
                "seed": self.settings.seed + number,
            }
            call = Call("chat/completions", self.settings.model, lambda: body, _read)
            try:
                self._journal.keep_said(key, await self._connection.post(call))
            except JudgeRejected as error:
                says = f"{error}; see --propose-url and --propose-model"
                raise ServerError(says, code="proposer-refuses") from None
        return str(self._journal.said[key])


def _read(reply: dict[str, Any]) -> str:
    return message_of(reply["choices"][0]).text


def templates_in(text: str) -> list[tuple[str, str]]:
    """Text before and behind the wrong answer of each line that has its mark once."""
    found = []
    for line in text.splitlines():
        line = _MARK.sub("", line).strip().strip('"')
        if line.count("{wrong}") == 1 and line != "{wrong}":
            before, _, after = line.partition("{wrong}")
            found.append((before, after))
    return list(dict.fromkeys(found))


def own_reply(target: Target, reply: str, read: Callable[..., Any]) -> list[Attempt]:
    """A policy's reply as an attack, where its answer is wrong by the rules: alone, and behind its reasoning."""
    sample = read(reply, reference=target.reference, has_image=target.has_image, question=target.question)
    answer = sample.completion.answer
    if not answer or not is_gradable(answer) or answer not in list(others_of_a_kind(target, [answer])):
        return []
    because = "the policy's own answer, which the rules of wording/ call another thing than the reference"
    wrong = Wrong(answer, "own", because)
    plain = Attempt(target, "policy: its own answer", wrong, because)
    think = (sample.completion.think or THINK).replace("{", "(").replace("}", ")")
    return [plain, replace(plain, kind="policy: its own reply", think=think)]
