"""`inspect view` opens the logs of an evaluation: the docs say so, and people will try."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from inspect_ai.log import read_eval_log_sample_summaries
from rich.console import Console

from medix_r1.evaluation import run as runs
from medix_r1.evaluation.settings import compose_eval
from medix_r1.serving.server import free_port
from tests.support.browser import needs_browser, open_page
from tests.support.chat_stub import ChatStub
from tests.support.eval_rows import write_hub_copies

REPLY = "a spleen of note"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log folder of an evaluation, as `inspect view --log-dir` gets it."""
    root = tmp_path_factory.mktemp("viewed")
    with ChatStub(lambda _: "YES, equal", "judge") as judge, ChatStub(lambda _: REPLY, "model") as model:
        words = ["model=model", f"base_url={model.address}", "task=rad_vqa", f"out_dir={root / 'out'}", "prompt=plain"]
        words += [f"data_dir={write_hub_copies(root / 'hub')}", "judge=remote"]
        words += [f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"]
        return runs.run(runs.plan(compose_eval(words)), Console(quiet=True)).folder


@pytest.fixture
def viewer(logs: Path) -> Iterator[str]:
    """The address of a running `inspect view`."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("inspect")), "view", "start", "--log-dir", str(logs)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address, until = f"http://127.0.0.1:{port}/", time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx.get(address, trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(120)


@needs_browser
async def test_inspects_viewer_shows_the_logs_and_a_reply(viewer: str, logs: Path, tmp_path: Path) -> None:
    async with open_page(viewer, tmp_path / "home") as page:
        await page.wait_until("document.body.innerText.includes('rad_vqa')")
        name = next((logs / "rad_vqa" / "logs").glob("*generate*")).name
        await page.evaluate(f"location.hash = '#/logs/rad_vqa/logs/{name}'")
        await page.wait_until("document.body.innerText.includes('Which side is it on?')")
        sample = read_eval_log_sample_summaries(str(logs / "rad_vqa" / "logs" / name))[0]
        await page.evaluate(f"location.hash = '#/logs/rad_vqa/logs/{name}/samples/sample/{sample.id}/1'")
        await page.wait_until(f"document.body.innerText.includes({REPLY!r})")
