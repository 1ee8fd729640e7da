"""The model card says what is known, admits what is not, and is a card that the hub accepts."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from medix_r1.checkpoints.model_card import base_model, model_card
from medix_r1.host.yaml_text import parse_yaml

CONFIG = """
run: {name: nano_cpu, seed: 7}
algorithm: {adv_estimator: grpo}
data: {train_batch_size: 24, train_files: [TRAIN, gone.parquet]}
actor_rollout_ref:
  model: {path: BASE}
  rollout: {n: 5}
  actor: {optim: {lr: 0.0002}, policy_loss: {loss_mode: gspo}}
reward: {weights: {llm: 0.6, format: 0.4}, think_element: think}
judge: {client: {model: some-judge}}
embedder: {model: some-embedder}
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints" / "global_step_5"
    folder.mkdir(parents=True)
    return folder


def write_run(root: Path, base: str) -> None:
    (root / "train.parquet").write_bytes(b"rows")
    text = CONFIG.replace("TRAIN", str(root / "train.parquet")).replace("BASE", base)
    (root / "config.yaml").write_text(text)
    (root / "metrics").mkdir()
    steps = [
        {"step": 4, "data": {"reward/overall/mean": 0.25, "heldout/views/exact/mean": 0.5}},
        {"step": 5, "data": {"reward/overall/mean": 0.75, "timing_s/step": 3.0}},
        {"step": 6, "data": {"reward/overall/mean": 0.99}},
    ]
    (root / "metrics" / "attempt_001.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))


def front_matter(card: str) -> dict[str, object]:
    found = parse_yaml(card.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_the_card_says_what_the_model_is(tmp_path: Path, checkpoint: Path) -> None:
    write_run(tmp_path, "Qwen/Qwen3-VL-8B-Instruct")

    card = model_card(checkpoint, dtype="bfloat16")

    for fact in (
        *("nano_cpu, step 5", "grpo with the gspo loss, 24 prompts x 5", "0.6 llm + 0.4 format", "weights in bfloat16"),
        f"| `{tmp_path / 'train.parquet'}` | `{hashlib.sha256(b'rows').hexdigest()}` |",
        "| `gone.parquet` | unknown: ",
        "| reward | overall | 0.750 | 5 |",  # of this step, not of a later one
        "| heldout/views | exact | 0.500 | 4 |",  # the last time it was scored
        *("medical device", "limits"),
    ):
        assert fact in card
    assert front_matter(card)["base_model"] == "Qwen/Qwen3-VL-8B-Instruct"


def test_the_licence_is_that_of_the_base_model(tmp_path: Path, checkpoint: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: cc-by-nc-sa-4.0\n---\n# A model\n")
    write_run(tmp_path, str(base))

    card = model_card(checkpoint, dtype="float32")

    assert "(`cc-by-nc-sa-4.0` " in card
    assert "base_model" not in front_matter(card)  # a folder is no hub name, and the hub would refuse the card


def test_the_card_admits_what_it_does_not_know(checkpoint: Path) -> None:
    card = model_card(checkpoint, dtype="float32", is_adapter=True)

    assert "| base model | `unknown` |" in card
    assert "\nUnknown: " in card
    assert "| where | signal |" not in card
    assert front_matter(card)["library_name"] == "peft"


def test_relative_paths_are_found_from_any_folder(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("started_here", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_run(tmp_path, "models/base")
    base = tmp_path / "started_here" / "models" / "base"
    base.mkdir(parents=True)
    (base / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    (tmp_path / "provenance.json").write_text(json.dumps({"directory": str(tmp_path / "started_here")}))

    assert base_model(checkpoint) == str(base)
    assert "(`mit` " in model_card(checkpoint, dtype="float32")


def test_relative_paths_of_an_older_run_are_looked_for_above_it(tmp_path: Path, checkpoint: Path) -> None:
    write_run(tmp_path, "models/base")
    (tmp_path / "models" / "base").mkdir(parents=True)

    assert base_model(checkpoint) == str(tmp_path / "models" / "base")


def test_a_hub_name_stays_one(tmp_path: Path, checkpoint: Path) -> None:
    write_run(tmp_path, "Qwen/Qwen3-VL-8B-Instruct")
    assert base_model(checkpoint) == "Qwen/Qwen3-VL-8B-Instruct"


def test_no_fact_ends_its_cell_or_the_front_matter(tmp_path: Path, checkpoint: Path) -> None:
    hostile = "x`|<script>\n---\nlicense: mit\n\x1b[2J"
    config = {"run": {"name": hostile}, "judge": {"client": {"model": hostile}}, "data": {"train_files": [hostile]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    card = model_card(checkpoint, dtype="float32")

    assert front_matter(card)["license"] == "other"
    assert card.count("\n---\n") == 1
    assert not any(text in card for text in ("<script>", "\x1b", "x`|"))
