"""The command line. Each verb imports what it needs, so that `--help` imports neither torch nor verl."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from medix_r1.data.cli import app as data
from medix_r1.demo.cli import app as demo
from medix_r1.difficulty.cli import add_verb as add_difficulty
from medix_r1.errors import ConfigError, MedixError
from medix_r1.evaluation.cli import app as evaluation
from medix_r1.reports.cli import add_verbs as add_report_verbs
from medix_r1.scoring.cli import app as reward
from medix_r1.scoring.judge_cli import app as judge
from medix_r1.scoring.rubrics.cli import app as rubric
from medix_r1.skeletons.kinds import Kind
from medix_r1.untrusted import plain

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Reinforcement learning of medical vision-language models on open-ended answers.",
)
console = Console(stderr=False, soft_wrap=True)


class PrintedConfig(StrEnum):
    """What `train --cfg` prints."""

    JOB = "job"


Overrides = Annotated[list[str] | None, typer.Argument(help="Hydra overrides: group=choice or key=value.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from medix_r1.version import version_line

        console.print(version_line(), highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print version and commit, stop.")
    ] = False,
) -> None: ...


@app.command()
def train(
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compose, check, print the resolved config (of a sweep: its runs), stop.")
    ] = False,
    multirun: Annotated[
        bool, typer.Option("-m", "--multirun", help="A sweep: one run for each value, as in run.seed=1,2.")
    ] = False,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
    cfg: Annotated[
        PrintedConfig | None, typer.Option(help="Print the resolved config, unchecked, and stop; as Hydra's --cfg.")
    ] = None,
) -> None:
    """Train: `medix-r1 train experiment=nano_cpu`. The same command again resumes."""
    from omegaconf import OmegaConf

    if cfg is not None:
        from medix_r1.config import compose_train

        sys.stdout.write(OmegaConf.to_yaml(compose_train(overrides or [], config_dir or [])))
        return
    from medix_r1.sweeps.expand import is_sweep
    from medix_r1.training.command import launch
    from medix_r1.training.command.plan import make_plan
    from medix_r1.training.command.progress import ProgressView

    if multirun or is_sweep(overrides or [], config_dir or []):
        from medix_r1.sweeps.launch import train_all

        raise typer.Exit(train_all(overrides or [], config_dir or [], console, dry_run=dry_run))
    planned = make_plan(overrides or [], config_dir or [])
    if dry_run:
        sys.stdout.write(OmegaConf.to_yaml(planned.config))
    elif planned.is_finished:
        for difference in planned.differences:
            console.print(f"[yellow]changed[/] {escape(str(difference))}", highlight=False)
        console.print(f"{planned.folder.root} {planned.standing}", highlight=False)
    else:
        raise typer.Exit(launch.run(planned, ProgressView(console)))


@app.command()
def check(
    overrides: Overrides = None,
    gpu_gib: Annotated[float, typer.Option(help="Memory of one GPU, for the estimate.")] = 80.0,
    host_gib: Annotated[
        float | None, typer.Option(help="Memory of one node, in place of what is free on this machine.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without data, weights, servers and GPUs: what the config alone tells.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show also what differs from the recipe that the experiment builds on.")
    ] = False,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="Run a rank's step at real size with fake tensors: its peak, by part. Minutes."
        ),
    ] = False,
    pictures: Annotated[
        int | None, typer.Option(min=0, help="With --simulate: pictures of an update's micro-batch; else all that fit.")
    ] = None,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
) -> None:
    """Check a run before it starts, explain its batches, estimate memory: `medix-r1 check experiment=nano_cpu`.

    With the memory of a step at real size, without weights or a GPU:
    `medix-r1 check experiment=medix_r1_8b_grpo judge.client.base_url=http://HOST:8000/v1 --offline --simulate`.
    """
    from medix_r1.training.command.check_view import show_check

    code = show_check(
        overrides or [],
        config_dir or [],
        gpu_gib,
        console,
        host_gib=host_gib,
        offline=offline,
        diff=diff,
        simulated=simulate,
        pictures=pictures,
    )
    raise typer.Exit(code)


@app.command("list")
def list_(
    group: Annotated[str | None, typer.Argument(help="Group to look into, as experiment, reward or eval/task.")] = None,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: names, lines and files.")] = False,
) -> None:
    """List the config groups, or the choices of one, with a line each: `medix-r1 list experiment`."""
    from medix_r1.listing import show

    show(group, config_dir or [], console, as_json=as_json)


@app.command()
def new(
    kind: Annotated[Kind, typer.Argument(help="What to make.")],
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits and _.")],
    into: Annotated[Path, typer.Option(help="Your folder.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a working skeleton with its test into your folder: `medix-r1 new reward brevity`."""
    from medix_r1.skeletons.new import make

    make(kind, name, into, console, force=force)


@app.command()
def serve(overrides: Overrides = None) -> None:
    """Serve the judge of a config until Ctrl-C: `medix-r1 serve judge=nano judge.server.port=8311`."""
    from medix_r1.serving.foreground import serve as serve_judge

    serve_judge(overrides or [], console)


@app.command()
def merge(
    checkpoint: Annotated[Path, typer.Argument(help="RUN/checkpoints/global_step_N, or RUN for its newest.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is already there.")] = False,
    dtype: Annotated[str, typer.Option(help="trained (as it is), bf16, fp16 or fp32.")] = "trained",
    shard_size: Annotated[str, typer.Option(help="Most bytes of weights in one file, as 5GB or 500MB.")] = "5GB",
    adapter: Annotated[bool, typer.Option("--adapter", help="Write the LoRA adapter as a PEFT folder.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Load the result, compare its logits.")] = False,
    verify_with: Annotated[str | None, typer.Option(help="Verify with transformers, vllm or both.")] = None,
    like: Annotated[str | None, typer.Option(help="Base model, whose tokenizer and other files are kept.")] = None,
    unsealed: Annotated[bool, typer.Option("--unsealed", help="One that verl or EasyR1 wrote alone.")] = False,
    best: Annotated[bool, typer.Option("--best", help="Of a RUN: the best held-out checkpoint.")] = False,
    push: Annotated[str | None, typer.Option(help="Hub repository to upload to, OWNER/NAME; private.")] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: for everybody to see.")] = False,
) -> None:
    """Turn a checkpoint into a model folder: `medix-r1 merge outputs/nano_cpu --out outputs/model --dtype bf16`."""
    from medix_r1.checkpoints.command import merge_and_push
    from medix_r1.checkpoints.options import Options
    from medix_r1.checkpoints.source import best_of

    checkpoint = best_of(checkpoint) if best else checkpoint
    options = Options.of(
        dtype=dtype,
        shard_size=shard_size,
        adapter=adapter,
        verify=verify,
        verify_with=verify_with,
        unsealed=unsealed,
        like=like,
    )
    merge_and_push(checkpoint, out, options, force=force, push=push, public=public, console=console)


@app.command()
def fetch(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder, on a file system that the job sees.")] = Path("outputs/hub"),
    task: Annotated[
        list[str] | None, typer.Option(help="Evaluation sets: task names, open (all open ones), or none; repeatable.")
    ] = None,
    without_data: Annotated[bool, typer.Option("--without-data", help="Not the paper's training data.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what and how large, download nothing.")] = False,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
) -> None:
    """Download what a run needs from the hub: `medix-r1 fetch experiment=medix_r1_8b_grpo judge=vllm --dry-run`."""
    from medix_r1 import fetch as fetching

    out, words, dirs = out.absolute(), overrides or [], config_dir or []
    fetching.check_out(out)
    parts = fetching.wanted(words, dirs, task or ["open"], data=not without_data)
    for line in fetching.local_models(words, dirs):
        console.print(line, highlight=False, markup=False)
    fetching.fetch(parts, out, console, dry_run=dry_run)


@app.command()
def kuberay(
    image: Annotated[str, typer.Option(help="Container image with medix-r1 (scripts/container/Containerfile).")],
    claim: Annotated[str, typer.Option(help="PersistentVolumeClaim that all nodes can write.")],
    overrides: Overrides = None,
    name: Annotated[str, typer.Option(help="Of all objects.")] = "medix-r1",
    mount: Annotated[str, typer.Option(help="Where the claim is mounted; run.dir, data and models lie below it.")] = (
        "/shared"
    ),
    secret: Annotated[str | None, typer.Option(help="Secret with API keys; its entries become variables.")] = None,
    judge_key: Annotated[
        bool, typer.Option("--judge-key", help="The secret has VLLM_API_KEY: the judge asks for it, the run sends it.")
    ] = False,
    hub: Annotated[str | None, typer.Option(help="Folder of `medix-r1 fetch`, for nodes without the hub.")] = None,
    programs: Annotated[str, typer.Option(help="Folder of medix-r1 and ray in the image.")] = "/opt/medix-r1/.venv/bin",
    cpus: Annotated[int | None, typer.Option(help="Cores a node to ask for.")] = None,
    memory: Annotated[str | None, typer.Option(help="Host memory a node to ask for, such as 900Gi.")] = None,
    shared_memory: Annotated[str, typer.Option(help="Limit of /dev/shm; it counts as the pod's memory.")] = "64Gi",
    judge_gpus: Annotated[int, typer.Option(help="GPUs of the judge's pod.")] = 1,
    retries: Annotated[int, typer.Option(help="Further attempts of the RayJob; each resumes.")] = 3,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
) -> None:
    """Print a run as a RayJob of KubeRay with its judge.

    `medix-r1 kuberay experiment=medix_r1_8b_grpo judge=vllm run.dir=/shared/runs/a --image I --claim C > run.yaml`
    """
    from medix_r1.clusters.kuberay import Cluster, manifest

    options = Cluster(
        name=name,
        image=image,
        claim=claim,
        mount=mount,
        secret=secret,
        judge_key=judge_key,
        hub=hub,
        programs=programs,
        cpus=cpus,
        memory=memory,
        shared_memory=shared_memory,
        judge_gpus=judge_gpus,
        retries=retries,
    )
    sys.stdout.write(manifest(overrides or [], config_dir or [], options))


@app.command()
def translate(
    script: Annotated[Path, typer.Argument(help="Launch script or config of EasyR1, MediX-R1, verl or TRL.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Experiment to write, as mine/experiment/NAME.yaml; without, a command is printed."),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="GPUs of a node, where the script does not say.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out.")] = False,
) -> None:
    """Translate another project's script: `medix-r1 translate run_grpo.sh --out mine/experiment/grpo.yaml`."""
    from medix_r1.migration.command import show_translation

    raise typer.Exit(show_translation(script, out, console, gpus=gpus, force=force))


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    step: Annotated[int, typer.Option(help="Training step whose samples are scored again.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="On top of the run's own: reward=…, judge=…, reward.weights.llm=….")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON lines: each sample before and now.")] = None,
    scores_only: Annotated[bool, typer.Option("--scores-only", help="Do not do the update again.")] = False,
    config_dir: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
    ] = None,
) -> None:
    """What if? A step's samples with another reward: `medix-r1 replay outputs/nano_cpu --step 3 reward=paper`.

    The update is done again, too, if the run kept its tokens (run.samples.tokens) and the checkpoint before the step.
    """
    from medix_r1.scoring.replay import replay as score_again

    dirs = config_dir or []
    score_again(run, step, overrides or [], console, out=out, config_dirs=dirs, scores_only=scores_only)


@app.command()
def doctor(
    judge_url: Annotated[str | None, typer.Option(help="A judge to ask.", envvar="MEDIX_JUDGE_URL")] = None,
    judge_model: Annotated[str | None, typer.Option(help="Its model; without, the first that it names.")] = None,
    judge_key_env: Annotated[str | None, typer.Option(help="Environment variable that holds its API key.")] = None,
) -> None:
    """Check this machine and say what to do: `medix-r1 doctor --judge-url http://127.0.0.1:8311/v1`."""
    from medix_r1.doctor import Judge, check_all, show

    judge = Judge(judge_url, judge_model, judge_key_env) if judge_url else None
    raise typer.Exit(show(check_all(judge), console))


add_report_verbs(app, console)
add_difficulty(data, console)
app.add_typer(data, name="data")
app.add_typer(demo, name="demo")
app.add_typer(judge, name="judge")
app.add_typer(evaluation, name="eval")
app.add_typer(reward, name="reward")
app.add_typer(rubric, name="rubric")


def main() -> None:
    """Run the command line; every error of ours is one clear message and exit code 1 (2: wrong usage)."""
    try:
        app()
    except ConfigError as error:
        console.print(f"[red]{len(error.problems)} problem(s):[/]")
        for problem in error.problems:
            console.print(f"  - {escape(plain(str(problem)))}", highlight=False)
        sys.exit(1)
    except MedixError as error:
        console.print(f"[red]error:[/] {escape(plain(str(error)))}", highlight=False)
        sys.exit(1)
    except Exception as error:
        # A user's signal, task or plug-in may raise anything; an error of our own code keeps its traceback.
        from medix_r1.user_code import fault

        if (where := fault(error)) is None:
            raise
        console.print(f"[red]your code failed:[/] {escape(plain(where))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
