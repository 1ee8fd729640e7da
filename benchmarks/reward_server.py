"""A judge on loopback with a fixed service time and a fixed number of slots: `python reward_server.py PORT`.

Answers chat completions: YES to one prompt in two, by a hash. `GET /calls` tells how many calls there were.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from aiohttp import web

from medix_r1.serving.server import free_port

MODEL = "loopback"
SERVICE = 0.030  # seconds
SLOTS = 64


async def _application() -> web.Application:
    slots, calls = asyncio.Semaphore(SLOTS), 0

    async def complete(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        async with slots:
            await asyncio.sleep(SERVICE)
        reply = "YES" if zlib.crc32(prompt.encode()) % 2 else "NO"
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 1}
        return web.json_response({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL}]})

    async def count(_: web.Request) -> web.Response:
        return web.Response(text=str(calls))

    application = web.Application()
    application.add_routes(
        [web.post("/v1/chat/completions", complete), web.get("/v1/models", models), web.get("/calls", count)]
    )
    return application


@contextmanager
def running() -> Iterator[str]:
    """The server in a process of its own; gives its address, ending in `/v1`."""
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, str(port)])
    address = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            try:
                httpx.get(f"{address}/models", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def calls(address: str) -> int:
    """How many completions the server was asked for so far."""
    return int(json.loads(httpx.get(f"{address.removesuffix('/v1')}/calls", trust_env=False, timeout=60.0).text))


if __name__ == "__main__":
    web.run_app(_application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, backlog=512)
