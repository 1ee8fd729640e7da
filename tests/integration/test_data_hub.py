"""`data=medix_rl` from a hub: a stand-in server on loopback gives the same answers as the hub's three addresses."""

import io
import json
import os
import re
import subprocess
import sys
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medix_r1.data.prepared import read_manifest
from tests.support.loopback import LoopbackHandler, LoopbackServer
from tests.unit.data.support import encoded, make_backbone, picture

COMMIT = "a" * 40
REPO = "MBZUAI/medix-rl-data"


def parquet(first: int) -> bytes:
    rows = [
        {"id": str(i), "image": [{"bytes": encoded(picture(i, 300, 300)), "path": None}], "source": "vqa-rad",
         "problem": f"Which, {i}?", "solution": "<X_RAY>\nleft lung"}
        for i in range(first, first + 12)
    ]  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=4, compression="none")
    return buffer.getvalue()


FILES = {"data/train-00000-of-00002.parquet": parquet(0), "data/train-00001-of-00002.parquet": parquet(12),
         "data/test-00000-of-00001.parquet": parquet(24), "README.md": b"x"}  # fmt: skip


class Hub(LoopbackHandler):
    ranges: ClassVar[list[str]] = []

    def do_GET(self):
        path = self.path.partition("?")[0].replace("%2F", "/")
        if match := re.fullmatch(rf"/datasets/{REPO}/resolve/(\w+)/(.*)", path):
            content = FILES[match[2]]
            headers = {"ETag": '"x"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or ""):
                start, end = int(wanted[1]), min(int(wanted[2]), len(content) - 1)
                Hub.ranges.append(match[2])
                headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
                return self.send(206, content[start : end + 1], headers)
            return self.send(200, content, headers)
        if re.fullmatch(rf"/api/datasets/{REPO}(/revision/.*)?", path):
            siblings = [{"rfilename": name} for name in FILES]
            return self.send_json({"id": REPO, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False})
        if path.startswith(f"/api/datasets/{REPO}/tree/"):
            return self.send_json([entry(name) for name in FILES])
        return self.send_json({}, 404)

    do_HEAD = do_GET

    def do_POST(self):
        body = self.body().decode()
        form = re.findall(r"data/[\w.-]+", body.replace("%2F", "/"))
        wanted = json.loads(body)["paths"] if body.startswith("{") else form
        self.send_json([entry(name) for name in wanted if name in FILES])


def entry(name: str) -> dict:
    return {"type": "file", "path": name, "size": len(FILES[name]), "oid": "0" * 40}


@pytest.fixture
def hub():
    with LoopbackServer(Hub) as server:
        yield server.address


def test_train_rows_are_streamed_and_the_commit_is_kept(hub, tmp_path):
    backbone = make_backbone(tmp_path / "backbone")
    command = [sys.executable, "-m", "medix_r1.cli", "data", "prepare", "data=medix_rl", f"out={tmp_path / 'out'}"]
    settings = [f"backbone={backbone}", "workers=2", "unit_rows=4", "image.min_pixels=null", "image.max_pixels=null"]
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    result = subprocess.run([*command, *settings], env=environment, capture_output=True, text=True, timeout=280)

    assert result.returncode == 0, result.stdout + result.stderr
    manifest = read_manifest(tmp_path / "out")
    assert manifest["counts"]["rows_in"] == 24
    assert manifest["counts"]["train"] + manifest["counts"]["validation"] == 24
    source = manifest["plan"]["source"]
    assert (source["kind"], source["name"], source["revision"]) == ("hub", REPO, COMMIT)
    assert source["files"] == [name for name in FILES if "train" in name]
    assert "data/train-00001-of-00002.parquet" in Hub.ranges  # ranges, not whole files
    assert not any(path.suffix == ".parquet" for path in (tmp_path / "home").rglob("*"))


def test_a_hub_that_is_not_there_is_one_clear_message(tmp_path):
    backbone = make_backbone(tmp_path / "backbone")
    command = [sys.executable, "-m", "medix_r1.cli", "data", "prepare", "data=medix_rl", f"backbone={backbone}"]
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}

    command.append(f"out={tmp_path}/o")
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)

    assert result.returncode == 1
    assert "  - data.repo: " in result.stdout
    assert "data.path=FOLDER" in result.stdout
