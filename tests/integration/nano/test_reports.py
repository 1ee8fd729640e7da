"""The reports of the nano run: rows of two sentences, and a teacher that writes right, wrong, vague and padded ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from medix_r1 import config as configs
from medix_r1.demo.rows import labels as label_file
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.rewards.findings.sentences import sentences
from tools.nano.policy.warm_start import Phase
from tools.nano.reports.rows import kinds_of, write_reports
from tools.nano.reports.warm_start import HEDGE, NEW_TOKENS, ReportTeacher

LABELS = label_file.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for source in LABELS.sources:
        Image.new("RGB", (128, 128), "grey").save(folder / f"{source.id}.png")
    write_reports(folder, folder, LABELS)
    return folder


@pytest.mark.parametrize("part", ["train", "heldout_views", "heldout_sources"])
def test_every_reference_has_two_findings_about_its_picture(folder, part):
    rows = pq.read_table(folder / f"{part}.parquet").to_pylist()
    split = "heldout" if part == "heldout_sources" else "train"

    assert {row["extra_info"]["source"] for row in rows} == {one.id for one in LABELS.sources if one.split == split}
    for row in rows:
        found = sentences(parse_reference(row["reward_model"]["ground_truth"]).answer)
        source = next(one for one in LABELS.sources if one.id == row["extra_info"]["source"])
        wanted = [LABELS.answers(kind, source.facts[kind])[0] for kind in kinds_of(source)]
        assert [one.rstrip(".").lower() for one in found] == wanted


def test_training_rows_have_the_source_that_the_reward_weighs(folder):
    config = configs.compose_train(["experiment=nano_reports"])
    rows = pq.read_table(folder / "train.parquet").to_pylist()

    assert {row["data_source"] for row in rows} == set(config.reward.weight_tables.source)
    assert config.data.max_response_length == 40 + NEW_TOKENS


def test_the_teacher_writes_right_reports_without_noise_and_vague_ones_with_it(folder):
    class Rows:
        rows = pq.read_table(folder / "train.parquet").to_pylist()

    def answers(phase: Phase) -> list[tuple[str | None, list[str]]]:
        teacher = ReportTeacher(Rows(), LABELS, phase)  # type: ignore[arg-type]
        infos = [row["extra_info"] for row in Rows.rows[:60]]
        return [(parse_completion(teacher.reply_text(info)).answer, info["answers"]) for info in infos]

    clean = answers(replace(HEDGE, hedge=0.0, answer_noise=0.0, format_noise=0.0))
    assert all(any((answer or "").startswith(one) for one in accepted) for answer, accepted in clean)
    vague = [answer for answer, _ in answers(replace(HEDGE, hedge=1.0, format_noise=0.0))]
    assert all((answer or "").startswith("Not sure. Not sure.") for answer in vague)
