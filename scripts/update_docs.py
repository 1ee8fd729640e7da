"""Write the figures into the README and docs/: `python scripts/update_docs.py` or `make docs`; `--check` only compares.

A page quotes a figure, or a whole table, between two comments:

    at most <!-- {{ nano_step.peak_gib }} -->11.8<!-- end --> GiB

The expression is one of Jinja. It sees every file of benchmarks/results/ under its name, the macros of
docs/tables.jinja as `tables`, and what `_from_code` reads from the package.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from safetensors import safe_open

from medix_r1.config import compose_train
from medix_r1.host.machine import GIB
from medix_r1.host.yaml_text import read_yaml
from medix_r1.schema.known import other_projects
from medix_r1.scoring.probes.probe_file import load
from medix_r1.training.preflight.machine import memory
from medix_r1.training.preflight.machine.host_memory import RANK_MEMORY, RUN_MEMORY

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
GOLDEN = ROOT / "tests" / "unit" / "golden"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
HARDWARE = ("a100x8", "h100x8", "a100x8_2nodes", "a100x8_4nodes", "gpu24")  # all but the CPU's, whose model is nano
_JINJA = jinja2.Environment(  # one for all pages, because it compiles the tables once
    loader=jinja2.FileSystemLoader(ROOT / "docs"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_START, _END = "<!-- {{", "<!-- end -->"
_QUOTE = re.compile(r"<!-- \{\{ ([^\n]+?) \}\} -->((?:(?!<!-- \{\{).)*?)<!-- end -->", re.DOTALL)
_AT_LINE_START = re.compile(r"^\s*(?:[-*] |\d+\. )?<!-- \{\{.*\}\} -->.", re.MULTILINE)


def context() -> dict[str, Any]:
    """Everything that an expression can name."""
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    return results | _from_code()


def _from_code() -> dict[str, Any]:
    sys.path.append(str(RESULTS.parent))
    from reward_targets import targets

    return {
        "json": json.dumps,
        "parameters": {name: _parameters(name) for name in ("policy", "judge")},
        "probes": _probes(),
        "check_kinds": json.loads((GOLDEN / "check_kinds.json").read_text(encoding="utf-8")),
        "public_recipes": read_yaml(GOLDEN / "public_recipes.yaml"),
        "other_projects": other_projects(),
        "compared": read_yaml(ROOT / "docs" / "compared.yaml"),
        "cpu_memory_gib": {ranks: (RUN_MEMORY + ranks * RANK_MEMORY) // GIB for ranks in (1, 2)},
        "reward_targets": targets,
        "layers": _contract("rooms")["layers"],
        "estimated_memory": _estimated_memory(),
        "rooms": _rooms(),
    }


def _estimated_memory() -> dict[str, dict[str, Any]]:
    """Recipe → hardware → GiB of each phase by the quick estimate; `own` is the recipe's own hardware."""
    from simulated_memory import ADDRESS, RECIPES

    rows: dict[str, dict[str, Any]] = {}
    for name in RECIPES:
        row = rows[f"medix_r1_{name}"] = {}
        for hardware in ("own", *HARDWARE):
            words = [] if hardware == "own" else [f"hardware={hardware}"]
            config = compose_train([f"experiment=medix_r1_{name}", *words, ADDRESS])
            found = memory.estimate(memory.size_of(config.actor_rollout_ref.model.path), config, 0.0)
            phases = {"reference log-probs": found.reference, "old log-probs": found.log_probs, "update": found.update}
            row[hardware] = {phase: sum(parts.values()) / 1024**3 for phase, parts in phases.items() if parts}
    return rows


def _parameters(model: str) -> int:
    path = ROOT / "medix_r1" / "demo" / "weights" / model / "model.safetensors"
    with safe_open(path, "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def _contract(name: str) -> dict[str, Any]:
    """One contract of import-linter, from pyproject.toml."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    found: dict[str, Any] = next(contract for contract in contracts if contract["id"] == name)
    return found


def _rooms() -> dict[str, str]:
    """Package → the first sentence of its `__init__`: what it is and what it may import."""
    files = sorted((ROOT / "medix_r1").rglob("__init__.py"))
    docs = {
        file.parent.relative_to(ROOT): ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for file in files
    }
    return {str(room): (doc or "").split("\n\n")[0].replace("\n", " ") for room, doc in docs.items()}


def _probes() -> dict[str, Any]:
    probes = load()
    attacks = [probe for probe in probes if probe.is_attack]
    on_rules = Counter(probe.family for probe in probes if probe.rests_on == "nothing")
    families = len({probe.family for probe in attacks})
    counts = {"all": len(probes), "attacks": len(attacks), "right_answers": len(probes) - len(attacks)}
    return {**counts, "families": families, "on_rules": on_rules.total(), "on_rules_by_family": on_rules}


def fill(text: str, known: dict[str, Any]) -> str:
    """The page with every quoted figure updated.

    Raises:
        ValueError: an opening or closing comment without the other, a figure at a line's start (Markdown takes such a
            line for HTML), or an expression with an unknown name.
    """
    if not text.count(_START) == text.count(_END) == len(_QUOTE.findall(text)):
        raise ValueError(f"each `{_START} … }}}} -->` needs one `{_END}` behind it, and the other way round")
    known = {**known, "tables": _JINJA.get_template("tables.jinja").make_module(known)}

    def quote(match: re.Match[str]) -> str:
        try:
            value = _JINJA.from_string(f"{{{{ {match[1]} }}}}").render(known).strip()
        except (jinja2.TemplateError, TypeError) as error:
            raise ValueError(f"{match[1]}: {error}") from error
        return f"{_START} {match[1]} }}}} -->" + (f"\n{value}\n" if "\n" in value else value) + _END

    filled = _QUOTE.sub(quote, text)
    if found := _AT_LINE_START.search(filled):
        raise ValueError(f"a word must stand before the figure: {found[0].strip()}")
    return filled


def outdated() -> dict[Path, str]:
    """The pages whose figures are out of date, with their updated text."""
    known, found = context(), {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        try:
            filled = fill(text, known)
        except ValueError as error:
            raise SystemExit(f"{page.relative_to(ROOT)}: {error}") from error
        if filled != text:
            found[page] = filled
    return found


def main() -> None:
    """Write the pages, or with --check print those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is out of date")
    check, pages = parser.parse_args().check, outdated()
    for page, text in pages.items():
        print(f"{'out of date' if check else 'written'}: {page.relative_to(ROOT)}")
        if not check:
            page.write_text(text, encoding="utf-8")
    if check and pages:
        raise SystemExit("run: make docs")


if __name__ == "__main__":
    main()
