"""`medix-r1 reward`: the verbs of the reward. Each verb imports what it needs, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="The reward outside of training: `medix-r1 reward explain --reference 'chest' --completion '...'`.",
)
console = Console(soft_wrap=True)
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Hydra overrides of configs/score.yaml: reward=llm_only, judge=nano, ...")
]
JudgeUrl = Annotated[
    str | None, typer.Option(help="A judge that already runs, ending in /v1.", envvar="MEDIX_JUDGE_URL")
]
ConfigDir = Annotated[list[Path] | None, typer.Option(help="Folder of your own with config groups in it; repeatable.")]
InFlight = Annotated[int, typer.Option(min=1, max=100_000, help="Rows that are being scored at any time.")]


@app.command()
def score(
    file: Annotated[
        Path, typer.Argument(help="JSON lines: question, reference, completion, ...; a run's samples too.")
    ],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Where scores go [default: FILE with .scored.jsonl].")] = None,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
    in_flight: InFlight = 256,
    signal: Annotated[
        str | None,
        typer.Option(help="This signal alone, with the weight 1; no other one's judge or embedder is needed."),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away the scores that are there.")] = False,
) -> None:
    """Score a file of replies, with every part and reason.

    `medix-r1 reward score replies.jsonl judge=nano embedder=minilm reward.signals.embed.threshold=0.6`

    `medix-r1 reward score replies.jsonl --signal exact`

    The same command again scores only what is missing. Exit code 1 when rows could not be scored.
    """
    from medix_r1.scoring.verbs import score_file

    target = out or file.parent / f"{file.stem}.scored.jsonl"
    raise typer.Exit(
        score_file(
            file,
            overrides or [],
            target,
            judge_url,
            config_dir or [],
            console,
            in_flight=in_flight,
            restart=restart,
            signal=signal,
        )
    )


@app.command()
def explain(
    overrides: Overrides = None,
    row: Annotated[str | None, typer.Option(help="A row of a file: FILE:LINE, or FILE with --id.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Id of the row in the file.")] = None,
    question: Annotated[str, typer.Option(help="What was asked.")] = "",
    reference: Annotated[
        str | None, typer.Option(help="The right answer, with its tag in front: '<X_RAY>chest'.")
    ] = None,
    completion: Annotated[str | None, typer.Option(help="The reply; - reads it from standard input.")] = None,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """Show what was read out of one reply and where its reward comes from.

    `medix-r1 reward explain --reference '<X_RAY>chest' --completion '<X_RAY><thinking>ribs</thinking>
    <answer>thorax</answer>' judge=nano embedder=minilm`
    """
    from medix_r1.scoring.verbs import explain_row

    code = explain_row(
        row,
        id_,
        question,
        reference,
        completion,
        overrides or [],
        judge_url,
        config_dir or [],
        console,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command()
def probe(
    overrides: Overrides = None,
    probes: Annotated[
        Path | None, typer.Option(help="A probe file of your own, or `reports` for those of reports.")
    ] = None,
    family: Annotated[list[str] | None, typer.Option(help="Only this family; repeatable.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="File to write everything to.")] = None,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
) -> None:
    """Attack the reward, and see whether right answers in odd clothes still score.

    `medix-r1 reward probe judge=nano embedder=minilm reward.signals.embed.threshold=0.6`

    Exit code 1 when a bound is broken.
    """
    from medix_r1.scoring.verbs import probe_reward

    raise typer.Exit(
        probe_reward(probes, family or [], overrides or [], json_out, judge_url, config_dir or [], console)
    )


@app.command()
def attack(
    overrides: Overrides = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines, a run's samples, parquet or a prepared folder [default: the probe's questions]."
        ),
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Calls of the judge; without a judge, replies.")] = 2000,
    questions: Annotated[int, typer.Option(min=2, help="Questions that are attacked.")] = 24,
    out: Annotated[
        Path, typer.Option(help="Folder: tried.jsonl, attack.json, probes.yaml. The same command goes on there.")
    ] = Path("outputs/attack"),
    json_out: Annotated[
        Path | None, typer.Option("--json", help="File to write everything to [default: attack.json in --out].")
    ] = None,
    propose_url: Annotated[
        str | None, typer.Option(help="A server whose model proposes attacks, ending in /v1; the policy's, or any.")
    ] = None,
    propose_model: Annotated[str, typer.Option(help="Name of the model there.")] = "",
    propose_as: Annotated[
        str, typer.Option(help="attacker: asked for templates; policy: gets the questions as in training.")
    ] = "attacker",
    propose_key_env: Annotated[
        str | None, typer.Option(help="Name of the environment variable that holds that server's key.")
    ] = None,
    proposals: Annotated[int, typer.Option(min=1, help="Questions to that model.")] = 40,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 1,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what was tried before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what it may cost, stop.")] = False,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
    in_flight: Annotated[int, typer.Option(min=1, max=10_000, help="Replies that are being scored at any time.")] = 32,
) -> None:
    """Search for wrong answers that this reward, with this judge, pays for.

    `medix-r1 reward attack judge=nano embedder=minilm reward.signals.embed.threshold=0.6`

    `medix-r1 reward attack --rows data/medix_rl --propose-url http://127.0.0.1:8000/v1 --propose-model NAME judge=vllm`

    What it finds is a file of probes: `medix-r1 reward probe --probes outputs/attack/probes.yaml`. Exit code 1 when a
    wrong answer pays.
    """
    from medix_r1.scoring.attack.run import Options, proposer_of
    from medix_r1.scoring.attack.run import attack as search

    options = Options(
        budget=budget,
        rows=questions,
        seed=seed,
        out=out,
        json_out=json_out,
        in_flight=in_flight,
        restart=restart,
        dry_run=dry_run,
        proposer=proposer_of(propose_url, propose_model, propose_as, propose_key_env, proposals, seed),
    )
    raise typer.Exit(search(rows, overrides or [], options, judge_url, config_dir or [], console))


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="JSON lines: question, reference, completion or prediction, label, ...")],
    overrides: Overrides = None,
    second: Annotated[
        list[str] | None,
        typer.Option(help="Override that makes the second judge out of the first; repeatable. Without one: labels."),
    ] = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="The first side is what the file recorded (a run's samples); no call.")
    ] = False,
    signal: Annotated[str, typer.Option(help="The signal that is audited.")] = "llm",
    worst: Annotated[int, typer.Option(min=0, max=1000, help="Disagreements that are shown.")] = 20,
    json_out: Annotated[Path | None, typer.Option("--json", help="File to write everything to.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File to write a report to.")] = None,
    judge_url: JudgeUrl = None,
    config_dir: ConfigDir = None,
    in_flight: InFlight = 256,
    group_size: Annotated[int, typer.Option(min=2, max=64, help="Answers of a simulated group.")] = 5,
) -> None:
    """Compare the judge with labels, or with a second judge: agreement, errors by kind, and a group's order.

    `medix-r1 reward audit labelled.jsonl judge=nano`

    `medix-r1 reward audit outputs/RUN/samples/train/000030.jsonl --recorded --second judge=openrouter`

    Verdicts are kept between two runs with judge.client.cache_path=FOLDER. Exit code 1 when rows could not be scored.
    """
    from medix_r1.scoring.verbs import audit_file

    raise typer.Exit(
        audit_file(
            file,
            overrides or [],
            second or [],
            signal,
            judge_url,
            config_dir or [],
            json_out,
            markdown,
            console,
            recorded=recorded,
            worst=worst,
            in_flight=in_flight,
            group_size=group_size,
        )
    )
