"""Work behind the steps: one piece at a time, and no failure lost."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_trainer.orchestrator.behind import OneBehind


async def fail() -> None:
    raise OSError("disk full")


async def test_the_next_piece_waits_for_the_one_before() -> None:
    """Two pieces never overlap, and `begin` returns as soon as its own has started."""
    behind, gate, order = OneBehind(), asyncio.Event(), []

    async def piece(name: str) -> None:
        order.append(f"{name} starts")
        await gate.wait()
        order.append(f"{name} ends")

    await behind.begin(piece("first"))
    second = asyncio.create_task(behind.begin(piece("second")))
    await asyncio.sleep(0.01)
    assert order == ["first starts"]
    assert not second.done()
    gate.set()
    await second
    await behind.settle()
    assert order == ["first starts", "first ends", "second starts", "second ends"]


async def test_a_failure_is_raised_by_whoever_looks_next() -> None:
    """By check without a wait, and by the next begin, whose own work is not started."""
    behind, started = OneBehind(), []

    async def next_piece() -> None:
        started.append(True)

    await behind.begin(fail())
    behind.check()  # still under way: nothing to say
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="disk full"):
        behind.check()
    with pytest.raises(OSError, match="disk full"):
        await behind.begin(next_piece())
    assert started == []


async def test_giving_up_the_wait_does_not_give_up_the_work() -> None:
    """A deadline on `settle` leaves what is under way alone."""
    behind, gate, done = OneBehind(), asyncio.Event(), []

    async def piece() -> None:
        await gate.wait()
        done.append(True)

    await behind.begin(piece())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await behind.settle()
    gate.set()
    await behind.settle()
    assert done == [True]
