"""What in an answer speaks to its judge, or of its own marks, instead of to the patient: rules for English.

Such a sentence says nothing that a criterion could ask for. The rules are made for precision: "meets the Duke criteria"
and "assign 2 points for age" are medicine. What other languages and other words say is left to the judge.
"""

from __future__ import annotations

import re
from importlib.resources import files

from medix_r1.host.yaml_text import parse_yaml

# A control token of a chat template, or an element of the judge's prompt: what follows is no longer the reply.
_ENDS = re.compile(
    r"<\|[^<>|]{1,40}\|>|</?s>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]|<</?SYS>>|"
    r"</?(?:start_of_turn|end_of_turn|bos|eos|pad|tool_call|tool_response)>|"
    r"</?\s{0,4}(?:reply|response|criterion|criteria|conversation|prediction|reference|rubric|verdict|question)\s{0,4}/?>",
    re.IGNORECASE,
)
_OBJECT = re.compile(
    r"[{\[][^{}\[\]]{0,400}\b(?:criteria_met|verdict|met|score|passed)\b[\"']?\s{0,4}:[^{}\[\]]{0,400}[}\]]",
    re.IGNORECASE,
)

_WORDS = parse_yaml(files(__package__).joinpath("words.yaml").read_text(encoding="utf-8"))
_PIECE = re.compile(r"<([a-z_]+)>")


def words(name: str) -> frozenset[str]:
    """The words of a list in words.yaml."""
    return frozenset(_WORDS[name].split())


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_PIECE.sub(lambda match: _WORDS["pieces"][match[1]], text), re.IGNORECASE)


_TALK = tuple(map(_pattern, _WORDS["talk"]))
_LONGEST = 600  # characters of a sentence that are looked at from either end, so that time stays linear


def spoken(answer: str) -> str:
    """The answer up to what ends it: a control token of a chat template, or an element of the judge's prompt.

    Objects of JSON that hold a verdict are taken out, too.
    """
    ends = _ENDS.search(answer)
    return _OBJECT.sub(" ", answer[: ends.start()] if ends else answer)


def is_talk(sentence: str) -> bool:
    """Whether a sentence speaks to the judge, or says of the reply that it meets what is asked."""
    plain = " ".join(sentence.split())
    parts = [plain] if len(plain) <= 2 * _LONGEST else [plain[:_LONGEST], plain[-_LONGEST:]]
    return any(pattern.search(part.lstrip("#*_->•\"'( ")) for part in parts for pattern in _TALK)
