"""The whole demo, as `make demo` runs it: what is learnt on held-out questions, and whether the image is looked at."""

from __future__ import annotations

import base64
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from medix_r1.demo.batches import read_rows
from medix_r1.grammar import parse_completion
from medix_r1.host.machine import GIB
from medix_r1.serving import server
from medix_r1.serving.kept import served
from tests.e2e.conftest import medix
from tests.support.memory_peak import memory_peak

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3000)]

OVERALL_GAIN = 0.20
JUDGE_GAIN = 0.15
SHUFFLE_COST = 0.10
MOST_MEMORY = 18 * GIB


@dataclass(frozen=True)
class DemoRun:
    folder: Path
    memory: int  # bytes that all its processes held together, at most


@pytest.fixture(scope="module")
def demo_run(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    folder = tmp_path_factory.mktemp("demo_run")
    with memory_peak() as peak:
        code, output = medix("demo", "run", "--run-dir", str(folder), f"demo_dir={demo}", timeout=2400.0)
    assert code == 0, output
    return DemoRun(folder, peak.held)


@pytest.fixture(scope="module")
def run_dir(demo_run: DemoRun) -> Path:
    return demo_run.folder


@pytest.fixture(scope="module")
def results(run_dir: Path) -> dict[str, dict]:
    return {
        name: json.loads((run_dir / "report" / f"{name}.json").read_text())["sets"]["heldout_views"]["decoded"]
        for name in ("before", "after")
    }


def gain(results: dict[str, dict], decoding: str, signal: str) -> float:
    before, after = (results[name][decoding]["signals"][signal]["mean"] for name in ("before", "after"))
    return after - before


def test_the_gain_cannot_be_format_alone(results: dict[str, dict]) -> None:
    assert results["before"]["sampled"]["signals"]["format"]["mean"] >= 0.8


def test_reward_judge_and_unrewarded_accuracy_rise(results: dict[str, dict]) -> None:
    assert gain(results, "sampled", "overall") >= OVERALL_GAIN
    assert gain(results, "sampled", "llm") >= JUDGE_GAIN
    assert gain(results, "sampled", "exact") > 0.0


def test_greedy_does_not_fall(results: dict[str, dict]) -> None:
    assert gain(results, "greedy", "overall") >= 0.0


def test_shuffled_images_cost_accuracy(results: dict[str, dict]) -> None:
    after = results["after"]["sampled"]
    assert after["signals"]["exact"]["mean"] - after["shuffled_exact"] >= SHUFFLE_COST


def test_the_report_is_written(run_dir: Path) -> None:
    written = {path.suffix for path in (run_dir / "report").iterdir()}
    assert {".json", ".md", ".png"} <= written


def test_it_takes_at_most_18_gib(demo_run: DemoRun, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f" peak memory of the demo's processes: {demo_run.memory / GIB:.1f} GiB")
    assert GIB < demo_run.memory <= MOST_MEMORY


def test_vllm_serves_the_merged_model(demo: Path, run_dir: Path, tmp_path: Path) -> None:
    settings = server.ServerSettings(
        model=str(run_dir / "merged"),
        served_name="merged",
        port=server.free_port(),
        arguments=["--dtype", "float32", "--enforce-eager", "--max-model-len", "128"],
        environment={
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "TORCHDYNAMO_DISABLE": "1",
        },
    )
    row = read_rows(demo / "data" / "heldout_views.parquet")[0]
    picture = base64.b64encode(row["images"][0]["bytes"]).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "text", "text": row["extra_info"]["question"]},
    ]
    body = {
        "model": "merged",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 40,
        "temperature": 0,
    }
    with served(settings, tmp_path / "vllm.log"):
        request = urllib.request.Request(
            f"{settings.address}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = json.load(reply)["choices"][0]["message"]["content"]
    assert parse_completion(text).answer, text
