"""Samples k replies a row from a server and scores them with the reward; every row that is done is kept at once.

The journal has a line a row, so that the same command goes on after a crash. It holds values and lengths, no texts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from medix_r1.data.looking.training_rows import TrainingRow
from medix_r1.difficulty.settings import Settings
from medix_r1.errors import ConfigError, ServerError
from medix_r1.host.files import atomic_write
from medix_r1.models.reading.faults import why
from medix_r1.models.reading.sent_texts import SentTexts
from medix_r1.rewards.overlong import Overlong
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.groups import score_group

JOURNAL = "measured.jsonl"
# Servers take these from the model's generation_config.json, where a request does not say; training does not.
_AS_IN_TRAINING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
_ATTEMPTS = 6  # of one request, by the client, with growing pauses


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one row.

    Attributes:
        key, file, position, source, modality: of the row.
        values: the signal of each reply that could be scored.
        totals: the whole reward of each of them.
        masked: replies without a score, with a reason each.
        tokens: generated tokens of all its replies.
        cut: replies that were cut at the length limit.
    """

    key: str
    file: int
    position: int
    source: str
    modality: str
    values: tuple[float, ...]
    totals: tuple[float, ...]
    masked: tuple[str, ...]
    tokens: int
    cut: int


class Journal:
    """The rows that are done, tied to the settings that they depend on.

    Args:
        folder: of the result.
        settings: dotted key → value; a folder with other settings is refused.

    Raises:
        ConfigError: the folder holds rows of other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / JOURNAL
        head = json.dumps({"settings": {key: settings[key] for key in sorted(settings)}}, ensure_ascii=False)
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        if lines and lines[0] != head:
            before = json.loads(lines[0])["settings"]
            now = json.loads(head)["settings"]
            changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
            says = f"it was measured with other settings ({', '.join(changed[:5])}); choose another --out"
            raise ConfigError.of(str(folder), "other-settings", says)
        self.done = {row.key: row for line in lines[1:] if (row := _read(line)) is not None}
        whole = "".join(f"{line}\n" for line in (head, *(json.dumps(asdict(row)) for row in self.done.values())))
        atomic_write(self.path, whole)  # without a line that a crash has cut
        self._file = self.path.open("a", encoding="utf-8")

    def add(self, row: Measured) -> None:
        """Keep one row."""
        self.done[row.key] = row
        self._file.write(json.dumps(asdict(row)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; what was added is in it already."""
        self._file.close()


def _read(line: str) -> Measured | None:
    try:
        found: dict[str, Any] = json.loads(line)
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in found.items()}
        return Measured(**values)
    except (ValueError, TypeError):
        return None


async def measure(
    rows: Iterator[TrainingRow],
    settings: Settings,
    address: str,
    ready: ReadyReward,
    journal: Journal,
    advance: Callable[[int], None],
) -> None:
    """Sample and score every row that the journal lacks.

    Raises:
        ServerError: the server is gone, refuses the requests, or the reward's judge or embedder is down.
    """
    key = os.environ.get(settings.api_key_env or "", "") or "none"
    async with AsyncOpenAI(base_url=address, api_key=key, max_retries=_ATTEMPTS, timeout=3600.0) as client:
        running: set[asyncio.Task[Measured]] = set()
        try:
            for row in rows:
                if row.key in journal.done:
                    continue
                running.add(asyncio.create_task(_measured(row, settings, client, ready)))
                if len(running) >= settings.concurrency:
                    running = await _some(running, journal, advance)
            while running:
                running = await _some(running, journal, advance)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _some(
    running: set[asyncio.Task[Measured]], journal: Journal, advance: Callable[[int], None]
) -> set[asyncio.Task[Measured]]:
    done, left = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    failed = None
    for task in done:
        if (error := task.exception()) is not None:
            failed = error
        else:
            journal.add(task.result())
            advance(1)
    if failed is not None:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        raise failed
    return left


def row_seed(seed: int, key: str) -> int:
    """A seed of the row's own: with one for all, a server draws the same numbers for every row, and no mean is one."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:4], "big") >> 1


async def _measured(row: TrainingRow, settings: Settings, client: AsyncOpenAI, ready: ReadyReward) -> Measured:
    try:
        reply: Any = await client.chat.completions.create(
            model=settings.model,
            messages=row.messages,  # type: ignore[arg-type]
            n=settings.k,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            seed=row_seed(settings.seed, row.key),
            extra_body=_AS_IN_TRAINING,
        )
    except (APIConnectionError, APIStatusError) as error:
        sent = SentTexts.of_body(lambda: row.messages, client.api_key if settings.api_key_env else None)
        says = f"row {row.position} of file {row.file}: {why(error, sent).text}; the same command goes on"
        raise ServerError(says, code="policy-server-failed") from None
    samples = [
        ready.reader.read(
            choice.message.content or "",
            reference=row.reference,
            has_image=bool(row.images),
            question=row.question,
            choices=row.choices,
            images=row.images if ready.composite.wants_images else (),
            source=row.source,
            cut=choice.finish_reason == "length",
            accepted=row.accepted,
            rubric=row.rubric,
            rationale=row.rationale,
        )
        for choice in reply.choices
    ]
    scored = await score_group(ready.composite, samples, f"row {row.position}")
    overlong = Overlong(ready.overlong)
    values, totals, masked = [], [], []
    for sample, breakdown in zip(samples, scored, strict=True):
        if breakdown.outage:
            says = f"the reward cannot be computed: {breakdown.failure}; the same command goes on"
            raise ServerError(says, code="reward-outage")
        total = overlong.reward(breakdown.total, cut=sample.cut, tokens=0)
        value = total if settings.signal == "overall" else breakdown.parts[settings.signal].value
        if total is None or value is None:
            masked.append(breakdown.failure or "left out")
        else:
            values.append(value)
            totals.append(total)
    return Measured(
        row.key,
        row.file,
        row.position,
        row.source,
        row.modality,
        tuple(values),
        tuple(totals),
        tuple(masked),
        tokens=reply.usage.completion_tokens if reply.usage else 0,
        cut=sum(sample.cut for sample in samples),
    )
