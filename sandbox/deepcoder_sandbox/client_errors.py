"""What the client of grading servers raises.

SandboxError
├── GradeUnavailableError   no server gave a grade before the deadline: asking again later may help
└── GradeRefusedError       a server refused the suite or the request as it stands: asking again cannot help
"""

from __future__ import annotations

from typing import Literal

Reason = Literal["unresolved", "connection", "queue_full", "unready", "server_error", "no_grade", "internal_error"]


class SandboxError(Exception):
    """Anything the client raises."""


class GradeUnavailableError(SandboxError):
    """No server gave a grade before the deadline. The program is not graded: neither right nor wrong."""


class GradeRefusedError(SandboxError):
    """A server refused the suite or the request as it stands, with its reason. Asking again cannot help."""


class TryAgainError(Exception):
    """An attempt that failed; another may not. It never leaves the client. `pause` is what the server asked for."""

    def __init__(self, reason: Reason, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.pause = pause
