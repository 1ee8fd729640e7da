"""Runs that differ only in their seed are one line; numbers are those of their metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from rich.console import Console

from medix_r1.config import compose_train
from medix_r1.errors import ConfigError
from medix_r1.reports.comparison import compare_files
from medix_r1.reports.comparison.compare_gaps import OF_A_SEED, gaps
from medix_r1.reports.run_groups import PAPER_WEIGHTS, estimate, read_run_groups
from medix_r1.runs import sweep_record
from medix_r1.runs.folder import RunFolder
from medix_r1.training.command import resume
from tests.support.problems import only


def make(root: Path, mix: str, seed: int, exact: tuple[float, float], *, llm: bool = True) -> Path:
    folder = root / f"{mix}_{seed}"
    (folder / "metrics").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"run": {"seed": seed}}))
    words = ["experiment=x", f"reward={mix}", f"run.seed={seed}", f"run.dir={folder}"]
    (folder / "provenance.json").write_text(json.dumps({"overrides": words}))
    parts = ("embed", "format", "modality", "exact", *(("llm",) if llm else ()))
    records = [{"step": 0, "data": {f"selection/{part}/mean": 0.1 for part in (*parts, "overall")}}]
    for step, value in zip((5, 10), exact, strict=True):
        data = {f"selection/{part}/mean": 0.5 for part in parts} | {"selection/exact/mean": value}
        data |= {
            "selection/overall/mean": value,
            "reward/overall/mean": 0.3,
            "timing_s/step": 60.0,
            "reward/llm/calls": 7,
        }
        records.append({"step": step, "data": data})
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics" / "attempt_001.jsonl").write_text(lines)
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    make(tmp_path, "composite", 1, (0.6, 0.5))
    make(tmp_path, "composite", 2, (0.4, 0.7))
    make(tmp_path, "embedding_only", 1, (0.2, 0.2), llm=False)
    return tmp_path


def test_seeds_are_put_together_and_what_differs_names_the_line(sweep: Path):
    groups = read_run_groups([str(sweep)])
    assert [(group.label, len(group.runs)) for group in groups] == [
        ("reward=composite", 2),
        ("reward=embedding_only", 1),
    ]
    assert [group.label for group in read_run_groups([str(sweep / "comp*"), str(sweep / "embedding_only_1")])] == [
        group.label for group in groups
    ]


def test_the_last_and_the_best_validation(sweep: Path):
    first, second = read_run_groups([str(sweep)])[0].runs
    assert (first.last_validation, first.best_validation) == (10, 5)
    assert (second.last_validation, second.best_validation) == (10, 10)
    assert first.paper_composite(10) == pytest.approx(0.5 * sum(PAPER_WEIGHTS.values()))


def test_an_interval_of_two_seeds_is_students():
    found = estimate([0.5, 0.7])
    half = 12.7062 * 0.1  # t(0.975; 1) times the standard error 0.1414 / sqrt(2)
    assert found.mean == pytest.approx(0.6)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)
    assert estimate([0.5]).interval is None
    assert estimate([]).mean is None


def test_every_file_is_written_and_what_was_not_watched_is_a_dash(sweep: Path, tmp_path: Path):
    markdown, table, picture, dark = compare_files.write(read_run_groups([str(sweep)]), tmp_path / "out")
    lines = markdown.read_text().splitlines()
    (alone,) = [line for line in lines[:9] if line.startswith("| reward=embedding_only")]
    assert [cell.strip() for cell in alone.split("|")[3:10]] == ["0.200", "-", "0.500", "0.500", "0.500", "0.200", "-"]
    assert "| reward=composite | 2 | 10 | 2.0 | 14 |" in lines
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [(row["seed"], row["final_exact"], row["best_step"]) for row in rows] == [
        ("1", "0.5", "5"),
        ("2", "0.7", "10"),
        ("1", "0.2", "5"),
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (dark.name, dark.read_bytes() != picture.read_bytes()) == ("compare_dark.png", True)
    compare_files.show(read_run_groups([str(sweep)]), Console(quiet=True))


def test_what_is_no_run_is_named(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    paths = [str(tmp_path / "empty"), str(tmp_path / "gone*")]
    with pytest.raises(ConfigError, check=only(*((path, "no-run-there") for path in paths))):
        read_run_groups(paths)


def test_what_the_tables_do_not_show_is_said(sweep: Path):
    sweep_record.add(sweep, {"composite_1": [], "composite_2": [], "embedding_only_1": [], "llm_only_1": []})
    started = sweep / "llm_only_1"
    started.mkdir()
    (started / "config.yaml").write_text(yaml.safe_dump({"run": {"seed": 1}}))
    other = {"run": {"seed": 2}, "trainer": {"total_training_steps": 12}, "algorithm": {"gamma": 0.9}}
    (sweep / "composite_2" / "config.yaml").write_text(yaml.safe_dump(other))

    groups = read_run_groups([str(sweep)])

    absent, half_done, unlike = gaps([str(sweep)], groups)
    assert "llm_only_1" in absent
    assert half_done.startswith("composite_2 ")
    assert "10 of 12" in half_done
    assert [word for word in ("'reward=composite'", "algorithm.gamma") if word not in unlike] == []
    assert gaps([str(sweep / "embedding_only_1")], groups[1:]) == []


def test_a_run_by_epochs_that_was_cut_is_said(sweep: Path):
    """The recipes for GPUs set epochs and no steps."""
    epochs = {"run": {"seed": 1}, "trainer": {"total_epochs": 2, "total_training_steps": None}}
    (sweep / "composite_1" / "config.yaml").write_text(yaml.safe_dump(epochs))
    cut, whole = RunFolder(sweep / "composite_1"), RunFolder(sweep / "embedding_only_1")
    cut.add_event("started", attempt=1)
    for event in ("started", "finished"):
        whole.add_event(event)

    groups = read_run_groups([str(sweep)])
    assert [gap for gap in gaps([str(sweep)], groups) if gap.startswith("composite_1 ") and " 10 " in gap]
    assert not any("embedding_only_1" in gap for gap in gaps([str(sweep)], groups))
    cut.add_event("finished")
    assert not any("composite_1" in gap for gap in gaps([str(sweep)], groups))


def test_other_code_and_a_seed_twice_are_said(sweep: Path):
    again = sweep / "composite_2"
    (again / "config.yaml").write_text(yaml.safe_dump({"run": {"seed": 1}}))
    words = json.loads((again / "provenance.json").read_text())["overrides"]
    (again / "provenance.json").write_text(json.dumps({"overrides": words, "code": "another commit"}))

    twice, made = gaps([str(sweep)], read_run_groups([str(sweep)]))
    assert twice.startswith("'reward=composite' ")
    assert "seed" in twice
    assert "code" in made


def test_a_model_that_was_made_anew_between_two_runs_is_said(sweep: Path):
    for name, hashed in (("composite_1", "a"), ("composite_2", "b")):
        record = json.loads((sweep / name / "provenance.json").read_text())
        models = {"models/policy": {"model.safetensors": hashed}, "models/judge": {"model.safetensors": "same"}}
        (sweep / name / "provenance.json").write_text(json.dumps({**record, "models": models}))

    (made,) = gaps([str(sweep)], read_run_groups([str(sweep)]))
    assert made.startswith("models/policy ")


def test_a_seed_reaches_no_other_key(tmp_path: Path):
    first = compose_train(["experiment=nano_cpu", "run.seed=1", "run.name=a"])
    OmegaConf.save(first, tmp_path / "config.yaml")
    second = compose_train(["experiment=nano_cpu", "run.seed=2", "run.name=b"])

    assert {one.key for one in resume.differences(tmp_path / "config.yaml", second)} == set(OF_A_SEED)


def test_the_yardstick_is_the_composites_weights():
    assert dict(compose_train([]).reward.weights) == PAPER_WEIGHTS


def test_confidences_have_a_table_of_their_own_where_a_run_states_them(tmp_path: Path):
    plain = make(tmp_path, "composite", 1, (0.6, 0.5))
    earned = [make(tmp_path, "calibrated", seed, (0.6, 0.5)) for seed in (1, 2)]
    for folder, ece in zip(earned, (0.1, 0.2), strict=True):
        with (folder / "metrics" / "attempt_001.jsonl").open("a") as lines:
            data = {"selection/calibration/ece": ece, "selection/overall/mean": 0.5}
            lines.write(json.dumps({"step": 15, "data": data}) + "\n")

    titles = [sheet.title for sheet in compare_files.sheets(read_run_groups([str(plain)]))]
    assert not [title for title in titles if "confidence" in title]
    groups = read_run_groups([str(tmp_path)])
    [sheet] = [sheet for sheet in compare_files.sheets(groups) if "confidence" in sheet.title]
    cells = {row[0]: row[sheet.header.index("ECE")] for row in sheet.rows}
    assert cells["reward=calibrated"].startswith("0.150")
    assert cells["reward=composite"] == "-"
    compare_files.write(groups, tmp_path / "out")
    with (tmp_path / "out" / "compare.csv").open() as table:
        assert [row["final_confidence_ece"] for row in csv.DictReader(table)] == ["0.1", "0.2", ""]
