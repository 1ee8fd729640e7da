import json

import pytest

from medix_r1.errors import ConfigError
from medix_r1.evaluation.benchmarks.tasks import select
from medix_r1.evaluation.settings import compose_eval, known_tasks
from tests.support import eval_rows
from tests.support.problems import codes, only

LLM = {
    *(f"mmlu_{subject}" for subject in eval_rows.MMLU),
    "medmcqa",
    "medqa",
    "usmle_sa",
    "pubmedqa",
    "mimic_cxr_report_summarization",
}
VLM = {"slake_vqa", "rad_vqa", "path_vqa", "pmc_vqa", "pmc_vqa_hard", "mimic_cxr_report_generation"}


def test_groups_are_the_17_of_the_paper() -> None:
    known = known_tasks()
    assert set(select("llm", known)) == LLM
    assert set(select("vlm", known)) == VLM
    assert set(select("all", known)) == LLM | VLM
    assert set(select("open", known)) == (LLM | VLM) - {"mimic_cxr_report_generation"}
    assert set(known) > LLM | VLM
    assert len(known) >= 28
    assert [name for name, task in known.items() if not (task.source and task.licence and task.access)] == []


@pytest.mark.parametrize("expression", ["[rad_vqa,vlm,rad_vqa,all,vlm]", "rad_vqa,llm,vlm", ["all", "rad_vqa"]])
def test_a_task_named_twice_counts_once(expression: str | list[str]) -> None:
    assert sorted(select(expression, known_tasks())) == sorted(LLM | VLM)


def test_unknown_names_are_answered_together_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        select("[slake,rad_vqa,mmlu_anatomi]", known_tasks())
    assert codes(caught.value) == [("task=slake", "no-such-task"), ("task=mmlu_anatomi", "no-such-task")]
    assert "slake_vqa" in caught.value.problems[0].text
    assert "mmlu_anatomy" in caught.value.problems[1].text


def test_settings_problems_come_all_together() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_eval(["model=m", "phase=jugde", "judge.seeds=[1,1]", "connections=0", "prompt=plane"])
    assert set(codes(caught.value)) >= {
        ("phase", "not-a-choice"),
        ("judge.seeds", "given-twice"),
        ("connections", "out-of-range"),
        ("prompt", "not-a-choice"),
        ("task", "no-value"),
    }


def test_a_typo_in_a_users_own_task_file_is_found(tmp_path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(
        json.dumps(
            {
                "name": "mine",
                "kind": "llm",
                "path": None,
                "splits": "test",
                "format": "open",
                "columns": {},
                "scorer": "short",
                "licence": "mine",
            }
        )
    )
    with pytest.raises(ConfigError) as caught:
        compose_eval(["model=m", "task=mine"], [tmp_path])
    problem = caught.value.problems[0]
    assert (problem.key, problem.code) == ("tasks.mine.splits", "no-such-key")
    assert problem.text.endswith(" split?")


def test_a_folder_that_hides_a_key_is_named(tmp_path) -> None:
    """Hydra would take `model/` beside `task/` for the choices of `model=`."""
    (tmp_path / "task").mkdir()
    (tmp_path / "model").mkdir()
    with pytest.raises(ConfigError, check=only(("--config-dir", "hides-a-key"))):
        compose_eval(["model=m", "task=rad_vqa"], [tmp_path])


def test_a_key_of_a_task_can_be_set_on_the_command_line() -> None:
    settings = compose_eval(["model=m", "task=slake_vqa", "tasks.slake_vqa.revision=abc", "judge=openrouter"])
    assert settings.tasks["slake_vqa"].revision == "abc"
    assert settings.judge.judges[0].api_key_env == "OPENROUTER_API_KEY"
