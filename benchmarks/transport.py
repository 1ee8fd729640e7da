"""What one prompt's picture costs on its way from the data set to the FSDP rank, beside verl's own way.

    python benchmarks/transport.py [--megapixels 0.25 1 4] [--rollouts 1 5 16] [--ranks 1] [--prompts 4]
    python benchmarks/transport.py --part by_ranks --megapixels 1 --rollouts 5 --ranks 1 2 --prompts 2

Each case runs in a process of its own, with verl's data set, agent-loop worker and a real TransferQueue with one
storage unit, on the nano policy's processor; no model runs. `verl` is without our plug-in. Pictures are like scans: a
gradient with noise, JPEG files of quality 95, that are not resized. The ranks share the rollouts of every prompt. Each
reads its own three times, as old log-probs, reference and update do. Bytes are those of TransferQueue's own encoding,
processor seconds those of the process and of the storage unit. Kept in results/transport.json.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WAYS = ("verl", "medix")
REPLY = 600  # tokens
STAGES = 3
LIMITS = {"min_pixels": 65536, "max_pixels": 4194304}


def measured(way: str, megapixels: float, rollouts: int, prompts: int, ranks: int) -> dict[str, Any]:
    """One case, in this process."""
    import numpy as np
    import psutil
    import ray
    import transfer_queue as tq
    from omegaconf import OmegaConf
    from PIL import Image

    folder = Path(tempfile.mkdtemp(prefix="transport"))
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=2 * 10**9)
    storage = {"total_storage_size": 10_000, "num_data_storage_units": 1}
    tq.init(OmegaConf.create({"backend": {"storage_backend": "SimpleStorage", "SimpleStorage": storage}}))

    from transfer_queue.utils.serial_utils import encode
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
    from verl.utils import hf_processor, hf_tokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

    from medix_r1.data.row import VERL_SCHEMA
    from medix_r1.demo.shipped import shipped_folder, unpack
    from medix_r1.training.verl_plugin.patches.shared_images import PICTURES
    from medix_r1.training.verl_plugin.pictures import PARTITION, PictureReader, StoredPictures

    policy = folder / "policy"
    unpack(shipped_folder("policy"), policy)
    tokenizer = hf_tokenizer(str(policy), trust_remote_code=False)
    processor = hf_processor(str(policy), trust_remote_code=False)
    side = int((megapixels * 1e6) ** 0.5) // 32 * 32

    def picture(number: int) -> bytes:
        noise = np.random.default_rng(number).normal(0, 8, (side, side, 1))
        pixels = np.clip(np.repeat(np.linspace(0, 200, side)[None, :, None] + noise, 3, 2), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
        return file.getvalue()

    rows: list[dict[str, Any]] = [
        {
            "data_source": "made",
            "prompt": [{"role": "user", "content": "<image>Which organ is shown?"}],
            "images": [{"bytes": picture(number), "path": None, **LIMITS}],
            "ability": "vqa",
            "reward_model": {"style": "medix", "ground_truth": "<X_RAY>\nlung"},
            "extra_info": {"index": number, "question": "Which organ is shown?", "answers": ["lung"]},
        }
        for number in range(prompts)
    ]
    _write(rows, folder / "rows.parquet", VERL_SCHEMA)
    settings = OmegaConf.create(
        {"prompt_key": "prompt", "image_key": "images", "filter_overlong_prompts": False, "cache_dir": str(folder)}
        | {"max_prompt_length": 8192, "truncation": "error", "mm_processor_kwargs": LIMITS}
    )
    data = RLHFDataset(str(folder / "rows.parquet"), tokenizer, settings, processor)
    unit = next(p for p in psutil.process_iter(["cmdline"]) if "SimpleStorageUnit" in " ".join(p.info["cmdline"] or []))
    unit_cpu, own_cpu = _cpu(unit), _cpu(psutil.Process())
    unit_rss = unit.memory_info().rss

    items = [data[number] for number in range(prompts)]
    driver = len(pickle.dumps(collate_fn(items), protocol=5)) // prompts
    worker = object.__new__(AgentLoopWorkerTQ.__ray_metadata__.modified_class)
    worker.tokenizer, worker.processor, worker.mm_processor_kwargs = tokenizer, processor, LIMITS
    worker.reward_loop_worker_handles, worker.distillation_enabled = None, False

    async def prompt(number: int, row: dict[str, Any]) -> None:
        uid = f"step000001-prompt{number:06d}"
        chat, images = row["raw_prompt"], None
        if way == "medix":
            from medix_r1.training.verl_plugin.patches.picture_files import opened
            from medix_r1.training.verl_plugin.patches.shared_images import SharedImages

            images = SharedImages((await RLHFDataset.process_vision_info(opened(chat), 16, settings))[0])
            images.key = uid
        else:
            images, _ = await RLHFDataset.process_vision_info(chat, 16, settings)
        text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        given = {"text": [text], "images": list(images), "images_kwargs": LIMITS, "return_tensors": "pt"}
        ids = processor(**given)["input_ids"][0].tolist()
        for session in range(rollouts):
            output = AgentLoopOutput(
                prompt_ids=ids,
                response_ids=[5] * REPLY,
                response_mask=[1] * REPLY,
                response_logprobs=[-0.5] * REPLY,
                multi_modal_data={"images": images},
                mm_processor_kwargs=LIMITS,
                num_turns=2,
                metrics=AgentLoopMetrics(),
                reward_score=0.5,
                extra_fields={"min_global_steps": 1, "max_global_steps": 1, "reward_extra_info": {"overall": 0.5}},
            )
            named = {**row, "uid": uid, "session_id": session, "global_steps": 1}
            await worker._agent_loop_postprocess(output, False, **named)

    async def put() -> None:
        for number, row in enumerate(items):
            await prompt(number, row)

    asyncio.run(put())
    put_cpu = _cpu(unit) - unit_cpu + _cpu(psutil.Process()) - own_cpu
    time.sleep(1)
    stored = unit.memory_info().rss - unit_rss

    keys = [f"step000001-prompt{n:06d}_{s}_0" for n in range(prompts) for s in range(rollouts)]
    of_a_rank = [keys[rank::ranks] for rank in range(ranks)]  # so that each has rollouts of every prompt
    unit_cpu, own_cpu, own_rss = _cpu(unit), _cpu(psutil.Process()), psutil.Process().memory_info().rss
    held, fetched = [], 0  # what the ranks keep until the step's end; pictures that they fetched
    for own in filter(None, of_a_rank):
        reader = PictureReader(processor)
        for _ in range(STAGES):
            batch = tq.kv_batch_get(keys=own, partition_id="train")
            if way == "medix":
                carried = [getattr(row, "data", row)[PICTURES] for row in batch["multi_modal_inputs"]]
                known = len(reader._pixels)
                reader.fetch({stored["key"]: StoredPictures.from_verl(stored) for stored in carried})
                fetched += len(reader._pixels) - known
        held.append((reader, batch))
    get_cpu = _cpu(unit) - unit_cpu + _cpu(psutil.Process()) - own_cpu
    rank = psutil.Process().memory_info().rss - own_rss
    last = held[-1][1]
    columns = {name: _bytes(encode, last[name]) // len(last) for name in sorted(last.keys())}  # of a rollout
    pixels = 0
    if way == "medix":
        stored_pixels = tq.kv_batch_get(
            keys=[key.rsplit("_", 2)[0] for key in keys[::rollouts]], partition_id=PARTITION
        )
        pixels = _bytes(encode, stored_pixels["pixels"]) // prompts
    ray.shutdown()
    rest = rollouts * sum(columns.values())
    return {
        "file": len(rows[0]["images"][0]["bytes"]),
        "loader_and_driver": driver,
        "stored": rest + pixels,
        "largest": dict(sorted(columns.items(), key=lambda one: -one[1])[:3]) | {"pixels of the prompt": pixels},
        "moved": (1 + STAGES) * rest + pixels + fetched * pixels // prompts,
        "storage_unit_memory": stored // prompts,
        "rank_memory": rank // prompts,
        "put_cpu": round(put_cpu / prompts, 3),
        "get_cpu": round(get_cpu / prompts, 3),
    }


def _write(rows: Sequence[dict[str, Any]], path: Path, schema: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), path)


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _bytes(encode: Callable[[Any], Any], column: Any) -> int:
    values = column.unbind() if hasattr(column, "unbind") and hasattr(column, "dtype") else list(column)
    return sum(memoryview(part).nbytes for value in values for part in encode(getattr(value, "data", value)))


def _case(way: str, *sizes: float) -> dict[str, Any]:
    """One case, in a process of its own."""
    plugins = {"verl": "none", "medix": "auto"}[way]
    environment = {**os.environ, "VERL_PLATFORM": "cpu" if way == "medix" else "", "VERL_USE_EXTERNAL_PLUGINS": plugins}
    environment |= {"TQ_LOGGING_LEVEL": "ERROR", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, __file__, "--case", way, *map(str, sizes)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure every case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.25, 1.0, 4.0])
    parser.add_argument("--rollouts", type=int, nargs="+", default=[1, 5, 16])
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1])
    parser.add_argument("--part", default="a_prompt", help="of results/transport.json")
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        way, megapixels, *sizes = given.case
        print(json.dumps(measured(way, float(megapixels), *map(int, sizes))))
        return
    import results_file

    values = results_file.provenance()
    values["what"] = (
        "a prompt with one picture: bytes, resident bytes of the storage unit and of a rank, processor seconds"
    )
    values["cases"] = []
    for megapixels, rollouts, ranks in itertools.product(given.megapixels, given.rollouts, given.ranks):
        case = {way: _case(way, megapixels, rollouts, given.prompts, ranks) for way in WAYS}
        values["cases"].append({"megapixels": megapixels, "rollouts": rollouts, "ranks": ranks, **case})
        print(json.dumps(values["cases"][-1]))
    results_file.keep("transport", given.part, values)


if __name__ == "__main__":
    main()
