import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation.benchmarks.items import load_items
from medix_r1.evaluation.benchmarks.task_file import field_problems
from medix_r1.evaluation.benchmarks.tasks import TaskSpec
from medix_r1.evaluation.cli import app
from medix_r1.evaluation.phases.messages import user_message
from medix_r1.evaluation.settings import code_problems, compose_eval, known_tasks, read_task, read_tasks
from tests.support import eval_rows
from tests.support.problems import coded, codes, only

ROOT = Path(__file__).parents[4]
GOOD: dict[str, Any] = {
    "name": "mine",
    "kind": "llm",
    "headline": False,
    "path": None,
    "split": "test",
    "file": "rows.jsonl",
    "format": "open",
    "columns": {"question": "q", "answer": "a"},
    "scorer": "short",
    "licence": "mine",
}


def _write(folder: Path, **changes: object) -> Path:
    path = folder / "task" / "mine.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**GOOD, **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "problem", "allowed"),
    [
        ({"kind": "text"}, ("kind", "not-a-choice"), "llm, vlm"),
        ({"access": "free"}, ("access", "not-a-choice"), "open, credentials, file"),
        ({"headline": "no way"}, ("headline", "not-a-choice"), "true nor false"),
        ({"format": "opne"}, ("format", "not-a-choice"), "open"),
        ({"scorer": "rubrik"}, ("scorer", "not-a-choice"), "short, report, rubric, preference"),
        ({"files": "rows.jsonl"}, ("files", "not-a-list"), "[]"),
        ({"image_dir": 3}, ("image_dir", "not-text"), "quotes"),
        ({"path": "no data set"}, ("path", "not-a-data-set"), "ORG/NAME"),
        ({"revision": 1234}, ("revision", "not-text"), "quotes"),
        ({"config": "anatomy"}, ("config", "not-a-list"), "[]"),
        ({"config": [1]}, ("config", "not-a-list"), "[]"),
        ({"where": ["q_lang"]}, ("where", "not-a-mapping"), "mapping"),
        ({"image_host": "physionet.org"}, ("image_host", "not-an-address"), "https://"),
        ({"columns": {"question": "q"}}, ("columns.answer", "no-value"), "open"),
        ({"columns": {**GOOD["columns"], "answr": "a"}}, ("columns.answr", "no-such-key"), "question, answer, context"),
        ({"columns": {**GOOD["columns"], "context": 3}}, ("columns.context", "not-text"), "column"),
        ({"splits": "test"}, ("splits", "no-such-key"), "split"),
        ({"name": "yours"}, ("name", "another-name"), "file"),
        ({"scorer": "rubric"}, ("scorer", "not-for-this-format"), "conversation"),
        ({"scorer": "preference"}, ("scorer", "not-for-this-format"), "preference"),
        (
            {"format": "conversation", "columns": {"conversation": "c", "rubric": "r"}},
            ("scorer", "not-for-this-format"),
            "rubric",
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_it_may_be(tmp_path, changes, problem, allowed) -> None:
    with pytest.raises(ConfigError, check=only((f"tasks.mine.{problem[0]}", problem[1]))) as caught:
        read_task(_write(tmp_path, **changes))
    assert allowed in caught.value.problems[0].text


@pytest.mark.parametrize(
    ("text", "code"),
    [("a: [", "not-yaml"), ("kind: llm\nkind: vlm", "not-yaml"), ("- a", "not-a-mapping"), ("", "not-a-mapping")],
)
def test_what_is_no_task_file(tmp_path, text, code) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, check=only((str(path), code))):
        read_task(path)


def test_a_broken_task_stops_nobody_who_did_not_choose_it(tmp_path) -> None:
    _write(tmp_path, kind="text")
    assert set(compose_eval(["model=m", "task=mmlu_anatomy"], [tmp_path]).tasks) == {"mmlu_anatomy"}
    assert len(compose_eval(["model=m", "task=llm"], [tmp_path]).tasks) == 11
    assert read_tasks([tmp_path])[0] == known_tasks()
    with pytest.raises(ConfigError, check=only(("tasks.mine.kind", "not-a-choice"))):
        compose_eval(["model=m", "task=[mine,mmlu_anatomy]"], [tmp_path])


def test_a_wrong_value_on_the_command_line_is_found_too() -> None:
    with pytest.raises(ConfigError, check=only(("tasks.rad_vqa.kind", "not-a-choice"))):
        compose_eval(["model=m", "task=rad_vqa", "tasks.rad_vqa.kind=image"])


def test_every_task_of_ours_is_whole() -> None:
    known, broken = read_tasks()
    assert broken == {}
    for task in known.values():
        assert list(field_problems({f.name: getattr(task, f.name) for f in fields(task)}, "")) == []


def test_the_page_has_every_field_and_what_it_may_be() -> None:
    page = (ROOT / "docs" / "extend" / "task.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip().strip("`") for line in page.splitlines() if line.startswith("| `")]
    assert rows == [field.name for field in fields(TaskSpec)]


def test_the_command_checks_a_file_and_shows_its_first_row(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"q": "Which organ pumps blood?", "a": "the heart"}\n')
    done = CliRunner().invoke(app, ["tasks", "--check", str(_write(tmp_path))])
    assert done.exit_code == 0, done.output
    assert "Which organ pumps blood?" in done.output
    bad = CliRunner().invoke(app, ["tasks", "--check", str(_write(tmp_path, kind="text"))])
    assert isinstance(bad.exception, ConfigError)
    assert codes(bad.exception) == [("tasks.mine.kind", "not-a-choice")]


def test_the_list_has_a_users_tasks_and_says_what_is_broken(tmp_path) -> None:
    _write(tmp_path)
    assert "mine" in CliRunner().invoke(app, ["tasks", "--config-dir", str(tmp_path)]).output
    _write(tmp_path, kind="text")
    done = CliRunner().invoke(app, ["tasks", "--config-dir", str(tmp_path)])
    assert done.exit_code == 0
    assert "tasks.mine.kind" in done.output


@pytest.mark.parametrize("field", ["format", "scorer"])
def test_what_a_field_names_has_to_be_a_function(tmp_path, field) -> None:
    (tmp_path / "code.py").write_text("number = 1\n")
    with pytest.raises(ConfigError, check=only((f"tasks.mine.{field}", "not-a-function"))):
        raise ConfigError(code_problems({"mine": TaskSpec(**{**GOOD, field: f"{tmp_path}/code.py:number"})}))


@pytest.mark.parametrize(("content", "code"), [("", "no-rows"), ('{"q": \n', "not-readable")])
def test_a_file_without_rows_is_told(tmp_path, content, code) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, check=coded(code, file)):
        load_items(TaskSpec(**{**GOOD, "file": str(file)}), data_dir=None, cache_dir=tmp_path)


def test_images_of_an_own_file_may_lie_in_a_zip_beside_it(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("a/x.png", eval_rows.png((1, 2, 3)))
    (tmp_path / "rows.jsonl").write_text('{"q": "Side?", "a": "left", "image": "a/x.png"}\n')
    changes = {"kind": "vlm", "columns": {**GOOD["columns"], "images": "image"}, "archive": "pictures.zip"}
    task = TaskSpec(**{**GOOD, **changes, "file": str(tmp_path / "rows.jsonl")})
    (item,) = load_items(task, data_dir=None, cache_dir=tmp_path).items
    assert item.images[0].read() == eval_rows.png((1, 2, 3))


def test_a_conversation_may_be_about_a_picture(tmp_path) -> None:
    (tmp_path / "x.png").write_bytes(eval_rows.png((1, 2, 3)))
    turns = [("user", "A cough."), ("assistant", "Since when?"), ("user", "A week. Here is the film.")]
    row = {
        "c": [{"role": role, "content": text} for role, text in turns],
        "r": [{"criterion": "Names the effusion", "points": 3}],
        "p": "x.png",
        "m": "X-ray",
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    columns = {"conversation": "c", "rubric": "r", "images": "p", "modality": "m"}
    changes = {"kind": "vlm", "format": "conversation", "scorer": "rubric", "columns": columns}
    told = {**GOOD, **changes, "file": str(tmp_path / "rows.jsonl")}
    assert list(field_problems(told, "tasks.mine")) == []
    (item,) = load_items(TaskSpec(**told), data_dir=None, cache_dir=tmp_path).items
    assert (item.modality, len(item.turns), len(item.images)) == ("X-ray", 2, 1)
    message = user_message(item, "plain", "think")
    assert [part.type for part in message.content] == ["image", "text"]
