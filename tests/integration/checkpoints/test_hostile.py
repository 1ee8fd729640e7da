"""A merge of a hostile or damaged checkpoint says in one line what is wrong, runs nothing and writes nothing."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.verification.logits import Question
from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints
from tests.integration.checkpoints.hostile import CASES, ESCAPE, changed_config, manifest
from tests.integration.checkpoints.plain import config, save, state_of
from tests.support.problems import coded


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("{}", encoding="utf-8")
    return save(tmp_path / "run", state_of(config()))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_and_nothing_is_written(good: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    case.spoil(good)
    if case.reseal:
        checkpoints.seal(good)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(CheckpointError, check=coded(case.code, *case.named)) as caught:
        merge(good, tmp_path / "out" / "model")

    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_untouched_checkpoint_is_merged(good: Path, tmp_path: Path) -> None:
    merge(good, tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("template", ["{{ nothing.a.b }}", "{% for", "{{ ''.__class__.__mro__[1].__subclasses__() }}"])
def test_a_template_that_does_not_work_or_reaches_out_is_said_by_verify(
    nano_policy: Path, tmp_path: Path, template: str
) -> None:
    for file in nano_policy.iterdir():
        if file.suffix == ".json":
            shutil.copy(file, tmp_path)
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(CheckpointError, check=coded("tokenizer-unusable")):
        Question.of(tmp_path)


def test_a_link_within_the_checkpoint_is_followed(good: Path, tmp_path: Path) -> None:
    template = good / "actor" / "huggingface" / "chat_template.jinja"
    template.rename(good / "actor" / "template.jinja")
    template.symlink_to("../template.jinja")
    checkpoints.seal(good)

    merge(good, tmp_path / "model")
    assert (tmp_path / "model" / "chat_template.jinja").read_text(encoding="utf-8") == "{}"
    assert not (tmp_path / "model" / "chat_template.jinja").is_symlink()


def test_the_terminal_gets_no_escape_sequences(good: Path, tmp_path: Path) -> None:
    manifest('{"files": {"' + ESCAPE.encode("unicode_escape").decode().replace("\\x", "\\u00") + '": 1}}')(good)
    command = [sys.executable, "-m", "medix_r1.cli", "merge", str(good), "--out", str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def test_a_config_that_says_quantized_of_plain_weights_does_not(good: Path, tmp_path: Path) -> None:
    changed_config(quantization_config={"quant_method": "fp8"})(good)
    checkpoints.seal(good)
    console = Console(record=True, width=400)

    merge(good, tmp_path / "model", console=console)

    assert "quantization_config" in console.export_text()
    assert "quantization_config" not in json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))


def test_a_config_of_endless_aliases_is_not_written_out(good: Path, tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghijk")]
    keys = ["run: {name: *k, seed: *k}", "data: {train_files: [*k]}", "reward: {weights: {llm: *k}}", "judge: [*k]"]
    (good.parents[1] / "config.yaml").write_text("\n".join([*lines, *keys]), encoding="utf-8")

    merge(good, tmp_path / "model")
    assert (tmp_path / "model" / "README.md").stat().st_size < 10_000


@pytest.mark.parametrize("out", ["a" * 300, "a" * 250, "model/" + "b" * 256])
def test_an_impossible_name_is_refused_in_one_line(good: Path, tmp_path: Path, out: str) -> None:
    with pytest.raises(CheckpointError, check=coded("cannot-write")):
        merge(good, tmp_path / out)


def test_like_a_folder_that_is_no_model_is_refused(good: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("no-such-base")):
        merge(good, tmp_path / "model", options=Options(like=str(good)))
    assert not (tmp_path / "model").exists()
