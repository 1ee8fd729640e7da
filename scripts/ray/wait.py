"""Wait until a Ray cluster has its nodes and the judge answers: wait.py --ray HOST:PORT --nodes N [--judge URL]."""

from __future__ import annotations

import argparse
import os
import sys
import time

import ray

from medix_r1.errors import ServerError
from medix_r1.serving.server import served_models


def alive(address: str) -> int:
    """Number of live nodes of a cluster; 0 while nothing answers."""
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError):
        return 0
    try:
        return sum(node["Alive"] for node in ray.nodes())
    finally:
        ray.shutdown()


def main() -> int:
    """Return 0 when everything is ready, 1 after the time limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ray", required=True, help="HOST:PORT of the head")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--judge", help="address of a judge, with /v1")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds")
    options = parser.parse_args()
    end = time.monotonic() + options.limit
    nodes, judge = 0, options.judge is None
    while nodes < options.nodes or not judge:
        if time.monotonic() > end:
            missing = [] if nodes >= options.nodes else [f"{nodes} of {options.nodes} Ray nodes at {options.ray}"]
            missing += [] if judge else [f"no judge at {options.judge}"]
            print(f"not ready after {options.limit:.0f} s: {'; '.join(missing)}", file=sys.stderr)
            return 1
        if nodes < options.nodes:
            nodes = alive(options.ray)
        try:
            judge = judge or served_models(options.judge, api_key=os.environ.get("VLLM_API_KEY")) is not None
        except ServerError as error:
            print(f"{error}; put it into VLLM_API_KEY", file=sys.stderr)
            return 1
        time.sleep(1.0)
    print(f"{nodes} Ray nodes{' and the judge' if options.judge else ''} are ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
