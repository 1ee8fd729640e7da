"""verl: max_actor_ckpt_to_keep removes the actor's folder and leaves the rest of the checkpoint behind."""

import tempfile
from pathlib import Path

from verl.utils.checkpoint.checkpoint_manager import BaseCheckpointManager

manager = object.__new__(BaseCheckpointManager)
manager.previous_saved_paths = []
with tempfile.TemporaryDirectory() as root:
    for step in (1, 2, 3):  # as PPOTrainer._save_checkpoint does: the actor's part, then data.pt beside it
        folder = Path(root) / f"global_step_{step}"
        (folder / "actor").mkdir(parents=True)
        manager.register_checkpoint(str(folder / "actor"), max_ckpt_to_keep=1)
        (folder / "data.pt").write_bytes(b"the loader's state")
    left = sorted(str(path.relative_to(root)) for path in Path(root).rglob("*"))

print("left with max_actor_ckpt_to_keep=1:", left)
print("STILL THERE: folders that look like checkpoints" if "global_step_1" in left else "GONE: old folders are removed")
