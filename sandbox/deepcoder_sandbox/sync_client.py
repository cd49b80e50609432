"""The client of grading servers for scripts: SandboxClient, driven by a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from types import AsyncGeneratorType, TracebackType
from typing import Any, cast

from anyio.from_thread import start_blocking_portal

from deepcoder_api.grading import GradeResult, IsolationReport, Limits, Profile
from deepcoder_api.problems import TestSuite
from deepcoder_sandbox.client import GradeItem, SandboxClient
from deepcoder_sandbox.client_errors import SandboxError


class SyncSandboxClient:
    """As SandboxClient, with the same arguments, errors and bounds. Any thread may use it. Use as a context manager."""

    def __init__(self, urls: str | Sequence[str], **options: Any) -> None:
        """`options` are SandboxClient's. Raises ValueError without a URL, or for one that is none."""
        self._ends = ExitStack()
        self._closed = False
        client = SandboxClient(urls, **options)
        self._portal = self._ends.enter_context(start_blocking_portal())
        self._client = self._ends.enter_context(self._portal.wrap_async_context_manager(client))

    def __enter__(self) -> SyncSandboxClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._ends.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close all connections and end the thread."""
        self.__exit__(None, None, None)

    def grade(
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
        """As SandboxClient.grade."""
        return self._portal.call(
            partial(
                self._client.grade,
                suite,
                program,
                id=id,
                limits=limits,
                deadline_seconds=deadline_seconds,
                profile=profile,
                stop_on_first_failure=stop_on_first_failure,
            )
        )

    def grade_many(
        self,
        items: Iterable[GradeItem],
        *,
        limits: Limits,
        deadline_seconds: float,
        profile: Profile = "strict",
        stop_on_first_failure: bool = True,
    ) -> Iterator[tuple[int, GradeResult | SandboxError]]:
        """As SandboxClient.grade_many. Grades go on while the caller looks at one; our thread reads `items`."""
        graded = self._client.grade_many(
            items,
            limits=limits,
            deadline_seconds=deadline_seconds,
            profile=profile,
            stop_on_first_failure=stop_on_first_failure,
        )
        step = None
        try:
            while True:
                step = self._portal.start_task_soon(graded.__anext__)
                try:
                    outcome = step.result()
                except StopAsyncIteration:
                    return
                yield outcome
        finally:
            if not self._closed:  # else all of it has ended with the client
                if step:
                    step.cancel()
                self._portal.call(_close, cast("AsyncGeneratorType[Any, None]", graded))

    def isolation(self, *, deadline_seconds: float = 10.0) -> IsolationReport:
        """As SandboxClient.isolation."""
        return self._portal.call(partial(self._client.isolation, deadline_seconds=deadline_seconds))


async def _close(graded: AsyncGeneratorType[Any, None]) -> None:
    while graded.ag_running:  # noqa: ASYNC110 - a step that was interrupted is still on its way out
        await asyncio.sleep(0.01)
    await graded.aclose()
