"""The groups under way: begun when admitted, taken as batches, failed as themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import GenerationFailed, RequestRefused
from deepcoder_trainer.orchestrator.group_pool import GroupPool
from deepcoder_trainer.samples import Sample
from tests.orchestrator_builders import sample, timetable


class Sampling:
    """Groups that finish when the test says so; `fail` is what a draw fails with."""

    def __init__(self, staleness: int = 1) -> None:
        self.begun: list[int] = []
        self.settled = asyncio.Event()
        self.settled.set()
        self._ends: dict[int, asyncio.Future[None]] = {}
        self.admission = Admission(timetable((4, 2)), max_staleness=staleness)
        self.pool = GroupPool(self.admission, self._group, self._taken_over)

    async def _taken_over(self, version: int) -> None:
        await self.settled.wait()

    async def _group(self, draw: int) -> list[Sample]:
        self.begun.append(draw)
        await self._end(draw)
        return [sample(problem_id=f"problem-{draw}")]

    def _end(self, draw: int) -> asyncio.Future[None]:
        return self._ends.setdefault(draw, asyncio.get_running_loop().create_future())

    def finish(self, *draws: int) -> None:
        for draw in draws:
            self._end(draw).set_result(None)

    def fail(self, draw: int, error: Exception) -> None:
        self._end(draw).set_exception(error)


@pytest.fixture
async def sampling() -> AsyncIterator[Sampling]:
    made = Sampling()
    yield made
    await made.pool.close()


async def taken(sampling: Sampling, step: int) -> list[int]:
    groups = await asyncio.wait_for(sampling.pool.take(step), 5)
    assert [group[0].problem_id for group in groups.values()] == [f"problem-{draw}" for draw in groups]
    sampling.admission.trained(step, groups)
    sampling.pool.forget(groups)
    return list(groups)


async def test_the_next_steps_are_sampled_while_this_one_trains(sampling: Sampling) -> None:
    """With staleness 1 four groups begin at once; a batch is there when two have finished, whichever."""
    sampling.pool.open(0)
    taking = asyncio.create_task(taken(sampling, 1))
    await asyncio.sleep(0)
    sampling.finish(3, 1)
    assert await taking == [1, 3]
    assert sampling.begun == [0, 1, 2, 3]
    sampling.pool.open(1)
    sampling.finish(0, 2)
    assert await taken(sampling, 2) == [0, 2]
    assert sampling.begun == [0, 1, 2, 3, 4, 5]


async def test_nothing_begins_before_the_servers_have_the_new_weights(sampling: Sampling) -> None:
    """Else all of it would go to the first server that is ready."""
    sampling.settled.clear()
    sampling.pool.open(0)
    await asyncio.sleep(0.01)
    assert sampling.begun == []
    sampling.settled.set()
    await asyncio.sleep(0.01)
    assert sampling.begun == [0, 1, 2, 3]


async def test_a_failure_is_raised_as_itself_at_the_next_take(sampling: Sampling) -> None:
    """Though another group failed for its sake; the one that no attempt would be spared is told."""
    sampling.pool.open(0)
    sampling.finish(0, 1)
    await asyncio.sleep(0.01)
    sampling.fail(2, GenerationFailed("no server"))
    sampling.fail(3, RequestRefused("prompt too long"))
    await asyncio.sleep(0.01)
    with pytest.raises(RequestRefused, match="too long"):
        await sampling.pool.take(1)


async def test_what_another_attempt_made_durable_is_not_waited_for(sampling: Sampling) -> None:
    """The journal may hold another batch for the step than the one that was taken: what was taken stays."""
    sampling.pool.open(0)
    sampling.finish(0, 1)
    assert list(await sampling.pool.take(1)) == [0, 1]
    sampling.admission.trained(1, [2, 3])
    sampling.pool.forget([2, 3])
    sampling.pool.open(1)
    assert await taken(sampling, 2) == [0, 1]


async def test_closing_gives_up_what_is_under_way(sampling: Sampling) -> None:
    """No task outlives the pool."""
    sampling.pool.open(0)
    await asyncio.sleep(0.01)
    await sampling.pool.close()
    assert len(asyncio.all_tasks()) == 1
