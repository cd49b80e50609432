"""The groups under way: begun when admitted, taken as batches, failed as themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import GenerationFailed, RequestRefused
from deepcoder_trainer.orchestrator.group_pool import GroupPool
from deepcoder_trainer.samples import Replaced, Sample
from tests.orchestrator_builders import sample, timetable


class Sampling:
    """Groups that finish when the test says so; `fail` is what a draw fails with."""

    def __init__(self, staleness: int = 1, max_draws: int = 1, stages: Sequence[tuple[int, int]] = ((4, 2),)) -> None:
        self.begun: list[int] = []
        self.settled = asyncio.Event()
        self.settled.set()
        self._ends: dict[int, asyncio.Future[None]] = {}
        self.admission = Admission(timetable(*stages, max_draws=max_draws), max_staleness=staleness)
        self.alike: dict[int, float] = {}
        self.pool = GroupPool(self.admission, self._group, self._taken_over)

    async def _taken_over(self, version: int) -> None:
        await self.settled.wait()

    async def _group(self, draw: int) -> list[Sample]:
        self.begun.append(draw)
        await self._end(draw)
        rewards = (self.alike[draw],) * 2 if draw in self.alike else (0.0, 1.0)
        return [sample(problem_id=f"problem-{draw}", epoch=3, reward=reward) for reward in rewards]

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
    found = await asyncio.wait_for(sampling.pool.take(step), 5)
    assert [group[0].problem_id for group in found.groups.values()] == [f"problem-{draw}" for draw in found.groups]
    sampling.admission.trained(step, found.groups, found.replaced)
    sampling.pool.forget([*found.groups, *found.replaced])
    return list(found.groups)


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
    assert list((await sampling.pool.take(1)).groups) == [0, 1]
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


async def test_a_group_without_signal_is_replaced_while_others_are_still_sampled() -> None:
    """And what is replaced is told with the batch, by problem, epoch and reward."""
    one = Sampling(staleness=0, max_draws=2)
    one.alike = {0: 1.0, 2: 0.0}
    one.pool.open(0)
    await asyncio.sleep(0)
    one.finish(0)
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2]
    one.finish(2)
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2, 3]
    one.finish(1, 3)
    found = await asyncio.wait_for(one.pool.take(1), 5)
    assert list(found.groups) == [1, 3]
    assert found.replaced == {0: Replaced("problem-0", 3, 1.0), 2: Replaced("problem-2", 3, 0.0)}
    await one.pool.close()


async def test_where_the_bound_is_reached_the_batch_is_what_there_is() -> None:
    """Two may be replaced in a step: the third group without signal is trained on."""
    one = Sampling(staleness=0, max_draws=2)
    one.alike = {0: 1.0, 1: 1.0, 2: 1.0}
    one.pool.open(0)
    one.finish(0, 1, 2, 3)
    found = await asyncio.wait_for(one.pool.take(1), 5)
    assert (list(found.groups), list(found.replaced)) == ([2, 3], [0, 1])
    await one.pool.close()


async def test_a_group_that_the_bound_kept_is_replaced_once_the_next_step_allows_it() -> None:
    """Staleness 1: 2, 3 and 4 finish early and alike while two may be replaced; 4 is replaced after the first batch."""
    one = Sampling(staleness=1, max_draws=2)
    one.alike = {2: 0.0, 3: 0.0, 4: 0.0}
    one.pool.open(0)
    one.finish(2, 3, 4)
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2, 3, 4, 5]
    one.finish(0, 1)
    assert await taken(one, 1) == [0, 1]
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2, 3, 4, 5, 6]
    one.finish(5, 6)
    assert await taken(one, 2) == [5, 6]
    await one.pool.close()


async def test_a_group_of_the_next_stage_is_replaced_once_that_stage_has_come() -> None:
    """Staleness 1, two stages of one step: 0 is replaced at once, 1, which is of the second, after the first."""
    one = Sampling(staleness=1, max_draws=2, stages=((1, 1), (1, 2)))
    one.alike = {0: 1.0, 1: 1.0}
    one.pool.open(0)
    one.finish(1)
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2]
    one.finish(0)
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2, 3]
    assert [one.admission.stage_of(draw) for draw in (1, 2, 3)] == [1, 1, 0]
    one.finish(3)
    assert await taken(one, 1) == [3]
    await asyncio.sleep(0.01)
    assert one.begun == [0, 1, 2, 3, 4]
    assert one.admission.stage_of(4) == 1
    one.finish(2, 4)
    assert await taken(one, 2) == [2, 4]
    await one.pool.close()


async def test_nothing_is_begun_for_what_ends_while_the_pool_is_closed() -> None:
    """No task outlives it, though a group without signal has just finished."""
    one = Sampling(staleness=0, max_draws=2)
    one.alike = {0: 1.0}
    one.pool.open(0)
    await asyncio.sleep(0.01)
    one.finish(0)
    await one.pool.close()
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1
