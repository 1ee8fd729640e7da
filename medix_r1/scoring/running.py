"""Runs the verbs of `medix-r1 reward` under a progress bar."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from medix_r1.scoring.composed import ReadyReward

Advance = Callable[[int], None]


def run_with_progress(
    work: Callable[[Advance], Coroutine[Any, Any, None]],
    ready: Sequence[ReadyReward],
    console: Console,
    title: str,
    total: int,
    *,
    done: int = 0,
) -> bool:
    """Run a coroutine under a progress bar and close the rewards; return False when the user stopped it.

    Args:
        work: gets a function that advances the bar by a number of rows.
        ready: rewards to close at the end, in the same event loop.
        console: for the bar.
        title: of the bar.
        total: rows.
        done: rows that are done already.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, completed=done)
        handler = RichHandler(console=console, show_path=False, show_level=False)
        logger = logging.getLogger("medix_r1")
        logger.addHandler(handler)  # prints log lines above the bar

        async def whole() -> None:
            try:
                await work(lambda count: progress.advance(task, count))
            finally:
                # Shielded calls survive the cancellation of one waiter; nobody waits any more, so cancel them here.
                left = asyncio.all_tasks() - {asyncio.current_task()}
                for call in left:
                    call.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                for one in ready:
                    await one.aclose()

        try:
            uvloop.run(whole())  # the loop that Ray's actors use in training
        except KeyboardInterrupt:
            return False
        finally:
            logger.removeHandler(handler)
    return True
