"""Writes a run's samples: one file a step, with whole groups, and its index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from medix_r1.host.files import atomic_write
from medix_r1.runs import samples_index
from medix_r1.runs.folder import read_lines
from medix_r1.runs.scored_rollout import ScoredRollout


def looking_split(kind: str) -> str:
    """Where samples of validation rows stand that were asked again with `shuffled` or `blank` pictures."""
    return f"looking_{kind}"


ASKED_WITH = {looking_split("shuffled"): "another row's picture", looking_split("blank"): "a grey picture"}
SPLITS = ("train", "validation", *ASKED_WITH)


class SamplesFolder:
    """Writes samples below `root/SPLIT/STEP.jsonl`, each with its index (samples_index.py).

    Args:
        root: the folder.
        share: share of a step's groups to write, in (0, 1]; chosen by a hash, so every attempt writes the same groups.
        keep_steps: number of training steps whose files are kept; None keeps all. Files of validations are always kept.
    """

    def __init__(self, root: Path, *, share: float = 1.0, keep_steps: int | None = None) -> None:
        self._root, self._share, self._keep_steps = root, share, keep_steps

    def path(self, split: str, step: int) -> Path:
        return self._root / split / f"{step:06d}.jsonl"

    def write(self, split: str, step: int, rollouts: Sequence[ScoredRollout]) -> None:
        """Write a step's samples, atomically."""
        lines = [rollout.to_line() for rollout in rollouts if self._is_sampled(rollout.uid)]
        _write(self.path(split, step), lines)
        if split == "train" and self._keep_steps is not None:
            for old in sorted((self._root / split).glob("*.jsonl"))[: -self._keep_steps]:
                old.unlink(missing_ok=True)
                samples_index.path_of(old).unlink(missing_ok=True)

    def add_advantages(self, step: int, advantages: Mapping[str, float]) -> None:
        """Rewrite a training step's file with the samples' advantages: key → mean over the reply's tokens."""
        path = self.path("train", step)
        if path.exists():
            lines = [{**line, "advantage": advantages.get(line["key"])} for line in read_lines(path)]
            _write(path, lines)

    def _is_sampled(self, uid: str) -> bool:
        return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) < self._share * 2**32


def _write(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    encoded = [f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines]
    atomic_write(path, "".join(encoded))
    samples_index.write(path, lines, [len(line.encode()) for line in encoded])
