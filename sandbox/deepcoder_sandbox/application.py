"""The HTTP face of the grading server: parses, refuses, delegates. The protocol is in deepcoder_api.grading."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deepcoder_api.grading import GradeRequest, GradeResult, IsolationReport
from deepcoder_api.problems import MAX_TEST_BYTES, TestSuite
from deepcoder_sandbox.batch import MAX_BATCH_BYTES, BatchResponse, read_lines
from deepcoder_sandbox.grading_pool import GradingPool
from deepcoder_sandbox.grading_queue import QueueFullError
from deepcoder_sandbox.problem_cache import ProblemCache, SuiteRefusedError
from deepcoder_sandbox.refusals import RefusedError, parse, read_body

# A program of 1 MiB may take six bytes a character in JSON.
MAX_GRADE_BYTES = 8 * 1024 * 1024
MAX_SUITE_BYTES = 4 * MAX_TEST_BYTES
CLIENT_CLOSED_REQUEST = 499
T = TypeVar("T")


class GradingApplication:
    """Routes over a pool and a cache. `isolation` is None until the canary has spoken."""

    def __init__(self, pool: GradingPool, cache: ProblemCache, registry: CollectorRegistry) -> None:
        self.pool = pool
        self.cache = cache
        self.isolation: IsolationReport | None = None
        self.draining = False
        self._registry = registry
        self._refused = Counter(
            "deepcoder_sandbox_refused", "Requests refused, lines of batches too.", ["status"], registry=registry
        )
        ready = Gauge("deepcoder_sandbox_ready", "1 while grades are accepted.", registry=registry)
        ready.set_function(lambda: float(self.unready_reason() is None))

    def starlette(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/problems/{hash}", self._put_problem, methods=["PUT"]),
                Route("/v1/grade", self._grade, methods=["POST"]),
                Route("/v1/grades", self._grade_batch, methods=["POST"]),
                Route("/v1/isolation", self._isolation),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={RefusedError: self._answer_refused},
        )

    def unready_reason(self) -> str | None:
        """Why no grade is accepted now; None when they are."""
        if self.draining:
            return "draining"
        if self.isolation is None:
            return "isolation is not verified yet"
        if self.isolation.required and not self.isolation.verified:
            return "isolation failed: " + "; ".join(self.isolation.failures)
        return None

    async def drain(self, seconds: float) -> bool:
        """Accept no more and answer all that was accepted: whether it was finished within `seconds`.

        What was not is handed back as internal_error, so that its sender asks another server.
        """
        self.draining = True
        return await self.pool.drain(seconds)

    async def _put_problem(self, request: Request) -> Response:
        body = await read_body(request, MAX_SUITE_BYTES)
        try:  # in a thread: a suite of megabytes must not keep grades and probes waiting
            suite = await asyncio.to_thread(parse, TestSuite, body)
            new = await asyncio.to_thread(self.cache.put, request.path_params["hash"], suite)
        except SuiteRefusedError as error:
            raise RefusedError(error.status, str(error)) from error
        return JSONResponse({"new": new}, status_code=201 if new else 200)

    async def _grade(self, request: Request) -> Response:
        self._check_ready()
        wanted = parse(GradeRequest, await read_body(request, MAX_GRADE_BYTES))
        result = await _while_connected(request, self._grade_one(wanted))
        if result is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return Response(result.model_dump_json(), media_type="application/json")

    async def _grade_batch(self, request: Request) -> Response:
        self._check_ready()
        body = await read_body(request, MAX_BATCH_BYTES)
        lines = await asyncio.to_thread(read_lines, body, MAX_GRADE_BYTES)
        return BatchResponse(lines, self._grade_one, self._count_refused)

    async def _grade_one(self, wanted: GradeRequest) -> GradeResult:
        self._check_ready()  # a body that came slowly may have outlasted the server's readiness
        suite = self.cache.get(wanted.problem_hash)
        if suite is None:
            raise RefusedError(404, "unknown problem hash: put the suite and ask again")
        try:
            return await self.pool.grade(suite, wanted)
        except QueueFullError as full:
            raise RefusedError(429, "the queue is full", full.retry_after) from full

    def _check_ready(self) -> None:
        if reason := self.unready_reason():
            raise RefusedError(503, reason, retry_after=1)

    async def _isolation(self, request: Request) -> Response:
        if self.isolation is None:
            raise RefusedError(503, "isolation is not verified yet", retry_after=1)
        return Response(self.isolation.model_dump_json(), media_type="application/json")

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        if reason := self.unready_reason():
            raise RefusedError(503, reason)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")

    async def _answer_refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        self._count_refused(error.status)
        return JSONResponse({"error": error.reason}, status_code=error.status, headers=error.headers)

    def _count_refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` comes to; None when the caller hangs up first, which cancels it. The body must have been read."""
    working, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
