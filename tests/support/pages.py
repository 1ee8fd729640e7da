"""The files and commands of a page that shows a complete example: a fenced block below a line that names its file."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FILE = re.compile(r"^`([\w./]+)`\n\n```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_BASH = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """What one page shows.

    Attributes:
        files: name -> content.
        commands: words of each `medix-r1` command.
    """

    files: dict[str, str]
    commands: list[list[str]]

    def write(self, folder: Path) -> None:
        """Write all files below a folder."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def read_page(path: Path) -> Page:
    """Read a page of docs/."""
    text = path.read_text(encoding="utf-8")
    lines = [line for block in _BASH.findall(text) for line in block.splitlines()]
    files = {name: body for name, _, body in _FILE.findall(text)}
    return Page(files, [shlex.split(line)[1:] for line in lines if line.startswith("medix-r1 ")])
