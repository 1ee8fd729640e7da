import pytest
from omegaconf import OmegaConf

from medix_r1.training.preflight.current_directory import shadowing_problems
from tests.support.problems import codes


@pytest.mark.parametrize("name", ["statistics", "yaml", "hydra"])
def test_a_file_that_workers_would_import_instead_of_a_module_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").touch()

    assert codes(shadowing_problems(OmegaConf.create())) == [(str(tmp_path / f"{name}.py"), "hides-a-module")]


@pytest.mark.parametrize("on_the_path", [False, True])
def test_a_file_of_a_name_of_its_own_hides_nothing(tmp_path, monkeypatch, on_the_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_signal_of_this_test.py").touch()
    if on_the_path:
        monkeypatch.syspath_prepend(str(tmp_path))

    assert codes(shadowing_problems(OmegaConf.create())) == []
