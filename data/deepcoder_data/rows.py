"""What a row of a data set comes to when it is no problem. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LeftOutReason = Literal["other_task", "other_language", "outside_window"]


class RowError(ValueError):
    """A row is no problem. The message names the column, and says in one line what is wrong with it."""


@dataclass(frozen=True)
class LeftOut:
    """A sound row that the source does not ask for, such as one of a contest outside its window."""

    reason: LeftOutReason


@dataclass(frozen=True)
class _Row:
    """Its line, counted from 1, why it is no problem, and its file where a source has several."""

    line: int
    reason: str
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file} line {self.line}".lstrip()


class BadRow(_Row):
    """A row that is no problem, though it should be."""


@dataclass(frozen=True)
class SkippedRow(_Row):
    """A sound row that its source leaves out."""

    reason: LeftOutReason
