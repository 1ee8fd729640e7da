"""Any source with hashes in place of file names, which may name a person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from medix_r1.data.row import RawRow
from medix_r1.data.sources.base import UNREAD, Revision, Source, Unit

_NUMBERED = re.compile(r"(.+)(:\d+(?:#\d+)?)", re.DOTALL)


class HiddenNames:
    """A source whose rows, revision and errors name no file; the same file has the same hash on every run."""

    def __init__(self, source: Source, name: str | None = None) -> None:
        """Hide the names of a source, and its own, which is that of a file, unless the user gave it one."""
        self._source = source
        self.name = name or hidden(source.name)

    @property
    def notes(self) -> list[str]:
        """The source's, without names of files."""
        notes = [note.partition(": ")[2] for note in getattr(self._source, "notes", ())]
        return [note.partition(UNREAD)[1] or note for note in notes]

    def revision(self) -> Revision:
        revision = self._source.revision()
        return replace(revision, name=hidden(revision.name), files=tuple(map(hidden, revision.files)))

    def units(self, max_rows: int) -> list[Unit]:
        return self._source.units(max_rows)

    def rows(self, unit: Unit) -> Iterator[RawRow]:
        for row in self._source.rows(unit):
            match = _NUMBERED.fullmatch(row.where)
            where = hidden(match[1]) + match[2] if match else hidden(row.where)
            yield replace(row, where=where, hide_names=True)


def hidden(name: str) -> str:
    """The hash of a file's name, with its suffix."""
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).hexdigest() + PurePath(name).suffix
