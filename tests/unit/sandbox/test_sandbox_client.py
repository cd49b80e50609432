"""The client against servers that refuse, fail, are silent or gone: a grade, or an error that says which."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from deepcoder_api.grading import GradeResult, IsolationReport, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import GradeItem, GradeRefusedError, GradeUnavailableError, SandboxClient, _pause

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
LIMITS = Limits(timeout_seconds=20)
ACCEPTED = GradeResult(id="a", verdict=Verdict.ACCEPTED, tests_total=1)
INTERNAL = GradeResult(id="a", verdict=Verdict.INTERNAL_ERROR, detail="no fork")
Answer = httpx.Response | Exception


def answer(result: GradeResult) -> httpx.Response:
    """200 with a result."""
    return httpx.Response(200, json=result.model_dump(mode="json"))


class Server:
    """Gives its answers one after the other, the last again and again, and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return given


def client_of(handler: Callable[[httpx.Request], object], *urls: str, max_in_flight: int = 64) -> SandboxClient:
    """A client whose requests all go to `handler`."""
    transport = httpx.MockTransport(handler)  # pyright: ignore[reportArgumentType]
    return SandboxClient(urls or "http://sandbox", max_in_flight=max_in_flight, transport=transport)


async def grade(client: SandboxClient, program: str = "print(14)", seconds: float = 20, id: str = "a") -> GradeResult:
    """Grade `program`."""
    return await client.grade(DOUBLING, program, id=id, limits=LIMITS, deadline_seconds=seconds)


FAILURES = {
    "queue full": httpx.Response(429, headers={"Retry-After": "0"}),
    "draining": httpx.Response(503, json={"error": "draining"}),
    "server error": httpx.Response(500, text="Internal Server Error"),
    "gateway": httpx.Response(502),
    "internal error": answer(INTERNAL),
    "no grade": httpx.Response(200, text="<html>"),
    "half a grade": httpx.Response(200, json={"id": "a"}),
    "connection refused": httpx.ConnectError("refused"),
    "connection lost": httpx.RemoteProtocolError("server disconnected"),
    "read timeout": httpx.ReadTimeout("slow"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failure_that_may_heal_is_tried_again(name):
    """The grade that comes in the end is the one that counts."""
    server = Server(FAILURES[name], FAILURES[name], answer(ACCEPTED))
    async with client_of(server) as client:
        assert await grade(client) == ACCEPTED
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", FAILURES)
async def test_failure_that_lasts_is_unavailable_and_never_a_verdict(name):
    """At the deadline there is an error that names the last reason."""
    async with client_of(Server(FAILURES[name])) as client:
        begun = time.monotonic()
        with pytest.raises(GradeUnavailableError, match=r"no grade for a within 0.2 s: http://sandbox"):
            await grade(client, seconds=0.2)
        assert time.monotonic() - begun < 5


async def test_many_that_wait_for_the_same_are_one_line_of_the_log(monkeypatch):
    """Now and then, with one of them as the example."""
    monkeypatch.setattr("deepcoder_sandbox.client.WARN_EVERY_SECONDS", 0.2)
    with capture_logs() as lines:
        async with client_of(Server(FAILURES["gateway"])) as client:
            waiting = [grade(client, seconds=0.7, id=str(number)) for number in range(50)]
            await asyncio.gather(*waiting, return_exceptions=True)
    assert 1 <= len(lines) <= 4
    assert lines[0]["event"] == "waiting for a grade"
    assert "answered 502" in lines[0]["reason"]


async def test_silent_server_is_unavailable():
    """A server that takes the request and says nothing does not hold the client past the deadline."""

    async def silent(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(600)
        raise AssertionError

    async with client_of(silent) as client:
        with pytest.raises(GradeUnavailableError):
            await grade(client, seconds=0.2)


async def test_waiting_for_a_slot_counts_against_the_deadline():
    """A client whose slots are all taken says so."""
    begun = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.sleep(0.5)
        return answer(ACCEPTED)

    async with client_of(slow, max_in_flight=1) as client:
        first = asyncio.create_task(grade(client))
        await begun.wait()
        with pytest.raises(GradeUnavailableError, match="every slot of this client was taken"):
            await grade(client, seconds=0.1)
        assert (await first).accepted


async def test_of_grades_that_wait_for_a_slot_the_lowest_priority_is_asked_for_first():
    """And the servers are told of it, for those that wait there."""
    asked: list[tuple[str, int]] = []
    go = asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        asked.append((sent["id"], sent["priority"]))
        await go.wait()
        return answer(ACCEPTED)

    async with client_of(slow, max_in_flight=1) as client, asyncio.TaskGroup() as tasks:
        for id, priority in (("first", 5), ("later", 7), ("sooner", 3)):
            options = {"id": id, "limits": LIMITS, "deadline_seconds": 20, "priority": priority}
            tasks.create_task(client.grade(DOUBLING, "print(14)", **options))
            await asyncio.sleep(0)
        go.set()
    assert asked == [("first", 5), ("sooner", 3), ("later", 7)]


async def test_unknown_problem_is_put_and_asked_for_again():
    """404, then the suite by its hash, then the same request."""
    server = Server(httpx.Response(404), httpx.Response(201), answer(ACCEPTED))
    async with client_of(server) as client:
        assert (await grade(client)).accepted
    ask, put, again = server.requests
    assert (put.method, put.url.path) == ("PUT", f"/v1/problems/{DOUBLING.content_hash()}")
    assert TestSuite.model_validate_json(put.content) == DOUBLING
    assert ask.content == again.content


async def test_put_that_fails_is_tried_again():
    """A server that cannot take the suite now may take it later."""
    server = Server(
        httpx.Response(404), httpx.Response(503), httpx.Response(404), httpx.Response(200), answer(ACCEPTED)
    )
    async with client_of(server) as client:
        assert (await grade(client)).accepted


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_refusal_is_final_and_gives_the_reason(status):
    """Of the suite as of the request: asking again cannot help."""
    refusal = httpx.Response(status, json={"error": "test 3 is malformed"})
    for answers in ([refusal], [httpx.Response(404), refusal]):
        server = Server(*answers)
        async with client_of(server) as client:
            with pytest.raises(GradeRefusedError, match="test 3 is malformed"):
                await grade(client)
        assert len(server.requests) == len(answers)


async def test_request_that_no_server_takes_is_refused_here():
    """An id or a program beyond the protocol's bounds is not sent."""
    server = Server(answer(ACCEPTED))
    async with client_of(server) as client:
        with pytest.raises(GradeRefusedError, match="id"):
            await grade(client, id="x" * 600)
        with pytest.raises(GradeRefusedError, match="program"):
            await grade(client, program="x" * (1 << 20) + "x")
    assert server.requests == []


async def test_program_with_a_lone_surrogate_is_still_graded():
    """No Python file can hold one; what is sent in its place is the model's own fault, not a refusal."""
    server = Server(answer(ACCEPTED))
    async with client_of(server) as client:
        await grade(client, program="print('\ud800ß')")
    assert json.loads(server.requests[0].content)["program"] == "print('?ß')"


async def test_server_that_is_gone_is_left_alone_for_a_while():
    """With two replicas the other one gets the grades."""
    hosts: Counter[str] = Counter()

    async def half(request: httpx.Request) -> httpx.Response:
        hosts[request.url.host] += 1
        if request.url.host == "gone":
            raise httpx.ConnectError("refused")
        return answer(ACCEPTED)

    async with client_of(half, "http://gone", "http://here") as client:
        for _ in range(10):
            assert (await grade(client)).accepted
    assert hosts["gone"] <= 1
    assert hosts["here"] == 10


async def test_grades_are_spread_by_load():
    """Each replica has as many in flight as the other."""
    hosts: Counter[str] = Counter()

    async def slow(request: httpx.Request) -> httpx.Response:
        hosts[request.url.host] += 1
        await asyncio.sleep(0.2)
        return answer(ACCEPTED)

    async with client_of(slow, "http://one", "http://two") as client:
        await asyncio.gather(*(grade(client) for _ in range(8)))
    assert hosts == {"one": 4, "two": 4}


async def test_isolation_of_the_worst_server_is_told():
    """One server that is not isolated is enough to know."""
    reports = {
        "good": IsolationReport(verified=True, required=True),
        "bad": IsolationReport(verified=False, required=True, failures=("the server runs as root",)),
    }

    async def tell(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=reports[request.url.host].model_dump(mode="json"))

    async with client_of(tell, "http://good", "http://bad") as client:
        assert await client.isolation() == reports["bad"]
    async with client_of(Server(httpx.Response(503, text="not verified yet"))) as client:
        with pytest.raises(GradeUnavailableError, match="not verified yet"):
            await client.isolation(deadline_seconds=0.2)


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ([], "at least one URL"),
        ("sandbox:8000", "'sandbox:8000': a grading server's URL is http://…"),
        ("ftp://sandbox", "dns[+]http://…"),
        (["http://good", "unix://"], "'unix://'"),
        ("dns+http://sandbox:8000/path", "without a path"),
    ],
)
def test_client_needs_a_server(urls, said):
    """A URL that is none is an error at once."""
    with pytest.raises(ValueError, match=said):
        SandboxClient(urls)


async def test_request_says_how_long_the_caller_waits():
    """What is left of the deadline, so that a server does not run what nobody waits for."""
    server = Server(httpx.Response(502), answer(ACCEPTED))
    async with client_of(server) as client:
        await grade(client, seconds=20)
    first, second = (json.loads(request.content)["deadline_seconds"] for request in server.requests)
    assert 15 < second < first <= 20


async def test_profile_and_limits_are_the_callers():
    """As they are given."""
    server = Server(answer(ACCEPTED))
    async with client_of(server) as client:
        await client.grade(DOUBLING, "", id="a", limits=LIMITS, deadline_seconds=20, profile="lcb-v5")
    sent = json.loads(server.requests[0].content)
    assert (sent["profile"], sent["limits"]["timeout_seconds"], sent["stop_on_first_failure"]) == ("lcb-v5", 20, True)


def items(count: int) -> list[GradeItem]:
    """So many programs, each an item of its own."""
    return [GradeItem(str(number), DOUBLING, "print(14)") for number in range(count)]


def echo(request: httpx.Request, verdict: Verdict = Verdict.ACCEPTED) -> httpx.Response:
    """A grade under the id that was asked for."""
    return answer(GradeResult(id=json.loads(request.content)["id"], verdict=verdict))


async def test_many_are_graded_as_they_are_ready():
    """Each with its place; the slow one comes last."""

    async def slow_first(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["id"] == "0":
            await asyncio.sleep(0.2)
        return echo(request)

    async with client_of(slow_first) as client:
        graded = [outcome async for outcome in client.grade_many(items(5), limits=LIMITS, deadline_seconds=20)]
    assert [place for place, _ in graded][-1] == 0
    assert all(isinstance(result, GradeResult) and result.id == str(place) for place, result in graded)
    assert sorted(place for place, _ in graded) == list(range(5))


async def test_many_are_taken_up_a_few_at_a_time():
    """No more than the client's bound at once: neither requests, nor items of an endless source."""
    at_once, most, taken = 0, 0, 0

    async def count(request: httpx.Request) -> httpx.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return echo(request)

    def endless() -> Iterator[GradeItem]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield GradeItem(str(number), DOUBLING, "print(14)")

    async with client_of(count, max_in_flight=3) as client:
        graded = client.grade_many(endless(), limits=LIMITS, deadline_seconds=20)
        seen = [await anext(graded) for _ in range(10)]
        await graded.aclose()
    assert (len(seen), most) == (10, 3)
    assert taken <= 13


async def test_one_without_a_grade_does_not_cost_the_others_theirs():
    """It comes as the error that it met, which no one takes for a verdict."""

    async def two_bad(request: httpx.Request) -> httpx.Response:
        match json.loads(request.content)["id"]:
            case "1":
                return httpx.Response(422, json={"error": "malformed"})
            case "2":
                return httpx.Response(503)
        return echo(request)

    async with client_of(two_bad) as client:
        graded = dict([outcome async for outcome in client.grade_many(items(4), limits=LIMITS, deadline_seconds=0.4)])
    assert isinstance(graded[1], GradeRefusedError)
    assert isinstance(graded[2], GradeUnavailableError)
    assert all(isinstance(graded[place], GradeResult) for place in (0, 3))


async def test_leaving_early_cancels_what_is_under_way():
    """Nothing runs on behind the caller's back."""
    cancelled: list[str] = []

    async def hang(request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.sleep(0 if json.loads(request.content)["id"] == "0" else 600)
        except asyncio.CancelledError:
            cancelled.append(json.loads(request.content)["id"])
            raise
        return echo(request)

    async with (
        client_of(hang, max_in_flight=3) as client,
        contextlib.aclosing(client.grade_many(items(9), limits=LIMITS, deadline_seconds=20)) as graded,
    ):
        async for place, _ in graded:
            assert place == 0
            break
    assert sorted(cancelled) == ["1", "2"]


async def test_metrics_tell_verdicts_retries_and_what_has_no_grade():
    """In the registry that was given; a client without one counts for itself."""
    registry = CollectorRegistry()
    answers = [FAILURES["queue full"], FAILURES["connection lost"], answer(ACCEPTED), httpx.Response(422)]
    transport = httpx.MockTransport(Server(*answers))  # pyright: ignore[reportArgumentType]
    async with SandboxClient("http://sandbox", registry=registry, transport=transport) as client:
        await grade(client)
        with pytest.raises(GradeRefusedError):
            await grade(client)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"deepcoder_sandbox_client_{name}", labels)

    assert value("grades_total", verdict="accepted") == 1
    assert value("ungraded_total", reason="refused") == 1
    assert value("retries_total", reason="queue_full") == value("retries_total", reason="connection") == 1
    assert (value("in_flight"), value("seconds_count")) == (0, 1)


@pytest.mark.parametrize(
    ("attempt", "asked", "least", "most"),
    [(1, None, 0.035, 0.065), (3, None, 0.14, 0.26), (50, None, 1.4, 2.6), (1, 5.0, 3.5, 6.5), (50, 1.0, 1.4, 2.6)],
)
def test_pause_grows_is_bounded_and_heeds_the_server(attempt, asked, least, most):
    """Seconds before the next attempt, spread so that clients do not come back all at once."""
    pauses = {_pause(attempt, asked) for _ in range(50)}
    assert least <= min(pauses) < max(pauses) <= most
