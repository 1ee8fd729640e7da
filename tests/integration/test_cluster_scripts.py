"""The Slurm scripts under a Slurm that only says what it was asked (tests/support/slurm); shellcheck over all scripts.

Ray's own part, scripts/ray/node.sh and wait.py, runs for real in tests/acceptance/test_two_nodes.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from medix_r1.config import compose_train
from medix_r1.serving import checks as judge_checks
from medix_r1.training.preflight import checks
from tests.support.loopback import LoopbackHandler, LoopbackServer

ROOT = Path(__file__).parents[2]
SHELL = re.compile(rb"^#!(/bin/sh|/usr/bin/env bash)|# shellcheck shell=")
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("scripts", "tests/support")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix != ".pyc" and SHELL.match(path.read_bytes())
)


class Job:
    """One submitted job that has ended."""

    def __init__(self, result: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.code, self.output, self.folder = result.returncode, result.stdout, folder
        self.log = (folder / "log").read_text().splitlines()

    def lines(self, kind: str) -> list[str]:
        """`NODE PROGRAM WORDS` of every step that was started, or of every one that ended."""
        return [line.removeprefix(f"{kind} ") for line in self.log if line.startswith(f"{kind} ")]

    def programs(self, kind: str) -> list[str]:
        return [" ".join(line.split()[:3]) for line in self.lines(kind)]

    def cleaned_up(self) -> list[str]:
        """What had the time to end by itself after a SIGTERM: verbs of `medix-r1`."""
        return self.lines("clean")

    def ray_folders(self) -> list[Path]:
        """Files of Ray that are left on the nodes."""
        return list(self.folder.glob("medix-ray-*"))


def submitter(tmp_path: Path):
    """What submits jobs whose run folder, Ray files and log lie in `tmp_path`."""

    def run(script: str, *words: str, train: str, **variables: str) -> Job:
        (tmp_path / "log").touch()
        environment = {
            **os.environ,
            "PATH": f"{ROOT / 'tests/support/slurm'}:{os.environ['PATH']}",
            "MEDIX_BIN": str(ROOT / "tests/support/slurm_medix"),
            "RUN_DIR": str(tmp_path / "run"),
            "RAY_TMPDIR": str(tmp_path),
            "FAKE_LOG": str(tmp_path / "log"),
            "FAKE_TRAIN": train,
            "END_GRACE": "5",
            **variables,
        }
        result = subprocess.run(
            [sys.executable, str(ROOT / "tests/support/slurm/sbatch"), f"scripts/slurm/{script}.sbatch", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Job(result, tmp_path)

    return run


@pytest.fixture
def submit(tmp_path: Path):
    return submitter(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job on three nodes that goes well."""
    return submitter(tmp_path_factory.mktemp("job"))("nodes", "experiment=x", "run.seed=2", train="finish")


def test_there_are_scripts_to_check() -> None:
    assert {"scripts/install.sh", "scripts/slurm/nodes.sbatch", "scripts/ray/node.sh"} <= set(map(str, SCRIPTS))


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run(
        [shellcheck, "--external-sources", *SCRIPTS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_several_nodes_start_head_workers_judge_and_trainer(finished: Job) -> None:
    job = finished
    assert job.code == 0, job.output
    said = [" ".join(line.split()[1:4]) for line in job.output.splitlines() if line.startswith("[")]
    assert said[:3] == ["Ray head on", "Ray worker on", "judge on n2"]
    assert said[3].startswith("trainer: on n0")
    # what is started side by side may come in any order; the trainer waits for all of it
    together = [
        "n0 node.sh head",
        "n1 node.sh worker",
        "n2 medix-r1 serve",
        f"n0 python {ROOT / 'scripts/ray/wait.py'}",
    ]
    assert job.programs("start")[:2] == ["n0 hostname --ip-address", "n0 hostname --all-ip-addresses"]
    assert sorted(job.programs("start")[2:-1]) == sorted(together)
    assert job.programs("start")[-1] == "n0 medix-r1 train"
    waited, trained = (next(line for line in job.lines("start") if word in line) for word in ("wait.py", " train "))
    address = re.search(r"--ray (\S+:6379) --nodes 2 --judge http://n2:8000/v1", waited)
    assert address
    assert address[1] == "10.0.0.7:6379"
    assert f"ray_kwargs.ray_init.address='{address[1]}'" in trained
    assert "judge=remote judge.client.base_url='http://n2:8000/v1' experiment=x run.seed=2" in trained


def test_every_ray_node_has_the_token_and_says_it_to_nobody(finished: Job) -> None:
    job = finished
    assert [line.split()[1:3] for line in job.log if line.startswith("ray ")] == [["token", "64"]] * 2
    assert not re.search("[0-9a-f]{64}", "\n".join(job.log) + job.output)


def test_what_was_started_ends_newest_first(finished: Job) -> None:
    assert finished.programs("end")[-4:] == [
        "n0 medix-r1 train",
        "n2 medix-r1 serve",
        "n1 node.sh worker",
        "n0 node.sh head",
    ]


def test_what_is_ended_cleans_up_after_itself(finished: Job) -> None:
    assert finished.cleaned_up() == ["serve"]
    assert finished.ray_folders() == []
    assert processes_of(finished) == []


def test_a_cancelled_job_lets_all_its_processes_clean_up(submit) -> None:
    job = submit("nodes", train="slow", FAKE_SIGNAL="cancel", TERM_GRACE="1")
    assert job.code == 143, job.output
    assert "requeue 77" not in job.log
    assert job.cleaned_up() == ["train", "serve"]
    assert job.ray_folders() == []
    assert sorted(job.programs("start")) == sorted(job.programs("end"))


def test_a_process_that_does_not_end_takes_no_time_from_the_others(submit) -> None:
    job = submit("nodes", train="finish", FAKE_SERVE="deaf", END_GRACE="2")
    assert job.code == 0, job.output
    assert job.cleaned_up() == []  # the judge was killed
    assert job.ray_folders() == []  # Ray's nodes were not
    assert processes_of(job) == []


def test_every_step_gets_the_options_of_the_site(submit) -> None:
    job = submit(
        "one_node", train="steps finish", FAKE_SIGNAL="time_up", MEDIX_SRUN_OPTIONS="--container-image=a.sqsh --quiet"
    )
    steps = job.lines("srun")
    assert set(job.programs("start")) == {"n0 medix-r1 train", "n0 medix-r1 ask"}
    assert len(steps) == 3
    assert all(step.endswith(" --container-image=a.sqsh --quiet") for step in steps)


def test_a_failing_trainer_ends_the_job_with_its_code_and_leaves_nothing(submit) -> None:
    job = submit("nodes", train="fail")
    assert job.code == 3
    assert sorted(job.programs("start")) == sorted(job.programs("end"))
    assert not [line for line in job.log if line.startswith("requeue")]
    assert job.ray_folders() == []
    assert processes_of(job) == []


def processes_of(job: Job) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in found.splitlines() if "tests/support/slurm_medix" in line]


WITH_SUBMISSIONS = ["docs/clusters.md", *map(str, SCRIPTS)]  # the page, and the header of each script
SUBMISSIONS = [
    line
    for name in WITH_SUBMISSIONS
    for line in (ROOT / name).read_text().splitlines()
    if re.search(r"RUN_DIR=.*(sbatch|submit\.sh) .*exp", line)
]


@pytest.mark.parametrize("line", SUBMISSIONS, ids=lambda line: line.split("RUN_DIR=")[1].split()[0])
def test_what_the_page_submits_has_no_problem_but_missing_data(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(judge_checks, "server_problems", lambda *_, **__: iter(()))
    overrides = [word for word in line.split() if re.match(r"[a-z][a-z._]+=", word)]
    if "one_node" not in line:
        overrides = [
            "ray_kwargs.ray_init.address=n0:6379",
            "judge=remote",
            "judge.client.base_url=http://n2/v1",
            *overrides,
        ]
    problems = checks.problems(compose_train(overrides))
    assert {problem.code for problem in problems} <= {"no-such-file", "disk-too-small"}


def test_there_are_submissions_to_check() -> None:
    assert len(SUBMISSIONS) == 4 + 3


def test_the_container_copies_what_is_there() -> None:
    lines = (ROOT / "scripts/container/Containerfile").read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert {"pyproject.toml", "medix_r1", "configs"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_nothing_is_trained_when_the_nodes_do_not_come(submit) -> None:
    job = submit("nodes", train="finish", FAKE_WAIT="1")
    assert job.code == 1
    assert "n0 medix-r1 train" not in job.programs("start")
    assert sorted(job.programs("start")) == sorted(job.programs("end"))


def test_a_judge_at_an_address_leaves_all_nodes_to_train(submit) -> None:
    job = submit("nodes", train="finish", JUDGE_URL="http://judge:9/v1", VLLM_API_KEY="secret-word")
    assert job.programs("start").count("n2 node.sh worker") == 1
    assert "n2 medix-r1 serve" not in job.programs("start")
    assert "judge.client.base_url='http://judge:9/v1' judge.client.api_key_env=VLLM_API_KEY" in job.lines("start")[-1]
    assert "secret-word" not in "\n".join(job.log) + job.output


def test_one_node_for_the_judge_leaves_none_to_train(submit) -> None:
    job = submit("nodes", train="finish", FAKE_NODES="1")
    assert (job.code, job.log) == (1, [])
    assert "no node" in job.output


@pytest.mark.parametrize("script", ["one_node", "nodes"])
def test_before_time_is_up_the_run_stops_and_the_job_is_requeued_and_resumes(submit, script: str) -> None:
    job = submit(script, "experiment=x", train="steps finish", FAKE_SIGNAL="time_up")
    assert job.code == 0, job.output
    assert job.log.count("requeue 77") == 1
    trained = [line for line in job.lines("start") if line.startswith("n0 medix-r1 train")]
    assert len(trained) == 2
    assert trained[0] == trained[1]
    assert trained[0].split()[3].startswith("run.dir='/")
    first = job.log[: job.log.index("requeue 77")]
    assert sum(line.startswith("start") for line in first) == sum(line.startswith("end") for line in first)


def test_a_step_that_is_too_long_is_given_up_and_the_job_requeued(submit, tmp_path: Path) -> None:
    job = submit("one_node", train="slow finish", FAKE_SIGNAL="time_up", STOP_GRACE="1")
    assert job.code == 0, job.output
    assert job.log.count("requeue 77") == 1
    assert " 1 s" in job.output
    assert job.cleaned_up() == ["train"]
    assert not (tmp_path / "run/requests/stop").exists()  # it would end the next attempt after one step


def test_a_run_that_cannot_be_asked_is_ended_and_the_job_requeued(submit) -> None:
    job = submit("one_node", train="slow finish", FAKE_SIGNAL="time_up", FAKE_ASK="1")
    assert job.code == 0, job.output
    assert job.log.count("requeue 77") == 1
    assert "asked" in job.output
    assert job.cleaned_up() == ["train"]


def test_an_attempt_without_a_checkpoint_is_not_repeated(submit) -> None:
    job = submit("one_node", train="nothing", FAKE_SIGNAL="time_up", STOP_GRACE="1")
    assert job.code == 1
    assert "requeue 77" not in job.log
    assert "no checkpoint was written" in job.output


def test_one_node_fails_with_its_trainer(submit) -> None:
    job = submit("one_node", "experiment=x", train="fail")
    assert job.code == 3
    assert job.programs("start") == job.programs("end") == ["n0 medix-r1 train"]
    assert job.lines("start")[0].endswith("/run' experiment=x")


class _Closed(LoopbackHandler):
    def do_GET(self) -> None:
        self.send(401, b"")


def test_waiting_for_a_judge_that_wants_a_key_ends_at_once() -> None:
    with LoopbackServer(_Closed) as server:
        address = f"{server.address}/v1"
        wait = [sys.executable, str(ROOT / "scripts/ray/wait.py"), "--ray", "127.0.0.1:1", "--nodes", "0"]
        ended = subprocess.run([*wait, "--judge", address], capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"{address} answers 401")
    assert last.endswith("VLLM_API_KEY")
    assert "Traceback" not in ended.stderr


def test_a_preempted_job_writes_a_checkpoint_and_is_requeued(submit) -> None:
    job = submit("nodes", train="steps finish", FAKE_SIGNAL="cancel", FAKE_PREEMPTED="2026-11-30T12:00:00")
    assert job.code == 0, job.output
    assert "SIGTERM: asking the run to stop" in job.output
    assert job.log.count("requeue 77") == 1
    assert len([line for line in job.lines("start") if line.startswith("n0 medix-r1 train")]) == 2


def test_a_job_that_somebody_ends_writes_a_checkpoint_and_is_not_requeued(submit, tmp_path: Path) -> None:
    job = submit("one_node", train="steps finish", FAKE_SIGNAL="cancel")
    assert job.code == 143, job.output
    assert "requeue 77" not in job.log
    assert (tmp_path / "run/checkpoints/global_step_4/medix_checkpoint.json").exists()


@pytest.mark.parametrize(
    ("name", "interfaces", "chosen"),
    [
        ("127.0.1.1", "10.1.2.3 192.168.7.8", "10.1.2.3"),  # Debian's name of the machine itself
        ("::1 127.0.0.1", "169.254.3.4 fe80::1 10.1.2.3", "10.1.2.3"),
        ("10.9.9.9", "10.1.2.3", "10.9.9.9"),  # what the name resolves to is what the others know
        ("fe80::1 2001:db8::7", "10.1.2.3", "[2001:db8::7]"),
    ],
)
def test_the_heads_address_is_one_that_other_nodes_reach(submit, name: str, interfaces: str, chosen: str) -> None:
    job = submit("nodes", train="finish", FAKE_ADDRESS=name, FAKE_ADDRESSES=interfaces)
    assert job.code == 0, job.output
    assert f"n0 node.sh head {chosen}:6379" in job.lines("start")


def test_a_head_without_an_address_is_named_and_can_be_given_one(submit) -> None:
    lonely = {"FAKE_ADDRESS": "127.0.1.1", "FAKE_ADDRESSES": "127.0.0.1 169.254.1.1"}
    job = submit("nodes", train="finish", **lonely)
    assert job.code == 1
    assert "HEAD_ADDRESS" in job.output
    assert "n0 medix-r1 train" not in job.programs("start")

    job = submit("nodes", train="finish", HEAD_ADDRESS="10.5.5.5", **lonely)
    assert job.code == 0, job.output
    assert "n0 node.sh head 10.5.5.5:6379" in job.lines("start")


ODD = ["a=b", "a, b", "ü~x", "it's", "[1]", "{x: 1}", "${oc.env:HOME}", "end\\", "\\'", "%", "a b  c"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("script", ["one_node", "nodes"])
def test_every_run_folder_reaches_hydra_as_it_is(submit, tmp_path: Path, script: str, name: str) -> None:
    folder = f"{tmp_path}/{name}"
    job = submit(script, train="finish", RUN_DIR=folder)
    assert job.code == 0, job.output
    line = next(line for line in job.lines("start") if " medix-r1 train " in line)
    override = OverridesParser.create().parse_override(line.partition(" train ")[2].partition(" ray_kwargs")[0])
    assert override.key_or_group == "run.dir"
    assert OmegaConf.create({"value": override.value()}).value == folder


def test_a_job_gets_the_memory_of_its_node() -> None:
    for script in ("nodes", "one_node"):
        lines = (ROOT / f"scripts/slurm/{script}.sbatch").read_text().splitlines()
        assert {"#SBATCH --exclusive", "#SBATCH --mem=0"} <= set(lines)


def test_a_file_of_the_site_is_sourced_before_anything_starts(submit, tmp_path: Path) -> None:
    (tmp_path / "site.sh").write_text("export MEDIX_SRUN_OPTIONS=--from-the-site\n")
    job = submit("one_node", train="finish", MEDIX_SETUP=str(tmp_path / "site.sh"))
    assert job.code == 0, job.output
    assert all(step.endswith(" --from-the-site") for step in job.lines("srun"))

    job = submit("one_node", train="finish", MEDIX_SETUP=str(tmp_path / "none.sh"))
    assert (job.code, "none.sh cannot be sourced" in job.output) == (1, True)


@pytest.mark.parametrize("script", ["one_node", "nodes"])
def test_steps_run_in_a_container_that_is_a_command(submit, script: str) -> None:
    words = "apptainer exec --nv --bind=/shared /shared/medix-r1.sif"
    job = submit(script, train="finish", MEDIX_SRUN_OPTIONS=words)
    assert job.code == 0, job.output
    contained = [
        line for line in job.log if line.startswith("container exec --nv --bind=/shared /shared/medix-r1.sif ")
    ]
    assert len(contained) == len(job.lines("srun"))


@pytest.mark.parametrize(
    ("script", "words", "step"),
    [
        ("judge", ("judge=nano",), "serve judge.server.host=0.0.0.0 judge.server.port=8000 judge=nano"),
        ("eval", ("model=m", "task=open"), "eval model=m task=open"),
        ("prepare", ("data=medix_rl",), "data prepare data=medix_rl"),
    ],
)
def test_a_judge_an_evaluation_and_a_preparation_are_jobs(
    submit, script: str, words: tuple[str, ...], step: str
) -> None:
    signals = {"FAKE_SIGNAL": "cancel", "FAKE_AFTER": "serving"} if script == "judge" else {}
    job = submit(script, *words, train="finish", **signals)
    assert job.code == (143 if script == "judge" else 0), job.output
    assert job.lines("start") == [f"n0 medix-r1 {step}"]
    assert job.lines("end") == job.lines("start")
    if script == "judge":
        assert "JUDGE_URL=http://n0:8000/v1" in job.output
        assert job.cleaned_up() == ["serve"]


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.suffix == ".sbatch" or path.parent.name == "ray"])
def test_every_script_says_what_it_is(script: Path) -> None:
    done = subprocess.run(["bash", ROOT / script, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    header = [
        line.removeprefix("#").strip() for line in (ROOT / script).read_text().splitlines()[1:] if line[:2] == "# "
    ]
    assert done.stdout.splitlines()[0].strip() == header[0]
    assert "#" not in done.stdout


@pytest.mark.parametrize("variable", ["JUDGE_PORT", "RAY_PORT"])
def test_a_port_that_is_no_number_is_refused(submit, variable: str) -> None:
    job = submit("nodes", train="finish", **{variable: "80 judge=evil"})
    assert (job.code, job.lines("start")) == (2, [])
