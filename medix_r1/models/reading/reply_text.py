"""Reads a reply, in training and in evaluation alike: its text, its thinking, and YES or NO where there is no doubt.

A verdict is never guessed: what could be read in two ways is no verdict, and the judge is asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medix_r1.host.bounded_cache import bounded_cache

_LABEL = (
    r"(?:(?:my|the|final|overall)[\s_]){0,3}"
    r"(?:verdict|judge?ment|decision|answer|conclusion|result|evaluation|output|response|match|equivalent|same)"
)
# What may stand before the word: blanks, Markdown, quotes and brackets, TeX's box, an element, a label with its colon.
_BEFORE = re.compile(
    rf"\s+|\#{{1,6}}\s|>\s?|[-•]\s|```\w*|~~~\w*|[*_\"'`(\[{{“‘「『【（［«$]|\\(?:boxed|text|textbf|mathbf)\{{"
    rf"|[✅✔☑❌✖✗✘]\ufe0f?|<(?:{_LABEL}|b|strong|em|i)>"
    rf"|(?P<label>{_LABEL}(?:\sis(?=\s{{0,4}}:))?)[*_\"'`]{{0,4}}\s{{0,4}}(?:[:：=→]|-+>|[–—-]\s|\n)"
    r"|(?:(?:the|my|final)\s){1,2}(?:verdict|judge?ment|decision)\sis\s",
    re.IGNORECASE,
)
_MOST_BEFORE = 24  # matches of `_BEFORE`
# A whole word: no letter, digit or hyphenated ending may follow. A judge that stutters says the same word again.
_WORD = re.compile(r"(YES|NO)(?![^\W_]|[-'’][^\W_])(?:[\s,.]{1,4}\1(?![^\W_]|[-'’]))*", re.IGNORECASE)
_CLOSING = re.compile(r"(?:[*_\"'`)\]}”’」』】）］»$]|</\w{1,16}>)*")
# The end, a line's end, punctuation, or a new sentence; no alternatives (YES/NO), no question, no number (No. 5).
_ENDED = re.compile(
    r"\s*\Z|[^\S\n]*\n|[^\S\n]*(?![.\s]*\d)[.,;:!–—(<=…→-](?![.,;:!)*_\"']*\?)"
    r"|[^\S\n]+(?:The|Both|They|It|This|These|Because)\s"
)
_MARKS = {"YES": "✅✔☑", "NO": "❌✖✗✘"}
_OPPOSITE = {"YES": "NO", "NO": "YES"}
_NO_DIFFERENCE = re.compile(
    r"\W*no\b(?:\s+[a-z]+){0,2}\s+(?:differences?|discrepanc|contradiction|conflict)", re.IGNORECASE
)
_LOOKAHEAD = 2  # following words in which the opposite verdict makes the reply ambiguous: "YES/NO", "yes and no"
_READ = 2000  # characters after the word that are looked at
_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CLAUSE = re.compile(r"[.,;:!?()\n–—]|\s-\s")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|verdict|answer|conclusion)\b(?:\s+(?:is|the|my|final|verdict|answer))*"
    r"[\s:,*_\"']{1,6}(YES|NO)\b(?=\W*\Z|[.,;!*\n])"
)
_SOURCES = re.compile(r"\s*\W{0,4}(?:true|truth|reference|predict|expected|correct)\w*[\w ]{0,20}:", re.IGNORECASE)
_CORRECTS = (
    "wait",
    "actually",
    "correction",
    "scratch that",
    "hold on",
    "sorry",
    "oops",
    "on second thought",
    "i cannot",
    "i can't",
    "i won't",
    "i'm sorry",
    "i am sorry",
    "i'm unable",
    "i am unable",
)
_HEDGES = {"maybe", "perhaps", "possibly", "probably", "likely", "mostly", "almost", "nearly", "partially", "partly"}
_PARTLY = {"partially", "partly"}
_CONCEDES = {"but", "however", "except", "although", "though", "yet", "nevertheless"}
# A clause of these words alone says whether the two texts are the same; any other word makes it speak of a part.
_FILLER_WORDS = """
a actually all also and another answer answers any are as basically be both but clearly clinically completely convey
describe describes did do does each essentially exactly express fully give gives however in indeed is it its just mean
meaning meaningful meanings means of one or other predicted prediction predictions quite real really refer reference
references refers response responses say says semantically significant so statement statements text texts that the there
these they thing things this those that's they're it's there's terms to two very was were with yet
"""
_SAME_WORDS = """
agree agrees consistent equal equivalent identical interchangeable match matched matches matching same synonymous
synonyms
"""
_DIFFERENT_WORDS = """
affect alter change changes contradict contradictory contradicts differ difference differences different differing
differs disagree disagrees discrepancy distinct inconsistent mismatch mismatched opposite unequal
"""
_FILLER, _SAME, _DIFFERENT = (set(words.split()) for words in (_FILLER_WORDS, _SAME_WORDS, _DIFFERENT_WORDS))
_RIGHT, _WRONG = {"correct", "right", "accurate"}, {"wrong", "incorrect", "inaccurate"}
_NOT = {"not", "no", "never", "neither", "without", "cannot", "except"}
_THINK_OPENS = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THINK_CLOSES = re.compile(r"</think(?:ing)?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """What a model said.

    Attributes:
        text: of the reply; a think block that the server left in it included.
        thinking: what the server sent beside the text, or "".
        finish_reason: as the server sent it: "stop", "length", ...; None without one.
        refusal: what the server sent in place of a text, or "".
    """

    text: str
    thinking: str = ""
    finish_reason: str | None = None
    refusal: str = ""


def message_of(choice: Mapping[str, Any]) -> Message:
    """Read one choice of a chat completion.

    Raises:
        TypeError, KeyError: it is none.
    """
    message = choice["message"]
    if not isinstance(message, Mapping):
        raise TypeError("there is no message")
    beside = message.get("reasoning_content") or message.get("reasoning") or ""
    refusal = message.get("refusal") or ""
    text, thinking = content_text(message.get("content") if beside or refusal else message["content"])
    return Message(text, thinking + str(beside), choice.get("finish_reason"), str(refusal))


def content_text(content: object) -> tuple[str, str]:
    """Text and thinking of a message's content: a text, a list of parts, or None.

    Raises:
        TypeError: it is something else.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError(f"the content is {type(content).__name__}, neither text nor a list of parts")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        kind = str(part["type"])
        text = "".join(content_text(part.get("text", part.get(kind, ""))))  # Mistral's parts of thinking hold parts
        (texts if kind in ("text", "output_text") else thoughts).append(text)
    return "".join(texts), "".join(thoughts)


@bounded_cache  # replies are nearly always YES or NO, so this cache hits
def parse_verdict(reply: str) -> bool | None:
    """Parse YES or NO as the first word; None for every other reply.

    Thinking, Markdown, quotes, an element, a label (`Verdict: YES`) or a JSON object of one verdict may surround it. An
    ambiguous reply is None, too: "YES/NO", "No difference: they match", "Yes, but the side differs".
    """
    read = read_verdict(reply)
    return None if read is None else read[0]


def read_verdict(reply: str) -> tuple[bool, str] | None:
    """The verdict as in `parse_verdict`, and the reason that follows it."""
    text = strip_thinking(reply)
    if (told := _of_object(text)) is not None:
        return told
    found = _find(text)
    if found is None:
        return None
    rest = text[found.end : found.end + _READ]
    if _ENDED.match(rest) is None or _is_ambiguous(found, rest):
        return None
    return found.word == "YES", rest.strip(" \t\n.,:;!-–—*_`\"'()")


def strip_thinking(reply: str) -> str:
    """Remove a leading think block, in either spelling; an unfinished one leaves the empty text."""
    opens = _THINK_OPENS.search(reply)
    closes = list(_THINK_CLOSES.finditer(reply))
    if not closes:
        return "" if is_cut_thinking(reply) else reply
    last = closes[-1]
    before = reply[: opens.start()] if opens and opens.start() < last.start() else ""
    return f"{before}\n{reply[last.end() :]}" if before.strip() else reply[last.end() :]


def is_cut_thinking(reply: str) -> bool:
    """Whether a reply begins with a think block that never ends."""
    start = reply.lstrip()
    return bool(_THINK_OPENS.match(start)) and not _THINK_CLOSES.search(start)


@dataclass(frozen=True, slots=True)
class Found:
    """YES or NO at the start of a text: the word, where its decoration ends, and whether a label announces it."""

    word: str
    end: int
    labelled: bool


def _find(text: str) -> Found | None:
    place, labelled, marks = 0, False, ""
    for _ in range(_MOST_BEFORE):
        if (word := _WORD.match(text, place)) is not None:
            name = word[1].upper()
            if any(mark in marks for mark in _MARKS[_OPPOSITE[name]]):
                return None
            closing = _CLOSING.match(text, word.end())
            return Found(name, closing.end() if closing else word.end(), labelled)
        before = _BEFORE.match(text, place)
        if before is None or before.end() == place:
            return None
        place, labelled, marks = before.end(), labelled or before["label"] is not None, marks + before[0]
    return None


def _is_ambiguous(found: Found, rest: str) -> bool:
    opposite = _OPPOSITE[found.word]
    following = [word.upper() for word in _LETTERS.findall(rest[:60])[:_LOOKAHEAD]]
    if opposite in following and not (found.word == "YES" and _NO_DIFFERENCE.match(rest)):
        return True
    if any(concluded[1].upper() == opposite for concluded in _CONCLUDES.finditer(rest)):
        return True
    lines = rest.split("\n")
    for line in lines[1:]:
        if found.labelled and _SOURCES.match(line):
            return True  # a list of the two answers: `Answer: yes`, then `Reference: no`
        later = _find(line)
        if later and later.word == opposite and (later.labelled or not line[later.end :].strip(" .!")):
            return True
    return any(_turns(found.word, clause) for clause in _clauses(rest))


def _clauses(text: str) -> Iterator[list[str]]:
    before: list[str] = []
    for clause in _CLAUSE.split(text):
        words = before + [word.lower().replace("’", "'") for word in _LETTERS.findall(clause)]
        if len(words) == 1 and words[0] in _CONCEDES:
            before = words  # "However, the side differs" is one clause
        elif words:
            yield words
            before = []


def _turns(verdict: str, words: Sequence[str]) -> bool:
    """Whether a clause takes the verdict back: it says the contrary, corrects it, or leaves it open."""
    if " ".join(words).startswith(_CORRECTS) and (len(words) < 4 or words[0] != "actually"):
        return True
    if verdict == "YES" and next((word for word in words if word not in _CONCEDES | {"only"}), "") in _PARTLY:
        return True
    if len(words) == 1 and words[0] in _HEDGES:
        return True
    negations = sum(word in _NOT or word.endswith("n't") for word in words)
    of_reference = any(word.startswith(("refer", "tru")) for word in words)
    same = _SAME if of_reference else _SAME | _RIGHT
    different = _DIFFERENT if of_reference else _DIFFERENT | _WRONG
    differs = any(word in different for word in words)
    is_contrary = (negations + differs) % 2 == 1
    if verdict == "YES" and words[0] in _CONCEDES:
        return is_contrary
    if not all(word in _FILLER or word in _NOT or word in same | different or word.endswith("n't") for word in words):
        return False
    if not negations and not differs and not any(word in same for word in words):
        return False
    return is_contrary == (verdict == "YES")


def _of_object(text: str) -> tuple[bool, str] | None:
    """The verdict of a JSON object with one key for it, such as `{"verdict": "YES", "reason": "…"}`."""
    bare = unfenced(text)
    if not bare.startswith("{"):
        return None
    try:
        pairs: list[tuple[str, object]] = json.loads(bare, object_pairs_hook=list)  # keeps a key that is there twice
    except (ValueError, RecursionError):
        return None
    found = {str(value).strip(" .").upper() for key, value in pairs if re.fullmatch(_LABEL, key, re.IGNORECASE)}
    if len(found) != 1 or not found <= _OPPOSITE.keys():
        return None
    return found == {"YES"}, next((str(value) for key, value in pairs if key.lower() == "reason"), "")


def unfenced(text: str) -> str:
    """The text without a code fence around the whole of it."""
    match = re.fullmatch(r"\s*(?:```|~~~)\w*\s*\n?(.*?)(?:```|~~~)?\s*", text, re.DOTALL)
    return (match[1] if match else text).strip()
