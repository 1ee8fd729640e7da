"""`medix-r1 data prepare` as a command: killed and started again, with several processes."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from medix_r1.data.prepared import read_manifest
from tests.unit.data.support import encoded, make_backbone, picture, row, write_rows

ROWS, UNIT = 120, 10


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command without `out`: 120 rows with some duplicates and some bad ones, in 12 units, by two processes."""
    folder = tmp_path_factory.mktemp("kill")
    backbone = make_backbone(folder / "backbone")
    rows = [row(i, images=[encoded(picture(i, 400, 400))]) for i in range(ROWS - 20)]
    rows += [row(i, images=[encoded(picture(i, 400, 400))]) for i in range(10)] + [row(i, answer="") for i in range(10)]
    path = write_rows(folder / "rows", rows)
    settings = [f"data.path={path}", f"backbone={backbone}", "workers=2", f"unit_rows={UNIT}", "shard_mebibytes=0.5"]
    limits = ["image.min_pixels=null", "image.max_pixels=null", "split.validation=0.2"]
    return [sys.executable, "-m", "medix_r1.cli", "data", "prepare", "data=jsonl", *settings, *limits]


def start(command, out):
    return subprocess.Popen([*command, f"out={out}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(command, out):
    process = start(command, out)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return text


def kill_after(command, out, pattern, count):
    """Start, wait until so many files are there, kill -9; return the workers."""
    process = start(command, out)
    deadline = time.monotonic() + 240
    while len(list(out.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return workers


def test_killed_and_started_again_gives_the_same_bytes(command, tmp_path):
    """Once while rows are checked, once while shards are written; the shards equal those of an undisturbed run."""
    workers = kill_after(command, tmp_path / "out", ".staging/unit-*.json", 2)
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert alive == []  # nobody goes on writing behind the next run's back
    done = len(list((tmp_path / "out/.staging").glob("unit-*.json")))
    assert 2 <= done < ROWS // UNIT
    assert not (tmp_path / "out/manifest.json").exists()

    psutil.wait_procs(kill_after(command, tmp_path / "out", ".staging/shard-*.json", 1), timeout=120)
    assert not (tmp_path / "out/manifest.json").exists()
    finish(command, tmp_path / "out")
    finish(command, tmp_path / "straight")

    killed, straight = read_manifest(tmp_path / "out"), read_manifest(tmp_path / "straight")
    assert killed["counts"] == straight["counts"]
    assert killed["counts"] | {"train": 0, "validation": 0} == {
        "rows_in": ROWS, "train": 0, "validation": 0, "rejected": {"empty_answer": 10}, "merged": 10, "shrunk": 0,
        "leaked": 0,
    }  # fmt: skip
    assert killed["shards"] == straight["shards"]  # names, rows and sha256
    assert len(killed["shards"]) > 2
    rejects = [json.loads(line)["row"] for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert len(rejects) == len(set(rejects)) == 10
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")) == [".lock"]


def test_control_c_ends_it_without_a_traceback_and_it_goes_on(command, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*command, f"out={out}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not list(out.glob(".staging/unit-*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and its workers
    text, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    assert "Traceback" not in text
    assert not (out / "manifest.json").exists()
    finish(command, out)
    assert read_manifest(out)["counts"]["rows_in"] == ROWS


def test_the_other_verbs_and_a_bad_one(command, tmp_path):
    def run(*words):
        return subprocess.run([*command[:4], *words], capture_output=True, text=True, timeout=200)

    dry = run("prepare", *command[5:], f"out={tmp_path}/out", "--dry-run")
    assert dry.returncode == 0
    assert not (tmp_path / "out").exists()
    wrong = run("stats", str(tmp_path))
    assert (wrong.returncode, "data prepare" in wrong.stdout) == (1, True)
