"""Which classes and functions a pickle names, read without loading it."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any


def pickled_names(file: Path) -> set[str]:
    """Dotted names in a pickle, or in those inside a file that torch has saved."""
    if not zipfile.is_zipfile(file):
        return _names(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        members = [name for name in archive.namelist() if name.endswith(".pkl")]
        assert members, f"{file} holds no pickle"
        return set().union(*(_names(archive.read(name)) for name in members))


def _names(pickled: bytes) -> set[str]:
    """Of a GLOBAL the argument says it, of a STACK_GLOBAL the two texts before it, new or taken from the memo."""
    names, texts = set(), list[object]()
    memo: dict[int, object] = {}
    newest: object = None
    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            names.add(argument.replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.add(".".join(map(str, texts[-2:])))
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = newest
        elif opcode.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = newest
        else:
            is_get = opcode.name in ("BINGET", "LONG_BINGET")
            newest = memo.get(argument) if is_get else argument if "UNICODE" in opcode.name else None
            texts += [newest] if isinstance(newest, str) else []
    return names
