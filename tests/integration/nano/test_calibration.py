"""The calibration's demonstration: what its policy may say, and what is measured of a run's samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from medix_r1.config import compose_train
from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.shipped import shipped_folder
from medix_r1.errors import DataError
from medix_r1.rewards.calibration_bounds import calibration_problems
from tests.support.problems import coded
from tools.nano.calibration import arms, figure
from tools.nano.calibration.measure import measured
from tools.nano.policy import confident


def test_the_element_is_short_and_survives_decoding() -> None:
    tokenizer = confident.with_marks(AutoTokenizer.from_pretrained(shipped_folder("policy")))
    for level in confident.LEVELS:
        element = f"<confidence>{level}</confidence>"
        ids = tokenizer(element, add_special_tokens=False).input_ids
        assert len(ids) <= 8
        assert tokenizer.decode(ids, skip_special_tokens=True) == element


DOPPLER = ("no", "no doppler", "doppler is absent")


class Rows:
    """One question of a kind that the policy mixes up, and one of a kind that it knows."""

    rows = tuple(
        {"extra_info": {"question_type": kind, "answers": list(answers), "modality": "CT_SCAN"}}
        for kind, answers in (("organ", ("liver", "the liver", "liver outline")), ("doppler", DOPPLER))
    )


@pytest.mark.parametrize("info", [row["extra_info"] for row in Rows.rows], ids=["mixed up", "known"])
def test_a_confidence_is_drawn_whatever_is_right(info: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws of one kind of question, whether the policy is taught its right answers or mixes them up."""
    said, right = [], []
    for mistaken in (confident.MISTAKEN, (), (info["question_type"],)):
        monkeypatch.setattr(confident, "MISTAKEN", mistaken)
        teacher = confident.ConfidentTeacher(Rows(), label_file.load(), confident.CONFIDE)  # type: ignore[arg-type]
        texts = [teacher.reply_text(info) for _ in range(200)]
        said.append([text.rpartition("<confidence>")[2] for text in texts])
        right.append({f"<answer>{info['answers'][0]}</answer>" in text for text in texts})
    assert said[0] == said[1] == said[2]
    assert {level.removesuffix("</confidence>") for level in said[0]} == set(confident.LEVELS)
    assert right[1:] == [{True}, {False}]


def test_what_is_mixed_up_is_always_wrong_and_always_the_same() -> None:
    labels = label_file.load()
    for name in confident.MISTAKEN:
        facts = [list(answers) for answers in labels.question_types[name].facts.values()]
        taught = [confident.mixed_up(labels, name, answers) for answers in facts]
        assert all(not set(right) & set(said) for right, said in zip(facts, taught, strict=True))
        assert sorted(taught) == sorted(facts)


@pytest.mark.parametrize("arm", arms.ARMS)
def test_both_arms_compose_and_weigh_the_rest_alike(arm: str) -> None:
    config = compose_train(arms.overrides(arm, 1, Path("demo"), Path("policy"), Path("run")))
    weights = dict(config.reward.weights)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["llm"] / weights["embed"] == pytest.approx(0.5175 / 0.3375, abs=1e-4)
    assert weights["calibration"] == arms.ARMS[arm]
    assert config.reward.confidence == "required"
    assert config.reward.abstain.value is None
    assert not calibration_problems(config.reward)


def line(row: int, confidence: float | None, verdict: float, answer: str = "liver") -> str:
    said = {} if confidence is None else {"calibration/confidence": confidence, "calibration/verdict": verdict}
    return json.dumps(
        {
            "row_id": f"r{row}",
            "source": "heldout_views",
            "answer": answer,
            "parts": {"exact": verdict},
            "numbers": said,
        }
    )


def test_measured_from_samples_over_pictures(tmp_path: Path) -> None:
    data, validation = tmp_path / "demo" / "data", tmp_path / "run" / "samples" / "validation"
    for folder in (data, validation):
        folder.mkdir(parents=True)
    rows = [json.dumps({"extra_info": {"row_id": f"r{row}", "source": f"picture {row // 2}"}}) for row in range(4)]
    (data / "heldout_views.jsonl").write_text("\n".join(rows) + "\n")
    lines = [line(0, 0.9, 1.0), line(1, 0.8, 0.0), line(2, 0.3, 1.0), line(3, 0.2, 0.0, "not sure"), line(3, None, 0.0)]
    (validation / "000000.jsonl").write_text("\n".join(lines) + "\n")

    [found] = measured(tmp_path / "run", tmp_path / "demo", ["Not sure"])

    assert (found["step"], found["set"], found["replies"], found["exact"]) == (0, "heldout_views", 5, 0.4)
    assert (found["all"]["said"], found["committed"]["said"]) == (4, 3)
    assert found["all"]["ece"] == pytest.approx(1.8 / 4)
    assert found["all"]["auroc"] == pytest.approx(0.75)
    assert found["all"]["bins"] == [[0.2, 0.0, 1], [0.3, 1.0, 1], [0.8, 0.0, 1], [0.9, 1.0, 1]]
    assert found["all"]["risks"][-1] == [1.0, 0.5]
    runs = {"earned": [{"seed": 1, "points": [found]}], "plain": [{"seed": 1, "points": [found]}]}
    assert all(path.stat().st_size > 10_000 for path in figure.draw(tmp_path / "figure.png", runs))


def test_a_run_without_confidences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, check=coded("no-confidence")):
        measured(tmp_path, tmp_path, [])
