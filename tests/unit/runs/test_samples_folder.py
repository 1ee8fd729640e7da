from dataclasses import asdict, replace

import pytest

from medix_r1.rewards.base import Detail
from medix_r1.runs.folder import read_lines
from medix_r1.runs.samples_folder import SamplesFolder
from tests.support.rollouts import BLANK


def test_samples_are_lines_of_json(tmp_path):
    folder = SamplesFolder(tmp_path)
    detail = Detail("Names the lung", True, 5.0, "YES", ("accuracy",))
    others = [
        replace(BLANK, answer="левое лёгкое", overall=None),
        replace(BLANK, numbers={"mine/words": 3.0}),
        replace(BLANK, details={"rubric": (detail,)}, rubric=({"criterion": "Names the lung", "points": 5.0},)),
    ]
    folder.write("train", 12, [BLANK, *others])
    path = folder.path("train", 12)
    unwritten = ("statistics", "seconds", "numbers", "rubric", "rationale", "details")
    written = {key: value for key, value in asdict(BLANK).items() if key not in unwritten}
    written |= {"problems": [], "choices": [], "accepted": []}
    changes: list[dict[str, object]] = [
        {},
        {"answer": "левое лёгкое", "overall": None},
        {"numbers": {"mine/words": 3.0}},
        {
            "details": {"rubric": [asdict(detail) | {"tags": ["accuracy"]}]},
            "rubric": [{"criterion": "Names the lung", "points": 5.0}],
        },
    ]
    assert list(read_lines(path)) == [written | change for change in changes]
    assert "левое" in path.read_text(encoding="utf-8")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["000012.jsonl", "000012.parquet"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    folder = SamplesFolder(tmp_path)
    folder.write("train", 1, [BLANK])
    before = folder.path("train", 1).read_bytes()
    with pytest.raises(TypeError):
        folder.write("train", 1, [BLANK, replace(BLANK, answer=object())])  # type: ignore[arg-type]
    assert folder.path("train", 1).read_bytes() == before


def test_advantages_come_later_and_a_masked_sample_has_none(tmp_path):
    folder = SamplesFolder(tmp_path)
    folder.write("train", 3, [BLANK, replace(BLANK, key="u_1_0", masked=True)])
    folder.add_advantages(3, {"u_0_0": 0.5})
    assert [line["advantage"] for line in read_lines(folder.path("train", 3))] == [0.5, None]
    folder.add_advantages(4, {"u_0_0": 0.5})
    assert not folder.path("train", 4).exists()


def test_only_the_newest_training_files_stay(tmp_path):
    folder = SamplesFolder(tmp_path, keep_steps=2)
    for step in (1, 2, 9, 10):
        folder.write("train", step, [BLANK])
        folder.write("validation", step, [BLANK])
    for suffix in ("jsonl", "parquet"):
        assert sorted(path.stem for path in (tmp_path / "train").glob(f"*.{suffix}")) == ["000009", "000010"]
        assert len(list((tmp_path / "validation").glob(f"*.{suffix}"))) == 4


def test_a_share_takes_whole_groups_and_the_same_ones_again(tmp_path):
    rollouts = [replace(BLANK, key=f"u{group}_{i}_0", uid=f"u{group}") for group in range(200) for i in range(2)]
    kept = []
    for name in ("a", "b"):
        folder = SamplesFolder(tmp_path / name, share=0.25)
        folder.write("train", 1, rollouts)
        kept.append([line["uid"] for line in read_lines(folder.path("train", 1))])
    assert kept[0] == kept[1]
    groups = set(kept[0])
    assert len(kept[0]) == 2 * len(groups)
    assert 20 <= len(groups) <= 80
