"""A report of a long run: 200 steps of 2,560 samples, with pictures of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

from medix_r1.reports import browser
from medix_r1.reports.run_report import write_report
from tests.support.long_run import make_long_run

MOST_BYTES = 10_000_000


def test_it_can_be_mailed_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    report = write_report(make_long_run(tmp_path))

    assert report.stat().st_size < MOST_BYTES
    text = report.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert len(data["samples"]) >= 500
    changes = [pair["after"]["overall"] - pair["before"]["overall"] for pair in data["pairs"]]
    assert len(changes) == browser.PAIRS
    assert min(changes) >= 5 / 7, "the hundred that changed most"
    assert len(data["left_out"]) == 3
    assert data["pictures"]
