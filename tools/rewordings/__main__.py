"""`python -m tools.rewordings dev`: the cases of a half as JSON lines, to be read and tried."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import get_args

from tools.rewordings.generate import cases
from tools.rewordings.terms import Half


def main() -> None:
    """Write them to standard output."""
    chosen: dict[str, Half] = {name: name for name in get_args(Half)}
    if len(sys.argv) != 2 or sys.argv[1] not in chosen:
        raise SystemExit(f"python -m tools.rewordings {'|'.join(chosen)}")
    for case in cases(chosen[sys.argv[1]]):
        sys.stdout.write(json.dumps(dataclasses.asdict(case), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
