"""One style draws each figure for light and for dark readers."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from medix_r1.pages.style import figure_files, ink, page_style, themed_picture


@figure_files
def _drawn(name: str) -> Figure:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="C0")
    axes.axhline(0.5, color=ink())
    axes.set_title(name)
    return figure


def _luminance(colour: tuple[int, ...]) -> float:
    """WCAG's relative luminance."""
    parts = [value / 255 for value in colour[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_figure_is_written_light_and_dark_and_can_be_read_in_both(tmp_path: Path) -> None:
    paths = _drawn(tmp_path / "new" / "a.png", "both")
    assert [path.name for path in paths] == ["a.png", "a_dark.png"]
    papers = []
    for path in paths:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB")).reshape(-1, 3).tolist()
        colours = Counter(map(tuple, pixels)).most_common()
        paper = _luminance(colours[0][0])
        others = [_luminance(colour) for colour, _ in colours]
        ratios = [(max(paper, other) + 0.05) / (min(paper, other) + 0.05) for other in others]
        assert max(ratios) > 12  # ink on paper
        papers.append("#{:02x}{:02x}{:02x}".format(*colours[0][0]))
    css = re.findall(r"--paper: (#\w+)", page_style())
    assert papers == [f"#{c[1] * 2}{c[2] * 2}{c[3] * 2}" if len(c) == 4 else c for c in css]  # as the pages have it


def test_markdown_shows_the_one_that_fits_the_reader(tmp_path: Path) -> None:
    shown = themed_picture(tmp_path / "a.png", 'Scores of "x" <b>')
    assert 'srcset="a_dark.png"' in shown
    assert 'src="a.png"' in shown
    assert 'alt="Scores of &quot;x&quot; &lt;b&gt;"' in shown
