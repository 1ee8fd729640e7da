"""Reads a shell script as text: its commands, with variables filled in. Nothing is executed.

Understood are assignments, arrays, `$NAME`, `${NAME:-default}`, `${NAME##*/}`, arithmetic, functions and what they are
called with, `eval`, `bash -c`, and loops over words. No condition is decided: a variable that depends on one is said.
What only a shell would know (`$(command)`, an unset variable) stays as it is written, and is marked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from medix_r1.migration.shell_values import Value, Values
from medix_r1.migration.shell_words import UNKNOWN, NotReadable, Words, is_sign, words_of

__all__ = ["UNKNOWN", "NotReadable", "ShellScript", "read_shell"]

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_ARRAY = re.compile(r"([A-Za-z_]\w*)(\+?)=")
_DECLARING = frozenset({"export", "declare", "local", "readonly", "typeset"})
_OPENS, _CLOSES = frozenset({"if", "while", "until", "case"}), frozenset({"fi", "done", "esac"})
_KEYWORDS = frozenset({"then", "else", "elif", "do", "{", "}", "!", "time"}) | _OPENS | _CLOSES
_SHELLS = frozenset({"bash", "sh", "zsh"})
_DEEPEST = 8  # functions that call functions
_MOST_WORDS = 50_000  # that are read in all; a function that calls itself ten times in a line would never end
_LONGEST = 100_000  # characters of a value


@dataclass(frozen=True, slots=True)
class Depends:
    """A variable whose value a condition or a loop of the script decides: the one that is taken, and the others."""

    taken: str
    others: tuple[str, ...]


@dataclass(slots=True)
class ShellScript:
    """Commands as lists of words, the variables that are exported or set before a command, and what is not certain."""

    commands: list[list[str]] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    depends: list[dict[str, Depends]] = field(default_factory=list)  # for each command, by the variable


def read_shell(text: str) -> ShellScript:
    """The commands of a script.

    Raises:
        NotReadable: a quote or a bracket is not closed, or the text holds characters of private use.
    """
    words = words_of(text)
    reader = _Reader(words)
    reader.read(words.words)
    return reader.script


class _Reader:
    """Goes through the words of a script, and keeps what its variables hold."""

    def __init__(self, words: Words) -> None:
        self.script = ShellScript()
        self._words = words
        self._values = Values(words.substitutions)
        self._functions: dict[str, list[str]] = {}
        self._branches: dict[str, list[str]] = {}  # variable → values that conditions and loops give it
        self._added: dict[str, list[str]] = {}  # variable → what conditions and loops append to it
        self._certain: set[str] = set()  # variables that were set outside of every condition
        self._defaulted: set[str] = set()  # variables that a condition asked about with -z
        self._carried: dict[str, set[str]] = {}  # variable → those that its value was made of
        self._outer: set[str] = set()  # variables of the command that names the text which is read
        self._open: list[str] = []  # the `if`, `for`, … that the present word stands in
        self._is_chained = False  # behind && or ||
        self._read = 0  # words
        self._depth = 0  # functions and texts that are read within the script

    def read(self, words: Sequence[str]) -> None:
        command: list[str] = []
        i = 0
        while i < len(words):
            self._read += 1
            if self._read > _MOST_WORDS:
                raise NotReadable("its functions call each other too often")
            word = words[i]
            array = _ARRAY.fullmatch(word)
            if array and words[i + 1 : i + 2] == ["("]:
                i = self._array(array[1], words, i, add=bool(array[2]))
            elif _is_definition(command, words, i):
                i = self._define(command[-1], words, i)
                command = []
            elif is_sign(word) and set(word) & set("<>") and "(" not in word:
                if command and command[-1].isdigit():
                    command.pop()  # 2>&1
                i += 1  # behind it stands where the output goes
            elif is_sign(word):
                self._command(command)
                command = []
                self._is_chained = word in ("&&", "||")
            elif command or not self._keyword(word):
                command.append(word)
            i += 1
        self._command(command)

    def _keyword(self, word: str) -> bool:
        if word in _OPENS:
            self._open.append(word)
        elif word in _CLOSES and self._open:
            self._open.pop()
        return word in _KEYWORDS

    def _array(self, name: str, words: Sequence[str], at: int, *, add: bool) -> int:
        """Take an array in brackets; the place of its closing bracket."""
        end = next((i for i in range(at, len(words)) if words[i].startswith(")")), len(words))
        self._values.asked = set()
        items = [part for word in words[at + 2 : end] if not is_sign(word) for part in self._values.filled(word)]
        self._assign(name, items, add=add)
        return end

    def _define(self, name: str, words: Sequence[str], at: int) -> int:
        """Keep the body of a function; the place of its last brace."""
        start = next(i for i in range(at, len(words)) if words[i] == "{")
        depth = 0
        for i in range(start, len(words)):
            depth += (words[i] == "{") - (words[i] == "}")
            if not depth:
                self._functions[name] = list(words[start + 1 : i])
                return i
        return len(words)

    def _command(self, words: list[str]) -> None:
        if words[:1] == ["for"]:
            self._open.append("for")
            self._loop(words)
            return
        self._values.asked = set()
        is_declaring = bool(words) and words[0] in _DECLARING
        rest = [word for word in words[1:] if not word.startswith("-")] if is_declaring else words
        before: dict[str, str] = {}
        while rest and (match := _ASSIGNMENT.fullmatch(rest[0])):
            value = self._values.text(match[3])
            if is_declaring or not any(not _ASSIGNMENT.fullmatch(word) for word in rest):
                self._assign(match[1], value, add=bool(match[2]))
            before[match[1]] = value
            rest = rest[1:]
        if words[:1] == ["export"] or (before and rest and not is_declaring):
            self.script.exported |= before
        if rest and not is_declaring:
            self._run(rest)

    def _run(self, words: list[str]) -> None:
        if words[0] in ("[", "[[", "test") and "-z" in words:
            self._defaulted |= set(re.findall(r"\w+", " ".join(words)))
        filled = [part for word in words for part in self._values.filled(word)]
        name, names = filled[0] if filled else "", self._values.asked | self._outer
        inner = next((i for i in range(len(filled) - 2) if _is_shell(filled[i : i + 2])), None)
        if name in self._functions:
            self._within(self._functions[name], filled[1:], names)
        elif name == "eval" or inner is not None:
            text = " ".join(filled[1:]) if inner is None else filled[inner + 2]
            self._within(self._words.add(text), [] if inner is None else filled[inner + 4 :], names)
        elif filled[:2] == ["set", "--"]:
            self._values.arguments = filled[2:]
        elif name == "shift" and self._values.arguments:
            self._values.arguments = self._values.arguments[
                int(filled[1]) if filled[1:] and filled[1].isdecimal() else 1 :
            ]
        elif filled:
            self.script.commands.append(filled)
            self.script.depends.append(self._uncertain(names))

    def _within(self, words: Sequence[str], arguments: list[str], names: set[str]) -> None:
        """Read a function or a text in place of the command that names it."""
        if self._depth >= _DEEPEST:
            return
        arguments_before, names_before = self._values.arguments, self._outer
        self._values.arguments, self._outer = arguments, names
        self._depth += 1
        self.read(words)
        self._depth -= 1
        self._values.arguments, self._outer = arguments_before, names_before

    def _loop(self, words: list[str]) -> None:
        if len(words) > 3 and words[2] == "in":
            self._values.asked = set()
            items = [part for word in words[3:] for part in self._values.filled(word)]
            if items:
                self._values.known[words[1]] = items[0]
                self._branches[words[1]] = items if len(items) > 1 else []
                self._certain.add(words[1])

    def _assign(self, name: str, value: Value, *, add: bool = False) -> None:
        old, given = self._values.known.get(name), value
        self._carried[name] = set(self._values.asked) | (self._carried.get(name, set()) if add else set())
        if add and old is not None:
            value = [*_items(old), *_items(value)] if isinstance(old, list) or isinstance(value, list) else old + value
        if sum(map(len, _items(value))) > _LONGEST:
            raise NotReadable(f"{name} becomes longer than {_LONGEST:,} characters")
        is_conditional = self._is_chained or any(word != "for" for word in self._open)
        if not is_conditional or (name in self._defaulted and old is None):
            self._values.known[name] = value
            self._certain.add(name)
            self._branches.pop(name, None)
            self._added = {one: more for one, more in self._added.items() if one != name or add}
            return
        if add and old is not None:
            self._added.setdefault(name, []).append(_shown(given))
        else:
            self._branches.setdefault(name, []).append(_shown(value))
        if add or (name not in self._certain and UNKNOWN not in _shown(value)):
            self._values.known[name] = value

    def _uncertain(self, names: set[str]) -> dict[str, Depends]:
        """Of variables, and of those that they were made of, the ones that a condition or a loop decides."""
        found: dict[str, Depends] = {}
        ahead, seen = list(names), set(names)
        while ahead:
            name = ahead.pop()
            if name in self._branches:
                taken = _shown(self._values.known.get(name, ""))
                others = tuple(dict.fromkeys(one for one in self._branches[name] if one != taken))
                if others or name not in self._certain:
                    found[name] = Depends(taken, others)
            elif name in self._added:
                found[name] = Depends(" ".join(self._added[name]), ())
            ahead += (more := self._carried.get(name, set()) - seen)
            seen |= more
        return found


def _is_definition(command: list[str], words: Sequence[str], at: int) -> bool:
    """Whether a function's body starts here: `name() {` or `function name {`."""
    if words[at] == "()":
        return bool(command) and "{" in words[at + 1 : at + 3]
    return words[at] == "{" and len(command) == 2 and command[0] == "function"


def _is_shell(words: Sequence[str]) -> bool:
    return words[0].rpartition("/")[2] in _SHELLS and re.fullmatch(r"-\w*c", words[1]) is not None


def _items(value: Value) -> list[str]:
    return value if isinstance(value, list) else [value]


def _shown(value: Value) -> str:
    return " ".join(_items(value))
