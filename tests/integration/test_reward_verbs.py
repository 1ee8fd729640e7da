"""`medix-r1 reward` as a user types it, with a judge on loopback that we command and the real MiniLM embedder."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from medix_r1.cli import main
from medix_r1.grammar import parse_completion
from medix_r1.scoring.probes.probe_file import load
from tests.support.judge_stub import MODEL, JudgeStub

BY_RULE = ["reward=llm_only", "judge=remote", "judge.client.prompt=match_short", f"judge.client.model={MODEL}"]
WITH_EMBEDDER = [
    *BY_RULE[1:],
    "embedder=minilm",
    "reward.signals.embed.threshold=0.6",
    "reward.think_element=think",
]


def medix(*arguments: str) -> tuple[int, str]:
    """Run the command in this process, which has torch already; returns its exit code and everything it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setenv("COLUMNS", "250")
        patch.setattr(sys, "argv", ["medix-r1", "reward", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), printed.getvalue()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "medix_r1.cli", "reward", *arguments]


def wide() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "250", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with JudgeStub() as server:
        yield server


def at(stub: JudgeStub) -> str:
    return f"judge.client.base_url={stub.address}"


def reply(answer: str, tag: str = "CT_SCAN", element: str = "thinking") -> str:
    return f"<{tag}><{element}>I look.</{element}><answer>{answer}</answer>"


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def numbered(count: int) -> list[dict]:
    """Rows of which each needs a call."""
    return [
        {"id": str(i), "question": "How many?", "reference": f"<CT_SCAN>{i} cysts", "completion": reply(f"about {i}")}
        for i in range(count)
    ]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_score_writes_every_part_and_reason_in_order(tmp_path: Path, stub: JudgeStub) -> None:
    question = {"question": "Which organ?", "reference": "<CT_SCAN>liver", "source": "demo"}
    rows = [
        {**question, "completion": reply("Liver.", element="think")},
        {**question, "completion": reply("both kidneys", tag="X_RAY", element="think")},
        {**question, "completion": "liver"},
        {"question": "Which dilution?", "reference": "1:2", "completion": "<think>x</think><answer>1 : 2</answer>"},
        # the row of a run, by its own names
        {"key": "u_0_0", "reply": reply("hepatic", element="think"), "reference": "<CT_SCAN>\nliver", "question": ""},
    ]
    file, out = written(tmp_path / "rows.jsonl", rows), tmp_path / "scored.jsonl"
    code, printed = medix("score", str(file), *WITH_EMBEDDER, at(stub), "--out", str(out))

    assert code == 0, printed
    assert f"5 rows scored: {out}" in printed
    scored = read(out)
    assert [row["line"] for row in scored] == [1, 2, 3, 4, 5]
    assert [row["parts"]["llm"] for row in scored] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert [row["parts"]["modality"] for row in scored] == [1.0, 0.0, 0.0, None, 1.0]
    assert scored[0]["overall"] == pytest.approx(1.0)
    assert scored[1]["overall"] == pytest.approx(0.10)
    assert scored[2]["overall"] == 0.0
    assert scored[3]["overall"] == pytest.approx(1.0)
    assert scored[3]["weights"]["llm"] == pytest.approx(0.5175 / 0.955)
    assert scored[2]["parsed"]["problems"] == list(parse_completion("liver").problems) != []
    assert scored[1]["reasons"]["llm"] == "judge: NO"
    assert scored[1]["reasons"]["embed"].startswith("cosine ")
    for row in scored:
        total = sum(weight * (row["parts"][name] or 0.0) for name, weight in row["weights"].items())
        assert row["overall"] == pytest.approx(total)


def test_its_own_output_is_scored_again_under_other_weights(tmp_path: Path, stub: JudgeStub) -> None:
    file, out, again = (tmp_path / name for name in ("rows.jsonl", "scored.jsonl", "again.jsonl"))
    written(file, numbered(3))
    assert medix("score", str(file), *BY_RULE, at(stub), "--out", str(out))[0] == 0
    calls = len(stub.calls)

    code, printed = medix(
        *["score", str(out), "reward=embedding_only", "judge=none", "embedder=minilm", "--out", str(again)],
        *["reward.weights={embed: 0.4, format: 0.6}", "reward.signals.embed.threshold=0.6"],
    )

    assert code == 0, printed
    assert len(stub.calls) == calls
    scored = read(again)
    assert [(row["id"], row["completion"]) for row in scored] == [(row["id"], row["completion"]) for row in read(file)]
    for row in scored:
        assert row["overall"] == pytest.approx(0.4 * row["parts"]["embed"] + 0.6)


def test_one_signal_alone_needs_neither_judge_nor_embedder(tmp_path: Path) -> None:
    file, out = written(tmp_path / "rows.jsonl", numbered(3)), tmp_path / "out.jsonl"

    assert medix("score", str(file), "--signal", "exact", "--out", str(out))[0] == 0

    assert [(row["overall"], row["parts"], row["weights"]) for row in read(out)] == [
        (0.0, {"exact": 0.0}, {"exact": 1.0})
    ] * 3
    code, printed = medix("score", str(file), "--signal", "exakt", "--out", str(out))
    assert code == 1
    assert "exact" in printed.split("known:")[1]


def test_soft_overlong_needs_tokens_which_a_file_has_not(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", numbered(1))
    soft = ["reward.overlong=soft", "reward.overlong_cache=10"]

    code, printed = medix("score", str(file), "--signal", "exact", *soft, "--out", str(tmp_path / "out.jsonl"))

    assert (code, "reward.overlong: " in printed) == (1, True)


def test_rows_that_can_never_score_are_refused_and_scored_as_the_public_code_does(tmp_path: Path) -> None:
    rows = [
        {**numbered(1)[0], "id": str(i), "reference": text} for i, text in enumerate(("liver", "<XRAY>liver", "", "-"))
    ]
    file, out = written(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"

    code, printed = medix("score", str(file), "--signal", "modality", "--out", str(out))
    assert code == 1
    assert [f"{file}:{line}: reference: " in printed for line in (1, 2, 3, 4)] == [False, True, True, True]
    assert medix("explain", "--row", f"{file}:2", "reward=embedding_only")[0] == 1

    assert medix("score", str(file), "--signal", "modality", "reward=paper", "--out", str(out))[0] == 0
    assert [row["overall"] for row in read(out)] == [0.0] * 4


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", numbered(1))
    code, printed = medix("score", str(file), "reward=format_only", "--out", str(tmp_path / "out.jsonl"))
    assert code == 1
    assert "  - reward=format_only: " in printed


def test_bad_rows_are_all_said_before_anything_is_called(tmp_path: Path, stub: JudgeStub) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "q", "reference": "<X_RAY>"}\n{"question": 1, "completion": "c"}\nno json\n')
    out = tmp_path / "out.jsonl"
    code, printed = medix("score", str(file), *BY_RULE, at(stub), "--out", str(out))
    assert code == 1
    for where in ("1: reference", "1: completion", "2: question", "3"):
        assert f"rows.jsonl:{where}: " in printed
    assert stub.calls == []
    assert not out.exists()


def test_after_kill_9_the_same_command_asks_only_for_what_is_missing(tmp_path: Path, stub: JudgeStub) -> None:
    count = 60
    file, out = written(tmp_path / "rows.jsonl", numbered(count)), tmp_path / "out.jsonl"
    arguments = ["score", str(file), *BY_RULE, at(stub), "judge.client.concurrency=2", "--out", str(out)]
    stub.delay = 0.2
    running = subprocess.Popen(command(*arguments, "--in-flight", "4"), stdout=subprocess.DEVNULL, env=wide())
    wait_for_lines(out, 10)
    running.kill()
    running.wait()
    done = len(out.read_text().splitlines())
    assert 10 <= done < count
    with out.open("rb+") as file_of_scores:  # as if the kill had come in the middle of a line
        file_of_scores.truncate(out.stat().st_size - 7)
    stub.delay, calls = 0.0, len(stub.calls)

    code, printed = medix(*arguments)

    assert code == 0, printed
    assert len(stub.calls) - calls == count - (done - 1)
    assert [row["id"] for row in read(out)] == [str(i) for i in range(count)]

    calls = len(stub.calls)
    code, printed = medix(*arguments)
    assert code == 0
    assert "all 60 rows" in printed
    assert len(stub.calls) == calls

    code, printed = medix(*arguments, "reward.overlong=zero")
    assert code == 1
    assert re.search(r"- overlong: .*'reward'.*'zero'", printed)


def wait_for_lines(path: Path, count: int, timeout: float = 120.0) -> None:
    deadline = time.monotonic() + timeout
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, f"{path} has not {count} lines after {timeout} s"
        time.sleep(0.05)


def test_ctrl_c_keeps_what_is_scored(tmp_path: Path, stub: JudgeStub) -> None:
    file, out = written(tmp_path / "rows.jsonl", numbered(200)), tmp_path / "out.jsonl"
    stub.delay = 0.2
    running = subprocess.Popen(
        command("score", str(file), *BY_RULE, at(stub), "judge.client.concurrency=2", "--out", str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=wide(),
    )
    wait_for_lines(out, 5)
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "stopped; " in printed
    assert "Traceback" not in printed
    assert len(read(out)) >= 5


def test_rows_that_the_judge_refuses_are_unscored_and_tried_again(tmp_path: Path, stub: JudgeStub) -> None:
    file, out = written(tmp_path / "rows.jsonl", numbered(8)), tmp_path / "out.jsonl"
    arguments = ["score", str(file), *BY_RULE, at(stub), "--out", str(out)]
    stub.answer = lambda prompt: "who knows" if "Reference: 3 cysts" in prompt else "NO"
    code, printed = medix(*arguments, "judge.client.parse_attempts=1")
    assert code == 1
    assert "1 of 8 rows" in printed
    [unscored] = [row for row in read(out) if row["overall"] is None]
    assert unscored["id"] == "3"
    assert "who knows" in unscored["failure"]
    assert unscored["parts"]["llm"] is None

    stub.answer, calls = (lambda prompt: "NO"), len(stub.calls)
    code, printed = medix(*arguments, "judge.client.parse_attempts=1")
    assert code == 0, printed
    assert len(stub.calls) == calls + 1
    assert sorted(row["id"] for row in read(out)) == [str(i) for i in range(8)]
    assert all(row["overall"] is not None for row in read(out))


def test_a_judge_that_goes_down_is_no_score_and_stops_early(tmp_path: Path, stub: JudgeStub) -> None:
    file, out = written(tmp_path / "rows.jsonl", numbered(50)), tmp_path / "out.jsonl"
    stub.behave = lambda call: (500, {}, b"{}") if call > 5 else None
    code, printed = medix(
        *["score", str(file), *BY_RULE, at(stub), "--out", str(out), "--in-flight", "2"],
        *["judge.client.patience=1", "judge.client.concurrency=1"],
    )
    assert code == 1
    assert re.search(r"\d+ of 50 rows", printed)
    scored = [row for row in read(out) if row["overall"] is not None]
    assert len(scored) == 5
    assert len(read(out)) == 6  # it does not wait 50 times


def test_explain_shows_parts_weights_and_reasons_and_no_escape(stub: JudgeStub) -> None:
    hostile = reply("left\x1b[2Jlung [red]x", tag="X_RAY", element="think")
    sample = ["--question", "Where?", "--reference", "<X_RAY>left lung", "--completion", hostile]
    code, printed = medix("explain", *sample, *WITH_EMBEDDER, at(stub))
    assert code == 0, printed
    assert "\x1b" not in printed
    assert r"left\u001b[2Jlung [red]x" in printed
    assert re.search(r"llm\s+│\s+0\.0000\s+│\s+0\.5175\s+│\s+0\.0000\s+│ judge: NO", printed)
    assert re.search(r"modality\s+│\s+1\.0000\s+│\s+0\.0450\s+│\s+0\.0450\s+│", printed)
    assert "monitor" in printed


def test_explain_finds_rows_and_speaks_json(tmp_path: Path, stub: JudgeStub) -> None:
    file = written(tmp_path / "rows.jsonl", numbered(3))
    for where in ([f"{file}:2"], [str(file), "--id", "1"]):
        code, printed = medix("explain", "--row", *where, *BY_RULE, at(stub), "--json")
        assert code == 0, printed
        found = json.loads(printed)
        assert found["reference"] == {"modality": "CT_SCAN", "answer": "1 cysts"}
        assert found["signals"]["llm"] == {"value": 0.0, "weight": 1.0, "reason": "judge: NO"}
    code, printed = medix("explain", *BY_RULE, at(stub))
    assert code == 1
    assert "  - explain: " in printed


# What a judge that always says YES can still not be talked into: bounds that rest on rules alone.
RULES = {p.name for p in load() if p.rests_on == "nothing"}
# Found by the probe and not mended; docs/hard_to_fool.md says so openly. Take a name out when its rule is mended.
OPEN: set[str] = set()  # bounds on rules that are known to break; stated in docs/hard_to_fool.md


@pytest.fixture(scope="module")
def gullible(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, dict]]:
    """The probe against a judge that says YES to everything, under our reward and under the public rules."""
    found = {}
    with JudgeStub(answer=lambda prompt: "YES") as stub:
        for name in ("composite", "paper"):
            report = tmp_path_factory.mktemp("probe") / "report.json"
            code, printed = medix("probe", f"reward={name}", *WITH_EMBEDDER, at(stub), "--json", str(report))
            found[name] = code, printed, json.loads(report.read_text())
    return found


def broken(report: dict) -> set[str]:
    return {finding["probe"]["name"] for finding in report["findings"] if finding["broken"]}


def test_rules_hold_even_when_the_judge_is_gullible(gullible: dict[str, tuple[int, str, dict]]) -> None:
    code, printed, report = gullible["composite"]
    assert code == 1
    assert "break a bound" in printed
    assert broken(report) & RULES <= OPEN


def test_a_gullible_judge_is_found_out(gullible: dict[str, tuple[int, str, dict]]) -> None:
    families = {name.split("/")[0] for name in broken(gullible["composite"][2])}
    assert families >= {"forged_instructions", "template_tokens", "hedges", "undetermined", "wrong_side", "negated"}


def test_the_public_rules_break_where_ours_hold(gullible: dict[str, tuple[int, str, dict]]) -> None:
    paper, ours = (broken(gullible[name][2]) for name in ("paper", "composite"))
    only_paper = {name.split("/")[0] for name in (paper - ours) & RULES}
    assert only_paper >= {"several_answer_blocks", "empty_think", "broken_blocks"}


def test_probe_stops_when_the_judge_is_down(stub: JudgeStub) -> None:
    stub.behave = lambda call: (500, {}, b"{}")
    code, printed = medix("probe", *BY_RULE, at(stub), "--family", "hedges", "judge.client.patience=1")
    assert code == 1
    assert "error: hedges/" in printed


def test_probe_holds_and_exits_0_for_a_family_that_holds(stub: JudgeStub) -> None:
    code, printed = medix("probe", *BY_RULE, at(stub), "--family", "symbols", "--family", "hedges")
    assert code == 0, printed
    assert "18 attacks, 0 right answers" in printed


def test_audit_counts_disagreements_with_labels(tmp_path: Path, stub: JudgeStub) -> None:
    def row(reference: str, prediction: str, label: bool | None) -> dict:
        return {"question": "q", "reference": reference, "prediction": prediction, "label": label}

    rows = [
        *[row("liver", f"liver {i}", True) for i in range(6)],
        *[row("liver", f"spleen {i}", False) for i in range(6)],
        row("liver", "hepar | <b>\x1b[2J", True),  # the judge says NO
        row("liver", "liver or spleen", False),  # the judge says YES
        row("liver", "Liver.", True),  # decided by rule
        row("liver", "?", False),  # decided by rule
        row("liver", "no label", None),
        row("liver", "unreadable", True),
    ]
    file, report, page = written(tmp_path / "rows.jsonl", rows), tmp_path / "a.json", tmp_path / "a.md"

    def answer(prompt: str) -> str:
        return "hm" if "unreadable" in prompt else "YES" if "Prediction: liver" in prompt else "NO"

    stub.answer = answer
    code, printed = medix("audit", str(file), *BY_RULE, at(stub), "--json", str(report), "--markdown", str(page))
    assert code == 1  # two rows are unscored
    assert re.search(r"18 rows: 2 .*, 2 unscored, 14 compared", printed)
    found = json.loads(report.read_text())
    assert found["agreement"]["table"] == [[6, 1], [1, 6]]
    assert found["agreement"]["kappa"] == pytest.approx((12 / 14 - 0.5) / 0.5)
    assert found["agreement"]["kappa_interval"]["low"] < found["agreement"]["kappa"]
    assert [case["answer"] for case in found["worst"]] == ["hepar | <b>\x1b[2J", "liver or spleen"]
    assert {entry["line"] for entry in found["unscored"]} == {17, 18}
    assert [(one["kind"], one["said_no"], one["said_yes"]) for one in found["errors_by_kind"]] == [
        ("all", 1, 1),
        ("number", 1, 0),
        ("several answers", 0, 1),
    ]
    assert len(found["group_orders"]) == 5
    assert found["good_enough"] is False
    assert "rated" not in found
    text = page.read_text()
    assert "\x1b" not in text + printed
    assert "<b>" not in text
    assert r"hepar \| &lt;b&gt;" in text


def test_audit_of_a_signal_without_a_judge_starts_none(tmp_path: Path) -> None:
    rows = [{"question": "q", "reference": "liver", "prediction": p, "label": p == "liver"} for p in ("liver", "lung")]

    code, printed = medix("audit", str(written(tmp_path / "rows.jsonl", rows)), "--signal", "exact")

    assert "2 rows" in printed
    assert code == 0


def test_audit_of_recorded_verdicts_with_a_second_judge(tmp_path: Path, stub: JudgeStub) -> None:
    rows = [
        {**row, "parts": {"llm": float(i % 2)}, "reply": row.pop("completion")} for i, row in enumerate(numbered(8))
    ]
    # Both sides would say the same of these, and nobody was asked.
    ruled = [
        {**numbered(1)[0], "id": text[:9], "completion": reply(text), "parts": {"llm": 0.0}}
        for text in ("How many?", "a " * 3000)
    ]
    file = written(tmp_path / "samples.jsonl", rows + ruled)
    code, printed = medix(
        *["audit", str(file), *BY_RULE, "judge.client.base_url=http://127.0.0.1:9/v1", "--recorded"],
        *["--second", at(stub)],
    )
    assert code == 0, printed
    assert len(stub.calls) == 8
    assert re.search(r"10 rows: 2 .*, 0 unscored, 8 compared", printed)
    assert "4 disagreements" in printed
    assert "Cohen's kappa 0.000" in printed


@pytest.mark.parametrize("verb", ["score", "explain", "probe", "audit"])
def test_every_verb_explains_itself(verb: str) -> None:
    code, printed = medix(verb, "--help")
    assert code == 0
    assert f"medix-r1 reward {verb}" in printed
