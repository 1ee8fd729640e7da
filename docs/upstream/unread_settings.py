"""verl: settings that are declared, validated or documented, and that the FSDP path of the v1 trainer does not read."""

import ast
from pathlib import Path

import verl

root = Path(verl.__file__).parents[1]
# setting -> the files in which reading it would make a difference
SETTINGS = {
    "grad_clip": ["verl/workers/engine/fsdp", "verl/workers/engine_workers.py"],
    "max_num_gen_batches": ["verl/trainer/ppo/v1/replay_buffer.py"],
}

unread = []
for setting, places in SETTINGS.items():
    files = [
        file
        for place in places
        for file in ((root / place).rglob("*.py") if (root / place).is_dir() else [root / place])
    ]
    names = {
        value
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for value in (getattr(node, "attr", None), getattr(node, "value", None))
        if isinstance(value, str)
    }
    print(f"{setting}: {'read' if setting in names else 'not read'} in {', '.join(places)}")
    unread += [] if setting in names else [setting]

print(f"{'STILL THERE' if unread else 'GONE'}: not read: {', '.join(unread) or 'none'}")
