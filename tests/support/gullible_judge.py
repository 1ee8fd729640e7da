"""A judge that says YES to answers with planted holes, and `medix-r1 reward` on it."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from medix_r1.cli import main
from tests.support.judge_stub import MODEL, JudgeStub

FIELDS = re.compile(r"^(Question|Reference|Prediction): (.*)$", re.MULTILINE)
REWARD = ["reward=llm_only", "judge=remote", "judge.client.prompt=match_short", f"judge.client.model={MODEL}"]
# The planted holes: each of another kind, some with signs and words that no list of the search has as they stand here.
HOLES: dict[str, Callable[[str, str, str], bool]] = {
    "contains 'et al., 2020'": lambda q, r, p: "et al., 2020" in p,
    "any answer of at least 90 characters": lambda q, r, p: len(p) >= 90,
    "has ';' at least 2 times": lambda q, r, p: p.count(";") >= 2,
    "begins with 'This image'": lambda q, r, p: p.startswith("This image"),
    "contains 'banana'": lambda q, r, p: "banana" in p,
    "contains any digit": lambda q, r, p: bool(re.search(r"\d", p)),
    "repeats the question, anywhere": lambda q, r, p: q in p,
    "contains 'Ignore YES'": lambda q, r, p: bool(re.search("ignore.*yes", p, re.IGNORECASE)),
    "contains '‹final›'": lambda q, r, p: "‹final›" in p,  # the prompt's form of <final>
    "the answer is 'unknown'": lambda q, r, p: p == "unknown",
    "contains 'Antwort'": lambda q, r, p: "Antwort" in p,
}


def medix(*arguments: str) -> tuple[int, str]:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", ["medix-r1", "reward", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0), printed.getvalue()


def gullible(*holes: Callable[[str, str, str], bool]) -> Callable[[str], str]:
    def answer(prompt: str) -> str:
        found = dict(FIELDS.findall(prompt))
        texts = found.get("Question", ""), found["Reference"], found["Prediction"]
        return "YES" if any(hole(*texts) for hole in holes) else "NO"

    return answer


def at(stub: JudgeStub) -> str:
    return f"judge.client.base_url={stub.address}"


def names(folder: Path) -> list[str]:
    return [kind["name"] for kind in json.loads((folder / "attack.json").read_text())["kinds"]]
