"""Other spellings of a name that follow from rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

_BRITISH = (
    (r"\bhem(?=o|at|an)", "haem"),
    (r"\bHem(?=o|at|an)", "Haem"),
    ("edema", "oedema"),
    ("esophag", "oesophag"),
    (r"emia\b", "aemia"),
    ("ischemi", "ischaemi"),
    ("diarrhea", "diarrhoea"),
    ("tumor", "tumour"),
    ("celiac", "coeliac"),
    ("orrhea", "orrhoea"),
    ("cecum", "caecum"),
    ("fiber", "fibre"),
    ("leukemi", "leukaemi"),
)
_LIGATURES = (("fi", "ﬁ"), ("fl", "ﬂ"))


def british(name: str) -> Iterator[str]:
    """British for American spelling."""
    for pattern, other in _BRITISH:
        name = re.sub(pattern, other, name)
    yield name.replace("ooedema", "oedema").replace("oooesoph", "oesoph")


def typography(name: str) -> Iterator[str]:
    """Signs and spaces that look alike."""
    yield name.replace("'", "’")
    yield name.replace("-", "‑")  # a hyphen that does not break
    yield name.replace("-", "‐")
    yield name.replace(" ", "\u00a0")
    yield name.replace(" ", "  ")
    for letters, sign in _LIGATURES:
        yield name.replace(letters, sign)


def letter_case(name: str) -> Iterator[str]:
    """Other capitals; a unit such as µL would be another one."""
    if re.search(r"\d|[^\x00-\x7f]", name):
        return
    yield name.upper()
    yield name.title() if "'" not in name else name.upper()


def possessive(name: str) -> Iterator[str]:
    """Crohn disease for Crohn's disease."""
    yield re.sub(r"(?<=[a-z])'s\b", "", name)
    yield re.sub(r"(?<=s)'(?= )", "", name)


RESPELLED: Mapping[str, Callable[[str], Iterator[str]]] = {
    "british": british,
    "typography": typography,
    "letter_case": letter_case,
    "possessive": possessive,
}
