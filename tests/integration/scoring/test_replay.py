"""`medix-r1 replay` on a real run of the demo, as an older commit left it."""

import json

import pytest
from rich.console import Console

from medix_r1.errors import ConfigError
from medix_r1.scoring.replay import advantages, compared, replay, show
from tests.support import old_run
from tests.support.problems import only

QUIET = Console(quiet=True)
# The demo's own embedder and threshold; no judge, so that nothing has to be served.
WORDS = ["judge=none", "reward=embedding_only"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return old_run.unpack(tmp_path_factory.mktemp("clone"))


def step_of(run) -> int:
    return min(int(path.stem) for path in (run.samples / "train").glob("*.jsonl"))


def lines(run):
    path = run.samples / "train" / f"{step_of(run):06d}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_another_reward_moves_what_it_weighs_and_writes_nothing_into_the_run(run, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*")}
    replay(run.root, step_of(run), WORDS, QUIET, out=tmp_path / "now.jsonl")

    found = [json.loads(line) for line in (tmp_path / "now.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one["key"] for one in found] == [line["key"] for line in lines(run)]
    for one, line in zip(found, lines(run), strict=True):
        assert one["before"] == line["overall"]
        assert one["now"] == one["parts_now"]["embed"]
        for part in ("format", "modality"):
            assert one["parts_now"][part] == line["parts"][part]
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*")} == before


def test_the_advantages_are_those_of_training(run):
    said = lines(run)
    groups: dict[str, list[int]] = {}
    for place, line in enumerate(said):
        groups.setdefault(line["uid"], []).append(place)
    found = advantages([None if line["masked"] else line["overall"] for line in said], list(groups.values()))

    assert found == pytest.approx([line["advantage"] for line in said], abs=1e-5)


def test_masked_samples_and_lone_survivors_have_no_advantage():
    assert advantages([1.0, None, 0.0], [[0, 1, 2]])[1] is None
    assert advantages([1.0, None], [[0, 1]]) == [None, None]
    assert advantages([0.5, 0.5], [[0, 1]]) == [0.0, 0.0]


def test_what_changed_is_counted(capsys):
    raw = [
        {"key": str(place), "uid": "g", "answer": "a", "overall": value, "masked": False, "parts": {"embed": value}}
        for place, value in enumerate((1.0, 0.0, 0.5))
    ]
    found = compared(raw, [(0.0, {"embed": 0.0}, None), (1.0, {"embed": 1.0}, None), (None, {}, "judge: gone")])
    show(found, Console(width=100))

    told = capsys.readouterr().out
    assert "1 of 1 groups are ordered differently; in 1 of them two samples change places" in told
    assert "changes its sign for 2 of 3" in told
    assert "1 samples had a reward and have none now" in told


def test_wrong_requests(run, tmp_path):
    with pytest.raises(ConfigError, check=only(("--step", "no-such-step"))):
        replay(run.root, 999, WORDS, QUIET)
    (tmp_path / "samples" / "train").mkdir(parents=True)
    (tmp_path / "samples" / "train" / "000001.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, check=only((str(tmp_path), "no-run-there"))):
        replay(tmp_path, 1, WORDS, QUIET)
    with pytest.raises(ConfigError, check=only(("reward.weights", "sum-not-one"))):
        replay(run.root, step_of(run), [*WORDS, "reward.weights.embed=0.5"], QUIET)
