"""How easily a stranger finds a place in the package: files a folder, import circles, the way of one reward.

    python benchmarks/house.py --part after [--clone FOLDER]

A folder of another commit is measured with the environment of this one. The way of a reward is what
`sys.setprofile` sees of the package between `run_single` and the total, for a first reply that the judge has to be
asked about, with `llm` as the only signal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import grimp
import networkx

CROWDED = 15  # modules side by side


def folders(package: Path) -> dict[str, int]:
    """Folder → modules side by side in it, for those that hold more than `CROWDED`."""
    counted = Counter(str(file.parent.relative_to(package.parent)) for file in package.rglob("*.py"))
    inits = {str(file.parent.relative_to(package.parent)) for file in package.rglob("__init__.py")}
    modules = {folder: number - (folder in inits) for folder, number in counted.items()}
    return {folder: number for folder, number in sorted(modules.items()) if number > CROWDED}


def circles() -> list[list[str]]:
    """Sets of files of which each imports another, directly or not, inside functions as well."""
    graph = grimp.build_graph("medix_r1", cache_dir=None)
    imports = networkx.DiGraph(
        (one, two) for one in graph.modules for two in graph.find_modules_directly_imported_by(one)
    )
    return sorted(sorted(circle) for circle in networkx.strongly_connected_components(imports) if len(circle) > 1)


def lines(package: Path) -> int:
    """Lines of Python in the wheel."""
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in package.rglob("*.py"))


def main() -> None:
    """Measure one clone and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, default=Path(__file__).parent.parent, help="the commit to measure")
    parser.add_argument("--part", required=True, help="the name to keep it under: before or after")
    options = parser.parse_args()
    clone = options.clone.resolve()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    )
    sys.path.insert(0, str(clone))
    reward_path = Path(__file__).with_name("reward_path.py")
    done = subprocess.run([sys.executable, reward_path, clone], capture_output=True, text=True, check=True, timeout=300)
    reward: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    values = {
        "commit": commit.stdout.strip(),
        "crowded": folders(clone / "medix_r1"),
        "circles": len(circles()),
        "lines": lines(clone / "medix_r1"),
        "reward": {"files": len(reward), "functions": sum(map(len, reward.values())), "names": sorted(reward)},
    }
    import results_file  # imports the package, which must be the clone's while it is measured

    print(json.dumps(values, indent=1))
    results_file.keep("house", options.part, results_file.provenance() | values)


if __name__ == "__main__":
    main()
