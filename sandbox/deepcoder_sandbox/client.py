"""The asynchronous client of grading servers: pooled, bounded, and never taking silence for a wrong answer.

Errors are in client_errors. For scripts there is the same in synchronous form, in sync_client.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

import httpx
import structlog
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from deepcoder_api.connections import SILENT_SECONDS
from deepcoder_api.grading import MAX_DEADLINE_SECONDS, GradeRequest, GradeResult, IsolationReport, Limits, Profile
from deepcoder_api.problems import TestSuite
from deepcoder_sandbox.client_errors import GradeRefusedError, GradeUnavailableError, SandboxError, TryAgainError
from deepcoder_sandbox.client_metrics import ClientMetrics
from deepcoder_sandbox.replica import Replica
from deepcoder_sandbox.replicas import Replicas, Resolve, addresses_of
from deepcoder_sandbox.turns import Turns

__all__ = ["GradeItem", "GradeRefusedError", "GradeUnavailableError", "SandboxClient", "SandboxError"]

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
WARN_EVERY_SECONDS = 10.0
T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True)
class GradeItem:
    """One program of many, and the suite to grade it by. `id` names it in logs and in its result."""

    id: str
    suite: TestSuite
    program: str


@dataclass
class _Warnings:
    """When a client last said that it waits: a line now and then for all its grades, as they all wait for the same."""

    last: float = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time for a line, which is then said."""
        due = now - self.last > WARN_EVERY_SECONDS
        self.last = now if due else self.last
        return due


@dataclass(frozen=True)
class AttemptCounts:
    """Attempts at grades since a client began: those that gave one, and those that failed by the grader's own fault."""

    graded: int = 0
    internal_errors: int = 0


@dataclass
class _Attempts:
    """The attempts at one grade that failed."""

    id: str
    metrics: ClientMetrics
    warnings: _Warnings
    count: int = 0
    last_reason: str = "every slot of this client was taken"
    begun: float = field(default_factory=time.monotonic)

    def failed(self, error: TryAgainError) -> float:
        """Note a failure; the seconds to wait before the next attempt."""
        self.count += 1
        self.last_reason = str(error)
        self.metrics.retried(error.reason)
        now = time.monotonic()
        if now - self.begun > WARN_EVERY_SECONDS and self.warnings.due(now):
            log.warning("waiting for a grade", id=self.id, attempts=self.count, reason=self.last_reason)
        return _pause(self.count, error.pause)


class SandboxClient:
    """Grades programs on one or more servers, at most `max_in_flight` at once. Use as an async context manager.

    URLs are http://host:port, https://…, unix:///path, or dns+http://host:port. Of the last, every address behind the
    name is a server of its own, looked up again every few seconds: what a headless Service is made for. Grades are
    spread over all servers by load. A server whose kernel says nothing for `silent_seconds` is gone, and its grades are
    asked for again; one that only takes long is waited for. `registry` takes the client's metrics. `transport` takes
    the network's place, as in httpx, and `resolve` the resolver's: for tests, and for an application in the same
    process.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        max_in_flight: int = 64,
        connect_seconds: float = 5.0,
        silent_seconds: int = SILENT_SECONDS,
        registry: CollectorRegistry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve = addresses_of,
    ) -> None:
        """Raises ValueError without a URL, or for one that is none."""

        def connect(url: str, host: str | None) -> Replica:
            return Replica(
                url,
                connections=max_in_flight,
                connect_seconds=connect_seconds,
                silent_seconds=silent_seconds,
                transport=transport,
                host=host,
            )

        self._replicas = Replicas([urls] if isinstance(urls, str) else list(urls), connect, resolve)
        self._max_in_flight = max_in_flight
        self._turns = Turns(max_in_flight)
        self._metrics = ClientMetrics(registry)
        self._warnings = _Warnings()

    async def __aenter__(self) -> SandboxClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._replicas.close()

    async def grade(
        self,
        suite: TestSuite,
        program: str,
        *,
        id: str,
        limits: Limits,
        deadline_seconds: float,
        profile: Profile = "strict",
        stop_on_first_failure: bool = True,
        priority: int = 0,
    ) -> GradeResult:
        """The grade of `program`. Never internal_error: that is asked for again, as are all failures that may heal.

        Of all that wait, here and at the servers, a lower `priority` is graded first.

        Raises GradeUnavailableError after `deadline_seconds`, and GradeRefusedError for what no server takes.
        """
        begun = time.monotonic()
        attempts = _Attempts(id, self._metrics, self._warnings)
        try:
            request = _request(suite, program, id, limits, profile, stop_on_first_failure, priority)
            async with asyncio.timeout(deadline_seconds), self._turns.taken(priority):
                with self._metrics.in_flight.track_inprogress():
                    result = await self._until_graded(suite, request, begun + deadline_seconds, attempts)
        except TimeoutError:
            self._metrics.ungraded("unavailable")
            reason = f"no grade for {id} within {deadline_seconds:g} s: {attempts.last_reason}"
            raise GradeUnavailableError(reason) from None
        except GradeRefusedError:
            self._metrics.ungraded("refused")
            raise
        self._metrics.graded(result, time.monotonic() - begun)
        return result

    def grade_many(
        self,
        items: Iterable[GradeItem],
        *,
        limits: Limits,
        deadline_seconds: float,
        profile: Profile = "strict",
        stop_on_first_failure: bool = True,
    ) -> AsyncGenerator[tuple[int, GradeResult | SandboxError]]:
        """The place of each item and what it came to, as soon as it is there: a grade, or the error in place of one.

        No more than `max_in_flight` items are taken up at once, each with a deadline of its own. Leaving the loop
        early cancels what is under way; `contextlib.aclosing` makes that happen at once.
        """

        async def grade_one(item: GradeItem) -> GradeResult | SandboxError:
            try:
                return await self.grade(
                    item.suite,
                    item.program,
                    id=item.id,
                    limits=limits,
                    deadline_seconds=deadline_seconds,
                    profile=profile,
                    stop_on_first_failure=stop_on_first_failure,
                )
            except SandboxError as error:
                return error

        return _as_ready(map(grade_one, items), self._max_in_flight)

    @property
    def attempts(self) -> AttemptCounts:
        """The attempts so far, of all servers together."""
        return AttemptCounts(self._metrics.grades, self._metrics.internal_errors)

    async def isolation(self, *, deadline_seconds: float = 10.0) -> IsolationReport:
        """The isolation report; of several servers one that is not verified, if any. Raises GradeUnavailableError."""
        reason = "no answer"
        try:
            async with asyncio.timeout(deadline_seconds):
                while True:
                    try:
                        return await self._isolation(time.monotonic() + deadline_seconds)
                    except TryAgainError as failed:
                        reason = str(failed)
                        await asyncio.sleep(0.1)
        except TimeoutError:
            raise GradeUnavailableError(f"no isolation report within {deadline_seconds:g} s: {reason}") from None

    async def _isolation(self, deadline: float) -> IsolationReport:
        reports = [await replica.isolation(deadline) for replica in await self._replicas.all()]
        return next((report for report in reports if not report.verified), reports[0])

    async def _until_graded(
        self, suite: TestSuite, request: GradeRequest, deadline: float, attempts: _Attempts
    ) -> GradeResult:
        while True:
            rest = min(MAX_DEADLINE_SECONDS, max(0.001, deadline - time.monotonic()))
            body = request.model_copy(update={"deadline_seconds": rest}).model_dump_json().encode()
            try:
                replica = await self._replicas.choose()
                return await replica.grade(body, suite, request.problem_hash, deadline)
            except TryAgainError as failed:
                if failed.reason in ("connection", "unready"):
                    self._replicas.look_soon()
                await asyncio.sleep(attempts.failed(failed))


async def _as_ready(calls: Iterator[Coroutine[Any, Any, T]], at_once: int) -> AsyncGenerator[tuple[int, T]]:
    """Each call's place and result as soon as it is there; the next call is taken only when one is done."""
    numbered = enumerate(calls)
    under_way: dict[asyncio.Task[T], int] = {}
    try:
        while True:
            while len(under_way) < at_once and (taken := next(numbered, None)):
                under_way[asyncio.create_task(taken[1])] = taken[0]
            if not under_way:
                return
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield under_way.pop(task), task.result()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _request(
    suite: TestSuite, program: str, id: str, limits: Limits, profile: Profile, stop_on_first_failure: bool,
    priority: int,
) -> GradeRequest:  # fmt: skip
    """Raises GradeRefusedError for what the protocol has no place for."""
    try:
        return GradeRequest(
            id=id,
            problem_hash=suite.content_hash(),
            # JSON in UTF-8 has no lone surrogates; nor has a Python file, so nothing right becomes wrong.
            program=program.encode("utf-8", "replace").decode(),
            profile=profile,
            limits=limits,
            stop_on_first_failure=stop_on_first_failure,
            priority=priority,
        )
    except (ValidationError, ValueError) as error:
        raise GradeRefusedError(str(error)) from error


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds to wait before the next attempt, spread so that many clients do not come back at once."""
    grown = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 10))
    return max(asked or 0.0, grown) * random.uniform(0.7, 1.3)
