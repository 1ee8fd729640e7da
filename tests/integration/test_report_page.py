"""A run's report in a real browser: it draws, filters, shows an image, and hostile model output cannot run."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import pytest

from medix_r1.reports import run_report
from medix_r1.reports.board import write_board
from medix_r1.reports.run_report import write_report
from medix_r1.runs.folder import RunFolder
from tests.support.accessibility import findings
from tests.support.browser import OpenPage, dom_of, needs_browser, open_page
from tests.unit.reports.run_folder import make_run, sample

TAKEN = "document.title='TAKEN'"
HOSTILE = f'</script><script>{TAKEN}</script><img src=x onerror="{TAKEN}"><svg onload="{TAKEN}">'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("run"), reply=HOSTILE))


def cards(dom: str) -> int:
    return dom.partition('id="sample-list"')[2].count('<article class="card')


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
    monkeypatch.setattr(RunFolder, "is_locked", lambda folder: going_on.is_set())
    watching = threading.Thread(target=run_report.watch, args=(run, None, 1))
    watching.start()
    while not (run / "report.html").exists():
        time.sleep(0.05)
    async with open_page((run / "report.html").as_uri(), tmp_path / "home") as page:
        await page.wait_until("document.body.dataset.drawn === 'yes' && document.querySelectorAll('.card').length >= 4")
        await page.evaluate("document.forms.filter.text.focus(); document.forms.filter.source.value = 'b'")
        await page.evaluate("document.forms.filter.dispatchEvent(new Event('input')); window.untouched = true")
        add_step(run, 10)
        time.sleep(4)
        assert await page.evaluate("window.untouched") is True, "it must not reload under somebody's fingers"
        await page.evaluate("document.activeElement.blur()")
        await page.wait_until(
            "document.body.dataset.drawn === 'yes' && document.querySelector('#details').textContent.includes('0.955')"
        )
        assert await page.evaluate("window.untouched") is None
        assert await page.evaluate("document.forms.filter.source.value") == "b"
        going_on.clear()
        watching.join()
        await page.wait_until("!document.body.innerText.includes('loads itself again')")


def add_step(run: Path, step: int) -> None:
    (run / "metrics" / "attempt_002.jsonl").write_text(
        f'{{"step": {step}, "data": {{"reward/overall/mean": 0.955, "timing_s/step": 4.0}}}}\n'
    )


LOOKS = [(1366, False), (1366, True), (390, False), (390, True)]
TOO_NARROW = """[...document.querySelectorAll("p, td, th, h1, h2, li, summary, label")].filter((one) =>
  one.checkVisibility() && one.innerText.trim().length > 12 &&
  one.getBoundingClientRect().width < 60).map((one) => one.outerHTML)"""


@needs_browser
async def test_it_fits_and_is_accessible_in_every_look(page: Path, tmp_path: Path) -> None:
    async with open_page(page.as_uri(), tmp_path / "home") as shown:
        await shown.wait_until("document.body.dataset.drawn === 'yes'")
        await shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for width, dark in LOOKS:
            await shown.as_seen(width=width, dark=dark)
            await shown.wait_until(f"matchMedia('(prefers-color-scheme: dark)').matches === {str(dark).lower()}")
            await shown.wait_until("document.body.dataset.drawn === 'yes'")
            assert await shown.evaluate("document.documentElement.scrollWidth") <= width, (width, dark)
            assert json.loads(await shown.evaluate(f"JSON.stringify({TOO_NARROW})")) == [], (width, dark)
            assert await findings(shown) == [], (width, dark)


@needs_browser
async def test_the_first_screen_has_the_outcome_the_table_and_the_curve(page: Path, tmp_path: Path) -> None:
    async with open_page(page.as_uri(), tmp_path / "home") as shown:
        await shown.as_seen(width=1366, height=768)
        await shown.wait_until("document.body.dataset.drawn === 'yes'")
        for what in (".said", ".alarms", ".first table", "#hero .chart"):
            assert await bottom(shown, what) <= 768, what


async def bottom(shown: OpenPage, what: str) -> float:
    return float(await shown.evaluate(f"document.querySelector('{what}').getBoundingClientRect().bottom"))


@needs_browser
async def test_pages_by_keyboard(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    rows = [sample(f"x{i}", i / 50, 1.0, answer=f"answer {i}") for i in range(50)]
    (run / "samples" / "train" / "000002.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    async with open_page(write_report(run).as_uri(), tmp_path / "home") as shown:
        await shown.wait_until("document.body.dataset.drawn === 'yes'")
        assert await shown.evaluate("document.querySelectorAll('#sample-list .card').length") == 20
        first = await shown.evaluate("document.querySelector('#sample-list .where').innerText")
        await shown.evaluate("[...document.querySelectorAll('#sample-pages button')].at(-1).focus()")
        for kind in ("keyDown", "keyUp"):
            await shown.command(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
            )
        await shown.wait_until("document.getElementById('count').innerText.startsWith('21')")
        assert await shown.evaluate("document.querySelector('#sample-list .where').innerText") != first
        assert await shown.evaluate("document.activeElement.tagName") == "BUTTON"


@needs_browser
async def test_the_board_fits_and_is_accessible(page: Path, tmp_path: Path) -> None:
    board = write_board(page.parent.parent, tmp_path / "board.html")
    async with open_page(board.as_uri(), tmp_path / "home") as shown:
        await shown.wait_until("document.readyState === 'complete' && document.querySelector('h1') !== null")
        for width, dark in LOOKS:
            await shown.as_seen(width=width, dark=dark)
            assert await shown.evaluate("document.documentElement.scrollWidth") <= width, (width, dark)
            assert await findings(shown) == [], (width, dark)
        await shown.evaluate("document.querySelector('a').click()")
        await shown.wait_until("document.title.includes('training report')")


@needs_browser
async def test_on_paper_it_is_light_and_unfolded(page: Path, tmp_path: Path) -> None:
    async with open_page(page.as_uri(), tmp_path / "home") as shown:
        await shown.as_seen(width=1000, dark=True)
        await shown.wait_until("document.body.dataset.drawn === 'yes'")
        await shown.evaluate("addEventListener('beforeprint', () => { window.line = chartColour(); })")
        colour = "document.querySelector('#hero .js-line').style.stroke"
        await shown.evaluate(f"window.chartColour = () => {colour}; window.screen_ = chartColour()")
        await shown.command("Page.printToPDF")
        assert await shown.evaluate("window.line") != await shown.evaluate("window.screen_")
        assert await shown.evaluate("[...document.querySelectorAll('details')].every((one) => one.open)")
