"""What an installation downloads, and what it takes on disk.

    python benchmarks/install.py [--environment .venv]

Sizes of the downloads are those that the package index states for the wheels of what is installed there (uv's lock has
them); nothing is downloaded. On disk are the blocks of the folder, hard links to uv's cache included.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from results_file import keep, provenance

from medix_r1.host.machine import GIB


def pins(environment: Path) -> str:
    """The installed packages as `name==version` lines, without those that come from a folder of this machine."""
    lines = _uv(environment, "pip", "freeze", "--python", str(environment / "bin" / "python")).splitlines()
    return "\n".join(line for line in lines if re.match(r"^[\w.-]+==", line))


def wheels(environment: Path) -> dict[str, int]:
    """Package → bytes of the file that is downloaded for this machine: the wheel that fits best, else the source."""
    options = ("--no-deps", "--no-header", "--format", "pylock.toml", "-")
    python = ("--python", str(environment / "bin" / "python"))
    lock = tomllib.loads(_uv(environment, "pip", "compile", *python, *options, text=pins(environment)))
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    found: dict[str, int] = {}
    for package in lock["packages"]:
        fitting = [(rank, wheel) for wheel in package.get("wheels", []) if (rank := _rank(wheel, ranks)) is not None]
        file = min(fitting, key=lambda pair: pair[0])[1] if fitting else package["sdist"]
        found[package["name"]] = file["size"]
    return found


def _rank(wheel: dict[str, Any], ranks: dict[Any, int]) -> int | None:
    tags = parse_wheel_filename(wheel["url"].rsplit("/", 1)[-1].replace("%2B", "+"))[3]
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


def _uv(environment: Path, *words: str, text: str = "") -> str:
    command = [str(environment / "bin" / "uv"), *words]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Measure and write `benchmarks/results/install.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, default=Path(".venv"), help="an installed environment")
    environment = parser.parse_args().environment.absolute()
    found = wheels(environment)
    disk = subprocess.run(["du", "-s", "-k", str(environment)], check=True, capture_output=True, text=True).stdout
    largest = dict(sorted(found.items(), key=lambda pair: -pair[1])[:5])
    keep(
        "install",
        "packages",
        provenance()
        | {
            "command": "python benchmarks/install.py",  # the folder is the machine's own
            "packages": len(found),
            "download_gib": round(sum(found.values()) / GIB, 2),
            "disk_gib": round(int(disk.split()[0]) * 1024 / GIB, 2),
            "largest_mib": {name: round(size / 2**20) for name, size in largest.items()},
        },
    )


if __name__ == "__main__":
    main()
