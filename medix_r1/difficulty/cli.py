"""Adds `difficulty` to `medix-r1 data`. It stands here because it needs the reward, which the data do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def add_verb(app: typer.Typer, console: Console) -> None:
    """Add the verb to the command line."""

    @app.command()
    def difficulty(
        data: Annotated[Path, typer.Argument(help="Prepared folder, or parquet files in verl's columns.")],
        words: Annotated[
            list[str] | None,
            typer.Argument(
                help="model=, base_url=, k=8, temperature=1, top_p=1, max_tokens=4096, signal=llm, server=vllm|cpu, "
                "rows=, seed=1, batch=512, concurrency=32; all else overrides the reward (configs/score.yaml)."
            ),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder of the journal and the figures.")] = Path("outputs/difficulty"),
        write: Annotated[
            Path | None, typer.Option(help="New folder: the rows with their pass rates in extra_info.difficulty.")
        ] = None,
        keep: Annotated[str, typer.Option(help="With --write: pass rates to keep, LOW,HIGH.")] = "0,1",
        per_source: Annotated[int | None, typer.Option(help="With --write: at most so many rows of a source.")] = None,
        others: Annotated[float, typer.Option(help="With --write: share of the other rows to keep, too.")] = 0.0,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, start nothing.")] = False,
        config_dir: Annotated[
            list[Path] | None, typer.Option(help="Folder of your own with config groups; repeatable.")
        ] = None,
    ) -> None:
        """Will RL help here? How often a model is right: `medix-r1 data difficulty data/medix_rl model=MODEL k=8`.

        The same command goes on after a stop.
        """
        from medix_r1.difficulty.result import Choice
        from medix_r1.difficulty.run import difficulty as measure
        from medix_r1.errors import ConfigError

        try:
            low, high = map(float, keep.split(","))
        except ValueError:
            raise ConfigError.of("--keep", "not-a-band", f"'{keep}' is no band; write --keep 0.1,0.9") from None
        measure(
            data,
            words or [],
            out,
            console,
            config_dirs=config_dir or [],
            choice=Choice(low, high, per_source, others),
            write=write,
            dry_run=dry_run,
        )
