"""A problem's checker program, in a process of its own: it decides where several answers are right."""

from __future__ import annotations

import json
import time
from typing import Any

from deepcoder_api.grading import Limits
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.plain_data import NotPlainDataError, encode
from deepcoder_sandbox.program_run import MIB, ProgramRun, pump, started

# A checker reads what a program may write, and works out for itself whether it is right.
CHECK_LIMITS = Limits(timeout_seconds=20, memory_mib=2048, output_mib=4, processes=16)


class Checker:
    """The checker of one problem. Its process starts with the first answer, anew after one that it did not survive."""

    def __init__(self, launcher: Launcher, source: str) -> None:
        self._launcher = launcher
        self._source = source
        self._run: ProgramRun | None = None

    def objection(self, input: Any, output: Any, expected: Any) -> str | None:
        """Why `output` is not right, for people; None when it is. Raises LauncherFailedError."""
        try:
            question = encode([input, output, expected])
        except NotPlainDataError as error:
            return str(error)
        run = self._running()
        run.channel.send(question)
        channel = run.channel
        deadline = time.monotonic() + CHECK_LIMITS.timeout_seconds
        if not pump([run], lambda: channel.answered, deadline) or not channel.frames:
            self.close()
            return f"the problem's checker gave no answer within {CHECK_LIMITS.timeout_seconds:g} s and its memory"
        answer = json.loads(channel.frames.pop(0))
        return None if answer["right"] else answer["detail"]

    def close(self) -> None:
        """End the process. Raises LauncherFailedError."""
        if self._run is not None:
            run, self._run = self._run, None
            run.close()

    def _running(self) -> ProgramRun:
        if self._run is None:
            launcher = self._launcher.beside.suited_to(self._source)
            # Each answer has its own bound; the process may live through hundreds of them.
            task = {"checker": self._source, "max_bytes": 256 * MIB}
            cpu_seconds = 100 * CHECK_LIMITS.timeout_seconds
            self._run = started(launcher, "check", task, CHECK_LIMITS, cpu_seconds=cpu_seconds)
        return self._run
