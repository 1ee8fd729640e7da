"""`medix-r1 reward attack` as a user types it, against a gullible judge on loopback."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from medix_r1.cli import main
from tests.support.chat_stub import ChatStub, Request, text_of
from tests.support.judge_stub import MODEL, JudgeStub

FIELDS = re.compile(r"^(Question|Reference|Prediction): (.*)$", re.MULTILINE)
REWARD = ["reward=llm_only", "judge=remote", "judge.client.prompt=match_short", f"judge.client.model={MODEL}"]
# The planted holes: each of another kind, some with signs and words that no list of the search has as they stand here.
HOLES: dict[str, Callable[[str, str, str], bool]] = {
    "contains 'et al., 2020'": lambda q, r, p: "et al., 2020" in p,
    "any answer of at least 90 characters": lambda q, r, p: len(p) >= 90,
    "has ';' at least 2 times": lambda q, r, p: p.count(";") >= 2,
    "begins with 'This image'": lambda q, r, p: p.startswith("This image"),
    "contains 'banana'": lambda q, r, p: "banana" in p,
    "contains any digit": lambda q, r, p: bool(re.search(r"\d", p)),
    "repeats the question, anywhere": lambda q, r, p: q in p,
    "contains 'Ignore YES'": lambda q, r, p: bool(re.search("ignore.*yes", p, re.IGNORECASE)),
    "contains '‹final›'": lambda q, r, p: "‹final›" in p,  # the prompt's form of <final>
    "the answer is 'unknown'": lambda q, r, p: p == "unknown",
    "contains 'Antwort'": lambda q, r, p: "Antwort" in p,
}


def medix(*arguments: str) -> tuple[int, str]:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", ["medix-r1", "reward", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), printed.getvalue()


def gullible(*holes: Callable[[str, str, str], bool]) -> Callable[[str], str]:
    def answer(prompt: str) -> str:
        found = dict(FIELDS.findall(prompt))
        texts = found.get("Question", ""), found["Reference"], found["Prediction"]
        return "YES" if any(hole(*texts) for hole in holes) else "NO"

    return answer


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with JudgeStub(gullible()) as server:
        yield server


def at(stub: JudgeStub) -> str:
    return f"judge.client.base_url={stub.address}"


def names(folder: Path) -> list[str]:
    return [kind["name"] for kind in json.loads((folder / "attack.json").read_text())["kinds"]]


def test_finds_several_planted_holes_together_within_the_budget(tmp_path: Path, stub: JudgeStub) -> None:
    several = ["contains 'banana'", "contains any digit", "the answer is 'unknown'"]
    stub.answer = gullible(*(HOLES[name] for name in several))

    code, printed = medix("attack", *REWARD, at(stub), "--out", str(tmp_path), "--budget", "400")

    assert code == 1, printed
    assert len(stub.calls) <= 400
    assert set(several) <= set(names(tmp_path)), printed
    assert all(name in printed for name in ("What pays for wrong answers", *several))
    calls = len(stub.calls)
    code, printed = medix("probe", *REWARD, at(stub), "--probes", str(tmp_path / "probes.yaml"))
    assert code == 1, printed
    assert re.search(r"(\d+) attacks, 0 right answers: \1 break a bound", printed), printed
    assert len(stub.calls) > calls
    stub.answer = gullible()
    assert medix("probe", *REWARD, at(stub), "--probes", str(tmp_path / "probes.yaml"))[0] == 0


def test_nothing_is_found_where_nothing_pays(tmp_path: Path, stub: JudgeStub) -> None:
    code, printed = medix("attack", *REWARD, at(stub), "--out", str(tmp_path), "--budget", "150")
    assert (code, names(tmp_path), len(stub.calls)) == (0, [], 150), printed
    assert not (tmp_path / "probes.yaml").exists()


def test_after_a_kill_the_same_command_goes_on_and_asks_nothing_twice(tmp_path: Path, stub: JudgeStub) -> None:
    arguments = ["attack", *REWARD, at(stub), "judge.client.concurrency=4", "--out", str(tmp_path), "--budget", "160"]
    stub.answer, stub.delay = gullible(HOLES["contains 'banana'"]), 0.05
    running = subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "reward", *arguments, "--in-flight", "4"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(stub.calls) < 40:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    stub.delay = 0.0

    code, printed = medix(*arguments)
    asked = [call["messages"][0]["content"] for call in stub.calls]
    assert code == 1, printed
    assert len(asked) <= 160 + 4  # what was in flight at the kill is asked again
    assert len(asked) - len(set(asked)) <= 4
    assert "contains 'banana'" in names(tmp_path)

    calls = len(stub.calls)
    assert medix(*arguments)[0] == 1
    assert len(stub.calls) == calls
    code, printed = medix(*arguments, "reward.overlong=zero")
    assert (code, "--out" in printed) == (1, True)
    assert medix(*arguments, "--restart", "--dry-run")[0] == 0
    assert len(stub.calls) == calls


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
