"""`python -m medix_r1.clusters.wait_for_judge URL --limit SECONDS`: returns 0 when a model server answers there.

It is the init container of the head: a run that found no judge would end at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from medix_r1.errors import ServerError
from medix_r1.serving.server import served_models

_POLL = 5.0  # seconds


def main() -> int:
    """Return 1 after the limit, or when the server asks for another key."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds")
    options = parser.parse_args()
    end = time.monotonic() + options.limit
    while True:
        try:
            names = served_models(options.url, api_key=os.environ.get("VLLM_API_KEY"))
        except ServerError as error:
            sys.stderr.write(f"{error}; put it into VLLM_API_KEY\n")
            return 1
        if names is not None:
            sys.stdout.write(f"{options.url} serves {', '.join(names)}\n")
            return 0
        if time.monotonic() > end:
            sys.stderr.write(f"no model server answers at {options.url} after {options.limit:.0f} s\n")
            return 1
        time.sleep(min(_POLL, options.limit))


if __name__ == "__main__":
    sys.exit(main())
