import os
import pickle
import sys

import pytest
from omegaconf import OmegaConf
from ray.exceptions import RayTaskError

from medix_r1.errors import ConfigError, JudgeUnavailable, Problem
from medix_r1.runs.folder import TRACEBACK, RunFolder, read_lines
from medix_r1.training.command import driver
from medix_r1.training.command.driver import root_cause


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def from_ray(cause: Exception) -> Exception:
    """What `ray.get` raises when a remote task raised `cause`."""
    return RayTaskError("run", "Traceback: …", cause, pid=1, ip="127.0.0.1").as_instanceof_cause()


def test_a_plain_error_is_its_own_cause():
    error = ValueError("x")

    assert root_cause(error) is error


def test_rays_wrapper_is_taken_off():
    cause = JudgeUnavailable("judge away")
    error = from_ray(cause)
    assert isinstance(error, JudgeUnavailable)
    assert str(error) != "judge away"

    assert root_cause(error) is cause


def test_a_wrapper_in_a_wrapper():
    cause = raised(KeyError("first"))
    middle = raised(RuntimeError("second"), cause)

    assert root_cause(from_ray(from_ray(middle))) is cause


def test_pythons_chain_is_followed_to_its_start():
    first = raised(OSError("disk full"))

    assert root_cause(raised(RuntimeError("saving failed"), raised(ValueError("x"), first))) is first


def test_an_error_of_ours_is_not_taken_apart():
    """Its message says more than that of what was underneath."""
    ours = raised(ConfigError.of("_target_", "target-not-imported", "x"), ImportError("no module x"))

    assert root_cause(ours) is ours
    assert root_cause(raised(RuntimeError("hydra"), ours)) is ours
    assert root_cause(from_ray(ours)) is ours


def test_a_chain_without_an_end():
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first

    assert root_cause(first) in (first, second)


def test_rays_wrapper_without_a_cause():
    wrapper = RayTaskError("run", "Traceback: …", ValueError("x"), pid=1, ip="127.0.0.1")
    wrapper.cause = None

    assert root_cause(wrapper) is wrapper


def test_our_errors_come_through_ray_unharmed():
    error = root_cause(from_ray(ConfigError.of("a", "wrong", "b")))
    assert pickle.loads(pickle.dumps(error)).problems == (Problem("a", "wrong", "b"),)
    cause = root_cause(from_ray(JudgeUnavailable("judge away", code="server-lost")))
    assert isinstance(cause, JudgeUnavailable)
    assert cause.code == "server-lost"


@pytest.fixture
def run(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.create()
    folder.config.write_text("run: {seed: 1}\n")
    monkeypatch.setattr(sys, "argv", ["driver", str(tmp_path)])
    return folder


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (from_ray(JudgeUnavailable("judge away")), "judge away"),
        (from_ray(ValueError("bad shape")), "ValueError: bad shape"),
    ],
)
def test_a_failure_is_one_event_and_still_raised(run, monkeypatch, capsys, error, message):
    def train(config, folder, runner):
        raise error

    monkeypatch.setattr(driver, "train", train)

    with pytest.raises(type(error)):
        driver.main()

    (event,) = read_lines(run.events)
    assert (event["event"], event["message"]) == ("error", message)
    assert capsys.readouterr().err == f"{TRACEBACK}\n"  # where the terminal's excerpt of the log ends


def test_success_is_one_event(run, monkeypatch):
    seen = []
    monkeypatch.setattr(driver, "train", lambda config, folder, runner: seen.append(config))

    assert driver.main() == 0

    assert seen[0].run.seed == 1
    assert [event["event"] for event in read_lines(run.events)] == ["finished"]


def test_the_drivers_environment(monkeypatch):
    monkeypatch.setattr(os, "environ", {"CUDA_VISIBLE_DEVICES": "", "KEPT": "1"})
    ray_init = {"runtime_env": {"env_vars": {"A": 1, "B": "x"}}}
    config = OmegaConf.create({"ray_kwargs": {"ray_init": ray_init}, "run": {"plugins": ["/run/code/mine_1a.py"]}})

    driver.set_environment(config)

    assert os.environ == {"KEPT": "1", "A": "1", "B": "x", "MEDIX_R1_PLUGINS": '["/run/code/mine_1a.py"]'}


def test_workers_of_another_ray_learn_where_the_run_writes_and_no_key(monkeypatch):
    for name in ("MEDIX_R1_RUN", "TENSORBOARD_DIR"):
        monkeypatch.delenv(name, raising=False)
    of_the_run = {"VERL_FILE_LOGGER_PATH": "/run/metrics.jsonl", "MEDIX_R1_PLUGINS": "[]"}
    for name, value in {**of_the_run, "HF_TOKEN": "secret"}.items():
        monkeypatch.setenv(name, value)
    config = OmegaConf.create({"ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {"A": "1"}}}}})

    driver.share_environment(config)

    assert config.ray_kwargs.ray_init.runtime_env.env_vars == {"A": "1", **of_the_run}
