"""Many grade requests in one body, a line each: read, graded, and answered line by line as each is ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Send

from deepcoder_api.grading import MAX_BATCH_REQUESTS, GradeAnswer, GradeRequest, GradeResult
from deepcoder_sandbox.refusals import RefusedError, parse

MAX_BATCH_BYTES = 64 * 1024 * 1024
log = structlog.get_logger()

GradeOne = Callable[[GradeRequest], Awaitable[GradeResult]]


@dataclass(frozen=True)
class Line:
    """A line of the body, counted from 1: the request on it, or why there is none."""

    number: int
    id: str | None
    wanted: GradeRequest | RefusedError


def read_lines(body: bytes, max_line_bytes: int) -> list[Line]:
    """The lines of a batch that are not empty. Raises RefusedError: 413 too many, 422 none."""
    numbered = [(number, text) for number, text in enumerate(body.split(b"\n"), start=1) if text.strip()]
    if len(numbered) > MAX_BATCH_REQUESTS:
        raise RefusedError(413, f"{len(numbered)} requests; one body holds at most {MAX_BATCH_REQUESTS}")
    if not numbered:
        raise RefusedError(422, "no request: a line of JSON for each is needed")
    return [_line(number, text, max_line_bytes) for number, text in numbered]


class BatchResponse(StreamingResponse):
    """The answers to `lines`, each as soon as `grade` has it. When the caller hangs up, the rest is cancelled.

    `refused` is told the status of each line that is refused.
    """

    def __init__(self, lines: Sequence[Line], grade: GradeOne, refused: Callable[[int], None]) -> None:
        self._answers = _answers(lines, grade, refused)
        super().__init__(self._answers, media_type="application/x-ndjson")

    async def stream_response(self, send: Send) -> None:
        """Send the answers; whatever ends it, nothing of the batch stays queued."""
        async with aclosing(self._answers):
            await super().stream_response(send)


async def _answers(lines: Sequence[Line], grade: GradeOne, refused: Callable[[int], None]) -> AsyncGenerator[bytes]:
    tasks = {asyncio.create_task(_answer(line, grade)): line for line in lines}
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                answer = _failed(tasks[task], error) if (error := task.exception()) else task.result()
                if answer.status != 200:
                    refused(answer.status)
                yield answer.model_dump_json().encode() + b"\n"
    finally:
        for task in waiting:
            task.cancel()


async def _answer(line: Line, grade: GradeOne) -> GradeAnswer:
    try:
        if isinstance(line.wanted, RefusedError):
            raise line.wanted
        return GradeAnswer(line=line.number, id=line.id, status=200, result=await grade(line.wanted))
    except RefusedError as refused:
        return GradeAnswer(
            line=line.number,
            id=line.id,
            status=refused.status,
            error=_text(refused.reason),
            retry_after=refused.retry_after,
        )


def _failed(line: Line, error: BaseException) -> GradeAnswer:
    log.error("a line of a batch failed", id=line.id, error=type(error).__name__)
    return GradeAnswer(line=line.number, id=line.id, status=500, error="the server failed; asking again may help")


def _line(number: int, text: bytes, max_bytes: int) -> Line:
    if len(text) > max_bytes:
        return Line(number, None, RefusedError(413, f"a line of more than {max_bytes} bytes"))
    try:
        wanted = parse(GradeRequest, text)
    except RefusedError as refused:
        return Line(number, _id(text), refused)
    return Line(number, wanted.id, wanted)


def _id(text: bytes) -> str | None:
    """The id of a malformed request, where it has one that its sender will know again."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = given.get("id") if isinstance(given, dict) else None
    return found if isinstance(found, str) else None


def _text(reason: object) -> str:
    """A reason on one line; pydantic's faults each with its place."""
    if not isinstance(reason, list):
        return str(reason)
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in reason)
