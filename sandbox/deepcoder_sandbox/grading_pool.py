"""The slots in which programs are graded: a thread and a zygote each, before them a bounded queue."""

from __future__ import annotations

import asyncio
import os
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from deepcoder_api.grading import GradeRequest, GradeResult, Verdict
from deepcoder_api.problems import TestSuite
from deepcoder_sandbox.grading import grade
from deepcoder_sandbox.launcher import Launcher, LauncherFailedError
from deepcoder_sandbox.tree_usage import count_children

ATTEMPTS = 2
MIB = 1024 * 1024
# A program's default memory limit, its folder and its interpreter, and a share of the server itself.
PROGRAM_SHARE_MIB = 768
SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
T = TypeVar("T")
log = structlog.get_logger()


class QueueFullError(Exception):
    """As many programs wait as may. `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


class GradingPool:
    """`workers` programs are graded at once, at most `queue_size` more wait."""

    def __init__(self, *, workers: int, queue_size: int, scratch: Path, registry: CollectorRegistry) -> None:
        self.in_flight = 0
        self._capacity = workers + queue_size
        self._workers = workers
        self._launchers = [Launcher(scratch) for _ in range(workers)]
        self._free: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grading")
        self._mean_seconds = 0.1
        waiting = Gauge("deepcoder_sandbox_queue_depth", "Programs that wait for a slot.", registry=registry)
        waiting.set_function(lambda: max(0, self.in_flight - workers))
        running = Gauge("deepcoder_sandbox_running", "Programs that are being graded.", registry=registry)
        running.set_function(lambda: min(workers, self.in_flight))
        forked = Gauge("deepcoder_sandbox_forked_processes", "Programs' processes that exist.", registry=registry)
        forked.set_function(self._forked_processes)
        self._verdicts = Counter(
            "deepcoder_sandbox_verdicts", "Programs graded, by verdict.", ["verdict"], registry=registry
        )
        self._seconds = Histogram(
            "deepcoder_sandbox_seconds",
            "Seconds of a grade, by phase.",
            ["phase"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._restarts = Counter("deepcoder_sandbox_zygote_restarts", "Zygotes started anew.", registry=registry)

    def start(self) -> dict[str, str]:
        """Start the zygotes; call before any thread is. Returns the namespaces that cannot be had, with the reason.

        Raises LauncherFailedError.
        """
        for launcher in self._launchers:
            launcher.begin()
        for launcher in self._launchers:
            launcher.await_warm()
            self._free.put(launcher)
        return self._launchers[0].missing

    def close(self) -> None:
        """End the threads and the zygotes. No work may be in flight."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for launcher in self._launchers:
            launcher.close()

    async def grade(self, suite: TestSuite, request: GradeRequest) -> GradeResult:
        """The result of `request`, in its turn. Raises QueueFullError."""
        if self.in_flight >= self._capacity:
            backlog = self._mean_seconds * self.in_flight / self._workers
            raise QueueFullError(max(1, min(30, round(backlog / 2))))
        self.in_flight += 1
        accepted = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            result = await asyncio.shield(loop.run_in_executor(self._threads, self._grade, suite, request, accepted))
        finally:
            self.in_flight -= 1
        self._verdicts.labels(result.verdict.value).inc()
        return result

    def run(self, work: Callable[[Launcher], T]) -> T:
        """`work` on a free launcher, on one more when the first fails. Raises LauncherFailedError when all did."""
        launcher = self._free.get()
        failed: Exception | None = None
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return work(launcher)
                except Exception as error:  # ours, whatever it is: the zygote may be in mid-answer
                    log.warning("grading failed", attempt=attempt, error=repr(error), exc_info=_traceback(error))
                    self._restart(launcher)
                    failed = error
            raise LauncherFailedError(str(failed)) from failed
        finally:
            self._free.put(launcher)

    def _forked_processes(self) -> float:
        """Children of the zygotes. A run's other processes live in its pid namespace and die with that child."""
        return float(sum(count_children(pid) for launcher in self._launchers for pid in launcher.pids))

    def _restart(self, launcher: Launcher) -> None:
        self._restarts.inc()
        try:
            launcher.start()
        except LauncherFailedError as error:  # the next use of this launcher fails and tries again
            log.error("zygote cannot be started", error=str(error))

    def _grade(self, suite: TestSuite, request: GradeRequest, accepted: float) -> GradeResult:
        begun = time.monotonic()
        self._seconds.labels("queue").observe(begun - accepted)
        try:
            result = self.run(lambda launcher: grade(launcher, suite, request))
        except LauncherFailedError as error:
            detail = f"the grader failed {ATTEMPTS} times: {error}"[:500]
            result = GradeResult(
                id=request.id, verdict=Verdict.INTERNAL_ERROR, tests_total=len(suite.tests), detail=detail
            )
        seconds = time.monotonic() - begun
        self._seconds.labels("grade").observe(seconds)
        self._mean_seconds += 0.05 * (seconds - self._mean_seconds)
        log.info(
            "graded",
            id=request.id,
            verdict=result.verdict.value,
            tests=len(result.tests),
            seconds=round(seconds, 4),
            queued_seconds=round(begun - accepted, 4),
        )
        return result


def _traceback(error: Exception) -> Exception | None:
    """What is logged of `error` beside its text: nothing where the text says all."""
    return None if isinstance(error, LauncherFailedError | OSError) else error


def default_workers() -> int:
    """One per core that this process may use, as far as the memory goes round: in a pod, what the pod may have."""
    return workers_for(len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB)


def workers_for(cores: int, memory_mib: int) -> int:
    """How many programs at once on so much. At least one."""
    return max(1, min(cores, memory_mib // PROGRAM_SHARE_MIB))
