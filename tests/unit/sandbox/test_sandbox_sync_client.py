"""The same grades without an event loop of one's own."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from deepcoder_api.grading import GradeResult, IsolationReport, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import GradeItem, GradeRefusedError, GradeUnavailableError
from deepcoder_sandbox.sync_client import SyncSandboxClient

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
VERIFIED = IsolationReport(verified=True, required=True)
ARGUMENTS = {"limits": Limits(), "deadline_seconds": 20.0}


def serve(request: httpx.Request) -> httpx.Response:
    """A grade for every program but one, which is refused."""
    if request.url.path == "/v1/isolation":
        return httpx.Response(200, json=VERIFIED.model_dump(mode="json"))
    asked = json.loads(request.content)
    if asked["program"] == "refused":
        return httpx.Response(422, json={"error": "malformed"})
    return httpx.Response(200, json=GradeResult(id=asked["id"], verdict=Verdict.ACCEPTED).model_dump(mode="json"))


def client_of(handler=serve, **options) -> SyncSandboxClient:
    """A client whose requests all go to `handler`."""
    return SyncSandboxClient("http://sandbox", transport=httpx.MockTransport(handler), **options)


def items(count: int) -> list[GradeItem]:
    """So many programs; the second is refused."""
    return [GradeItem(str(n), DOUBLING, "refused" if n == 1 else "print(14)") for n in range(count)]


def test_one_is_graded_refused_or_unavailable():
    """With the asynchronous client's results and errors."""
    with client_of() as client:
        assert client.grade(DOUBLING, "print(14)", id="a", **ARGUMENTS).accepted
        assert client.isolation() == VERIFIED
        with pytest.raises(GradeRefusedError, match="malformed"):
            client.grade(DOUBLING, "refused", id="a", **ARGUMENTS)
    with client_of(lambda request: httpx.Response(503)) as client, pytest.raises(GradeUnavailableError):
        client.grade(DOUBLING, "print(14)", id="a", limits=Limits(), deadline_seconds=0.2)


def test_many_are_graded_with_an_error_for_those_that_are_not():
    """More than are taken up at once."""
    with client_of(max_in_flight=2) as client:
        graded = dict(client.grade_many(items(7), **ARGUMENTS))
    assert sorted(graded) == list(range(7))
    assert [place for place, outcome in graded.items() if not isinstance(outcome, GradeResult)] == [1]


def test_no_thread_is_left():
    """Neither after leaving a loop early, nor when a loop is left behind."""
    before = threading.active_count()
    with client_of(max_in_flight=2) as client:
        for _ in client.grade_many(items(7), **ARGUMENTS):
            break
    with client_of() as client:
        left_behind = client.grade_many(items(7), **ARGUMENTS)
        next(left_behind)
    assert threading.active_count() == before


def test_url_that_is_none_starts_nothing():
    """The error comes before the thread."""
    before = threading.active_count()
    with pytest.raises(ValueError, match="at least one URL"):
        SyncSandboxClient([])
    assert threading.active_count() == before
