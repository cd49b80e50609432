"""Work that goes on behind the steps, one piece at a time, and whose failure is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class OneBehind:
    """At most one piece of work under way; the next waits for it and raises what it failed with."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the piece before, then start `work`."""
        try:
            await self.settle()
        except BaseException:
            work.close()
            raise
        self._task = asyncio.create_task(work)

    async def settle(self) -> None:
        """Wait for what is under way. Raises what it failed with."""
        if self._task is not None:
            await asyncio.shield(self._task)
            self._task = None

    async def give_up(self) -> None:
        """Cancel what is under way and wait for its end; what it failed with is of no interest any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def check(self) -> None:
        """Raise what it has failed with, if it has; never waits."""
        if self._task is not None and self._task.done():
            self._task.result()
