import pytest
from typer.testing import CliRunner

from medix_r1.cli import app
from medix_r1.errors import ConfigError
from medix_r1.scoring.judge_bench import BenchResult, make_questions, verdict
from tests.support.judge_stub import MODEL, TROUBLE, JudgeStub
from tests.support.problems import codes, numbers


def bench(address: str, *words: str):
    overrides = ["experiment=nano_cpu", "judge=remote", f"judge.client.base_url={address}"]
    settings = [f"judge.client.model={MODEL}", "judge.client.prompt=match_short", "judge.client.patience=1"]
    return CliRunner().invoke(app, ["judge", "bench", *overrides, *settings, *words], env={"COLUMNS": "200"})


def test_what_the_bench_says(tmp_path):
    with JudgeStub() as stub:
        stub.delay = 0.01
        result = bench(
            stub.address, "--questions", "40", "--rollout-seconds", "1000", f"judge.client.cache_path={tmp_path / 'c'}"
        )

        prompts = [call["messages"][0]["content"] for call in stub.calls]
    assert result.exit_code == 0, result.output
    assert len(set(prompts)) == 49  # with the warm-up, and the question of the check
    assert "answers   40 of 40 in " in result.output
    assert "p95" in result.output
    words = " ".join(result.output.split())  # the table may be narrow
    assert [word for word in ("120 answers", "30%", "84 calls", "Yes: 84 ") if word not in words] == []
    assert not (tmp_path / "c").exists()


def test_a_judge_that_is_too_slow():
    with JudgeStub() as stub:
        stub.delay = 0.02
        result = bench(stub.address, "--questions", "8", "--rollout-seconds", "0.001", "--without-call", "0")

    assert result.exit_code == 1
    assert "No: 120 " in result.output
    assert "Raise judge.client.concurrency" in result.output


def test_a_judge_that_fails():
    with JudgeStub() as stub:
        stub.behave = lambda call: TROUBLE["500"] if call > 8 else None
        result = bench(stub.address, "--questions", "8")

    assert result.exit_code == 1
    assert "8 JudgeUnavailable" in result.output
    assert f"judge at {stub.address}: HTTP 500" in result.output


def test_no_judge_at_all():
    result = bench("http://127.0.0.1:9/v1")

    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigError)
    assert codes(result.exception) == [("judge.client.base_url", "no-answer")]


@pytest.mark.parametrize(
    ("choice", "problem"), [("verl", ("judge=verl", "started-by-verl")), ("none", ("judge=none", "no-judge"))]
)
def test_judges_that_cannot_be_benched(choice, problem):
    result = CliRunner().invoke(app, ["judge", "bench", "experiment=nano_cpu", f"judge={choice}"])

    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigError)
    assert codes(result.exception) == [problem]


def test_questions_are_all_different_and_the_same_every_time():
    made = make_questions(3000)

    assert len(set(made)) == 3000
    assert made == make_questions(3000)


@pytest.mark.parametrize(
    ("seconds", "failures", "rollouts", "ok", "said"),
    [
        (10.0, {}, 20.0, True, [140, 14.0, 20]),
        (10.0, {}, 10.0, False, [140, 14.0, 10]),
        (10.0, {}, None, True, [140, 14.0]),
        (10.0, {"JudgeRejected": 50}, 60.0, False, [140, 28.0, 50]),
        (10.0, {"JudgeUnavailable": 100}, None, False, []),
    ],
)
def test_the_verdict(seconds, failures, rollouts, ok, said):
    result = BenchResult("m", 100, seconds, failures, "gone" if failures else None, {}, 200, 0.3)

    found, sentence = verdict(result, rollouts)
    assert found is ok
    assert numbers(sentence)[:3] == said
    assert ("gone" in sentence) is bool(failures)
