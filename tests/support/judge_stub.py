"""A model server on loopback that fails on command; the only mock, at the process boundary.

Chat completions (with log-probabilities when asked for) and embeddings. Run as a process:
python -m tests.support.judge_stub PORT
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from medix_r1.wording.spelling import normalize_answer
from tests.support.loopback import LoopbackHandler, LoopbackServer

MODEL = "stub-judge"
DIMENSIONS = 64
_FIELD = re.compile(r"^(Reference|Prediction): (.*)$", re.MULTILINE)

Special = tuple[int, dict[str, str], bytes]
# Ways to fail by name: (status, headers, body). Refused connections need no server, a hang is `delay`, and an answer
# outside YES/NO is `answer`.
TROUBLE: Mapping[str, Special] = {
    "500": (500, {}, b"oops"),
    "503": (503, {}, b"loading"),
    "429": (429, {}, b'{"error": {"message": "slow down"}}'),
    "429 with Retry-After": (429, {"Retry-After": "1"}, b'{"error": {"message": "slow down"}}'),
    "404 while restarting": (404, {}, b"{}"),
    "unknown model": (404, {}, b'{"error": {"message": "The model `m` does not exist.", "type": "NotFoundError"}}'),
    "cut body": (200, {"Content-Length": "400", "Connection": "close"}, b'{"id": "1", "object": "chat.comp'),
    "cut JSON": (200, {}, b'{"id": "1", "object": "chat.comp'),
    "garbage": (200, {}, b"<html>hello</html>"),
    "closed without a word": (0, {}, b""),
}


def same_string(prompt: str) -> str:
    """YES when reference and prediction of a `match_short` prompt are equal after normalisation; to others NO."""
    fields = dict(_FIELD.findall(prompt))
    if not fields:
        return "NO"
    return "YES" if normalize_answer(fields["Reference"]) == normalize_answer(fields["Prediction"]) else "NO"


class JudgeStub(LoopbackServer):
    """Answers like a judge and an embedder.

    Attributes:
        answer: prompt → the reply's content.
        behave: number of the call, from 1 → (status, headers, body) instead of an answer, or None. Status 0 closes the
            connection. It runs in a thread of its own and may sleep.
        tokens: log-probabilities of the first token, by token, or a function of the prompt that gives them; without
            any, the reply's first word gets nearly all.
        delay: seconds before each answer.
        context: tokens of the model's context that the list of models has, as vLLM's; None says nothing.
        calls: the requests so far, each with `at` (monotonic seconds), `authorization` and `path` added.
        connections: how many were opened; a client with a pool makes many calls over each.
    """

    def __init__(self, answer: Callable[[str], Any] = same_string, port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.answer = answer
        self.finish_reason = "stop"
        self.behave: Callable[[int], Special | None] = lambda call: None
        self.tokens: dict[str, float] | Callable[[str], dict[str, float]] = {}
        self.delay = 0.0
        self.context: int | None = None
        self.calls: list[dict[str, Any]] = []
        self.connections = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"{super().address}/v1"

    def get_request(self) -> tuple[Any, Any]:
        accepted = super().get_request()
        self.connections += 1
        return accepted

    def record(self, request: dict[str, Any]) -> int:
        with self._lock:
            self.calls.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            return len(self.calls)

    def done(self) -> None:
        with self._lock:
            self._in_flight -= 1


class _Handler(LoopbackHandler):
    server: JudgeStub

    def do_GET(self) -> None:
        self.send_json({"data": [{"id": MODEL, "max_model_len": self.server.context}]})

    def do_POST(self) -> None:
        request = json.loads(self.body())
        request |= {"authorization": self.headers.get("Authorization"), "at": time.monotonic(), "path": self.path}
        call = self.server.record(request)
        try:
            time.sleep(self.server.delay)
            special = self.server.behave(call)
        finally:
            self.server.done()
        if special is not None and special[0] == 0:
            self.close_connection = True
        elif special is not None:
            status, headers, body = special
            self.send(status, body, {"Content-Type": "application/json", **headers})
        elif self.path.endswith("/embeddings"):
            self.send_json(_embeddings(request))
        else:
            self.send_json(self._completion(call, request))

    def _completion(self, call: int, request: dict[str, Any]) -> dict[str, Any]:
        content = request["messages"][-1]["content"]
        text = content if isinstance(content, str) else next(part["text"] for part in content if "text" in part)
        reply = self.server.answer(text)
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.server.finish_reason}
        choice["message"] = {"role": "assistant", "content": reply}
        if request.get("logprobs"):
            given = self.server.tokens
            tokens = (given(text) if callable(given) else given) or {str(reply): -0.01}
            top = [{"token": token, "logprob": logprob} for token, logprob in tokens.items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return {
            "id": f"call-{call}",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [choice],
            "usage": {"prompt_tokens": len(text.split()), "completion_tokens": 1},
        }


def _embeddings(request: dict[str, Any]) -> dict[str, Any]:
    rows = [{"index": i, "embedding": bag_of_words(text)} for i, text in enumerate(request["input"])]
    words = sum(len(text.split()) for text in request["input"])
    return {"object": "list", "model": request["model"], "data": rows[::-1], "usage": {"prompt_tokens": words}}


def bag_of_words(text: str) -> list[float]:
    """A vector in which texts with the same words lie close; not of length 1, as servers may send it."""
    vector = [0.0] * DIMENSIONS
    for word in text.split():
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 2.0
    assert math.hypot(*vector) > 0
    return vector


if __name__ == "__main__":
    JudgeStub(port=int(sys.argv[1])).serve_forever()
