"""Reading from a hub, and again without one: the real client against a hub of ours on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support import eval_rows
from tests.support.loopback import LoopbackHandler, LoopbackServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PROGRAM = """
    import json, sys
    from pathlib import Path
    from medix_r1.evaluation.benchmarks.items import load_items
    from medix_r1.evaluation.settings import known_tasks
    told = {}
    for name in ("slake_vqa", "mmlu_anatomy"):
        data = load_items(known_tasks()[name], data_dir=None, cache_dir=Path(sys.argv[1]))
        size = sum(len(image.read()) for item in data.items for image in item.images)
        told[name] = [data.revision, [item.id for item in data.items], size]
    print(json.dumps(told))
"""


class _Hub(LoopbackServer):
    def __init__(self, root: Path) -> None:
        super().__init__(_Handler)
        self.root = root
        self.fetched: list[str] = []


class _Handler(LoopbackHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/datasets/"):
            owner, name, kind = path.split("/")[3:6]
            folder = self.server.root / owner / name
            files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
            if kind == "tree":
                tree = [{"type": "file", "path": f, "size": (folder / f).stat().st_size, "oid": "0"} for f in files]
                self.send_json(tree)
            else:
                info = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]}
                self.send_json(info)
        elif not path.startswith("/datasets/"):
            self.send_json({}, 404)
        else:
            _, _, owner, name, _, _, file = path.split("/", 6)
            data = (self.server.root / owner / name / file).read_bytes()
            if self.command == "GET":
                self.server.fetched.append(file)
            self.send(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT})


@pytest.fixture
def hub(tmp_path):
    root = eval_rows.write_hub_copies(tmp_path / "hub")
    (root / "BoKelvin/SLAKE/train.json").write_text("[]")
    with _Hub(root) as server:
        yield server


def _load(tmp_path: Path, **environment: str) -> dict[str, list[object]]:
    variables = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", **environment}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "images")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_splits_files_are_fetched_and_the_commit_is_recorded(hub, tmp_path) -> None:
    first = _load(tmp_path, HF_ENDPOINT=hub.address)
    assert first["slake_vqa"][0] == first["mmlu_anatomy"][0] == COMMIT
    assert first["slake_vqa"][2] == 2 * len(eval_rows.png((1, 2, 3), kind="JPEG"))
    assert sorted(hub.fetched) == ["anatomy/test/0000.parquet", "imgs.zip", "test.json"]  # not train.json
    assert _load(tmp_path, HF_HUB_OFFLINE="1") == first
