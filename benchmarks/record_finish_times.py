"""Records when the 2,560 rollouts of one step finish: `python benchmarks/record_finish_times.py [--questions 512]`.

Starts a real `medix-r1 train experiment=nano_cpu` with a signal that notes the time at which each reply reaches the
reward, ends it when all replies of the first step are there, and writes finish_times.json for reward_speed.py.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import reward_server

from medix_r1.host.machine import this_machine
from medix_r1.rewards.base import Sample, Score

HERE = Path(__file__).parent
GROUP = 5
_ENOUGH = 1800.0  # seconds for the whole recording


class FinishTimes:
    """A monitor that appends the time of each reply to a file."""

    def __init__(self, *, path: str) -> None:
        self._path = Path(path)

    def score(self, sample: Sample) -> Score:
        """Note the time; says nothing about the reply."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{time.time():.4f} {len(sample.completion.text)}\n")
        return Score(None, "noted")


def record(folder: Path, questions: int, more: list[str]) -> list[float]:
    """Run the first step until all its replies are there; seconds since the first one, in order."""
    times, wanted = folder / "times.txt", questions * GROUP
    with reward_server.running() as address:
        settings = [
            "experiment=nano_cpu",
            f"run.dir={folder / 'run'}",
            "judge=remote",
            f"judge.client.base_url={address}",
            f"judge.client.model={reward_server.MODEL}",
            f"data.train_batch_size={questions}",
            "trainer.total_training_steps=1",
            "trainer.val_before_train=false",
            "trainer.test_freq=-1",
            "trainer.save_freq=-1",
            "+reward.signals.finished._target_=record_finish_times.FinishTimes",
            f"+reward.signals.finished.path={times}",
            *more,
        ]
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        run = subprocess.Popen(
            [sys.executable, "-m", "medix_r1.cli", "train", *settings], env={**os.environ, "PYTHONPATH": path}
        )
        try:
            end = time.monotonic() + _ENOUGH
            while run.poll() is None and time.monotonic() < end:
                if times.exists() and times.read_text(encoding="utf-8").count("\n") >= wanted:
                    break
                time.sleep(1.0)
        finally:
            run.send_signal(signal.SIGINT)
            run.wait()
    noted = sorted(float(line.split()[0]) for line in times.read_text(encoding="utf-8").splitlines())
    if len(noted) < wanted:
        raise SystemExit(f"only {len(noted)} of {wanted} replies came")
    return [round(moment - noted[0], 3) for moment in noted[:wanted]]


def main() -> None:
    """Record and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=512)
    parser.add_argument("--out", type=Path, default=HERE / "finish_times.json")
    parser.add_argument("more", nargs="*", help="further overrides, such as demo_dir=...")
    options = parser.parse_args()
    seconds = record(Path(tempfile.mkdtemp(prefix="medix-bench-")), options.questions, options.more)
    what = f"{len(seconds)} rollouts of a first step of the nano experiment ({options.questions} questions x {GROUP})"
    how = f"recorded on {datetime.date.today()} by `benchmarks/record_finish_times.py`: {this_machine()}"
    source = f"Finish times of the {what}, {how}."
    options.out.write_text(json.dumps({"source": source, "seconds": seconds}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
