"""The process in which a user's function runs, so that it can be killed: `python -m medix_r1.rewards.adapters.child`.

It loads the function as a run does, with its plug-ins, and then answers calls as outside.py does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError
from medix_r1.host.processes import end_with_parent
from medix_r1.rewards.adapters.outside import made, serve


def main() -> None:
    """Load the function that the first message names, then answer calls until the parent closes the socket."""
    end_with_parent()
    connection = Connection(int(sys.argv[1]))
    try:
        name, factory, _ = connection.recv()
        serve(connection, _load(name, factory))
    except EOFError:
        return


def _load(name: str, factory: Mapping[str, Any] | None) -> Callable[..., Any] | str:
    """The function, or the one that it makes, or why there is none."""
    try:
        user_code.load_plugins()
        function: Callable[..., Any] = user_code.load(name, "function")
    except ConfigError as error:
        return str(error)
    return function if factory is None else made(function, factory, name)


if __name__ == "__main__":
    main()
