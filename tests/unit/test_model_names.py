"""Names of models on the hub; everything else is a folder, so that a missing folder is reported before a start."""

from __future__ import annotations

import pytest

from medix_r1.model_names import is_hub_name


@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-8B-Instruct", "owner/name_1.5", "gpt2"])
def test_a_name_on_the_hub(name: str) -> None:
    assert is_hub_name(name)


@pytest.mark.parametrize(
    "name", ["./judge", "../judge", "~/judge", "/models/judge", "models/a/judge", "models/", "", "a b/c"]
)
def test_a_folder_there_or_not(name: str) -> None:
    assert not is_hub_name(name)
