"""A chat-completions server on loopback, for models under test and for judges, that misbehaves on command.

Run as a process: python -m tests.support.chat_stub PORT MODEL ANSWER [DELAY]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.support.loopback import LoopbackHandler, LoopbackServer

Request = dict[str, Any]
Special = tuple[int, dict[str, str], bytes] | str  # a reply of its own, or "drop" the connection


def text_of(request: Request) -> str:
    """The text of the last message, images left out."""
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def images_of(request: Request) -> list[str]:
    """The image addresses (data URIs) of the last message."""
    content = request["messages"][-1]["content"]
    return [p["image_url"]["url"] for p in content if p["type"] == "image_url"] if isinstance(content, list) else []


def is_first_question(request: Request) -> bool:
    """Whether this is the easy question that a judge is asked before the real ones."""
    easy = (
        "<reference> the heart </reference>",
        "No acute cardiopulmonary",
        "<criterion> Names the heart </criterion>",
    )
    return any(text in text_of(request) for text in easy)


class ChatStub(LoopbackServer):
    """Answers by a function of the request; `behave` may give another reply, by the number of the call.

    The easy questions to a judge get replies as all others do; they are kept apart, and are call number 0.
    """

    def __init__(self, answer: Callable[[Request], str], model: str = "stub", port: int = 0) -> None:
        super().__init__(_Handler, port)
        self.answer = answer
        self.model = model
        self.behave: Callable[[int, Request], Special | None] = lambda call, request: None
        self.delay = 0.0
        self.finish_reason = "stop"
        self.calls: list[Request] = []
        self.first_questions: list[Request] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"{super().address}/v1"

    def record(self, request: Request) -> int:
        with self._lock:
            if is_first_question(request):
                self.first_questions.append(request)
                return 0
            self.calls.append(request)
            return len(self.calls)


class _Handler(LoopbackHandler):
    server: ChatStub

    def do_GET(self) -> None:
        self.send_json({"data": [{"id": self.server.model}]})

    def do_POST(self) -> None:
        request = json.loads(self.body())
        request["authorization"] = self.headers.get("Authorization")
        call = self.server.record(request)
        time.sleep(self.server.delay)
        special = self.server.behave(call, request)
        if special == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(special, tuple):
            status, headers, body = special
            self.send(status, body, {"Content-Type": "application/json", **headers})
            return
        message = {"role": "assistant", "content": self.server.answer(request)}
        completion = {
            "id": f"call-{call}",
            "object": "chat.completion",
            "created": 0,
            "model": self.server.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.server.finish_reason}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
        self.send_json(completion)


if __name__ == "__main__":
    port, model, answer, *delay = sys.argv[1:]
    stub = ChatStub(lambda request: answer, model, int(port))
    stub.delay = float(delay[0]) if delay else 0.0
    stub.serve_forever()
