"""Kinds of the keys of `eval` and `data prepare`: every key has one, and any value is taken or refused, never more."""

from __future__ import annotations

import copy

import pytest

from medix_r1.grammar import ModalityTag
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema import tables
from medix_r1.schema.known import config_dir, flatten

ODD = ["abc", 3.5, -1, 0, None, [], {"a": 1}, True, "", " ", [1, "x"], [{}], float("nan"), "9" * 400, "é\n"]
FREE = ("server.environment.", "judge.server.environment.", "judge.extra_body.", "data.tags.", "data.where.", "tasks.")
CHECKED_ELSEWHERE = {"data.turns", "data.system", "data._target_", "data.path", "data.pattern", "data.images"}


def tree(name: str) -> dict:
    """The keys of a root config and of the groups that it starts with, as its YAML files have them."""
    folder = config_dir() / name
    whole = _file(folder / f"{name}.yaml")
    groups = {"eval": {"judge": ["votes", "vllm"], "server": ["vllm"]}, "prepare": {"data": ["jsonl", "csv"]}}[name]
    for group, files in groups.items():
        whole[group] = {key: value for file in files for key, value in _file(folder / group / f"{file}.yaml").items()}
    return whole


def _file(path):
    found = read_yaml(path)
    found.pop("defaults", None)
    return found


@pytest.mark.parametrize("name", ["eval", "prepare"])
def test_every_key_of_ours_has_a_kind(name):
    keys = {key for key, _ in flatten(tree(name)) if not key.startswith(FREE)} - CHECKED_ELSEWHERE

    assert [key for key in sorted(keys) if tables._kind(key, name) is None] == []


@pytest.mark.parametrize("name", ["eval", "prepare"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_values_are_taken_or_refused_by_their_own_key(name, odd):
    base = tree(name)
    for key in tables.table(name):
        if "*" in key or key.startswith(FREE):
            continue
        whole, (*nodes, last) = copy.deepcopy(base), key.split(".")
        node = whole
        for part in nodes:
            node = node.get(part) or node.setdefault(part, {})
        if isinstance(node, dict):
            node[last] = odd
            assert all(problem.key.startswith(key) for problem in tables.value_problems(whole, name))


def test_texts_of_numbers_are_converted():
    whole = tree("eval") | {"limit": "5", "timeout": "1e2"}

    assert tables.value_problems(whole, "eval") == []
    assert (whole["limit"], whole["timeout"]) == (5, 100.0)


def test_the_tags_are_the_grammars():
    assert tables.table("prepare")["default_tag"].choices == (*ModalityTag,)
