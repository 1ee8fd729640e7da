"""Checks lengths: image tokens against the prompt, a row against vLLM and a micro-batch, prepared data against all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig

from medix_r1.data.prepared import is_prepared, read_manifest
from medix_r1.errors import Problem
from medix_r1.host.folders import named_path
from medix_r1.training.preflight.model.model_folder import model_config
from medix_r1.training.preflight.rows.batches import data_files, sequence_parallel
from medix_r1.training.preflight.rows.data_files import UnreadableFile, read_all

# Side in pixels of the square that becomes one token, by hub name; for models whose config is not on this machine.
_SIDES = {"qwen2-vl": 28, "qwen2.5-vl": 28, "qwen3-vl": 32, "medix-r1": 32}
_LOADER_MIN_TOKENS = 4  # qwen_vl_utils: IMAGE_MIN_TOKEN_NUM, as data/lengths/tokens.py counts
_TEXT = 256  # tokens that the recipes leave for template and question


def length_problems(config: DictConfig) -> Iterator[Problem]:
    """Every length limit that a row could exceed; some would stop a run only halfway."""
    yield from _vllm_problems(config)
    yield from _micro_batch_problems(config)
    yield from _image_problems(config)
    yield from _prepared_problems(config)


def _longest(config: DictConfig) -> int:
    return int(config.data.max_prompt_length + config.data.max_response_length)


def _vllm_problems(config: DictConfig) -> Iterator[Problem]:
    rollout, needed = config.actor_rollout_ref.rollout, _longest(config)
    if rollout.max_model_len is not None and rollout.max_model_len < needed:
        yield Problem(
            "actor_rollout_ref.rollout.max_model_len",
            "row-too-long-for-vllm",
            f"{rollout.max_model_len} is less than data.max_prompt_length + data.max_response_length = {needed}",
        )
    longest = rollout.max_model_len or math.inf
    if not rollout.enable_chunked_prefill and rollout.max_num_batched_tokens < longest:
        found = rollout.max_model_len or "null, hence the model's own limit,"
        yield Problem(
            "actor_rollout_ref.rollout.max_model_len",
            "row-too-long-for-a-batch",
            f"{found} is more than max_num_batched_tokens="
            f"{rollout.max_num_batched_tokens}, which vLLM refuses without chunked prefill; use {needed} for both",
        )


def _micro_batch_problems(config: DictConfig) -> Iterator[Problem]:
    """verl stops at the first row that is longer than a micro-batch."""
    node, needed = config.actor_rollout_ref, _longest(config)
    for key, dynamic in (
        ("actor.ppo_max_token_len_per_gpu", node.actor.use_dynamic_bsz),
        ("rollout.log_prob_max_token_len_per_gpu", node.rollout.log_prob_use_dynamic_bsz),
        ("ref.log_prob_max_token_len_per_gpu", node.ref.log_prob_use_dynamic_bsz),
    ):
        part, _, name = key.partition(".")
        fits = node[part][name] * sequence_parallel(node.actor)
        if dynamic and fits < needed:
            yield Problem(
                f"actor_rollout_ref.{key}",
                "row-too-long-for-a-micro-batch",
                f"{fits} tokens are less than one longest row of {needed}; use at least that",
            )


def token_side(model: str) -> int | None:
    """Side in pixels of the square that becomes one token; None if unknown."""
    vision = model_config(named_path(model)).get("vision_config") or {}
    if "patch_size" in vision and "spatial_merge_size" in vision:
        return int(vision["patch_size"]) * int(vision["spatial_merge_size"])
    return next((side for name, side in _SIDES.items() if name in model.lower()), None)


def _image_problems(config: DictConfig) -> Iterator[Problem]:
    pixels = config.data.get("mm_processor_kwargs") or {}
    low, high = pixels.get("min_pixels"), pixels.get("max_pixels")
    side, limit = token_side(config.actor_rollout_ref.model.path), config.data.max_prompt_length
    if low and high and low > high:
        yield Problem("data.mm_processor_kwargs.min_pixels", "min-above-max", f"{low} is above max_pixels={high}")
    if side and high and (tokens := high // side**2) >= limit:
        fits = max(limit - _TEXT, limit // 2) * side**2
        yield Problem(
            "data.mm_processor_kwargs.max_pixels",
            "image-fills-the-prompt",
            f"{high} pixels are {tokens} tokens of {side}x{side}, which leaves no "
            f"room for text in data.max_prompt_length={limit}; use at most {fits}, or a longer prompt",
        )


def _longest_row(files: Sequence[str]) -> int | None:
    """Tokens of the longest prompt by the index of a prepared folder; None without one."""
    try:
        return read_all([named_path(name) for name in files]).longest
    except (UnreadableFile, OSError):
        return None  # reported by the checks of the data


def _prepared_problems(config: DictConfig) -> Iterator[Problem]:
    """`data prepare` counted lengths for its own backbone and limits; verl stops at the first longer prompt."""
    files = data_files(config, "train_files")
    folder = named_path(files[0]).parent if files else None
    if folder is None or not is_prepared(folder):
        return
    plan = read_manifest(folder)["plan"]
    options: dict[str, Any] = plan["options"]
    again = f"of {folder}; prepare the data again with"
    if options["instructions"] and options["think_element"] != config.reward.think_element:
        yield Problem(
            "reward.think_element",
            "prepared-for-another-element",
            f"{config.reward.think_element} is rewarded, <{options['think_element']}> is asked "
            f"for in the prompts {again} think_element={config.reward.think_element}, or reward what they ask for",
        )
    asked, wanted = bool(options.get("confidence")), config.reward.confidence
    if options["instructions"] and wanted != "optional" and asked != (wanted == "required"):
        told = "ask for a confidence, which the reward takes for text after the answer" if asked else "ask for none"
        yield Problem(
            "reward.confidence",
            "prepared-for-another-element",
            f"{wanted}, and the prompts {told}, {again} confidence={str(not asked).lower()}, or set reward.confidence="
            f"{'optional' if asked else 'none'}",
        )
    if config.data.filter_overlong_prompts:
        return  # verl counts for itself
    model, named = config.actor_rollout_ref.model.path, plan["backbone"]["name"]
    side, counted = token_side(model), token_side(named)
    if side and counted and side != counted:
        yield Problem(
            "data.train_files",
            "prepared-for-another-backbone",
            f"{model} makes a token of {side}x{side} pixels, {named} of {counted}x{counted}, which "
            f"counted the lengths {again} backbone={model}, or let verl leave long rows out "
            "(data.filter_overlong_prompts=true)",
        )
    if (longest := _longest_row(files) or options["max_prompt_tokens"]) > (limit := config.data.max_prompt_length):
        yield Problem(
            "data.max_prompt_length",
            "prepared-for-longer-prompts",
            f"{limit} is less than the {longest} tokens of the longest row {again} "
            f"max_prompt_tokens={limit}, or let verl leave long rows out (data.filter_overlong_prompts=true)",
        )
    low = (config.data.get("mm_processor_kwargs") or {}).get("min_pixels")
    loader = (
        _LOADER_MIN_TOKENS * (counted or side or max(_SIDES.values())) ** 2
    )  # the loader's minimum, which null keeps
    if low and low > (options["image"]["min_pixels"] or loader):
        yield Problem(
            "data.mm_processor_kwargs.min_pixels",
            "prepared-for-smaller-images",
            f"{low} enlarges more images than the lengths {again} "
            f"image.min_pixels={low}, or let verl leave long rows out (data.filter_overlong_prompts=true)",
        )
