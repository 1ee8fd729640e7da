from medix_r1.demo.evaluate import example_rows
from medix_r1.demo.replies import other_pictures


def row(source: str, modality: str = "X_RAY", question_type: str = "view") -> dict[str, dict[str, str]]:
    return {"extra_info": {"source": source, "modality": modality, "question_type": question_type}}


def test_no_question_keeps_a_picture_of_its_own_source() -> None:
    rows = [row(f"source {i % 5}") for i in range(72)]
    shown = other_pictures(rows)

    assert sorted(shown) == list(range(72))
    assert all(rows[i]["extra_info"] != rows[j]["extra_info"] for i, j in enumerate(shown))
    assert shown == other_pictures(rows)


def test_one_source_alone_cannot_be_exchanged() -> None:
    assert sorted(other_pictures([row("only")] * 3)) == [0, 1, 2]


def test_examples_differ_in_modality_and_question() -> None:
    rows = [row("a"), row("b"), row("c", "MRI_SCAN"), row("d", "MRI_SCAN", "organ"), row("e", "CT_SCAN", "colour")]
    assert example_rows(rows) == [0, 3, 4]
