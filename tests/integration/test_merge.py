"""`medix-r1 merge` on checkpoints that verl's own checkpoint manager saved from real FSDP models over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.verification import logits as verify
from medix_r1.errors import CheckpointError
from tests.support.fsdp_save import CASES, checkpoint_of
from tests.support.problems import coded

WHOLE = [name for name, case in CASES.items() if not case.lora]
BF16 = Options(dtype="bf16")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder for each case, and in it what verl's own merger makes of it."""
    root = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VERL_PLATFORM": "cpu"}
    command = [sys.executable, "-m", "tests.support.verl_merge", str(root), *CASES]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return root


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def load(folder: Path) -> torch.nn.Module:
    kind = AutoModelForImageTextToText if (folder / "processor_config.json").exists() else AutoModelForCausalLM
    return kind.from_pretrained(folder).eval()


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.view(torch.uint8), other.view(torch.uint8))
    )


@pytest.mark.parametrize("name", WHOLE)
def test_bit_equal_to_verls_own_merger(runs: Path, tmp_path: Path, name: str) -> None:
    merge(runs / name, tmp_path / "out", options=BF16)

    mine, theirs = weights(tmp_path / "out"), weights(runs / name / "verl")
    if name == "moe":  # verl writes the layout of transformers 5, which no other reader knows
        theirs = {
            key: value.transpose(1, 2).contiguous() if value.ndim == 3 else value for key, value in theirs.items()
        }
    assert mine.keys() == theirs.keys()
    assert [key for key in mine if not same_bits(mine[key], theirs[key])] == []
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {path.name for path in (runs / name / "verl").iterdir()}


@pytest.mark.parametrize("name", ["one", "two", "three", "four", "hybrid", "replicated", "tied", "moe", "moe_text"])
def test_answers_as_the_sharded_model_did(runs: Path, tmp_path: Path, name: str) -> None:
    merge(runs / name, tmp_path / "out", options=Options(verify=True))

    truth = torch.load(runs / name / "logits.pt")
    with torch.no_grad():
        logits = load(tmp_path / "out")(input_ids=truth["input_ids"], use_cache=False).logits
    torch.testing.assert_close(logits, truth["logits"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["three", "bf16", "fsdp1_one", "fsdp1_two", "fsdp1_three", "fsdp1_hybrid"])
def test_every_parameter_keeps_the_dtype_and_the_bits_it_was_trained_in(runs: Path, tmp_path: Path, name: str) -> None:
    merge(runs / name, tmp_path / "out")

    mine, full = weights(tmp_path / "out"), torch.load(runs / name / "full.pt")
    assert mine.keys() == full.keys()
    assert [key for key in full if not same_bits(mine[key], full[key])] == []
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == CASES[name].dtype


def test_one_of_two_tied_weights_is_written(runs: Path, tmp_path: Path) -> None:
    merge(runs / "tied", tmp_path / "out")

    assert "lm_head.weight" not in weights(tmp_path / "out")
    model = load(tmp_path / "out")
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight


@pytest.mark.parametrize("name", ["lora", "fsdp1_lora"])
def test_an_adapter_is_merged_in(runs: Path, tmp_path: Path, name: str) -> None:
    merge(runs / name, tmp_path / "out", options=Options(verify=True))

    truth = torch.load(runs / name / "logits.pt")
    base = load(runs / name / "base")
    with torch.no_grad():
        logits = load(tmp_path / "out")(input_ids=truth["input_ids"], use_cache=False).logits
        untrained = base(input_ids=truth["input_ids"], use_cache=False).logits
    torch.testing.assert_close(logits, truth["logits"], rtol=1e-3, atol=1e-3)
    assert (untrained - truth["logits"]).abs().max() > 0.1  # so the adapter does something


def test_an_adapter_is_exported_for_peft(runs: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    merge(runs / "lora", tmp_path / "out", options=Options(adapter=True, dtype="bf16"))
    theirs = load_file(runs / "lora" / "verl" / "lora_adapter" / "adapter_model.safetensors")
    mine = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert mine.keys() == theirs.keys()
    assert all(same_bits(mine[key], theirs[key]) for key in mine)

    merge(runs / "lora", tmp_path / "out", force=True, options=Options(adapter=True))
    model = PeftModel.from_pretrained(load(runs / "lora" / "base"), tmp_path / "out").eval()
    truth = torch.load(runs / "lora" / "logits.pt")
    with torch.no_grad():
        logits = model(input_ids=truth["input_ids"], use_cache=False).logits
    torch.testing.assert_close(logits, truth["logits"], rtol=1e-4, atol=1e-4)


def test_a_whole_model_has_no_adapter_to_export(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, check=coded("no-adapter")):
        merge(runs / "two", tmp_path / "out", options=Options(adapter=True))
    assert list(tmp_path.iterdir()) == []


def test_files_are_split_at_the_size_and_indexed(runs: Path, tmp_path: Path) -> None:
    merge(runs / "four", tmp_path / "out", options=Options(shard_size=2_000_000))

    files = sorted((tmp_path / "out").glob("*.safetensors"))
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert [file.name for file in files] == [
        f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)
    ]
    assert len(files) > 2
    assert all(file.stat().st_size < 2_100_000 for file in files)
    assert {name: file.name for file in files for name in load_file(file)} == index["weight_map"]
    load(tmp_path / "out")


def test_verify_sees_a_weight_that_is_not_the_trained_one(runs: Path, tmp_path: Path) -> None:
    from medix_r1.checkpoints.parameters.fsdp_shards import open_shards

    merge(runs / "two", tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    changed = load_file(file)
    changed["model.language_model.norm.weight"][0] += 0.5
    save_file(changed, file, metadata={"format": "pt"})

    actor = checkpoint_of(runs / "two") / "actor"
    with pytest.raises(CheckpointError, check=coded("answers-differently")):
        verify.compare(actor / "huggingface", open_shards(actor, 2), None, tmp_path / "out")


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with it ignored
from pathlib import Path
from medix_r1.checkpoints import merge as merging
from medix_r1.checkpoints.parameters.weights import Writer
write = Writer.write
def slowly(self, name, blocks):
    write(self, name, blocks)
    print("written", flush=True)
    time.sleep(60)
Writer.write = slowly
merging.merge(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_cut_merge_leaves_no_model_and_the_next_one_cleans_up(
    runs: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW, str(runs / "two"), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with pytest.raises(CheckpointError, check=coded("in-use")):
            merge(runs / "two", out)
        process.send_signal(how)
        process.wait(timeout=60)

    assert not out.exists()
    assert (tmp_path / ".out.merging").exists() == (how is signal.SIGKILL)
    merge(runs / "two", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_says_size_and_seconds(runs: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "medix_r1.cli",
        "merge",
        str(runs / "two"),
        "--out",
        str(tmp_path / "out"),
        "--verify",
    ]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verified, last = done.stdout.strip().splitlines()
    assert verified.startswith("transformers answers as the shards do: ")
    assert last.startswith(f"merged {checkpoint_of(runs / 'two')} into {tmp_path / 'out'}: 6.3 MB in ")
    assert 0 < float(last.split(" in ")[-1].split(" s")[0]) < time.monotonic() - started
