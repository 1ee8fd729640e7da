"""Every sentence of the package's errors by its code; `python -m tests.support.messages --write` after a change.

They are read out of the source, at each call that makes a `Problem` or a `MedixError`. A value that is put in stands as
`{}`, one of two texts as `{a|b}`.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from medix_r1 import errors

_ROOT = Path(__file__).parents[2]
GOLDEN = _ROOT / "tests" / "unit" / "golden" / "messages.yaml"
_ERRORS = {name for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.MedixError)}
_PROBLEMS = ("Problem", "ConfigError.of")  # called with key, code, text
_REJECTED = ("RowRejected", "ImageRejected")  # called with a reason, which is the code, and a detail
Texts = dict[str, ast.expr]


def sentences() -> dict[str, list[str]]:
    """Code -> its sentences, sorted.

    Raises:
        ValueError: errors are made without a code that can be read here.
    """
    found: dict[str, set[str]] = defaultdict(set)
    without = []
    for path in sorted({*_ROOT.glob("medix_r1/**/*.py"), *_ROOT.glob("tools/**/*.py")} - {Path(errors.__file__)}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {name: value for _, name, value in _assigned(tree.body)}
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for line, code, text in _made_in(function, constants):
                    if code is None:
                        without.append(f"{path.relative_to(_ROOT)}:{line}: {text}")
                    else:
                        found[code].add(text)
    if without:
        raise ValueError("\n".join(["errors without a code:", *without]))
    return {code: sorted(texts) for code, texts in sorted(found.items())}


def _made_in(function: ast.AST, constants: Texts) -> Iterator[tuple[int, str | None, str]]:
    """Line, code and text of each problem and error that a function makes."""
    nodes = list(ast.walk(function))
    assigned = _assigned(nodes)
    for call in nodes:
        if not isinstance(call, ast.Call):
            continue
        name, keyword = _name(call.func), {entry.arg: entry.value for entry in call.keywords}.get("code")
        if not (name in _PROBLEMS or name in _REJECTED or name in _ERRORS or keyword):
            continue
        known = constants | {to: value for line, to, value in assigned if line < call.lineno}
        if name in _PROBLEMS and _literal(call.args[1]):  # else one that passes on another's code and text
            key, text = (_text(call.args[place], known) for place in (0, 2))
            yield call.lineno, _literal(call.args[1]), f"{key}: {text}" if key else text
        elif name in _REJECTED and isinstance(call.args[0], ast.Attribute):
            yield call.lineno, call.args[0].attr.lower(), _text(call.args[1], known)
        elif (name in _ERRORS and name != "ConfigError") or _literal(keyword):
            yield call.lineno, _literal(keyword), _text(call.args[0], known)


def _assigned(nodes: Iterable[ast.AST]) -> list[tuple[int, str, ast.expr]]:
    """Line, name and value of each assignment to one name, from the first line to the last."""
    found = [
        (node.lineno, node.targets[0].id, node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    return sorted(found, key=lambda one: one[0])


def _name(function: ast.expr) -> str:
    """The dotted name of what is called; empty if it has none."""
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{_name(value)}.{attribute}"
    return ""


def _literal(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _text(node: ast.expr, known: Texts) -> str:
    """A string as it is written; a name stands for what was last assigned to it, if that is text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, known) for part in parts)
        case ast.FormattedValue(value=value):
            return _text(value, known)
        case ast.IfExp(body=body, orelse=orelse) | ast.BoolOp(op=ast.Or(), values=[body, orelse]):
            both = f"{_text(body, known)}|{_text(orelse, known)}"
            return f"{{{both}}}" if any(map(str.isalpha, both)) else "{}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, known) + _text(right, known)
        case ast.Name(id=name) if name in known:
            return _text(known[name], {other: text for other, text in known.items() if other != name})
    return "{}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("python -m tests.support.messages --write")
    GOLDEN.write_text(yaml.safe_dump(sentences(), width=10_000, allow_unicode=True), encoding="utf-8")
