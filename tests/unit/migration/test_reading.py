import json

import pytest

from medix_r1.errors import ConfigError
from medix_r1.migration.found import Project, Unresolved
from medix_r1.migration.reading import read_script
from tests.support.problems import codes


def script(tmp_path, text, name="run.sh"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "project", "settings"),
    [
        ("python3 -m verl.trainer.main a.b=1e-6 c.d=True", Project.EASYR1, {"a.b": 1e-6, "c.d": True}),
        ("python -m verl.trainer.main_ppo +a.b=x ~c.d", Project.VERL, {"a.b": "x"}),
        ("python -m verl.trainer.main_ppo 'a.b={n: 2}'", Project.VERL, {"a.b.n": 2}),
        ("ray job submit -- python3 -m recipe.dapo.main_dapo a.b=[c,d]", Project.VERL, {"a.b": ["c", "d"]}),
        ("trl grpo --beta 0.1 --use_vllm --x=1", Project.TRL, {"beta": 0.1, "use_vllm": True, "x": 1}),
        ("srun -N 1 accelerate launch -m trl.scripts.grpo --beta 0.1", Project.TRL, {"beta": 0.1}),
        ('run() {\n  python -m verl.trainer.main_ppo "$@"\n}\nrun a.b=1 c.d=2', Project.VERL, {"a.b": 1, "c.d": 2}),
    ],
)
def test_a_command(tmp_path, text, project, settings):
    found = read_script(script(tmp_path, text))

    assert (found.project, found.settings) == (project, settings)


def test_processes_of_a_launcher(tmp_path):
    found = read_script(script(tmp_path, "accelerate launch --num_processes 4 train_grpo.py --learning_rate 1e-5"))

    assert (found.gpus, found.settings) == (4, {"learning_rate": 1e-5})


@pytest.mark.parametrize(
    "launcher",
    [
        "torchrun --nproc_per_node 4 --master_port 29500",
        "python -m torch.distributed.run --nproc-per-node=4 --nnodes 1",
    ],
)
def test_options_of_a_launcher_are_none_of_the_script(tmp_path, launcher):
    found = read_script(script(tmp_path, f"{launcher} src/grpo_vl.py --learning_rate 1e-5 --reward_funcs a b"))

    assert (found.gpus, found.settings) == (4, {"learning_rate": 1e-5, "reward_funcs": ["a", "b"]})


def test_the_base_lies_above_the_script(tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "config.yaml").write_text("{worker: {rollout: {n: 8, top_p: 0.9}}}")

    found = read_script(
        script(tmp_path, "python3 -m verl.trainer.main config=examples/config.yaml worker.rollout.n=5", "examples/r.sh")
    )

    assert found.settings == {"worker.rollout.n": 5, "worker.rollout.top_p": 0.9}
    assert found.base is None


def test_a_base_that_is_not_there(tmp_path):
    assert read_script(script(tmp_path, "python3 -m verl.trainer.main config=no/such.yaml")).base == "no/such.yaml"


def test_lines_that_the_shell_loses_are_translated_and_said(tmp_path):
    found = read_script(script(tmp_path, "python3 -m verl.trainer.main_ppo a.b=1\n  c.d=2 \\\n  e.f=3\n"))

    assert found.settings == {"a.b": 1, "c.d": 2, "e.f": 3}
    assert len(found.remarks) == 1


def test_words_that_are_no_settings_are_said(tmp_path):
    text = "torchrun --nproc_per_node=8 -m verl.trainer.main_ppo --config-name=x a.b=1 ~critic $MORE 2>&1 | tee log"
    found = read_script(script(tmp_path, text))

    assert found.settings == {"a.b": 1}
    assert [remark.rpartition(":")[2].strip() for remark in found.remarks[1:]] == ["--config-name=x $MORE"]
    assert "critic" in found.remarks[0]


def test_what_only_the_shell_or_omegaconf_knows(tmp_path):
    found = read_script(script(tmp_path, "python3 -m verl.trainer.main_ppo a.b=$X c.d='${oc.env:HOME}'"))

    assert found.settings == {"a.b": Unresolved("$X"), "c.d": Unresolved("${oc.env:HOME}")}


@pytest.mark.parametrize(
    ("tree", "project"),
    [
        ({"worker": {"rollout": {"n": 5}}}, Project.EASYR1),
        ({"actor_rollout_ref": {"rollout": {"n": 5}}}, Project.VERL),
        ({"num_generations": 5}, Project.TRL),
    ],
)
def test_a_tree(tmp_path, tree, project):
    found = read_script(script(tmp_path, json.dumps(tree), "config.json"))

    assert found.project is project
    assert list(found.settings.values()) == [5]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("run.sh", "echo hello", "not-a-script"),
        ("run.sh", "python -m verl.trainer.main 'a=b", "not-readable"),
        ("run.sh", b"\x00\xff" * 100, "not-a-script"),
        ("run.sh", b"a" * 1_000_001, "too-large"),
        ("c.yaml", "a: [", "broken-yaml"),
        ("c.yaml", "- 1", "not-a-script"),
        ("c.yaml", "a: &x {b: *x}", "not-a-script"),
        ("c.yaml", "worker: &x {b: *x}", "not-a-script"),
        ("c.json", "{", "broken-yaml"),
        ("c.json", "[" * 100_000, "broken-yaml"),
        ("t.py", "print(1)", "not-a-script"),
        ("t.py", "def (", "not-a-script"),
        ("t.py", "x = " + "(" * 5000, "not-a-script"),
    ],
)
def test_what_is_no_script(tmp_path, name, text, code):
    with pytest.raises(ConfigError) as caught:
        read_script(script(tmp_path, text, name))
    assert [one for _, one in codes(caught.value)] == [code]


@pytest.mark.parametrize("name", ["none.sh", ""])
def test_no_file_and_a_folder(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        read_script(tmp_path / name)
    assert [one for _, one in codes(caught.value)] == ["no-such-file"]
