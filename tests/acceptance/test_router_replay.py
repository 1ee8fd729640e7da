"""Router replay: vLLM loads new experts and writes routes down; an actor that takes them is ten times nearer to it."""

from __future__ import annotations

import json

import pytest

from tests.support.mixture import build_mixture
from tests.support.replay_probe import run

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(2000)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("mixture")
    for seed in (0, 1):
        build_mixture(folder / str(seed), seed)
    run("rollouts", folder / "0", folder / "1", folder / "rollouts.pt")
    seen: dict[str, float] = json.loads(run("actor", folder / "1", folder / "rollouts.pt").splitlines()[-1])
    print(seen)
    return seen


def test_routes_are_written_down(found: dict[str, float]) -> None:
    assert found["routes"] > 1, "of sixteen experts, in every reply"


@pytest.mark.parametrize("rows", ["packed", "padded"])
def test_the_actor_is_ten_times_nearer(found: dict[str, float], rows: str) -> None:
    """New weights in vLLM, too: with the old ones the two would be further apart than any rounding."""
    assert found[f"{rows}, replayed"] < 0.002
    assert found[f"{rows}, replayed"] < found[f"{rows}, own"] / 10
