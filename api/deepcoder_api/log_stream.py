"""Where a process writes its log: a line that cannot be written is lost, and nothing else is lost with it.

A full disk, or a reader that is gone, must not end a run: without this every line of the log could raise OSError.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TextIO, cast


class LossyStream(io.TextIOBase):
    """A text stream that bears what the one under it cannot write; by default that is standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Always: what cannot be written is lost."""
        return True

    def write(self, text: str, /) -> int:
        """Write `text`, or lose it."""
        with contextlib.suppress(OSError):
            self._under.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what is under it, or lose it."""
        with contextlib.suppress(OSError):
            self._under.flush()

    @property
    def _under(self) -> TextIO:
        return self._stream or sys.stderr  # looked up each time: tests and parents put another in its place


def standard_error() -> TextIO:
    """Standard error for the log of a process."""
    return cast(TextIO, LossyStream())


def flush_output() -> None:
    """Flush standard output and error before a process leaves; what cannot be written is lost."""
    for stream in (sys.stdout, sys.stderr):
        LossyStream(stream).flush()
