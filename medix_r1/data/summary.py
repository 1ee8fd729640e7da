"""The counts of a prepared set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """The row counts of a prepared set; rows_in = train + validation + sum(rejected) + merged + leaked.

    Attributes:
        rows_in: read from the source.
        train, validation: written.
        rejected: by reason.
        merged: exact duplicates.
        shrunk: rows whose images were shrunk to fit.
        leaked: removed by `medix-r1 data leaks --remove`.
    """

    rows_in: int
    train: int
    validation: int
    rejected: dict[str, int]
    merged: int
    shrunk: int
    leaked: int = 0

    @property
    def adds_up(self) -> bool:
        out = self.train + self.validation
        return self.rows_in == out + sum(self.rejected.values()) + self.merged + self.leaked

    def __str__(self) -> str:
        rejected = sum(self.rejected.values())
        return (
            f"{self.rows_in} rows in = {self.train + self.validation} out ({self.train} train, {self.validation} "
            f"validation) + {rejected} rejected + {self.merged} merged"
            + (f" + {self.leaked} removed as leaks" if self.leaked else "")
            + f"; {self.shrunk} shrunk"
        )
