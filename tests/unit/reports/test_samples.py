import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from medix_r1.cli import app
from medix_r1.errors import ConfigError
from medix_r1.pages.wrapped import fields
from medix_r1.reports import sample_images
from medix_r1.reports.samples import Query, find, lines
from medix_r1.reports.status import KILLED
from tests.support.problems import codes, only
from tests.unit.reports.run_folder import make_run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def keys(found):
    return [line["key"] for line in found]


def test_newest_first_and_torn_lines_are_left_out(run):
    assert keys(lines(run, "train")) == ["c", "d", "a", "b"]
    assert [line["step"] for line in lines(run, "train")] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query(limit=3), ["c", "d", "a"]),
        (Query(step=1), ["a", "b"]),
        (Query(part="llm", below=0.5), ["c", "a"]),
        (Query(part="llm", above=0.5), ["b"]),
        (Query(part="embed", below=1.0, above=0.5), ["d"]),
        (Query(modality="ct_scan"), ["b"]),
        (Query(source="b"), ["c"]),
        (Query(sort="embed-llm"), ["a", "c", "b"]),
        (Query(sort="embed", smallest=True, limit=2), ["c", "d"]),
        (Query(sort="overall", limit=1), ["b"]),
    ],
)
def test_queries(run, query, wanted):
    assert keys(find(run, query)) == wanted


@pytest.mark.parametrize(
    ("query", "key", "code", "names"),
    [
        (Query(split="test"), "--split", "not-a-choice", "'test'"),
        (Query(step=7), "--step", "no-such-step", "1 to 2"),
        (Query(below=0.5), "--below, --above", "needs-a-part", "--part"),
        (Query(part="lm"), "lm", "no-such-part", "overall, llm, embed"),
        (Query(sort="embed-lm"), "lm", "no-such-part", "overall, llm, embed"),
    ],
)
def test_a_query_that_makes_no_sense_says_why(run, query, key, code, names):
    with pytest.raises(ConfigError, check=only((key, code))) as caught:
        find(run, query)
    assert names in str(caught.value)


def test_images_come_out_of_the_data_set_and_what_is_none_does_not(run):
    found = sample_images.of_rows(run, ["row-a", "row-b", "row-gone"])
    assert [path.suffix for path in found["row-a"]] == [".png"]
    with Image.open(found["row-a"][0]) as image:
        assert image.size == (4, 4)
    assert found["row-b"] == []
    assert "row-gone" not in found
    assert sample_images.of_rows(run, []) == {}


def test_the_command_shows_reasons_and_nothing_a_reply_can_use(run):
    shown = CliRunner().invoke(app, ["samples", str(run), "--part", "llm", "--below", "0.5", "--step", "1"])
    assert shown.exit_code == 0, shown.output
    assert "judge: NO" in shown.output
    assert "a [bold]x[/bold]" in shown.output, "markup in a reply is text"
    assert "\x1b" not in shown.output
    assert ".png" in shown.output


def test_status_of_a_run_that_was_killed(run):
    (run / "events.jsonl").write_text(json.dumps({"time": 0.0, "event": "driver_starting"}) + "\n")
    shown = CliRunner().invoke(app, ["status", str(run)])
    assert shown.exit_code == 0, shown.output
    assert KILLED in shown.output
    assert "newest checkpoint: none" in shown.output


def test_a_modality_that_is_none_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError) as caught:
        find(make_run(tmp_path), Query(modality="XRAY"))

    assert codes(caught.value) == [("--modality", "no-such-modality")]
    assert "did you mean X_RAY?" in str(caught.value)


@pytest.mark.parametrize(("width", "lines"), [(80, 2), (200, 1)])
def test_fields_are_wrapped_whole(width, lines):
    text = "  ".join(f"signal{i} 0.123" for i in range(6))

    shown = fields("step 1  ", text, width).splitlines()

    assert len(shown) == lines
    assert all(len(line) <= width for line in shown)
    assert all(line.startswith(("step 1  ", "        ")) for line in shown)


def test_pictures_are_found_from_any_directory(tmp_path, monkeypatch):
    run = make_run(tmp_path / "project" / "outputs" / "small")
    text = (run / "config.yaml").read_text().replace(str(run / "train.parquet"), "outputs/small/train.parquet")
    (run / "config.yaml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert list(sample_images.of_rows(run, ["row-a"])) == ["row-a"]
