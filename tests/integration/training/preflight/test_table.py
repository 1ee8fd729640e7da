"""Wrong configs with their problems (wrong_configs.yaml), and right ones: every recipe, example and sweep."""

from __future__ import annotations

import json

import pytest

from medix_r1 import config as configs
from medix_r1.training.preflight import checks
from tests.support import check_kinds
from tests.support.composed_once import compose_once
from tests.support.configs import ADDRESS, choices, unsettled
from tests.support.machine import demo_files, good_machine
from tests.support.problems import codes

TABLE, KINDS = check_kinds.TABLE, json.loads(check_kinds.GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _bases_are_composed_once():
    with pytest.MonkeyPatch.context() as patch:
        compose_once(patch)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return demo_files(tmp_path_factory.mktemp("demo"))


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    good_machine(monkeypatch)
    monkeypatch.chdir(tmp_path)


def test_there_are_enough_of_each():
    assert len(TABLE) >= 150
    assert len({code for row in TABLE for code in row["is"].values()}) >= 25


@pytest.mark.parametrize("number", range(len(TABLE)), ids=[" ".join(row["set"]) for row in TABLE])
def test_a_wrong_config_has_its_problems(number, demo):
    row = TABLE[number]

    problems = check_kinds.problems_of(row, demo)

    assert dict(codes(problems)) == row["is"]
    assert len(problems) == len(row["is"]), "one line each"
    assert not [problem for problem in problems if "\n" in str(problem)]
    for code, said in check_kinds.lines(number, problems, demo).items():
        assert KINDS.get(code) == said, "reworded? python -m tests.support.check_kinds --write"


GPU = (
    "medix_r1_2b_dapo",
    "medix_r1_2b_gpu24",
    "medix_r1_7b_gspo",
    "medix_r1_8b_dapo",
    "medix_r1_8b_grpo",
    "medix_r1_30b_dapo",
)
SWEPT = ("ablation_algorithm", "ablation_backbone", "ablation_reward", "nano_ablation_reward")
NANO, REPORTS = "experiment=nano_cpu", "experiment=nano_reports"
PREPARED = ("report_generation",)  # its data is a folder of the user's own
WRITES = "relative"  # a reward whose judge writes a ranking, which the nano judge cannot
RIGHT = [  # command lines that pass every check which looks at the config alone
    [NANO],
    *([f"experiment={name}", ADDRESS] for name in (*GPU, *SWEPT)),
    *([f"experiment={name}", ADDRESS, "data.folder=mine"] for name in PREPARED),
    *([NANO, f"algorithm={name}"] for name in choices("algorithm")),
    *([NANO, f"reward={name}"] for name in choices("reward") if name != WRITES),
    [NANO, f"reward={WRITES}", "judge=remote", ADDRESS, "judge.client.model=m"],
    [REPORTS],
    *([NANO, f"lora={name}"] for name in choices("lora")),
    *([NANO, f"correction={name}"] for name in choices("correction")),
    [NANO, "hardware=cpu2"],
    [NANO, "embedder=remote", "embedder.base_url=http://127.0.0.1:1/v1", "embedder.patience=120"],
    [NANO, "judge=remote", ADDRESS, "judge.client.model=m"],
    ["experiment=medix_r1_8b_grpo", ADDRESS, "trainer=colocate_async"],
    ["experiment=medix_r1_8b_grpo", ADDRESS, "hardware=h100x8"],
    ["experiment=medix_r1_8b_grpo", "judge=vllm", "placement=own_gpus"],
    [NANO, "run.name=7", "data.max_response_length='40'", "actor_rollout_ref.actor.optim.lr='1e-6'"],
    [NANO, "run.keep_checkpoints=null", "run.best_metric=null", "trainer.total_training_steps=null"],
    [NANO, "trainer.save_freq=-1", "trainer.test_freq=-1", "actor_rollout_ref.rollout.val_kwargs.temperature=0"],
    [NANO, "algorithm=dapo", "algorithm.filter_groups.metric=format"],
    [NANO, "algorithm=dapo", "algorithm.filter_groups.metric=length"]
    + [f"trainer.v1.sampler.sampler_kwargs.filter.{bound}" for bound in ("low=0.01", "high=0.99")],
]


def test_there_are_enough_right_ones():
    assert len(RIGHT) >= 30
    assert set(choices("experiment")) == {*GPU, *SWEPT, *PREPARED, "nano_cpu", "nano_reports"}


@pytest.mark.parametrize("words", RIGHT, ids=map(" ".join, RIGHT))
def test_a_right_config_has_no_problem(words, demo):
    folder = [f"demo_dir={demo}"] if {NANO, REPORTS} & {*words} else []

    composed = configs.settled(unsettled(*words, *folder))

    assert codes(checks.problems_of(composed, offline=True)) == []
