"""Many requests in one body: each is answered by itself, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from deepcoder_api.grading import MAX_BATCH_REQUESTS, GradeAnswer, GradeRequest, GradeResult, Verdict
from deepcoder_sandbox.batch import BatchResponse, read_lines
from deepcoder_sandbox.refusals import RefusedError

HASH = "0" * 64
MAX_LINE_BYTES = 1000


def request_line(id: str, **changes: Any) -> str:
    """A grade request as a line."""
    return json.dumps({"id": id, "problem_hash": HASH, "program": "print(1)", **changes})


async def accept(wanted: GradeRequest) -> GradeResult:
    """A grade at once."""
    return GradeResult(id=wanted.id, verdict=Verdict.ACCEPTED)


async def answered(
    body: str | bytes, grade: Callable[[GradeRequest], Awaitable[GradeResult]] = accept
) -> tuple[list[GradeAnswer], list[int]]:
    """The answers in the order they came, and the statuses that were counted as refused."""
    refused: list[int] = []

    async def route(request: Request) -> BatchResponse:
        return BatchResponse(read_lines(await request.body(), MAX_LINE_BYTES), grade, refused.append)

    transport = httpx.ASGITransport(Starlette(routes=[Route("/", route, methods=["POST"])]))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
        response = await http.post("/", content=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    return [GradeAnswer.model_validate_json(line) for line in response.text.splitlines()], refused


async def test_answers_come_as_they_are_ready():
    """The last may be the first; each names its line and its id."""
    begun = asyncio.Event()

    async def second_first(wanted: GradeRequest) -> GradeResult:
        if wanted.id == "slow":
            await begun.wait()
            await asyncio.sleep(0.05)  # into another turn of the loop
        begun.set()
        return await accept(wanted)

    answers, refused = await answered(f"{request_line('slow')}\n\n{request_line('quick')}\n", second_first)
    assert [(one.line, one.id, one.status) for one in answers] == [(3, "quick", 200), (1, "slow", 200)]
    assert all(one.result is not None and one.result.accepted for one in answers)
    assert refused == []


MALFORMED = {
    "no JSON": ("{", None, 422, "Invalid JSON"),
    "not UTF-8": ("\udcff", None, 422, "Invalid JSON"),
    "no object": ("[1]", None, 422, "object"),
    "an id that is none": (request_line("x").replace('"x"', "7"), None, 422, "id: "),
    "a field missing": ('{"id": "mine"}', "mine", 422, "problem_hash: Field required; program: Field required"),
    "an unknown field": (request_line("mine", colour=1), "mine", 422, "colour: Extra inputs are not permitted"),
    "too long": (request_line("mine", program="x" * 2000), None, 413, "a line of more than 1000 bytes"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_line_is_told_of_that_line_alone(name):
    """With its id where it has one; the lines around it are graded."""
    line, id, status, said = MALFORMED[name]
    body = f"{request_line('a')}\n{line}\n{request_line('b')}"
    answers, refused = await answered(body.encode("utf-8", "surrogateescape"))
    by_line = {one.line: one for one in answers}
    assert (by_line[2].id, by_line[2].status, by_line[2].result) == (id, status, None)
    assert said in (by_line[2].error or "")
    assert [by_line[number].status for number in (1, 3)] == [200, 200]
    assert refused == [status]


async def test_refusal_and_failure_of_one_leave_the_others_alone():
    """A full queue says when to come back; a fault of the server's own is 500, and its text stays inside."""

    async def grade(wanted: GradeRequest) -> GradeResult:
        match wanted.id:
            case "full":
                raise RefusedError(429, "the queue is full", 7)
            case "unknown":
                raise RefusedError(404, "unknown problem hash")
            case "fault":
                raise ValueError("secret")
        return await accept(wanted)

    answers, refused = await answered("\n".join(map(request_line, ("full", "unknown", "fault", "good"))), grade)
    by_id = {one.id: one for one in answers}
    assert {id: one.status for id, one in by_id.items()} == {"full": 429, "unknown": 404, "fault": 500, "good": 200}
    assert by_id["full"].retry_after == 7
    assert "secret" not in (by_id["fault"].error or "")
    assert sorted(refused) == [404, 429, 500]


def test_batch_is_bounded():
    """Too many lines, or none, is refused as a whole; empty lines do not count."""
    assert len(read_lines(b"\n{}\n" * MAX_BATCH_REQUESTS, MAX_LINE_BYTES)) == MAX_BATCH_REQUESTS
    for body, status in ((b"{}\n" * (MAX_BATCH_REQUESTS + 1), 413), (b" \n\n", 422)):
        with pytest.raises(RefusedError) as refused:
            read_lines(body, MAX_LINE_BYTES)
        assert refused.value.status == status
