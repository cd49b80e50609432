"""An engine at a fixed pace: `python -m benchmarks.evaluation.stand_in_engine PORT ANSWERS PACE TOKENIZER`.

ANSWERS is JSON of prompts to texts, "" being what any other prompt gets. A token is a byte; TOKENIZER is the byte-level
one that gives their ids. Each answer comes at PACE tokens a second, in pieces of a tenth of a second, whatever else is
asked: an engine with room for all. It takes little of the processor, so that what is measured is the evaluator.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PIECE_SECONDS = 0.1
END = 2


def application(answers: dict[str, str], pace: float, ids: dict[int, int]) -> Starlette:
    """The routes that the evaluator asks. `ids` are token ids by byte."""

    async def models(request: Request) -> Response:
        return JSONResponse({"data": [{"id": "policy"}]})

    async def complete(request: Request) -> Response:
        body = await request.json()
        text = answers.get(body["messages"][-1]["content"], answers.get("", ""))
        return StreamingResponse(events(text.encode(), body["max_tokens"], pace, ids), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])])


async def events(text: bytes, most: int, pace: float, ids: dict[int, int]) -> AsyncIterator[str]:
    """A stream of `text`, ASCII, cut at `most` tokens."""
    said, size, begun = text[:most], max(1, int(pace * PIECE_SECONDS)), time.monotonic()
    for start in range(0, len(said), size):
        piece = said[start : start + size]
        yield _event({"content": piece.decode()}, None, [ids[byte] for byte in piece])
        await asyncio.sleep(max(0.0, begun + (start + len(piece)) / pace - time.monotonic()))
    whole = len(text) < most
    yield _event({}, "stop" if whole else "length", [END] if whole else [])
    usage = {"prompt_tokens": 1, "completion_tokens": len(said) + whole}
    yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"


def byte_ids(tokenizer: Path) -> dict[int, int]:
    """Token ids of the ASCII bytes."""
    from tokenizers import Tokenizer

    given = Tokenizer.from_file(str(tokenizer))
    return {byte: given.encode(chr(byte)).ids[0] for byte in range(128)}


def _event(delta: dict[str, Any], finish_reason: str | None, ids: list[int]) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "token_ids": ids}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


if __name__ == "__main__":
    port, answers, pace, tokenizer = sys.argv[1:]
    app = application(json.loads(Path(answers).read_text()), float(pace), byte_ids(Path(tokenizer)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")
