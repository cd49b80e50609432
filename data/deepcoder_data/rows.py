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
class BadRow:
    """A row that is no problem: its line, counted from 1, why, and its file where a source has several."""

    line: int
    reason: str
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file} line {self.line}".lstrip()


@dataclass(frozen=True)
class SkippedRow:
    """A row that its source leaves out: its line and why, and its file where a source has several."""

    line: int
    reason: LeftOutReason
    file: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file} line {self.line}".lstrip()
