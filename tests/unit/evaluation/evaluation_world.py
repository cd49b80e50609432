"""An engine and a sandbox on one real server, as hostile as a test asks for, behind the evaluator's own clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deepcoder_api.grading import GradeResult, IsolationReport, TestResult, Verdict
from deepcoder_evaluation.engines import Engines

VERIFIED = IsolationReport(verified=True, required=True, kernel="Linux 4.4.0 (gVisor)")
OPEN = IsolationReport(verified=False, required=False, kernel="Linux 6.1")
Trouble = Callable[[str, int], Response | None]
"""What goes wrong with the n-th request (from 1) for a prompt; None: nothing."""


def number_of(prompt: str) -> int:
    """The number in `Solve p7.`"""
    return int(prompt.strip("Solve p."))


def answer_to(prompt: str) -> str:
    """Right for odd numbers."""
    return f"```python\nprint({number_of(prompt) % 2})\n```"


@dataclass
class World:
    """Half of the programs are right; the engine serves after `loading` asks; `trouble` may come in between."""

    isolation: IsolationReport = VERIFIED
    loading: int = 1
    trouble: Trouble = lambda prompt, number: None
    answer: Callable[[str], str] = answer_to
    asked: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    graded: list[dict[str, Any]] = field(default_factory=list)
    after_grade: Callable[[int], None] = lambda count: None

    async def models(self, request: Request) -> Response:
        self.loading -= 1
        return JSONResponse({"data": [{"id": "policy"}]}) if self.loading < 0 else Response(status_code=503)

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": "0.32.0"})

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        prompt = body["messages"][-1]["content"]
        times = sum(other["messages"] == body["messages"] and other["seed"] == body["seed"] for other in self.asked)
        if (broken := self.trouble(prompt, times)) is not None:
            return broken
        self.answered[f"{prompt} {body['seed']}"] += 1
        return StreamingResponse(stream_of(self.answer(prompt)), media_type="text/event-stream")

    async def isolated(self, request: Request) -> Response:
        return Response(self.isolation.model_dump_json())

    async def grade(self, request: Request) -> Response:
        body = await request.json()
        self.graded.append(body)
        self.after_grade(len(self.graded))
        verdict = Verdict.ACCEPTED if "print(1)" in body["program"] else Verdict.WRONG_ANSWER
        result = GradeResult(id=body["id"], verdict=verdict, tests=(TestResult(verdict=verdict),), tests_total=1)
        return Response(result.model_dump_json())

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Engines]:
        """While inside, both are at the URL of the engines that come back."""
        routes = [
            Route("/v1/models", self.models),
            Route("/version", self.version),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/isolation", self.isolated),
            Route("/v1/grade", self.grade, methods=["POST"]),
        ]
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield Engines(url, ready_seconds=20, answer_seconds=30)
        finally:
            server.should_exit = True
            await task


async def stream_of(text: str, *, ends: bool = True) -> AsyncIterator[str]:
    """The events of an answer, five characters each; without its end where it is cut."""
    for start in range(0, len(text), 5):
        delta = {"index": 0, "delta": {"content": text[start : start + 5]}, "finish_reason": None}
        yield f"data: {json.dumps({'choices': [delta]})}\n\n"
    if ends:
        yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'stop'}]})}\n\n"
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"
