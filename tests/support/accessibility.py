"""What axe finds wrong with a page for people who use a keyboard, a screen reader, or see little contrast."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.browser import OpenPage

_RUN = """axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200) + " " + node.failureSummary)])))"""


async def findings(page: OpenPage) -> list[tuple[str, list[str]]]:
    """Serious and critical findings: rule, and the first elements that break it."""
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(f"{_source()}; true")
    reply = await page.command("Runtime.evaluate", expression=_RUN, awaitPromise=True, returnByValue=True)
    return [(rule, nodes) for rule, nodes in json.loads(reply["result"]["value"])]


def _source() -> str:
    spec = find_spec("axe_core_python")  # found, not imported: it wants selenium or playwright
    if spec is None and os.environ.get("CI") != "true":
        pytest.skip("axe-core-python is not installed here: make lint")
    assert spec is not None, "requirements/test.txt has axe-core-python"
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
