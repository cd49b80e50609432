"""Asking an engine: what is asked, what is asked again, and what is final."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from deepcoder_evaluation import chat
from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.chat import MAX_BROKEN, ChatEngine, EngineError
from tests.unit.evaluation.evaluation_builders import SAMPLING

CHOICE: dict[str, Any] = {"message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2}
COMPLETION = {"choices": [CHOICE], "usage": USAGE}
Reply = httpx.Response | Exception


class Replies:
    """Gives the replies in turn, the last one for ever, and keeps what was asked."""

    def __init__(self, *replies: Reply) -> None:
        self._left = list(replies)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content or b"{}"))
        self.headers.append(request.headers)
        reply = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


def ok(**changes: Any) -> httpx.Response:
    return httpx.Response(200, json={**COMPLETION, "choices": [{**CHOICE, **changes}]})


def event(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}]}


def stream(events: Sequence[dict[str, Any] | str], *, done: bool = True) -> httpx.Response:
    texts = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in events]
    lines = [f"data: {text}\n\n" for text in texts] + (["data: [DONE]\n\n"] if done else [])
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content="".join(lines).encode())


async def ask(
    replies: Callable[[httpx.Request], Any], deadline: float = 30.0, *, token_ids: bool = False, **options: Any
) -> Answer:
    async with httpx.AsyncClient(transport=httpx.MockTransport(replies)) as client:
        engine = ChatEngine(
            "http://engine:8000/v1/", "policy", client, deadline_seconds=deadline, token_ids=token_ids, **options
        )
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
    """No system prompt, nothing beyond the specification, streamed; text, finish reason and token counts come back."""
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
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


async def test_a_stream_is_put_together_with_its_ids_and_its_usage() -> None:
    """Role alone, text by pieces, the end, usage alone; ids are asked for by name and the prompt's last are kept."""
    given = stream(
        [
            {**event({"role": "assistant", "content": ""}), "prompt_token_ids": [1, 2, 3]},
            event({"content": "fo"}, token_ids=[10, 11]),
            event({"content": "ur\u2028!"}, token_ids=[12]),
            event({}, "stop", token_ids=[2]),
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        ]
    )
    replies = Replies(given)
    answer = await ask(replies, token_ids=True)
    assert replies.bodies[0]["return_token_ids"] is True
    assert (answer.text, answer.answer_tokens, answer.prompt_tokens) == ("four\u2028!", 4, 3)
    assert list(answer.ids or ()) == [10, 11, 12, 2]
    assert answer.prompt_ids == (1, 2, 3)


async def test_ids_that_are_not_all_told_are_not_taken() -> None:
    """A server that leaves some out cannot be cut by them."""
    events = [event({"content": "a"}, token_ids=[1]), event({"content": "b"}, "stop"), {"choices": [], "usage": USAGE}]
    assert (await ask(Replies(stream(events)))).ids is None


async def test_what_a_server_keeps_apart_as_reasoning_is_put_before_the_answer() -> None:
    """As the model wrote it; reasoning that the limit cut has no end."""
    events = [event({"reasoning_content": "hm"}), event({"content": "four"}, "stop"), {"choices": [], "usage": USAGE}]
    assert (await ask(Replies(stream(events)))).text == "<think>\nhm\n</think>\nfour"
    events = [event({"reasoning_content": "hm"}, "length"), {"choices": [], "usage": USAGE}]
    assert (await ask(Replies(stream(events)))).text == "<think>\nhm"


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("broken off"),
        *(httpx.Response(status) for status in (408, 429, 500, 502, 503, 504)),
        ok(finish_reason="abort"),
        ok(finish_reason=None),
        stream([event({"content": "fo"})], done=False),
        stream([event({"content": "fo"}), '{"choices": [{"del']),
        stream([event({"content": "fo"}), {"error": {"message": "out of memory"}}]),
        httpx.Response(200, text=""),
        httpx.Response(200, text="not json"),
        httpx.Response(200, text="[]"),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [None]}),
        httpx.Response(200, json={"choices": [{**CHOICE, "message": {"content": None}}]}),
    ],
    ids=repr,
)
async def test_what_may_heal_is_asked_again_with_the_same_seed(trouble: Reply, pauses: list[float]) -> None:
    """A lost connection, a busy or failing server, a stream that was cut, an answer that is none or that is empty
    without a single token: never taken for an answer."""
    replies = Replies(trouble, trouble, ok())
    assert (await ask(replies)).text == "four"
    assert len(replies.bodies) == 3
    assert replies.bodies[0] == replies.bodies[2]
    assert pauses == [0.25, 0.5]


@pytest.mark.parametrize("header", ["0.3", "1"])
async def test_a_busy_server_says_when_to_come_back(header: str) -> None:
    """Retry-After is kept to."""
    started = time.monotonic()
    await ask(Replies(httpx.Response(429, headers={"retry-after": header}), ok()))
    assert time.monotonic() - started >= float(header)


async def test_a_busy_server_holds_all_requests() -> None:
    """One is refused: nobody asks before the time, however many there are."""
    times: list[float] = []

    def server(request: httpx.Request) -> httpx.Response:
        times.append(time.monotonic())
        return httpx.Response(429, headers={"retry-after": "0.4"}) if len(times) == 1 else ok()

    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        engine = ChatEngine("http://engine", "policy", client, deadline_seconds=20)
        first = asyncio.create_task(engine.ask("first", SAMPLING, 1))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, *(engine.ask("more", SAMPLING, n) for n in range(5)))
    assert len(times) == 7
    assert min(times[1:]) - times[0] >= 0.4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_final(status: int) -> None:
    """Asked once; the status and the engine's words are told, and another try of the evaluation would not help."""
    replies = Replies(httpx.Response(status, text="prompt too long"))
    with pytest.raises(EngineError, match=f"{status}: prompt too long") as raised:
        await ask(replies)
    assert not raised.value.retryable
    assert len(replies.bodies) == 1


async def test_the_other_name_of_the_response_limit_is_learnt() -> None:
    """OpenAI's reasoning models refuse max_tokens and name what they take instead."""
    refusal = httpx.Response(400, json={"error": {"message": "use 'max_completion_tokens' instead of max_tokens"}})
    replies = Replies(refusal, ok())
    await ask(replies)
    assert replies.bodies[1]["max_completion_tokens"] == 64
    assert "max_tokens" not in replies.bodies[1]


async def test_a_server_that_never_says_a_whole_answer_is_given_up(pauses: list[float]) -> None:
    """After so many in a row; another life of the evaluation may find it healed."""
    replies = Replies(httpx.Response(200, text="<html>"))
    with pytest.raises(EngineError, match="answers one after the other were broken; last: not JSON") as raised:
        await ask(replies)
    assert raised.value.retryable
    assert len(replies.bodies) == MAX_BROKEN


async def test_an_answer_without_text_is_an_empty_one() -> None:
    """A model may say nothing but its end token, which holds no program; it is still its answer."""
    assert (await ask(Replies(ok(message={"content": None})))).text == ""


async def test_the_key_is_sent() -> None:
    """As a bearer token."""
    replies = Replies(ok())
    await ask(replies, headers={"authorization": "Bearer secret"})
    assert replies.headers[0]["authorization"] == "Bearer secret"


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


@pytest.mark.parametrize("status", [200, 404])
async def test_an_engine_without_a_version_or_a_list_of_models_is_ready_too(status: int) -> None:
    """The version is for the report only, and not every server lists what it serves."""

    def engine(request: httpx.Request) -> httpx.Response:
        if "models" in request.url.path:
            return httpx.Response(status, json={"data": [{"id": "policy"}]})
        return httpx.Response(404)

    assert await ready(engine) == "unknown"


async def test_a_key_that_is_refused_is_told_at_once() -> None:
    """Nothing waits for a key to become right."""
    with pytest.raises(EngineError, match=r"refuses the key with 401.*OPENAI_API_KEY") as raised:
        await ready(lambda request: httpx.Response(401, text="no"))
    assert not raised.value.retryable


async def test_an_engine_that_serves_something_else_is_named_at_the_deadline() -> None:
    """What it serves and what was wanted."""

    def engine(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "another"}]})

    with pytest.raises(EngineError, match=r"serves \['another'\], not 'policy'") as raised:
        await ready(engine, seconds=0.05)
    assert raised.value.retryable
