"""Many programs in one request, and the end of a server that still has some in hand: real programs, real processes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from deepcoder_api.grading import GradeRequest, GradeResult, Limits
from deepcoder_api.problems import TestSuite, canonical_json
from deepcoder_sandbox.client import GradeItem
from deepcoder_sandbox.local import LocalSandbox, find_runsc, start_local_sandbox
from deepcoder_sandbox.sync_client import SyncSandboxClient

LIMITS = Limits(timeout_seconds=60)
DOUBLE = "print(2 * int(input()))"


def request(suite: TestSuite, id: str, program: str) -> str:
    """A grade request as a line."""
    return GradeRequest(id=id, problem_hash=suite.content_hash(), program=program, limits=LIMITS).model_dump_json()


async def test_batch_streams_each_answer_as_it_is_ready(http, doubling):
    """A slow program does not hold back the quick ones; what cannot be graded is told of its line alone."""
    await http.put(f"/v1/problems/{doubling.content_hash()}", content=canonical_json(doubling))
    slow = f"import time\ntime.sleep(1.5)\n{DOUBLE}"
    lines = [
        request(doubling, "slow", slow),
        request(doubling, "right", DOUBLE),
        request(doubling, "wrong", "print(1)"),
    ]
    answers = list[dict]()
    async with http.stream("POST", "/v1/grades", content="\n".join([*lines, "{"])) as response:
        async for line in response.aiter_lines():
            answers.append(json.loads(line))
    assert answers[-1]["id"] == "slow"
    assert {one["id"]: (one["status"], (one["result"] or {}).get("verdict")) for one in answers} == {
        "slow": (200, "accepted"),
        "right": (200, "accepted"),
        "wrong": (200, "wrong_answer"),
        None: (422, None),
    }


@pytest.fixture(params=["native", "gvisor"])
def ending(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    """A server of one slot that drains for a second."""
    if request.param == "gvisor" and find_runsc() is None:
        pytest.skip("runsc is neither in build/bin nor in PATH")
    native = request.param == "native"
    with start_local_sandbox(native=native, workers=1, arguments=["--drain-seconds", "1"]) as sandbox:
        yield sandbox


async def test_end_of_a_server_answers_all_it_has_accepted(ending, doubling):
    """SIGTERM: what ends within the drain has its grade, what does not is handed back, and the process is gone."""
    begun = time.monotonic()
    async with http_of(ending) as http:
        await http.put(f"/v1/problems/{doubling.content_hash()}", content=canonical_json(doubling))
        programs = {"quick": DOUBLE, "slow": "import time\ntime.sleep(50)", "waits": DOUBLE}
        body = "\n".join(request(doubling, id, program) for id, program in programs.items())
        batch = asyncio.create_task(http.post("/v1/grades", content=body))
        async with asyncio.timeout(30):
            while "deepcoder_sandbox_queue_depth 2.0" not in (await http.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        ending.terminate()
        answers = {one["id"]: one["result"] for one in map(json.loads, (await batch).text.splitlines())}
    assert {id: result["verdict"] for id, result in answers.items()} == {
        "quick": "accepted",
        "slow": "internal_error",
        "waits": "internal_error",
    }
    assert "the server ends" in answers["waits"]["detail"]
    assert await asyncio.to_thread(ending.process.wait, 15) == 0
    assert time.monotonic() - begun < 30


@asynccontextmanager
async def http_of(sandbox: LocalSandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP to a server."""
    transport = httpx.AsyncHTTPTransport(uds=sandbox.url.removeprefix("unix://"))
    async with httpx.AsyncClient(base_url="http://sandbox", transport=transport, timeout=60) as http:
        yield http


def test_synchronous_client_grades_many(server, doubling):
    """More programs than the client asks for at once, right and wrong, each under its own place."""
    with SyncSandboxClient(server.url, max_in_flight=3) as client:
        assert client.isolation().verified is server.isolated
        programs = [DOUBLE, "print(1)"] * 4
        items = [GradeItem(str(number), doubling, program) for number, program in enumerate(programs)]
        graded = dict(client.grade_many(items, limits=LIMITS, deadline_seconds=120))
    verdicts = [
        outcome.verdict if isinstance(outcome, GradeResult) else outcome for _, outcome in sorted(graded.items())
    ]
    assert verdicts == ["accepted", "wrong_answer"] * 4
