"""`medix-r1 check --simulate`: prints the peak of each phase at real size, by part, against the GPU's memory."""

from __future__ import annotations

from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medix_r1.errors import Problem
from medix_r1.training.preflight.machine.micro_batch import MicroBatch, Stages
from medix_r1.training.preflight.machine.placement import judge_share
from medix_r1.training.simulation.run import Simulated, simulate

GIB = 1024**3
NOT_COUNTED = "fragmentation, workspaces of kernels, contexts of CUDA and NCCL, a sleeping vLLM; leave some GiB"
_LEAST = 0.005  # GiB; smaller parts are not shown


def show_simulation(config: DictConfig, gpu_gib: float, console: Console, pictures: int | None) -> list[Problem]:
    """Simulate, print, and return a problem if the peak is more than a GPU has.

    Raises:
        ConfigError: the config asks for something that cannot be simulated.
        TrainingError: the simulation failed.
    """
    console.print("simulation at real size (8B: one to three minutes on two cores)", highlight=False)
    found = simulate(config, lambda line: console.print(escape(line), highlight=False), pictures=pictures)
    judge = _judge_gib(config, gpu_gib)
    console.print(table(found, gpu_gib, judge))
    console.print(f"  {escape(sizes(found.stages))}", highlight=False, soft_wrap=True)
    for text in found.stand_ins:
        console.print(f"  stand-in: {escape(text)}", highlight=False, soft_wrap=True)
    console.print(
        f"  not counted: {NOT_COUNTED}",
        highlight=False,
        soft_wrap=True,
    )
    needed = found.peak / GIB + judge
    if needed <= gpu_gib:
        return []
    return [
        Problem(
            "memory",
            "peak-above-gpu",
            f"the simulated peak is {needed:.1f} GiB of a GPU's {gpu_gib:g} (--gpu-gib); take fewer tokens a "
            "micro-batch "
            "(actor_rollout_ref.actor.ppo_max_token_len_per_gpu, "
            "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu), smaller pictures "
            "(data.mm_processor_kwargs.max_pixels), more GPUs, or LoRA",
        )
    ]


def table(found: Simulated, gpu_gib: float, judge_gib: float = 0.0) -> Table:
    """Parts by phase, in GiB."""
    shown = Table(
        title=f"one rank, simulated (GiB, of {gpu_gib:g} a GPU)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    shown.add_column("")
    for name in found.phases:
        shown.add_column(name, justify="right")
    for name, values in rows(found, gpu_gib, judge_gib):
        shown.add_row(name, *values)
    return shown


def rows(found: Simulated, gpu_gib: float, judge_gib: float = 0.0) -> list[tuple[str, list[str]]]:
    """Name → a value for each phase, as the table shows them."""
    phases = list(found.phases.values())
    names = {part: max(phase.parts.get(part, 0) for phase in phases) / GIB for phase in phases for part in phase.parts}
    lines = [
        (part, [f"{phase.parts.get(part, 0) / GIB:.2f}" for phase in phases])
        for part, most in names.items()
        if most >= _LEAST
    ]
    if judge_gib:
        lines.append(("judge", [f"{judge_gib:.2f}"] * len(phases)))
    peaks = [phase.bytes / GIB + judge_gib for phase in phases]
    lines.append(("peak", [f"{peak:.2f}" for peak in peaks]))
    lines.append(("left of the GPU", [f"{gpu_gib - peak:.2f}" for peak in peaks]))
    if any(phase.host for phase in phases):
        lines.append(("meanwhile on the host", [f"{phase.host / GIB:.2f}" for phase in phases]))
    return lines


def sizes(stages: Stages) -> str:
    """The micro-batches in words."""
    named: dict[str, MicroBatch | None] = {
        "reference": stages.reference,
        "old log-probs": stages.log_probs,
        "update": stages.update,
    }
    return "micro-batches: " + "; ".join(
        f"{name} {batch.tokens} tokens with {_pictures(batch)}" for name, batch in named.items() if batch
    )


def _pictures(batch: MicroBatch) -> str:
    if not batch.pictures:
        return "no picture"
    return f"{len(batch.pictures)} picture(s) of {batch.pictures[0]} tokens"


def _judge_gib(config: DictConfig, gpu_gib: float) -> float:
    share = judge_share(config)
    shares = config.judge.server is not None and config.placement.judge == "shared" and share is not None
    return float(share) * gpu_gib if shares and share is not None else 0.0
