"""The process in which a user's function runs, so that it can be killed: `python -m medix_r1.rewards.adapters.child`.

It reads calls from a socket and answers each with what the function returned, or why there is nothing. When the parent
is gone the kernel ends it, even within a regular expression that never returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from medix_r1 import user_code
from medix_r1.errors import ConfigError
from medix_r1.host.processes import end_with_parent
from medix_r1.rewards.adapters.function import called


def main() -> None:
    """Load the function that the first message names, then answer calls until the parent closes the socket."""
    end_with_parent()
    connection = Connection(int(sys.argv[1]))
    try:
        loaded = _load(connection.recv())
        connection.send(loaded if isinstance(loaded, str) else None)
        while callable(loaded):
            args, kwargs = connection.recv()
            connection.send(called(loaded, args, kwargs))
    except EOFError:
        return


def _load(name: str) -> Callable[..., Any] | str:
    """The function, or why it cannot be loaded."""
    try:
        user_code.load_plugins()
        function: Callable[..., Any] = user_code.load(name, "function")
    except ConfigError as error:
        return str(error)
    return function


if __name__ == "__main__":
    main()
