"""One run, killed and gone on, with every part real: verl, Ray, FSDP2, vLLM, the nano judge in vLLM, MiniLM, images."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import pytest

from medix_r1.runs import checkpoints
from medix_r1.runs.folder import read_lines
from tests.e2e.conftest import CANARY, KEY, STEPS, FinishedRun, medix, train
from tests.support import own_code
from tests.support.old_run import recorded_files
from tests.support.pickles import pickled_names
from tests.support.trackers import TRACKERS, has_every_part_at_every_step


def samples(run: FinishedRun, step: int) -> list[dict]:
    return list(read_lines(run.folder.samples / "train" / f"{step:06d}.jsonl"))


def test_it_finishes_and_shows_every_step(run: FinishedRun) -> None:
    assert run.exit_code == 0, run.output
    for step in range(1, STEPS + 1):
        assert f"{step}/{STEPS}" in run.output
    assert "finished" in run.output
    assert "Traceback" not in run.output


def test_every_step_trains_whole_groups_with_images(run: FinishedRun) -> None:
    for step in range(1, STEPS + 1):
        rows = samples(run, step)
        assert len(rows) == 40
        assert len({row["uid"] for row in rows}) == 8
        assert sum(bool(row["reply"]) for row in rows) >= 36  # at T=1 a policy may end at once
        assert {row["masked"] for row in rows} == {False}
    metrics = run.folder.metrics_by_step()
    assert all(metrics[step]["actor/grad_norm"] > 0 for step in range(1, STEPS + 1))


def test_the_judge_is_asked_and_the_reward_is_the_weighted_sum(run: FinishedRun) -> None:
    weights = {"llm": 0.5175, "embed": 0.3375, "format": 0.10, "modality": 0.045}
    rows = [row for step in range(1, STEPS + 1) for row in samples(run, step)]
    assert any(row["reasons"]["llm"].startswith("judge: ") for row in rows)
    for row in rows:
        expected = math.fsum(weight * row["parts"][name] for name, weight in weights.items())
        assert row["overall"] == pytest.approx(expected)


def test_each_reply_is_updated_by_its_own_reward(run: FinishedRun) -> None:
    """Upstream defect 13 gave rewards to other places; GRPO's advantage, by hand, from the rewards in the samples."""
    for step in range(1, STEPS + 1):
        groups: dict[str, list[dict]] = {}
        for row in samples(run, step):
            groups.setdefault(row["uid"], []).append(row)
        for rows in groups.values():
            rewards = [row["overall"] for row in rows]
            for row in rows:
                expected = (row["overall"] - statistics.fmean(rewards)) / (statistics.stdev(rewards) + 1e-6)
                assert row["advantage"] == pytest.approx(expected, abs=1e-4)


def test_a_users_file_is_copied_and_loaded_by_every_process(run: FinishedRun) -> None:
    (copy,) = run.folder.code.glob("*.py")
    assert copy.read_text(encoding="utf-8") == Path(own_code.__file__).read_text(encoding="utf-8")
    loaded = [line.split() for line in (run.folder.root / own_code.FILE).read_text(encoding="utf-8").splitlines()]
    assert len(loaded) >= 2 * 5  # of two attempts: driver, trainer, reward worker, agent loop, FSDP rank, vLLM's server
    assert {program for _, program, _ in loaded} >= {"driver.py", "default_worker.py"}
    assert "0" in {rank for _, _, rank in loaded}


def test_a_users_monitor_scores_every_reply(run: FinishedRun) -> None:
    for row in samples(run, STEPS):
        count = len((row["answer"] or "").split())
        assert (row["parts"]["words"], row["reasons"]["words"]) == (float(count <= 2), f"{count} words")


@pytest.mark.parametrize("tracker", TRACKERS)
def test_every_tracker_has_every_part_at_every_step(run: FinishedRun, tracker: str) -> None:
    """With masked samples: tests/acceptance/test_gspo_two_ranks.py."""
    has_every_part_at_every_step(run.folder, tracker)


def test_both_held_out_sets_are_validated_and_named(run: FinishedRun) -> None:
    metrics = run.folder.metrics_by_step()[0]
    for source in ("heldout_views", "heldout_sources"):
        assert 0.0 < metrics[f"heldout/{source}/overall/mean"] < 1.0
        assert f"held-out {source}" in run.output


def test_the_warm_start_already_has_the_format(run: FinishedRun) -> None:
    assert run.folder.metrics_by_step()[0]["heldout/heldout_views/format/mean"] >= 0.8


def test_actor_and_vllm_agree_on_probabilities(run: FinishedRun) -> None:
    metrics = run.folder.metrics_by_step()
    assert all(metrics[step]["training/rollout_probs_diff_mean"] < 1e-5 for step in range(1, STEPS + 1))


def test_checkpoints_are_whole(run: FinishedRun) -> None:
    folders = checkpoints.all_folders(run.folder.checkpoints)
    assert [checkpoints.step_of(folder) for folder in folders] == [1, 2, 3, 4]
    assert all(checkpoints.is_whole(folder) for folder in folders)


def test_a_checkpoint_is_as_it_was_and_names_no_module_of_ours(run: FinishedRun) -> None:
    """A pickle that did would not load any more once the module has moved."""
    folder = run.folder.checkpoints / f"global_step_{STEPS}"
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert files == {*recorded_files(), checkpoints.MANIFEST}
    pickles = [name for name in files if name.endswith(".pt")]
    assert len(pickles) == 4
    for name in pickles:
        assert not [named for named in pickled_names(folder / name) if named.startswith("medix_r1")], name


def test_no_key_reaches_any_file_or_the_terminal(run: FinishedRun) -> None:
    assert CANARY not in run.output
    files = [path for path in run.folder.root.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path


def test_the_same_command_again_has_nothing_to_do(run: FinishedRun, nano_overrides: list[str]) -> None:
    attempts = run.folder.attempts
    again = train(run.folder.root, nano_overrides, environment=KEY)
    assert again.exit_code == 0
    assert str(run.folder.root) in again.output
    assert run.folder.attempts == attempts


def test_an_unsafe_change_is_shown_and_refused(run: FinishedRun, nano_overrides: list[str]) -> None:
    changed = ["data.train_batch_size=16", "trainer.total_training_steps=8"]
    again = train(run.folder.root, [*nano_overrides, *changed], environment=KEY)
    assert again.exit_code == 1
    assert "data.train_batch_size: 8 -> 16" in again.output


def test_merged_folder_answers_a_held_out_question(run: FinishedRun, demo: Path, tmp_path: Path) -> None:
    code, output = medix("merge", str(run.folder.root), "--out", str(tmp_path / "merged"))
    assert code == 0, output
    import io

    import pyarrow.parquet as parquet
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(tmp_path / "merged")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged").float()
    row = parquet.read_table(demo / "data" / "heldout_views.parquet").to_pylist()[0]
    question = row["prompt"][0]["content"].removeprefix("<image>")
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    image = Image.open(io.BytesIO(row["images"][0]["bytes"]))
    inputs = processor(text=[text], images=[image], return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    reply = processor.tokenizer.decode(tokens, skip_special_tokens=True)
    assert "<answer>" in reply
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["model_type"] == "qwen3_vl"
