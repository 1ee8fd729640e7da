"""Does the update of a step again, in processes of its own, from the checkpoint before it and the step's tokens.

`python -m medix_r1.training.command.update_again SCRATCH RUN` keeps all processes; with `--driver` it is the one in
which verl runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from medix_r1 import user_code
from medix_r1.errors import TrainingError
from medix_r1.host import gc_tuning, processes
from medix_r1.host.machine import this_machine
from medix_r1.runs import checkpoints
from medix_r1.runs.folder import RunFolder, read_lines
from medix_r1.runs.group_filter import MIN_GROUP, GroupFilter
from medix_r1.runs.scored_rollout import OVERALL, with_think
from medix_r1.training.command import driver
from medix_r1.training.command.launch import set_ray_init, sigterm_as_interrupt

_END_TIMEOUT = 20.0  # seconds for the keeper to end everything


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update came to.

    Attributes:
        metrics: of the update, as in training: `actor/grad_norm`, `actor/pg_loss`, …
        equal_log_probs: samples whose old log-probs are those that were kept, bit for bit.
        samples: in the batch.
        largest_difference: of a token's log-prob.
        machine: on which the step was trained.
    """

    metrics: Mapping[str, float]
    equal_log_probs: int
    samples: int
    largest_difference: float
    machine: str


def why_not(run: RunFolder, step: int, config: DictConfig) -> str | None:
    """Why the update of a step cannot be done again; None if it can."""
    if not run.tokens(step).is_file():
        there = sorted(int(path.stem) for path in run.tokens(0).parent.glob("*.pt"))
        if not there:
            return "the run kept no tokens (run.samples.tokens=true keeps them)"
        return f"the tokens of step {step} are not there; there are those of {there[0]} to {there[-1]}"
    if config.run.samples.share < 1:
        return f"the run kept only a share of its samples (run.samples.share={config.run.samples.share})"
    if not config.trainer.v1.trainer_mode.startswith("medix_"):
        return f"trainer.v1.trainer_mode={config.trainer.v1.trainer_mode} is verl's own trainer"
    if step > 1 and checkpoint_before(run, step) is None:
        steps = ", ".join(str(checkpoints.step_of(folder)) for folder in checkpoints.all_folders(run.checkpoints))
        return (
            f"there is no whole checkpoint of step {step - 1} (there are: {steps or 'none'}); trainer.save_freq and "
            "run.keep_checkpoints say which are kept"
        )
    return None


def checkpoint_before(run: RunFolder, step: int) -> Path | None:
    """The whole checkpoint that a step began with; None for the first step, which began with the model."""
    folder = run.checkpoints / f"global_step_{step - 1}"
    return folder if step > 1 and checkpoints.is_whole(folder) else None


def update_again(run: RunFolder, step: int, config: DictConfig, changes: Mapping[str, Any], log: Path) -> Updated:
    """Do the update.

    Args:
        run: whose step it is; nothing in it is written.
        step: its number.
        config: of training.
        changes: key of a sample → its record and its total reward (None: as it was); samples that are not named are
            left out.
        log: file for what verl prints.

    Raises:
        TrainingError: it failed; the log says how.
    """
    scratch = Path(tempfile.mkdtemp(prefix="medix-"))  # short, because Ray's socket paths have a length limit
    with tempfile.TemporaryDirectory(prefix="medix-replay-") as room:
        again, result = RunFolder(Path(room) / "run"), Path(room) / "result.json"
        again.create()
        (Path(room) / "changes.json").write_text(json.dumps(changes), encoding="utf-8")
        asked = {"step": step, "tokens": str(run.tokens(step).absolute()), "result": str(result)}
        asked["changes"] = str(Path(room) / "changes.json")
        _write_config(again, scratch, config, checkpoint_before(run, step), asked)
        with log.open("ab") as file, sigterm_as_interrupt():
            keeper = subprocess.Popen(
                [sys.executable, "-m", "medix_r1.training.command.update_again", str(scratch), str(again.root)],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, "PYTHONSAFEPATH": "1", "TMPDIR": str(scratch)},
            )
            try:
                keeper.wait()
            finally:
                assert keeper.stdin is not None
                keeper.stdin.close()
                keeper.wait(_END_TIMEOUT)
        if not result.is_file():
            errors = [event["message"] for event in _events(again) if event["event"] == "error"]
            says = errors[-1] if errors else f"verl's process ended with code {keeper.returncode}"
            raise TrainingError(f"the update was not done again: {says}; log: {log}", code="not-replayed")
        return Updated(**json.loads(result.read_text(encoding="utf-8")))


def as_it_was(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Changes that change nothing, of the lines of a step's samples."""
    return {line["key"]: {"record": with_think(dict(line)), "total": None} for line in lines}


def what_if(
    lines: Sequence[Mapping[str, Any]],
    totals: Sequence[float | None],
    parts: Sequence[Mapping[str, float | None]],
    filtering: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Changes by other rewards, and what they leave out, in words.

    Args:
        lines: of the step's samples.
        totals: the total reward of each now; None masks it.
        parts: signal → value of each now.
        filtering: the group filter's signal, low and high.
    """
    groups: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        groups.setdefault(line["uid"], []).append(place)
    rule = GroupFilter(**filtering) if filtering["signal"] else None
    changes: dict[str, Any] = {}
    counts = Counter[str]()
    for places in groups.values():
        there = [place for place in places if totals[place] is not None]
        values = [
            totals[place] if rule is None or rule.signal == OVERALL else parts[place].get(rule.signal)
            for place in there
        ]
        numbers = [value for value in values if value is not None]
        then = any(lines[place].get("filtered") for place in places)
        drops = len(there) < MIN_GROUP or (rule is not None and rule.drops(numbers))
        if drops:
            counts["left out now"] += not then
            continue
        counts["kept now"] += then
        for place in there:
            record = with_think(dict(lines[place])) | {"overall": totals[place], "parts": dict(parts[place])}
            changes[lines[place]["key"]] = {"record": record, "total": totals[place]}
    says = []
    if counts["left out now"]:
        says.append(f"{counts['left out now']} groups that were trained on are left out now; a run would replace them")
    if counts["kept now"]:
        says.append(f"{counts['kept now']} groups that the filter dropped would be kept now; they have no tokens")
    return changes, says


def update_lines(updated: Updated, recorded: float | None, *, changed: bool, begins: str) -> list[str]:
    """What came of it, in words.

    Args:
        updated: the update.
        recorded: the gradient norm in training; None if the run has none.
        changed: the reward is another one than in training.
        begins: with which weights it began.
    """
    norm, there = updated.metrics["actor/grad_norm"], "not recorded" if recorded is None else repr(recorded)
    equal = "" if changed or recorded != norm else ": equal bit for bit"
    lines = [f"the update again, from {begins}: gradient norm {norm!r}; in training {there}{equal}"]
    same = f"{updated.equal_log_probs} of {updated.samples} samples have the old log-probs of training bit for bit"
    lines.append(same)
    if updated.equal_log_probs < updated.samples or not (changed or equal):
        lines.append(
            f"the largest difference of a log-prob is {updated.largest_difference:.3g}. Numbers are equal only on the "
            f"same kind of processor with as many threads: trained on {updated.machine}; here {this_machine()}"
        )
    return lines


def _events(folder: RunFolder) -> list[dict[str, Any]]:
    return list(read_lines(folder.events)) if folder.events.is_file() else []


def _write_config(
    again: RunFolder, scratch: Path, config: DictConfig, checkpoint: Path | None, asked: Mapping[str, Any]
) -> None:
    plain = OmegaConf.to_container(config, resolve=True)
    made = OmegaConf.create(user_code.changed(plain, lambda reference: user_code.keep(reference, again.code)))
    with open_dict(made):
        made.replay = dict(asked)
        made.trainer.v1.trainer_mode = "medix_replay"
        made.trainer.logger = []
        made.trainer.resume_mode = "disable" if checkpoint is None else "resume_path"
        made.trainer.resume_from_path = None if checkpoint is None else str(checkpoint.absolute())
        made.trainer.default_local_dir = str(again.checkpoints)
        made.trainer.v1.sampler.sampler_kwargs.samples_dir = str(again.samples)
        made.run.dir = str(again.root)
        made.run.samples.tokens = False
        made.actor_rollout_ref.rollout.nnodes = 1  # verl asks for it where no replica shares the actor's GPUs
        made.reward.reward_manager.name = "naive"  # nothing is scored in there
        made.reward.num_workers = 1
        set_ray_init(made.ray_kwargs.ray_init, scratch)
    OmegaConf.save(made, again.config)


def _runner(main_ppo: Any) -> type[Any]:
    base: type[Any] = driver.task_runner_class(main_ppo)

    class ReplayTaskRunner(base):
        def run(self, config: DictConfig) -> None:
            import medix_r1.training.verl_plugin.replaying.trainer  # noqa: F401  registers it

            super().run(config)

        def init_agent_loop_manager(self) -> None:
            """Nothing is generated."""

    return ReplayTaskRunner


def main() -> int:
    """Keep the driver, or be it."""
    if sys.argv[1] == "--driver":
        gc_tuning.tune_for_imports()
        return driver.drive(RunFolder(Path(sys.argv[2])), _runner)
    with processes.keeper(Path(sys.argv[1])):
        module = "medix_r1.training.command.update_again"
        started = subprocess.Popen([sys.executable, "-m", module, "--driver", sys.argv[2]], stdin=subprocess.DEVNULL)
        try:
            return processes.wait_for(started)
        except processes.Stopped:
            return 1


if __name__ == "__main__":
    sys.exit(main())
