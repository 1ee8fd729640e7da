"""Files of a user's that no config can be made of, of those that are chosen."""

from pathlib import Path

import pytest

from medix_r1.schema.broken_files import broken_files


@pytest.mark.parametrize(
    ("content", "mentions"),
    [
        (b"run: {name: caf\xe9}", "no UTF-8"),
        (b"run: [1", "no YAML"),
        (b"- a\n- b\n", "a list"),
        (b"run: &a\n  seed: *a\n", "alias"),
        (b"defaults: nano_cpu\n", "not a list"),
        (b"defaults: [5]\n", "5 in defaults"),
        (b"defaults: [{a: b, c: d}]\n", "one GROUP: NAME"),
        (b"defaults: [/experiment/mine, _self_]\n", "the file itself"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, mentions: str) -> None:
    file = tmp_path / "experiment/mine.yaml"
    file.parent.mkdir()
    file.write_bytes(content)

    (problem,) = broken_files([tmp_path], ["experiment/mine", "judge/remote"])

    assert (problem.key, problem.code) == (str(file), "broken-yaml")
    assert mentions in problem.text


def test_what_a_file_builds_on_is_looked_at_and_nothing_else(tmp_path: Path) -> None:
    for name, text in {
        "experiment/mine": "defaults: [base, {override /judge: own}, _self_]",
        "experiment/base": "defaults: [/experiment/mine]",
        "judge/own": "[",
        "experiment/other": "[",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)

    assert [problem.key for problem in broken_files([tmp_path], ["experiment/mine"])] == [f"{tmp_path}/judge/own.yaml"]
