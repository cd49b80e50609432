"""`deepcoder run` as a process of its own, and what it says of attempts and steps."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

_STEP = re.compile(r"\bstep (\d+)/(\d+)\b")
_ATTEMPT = re.compile(r": training, attempt (\d+) ")
FIRST_GUESS_SECONDS = 5.0
END_SECONDS = 120.0
TAIL_LINES = 60


class EndedError(Exception):
    """The run ended before what was waited for."""


@dataclass
class Told:
    """What the lines say of the run `name`: newest attempt, furthest step of any, seconds between new steps."""

    name: str
    attempt: int = 0
    step: int = 0
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    _since: float | None = None

    def hear(self, line: str, now: float) -> None:
        """One line of the run's output, at `now` in seconds of any clock."""
        if not line.startswith(f"{self.name}: "):
            return
        if found := _ATTEMPT.search(line):
            self.attempt = int(found[1])
        elif (found := _STEP.search(line)) and int(found[1]) > self.step:
            if self._since is not None:
                self.gaps.append((now - self._since) / (int(found[1]) - self.step))
            self.step, self._since = int(found[1]), now

    @property
    def seconds_per_step(self) -> float:
        """The usual time from a step to the next: the median, which faults do not move."""
        return statistics.median(self.gaps) if self.gaps else FIRST_GUESS_SECONDS


class LocalRun:
    """One `deepcoder run`."""

    def __init__(self, name: str) -> None:
        self.told = Told(name)
        self.lines: deque[str] = deque(maxlen=TAIL_LINES)
        self.code: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._news = asyncio.Condition()

    @property
    def pid(self) -> int:
        """Its process, the ancestor of all others of the run."""
        assert self._process is not None, "it is started first"
        return self._process.pid

    @contextlib.asynccontextmanager
    async def running(self, command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[None]:
        """Start it; it and all that it started has ended when this is left."""
        self._process = process = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 20,
        )  # fmt: skip
        listening = asyncio.create_task(self._listen(process))
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), END_SECONDS)
            if process.returncode is None:
                process.kill()
            await listening

    async def until(self, step: int, attempt: int, seconds: float) -> None:
        """Wait until `step` is done and `attempt` has begun. Raises EndedError, TimeoutError."""
        async with asyncio.timeout(seconds), self._news:
            while self.told.step < step or self.told.attempt < attempt:
                if self.code is not None:
                    raise EndedError(f"it ended with exit code {self.code} at step {self.told.step}")
                await self._news.wait()

    async def end(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._news:
            while self.code is None:
                await self._news.wait()
        return self.code

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            await self._hear(line.decode(errors="replace").rstrip())
        code = await process.wait()
        async with self._news:
            self.code = code
            self._news.notify_all()

    async def _hear(self, line: str) -> None:
        async with self._news:
            self.lines.append(line)
            self.told.hear(line, time.monotonic())
            self._news.notify_all()
