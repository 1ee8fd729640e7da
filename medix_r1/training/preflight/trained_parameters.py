"""What is trained, and whether the optimizer's updates change it: adapters, experts, parameters in 16 bits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from omegaconf import DictConfig, ListConfig

from medix_r1.errors import Problem
from medix_r1.training.preflight.machine.memory import trained_bytes
from medix_r1.training.preflight.model.model_folder import snapshot, tensor_sizes, weight_files
from medix_r1.training.preflight.model.model_shape import is_mixture_of_experts

_OPTIM = "actor_rollout_ref.actor.optim"
_MODEL = "actor_rollout_ref.model"
# Half a step between two bf16 numbers near 0.025, a usual size of a weight: smaller updates round to nothing.
_RESOLUTION = 1e-4
_LINEAR = re.compile(r"(proj|fc\d|qkv|gate|dense|query|key|value|linear)[^.]*$")  # names of layers, for the hint


def trained_problems(config: DictConfig) -> Iterator[Problem]:
    """Updates that bf16 rounds away, and adapters that are not where one expects them."""
    model, actor = config.actor_rollout_ref.model, config.actor_rollout_ref.actor
    optim = actor.optim
    if trained_bytes(config) == 2 and optim.optimizer_impl == "torch.optim" and optim.lr < _RESOLUTION:
        dtype = actor.fsdp_config.model_dtype
        instead = (
            "actor_rollout_ref.actor.strategy=fsdp2, which trains adapters in fp32,"
            if model.lora_rank
            else "actor_rollout_ref.actor.fsdp_config.model_dtype=fp32"
        )
        yield Problem(
            f"{_OPTIM}.optimizer",
            "updates-rounded-away",
            f"{optim.optimizer} on {dtype} parameters loses updates of lr={optim.lr:g}, which are below {dtype}'s "
            f"resolution; set {instead} or {_OPTIM}.optimizer_impl=medix_r1.training.verl_plugin.optimizer and "
            f"{_OPTIM}.optimizer=CompensatedAdamW",
        )
    if not model.lora_rank:
        return
    if model.get("target_parameters"):  # no key of verl's YAML
        yield Problem(
            f"{_MODEL}.target_parameters",
            "adapters-not-mergeable",
            "adapters of bare parameters, such as packed experts, cannot be merged by medix-r1 merge; set it to null, "
            "or train all parameters with lora=none",
        )
    elif not _is_everything(model.target_modules) and (names := _modules(model.path)):
        yield from _unmatched(model.target_modules, names, model.path)
    if _is_everything(model.target_modules) and is_mixture_of_experts(model.path):
        yield Problem(
            f"{_MODEL}.target_modules",
            "experts-untrained",
            f"{model.target_modules} reaches neither the experts nor the routers of {model.path}, which are no linear "
            "layers; train all parameters with lora=none, or name the layers that adapters are meant for, such as "
            f"{_MODEL}.target_modules=[q_proj,k_proj,v_proj,o_proj]",
        )


def _unmatched(modules: str | ListConfig, names: frozenset[str], path: str) -> Iterator[Problem]:
    """Names that PEFT would not find: an entry of a list is the end of a module's name, a text a regular expression."""
    if isinstance(modules, str):
        try:
            wrong = [] if any(re.fullmatch(modules, name) for name in names) else [modules]
        except re.error as error:
            says = f"{modules!r} is no regular expression ({error}); write a list of names, or mend it"
            yield Problem(f"{_MODEL}.target_modules", "no-such-module", says)
            return
    else:
        wrong = [one for one in modules if not any(f".{name}".endswith(f".{one}") for name in names)]
    if wrong:
        last = sorted({name.rpartition(".")[2] for name in names if _LINEAR.search(name)})
        says = f"{path} has no module {', '.join(map(str, wrong))}; its layers: {', '.join(last)}, or all-linear"
        yield Problem(f"{_MODEL}.target_modules", "no-such-module", says)


def _modules(model: str) -> frozenset[str]:
    """Names of a model's modules with weights, from its files; empty where they are not on this machine."""
    sizes = [tensor_sizes(file) or {} for file in weight_files(snapshot(model))]
    names = {name.removesuffix(".weight") for one in sizes for name in one if name.endswith(".weight")}
    return frozenset(names | {"lm_head"} if names else names)


def _is_everything(modules: str | ListConfig | None) -> bool:
    return modules in (None, "all-linear") or (isinstance(modules, ListConfig) and "all-linear" in modules)
