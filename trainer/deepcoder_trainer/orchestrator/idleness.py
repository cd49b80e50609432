"""The seconds in which nothing that a step is for went on: no answer was being generated, and the ranks did not train.

Each is counted to what was waited for meanwhile. No I/O; the clock is passed in.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

OTHER = "other"


class IdleClock:
    """Counts the seconds in which nobody is inside `busy`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy = 0
        self._waiting: dict[str, int] = {}
        self._idle: dict[str, float] = {}
        self._since = clock()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Generation or training, while inside. Several may be at once."""
        self._settle()
        self._busy += 1
        try:
            yield
        finally:
            self._settle()
            self._busy -= 1

    @contextlib.contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Idle seconds inside are of `name`. Where several wait at once, they are of what was begun last."""
        self._settle()
        self._waiting[name] = self._waiting.pop(name, 0) + 1  # now the last
        try:
            yield
        finally:
            self._settle()
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]

    def take(self) -> dict[str, float]:
        """The idle seconds since this was last called, or since the beginning, by what was waited for."""
        self._settle()
        taken, self._idle = self._idle, {}
        return taken

    def _settle(self) -> None:
        now = self._clock()
        if not self._busy and now > self._since:
            name = next(reversed(self._waiting), OTHER)
            self._idle[name] = self._idle.get(name, 0.0) + now - self._since
        self._since = now
