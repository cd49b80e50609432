"""The HTTP face of the grading server: parses, refuses, delegates. The protocol is in deepcoder_api.grading."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deepcoder_api.grading import GradeRequest, IsolationReport
from deepcoder_api.problems import MAX_TEST_BYTES, TestSuite
from deepcoder_sandbox.grading_pool import GradingPool, QueueFullError
from deepcoder_sandbox.problem_cache import ProblemCache, SuiteRefusedError

# A program of 1 MiB may take six bytes a character in JSON.
MAX_GRADE_BYTES = 8 * 1024 * 1024
MAX_SUITE_BYTES = 4 * MAX_TEST_BYTES
Model = TypeVar("Model", bound=BaseModel)


class RefusedError(Exception):
    """A request that is answered with an error status and its reason."""

    def __init__(self, status: int, reason: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(reason))
        self.status, self.reason, self.headers = status, reason, headers


class GradingApplication:
    """Routes over a pool and a cache. `isolation` is None until the canary has spoken."""

    def __init__(self, pool: GradingPool, cache: ProblemCache, registry: CollectorRegistry) -> None:
        self.pool = pool
        self.cache = cache
        self.isolation: IsolationReport | None = None
        self.draining = False
        self._registry = registry
        size = Gauge("deepcoder_sandbox_cache_bytes", "Bytes of test suites held.", registry=registry)
        size.set_function(lambda: cache.size_bytes)
        ready = Gauge("deepcoder_sandbox_ready", "1 while grades are accepted.", registry=registry)
        ready.set_function(lambda: float(self.unready_reason() is None))

    def starlette(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/problems/{hash}", self._put_problem, methods=["PUT"]),
                Route("/v1/grade", self._grade, methods=["POST"]),
                Route("/v1/isolation", self._isolation),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={RefusedError: _answer_refused},
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
        """Accept no more, wait for what was accepted; whether all of it was finished within `seconds`."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                while self.pool.in_flight:  # noqa: ASYNC110 - the count changes in the pool's threads
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True

    async def _put_problem(self, request: Request) -> Response:
        body = await _body(request, MAX_SUITE_BYTES)
        try:  # in a thread: a suite of megabytes must not keep grades and probes waiting
            suite = await asyncio.to_thread(_parse, TestSuite, body)
            new = await asyncio.to_thread(self.cache.put, request.path_params["hash"], suite)
        except SuiteRefusedError as error:
            raise RefusedError(error.status, str(error)) from error
        return JSONResponse({"new": new}, status_code=201 if new else 200)

    async def _grade(self, request: Request) -> Response:
        if reason := self.unready_reason():
            raise RefusedError(503, reason, {"Retry-After": "1"})
        wanted = _parse(GradeRequest, await _body(request, MAX_GRADE_BYTES))
        suite = self.cache.get(wanted.problem_hash)
        if suite is None:
            raise RefusedError(404, "unknown problem hash: put the suite and ask again")
        try:
            result = await self.pool.grade(suite, wanted)
        except QueueFullError as full:
            raise RefusedError(429, "the queue is full", {"Retry-After": str(full.retry_after)}) from full
        return Response(result.model_dump_json(), media_type="application/json")

    async def _isolation(self, request: Request) -> Response:
        if self.isolation is None:
            raise RefusedError(503, "isolation is not verified yet", {"Retry-After": "1"})
        return Response(self.isolation.model_dump_json(), media_type="application/json")

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        if reason := self.unready_reason():
            raise RefusedError(503, reason)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")


async def _answer_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": error.reason}, status_code=error.status, headers=error.headers)


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise RefusedError(413, f"a body of more than {max_bytes} bytes")
    return bytes(body)


def _parse(kind: type[Model], body: bytes) -> Model:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(422, json.loads(error.json(include_url=False, include_input=False))) from error
