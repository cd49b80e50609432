"""The bounded queue before the slots: who waits, who is next, what is handed back unrun. On the event loop alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

from deepcoder_api.grading import GradeRequest, GradeResult, Verdict
from deepcoder_api.problems import TestSuite

FIRST_MEAN_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 30


class QueueFullError(Exception):
    """As many programs wait as may. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


def ungraded(suite: TestSuite, request: GradeRequest, reason: str) -> GradeResult:
    """The answer to a request that has no grade: internal_error, which is ours and never the model's."""
    return GradeResult(id=request.id, verdict=Verdict.INTERNAL_ERROR, tests_total=len(suite.tests), detail=reason[:500])


@dataclass(eq=False)
class _Entry:
    """A program that was accepted, and the answer that is owed for it."""

    suite: TestSuite
    request: GradeRequest
    answer: asyncio.Future[GradeResult]
    accepted: float = field(default_factory=time.monotonic)

    def hand_back(self, reason: str) -> None:
        """Answer without a grade, unless there is an answer already."""
        if not self.answer.done():
            self.answer.set_result(ungraded(self.suite, self.request, reason))


class GradingQueue:
    """`run(suite, request, queued_seconds)` on `slots` threads; `size` more may wait, each for its turn by priority."""

    def __init__(
        self,
        run: Callable[[TestSuite, GradeRequest, float], GradeResult],
        threads: Executor,
        *,
        slots: int,
        size: int,
        registry: CollectorRegistry,
    ) -> None:
        self._run, self._threads = run, threads
        self._slots, self._size = slots, size
        self._waiting: dict[_Entry, None] = {}  # as they came
        self._running: set[_Entry] = set()
        self._emptied: asyncio.Future[None] | None = None
        self._mean_seconds = FIRST_MEAN_SECONDS
        waiting = Gauge("deepcoder_sandbox_queue_depth", "Programs that wait for a slot.", registry=registry)
        waiting.set_function(lambda: len(self._waiting))
        running = Gauge("deepcoder_sandbox_running", "Programs that are being graded.", registry=registry)
        running.set_function(lambda: len(self._running))
        self._handed_back = Counter(
            "deepcoder_sandbox_handed_back",
            "Programs accepted and not graded, by reason: gone, deadline, ending.",
            ["reason"],
            registry=registry,
        )

    @property
    def in_flight(self) -> int:
        """Programs that wait or run, also those whose caller has gone."""
        return len(self._waiting) + len(self._running)

    async def grade(self, suite: TestSuite, request: GradeRequest) -> GradeResult:
        """The result of `request`, in its turn. Raises QueueFullError.

        Cancelled, it gives up its place in the queue; a program that runs already is run to its end.
        """
        if self.in_flight >= self._slots + self._size:
            backlog = self._mean_seconds * self.in_flight / self._slots
            raise QueueFullError(max(1, min(LONGEST_RETRY_SECONDS, round(backlog / 2))))
        loop = asyncio.get_running_loop()
        entry = _Entry(suite, request, loop.create_future())
        self._waiting[entry] = None
        expiry = loop.call_later(request.deadline_seconds, self._expire, entry) if request.deadline_seconds else None
        self._start_next()
        try:
            return await entry.answer
        finally:
            if expiry:
                expiry.cancel()
            if entry in self._waiting:
                self._leave(entry, "gone")

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing waits or runs, at most `seconds`; whether that came."""
        if not self.in_flight:
            return True
        self._emptied = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({self._emptied}, timeout=seconds)
        return bool(done)

    def hand_back(self, reason: str) -> None:
        """Answer all that wait, and all that run, without a grade."""
        for entry in list(self._waiting):
            self._leave(entry, "ending")
            entry.hand_back(reason)
        for entry in self._running:
            self._handed_back.labels("ending").inc()
            entry.hand_back(reason)

    def _expire(self, entry: _Entry) -> None:
        if entry in self._waiting:
            self._leave(entry, "deadline")
            entry.hand_back(
                f"not run: still queued after the {entry.request.deadline_seconds:g} s that the caller waits"
            )

    def _leave(self, entry: _Entry, reason: str) -> None:
        self._handed_back.labels(reason).inc()
        del self._waiting[entry]
        self._mark_empty()

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._slots:
            entry = min(self._waiting, key=lambda one: one.request.priority)  # of equal ones the first
            del self._waiting[entry]
            self._running.add(entry)
            begun = time.monotonic()
            work = asyncio.get_running_loop().run_in_executor(
                self._threads, self._run, entry.suite, entry.request, begun - entry.accepted
            )
            work.add_done_callback(lambda done, entry=entry, begun=begun: self._finish(entry, begun, done))

    def _finish(self, entry: _Entry, begun: float, work: asyncio.Future[GradeResult]) -> None:
        self._running.discard(entry)
        self._mean_seconds += 0.05 * (time.monotonic() - begun - self._mean_seconds)
        if work.cancelled():
            entry.hand_back("the server ended before it was run")
        elif error := work.exception():
            entry.hand_back(f"the grader failed: {error!r}")
        elif not entry.answer.done():
            entry.answer.set_result(work.result())
        self._start_next()
        self._mark_empty()

    def _mark_empty(self) -> None:
        if self._emptied and not self._emptied.done() and not self.in_flight:
            self._emptied.set_result(None)
