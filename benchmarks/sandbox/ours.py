"""Our grading server, under runsc or natively, asked as the trainer asks it: by SandboxClient over a unix socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx

from benchmarks import process_tree
from benchmarks.sandbox.workload import TIMEOUT_SECONDS, Outcome, Submission
from deepcoder_api.grading import Limits
from deepcoder_api.http_transport import AiohttpTransport
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.local import start_local_sandbox

LIMITS = Limits(timeout_seconds=TIMEOUT_SECONDS)
DEADLINE_SECONDS = 300.0


class CountingTransport(httpx.AsyncBaseTransport):
    """Passes requests on, and adds up the bytes of their bodies and of the answers'."""

    def __init__(self, socket_path: str, connections: int) -> None:
        self._inner = AiohttpTransport(connections=connections, unix_socket=socket_path)
        self.sent = self.received = self.suites = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass one on."""
        response = await self._inner.handle_async_request(request)
        size = int(request.headers.get("content-length", 0))
        if request.method == "PUT":
            self.suites += size
        else:
            self.sent += size
            self.received += int(response.headers.get("content-length", 0))
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@dataclass
class Graded:
    """A number of programs graded in one go. Latencies are seconds, in the order of the programs."""

    seconds: float
    outcomes: list[Outcome] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


class Ours:
    """A server with a worker per core, and a client of it. Use as a context manager."""

    def __init__(self, *, native: bool, workers: int, in_flight: int, runsc: Path | None = None) -> None:
        """`in_flight`: programs that are asked for at once, where a call does not say otherwise."""
        self.name = "ours_native" if native else "ours_gvisor"
        self._in_flight = in_flight
        self._sandbox = start_local_sandbox(native=native, runsc=runsc, workers=workers)
        if self._sandbox.isolated == native:
            self._sandbox.stop()
            raise RuntimeError("gVisor is needed: build/bin/runsc (python3 dev/toolchain.py), and root")
        self.transport = CountingTransport(self._sandbox.url.removeprefix("unix://"), 256)
        self._client = SandboxClient(self._sandbox.url, max_in_flight=256, transport=self.transport)
        self._loop = asyncio.Runner()

    def __enter__(self) -> Ours:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._client.close())
        self._loop.close()
        self._sandbox.stop()

    def grade(self, submissions: Sequence[Submission], in_flight: int | None = None) -> Graded:
        """Grade all, `in_flight` at a time: the next is asked for when one is back."""
        return self._loop.run(self._grade(submissions, in_flight or self._in_flight))

    async def _grade(self, submissions: Sequence[Submission], in_flight: int) -> Graded:
        outcomes: list[Outcome | None] = [None] * len(submissions)
        latencies = [0.0] * len(submissions)
        rest = iter(range(len(submissions)))

        async def worker() -> None:
            for index in rest:
                begun = time.perf_counter()
                outcomes[index] = await self._one(submissions[index])
                latencies[index] = time.perf_counter() - begun

        begun = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        seconds = time.perf_counter() - begun
        return Graded(seconds, [one for one in outcomes if one is not None], latencies)

    async def _one(self, submission: Submission) -> Outcome:
        result = await self._client.grade(
            submission.suite,
            submission.program,
            id=submission.id,
            limits=LIMITS,
            deadline_seconds=DEADLINE_SECONDS,
        )
        return Outcome(result.verdict.value, len(result.tests))

    @property
    def folder(self) -> Path:
        """Where the server's bundle and log are; under runsc its name is the container's, and `state` lies in it."""
        return self._sandbox.log_path.parent

    def memory_mib(self) -> float:
        """Of all processes of the server, and under runsc of gVisor itself."""
        return process_tree.memory_mib(self._sandbox.process.pid)

    def cpu_seconds(self) -> float:
        """Of the same processes so far."""
        return process_tree.cpu_seconds(self._sandbox.process.pid)
