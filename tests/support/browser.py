"""A real headless browser, for tests that look at pages we write.

Chromium comes from the system's packages. Where it is missing a test is skipped, except on CI: there a page that nobody
looked at must not pass for one that was.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None and os.environ.get("CI") != "true", reason="no chromium or google-chrome is installed here"
)


def _command(home: Path, *options: str) -> list[str]:
    assert BROWSER is not None, "CI needs a browser: apt-get install chromium (.ci/run does so when it may)"
    return [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={home}", *options,
    ]  # fmt: skip


def dom_of(page: Path, home: Path, fragment: str = "", *options: str) -> str:
    """The page as it stands after its scripts have run; `fragment` goes behind the address."""
    result = subprocess.run(
        [*_command(home, "--virtual-time-budget=8000", *(options or ("--dump-dom",))), page.as_uri() + fragment],
        capture_output=True, text=True, timeout=240, env={**os.environ, "HOME": str(home)}, check=False,
    )  # fmt: skip
    return result.stdout


class OpenPage:
    """A page that stays open; asked over the browser's DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        number = next(self._numbers)
        parameters = {"expression": script, "returnByValue": True}
        await self._socket.send_json({"id": number, "method": "Runtime.evaluate", "params": parameters})
        while (reply := await self._socket.receive_json(timeout=60)).get("id") != number:
            pass
        return reply["result"]["result"].get("value")

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (reply := await self._socket.receive_json(timeout=120)).get("id") != number:
            pass
        result: dict[str, Any] = reply["result"]
        return result

    async def as_seen(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Give the page a width in CSS pixels, and the light or the dark preference of its reader."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as PNG."""
        shot = await self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    async def wait_until(self, script: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true, reloads of the page in between included."""
        until = time.monotonic() + seconds
        while await self.evaluate(script) is not True:
            assert time.monotonic() < until, f"never became true: {script}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def open_page(address: str, home: Path) -> AsyncIterator[OpenPage]:
    """Keep a page open in a browser of its own for the length of a block."""
    command = [*_command(home, "--remote-debugging-port=0"), address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with aiohttp.ClientSession() as session:
            address = await asyncio.wait_for(_debugger(session, home / "DevToolsActivePort"), 60)
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield OpenPage(socket)
    finally:
        process.terminate()
        process.wait(20)


async def _debugger(session: aiohttp.ClientSession, port_file: Path) -> str:
    """Address of the page's debugger, once the browser has said on which port it listens."""
    while not (port_file.exists() and "\n" in port_file.read_text()):
        await asyncio.sleep(0.1)
    port = port_file.read_text().splitlines()[0]
    while True:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
            for target in await reply.json():
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        await asyncio.sleep(0.1)
