"""Plug-ins are loaded, and what the config names is registered by somebody, before anything starts."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medix_r1.algorithms.estimators import ESTIMATORS
from medix_r1.training.preflight.algorithm import algorithm_problems, optimizer_problems, plugin_problems
from tests.support.configs import choices, composed
from tests.support.problems import codes

ESTIMATOR, LOSS = "algorithm.adv_estimator", "actor_rollout_ref.actor.policy_loss.loss_mode"
PLUGIN = """
from medix_r1.algorithms import estimator


@estimator("of_this_test", needs_parts=True)
def mine(index, parts, **_):
    return index, index
"""


def config(**changes):
    changed = OmegaConf.create(composed("experiment=nano_cpu").copy())
    OmegaConf.set_struct(changed, False)
    for key, value in changes.items():
        OmegaConf.update(changed, key.replace("__", "."), value, force_add=True)
    return changed


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "of_this_test", None)  # put back when the test ends
    del ESTIMATORS["of_this_test"]
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    return str(file)


@pytest.mark.parametrize("algorithm", choices("algorithm"))
def test_every_algorithm_of_ours_is_registered_by_somebody(algorithm):
    assert list(algorithm_problems(composed("experiment=nano_cpu", f"algorithm={algorithm}"))) == []


def test_an_estimator_of_a_plug_in_is_registered_once_the_plug_in_is_loaded(plugin):
    unknown = config(algorithm__adv_estimator="of_this_test")
    assert codes(algorithm_problems(unknown)) == [(ESTIMATOR, "not-registered")]

    broken = config(algorithm__adv_estimator="of_this_test", run__plugins=["./none.py"])
    assert list(algorithm_problems(broken)) == []  # the plug-in that is missing may have it

    mine = config(algorithm__adv_estimator="of_this_test", run__plugins=[plugin, "json"])
    assert [*plugin_problems(mine), *algorithm_problems(mine)] == []


def test_names_that_nobody_registers():
    (wrong,) = algorithm_problems(config(algorithm__adv_estimator="grop"))
    assert (wrong.key, wrong.code) == (ESTIMATOR, "not-registered")
    assert "did you mean grpo?" in wrong.text
    (wrong,) = algorithm_problems(config(actor_rollout_ref__actor__policy_loss__loss_mode="of_nobody"))
    assert (wrong.key, wrong.code) == (LOSS, "not-registered")
    assert "run.plugins" in wrong.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reward__gate": "format"}, "weighs-parts-itself"),
        ({"reward__weight_tables": {"source": {"a": {"format": 1.0}}, "modality": {}}}, "weighs-parts-itself"),
        ({"trainer__v1__trainer_mode": "separate_async"}, "not-our-trainer"),
    ],
)
def test_what_an_estimator_that_needs_the_parts_cannot_work_with(changes, code):
    assert codes(algorithm_problems(config(algorithm__adv_estimator="medix_gdpo", **changes))) == [(ESTIMATOR, code)]
    assert list(algorithm_problems(config(**changes))) == []


@pytest.mark.parametrize("overlong", ["zero", "soft", "mask", "reward"])
def test_what_is_taken_off_the_total_never_reaches_an_estimator_of_parts(overlong):
    changes = {"reward__overlong": overlong, "reward__overlong_cache": 8}
    refused = [("reward.overlong", "weighs-parts-itself")] if overlong in ("zero", "soft") else []
    assert codes(algorithm_problems(config(algorithm__adv_estimator="medix_gdpo", **changes))) == refused
    assert list(algorithm_problems(config(**changes))) == []


def test_an_optimizer_in_a_file_is_loaded(tmp_path):
    (tmp_path / "mine.py").write_text("class Lion: ...\n")
    optim = {
        "actor_rollout_ref__actor__optim__optimizer_impl": f"{tmp_path}/mine.py",
        "actor_rollout_ref__actor__optim__optimizer": "Lion",
    }
    assert list(optimizer_problems(config(**optim))) == []

    optim["actor_rollout_ref__actor__optim__optimizer"] = "Lyon"
    key = "actor_rollout_ref.actor.optim.optimizer_impl"
    assert codes(optimizer_problems(config(**optim))) == [(key, "not-loadable")]


@pytest.mark.parametrize(
    ("plugins", "code"),
    [
        (["./none.py"], "no-such-file"),
        (["no_such_module"], "not-loadable"),
        (["{folder}/broken.py"], "not-loadable"),
        ("./mine.py", "not-a-list"),
        ([3], "not-a-list"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_one_line(tmp_path, plugins, code):
    (tmp_path / "broken.py").write_text("import no_such_package\n")
    if isinstance(plugins, list) and plugins != [3]:
        plugins = [plugin.format(folder=tmp_path) for plugin in plugins]

    (problem,) = plugin_problems(config(run__plugins=plugins))

    assert (problem.key, problem.code) == ("run.plugins", code)
    assert "\n" not in problem.text
