"""`check --simulate` at real width and four layers: what it tells apart, and how it says that it could not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medix_r1.errors import ConfigError, TrainingError
from medix_r1.training.preflight.machine import memory
from medix_r1.training.preflight.model import known_models
from medix_r1.training.simulation.run import Simulated, simulate
from tests.support.configs import composed
from tests.support.problems import coded, only

LAYERS = 4
TOKENS, VOCABULARY = 16_896, 151_936
BASE = ("experiment=medix_r1_2b_dapo",)
_MODEL = "actor_rollout_ref.model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-VL-2B's config with fewer layers, and no weights."""
    known = known_models.find("Qwen/Qwen3-VL-2B-Instruct")
    assert known is not None
    config = json.loads(json.dumps(known.config))
    config["text_config"]["num_hidden_layers"] = config["vision_config"]["depth"] = LAYERS
    config["vision_config"]["deepstack_visual_indexes"] = [0, 1, 2]
    path = tmp_path_factory.mktemp("model")
    (path / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen3VLForConditionalGeneration"]}))
    return path


def simulated(folder: Path, *overrides: str, pictures: int | None = None) -> Simulated:
    lines: list[str] = []
    found = simulate(composed(*BASE, f"{_MODEL}.path={folder}", *overrides), lines.append, pictures=pictures)
    assert lines[0].endswith("imports verl and transformers"), "progress is told"
    return found


@pytest.fixture(scope="module")
def plain(folder: Path) -> Simulated:
    return simulated(folder)


def test_parts_are_exact_where_arithmetic_tells_them(plain: Simulated) -> None:
    update = plain.phases["update"].parts
    assert update["gradients"] == pytest.approx(update["parameters"], rel=0.001)
    assert update["optimizer"] == pytest.approx(2 * update["parameters"], rel=0.001)
    assert update["logits"] == pytest.approx(2 * TOKENS * VOCABULARY, rel=0.001), (
        "one copy in bf16: gradients replace it"
    )


def test_the_quick_estimate_agrees(folder: Path, plain: Simulated) -> None:
    config = composed(*BASE, f"{_MODEL}.path={folder}")
    found = memory.estimate(memory.size_of(folder), config, 0.0)
    assert sum(found.update.values()) == pytest.approx(plain.phases["update"].bytes, rel=0.1)
    assert sum(found.log_probs.values()) == pytest.approx(plain.phases["old log-probs"].bytes, rel=0.1)


def test_what_is_offloaded_is_the_hosts(folder: Path, plain: Simulated) -> None:
    kept = plain.phases["old log-probs"]
    assert (kept.host, kept.parts["optimizer"]) == (0, plain.phases["update"].parts["optimizer"])
    offloaded = simulated(folder, "actor_rollout_ref.actor.fsdp_config.optimizer_offload=true")
    log_probs = offloaded.phases["old log-probs"]
    assert "optimizer" not in log_probs.parts
    assert log_probs.host == offloaded.phases["update"].parts["optimizer"]
    assert sum(log_probs.parts.values()) == log_probs.bytes == kept.bytes - kept.parts["optimizer"]


def test_without_flash_attention_gradients_of_logits_and_a_mask_come_on_top(folder: Path, plain: Simulated) -> None:
    dense = simulated(folder, f"+{_MODEL}.override_config.attn_implementation=sdpa")
    chunks = 3 * 4 / 16  # copies in fp32 of a sixteenth
    assert dense.phases["update"].parts["logits"] == pytest.approx((2 + 2 + chunks) * TOKENS * VOCABULARY, rel=0.02)
    assert dense.phases["update"].bytes - plain.phases["update"].bytes > TOKENS * VOCABULARY
    assert dense.stand_ins != plain.stand_ins
    packed = simulated(folder, f"+{_MODEL}.override_config.attn_implementation=torch_varlen")
    assert packed.phases["update"].bytes < dense.phases["update"].bytes
    assert dense.stand_ins != plain.stand_ins


def test_deferred_synchronisation_keeps_whole_gradients(folder: Path, plain: Simulated) -> None:
    key = "actor_rollout_ref.actor.fsdp_config.use_no_sync_for_gradient_accumulation"
    deferred, eager = simulated(folder, f"{key}=true").phases["update"], plain.phases["update"]
    whole = 8 * eager.parts["parameters"]
    assert 0.4 * whole < deferred.bytes - eager.bytes < 2.5 * whole


def test_fused_kernels_make_no_logits(folder: Path, plain: Simulated) -> None:
    fused = simulated(folder, f"{_MODEL}.use_fused_kernels=true")
    assert fused.phases["update"].bytes < plain.phases["update"].bytes - TOKENS * VOCABULARY
    assert fused.phases["update"].parts.get("logits", 0) < plain.phases["update"].parts["logits"] / 2


def test_pictures_of_a_micro_batch_count(folder: Path, plain: Simulated) -> None:
    one = simulated(folder, pictures=1)
    assert len(plain.stages.update.pictures) == 4
    assert one.phases["update"].bytes < plain.phases["update"].bytes


def test_adapters_alone_have_gradients_and_moments(folder: Path, plain: Simulated) -> None:
    lora = simulated(folder, "lora=rank64").phases["update"]
    assert lora.parts["optimizer"] < plain.phases["update"].parts["optimizer"] / 4
    assert lora.bytes < plain.phases["update"].bytes


def test_a_failure_is_one_line(folder: Path) -> None:
    with pytest.raises(TrainingError, check=coded("simulation-failed", "nowhere_proj")) as raised:
        simulated(folder, "lora=rank64", f"{_MODEL}.target_modules=[nowhere_proj]")
    assert "\n" not in str(raised.value)


def test_what_cannot_be_simulated_is_refused_before_anything_starts() -> None:
    words = ("actor_rollout_ref.actor.strategy=fsdp", "looking_loss.coefficient=0.1", f"{_MODEL}.path=/nowhere/at/all")
    wanted = [("actor_rollout_ref.actor.strategy", "not-simulated"), ("looking_loss.coefficient", "not-simulated")]
    config = composed(*BASE, *words)
    with pytest.raises(ConfigError, check=only(*wanted, (f"{_MODEL}.path", "no-such-model"))):
        simulate(config, print)
