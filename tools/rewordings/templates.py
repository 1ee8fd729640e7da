"""The forms of templates.yaml and held_back.yaml."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medix_r1.host.yaml_text import read_yaml
from tools.rewordings.terms import Half, capital

Form = Literal["shared", "held back"]
_FILES: dict[Form, str] = {"shared": "templates.yaml", "held back": "held_back.yaml"}


@dataclass(frozen=True, slots=True)
class Writing:
    """How several things are written as one answer.

    Attributes:
        item: how one of them is written; {} is the thing, {n} and {l} are its number and letter.
        sizes: how many of them there may be.
        of: the kinds of things that it fits; empty for all.
        unfit: the kinds that it does not fit.
        groups: the groups of terms that it fits; empty for all.
    """

    between: str = ""
    last: str | None = None
    before: str = ""
    after: str = ""
    item: str = "{}"
    case: str = ""
    sizes: tuple[int, ...] = (2, 3, 4)
    of: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def write(self, things: list[str]) -> str:
        """The answer."""
        written = [self._one(thing, n) for n, thing in enumerate(things)]
        end = self.between if self.last is None else self.last
        text = self.before + self.between.join(written[:-1]) + end + written[-1] + self.after
        return text.upper() if self.case == "upper" else text

    def _one(self, thing: str, n: int) -> str:
        letter = chr(ord("a") + n)
        return self.item.replace("{n}", str(n + 1)).replace("{l}", letter).replace("{}", thing)

    def fits(self, kind: str, group: str) -> bool:
        """Whether it is used for such things."""
        if kind in self.unfit or (self.of and kind not in self.of):
            return False
        return not self.groups or group in self.groups


def forms(half: Half) -> list[Form]:
    """The forms that a half uses."""
    return ["shared"] if half == "dev" else ["shared", "held back"]


@functools.cache
def load(form: Form) -> dict[str, Any]:
    """One of the two files."""
    found: dict[str, Any] = read_yaml(Path(__file__).with_name(_FILES[form]))
    return found


def frames(form: Form, kind: str) -> list[str]:
    """The frames of a kind of rewording; those of some kinds are all shared."""
    found: list[str] = load(form)["frames"].get(kind, [])
    return found


@functools.cache
def writings(form: Form, key: str) -> tuple[Writing, ...]:
    """The ways of writing a list, or a shared head."""
    return tuple(writing(entry) for entry in load(form)[key])


@functools.cache
def devices(form: Form) -> dict[str, list[Writing]]:
    """Kind of attack → the ways of writing it."""
    return {kind: [writing(entry) for entry in entries] for kind, entries in load(form)["devices"].items()}


def writing(entry: dict[str, Any]) -> Writing:
    """One entry of the YAML."""
    lists = {"sizes", "of", "not", "groups"}
    named: dict[str, Any] = {("unfit" if key == "not" else key): tuple(entry[key]) for key in lists & entry.keys()}
    return Writing(**{key: value for key, value in entry.items() if key not in lists}, **named)


def fill(frame: str, fields: dict[str, str]) -> str:
    """A frame with its fields; one in capitals begins with a capital letter."""
    return frame.format(**fields, **{key.capitalize(): capital(value) for key, value in fields.items()})
