"""Where benchmarks keep what they measured: results/NAME.json, which the pages quote (`make docs`).

A file holds parts. Each part says how, where and when it was measured; a list holds one entry for each run.
"""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from medix_r1.host.machine import this_machine

RESULTS = Path(__file__).with_name("results")


def provenance(program: str = "") -> dict[str, Any]:
    """Command, machine, day and load average, to be taken before the work starts.

    Args:
        program: what stands before the arguments on the command line; by default the script in benchmarks/ that runs.
    """
    program = program or f"python benchmarks/{Path(sys.argv[0]).name}"
    command = f"{program} {shlex.join(sys.argv[1:])}".strip()
    load = round(psutil.getloadavg()[0], 1)
    return {"command": command, "machine": str(this_machine()), "date": str(datetime.date.today()), "load": load}


def read(name: str, *, folder: Path = RESULTS) -> dict[str, Any]:
    """All parts of a file."""
    parts: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return parts


def keep(name: str, part: str, values: Mapping[str, Any], *, add: bool = False, folder: Path = RESULTS) -> None:
    """Write one part into the file; the others stay. `add` appends to a list of runs."""
    path = folder / f"{name}.json"
    parts = read(name, folder=folder) if path.exists() else {}
    parts[part] = [*parts.get(part, []), dict(values)] if add else dict(values)
    path.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
