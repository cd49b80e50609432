"""One queue of keys: each key at most once, never in two hands, with delays and a growing pause after failures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0


class WorkQueue(Generic[K]):
    """A key that is added while it is being worked on comes up once more when that is done."""

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._queued: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._filled = asyncio.Event()
        # Set while no key is in the hands of a worker.
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """The key needs a look."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._filled.set()

    def add_after(self, key: K, seconds: float) -> None:
        """The key needs a look in so many seconds. Of several delays the shortest counts."""
        due = asyncio.get_running_loop().time() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        self._cancel(key)
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._due, key)

    def retry(self, key: K) -> None:
        """The key failed: look again after a pause that doubles with every failure in a row."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 16)))

    def succeeded(self, key: K) -> None:
        """The key did not fail: its pauses start anew."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key. The caller must call `done` with it. Delays set before are void: the caller sets new ones."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._working.add(key)
        self.idle.clear()
        self._cancel(key)
        return key

    def done(self, key: K) -> None:
        """The work on the key is over, well or not."""
        self._working.discard(key)
        if not self._working:
            self.idle.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
