"""Rows of a group are scored together, wherever they stand in a file, and by every verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medix_r1.errors import ConfigError, JudgeUnavailable
from medix_r1.rewards.base import SampleReader, Score
from medix_r1.rewards.composite import CompositeReward
from medix_r1.rewards.format import FormatReward
from medix_r1.scoring import replay, rows, verbs
from medix_r1.scoring.composed import ReadyReward
from medix_r1.scoring.groups import group_sizes, score_group, whole_groups
from medix_r1.scoring.judging import audit
from medix_r1.scoring.output import Output
from medix_r1.scoring.probes import probe, probe_file
from medix_r1.scoring.rows import Line, Row
from medix_r1.scoring.score import score
from tests.support.problems import only
from tests.unit.rewards.cases import reply


class Longest:
    """1 for the longest answer of a group; records the groups, and is down where a reply says so."""

    needs_group = True

    def __init__(self, down: bool = False) -> None:
        self.groups: list[list[str]] = []
        self.down = down

    async def score_group(self, samples):
        texts = [one.completion.answer or "" for one in samples]
        self.groups.append(texts)
        if self.down and "down" in texts:
            raise JudgeUnavailable("gone")
        return [Score(float(len(text) == max(map(len, texts))), "longest") for text in texts]


def ready(signal: Longest) -> ReadyReward:
    signals: dict[str, Any] = {"longest": signal, "format": FormatReward()}
    return ReadyReward(
        CompositeReward(signals=signals, weights={"longest": 1.0}),
        SampleReader(think_element="think"),
        "reward",
        "think",
    )


def row(answer: str, group: str | None = "g", question: str = "q") -> dict:
    named = {} if group is None else {"group": group}
    return {"question": question, "reference": "<X_RAY>a", "completion": reply(answer), **named}


async def scored(tmp_path: Path, given: list[dict], signal: Longest, in_flight: int = 2) -> dict[str, float | None]:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in given))
    with Output(out, {}) as output:
        await score(ready(signal), file, rows.check(file), output, in_flight=in_flight, advance=lambda _: None)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    return {one["parsed"]["answer"]: one["overall"] for one in found}


async def test_groups_that_are_mixed_and_longer_than_what_is_in_flight_are_scored_whole(tmp_path):
    given = [row("x" * n + "abc"[n % 3], group="abc"[n % 3]) for n in range(12)]
    signal = Longest()

    found = await scored(tmp_path, given, signal)

    assert sorted(len(group) for group in signal.groups) == [4, 4, 4]
    assert [answer for answer, value in found.items() if value] == ["x" * n + "abc"[n % 3] for n in (9, 10, 11)]


async def test_rows_without_a_group_are_grouped_by_their_prompt(tmp_path):
    signal = Longest()

    await scored(
        tmp_path, [row("a", None), row("bb", None), row("ccc", None, "another"), row("d", None, "another")], signal
    )

    assert signal.groups == [["a", "bb"], ["ccc", "d"]]


async def test_a_group_that_was_scored_in_part_is_scored_again_whole_and_written_once(tmp_path):
    given = [row("a"), row("bb"), row("ccc", group="h"), row("down", group="h")]
    first = await scored(tmp_path, given, Longest(down=True))
    with (tmp_path / "out.jsonl").open("r+") as file:  # as if the command had been killed
        lines = file.read().splitlines()
        file.seek(0)
        file.truncate()
        file.write(lines[0] + "\n")
    signal = Longest()

    again = await scored(tmp_path, given, signal)

    assert first["a"] == 0.0
    assert again == {"a": 0.0, "bb": 1.0, "ccc": 0.0, "down": 1.0}
    assert [len(group) for group in signal.groups] == [2, 2]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4


def test_a_group_comes_where_its_last_row_stands():
    lines = [Line(n, Row.model_validate_json(json.dumps(row("x", group=g)))) for n, g in enumerate("abacb")]

    assert [[line.number for line in group] for group in whole_groups(lines, group_sizes(lines))] == [
        [0, 2],
        [3],
        [1, 4],
    ]


def test_the_group_is_no_part_of_a_rows_identity():
    one, other = (Row.model_validate_json(json.dumps(row("x", group=g))) for g in ("a", None))

    assert one.content == other.content
    assert one.group_name != other.group_name
    assert Row.model_validate_json(json.dumps(row("x", None) | {"uid": "u"})).group_name == "group u"


async def test_a_group_of_one_does_not_apply():
    prepared = ready(Longest())
    sample = prepared.reader.read(reply("a"), reference="a", has_image=False)

    assert [one.parts["longest"].value for one in await score_group(prepared.composite, [sample], "g")] == [None]


async def test_a_probe_stands_beside_the_reference_or_beside_nothing(tmp_path):
    file = tmp_path / "probe.yaml"
    file.write_text(
        "rows: {q: {question: Which?, reference: <X_RAY>left lung}}\n"
        "attacks: [{family: long, about: a, why: w, rests_on: nothing, max: {overall: 0.0},"
        " cases: [{row: q, answer: heart}, {row: q, answer: a very long answer}]}]\n"
        "right: [{family: right, about: a, why: w, rests_on: nothing, min: {overall: 1.0},"
        " cases: [{row: q, answer: lung}]}]\n"
    )
    signal = Longest()

    found = await probe.run(ready(signal), probe_file.load(file), advance=lambda _: None)

    assert signal.groups == [["heart", "left lung"], ["a very long answer", "left lung"], ["lung", ""]]
    assert [bool(one.broken) for one in found] == [False, True, False]


def test_an_audit_asks_about_single_replies_alone():
    with pytest.raises(ConfigError, check=only(("reward.signals.longest", "scores-groups"))):
        audit.SignalRater(ready(Longest()), "longest", "judge")


async def test_a_replay_scores_the_groups_of_a_run_and_keeps_the_order_of_its_samples(tmp_path):
    signal = Longest()
    lines = [Line(n, Row.model_validate_json(json.dumps(row("x" * n, None) | {"uid": "ab"[n % 2]}))) for n in range(6)]
    found: list[Any] = []

    await replay._score(ready(signal), lines, tmp_path, found, lambda _: None)

    assert sorted(signal.groups) == sorted([["", "xx", "xxxx"], ["x", "xxx", "xxxxx"]])
    assert [total for total, _, _ in found] == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_row_is_explained_among_its_group_and_a_reply_of_the_command_line_alone(tmp_path):
    file = tmp_path / "rows.jsonl"
    given = [row("a"), row("bb", "h"), row("ccc")]
    file.write_text("".join(json.dumps(one) + "\n" for one in given))
    wanted = rows.find(file, line=3).row

    assert [one.completion for one in verbs._group_of(wanted, f"{file}:3", None)] == [reply("a"), reply("ccc")]
    assert verbs._group_of(wanted, None, None) == [wanted]
