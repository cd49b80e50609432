"""When a server may be asked again: what it says by Retry-After holds for every request, not only the one refused."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0


def asked_pause(retry_after: str | None, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for: a number, or an HTTP date; 0 where there is none that can be read."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def own_pause(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th failure, counted from 0: doubled each time, up to 30."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 10))


class BackPressure:
    """Holds all requests to one server until the moment that it named."""

    def __init__(self) -> None:
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Nobody asks for that long."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Return once requests may be made; spread a little, so that they do not all come in one moment."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 - a moment in time, which may move
            await asyncio.sleep(left + random.uniform(0.0, min(1.0, 0.1 * left)))
