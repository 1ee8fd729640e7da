"""What a merge refuses, and how it behaves around the writing. What it writes: tests/integration/test_merge.py."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medix_r1.checkpoints import target
from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.source import find
from medix_r1.errors import CheckpointError, ConfigError
from medix_r1.runs import checkpoints
from tests.integration.checkpoints.plain import config, save, state_of
from tests.support.problems import coded, only


def reseal(folder: Path) -> Path:
    checkpoints.seal(folder)
    return folder


def test_a_run_means_its_newest_whole_checkpoint(tmp_path: Path) -> None:
    whole = save(tmp_path, {}, step=5)
    (save(tmp_path, {}, step=10) / checkpoints.MANIFEST).unlink()

    assert find(tmp_path) == whole
    assert find(tmp_path / "checkpoints") == whole
    assert find(whole) == whole


def test_what_is_no_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("no-such-folder")):
        find(tmp_path / "nothing")
    with pytest.raises(CheckpointError, check=coded("no-whole-checkpoint")):
        find(tmp_path)
    folder = save(tmp_path, {})
    (folder / checkpoints.MANIFEST).unlink()
    with pytest.raises(CheckpointError, check=coded("not-sealed", "--unsealed")):
        find(folder)


def test_a_checkpoint_that_lost_a_file_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, {})
    (folder / "actor" / "model_world_size_1_rank_0.pt").unlink()
    with pytest.raises(CheckpointError, check=coded("not-whole")):
        find(folder)
    with pytest.raises(CheckpointError, check=coded("files-missing", "model_world_size_1_rank_0.pt")):
        find(reseal(folder))  # whole by its manifest, and yet a shard short


def test_a_checkpoint_of_another_backend_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, {})
    (folder / "actor" / "fsdp_config.json").unlink()
    (folder / "actor" / "model_world_size_1_rank_0.pt").rename(folder / "actor" / "__0_0.distcp")
    with pytest.raises(CheckpointError, check=coded("not-fsdp")):
        find(reseal(folder))


def test_the_weights_arrive(tmp_path: Path) -> None:
    state = state_of(config())
    merge(save(tmp_path, state), tmp_path / "deep" / "model")

    written = load_file(tmp_path / "deep" / "model" / "model.safetensors")
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], state[name]) for name in state)
    assert {path.name for path in (tmp_path / "deep" / "model").iterdir()} == {
        *("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"),
        *("model.safetensors", "README.md"),
    }


def test_missing_extra_and_misshapen_parameters_are_all_named(tmp_path: Path) -> None:
    state = state_of(config())
    del state["model.norm.weight"]
    state["model.layers.0.mlp.surprise.weight"] = torch.zeros(2)
    state["lm_head.weight"] = torch.zeros(63, 32)

    wrong = ("model.norm.weight", "model.layers.0.mlp.surprise.weight", "lm_head.weight (63, 32)")
    with pytest.raises(CheckpointError, check=coded("not-a-whole-model", *wrong)):
        merge(save(tmp_path, state), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_ties(tmp_path: Path) -> None:
    tied = config(tie_word_embeddings=True)
    state = state_of(tied)
    merge(save(tmp_path, state, tied), tmp_path / "model")
    assert "lm_head.weight" not in load_file(tmp_path / "model" / "model.safetensors")

    state["lm_head.weight"] = state["lm_head.weight"] + 1
    with pytest.raises(CheckpointError, check=coded("tied-but-different", "lm_head.weight")):
        merge(save(tmp_path, state, tied), tmp_path / "other")

    del state["model.embed_tokens.weight"]  # either name will do
    merge(save(tmp_path, state, tied), tmp_path / "third")
    written = load_file(tmp_path / "third" / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(written, state["lm_head.weight"])


class Hostile:
    """Runs a command when it is unpickled by an unrestricted unpickler."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[list[str]]]:
        return subprocess.check_call, ([sys.executable, "-c", f"open({str(self.proof)!r}, 'w')"],)


def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    folder = save(tmp_path, {**state_of(config()), "model.norm.weight": Hostile(proof)})
    with pytest.raises(CheckpointError, check=coded("shard-holds-code", "rank_0.pt")):
        merge(folder, tmp_path / "model")
    assert not proof.exists()
    assert not (tmp_path / "model").exists()

    torch.load(folder / "actor" / "model_world_size_1_rank_0.pt", weights_only=False)
    assert proof.exists()  # so it would have run


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ([torch.zeros(2)], "shard-not-a-state-dict"),
        ({"model.norm.weight": 3}, "shard-holds-no-tensor"),
        ({}, "shard-not-a-state-dict"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object, code: str) -> None:
    with pytest.raises(CheckpointError, check=coded(code)):
        merge(save(tmp_path, content), tmp_path / "model")


class Made:
    """A tensor that is made when it is unpickled, so that its bytes are not those of the file."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, (torch.ones(5000), torch.float64, "cpu", False)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are given back on Linux only")
def test_a_tensor_that_is_not_mapped_from_the_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("shard-not-plain", "model.norm.weight")):
        merge(save(tmp_path, {**state_of(config()), "model.norm.weight": Made()}), tmp_path / "model")


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, state_of(config()))
    shard = folder / "actor" / "model_world_size_1_rank_0.pt"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(CheckpointError, check=coded("shard-unreadable", "rank_0.pt")):
        merge(reseal(folder), tmp_path / "model")


def test_remote_code_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, state_of(config()))
    file = folder / "actor" / "huggingface" / "config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    with pytest.raises(CheckpointError, check=coded("asks-for-code")):
        merge(reseal(folder), tmp_path / "model")

    file.write_text(json.dumps(settings))
    (folder / "actor" / "huggingface" / "evil.py").write_text("print('hello')")
    with pytest.raises(CheckpointError, check=coded("brings-code", "evil.py")):
        merge(reseal(folder), tmp_path / "model")


def test_a_value_head_is_refused_with_the_reason(tmp_path: Path) -> None:
    state = {**state_of(config()), "v_head.summary.weight": torch.zeros(1, 32)}
    with pytest.raises(CheckpointError, check=coded("not-a-whole-model", "v_head.summary.weight")):
        merge(save(tmp_path, state), tmp_path / "model")

    critic = config()
    critic.architectures = ["Qwen3ForTokenClassification"]
    with pytest.raises(CheckpointError, check=coded("not-a-generator", "Qwen3ForTokenClassification")):
        merge(save(tmp_path, state, critic), tmp_path / "model")


def lora(state: dict[str, torch.Tensor], *, rank: int = 2) -> dict[str, torch.Tensor]:
    name = "model.layers.0.self_attn.q_proj"
    out, inner = state[f"{name}.weight"].shape
    found = {
        f"base_model.model.{key}".replace(f"{name}.", f"{name}.base_layer."): value for key, value in state.items()
    }
    found[f"base_model.model.{name}.lora_A.default.weight"] = torch.randn(rank, inner)
    found[f"base_model.model.{name}.lora_B.default.weight"] = torch.randn(out, rank)
    return found


def write_meta(folder: Path, **meta: object) -> Path:
    (folder / "actor" / "lora_train_meta.json").write_text(json.dumps(meta))
    return reseal(folder)


def test_the_update_of_an_adapter_is_alpha_over_r_times_b_a(tmp_path: Path) -> None:
    state = state_of(config())
    trained = lora(state)
    merge(write_meta(save(tmp_path, trained), r=2, lora_alpha=6), tmp_path / "model")

    name = "model.layers.0.self_attn.q_proj"
    down, up = (trained[f"base_model.model.{name}.lora_{side}.default.weight"] for side in "AB")
    written = load_file(tmp_path / "model" / "model.safetensors")
    torch.testing.assert_close(written.pop(f"{name}.weight"), state[f"{name}.weight"] + 3.0 * up @ down)
    assert all(torch.equal(written[key], state[key]) for key in written)


def test_an_adapter_whose_scale_is_unknown_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, lora(state_of(config())))
    with pytest.raises(CheckpointError, check=coded("adapter-without-scale")):
        merge(folder, tmp_path / "model")
    with pytest.raises(CheckpointError, check=coded("adapter-not-a-pair")):
        merge(write_meta(folder, r=3, lora_alpha=6), tmp_path / "model")


def test_an_adapter_alone_cannot_be_merged_but_exported(tmp_path: Path) -> None:
    trained = {name: value for name, value in lora(state_of(config())).items() if "lora_" in name}
    folder = write_meta(save(tmp_path, trained), r=2, lora_alpha=6)
    with pytest.raises(CheckpointError, check=coded("adapter-alone", "--adapter")):
        merge(folder, tmp_path / "model")

    merge(folder, tmp_path / "adapter", options=Options(adapter=True))
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {name.replace(".default", "") for name in trained} == set(written)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (2, 6)
    assert settings["target_modules"] == ["model.layers.0.self_attn.q_proj"]
    assert not (tmp_path / "adapter" / "config.json").exists()


def test_an_existing_folder_is_replaced_only_by_force(tmp_path: Path) -> None:
    source, out = save(tmp_path / "run", state_of(config())), tmp_path / "model"
    merge(source, out)
    (out / "old.txt").touch()

    with pytest.raises(CheckpointError, check=coded("exists-already", "--force")):
        merge(source, out)
    assert (out / "old.txt").exists()

    merge(source, out, force=True)
    assert not (out / "old.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "run"]


def test_force_does_not_delete_what_is_no_model(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").touch()

    with pytest.raises(CheckpointError, check=coded("not-a-model-folder")):
        merge(save(tmp_path, {}), home, force=True)
    assert (home / "thesis.tex").exists()


@pytest.mark.parametrize("missing", ["chat_template.jinja", "tokenizer_config.json"])
def test_half_a_model_never_appears(tmp_path: Path, missing: str) -> None:
    folder, out = save(tmp_path, state_of(config())), tmp_path / "model"
    (folder / "actor" / "huggingface" / missing).unlink()
    with pytest.raises(CheckpointError, check=coded("files-missing", missing)):
        merge(reseal(folder), out)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_a_merge_cut_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    source, out = save(tmp_path / "run", state_of(config())), tmp_path / "model"
    merge(source, out)
    out.rename(tmp_path / ".model.replaced")
    (tmp_path / ".model.merging").mkdir()
    (tmp_path / ".model.merging" / "half.safetensors").touch()

    with pytest.raises(CheckpointError, check=coded("exists-already")):
        merge(source, out)
    assert (out / "model.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "run"]


def test_the_old_model_survives_a_merge_that_fails(tmp_path: Path) -> None:
    out = tmp_path / "model"
    merge(save(tmp_path / "run", state_of(config())), out)
    with pytest.raises(CheckpointError, check=coded("shard-not-a-state-dict")):
        merge(save(tmp_path / "bad", []), out, force=True)
    assert (out / "model.safetensors").exists()


def test_a_disk_that_is_too_small_is_known_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, check=coded("disk-too-small", "0.1 GB", "0.0 GB")):
        merge(save(tmp_path, state_of(config())), tmp_path / "model")


def test_a_value_too_large_for_float16_is_not_written_as_infinity(tmp_path: Path) -> None:
    state = state_of(config())
    state["model.norm.weight"][3] = 1e5
    with pytest.raises(CheckpointError, check=coded("overflows-float16", "model.norm.weight")):
        merge(save(tmp_path, state), tmp_path / "model", options=Options(dtype="fp16"))


def test_wrong_options_are_named_together() -> None:
    wrong = (
        ("--dtype fp8", "not-a-choice"),
        ("--shard-size 3", "not-a-size"),
        ("--verify-with all", "not-a-choice"),
        ("--verify", "adapter-cannot-answer"),
        ("--like", "adapter-has-no-settings"),
    )
    with pytest.raises(ConfigError, check=only(*wrong)):
        Options.of(dtype="fp8", shard_size="3", adapter=True, verify=False, verify_with="all", like="base")
    assert Options.of(dtype="bf16", shard_size="500mb", adapter=False, verify=False).shard_size == 500_000_000


MEASURED = """
import sys, threading
from pathlib import Path
from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024
merge(Path(sys.argv[1]), Path(sys.argv[3]))  # a small one first, so that everything is imported and started
before, peak, done = anonymous(), [0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], anonymous())
thread = threading.Thread(target=watch)
thread.start()
merge(Path(sys.argv[2]), Path(sys.argv[4]), options=Options(dtype="fp32"))
done.set()
thread.join()
print(peak[0] - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads RssAnon from /proc")
def test_memory_is_bounded_by_the_largest_parameter_and_not_by_the_model(tmp_path: Path) -> None:
    large = config(vocab_size=4096, hidden_size=512, intermediate_size=2048, num_hidden_layers=16, head_dim=64)
    state = {name: value.half() for name, value in state_of(large).items()}
    largest = 4 * max(value.numel() for value in state.values())
    total = 4 * sum(value.numel() for value in state.values())
    paths = [save(tmp_path / "small", state_of(config())), save(tmp_path / "large", state, large)]
    command = [sys.executable, "-c", MEASURED, *map(str, paths), str(tmp_path / "one"), str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert total > 200_000_000  # so the bound says something
    assert int(done.stdout.split()[-1]) < 2 * largest + 64_000_000
