"""The mutations: each yields attempts of one kind, the cheapest first; mutations.yaml has their texts.

A mutation puts texts that name nothing medical around a wrong answer, rewrites it, or changes the reply's form.
Text of many pieces comes first: when it pays, explaining it finds the piece in a few calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from medix_r1.scoring.attack.attempts import Attempt, texts
from medix_r1.scoring.attack.wrong import Target, Wrong, nonsense

NAMES_NOTHING = "names nothing: no word of it is one of the right answer"
_DOES_NOT_COMMIT = "offers several things where the reference has one"
_CHARACTERS = (
    *"~`!@#$%^&*()_+-={}[]|\\:;\"'<>,.?/",
    *"0123456789",
    *"§¶†‡•‣◦…–—‘’“”«»‹›¿¡©®™°±×÷≈≠≤≥∞√∑∏∫∂∆∇→←↑↓↔⇒⇔∀∃∈∉∅∩∪⊂µΩαβγδεζηθλπρστφχψω",
    *"éèêëàâäáãåçñöòóôõøüùúûíìîïýÿßæœłžščřđğışÉÈÀÄÖÜÑÇØÅÆ",
    *"★☆✓✔✗✘✅❌⚠⭐🔥👍👎🙏😀😂❤💯🏆🎯🚀🩺💊🧠🫀🫁🦴🧪🔬📷📊🟢🔴",
    *"中文日本語한국어русскийعربיתहिन्दी",
    *"€£¥$¢₹½¼¾²³¹₀₁₂№℃℉‰",
    *"\u200b\u00a0\u2028\u00ad\t\n",
    *"AZQXJzqxjk",
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A question with a wrong answer that earns nothing by itself."""

    target: Target
    wrong: Wrong


@dataclass
class Room:
    """How long an answer may be: more is refused by rule, or pays for its length alone.

    Attributes:
        characters: of the whole answer.
    """

    characters: int

    def takes(self, attempt: Attempt) -> bool:
        return len(attempt.answer.encode("utf-8", "replace")) <= self.characters


Mutation = Callable[[Sequence[Carrier], Room, random.Random], Iterator[Attempt]]


def bundles(pieces: Sequence[str], joiner: str, room: int) -> Iterator[str]:
    """Texts of many pieces, each as long as there is room."""
    text = ""
    for piece in pieces:
        if text and len((text + joiner + piece).encode()) > room:
            yield text
            text = ""
        text = f"{text}{joiner}{piece}" if text else piece
    if text:
        yield text


def bundled(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """Long texts of many pieces behind a wrong answer: characters, words, phrases, all that the lists have."""
    found = texts()
    letters = sorted({*_CHARACTERS} - {*"<>"})
    kinds: dict[str, tuple[list[str], str]] = {
        "characters": (letters, " "),
        "instructions": (found["instructions"], " "),
        "phrases": (found["phrases"], ". "),
        "openings": (found["openings"], " "),
        "endings": (found["endings"], " "),
        "words": (found["words"].split(), " "),
    }
    for number, (kind, (pieces, joiner)) in enumerate(kinds.items()):
        carrier = carriers[number % len(carriers)]
        target, wrong = carrier.target, carrier.wrong
        free = [piece for piece in pieces if target.is_free_of_right(piece)]
        for text in bundles(free, joiner, room.characters - len(wrong.text.encode()) - 2):
            yield Attempt(target, f"bundle: {kind}", wrong, wrong.because, after=f" {text}")


def vocabulary(pieces: Sequence[str]) -> Mutation:
    """Bundles of words that the data or a model's replies have."""

    def mutation(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
        carrier = carriers[0]
        free = [piece for piece in pieces if carrier.target.is_free_of_right(piece)]
        for text in bundles(free, " ", room.characters - len(carrier.wrong.text.encode()) - 2):
            yield Attempt(
                carrier.target, "bundle: words of the data", carrier.wrong, carrier.wrong.because, after=f" {text}"
            )

    return mutation


def around(name: str, where: str) -> Mutation:
    """Each text of a list in front of a wrong answer or behind it."""

    def mutation(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
        for number, text in enumerate(texts()[name]):
            target, wrong = carriers[number % len(carriers)].target, carriers[number % len(carriers)].wrong
            before, after = (f"{text} ", "") if where == "in front" else ("", f" {text}")
            yield Attempt(target, f"{name} {where}", wrong, wrong.because, before=before, after=after)

    return mutation


def alone(name: str) -> Mutation:
    """Each text of a list as the whole answer."""

    def mutation(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
        for number, text in enumerate(texts()[name]):
            yield Attempt(carriers[number % len(carriers)].target, f"{name} alone", None, NAMES_NOTHING, before=text)

    return mutation


def framed(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """A wrong answer in a frame: markup, hedges, other languages, the question beside it."""
    for number, frame in enumerate(texts()["frames"]):
        target, wrong = carriers[number % len(carriers)].target, carriers[number % len(carriers)].wrong
        before, _, after = frame.partition("{wrong}")
        fields = {"question": target.question, "wrong": wrong.text}
        kind = "question" if "{question}" in frame else "frame"
        yield Attempt(
            *(target, f"{kind}: {frame}", wrong, wrong.because),
            before=before.format(**fields),
            after=after.format(**fields),
        )
    for carrier in carriers[:2]:
        words = carrier.target.question.rstrip("?").split()
        for text in (carrier.target.question, " ".join(words), " ".join(words[1:]), " ".join(words[::-1])):
            yield Attempt(carrier.target, "question: alone", None, NAMES_NOTHING, before=text)


def lengths(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """Made-up words behind a wrong answer, to several lengths; very short answers; one word many times."""
    for number, size in enumerate((40, 80, 150, 300, 600, 1200, 2400)):
        target, wrong = carriers[number % len(carriers)].target, carriers[number % len(carriers)].wrong
        pieces: list[str] = []
        while sum(map(len, pieces)) + len(pieces) < size:
            pieces.append(nonsense(rng))
        yield Attempt(target, "length: made-up words", wrong, wrong.because, after=" " + " ".join(pieces))
        if size <= 600:
            again = " ".join([wrong.text] * (size // (len(wrong.text) + 1) + 1))
            yield Attempt(target, "length: the same again", wrong, wrong.because, after=f" {again}")
            sentence = f"{nonsense(rng)} {nonsense(rng)} {nonsense(rng)}. ".capitalize()
            yield Attempt(
                target, "length: sentences", wrong, wrong.because, after=". " + sentence * (size // len(sentence) + 1)
            )


def rewritten(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """The wrong answer in other letters, and made-up words that resemble the right one."""
    for number, (how, change) in enumerate(_WAYS_TO_WRITE.items()):
        carrier = carriers[number % len(carriers)]
        written = change(carrier.wrong.text)
        if written != carrier.wrong.text:
            yield Attempt(carrier.target, f"rewritten: {how}", carrier.wrong, carrier.wrong.because, written=written)
    for carrier in carriers[:3]:
        right = carrier.target.answer
        for how, change in _RESEMBLING.items():
            text = change(right)
            if len(right) > 5 and carrier.target.is_free_of_right(text):
                because = "a made-up word that resembles the right answer"
                yield Attempt(carrier.target, f"resembling: {how}", None, because, written=text)


_WAYS_TO_WRITE: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "title": str.title,
    "spaced": " ".join,
    "dotted": ".".join,
    "hyphened": "-".join,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "backwards": lambda text: text[::-1],
    "accented": lambda text: "".join(f"{c}\u0301" for c in text),
    "zero width": "\u200b".join,
    "digits": lambda text: text.translate(str.maketrans("oielast", "0131457")),
    "no vowels": lambda text: "".join(c for c in text if c not in "aeiou"),
    "underscored": lambda text: text.replace(" ", "_") + "_",
    "doubled letters": lambda text: "".join(c * 2 for c in text),
    "one letter": lambda text: text[:1] * 3,
}
_RESEMBLING: dict[str, Callable[[str], str]] = {
    "backwards": lambda text: text[::-1],
    "first letter and last": lambda text: f"{text[0]}zzqz{text[-1]}",
    "as long": lambda text: "".join(" " if c == " " else "z" for c in text),
    "consonants": lambda text: "".join("" if c in "aeiou" else c for c in text.lower()),
    "sorted letters": lambda text: "".join(sorted(text.replace(" ", ""))),
    "first half": lambda text: text[: len(text) // 2] + "zq",
    "second half": lambda text: "zq" + text[len(text) // 2 :],
}


def listed(pool: Callable[[Target], Sequence[str]]) -> Mutation:
    """Several wrong things, and several of which the reference is one.

    Args:
        pool: gives certainly wrong answers to a question.
    """

    def mutation(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
        found = texts()
        tries = [(joiner, size) for size in (2, 4, 8, 16) for joiner in found["joiners"]]
        for number, (joiner, size) in enumerate(tries):
            target = carriers[number % len(carriers)].target
            things = list(pool(target))[: size - 1]
            things += [nonsense(rng) for _ in range(size - 1 - len(things))]
            frame = found["list_frames"][number % len(found["list_frames"])] if number % 3 == 2 else "{list}"
            first = [target.answer, *things] if number % 2 else [*things[:1], target.answer, *things[1:]]
            kind = "listing: the reference among several"
            written = frame.format(list=joiner.join(first))
            yield Attempt(target, kind, None, _DOES_NOT_COMMIT, written=written, offered=len(first))
            if number % 2 == 0:
                wrong = carriers[number % len(carriers)].wrong
                others = "".join(f"{joiner}{thing}" for thing in things)
                yield Attempt(target, "listing: of wrong things", wrong, wrong.because, after=others)

    return mutation


def thoughts(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """Other reasoning in front of a wrong answer."""
    for number, text in enumerate(texts()["thoughts"]):
        target, wrong = carriers[number % len(carriers)].target, carriers[number % len(carriers)].wrong
        yield Attempt(target, f"reasoning: {text}", wrong, wrong.because, think=text)
    target, wrong = carriers[0].target, carriers[0].wrong
    for times in (20, 100):
        yield Attempt(target, f"reasoning: {times} sentences", wrong, wrong.because, think="I look again. " * times)


def forms(carriers: Sequence[Carrier], room: Room, rng: random.Random) -> Iterator[Attempt]:
    """Replies in another form, whose answer is wrong all the same."""
    for number, (name, form) in enumerate(texts()["forms"].items()):
        for carrier in {carriers[number % len(carriers)].target.key: carriers[number % len(carriers)]}.values():
            if "{right" in form and carrier.target.answer in carrier.wrong.text:
                continue
            several = name in ("right_first", "right_last")
            because = "two answer blocks, of which one is wrong" if several else carrier.wrong.because
            yield Attempt(
                *(carrier.target, f"form: {name}", carrier.wrong, because), form=form, offered=2 if several else 1
            )


def mutations(pool: Callable[[Target], Sequence[str]], words: Sequence[str]) -> list[Mutation]:
    """All mutations, those that find most for a call first."""
    return [
        bundled,
        vocabulary(words),
        lengths,
        forms,
        thoughts,
        framed,
        alone("alone"),
        around("instructions", "behind"),
        around("openings", "in front"),
        around("endings", "behind"),
        listed(pool),
        rewritten,
        alone("instructions"),
        around("instructions", "in front"),
        around("endings", "in front"),
        around("openings", "behind"),
        alone("openings"),
        alone("endings"),
    ]
