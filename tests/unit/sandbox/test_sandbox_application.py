"""The routes of the grading server, over a real pool, and the client against them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from deepcoder_api.grading import GradeRequest, IsolationReport, Limits
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite, Tolerance, canonical_json
from deepcoder_sandbox.application import MAX_GRADE_BYTES, GradingApplication
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.problem_cache import ProblemCache

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
HASH = DOUBLING.content_hash()
VERIFIED = IsolationReport(verified=True, required=True, kernel="4.19.0-gvisor")
UNVERIFIED = IsolationReport(verified=False, required=True, failures=("reached 1.1.1.1:443",))
LIMITS = Limits(timeout_seconds=20)


@pytest.fixture
def application(pool) -> GradingApplication:
    """An application that is ready, with a small cache."""
    registry = CollectorRegistry()
    application = GradingApplication(pool, ProblemCache(10_000, registry), registry)
    application.isolation = VERIFIED
    return application


@pytest.fixture
async def http(application) -> AsyncIterator[httpx.AsyncClient]:
    """Plain requests to it."""
    transport = httpx.ASGITransport(app=application.starlette())
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", timeout=60) as http:
        yield http


def body(program: str = "print(2 * int(input()))", **changes: object) -> str:
    """A grade request."""
    return (
        GradeRequest(id="a", problem_hash=HASH, program=program, limits=LIMITS)
        .model_copy(update=changes)
        .model_dump_json()
    )


async def put(http: httpx.AsyncClient, suite: TestSuite = DOUBLING, content_hash: str | None = None) -> httpx.Response:
    """Put a suite."""
    return await http.put(f"/v1/problems/{content_hash or suite.content_hash()}", content=canonical_json(suite))


async def until_in_flight(application: GradingApplication, programs: int = 1) -> None:
    """Wait until the server has so many programs in hand."""
    async with asyncio.timeout(20):
        while application.pool.in_flight != programs:  # noqa: ASYNC110 - a condition of the server's, not an event
            await asyncio.sleep(0.01)


async def test_suite_is_put_once_and_graded_by_its_hash(http):
    """404 asks for the suite; 201 takes it, 200 knows it; then a grade comes back under its id."""
    assert (await http.post("/v1/grade", content=body())).status_code == 404
    assert [(await put(http)).status_code for _ in range(2)] == [201, 200]
    response = await http.post("/v1/grade", content=body())
    assert response.status_code == 200
    assert response.json()["verdict"] == "accepted"
    assert response.json()["id"] == "a"
    wrong = await http.post("/v1/grade", content=body("print(1)"))
    assert wrong.json()["verdict"] == "wrong_answer"


async def test_suite_that_cannot_be_graded_is_refused_with_its_reason(http):
    """400 another hash, 413 too large, 422 malformed or without tests."""
    assert (await put(http, content_hash="0" * 64)).status_code == 400
    large = TestSuite(tests=(StdinTest(input="x" * 20_000, output=""),))
    assert (await put(http, large)).status_code == 413
    for text in ('{"tests": []}', '{"tests": [{"kind": "magic"}]}', "{", '{"tests": 1, "more": 2}'):
        response = await http.put(f"/v1/problems/{HASH}", content=text)
        assert response.status_code == 422
        assert response.json()["error"]


async def test_malformed_request_is_refused(http):
    """422 names the field; 413 is for a body that is not read to its end."""
    for text in ("{}", "[]", body(problem_hash="x"), body(profile="lenient"), "\xff"):
        assert (await http.post("/v1/grade", content=text)).status_code == 422
    assert (await http.post("/v1/grade", content=b"x" * (MAX_GRADE_BYTES + 1))).status_code == 413
    refused = (await http.post("/v1/grade", content=body(profile="lenient"))).json()
    assert refused["error"][0]["loc"] == ["profile"]


async def test_full_queue_is_429_with_retry_after(http):
    """One runs, one waits; the third is asked to come back."""
    await put(http)
    slow = body("import time\ntime.sleep(0.4)\nprint(2 * int(input()))")
    answers = await asyncio.gather(*(http.post("/v1/grade", content=slow) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    (full,) = (answer for answer in answers if answer.status_code == 429)
    assert int(full.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("isolation", "ready", "reason"),
    [
        (None, False, "not verified yet"),
        (UNVERIFIED, False, "reached 1.1.1.1:443"),
        (UNVERIFIED.model_copy(update={"required": False}), True, ""),
        (VERIFIED, True, ""),
    ],
)
async def test_no_grade_before_isolation_is_verified(application, http, isolation, ready, reason):
    """Readiness and grades wait for the canary where isolation is required; liveness does not."""
    application.isolation = isolation
    await put(http)
    readiness, grade = await http.get("/readyz"), await http.post("/v1/grade", content=body())
    assert (readiness.status_code, grade.status_code) == ((200, 200) if ready else (503, 503))
    if not ready:
        assert reason in readiness.json()["error"]
    assert (await http.get("/healthz")).status_code == 200


async def test_isolation_report_is_told_once_it_is_there(application, http):
    """503 before, then the report as it is, verified or not."""
    application.isolation = None
    assert (await http.get("/v1/isolation")).status_code == 503
    application.isolation = UNVERIFIED
    assert IsolationReport.model_validate_json((await http.get("/v1/isolation")).content) == UNVERIFIED


async def test_drain_finishes_what_was_accepted_and_takes_no_more(application, http):
    """The grade under way comes back; the next is answered 503."""
    await put(http)
    slow = asyncio.create_task(http.post("/v1/grade", content=body("import time\ntime.sleep(0.4)\nprint(14)")))
    await until_in_flight(application)
    drained = asyncio.create_task(application.drain(30))
    await asyncio.sleep(0)
    assert (await http.post("/v1/grade", content=body())).status_code == 503
    assert (await slow).json()["verdict"] == "accepted"
    assert await drained


async def test_drain_hands_back_what_it_cannot_finish(application, http):
    """At its bound what runs and what waits is answered as a failure of ours: nothing accepted is lost silently."""
    await put(http)
    slow = body("import time\ntime.sleep(0.5)\nprint(14)")
    asked = [asyncio.create_task(http.post("/v1/grade", content=slow)) for _ in range(2)]
    await until_in_flight(application, 2)
    assert not await application.drain(0.1)
    for answer in await asyncio.gather(*asked):
        assert (answer.status_code, answer.json()["verdict"]) == (200, "internal_error")
        assert "the server ends" in answer.json()["detail"]
    await until_in_flight(application, 0)


async def test_caller_that_hangs_up_gives_up_its_place(application, http):
    """What it waited for is not run, and the place is free for another."""
    await put(http)
    slow = body("import time\ntime.sleep(0.4)\nprint(14)")
    first = asyncio.create_task(http.post("/v1/grade", content=slow))
    await until_in_flight(application, 1)
    gone = asyncio.create_task(hang_up(application, "/v1/grade", body(), lambda: application.pool.in_flight == 2))
    assert await gone == 499
    assert application.pool.in_flight == 1
    assert (await first).json()["verdict"] == "accepted"


async def hang_up(application: GradingApplication, path: str, content: str, when: Callable[[], bool]) -> int | None:
    """Send a request and hang up once `when` says so; the status that was sent by then."""
    messages = [{"type": "http.request", "body": content.encode(), "more_body": False}]
    status: list[int] = []

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        async with asyncio.timeout(20):
            while not when():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await application.starlette()({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}}, receive, send)
    return status[0] if status else None


async def test_batch_is_answered_line_by_line(application, http):
    """One runs, one waits; what the queue has no place for, an unknown problem and a malformed line are told alone."""
    await put(http)
    slow = "import time\ntime.sleep(0.3)\nprint(2 * int(input()))"
    lines = [body(slow, id="runs"), body(slow, id="waits"), body(id="unknown", problem_hash="0" * 64), '{"id": "bad"}']
    response = await http.post("/v1/grades", content="\n".join([*lines, body(slow, id="full")]))
    answers = {answer["id"]: answer for answer in map(json.loads, response.text.splitlines())}
    statuses = {id: answer["status"] for id, answer in answers.items()}
    assert statuses == {"runs": 200, "waits": 200, "unknown": 404, "bad": 422, "full": 429}
    assert [answers[id]["result"]["verdict"] for id in ("runs", "waits")] == ["accepted", "accepted"]
    assert answers["full"]["retry_after"] >= 1


async def test_batch_is_refused_as_a_whole_only_when_nothing_of_it_can_be_graded(application, http, monkeypatch):
    """Too large, empty, or a server that takes nothing."""
    monkeypatch.setattr("deepcoder_sandbox.application.MAX_BATCH_BYTES", 1000)
    assert (await http.post("/v1/grades", content=b"x" * 1001)).status_code == 413
    assert (await http.post("/v1/grades", content=b"")).status_code == 422
    application.draining = True
    assert (await http.post("/v1/grades", content=body())).status_code == 503


async def test_batch_whose_caller_hangs_up_is_not_run_on(application, http):
    """What is queued leaves the queue; what runs is run to its end."""
    await put(http)
    slow = body("import time\ntime.sleep(0.4)\nprint(14)")
    await hang_up(application, "/v1/grades", f"{slow}\n{slow}", lambda: application.pool.in_flight == 2)
    await asyncio.sleep(0)
    assert application.pool.in_flight == 1
    await until_in_flight(application, 0)


async def test_metrics_tell_of_refusals_and_the_cache(application, http):
    """Refusals by status; lookups, evictions and bytes of the cache."""
    for _ in range(2):
        await http.post("/v1/grade", content=body())
    await put(http)
    await http.post("/v1/grade", content=body())
    await http.post("/v1/grade", content="{}")
    for number in range(3):
        await put(http, TestSuite(tests=(StdinTest(input=str(number), output="x" * 4000),)))
    lines = (await http.get("/metrics")).text.splitlines()
    assert {
        'deepcoder_sandbox_refused_total{status="404"} 2.0',
        'deepcoder_sandbox_refused_total{status="422"} 1.0',
        'deepcoder_sandbox_cache_lookups_total{outcome="miss"} 2.0',
        'deepcoder_sandbox_cache_lookups_total{outcome="hit"} 1.0',
        "deepcoder_sandbox_cache_evictions_total 2.0",
        f"deepcoder_sandbox_cache_bytes {application.cache.size_bytes}.0",
    } <= set(lines)


async def test_client_puts_the_suite_that_the_server_lacks(application):
    """A server that was started anew knows no suite; one call still brings the grade."""
    transport = httpx.ASGITransport(app=application.starlette())
    async with SandboxClient("http://sandbox", transport=transport) as client:
        for _ in range(2):
            application.cache = ProblemCache(10_000)
            result = await client.grade(DOUBLING, "print(14)", id="a", limits=LIMITS, deadline_seconds=60)
            assert result.accepted
        assert await client.isolation() == VERIFIED


HALVES = TestSuite(tests=(StdinTest(input="1\n", output="0.5\n"),), tolerance=Tolerance(absolute=0.01))
AS_BOOL = TestSuite(entry_point="f", tests=(FunctionTest(arguments=[], expected=1),))
GRADED = {
    "stdin, another spelling, strict": (DOUBLING, "print(14.0)", "strict", "wrong_answer"),
    "stdin, another spelling": (DOUBLING, "print(14.0)", "lcb-v5", "accepted"),
    "stdin, another word": (DOUBLING, "print('x')", "rllm-release", "accepted"),
    "stdin, within the tolerance": (HALVES, "print(0.509)", "strict", "accepted"),
    "stdin, past the tolerance": (HALVES, "print(0.511)", "strict", "wrong_answer"),
    "function, a bool, strict": (AS_BOOL, "def f(): return True", "strict", "wrong_answer"),
    "function, a bool": (AS_BOOL, "def f(): return True", "rllm-main", "accepted"),
}


@pytest.mark.parametrize("name", GRADED)
async def test_profile_and_tolerance_decide(application, name):
    """The request names the profile, the suite its tolerance; both reach the comparison."""
    suite, program, profile, verdict = GRADED[name]
    transport = httpx.ASGITransport(app=application.starlette())
    async with SandboxClient("http://sandbox", transport=transport) as client:
        result = await client.grade(suite, program, id="a", limits=LIMITS, deadline_seconds=60, profile=profile)
    assert result.verdict == verdict


async def test_client_waits_for_a_full_queue(application):
    """More grades at once than the server takes are all graded."""
    transport = httpx.ASGITransport(app=application.starlette())
    async with SandboxClient("http://sandbox", transport=transport) as client:
        grades = [client.grade(DOUBLING, "print(14)", id=str(n), limits=LIMITS, deadline_seconds=60) for n in range(5)]
        results = await asyncio.gather(*grades)
    assert [result.id for result in results] == list("01234")
    assert all(result.accepted for result in results)
