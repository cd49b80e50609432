"""The hold of an evaluation on the checkpoint that it measures: taken by the preflight, renewed, given up at the end.

A bucket that may not be written to is no reason not to measure what lies in it: then there is no hold, and the log says
so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_data.holds import RENEW_SECONDS, CheckpointHold, checkpoint_of
from deepcoder_data.store import ObjectStore, StoreError

log = structlog.get_logger("holding")


def hold_of(evaluation: ResolvedEvaluation, store: ObjectStore) -> CheckpointHold | None:
    """The hold that an evaluation takes; None for a model that is no run's checkpoint."""
    checkpoint = checkpoint_of(evaluation.model_uri)
    if checkpoint is None:
        return None
    holder = f"Evaluation {evaluation.namespace}/{evaluation.name}"
    return CheckpointHold(store, checkpoint, evaluation.uid, holder)


def take(hold: CheckpointHold | None) -> None:
    """Take the hold, where there is one to take and it can be."""
    try:
        if hold is not None:
            hold.take()
    except StoreError as error:
        log.warning("the checkpoint is not held: its run may prune it", uri=hold.uri if hold else "", error=str(error))


def release(hold: CheckpointHold | None) -> None:
    """Give the hold up; what cannot be removed now expires."""
    try:
        if hold is not None:
            hold.release()
    except StoreError as error:
        log.warning("the hold is not given up and expires", uri=hold.uri if hold else "", error=str(error))


@asynccontextmanager
async def renewed(hold: CheckpointHold | None, seconds: float = RENEW_SECONDS) -> AsyncIterator[None]:
    """While inside, the hold is taken anew in time. Nothing is taken any more once it is left."""
    over = asyncio.Event()

    async def renew() -> None:
        while not over.is_set():
            await asyncio.to_thread(take, hold)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), seconds)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        over.set()
        await renewing
