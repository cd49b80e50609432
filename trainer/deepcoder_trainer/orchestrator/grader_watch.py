"""Whether the grading servers fail by themselves: looked at by the clock, for a step whose grades fail does not end."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from deepcoder_sandbox.client import AttemptCounts
from deepcoder_trainer.orchestrator.guards import Finding
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress

LOOK_SECONDS = 15.0
WINDOW_SECONDS = 600.0
MOST_SHARE = 0.01
LEAST_ERRORS = 5
NAME = "GraderFails"
log = structlog.get_logger("grader")


class GraderErrors:
    """The share of attempts in the last WINDOW_SECONDS that ended in internal_error. Pure."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, AttemptCounts]] = deque()

    def look(self, now: float, counts: AttemptCounts) -> Finding | None:
        """What is wrong, given the counts since the client began; `now` in seconds of a clock that does not go back."""
        self._seen.append((now, counts))
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        _, before = self._seen[0]
        errors = counts.internal_errors - before.internal_errors
        attempts = errors + counts.graded - before.graded
        if errors < LEAST_ERRORS or errors <= MOST_SHARE * attempts:
            return None
        return Finding(
            NAME,
            f"{errors} of {attempts} attempts at a grade in the last {WINDOW_SECONDS / 60:.0f} min ended in "
            f"internal_error, above {MOST_SHARE:.0%}; they are made again, and the sandbox pods' logs say why",
        )


class GraderWatch:
    """Tells in progress and metrics what GraderErrors finds in the counts of a client."""

    def __init__(self, counts: Callable[[], AttemptCounts], progress: RunProgress, metrics: RunMetrics) -> None:
        self._counts = counts
        self._progress = progress
        self._metrics = metrics

    async def watch(self) -> None:
        """Look every LOOK_SECONDS, until cancelled."""
        errors = GraderErrors()
        while True:
            self.tell(errors.look(time.monotonic(), self._counts()))
            await asyncio.sleep(LOOK_SECONDS)

    def tell(self, finding: Finding | None) -> None:
        """Show a finding, or that there is none any more."""
        if finding is not None and self._progress.grader is None:
            log.warning("guard", finding=finding.name, text=finding.text)
        self._progress.grader = str(finding) if finding else None
        self._metrics.warnings.labels(NAME).set(float(finding is not None))
