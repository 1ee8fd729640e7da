"""Builds the pages as a site: `make docs` (docs/decisions/0017-sphinx-builds-the-site.md says why Sphinx)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from medix_r1 import __version__

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:)[^)#\s]+)\)")

project = "medix-r1"
author = "the authors of medix-r1"
release = version = __version__
root_doc = "docs/site/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
suppress_warnings = ["myst.header"]  # pages that a program writes begin with tables

myst_heading_anchors = 4  # [a heading](page.md#a-heading), as on a forge

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = ["torch", "verl", "vllm", "ray"]

html_theme = "furo"
html_title = "medix-r1"
html_copy_source = False
html_show_sourcelink = False


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _without_folders)
    app.connect("build-finished", _with_pictures)


def _with_pictures(app: Any, error: Exception | None) -> None:
    """Pictures that a page names in HTML, for light and dark: Sphinx copies those of Markdown alone."""
    for name in app.env.found_docs if error is None else ():
        page = ROOT / f"{name}.md"
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        for picture in re.findall(r'(?:src|srcset)="([\w./-]+\.png)"', text):
            target = (Path(app.outdir) / name).parent / picture
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page.parent / picture, target)


def _without_folders(app: Any, name: str, source: list[str]) -> None:
    """A link to a folder of the repository becomes its text: a site has no folders to show."""
    page = (ROOT / name).parent

    def shown(match: re.Match[str]) -> str:
        return match[1] if (page / match[2]).is_dir() else match[0]

    source[0] = _LINK.sub(shown, source[0])
