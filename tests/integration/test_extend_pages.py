"""The examples of docs/extend run as they stand there: their files are written, their commands are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medix_r1.algorithms.estimators import ESTIMATORS, RewardParts, parts_of_batch
from medix_r1.composing import instantiate_each
from medix_r1.config import compose_train
from medix_r1.evaluation.results.records import read_run
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.runs.alarms import Alarms
from medix_r1.scoring.groups import score_group
from medix_r1.training.preflight.algorithm import plugin_problems
from medix_r1.training.verl_plugin import estimators
from tests.support.algorithms import advantages_by, make_batch
from tests.support.chat_stub import ChatStub
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.pages import Page, read_page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "extend"
RECORDED = ROOT / "tests" / "unit" / "runs" / "golden" / "metrics_hacked.jsonl"
PAGES = {path.stem: read_page(path) for path in sorted(FOLDER.glob("*.md"))}
LONGEST = {".py": 20, ".yaml": 10}
NANO = "experiment=nano_cpu"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(name: str, here: Path) -> Page:
    PAGES[name].write(here)
    return PAGES[name]


def typed(words: list[str]) -> tuple[int, str]:
    """A command's exit code and output; the current directory is on no search path, as with the installed command."""
    line = [sys.executable, "-P", "-m", "medix_r1.cli", *words]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert "Traceback" not in result.stdout + result.stderr, result.stdout + result.stderr
    return result.returncode, result.stdout


def problems(words: list[str]) -> list[str]:
    """Keys that `medix-r1 check` finds wrong, but those of the demo's parts and of the machine, which are not here."""
    _, output = typed(words)
    keys = [line.strip().removeprefix("- ").partition(":")[0] for line in output.splitlines() if "  - " in line]
    assert "data.train_files" in keys, output  # it went through
    of_ours = ("reward", "run", "algorithm", "alarms", "actor_rollout_ref.actor")
    return [key for key in keys if key.startswith(of_ours)]


def checks_of(page: Page) -> list[list[str]]:
    return [words for words in page.commands if words[0] == "check"]


def test_every_page_has_an_example_and_none_is_long() -> None:
    assert set(PAGES) == {"README", "signal", "group", "algorithm", "task", "alarm"}
    for name in set(PAGES) - {"README"}:
        assert {Path(file).suffix for file in PAGES[name].files} >= {".py", ".yaml"}, name
        for file, text in PAGES[name].files.items():
            assert len(text.splitlines()) <= LONGEST.get(Path(file).suffix, 10), file


@pytest.mark.parametrize("name", ["signal", "group", "algorithm", "alarm"])
def test_the_runs_of_a_page_check_and_a_missing_file_is_one_problem(here: Path, name: str) -> None:
    page = written(name, here)
    commands = checks_of(page)
    assert commands
    assert [problems(words) for words in commands] == [[] for _ in commands]

    for file in page.files:
        if file.endswith(".py"):
            (here / file).unlink()
    code, output = typed(commands[0])
    assert code == 1
    assert "does not exist; a relative path starts where the command is typed" in " ".join(output.split())


def test_the_signal_scores_replies(here: Path) -> None:
    page = written("signal", here)
    words = next(words for words in page.commands if words[:2] == ["reward", "score"])
    with JudgeStub() as stub:
        judge = ["judge=remote", f"judge.client.base_url={stub.address}", f"judge.client.model={MODEL}"]
        judge += ["judge.client.prompt=match_short", "embedder=remote", f"embedder.base_url={stub.address}"]
        judge += [f"embedder.model={MODEL}"]
        kept = [word for word in words if not word.startswith(("judge=", "embedder="))]
        code, output = typed([*kept, *judge])
    assert code == 0, output
    rows = [json.loads(line) for line in (here / "replies.scored.jsonl").read_text().splitlines()]
    parts = {row["id"]: row["parts"]["brevity"] for row in rows if "id" in row}
    assert parts == {"short": 1.0, "long": pytest.approx(1 / 3)}


def test_one_function_scores_replies_without_judge_and_embedder(here: Path) -> None:
    page = written("signal", here)
    (words,) = [words for words in page.commands if "--signal" in words]
    code, output = typed(words)
    assert code == 0, output
    rows = [json.loads(line) for line in (here / "replies.scored.jsonl").read_text().splitlines()]
    found = {row["id"]: (row["overall"], row["parts"], row["numbers"]) for row in rows if "id" in row}
    assert found == {
        "short": (1.0, {"overlap": 1.0}, {"overlap/words": 2.0}),
        "long": (pytest.approx(0.2), {"overlap": pytest.approx(0.2)}, {"overlap/words": 10.0}),
    }


async def test_a_signal_and_a_function_score_a_group(here: Path) -> None:
    page = written("group", here)
    (words,) = [words for words in page.commands if "--signal" in words]
    code, output = typed(words)
    assert code == 0, output
    rows = [json.loads(line) for line in (here / "replies.scored.jsonl").read_text().splitlines()]
    assert {row["id"]: row["overall"] for row in rows} == {"a": 0.5, "b": 0.5, "c": 0.0}

    config = compose_train([NANO, "reward=voted", "judge.client.patience=1"], config_dirs=[here / "configs"])
    reward, reader = build_reward(config.reward), SampleReader.of(config.reward)
    texts = [f"<X_RAY><think>t</think><answer>{answer}</answer>" for answer in ("heart", "left lung", "left lung ")]
    samples = [reader.read(text, reference="<X_RAY>left lung", has_image=True) for text in texts]
    found = await score_group(reward, samples, "g")
    assert [one.parts["shorter"].value for one in found] == [1.0, 0.5, 0.0]
    await reward.aclose()


async def test_functions_of_other_trainers_score(here: Path) -> None:
    written("signal", here)
    config = compose_train([NANO, "reward=ported"], config_dirs=[here / "configs"])
    reward, reader = build_reward(config.reward), SampleReader.of(config.reward)
    cases = [
        ("<X_RAY><think>t</think><answer>left lung</answer>", "<X_RAY>left lung"),
        ("<CT_SCAN><think></think><answer>left lung</answer>", "<X_RAY>left lung"),
        ("<think>t</think><answer>left lung</answer>", "left lung"),
    ]
    samples = [reader.read(text, reference=right, has_image=right.startswith("<")) for text, right in cases]

    scored = [await reward.score(sample) for sample in samples]

    assert [breakdown.parts["named"].value for breakdown in scored] == [1.0, 0.0, None]
    assert [breakdown.parts["thought"].value for breakdown in scored] == [1.0, 0.0, 1.0]
    assert [breakdown.parts["overlap"].value for breakdown in scored] == [1.0, 1.0, 1.0]
    assert [breakdown.total for breakdown in scored] == pytest.approx([1.0, 0.855, 1.0])
    assert scored[0].parts["thought"].reason == "characters 1"
    assert scored[0].numbers == {"thought/characters": 1.0, "overlap/words": 2.0}
    await reward.aclose()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both estimators of the page are known to verl, for the length of a test."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    for registry in (ESTIMATORS, ADV_ESTIMATOR_REGISTRY):
        for name in ("median", "weakest"):
            monkeypatch.setitem(registry, name, None)  # put back when the test ends
            del registry[name]


def algorithm(here: Path, *words: str):
    """The node `algorithm` of a command of the page, its plug-in loaded and registered with verl."""
    written("algorithm", here)
    config = compose_train([NANO, *words], config_dirs=[here / "configs"])
    assert list(plugin_problems(config)) == []
    estimators.register()
    return config.algorithm


@pytest.mark.usefixtures("registered")
def test_verl_computes_advantages_by_the_estimator(here: Path) -> None:
    batch = make_batch()
    actual = advantages_by(algorithm(here, "algorithm=median"), batch)

    for name in dict.fromkeys(batch.groups[batch.real]):
        rows = batch.groups == name
        ordered = np.sort(batch.reward[rows])
        median = ordered[(len(ordered) - 1) // 2]  # torch takes the lower of two
        expected = (batch.reward[rows] - median)[:, None] * batch.mask[rows]
        np.testing.assert_allclose(actual[rows], expected, atol=1e-5)
    assert not actual[~batch.real].any()


@pytest.mark.usefixtures("registered")
def test_verl_computes_advantages_by_the_estimator_with_parts(here: Path) -> None:
    batch = make_batch()
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0, 1, len(batch.reward)) for name in ("llm", "format", "exact")}
    values["llm"][0] = np.nan  # does not apply
    node = algorithm(here, "run.plugins=[./weakest.py]", "algorithm.adv_estimator=weakest")

    with parts_of_batch(RewardParts(values, {"llm": 0.9, "format": 0.1})):
        actual = advantages_by(node, batch)

    worth = np.fmin(values["llm"], values["format"])
    for name in dict.fromkeys(batch.groups[batch.real]):
        rows = batch.groups == name
        expected = (worth[rows] - worth[rows].mean())[:, None] * batch.mask[rows]
        np.testing.assert_allclose(actual[rows], expected, atol=1e-5)


def test_the_alarm_rings_on_recorded_metrics(here: Path) -> None:
    written("alarm", here)
    config = compose_train([NANO, "alarms=mine"], config_dirs=[here / "configs"])
    lines = RECORDED.read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines if not line.startswith("#")]
    alarms = Alarms(instantiate_each(config.alarms, "alarms"))

    rung = [[alarm.name for alarm in alarms.check(history[:end])] for end in range(1, len(history) + 1)]

    assert [step for step, names in enumerate(rung, start=1) if "plateau" in names] == [21]  # its best was step 11's


def test_the_task_is_asked_and_scored(here: Path) -> None:
    (words,) = written("task", here).commands
    with (
        ChatStub(lambda _: "<thinking>t</thinking><answer>2</answer>", "NAME") as model,
        ChatStub(lambda _: "NO, different", "JUDGE") as judge,
    ):
        line = [word.replace("http://HOST:8000/v1", model.address) for word in words]
        line = [word.replace("http://HOST:8001/v1", judge.address) for word in line]
        code, output = typed(line)
    assert code == 0, output
    (result,) = (here / "outputs" / "eval").glob("NAME-*")
    assert [record.score for record in read_run(result)[1]["triage"]] == [0.75, 0.5]
    assert judge.calls == []
