"""One grading server as the client sees it: its connections, its load, and one attempt at a grade."""

from __future__ import annotations

import time

import httpx
from pydantic import ValidationError

from deepcoder_api.connections import SILENT_SECONDS, keepalive_options
from deepcoder_api.grading import GradeResult, IsolationReport, Verdict
from deepcoder_api.problems import TestSuite, canonical_json
from deepcoder_sandbox.client_errors import GradeRefusedError, Reason, TryAgainError

REFUSED = frozenset({400, 413, 422})
REASONS: dict[int, Reason] = {429: "queue_full", 503: "unready"}
FIRST_AWAY_SECONDS = 1.0
LONGEST_AWAY_SECONDS = 30.0
JSON = {"content-type": "application/json"}


class Replica:
    """A server at http://, https:// or unix://. `host` is the name it was found by, where the URL holds an address.

    It is lost when its kernel says nothing for `silent_seconds`. `in_flight` grades are ours; until `away_until` other
    servers come first.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        connect_seconds: float,
        silent_seconds: int = SILENT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
        host: str | None = None,
    ) -> None:
        from deepcoder_api.http_transport import AiohttpTransport  # a quarter of a second of every command line's start

        socket_path = url.removeprefix("unix://") if url.startswith("unix://") else None
        self.url = url
        self.in_flight = 0
        self.away_until = 0.0
        self._losses = 0
        self._lost = 0.0
        self._connect_seconds = connect_seconds
        self._http = httpx.AsyncClient(
            base_url="http://sandbox" if socket_path else url,
            transport=transport
            or AiohttpTransport(
                connections=connections,
                socket_options=() if socket_path else keepalive_options(silent_seconds),
                unix_socket=socket_path,
                certificates=url.startswith("https://"),
            ),
            headers={"host": host} if host else None,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def grade(self, body: bytes, suite: TestSuite, content_hash: str, deadline: float) -> GradeResult:
        """One attempt; the suite is put where the server lacks it. Raises TryAgainError and GradeRefusedError."""
        begun = time.monotonic()
        self.in_flight += 1
        try:
            response = await self._post(body, deadline)
            if response.status_code == 404:
                await self._put(suite, content_hash, deadline)
                response = await self._post(body, deadline)
        except httpx.HTTPError as error:
            self._lose(begun)
            raise TryAgainError("connection", f"{self.url}: {type(error).__name__}: {error}") from error
        finally:
            self.in_flight -= 1
        self._losses = 0
        return self._result(response)

    async def isolation(self, deadline: float) -> IsolationReport:
        """One attempt at the isolation report. Raises TryAgainError."""
        try:
            response = await self._http.get("/v1/isolation", timeout=self._timeout(deadline))
            if response.status_code == 200:
                return IsolationReport.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise TryAgainError("connection", f"{self.url}: {type(error).__name__}: {error}") from error
        raise self._unanswered(response)

    async def _post(self, body: bytes, deadline: float) -> httpx.Response:
        return await self._http.post("/v1/grade", content=body, headers=JSON, timeout=self._timeout(deadline))

    async def _put(self, suite: TestSuite, content_hash: str, deadline: float) -> None:
        response = await self._http.put(
            f"/v1/problems/{content_hash}",
            content=canonical_json(suite).encode("utf-8", "surrogatepass"),
            headers=JSON,
            timeout=self._timeout(deadline),
        )
        if response.status_code in REFUSED:
            raise GradeRefusedError(f"{self.url} refuses the suite: {response.text[:500]}")
        if response.status_code not in (200, 201):
            raise self._unanswered(response)

    def _result(self, response: httpx.Response) -> GradeResult:
        if response.status_code in REFUSED:
            raise GradeRefusedError(f"{self.url} refuses the request: {response.text[:500]}")
        if response.status_code != 200:
            raise self._unanswered(response)
        try:
            result = GradeResult.model_validate_json(response.content)
        except ValidationError as error:
            raise TryAgainError("no_grade", f"{self.url} gave no grade: {error}") from error
        if result.verdict is Verdict.INTERNAL_ERROR:
            raise TryAgainError("internal_error", f"{self.url} failed: {result.detail}")
        return result

    def _unanswered(self, response: httpx.Response) -> TryAgainError:
        pause = _retry_after(response)
        self._leave_alone(pause or FIRST_AWAY_SECONDS)
        reason = REASONS.get(response.status_code, "server_error")
        return TryAgainError(reason, f"{self.url} answered {response.status_code}: {response.text[:200]}", pause)

    def _lose(self, begun: float) -> None:
        """Leave it alone, longer each time. All attempts that were under way at once are one loss."""
        if begun < self._lost:
            return
        self._leave_alone(FIRST_AWAY_SECONDS * 2 ** min(self._losses, 10))
        self._losses += 1
        self._lost = time.monotonic()

    def _leave_alone(self, seconds: float) -> None:
        self.away_until = time.monotonic() + min(seconds, LONGEST_AWAY_SECONDS)

    def _timeout(self, deadline: float) -> httpx.Timeout:
        rest = max(0.01, deadline - time.monotonic())
        return httpx.Timeout(rest, connect=min(rest, self._connect_seconds))


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None
