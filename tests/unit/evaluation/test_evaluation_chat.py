"""Asking an engine: what is asked, what is asked again, and what is final."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from deepcoder_api.evaluation import EvaluationSampling
from deepcoder_evaluation import chat
from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.chat import ChatEngine, EngineError

SAMPLING = EvaluationSampling.model_validate({"temperature": 0.6, "topP": 0.95, "maxTokens": 64})
CHOICE: dict[str, Any] = {"message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"}
COMPLETION = {"choices": [CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
Reply = httpx.Response | Exception


class Replies:
    """Gives the replies in turn, the last one for ever, and keeps what was asked."""

    def __init__(self, *replies: Reply) -> None:
        self._left = list(replies)
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content or b"{}"))
        reply = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def ok(**changes: Any) -> httpx.Response:
    return httpx.Response(200, json={**COMPLETION, "choices": [{**CHOICE, **changes}]})


async def ask(replies: Callable[[httpx.Request], Any], deadline: float = 30.0) -> Answer:
    async with httpx.AsyncClient(transport=httpx.MockTransport(replies)) as client:
        engine = ChatEngine("http://engine:8000/", "policy", client, deadline_seconds=deadline)
        return await engine.ask("What is 2 + 2?", SAMPLING, seed=77)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were taken, which cost no time here."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)
        await real(0)

    real = asyncio.sleep
    monkeypatch.setattr(chat.asyncio, "sleep", sleep)
    return taken


async def test_one_user_message_with_sampling_and_seed() -> None:
    """No system prompt, nothing beyond the specification; text, finish reason and token counts come back."""
    replies = Replies(ok())
    answer = await ask(replies)
    assert (answer.text, answer.finish_reason, answer.prompt_tokens, answer.answer_tokens) == ("four", "stop", 9, 2)
    assert replies.bodies == [
        {
            "model": "policy",
            "messages": [{"role": "user", "content": "What is 2 + 2?"}],
            "temperature": 0.6,
            "top_p": 0.95,
            "max_tokens": 64,
            "seed": 77,
        }
    ]


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("broken off"),
        *(httpx.Response(status) for status in (408, 429, 500, 502, 503, 504)),
        ok(finish_reason="abort"),
        ok(finish_reason=None),
    ],
)
async def test_what_may_heal_is_asked_again_with_the_same_seed(trouble: Reply, pauses: list[float]) -> None:
    """A lost connection, a busy or failing server, an answer that the engine broke off: never taken for an answer."""
    replies = Replies(trouble, trouble, ok())
    assert (await ask(replies)).text == "four"
    assert len(replies.bodies) == 3
    assert replies.bodies[0] == replies.bodies[2]
    assert pauses == [0.25, 0.5]


@pytest.mark.parametrize(("header", "expected"), [("7", 7.0), ("900", 30.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.25)])
async def test_a_busy_server_says_when_to_come_back(header: str, expected: float, pauses: list[float]) -> None:
    """Retry-After in seconds is kept to, within our own bound; a date gets our own pause."""
    await ask(Replies(httpx.Response(429, headers={"retry-after": header}), ok()))
    assert pauses == [expected]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_final(status: int) -> None:
    """Asked once; the status and the engine's words are told, and another try of the evaluation would not help."""
    replies = Replies(httpx.Response(status, text="prompt too long"))
    with pytest.raises(EngineError, match=f"{status}: prompt too long") as raised:
        await ask(replies)
    assert not raised.value.retryable
    assert len(replies.bodies) == 1


@pytest.mark.parametrize(
    "body", ["not json", "[]", '{"choices": []}', '{"choices": [{"finish_reason": "stop"}]}', '{"choices": [null]}']
)
async def test_what_is_no_completion_is_final(body: str) -> None:
    """A server that speaks another protocol is said to; its words are in the message."""
    with pytest.raises(EngineError, match="not a chat completion") as raised:
        await ask(Replies(httpx.Response(200, text=body)))
    assert not raised.value.retryable


async def test_an_answer_without_text_is_an_empty_one() -> None:
    """A model may say nothing, which holds no program; it is still its answer."""
    assert (await ask(Replies(ok(message={"content": None})))).text == ""


@pytest.mark.parametrize("trouble", [httpx.Response(503, text="loading"), httpx.ConnectError("refused")])
async def test_the_deadline_bounds_all_tries(trouble: Reply) -> None:
    """An engine that never recovers ends the answer, with what it said last; another evaluation may go better."""
    with pytest.raises(EngineError, match=r"no answer within 0.1 s; last: .*(loading|refused)") as raised:
        await ask(Replies(trouble), deadline=0.1)
    assert raised.value.retryable


async def test_the_deadline_bounds_an_engine_that_hangs() -> None:
    """Silence is no answer."""

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(EngineError, match="nothing yet"):
        await ask(hang, deadline=0.05)


async def ready(replies: Callable[[httpx.Request], httpx.Response], seconds: float = 30.0) -> str:
    async with httpx.AsyncClient(transport=httpx.MockTransport(replies)) as client:
        return await ChatEngine("http://engine:8000", "policy", client, deadline_seconds=1).wait_ready(seconds)


async def test_readiness_is_serving_the_model(pauses: list[float]) -> None:
    """Not listening, not ready, another model: asked on until the model is served; its version is told."""
    models = [
        httpx.ConnectError("refused"),
        httpx.Response(503),
        httpx.Response(200, json={"data": [{"id": "another"}]}),
        httpx.Response(200, json={"data": [{"id": "policy"}]}),
    ]

    def engine(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": "0.32.0"})
        reply = models.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    assert await ready(engine) == "0.32.0"
    assert len(pauses) == 3


async def test_an_engine_without_a_version_is_ready_too() -> None:
    """The version is for the report only."""

    def engine(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "policy"}]}) if "models" in request.url.path else (
            httpx.Response(404)
        )  # fmt: skip

    assert await ready(engine) == "unknown"


async def test_an_engine_that_serves_something_else_is_named_at_the_deadline() -> None:
    """What it serves and what was wanted."""

    def engine(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "another"}]})

    with pytest.raises(EngineError, match=r"serves \['another'\], not 'policy'") as raised:
        await ready(engine, seconds=0.05)
    assert raised.value.retryable
