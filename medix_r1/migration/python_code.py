"""Reads the settings of a TRL script from its syntax tree. Nothing is imported or executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from medix_r1.migration.found import Project, Script, Unresolved

_CONFIGS = ("GRPOConfig", "RLOOConfig", "TrainingArguments", "ModelConfig", "ScriptArguments", "GRPOScriptArguments")
_TRAINERS = ("GRPOTrainer", "RLOOTrainer")
_LORA = "LoraConfig"
_MARK = object()


class NoConfig(ValueError):
    """The code holds no config of TRL."""


def read_python(text: str) -> Script:
    """The arguments of GRPOConfig, LoraConfig and GRPOTrainer in a script.

    Raises:
        SyntaxError: it is no Python.
        NoConfig: it calls no GRPOConfig.
    """
    tree = ast.parse(text)
    values = _assigned(tree)
    script = Script(Project.TRL)
    calls = [(name, node) for node in ast.walk(tree) if isinstance(node, ast.Call) and (name := _name(node.func))]
    if not any(name.startswith("GRPOConfig") or name in _TRAINERS for name, _ in calls):
        raise NoConfig
    for name, node in calls:
        if name in _CONFIGS:
            script.settings |= _arguments(node, values)
        elif name == _LORA:
            script.settings |= {f"lora_{key}": value for key, value in _lora(_arguments(node, values)).items()}
        elif name in _TRAINERS:
            given = _arguments(node, values)
            if isinstance(model := given.get("model"), str):
                script.settings.setdefault("model_name_or_path", model)
            if "reward_funcs" in given:
                script.settings["reward_funcs"] = _functions(node) or given["reward_funcs"]
    return script


def _lora(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """PEFT's names without the prefix that they carry already."""
    return {key.removeprefix("lora_"): value for key, value in arguments.items()}


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _functions(node: ast.Call) -> list[str]:
    """The names of a trainer's reward functions."""
    given = next((one.value for one in node.keywords if one.arg == "reward_funcs"), None)
    items = given.elts if isinstance(given, ast.List | ast.Tuple) else [given] if given is not None else []
    return [ast.unparse(one)[:100] for one in items]


def _assigned(tree: ast.Module) -> dict[str, Any]:
    """Names that are assigned one literal only → that literal."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _literal(node.value, found)
            name = node.targets[0].id
            found[name] = _MARK if name in found and found[name] != value else value
    return {name: value for name, value in found.items() if value is not _MARK}


def _arguments(node: ast.Call, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in node.keywords:
        value = _literal(one.value, values)
        if one.arg is not None:
            found[one.arg] = value
        elif isinstance(value, dict):
            found |= {str(key): entry for key, entry in value.items()}
    return found


def _literal(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value that an expression has for certain, else `Unresolved`."""
    if isinstance(node, ast.Name) and node.id in values and values[node.id] is not _MARK:
        return values[node.id]
    if isinstance(node, ast.Call) and _name(node.func) == "dict" and not node.args:
        return _arguments(node, values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Add | ast.Sub):
        left, right = _literal(node.left, values), _literal(node.right, values)
        if all(isinstance(one, int | float) and abs(one) < 10**12 for one in (left, right)):
            signs = {ast.Mult: left * right, ast.Add: left + right, ast.Sub: left - right}
            return signs[type(node.op)]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Unresolved(ast.unparse(node)[:200])
