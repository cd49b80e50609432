"""Who waits, who is run, and what is handed back unrun: the queue over threads that wait for the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry

from deepcoder_api.grading import GradeRequest, GradeResult, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.grading_queue import GradingQueue, QueueFullError

SUITE = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))


class Queue(GradingQueue):
    """One slot, two may wait. A program runs until `go` is set; `ran` has the ids in their order."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.go = threading.Event()
        self.ran: list[str] = []
        self.registry = CollectorRegistry()
        super().__init__(self._accept, threads, slots=1, size=2, registry=self.registry)

    def _accept(self, suite: TestSuite, request: GradeRequest, queued_seconds: float) -> GradeResult:
        self.ran.append(request.id)
        assert self.go.wait(20)
        if request.program == "fail":
            raise ValueError("ours")
        return GradeResult(id=request.id, verdict=Verdict.ACCEPTED, tests_total=1)

    def ask(
        self, id: str, program: str = "print(14)", deadline_seconds: float | None = None, priority: int = 0
    ) -> asyncio.Task[GradeResult]:
        """A caller that waits for a grade."""
        request = GradeRequest(
            id=id, problem_hash=SUITE.content_hash(), program=program, deadline_seconds=deadline_seconds,
            priority=priority,
        )  # fmt: skip
        return asyncio.create_task(self.grade(SUITE, request))

    def handed_back(self, reason: str) -> float | None:
        """How many, for this reason."""
        return self.registry.get_sample_value("deepcoder_sandbox_handed_back_total", {"reason": reason})


@pytest.fixture
async def queue() -> AsyncIterator[Queue]:
    """A queue whose programs all end with the test."""
    with ThreadPoolExecutor(1) as threads:
        queue = Queue(threads)
        yield queue
        queue.go.set()
        assert await queue.wait_empty(20)


async def test_first_come_is_first_run(queue):
    """And each gets its own result."""
    asked = [queue.ask(id) for id in "abc"]
    await asyncio.sleep(0)
    assert queue.registry.get_sample_value("deepcoder_sandbox_queue_depth") == 2
    assert queue.registry.get_sample_value("deepcoder_sandbox_running") == 1
    queue.go.set()
    assert [result.id for result in await asyncio.gather(*asked)] == list("abc")
    assert queue.ran == list("abc")


async def test_of_those_that_wait_the_lowest_priority_is_run_first(queue):
    """What runs is not disturbed."""
    first = queue.ask("runs", priority=9)
    await asyncio.sleep(0)
    asked = [queue.ask(id, priority=priority) for id, priority in (("later", 7), ("sooner", 3))]
    await asyncio.sleep(0)
    queue.go.set()
    await asyncio.gather(first, *asked)
    assert queue.ran == ["runs", "sooner", "later"]


async def test_more_than_may_wait_is_refused(queue):
    """With the seconds after which to come back; who has a place keeps it."""
    asked = [queue.ask(id) for id in "abc"]
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError) as full:
        await queue.ask("d")
    assert 1 <= full.value.retry_after <= 30
    queue.go.set()
    assert all(result.accepted for result in await asyncio.gather(*asked))


async def test_place_of_a_caller_that_has_gone_is_free_again(queue):
    """What waited for it is never run; the next caller is."""
    first, gone, third = (queue.ask(id) for id in "abc")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    fourth = queue.ask("d")
    queue.go.set()
    assert all(result.accepted for result in await asyncio.gather(first, third, fourth))
    assert queue.ran == list("acd")
    assert queue.handed_back("gone") == 1


async def test_program_that_runs_keeps_its_slot_when_its_caller_goes(queue):
    """It is run to its end, and only then is the slot free."""
    gone, second = queue.ask("a"), queue.ask("b")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    assert queue.in_flight == 2
    assert not second.done()
    queue.go.set()
    assert (await second).accepted
    assert queue.handed_back("gone") is None


async def test_program_still_queued_after_its_deadline_is_handed_back_unrun(queue):
    """As a failure of ours, with the reason; one that runs by then is not touched."""
    running, waiting = queue.ask("a", deadline_seconds=0.05), queue.ask("b", deadline_seconds=0.05)
    result = await waiting
    assert result.verdict is Verdict.INTERNAL_ERROR
    assert (result.id, result.tests_total) == ("b", 1)
    assert "not run: still queued after the 0.05 s that the caller waits" in result.detail
    queue.go.set()
    assert (await running).accepted
    assert queue.ran == ["a"]
    assert queue.handed_back("deadline") == 1


async def test_at_the_end_everything_accepted_is_answered(queue):
    """What waits and what runs comes back as a failure of ours; nobody waits for ever."""
    asked = [queue.ask(id) for id in "abc"]
    await asyncio.sleep(0)
    assert not await queue.wait_empty(0.05)
    queue.hand_back("the server ends")
    results = await asyncio.gather(*asked)
    assert {(result.verdict, result.detail) for result in results} == {(Verdict.INTERNAL_ERROR, "the server ends")}
    assert queue.ran == ["a"]
    assert queue.handed_back("ending") == 3


async def test_fault_of_ours_is_an_internal_error_and_frees_the_slot(queue):
    """Whatever is raised."""
    failing, after = queue.ask("a", program="fail"), queue.ask("b")
    queue.go.set()
    result = await failing
    assert result.verdict is Verdict.INTERNAL_ERROR
    assert "ours" in result.detail
    assert (await after).accepted
