"""Normalisation of answers: what is the same becomes the same string. Digits, sides, signs and negations are kept.

`exact`, the short cut of `llm`, `embed` and the monitors all read answers in this form. All functions take linear time,
because a policy may learn to write hostile text.
"""

from __future__ import annotations

import re
import unicodedata

from dateutil import parser as dates

from medix_r1.host.bounded_cache import bounded_cache
from medix_r1.wording.units import spell_quantities

# Invisible characters: Unicode's default-ignorable ones and the blank Braille cell. `isalnum` is true for some of them.
_INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u2800\u3164\ufeff\uffa0"
_ZERO_WIDTH = dict.fromkeys(
    [
        *map(ord, _INVISIBLE),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xE0000, 0xE1000),
    ]
)
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("‘’‚‛ʼ´ʹ′`", "'")
    | dict.fromkeys("“”„‟«»″", '"')
    | dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("⁄∕⧸╱⟋／", "/")
    | dict.fromkeys("│┃∣❘ǀ¦‖∥", "|")
    | dict.fromkeys("،、，､﹐﹑", ",")
    | {"؛": ";", "º": "°", "∶": ":", "∙": "·"}
)
# Cyrillic and Greek letters that look like Latin ones. β and μ are none: they mean something.
_LOOK_ALIKES = str.maketrans(
    "ҺԀԚԜАВЕЅІЈКМНОРСТУХаеіјорсухѕԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
    "HDQWABESIJKMHOPCTYXaeijopcyxsdqwhABEZHIKMNOPTYXo",
)
_FOREIGN = re.compile(r"[Ͱ-ϿЀ-ӿԀ-ԯ]")
_MIXED_WORD = re.compile(r"[A-Za-zͰ-ϿЀ-ӿԀ-ԯ]+")
_GREEK_NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "kappa", "lambda", "sigma")
_GREEK = dict(zip("αβγδεκλσ", _GREEK_NAMES, strict=True))
_GREEK_LETTER = re.compile(r"(?<![^\W\d_])[αβγδεκλσ](?![^\W\d_])")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e]")

_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3}|`{1,3}|'{2,3})(?=[^\s*_])([^*_`\n]{1,400}?)(?<=\S)\1(?![\w*])")
_HTML = re.compile(
    r"</?(?:[biup]|em|strong|span|sub|sup|div|br|li|ul|ol|td|tr|table)(?: [^<>]{0,100})?/?>", re.IGNORECASE
)
_LATEX = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf|textit)\s?\{([^{}]{0,400})\}")
_MATH = re.compile(r"\$([^$\n]{0,200}[\\^{_][^$\n]{0,200})\$")
_LATEX_SIGNS = ((r"\times", "x"), (r"\%", "%"), (r"\(", ""), (r"\)", ""), (r"\pm", "±"))
_POWER = re.compile(r"\^\{(-?\d{1,4})\}")
_SPACES = re.compile(r"\s+")
_TIMES = re.compile(r"(?<=\d)\s{0,4}(?:[x×*]|by)\s{0,4}(?=\d)")
_UNIT_TIMES = re.compile(r"(\d) (mm|cm|meter|inch) ?(?:[x×*]|by) ?(?=\d{1,9}(?:\.\d{1,9})? \2(?![^\W_]))")
_RATIO = re.compile(r"(?<=\d)\s{0,4}([/:+=^])\s{0,4}(?=\d)")
_WITHOUT = re.compile(r"(?<![\w/])w/(o(?![\w])| ?(?=[a-z]{2}))")
_RECEPTOR = re.compile(
    r"(?<![^\W_])(er|pr|her2|hpv|hiv|hbv|hcv|hbsag|egfr|alk|kras|braf|rh|ttf-?1|p\d\d|ana|anca|pd-?l1|cd\d{1,3}[a-e]?|"
    r"pas|s-?100|ck\d{1,2}|gfap|hmb-?45|melan-?a|desmin|vimentin|sma|synaptophysin|chromogranin|psa|cea|afp|tdt|bcl-?[26]|"
    r"mpo|gram|afb|vdrl|rpr|ebv|cmv|hsv|hcg|c-?kit|dog-?1|sox-?10|pax-?8|wt-?1|calretinin|inhibin|ebna|eber|covid|tb)"
    r"([+-])(?![\w+-])"
)
_SIGNED = re.compile(r"(?:(?<=\w)[ -]?|(?<=^))([+-])ve(?![^\W_])")  # "gram -ve"
_SIGNS = {"+": "positive", "-": "negative"}
_PAIRS = {'"': '"', "'": "'", "(": ")", "[": "]", "{": "}", "$": "$"}
_OPTION = re.compile(r"\(?([a-z0-9]{1,2})[):]")
_NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv")
ROMAN = {numeral: str(value) for value, numeral in enumerate(_NUMERALS, start=1)}
_NUMERAL = rf"(?:{'|'.join(sorted(ROMAN, key=len, reverse=True))})"
# Words before which a roman numeral is a grade, and no initial or unit. Class C and grade X stay letters.
_GRADED = (
    r"(?:grad(?:e|es|ing)|stages?|types?|class|categor(?:y|ies)|phase|level|zone|tier|group|segment|division|degree|"
    r"factor|status|cn|cranial nerves?|garden|nyha|asa|fitzpatrick|mallampati|salter[- ]harris|schatzker|bethesda|figo|"
    r"who|wagner|(?:bi|pi|ti|li|lung|o|cad)-?rads|kellgren[- ]lawrence|forrest|gartland|hinchey|rutherford|bosniak|"
    r"mobitz|outerbridge|meyerding|crowe|rockwood|debakey|fontaine|gustilo|neer|isup|hunt and hess|killip|"
    r"braden|tanner|ann arbor|chiari(?: malformation)?|le ?fort|fuhrman|ficat|steinberg|sillence)"
)
_ROMAN_VALUE = rf"{_NUMERAL}[abc]?"
_GRADE = re.compile(
    rf"\b({_GRADED}(?: ?[:=] ?|[ -]?))"
    rf"(?:\(({_ROMAN_VALUE})\)|({_ROMAN_VALUE}(?:(?: ?[-/,] ?|,? (?:and|or|to) ){_ROMAN_VALUE}){{0,4}})(?![\w']))"
)
_ONE_GRADE = re.compile(rf"\b({_NUMERAL})([abc]?)\b")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH},? \d{{4}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})\b"
)
_ISO_DATE = re.compile(r"\b((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})\b")
_DAY_FIRST = re.compile(r"(?<![\w.])(\d{1,2})\.(\d{1,2})\.((?:19|20)\d\d)(?![\w.])")
_SLASHED = re.compile(r"(?<![\w/])(\d{1,2})/(\d{1,2})/((?:19|20)\d\d)(?![\w/])")
_LETTERS = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")
_WORDS = re.compile(r"[A-Za-z ,;-]+")
_END = " .;,!"


def compatibility_form(text: str) -> str:
    """Unicode's NFKC form, except that `10⁵` becomes 10^5 (NFKC: 105) and `1½` becomes 1 1/2 (NFKC: 11/2)."""
    return unicodedata.normalize("NFKC", _FRACTION.sub(_spell_fraction, _SUPERSCRIPT.sub(_spell_power, text)))


def _spell_power(match: re.Match[str]) -> str:
    return "^" + unicodedata.normalize("NFKC", match[0])


def _spell_fraction(match: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", match[0]).replace("\u2044", "/")


@bounded_cache  # most signals normalise the same two texts
def normalize_answer(text: str) -> str:
    """Normalise the spelling of an answer, so that equal answers become equal strings.

    Folded are: Unicode's compatibility form, invisible characters, typographic signs, letters of other scripts that
    look Latin, case, white space, Markdown and LaTeX round words, quotes and brackets round the whole, final
    punctuation, spelling of units and thousands, `×` and `x`, roman numerals of grades, and dates in words.
    """
    if _LETTERS.fullmatch(text):  # fast path
        text = text.lower()
        return _GRADE.sub(_arabic, text) if " " in text else text
    if _WORDS.fullmatch(text) and "-ve" not in text:
        return _GRADE.sub(_arabic, _SPACES.sub(" ", text.lower())).rstrip(_END).lstrip(" ")
    if not text.isascii():
        text = _latin(compatibility_form(text.translate(_ZERO_WIDTH).translate(_TYPOGRAPHY)).translate(_TYPOGRAPHY))
    text = _SPACES.sub(" ", text).strip()
    if any(sign in text for sign in "*_`\\$#'<"):
        text = _without_marks(text)
    digits = any(map(str.isdigit, text))
    if digits:
        text = spell_quantities(text)
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _latin(text))  # case folding decomposes some characters
        text = _GREEK_LETTER.sub(lambda match: _GREEK[match[0]], text)
    if digits:
        text = _RATIO.sub(r"\1", _TIMES.sub("x", _UNIT_TIMES.sub(r"\1x", text)))
        text = _ISO_DATE.sub(_pad_date, _DATE.sub(_iso_date, _SLASHED.sub(_turn, _DAY_FIRST.sub(r"\3-\2-\1", text))))
    if "+" in text or "-" in text:
        text = _RECEPTOR.sub(lambda match: f"{match[1]} {_SIGNS[match[2]]}", text)
        text = _SIGNED.sub(lambda match: f" {_SIGNS[match[1]]}", text)
    if "/" in text:
        text = _WITHOUT.sub(lambda match: "without" if match[1] == "o" else "with ", text)
    return _without_wrapping(_GRADE.sub(_arabic, text))


def _latin(text: str) -> str:
    """Replace look-alikes in words that mix scripts, and in all words when the text has no other foreign letter.

    A word in another script keeps its letters: a Russian answer is no English one.
    """
    if not _FOREIGN.search(text):
        return text
    folded = text.translate(_LOOK_ALIKES)
    if not _FOREIGN.search(folded):
        return folded
    return _MIXED_WORD.sub(_latin_word, text)


def _latin_word(match: re.Match[str]) -> str:
    folded = match[0].translate(_LOOK_ALIKES)
    return match[0] if _FOREIGN.search(folded) else folded


def _without_marks(text: str) -> str:
    """Remove Markdown emphasis and headings, HTML and LaTeX that only wrap words."""
    if "<" in text:
        text = _HTML.sub("", text).strip()
    text = _MATH.sub(r"\1", text)
    if "\\" in text:
        for sign, plain in _LATEX_SIGNS:
            text = text.replace(sign, plain)
        for _ in range(2):  # \boxed{\text{…}}
            text = _LATEX.sub(r"\1", text)
        text = _POWER.sub(r"^\1", text)
    if "^{" in text:
        text = _POWER.sub(r"^\1", text)
    for _ in range(2):  # **_…_**
        text = _EMPHASIS.sub(r"\2", text)
    return text.lstrip("# ") if text.startswith("#") else text


def _without_wrapping(text: str) -> str:
    """Remove final punctuation, and quotes and brackets round the whole text; `(B)` and `b)` become b."""
    for _ in range(4):
        text = text.rstrip(_END).lstrip(" ")
        if len(text) < 3 or _PAIRS.get(text[0]) != text[-1] or text[0] in text[1:-1] or text[-1] in text[1:-1]:
            break
        text = text[1:-1]
    option = _OPTION.fullmatch(text)
    return option[1] if option else text


def _arabic(match: re.Match[str]) -> str:
    return match[1] + _ONE_GRADE.sub(lambda grade: ROMAN[grade[1]] + grade[2], match[2] or match[3])


def _iso_date(match: re.Match[str]) -> str:
    try:
        return str(dates.parse(match[0].replace(" of ", " ")).date())
    except (ValueError, OverflowError):  # February 31st
        return match[0]


def _turn(match: re.Match[str]) -> str:
    """Turn a date with slashes round where only one order of day and month is possible."""
    first, second = int(match[1]), int(match[2])
    if first > 12 >= second:
        return f"{match[3]}-{second}-{first}"
    return f"{match[3]}-{first}-{second}" if second > 12 >= first else match[0]


def _pad_date(match: re.Match[str]) -> str:
    year, month, day = match[1], int(match[2]), int(match[3])
    return f"{year}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else match[0]


def starts_with_ascii(text: str) -> bool:
    """Fast path of the next two functions: whether a text begins with an ASCII letter or digit."""
    return text[:1].isascii() and text[:1].isalnum()


def is_visible(text: str) -> bool:
    """Whether a text has a visible character."""
    return starts_with_ascii(text) or any(
        c.isprintable() and not c.isspace() and ord(c) not in _ZERO_WIDTH for c in text
    )


def has_letter(text: str) -> bool:
    """Whether a text has a visible letter or digit."""
    return starts_with_ascii(text) or any(c.isalnum() and ord(c) not in _ZERO_WIDTH for c in text)


def is_gradable(answer: str | None) -> bool:
    """Whether an answer has at least one letter or digit after normalisation ("5", "B" and "1:2" have)."""
    return answer is not None and _is_gradable(answer)


@bounded_cache
def _is_gradable(answer: str) -> bool:
    return any(character.isalnum() for character in normalize_answer(answer))
