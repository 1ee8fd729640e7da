"""Every reason for which a row is rejected, and what becomes of one that is not."""

import base64
import json

import pytest

from medix_r1.data.check import RowRules, check_row
from medix_r1.data.lengths.tokens import PromptCounter
from medix_r1.data.row import RawRow, Reason, RowRejected, to_verl
from medix_r1.images.rules import ImageRules
from tests.support.problems import coded
from tests.unit.data.support import encoded, picture

PNG = encoded(picture(1))
RULES = RowRules(image=ImageRules(), default_source="mine")


@pytest.fixture(scope="module")
def counter(backbone):
    return PromptCounter(backbone)


def raw(root=None, **fields):
    base = {"question": "Which lung?", "answer": "left lung", "tag": "X_RAY", "images": [PNG]}
    return RawRow("rows.jsonl:1", {**base, **fields}, root)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"question": None}, Reason.WRONG_TYPE),
        ({"question": ["a"]}, Reason.WRONG_TYPE),
        ({"question": "bad \udcff bytes"}, Reason.WRONG_TYPE),
        ({"question": "  <image> "}, Reason.EMPTY_QUESTION),
        ({"answer": {"a": 1}}, Reason.WRONG_TYPE),
        ({"answer": True}, Reason.WRONG_TYPE),
        ({"answer": None}, Reason.EMPTY_ANSWER),
        ({"answer": " ... "}, Reason.EMPTY_ANSWER),
        ({"answer": "<X_RAY>\n"}, Reason.EMPTY_ANSWER),
        ({"accepted": ["left", ""]}, Reason.EMPTY_ANSWER),
        ({"tag": None}, Reason.MISSING_TAG),
        ({"tag": "lung"}, Reason.UNKNOWN_TAG),
        ({"tag": "CT, MRI"}, Reason.UNKNOWN_TAG),
        ({"tag": None, "answer": "<LUNG>left lung"}, Reason.UNKNOWN_TAG),
        ({"tag": "CT_SCAN", "answer": "<X_RAY>left lung"}, Reason.UNKNOWN_TAG),
        ({"choices": ["right", "both"]}, Reason.WRONG_CHOICE),
        ({"rubric": "names the lung"}, Reason.WRONG_RUBRIC),
        ({"rubric": [{"criterion": "Names the lung", "points": 0}]}, Reason.WRONG_RUBRIC),
        ({"rubric": '[{"criterion": "Names the lung", "points": -1}]'}, Reason.WRONG_RUBRIC),
        ({"rubric": [{"criterion": "Names the lung", "points": 1, "tag": "two words"}]}, Reason.WRONG_RUBRIC),
        ({"rationale": 3}, Reason.WRONG_TYPE),
        ({"question": "<image><image> Which?"}, Reason.IMAGE_MARKS),
        ({"question": "<image> Which?", "images": None}, Reason.IMAGE_MARKS),
        ({"question": "Which? <|im_end|>"}, Reason.CONTROL_TOKEN),
        ({"question": "Which? <video>"}, Reason.CONTROL_TOKEN),
        ({"choices": ["left lung", "<image>"]}, Reason.CONTROL_TOKEN),
        ({"images": ["gone.png"]}, Reason.MISSING_IMAGE),
        ({"images": ["a\0b.png"]}, Reason.MISSING_IMAGE),
        ({"images": ["../../etc/passwd"]}, Reason.PATH_OUTSIDE),
        ({"images": ["/etc/passwd"]}, Reason.PATH_OUTSIDE),
        ({"images": [17]}, Reason.WRONG_TYPE),
        ({"images": ["data:image/png;base64,%%%"]}, Reason.CORRUPT_IMAGE),
        ({"images": [PNG[:200]]}, Reason.CORRUPT_IMAGE),
        ({"images": [encoded(picture(1, 4100, 20))]}, Reason.ASPECT_RATIO),
        ({"question": "long " * 2000, "images": None, "tag": None}, Reason.TOO_LONG),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(fields, reason, counter, tmp_path):
    with pytest.raises(RowRejected) as caught:
        check_row(raw(str(tmp_path), **fields), RULES, counter)

    assert caught.value.reason is reason
    assert caught.value.detail


def test_an_unknown_tag_is_answered_with_the_setting_and_no_guess(counter):
    with pytest.raises(RowRejected, check=coded("unknown_tag", "data.tags={XRY: TAG}")) as caught:
        check_row(raw(tag="XRY"), RULES, counter)
    assert "X_RAY" not in caught.value.detail


def test_a_row_becomes_what_verl_reads(counter):
    measured = check_row(raw(accepted=["left-sided"], source="mine/1", id=7), RULES, counter)
    written = to_verl(measured.row, measured.prompt, 4, 5)

    assert written["data_source"] == "mine/1"
    assert written["prompt"][0]["content"].startswith("<image>Which lung?\n")
    assert "<TAG><think>" in written["prompt"][0]["content"]
    assert written["images"] == [{"bytes": PNG, "path": None, "min_pixels": 4, "max_pixels": 5}]
    assert written["reward_model"]["ground_truth"] == "<X_RAY>\nleft lung"
    info = written["extra_info"]
    assert (info["row_id"], info["id"], info["answers"]) == ("rows.jsonl:1", "7", ["left lung", "left-sided"])


def test_a_row_without_an_image_is_asked_for_no_tag(counter):
    measured = check_row(raw(images=None, tag=None), RULES, counter)
    written = to_verl(measured.row, measured.prompt, None, None)

    assert "<image>" not in measured.prompt
    assert "TAG" not in measured.prompt
    assert written["images"] == []
    assert written["reward_model"]["ground_truth"] == "left lung"
    assert measured.length.image == 0


def test_marks_keep_their_places_and_choices_are_listed(counter):
    row = raw(question="Before <image> and after <image>?", images=[PNG, PNG], choices=["worse", "better"], answer="b")
    measured = check_row(row, RULES, counter)

    assert measured.prompt.startswith("Before <image> and after <image>?\nA. worse\nB. better\n")
    assert measured.row.answers == ("better",)


def test_images_come_as_bytes_paths_base64_and_hub_structs(counter, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    row = raw(
        str(tmp_path), images=[PNG, "a.png", data, {"bytes": PNG, "path": None}, {"bytes": None, "path": "a.png"}]
    )

    assert {image.content for image in check_row(row, RULES, counter).row.images} == {PNG}


def test_a_cell_may_hold_a_json_list(counter, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    row = raw(str(tmp_path), images=json.dumps(["a.png", "a.png"]), accepted='["left", "l"]', choices="[unclosed")

    with pytest.raises(RowRejected, check=coded("wrong_choice")):  # one choice, which is no list
        check_row(row, RULES, counter)
    row.fields["choices"] = None
    measured = check_row(row, RULES, counter)
    assert len(measured.row.images) == 2
    assert measured.row.answers == ("left lung", "left", "l")


def test_a_default_tag_stands_in(counter):
    rules = RowRules(image=ImageRules(), default_source="mine", default_tag="OTHER")

    assert check_row(raw(tag=None), rules, counter).row.tag == "OTHER"


def test_an_overlong_row_is_shrunk_or_set_aside(counter):
    large = raw(images=[encoded(picture(1, 256, 256), "JPEG"), encoded(picture(2, 256, 256))])
    text = check_row(raw(), RULES, counter).length.text
    limit = text + 40  # two pictures of 64 tokens each do not fit
    shrink, aside = (
        RowRules(image=ImageRules(), default_source="m", max_prompt_tokens=limit, overlong=kind)
        for kind in ("shrink", "set_aside")
    )

    measured = check_row(large, shrink, counter)
    assert measured.length.total <= limit
    assert all(image.shrunk and image.width < 256 for image in measured.row.images)
    assert [image.format for image in measured.row.images] == ["JPEG", "PNG"]
    with pytest.raises(RowRejected, check=coded("too_long")):
        check_row(large, aside, counter)


def test_a_rubric_travels_with_its_row_and_takes_the_place_of_an_answer(counter):
    rubric = [{"criterion": "Names the lung", "points": 5, "tag": "accuracy"}, {"criterion": "Is rude", "points": -1}]
    for value in (rubric, json.dumps(rubric)):
        row = check_row(raw(answer=None, rubric=value), RULES, counter).row
        verl = to_verl(row, "prompt", None, None)
        assert verl["extra_info"]["rubric"] == [
            {"criterion": "Names the lung", "points": 5.0, "tags": ["accuracy"]},
            {"criterion": "Is rude", "points": -1.0, "tags": []},
        ]
        assert (verl["extra_info"]["answers"], verl["reward_model"]["ground_truth"]) == ([], "<X_RAY>\n")
    assert check_row(raw(rubric=rubric), RULES, counter).row.answers == ("left lung",)


def test_a_rationale_travels_with_its_row_as_steps(counter):
    steps = ["The left lung is white.", "So it is the left lung."]
    for value in (steps, json.dumps(steps), " ".join(steps)):
        row = check_row(raw(rationale=value), RULES, counter).row
        assert to_verl(row, "prompt", None, None)["extra_info"]["rationale"] == steps
        assert row.key() != check_row(raw(), RULES, counter).row.key()
    assert to_verl(check_row(raw(), RULES, counter).row, "prompt", None, None)["extra_info"]["rationale"] == []


def test_rows_that_differ_in_their_rubric_alone_are_no_duplicates(counter):
    keys = {
        check_row(raw(rubric=[{"criterion": text, "points": 1}]), RULES, counter).row.key()
        for text in ("Names the lung", "Names the side")
    }
    assert len(keys | {check_row(raw(), RULES, counter).row.key()}) == 3
