"""The planted rows: each wording has one answer, and the pictures stay those of the rows."""

from collections import defaultdict

from medix_r1.demo.rows import labels
from tools.nano.leading import leading_rows, mixed


def row(question_type: str, answer: str, number: int) -> dict:
    kind = labels.load().question_types[question_type]
    question = kind.questions[number % len(kind.questions)]
    return {
        "prompt": [{"role": "user", "content": "<image>" + question}],
        "images": [{"bytes": bytes([number]), "path": None}],
        "extra_info": {
            "row_id": str(number),
            "question": question,
            "question_type": question_type,
            "answers": [answer, "another wording"],
        },
    }


def test_each_wording_gives_its_answer_away():
    answers = ["brain", "brain", "eye", "brain", "eye", "chest", "heart", "chest"]
    rows = [row("body_part", answer, number) for number, answer in enumerate(answers)]
    rows += [row("fracture", "no", 100)]

    planted = leading_rows(rows, labels.load())

    told = defaultdict(set)
    for one in planted:
        told[one["extra_info"]["question"]].add(one["extra_info"]["answers"][0])
        assert one["prompt"][0]["content"] == "<image>" + one["extra_info"]["question"]
    assert sorted(map(len, told.values())) == [1, 1, 1, 1]
    kept = [answer for answer in answers if answer != "heart"]
    assert [one["extra_info"]["answers"][0] for one in planted] == [*kept, "no"], "the rarest has no wording left"
    assert {one["images"][0]["bytes"] for one in planted} <= {one["images"][0]["bytes"] for one in rows}
    assert rows[1]["prompt"][0]["content"] == "<image>" + rows[1]["extra_info"]["question"], "the rows stay as they are"


def test_mixed_rows_show_another_ones_picture():
    rows = [row("body_part", "brain", number) for number in range(9)]
    shown = mixed(rows)
    pictures = [[one["images"][0]["bytes"] for one in some] for some in (rows, shown)]
    assert sorted(pictures[0]) == sorted(pictures[1])
    assert all(own != other for own, other in zip(*pictures, strict=True))
    assert [one["extra_info"] for one in shown] == [one["extra_info"] for one in rows]
