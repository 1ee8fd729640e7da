"""A run's report in a real browser: it draws, filters, shows an image, and hostile model output cannot run."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from medix_r1.reports import run_report
from medix_r1.reports.run_report import write_report
from tests.support.browser import dom_of, needs_browser, open_page
from tests.unit.reports.run_folder import make_run

TAKEN = "document.title='TAKEN'"
HOSTILE = f'</script><script>{TAKEN}</script><img src=x onerror="{TAKEN}"><svg onload="{TAKEN}">'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("run"), reply=HOSTILE))


def cards(dom: str) -> int:
    return dom.partition('id="sample-list"')[2].count('class="card"')


@needs_browser
def test_it_draws_every_chart_and_shows_images(page: Path, tmp_path: Path) -> None:
    dom = dom_of(page, tmp_path)
    assert 'data-drawn="yes"' in dom
    charts = dom.count('class="chart')
    assert charts >= 4
    assert len(re.findall(r'<svg class="main-svg"', dom)) >= charts
    assert '<img src="data:image/jpeg;base64,' in dom
    assert "format_falls" in dom, "the alarm is in the table"


@needs_browser
def test_it_filters_and_sorts(page: Path, tmp_path: Path) -> None:
    assert cards(dom_of(page, tmp_path / "a")) == 4
    assert cards(dom_of(page, tmp_path / "b", "#part=llm&below=0.5")) == 2
    by_gap = dom_of(page, tmp_path / "c", "#sort=embed&source=b").partition('id="sample-list"')[2]
    assert cards(f'id="sample-list"{by_gap}') == 1
    assert "row-c" in by_gap
    assert cards(dom_of(page, tmp_path / "d", "#part=embed&above=0.95&modality=CT_SCAN")) == 1


@needs_browser
def test_hostile_output_is_shown_and_does_not_run(page: Path, tmp_path: Path) -> None:
    dom = dom_of(page, tmp_path)
    assert "<title>" in dom
    assert "TAKEN" not in re.search(r"<title>.*?</title>", dom)[0]
    assert "&lt;svg onload=" in dom


@needs_browser
async def test_watched_it_follows_the_run_and_keeps_the_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page stays open while `report --watch 1` writes it again; a filter that is being typed is left in peace."""
    run = make_run(tmp_path / "run")
    going_on = threading.Event()
    going_on.set()
    monkeypatch.setattr(run_report, "is_locked", lambda folder: going_on.is_set())
    watching = threading.Thread(target=run_report.watch, args=(run, None, 1))
    watching.start()
    while not (run / "report.html").exists():
        time.sleep(0.05)
    async with open_page((run / "report.html").as_uri(), tmp_path / "home") as page:
        await page.wait_until("document.body.dataset.drawn === 'yes' && document.querySelectorAll('.card').length >= 4")
        await page.evaluate("document.forms[0].text.focus(); document.forms[0].source.value = 'b'")
        await page.evaluate("document.forms[0].dispatchEvent(new Event('input')); window.untouched = true")
        add_step(run, 10)
        time.sleep(4)
        assert await page.evaluate("window.untouched") is True, "it must not reload under somebody's fingers"
        await page.evaluate("document.activeElement.blur()")
        await page.wait_until("document.body.dataset.drawn === 'yes' && document.body.innerText.includes('0.955')")
        assert await page.evaluate("window.untouched") is None
        assert await page.evaluate("document.forms[0].source.value") == "b"
        going_on.clear()
        watching.join()
        await page.wait_until("!document.body.innerText.includes('loads itself again')")


def add_step(run: Path, step: int) -> None:
    (run / "metrics" / "attempt_002.jsonl").write_text(
        f'{{"step": {step}, "data": {{"reward/overall/mean": 0.955, "timing_s/step": 4.0}}}}\n'
    )
