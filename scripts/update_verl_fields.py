"""Write medix_r1/verl_fields.json: fields of every dataclass that verl's YAML tree names, names in two registries.

Some valid keys are only in verl's dataclasses, not in its YAML files. Importing the dataclasses takes seconds, so the
check for unknown keys reads this list. tests/integration/training/verl_plugin/test_compatibility.py fails if the
installed verl differs.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

from medix_r1.algorithms.estimators import ESTIMATORS as OURS
from medix_r1.config import flatten, verl_tree

CORE = "verl.trainer.ppo.core_algos"
REGISTRIES = (f"{CORE}.ADV_ESTIMATOR_REGISTRY", f"{CORE}.POLICY_LOSS_REGISTRY")
TARGET = Path(__file__).parent.parent / "medix_r1" / "verl_fields.json"


def verl_fields() -> dict[str, list[str]]:
    """Dotted class name → sorted field names, of the installed verl."""
    targets = {node["_target_"] for _, node in flatten(verl_tree()) if isinstance(node, dict) and "_target_" in node}
    fields = {}
    for target in sorted(targets):
        module, _, name = target.rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        fields[target] = sorted(field.name for field in dataclasses.fields(cls))
    for registry in REGISTRIES:
        module, _, name = registry.rpartition(".")
        fields[registry] = sorted(getattr(importlib.import_module(module), name).keys() - OURS)
    return fields


if __name__ == "__main__":
    TARGET.write_text(json.dumps(verl_fields(), indent=1) + "\n", encoding="utf-8")
