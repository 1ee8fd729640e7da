"""A small run's folder, as a run leaves it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import yaml
from PIL import Image

REPLY = "<X_RAY><think>t</think><answer>a [bold]x[/bold]\x1b[31m</answer>"


def sample(key: str, llm: float | None, embed: float, **changes: Any) -> dict[str, Any]:
    return {
        "key": key, "uid": key, "row_id": f"row-{key}", "source": "a", "question": "What is shown?",
        "reference": "<X_RAY>chest", "reply": REPLY, "answer": "a", "modality": "X_RAY",
        "parts": {"llm": llm, "embed": embed}, "reasons": {"llm": "judge: NO"}, "overall": llm, "masked": llm is None,
        "failure": None if llm is not None else "judge away", "outage": False, "cut": False, "tokens": 7, **changes,
    }  # fmt: skip


def make_run(root: Path, *, reply: str = REPLY) -> Path:
    steps = {
        ("train", 1): [sample("a", 0.0, 1.0, reply=reply), sample("b", 1.0, 1.0, reference="<CT_SCAN>head")],
        ("train", 2): [sample("c", 0.0, 0.2, source="b"), sample("d", None, 0.9)],
        ("validation", 0): [sample("v", 0.0, 0.0)],
        ("validation", 2): [sample("v", 1.0, 1.0)],
    }
    for (split, step), rows in steps.items():
        folder = root / "samples" / split
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{step:06d}.jsonl").write_text(text + ('{"torn' if split == "train" else ""))
    write_data(root / "train.parquet")
    write_metrics(root)
    config = {
        "run": {"name": "small", "seed": 1},
        "data": {"train_files": str(root / "train.parquet"), "val_files": ["gone.parquet"], "image_key": "images",
                 "train_batch_size": 2},
        "trainer": {"total_training_steps": 9, "nnodes": 1, "n_gpus_per_node": 1, "device": "cpu"},
        "actor_rollout_ref": {"model": {"path": "nano"}, "rollout": {"n": 2}, "actor": {"ppo_mini_batch_size": 2}},
        "reward": {"weights": {"llm": 1.0}},
    }  # fmt: skip
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    events = [{"time": 0.0, "event": "driver_starting"},
              {"time": 1.0, "event": "alarm", "step": 2, "name": "format_falls", "message": "fell", "advice": "Look."},
              {"time": 2.0, "event": "finished"}]  # fmt: skip
    (root / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return root


def write_data(path: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (4, 4)).save(picture, "PNG")
    rows = [
        {"images": [{"bytes": picture.getvalue(), "path": None}], "extra_info": {"row_id": "row-a"}},
        {"images": [{"bytes": b"<script>", "path": None}], "extra_info": {"row_id": "row-b"}},
        {"images": [{"bytes": picture.getvalue(), "path": None}], "extra_info": {"row_id": "row-v"}},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), path)


def write_metrics(root: Path) -> None:
    (root / "metrics").mkdir()
    records = [
        {"step": step, "data": {"reward/overall/mean": 0.1 * step, "reward/llm/mean": 0.1 * step,
                                "reward/overall/interval": 0.05, "response_length/mean": 20.0 + step,
                                "timing_s/step": 4.0, "timing_s/gen": 2.0, "timing_s/update_actor": 1.0}}
        for step in range(1, 10)
    ]  # fmt: skip
    records.insert(0, {"step": 0, "data": {"heldout/a/overall/mean": 0.1}})
    records.append({"step": 9, "data": {"heldout/a/overall/mean": 0.6}})
    (root / "metrics" / "attempt_001.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
