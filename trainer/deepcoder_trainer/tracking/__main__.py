"""`python -m deepcoder_trainer.tracking`: one tracker, fed by its standard input until that ends.

The first line is a `Tracking`, each later one the figures of a step; a line ENDED says that the run has trained its
last step. What a tool's client raises is told in the log and tried again with the next step; whatever it does, this
process is gone a while after its input has ended.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from deepcoder_api.artifacts import StepFigures
from deepcoder_data.termination import configure_logging
from deepcoder_trainer.tracking.tracker import ENDED, Tracker, Tracking

FINISH_SECONDS = 60.0
log = structlog.get_logger("tracking")


class Feed:
    """Hands steps to a tracker in order, each once, and keeps those that it did not take."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._last: int | None = None
        self._waiting: list[StepFigures] = []
        self._said = ""

    def add(self, figures: StepFigures) -> None:
        """A step is over. Never raises."""
        self._waiting.append(figures)
        self._hand_over()

    def close(self, *, ended: bool) -> None:
        """There are no more steps. Never raises."""
        if self._hand_over():
            try:
                self._tracker.close(ended=ended)
            except Exception as error:  # a client may raise anything, and nothing of the run depends on it
                self._tell(error)

    def _hand_over(self) -> bool:
        """Whether the tracker has all there is."""
        try:
            if self._last is None:
                self._last = self._tracker.open()
            while self._waiting:
                if self._waiting[0].step > self._last:
                    self._tracker.log(self._waiting[0])
                    self._last = self._waiting[0].step
                self._waiting.pop(0)
        except Exception as error:  # as above
            self._tell(error)
            return False
        return True

    def _tell(self, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}"[:500]
        if cause != self._said:
            log.warning("figures were not handed over", cause=cause, waiting=len(self._waiting))
        self._said = cause


def follow(feed: Feed, lines: Iterable[str]) -> None:
    """Feed what the lines say, to their end."""
    ended = False
    for line in lines:
        if line.strip() == ENDED:
            ended = True
        else:
            feed.add(StepFigures.model_validate_json(line))
    feed.close(ended=ended)


def tracker_of(tracking: Tracking, folder: Path) -> Tracker:
    """The tracker that is asked for. Raises ImportError without the extra of its name."""
    if tracking.wandb is not None:
        from deepcoder_trainer.tracking.wandb_tracker import WandbTracker

        return WandbTracker(tracking.run, tracking.wandb, folder)
    assert tracking.mlflow is not None, "one of the tools is given"
    from deepcoder_trainer.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(tracking.run, tracking.mlflow.url, tracking.mlflow.experiment)


def main() -> None:
    """Follow standard input."""
    configure_logging()
    tracking = Tracking.model_validate_json(sys.stdin.readline())
    structlog.contextvars.bind_contextvars(run=tracking.run.name, tracker="wandb" if tracking.wandb else "mlflow")
    with tempfile.TemporaryDirectory(prefix="deepcoder-tracking-", ignore_cleanup_errors=True) as folder:
        try:
            feed = Feed(tracker_of(tracking, Path(os.environ.get("WANDB_DIR", folder))))
        except ImportError as error:
            log.error("figures are not sent: the tool's client is not installed", cause=str(error))
            return
        follow(feed, _until_the_end())


def _until_the_end() -> Iterable[str]:
    yield from sys.stdin
    # A client that never gives up, or waits for a server at its end, holds nobody up.
    watchdog = threading.Timer(FINISH_SECONDS, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()


if __name__ == "__main__":
    main()
