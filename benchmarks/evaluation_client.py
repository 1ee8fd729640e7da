"""Our evaluation's client beside one in the manner of the public code, against one server on loopback.

    python benchmarks/evaluation_client.py [--samples 300] [--limit-rate 30] [--memory 10000] [--split 600]

The public manner: a pool of processes, a new client for every sample, and the three votes one after the other as one
chat. Bare: one asyncio client that does nothing but send the same calls. All send the same number of calls, which the
server counts; the server is a process of its own and can hold a rate. Start-up (imports, inspect's first evaluation) is
left out of ours; the pool's processes import their client inside the measured time, as they do in the public manner.
Kept in results/evaluation_client.json, which `make docs` quotes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import inspect_ai
import openai
import results_file
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, ModelOutput
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from rich.console import Console

from medix_r1.evaluation.phases.journal import Journal
from medix_r1.evaluation.phases.model_api import VerbatimChatAPI, open_model
from medix_r1.evaluation.run import plan, run
from medix_r1.evaluation.settings import compose_eval

VOTES = 3
_ASKED_BEFORE = 2  # the evaluation asks model and judge one question each before it generates
WORKERS = 8
CONNECTIONS = 64


async def _serve(port: int, rate: float) -> None:
    """A chat server that answers at once, or at `rate` calls a second; GET /calls tells how many there were."""
    calls, free_at = 0, 0.0
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    body["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "YES"}, "finish_reason": "stop"}]  # type: ignore[assignment]
    reply, models = json.dumps(body).encode(), json.dumps({"data": [{"id": "m"}]}).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls, free_at
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                payload = models if b"/models" in head else reply
                if head.startswith(b"GET /calls"):
                    payload = str(calls).encode()
                elif head.startswith(b"POST"):
                    calls += 1
                    if rate:
                        free_at = max(free_at, time.monotonic()) + 1 / rate
                        await asyncio.sleep(free_at - time.monotonic())
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(payload)
                )
                writer.write(payload)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", port, backlog=512) as server:
        await server.serve_forever()


def _public_sample(arguments: tuple[str, int]) -> None:
    """One sample in the public manner: a client of its own, a generation, then three rounds of one chat."""
    address, number = arguments
    client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": f"Question {number}?"}]
    for _ in range(1 + VOTES):
        reply = client.chat.completions.create(model="m", messages=messages, temperature=0.0)
        messages += [{"role": "assistant", "content": reply.choices[0].message.content}]
        messages += [{"role": "user", "content": "Again."}]


def public(address: str, samples: int) -> None:
    """All samples in the public manner."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        list(pool.map(_public_sample, [(address, n) for n in range(samples)], chunksize=4))


async def bare(address: str, samples: int) -> None:
    """The same calls by one client that does nothing else."""
    client = openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0)
    slots = asyncio.Semaphore(CONNECTIONS)

    async def sample(number: int) -> None:
        async with slots:
            for _ in range(1 + VOTES):
                message: Any = {"role": "user", "content": f"Question {number}?"}
                await client.chat.completions.create(model="m", messages=[message], temperature=0.0)

    await asyncio.gather(*(sample(n) for n in range(samples)))


def ours(address: str, samples: int, folder: Path) -> Path:
    """The same samples by `medix-r1 eval`, data, journals, logs and records included; returns the result's folder."""
    folder.mkdir(exist_ok=True)
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"question": f"Question {n}?", "answer": "yes"}) + "\n" for n in range(samples)))
    (folder / "task").mkdir(exist_ok=True)
    task = {
        "name": "bench",
        "kind": "llm",
        "path": None,
        "file": str(rows),
        "split": "test",
        "format": "open",
        "columns": {"question": "question", "answer": "answer"},
        "scorer": "short",
        "licence": "none",
    }
    (folder / "task" / "bench.yaml").write_text(json.dumps(task))
    words = ["model=m", f"base_url={address}", "task=bench", "prompt=plain", f"out_dir={folder / 'out'}"]
    words += ["judge=remote", f"judge.judges=[{{model: m, base_url: '{address}'}}]"]
    evaluation = plan(compose_eval([*words, f"connections={CONNECTIONS}"], [folder]))
    outcome = run(evaluation, Console(quiet=True))
    assert not outcome.unscored, outcome.unscored[0].unscored
    return outcome.folder


def _measure(name: str, rate: float, samples: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(port), "--limit-rate", str(rate)])
        address = f"http://127.0.0.1:{port}/v1"
        try:
            _wait(port)
            if name == "ours":  # imports and inspect's own start-up, the same for 10 samples and for 10,000
                ours(address, 2, Path(folder) / "warm")
            before = _calls(port)
            start = time.perf_counter()
            size = 0
            if name == "public":
                public(address, samples)
            elif name == "bare":
                asyncio.run(bare(address, samples))
            else:
                result = ours(address, samples, Path(folder))
                size = sum(p.stat().st_size for p in result.rglob("*") if p.is_file())
            seconds = time.perf_counter() - start
            calls = _calls(port) - before
        finally:
            server.terminate()
            server.wait()
    return {"client": name, "calls": calls, "calls_per_second": calls / seconds, "bytes_per_sample": size / samples}


def split(samples: int) -> dict[str, float]:
    """Processor time of a call in ms: all of it, and its shares, each by itself. It depends little on the load.

    Shares are the calls by a bare client, by our provider alone, and by inspect's `Model.generate` around it; inspect's
    two evaluations of the samples without any call, with and without their logs; and ours without any call.
    """
    calls = samples * (1 + VOTES)
    found = {
        "ours": _processor_time(lambda address, folder: ours(address, samples, folder), samples),
        "bare": _processor_time(lambda address, folder: asyncio.run(bare(address, samples)), samples),
        "provider": _processor_time(
            lambda address, _: asyncio.run(_calls_by(address, samples, _past_inspect)), samples
        ),
        "generate": _processor_time(lambda address, _: asyncio.run(_calls_by(address, samples, _by_inspect)), samples),
        "inspect_samples": _processor_time(lambda _, folder: _empty_evaluations(folder, samples, logs=True), samples),
        "inspect_without_logs": _processor_time(
            lambda _, folder: _empty_evaluations(folder, samples, logs=False), samples
        ),
    }
    real = VerbatimChatAPI.generate
    VerbatimChatAPI.generate = _at_once  # type: ignore[assignment, method-assign]
    try:
        found["without_calls"] = _processor_time(lambda address, folder: ours(address, samples, folder), samples)
    finally:
        VerbatimChatAPI.generate = real  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "lines.jsonl") as journal:
        start = time.process_time()
        for number in range(2 * samples):
            journal.append({"id": str(number), "reply": "word " * 300})
        found["journals"] = 1000 * (time.process_time() - start) / calls
    return {name: round(value, 3) for name, value in found.items()}


async def _at_once(*_: Any, **__: Any) -> ModelOutput:
    return ModelOutput.from_content("m", "YES")


async def _past_inspect(model: Model, text: str) -> None:
    await model.api.generate([ChatMessageUser(content=text)], [], "none", model.config)


async def _by_inspect(model: Model, text: str) -> None:
    await model.generate(text)


async def _calls_by(address: str, samples: int, call: Callable[[Model, str], Awaitable[None]]) -> None:
    model = open_model("m", address, None, GenerateConfig(max_connections=CONNECTIONS, temperature=0.0))
    slots = asyncio.Semaphore(CONNECTIONS)

    async def sample(number: int) -> None:
        async with slots:
            for _ in range(1 + VOTES):
                await call(model, f"Question {number}?")

    await asyncio.gather(*(sample(n) for n in range(samples)))
    await model.api.aclose()


@solver(name="nothing")
def _nothing() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content("none", "YES")
        return state

    return solve


@scorer(name="right", metrics=[mean()])
def _right() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=1.0)

    return score


def _empty_evaluations(folder: Path, samples: int, *, logs: bool) -> None:
    """The two evaluations that `generate_and_judge` has for these samples, by inspect alone: nothing is called."""
    for judged in (False, True):
        rows = [Sample(id=f"s{n}", input=f"Question {n}?", target="yes") for n in range(samples)]
        task = inspect_ai.Task(dataset=MemoryDataset(rows), solver=_nothing(), scorer=_right() if judged else None)
        inspect_ai.eval(
            task,
            model="none/none",
            log_dir=str(folder / "logs"),
            display="none",
            log_level="error",
            max_samples=CONNECTIONS,
            log_samples=logs,
            log_images=False,
            log_realtime=False,
            log_model_api=False,
            log_header_only=True,
            score_display=False,
            ctl_server=False,
            acp_server=False,
        )


def _processor_time(work: Any, samples: int) -> float:
    port = _free_port()
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(port), "--limit-rate", "0"])
    try:
        _wait(port)
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            work(f"http://127.0.0.1:{port}/v1", Path(folder))
            return 1000 * (time.process_time() - start) / (samples * (1 + VOTES))
    finally:
        server.terminate()
        server.wait()


def _calls(port: int) -> int:
    return int(httpx.get(f"http://127.0.0.1:{port}/calls", trust_env=False).text)


def _free_port() -> int:
    from medix_r1.serving.server import free_port

    return free_port()


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.1)


def main() -> None:
    """Measure, or serve (in the process that this starts)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--limit-rate", type=float, default=30.0, help="calls a second of the slow server")
    parser.add_argument("--serve", type=int)
    parser.add_argument("--memory", type=int, default=0, help="measure peak memory over this many samples, and a tenth")
    parser.add_argument("--split", type=int, default=0, help="measure what a call's processor time goes to")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve, options.limit_rate))
        return
    about = results_file.provenance()
    rows: list[dict[str, float]] = []
    if options.split:
        with tempfile.TemporaryDirectory() as folder:  # imports and inspect's own start-up are left out
            _processor_time(lambda address, _: ours(address, 2, Path(folder)), 2)
        parts = split(options.split)
        print(parts)
        results_file.keep("evaluation_client", "split", {**about, "samples": options.split, "ms": parts})
        return
    if options.memory:
        for samples in (options.memory // 10, options.memory):
            _measure("ours", 0.0, samples)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{samples} samples: peak {peak:.0f} MiB")
            rows.append({"samples": samples, "mib": round(peak)})
        results_file.keep("evaluation_client", "memory", {**about, "rows": rows})
        return
    print(about["machine"])
    for rate in (0.0, options.limit_rate):
        found = {name: _measure(name, rate, options.samples) for name in ("ours", "public", "bare")}
        ours_asks = found["ours"]["calls"] - _ASKED_BEFORE
        assert ours_asks == found["public"]["calls"] == found["bare"]["calls"], found
        speed = {name: entry["calls_per_second"] for name, entry in found.items()}
        print(f"server at {rate or 'full speed'}: " + ", ".join(f"{n} {s:.1f} calls/s" for n, s in speed.items()))
        print(
            f"  ours/bare {speed['ours'] / speed['bare']:.2f}, ours/public {speed['ours'] / speed['public']:.2f}, ",
            end="",
        )
        overhead = 1 / speed["ours"] - 1 / speed["bare"]
        print(
            f"overhead a call {overhead * 1000:.1f} ms, {found['ours']['bytes_per_sample']:.0f} bytes a sample on disk"
        )
        rows.append({"limit": rate, **{name: round(value, 1) for name, value in speed.items()}})
    figures = {"samples": options.samples, "rows": rows, "bytes_per_sample": round(found["ours"]["bytes_per_sample"])}
    results_file.keep("evaluation_client", "speed", {**about, **figures})


if __name__ == "__main__":
    main()
