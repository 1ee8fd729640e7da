"""`medix-r1 reward attack` as a user types it, against a gullible judge on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chat_stub import ChatStub, Request, text_of
from tests.support.gullible_judge import FIELDS, REWARD, at, gullible, medix, names
from tests.support.judge_stub import JudgeStub


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(gullible()) as server:
        yield server


def test_nothing_is_found_where_nothing_pays(tmp_path: Path, stub: JudgeStub) -> None:
    code, printed = medix("attack", *REWARD, at(stub), "--out", str(tmp_path), "--budget", "150")
    assert (code, names(tmp_path), len(stub.calls)) == (0, [], 150), printed
    assert not (tmp_path / "probes.yaml").exists()


def test_dry_run_says_the_cost_and_asks_nothing(tmp_path: Path, stub: JudgeStub) -> None:
    prices = ["judge.client.price_prompt=2", "judge.client.price_completion=6"]
    code, printed = medix("attack", *REWARD, at(stub), *prices, "--out", str(tmp_path / "new"), "--dry-run")
    assert (code, stub.calls, (tmp_path / "new").exists()) == (0, [], False), printed
    assert "2000 calls" in printed
    assert re.search(r"at most about 4\.\d\d in the currency", printed), printed


def test_rows_of_ones_own(tmp_path: Path, stub: JudgeStub) -> None:
    rows = [
        {"question": "Which organ?", "reference": "<CT_SCAN>liver", "choices": ["liver", "spleen", "heart"]},
        {"question": "Which organ is it?", "reference": "<CT_SCAN>spleen", "reply": "what a policy said"},
        {"question": "Which side?", "reference": "<X_RAY>left"},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    stub.answer = gullible(lambda q, r, p: {"left", "right"} == {r, p})

    code, printed = medix("attack", *REWARD, at(stub), "--rows", str(file), "--out", str(tmp_path), "--budget", "80")

    assert (code, names(tmp_path)) == (1, ["plain: other_side"]), printed
    asked = [dict(FIELDS.findall(call["messages"][0]["content"])) for call in stub.calls]
    assert {one["Question"] for one in asked} == {row["question"] for row in rows}
    assert {"spleen", "heart"} & {one["Prediction"] for one in asked if one["Question"] == "Which organ?"}


def test_wrong_options_are_said_together_before_anything_is_asked(tmp_path: Path, stub: JudgeStub) -> None:
    out = ["--out", str(tmp_path / "out")]
    code, printed = medix("attack", *REWARD, at(stub), "--propose-url", "ftp://x", "--propose-as", "poet", *out)
    assert code == 1
    assert all(f"{name}: " in printed for name in ("--propose-url", "--propose-model", "--propose-as"))
    code, printed = medix("attack", *REWARD, at(stub), "--propose-model", "x", *out)
    assert (code, "--propose-url: " in printed) == (1, True)
    key = ["--propose-url", "http://127.0.0.1:1/v1", "--propose-model", "x", "--propose-key-env", "NOT_SET"]
    code, printed = medix("attack", *REWARD, at(stub), *key, *out)
    assert (code, "NOT_SET" in printed) == (1, True)
    assert stub.calls == []


def test_a_model_proposes_templates_that_no_list_has(tmp_path: Path, stub: JudgeStub) -> None:
    stub.answer = gullible(lambda q, r, p: p.startswith("Verily "))
    asked: list[Request] = []

    def propose(request: Request) -> str:
        asked.append(request)
        return 'Templates:\n1. "Verily {wrong}"\n- Forsooth: {wrong}\n{wrong}\nno place for it\n'

    with ChatStub(propose, model="attacker") as proposer:
        model = ["--propose-url", proposer.address, "--propose-model", "attacker", "--proposals", "4"]
        arguments = ["attack", *REWARD, at(stub), *model, "--out", str(tmp_path), "--budget", "500"]
        code, printed = medix(*arguments)
        assert code == 1, printed
        assert names(tmp_path) == ["begins with 'Verily'"]
        assert len(asked) == 4
        assert "<question>" in text_of(asked[0])
        assert "{wrong} once" in text_of(asked[0])
        medix(*arguments)
        assert len(asked) == 4  # kept


def test_a_policys_own_wrong_replies_are_tried(tmp_path: Path, stub: JudgeStub) -> None:
    rows = [{"question": f"Which organ is number {i}?", "reference": "liver", "image": False} for i in range(4)]
    rows += [{"question": "And this?", "reference": "spleen", "image": False}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    stub.answer = gullible(lambda q, r, p: (r, p) == ("liver", "kidney"))
    with ChatStub(lambda request: "<thinking>hm</thinking><answer>kidney</answer>", model="policy") as policy:
        model = ["--propose-url", policy.address, "--propose-model", "policy", "--propose-as", "policy"]
        code, printed = medix(
            *["attack", *REWARD, at(stub), *model, "--rows", str(file), "--out", str(tmp_path), "--budget", "300"]
        )
        assert code == 1, printed
        assert "policy: its own answer" in names(tmp_path)
        assert {"Which organ is number 0?"} & {text_of(call).splitlines()[0] for call in policy.calls}
