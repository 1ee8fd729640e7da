"""`medix-r1 judge band` with judges on loopback that we command."""

import json
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.errors import ConfigError
from medix_r1.models.verdict import yes_probability
from medix_r1.scoring.judging.band_verb import choose_band
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.problems import codes, only

_NUMBER = re.compile(r"Prediction: answer (\d+)")


def number(prompt: str) -> int:
    found = _NUMBER.search(prompt)
    assert found is not None
    return int(found[1])


def tokens(prompt: str) -> dict[str, float]:
    """P(YES) rises from 0 to 1 with the answer's number, of 100."""
    p = (number(prompt) % 100 + 0.5) / 100
    return {"YES": math.log(p), "NO": math.log(1 - p)}


def is_right(answer: int) -> bool:
    """The small judge errs on what it gives 0.4 to 0.6, and is right on the rest."""
    rank = answer % 100
    return rank >= 50 if not 40 <= rank < 60 else rank < 50


@pytest.fixture
def small():
    with JudgeStub() as stub:
        stub.tokens = tokens
        yield stub


def written(path: Path, count: int, *, labels: bool) -> Path:
    rows = [
        {"question": f"Which organ {i // 4}?", "reference": "liver", "prediction": f"answer {i}"}
        | ({"label": is_right(i)} if labels else {})
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(file: Path, overrides: list[str], *, heldout: Path | None = None, **more) -> tuple[int, str]:
    console = Console(record=True, width=200, quiet=False)
    settings = {"share": 0.25, "agreement": None, "in_flight": 64, **more}
    json_out, plot = file.parent / "band.json", file.parent / "band.png"
    code = choose_band(file, overrides, heldout, None, [], json_out, plot, console, **settings)
    return code, console.export_text()


def alone(stub: JudgeStub) -> list[str]:
    return ["judge=remote", f"judge.client.base_url={stub.address}", f"judge.client.model={MODEL}", *_SHORT]


_SHORT = ["judge.client.prompt=match_short"]


def cascade(small: JudgeStub, strong: JudgeStub) -> list[str]:
    pairs = (("small", small), ("strong", strong))
    given = [
        (f"judge.client.{name}.base_url={stub.address}", f"judge.client.{name}.model={MODEL}") for name, stub in pairs
    ]
    prompts = [f"judge.client.{name}.prompt=match_short" for name, _ in pairs]
    return ["judge=cascade", "judge.server=null", *(one for pair in given for one in pair), *prompts]


def test_labels_stand_for_a_strong_judge(tmp_path, small):
    code, printed = run(written(tmp_path / "pairs.jsonl", 400, labels=True), alone(small))

    assert code == 0
    assert len(small.calls) == 400
    assert {call["logprobs"] for call in small.calls} == {True}
    found = json.loads((tmp_path / "band.json").read_text())
    assert (found["chosen_on"], found["measured_on"]) == (200, 200)
    assert found["alone"]["agreement"] == pytest.approx(0.8, abs=0.1)
    assert found["chosen"]["agreement"] == 1.0
    assert 0.2 < found["chosen"]["low"] <= 0.405
    assert 0.595 <= found["chosen"]["high"] < 0.8
    assert found["overrides"] in printed
    assert (tmp_path / "band.png").stat().st_size > 1000


def test_both_judges_of_a_cascade_rate_pairs_without_labels(tmp_path, small):
    with JudgeStub(lambda prompt: "YES" if is_right(number(prompt)) else "NO") as strong:
        file = written(tmp_path / "pairs.jsonl", 200, labels=False)
        code, _ = run(file, cascade(small, strong), heldout=written(tmp_path / "more.jsonl", 100, labels=False))

        assert code == 0
        assert (len(small.calls), len(strong.calls)) == (200, 200)  # the hundred others are the same questions
    found = json.loads((tmp_path / "band.json").read_text())
    assert (found["chosen_on"], found["measured_on"]) == (200, 100)
    assert found["chosen"]["agreement"] == 1.0


def test_rows_that_the_strong_judge_cannot_rate_are_counted(tmp_path, small):
    def answer(prompt: str) -> str:
        return "hm" if number(prompt) == 7 else "YES" if is_right(number(prompt)) else "NO"

    with JudgeStub(answer) as strong:
        code, printed = run(written(tmp_path / "pairs.jsonl", 100, labels=False), cascade(small, strong))
    assert code == 1
    assert "1 unscored, 99 rated" in printed


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["judge=none"], ("reward.signals.llm.judge", "no-judge")),
        (["judge=voting", *(f"judge.client.judges.{i}.base_url=http://127.0.0.1:9/v1" for i in range(3))], None),
    ],
)
def test_judges_without_probabilities(tmp_path, overrides, problem):
    with pytest.raises(ConfigError) as caught:
        run(written(tmp_path / "pairs.jsonl", 10, labels=True), overrides)
    found = codes(caught.value)
    assert found == [problem] if problem else all(code in ("no-probability", "no-answer") for _, code in found)


def test_pairs_of_one_kind_only(tmp_path, small):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"question": "q", "reference": "liver", "prediction": "answer 1", "label": true}\n')
    with pytest.raises(ConfigError, check=only(("FILE", "too-few-pairs"))):
        run(file, alone(small))


def test_the_stub_says_what_the_test_wants():
    top = [{"token": token, "logprob": value} for token, value in tokens("Prediction: answer 30").items()]
    assert yes_probability(top) == pytest.approx(0.305)
