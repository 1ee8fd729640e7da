"""Single rows that would stop a run, or that nobody would be paid for, wherever in a file they stand."""

import io
import json

import pytest
from PIL import Image

from medix_r1.training.preflight.rows.data_files import FIRST_ROWS
from medix_r1.training.preflight.rows.data_rows import data_problems, file_name_problems
from medix_r1.training.preflight.rows.prompt_lengths import prompt_length_problems
from medix_r1.training.preflight.rows.references import reference_problems
from tests.support.configs import set_in
from tests.support.problems import codes
from tests.unit.data.support import make_backbone
from tests.unit.training.preflight.rows.test_data_rows import PICTURE, TRAIN, parquet, row


def chat(*messages):
    return {"prompt": [{"role": role, "content": text} for role, text in messages]}


def cut_jpeg():
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(buffer, "JPEG")
    return buffer.getvalue()[:2000]


WRONG = {
    "not-a-chat": [
        chat(("system", "<image>Be brief.")),
        chat(("human", "<image>Which side?")),
        chat((None, "<image>Which side?")),
        chat(("user", "<image>Which side?"), ("assistant", "left")),
    ],
    "media-marks": [chat(("user", "<image>Is this <video> of a lung?"))],
    "image-marks": [chat(("user", "Which side?")), {"images": None}],
    "no-prompt": [{"prompt": []}, {"prompt": None}, chat(("user", ""))],
    "no-reference": [{"reward_model": None}, {"reward_model": {"style": "medix", "ground_truth": None}}],
    "no-question": [{"extra_info": None}, {"extra": {"question": " "}}],
}
CASES = [(code, change) for code, changes in WRONG.items() for change in changes]


@pytest.fixture
def config(tmp_path):
    held_out = parquet(tmp_path / "held_out.parquet", [row()])
    return lambda file, **values: set_in(
        "experiment=nano_cpu", **{TRAIN: [str(file)], "data.val_files": [str(held_out)], **values}
    )


@pytest.mark.parametrize("number", [3, FIRST_ROWS + 6])
@pytest.mark.parametrize(("code", "change"), CASES)
def test_a_wrong_row_is_found_wherever_it_stands(tmp_path, config, code, change, number):
    rows = [row(one, **(json.loads(json.dumps(change)) if one == number else {})) for one in range(FIRST_ROWS + 16)]
    if "images" not in change and number > FIRST_ROWS and code == "image-marks":
        rows[number]["images"] = [PICTURE, PICTURE]

    found = list(data_problems(config(parquet(tmp_path / "train.parquet", rows))))

    assert codes(found) == [(TRAIN, code)]
    assert f"row {number}" in found[0].text


def test_lines_are_read_to_the_end(tmp_path, config):
    file = tmp_path / "train.jsonl"
    lines = [json.dumps(row(number, images=[], **chat(("user", "Which side?")))) for number in range(FIRST_ROWS + 8)]
    file.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    assert codes(data_problems(config(file))) == []
    file.write_text("\n".join(lines)[:-30])
    assert codes(data_problems(config(file))) == [(TRAIN, "unreadable-file")]
    other = json.dumps(row(images=[], reward_model={"ground_truth": "<XRAY>left"}, **chat(("user", "<image>Which?"))))
    file.write_text("\n".join([*lines, other]))
    assert codes(reference_problems(config(file))) == [(TRAIN, "never-scores")]


@pytest.mark.parametrize(
    "change", [{"extra_info": "text"}, {"extra_info": {"question": ["which?"]}}, {"reward_model": {"ground_truth": 1}}]
)
def test_lines_of_types_that_differ(tmp_path, config, change):
    plain = row(images=[], **chat(("user", "Which side?")))
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(one) for one in (plain, plain | change)))

    assert codes(data_problems(config(tmp_path / "train.jsonl")))[0][1] in ("unreadable-file", "no-question")


def test_pictures_are_decoded_to_their_end(tmp_path, config):
    file = parquet(tmp_path / "train.parquet", [row(images=[PICTURE | {"bytes": cut_jpeg()}])])
    assert codes(data_problems(config(file, **{"data.train_batch_size": 1}))) == [(TRAIN, "image-not-readable")]
    (tmp_path / "report.txt").write_text("no picture")
    lines = tmp_path / "train.jsonl"
    lines.write_text(json.dumps(row(images=[str(tmp_path / "report.txt")])))
    assert codes(data_problems(config(lines))) == [(TRAIN, "image-not-readable")]


def test_tokens_of_the_models_own_in_a_text(tmp_path, config):
    model = make_backbone(tmp_path / "model")
    file = parquet(tmp_path / "train.parquet", [row(**chat(("user", "<image>Is <|image_pad|> left?")))])

    found = prompt_length_problems(config(file, **{"actor_rollout_ref.model.path": str(model)}))

    assert codes(found) == [(TRAIN, "control-token")]


@pytest.mark.parametrize("name", ["a.csv", "rows", "~nobody-of-this-name/rows.parquet", f"{'x' * 300}.parquet"])
def test_a_name_that_cannot_be_one_is_said_once(config, name):
    wrong = config(name)
    assert len([*file_name_problems(wrong), *data_problems(wrong)]) == 1


def test_a_folder_for_a_file(tmp_path, config):
    (tmp_path / "rows.parquet").mkdir()
    (found,) = data_problems(config(tmp_path / "rows.parquet"))
    assert (found.code, "is a folder" in found.text) == ("no-such-file", True)
