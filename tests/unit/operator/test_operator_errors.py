"""What an answer of the API server means to who asked."""

from __future__ import annotations

import json

import pytest

from deepcoder_operator.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    NotFoundError,
    RefusedError,
    RetryableError,
    from_response,
)


def answer(message: str, reason: str = "") -> bytes:
    return json.dumps({"kind": "Status", "status": "Failure", "message": message, "reason": reason}).encode()


@pytest.mark.parametrize(
    ("method", "status", "reason", "kind"),
    [
        ("GET", 404, "NotFound", NotFoundError),
        ("POST", 404, "NotFound", NotFoundError),
        ("POST", 409, "AlreadyExists", AlreadyExistsError),
        # A quota that another create counted on at the same moment.
        ("POST", 409, "Conflict", ConflictError),
        ("PATCH", 409, "Conflict", ConflictError),
        ("DELETE", 409, "Conflict", ConflictError),
        ("POST", 400, "BadRequest", RefusedError),
        ("GET", 401, "Unauthorized", RetryableError),
        ("POST", 403, "Forbidden", RefusedError),
        ("POST", 405, "MethodNotAllowed", RefusedError),
        ("POST", 413, "RequestEntityTooLarge", RefusedError),
        ("PATCH", 415, "UnsupportedMediaType", RefusedError),
        ("POST", 422, "Invalid", RefusedError),
        ("GET", 408, "Timeout", RetryableError),
        ("GET", 410, "Expired", RetryableError),
        ("GET", 429, "TooManyRequests", RetryableError),
        ("GET", 500, "InternalError", RetryableError),
        ("GET", 503, "ServiceUnavailable", RetryableError),
        ("GET", 504, "Timeout", RetryableError),
    ],
)
def test_what_helps_follows_from_the_answer(method: str, status: int, reason: str, kind: type[ClusterError]) -> None:
    """The type says whether a retry may help; a 403 or 422 is never tried as if it could heal."""
    error = from_response("create Job a", method, status, answer("no", reason))
    assert type(error) is kind
    assert (error.status, error.message) == (status, "no")
    assert str(error) == f"create Job a: no (HTTP {status})"


def test_a_conflict_may_be_tried_again() -> None:
    """After another read."""
    assert issubclass(ConflictError, RetryableError)
    assert not issubclass(RefusedError, RetryableError)
    assert not issubclass(AlreadyExistsError, RetryableError)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"upstream connect error", "upstream connect error"),
        ("<html>" + "x" * 1000, "<html>" + "x" * 494),
        (b"[1]", "[1]"),
        (b'{"kind": "Other"}', '{"kind": "Other"}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_an_answer_that_is_no_status_is_told_as_it_is(body: bytes | str, message: str) -> None:
    """A proxy's own words, cut to what a log line may hold."""
    assert from_response("list pods", "GET", 502, body).message == message


@pytest.mark.parametrize(
    ("message", "heals"),
    [
        ('pods "a" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9, limited: pods=9', True),
        (
            'jobs.batch "a" is forbidden: unable to create new content in namespace x because it is being terminated',
            True,
        ),
        ('jobs.batch is forbidden: User "x" cannot create resource "jobs"', False),
    ],
)
def test_some_refusals_heal_when_others_act(message: str, heals: bool) -> None:
    """A quota is raised or freed by others."""
    error = from_response("create Job a", "POST", 403, answer(message, "Forbidden"))
    assert isinstance(error, RefusedError)
    assert error.may_heal is heals


def test_no_answer_has_no_status() -> None:
    """A network error is told without one."""
    assert str(RetryableError("list pods", 0, "connection refused")) == "list pods: connection refused"
