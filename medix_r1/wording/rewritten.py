"""Rewrites unusual ways to offer several things into plain ones: marks of lists, glued names, "between a and b"."""

from __future__ import annotations

import re

from medix_r1.wording.joints import MARK

_BULLETS = re.compile(r"^[ ]?(?:[-*+>•·▪●◦‣■➢✓–]|->) +", re.MULTILINE)
_BREAKS = re.compile(
    r"</?(?:br|li|ul|ol|p|div|td|tr|table|answer\d)(?: [^<>]{0,100})?/?>|</(?:[biu]|em|strong|span)>\s?(?=<)"
    r"|\\n(?![a-z]{2})|\t+|(?<=\w\*)\s+(?=\*\w)|(?<=\w\*\*)\s+(?=\*\*\w)",
    re.IGNORECASE,
)
_HASHES = re.compile(r"(?:^|(?<=[\s,;\"'(*{]))#(?=[^\W\d_])")
_GLUED_MARKS = re.compile(  # "1lipoma 2hemangioma", "lipoma(1) hemangioma(2)", "answer1=lipoma answer2=hemangioma"
    r"(?:^|(?<=[\s,;]))\(?\d{1,2}[.):]?(?=(?!alpha|beta|hydroxy)[a-z]{4})|(?<=[a-z]{3})\s?\(\d\)(?=[\s,;]|$)"
    r"|(?:^|(?<=[\s,;\"'(*{]))answer ?\d ?[=:]",
    re.IGNORECASE,
)
_ROMAN_MARKS = re.compile(r"(?:^|(?<=[\s,;]))\(?(?:i{1,3}|iv|v)\)(?=\s)")
GLUED = re.compile(
    r"(?<=[a-z]{2})(OR|AND|VS)(?=[a-z]{3})|(?<=[A-Z]{2})(or|and|vs)(?=[A-Z]{2})|(?<=[a-z]{4})(?=[A-Z][a-z]{4})"
)
_QUOTED = re.compile(r"(?<![\w'])['‘`]([^'‘’`\n]{1,200})['’`](?![\w'])")
_OUT_OF = re.compile(
    r"(?<=\d)\s?(?:\(\s?)?(?:out )?of (?:a (?:possible |maximum (?:of )?)?)?\d{1,3}(?!\s?[^\W_])\s?\)?"
)  # "2 (of 3)"
_GOING = re.compile(r"(?:^|(?<=: ))(?:i'd|i would|i'll|i will) (?:say|go (?:with|for)|favou?r|pick|choose|guess) ")
_FROM_TO = re.compile(r"(?:^|(?<=: ))(?:anything|something|somewhere|ranging|ranges) from (.{3,60}?) to ")
_ONE_OF = re.compile(r"(?:answer: )?(?:one|any) of(?: these| the following)?:? (?!the\b|its\b|these\b|them\b|my\b)")
_SPLIT_WORDS = re.compile(r"(?<=\w )(?:0r|o\.r\.?)(?= \w)")
_ASKED = re.compile(r"^([^?,;]{3,60})\? no(?:[,:;.]| -)? (?=[^\W_])")  # "a? No: b"
_ALSO_CALLED = re.compile(
    r" or ([^,;.]{3,60}?),? as (?:it|they)(?:'s| is| are)?(?: also| sometimes| often| commonly)? "
    r"(?:called|known|named|termed)$"
)
_BETWEEN = re.compile(
    r"(?:^|(?<=: ))(?:\d\d ?/ ?\d\d |torn |undecided |a toss-up |toss-up )?(?:either )?between (?=\D{3,80} and )"
)
# An option or a consideration may be a step to take, not an answer.
_SECOND = "|".join(("possibility", "alternative", "candidate", "diagnosis"))
_ANOTHER_IS = re.compile(
    rf"[,;.]?\s?\b(?:but |and |though |while )?(?:another|the other|a second|a further|an alternative) "
    rf"(?:possible |likely )?(?:{_SECOND}) (?:is|would be|could be|might be|may be) "
)
_WITH_ANOTHER = re.compile(rf",? with (?:an? )?([^,;.]{{3,60}}?) (?:as )?(?:another|an|the other) (?:{_SECOND})$")
_ALSO = re.compile(
    r"[,;]? (?:but|though|although|yet) (?:it|this|that) (?:might|may|could|can) (?:also|just as well|equally) "
    r"(?:be|represent|indicate|suggest) (?!(?:\w+ed|seen|found|known|shown|drawn|due)\b)(?:an? )?"
)
_UNSURE = re.compile(
    r"^(?:i am |i'm )?(?:not (?:entirely |completely |quite |at all )?(?:sure|certain)|unsure|uncertain)\s?[:,;–-]\s?"
)
_SHARES = re.compile(r"\(?(?<![\w.])(\d{1,2}) ?(?:%|percent)\)?:?")
_WHOLE = 100
_PLACE = re.compile(
    r"(?<=[a-z,] )(?<!decide )(?<!torn )(?<!choose )(?<!undecided )(?<!toss-up )between ([^,;.]{3,60}?) and "
)  # one place


def mark_lists(text: str) -> str:
    """Give an answer, as it was given, a line or a mark for each thing that its markup or numbers set apart."""
    text = GLUED.sub(lambda match: f" {match[0].lower()} " if match[0] else "_", text)
    if not text.isascii() or any(sign in text for sign in "<\\\t*'`"):
        text = _QUOTED.sub(r'"\1"', _BREAKS.sub("\n", text))
    if "#" in text and len(_HASHES.findall(text)) > 1:
        text = _HASHES.sub(MARK, text)
    if ")" in text and len(_ROMAN_MARKS.findall(text)) > 1:
        text = _ROMAN_MARKS.sub(MARK, text)
    if any(map(str.isdigit, text)):
        if len(_GLUED_MARKS.findall(text)) > 1:
            text = _GLUED_MARKS.sub(MARK, text)
        shares = _SHARES.findall(text)
        if len(shares) > 1 and sum(map(int, shares)) == _WHOLE:  # "80% lipoma, 20% hemangioma"
            text = _SHARES.sub(MARK, text)
    return _BULLETS.sub(MARK, text)


def plain_choices(text: str) -> str:
    """Spell choices of a normalised answer with "or", and leave out what is no choice, such as "of 3" in "2 of 3"."""
    if (one_of := _ONE_OF.match(text)) and "," in text:
        text = text[one_of.end() :].replace(", or ", ", ").replace(", and ", ", ").replace(", ", " or ")
    if "? no" in text:
        text = _ASKED.sub(r"not \1, ", text)
    if "sure" in text or "certain" in text:
        text = _UNSURE.sub("", text)
    if " other " in text or "alternative " in text or any(word in text for word in ("another", "second", "further")):
        text = _WITH_ANOTHER.sub(r" or \1", _ANOTHER_IS.sub(" or ", text))
    if " also " in text or " well " in text or " equally " in text:
        text = _ALSO.sub(" or ", text)
    if " as " in text:
        text = _ALSO_CALLED.sub(r" i.e. \1", text)
    if "between" in text:
        text = _PLACE.sub(r"between \1 to ", _BETWEEN.sub("either ", text))
    if "i'" in text or "i w" in text:
        text = _GOING.sub("", text)
    if " from " in text:
        text = _FROM_TO.sub(r"either \1 or ", text)
    if "0r" in text or "o.r" in text:
        text = _SPLIT_WORDS.sub("or", text)
    return _OUT_OF.sub("", text) if "of" in text else text
