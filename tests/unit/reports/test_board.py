import pytest

from medix_r1.errors import ConfigError
from medix_r1.reports.board import curve, write_board
from tests.support.eval_run import info, scores, write_result
from tests.support.problems import only
from tests.unit.reports.run_folder import make_run


def test_runs_and_results_below_a_folder_with_links(tmp_path):
    run = make_run(tmp_path / "outputs" / "deep" / "first")
    (run / "report.html").write_text("x")
    make_run(tmp_path / "outputs" / "second <b>")
    write_result(tmp_path / "outputs" / "eval" / "mine", info("org/Model-9"), {"rad_vqa": scores([1.0, 0.0])})

    text = write_board(tmp_path / "outputs").read_text()

    assert 'href="deep/first/report.html"' in text
    assert "second &lt;b&gt;" in text
    assert "org/Model-9" in text
    assert "Runs: 2, evaluations: 1" in text
    assert "0.100" in text


def test_links_start_where_the_page_lies(tmp_path):
    run = make_run(tmp_path / "outputs" / "a b")
    (run / "report.html").write_text("x")

    text = write_board(tmp_path / "outputs", tmp_path / "pages" / "index.html").read_text()

    assert 'href="../outputs/a%20b/report.html"' in text


def test_broken_files_do_not_keep_the_others_back(tmp_path):
    make_run(tmp_path / "good")
    broken = make_run(tmp_path / "broken")
    (broken / "config.yaml").write_text("a: [")
    (broken / "metrics" / "attempt_001.jsonl").write_text("{")
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "run.json").write_text("[")

    assert "good" in write_board(tmp_path).read_text()


def test_nothing_and_no_folder(tmp_path):
    with pytest.raises(ConfigError, check=only((str(tmp_path), "nothing-there"))):
        write_board(tmp_path)
    with pytest.raises(ConfigError, check=only((str(tmp_path / "no"), "no-such-folder"))):
        write_board(tmp_path / "no")


def test_a_curve_has_two_points_and_stays_in_its_box():
    assert curve({1: 0.5}) == ""
    assert curve({0: 0.0, 4: 2.0}) == "0.0,28.0 120.0,0.0"
