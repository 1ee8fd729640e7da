"""A chat-completions server on loopback that fails on command; the only mock, at the process boundary.

Run as a process: python -m tests.support.judge_stub PORT
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from medix_r1.grammar import normalize_answer

MODEL = "stub-judge"
_FIELD = re.compile(r"^(Reference|Prediction): (.*)$", re.MULTILINE)


def same_string(prompt: str) -> str:
    """YES when reference and prediction of a `match_short` prompt are equal after normalisation."""
    fields = dict(_FIELD.findall(prompt))
    return "YES" if normalize_answer(fields["Reference"]) == normalize_answer(fields["Prediction"]) else "NO"


class JudgeStub(ThreadingHTTPServer):
    """Answers like a judge; `behave` may return (status, headers, body) instead of an answer."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Callable[[str], str] = same_string, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.behave: Callable[[int], tuple[int, dict[str, str], bytes] | None] = lambda call: None
        self.delay = 0.0
        self.calls: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def record(self, request: dict[str, Any]) -> int:
        with self._lock:
            self.calls.append(request)
            return len(self.calls)

    def __enter__(self) -> JudgeStub:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: JudgeStub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._reply(200, {}, json.dumps({"data": [{"id": MODEL}]}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request["authorization"] = self.headers.get("Authorization")
        call = self.server.record(request)
        time.sleep(self.server.delay)
        if (special := self.server.behave(call)) is not None:
            self._reply(*special)
            return
        content = self.server.answer(request["messages"][-1]["content"])
        message = {"role": "assistant", "content": content}
        completion = {
            "id": f"call-{call}",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        self._reply(200, {}, json.dumps(completion).encode())

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    JudgeStub(port=int(sys.argv[1])).serve_forever()
