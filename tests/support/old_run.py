"""A run folder as commit 795c22a left it, from tests/data/run_795c22a: `make demo`, cut down to what is read here.

Of its metrics the last step is whole and the others keep what the verbs show; of its samples some groups are there. In
its files the folder of the clone stands as CLONE. tests/data/run_795c22a_said holds what that commit printed of it.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder
from medix_r1.runs.scored_rollout import RECORD
from medix_r1.schema.moved_names import MOVED

DATA = Path(__file__).parents[1] / "data"
SAID = DATA / "run_795c22a_said"
STEP = 30


def unpack(clone: Path) -> RunFolder:
    """The run in `clone`/outputs/nano_cpu; its checkpoint's files are holes of the recorded sizes."""
    folder = RunFolder(clone / "outputs" / "nano_cpu")
    shutil.copytree(DATA / "run_795c22a", folder.root)
    for file in folder.root.rglob("*"):
        if file.is_file():
            file.write_text(file.read_text(encoding="utf-8").replace("CLONE", str(clone)), encoding="utf-8")
    folder.create()
    folder.log(1).touch()
    checkpoint = folder.checkpoints / f"global_step_{STEP}"
    for name, size in recorded_files().items():
        (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / name).touch()
        os.truncate(checkpoint / name, size)
    return folder


def recorded_files() -> dict[str, int]:
    """Files of its checkpoint, and their sizes."""
    manifest = DATA / "run_795c22a" / "checkpoints" / f"global_step_{STEP}" / "medix_checkpoint.json"
    files: dict[str, int] = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    return files


def overrides(folder: RunFolder) -> list[str]:
    """The command line of the run."""
    words: list[str] = json.loads((folder.root / "provenance.json").read_text(encoding="utf-8"))["overrides"]
    return words


def age(folder: RunFolder) -> set[str]:
    """Put a run that today's code began into the shape in which commit 795c22a would have left it.

    Returns:
        The prompts whose rollouts its newest checkpoint holds, with their records made old.
    """
    before = {now: old for old, now in MOVED.items()}
    folder.config.write_text(
        re.sub(r"medix_r1(?:\.\w+)+", lambda found: _old(found[0], before), folder.config.read_text(encoding="utf-8")),
        encoding="utf-8",
    )
    checkpoint = checkpoints.latest(folder.checkpoints)
    assert checkpoint is not None
    prompts = set[str]()
    for file in checkpoint.glob("transfer_queue/simple_storage/*.pkl"):
        state = pickle.loads(file.read_bytes())
        fields = state["field_data"]
        for index, extra in fields["extra_fields"].items():
            _age_record(getattr(extra, "data", extra)["reward_extra_info"])
            prompts.add(str(getattr(fields["uid"][index], "data", fields["uid"][index])))
        file.write_bytes(pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))
    checkpoints.seal(checkpoint)
    return prompts


def _old(name: str, before: Mapping[str, str]) -> str:
    now = max((now for now in before if f"{name}.".startswith(f"{now}.")), key=len, default="")
    return before[now] + name.removeprefix(now) if now else name


def _age_record(reward_extra_info: dict[str, object]) -> None:
    """What the reward manager of that commit wrote, and not what the row says."""
    record = json.loads(str(reward_extra_info[RECORD]))
    kept = ("answer", "modality", "think", "problems", "reasons", "weights", "gate_shut", "failure", "outage")
    old = {name: record[name] for name in (*kept, "image", "statistics", "seconds")}
    reward_extra_info[RECORD] = json.dumps({**old, "text": record["reply"]})
