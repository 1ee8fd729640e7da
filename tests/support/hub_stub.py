"""A model hub on loopback, as much of it as an upload needs; the only mock, at the process boundary."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.support.loopback import LoopbackHandler, LoopbackServer

TOKEN = "hf_canary_never_in_a_log"
_COMMIT = "0" * 40


class HubStub(LoopbackServer):
    """Holds one set of files in memory. `existing` names repositories that are there before, and whether private."""

    def __init__(self, existing: dict[str, bool] | None = None) -> None:
        super().__init__(_Handler)
        self.private = dict(existing or {})
        self.files: dict[str, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []


class _Handler(LoopbackHandler):
    server: HubStub

    def do_GET(self) -> None:
        self._begin()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/?]+)(/revision/\w+)?(\?.*)?", self.path):
            repo = match[1]
            if repo in self.server.private:
                siblings = [{"rfilename": name} for name in self.server.files]
                info = {"id": repo, "_id": "1", "sha": _COMMIT, "private": self.server.private[repo]}
                return self._answer(200, {**info, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})
        return self._answer(404, {"error": "not here"})

    def do_POST(self) -> None:
        body = self._begin()
        if self.headers.get("Authorization", "") != f"Bearer {TOKEN}" and "/api/" in self.path:
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                for file in json.loads(body)["files"]
            ]
            return self._answer(200, {"files": [{**file, "shouldIgnore": False, "oid": None} for file in files]})
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**item, "actions": {"upload": {"href": f"{self.server.address}/lfs/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            return self._answer(200, {"transfer": "basic", "objects": objects})
        if "/commit/" in self.path:
            return self._commit([json.loads(line) for line in body.splitlines()])
        return self._answer(404, {"error": "not here"})

    def do_PUT(self) -> None:
        self.server.objects[self.path.rsplit("/", 1)[-1]] = self._begin()
        self._answer(200, {})

    def _create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else f"me/{wanted['name']}"
        url = {"url": f"{self.server.address}/{repo}", "name": repo, "id": "1"}
        if repo in self.server.private:
            return self._answer(409, {"error": "You already created this model repo", **url})
        self.server.private[repo] = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        return self._answer(200, url)

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.server.files[line["value"]["path"]] = self.server.objects[line["value"]["oid"]]
        repo = self.path.removeprefix("/api/models/").split("/commit/")[0]
        url = f"{self.server.address}/{repo}/commit/{_COMMIT}"
        self._answer(200, {"commitOid": _COMMIT, "commitUrl": url, "success": True})

    def _begin(self) -> bytes:
        self.server.calls.append(f"{self.command} {self.path}")
        return self.body()

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self.send_json(content, status)
