"""What tests assert of an error: keys, codes and values, never a sentence (those stand in golden/messages.yaml)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from medix_r1.errors import ConfigError, DataError, MedixError, Problem


def codes(problems: ConfigError | DataError | Iterable[Problem]) -> list[tuple[str, str]]:
    """(key, code) of every problem, in order."""
    found = problems.problems if isinstance(problems, ConfigError | DataError) else problems
    return [(problem.key, problem.code) for problem in found]


def only(*wanted: tuple[str, str]) -> Callable[[ConfigError], bool]:
    """For `pytest.raises(ConfigError, check=only(...))`: exactly these (key, code) pairs, in order."""

    def check(error: ConfigError) -> bool:
        assert codes(error) == [*wanted]
        return True

    return check


def coded(code: str, *named: object) -> Callable[[MedixError], bool]:
    """For `pytest.raises(DataError, check=coded(...))`: this code, and these names or values in its text."""

    def check(error: MedixError) -> bool:
        assert (error.code, [name for name in named if str(name) not in str(error)]) == (code, [])
        return True

    return check


def numbers(text: str) -> list[float]:
    """The numbers that a line gives, in order."""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
