"""What may stand between two things of an answer: words, signs, numbers of a list; and what only looks like it."""

from __future__ import annotations

import re

from medix_r1.wording.terms import LISTS
from medix_r1.wording.units import PINT_NAMES

MARK = "\ue000"  # stands for the bullet or number of a list


def phrases(name: str) -> str:
    """A list of words.yaml as a pattern, the longest phrase first."""
    return "|".join(re.escape(phrase) for phrase in sorted(LISTS[name], key=len, reverse=True))


# The letter of an option before its text. A letter and a full stop before one word may be an initial: "e. coli".
_NO_SPECIES = rf"(?!{phrases('species')})"  # "e. coli" has no option's letter
OPTION = re.compile(
    rf"^(?:(?:the )?(?:correct |best |final )?(?:option|choice|answer)(?: is)?:? )?[(\[]?"
    rf"(?:[1-9](?:[.):\]]+|,(?= )) ?|[a-h](?:[):\]]+\.? ?|[,=>](?= ) )|[a-h]\. {_NO_SPECIES}(?=\S+ )|[a-h1-9] - )"
    r"(?=[^\s\d])"
)
_NUMBER = r"(?:(\d{1,2})|([a-h]))"
NUMBER_MARK = re.compile(
    rf"(?:(?<=^)|(?<=[\s,;(]))[(\[#]?{_NUMBER}(?:[.):\]]|\.\)| -)(?=\s)"
    rf"|(?:(?<=^)|(?<=[\s,;]))(?:[(\[]{_NUMBER}[)\]]|(?:#(\d{{1,2}})|([a-h])\))(?!\w))"
)

# Names and units with signs or joining words in them.
COMPOUND = re.compile(rf"\b(?:{phrases('compounds')}|[a-z]/[a-z])\b|(?<=\w)\([^()\s]{{1,10}}\)")
_UNIT = "|".join(sorted((re.escape(name) for name in PINT_NAMES), key=len, reverse=True))
_WORD, _END = r"[^\W\d_]{1,8}", r"(?![^\W_])"
UNIT_SLASH = re.compile(
    rf"(?<=\d )(?:{_UNIT})[23]?(?:/{_WORD}{_END}){{1,2}}|(?<=\d ){_WORD}/(?:{_UNIT}){_END}|(?<=[\d%])/(?=\d)"
    rf"|(?<=\d )(?:{_UNIT})/\d+ ?(?:hour|day|min|sec){_END}"
)

_LETTER = r"[^\W\d_]"
_NAMED_BY_LETTER = "|".join(rf"(?<={word[-4:]} \w)" for word in ("hepatitis", "type", "class", "grade", "group"))
_JOINTS = {
    "restated": (
        rf",?\s?\(?\b(?:{phrases('restatements')})(?:,|(?=\s))\s?"
        rf"|\s?[=≈≡]+\s|(?<={_LETTER}{{2}})=+(?={_LETTER}{{2}})"
    ),
    "denied": (
        rf",?\s?\b(?!not (?:{phrases('perceived')}|excluding|only)\b|without excluding\b)"
        rf"(?:{phrases('exclusions')})\b\s?"
    ),
    "or": (
        r",?\s?\b(?!otherwise (?:normal|unremarkable|clear)|unless (?:proven|proved|otherwise|symptom))"
        rf"(?:{phrases('choices')})(?!\w),?:?\s?|或者?"
    ),
    # Bullets, arrows and signs that mean nothing else; "a ~ b" and the like with blanks.
    "list": (
        rf"\s?(?:[|?!\\{MARK}]|//+|[-=]+>|\.\.+|[^\w\s.,;:'\"()\[\]{{}}%°<>=+&/*^#$×±≈≡-])\s?"
        r"|\s(?!#\s)[^\w\s.,;:'\"()\[\]%°/&+×±=≈≡-]+\s"  # "distal radius # with dorsal tilt" is a fracture
    ),
    "break": r"\s?[;\n]+\s?|\s/\s?|/\s",
    "and": (
        rf"\s?(?:±|\+/-)\s?(?=[^\W\d_])|,?\s?\b(?:{phrases('additions')})\b\s?|(?<=\w\w)\s?&(?:amp;)?\s?(?=\w\w)|\s[&+]\s"
        rf"|\s\+(?={_LETTER}{{3}})|(?<={_LETTER}{{4}})\+\s?(?={_LETTER}{{3}})"
    ),
    "comma": (
        rf"(?<!\d),|,(?!\d)|(?<={_LETTER})(?:\s?[_*^%<>]+\s?|:)(?={_LETTER}{{2}})|\s_+\s|(?<={_LETTER})\s?/(?=[^\W_])|(?<=\d)/(?={_LETTER})|(?<=[+-])/(?=\w)"
        r"|(?<=[a-z]{4})\.(?=[a-z]{4})|(?<=\s\d)\.(?=\s[a-z]{2})"
        rf"|(?:(?<=\w\w)|(?<=[^\w\s.])|{_NAMED_BY_LETTER})\.(?=\s)"
    ),
    "quote": r'"',
    "open": r"\s?[(\[{]\s?",
    "close": r"\s?[)\]}]\s?",
    "colon": r":\s|\s-+\s",
    "loose": rf",?\s?\b(?:{phrases('loose')})\b\s?|\s(?=(?:such as|including|for example|e\.g\.) )",
}
# No joint begins inside a word, which saves most of the time.
JOINT = re.compile(
    r"(?!(?<=[a-z0-9])[a-z0-9])(?:" + "|".join(f"(?P<{name}>{sign})" for name, sign in _JOINTS.items()) + ")"
)
