"""The style that every page and figure of ours shares, in light and in dark."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from medix_r1.host.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
# Okabe and Ito: told apart also by those who see few colours. Lines differ by dash and marker besides.
# Figures name them C0 (blue), C1 (vermilion), C2 (green), C3 (purple), C4 (orange), C5 (sky).
_ON_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_ON_DARK = ("#4aa3df", "#ff8a3c", "#2cc79a", "#e39ac2", "#f2b632", "#a5d8f7")
DPI = 130


def _colours(ink: str, paper: str, grid: str, cycle: tuple[str, ...]) -> dict[str, Any]:
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(inked, ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), paper),
        "grid.color": grid,
        "axes.prop_cycle": f"cycler('color', {list(cycle)})",
    }


_SHAPE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
# Ink and paper are those of page.css.
_THEMES = {
    "": _SHAPE | _colours("#1b1f24", "#ffffff", "#525b66", _ON_LIGHT),
    "_dark": _SHAPE | _colours("#e6edf3", "#11151a", "#a4aeb9", _ON_DARK),
}


def page_style() -> str:
    """CSS of every page: colours for light and dark, type, tables, focus and print."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


def ink() -> str:
    """The colour of lines that are no data, in the theme that is drawn."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def paper() -> str:
    """The colour of the background, in the theme that is drawn."""
    from matplotlib import rcParams

    return str(rcParams["axes.facecolor"])


def figure_files(draw: Callable[P, Figure]) -> Callable[Concatenate[Path, P], list[Path]]:
    """Make a function that draws into one that writes its figure twice: `NAME.png`, and `NAME_dark.png` for dark pages.

    The colours of data are `C0` to `C5`, those of other lines `ink()` and `paper()`; all else has its theme's colour.
    """

    @functools.wraps(draw)
    def written(path: Path, /, *args: P.args, **kwargs: P.kwargs) -> list[Path]:
        from matplotlib import rc_context

        paths = [path.with_stem(f"{path.stem}{theme}") for theme in _THEMES]
        for place, style in zip(paths, _THEMES.values(), strict=True):
            with rc_context(style):
                figure = draw(*args, **kwargs)
                with atomic_file(place) as temporary:
                    figure.savefig(temporary, dpi=DPI, format=place.suffix[1:] or "png")
        return paths

    return written


def themed_picture(path: Path, says: str) -> str:
    """A figure of `figure_files` as HTML for Markdown in the same folder: the reader's theme chooses the file."""
    dark = path.with_stem(f"{path.stem}_dark").name
    shown = f'<img alt="{html.escape(says)}" src="{path.name}">'
    return f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">{shown}</picture>\n'
