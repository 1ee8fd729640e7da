"""Tries on a GPU what this project needs of it.

python scripts/gpu_probe.py [--device cpu] [--out OUT] [CHECK …]

Stage 1: verl's engine without vLLM and without Ray: forward, backward, AdamW and CompensatedAdamW in bf16, offload
round trips, packed rows, a process group of one (NCCL), a checkpoint and `medix-r1 merge --verify`, times by attention,
and the peak memory of the 2B model with random weights beside `check --simulate`. Stage 2: MiniLM. What needs vLLM
(rollouts, weight sync, sleep, seeds) is tests/gpu, and three steps of the 2B recipe are scripts/gpu_smoke.sh, which
calls this first.

Needs no network: models are the demo's and random ones. Each check is a process of its own, so that one that crashes or
hangs is a row of OUT/probe.md like any other. With --device cpu all of it runs on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STAGES = {
    1: ("group", "adamw", "compensated", "offload", "packed", "checkpoint", "attention_times", "peak"),
    2: ("minilm",),
}
PACKAGES = ("torch", "transformers", "verl", "vllm", "ray", "tensordict", "flash-attn", "sentence-transformers")
ENVIRONMENT = {
    "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin",
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def main() -> int:
    """Run the checks, write the report; 1 if one failed, 2 without the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu_probe"))
    parser.add_argument("--model", type=Path, help="folder of a policy; by default the demo's")
    parser.add_argument("--timeout", type=int, default=900, help="seconds of one check")
    parser.add_argument("checks", nargs="*", help=", ".join(name for names in STAGES.values() for name in names))
    given = parser.parse_args()
    known = [name for names in STAGES.values() for name in names]
    if unknown := sorted(set(given.checks) - set(known)):
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(known)}")
    if given.device == "cuda" and not _has_cuda():
        print("torch sees no GPU; --device cpu runs the same checks without one", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    model = given.model or _demo_policy(given.out)
    rows = []
    for name in given.checks or known:
        rows.append(_run(name, given.device, model, given.out, given.timeout))
        print(f"{name}: {rows[-1]['outcome']} ({rows[-1]['seconds']} s) {rows[-1]['says']}", flush=True)
    (given.out / "probe.json").write_text(json.dumps({"device": given.device, "rows": rows}, indent=1) + "\n")
    (given.out / "probe.md").write_text(_report(given.device, rows))
    print(f"report: {given.out / 'probe.md'}")
    return int(any(row["outcome"] == "failed" for row in rows))


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _demo_policy(out: Path) -> Path:
    sys.path.insert(0, str(ROOT))
    from medix_r1.demo.shipped import shipped_folder, unpack

    folder = out / "policy"
    if not folder.exists():
        unpack(shipped_folder("policy"), folder)
    return folder


def _run(name: str, device: str, model: Path, out: Path, timeout: int) -> dict[str, Any]:
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(ROOT), *_path()])}
    if device == "cpu":
        environment["VERL_PLATFORM"] = "cpu"
    stage = next(stage for stage, names in STAGES.items() if name in names)
    began = time.monotonic()
    log = out / f"{name}.log"
    with tempfile.TemporaryDirectory() as scratch, log.open("w") as file:
        command = [sys.executable, "-m", "tests.support.gpu_checks", name, device, str(model.resolve()), scratch]
        try:
            code = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=timeout, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    row: dict[str, Any] = {"stage": stage, "check": name, "seconds": round(time.monotonic() - began)}
    if code:
        says = f"not done after {timeout} s" if code == -1 else (lines or ["it printed nothing"])[-1][:300]
        return {**row, "outcome": "failed", "says": says, "figures": {}}
    figures = json.loads(lines[-1])
    outcome = "skipped" if "skipped" in figures else "passed"
    return {**row, "outcome": outcome, "says": ", ".join(f"{k}: {v}" for k, v in figures.items()), "figures": figures}


def _path() -> list[str]:
    return [entry for entry in [os.environ.get("PYTHONPATH", "")] if entry]


def _report(device: str, rows: list[dict[str, Any]]) -> str:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} not installed")
    where = device
    if device == "cuda":
        import torch

        where = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    lines = [
        f"# The probe on {where}",
        "",
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}; {', '.join(versions)}.",
        "",
        "| stage | check | outcome | time | figures |",
        "|---|---|---|---|---|",
        *(
            "| {stage} | {check} | {outcome} | {seconds} s | {says} |".format(
                **row | {"says": row["says"].replace("|", "/")}
            )
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
