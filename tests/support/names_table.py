"""The table of docs/names.md out of the golden table of the public recipes: `python -m tests.support.names_table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/unit/golden/public_recipes.yaml"
PAGE = ROOT / "docs/names.md"
HEAD = "| EasyR1 | here | value |\n|---|---|---|\n"


def table() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
    return rows


def markdown() -> str:
    return HEAD + "".join(_line(row) for row in table())


def _line(row: dict[str, Any]) -> str:
    theirs = row["theirs"] if row["theirs"] == "–" else f"`{row['theirs']}`"
    more = f"; {row['note']}" if "note" in row else f" — *differs:* {row['difference']}" if "difference" in row else ""
    return f"| {theirs} | `{row['ours']}` | {_value(row['value'])}{more} |\n"


def _value(value: Any) -> str:
    if not isinstance(value, dict):
        return value if isinstance(value, str) else json.dumps(value)
    names = {name.removeprefix("medix_r1_") if name != "other" else "others": part for name, part in value.items()}
    return "; ".join(f"{name}: {_value(part)}" for name, part in names.items())


def in_page(text: str) -> str:
    """The table as the page has it."""
    start = text.index(HEAD)
    return text[start : text.index("\n\n", start) + 1]


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(in_page(page), markdown()), encoding="utf-8")
