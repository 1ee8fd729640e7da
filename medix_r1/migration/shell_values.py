"""What a word of a shell script stands for: variables, defaults, cuts, arrays, arithmetic. Nothing is executed."""

from __future__ import annotations

import ast
import fnmatch
import operator
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from medix_r1.migration.shell_words import CLOSE, DOLLAR, OPEN, QUOTED, SPLIT, UNKNOWN

Value = str | list[str]

_VARIABLE = re.compile(
    rf"(?P<mark>[${QUOTED}])(?:\{{(?P<size>#)?(?P<name>[A-Za-z_]\w*|\d+|[@*])(?:\[(?P<index>[^\]{{}}]*)\])?"
    r"(?:(?P<does>:?[-=+?]|##?|%%?|//?|\^\^?|,,?|:)(?P<rest>[^{}]*))?\}"
    r"|(?P<short>[A-Za-z_]\w*|[@*0-9#?]))"
)
_HIDDEN = {ord("$"): DOLLAR, ord("{"): "\ue004", ord("}"): "\ue005"}  # what is filled in is not looked at again
_SHOWN = {ord(mark): chr(char) for char, mark in _HIDDEN.items()} | {ord(QUOTED): "$"}
_BLANKS = re.compile(r"\s+")
_DEEPEST = 10  # defaults within defaults
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ARITHMETIC = re.compile(r"[0-9\s+*/%()-]+")
_LARGEST = 10**12  # numbers of a training script are smaller


class Values:
    """The variables of a script, and what words become with them."""

    def __init__(self, substitutions: Sequence[str]) -> None:
        self.known: dict[str, Value] = {}
        self.arguments: list[str] | None = None  # of the function that is read; None: the script's own, not known
        self.asked: set[str] = set()  # names that a word was filled in with
        self._substitutions = substitutions
        self._splits = True  # whether blanks of what is filled in end a word

    def filled(self, word: str) -> list[str]:
        """The word with its variables filled in, as the words that a shell makes of it."""
        text = self._expanded(word)
        if SPLIT not in text:
            return [text.translate(_SHOWN)] if text or not _VARIABLE.search(word) or QUOTED in word else []
        return [part.translate(_SHOWN) for part in text.split(SPLIT) if part]

    def text(self, word: str) -> str:
        """The word with its variables filled in, as one: what is assigned is not split."""
        return self._expanded(word, split=False).translate(_SHOWN)

    def _expanded(self, word: str, *, split: bool = True) -> str:
        self._splits = split
        word = re.sub(f"{OPEN}(\\d+){CLOSE}", lambda found: self._substituted(int(found[1])), word)
        for _ in range(_DEEPEST):
            filled = _VARIABLE.sub(self._variable, word)
            if filled == word:
                break
            word = filled
        return word

    def _variable(self, match: re.Match[str]) -> str:
        name, is_whole = match["name"] or match["short"], match["mark"] == QUOTED or not self._splits
        value = self._value(name, match["index"])
        self.asked.add(name)
        does, rest = match["does"] or "", match["rest"] or ""
        if match["size"] or name == "#":
            return str(len(value)) if value is not None else self._unknown(match)
        if does.lstrip(":") in ("-", "="):
            if value in (None, "") and not (value == "" and not does.startswith(":")):
                if does.endswith("=") and not name.isdecimal():
                    self.known[name] = rest.translate(_SHOWN)
                return rest if is_whole else _split(rest)
        elif does.lstrip(":") == "+":
            return rest if value not in (None, "") else ""
        if value is None or (isinstance(value, str) and UNKNOWN in value and does):
            return self._unknown(match)
        shown = [_cut(one, does, rest) for one in ([value] if isinstance(value, str) else value)]
        hidden = [one.translate(_HIDDEN) for one in shown]
        if isinstance(value, list) and (match["index"] or name) in ("@", "*"):
            is_one = not self._splits or (match["mark"] == QUOTED and (match["index"] or name) == "*")
            return (" " if is_one else SPLIT).join(hidden)
        return hidden[0] if is_whole and hidden else _split(SPLIT.join(hidden[:1]))

    def _value(self, name: str, index: str | None) -> Value | None:
        if name in ("@", "*"):
            return self.arguments or []
        if name == "#":
            return self.arguments
        if name.isdecimal():
            place = int(name) - 1
            return (self.arguments or [])[place] if 0 <= place < len(self.arguments or []) else None
        value = self.known.get(name)
        if index is None or value is None:
            return value
        items = value if isinstance(value, list) else [value]
        if index in ("@", "*"):
            return items
        return items[int(index)] if index.isdecimal() and int(index) < len(items) else None

    @staticmethod
    def _unknown(match: re.Match[str]) -> str:
        return f"{UNKNOWN}{match[0].replace(QUOTED, '$').translate(_HIDDEN)}{UNKNOWN}"

    def _substituted(self, number: int) -> str:
        inside = self._substitutions[number]
        if inside.startswith("(") and inside.endswith(")"):
            try:
                return str(_number(self._arithmetic(inside[1:-1])))
            except (ValueError, SyntaxError, ZeroDivisionError, RecursionError):
                pass  # said as unresolved below
        elif (name := self._path_part(inside)) is not None:
            return name.translate(_HIDDEN)
        return f"{UNKNOWN}{f'$({inside})'.translate(_HIDDEN)}{UNKNOWN}"

    def _path_part(self, inside: str) -> str | None:
        """What `basename` and `dirname` print, which is known without a disk."""
        try:
            words = [self._path_word(word) for word in shlex.split(inside)]
        except ValueError:
            return None
        if len(words) not in (2, 3) or words[0] not in ("basename", "dirname") or any(UNKNOWN in one for one in words):
            return None
        path = PurePosixPath(words[1])
        return str(path.parent) if words[0] == "dirname" else path.name.removesuffix("".join(words[2:]))

    def _path_word(self, word: str) -> str:
        return _VARIABLE.sub(self._variable, word).replace(SPLIT, " ").translate(_SHOWN)

    def _arithmetic(self, text: str) -> str:
        """The expression with the values of its variables; a number that is not known stays a name."""
        filled = _VARIABLE.sub(self._variable, text).translate(_SHOWN)
        return re.sub(r"[A-Za-z_]\w*", lambda name: str(self.known.get(name[0], name[0])), filled)


def _split(text: str) -> str:
    """The text with `SPLIT` at its blanks, but for those within what is not known."""
    pieces = text.split(UNKNOWN)
    return UNKNOWN.join(one if i % 2 else _BLANKS.sub(SPLIT, one) for i, one in enumerate(pieces))


def _cut(text: str, does: str, rest: str) -> str:
    """`${X##*/}`, `${X%.*}`, `${X/a/b}`, `${X^^}`, `${X:0:3}` and the like."""
    if does in ("#", "##", "%", "%%"):
        sizes = range(len(text) + 1) if len(does) == 1 else range(len(text), -1, -1)
        at_end, pattern = does[0] == "%", re.compile(fnmatch.translate(rest))
        for size in sizes:
            part = text[len(text) - size :] if at_end else text[:size]
            if pattern.fullmatch(part):
                return text[: len(text) - size] if at_end else text[size:]
        return text
    if does in ("/", "//"):
        old, _, new = rest.partition("/") if not rest.startswith("/") else ("/", "", rest[2:])
        return text.replace(old, new, 1 if does == "/" else -1) if old else text
    if does in ("^^", ",,", "^", ","):
        change = str.upper if does[0] == "^" else str.lower
        return change(text) if len(does) == 2 else change(text[:1]) + text[1:]
    if does == ":":
        start, _, length = (part.strip() for part in rest.partition(":"))
        if start.isdecimal() and (length.isdecimal() or not length):
            return text[int(start) : int(start) + int(length) if length else None]
    return text


def _number(text: str) -> int:
    if len(text) > 1000 or not _ARITHMETIC.fullmatch(text):
        raise ValueError(text)
    return _value_of(ast.parse(text.strip(), mode="eval").body)


def _value_of(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value_of(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        result = int(_OPERATORS[type(node.op)](_value_of(node.left), _value_of(node.right)))
        if abs(result) <= _LARGEST:
            return result
    raise ValueError(ast.dump(node))
