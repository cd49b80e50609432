"""The run's side of its trackers: lines to their processes, which are left behind when they do not keep up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Sequence

import structlog

from deepcoder_api.artifacts import StepFigures
from deepcoder_trainer.tracking.tracker import ENDED, Tracking

CLOSE_SECONDS = 30.0
BUFFERED_BYTES = 16 * 1024**2
"""What a tracker may be behind: some ten thousand steps."""
NOT_THEIRS = ("AWS_", "HF_TOKEN")
log = structlog.get_logger("tracking")


class TrackerLinks:
    """The trackers of one attempt. Nothing here raises, and only `close` waits."""

    def __init__(self, trackings: Sequence[Tracking], close_seconds: float = CLOSE_SECONDS) -> None:
        self._trackings = trackings
        self._close_seconds = close_seconds
        self._processes: list[asyncio.subprocess.Process] = []

    async def open(self, steps: Iterable[StepFigures]) -> None:
        """Start the processes and tell them of the steps so far: what a tool has, it is not given again."""
        for tracking in self._trackings:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "deepcoder_trainer.tracking"),
                    stdin=asyncio.subprocess.PIPE, start_new_session=True, env=_environment(),
                )  # fmt: skip
            except OSError as error:
                log.warning("a tracker was not started", cause=str(error))
                continue
            self._processes.append(process)
            self._write(process, tracking.model_dump_json())
        for figures in steps:
            self.add(figures)

    def add(self, figures: StepFigures) -> None:
        """A step is over."""
        line = figures.model_dump_json()
        for process in self._processes:
            self._write(process, line)

    async def close(self, *, ended: bool) -> None:
        """Wait a while for what is not handed over; then the processes are gone."""
        for process in self._processes:
            if ended:
                self._write(process, ENDED)
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(self._end(process) for process in self._processes))
        self._processes = []

    def _write(self, process: asyncio.subprocess.Process, line: str) -> None:
        assert process.stdin is not None
        if process.returncode is None and process.stdin.transport.get_write_buffer_size() < BUFFERED_BYTES:
            process.stdin.write(f"{line}\n".encode())

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self._close_seconds):
                code = await process.wait()
            if code:
                log.warning("a tracker failed", exit_code=code)
        except TimeoutError:
            log.warning("a tracker did not hand over all figures", seconds=self._close_seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what its client has started
        await process.wait()


def _environment() -> dict[str, str]:
    """Ours, without the bucket's and the model's keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_THEIRS)}
