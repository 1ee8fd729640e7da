"""`medix-r1 data difficulty` against a server that is right on some rows: resumed, refused, curated."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from medix_r1.data.row import VERL_SCHEMA
from medix_r1.difficulty.result import Choice
from medix_r1.difficulty.run import difficulty
from medix_r1.difficulty.sampling import JOURNAL
from medix_r1.errors import ConfigError, ServerError
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.support.problems import coded, only
from tests.unit.data.support import encoded, picture

QUIET = Console(quiet=True)
K = 4


class Handler(LoopbackHandler):
    """Answers n choices; row number i of the question is right in i of them."""

    server: Policy

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = request["messages"][0]["content"]
        text = " ".join(part.get("text", "") for part in parts)
        self.server.seen.append((text, sum(part["type"] == "image_url" for part in parts), request["n"]))
        number = int(re.search(r"number (\d+)", text)[1])
        if self.server.broken and number == 3:
            return self.answer(500, {"error": {"message": f"no room for {text}"}})
        answers = ["left lung" if place < number else "heart" for place in range(request["n"])]
        choices = [
            {
                "index": place,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"<X_RAY><thinking>a</thinking><answer>{answer}</answer>"},
            }
            for place, answer in enumerate(answers)
        ]
        usage = {"prompt_tokens": 1, "completion_tokens": 10 * K, "total_tokens": 1 + 10 * K}
        return self.answer(
            200,
            {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage},
        )

    def answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Policy(LoopbackServer):
    def __init__(self) -> None:
        super().__init__(Handler)
        self.seen, self.broken = [], False


@pytest.fixture
def policy():
    with Policy() as server:
        yield server


@pytest.fixture
def data(tmp_path):
    """Five rows; row i is right in i of four replies."""
    rows = [
        {
            "data_source": "a" if number < 3 else "b",
            "prompt": [{"role": "user", "content": f"<image>Which organ, number {number}?"}],
            "images": [
                {"bytes": encoded(picture(number, 40, 40)), "path": None, "min_pixels": None, "max_pixels": None}
            ],
            "ability": "vqa",
            "reward_model": {"style": "medix", "ground_truth": "<X_RAY>\nleft lung"},
            "extra_info": {
                "index": number,
                "row_id": str(number),
                "question": "Which?",
                "answers": ["left lung"],
                "modality": "X_RAY",
            },
        }
        for number in range(5)
    ]
    path = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=VERL_SCHEMA), path)
    return path


def words(policy, *more: str) -> list[str]:
    reward = ["judge=none", "embedder=minilm", "reward=embedding_only", "signal=exact"]
    return ["model=m", f"base_url={policy.address}/v1", f"k={K}", *reward, *more]


def test_rates_figures_and_a_curated_set(policy, data, tmp_path):
    out, curated = tmp_path / "out", tmp_path / "curated"
    difficulty(data, words(policy), out, QUIET, choice=Choice(0.25, 0.75, per_source=2), write=curated)

    found = json.loads((out / "difficulty.json").read_text(encoding="utf-8"))["parts"]
    assert found["all rows"]["accuracy"]["value"] == pytest.approx(0.5)
    assert found["all rows"]["tokens"] == 10
    assert {"source a", "source b"} <= found.keys()
    assert all(images == 1 and n == K for _, images, n in policy.seen)
    assert (out / "difficulty.png").stat().st_size > 5000
    table = pq.read_table(curated / "train-00000.parquet")
    rates = [info["difficulty"] for info in table["extra_info"].to_pylist()]
    assert rates == [0.25, 0.5, 0.75]
    assert table.schema.equals(VERL_SCHEMA)
    manifest = json.loads((curated / "curated.json").read_text(encoding="utf-8"))
    assert (manifest["measured"], manifest["kept"]) == (5, 3)
    with pytest.raises(ConfigError, check=only(("--write", "not-empty"))):
        difficulty(data, words(policy), out, QUIET, write=curated)


def test_a_failure_loses_nothing_and_shows_no_text(policy, data, tmp_path, monkeypatch):
    monkeypatch.setattr("medix_r1.difficulty.sampling._ATTEMPTS", 0)
    policy.broken = True
    with pytest.raises(ServerError, check=coded("policy-server-failed")) as caught:
        difficulty(data, words(policy, "concurrency=1"), tmp_path, QUIET)
    assert "Which organ" not in str(caught.value)
    before = len(policy.seen)

    policy.broken = False
    journal = tmp_path / JOURNAL
    journal.write_text(journal.read_text(encoding="utf-8") + '{"key": "cut in the mid', encoding="utf-8")
    difficulty(data, words(policy), tmp_path, QUIET)
    asked = [re.search(r"number (\d)", text)[1] for text, _, _ in policy.seen[before:]]
    assert sorted(asked) == ["3", "4"]
    assert len(journal.read_text(encoding="utf-8").splitlines()) == 6
    with pytest.raises(ConfigError, check=only((str(tmp_path), "other-settings"))):
        difficulty(data, words(policy, "temperature=0.5"), tmp_path, QUIET)


def test_what_cannot_work_is_refused_before_anything_starts(policy, data, tmp_path):
    for more, problem in (
        (["signal=nosuch"], ("signal", "no-such-signal")),
        (["reward.weights.embed=2"], ("reward.weights", "sum-not-one")),
    ):
        with pytest.raises(ConfigError, check=only(problem)):
            difficulty(data, words(policy, *more), tmp_path / "out", QUIET)
    with pytest.raises(ConfigError, check=only((str(tmp_path / "nothing"), "no-rows-there"))):
        difficulty(tmp_path / "nothing", words(policy), tmp_path / "out", QUIET)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ConfigError, check=only((str(tmp_path / "other.parquet"), "not-verls-columns"))):
        difficulty(tmp_path / "other.parquet", words(policy), tmp_path / "out", QUIET)
    with pytest.raises(ConfigError, check=only(("--keep", "nothing-left"))):
        difficulty(data, words(policy), tmp_path / "out", QUIET, choice=Choice(0.6, 0.7), write=tmp_path / "w")
    assert not (tmp_path / "w").exists()
