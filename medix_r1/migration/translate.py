"""Translates a script key by key, then drops, with its reason, every value that the checks of a run refuse."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medix_r1 import config as configs
from medix_r1.errors import ConfigError, Problem
from medix_r1.migration import rules, sources, trl_rules
from medix_r1.migration.draft import Draft, Entry, Fate, table
from medix_r1.migration.found import Project, Unresolved
from medix_r1.migration.reading import read_script
from medix_r1.migration.writing import experiment_text
from medix_r1.schema.known import config_dir, known_keys
from medix_r1.schema.unknown import called_here
from medix_r1.schema.unread import replacement
from medix_r1.training.preflight import checks

_RULES: Mapping[str, rules.Rule] = {
    "model": rules.model,
    "tokens": rules.tokens,
    "lengths": rules.lengths,
    "kl": rules.kl,
    "filter": rules.filter_,
    "optimizer": rules.optimizer,
    "dtype": rules.dtype,
    "offload": rules.offload,
    "images": rules.images,
    "lora": rules.lora,
    "name": rules.name,
    "overlong": rules.overlong,
    "folder": rules.folder,
    "logger": rules.logger,
    "keep": rules.keep,
    "clip": rules.clip,
    "data": sources.data,
    "reward": sources.reward,
    "batch": trl_rules.batch,
    "betas": trl_rules.betas,
    "scheduler": trl_rules.scheduler,
    "loss": trl_rules.loss,
    "schedule": trl_rules.schedule,
    "attention": trl_rules.attention,
}
_FIRST = ("max_prompt_length", "max_response_length", "max_completion_length", "train_files", "reward_function")
_TAKES_UNRESOLVED = ("model", "data", "reward")
_NAMES_CODE = re.compile(
    r"(^|\.)(_target_|external_lib|plugins|optimizer_impl|custom_\w+|agent|module|signals|alarms)(\.|$)"
)
_NOT_TAKEN = ("hydra.", "alarms.", "reward.signals.", "judge.", "embedder.", "ray_kwargs.", "placement.")
_MOST_ROUNDS = 40
_STEP, _UPDATE = "data.train_batch_size", "actor_rollout_ref.actor.ppo_mini_batch_size"
_GROUP = 5  # replies, where a script has one
_PIXELS, _LEAST_PIXELS = "data.mm_processor_kwargs.max_pixels", "data.mm_processor_kwargs.min_pixels"
_MOST_PIXELS = 4194304  # of the models' files
_TEXT_TOKENS = 256  # of a prompt, for template and question
_STAND_IN = {
    "reward.weights": {"llm": 0, "embed": 0, "format": 1.0, "modality": 0},
    "reward.signals": {"llm": None, "embed": None},
}


@dataclass(frozen=True, slots=True)
class Translation:
    """A finished translation.

    Attributes:
        draft: choices, values, and what became of each key.
        name: of the experiment.
        problems: what `medix-r1 check --offline` would still say; their keys are none of the script's.
    """

    draft: Draft
    name: str
    problems: Sequence[Problem]


def translate(path: Path, gpus: int | None = None) -> Translation:
    """Translate a script. Nothing in it, and nothing that it names, is executed or imported.

    Args:
        path: a launch script, or a config in YAML, JSON or (TRL) Python.
        gpus: GPUs of the node, for scripts that do not say.

    Raises:
        ConfigError: the file cannot be read, or is of none of the projects.
    """
    draft = Draft(read_script(path))
    script = draft.script
    if script.project is Project.TRL:
        draft.values["trainer.n_gpus_per_node"] = gpus or script.gpus or 8
        if not gpus and not script.gpus:
            script.remarks.append("it does not say on how many GPUs it runs; 8 are taken: --gpus N")
    _translate_keys(draft)
    _complete(draft)
    if gpus:
        draft.values["trainer.n_gpus_per_node"] = gpus
    name = _name(draft, path)
    draft.values.setdefault("run.name", name)
    return Translation(draft, name, _refused(draft, name))


def _translate_keys(draft: Draft) -> None:
    script, known = draft.script, table(draft.script)
    defaults = {key: entry["default"] for key, entry in known.items() if "default" in entry}
    if script.project is Project.EASYR1 and script.base is not None:
        script.remarks.append(f"{script.base}, which it names, is not here; EasyR1's examples/config.yaml stands in")
    elif script.base is not None:
        script.remarks.append(f"{script.base}, which it names, is not here, so its settings are missing")
    everything = {**{key: value for key, value in defaults.items() if key not in script.settings}, **script.settings}
    for key in sorted(everything, key=lambda key: not key.endswith(_FIRST)):
        entry = _entry(draft, key, everything[key], known)
        draft.entries[key] = replace(entry, is_default=key not in script.settings)
    if "data" not in draft.choices:
        sources.prepare(draft, "", "data/mine", is_unresolved=True)
    if "reward" not in draft.choices and draft.signal is None:
        sources.composite(draft)
        script.remarks.append("it names no reward function, so the reward is our composite")


def _entry(draft: Draft, key: str, value: Any, known: Mapping[str, Mapping[str, Any]]) -> Entry:
    entry = known.get(key) or _wildcard(key, known)
    if entry is None:
        return _unlisted(draft, key, value)
    if isinstance(value, Unresolved) and entry.get("by") not in _TAKES_UNRESOLVED and "none" not in entry:
        if "not_needed" in entry:
            return Entry(key, value, Fate.NOT_NEEDED, {}, entry["not_needed"])
        says = f"its value is known only where the script runs; set {entry.get('ours', 'it')}"
        return Entry(key, value, Fate.NONE, {}, says)
    if by := entry.get("by"):
        return _RULES[by](draft, key, value)
    return _plain(draft, key, value, entry)


def _wildcard(key: str, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for pattern, entry in known.items():
        start = pattern.partition("*")[0]
        if "*" in pattern and key.startswith(start):
            ours = str(entry.get("ours", "")).replace("*", key.removeprefix(start))
            return {**entry, "ours": ours} if ours else entry
    return None


def _plain(draft: Draft, key: str, value: Any, entry: Mapping[str, Any]) -> Entry:
    """A key that is translated alone."""
    ours, why = entry.get("ours"), entry.get("said", "")
    is_listed, mapped = _mapped(value, entry.get("values", {}))
    if is_listed and mapped is None and not entry.get("keep_null"):
        return Entry(key, value, Fate.NOT_NEEDED, {}, entry.get("not_needed", "the same without it"))
    if "values" in entry and not is_listed and "not_needed" in entry:
        return Entry(key, value, Fate.CHANGED, {}, entry["not_needed"])
    if "not_needed" in entry:
        return Entry(key, value, Fate.NOT_NEEDED, {}, entry["not_needed"])
    if ours is None or "none" in entry:
        return Entry(key, value, Fate.NONE, {}, entry.get("none", ""))
    taken = mapped if is_listed else value
    draft.values[ours] = taken
    return Entry(key, value, Fate.SAME, {ours: taken}, why)


def _mapped(value: Any, values: Mapping[Any, Any]) -> tuple[bool, Any]:
    """Whether a value is listed, and what it becomes; true is not 1 here."""
    for theirs, ours in values.items():
        if type(theirs) is type(value) and theirs == value:
            return True, ours
        numbers = (one for one in (theirs, value) if isinstance(one, int | float) and not isinstance(one, bool))
        if len(list(numbers)) == 2 and theirs == value:
            return True, ours
    return False, None


def _unlisted(draft: Draft, key: str, value: Any) -> Entry:
    """A key that the table lacks: verl's are ours, if a run reads them."""
    ours = key if draft.script.project is Project.VERL else called_here(key)
    if _NAMES_CODE.search(key) or key.startswith(_NOT_TAKEN):
        return Entry(
            key, value, Fate.NONE, {}, "it names code, or is not a key of verl; docs/extend/ has how to name yours"
        )
    if instead := replacement(key):
        return Entry(key, value, Fate.NONE, {}, f"nothing reads it here; {instead}")
    if isinstance(value, Unresolved):
        return Entry(key, value, Fate.NONE, {}, "its value is known only where the script runs")
    if (ours and ours in known_keys()) or (draft.script.project is Project.VERL and _is_free(key)):
        draft.values[ours] = value
        return Entry(key, value, Fate.SAME, {ours: value})
    return Entry(key, value, Fate.NONE, {}, "no key of this name is known")


def _is_free(key: str) -> bool:
    return key.startswith(("actor_rollout_ref.rollout.engine_kwargs.vllm.", "actor_rollout_ref.model.override_config."))


def _complete(draft: Draft) -> None:
    """What follows from the lengths: vLLM and a micro-batch hold one longest row."""
    row = draft.row_tokens()
    rollout = "actor_rollout_ref.rollout"
    for key in (f"{rollout}.max_model_len", f"{rollout}.max_num_batched_tokens"):
        draft.values.setdefault(key, row)
    wanted = {
        "actor_rollout_ref.actor.ppo_max": 2,
        f"{rollout}.log_prob_max": 4,
        "actor_rollout_ref.ref.log_prob_max": 4,
    }
    for start, rows in wanted.items():
        draft.values.setdefault(f"{start}_token_len_per_gpu", rows * row)
    _fit_pictures(draft)
    _compare_replies(draft)
    losses = {"gspo": "gspo", "cispo": "cispo", "sapo": "sapo"}
    loss = losses.get(str(draft.values.get("actor_rollout_ref.actor.policy_loss.loss_mode")))
    estimators = {"rloo": "rloo", "reinforce_plus_plus": "reinforce_pp"}
    chosen = loss or estimators.get(str(draft.values.get("algorithm.adv_estimator")), "grpo")
    draft.choices.setdefault("algorithm", chosen)
    draft.choices.setdefault("model", "qwen3_vl_8b")
    draft.choices["hardware"] = "a100x8"


def _fit_pictures(draft: Draft) -> None:
    """The largest picture leaves room for text in the prompt."""
    path = str(draft.values.get("actor_rollout_ref.model.path", draft.choices.get("model", "")))
    side = 28 if "qwen2" in path.lower() else 32
    room = (draft.tokens("prompt") - _TEXT_TOKENS) * side**2
    given = draft.values.get(_PIXELS, _MOST_PIXELS)
    if not isinstance(given, int) or given <= room or room <= 0:
        return
    draft.values[_PIXELS] = room
    least = draft.values.get(_LEAST_PIXELS, 262144)
    if isinstance(least, int) and least > room:
        draft.values[_LEAST_PIXELS] = room
    says = f"more would leave less than {_TEXT_TOKENS} tokens of the prompt for text; one token is {side}x{side} pixels"
    _change(draft, _PIXELS, says)


def _compare_replies(draft: Draft) -> None:
    """Every algorithm here compares the replies of a group; PPO's critic has no counterpart."""
    group, estimator = "actor_rollout_ref.rollout.n", "algorithm.adv_estimator"
    replies = draft.values.get(group, _GROUP)
    if not isinstance(replies, int) or replies < 2:
        draft.values[group] = _GROUP
        _change(draft, group, f"{_GROUP}: algorithms without a critic compare the replies of a group")
    prompts, update = (draft.values.get(key) for key in (_STEP, _UPDATE))
    if (
        isinstance(prompts, int)
        and isinstance(update, int)
        and 0 < prompts <= 10**6
        and update > 0
        and prompts % update
    ):
        whole = next(size for size in range(min(update, prompts), 0, -1) if prompts % size == 0)
        draft.values[_UPDATE] = whole
        _change(draft, _UPDATE, f"{whole}: {update} do not divide the {prompts} prompts of a step")
    if draft.values.get(estimator) == "gae":
        draft.values[estimator] = "grpo"
        _change(draft, estimator, "grpo: there is no critic here")


def _change(draft: Draft, key: str, why: str) -> None:
    for theirs, entry in draft.entries.items():
        if key in entry.ours:
            ours = {**entry.ours, key: draft.values[key]}
            draft.entries[theirs] = replace(entry, fate=Fate.CHANGED, ours=ours, why=why)


def _name(draft: Draft, path: Path) -> str:
    """A name for the experiment's file that none of ours has."""
    given = str(draft.values.get("run.name") or path.stem)
    name = re.sub(r"\W+", "_", given, flags=re.ASCII).strip("_")[:80] or "translated"
    return f"{name}_translated" if (config_dir() / "experiment" / f"{name}.yaml").exists() else name


def _refused(draft: Draft, name: str) -> Sequence[Problem]:
    """Take values out until the checks are content; what they still say is returned."""
    problems: Sequence[Problem] = ()
    for _ in range(_MOST_ROUNDS):
        problems = _problems(draft, name)
        ours = {problem.key: problem for problem in problems}
        refused = {key: ours[near] for key in draft.values if (near := _named(key, ours)) and _may_go(key, ours[near])}
        if not refused:
            break
        if _UPDATE in refused and _STEP in draft.values:  # one divides the other
            refused[_STEP] = refused[_UPDATE]
        for key, problem in refused.items():
            del draft.values[key]
            _note(draft, key, problem)
    return problems


def _may_go(key: str, problem: Problem) -> bool:
    """A run needs a name, but for one that no folder can have: then it gets the experiment's."""
    return key != "run.name" or problem.code == "no-folder-name"


def _named(key: str, problems: Mapping[str, Problem]) -> str | None:
    """The key of a problem that is about this value, or about something in it."""
    return next((one for one in problems if one == key or one.startswith(f"{key}.")), None)


def _note(draft: Draft, key: str, problem: Problem) -> None:
    for theirs, entry in draft.entries.items():
        if key in entry.ours:
            left = {one: value for one, value in entry.ours.items() if one != key}
            says = f"not taken over: {problem.text}"
            draft.entries[theirs] = replace(entry, fate=Fate.CHANGED, ours=left, why=says)


def _problems(draft: Draft, name: str) -> Sequence[Problem]:
    """What `check --offline` says of the experiment; their reward function is not loaded for it."""
    values = {key: "format" if value == "ported" else value for key, value in draft.values.items()}
    stand_in = replace_signal(draft, values)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiment" / f"{name}.yaml"
        file.parent.mkdir()
        file.write_text(experiment_text(stand_in, "a script"), encoding="utf-8")
        try:
            composed = configs.composed_train([f"experiment={name}"], [Path(folder)])
        except ConfigError as error:
            return error.problems
        return checks.problems_of(composed, offline=True)


def replace_signal(draft: Draft, values: Mapping[str, Any]) -> Draft:
    """The draft with a signal of ours in place of their function."""
    extra = _STAND_IN if draft.signal else {}
    return replace(draft, values={**values, **extra}, signal=None)
