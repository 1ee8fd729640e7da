"""Votes and cascades of judges, as a config nests them: their members, and what is wrong with the whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

from medix_r1.errors import Problem
from medix_r1.serving.address import is_loopback

_PARTS = ("judges", "small", "strong")  # of VotingJudge and CascadeJudge
_CLIENT = "medix_r1.models.judge.ChatJudge"


def is_composed(client: Mapping[Any, Any] | None) -> bool:
    """Whether a client is a vote or a cascade, and asks no server itself."""
    return client is not None and bool(parts_by_name(client))


def members(client: Mapping[Any, Any] | None, key: str = "judge.client") -> list[tuple[str, Any]]:
    """(config key, settings) of every judge that asks a server: the only one, or those of votes and cascades."""
    if client is None:
        return []
    client = _plain(client)
    if not is_composed(client):
        return [(key, client)]
    return [leaf for own, part in _parts(client, key) for leaf in members(part, own)]


def composites(client: Mapping[Any, Any] | None, key: str = "judge.client") -> list[tuple[str, Any]]:
    """(config key, settings) of every vote and cascade, the inner ones first."""
    if client is None or not is_composed(client := _plain(client)):
        return []
    return [*(one for own, part in _parts(client, key) for one in composites(part, own)), (key, client)]


def parts_by_name(client: Mapping[Any, Any]) -> dict[str, Any]:
    """The judge or the list of judges that each part of a vote or a cascade is; empty for any other client."""
    return {name: part for name, part in _plain(client).items() if name in _PARTS and not isinstance(part, str)}


def _parts(client: Mapping[Any, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, part in parts_by_name(client).items():
        if isinstance(part, Mapping):
            yield f"{key}.{name}", part
        else:
            yield from ((f"{key}.{name}[{number}]", one) for number, one in enumerate(part or ()))


def _plain(client: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A config's node as plain containers; what is plain already stays the same object."""
    container: Any = OmegaConf.to_container(client, resolve=True) if isinstance(client, DictConfig) else client
    assert isinstance(container, Mapping)
    return container


def asks(member: Mapping[Any, Any], server: Any) -> bool:
    """Whether a judge's address is that of the server which the run starts (a `judge.server` node, or None)."""
    if server is None or member.get("base_url") is None:
        return False
    try:
        where = urlsplit(str(member["base_url"]))
        here = is_loopback(str(member["base_url"])) or where.hostname in (server.host, socket.gethostname().lower())
        return here and where.port == server.port
    except ValueError:  # no port; said elsewhere
        return False


def served_keys(client: Mapping[Any, Any], server: Any) -> list[str]:
    """Config keys of the judges that ask the run's server; without any, the one that another server stands in for.

    That is the judge itself, or the small one of a cascade.
    """
    if found := [key for key, member in members(client) if asks(member, server)]:
        return found
    key, client = "judge.client", _plain(client)
    while isinstance(client.get("small"), Mapping):
        key, client = f"{key}.small", client["small"]
    return [key]


def composed_verl_judges(keys: Sequence[str]) -> Iterator[Problem]:
    """A problem for each of these judges of verl's own, with its key, that is a member of a vote or a cascade."""
    for key in keys:
        if key != "judge.client":
            says = "verl's own judge has an address only while it runs, and only judge=verl gets it; give another judge"
            yield Problem(f"{key}.base_url", "verl-judge-composed", says)


def composition_problems(client: Mapping[str, Any] | None, server: Any) -> Iterator[Problem]:
    """What is wrong with votes and cascades that no member shows by itself.

    Args:
        client: the plain, resolved settings of `judge.client`.
        server: the node `judge.server`, or None.
    """
    for key, one in composites(client):
        if isinstance(one.get("small"), Mapping) and isinstance(one.get("strong"), Mapping):
            yield from _cascade_problems(one, key)
    if server is not None and is_composed(client) and not any(asks(member, server) for _, member in members(client)):
        says = "no judge is asked at its address, so it would be started for nothing; set judge.server=null"
        yield Problem("judge.server", "server-not-asked", says)


def _cascade_problems(cascade: Mapping[str, Any], key: str) -> Iterator[Problem]:
    small, strong = members(cascade["small"], f"{key}.small"), members(cascade["strong"], f"{key}.strong")
    if "small" in cascade["small"]:
        says = "a cascade gives YES or NO and no probability; let it be the strong judge, or name its small one here"
        yield Problem(f"{key}.small", "no-probability", says)
    elif small and not gives_probability(cascade["small"]):
        says = "binary gives no probability, so nothing says where the small judge is unsure; set it to probability"
        yield Problem(f"{small[0][0]}.mode", "no-probability", says)
    if small and strong and all(any(_is_same(one, other) for _, other in small) for _, one in strong):
        says = "is the small judge again, asked in the same way, which can only repeat itself; name another model"
        yield Problem(f"{strong[0][0]}.model", "same-judge-twice", says)


def gives_probability(client: Mapping[str, Any]) -> bool:
    """Whether a judge's verdicts have a probability; those of a class of the user's own may."""
    client = _plain(client)
    if not is_composed(client):
        return client.get("_target_") != _CLIENT or client.get("mode") == "probability"
    return "small" not in client and any(gives_probability(member) for member in client["judges"])


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two judges ask the same model at the same address with the same prompt, and think alike."""
    ways = [
        (client.get("model"), client.get("prompt", "match"), client.get("thinking", "disabled"))
        for client in (one, other)
    ]
    return ways[0] == ways[1] and bool(_addresses(one) & _addresses(other))


def _addresses(member: Mapping[str, Any]) -> set[str]:
    return {str(url).rstrip("/") for url in (member.get("base_url"), *(member.get("base_urls") or ()))}
