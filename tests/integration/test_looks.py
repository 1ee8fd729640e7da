"""Pages besides the report, as their readers see them: wide and on a phone, light and dark, with axe."""

from __future__ import annotations

from pathlib import Path

import pytest

from medix_r1.data.looking.view import write_view
from medix_r1.reports.board import write_board
from tests.support.accessibility import findings
from tests.support.browser import needs_browser, open_page
from tests.unit.data.support import encoded, make_backbone, picture, row, run_prepare, write_rows
from tests.unit.evaluation.sharing.test_blind import made
from tests.unit.reports.run_folder import make_run

LOOKS = [(1366, False), (1366, True), (390, False), (390, True)]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("looks")
    rows = [
        row(i, images=[encoded(picture(i))], question=f"What is seen in {'a long word ' * i}?") for i in range(1, 9)
    ]
    prepared = folder / "out"
    run_prepare(write_rows(folder, rows), prepared, make_backbone(folder / "backbone"), "split.validation=0")
    write_view(prepared, folder / "view.html", rows=10)
    for name in ("first", "reward-a_long_name__seed-2"):
        make_run(folder / "runs" / name)
    return {
        "view": folder / "view.html",
        "blind": made(folder / "blind", 6).page,
        "board": write_board(folder / "runs"),
    }


@needs_browser
@pytest.mark.parametrize("name", ["view", "blind", "board"])
async def test_a_page_fits_and_is_accessible(pages: dict[str, Path], name: str, tmp_path: Path) -> None:
    async with open_page(pages[name].as_uri(), tmp_path / "home") as shown:
        await shown.wait_until("document.readyState === 'complete' && document.querySelector('h1') !== null")
        for width, dark in LOOKS:
            await shown.as_seen(width=width, dark=dark)
            assert await shown.evaluate("document.documentElement.scrollWidth") <= width, (width, dark)
            assert await findings(shown) == [], (width, dark)
            await shown.screenshot(tmp_path / f"{name}_{width}_{'dark' if dark else 'light'}.png")
