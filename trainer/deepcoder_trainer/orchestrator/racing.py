"""Work that is given up when something happens before it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class HappenedFirst(Exception):  # noqa: N818 - it is no error by itself: the caller says what it means
    """The event was set before the work was done."""


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, Result], seconds: float | None = None) -> Result:
    """The result of `work`, which is cancelled when it is not done first.

    Raises HappenedFirst when `event` is set first, and TimeoutError after `seconds`.
    """
    working, happening = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, happening}, timeout=seconds, return_when="FIRST_COMPLETED")
        if working.done():
            return working.result()
        raise HappenedFirst if happening.done() else TimeoutError
    finally:
        working.cancel()
        happening.cancel()
        await asyncio.gather(working, happening, return_exceptions=True)
