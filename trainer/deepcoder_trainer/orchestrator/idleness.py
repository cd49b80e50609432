"""The seconds in which nothing that a step is for went on: no answer was being generated, and the ranks did not train.

No I/O; the clock is passed in.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator


class IdleClock:
    """Counts the seconds in which nobody is inside `busy`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._inside = 0
        self._idle = 0.0
        self._since = clock()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Generation or training, while inside. Several may be at once."""
        if self._inside == 0:
            self._idle += self._clock() - self._since
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._inside == 0:
                self._since = self._clock()

    def take(self) -> float:
        """The idle seconds since this was last called, or since the beginning."""
        if self._inside == 0:
            now = self._clock()
            self._idle, self._since = self._idle + now - self._since, now
        taken, self._idle = self._idle, 0.0
        return taken
