"""What runs leave behind, for tests of sweeps: enough of a run folder for the launcher to know how far a run is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder


def leave_run(config: DictConfig, *, steps: int, ending: str = "finished") -> None:
    """Write a run's config, events and newest checkpoint, as a run of so many steps leaves them."""
    folder = RunFolder(Path(config.run.dir))
    folder.create()
    OmegaConf.save(config, folder.config, resolve=True)
    checkpoint = folder.checkpoints / f"global_step_{steps}"
    checkpoint.mkdir(exist_ok=True)
    (checkpoint / "data.pt").write_bytes(b"state")
    checkpoints.seal(checkpoint)
    folder.log(1).touch()
    folder.add_event("started", attempt=1)
    folder.add_event(ending, **({"message": "the judge is gone"} if ending == "error" else {}))


@dataclass(frozen=True)
class RecordingTask:
    """A launcher's task that leaves a run's folder; the run whose folder has this name fails after a step."""

    breaks: str = "none"

    def __call__(self, config: DictConfig) -> int:
        broken = Path(config.run.dir).name == self.breaks
        leave_run(config, steps=1 if broken else 2, ending="error" if broken else "finished")
        return int(broken)
