"""Who comes first of those that wait for a place, and that no place is lost or given twice."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from deepcoder_sandbox.turns import Turns

WAITERS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12)


@given(places=st.integers(1, 3), waiters=WAITERS)
def test_places_go_by_priority_and_then_by_arrival(places: int, waiters: list[tuple[int, bool]]) -> None:
    """While all places are taken others wait, of whom some give up: the rest come in order, never too many at once."""

    async def order() -> list[int]:
        turns, go, came, inside = Turns(places), asyncio.Event(), list[int](), 0

        async def take(number: int, priority: int) -> None:
            nonlocal inside
            async with turns.taken(priority):
                came.append(number)
                inside += 1
                assert inside <= places
                await go.wait()
                inside -= 1

        holders = [asyncio.create_task(take(-1, 9)) for _ in range(places)]
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(take(number, priority)) for number, (priority, _) in enumerate(waiters)]
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, waiters, strict=True):
            if leaves:
                task.cancel()
        go.set()
        await asyncio.wait_for(asyncio.gather(*holders, *tasks, return_exceptions=True), 10)
        async with asyncio.timeout(10):  # every place is there again
            for _ in range(places):
                await turns.taken(0).__aenter__()
        return came[places:]

    stay = [number for number, (_, leaves) in enumerate(waiters) if not leaves]
    assert asyncio.run(order()) == sorted(stay, key=lambda number: (waiters[number][0], number))


async def test_who_is_cancelled_when_its_turn_has_come_leaves_the_place() -> None:
    """The place was given and not yet used."""
    turns = Turns(1)

    async def take() -> None:
        async with turns.taken(0):
            pass

    held = turns.taken(0)
    await held.__aenter__()
    waiting = asyncio.create_task(take())
    await asyncio.sleep(0)
    await held.__aexit__(None, None, None)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(take(), 10)
