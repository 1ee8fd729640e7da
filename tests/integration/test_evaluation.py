"""The whole evaluation against servers on loopback: three phases, resuming, keys, and the command line.

The models are stubs at the process boundary; inspect, its client, the data sets' readers and all of ours are real.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log
from rich.console import Console
from typer.testing import CliRunner

from medix_r1.errors import ConfigError, EvaluationError
from medix_r1.evaluation import run as runs
from medix_r1.evaluation.cli import app
from medix_r1.evaluation.phases import generate_and_judge
from medix_r1.evaluation.phases.scoring import NOT_YET
from medix_r1.evaluation.rejudge import rejudge
from medix_r1.evaluation.results import table
from medix_r1.evaluation.results.records import Record, read_run
from medix_r1.evaluation.settings import compose_eval
from tests.support import eval_rows
from tests.support.chat_stub import ChatStub, Request, images_of, text_of
from tests.support.problems import coded, codes, only

QUIET = Console(quiet=True)
KEY = "sk-very-secret-7351"


def policy_reply(request: Request) -> str:
    tag = "<X_RAY>" if images_of(request) else ""
    answer = "C" if "A. " in text_of(request) else "no"
    return f"{tag}<thinking>I look closely</thinking><answer>{answer}</answer>"


def judge_reply(request: Request) -> str:
    """YES when the prediction is the reference, letter for letter; a grade where one is asked for."""
    text = text_of(request)
    if "<step>" in text:
        return "NO, it is not" if "medically sound" in text else "YES, it is"
    if "Reply with JSON" in text:
        return '{"reason": "most findings", "score": 4}'
    fields = {n: text.split(f"<{n}>")[1].split(f"</{n}>")[0].strip() for n in ("reference", "prediction")}
    return "YES, equal" if fields["reference"] == fields["prediction"] else "NO, different"


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Path:
    return eval_rows.write_hub_copies(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def policy():
    with ChatStub(policy_reply, "org/policy") as stub:
        yield stub


@pytest.fixture
def judge():
    with ChatStub(judge_reply, "judge") as stub:
        yield stub


@pytest.fixture
def words(hub, tmp_path, policy, judge) -> Callable[..., list[str]]:
    def make(task: str, *more: str) -> list[str]:
        return [
            "model=org/policy",
            f"base_url={policy.address}",
            f"task={task}",
            f"data_dir={hub}",
            f"out_dir={tmp_path / 'eval'}",
            "attempts=2",
            "timeout=60",
            "judge=remote",
            f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]",
            "judge.attempts=2",
            "judge.timeout=60",
            *more,
        ]

    return make


def _run(words: list[str]) -> tuple[Path, dict[str, list[Record]]]:
    outcome = runs.run(runs.plan(compose_eval(words)), QUIET)
    _, records = read_run(outcome.folder)
    assert records == outcome.records
    return outcome.folder, records


def test_three_phases_in_one_command(words, policy, judge) -> None:
    folder, records = _run(words("[rad_vqa,mmlu_anatomy,mimic_cxr_report_summarization]"))
    vqa, mmlu, report = (records[t] for t in ("rad_vqa", "mmlu_anatomy", "mimic_cxr_report_summarization"))

    assert [record.score for record in vqa] == [1.0, 0.0, 0.0]  # the model always says no
    assert [len(record.votes) for record in vqa] == [3, 3, 3]
    assert [vote.seed for vote in vqa[0].votes] == [1, 2, 3]
    assert vqa[0].votes[0].reason == "equal"
    assert vqa[0].think == "I look closely"
    assert (vqa[0].tokens_in, vqa[0].tokens_out, vqa[0].finish_reason) == (11, 7, "stop")
    assert vqa[0].group == vqa[2].group

    assert [(record.score, record.judge_free, record.votes) for record in mmlu] == [(1.0, True, ()), (0.0, True, ())]
    assert report[0].score == pytest.approx(0.8)
    assert report[0].restricted
    assert len(judge.calls) == 3 * 3 + 3  # no call for a letter
    assert {call["seed"] for call in judge.calls} == {1, 2, 3}
    assert all(len(call["messages"]) == 1 for call in judge.calls)  # votes do not see each other
    graded = [call for call in judge.calls if "Reply with JSON" in text_of(call)]
    assert all(call["response_format"]["json_schema"]["schema"]["properties"]["score"]["enum"] for call in graded)

    sent = next(call for call in policy.calls if images_of(call))
    assert "<TAG><thinking>your reasoning</thinking>" in text_of(sent)
    assert images_of(sent)[0].startswith("data:image/png;base64,")

    logs = [read_eval_log(log) for log in list_eval_logs(str(folder / "rad_vqa" / "logs"))]
    assert {log.eval.task.rsplit("_", 1)[1] for log in logs} == {"generate", "judge"}
    assert all(log.status == "success" and log.samples and len(log.samples) == 3 for log in logs)


def test_many_samples_are_several_evaluations_of_inspect(words, policy, judge, monkeypatch) -> None:
    """Each has an event loop of its own: a client that had been kept from the one before would fail."""
    monkeypatch.setattr(generate_and_judge, "_CHUNK", 2)
    folder, records = _run(words("rad_vqa"))
    assert [record.score for record in records["rad_vqa"]] == [1.0, 0.0, 0.0]
    assert (len(policy.calls), len(judge.calls)) == (3, 9)
    assert len(list_eval_logs(str(folder / "rad_vqa" / "logs"))) == 4  # two and one, generated and judged


def test_the_same_command_again_asks_nobody(words, policy, judge) -> None:
    folder, first = _run(words("rad_vqa"))
    asked = len(policy.calls), len(judge.calls)
    assert _run(words("rad_vqa")) == (folder, first)
    assert (len(policy.calls), len(judge.calls)) == asked


def test_three_commands_are_one(words, policy, judge) -> None:
    folder, records = _run(words("rad_vqa", "phase=generate"))
    assert {record.unscored for record in records["rad_vqa"]} == {f"not judged: {NOT_YET}"}
    assert not judge.calls
    _run(words("rad_vqa", "phase=judge"))
    policy.calls.clear()
    again, records = _run(words("rad_vqa", "phase=score"))
    assert again == folder
    assert [record.score for record in records["rad_vqa"]] == [1.0, 0.0, 0.0]
    assert not policy.calls


def test_a_limit_is_a_part_of_the_whole_result(words, policy) -> None:
    folder, records = _run(words("rad_vqa", "limit=1"))
    assert len(records["rad_vqa"]) == 1
    assert read_run(folder)[0].extra["limited"] == {"rad_vqa": [1, 3]}
    again, records = _run(words("rad_vqa"))
    assert again == folder
    assert len(records["rad_vqa"]) == len(policy.calls) == 3
    assert read_run(folder)[0].extra["limited"] == {}


@pytest.mark.parametrize(
    "change",
    [
        "prompt=plain",
        "think_element=think",
        "decoding.temperature=0.5",
        "revision=abc",
        "judge.seeds=[4,5,6]",
        "judge.reasoning=true",
        "judge.match_prompt=match",
    ],
)
def test_whatever_changes_a_number_is_another_result(words, change) -> None:
    first = runs.plan(compose_eval(words("rad_vqa")))
    assert runs.plan(compose_eval(words("rad_vqa", change))).folder != first.folder
    assert runs.plan(compose_eval(words("rad_vqa", "connections=3"))).folder == first.folder
    assert first.folder.name.startswith("org__policy-")


def test_other_data_is_put_aside_and_never_mixed(words, tmp_path, policy) -> None:
    file = tmp_path / "mine.csv"
    header = "question,opa,opb,opc,opd,cop\n"
    mine = words("medmcqa", f"tasks.medmcqa.file={file}")
    file.write_text(header + "Old?,w,x,y,z,2\n")
    folder, old = _run(mine)
    file.write_text(header + "New?,w,x,y,z,2\n")
    _, new = _run(mine)
    assert [record.question for record in new["medmcqa"]] == ["New?"]
    file.write_text(header + "Old?,w,x,y,z,2\n")
    assert _run(mine) == (folder, old)
    assert len(policy.calls) == 2
    assert next(p.name for p in folder.iterdir() if "@" in p.name).startswith("medmcqa@")


def test_the_thinking_is_graded_apart(words) -> None:
    _, records = _run(words("mmlu_anatomy", "judge.reasoning=true"))
    graded = records["mmlu_anatomy"]
    assert [(record.score, record.judge_free) for record in graded] == [(1.0, True), (0.0, True)]
    assert [record.rubric for record in graded] == pytest.approx([2 / 3, 2 / 3])


@pytest.mark.parametrize(("old", "new"), [("judge.rubric=true", "reasoning"), ("judge.rubric_prompt=x", "prompt")])
def test_the_old_name_of_the_grade_is_answered_with_the_new_one(words, old, new) -> None:
    with pytest.raises(ConfigError, check=only((old.partition("=")[0], "renamed"))) as failed:
        compose_eval(words("mmlu_anatomy", old))
    assert new in str(failed.value)


def test_three_judges_vote_once_each(words, judge) -> None:
    with ChatStub(lambda request: "YES", "lenient") as second, ChatStub(lambda request: "YES", "kind") as third:
        judges = ", ".join(f"{{model: {j.model}, base_url: '{j.address}'}}" for j in (judge, second, third))
        _, records = _run(words("rad_vqa", f"judge.judges=[{judges}]", "judge.seeds=[1]"))
    votes = [[(vote.judge, vote.value) for vote in record.votes] for record in records["rad_vqa"]]
    assert votes[1] == [("judge", 0.0), ("lenient", 1.0), ("kind", 1.0)]
    assert [record.score for record in records["rad_vqa"]] == [1.0, 1.0, 1.0]


def test_rejudge_keeps_replies_and_both_results(words, policy, judge) -> None:
    folder, before = _run(words("[rad_vqa,mmlu_anatomy]"))
    asked = len(policy.calls)
    with ChatStub(lambda request: "YES, generous", "other") as other:
        again = [w for w in words("rad_vqa") if w.startswith("judge")][:1]
        judges = f"judge.judges=[{{model: other, base_url: '{other.address}'}}]"
        result = rejudge(folder, [*again, judges], [], QUIET)
        with pytest.raises(ConfigError, check=only(("judge", "same-judge"))):
            rejudge(result.second.folder, [*again, judges], [], QUIET)
    info, after = read_run(result.second.folder)
    assert len(policy.calls) == asked
    assert info.judge["judges"] == [{"model": "other", "revision": None}]
    assert [record.score for record in after["rad_vqa"]] == [1.0, 1.0, 1.0]
    assert [record.reply for record in after["rad_vqa"]] == [record.reply for record in before["rad_vqa"]]
    assert after["mmlu_anatomy"] == before["mmlu_anatomy"]
    assert read_run(folder)[1] == before


def test_two_commands_in_one_folder(words) -> None:
    evaluation = runs.plan(compose_eval(words("rad_vqa")))
    with runs.locked(evaluation.folder), pytest.raises(EvaluationError, check=coded("in-use")):
        runs.run(evaluation, QUIET)


def test_wrong_addresses_and_keys_are_found_before_anything_is_asked(words, policy, judge, monkeypatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.delenv("PHYSIONET_USERNAME", raising=False)
    monkeypatch.delenv("PHYSIONET_PASSWORD", raising=False)
    with pytest.raises(ConfigError) as caught:
        runs.plan(compose_eval(words("[rad_vqa,vlm,medpix]", "api_key_env=NO_SUCH_KEY", "data_dir=/nowhere/at/all")))
    assert codes(caught.value) == [("data_dir", "no-such-file")]
    with pytest.raises(ConfigError) as caught:
        runs.plan(compose_eval(words("[mimic_cxr_report_generation,medpix]", "api_key_env=NO_SUCH_KEY")))
    for told in ("NO_SUCH_KEY", "PHYSIONET_PASSWORD", "tasks.medpix.file"):
        assert told in str(caught.value)
    with pytest.raises(ConfigError, check=only(("model", "serves-another-model"))):
        _run(words("rad_vqa", "model=someone/else"))
    with pytest.raises(ConfigError, check=only(("base_url", "no-answer"))):
        _run(words("rad_vqa", "base_url=http://127.0.0.1:9/v1"))
    assert not policy.calls
    assert not judge.calls


def _command(words: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "medix_r1.cli", "eval", *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_killed_in_the_middle_the_same_command_does_the_rest(words, tmp_path, policy, judge) -> None:
    rows = [{"question": f"Question {n}?", "answer": "no", "image": "x.png"} for n in range(40)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.png").write_bytes(eval_rows.png((1, 2, 3)))
    settings = words(
        "rad_vqa",
        f"tasks.rad_vqa.file={file}",
        "connections=2",
        "judge.connections=2",
        "judge.seeds=[1]",
        "api_key_env=EVAL_KEY",
    )

    policy.delay = 0.1
    first = _command(settings, EVAL_KEY=KEY)
    _wait_for(lambda: len(policy.calls) >= 8, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    journal = next((tmp_path / "eval").glob("*/rad_vqa/generations.jsonl"))
    kept = len(journal.read_text().splitlines())
    with journal.open("a") as file_:
        file_.write('{"id": "half of a li')  # as a kill between two bytes leaves it
    assert kept >= 4

    policy.calls.clear()
    policy.delay = 0.0
    judge.delay = 0.1
    second = _command(settings, EVAL_KEY=KEY)
    _wait_for(lambda: len(judge.calls) >= 8, second)
    assert len(policy.calls) == 40 - kept
    second.send_signal(signal.SIGINT)  # Ctrl-C in the second phase
    told, _ = second.communicate()
    assert second.returncode == 130, told
    assert "Traceback" not in told

    judge.delay = 0.0
    asked = len(judge.calls)
    third = _command(settings, EVAL_KEY=KEY)
    told, _ = third.communicate()
    assert third.returncode == 0, told
    assert len(policy.calls) == 40 - kept
    assert asked < len(judge.calls) <= 40 + 2  # those in flight at Ctrl-C are asked again
    _, records = read_run(journal.parent.parent)
    assert [record.score for record in records["rad_vqa"]] == [1.0] * 40
    assert policy.calls[0]["authorization"] == f"Bearer {KEY}"
    everything = b"".join(p.read_bytes() for p in (tmp_path / "eval").rglob("*") if p.is_file())
    assert KEY.encode() not in everything
    assert KEY not in told


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_task_runs_by_inspects_own_command(hub, tmp_path, policy, judge) -> None:
    grader = f'grader={{model: medix/judge, model_args: {{base_url: "{judge.address}"}}}}'
    command = [str(Path(sys.executable).parent / "inspect"), "eval", "medix_r1/rad_vqa", "--model", "medix/org/policy"]
    command += ["--model-base-url", policy.address, "--model-role", grader, "-T", f"data_dir={hub}"]
    command += ["--log-dir", str(tmp_path / "logs"), "--display", "none"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_eval_log(list_eval_logs(str(tmp_path / "logs"))[0])
    assert log.status == "success"
    assert log.results is not None
    assert log.results.scores[0].metrics["mean"].value == pytest.approx(1 / 3)
    assert len(judge.calls) == 9
    assert "<thinking>" in (log.samples or [])[0].output.completion  # the reply is kept word for word


def test_does_the_model_look(words, tmp_path, policy, judge) -> None:
    """A model that says no whatever it sees, on three rows with pictures and two without."""
    done = CliRunner().invoke(app, words("[rad_vqa,mmlu_anatomy]", "images=real,blank,shuffled,none"))
    assert done.exit_code == 0, done.output
    folders = {
        read_run(path)[0].extra.get("images", "real"): path
        for path in (tmp_path / "eval").iterdir()
        if path.name != ".images"
    }
    assert set(folders) == {"real", "blank", "shuffled", "none"}
    assert {name: set(read_run(path)[1]) for name, path in folders.items()} == {
        "real": {"rad_vqa", "mmlu_anatomy"},
        **{name: {"rad_vqa"} for name in ("blank", "shuffled", "none")},
    }
    looks = json.loads((folders["real"] / "looking.json").read_text())
    assert [(row["images"], row["pairs"], row["difference"], row["same"]) for row in looks] == [
        (condition, 3, 0.0, 1.0) for condition in ("blank", "shuffled", "none")
    ]
    sent = [images_of(call)[:1] for call in policy.calls if "fracture" in text_of(call)]
    assert [len(images) for images in sent] == [1, 1, 1, 0]
    assert len({image for images in sent for image in images}) == 3
    with pytest.raises(ConfigError, check=only(("images", "no-pictures"))):
        runs.plan(compose_eval(words("mmlu_anatomy", "images=none")))
    with pytest.raises(ConfigError, check=only(("images", "not-a-choice"))):
        compose_eval(words("rad_vqa", "images=real,grey"))


def rubric_reply(request: Request) -> str:
    """A judge of criteria: those about waiting are met, in JSON as it is asked for."""
    criterion = text_of(request).split("<criterion>")[1].split("</criterion>")[0]
    if "Begin with one word" in text_of(request):
        return "YES, it does" if "wait" in criterion else "NO, it does not"
    return json.dumps(
        {"explanation": "as it says", "criteria_met": "wait" in criterion or "Names the heart" in criterion}
    )


@pytest.mark.parametrize("verdict", ["json", "yes_no"])
def test_a_rubric_judges_a_conversation_criterion_by_criterion(words, policy, verdict) -> None:
    with ChatStub(rubric_reply, "judge") as judge:
        asked = words("healthbench", "prompt=plain", "judge.seeds=[1]", f"judge.criterion_verdict={verdict}")
        asked = [
            word if "base_url: " not in word else f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"
            for word in asked
        ]
        folder, records = _run(asked)
        first, second = records["healthbench"]
        assert first.score == pytest.approx(-0.9)  # an example's score may be negative
        assert second.score == 0.0
        assert [(vote.criterion, vote.value) for vote in first.votes] == [(0, 0.0), (1, 0.0), (2, 1.0)]
        assert [len(call["messages"]) for call in policy.calls] in ([3, 1], [1, 3])
        assert [
            message["role"] for message in max(policy.calls, key=lambda call: len(call["messages"]))["messages"]
        ] == [
            "user",
            "assistant",
            "user",
        ]
        assert len(judge.calls) == 4
    found = table.read_numbers(folder)
    assert (found.tasks[0].score.value, found.tasks[0].by_rubric) == (0.0, True)  # the mean is clipped
    assert any("not comparable" in note for note in table.sheet(found).notes) == (verdict == "yes_no")


def test_a_rubrics_lost_vote_is_asked_again_alone(words, policy) -> None:
    broken = True

    def reply(request: Request) -> str:
        return "I cannot say" if broken and "Asks for the time" in text_of(request) else rubric_reply(request)

    with ChatStub(reply, "judge") as judge:
        asked = [*words("healthbench", "prompt=plain", "judge.seeds=[1]", "judge.parse_attempts=1")]
        asked = [
            word if "base_url: " not in word else f"judge.judges=[{{model: judge, base_url: '{judge.address}'}}]"
            for word in asked
        ]
        _, records = _run(asked)
        assert [record.score is None for record in records["healthbench"]] == [True, False]
        broken, before = False, len(judge.calls)
        _, records = _run(asked)
        assert len(judge.calls) == before + 1
        assert records["healthbench"][0].score == pytest.approx(-0.9)


def test_subgroups_are_added_to_a_result_that_is_there_and_unknown_columns_are_named(words, policy, judge) -> None:
    _, records = _run(words("[slake_vqa,mmlu_anatomy]"))
    assert records["slake_vqa"][0].subgroups == {}
    asked = len(policy.calls), len(judge.calls)
    folder, records = _run(words("[slake_vqa,mmlu_anatomy]", "subgroup=location,subject", "subgroup_min=1"))
    assert (len(policy.calls), len(judge.calls)) == asked
    assert [record.subgroups for record in records["slake_vqa"]] == [{"location": "Abdomen"}] * 2
    assert records["mmlu_anatomy"][0].subgroups == {"subject": "anatomy"}
    assert read_run(folder)[0].extra["subgroup_min"] == 1
    with pytest.raises(ConfigError, check=only(("subgroup", "no-such-column"))):
        runs.plan(compose_eval(words("slake_vqa", "subgroup=sex")))


def test_other_rows_than_the_benchmarks_are_marked(words) -> None:
    folder, _ = _run(words("[slake_vqa,rad_vqa]", "tasks.slake_vqa.where={q_lang: en, answer_type: OPEN}"))
    assert read_run(folder)[0].extra["changed"] == ["slake_vqa"]
    assert table.read_numbers(folder).averages[0].tasks == ("rad_vqa",)
    folder, _ = _run(words("[slake_vqa,rad_vqa]"))
    assert read_run(folder)[0].extra["changed"] == []


def test_generation_and_judging_overlap_and_find_the_same(words, policy, judge, tmp_path) -> None:
    _, apart = _run(words("rad_vqa"))
    before = len(policy.calls), len(judge.calls)
    judged_at: list[int] = []
    judge.behave = lambda number, request: judged_at.append(len(policy.calls)) or None
    folder, together = _run(words("rad_vqa", "overlap=true", f"out_dir={tmp_path / 'again'}", "connections=1"))
    assert [(r.answer, r.score, len(r.votes)) for r in together["rad_vqa"]] == [
        (r.answer, r.score, len(r.votes)) for r in apart["rad_vqa"]
    ]
    assert (len(policy.calls), len(judge.calls)) == (2 * before[0], 2 * before[1])
    assert min(judged_at) < len(policy.calls)  # the first votes came before the last reply
    _run(words("rad_vqa", "overlap=true", f"out_dir={tmp_path / 'again'}"))
    assert (len(policy.calls), len(judge.calls)) == (2 * before[0], 2 * before[1])  # nothing is left to do
    (log,) = list_eval_logs(str(folder / "rad_vqa" / "logs"))
    assert read_eval_log(log).status == "success"


def test_a_judge_that_fails_while_overlapping_leaves_the_replies_and_is_asked_again_later(words, policy, judge) -> None:
    judge.behave = lambda number, request: (400, {}, b'{"error": {"message": "no"}}') if number else None
    _, records = _run(words("rad_vqa", "overlap=true"))
    assert [(r.score, r.reply is None) for r in records["rad_vqa"]] == [(None, False)] * 3
    assert len(judge.calls) == 3 * 3  # a refused request is not made again in this run
    judge.behave = lambda number, request: None
    _, records = _run(words("rad_vqa", "overlap=true"))
    assert [r.score for r in records["rad_vqa"]] == [1.0, 0.0, 0.0]
    assert len(policy.calls) == 3


def test_overlap_is_refused_where_it_cannot_be(words, policy) -> None:
    with pytest.raises(ConfigError, check=only(("overlap", "same-server"))):
        compose_eval(words("rad_vqa", "overlap=true", f"judge.judges=[{{model: judge, base_url: '{policy.address}'}}]"))
    with pytest.raises(ConfigError, check=only(("overlap", "judge-not-running"))):
        compose_eval(["model=m", "task=rad_vqa", "overlap=true"])


def test_a_judge_is_tested_on_peoples_preferences_without_any_judge(words, hub, judge, tmp_path) -> None:
    preferred: Any = eval_rows.PREFERENCE[0]["human_answer"]
    choices = {**preferred, "creativity": "B"}
    with ChatStub(lambda request: json.dumps(choices), "org/judge") as tested:
        asked = ["model=org/judge", f"base_url={tested.address}", f"data_dir={hub}", f"out_dir={tmp_path / 'eval'}"]
        done = CliRunner().invoke(app, ["judge", *asked])
        assert done.exit_code == 0, done.output
        assert len(images_of(tested.calls[0])) == 1
    (folder,) = (tmp_path / "eval").glob("org__judge-*")
    _, records = read_run(folder)
    [row] = records["med_rewardbench"]
    assert row.score == pytest.approx(5 / 6)
    assert row.judge_free
    assert judge.calls + judge.first_questions == []
