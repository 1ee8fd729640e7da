"""What counts in a run, a line each: reward, judge, algorithm, lengths, images, placement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from medix_r1.rewards.calibration import pays_to_abstain_below
from medix_r1.rewards.calibration_bounds import calibrated, weight_in
from medix_r1.serving.checks import is_used, members
from medix_r1.training.preflight.machine.group_tokens import most_bytes
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.each_row import image_limit
from medix_r1.training.preflight.rows.lengths import token_side


def summary(config: DictConfig) -> dict[str, str]:
    """Name → explanation, for the first table of `medix-r1 check`."""
    rows = {
        "reward": _reward(config),
        "reply": _reply(config),
        "judge": _judge(config),
        "embedder": _embedder(config),
        "algorithm": _algorithm(config),
        "model": _model(config),
        "data": _data(config),
        "lengths": _lengths(config),
        "images": _images(config),
        "placement": _placement(config),
        "schedule": _schedule(config),
        "looking": _looking(config),
        "tokens kept": _tokens(config),
    }
    return {name: text for name, text in rows.items() if text}


def _reward(config: DictConfig) -> str:
    reward = config.reward
    there = [name for name, node in reward.signals.items() if node is not None]
    weighted = [f"{name} {weight:g}" for name, weight in reward.weights.items() if weight]
    monitors = [name for name in there if not reward.weights.get(name)]
    parts = [" + ".join(weighted)]
    parts += [f"monitors: {', '.join(monitors)}"] if monitors else []
    parts += [f"gate: {reward.gate}"] if reward.gate else []
    parts += [f"{name} after {', '.join(needs)}" for name in there if (needs := reward.signals[name].get("needs"))]
    parts += list(_abstaining(reward))
    parts += [f"other weights by {kind}: {', '.join(table)}" for kind, table in reward.weight_tables.items() if table]
    return "; ".join(parts)


def _abstaining(reward: DictConfig) -> Iterator[str]:
    """Below which probability of being right an answer that says it does not know is worth more."""
    if (value := reward.abstain.value) is None:
        return
    node: Any = OmegaConf.to_container(reward, resolve=True)
    weights = [weight_in(node, name) for name in calibrated(node)]
    limit = pays_to_abstain_below(max(weights, default=0.0), weight_in(node, "llm"), value)
    yield f"saying that it does not know pays below P(right) {limit:.2g}, by llm and calibration alone"


def _reply(config: DictConfig) -> str:
    reward = config.reward
    own = f", after the model's own <{reward.prefilled_element}> block" if reward.prefilled_element else ""
    cut = {"reward": "scored as it is", "zero": "scored 0", "mask": "masked"}.get(reward.overlong, reward.overlong)
    return f"<TAG><{reward.think_element}>…<answer>…{own}; parser {reward.parser}; cut at the limit: {cut}"


def _judge(config: DictConfig) -> str:
    if not is_used(config, "judge"):
        return "none"
    asked = [
        f"{_role(key)}{member['model']} at {', '.join([member['base_url'], *member.get('base_urls', ())])}, prompt "
        f"{member['prompt']}, {member['mode']}"
        for key, member in members(config.judge.client)
        if "prompt" in member and "mode" in member
    ]
    if {"low", "high", "audit_share"} <= config.judge.client.keys():
        node = config.judge.client
        asked.append(f"the strong one from P(YES) {node.low:g} to {node.high:g} and for {node.audit_share:.3g} of all")
    started = "; started by the run" if config.judge.server is not None else ""
    return ("; ".join(asked) or str(config.judge.client.get("_target_"))) + started


def _role(key: str) -> str:
    """The part of a cascade that a judge's key names, in front of its model."""
    parts = [part for part in key.split(".") if part in ("small", "strong")]
    return f"{' '.join(parts)}: " if parts else ""


def _embedder(config: DictConfig) -> str:
    if not is_used(config, "embedder"):
        return "none"
    node, signal = config.embedder, config.reward.signals.get("embed")
    where = f" at {node.base_url}" if node.get("base_url") else f" on {node.get('device') or 'any device'}"
    how = ""
    if signal is not None and "mode" in signal:
        how = f", threshold {signal.threshold:g}" if signal.mode == "threshold" else f", {signal.mode}"
    return f"{node.get('model')}{where}{how}"


def _algorithm(config: DictConfig) -> str:
    return ", ".join(_algorithm_parts(config))


def _algorithm_parts(config: DictConfig) -> Iterator[str]:
    actor, filtered = config.actor_rollout_ref.actor, config.trainer.v1.sampler.sampler_kwargs.filter
    yield f"advantages {config.algorithm.adv_estimator}"
    yield f"loss {actor.policy_loss.loss_mode} ({actor.loss_agg_mode})"
    yield f"clip {actor.clip_ratio_low:g} to {actor.clip_ratio_high:g}"
    yield f"KL loss {actor.kl_loss_coef:g} ({actor.kl_loss_type})" if actor.use_kl_loss else "no KL loss"
    if (looking := config.looking_loss).coefficient:
        yield f"looking term {looking.coefficient:g}, up to {looking.bound:g} nats a token; an update takes two passes"
    yield f"learning rate {actor.optim.lr:g}"
    correction = config.algorithm.get("rollout_correction")
    if correction is not None and correction.rollout_is is not None:
        yield f"{correction.rollout_is} weights up to {correction.rollout_is_threshold} correct for vLLM"
    if correction is not None and correction.rollout_rs is not None:
        yield f"rejected by {correction.rollout_rs} ({correction.rollout_rs_threshold})"
    if filtered.signal is not None:
        within = f" within ({filtered.low}, {filtered.high})" if (filtered.low, filtered.high) != (None, None) else ""
        yield f"groups filtered by {filtered.signal}{within}"


def _model(config: DictConfig) -> str:
    model = config.actor_rollout_ref.model
    parts = [str(model.path)]
    parts += [f"LoRA of rank {model.lora_rank}"] if model.lora_rank else []
    parts += ["vision tower frozen"] if config.actor_rollout_ref.actor.freeze_vision_tower else []
    return ", ".join(parts)


def _data(config: DictConfig) -> str:
    return "; ".join(
        f"{what} {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"
        for what, names in (
            ("train", batches.data_files(config, "train_files")),
            ("held out", batches.data_files(config, "val_files")),
        )
        if names
    ) + "".join(_curriculum(config.data.curriculum))


def _curriculum(node: DictConfig) -> Iterator[str]:
    if node.band is not None:
        yield f"; pass rates from {node.band[0]:g} to {node.band[1]:g}"
    if node.weigh != "none":
        yield f"; rows drawn by difficulty ({node.weigh})"


def _tokens(config: DictConfig) -> str:
    if not config.run.samples.tokens:
        return ""
    prompt, reply = config.data.max_prompt_length, config.data.max_response_length
    size = config.data.train_batch_size * most_bytes(prompt, reply, config.actor_rollout_ref.rollout.n)
    steps = config.run.samples.keep_steps
    kept = "of all steps" if steps is None else f"of the last {steps} steps (run.samples.keep_steps)"
    return f"at most {size / 2**20:.3g} MiB a step, {kept}"


def _lengths(config: DictConfig) -> str:
    prompt, response = config.data.max_prompt_length, config.data.max_response_length
    return f"prompt {prompt} + reply {response} = {prompt + response} tokens at most"


def _images(config: DictConfig) -> str:
    pixels: Any = config.data.get("mm_processor_kwargs") or {}
    side = token_side(config.actor_rollout_ref.model.path)

    def tokens(limit: int | None) -> str:
        if limit is None:
            return "the processor's limit"
        return f"{limit} pixels" + (f" ({limit // side**2} tokens)" if side else "")

    most = image_limit(config)
    count = f"; at most {most} a prompt" if most is not None else ""
    return f"from {tokens(pixels.get('min_pixels'))} to {tokens(pixels.get('max_pixels'))}{count}"


def _placement(config: DictConfig) -> str:
    trainer, place, rollout = config.trainer, config.placement, config.actor_rollout_ref.rollout
    unit = "CPU ranks" if trainer.device == "cpu" else "GPUs"
    gpus = f" on GPUs {', '.join(map(str, place.judge_gpus))}" if place.judge_gpus else ""
    judge = f"; judge: {place.judge}{gpus}" if is_used(config, "judge") else ""
    return (
        f"{trainer.nnodes} x {trainer.n_gpus_per_node} {unit}, vLLM over {rollout.tensor_model_parallel_size} with "
        f"{rollout.gpu_memory_utilization:g} of the memory; trainer {trainer.v1.trainer_mode}{judge}"
    )


def _schedule(config: DictConfig) -> str:
    trainer, keep = config.trainer, config.run.keep_checkpoints
    length = f"{trainer.total_epochs} epoch(s)"
    if trainer.total_training_steps is not None:
        length = f"{trainer.total_training_steps} steps"
    kept = "all are kept" if keep is None else f"{keep} are kept"
    return f"{length}; validation every {trainer.test_freq} steps, checkpoint every {trainer.save_freq} ({kept})"


def _looking(config: DictConfig) -> str:
    """What `run.looking` asks again, and what that costs."""
    looking = config.run.looking
    if not looking.share:
        return ""
    times = 1 + looking.share * len(looking.kinds)
    return (
        f"{looking.share:.0%} of the validation rows with pictures again with {' and '.join(looking.kinds)} ones: a "
        f"validation generates and scores up to {times:.3g} times as many replies"
    )
