"""Reads a shell script as text: its commands, with variables filled in. Nothing is executed.

Understood are assignments, `export`, arrays, `$NAME`, `${NAME:-default}`, `${NAME[@]}` and arithmetic. What only a
shell would know (`$(command)`, an unset variable) stays as it is written, and is marked.
"""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SEPARATORS = re.compile(r"[;&|()<>]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_VARIABLE = re.compile(
    r"\$(?:\{(?P<array>[A-Za-z_]\w*)\[[@*]\]\}|\{(?P<name>[A-Za-z_]\w*)(?::?[-=](?P<default>[^{}]*))?\}"
    r"|(?P<short>[A-Za-z_]\w*|[@*0-9#?]))"
)
_DOLLAR, _OPEN, _CLOSE = "\ue000", "\ue001", "\ue002"  # private characters; a script that holds them is refused
UNKNOWN = "\ue003"  # stands before and after what is not known
_HIDDEN = {ord("$"): "\ue000", ord("{"): "\ue004", ord("}"): "\ue005"}  # what is not known is not looked at again
_SHOWN = {ord(mark): chr(char) for char, mark in _HIDDEN.items()}
_HERE_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1[^\n]*\n(?:.*?\n)??[ \t]*\2[ \t]*(?=\n|$)", re.DOTALL)
_DEEPEST = 10  # defaults within defaults
_KEYWORDS = frozenset({"if", "then", "else", "elif", "fi", "for", "do", "done", "while", "case", "esac", "{", "}", "!"})
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LARGEST = 10**12  # numbers of a training script are smaller


class NotReadable(ValueError):
    """The text is no shell script that can be read."""


@dataclass(slots=True)
class ShellScript:
    """Commands as lists of words, and the variables that are exported or set before a command."""

    commands: list[list[str]] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)


def read_shell(text: str) -> ShellScript:
    """The commands of a script.

    Raises:
        NotReadable: a quote or a bracket is not closed, or the text holds characters of private use.
    """
    if any("\ue000" <= char <= "\ue005" for char in text):
        raise NotReadable("it holds characters of private use")
    substitutions: list[str] = []
    reader = _Reader(substitutions)
    joined = _HERE_DOCUMENT.sub("", text.replace("\r\n", "\n")).replace("\\\n", " ")
    for line in _logical_lines(joined, substitutions):
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
            lexer.whitespace_split, lexer.commenters = True, ""
            reader.line(list(lexer))
        except ValueError as error:
            raise NotReadable(f"a quote is not closed near {line[:60]!r}") from error
    return reader.script


def _logical_lines(text: str, substitutions: list[str]) -> list[str]:
    """Lines without comments; a line break in quotes or brackets does not end one. `$(…)` is put aside."""
    lines, line, quote, depth, i = [], "", "", 0, 0
    while i < len(text):
        char = text[i]
        if char == "\\" and quote != "'":
            line, i = line + (_DOLLAR if text[i + 1 : i + 2] == "$" else text[i : i + 2]), i + 2
            continue
        if text.startswith("$(", i) and quote != "'":
            end = _closing(text, i + 1)
            substitutions.append(text[i + 2 : end])
            line, i = f"{line}{_OPEN}{len(substitutions) - 1}{_CLOSE}", end + 1
            continue
        if quote:
            quote = "" if char == quote else quote
            char = _DOLLAR if char == "$" and quote == "'" else char
        elif char in "'\"":
            quote = char
        elif char == "#" and (not line or line[-1].isspace()):
            end = text.find("\n", i)
            i = len(text) if end < 0 else end
            continue
        elif char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char == "\n" and not depth:
            lines.append(line)
            line, char = "", ""
        line, i = line + char, i + 1
    if quote:
        raise NotReadable(f"a quote ({quote}) is not closed")
    return [one for one in [*lines, line] if one.strip()]


def _closing(text: str, opening: int) -> int:
    depth = 0
    for i in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if not depth:
            return i
    raise NotReadable("a bracket after $ is not closed")


class _Reader:
    """Goes through the words of a script, and keeps what its variables hold."""

    def __init__(self, substitutions: list[str]) -> None:
        self.script = ShellScript()
        self._variables: dict[str, str | list[str]] = {}
        self._substitutions = substitutions

    def line(self, words: list[str]) -> None:
        command: list[str] = []
        i = 0
        while i < len(words):
            word = words[i]
            if word.endswith("=") and _ASSIGNMENT.fullmatch(word) and words[i + 1 : i + 2] == ["("]:
                end = words.index(")", i) if ")" in words[i:] else len(words)
                items = [part for one in words[i + 2 : end] for part in self._filled(one)]
                self._variables[word.rstrip("+=")] = items
                i = end
            elif _SEPARATORS.fullmatch(word):
                self._command(command)
                command = []
            elif command or word not in _KEYWORDS:
                command.append(word)
            i += 1
        self._command(command)

    def _command(self, words: list[str]) -> None:
        exporting = words[:1] in (["export"], ["declare"], ["local"], ["readonly"])
        rest = [word for word in words[1:] if not word.startswith("-")] if exporting else words
        before: dict[str, str] = {}
        while rest and (match := _ASSIGNMENT.fullmatch(rest[0])):
            before[match[1]] = " ".join(self._filled(match[2])) if match[2] else ""
            rest = rest[1:]
        if exporting or not rest:
            self._variables |= before
        if exporting or (before and rest):
            self.script.exported |= before
        if rest and not exporting:
            filled = [part for word in rest for part in self._filled(word)]
            self.script.commands.append(filled)

    def _filled(self, word: str) -> list[str]:
        """The word with its variables filled in; an array that stands alone becomes several words."""
        match = _VARIABLE.fullmatch(word)
        if match and (match["array"] or match["short"] in ("@", "*")):
            known = self._variables.get(match["array"] or "", [])
            return list(known) if isinstance(known, list) else [known]
        return [self._text(word)]

    def _text(self, word: str) -> str:
        word = re.sub(f"{_OPEN}(\\d+){_CLOSE}", lambda found: self._substituted(int(found[1])), word)
        for _ in range(_DEEPEST):
            filled = _VARIABLE.sub(self._variable, word)
            if filled == word:
                break
            word = filled
        return word.translate(_SHOWN)

    def _variable(self, match: re.Match[str]) -> str:
        name = match["name"] or match["array"] or match["short"]
        if name in self._variables:
            value = self._variables[name]
            text = " ".join(value) if isinstance(value, list) else value
            return text.translate(_HIDDEN)
        if match["default"] is not None:
            return match["default"]
        return f"{UNKNOWN}{match[0].translate(_HIDDEN)}{UNKNOWN}"

    def _substituted(self, number: int) -> str:
        inside = self._substitutions[number]
        if inside.startswith("(") and inside.endswith(")"):
            try:
                return str(_number(self._arithmetic(inside[1:-1])))
            except (ValueError, SyntaxError, ZeroDivisionError, RecursionError):
                pass  # said as unresolved below
        return f"{UNKNOWN}{f'$({inside})'.translate(_HIDDEN)}{UNKNOWN}"

    def _arithmetic(self, text: str) -> str:
        """The expression with the values of its variables; a number that is not known stays a name."""
        filled = _VARIABLE.sub(self._variable, text).translate(_SHOWN)
        return re.sub(r"[A-Za-z_]\w*", lambda name: str(self._variables.get(name[0], name[0])), filled)


def _number(text: str) -> int:
    if len(text) > 1000:
        raise ValueError(text)
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        result = int(_OPERATORS[type(node.op)](_value(node.left), _value(node.right)))
        if abs(result) <= _LARGEST:
            return result
    raise ValueError(ast.dump(node))
