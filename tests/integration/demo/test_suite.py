"""`medix-r1 demo suite` against servers on loopback in place of vLLM: what it runs, compares and writes."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from medix_r1.demo.suite import evaluate
from tests.support import eval_rows
from tests.support.chat_stub import ChatStub, Request, text_of


def _demo(folder: Path) -> Path:
    """The held-out views of a built demo: three rows of two pictures."""
    rows = [
        {"images": [eval_rows.picture(40 * (n // 2), 0, 0)], "extra_info": {"question": f"Q{n}?", "answers": [answer]}}
        for n, answer in enumerate(("yes", "no", "yes"))
    ]
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "heldout_views.parquet")
    return folder


def _judge(request: Request) -> str:
    return "YES" if "Reference: yes" in text_of(request) else "NO"


def test_it_looks_with_other_pictures_and_judges_twice(tmp_path: Path) -> None:
    out, model = tmp_path / "out", tmp_path / "policy"
    with ChatStub(lambda request: "yes", str(model)) as policy, ChatStub(_judge, "nano") as judge:
        words = [f"base_url={policy.address}", "limit=3"]
        words += [f"judge.judges=[{{model: nano, base_url: '{judge.address}'}}]"]
        code = evaluate([model], _demo(tmp_path / "demo"), out, words, Console(quiet=True))
    assert code == 0
    (real,) = {path.parent for path in out.glob("*/looking.json")}
    looks = json.loads((real / "looking.json").read_text())
    assert {(look["name"], look["images"], look["pairs"]) for look in looks} == {("rad_vqa", "shuffled", 3)}
    judges = json.loads((out / "judges.json").read_text())
    assert len({row["judge"] for row in judges["rows"]}) == 2  # one judge, two prompts
    assert judges["agreements"]
