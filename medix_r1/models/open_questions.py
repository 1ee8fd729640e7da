"""Asks a judge's server for a text: a list of verdicts, or criteria; judge.py deduplicates and caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from medix_r1.errors import JudgeRejected
from medix_r1.models.connection import Call, Connection
from medix_r1.models.reading.reply_text import Message, message_of, strip_thinking
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.models.reading.unreadable import why_unreadable
from medix_r1.models.verdict import OpenQuestion


async def written(
    question: OpenQuestion, connection: Connection, model: str, extensions: Mapping[str, Any], attempts: int
) -> str:
    """The text that a server writes, by greedy sampling, without its thinking.

    Args:
        question: what is asked.
        connection: to the servers.
        model: its name there.
        extensions: vLLM's own fields of a request; a server that refuses them is asked without.
        attempts: calls until an unreadable answer is given up, where the question says nothing of it.

    Raises:
        JudgeUnavailable, BudgetSpent: as of `Connection.post`.
        JudgeRejected: the server refuses the request, or no answer can be read.
    """
    message = Message("")
    for _ in range(question.attempts or attempts):
        try:
            message = await _posted(question, connection, model, extensions)
        except JudgeRejected as error:
            if error.status not in (400, 422) or not extensions:
                raise
            extensions = {}
            message = await _posted(question, connection, model, extensions)
        text = strip_thinking(message.text)
        if question.reads(text):
            return text
    problem = why_unreadable(message, question.max_tokens, question.wanted, SentTexts.of(*question.sent))
    raise JudgeRejected.from_problem(replace(problem, text=f"judge {model} {problem.text}"))


async def _posted(question: OpenQuestion, connection: Connection, model: str, extensions: Mapping[str, Any]) -> Message:
    body = {
        "model": model,
        "temperature": 0.0,
        "max_tokens": question.max_tokens,
        **extensions,
        "messages": [{"role": "user", "content": question.text}],
    }
    call = Call(
        "chat/completions",
        model,
        lambda: body,
        lambda reply: message_of(reply["choices"][0]),
        characters=len(question.text),
        max_tokens=question.max_tokens,
    )
    return await connection.post(call)
