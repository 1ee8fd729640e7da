"""Streaming: order, equal rows, a bound on what is in flight, cut replies, and where it stops."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medix_r1.errors import JudgeUnavailable
from medix_r1.rewards.base import Sample, SampleReader, Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.scoring import rows
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.output import Output
from medix_r1.scoring.score import score, summarise


class Slow:
    """Half of the rows take longer; counts how many are being scored at once."""

    def __init__(self, down_at: str | None = None) -> None:
        self.now = self.most = self.calls = 0
        self.down_at = down_at

    async def score(self, sample: Sample) -> Score:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.002 * (self.calls % 2))
            if sample.question == self.down_at:
                raise JudgeUnavailable("down")
            return Score(1.0, "")
        finally:
            self.now -= 1


def ready(signal: Slow, overlong: str = "reward") -> ReadyReward:
    composite = CompositeReward(signals={"llm": signal}, weights={"llm": 1.0})
    return ReadyReward(composite, SampleReader(), overlong, "thinking")


async def run(tmp_path: Path, given_rows: list[dict], prepared: ReadyReward, in_flight: int = 4) -> list[dict]:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in given_rows))
    with Output(out, {}) as output:
        await score(prepared, file, rows.check(file), output, in_flight=in_flight, advance=lambda _: None)
    return [json.loads(line) for line in out.read_text().splitlines()]


def row(question: str, **fields: object) -> dict:
    return {"question": question, "reference": "a", "completion": "b", **fields}


async def test_rows_stay_in_order_and_few_are_in_flight(tmp_path: Path) -> None:
    signal = Slow()
    scored = await run(tmp_path, [row(str(i)) for i in range(40)], ready(signal))
    assert [entry["question"] for entry in scored] == [str(i) for i in range(40)]
    assert 1 < signal.most <= 4


async def test_it_stops_at_an_outage_and_goes_on_there(tmp_path: Path) -> None:
    given_rows = [row(str(i)) for i in range(20)]
    first = await run(tmp_path, given_rows, ready(Slow(down_at="7")))
    assert [entry["overall"] for entry in first] == [1.0] * 7 + [None]
    signal = Slow()
    second = await run(tmp_path, given_rows, ready(signal))
    assert signal.calls == 13
    assert [entry["question"] for entry in second] == [str(i) for i in range(20)]


@pytest.mark.parametrize(("overlong", "expected"), [("reward", 1.0), ("zero", 0.0), ("mask", None)])
async def test_cut_replies_are_treated_as_in_training(tmp_path: Path, overlong: str, expected: float | None) -> None:
    signal = Slow()
    scored = await run(tmp_path, [row("q", cut=True), row("r")], ready(signal, overlong))
    assert [entry["overall"] for entry in scored] == [expected, 1.0]
    assert summarise(tmp_path / "out.jsonl").masked == (overlong == "mask")
    await run(tmp_path, [row("q", cut=True), row("r")], ready(signal, overlong))
    assert signal.calls == 2  # a masked row is a result and is not scored again


async def test_a_row_to_which_nothing_applies_is_no_failure(tmp_path: Path) -> None:
    class Never:
        def score(self, sample: Sample) -> Score:
            return Score(None, "not here") if sample.question == "q" else Score(1.0, "")

    composite = CompositeReward(signals={"llm": Never()}, weights={"llm": 1.0})
    await run(tmp_path, [row("q"), row("r")], ReadyReward(composite, SampleReader(), "reward", "thinking"))

    summary = summarise(tmp_path / "out.jsonl")
    assert (summary.rows, summary.unscored, summary.inapplicable) == (2, 0, 1)
    assert summary.listed == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.data())
def test_wherever_it_is_cut_every_row_is_scored_once(
    tmp_path_factory: pytest.TempPathFactory, questions: list[str], data: st.DataObject
) -> None:
    folder, signal = tmp_path_factory.mktemp("cut"), Slow()
    given_rows = [row(question) for question in questions]
    asyncio.run(run(folder, given_rows, ready(signal)))
    out = folder / "out.jsonl"
    whole = out.read_bytes()
    out.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    scored = asyncio.run(run(folder, given_rows, ready(signal)))
    assert sorted(entry["question"] for entry in scored) == sorted(questions)
    assert all(entry["overall"] == 1.0 for entry in scored)
