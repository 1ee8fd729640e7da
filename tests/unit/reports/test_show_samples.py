import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from medix_r1.reports.show_samples import show
from medix_r1.runs.samples_folder import ASKED_WITH, SPLITS, looking_split
from tests.support.rollouts import BLANK


@pytest.mark.parametrize("asked_with", ["", "a grey picture"])
def test_a_sample_says_when_it_was_asked_with_another_picture_than_the_one_shown(asked_with) -> None:
    line = replace(BLANK, key="u_0_0").to_line() | {"step": 5}
    said = io.StringIO()
    show([line], {"7": [Path("own.png")]}, Console(file=said, width=200), asked_with)
    (images,) = [line for line in said.getvalue().splitlines() if line.startswith("images")]
    assert "own.png" in images
    assert ("a grey picture" in images) == bool(asked_with)


def test_every_kind_of_picture_has_its_split() -> None:
    assert [looking_split(kind) for kind in ("shuffled", "blank")] == list(ASKED_WITH)
    assert set(ASKED_WITH) < set(SPLITS)
