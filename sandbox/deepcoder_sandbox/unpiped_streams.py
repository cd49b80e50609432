"""In a forked child: standard input and output that are no pipes, for the later tests of a process that runs several.

A test with pipes costs two dozen system calls, and gVisor answers one in tens of microseconds when all cores are busy.
These streams are the interpreter's own classes over bytes in memory, without a line of Python below them (which would
count as recursion), and say of themselves what pipes say. Where a program could tell all the same (`TELLING`) it gets
pipes, and so does every test that did not end well, when it is run again.
"""

from __future__ import annotations

import io
import re
from typing import Any

# What shows a descriptor, a pipe's own class or that a stream can be wound back.
TELLING = re.compile(r"\b(?:os|open|raw|fileno|detach|fromfile|seek|tell|truncate|getvalue|getbuffer)\b")
PIPE_BUFFER_BYTES = 4096  # how much the interpreter reads of a pipe at once, which `peek` shows


class _Forward(io.BytesIO):
    """Bytes in memory that cannot be wound back, as a pipe's cannot. `shown`: the interpreter's own name and mode."""

    shown: tuple[str, str]

    @property
    def name(self) -> str:
        """As the interpreter's own."""
        return self.shown[0]

    @property
    def mode(self) -> str:
        """As the interpreter's own."""
        return self.shown[1]

    def seekable(self) -> bool:
        """As a pipe."""
        return False


class Given(_Forward):
    """What standard input holds."""

    shown = ("<stdin>", "rb")


class Written(_Forward):
    """What has been written to standard output, also by a program that has closed it."""

    shown = ("<stdout>", "wb")
    _before_close: bytes | None = None

    def close(self) -> None:
        """Closed, as the program wants it; what was written stays."""
        if self._before_close is None:
            self._before_close = self.getvalue()
        super().close()

    @property
    def output(self) -> bytes:
        """All of it."""
        return self.getvalue() if self._before_close is None else self._before_close


def text_stream(binary: Any, mode: str) -> Any:
    """Standard input or output over a buffered stream, as the interpreter makes its own; programs ask for its mode."""
    text: Any = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="\n")
    text.mode = mode
    return text
