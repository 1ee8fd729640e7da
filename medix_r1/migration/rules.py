"""Keys of several projects that are translated together with others, each rule named by `by` in other_names.yaml.

A rule takes the draft, their key and its value, sets our values, and returns what became of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from medix_r1.host.yaml_text import read_yaml
from medix_r1.migration.draft import Draft, Entry, Fate
from medix_r1.migration.found import Project, Unresolved
from medix_r1.schema.known import config_dir

Rule = Callable[[Draft, str, Any], Entry]
_ACTOR, _REF, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.ref", "actor_rollout_ref.rollout"
_MODEL = "actor_rollout_ref.model"
_FILTER = "trainer.v1.sampler.sampler_kwargs.filter"
_OPTIMIZER = {
    f"{_ACTOR}.optim.optimizer_impl": "medix_r1.training.verl_plugin.optimizer",
    f"{_ACTOR}.optim.optimizer": "CompensatedAdamW",
}
_KEYLESS = ("file", "tensorboard", "wandb", "mlflow", "swanlab", "clearml", "trackio")  # trackers that a run may have


def overlong(draft: Draft, key: str, value: Any) -> Entry:
    """DAPO's soft overlong punishment, which takes 1 at the limit here."""
    group, _, leaf = key.rpartition(".")
    if draft.theirs(f"{group}.enable") is not True:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "it is not enabled")
    ours = {"enable": ("reward.overlong", "soft"), "len": ("reward.overlong_cache", value)}.get(leaf)
    if ours is None and leaf == "penalty_factor" and value != 1:
        return Entry(key, value, Fate.CHANGED, {}, "the punishment is 1 at the limit here")
    if ours is None:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "the same without it")
    draft.values[ours[0]] = ours[1]
    return Entry(key, value, Fate.SAME, dict([ours]))


def model(draft: Draft, key: str, value: Any) -> Entry:
    """A model by its name on the hub, or by its folder."""
    text = str(value)
    name = text.rstrip("/").rpartition("/")[2]
    choice = next((one for one, path in _known_models().items() if path.rpartition("/")[2] == name), None)
    draft.choices["model"] = choice or ("qwen2_5_vl_7b" if "Qwen2.5-VL" in name else "qwen3_vl_8b")
    if isinstance(value, Unresolved):
        near = next((one for one, path in _known_models().items() if path.rpartition("/")[2] in text), None)
        draft.choices["model"] = near or draft.choices["model"]
        path = _known_models()[draft.choices["model"]]
        says = f"its value is known only where the script runs; {path} stands in: give {_MODEL}.path"
        return Entry(key, value, Fate.CHANGED, {"model": draft.choices["model"]}, says)
    if choice and _known_models()[choice] == text:
        return Entry(key, value, Fate.SAME, {"model": choice})
    draft.values[f"{_MODEL}.path"] = value
    says = (
        ""
        if choice or "VL" in name
        else "whether it sees pictures is for you to know; those tested are in docs/models.md"
    )
    return Entry(key, value, Fate.SAME, {f"{_MODEL}.path": value}, says)


@cache
def _known_models() -> Mapping[str, str]:
    found = {}
    for file in sorted((config_dir() / "model").glob("*.yaml")):
        tree = read_yaml(file)
        path = tree.get("actor_rollout_ref", {}).get("model", {}).get("path", "")
        if "/" in path and "$" not in path:
            found[file.stem] = path
    return found


def tokens(draft: Draft, key: str, value: Any) -> Entry:
    """Micro-batches in rows become micro-batches in tokens, which never are larger."""
    if key.endswith(("dynamic_batching", "use_dynamic_bsz")):
        if value is True:
            return Entry(key, value, Fate.SAME, {f"{_ACTOR}.use_dynamic_bsz": True})
        return Entry(key, value, Fate.CHANGED, {}, "micro-batches are filled by tokens, up to the same size")
    ours = _tokens_keys(key)
    if key.endswith("token_len_per_gpu"):
        given, least = value, draft.row_tokens()
        if not isinstance(given, int) or given < least:
            draft.values |= dict.fromkeys(ours, least)
            says = f"a longest row has {least} tokens, and a micro-batch must hold one"
            return Entry(key, value, Fate.CHANGED, dict.fromkeys(ours, least), says)
        draft.values |= dict.fromkeys(ours, given)
        return Entry(key, value, Fate.SAME, dict.fromkeys(ours, given))
    by_tokens = key.rpartition(".")[0] + (".ppo_max" if "ppo_" in key else ".log_prob_max") + "_token_len_per_gpu"
    if by_tokens in draft.script.settings:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "the script counts in tokens too, and that is what is used")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "no number of rows")
    found = dict.fromkeys(ours, value * draft.row_tokens())
    draft.values |= found
    return Entry(key, value, Fate.CHANGED, found, f"in tokens: {value} rows of {draft.row_tokens()}")


def _tokens_keys(key: str) -> list[str]:
    if key.endswith("for_experience") and ".ref." not in key:
        return [f"{one}.log_prob_max_token_len_per_gpu" for one in (_ROLLOUT, _REF)]
    if ".ref." in key:
        return [f"{_REF}.log_prob_max_token_len_per_gpu"]
    if ".rollout." in key:
        return [f"{_ROLLOUT}.log_prob_max_token_len_per_gpu"]
    return [f"{_ACTOR}.ppo_max_token_len_per_gpu"]


def lengths(draft: Draft, key: str, value: Any) -> Entry:
    """Limits of vLLM, which must hold one row of the longest prompt and reply."""
    name = f"{_ROLLOUT}.max_model_len" if "model_len" in key else f"{_ROLLOUT}.max_num_batched_tokens"
    least = draft.row_tokens()
    if isinstance(value, int) and value >= least:
        draft.values[name] = value
        return Entry(key, value, Fate.SAME, {name: value})
    says = f"a longest row has {least} tokens, prompt and reply together"
    draft.values[name] = least
    return Entry(key, value, Fate.CHANGED, {name: least}, says)


def kl(draft: Draft, key: str, value: Any) -> Entry:
    """EasyR1's two switches, or TRL's beta: KL as a loss, in the reward, or none."""
    if draft.script.project is Project.TRL:
        used = isinstance(value, int | float) and value > 0
        found: dict[str, Any] = {f"{_ACTOR}.use_kl_loss": used, "algorithm.use_kl_in_reward": False}
        found |= {f"{_ACTOR}.kl_loss_coef": value, f"{_ACTOR}.kl_loss_type": "low_var_kl"} if used else {}
        draft.values |= found
        return Entry(key, value, Fate.SAME, found, "" if used else "no KL")
    disabled = draft.theirs("algorithm.disable_kl") is True or draft.theirs("worker.actor.disable_kl") is True
    as_loss = not disabled and draft.theirs("algorithm.use_kl_loss") is not False
    switches = {f"{_ACTOR}.use_kl_loss": as_loss, "algorithm.use_kl_in_reward": not disabled and not as_loss}
    draft.values |= switches
    last = key.rpartition(".")[2]
    if last in ("disable_kl", "use_kl_loss"):
        return Entry(key, value, Fate.SAME, switches, "KL is no loss and no reward" if disabled else "")
    if disabled:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "the script switches KL off")
    names = {
        "kl_penalty": f"{_ACTOR}.kl_loss_type" if as_loss else "algorithm.kl_penalty",
        "kl_coef": f"{_ACTOR}.kl_loss_coef" if as_loss else "algorithm.kl_ctrl.kl_coef",
    }
    draft.values[names[last]] = value
    return Entry(key, value, Fate.SAME, {names[last]: value})


def filter_(draft: Draft, key: str, value: Any) -> Entry:
    """The group filter: by the judge's verdict, or by their own function where that is the reward."""
    switch = (
        "algorithm.online_filtering" if draft.script.project is Project.EASYR1 else "algorithm.filter_groups.enable"
    )
    if draft.theirs(switch) is not True:
        draft.values["algorithm.filter_groups.enable"] = False
        fate = Fate.SAME if key == switch else Fate.NOT_NEEDED
        return Entry(key, value, fate, {}, "" if fate is Fate.SAME else "the script filters no groups")
    signal = "ported" if draft.signal else "llm"
    draft.choices["algorithm"] = "dapo"
    metric: dict[str, Any] = {"algorithm.filter_groups.metric": signal}
    draft.values |= {"algorithm.filter_groups.enable": True} | metric
    if key == switch:
        return Entry(key, value, Fate.SAME, {"algorithm": "dapo"})
    if key.endswith(("filter_key", "metric")):
        says = (
            "the function's number is the reward, so the filter looks at it"
            if draft.signal
            else "the judge's verdict in place of the shaped total, so a group that is all wrong is left out"
        )
        return Entry(key, value, Fate.CHANGED, metric, says)
    if not draft.signal:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "on verdicts of 0 and 1 unequal values say the same")
    bound = {f"{_FILTER}.{key.rpartition('_')[2]}": value}
    draft.values |= bound
    return Entry(key, value, Fate.SAME, bound)


def optimizer(draft: Draft, key: str, value: Any) -> Entry:
    """AdamW, or AdamW with states in bf16."""
    name = str(value)
    if name in ("adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf"):
        return Entry(key, value, Fate.SAME, {}, "AdamW, the default")
    if name == "adamw_bf16":
        draft.values |= _OPTIMIZER
        says = "with compensated sums, because plain bf16 loses every update at such a rate"
        return Entry(key, value, Fate.SAME, _OPTIMIZER, says)
    return Entry(key, value, Fate.NONE, {}, "AdamW is used; docs/extend/algorithm.md has how to name another optimizer")


def dtype(draft: Draft, key: str, value: Any) -> Entry:
    """The type that weights are trained in."""
    kinds = {"bf16": "bf16", "bfloat16": "bf16", "torch.bfloat16": "bf16", "fp32": "fp32", "float32": "fp32"}
    wanted = kinds.get(str(value))
    names = [f"{one}.fsdp_config.model_dtype" for one in (_ACTOR, _REF)]
    if wanted is None:
        says = "fp32, the default" if value in (None, "auto") else "weights are trained in fp32 or bf16"
        return Entry(key, value, Fate.NOT_NEEDED if value in (None, "auto") else Fate.NONE, {}, says)
    if draft.script.project is Project.TRL and wanted == "bf16":
        says = (
            "weights stay in fp32 and compute in bf16: AdamW in bf16 loses small updates (model_dtype: bf16 is there)"
        )
        return Entry(key, value, Fate.CHANGED, {}, says)
    draft.values |= dict.fromkeys(names, wanted)
    return Entry(key, value, Fate.SAME, dict.fromkeys(names, wanted))


def offload(draft: Draft, key: str, value: Any) -> Entry:
    """Two switches of theirs are one here: offloaded if either says so."""
    name = f"{_REF if '.ref.' in key else _ACTOR}.fsdp_config.param_offload"
    if value is not True and draft.values.get(name) is True:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "another key of the script switches it on")
    draft.values[name] = value is True
    return Entry(key, value, Fate.SAME, {name: value is True})


def images(draft: Draft, key: str, value: Any) -> Entry:
    """Most images of a row; vLLM reserves memory for them."""
    name = f"{_ROLLOUT}.engine_kwargs.vllm.limit_mm_per_prompt.image"
    if isinstance(value, int) and value > 0:
        draft.values[name] = value
        return Entry(key, value, Fate.SAME, {name: value})
    return Entry(key, value, Fate.CHANGED, {}, "4; vLLM reserves memory for as many images as are allowed")


def lora(draft: Draft, key: str, value: Any) -> Entry:
    """Adapters: rank, scale and layers."""
    last = key.replace("lora_r", "lora.rank") if key in ("lora_r",) else key
    settings = draft.script.settings
    rank = next((settings[one] for one in settings if one.endswith(("lora.rank", "lora_rank")) or one == "lora_r"), 0)
    if not isinstance(rank, int) or rank <= 0:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "every parameter is trained")
    draft.choices["lora"] = "rank64"
    if key == "use_peft":
        return Entry(key, value, Fate.SAME, {"lora": "rank64"})
    ours = {"rank": "lora_rank", "alpha": "lora_alpha", "target_modules": "target_modules"}
    name = next((f"{_MODEL}.{mine}" for end, mine in ours.items() if last.endswith(end)), f"{_MODEL}.exclude_modules")
    draft.values[name] = value
    return Entry(key, value, Fate.SAME, {"lora": "rank64", name: value})


def name(draft: Draft, key: str, value: Any) -> Entry:
    """The name of the run."""
    draft.values["run.name"] = str(value)
    return Entry(key, value, Fate.SAME, {"run.name": str(value)})


def folder(draft: Draft, key: str, value: Any) -> Entry:
    """The folder of the run."""
    if not isinstance(value, str) or not value:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "outputs/NAME of the run")
    draft.values["run.dir"] = value
    return Entry(key, value, Fate.SAME, {"run.dir": value}, "checkpoints lie in its folder checkpoints/")


def logger(draft: Draft, key: str, value: Any) -> Entry:
    """Trackers; the terminal has its own view, which reads the file."""
    given = [
        str(one) for one in (value if isinstance(value, list) else [value]) if one not in (None, "none", "console")
    ]
    wanted = list(dict.fromkeys(["file", *(one for one in given if one in _KEYLESS)]))
    draft.values["trainer.logger"] = wanted
    left = [one for one in given if one not in _KEYLESS]
    says = f"not taken over: {', '.join(left)}" if left else "the terminal shows steps without `console`"
    same = not left and "console" not in (value if isinstance(value, list) else [value])
    return Entry(key, value, Fate.SAME if same else Fate.CHANGED, {"trainer.logger": wanted}, "" if same else says)


def keep(draft: Draft, key: str, value: Any) -> Entry:
    """verl's older switch that keeps the newest checkpoint alone."""
    if value is not True:
        return Entry(key, value, Fate.NOT_NEEDED, {}, "run.keep_checkpoints keeps three")
    draft.values["run.keep_checkpoints"] = 1
    return Entry(key, value, Fate.SAME, {"run.keep_checkpoints": 1})


def clip(draft: Draft, key: str, value: Any) -> Entry:
    """One clip ratio, or a lower and an upper one."""
    low, high = f"{_ACTOR}.clip_ratio_low", f"{_ACTOR}.clip_ratio_high"
    if key.endswith(("high", "low")):
        if value is None:
            return Entry(key, value, Fate.SAME, {}, "as the lower one")
        draft.values[high if key.endswith("high") else low] = value
        return Entry(key, value, Fate.SAME, {high if key.endswith("high") else low: value})
    draft.values.setdefault(low, value)
    draft.values.setdefault(high, value)
    return Entry(key, value, Fate.SAME, {low: draft.values[low], high: draft.values[high]})
