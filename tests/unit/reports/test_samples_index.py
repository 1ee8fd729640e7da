"""A run's samples are found by their indexes as they are without, and without reading the files whole."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from medix_r1.errors import ConfigError
from medix_r1.reports import samples
from medix_r1.reports.samples import Query, find, lines
from medix_r1.runs import samples_index
from medix_r1.runs.samples_folder import SamplesFolder
from tests.support.problems import only
from tests.support.rollouts import BLANK

STEPS, ROLLOUTS = 4, 12
VALUES = (None, 0.0, 0.25, 0.5, 1.0, float("nan"), float("inf"))  # few, so that many are equal
FIELDS: list[dict[str, Any]] = [
    {},
    {"step": 2},
    {"modality": "ct_scan"},
    {"modality": "none"},
    {"source": "b"},
    {"part": "llm", "below": 0.5},
    {"part": "llm", "above": 0.25},
    {"part": "overall", "above": 0.0, "below": 1.0},
    *(
        {"sort": sort, "smallest": smallest, **more}
        for sort in ("llm", "overall", "embed-llm", "llm-embed-overall")
        for smallest in (False, True)
        for more in ({}, {"modality": "X_RAY"}, {"part": "embed", "above": 0.0})
    ),
]
QUERIES = [Query(limit=limit, **fields) for limit, fields in itertools.product((1, 5, 1000), FIELDS)]


def rollout(step: int, number: int, chance: random.Random) -> Any:
    think = f"мысль {number}"
    parts = {"llm": chance.choice(VALUES), "embed": chance.choice(VALUES)}
    tag = chance.choice(["<X_RAY>", "<CT_SCAN>", "<ct_scan>", "", "<CT_SCAN", "<OTHER>"])
    return replace(
        BLANK,
        key=f"step{step:06d}-prompt{number // 3:06d}_{number % 3}_0",
        source=chance.choice("ab"),
        reference=f"{tag}left lung",
        reply=f"<CT><think>{think}</think><answer>left lung</answer>",
        think=think,
        parts=parts,
        overall=chance.choice(VALUES),
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    chance = random.Random(1)
    folder = SamplesFolder(tmp_path / "samples")
    for step in range(1, STEPS + 1):
        folder.write("train", step, [rollout(step, number, chance) for number in range(ROLLOUTS)])
    return tmp_path


def indexes(run: Path) -> list[Path]:
    return sorted((run / "samples" / "train").glob("*.parquet"))


def test_what_is_found_is_what_is_found_without_indexes(run: Path) -> None:
    found = [find(run, query) for query in QUERIES]
    for index in indexes(run)[::2]:
        index.unlink()
    mixed = [find(run, query) for query in QUERIES]
    for index in indexes(run):
        index.unlink()
    without = [find(run, query) for query in QUERIES]

    assert len(indexes(run)) == 0
    assert [[line["key"] for line in lines] for lines in found] == [
        [line["key"] for line in lines] for lines in without
    ]
    assert repr(found) == repr(without) == repr(mixed)  # NaN is not equal to itself


def test_only_the_lines_that_are_shown_are_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    line_at = samples._line_at
    monkeypatch.setattr(samples, "_line_at", lambda *where: (read.append(1), line_at(*where))[1])
    whole = [len(list(lines(run, "train", step))) for step in range(1, STEPS + 1)]
    monkeypatch.setattr(samples, "read_lines", lambda path: itertools.islice(_read(path), 1))  # of the check of names

    found = find(run, Query(sort="embed-llm", limit=3))

    assert (len(found), len(read), sum(whole)) == (3, 3, STEPS * ROLLOUTS)


def _read(path: Path) -> Any:
    from medix_r1.runs.folder import read_lines

    return read_lines(path)


def test_advantages_are_in_the_index(run: Path) -> None:
    folder = SamplesFolder(run / "samples")
    keys = [line["key"] for line in lines(run, "train", 2)]
    folder.add_advantages(2, {keys[0]: 0.75, keys[1]: -0.5})

    table = samples_index.read(folder.path("train", 2))
    assert table is not None
    assert table["advantage"].to_pylist()[:3] == [0.75, -0.5, None]
    assert {line["advantage"] for line in find(run, Query(step=2, limit=100))} == {0.75, -0.5, None}


def test_an_index_of_other_samples_is_not_read(run: Path) -> None:
    path = run / "samples" / "train" / "000002.jsonl"
    first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(rest), encoding="utf-8")

    assert samples_index.read(path) is None
    assert len(find(run, Query(step=2, limit=100))) == ROLLOUTS - 1

    indexes(run)[1].write_bytes(b"no parquet")
    assert len(find(run, Query(step=2, limit=100))) == ROLLOUTS - 1

    path.write_text("".join([*rest, first]), encoding="utf-8")  # as long as before
    SamplesFolder(run / "samples").write("train", 9, [])
    parquet.write_table(_swapped(run), indexes(run)[1])
    with pytest.raises(ConfigError, check=only((str(indexes(run)[1]), "stale-index"))):
        find(run, Query(step=2, limit=100))


def _swapped(run: Path) -> Any:
    """The index of step 2 as it was, for a file whose lines are in another order by now."""
    path = run / "samples" / "train" / "000002.jsonl"
    written = list(_read(path))
    last = [written[-1], *written[:-1]]
    samples_index.write(path, last, [len(text.encode()) for text in path.read_text(encoding="utf-8").splitlines(True)])
    return parquet.read_table(indexes(run)[1])


def test_a_step_without_samples_has_an_empty_index(run: Path) -> None:
    SamplesFolder(run / "samples", share=1e-9).write("train", 9, [BLANK])

    assert find(run, Query(sort="llm", limit=1))


def test_a_think_block_is_written_once_and_comes_back(run: Path) -> None:
    text = (run / "samples" / "train" / "000001.jsonl").read_text(encoding="utf-8")

    assert text.count("мысль 0<") == text.count("мысль 0") == 1
    assert [line["think"] for line in lines(run, "train", 1)] == [f"мысль {number}" for number in range(ROLLOUTS)]
    assert {line["think"] for line in find(run, Query(limit=2))} == {"мысль 0", "мысль 1"}


def test_what_a_reply_does_not_hold_is_written_as_it_is(run: Path) -> None:
    line = replace(BLANK, reply="a", think="b").to_line()
    assert (line["think"], line.get("think_at")) == ("b", None)
    assert replace(BLANK, think=None).to_line()["think"] is None
