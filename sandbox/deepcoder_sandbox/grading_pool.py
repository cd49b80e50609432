"""The slots in which programs are graded: a thread and a zygote each, behind a bounded queue."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from deepcoder_api.grading import GradeRequest, GradeResult
from deepcoder_api.problems import TestSuite
from deepcoder_sandbox.grading import grade
from deepcoder_sandbox.grading_queue import GradingQueue, ungraded
from deepcoder_sandbox.launcher import Launcher, LauncherFailedError
from deepcoder_sandbox.tree_usage import count_children

ATTEMPTS = 2
MIB = 1024 * 1024
# A program's default memory limit, its folder and its interpreter, and a share of the server itself.
PROGRAM_SHARE_MIB = 768
SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
T = TypeVar("T")
log = structlog.get_logger()


class GradingPool:
    """`workers` programs are graded at once, at most `queue_size` more wait."""

    def __init__(self, *, workers: int, queue_size: int, scratch: Path, registry: CollectorRegistry) -> None:
        self._launchers = [Launcher(scratch) for _ in range(workers)]
        self._free: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grading")
        self._queue = GradingQueue(self._grade, self._threads, slots=workers, size=queue_size, registry=registry)
        self._ending = False
        forked = Gauge("deepcoder_sandbox_forked_processes", "Programs' processes that exist.", registry=registry)
        forked.set_function(self._forked_processes)
        self._verdicts = Counter(
            "deepcoder_sandbox_verdicts", "Programs graded, by verdict.", ["verdict"], registry=registry
        )
        self._seconds = Histogram(
            "deepcoder_sandbox_seconds",
            "Seconds by phase: queue, then grade, which is programs (their wall clock) and grader (all the rest).",
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

    @property
    def in_flight(self) -> int:
        """Programs that wait or run."""
        return self._queue.in_flight

    async def grade(self, suite: TestSuite, request: GradeRequest) -> GradeResult:
        """The result of `request`, in its turn. Raises QueueFullError. Cancelled, it gives up its place."""
        return await self._queue.grade(suite, request)

    async def drain(self, seconds: float) -> bool:
        """Whether all that was accepted is finished within `seconds`; what is not is handed back without a grade."""
        if await self._queue.wait_empty(seconds):
            return True
        self._queue.hand_back("the server ends, and could not finish it in time")
        return False

    def close(self) -> None:
        """End the zygotes, with them what they still run, and the threads."""
        self._ending = True
        for pid in [pid for launcher in self._launchers for pid in launcher.pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # a thread that waits for it sees that it is gone
        self._threads.shutdown(wait=True, cancel_futures=True)
        for launcher in self._launchers:
            launcher.close()

    def run(self, work: Callable[[Launcher], T]) -> T:
        """`work` on a free launcher, on one more when the first fails. Raises LauncherFailedError when all did."""
        launcher = self._free.get()
        failed: Exception | None = None
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return work(launcher)
                except Exception as error:  # noqa: BLE001 - ours, whatever it is: the zygote may be in mid-answer
                    failed = error
                    if self._ending:
                        break
                    log.warning("grading failed", attempt=attempt, **_told(error))
                    self._restart(launcher)
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

    def _grade(self, suite: TestSuite, request: GradeRequest, queued_seconds: float) -> GradeResult:
        begun = time.monotonic()
        try:
            result = self.run(lambda launcher: grade(launcher, suite, request))
        except LauncherFailedError as error:
            result = ungraded(suite, request, f"the grader failed {ATTEMPTS} times: {error}")
        self._measure(result, queued_seconds, time.monotonic() - begun)
        return result

    def _measure(self, result: GradeResult, queued_seconds: float, seconds: float) -> None:
        programs = sum(test.wall_seconds for test in result.tests)
        phases = {"queue": queued_seconds, "grade": seconds, "programs": programs, "grader": seconds - programs}
        for phase, spent in phases.items():
            self._seconds.labels(phase).observe(max(0.0, spent))
        self._verdicts.labels(result.verdict.value).inc()
        log.info(
            "graded",
            id=result.id,
            verdict=result.verdict.value,
            tests=len(result.tests),
            seconds=round(seconds, 4),
            queued_seconds=round(queued_seconds, 4),
        )


def _told(error: Exception) -> dict[str, str]:
    """What is logged of `error`: the text of ours; of others type and place, as their text may quote a program."""
    if isinstance(error, LauncherFailedError | OSError):
        return {"error": str(error)}
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return {"error": type(error).__name__, "at": " ".join(places)}


def default_workers() -> int:
    """One per core that this process may use, as far as the memory goes round: in a pod, what the pod may have."""
    return workers_for(len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB)


def workers_for(cores: int, memory_mib: int) -> int:
    """How many programs at once on so much. At least one."""
    return max(1, min(cores, memory_mib // PROGRAM_SHARE_MIB))
