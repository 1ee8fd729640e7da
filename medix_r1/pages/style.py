"""The style that every page and figure of ours shares."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.resources import files
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito: told apart also by those who see few colours. Lines differ by dash and marker besides.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FIGURE = {  # for matplotlib's rc_context
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


def page_style() -> str:
    """CSS of every page: colours for light and dark, type, tables, focus and print."""
    return (files(__package__) / "page.css").read_text(encoding="utf-8")


def in_our_style(draw: Callable[P, R]) -> Callable[P, R]:
    """A function that draws with matplotlib, in the style of all our figures."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(FIGURE):
            return draw(*args, **kwargs)

    return styled
