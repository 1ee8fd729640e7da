import re
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from medix_r1.data.looking import stats
from medix_r1.errors import ConfigError
from tests.support.problems import only
from tests.unit.data.support import encoded, picture, row, run_prepare, write_rows


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, backbone):
    folder = tmp_path_factory.mktemp("stats")
    rows = [row(i, source="a|b<c>" if i % 2 else "plain") for i in range(6)]
    rows += [row(7, tag="CT_SCAN", images=[encoded(picture(7, 320, 200)), encoded(picture(8))], answer="Yes.")]
    rows += [row(9, images=[], tag=None, answer="28 mm", question="How large?"), row(10, answer="")]
    run_prepare(write_rows(folder, rows), folder / "out", backbone)
    return folder / "out"


def test_counts_are_those_of_the_rows(prepared):
    result = stats.compute(prepared)
    sections = {section.title: {line[0]: line[1:] for line in section.rows} for section in result.sections}

    assert sections["Rows"]["in"] == ("9",)
    assert sections["Modality"] == {"X_RAY": ("6", "75.0 %"), "CT_SCAN": ("1", "12.5 %"), "no image": ("1", "12.5 %")}
    assert sections["Answer type"]["phrase"][0] == "6"
    assert sections["Answer type"]["yes/no"][0] == sections["Answer type"]["number"][0] == "1"
    assert sections["Images of a row"] == {"1": ("6", "75.0 %"), "2": ("1", "12.5 %"), "0": ("1", "12.5 %")}
    assert sections["Image size"]["width"][-1] == "320"
    assert sections["Rejected"] == {"empty_answer": ("1", "100.0 %")}
    assert sum(result.tokens) > 0


@pytest.mark.parametrize(
    ("answer", "choices", "kind"),
    [
        ("A", 4, "choice"),
        ("no", 0, "yes/no"),
        ("-3.5 %", 0, "number"),
        ("12 mg/dl", 0, "number"),
        ("pneumonia", 0, "one word"),
        ("left lower lobe", 0, "phrase"),
        ("there is a large mass in it", 0, "sentence"),
    ],
)
def test_answer_types(answer, choices, kind):
    assert stats.answer_type(answer, choices) == kind


def test_table_markdown_and_picture(prepared, tmp_path):
    result = stats.compute(prepared)
    stats.write_markdown(result, tmp_path / "s.md")
    stats.write_png(tmp_path / "s.png", result)
    with (tmp_path / "log").open("w") as log:
        stats.show(result, Console(file=log, width=120))

    markdown = (tmp_path / "s.md").read_text()
    assert "| a\\|b&lt;c> | 3 |" in markdown
    heads = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert heads[:4] == ["Rows", "Modality", "Source", "Answer type"]
    assert "Prompt tokens" in (tmp_path / "log").read_text()
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == (1560, 910)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 50


def test_a_folder_that_is_not_finished_says_so(tmp_path):
    (tmp_path / ".staging").mkdir()
    with pytest.raises(ConfigError, check=only((str(tmp_path), "not-finished"))):
        stats.compute(tmp_path)
    with pytest.raises(ConfigError, check=only(("/nowhere", "not-prepared"))):
        stats.compute(Path("/nowhere"))
