"""Keys that only TRL has: batches in rows of one process, and names of losses."""

from __future__ import annotations

from typing import Any

from medix_r1.migration.draft import Draft, Entry, Fate

_ACTOR = "actor_rollout_ref.actor"
_MODES = {  # loss_type → our aggregation
    "grpo": "seq-mean-token-mean",
    "dapo": "token-mean",
    "bnpo": "token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
    "cispo": "token-mean",
    "sapo": "seq-mean-token-mean",
}


def batch(draft: Draft, key: str, value: Any) -> Entry:
    """Replies of all processes become prompts: rows × accumulation × processes / generations."""
    gpus = draft.values["trainer.n_gpus_per_node"]
    rows = draft.whole("per_device_train_batch_size", 8) * gpus
    update = rows * draft.whole("gradient_accumulation_steps", 1)
    replies = draft.whole("generation_batch_size", 0) or (
        rows * draft.whole("steps_per_generation", draft.whole("gradient_accumulation_steps", 1))
    )
    group = draft.whole("num_generations", 8)
    prompts, updated = max(1, replies // group), max(1, update // group)
    found = {"data.train_batch_size": prompts, f"{_ACTOR}.ppo_mini_batch_size": min(prompts, updated)}
    draft.values |= found | {"data.val_batch_size": max(prompts, 64)}
    says = f"{replies} replies of a step on {gpus} GPUs / {group} a prompt"
    if replies % group or update % group:
        says += "; they are not whole groups, so fewer prompts are taken"
    return Entry(key, value, Fate.CHANGED, found, says)


def betas(draft: Draft, key: str, value: Any) -> Entry:
    """Two keys of theirs are one list here."""
    first, second = draft.theirs("adam_beta1"), draft.theirs("adam_beta2")
    found = {f"{_ACTOR}.optim.betas": [0.9 if first is None else first, 0.999 if second is None else second]}
    draft.values |= found
    return Entry(key, value, Fate.SAME, found)


def scheduler(draft: Draft, key: str, value: Any) -> Entry:
    """verl's schedules are constant and cosine."""
    name = str(value)
    found = {f"{_ACTOR}.optim.lr_scheduler_type": "cosine" if name.startswith("cosine") else "constant"}
    draft.values |= found
    if name in ("constant", "constant_with_warmup", "cosine"):
        return Entry(key, value, Fate.SAME, found)
    return Entry(key, value, Fate.CHANGED, found, "verl has a constant rate and a cosine")


def loss(draft: Draft, key: str, value: Any) -> Entry:
    """The loss, how it is averaged, and whether the ratio is a token's or a reply's."""
    kind, level = str(draft.theirs("loss_type")), str(draft.theirs("importance_sampling_level"))
    if key == "multi_objective_aggregation":
        if value == "normalize_then_sum":
            draft.choices["algorithm"] = "gdpo"
            draft.values["algorithm.adv_estimator"] = "medix_gdpo"
            return Entry(key, value, Fate.SAME, {"algorithm": "gdpo"})
        return Entry(key, value, Fate.SAME, {}, "the weighted sum is normalised")
    mode = "gspo" if level == "sequence" else kind if kind in ("cispo", "sapo") else "vanilla"
    found: dict[str, Any] = {f"{_ACTOR}.policy_loss.loss_mode": mode}
    aggregation = "seq-mean-token-mean" if level == "sequence" else _MODES.get(kind)
    if aggregation is None:
        return Entry(key, value, Fate.NONE, {}, f"known losses: {', '.join(_MODES)}")
    found[f"{_ACTOR}.loss_agg_mode"] = aggregation
    if aggregation == "seq-mean-token-sum-norm":
        found[f"{_ACTOR}.loss_scale_factor"] = draft.values["data.max_response_length"]
    draft.choices.setdefault("algorithm", {"gspo": "gspo", "cispo": "cispo", "sapo": "sapo"}.get(mode, "grpo"))
    if kind == "dr_grpo" and mode == "vanilla":
        draft.choices["algorithm"] = "dr_grpo"
    draft.values |= found
    if kind == "bnpo" and key == "loss_type":
        return Entry(key, value, Fate.CHANGED, found, "the mean over the tokens of a mini-batch, not of one process")
    return Entry(key, value, Fate.SAME, found)


def schedule(draft: Draft, key: str, value: Any) -> Entry:
    """When it validates and saves, in steps."""
    saves = key.startswith("save")
    ours = "trainer.save_freq" if saves else "trainer.test_freq"
    strategy = draft.theirs("save_strategy") if saves else _eval_strategy(draft)
    steps = draft.theirs("save_steps" if saves else "eval_steps")
    if strategy == "steps" and isinstance(steps, int) and steps > 0:
        draft.values[ours] = steps
        return Entry(key, value, Fate.SAME, {ours: steps})
    draft.values[ours] = -1
    if strategy in ("no", None, False, "False"):
        return Entry(key, value, Fate.SAME, {ours: -1}, "never")
    says = f"{ours} counts steps: -1 is at the end alone; give the number of steps"
    return Entry(key, value, Fate.CHANGED, {ours: -1}, says)


def _eval_strategy(draft: Draft) -> Any:
    given = draft.theirs("eval_strategy") or draft.theirs("evaluation_strategy")
    return given or ("steps" if draft.theirs("eval_steps") else None)


def attention(draft: Draft, key: str, value: Any) -> Entry:
    """flash_attention_2 is what verl asks for; without it the model says so."""
    if value in (None, "flash_attention_2", "kernels-community/flash-attn2"):
        return Entry(key, value, Fate.NOT_NEEDED, {}, "verl asks for flash_attention_2")
    name = "actor_rollout_ref.model.override_config.attn_implementation"
    draft.values[name] = value
    return Entry(key, value, Fate.SAME, {name: value})
