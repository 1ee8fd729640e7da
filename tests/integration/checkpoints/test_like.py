"""`--like BASE` keeps the files of the base model, which must be the model that was trained."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForImageTextToText

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.errors import CheckpointError
from medix_r1.runs import checkpoints
from tests.integration.checkpoints.plain import save
from tests.support.problems import coded


@pytest.fixture
def base(tmp_path: Path, nano_policy: Path) -> Path:
    """The nano policy as an older tool would have published it: an own file, another form of a setting."""
    folder = tmp_path / "base"
    shutil.copytree(nano_policy, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    text["rope_scaling"] = text.pop("rope_parameters")
    text["rope_theta"] = text["rope_scaling"].pop("rope_theta")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "LICENSE.txt").write_text("terms", encoding="utf-8")
    (folder / "chat_template.jinja").write_text("the base's", encoding="utf-8")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path, nano_policy: Path) -> Path:
    model = AutoModelForImageTextToText.from_pretrained(nano_policy)
    folder = save(tmp_path / "run", model.state_dict(), model.config)
    for file in nano_policy.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, folder / "actor" / "huggingface")
    checkpoints.seal(folder)
    return folder


def test_the_files_are_the_bases_and_the_template_the_runs(checkpoint: Path, base: Path, tmp_path: Path) -> None:
    merge(checkpoint, tmp_path / "model", options=Options(like=str(base), verify=True, dtype="bf16"))

    for name in ("LICENSE.txt", "tokenizer.json", "generation_config.json", "processor_config.json"):
        assert (tmp_path / "model" / name).read_bytes() == (base / name).read_bytes(), name
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert (config["dtype"], "rope_parameters" in config["text_config"]) == ("bfloat16", False)
    assert (tmp_path / "model" / "chat_template.jinja").read_text(encoding="utf-8") != "the base's"


@pytest.mark.parametrize(
    ("name", "change", "code", "named"),
    [
        ("config.json", {"video_token_id": 5}, "another-model", "video_token_id"),
        ("added_tokens.json", {"own": 1}, "another-vocabulary", ""),
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}}, "asks-for-code", "config.json"),
    ],
)
def test_another_model_is_refused(
    checkpoint: Path, base: Path, tmp_path: Path, name: str, change: dict[str, object], code: str, named: str
) -> None:
    before = json.loads((base / name).read_text(encoding="utf-8")) if (base / name).exists() else {}
    (base / name).write_text(json.dumps(before | change), encoding="utf-8")
    with pytest.raises(CheckpointError, check=coded(code, named)):
        merge(checkpoint, tmp_path / "model", options=Options(like=str(base)))
    assert not (tmp_path / "model").exists()


def test_a_base_that_is_nowhere(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, check=coded("no-such-base", "nobody/nothing")):
        merge(checkpoint, tmp_path / "model", options=Options(like="nobody/nothing"))
