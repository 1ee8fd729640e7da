"""Write medix_r1/schema/verl_fields.json: the keys of verl's YAML and dataclasses, with their kinds, and some names.

Some valid keys are only in verl's dataclasses, not in its YAML files, and only the dataclasses know that a key whose
default is null takes a number. Importing them takes seconds, so the checks of a config read this list.
tests/integration/training/verl_plugin/test_compatibility.py fails if the installed verl differs.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from hydra import compose
from omegaconf import OmegaConf

from medix_r1.algorithms.estimators import ESTIMATORS as OURS
from medix_r1.composing import composing, plain
from medix_r1.schema import kinds
from medix_r1.schema.known import config_dir, flatten, verl_config_dir
from medix_r1.schema.unread import replacement
from medix_r1.training.preflight.modules import LOOP

CORE = "verl.trainer.ppo.core_algos"
LOOPS = "verl.experimental.agent_loop.agent_loop"
REGISTRIES = (f"{CORE}.ADV_ESTIMATOR_REGISTRY", f"{CORE}.POLICY_LOSS_REGISTRY", f"{LOOPS}._agent_loop_registry")
TRACKERS = "verl.utils.tracking.Tracking.supported_backend"
# Modules of verl that no run of ours imports: other engines and rollouts, other trainers, tools.
_ELSEWHERE = re.compile(
    r"megatron|mcore|veomni|torchtitan|automodel|sglang|trtllm|mindspeed|turbo|npu|/qat|sft|model_merger|third_party"
    r"|hf_rollout|naive_rollout|^tools/|^models/(?!transformers|registry)|^experimental/(?!agent_loop|reward_loop)"
)
# Subtrees that are read only where they are switched on, or passed on as a whole; and a choice of files.
_CONDITIONAL = re.compile(r"^(?:critic|distillation|skip|transfer_queue|ray_kwargs)\.|profiler\.|^model_engine$")
_LONGEST_TEXT = 200  # characters; longer texts are docstrings, which mention what they do not read
TARGET = Path(__file__).parent.parent / "medix_r1" / "schema" / "verl_fields.json"


def verl_tree() -> dict[str, Any]:
    """verl's own `ppo_trainer` config, resolved, because some defaults are another key's null."""
    with composing(verl_config_dir()):
        config = compose("ppo_trainer")
        OmegaConf.resolve(config)
        return plain(config)


def verl_fields() -> dict[str, Any]:
    """What the installed verl knows.

    `keys`: dotted key of the tree → kind. `classes`: dotted class name → field → kind. `names`: registry → its names.
    `unread`: keys that a run of ours never reads → their values in our base config.
    """
    tree = verl_tree()
    targets = {node["_target_"] for _, node in flatten(tree) if isinstance(node, dict) and "_target_" in node}
    classes = {target: _fields(target) for target in sorted(targets)}
    return {
        "keys": (keys := dict(sorted(_keys(tree, classes)))),
        "classes": classes,
        "names": {registry: sorted(_found(registry).keys() - OURS - {LOOP}) for registry in REGISTRIES}
        | {TRACKERS: sorted(_found(TRACKERS))},
        "unread": _unread(keys),
    }


def _unread(keys: Mapping[str, str]) -> dict[str, Any]:
    """Values, in our base config, of the keys of unread.yaml and of those whose name no module on our path mentions."""
    words = _words()
    with composing(config_dir()):
        base = plain(compose("train", overrides=[f"hydra.searchpath=[file://{verl_config_dir()}]"]))
    return {
        key: value
        for key, value in sorted(flatten(base))
        if not isinstance(value, dict)
        and not key.endswith("_target_")
        and (replacement(key) or (key in keys and not _CONDITIONAL.search(key) and not words >= {*key.split(".")}))
    }


def _words() -> set[str]:
    """Names and words of texts in our package, and in the modules of verl that a run of ours may import."""
    verl, ours = verl_config_dir().parents[1], TARGET.parents[1]
    files = [file for file in verl.rglob("*.py") if not _ELSEWHERE.search(str(file.relative_to(verl)))]
    words: set[str] = set()
    for file in (*files, *ours.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words |= set(re.findall(r"\w+", node.value)) if len(node.value) < _LONGEST_TEXT else set()
            elif isinstance(node, ast.keyword | ast.arg) and node.arg:
                words.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                words.add(node.id)
    return words


def _found(dotted: str) -> Any:
    parts = dotted.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(dotted)


def _fields(target: str) -> dict[str, str]:
    cls = _found(target)
    hints = get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        kind = kinds.of_annotation(hints[field.name])
        found[field.name] = f"{kind}|null" if field.default is None and "null" not in kind else kind
    return dict(sorted(found.items()))


def _keys(
    tree: Mapping[str, Any], classes: Mapping[str, Mapping[str, str]], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    fields = classes.get(str(tree.get("_target_")), {})
    for name in {*tree, *fields}:
        default = kinds.of_value(tree.get(name))
        named = fields.get(name, kinds.ANY)
        yield f"{prefix}{name}", _union(default if kinds.ANY in named else named, default, tree.get(name, ...))
        if isinstance(tree.get(name), dict):
            yield from _keys(tree[name], classes, f"{prefix}{name}.")


def _union(kind: str, default: str, value: Any) -> str:
    """The kind, with that of verl's own default, which is allowed even where the dataclass says otherwise."""
    parts = kind.split("|")
    if default not in (kinds.ANY, *parts) and not (default == "int" and "number" in parts):
        parts.append(default)
    if value is None and kinds.ANY not in parts:
        parts.append("null")
    return "|".join(dict.fromkeys(parts))


if __name__ == "__main__":
    TARGET.write_text(json.dumps(verl_fields(), indent=1) + "\n", encoding="utf-8")
