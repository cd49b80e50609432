"""The queue: a key at most once, in one hand, delayed when asked, with growing pauses after failures."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_operator.work_queue import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, WorkQueue

SOON = 0.01
DEADLINE = 2.0


async def _next(queue: WorkQueue[str]) -> str:
    async with asyncio.timeout(DEADLINE):
        return await queue.get()


async def test_a_key_that_is_added_twice_comes_once() -> None:
    """A burst of events is one look."""
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert queue.depth == 2
    assert [await _next(queue), await _next(queue)] == ["a", "b"]


async def test_a_key_in_a_hand_comes_again_only_when_that_hand_is_done() -> None:
    """Two workers never look at the same resource, and what happened during a look is not lost."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await _next(queue)
    queue.add("a")
    queue.add("a")
    assert queue.depth == 0
    queue.done("a")
    assert queue.depth == 1
    assert await _next(queue) == "a"
    queue.done("a")
    assert queue.depth == 0


async def test_of_several_delays_the_shortest_counts() -> None:
    """A later reason to look does not put off an earlier one."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", SOON)
    queue.add_after("a", 3600)
    assert await _next(queue) == "a"
    queue.done("a")
    queue.add_after("b", 3600)
    queue.add_after("b", SOON)
    assert await _next(queue) == "b"


async def test_a_look_makes_earlier_delays_void() -> None:
    """The look that begins now decides anew when the next one is due."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", SOON)
    queue.add("a")
    await _next(queue)
    queue.done("a")
    queue.add_after("b", 3 * SOON)
    assert await _next(queue) == "b"
    assert queue.depth == 0


async def test_pauses_double_with_each_failure_up_to_a_minute_and_start_anew_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that fails again and again does not keep the API server busy."""
    queue: WorkQueue[str] = WorkQueue()
    pauses: list[float] = []
    monkeypatch.setattr(queue, "add_after", lambda _key, seconds: pauses.append(seconds))
    for _ in range(9):
        queue.retry("a")
    queue.succeeded("a")
    queue.retry("a")
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses[8:] == [LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS]


async def test_idle_is_when_no_key_is_in_a_hand() -> None:
    """What waits until the looks under way are over can tell when."""
    queue: WorkQueue[str] = WorkQueue()
    assert queue.idle.is_set()
    queue.add("a")
    await _next(queue)
    assert not queue.idle.is_set()
    queue.done("a")
    assert queue.idle.is_set()
