"""The asynchronous client of grading servers: pooled, bounded, and never taking silence for a wrong answer.

SandboxError
├── GradeUnavailableError   no server gave a grade before the deadline: asking again later may help
└── GradeRefusedError       a server refused the suite or the request as it stands: asking again cannot help
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from types import TracebackType

import httpx
import structlog
from pydantic import ValidationError

from deepcoder_api.grading import GradeRequest, GradeResult, IsolationReport, Limits, Profile, Verdict
from deepcoder_api.problems import TestSuite, canonical_json

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
WARN_EVERY_SECONDS = 10.0
REFUSED = frozenset({400, 413, 422})
log = structlog.get_logger()


class SandboxError(Exception):
    """Anything this client raises."""


class GradeUnavailableError(SandboxError):
    """No server gave a grade before the deadline. The program is not graded: neither right nor wrong."""


class GradeRefusedError(SandboxError):
    """A server refused the suite or the request as it stands, with its reason. Asking again cannot help."""


class _TryAgainError(Exception):
    """This attempt failed; another may not. `pause` is what the server asked for, in seconds."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _Replica:
    """One server, its connections, and how many grades it has of ours."""

    def __init__(self, url: str, connections: int, transport: httpx.AsyncBaseTransport | None) -> None:
        socket_path = url.removeprefix("unix://") if url.startswith("unix://") else None
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self.url = url
        self.in_flight = 0
        self.away_until = 0.0
        self.http = httpx.AsyncClient(
            base_url="http://sandbox" if socket_path else url,
            transport=transport or httpx.AsyncHTTPTransport(uds=socket_path, limits=limits),
            trust_env=False,
        )


class SandboxClient:
    """Grades programs on one or more servers, at most `max_in_flight` at once. Use as an async context manager.

    URLs are http://host:port or unix:///path. Give a Service's URL alone, or the replicas' own to spread by load.
    `transport` takes the network's place, as in httpx: for tests, and for an application in the same process.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        max_in_flight: int = 64,
        connect_seconds: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises ValueError without a URL."""
        listed = [urls] if isinstance(urls, str) else list(urls)
        if not listed:
            raise ValueError("SandboxClient needs at least one URL")
        self._replicas = [_Replica(url, max_in_flight, transport) for url in listed]
        self._slots = asyncio.Semaphore(max_in_flight)
        self._connect_seconds = connect_seconds

    async def __aenter__(self) -> SandboxClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for replica in self._replicas:
            await replica.http.aclose()

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
    ) -> GradeResult:
        """The grade of `program`. Never internal_error: that is asked for again, as are all failures that may heal.

        Raises GradeUnavailableError after `deadline_seconds`, and GradeRefusedError for what no server takes.
        """
        content_hash = suite.content_hash()
        try:
            request = GradeRequest(
                id=id,
                problem_hash=content_hash,
                # JSON in UTF-8 has no lone surrogates; nor has a Python file, so nothing right becomes wrong.
                program=program.encode("utf-8", "replace").decode(),
                profile=profile,
                limits=limits,
                stop_on_first_failure=stop_on_first_failure,
            )
            body = request.model_dump_json().encode()
        except (ValidationError, ValueError) as error:
            raise GradeRefusedError(str(error)) from error
        deadline = time.monotonic() + deadline_seconds
        last_reason = "every slot of this client was taken"
        try:
            async with asyncio.timeout(deadline_seconds), self._slots:
                attempt, warned = 0, time.monotonic()
                while True:
                    attempt += 1
                    try:
                        return await self._attempt(suite, content_hash, body, deadline)
                    except _TryAgainError as failed:
                        last_reason = str(failed)
                        if time.monotonic() - warned > WARN_EVERY_SECONDS:
                            warned = time.monotonic()
                            log.warning("waiting for a grade", id=id, attempts=attempt, reason=last_reason)
                        await asyncio.sleep(_pause(attempt, failed.pause))
        except TimeoutError:
            raise GradeUnavailableError(f"no grade for {id} within {deadline_seconds:g} s: {last_reason}") from None

    async def isolation(self, *, deadline_seconds: float = 10.0) -> IsolationReport:
        """The isolation report; of several servers one that is not verified, if any. Raises GradeUnavailableError."""
        reports = [await self._isolation(replica, deadline_seconds) for replica in self._replicas]
        return next((report for report in reports if not report.verified), reports[0])

    async def _isolation(self, replica: _Replica, seconds: float) -> IsolationReport:
        deadline, reason = time.monotonic() + seconds, "no answer"
        while time.monotonic() < deadline:
            try:
                response = await replica.http.get("/v1/isolation", timeout=self._timeout(deadline))
                if response.status_code == 200:
                    return IsolationReport.model_validate_json(response.content)
                reason = f"status {response.status_code}: {response.text[:200]}"
            except httpx.HTTPError as error:
                reason = _reason(error)
            await asyncio.sleep(0.1)
        raise GradeUnavailableError(f"{replica.url} gives no isolation report within {seconds:g} s: {reason}")

    async def _attempt(self, suite: TestSuite, content_hash: str, body: bytes, deadline: float) -> GradeResult:
        now = time.monotonic()
        replica = min(self._replicas, key=lambda one: (one.away_until > now, one.in_flight, random.random()))
        replica.in_flight += 1
        try:
            response = await self._post(replica, body, deadline)
            if response.status_code == 404:
                await self._put(replica, suite, content_hash, deadline)
                response = await self._post(replica, body, deadline)
        except httpx.HTTPError as error:
            replica.away_until = time.monotonic() + 1.0
            raise _TryAgainError(f"{replica.url}: {_reason(error)}") from error
        finally:
            replica.in_flight -= 1
        return _result(replica, response)

    async def _post(self, replica: _Replica, body: bytes, deadline: float) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await replica.http.post("/v1/grade", content=body, headers=headers, timeout=self._timeout(deadline))

    async def _put(self, replica: _Replica, suite: TestSuite, content_hash: str, deadline: float) -> None:
        response = await replica.http.put(
            f"/v1/problems/{content_hash}",
            content=canonical_json(suite).encode("utf-8", "surrogatepass"),
            headers={"content-type": "application/json"},
            timeout=self._timeout(deadline),
        )
        if response.status_code in REFUSED:
            raise GradeRefusedError(f"{replica.url} refuses the suite: {response.text[:500]}")
        if response.status_code not in (200, 201):
            raise _TryAgainError(f"{replica.url} answered {response.status_code}", _retry_after(response))

    def _timeout(self, deadline: float) -> httpx.Timeout:
        rest = max(0.01, deadline - time.monotonic())
        return httpx.Timeout(rest, connect=min(rest, self._connect_seconds))


def _result(replica: _Replica, response: httpx.Response) -> GradeResult:
    if response.status_code in REFUSED:
        raise GradeRefusedError(f"{replica.url} refuses the request: {response.text[:500]}")
    if response.status_code != 200:
        reason = f"{replica.url} answered {response.status_code}: {response.text[:200]}"
        pause = _retry_after(response)
        replica.away_until = time.monotonic() + (pause or 1.0)  # another server, if there is one, comes first
        raise _TryAgainError(reason, pause)
    try:
        result = GradeResult.model_validate_json(response.content)
    except ValidationError as error:
        raise _TryAgainError(f"{replica.url} gave no grade: {error}") from error
    if result.verdict is Verdict.INTERNAL_ERROR:
        raise _TryAgainError(f"{replica.url} failed: {result.detail}")
    return result


def _pause(attempt: int, asked: float | None) -> float:
    """Seconds to wait before the next attempt, spread so that many clients do not come back at once."""
    grown = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 10))
    return max(asked or 0.0, grown) * random.uniform(0.7, 1.3)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
