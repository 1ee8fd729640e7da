"""How soon a long run's report is seen: `.venv/bin/python benchmarks/report_page.py`. Needs chromium.

200 steps of 2,560 samples. The time from opening the file to the first paint with content, and until the last chart is
drawn; kept in results/report_page.json, which `make docs` quotes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import results_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from medix_r1.reports.run_report import write_report
from tests.support.browser import open_page
from tests.support.long_run import make_long_run

TIMES = 5
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def main() -> None:
    """Print and keep the times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = make_long_run(folder / "run")
        started = time.monotonic()
        report = write_report(run)
        written = time.monotonic() - started
        times = [asyncio.run(opened(report, folder / f"home{i}")) for i in range(TIMES)]
        found = {
            **results_file.provenance(),
            "mebibytes": round(report.stat().st_size / 2**20, 1),
            "written_seconds": round(written, 1),
            "first_paint_seconds": round(statistics.median(paint for paint, _ in times), 2),
            "drawn_seconds": round(statistics.median(drawn for _, drawn in times), 2),
        }
    print(json.dumps(found, indent=1))
    results_file.keep("report_page", "long_run", found)


async def opened(report: Path, home: Path) -> tuple[float, float]:
    """Seconds until the first paint, and until all charts are drawn."""
    async with open_page("about:blank", home) as page:
        await page.as_seen(width=1366, height=768)
        started = time.monotonic()
        await page.command("Page.navigate", url=report.as_uri())
        await page.wait_until("document.body?.dataset.drawn === 'yes'")
        drawn = time.monotonic() - started
        await page.wait_until(f"({_PAINT}) !== null")
        return float(await page.evaluate(_PAINT)) / 1000, drawn


if __name__ == "__main__":
    main()
