"""A step of one rank in three phases: the reference's log-probs, the old log-probs, one update; and their peaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig
from torch._subclasses.fake_tensor import FakeTensorMode

from medix_r1.training.preflight.machine.micro_batch import MicroBatch, Stages
from medix_r1.training.simulation import stand_ins
from medix_r1.training.simulation.asked import DENSE
from medix_r1.training.simulation.counting import LivingBytes, Peak
from medix_r1.training.simulation.engine import SimulatedEngine, build

SHARDS, GRADIENTS, OPTIMIZER = "parameters", "gradients", "optimizer"


@dataclass(frozen=True, slots=True)
class Phase:
    """Peak of a phase by part, in bytes of the GPU."""

    peak: Peak
    host: int  # bytes of parts that are offloaded in this phase


class Simulation:
    """Simulates the phases of a config one after another.

    Args:
        config: a composed training config.
        hf_config: the model's, whose attention is one of the stand-ins'.
        stages: sizes of the micro-batches.
        flash: whether flash-attn is there.
        say: is told what begins.
    """

    def __init__(
        self, config: DictConfig, hf_config: Any, stages: Stages, flash: bool, say: Callable[[str], None]
    ) -> None:
        self._config, self._hf_config, self._stages, self._flash, self._say = config, hf_config, stages, flash, say
        self._shapes = stand_ins.Shapes()
        self._shapes.dense_mask = hf_config._attn_implementation == DENSE
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def run(self) -> Mapping[str, Phase]:
        """Name of a phase → its peak."""
        stand_ins.install_attention()
        stand_ins.install_values(self._shapes)
        self._say("builds the actor")
        engine = build(self._config, self._hf_config, self._fake)
        found: dict[str, Phase] = {}
        with (
            self._fake,
            LivingBytes(self._hf_config.get_text_config().vocab_size) as living,
            stand_ins.cuda_autocast(),
            stand_ins.log_probs(self._flash),
        ):
            actor = self._config.actor_rollout_ref.actor.fsdp_config
            living.name(SHARDS, engine.module.parameters())
            living.name("buffers", engine.module.buffers())
            self._optimizer_states(engine, living)
            away = {OPTIMIZER} if actor.optimizer_offload else set()
            if self._stages.reference is not None:
                self._say("computes the reference's log-probs")
                # With LoRA it is the actor without adapters. Else it has the same layers, and its shards are the host's
                # (CPUOffloadPolicy), as the actor's are if it offloads them.
                lora = bool(self._config.actor_rollout_ref.model.lora_rank)
                without = {SHARDS} if actor.param_offload and not lora else set()
                found["reference log-probs"] = self._log_probs(
                    engine, living, self._stages.reference, entropy=False, away=away | without
                )
            self._say("computes the old log-probs")
            found["old log-probs"] = self._log_probs(engine, living, self._stages.log_probs, entropy=True, away=away)
            self._say("updates the actor")
            found["update"] = self._update(engine, living)
        return found

    def _optimizer_states(self, engine: SimulatedEngine, living: LivingBytes) -> None:
        """Let the optimizer make its states, from gradients of zeros."""
        trained = [parameter for parameter in engine.module.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        engine.optimizer.step()
        states = engine.optimizer.state.values()
        living.name(OPTIMIZER, (value for state in states for value in state.values() if torch.is_tensor(value)))
        engine.optimizer.zero_grad()

    def _log_probs(
        self, engine: SimulatedEngine, living: LivingBytes, batch: MicroBatch, *, entropy: bool, away: set[str]
    ) -> Phase:
        engine.module.eval()
        living.restart()
        with torch.no_grad():
            self._forward(engine, living, batch, entropy=entropy)
        engine.module.reshard()
        return _without(living.peak, away)

    def _update(self, engine: SimulatedEngine, living: LivingBytes) -> Phase:
        """The last micro-batch of a mini-batch: gradients of the ones before are there."""
        actor = self._config.actor_rollout_ref.actor
        engine.module.train()
        deferred = bool(actor.fsdp_config.use_no_sync_for_gradient_accumulation)
        entropy = bool(actor.calculate_entropy or actor.entropy_coeff)
        living.restart()
        for last in (False, True) if deferred else (True,):
            if not deferred:
                for parameter in engine.module.parameters():
                    if parameter.requires_grad:
                        parameter.grad = torch.zeros_like(parameter)
                living.name(GRADIENTS, (parameter.grad for parameter in engine.module.parameters()))
            with engine._gradient_sync_context(is_last_micro_batch=last):
                loss = self._forward(engine, living, self._stages.update, entropy=entropy)
                with living.counted_as("backward pass"):
                    loss.backward()
            del loss
        living.name(GRADIENTS, (parameter.grad for parameter in engine.module.parameters()))
        with living.counted_as("optimizer's step"):
            self._clip_and_step(engine)
        return _without(living.peak, set())

    def _clip_and_step(self, engine: SimulatedEngine) -> None:
        """As verl's `optimizer_step`, which asks whether the norm is finite."""
        from verl.utils.fsdp_utils import fsdp2_clip_grad_norm_

        norm = fsdp2_clip_grad_norm_(engine.module.parameters(), max_norm=engine.optimizer_config.clip_grad)
        del norm
        engine.optimizer.step()
        engine.optimizer.zero_grad()

    def _forward(self, engine: SimulatedEngine, living: LivingBytes, batch: MicroBatch, *, entropy: bool) -> Any:
        with living.counted_as("inputs"):
            inputs = self._inputs(batch)
        chosen = torch.autocast("cpu", dtype=engine._autocast_dtype)
        with nullcontext() if engine._autocast_dtype == torch.float32 else chosen:
            with living.counted_as("activations"):
                fused = bool(self._config.actor_rollout_ref.model.use_fused_kernels)
                labels = torch.zeros(batch.tokens, dtype=torch.long)
                if fused:
                    inputs |= {"temperature": 1.0, "return_dict": True, "shift_labels": labels[None]}
                out = engine.module(**inputs, use_cache=False)
            with living.counted_as("log-probs"):
                if fused:
                    return out.log_probs.float().mean()
                return self._loss(engine, out.logits.flatten(0, 1), labels, entropy)

    def _loss(self, engine: SimulatedEngine, logits: Any, labels: Any, entropy: bool) -> Any:
        from verl.workers.engine.fsdp import transformer_impl

        loss = engine.compute_entropy_from_logits(logits).float().mean() if entropy else 0.0
        found = transformer_impl.logprobs_from_logits(logits=logits, labels=labels, inplace_backward=not entropy)
        return loss + found.float().mean()

    def _inputs(self, batch: MicroBatch) -> dict[str, Any]:
        rows = batch.rows if batch.padded else 1
        length = batch.tokens // rows
        self._shapes.pictures = _pictures(batch, self._hf_config.vision_config)
        inputs: dict[str, Any] = {
            "input_ids": torch.zeros(rows, length, dtype=torch.long),
            "position_ids": torch.zeros(4, rows, length, dtype=torch.long),
            "attention_mask": None,
        }
        if batch.pictures:
            vision = self._hf_config.vision_config
            channels = getattr(vision, "in_channels", None) or getattr(vision, "in_chans", 3)
            width = channels * vision.temporal_patch_size * vision.patch_size**2
            inputs["pixel_values"] = torch.zeros(self._shapes.pictures.patches, width)
            inputs["image_grid_thw"] = torch.zeros(len(batch.pictures), 3, dtype=torch.long)
        return inputs


def _pictures(batch: MicroBatch, vision: Any) -> stand_ins.Pictures:
    """As squares as the number of tokens allows."""
    merged = vision.spatial_merge_size
    grids = []
    for tokens in batch.pictures:
        high = next(side for side in range(int(tokens**0.5), 0, -1) if tokens % side == 0)
        grids.append((1, merged * high, merged * tokens // high))
    return stand_ins.Pictures(tuple(grids), sum(batch.pictures))


def _without(peak: Peak, away: set[str]) -> Phase:
    """A peak without the parts that are offloaded."""
    host = sum(size for part, size in peak.parts.items() if part in away)
    return Phase(Peak(peak.bytes - host, {part: size for part, size in peak.parts.items() if part not in away}), host)
