"""Whether an answer says that it does not know, and nothing else.

The rule is made for precision, because it may take a right answer's place only where it is certain. So the whole answer
has to be the statement of not knowing; one that also names something is no abstention. Words that may themselves be a
finding (`unknown`, `indeterminate`, `uncertain`) are left to the judge.
"""

from __future__ import annotations

import re

from medix_r1.host.bounded_cache import bounded_cache

_MAX = 300  # characters; a longer answer says more than that it does not know
_SELF = r"(?:i|we)"
_NOT = r"(?:do not|don't|dont|cannot|can not|can't|cant|could not|couldn't|am not|i'm not|are not|aren't)"
_LEARN = (
    r"(?:tell|say|know|determine|decide|identify|answer|establish|assess|judge|conclude|ascertain|be (?:sure|certain)|"
    r"give (?:an|a definite|a reliable) answer|provide an answer|make a diagnosis|answer with (?:confidence|certainty))"
)
_SOURCE = (
    r"(?:from|with|without|by|on|given|based on|in|using)"
    r"(?: (?:only|just|the|this|these|any|more|further|additional|available|provided|given|single|limited|one|alone))*"
    r" (?:image|images|picture|pictures|scan|scans|view|views|slice|information|data|context|question|evidence|film|"
    r"photograph|photo|details|description|history|text)"
    r"(?: (?:alone|only|provided|given|available|shown|here|at hand))*"
)
_OPENING = r"(?:(?:sorry|unfortunately|honestly|frankly|i am afraid|i'm afraid|apologies)[,:;.]? )?(?:but )?"
_THING = (
    r"the (?:correct |right |exact |true )?(?:answer|diagnosis|question|finding|cause|modality|organ|side|abnormality|"
    r"structure|lesion|condition|disease)"
)
_OBJECT = (
    rf"(?: (?:that|this|it|{_THING}|this (?:question|one)|what (?:this|it|that) is|"
    r"which (?:one|side|organ)(?: it is| is shown)?|about this one|"
    r"what the (?:correct |right )?(?:answer|diagnosis) is|"
    r"for (?:sure|certain)|with (?:certainty|confidence)|either way|any of (?:this|that|it)))*"
)
_FORMS = (
    rf"{_SELF} (?:really |honestly |simply )?(?:do not|don't|dont) (?:really )?know{_OBJECT}(?: {_SOURCE})?",
    rf"{_SELF} (?:have|'ve got) no idea{_OBJECT}",
    r"(?:(?:i have |i've |i've got )?(?:no idea|no clue)|i haven't a clue)"
    r"(?: (?:at all|what (?:this|it) (?:is|shows)))?",
    r"(?:dunno|idk|beats me|who knows|i give up|don't know|do not know|(?:can't|cannot) (?:tell|say))",
    r"(?:hard|difficult|not possible|impossible) to (?:tell|say|determine|know)(?: for (?:sure|certain))?"
    rf"(?: {_SOURCE})?",
    r"i(?: would|'d)? (?:prefer not to|rather not|will not|won't) (?:guess|answer|say)",
    rf"{_SELF} (?:do not|don't|did not) have (?:enough|sufficient) (?:information|data|context)"
    rf"(?: to {_LEARN}{_OBJECT})?",
    r"i(?: would|'d)? need more (?:information|data|context)(?: to (?:answer|tell|say|decide)(?: this| that)?)?",
    r"(?:i am not|i'm not) confident enough(?: to answer(?: this| that)?)?",
    r"(?:i am|i'm|we are|we're) (?:really |quite |just )?(?:not (?:at all |really )?(?:sure|certain)|unsure|uncertain)"
    rf"(?: (?:about|of))?{_OBJECT}(?: {_SOURCE})?",
    r"not (?:at all |really )?sure(?: about (?:this|that|it|this one))?",
    r"unsure",
    rf"{_SELF} (?:really |simply )?(?:cannot|can not|can't|cant|could not|couldn't) (?:reliably |confidently |safely )?"
    rf"{_LEARN}{_OBJECT}(?: {_SOURCE})?",
    rf"(?:i am |i'm |we are )(?:not able|unable) to (?:reliably |confidently )?{_LEARN}{_OBJECT}(?: {_SOURCE})?",
    rf"(?:unable|not able) to (?:determine|tell|answer|say)(?: (?:that|this|the answer|the question))?(?: {_SOURCE})?",
    r"(?:this|it|that|the answer|the question|this question) (?:cannot|can not|can't|could not) be "
    rf"(?:determined|answered|known|told)"
    rf"(?: {_SOURCE})?",
    rf"cannot be (?:determined|answered|told)(?: {_SOURCE})",
    rf"(?:it is|it's) (?:not possible|impossible) to {_LEARN}{_OBJECT}(?: {_SOURCE})?",
    rf"(?:there is |i have |we have )?(?:not enough|insufficient|too little) (?:information|data|evidence|context)"
    rf"(?: to {_LEARN}{_OBJECT})?(?: {_SOURCE})?",
)
_ABSTAINS = re.compile(rf"{_OPENING}(?:{'|'.join(_FORMS)})(?:[,;]? sorry)?")
_SPACES = re.compile(r"\s+")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})


@bounded_cache
def abstains(answer: str) -> bool:
    """Whether an answer says that it does not know, and nothing else."""
    if len(answer) > _MAX:
        return False
    plain = _SPACES.sub(" ", answer.translate(_APOSTROPHES)).strip(" .!*_\"'").lower()
    return _ABSTAINS.fullmatch(plain) is not None
