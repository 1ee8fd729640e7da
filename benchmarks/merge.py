"""`medix-r1 merge` beside verl's merger, and a table of its cost: `python benchmarks/merge.py [both] [table]`.

Makes synthetic FSDP2 checkpoints of a Qwen3-VL architecture in a temporary folder (random bfloat16 weights, written
rank by rank through torch's fake process group, deleted at the end). Both commands are run whole, imports included, in
turn on the same 8-rank checkpoint with bfloat16 output; medians. Memory is read from /proc: max RSS of the process
(mapped file pages included) and anonymous memory (RssAnon, sampled every 5 ms). The outputs are compared bit by bit.
Kept in results/merge.json, which `make docs` quotes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import results_file
import torch
import torch.distributed as dist
from safetensors import safe_open
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoProcessor, GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from medix_r1.demo.shipped import shipped_folder
from medix_r1.host.machine import GIB
from medix_r1.runs import checkpoints

HIDDEN, VOCABULARY = 2048, 32768


@dataclass(frozen=True)
class Cost:
    """One run of a command."""

    wall: float
    cpu: float  # user and system seconds
    max_rss: int
    max_anonymous: int


def make_checkpoint(run: Path, gigabytes: float, ranks: int) -> tuple[Path, int, int]:
    """Write a sealed checkpoint of about so many GB; returns it, the bytes of its weights and of the largest one."""
    nano = shipped_folder("policy")
    config = Qwen3VLConfig.from_pretrained(nano)
    text = config.text_config
    text.hidden_size, text.vocab_size, text.intermediate_size = HIDDEN, VOCABULARY, 3 * HIDDEN
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 16, 8, 128
    config.vision_config.out_hidden_size = HIDDEN
    layer = 2 * (HIDDEN * 3 * 3 * HIDDEN + 2 * HIDDEN * 2048 + 2 * HIDDEN * 1024)
    text.num_hidden_layers = max(1, round((gigabytes * 1e9 - 4 * VOCABULARY * HIDDEN) / layer))
    config.dtype = text.dtype = "bfloat16"
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Qwen3VLForConditionalGeneration(config).state_dict().items()}
    actor = run / "checkpoints" / "global_step_1" / "actor"
    huggingface = actor / "huggingface"
    huggingface.mkdir(parents=True)
    config.save_pretrained(huggingface)
    GenerationConfig.from_pretrained(nano).save_pretrained(huggingface)
    AutoProcessor.from_pretrained(nano).save_pretrained(huggingface)
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": ranks}))
    torch.manual_seed(0)
    for rank in range(ranks):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=ranks)
        mesh = init_device_mesh("cpu", (ranks,), mesh_dim_names=("fsdp",))
        shard = {}
        for name, shape in shapes.items():
            step = -(-shape[0] // ranks)
            rows = max(0, min(step, shape[0] - rank * step))
            local = torch.empty((rows, *shape[1:]), dtype=torch.bfloat16).uniform_(-1, 1)
            stride = torch.empty(shape, device="meta").stride()
            shard[name] = DTensor.from_local(local, mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)
        torch.save(shard, actor / f"model_world_size_{ranks}_rank_{rank}.pt")
        dist.destroy_process_group()
        del shard
    checkpoints.seal(actor.parent)
    sizes = [2 * shape.numel() for shape in shapes.values()]
    return actor.parent, sum(sizes), max(sizes)


def measure(command: Sequence[str]) -> Cost:
    """Run a command to its end."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    status, anonymous = Path(f"/proc/{process.pid}/status"), 0
    while True:
        done, code, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                anonymous = max(anonymous, int(line.split()[1]) * 1024)
        time.sleep(0.005)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise SystemExit(
            f"{' '.join(command)} ended with {process.returncode}\n{process.stderr and process.stderr.read()}"
        )
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, anonymous)


def ours(checkpoint: Path, out: Path) -> Cost:
    """Run `medix-r1 merge`."""
    command = [sys.executable, "-m", "medix_r1.cli", "merge", str(checkpoint), "--out", str(out)]
    return measure([*command, "--dtype", "bf16"])


def verls(checkpoint: Path, out: Path) -> Cost:
    """Run verl's merger."""
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    return measure([*command, "--local_dir", str(checkpoint / "actor"), "--target_dir", str(out)])


def differences(one: Path, other: Path) -> list[str]:
    """Names of tensors that are not bit for bit the same."""
    tensors = []
    for folder in (one, other):
        files = [safe_open(path, framework="pt") for path in sorted(folder.glob("*.safetensors"))]
        tensors.append({name: file for file in files for name in file.keys()})  # noqa: SIM118
    mine, theirs = tensors
    return sorted(
        name
        for name in mine.keys() | theirs.keys()
        if name not in mine
        or name not in theirs
        or not torch.equal(*(found[name].get_tensor(name).view(torch.uint8) for found in tensors))
    )


def row(name: str, cost: Cost) -> str:
    """Format a row of a table."""
    return f"| {name} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.max_rss / GIB:.2f} | {cost.max_anonymous / GIB:.2f} |"


def as_figures(cost: Cost) -> dict[str, float]:
    """What is kept of a cost."""
    gib = {"max_rss_gib": round(cost.max_rss / GIB, 2), "anonymous_gib": round(cost.max_anonymous / GIB, 2)}
    return {"wall_s": round(cost.wall, 1), "cpu_s": round(cost.cpu, 1), **gib}


def median(costs: Sequence[Cost]) -> Cost:
    """Take the median of each part by itself."""
    parts = ("wall", "cpu", "max_rss", "max_anonymous")
    return Cost(*(statistics.median(getattr(cost, part) for cost in costs) for part in parts))  # type: ignore[arg-type]


def beside_verl(folder: Path, gigabytes: float, repeats: int) -> dict[str, Any]:
    """Print both costs on one checkpoint of 8 ranks, and their ratios; return the figures."""
    checkpoint, size, largest = make_checkpoint(folder / "run", gigabytes, 8)
    costs: dict[str, list[Cost]] = {"verl": [], "medix-r1": []}
    loads = []
    for turn in range(repeats):
        for name, merger in (("verl", verls), ("medix-r1", ours)):
            loads.append(psutil.getloadavg()[0])
            shutil.rmtree(folder / name, ignore_errors=True)
            costs[name].append(merger(checkpoint, folder / name))
            print(f"  turn {turn + 1}, load {loads[-1]:.1f}: {row(name, costs[name][-1])}", file=sys.stderr, flush=True)
    theirs, mine = median(costs["verl"]), median(costs["medix-r1"])
    odd = differences(folder / "verl", folder / "medix-r1")
    print(f"## Beside verl's merger\n\n{size / 1e9:.2f} GB of bfloat16 weights in 8 ranks, largest parameter ", end="")
    print(
        f"{largest / GIB:.2f} GiB; median of {repeats} runs each, in turn; load {min(loads):.1f} to {max(loads):.1f}.\n"
    )
    print("| merger | wall s | CPU s | max RSS GiB | anonymous GiB |\n|---|---|---|---|---|")
    print(row("verl 0.9.1", theirs))
    print(row("medix-r1", mine))
    print(
        f"| ratio | {mine.wall / theirs.wall:.2f} | {mine.cpu / theirs.cpu:.2f} "
        f"| {mine.max_rss / theirs.max_rss:.2f} | {mine.max_anonymous / theirs.max_anonymous:.2f} |"
    )
    print(f"\nTensors that differ between the two results: {len(odd)}. ", end="")
    bound = 2 * largest + GIB
    print(f"Bound on anonymous memory: {bound / GIB:.2f} GiB, {'kept' if mine.max_anonymous <= bound else 'BROKEN'}.\n")
    turns = [(one.wall, other.wall) for one, other in zip(costs["verl"], costs["medix-r1"], strict=True)]
    closest = min(turns, key=lambda pair: abs(math.log(pair[0] / pair[1])))
    return {
        "load": [round(pick(loads), 1) for pick in (min, max)],
        "weights_gb": round(size / 1e9, 2),
        "ranks": 8,
        "largest_gib": round(largest / GIB, 2),
        "repeats": repeats,
        "verl": as_figures(theirs),
        "medix": as_figures(mine),
        "verl_wall_s": [round(pick(wall for wall, _ in turns)) for pick in (min, max)],
        "medix_wall_s": [round(pick(wall for _, wall in turns)) for pick in (min, max)],
        "closest_turn_s": [round(wall, 1) for wall in closest],
        "tensors_that_differ": len(odd),
        "bound_gib": round(bound / GIB, 2),
    }


def by_size(folder: Path, cases: Sequence[tuple[float, int]]) -> list[dict[str, Any]]:
    """Print our cost for several sizes and numbers of ranks; return the figures."""
    rows = []
    print("## By size and ranks\n\n| weights GB | ranks | wall s | CPU s | max RSS GiB | anonymous GiB |")
    print("|---|---|---|---|---|---|")
    for gigabytes, ranks in cases:
        checkpoint, size, _ = make_checkpoint(folder / "run", gigabytes, ranks)
        cost = ours(checkpoint, folder / "out")
        print(row(f"{size / 1e9:.2f} | {ranks}", cost), flush=True)
        rows.append({"weights_gb": round(size / 1e9, 2), "ranks": ranks, **as_figures(cost)})
        shutil.rmtree(folder / "run")
        shutil.rmtree(folder / "out")
    return rows


def main() -> None:
    """Print Markdown, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["both", "table"], default=["both", "table"])
    parser.add_argument("--gb", type=float, default=2.2, help="size of the checkpoint that both merge")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    about = results_file.provenance()
    print(f"{about['machine']}\n")
    with tempfile.TemporaryDirectory(prefix="medix-merge-") as name:
        if "both" in arguments.parts:
            figures = beside_verl(Path(name) / "both", arguments.gb, arguments.repeats)
            results_file.keep("merge", "both", {**about, **figures})
            shutil.rmtree(Path(name) / "both")
        if "table" in arguments.parts:
            rows = by_size(Path(name), [(0.5, 8), (1.1, 8), (2.2, 8), (1.1, 1), (1.1, 2), (1.1, 32)])
            results_file.keep("merge", "table", {**about, "rows": rows})


if __name__ == "__main__":
    main()
