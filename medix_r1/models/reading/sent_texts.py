"""Takes what was sent out of what a server says: servers repeat a request in their errors, whole, cut or escaped.

A request holds patients' texts, and an error's sentence goes into tables, logs and terminals.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from urllib.parse import unquote

_NAMES = ("model", "role", "type")  # fields of a request whose values are no texts
_WORD = re.compile(r"[^\W_]+")
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[\w+/=-]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{12,}={0,2}")
_UNICODE_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_ESCAPE = re.compile(r"\\+[nrtbf]|\\+(?=[\"'/\\])")
_PART = 4  # letters from which a part of a word counts as a part of what was sent
_DIGITS = 5  # the same of digits; shorter numbers only as a whole
_LONGEST = 20_000  # characters of a server's sentence that are looked at
_PASSAGE = 4  # words
_CUT = "…"
# Words that servers use: "maximum context length is 4096 tokens" stays readable although the prompt has "is", too.
_COMMON_WORDS = """
a access account all allowed an and api app are argument arguments as at audio auth available bad be been body but by
call can cannot character characters chat check choice choices code completion completions connection content context
could create credit credits currently data default did do does embedding embeddings engine error errors exceed exceeded
exceeds exist expected extra fail failed field fields file find for forbidden format found from gateway get given got
greater had has have high how however if image images in input inputs int integer internal into invalid is it items its
json key keys later least length less limit limited limits list load loading long longer longest made many max maximum
may message messages messages' min minimum missing model models more most must name need needs no not null number object
of off on one only or out over page parameter parameters parse permitted please process processing prompt prompts
provide provided quota rate received reduce request requested requests require required response resulted retry row
schema see seed server service set should shorter shorten size slow str string supported system take temperature text
texts than that the there these they this timeout to token tokens too top total try type unable unauthorized unavailable
unexpected unknown unsupported up upstream url use used user using valid value values was were when which while wait
will with without wrong yes you your s t
"""
_COMMON = frozenset(_COMMON_WORDS.split())


class SentTexts:
    """The texts of one request.

    Args:
        texts: makes them when they are needed, because most calls succeed.
        secrets: what must not be shown in any spelling or place, such as the API key.
    """

    def __init__(self, texts: Callable[[], Iterable[str]], secrets: Iterable[str | None] = ()) -> None:
        self._texts = texts
        self._secrets = [secret for secret in secrets if secret]

    @classmethod
    def of(cls, *texts: str | None) -> SentTexts:
        """These texts; None and the empty one are none."""
        return cls(lambda: [text for text in texts if text])

    @classmethod
    def of_body(cls, body: Callable[[], object], *secrets: str | None) -> SentTexts:
        """All texts in a JSON request, whatever their field."""
        return cls(lambda: _strings(body()), secrets)

    @cached_property
    def _all(self) -> list[str]:
        return [*self._texts(), *self._secrets]

    @cached_property
    def _images(self) -> str:
        return " ".join(text for text in self._all if text.startswith("data:"))

    @cached_property
    def _folded(self) -> str:
        return _fold(" ".join(text for text in self._all if not text.startswith("data:")))

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self._folded))

    def hide(self, said: str) -> str:
        """The sentence without what was sent; each run of its words becomes one `…`.

        A run of words that servers use themselves stays, as does a number below 100.
        """
        text = _unescape(said[:_LONGEST])
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = _DATA_URI.sub(_CUT, text)
        text = _BASE64.sub(lambda found: _CUT if found[0].rstrip("=") in self._images else found[0], text)
        words = list(_WORD.finditer(text))
        folded = [_fold(word[0]) for word in words]
        hidden: set[int] = set()
        run: set[int] = set()
        for number, word in enumerate([*folded, ""]):
            if word and self._was_sent(word):
                run.add(number)
                continue
            if any(not _is_harmless(folded[member]) for member in run):
                hidden |= run
            run = set()
        for number in sorted(hidden):  # a server cuts long texts, also within a word
            for beside in {number - 1, number + 1} & set(range(len(words))) - hidden:
                if not _is_harmless(folded[beside]) and folded[beside] in self._folded:
                    hidden.add(beside)
        return _without(text, words, hidden)

    def hide_quotes(self, reply: str) -> str:
        """A model's reply without passages of four words or more that it repeats, and without words with digits."""
        text = _unescape(reply[:_LONGEST])
        words = list(_WORD.finditer(text))
        folded = [_fold(word[0]) for word in words]
        sent = f" {' '.join(_WORD.findall(self._folded))} "
        hidden = {number for number, word in enumerate(folded) if _is_odd(word) and self._was_sent(word)}
        for first in range(len(words) - _PASSAGE + 1):
            if f" {' '.join(folded[first : first + _PASSAGE])} " in sent:
                hidden |= set(range(first, first + _PASSAGE))
        return _without(text, words, hidden)

    def _was_sent(self, word: str) -> bool:
        if word in self._words:
            return True
        return len(word) >= (_DIGITS if word.isdigit() else _PART) and word not in _COMMON and word in self._folded


NOTHING_SENT = SentTexts.of()


def _is_harmless(word: str) -> bool:
    return word in _COMMON or (word.isdigit() and len(word) < 3)


def _is_odd(word: str) -> bool:
    return len(word) > 2 and any(character.isdigit() for character in word)


def _without(text: str, words: Sequence[re.Match[str]], hidden: Collection[int]) -> str:
    """The text with one `…` in place of each run of hidden words."""
    pieces, place = [], 0
    for number, word in enumerate(words):
        if number in hidden:
            if number - 1 not in hidden:
                pieces += [text[place : word.start()], _CUT]
            place = word.end()
    return "".join([*pieces, text[place:]])


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            if name not in _NAMES:
                yield from _strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _strings(entry)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _unescape(text: str) -> str:
    """The text without the escapes of JSON, of Python's repr, of HTML and of addresses."""
    text = _UNICODE_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    text = _ESCAPE.sub(lambda found: "" if found[0].endswith("\\") else " ", text)
    return unquote(html.unescape(text), errors="ignore")
