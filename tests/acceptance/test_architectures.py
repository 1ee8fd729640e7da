"""A nano twin of each architecture takes a real training step in verl's engine, and vLLM knows the architecture.

SmolVLM2 loads and runs forward, and vLLM knows it, but verl 0.9.1 cannot train it: see the last test.
"""

from pathlib import Path

import pytest

from medix_r1.demo.rows import labels
from tests.support.engine_probe import probe
from tools.nano.twins import TWINS, build_twin

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

NOW = "actor_rollout_ref.actor.optim.lr_warmup_steps=0"
FROZEN = "actor_rollout_ref.actor.freeze_vision_tower=true"
TRAINABLE = ("qwen3_vl_moe", "qwen2_5_vl")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    for architecture in TWINS:
        build_twin(folder / architecture, architecture, labels.load())
    return folder


@pytest.mark.parametrize("architecture", TRAINABLE)
def test_a_step_changes_language_and_vision(twins: Path, architecture: str) -> None:
    report = probe(twins / architecture, NOW)

    assert report["grad_norm"] > 0
    assert any(".visual." in name for name in report["changed"])
    assert any("lm_head" in name for name in report["changed"])


@pytest.mark.parametrize("architecture", TRAINABLE)
def test_a_frozen_tower_stays(twins: Path, architecture: str) -> None:
    report = probe(twins / architecture, NOW, FROZEN)

    assert report["grad_norm"] > 0
    assert not any(".visual." in name for name in report["changed"])


@pytest.mark.parametrize("architecture", TRAINABLE)
def test_lora_trains_adapters_only(twins: Path, architecture: str) -> None:
    report = probe(twins / architecture, NOW, "lora=rank64")

    assert report["changed"]
    assert all(".lora_" in name for name in report["changed"])


@pytest.mark.parametrize("architecture", TWINS)
def test_it_loads_and_sees_a_picture(twins: Path, architecture: str) -> None:
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(twins / architecture)
    model = AutoModelForImageTextToText.from_pretrained(twins / architecture, dtype=torch.float32)
    content = [{"type": "image"}, {"type": "text", "text": "Which view is this?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    logits = []
    for colour in ("red", "white"):
        inputs = processor(text=[text], images=[Image.new("RGB", (96, 96), colour)], return_tensors="pt")
        with torch.no_grad():
            logits.append(model(**inputs).logits[0, -1])

    assert torch.isfinite(logits[0]).all()
    assert not torch.equal(*logits)


@pytest.mark.parametrize("architecture", TWINS)
def test_vllm_knows_the_architecture(twins: Path, architecture: str) -> None:
    from transformers import AutoConfig
    from vllm.model_executor.models import ModelRegistry

    (name,) = AutoConfig.from_pretrained(twins / architecture).architectures
    assert name in ModelRegistry.get_supported_archs()


def test_verl_has_no_processor_for_smolvlm(twins: Path) -> None:
    """It warns, goes on without one, and would train on text alone; when this fails, docs/models.md is out of date."""
    from verl.utils import hf_processor

    with pytest.warns(UserWarning, match="Unsupported processor type: SmolVLMProcessor"):
        assert hf_processor(str(twins / "smolvlm2")) is None
