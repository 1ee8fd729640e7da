import json

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.results import looking, table
from medix_r1.evaluation.results.records import Record
from tests.support import eval_run
from tests.support.problems import coded


def _records(task: str, answers: str, right: str = "y") -> list[Record]:
    return [
        eval_run.record(row, float(answer == right), task=task, answer=answer, group=f"{task}-{row // 2}")
        for row, answer in enumerate(answers)
    ]


@pytest.fixture
def folders(tmp_path):
    real = {"rad_vqa": _records("rad_vqa", "yyyyyyyyyn" * 4), "path_vqa": _records("path_vqa", "yyyynnnnnn" * 4)}
    blind = {"rad_vqa": _records("rad_vqa", "nnnnnnnnnn" * 4), "path_vqa": _records("path_vqa", "yyyynnnnnn" * 4)}
    first = eval_run.write_result(tmp_path / "real", eval_run.info(), real)
    changed = eval_run.info(extra={"images": "shuffled"})
    return first, eval_run.write_result(tmp_path / "shuffled", changed, blind)


def test_a_model_that_looks_and_one_that_does_not(folders) -> None:
    real, shuffled = folders
    looks = {look.row.name: look for look in looking.read_looks(real, {"shuffled": shuffled})}
    sees, does_not = looks["rad_vqa"], looks["path_vqa"]
    assert (sees.row.first, sees.row.second, sees.same.value) == (0.9, 0.0, 0.1)
    assert sees.row.difference.estimate.value == pytest.approx(-0.9)
    assert sees.row.p_holm is not None
    assert sees.row.p_holm < 0.05
    assert (does_not.row.difference.estimate.value, does_not.same.value) == (0.0, 1.0)
    (average,) = (look for name, look in looks.items() if name.startswith("macro"))
    assert average.row.difference.estimate.value == pytest.approx(-0.45)


def test_files_of_the_looks(folders) -> None:
    real, shuffled = folders
    looks = looking.read_looks(real, {"shuffled": shuffled})
    paths = looking.write(looks, "org/model", real)
    assert [path.is_file() for path in paths] == [True] * 7  # both figures light and dark
    assert [row["images"] for row in json.loads(paths[0].read_text())] == ["shuffled"] * 3
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_a_table_of_other_pictures_says_so(folders) -> None:
    assert "images shuffled" in table.sheet(table.read_numbers(folders[1])).title


def test_the_conditions_are_told_by_the_results_themselves(folders, tmp_path) -> None:
    real, shuffled = folders
    assert looking.conditions([shuffled, real]) == (real, {"shuffled": shuffled})
    with pytest.raises(DataError, check=coded("not-conditions")):
        looking.conditions([real])
    other = eval_run.write_result(tmp_path / "other", eval_run.info("org/B", extra={"images": "none"}), {})
    with pytest.raises(DataError, check=coded("other-model")):
        looking.conditions([real, other])


def test_tasks_and_conditions_are_corrected_together(folders) -> None:
    real, shuffled = folders
    looks = looking.read_looks(real, {"shuffled": shuffled, "none": shuffled})
    tested = [look for look in looks if look.row.unpaired is not None]
    assert len(tested) == 4
    smallest = min(look.row.difference.p or 1.0 for look in tested)
    assert min(look.row.p_holm or 1.0 for look in tested) == pytest.approx(4 * smallest)
    assert all(look.row.p_holm is None for look in looks if look.row.unpaired is None)
