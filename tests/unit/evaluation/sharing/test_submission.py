"""The leaderboard's zip, to the letter, and the manifest beside it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.sharing.submission import LEFT_OUT, model_name, submit
from tests.support.eval_run import info, record, scores, synthetic, write_result
from tests.support.problems import coded

REPORT = "mimic_cxr_report_generation"


def lines(archive: Path, member: str) -> list[dict[str, object]]:
    with zipfile.ZipFile(archive) as file:
        return [json.loads(line) for line in file.read(member).decode().splitlines()]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("MBZUAI/MediX-R1-8B", "MediX_R1_8B"),
        ("Qwen/Qwen3-VL-2B.v1", "Qwen3_VL_2B_v1"),
        ("outputs/model/", "model"),
        ("a/b/modèle 7", "mod_le_7"),
        ("../../etc", "etc"),
    ],
)
def test_the_name_is_what_follows_the_last_slash_with_underscores(model: str, name: str) -> None:
    assert model_name(model) == name


@pytest.mark.parametrize("model", ["", "/", "..", "org/--"])
def test_a_model_without_a_name_is_an_error(model: str) -> None:
    with pytest.raises(DataError, check=coded("no-name")):
        model_name(model)


def test_a_question_on_a_passage_is_handed_in_with_it(tmp_path: Path) -> None:
    row = record(3, 1.0, task="pubmedqa", context="Aims.\n\nResults.", choices=("yes", "no", "maybe"))
    bundle = submit(write_result(tmp_path / "run", info("org/m"), {"pubmedqa": [row]}), tmp_path / "out")
    question = lines(bundle.archive, "m/m.jsonl")[0]["question"]
    assert str(question).startswith("Aims.\n\nResults.\n\nWhat is seen in picture 3?\n\nChoices:\nA. yes")


def test_the_zip_has_the_members_and_fields_of_the_leaderboard(tmp_path: Path) -> None:
    mcq = record(7, 1.0, task="medqa", choices=("heart", "lung"), reference="lung", reference_letter="B", reply="<x>é")
    run = write_result(tmp_path / "run", info("org/My-Model.2"), {"medqa": [mcq], "rad_vqa": scores([0.0])})
    bundle = submit(run, tmp_path / "out")
    with zipfile.ZipFile(bundle.archive) as file:
        assert file.namelist() == [f"My_Model_2/My_Model_2{end}" for end in (".jsonl", "_eval.jsonl", "_score.txt")]
        text = file.read("My_Model_2/My_Model_2_score.txt").decode()
    expected = {
        "id": "medqa_7",
        "question": "What is seen in picture 7?\n\nChoices:\nA. heart\nB. lung",
        "answer": "lung",
        "response": "<x>é",
        "answer_idx": "B",
    }
    assert lines(bundle.archive, "My_Model_2/My_Model_2.jsonl")[0] == expected
    judged = lines(bundle.archive, "My_Model_2/My_Model_2_eval.jsonl")
    assert judged[0] == {**expected, "evaluation": {"score": 1}}
    assert (judged[1]["id"], judged[1]["answer_idx"], judged[1]["evaluation"]) == ("rad_vqa_0", None, {"score": 0})
    assert text.splitlines() == [
        "Model: org/My-Model.2",
        "",
        "      Task  Accuracy Accuracy (%)",
        "0    medqa       1.0      100.00%",
        "1  rad_vqa       0.0        0.00%",
        "2  Overall       0.5       50.00%",
    ]


def test_unscored_samples_are_in_no_mean_and_in_no_eval_line(tmp_path: Path) -> None:
    rows = [*scores([1.0, None]), record(2, None, reply=None)]
    bundle = submit(write_result(tmp_path / "run", info(), {"rad_vqa": rows}), tmp_path)
    assert [row["id"] for row in lines(bundle.archive, "Model_1_5/Model_1_5.jsonl")] == ["rad_vqa_0", "rad_vqa_1"]
    assert [row["id"] for row in lines(bundle.archive, "Model_1_5/Model_1_5_eval.jsonl")] == ["rad_vqa_0"]
    assert bundle.unscored == 2
    assert any(
        note.startswith("2 samples") for note in json.loads(bundle.manifest.read_text(encoding="utf-8"))["notes"]
    )


def test_reports_are_in_points_and_their_texts_are_left_out(tmp_path: Path) -> None:
    run = write_result(tmp_path / "run", info(), {REPORT: [record(0, 0.8, task=REPORT, restricted=True)]})
    bundle = submit(run, tmp_path)
    row = lines(bundle.archive, "Model_1_5/Model_1_5_eval.jsonl")[0]
    assert (row["id"], row["evaluation"]) == (f"{REPORT}_0", {"score": 4.0})
    assert [row[name] for name in ("question", "answer", "response")] == [LEFT_OUT] * 3


def test_no_restricted_text_is_anywhere_in_the_bundle(tmp_path: Path) -> None:
    bundle = submit(write_result(tmp_path / "run", info(), synthetic(1, 0.5)), tmp_path)
    with zipfile.ZipFile(bundle.archive) as file:
        content = b"".join(file.read(name) for name in file.namelist())
    assert b"SECRET" not in content + bundle.manifest.read_bytes()
    assert bundle.restricted == 12
    assert any(" 12 samples" in note for note in json.loads(bundle.manifest.read_text(encoding="utf-8"))["notes"])


def test_the_manifest_has_hashes_versions_and_what_is_missing(tmp_path: Path) -> None:
    run = write_result(tmp_path / "run", info(), {"rad_vqa": scores([1.0]), "mine": scores([1.0], "mine")})
    bundle = submit(run, tmp_path / "out")
    said = json.loads(bundle.manifest.read_text(encoding="utf-8"))
    assert said["archive"]["sha256"] == hashlib.sha256(bundle.archive.read_bytes()).hexdigest()
    with zipfile.ZipFile(bundle.archive) as file:
        assert said["members"] == {name: hashlib.sha256(file.read(name)).hexdigest() for name in file.namelist()}
    assert said["result"]["versions"] == {"medix-r1": "0.1.0"}
    assert said["counts"]["tasks"] == {"rad_vqa": 1}
    assert [note for note in said["notes"] if note.endswith(": mine")]
    assert "medqa" in bundle.missing
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Model_1_5.manifest.json", "Model_1_5.zip"]


def test_the_same_result_gives_the_same_zip(tmp_path: Path) -> None:
    run = write_result(tmp_path / "run", info(), synthetic(1, 0.5))
    assert submit(run, tmp_path / "a").archive.read_bytes() == submit(run, tmp_path / "b").archive.read_bytes()


def test_paths_of_this_machine_stay_here(tmp_path: Path) -> None:
    judges = {"judges": [{"model": "/srv/secret/judge", "revision": None}]}
    run = write_result(tmp_path / "run", info("/home/somebody/outputs/model", judge=judges), {"rad_vqa": scores([1.0])})
    bundle = submit(run, tmp_path)
    with zipfile.ZipFile(bundle.archive) as file:
        content = b"".join(file.read(name) for name in file.namelist()) + bundle.manifest.read_bytes()
    assert b"somebody" not in content
    assert b"secret" not in content
    assert json.loads(bundle.manifest.read_text(encoding="utf-8"))["result"]["judge"]["judges"][0]["model"] == "judge"


def test_medevalkits_files_are_added_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "MMMU-Medical-val"
    (folder / "Pharmacy").mkdir(parents=True)
    (folder / "Pharmacy" / "result.json").write_text('{"acc": 0.5}', encoding="utf-8")
    (folder / "notes.txt").write_text("no", encoding="utf-8")
    (folder / "link.json").symlink_to("/etc/passwd")
    run = write_result(tmp_path / "run", info(), {"rad_vqa": scores([1.0])})
    with zipfile.ZipFile(submit(run, tmp_path, mmmu=folder).archive) as file:
        assert file.namelist()[3:] == ["Model_1_5-MMMU-Medical-val/Pharmacy/result.json"]
    with pytest.raises(DataError, check=coded("not-medevalkit")):
        submit(run, tmp_path, mmmu=tmp_path / "run" / "rad_vqa")


def test_a_result_without_a_leaderboard_task_is_an_error(tmp_path: Path) -> None:
    run = write_result(tmp_path / "run", info(), {"mine": scores([1.0], "mine")})
    with pytest.raises(DataError, check=coded("nothing-to-submit")):
        submit(run, tmp_path / "out")
    silent = write_result(tmp_path / "b", info(), {"rad_vqa": [replace(record(0, None), reply=None)]})
    with pytest.raises(DataError, check=coded("nothing-to-submit")):
        submit(silent, tmp_path / "out")


@pytest.mark.parametrize(
    ("extra", "code"), [({"own_data": ["rad_vqa"]}, "nothing-to-submit"), ({"images": "none"}, "not-real-pictures")]
)
def test_own_rows_and_other_pictures_are_not_submitted(tmp_path, extra, code) -> None:
    run = write_result(tmp_path / "run", info(extra=extra), {"rad_vqa": scores([1.0, 0.0])})
    with pytest.raises(DataError, check=coded(code)):
        submit(run, tmp_path / "out")
