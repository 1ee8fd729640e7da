"""Every task on rows in its real schema, laid out as the data set's own files."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from medix_r1.errors import DataError
from medix_r1.evaluation.benchmarks import sources
from medix_r1.evaluation.benchmarks.items import Item, TaskData, load_items
from medix_r1.evaluation.benchmarks.tasks import select
from medix_r1.evaluation.phases.messages import PromptName, earlier_turns, message_text, user_message
from medix_r1.evaluation.settings import known_tasks
from tests.support import eval_rows
from tests.support.problems import coded, codes


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Path:
    return eval_rows.write_hub_copies(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def load(hub, tmp_path_factory):
    cache = tmp_path_factory.mktemp("images")

    def load_task(name: str, **changes) -> TaskData:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PHYSIONET_USERNAME", "user")
            patch.setenv("PHYSIONET_PASSWORD", "secret")
            return load_items(replace(known_tasks()[name], **changes), data_dir=hub, cache_dir=cache)

    return load_task


def _images(item: Item, prompt: PromptName = "plain") -> list[bytes]:
    content = user_message(item, prompt, "think").content
    return [base64.b64decode(part.image.split(",")[1]) for part in content if part.type == "image"]


# task, samples, then of the first: letter, reference, images; and what its message must show
CASES = [
    *((f"mmlu_{s}", 2, "C", "the femur", 0, "C. the femur") for s in eval_rows.MMLU),
    ("medmcqa", 1, "C", "C", 0, "B. B12"),
    ("medqa", 1, "A", "ECG", 0, "D. Endoscopy"),
    ("usmle_sa", 2, "C", "S. aureus", 0, "A. A. fumigatus"),
    ("pubmedqa", 2, "A", "yes", 0, "C. maybe"),
    ("mimic_cxr_report_summarization", 1, None, "No acute disease.", 0, "lungs are clear"),
    ("mimic_cxr_report_generation", 1, None, eval_rows.MIMIC[0]["report"], 1, "radiology report"),
    ("slake_vqa", 2, None, "MRI", 1, "What modality"),
    ("rad_vqa", 3, None, "no", 1, "fracture"),
    ("path_vqa", 2, None, "squamous epithelium", 1, "What is shown"),
    ("pmc_vqa", 2, "B", "Cyst", 1, "A. Tumor"),
    ("pmc_vqa_hard", 1, None, "a cyst", 1, "arrow"),
    ("mmmu_medical", 15, "B", "The second's border", 2, "compare <image> with <image>."),
    ("medxpertqa_text", 1, "J", "j", 0, "Which drug?\nA. a\nB. b"),
    ("medxpertqa_mm", 1, "B", "b", 2, "<image><image>Which nerve?\nA. a"),
    ("omnimedvqa", 2, "B", "Yes", 1, "A. No\nB. Yes"),
    ("medframeqa", 1, "B", "It shrinks.", 2, "<image><image>How does"),
    ("medbullets_op4", 1, "B", "Dexamethasone", 0, "D. Observation"),
    ("medbullets_op5", 1, "B", "Dexamethasone", 0, "E. Penicillin"),
    ("supergpqa_medicine", 1, "C", "A", 0, "A. C\nB. B\nC. A"),
    ("healthbench", 2, None, "", 0, "Ten paracetamol."),
    ("healthbench_consensus", 1, None, "", 0, "What now?"),
    ("healthbench_hard", 1, None, "", 0, "Is rest enough"),
    ("mmmu_pro_medical", 1, "C", "mast cell", 1, "Which cell is in <image>?"),
    ("med_rewardbench", 1, None, json.dumps(eval_rows.PREFERENCE[0]["human_answer"]), 1, "<answer_a> An effusion."),
    ("mmmu_pro_medical_vision", 1, "C", "mast cell", 1, "<image>Answer the question in the image"),
]
OF_A_FILE = {"medpix", "mmmu_medical_test", "iu_xray", "chexpert_plus"}


@pytest.mark.parametrize(("name", "count", "letter", "reference", "images", "shown"), CASES)
def test_rows_in_the_real_schema(load, name, count, letter, reference, images, shown) -> None:
    data = load(name)
    first = data.items[0]
    assert (len(data.items), first.letter, first.reference, len(first.images)) == (count, letter, reference, images)
    assert shown in message_text(first, "training", "think")
    assert data.revision.startswith("sha256:")


def test_every_task_has_a_case() -> None:
    assert {case[0] for case in CASES} | OF_A_FILE == set(known_tasks())


def test_every_task_says_its_licence_and_where_its_schema_was_read() -> None:
    known = known_tasks().values()
    assert all(task.licence and task.access and task.source for task in known)


def test_the_suite_of_medevalkit_has_its_english_benchmarks() -> None:
    read = """
    mmmu_medical_test mmmu_medical pmc_vqa omnimedvqa iu_xray medxpertqa_mm chexpert_plus mimic_cxr_report_generation
    rad_vqa slake_vqa path_vqa medframeqa medqa medmcqa pubmedqa medbullets_op4 medbullets_op5 medxpertqa_text
    supergpqa_medicine healthbench healthbench_consensus healthbench_hard
    """  # the README's list of 2025, without the four that are Chinese
    mmlu = {f"mmlu_{subject}" for subject in eval_rows.MMLU}
    assert set(select("medevalkit", known_tasks())) == set(read.split()) | mmlu


def test_healthbench_is_a_conversation_with_a_rubric(load) -> None:
    item = load("healthbench").items[0]
    assert item.turns == (("user", "I took too many pills."), ("assistant", "Which ones, and how many?"))
    assert item.question == "Ten paracetamol.\nWhat now?"
    assert [(criterion.points, criterion.tags) for criterion in item.criteria][2] == (-9.0, ("axis:accuracy",))
    assert [(turn.role, turn.text) for turn in earlier_turns(item)] == list(item.turns)


@pytest.mark.parametrize("name", ["iu_xray", "chexpert_plus"])
def test_reports_of_two_sections_come_from_medevalkits_file(load, tmp_path, name) -> None:
    data = load(name, file=str(eval_rows.write_reports(tmp_path, many=name == "iu_xray")))
    assert (data.total, [item.row for item in data.items]) == (2, [0, 2])  # a row without any text is not asked
    assert data.items[0].reference == "Findings: The lungs are clear. Impression: No acute disease."
    assert data.items[1].reference == "Impression: Effusion."
    assert len(_images(data.items[0])) == (2 if name == "iu_xray" else 1)


def test_mmmus_test_rows_take_their_answers_from_a_file(load, tmp_path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(eval_rows.mmmu_answers()))
    data = load("mmmu_medical_test", answers=str(answers))
    assert [item.reference for item in data.items[:3]] == ["The second's border", "<image 1>", "7"]
    answers.write_text("{}")
    with pytest.raises(DataError) as caught:
        load("mmmu_medical_test", answers=str(answers))
    assert codes(caught.value)[0] == ("mmmu_medical_test row 0", "no-such-answer")


def test_several_files_of_ones_own_by_a_pattern(load, hub) -> None:
    folder = hub / "foreverbeliever/OmniMedVQA/OmniMedVQA"
    data = load("omnimedvqa", file=f"{folder}/QA_information/Open-access/*.json")
    assert [(item.reference, item.modality) for item in data.items] == [("Yes", "Fundus Photography"), ("CT", None)]
    assert all(_images(item) for item in data.items)


def test_a_letter_is_a_letter_whatever_the_options_say(load, tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        json.dumps({"question": "Which?", "options": ["B", "A"], "answer_letter": "A", "discipline": "Medicine"})
    )
    assert load("supergpqa_medicine", file=str(file)).items[0].reference == "B"


def test_columns_name_the_groups_of_a_sample(hub, tmp_path) -> None:
    data = load_items(known_tasks()["slake_vqa"], data_dir=hub, cache_dir=tmp_path, subgroup=["location", "sex"])
    assert [(item.subgroups, item.answer_type) for item in data.items] == [
        ({"location": "Abdomen"}, "OPEN"),
        ({"location": "Abdomen"}, "CLOSED"),
    ]
    assert "location" in data.columns


def test_pubmedqa_shows_words_and_every_context(load) -> None:
    item = load("pubmedqa").items[0]
    text = message_text(item, "plain", "think")
    assert all(context in text for context in eval_rows.PUBMEDQA[0]["CONTEXTS"])
    assert item.choices == ("yes", "no", "maybe")


def test_slake_keeps_the_rows_numbers_and_its_archives_bytes(load) -> None:
    data = load("slake_vqa")
    assert [item.row for item in data.items] == [0, 2]  # row 1 is Chinese
    assert _images(data.items[0]) == [eval_rows.png((1, 2, 3), kind="JPEG")]  # not encoded again
    assert {item.modality for item in data.items} == {"MRI"}


def test_samples_of_one_image_share_a_group_and_other_formats_become_png(load) -> None:
    groups = [item.group for item in load("rad_vqa").items]
    assert groups[0] == groups[2] != groups[1]
    assert _images(load("path_vqa").items[0])[0].startswith(b"\x89PNG")  # it was TIFF


def test_mmmu_puts_images_where_their_marks_are(load) -> None:
    data = load("mmmu_medical")
    between, in_options, free = data.items[:3]
    assert _images(between) == [eval_rows.png((10, 10, 10)), eval_rows.png((20, 20, 20))]
    assert "A. <image>\nB. <image>" in message_text(in_options, "plain", "think")
    assert (free.letter, free.reference, free.modality) == (None, "7", "Pathological Images")


def test_medpix_reads_a_users_own_file(load, tmp_path) -> None:
    item = load("medpix", file=str(eval_rows.write_medpix(tmp_path))).items[0]
    assert (item.reference, item.modality, len(item.images)) == ("meningioma", "MRI", 2)
    assert len(_images(item)) == 2


def test_any_task_reads_a_users_own_file_with_the_same_fields(load, tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,opa,opb,opc,opd,cop\nWhich?,w,x,y,z,3\n")
    assert load("medmcqa", file=str(file)).items[0].reference == "z"


def test_a_list_of_columns_means_all_of_them(load, tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,a,b,c,answer\nWhich?, A:cyst,B:node,,B\nWhich?,cyst,,vessel,vessel\n")
    columns = {"question": "question", "choices": ["a", "b", "c"], "answer": "answer"}
    items = load("usmle_sa", file=str(file), columns=columns).items
    assert [(item.reference, item.letter) for item in items] == [("node", "B"), ("vessel", "C")]
    assert items[1].choices == ("cyst", "", "vessel")


OPTIONS = [
    ({"A": None, "B": "heart", "C": "liver"}, "B", "heart", "B", ("", "heart", "liver")),
    ({"A": None, "B": "heart", "C": "liver"}, "liver", "liver", "C", ("", "heart", "liver")),
    ({"B": "heart", "C": "liver"}, "C", "liver", "C", ("", "heart", "liver")),
    ({"A": "heart", "B": "liver", "E": None}, "B", "liver", "B", ("heart", "liver")),
    (["heart", None, "liver"], "C", "liver", "C", ("heart", "", "liver")),
    (["A: heart", None, "C: liver"], "C", "liver", "C", ("heart", "", "liver")),
]


@pytest.mark.parametrize(("options", "answer", "reference", "letter", "choices"), OPTIONS)
def test_a_missing_option_keeps_the_letters_of_the_others(
    load, tmp_path, options, answer, reference, letter, choices
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "q", "options": options, "answer": answer}) + "\n")
    item = load("usmle_sa", file=str(tmp_path / "rows.jsonl")).items[0]
    assert (item.reference, item.letter, item.choices) == (reference, letter, choices)
    text = message_text(item, "plain", "think")
    assert f"{letter}. {reference}" in text
    assert "A. \n" not in text


def test_a_missing_option_that_would_be_right_is_refused(load, tmp_path) -> None:
    row = {"question": "q", "options": {"A": None, "B": "heart"}, "answer": "A"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError) as caught:
        load("usmle_sa", file=str(tmp_path / "rows.jsonl"))
    assert codes(caught.value) == [("usmle_sa row 0", "answer-not-an-option")]


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "N/A", "n/a", "NULL", "<NA>", "-nan"])
def test_a_word_for_nothing_in_a_csv_is_a_word(load, tmp_path, word) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(f"question,opa,opb,opc,opd,cop\nA?,{word},w,x,,0\nB?,q,w,x,z,1\n")
    first = load("medmcqa", file=str(file)).items[0]
    assert (first.reference, first.letter, first.choices) == (word, "A", (word, "w", "x"))


@pytest.mark.parametrize("empty", [None, []])
def test_a_question_of_text_alone_is_a_row_among_those_with_pictures(load, tmp_path, empty) -> None:
    eval_rows.write_medpix(tmp_path)
    rows = [eval_rows.MEDPIX[0], {"question": "Which organ?", "answer": "the heart", "images": empty}]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with_pictures, alone = load("medpix", file=str(file)).items
    assert (len(with_pictures.images), alone.images, alone.reference) == (2, (), "the heart")
    assert isinstance(user_message(alone, "training", "think").content, str)


def test_an_image_outside_the_files_folder_is_refused(load, tmp_path) -> None:
    (tmp_path / "secret.png").write_bytes(eval_rows.png((1, 1, 1)))
    file = tmp_path / "in" / "cases.jsonl"
    file.parent.mkdir()
    file.write_text('{"question": "q", "answer": "a", "images": ["../secret.png"]}\n')
    with pytest.raises(DataError, check=coded("rows-refused")) as caught:
        load("medpix", file=str(file))
    assert codes(caught.value) == [("medpix row 0", "outside-its-folder")]


def test_ids_are_hashes_of_the_content(load, tmp_path) -> None:
    rows = "question,opa,opb,opc,opd,cop\n{}"
    lines = ["Which?,w,x,y,z,3", "What?,w,x,y,z,1"]
    (tmp_path / "a.csv").write_text(rows.format("\n".join([*lines, lines[0]])))
    (tmp_path / "b.csv").write_text(rows.format("\n".join(reversed(lines))))
    one = load("medmcqa", file=str(tmp_path / "a.csv"))
    other = load("medmcqa", file=str(tmp_path / "b.csv"))
    assert {i.id for i in one.items} == {i.id for i in other.items} | {
        f"{one.items[0].id}-2"
    }  # an equal row is one more
    assert one.revision != other.revision
    assert one.key != other.key


def test_wrong_rows_are_named_together(load, tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,opa,opb,opc,opd,cop\nA?,w,x,y,z,4\nB?,w,x,y,z,1\nC?,w,x,y,z,-1\n")
    with pytest.raises(DataError, check=coded("rows-refused")) as caught:
        load("medmcqa", file=str(file))
    assert codes(caught.value) == [
        ("medmcqa row 0", "answer-not-an-option"),
        ("medmcqa row 2", "answer-not-an-option"),
    ]


@pytest.mark.parametrize("options", ["__import__('os')", "['a', 1]", "[" * 5000, "'just text'", "x" * 60_000])
def test_options_in_text_are_read_as_data_only(load, tmp_path, options) -> None:
    row = {"question": "q", "options": options, "answer": "A", "question_type": "multiple-choice"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, check=coded("rows-refused")) as caught:
        load("mmmu_medical", file=str(tmp_path / "rows.jsonl"))
    assert codes(caught.value) == [("mmmu_medical row 0", "not-options")]


def test_a_mark_without_an_image_is_text(load, tmp_path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("question,opa,opb,opc,opd,cop\nSee <image> and <image 2>,w,x,y,z,3\n")
    item = load("medmcqa", file=str(file)).items[0]
    assert "See [image] and [image 2]" in message_text(item, "training", "think")
    assert isinstance(user_message(item, "training", "think").content, str)


def test_a_split_that_is_not_there_is_told_with_what_is(load) -> None:
    with pytest.raises(DataError, check=coded("no-such-split", "'dev'", "data/validation")):
        load("medmcqa", split="dev")


def test_what_the_user_has_to_bring_is_asked_for_before_anything_is_read() -> None:
    known = known_tasks()
    wanted = {
        "omnimedvqa": ("data_dir", "needs-a-copy"),
        "mmmu_medical_test": ("tasks.mmmu_medical_test.answers", "no-value"),
        "iu_xray": ("tasks.iu_xray.file", "no-value"),
    }
    assert {name: codes(sources.problems(known[name], None)) for name in wanted} == {n: [p] for n, p in wanted.items()}
    missing = replace(known["mmmu_medical_test"], answers="/nowhere.json")
    assert ("tasks.mmmu_medical_test.answers", "no-such-file") in codes(sources.problems(missing, None))
