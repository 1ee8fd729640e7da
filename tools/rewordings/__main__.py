"""`python -m tools.rewordings dev`: the cases of a half as JSON lines, to be read and tried."""

from __future__ import annotations

import dataclasses
import json
import sys

from tools.rewordings.generate import cases


def main() -> None:
    """Write them to standard output."""
    if sys.argv[1:] not in (["dev"], ["test"]):
        raise SystemExit("python -m tools.rewordings dev|test")
    for case in cases("test" if sys.argv[1] == "test" else "dev"):
        sys.stdout.write(json.dumps(dataclasses.asdict(case), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
