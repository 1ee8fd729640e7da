"""A run's report in a real browser: it draws, filters, shows an image, and hostile model output cannot run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medix_r1.reports.run_report import write_report
from tests.support.browser import dom_of, needs_browser
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


@needs_browser
def test_hostile_output_is_shown_and_does_not_run(page: Path, tmp_path: Path) -> None:
    dom = dom_of(page, tmp_path)
    assert "<title>" in dom
    assert "TAKEN" not in re.search(r"<title>.*?</title>", dom)[0]
    assert "&lt;svg onload=" in dom
