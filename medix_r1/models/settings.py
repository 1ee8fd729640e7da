"""Validates the settings of judge and embedder clients; each problem has its full key and a fix."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from medix_r1.errors import Problem

VERL_ROUTER = "verl-reward-router"  # placeholder address of judge=verl; verl_plugin/scorer.py replaces it


def connection_problems(key: str, urls: Sequence[str], settings: Mapping[str, Any]) -> list[Problem]:
    """Every problem of a connection's settings.

    Args:
        key: config key of the settings, such as `judge.client`.
        urls: base addresses.
        settings: the other arguments of `Connection`, by name.
    """
    keys = [f"{key}.base_url", *(f"{key}.base_urls[{number}]" for number in range(len(urls) - 1))]
    problems = [problem for name, url in zip(keys, urls, strict=True) for problem in address_problems(name, url)]
    if any("@" in url.split("//", 1)[-1].split("/", 1)[0] for url in urls):
        problems.append(
            Problem(f"{key}.base_url", "holds-a-password", f"holds a name or password; give {key}.api_key_env instead")
        )
    problems += count_problems(key, concurrency=settings["concurrency"])
    for name in ("patience", "unknown_model_patience"):
        if not settings[name] >= 0:  # also true of NaN
            problems.append(
                Problem(f"{key}.{name}", "out-of-range", f"{settings[name]} is less than 0; use at least 0")
            )
    for name in ("price_prompt", "price_completion"):
        if settings.get(name) is not None and not 0 <= settings[name] < math.inf:
            problems.append(Problem(f"{key}.{name}", "out-of-range", f"{settings[name]} is no price; use at least 0"))
    for name in ("timeout", "requests_per_minute", "tokens_per_minute", "cost_cap"):
        value = settings.get(name)
        if value is not None and not 0 < value < math.inf:
            instead = "give seconds" if name == "timeout" else "use null for no limit"
            problems.append(
                Problem(
                    f"{key}.{name}", "out-of-range", f"{value} is not above 0{' and finite' * (value > 0)}; {instead}"
                )
            )
    if settings.get("cost_cap") is not None and None in (settings["price_prompt"], settings["price_completion"]):
        problems.append(
            Problem(f"{key}.cost_cap", "needs-prices", f"needs {key}.price_prompt and {key}.price_completion")
        )
    return problems


def address_problems(name: str, url: str) -> list[Problem]:
    """A problem if an address is not that of a server: scheme, host and, if there is one, a port."""
    if url == VERL_ROUTER:
        return []
    wrong = f"{url!r} is no address of a server; write http://HOST:PORT/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for one that is no port
    except ValueError as error:
        return [Problem(name, "no-address", f"{wrong} ({error})")]
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, url)):
        return [Problem(name, "no-address", wrong)]
    return []


def count_problems(key: str, **counts: object) -> list[Problem]:
    """A problem for each count that is no integer of at least 1."""
    return [
        Problem(f"{key}.{name}", "not-a-count", f"{value!r} is no whole number from 1 on; use at least 1")
        for name, value in counts.items()
        if not isinstance(value, int) or value < 1
    ]


def key_problems(key: str, variable: str | None) -> list[Problem]:
    """A problem if the environment variable that should hold an API key is unset or not printable."""
    if variable is None:
        return []
    if not (value := os.environ.get(variable)):
        return [Problem(key, "variable-not-set", f"the environment variable {variable} is not set")]
    if not value.isprintable():  # no HTTP header may hold it, and the client's error would print the key
        return [
            Problem(key, "key-not-printable", f"the key in {variable} holds a line break or another control character")
        ]
    return []
