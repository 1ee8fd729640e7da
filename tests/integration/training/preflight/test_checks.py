import importlib
import os
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from medix_r1.models.settings import VERL_ROUTER
from medix_r1.training.preflight import checks
from tests.support.configs import varied
from tests.support.judge_stub import MODEL, JudgeStub
from tests.support.machine import memory
from tests.support.problems import codes, numbers
from tests.unit.data.support import make_backbone
from tests.unit.training.preflight.rows.test_data_rows import parquet, row

GIB = 1024**3
REMOTE_EMBEDDER = {"_target_": "medix_r1.models.remote_embedder.RemoteEmbedder", "model": MODEL}


@pytest.fixture(scope="module")
def composed():
    return varied("experiment=nano_cpu")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A model's folder; its weights are no weights, and take no room in the estimates."""
    folder = make_backbone(tmp_path_factory.mktemp("backbone") / "model")
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def good(composed, backbone, tmp_path, monkeypatch):
    """A config with nothing wrong, on a machine with enough of everything."""
    for name in ("train", "heldout_views", "heldout_sources"):
        (tmp_path / "data").mkdir(exist_ok=True)
        parquet(tmp_path / "data" / f"{name}.parquet", [row(number) for number in range(24)])
    for name in ("policy", "judge"):
        shutil.copytree(backbone, tmp_path / "models" / name)
    memory(monkeypatch, available=64 * GIB)
    disk(monkeypatch, free=64 * GIB)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "SOME_KEY"):
        monkeypatch.delenv(name, raising=False)
    return changed(
        composed,
        **{
            "run.dir": str(tmp_path / "run"),
            "data.train_files": str(tmp_path / "data/train.parquet"),
            "data.val_files": [str(tmp_path / f"data/heldout_{name}.parquet") for name in ("views", "sources")],
            "actor_rollout_ref.model.path": str(tmp_path / "models/policy"),
            "judge.server.model": str(tmp_path / "models/judge"),
        },
    )


def disk(monkeypatch, *, free: float, shared: float = 64 * GIB) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=shared if str(path) == "/dev/shm" else free)
    )


def changed(config, **values):
    copy = config.copy()
    for key, value in values.items():
        OmegaConf.update(copy, key, value, merge=False, force_add=True)
    return copy


def test_nothing_wrong(good):
    assert checks.problems(good) == []


ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
BAD = [  # key, value, the key of the problem where it is another, its code, what it mentions
    ("reward.weights.llm", 0.6, "reward.weights", "sum-not-one", "1.0825"),
    ("reward.weights.lm", 0.0, None, "no-such-signal", "embed, exact, "),
    ("reward.think_element", "thinks", None, "not-a-choice", "'thinks'"),
    ("reward.overlong", "drop", None, "not-a-choice", "reward, zero, mask"),
    ("reward.overlong_cache", 8, None, "not-read", "reward.overlong=reward"),
    ("reward.custom_reward_function.path", "./mine.py", None, "not-read", "function:./mine.py:compute_score"),
    ("custom_reward_function.path", "./mine.py", None, "not-read", "function:./mine.py:compute_score"),
    (f"{ROLLOUT}.n", 1, None, "group-too-small", "1"),
    (f"{ACTOR}.ppo_mini_batch_size", 7, None, "does-not-divide", "data.train_batch_size=24"),
    (f"{ROLLOUT}.tensor_model_parallel_size", 2, None, "does-not-divide", "trainer.n_gpus_per_node=1"),
    (f"{ROLLOUT}.max_model_len", 80, None, "row-too-long-for-vllm", "88"),
    ("data.train_files", "no/such.parquet", None, "no-such-file", "medix-r1 data prepare"),
    ("data.val_files", ["no/such.parquet"], None, "no-such-file", "no/such.parquet"),
    ("actor_rollout_ref.model.path", "/no/such", None, "no-such-model", "medix-r1 demo build"),
    ("judge.client.api_key_env", "SOME_KEY", None, "variable-not-set", "SOME_KEY"),
    ("judge.server.model", "/no/such/judge", None, "no-such-file", "medix-r1 demo build"),
    ("judge.server.model", "./judge", None, "no-such-file", "./judge"),
    ("trainer.logger", ["tensorboard"], None, "file-logger-missing", "`file`"),
    ("trainer.logger", ["file", "wandb"], None, "wandb-without-key", "WANDB_API_KEY"),
]


@pytest.mark.parametrize(("key", "value", "named", "code", "mentions"), BAD, ids=[f"{bad[0]}={bad[1]}" for bad in BAD])
def test_one_wrong_value_is_one_line_with_its_key(good, key, value, named, code, mentions):
    (problem,) = checks.problems(changed(good, **{key: value}))

    assert (problem.key, problem.code) == (named or key, code)
    assert mentions in problem.text
    assert "\n" not in problem.text


def test_soft_overlong_punishment_begins_before_the_limit(good):
    limit = good.data.max_response_length
    for cache, wrong in ((limit - 1, []), (limit, [("reward.overlong_cache", "out-of-range")])):
        config = changed(good, **{"reward.overlong": "soft", "reward.overlong_cache": cache})
        assert codes(checks.problems(config)) == wrong


def test_the_limit_whose_message_says_most_comes_first(good):
    config = changed(good, **{"run.silence_limit": 900, "judge.client.patience": 1000})
    silence, stall = checks.problems(config)
    assert codes([silence, stall]) == [("run.silence_limit", "limit-too-short"), ("run.stall_limit", "limit-too-short")]
    assert "1800" in silence.text
    assert "2000" in stall.text
    config = changed(good, **{"judge.client": {"judges": [{"patience": 5}, {"patience": 900}]}})
    assert any("judge.client.judges[1].patience=900" in problem.text for problem in checks.problems(config))


def test_an_embedders_patience_ends_before_the_rollouts(good):
    """Else the stall would blame a worker for an embedder that is down."""
    embedder = {**REMOTE_EMBEDDER, "base_url": "http://127.0.0.1:9/v1", "patience": 3600}
    config = changed(good, embedder=embedder)
    (stall,) = [problem for problem in checks.problems(config) if problem.code == "limit-too-short"]
    assert stall.key == "run.stall_limit"
    assert "embedder.patience=3600" in stall.text
    signals = {"llm": good.reward.signals.llm}
    config = changed(config, **{"reward.signals": signals, "reward.weights": {"llm": 1.0}})
    assert checks.problems(config) == [], "a reward that embeds nothing"


@pytest.mark.parametrize("key", ["train_files", "val_files"])
@pytest.mark.parametrize("files", [None, []])
def test_no_data_at_all(good, key, files):
    assert codes(checks.problems(changed(good, **{f"data.{key}": files}))) == [(f"data.{key}", "no-value")]


def test_a_value_that_interpolates_a_missing_one_is_missing():
    """Composing resolves, so that the checks meet no interpolation."""
    words = ["experiment=nano_cpu", "run.stall_limit=${run.seed}", "run.seed=???", "run.dir=of-${run.seed}"]
    config = varied(*words)
    assert OmegaConf.is_missing(config.run, "stall_limit")
    assert OmegaConf.is_missing(config.run, "dir")
    assert ("run.stall_limit", "no-value") in codes(checks.problems(config))


def test_rows_that_do_not_divide_among_ranks(good):
    (problem,) = checks.problems(changed(good, **{"trainer.n_gpus_per_node": 7}))

    assert (problem.key, problem.code) == (f"{ACTOR}.ppo_mini_batch_size", "rows-do-not-divide")
    assert "= 120 " in problem.text
    assert f"data.train_batch_size=21 {ACTOR}.ppo_mini_batch_size=21" in problem.text


def test_all_problems_are_listed_together(good):
    found = checks.problems(
        changed(
            good,
            **{
                "reward.weights.llm": -1.0,
                "actor_rollout_ref.rollout.n": 1,
                "data.train_files": "no/such.parquet",
                "judge.client.api_key_env": "SOME_KEY",
                "trainer.logger": [],
            },
        )
    )

    assert [problem.key for problem in found] == [
        "reward.weights.llm",
        "actor_rollout_ref.rollout.n",
        "data.train_files",
        "judge.client.api_key_env",
        "trainer.logger",
    ]


def test_missing_values_hide_no_other_problem(good):
    missing = {"judge.server": None, "judge.client.base_url": "???", "embedder": {**REMOTE_EMBEDDER, "base_url": "???"}}
    wrong = {"actor_rollout_ref.rollout.n": 1, "data.train_files": "no/such.parquet"}

    assert [problem.key for problem in checks.problems(changed(good, **missing, **wrong))] == [
        "embedder.base_url",
        "judge.client.base_url",
        "actor_rollout_ref.rollout.n",
        "data.train_files",
    ]


@pytest.mark.parametrize(
    "key", ["data.train_batch_size", "actor_rollout_ref.model.path", "run.dir", "data.train_files"]
)
def test_any_value_may_be_missing(good, key):
    assert codes(checks.problems(changed(good, **{key: "???"}))) == [(key, "no-value")]


def test_a_hub_name_is_not_looked_for_on_disk(good):
    hub = {"actor_rollout_ref.model.path": "Qwen/Qwen3-VL-8B-Instruct", "trainer.save_freq": -1}
    assert checks.problems(changed(good, **hub)) == []


def test_a_model_that_brings_code(good, tmp_path):
    (tmp_path / "models/policy/modeling.py").touch()
    (tmp_path / "models/policy/config.json").write_text(
        '{"model_type": "qwen3_vl", "image_token_id": 1, "auto_map": {}}'
    )

    file, mapped = checks.problems(good)
    assert codes([file, mapped]) == [("actor_rollout_ref.model.path", "brings-code")] * 2
    assert "(modeling.py)" in file.text
    assert "auto_map" in mapped.text


def test_a_folder_that_is_no_model(good, tmp_path):
    (tmp_path / "models/policy/config.json").unlink()

    assert codes(checks.problems(good)) == [("actor_rollout_ref.model.path", "no-model-config")]


@pytest.mark.parametrize("installed", [False, True])
def test_a_gpu_without_flash_attention(good, monkeypatch, installed):
    device, find_spec = Path("/dev/nvidiactl"), importlib.util.find_spec
    monkeypatch.setattr(Path, "exists", lambda self, exists=Path.exists: self == device or exists(self))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: installed or None if name == "flash_attn" else find_spec(name)
    )
    config = changed(good, **{"trainer.device": "cuda", "actor_rollout_ref.model.override_config": {}})
    sdpa = changed(config, **{"actor_rollout_ref.model.override_config": {"attn_implementation": "sdpa"}})

    assert any(problem.code == "flash-attn-not-installed" for problem in checks.problems(config)) is not installed
    assert not any(problem.code == "flash-attn-not-installed" for problem in checks.problems(sdpa))


def test_a_judge_that_wants_a_key(good):
    with JudgeStub() as stub:
        stub.behave = lambda call: (401, {}, b"{}")
        (problem,) = checks.problems(remote(good, stub.address))

        assert (problem.key, problem.code) == ("judge.client.base_url", "wants-a-key")
        assert problem.text.startswith(f"{stub.address} answers 401")
        assert problem.text.endswith("judge.client.api_key_env")


def test_a_judges_port_in_use(good):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        (problem,) = checks.problems(changed(good, **{"judge.server.port": port}))

    assert (problem.key, problem.code) == ("judge.server.port", "port-in-use")
    assert f"127.0.0.1:{port}" in problem.text


def remote(config, address: str, model: str = MODEL):
    return changed(config, **{"judge.server": None, "judge.client.base_url": address, "judge.client.model": model})


def test_a_judge_elsewhere(good):
    with JudgeStub() as stub:
        assert checks.problems(remote(good, stub.address)) == []
        another = checks.problems(remote(good, stub.address, "another"))
    assert codes(another) == [("judge.client.model", "serves-another-model")]
    assert MODEL in another[0].text
    (problem,) = checks.problems(remote(good, stub.address))
    assert (problem.key, problem.code) == ("judge.client.base_url", "no-answer")
    assert stub.address in problem.text


def test_no_vllm(good, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    assert codes(checks.problems(good)) == [("judge.server", "vllm-not-installed")]


def test_wandb_with_its_key_or_offline(good, monkeypatch):
    config = changed(good, **{"trainer.logger": ["file", "wandb"]})
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert checks.problems(config) == []
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert checks.problems(config) == []


def test_wandb_after_its_login(good, monkeypatch, tmp_path):
    config = changed(good, **{"trainer.logger": ["file", "wandb"]})
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://tracker.example:8080")
    assert len(checks.problems(config)) == 1
    (tmp_path / "netrc").write_text("machine another.example login user password x")
    assert len(checks.problems(config)) == 1
    (tmp_path / "netrc").write_text("machine tracker.example:8080 login user password x")
    assert checks.problems(config) == []


def test_too_little_memory(good, monkeypatch):
    memory(monkeypatch, available=4 * GIB)

    (problem,) = checks.problems(good)
    assert (problem.key, problem.code) == ("memory", "too-little-host-memory")
    assert numbers(problem.text)[:2] == [4, 12]


def test_memory_is_counted_by_rank_and_on_the_cpu_alone(good, monkeypatch):
    memory(monkeypatch, available=12 * GIB)

    assert checks.problems(good) == []
    (problem,) = checks.problems(changed(good, **{"trainer.n_gpus_per_node": 2}))
    assert problem.code == "too-little-host-memory"
    on_gpus = {"trainer.n_gpus_per_node": 2, "trainer.device": "cuda", "placement.judge": "own_gpus"}
    judges = {"placement.judge_gpus": [2], "placement.judge_memory": 0.9}
    assert checks.problems(changed(good, **on_gpus, **judges)) == []


@pytest.mark.parametrize("limit", [None, 2048])
def test_without_chunked_prefill_one_row_must_fit_into_a_batch(good, limit):
    """verl 0.9.1 would raise a frozen field and die when vLLM starts."""
    (problem,) = checks.problems(changed(good, **{"actor_rollout_ref.rollout.max_model_len": limit}))

    assert (problem.key, problem.code) == ("actor_rollout_ref.rollout.max_model_len", "row-too-long-for-a-batch")
    assert "max_num_batched_tokens=1024" in problem.text
    assert "88" in problem.text


def test_several_nodes_need_a_cluster_that_runs(good):
    nodes = {"trainer.nnodes": 2}

    assert codes(checks.problems(changed(good, **nodes))) == [("ray_kwargs.ray_init.address", "no-cluster")]
    with JudgeStub() as stub:
        config = remote(good, stub.address)
        assert checks.problems(changed(config, **nodes, **{"ray_kwargs.ray_init.address": "127.0.0.1:6379"})) == []


def test_workers_of_a_running_cluster_know_no_relative_path(good, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    relative = {
        "ray_kwargs.ray_init.address": "127.0.0.1:6379",
        "data.train_files": "data/train.parquet",
        "actor_rollout_ref.model.path": "models/policy",
    }

    found = checks.problems(changed(good, **relative))
    assert codes(found) == [("data.train_files", "relative-path"), ("actor_rollout_ref.model.path", "relative-path")]
    hub = {**relative, "data.train_files": good.data.train_files, "actor_rollout_ref.model.path": "org/model"}
    assert checks.problems(changed(good, **hub)) == []


def test_too_little_shared_memory(good, monkeypatch):
    disk(monkeypatch, free=64 * GIB, shared=0.0625 * GIB)

    (problem,) = checks.problems(good)
    assert (problem.key, problem.code) == ("/dev/shm", "too-little-shared-memory")
    assert "0.1 GiB" in problem.text


def test_a_folder_that_cannot_be_written_to(good, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    (problem,) = checks.problems(good)
    assert (problem.key, problem.code) == ("run.dir", "not-writable")
    assert str(tmp_path) in problem.text


def test_every_address_of_a_judge_is_looked_at(good):
    with JudgeStub() as stub:
        config = changed(
            remote(good, stub.address), **{"judge.client.base_urls": [stub.address, "http://127.0.0.1:9/v1"]}
        )
        (problem,) = checks.problems(config)

    assert (problem.key, problem.code) == ("judge.client.base_urls[1]", "no-answer")


def test_settings_that_the_judge_itself_refuses(good):
    config = changed(good, **{"judge.client.mode": "graded", "judge.client.cost_cap": 3})

    assert codes(checks.problems(config)) == [
        ("judge.client.mode", "not-a-choice"),
        ("judge.client.cost_cap", "needs-prices"),
    ]


def test_a_vote_is_looked_at_member_by_member(good):
    target = "medix_r1.models.judge.ChatJudge"
    with JudgeStub(lambda prompt: "YES") as stub:
        members = [
            {"_target_": target, "base_url": stub.address, "model": MODEL},
            {"_target_": target, "base_url": stub.address, "model": "another"},
        ]
        client = {"_target_": "medix_r1.models.ensemble.voting.VotingJudge", "quorum": 1, "judges": members}
        config = changed(good, **{"judge.server": None, "judge.client": client})
        assert codes(checks.problems(config)) == [("judge.client.judges[1].model", "serves-another-model")]

        config = changed(config, **{"judge.client": {**client, "patience": 5}})
        assert "patience" in checks.problems(config)[0].text

        bad = [{**members[0], "mode": "graded"}, {**members[0], "parse_attempts": 0}]
        config = changed(config, **{"judge.client": {**client, "judges": bad}})
        assert codes(checks.problems(config)) == [
            ("judge.client.judges[0].mode", "not-a-choice"),
            ("judge.client.judges[1].parse_attempts", "not-a-count"),
        ]


def test_an_embedder_elsewhere(good):
    with JudgeStub() as stub:
        node = {**REMOTE_EMBEDDER, "base_url": stub.address}
        assert checks.problems(changed(good, embedder=node)) == []
        found = checks.problems(changed(good, embedder={**node, "model": "x", "api_key_env": "SOME_KEY"}))
    assert codes(found)[0] == ("embedder.api_key_env", "variable-not-set")
    assert "SOME_KEY" in found[0].text


def test_verls_own_judge_needs_gpus_of_its_own(good):
    config = changed(
        good,
        **{
            "judge.server": None,
            "judge.client.base_url": VERL_ROUTER,
            "reward.reward_model.enable": True,
            "reward.reward_model.rollout.name": "vllm",
            "reward.reward_model.enable_resource_pool": True,
            "reward.custom_reward_function.path": "pkg://medix_r1.training.verl_plugin.scorer",
        },
    )
    assert checks.problems(config) == []

    pool, function = "reward.reward_model.enable_resource_pool", "reward.custom_reward_function.path"
    assert codes(checks.problems(changed(config, **{pool: False}))) == [(pool, "shares-the-gpus")]
    assert codes(checks.problems(changed(config, **{function: None}))) == [(function, "classifier-asked")]


def test_a_reward_without_judge_asks_for_none(good):
    signals = {"embed": good.reward.signals.embed, "format": good.reward.signals.format}
    config = changed(good, **{"reward.signals": signals, "reward.weights": {"embed": 0.9, "format": 0.1}})

    assert checks.problems(remote(config, "http://127.0.0.1:9/v1")) == []


def test_a_batch_that_does_not_divide_comes_with_one_that_does(good):
    config = changed(good, **{"trainer.n_gpus_per_node": 7})
    (problem,) = [problem for problem in checks._batches(config) if problem.code == "rows-do-not-divide"]
    assert "data.train_batch_size=" in problem.text


def test_rows_divide_among_ranks_and_not_among_gpus(good):
    """Three GPUs that share each row are one rank."""
    key = "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size"
    batch = {"data.train_batch_size": 10, "actor_rollout_ref.actor.ppo_mini_batch_size": 10}  # 50 rows
    assert list(checks._batches(changed(good, **batch, **{"trainer.n_gpus_per_node": 6, key: 3}))) == []
    (problem,) = checks._batches(changed(good, **batch, **{"trainer.n_gpus_per_node": 6}))
    assert problem.code == "rows-do-not-divide"
    assert "= 50 " in problem.text
    found = checks._batches(changed(good, **batch, **{"trainer.n_gpus_per_node": 6, key: 4}))
    assert codes(found) == [(key, "does-not-divide")]


def test_an_alarm_says_what_is_wrong_with_its_settings_before_the_run(good):
    config = changed(good, **{"alarms.format_falls.window": 0, "alarms.many_masked": None})
    assert codes(checks.problems(config)) == [("alarms.format_falls.window", "out-of-range")]
