"""Work that is given up when something happens before it is done."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_trainer.orchestrator.racing import HappenedFirst, unless


async def never() -> None:
    await asyncio.Event().wait()


async def five() -> int:
    return 5


async def test_work_that_is_done_first_gives_its_result() -> None:
    """Also when the event is set in the same moment."""
    event = asyncio.Event()
    assert await unless(event, five()) == 5
    event.set()
    assert await unless(event, five()) == 5


async def test_what_comes_first_ends_the_wait_and_the_work() -> None:
    """The event, or the deadline; no task is left."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, event.set)
    with pytest.raises(HappenedFirst):
        await asyncio.wait_for(unless(event, never()), 5)
    with pytest.raises(TimeoutError):
        await unless(asyncio.Event(), never(), 0.01)
    assert len(asyncio.all_tasks()) == 1


async def test_work_fails_as_itself() -> None:
    """Its own error is neither the event nor the deadline."""

    async def fail() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await unless(asyncio.Event(), fail(), 5)
