"""What can go wrong with the cluster, by what helps.

ClusterError                 the API server did not do what was asked
|- RetryableError            a retry may help: network, time-out, 401 (a token is renewed meanwhile), 429, 5xx
|  `- ConflictError          409: somebody else was faster, also at a quota that a create counts on; read again
|- NotFoundError             404
|- AlreadyExistsError        409 on a create whose name is taken
`- RefusedError              400, 403, 405, 413, 415, 422: the same request is refused again
"""

from __future__ import annotations

import json
from typing import Any, cast


class ClusterError(Exception):
    """`status` is the HTTP status, 0 when there was no answer; `message` the API server's own words."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {message} (HTTP {status})" if status else f"{what}: {message}")
        self.status = status
        self.message = message


class RetryableError(ClusterError):
    """A retry may help."""


class ConflictError(RetryableError):
    """The object changed since it was read."""


class NotFoundError(ClusterError):
    """There is no such object, or no such kind."""


class AlreadyExistsError(ClusterError):
    """An object of this name is there already."""


class RefusedError(ClusterError):
    """The request is refused, and would be again."""

    @property
    def may_heal(self) -> bool:
        """Whether it was refused for a state of the namespace that others change: a quota, or its deletion."""
        return "exceeded quota" in self.message or "is being terminated" in self.message


def from_response(what: str, method: str, status: int, body: bytes | str) -> ClusterError:
    """The error that an HTTP answer stands for."""
    reason, message = _told(body)
    match status:
        case 404:
            return NotFoundError(what, status, message)
        case 409 if method == "POST" and reason != "Conflict":
            return AlreadyExistsError(what, status, message)
        case 409:
            return ConflictError(what, status, message)
        case 400 | 403 | 405 | 413 | 415 | 422:
            return RefusedError(what, status, message)
        case _:
            return RetryableError(what, status, message)


def _told(body: bytes | str) -> tuple[str, str]:
    """Reason and message of a metav1.Status; no reason and the text as it is when the body is something else."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        answer = json.loads(text)
    except ValueError:
        return "", text[:500]
    if not isinstance(answer, dict):
        return "", text[:500]
    status = cast("dict[str, Any]", answer)
    return str(status.get("reason", "")), str(status.get("message", text[:500]))
