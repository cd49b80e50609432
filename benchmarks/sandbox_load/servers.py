"""Local grading servers that are killed in turn and started again in the same place, as nodes are lost and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks import process_tree
from deepcoder_sandbox.local import LocalSandbox, start_local_sandbox

READY_SECONDS = 120.0
START_ARGUMENTS = ("--isolation-deadline-seconds", "60")  # patience with a machine that is loaded on purpose


class Servers:
    """`count` servers, each in a folder of its own that it keeps through all its lives."""

    def __init__(self, count: int, *, workers: int, folder: Path, native: bool = False) -> None:
        self._folders = [folder / f"replica-{number}" for number in range(count)]
        self._workers, self._native = workers, native
        self._running: dict[int, LocalSandbox] = {}
        self.kills = 0
        self.restart_seconds: list[float] = []
        self.mib_at_kills: list[float] = []

    @property
    def urls(self) -> list[str]:
        """Where they are, in every life."""
        return [self._running[number].url for number in sorted(self._running)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of them, until it is left. Raises LocalSandboxError."""
        try:
            for number in range(len(self._folders)):
                await self._start(number)
            yield
        finally:
            for sandbox in self._running.values():
                await asyncio.to_thread(sandbox.stop)

    async def kill_in_turn(self, every_seconds: float, ended: asyncio.Event) -> None:
        """Every so often SIGKILL one and start it again, until `ended`. Raises LocalSandboxError."""
        due = time.monotonic()
        for number in itertools.cycle(range(len(self._folders))):
            due += every_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), due - time.monotonic())
            if ended.is_set():
                return
            begun = time.monotonic()
            sandbox = self._running.pop(number)
            self.mib_at_kills.append(round(process_tree.memory_mib(sandbox.process.pid)))
            await asyncio.to_thread(sandbox.kill)
            self.kills += 1
            await asyncio.to_thread(sandbox.stop)
            await self._start(number)
            self.restart_seconds.append(time.monotonic() - begun)

    def memory_mib(self) -> list[float]:
        """What each that runs holds now."""
        return [round(process_tree.memory_mib(self._running[number].process.pid)) for number in sorted(self._running)]

    async def _start(self, number: int) -> None:
        self._running[number] = await asyncio.to_thread(
            start_local_sandbox,
            native=self._native,
            workers=self._workers,
            ready_seconds=READY_SECONDS,
            arguments=START_ARGUMENTS,
            folder=self._folders[number],
        )
