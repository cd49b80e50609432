"""Calls to the object store from the event loop: in a thread, tried again while they may heal, errors made ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from deepcoder_data.head import FencedError
from deepcoder_data.store import StoreError
from deepcoder_trainer.orchestrator.failures import StorageFailed, StorageRefused, TakenOver

STORAGE_SECONDS = 900.0
LONGEST_PAUSE_SECONDS = 15.0
Result = TypeVar("Result")
log = structlog.get_logger("storage")


async def stored(call: Callable[[], Result], what: str, deadline_seconds: float = STORAGE_SECONDS) -> Result:
    """The result of `call`, which blocks. `what` names it in errors ("write journal of step 3").

    A server that does not answer is asked again until the deadline, then StorageFailed. Raises TakenOver when a newer
    attempt owns the run, StorageRefused for what asking again cannot heal; ConflictError and ObjectMissingError of a
    call that expects them are for its author to catch inside `call`.
    """
    deadline, pause = time.monotonic() + deadline_seconds, 0.5
    while True:
        try:
            return await asyncio.to_thread(call)
        except FencedError as error:
            raise TakenOver(f"a newer attempt took over: {error}") from error
        except StoreError as error:
            if not error.retryable:
                raise StorageRefused(f"cannot {what}: {error}") from error
            if time.monotonic() + pause > deadline:
                raise StorageFailed(f"could not {what} within {deadline_seconds:.0f} s: {error}") from error
            log.warning("storage does not answer; asking again", what=what, error=str(error), pause_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
