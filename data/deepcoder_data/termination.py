"""How a process of ours ends: its termination message is written, and its exit code says whether a retry can help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import structlog

from deepcoder_api.lifecycle import EXIT_CODES, TERMINATION_LOG, TerminationMessage
from deepcoder_api.log_stream import standard_error

LIMIT_BYTES = 4096  # what Kubernetes keeps of a termination message
log = structlog.get_logger("process")


class PermanentError(Exception):
    """A failure that another attempt would meet again. `reason` is one word for machines."""

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason


class RetryableError(PermanentError):
    """A failure that another attempt may not meet."""


def configure_logging() -> None:
    """JSON lines on standard error, one event each; one that cannot be written is lost."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(standard_error()),
    )


def write_message(message: TerminationMessage) -> None:
    """Leave the message where Kubernetes looks for it; a place that cannot be written is no error."""
    while len((content := message.model_dump_json(exclude_defaults=True)).encode()) > LIMIT_BYTES:
        message = _shorter(message)
    try:
        with open(os.environ.get("TERMINATION_LOG", TERMINATION_LOG), "w") as file:
            file.write(content)
    except OSError as error:
        log.debug("termination message not written", error=repr(error))


def _shorter(message: TerminationMessage) -> TerminationMessage:
    """The message with less in it: of the cause, then of the scores by length, then of the scores, the last first."""
    if message.cause:
        return message.model_copy(update={"cause": message.cause[: len(message.cause) // 2]})
    scores = list(message.scores or ())
    if not scores:
        return message.model_copy(update={"uri": None, "best_checkpoint": None})
    detailed = [place for place, score in enumerate(scores) if score.lengths]
    if detailed:
        scores[detailed[-1]] = scores[detailed[-1]].model_copy(update={"lengths": []})
    else:
        scores.pop()
    return message.model_copy(update={"scores": tuple(scores)})


def finish(message: TerminationMessage) -> NoReturn:
    """Write the message and leave with its exit code."""
    write_message(message)
    level = log.info if message.outcome == "done" else log.error
    level("finished", **message.model_dump(exclude_none=True))
    sys.exit(EXIT_CODES[message.outcome])


def run_process(main: Callable[[], TerminationMessage]) -> NoReturn:
    """Run a process's main to its message; PermanentError and RetryableError become one, anything else is retryable."""
    configure_logging()
    try:
        message = main()
    except RetryableError as error:
        message = TerminationMessage(outcome="retryable", reason=error.reason, cause=str(error)[:2048])
    except PermanentError as error:
        message = TerminationMessage(outcome="permanent", reason=error.reason, cause=str(error)[:2048])
    except Exception as error:
        log.exception("unexpected failure")
        message = TerminationMessage(outcome="retryable", reason=type(error).__name__, cause=repr(error)[:2048])
    finish(message)
