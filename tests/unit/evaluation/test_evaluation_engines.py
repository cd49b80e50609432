"""What each engine sends. vLLM's route is held against a real server in tests/integration/evaluation; the streams of
the other three are written by hand after their documentation and source, as none of them runs here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.chat import ChatEngine
from deepcoder_evaluation.engines import AwaitedEngine
from deepcoder_evaluation.folders import LocalFolder
from tests.unit.evaluation.evaluation_builders import SAMPLING, evaluation_job

USAGE = {"prompt_tokens": 9, "total_tokens": 12, "completion_tokens": 3}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, **more}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


LAST = {**chunk({}), "choices": [], "usage": USAGE}
STREAMS: dict[str, list[dict[str, Any]]] = {
    # vllm/entrypoints/openai: usage in an event of its own, or null in the others.
    "vllm": [
        {**chunk({"role": "assistant", "content": ""}), "usage": None},
        {**chunk({"content": "fo"}), "usage": None},
        {**chunk({"content": "ur"}, "stop", stop_reason=None), "usage": None},
        LAST,
    ],
    # sglang/srt/entrypoints/openai: the role first, matched_stop beside the end.
    "sglang": [
        chunk({"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None}),
        chunk({"role": None, "content": "four", "reasoning_content": None}, matched_stop=None),
        chunk({"role": None, "content": None}, "stop", matched_stop=151643),
        LAST,
    ],
    # text-generation-inference/router: every delta has the role; the last token comes with the end, as empty text.
    "tgi": [
        {**chunk({"role": "assistant", "content": "fo"}), "system_fingerprint": "3.0", "usage": None},
        {**chunk({"role": "assistant", "content": "ur"}), "system_fingerprint": "3.0", "usage": None},
        {**chunk({"role": "assistant", "content": ""}, "stop"), "system_fingerprint": "3.0", "usage": None},
        {**LAST, "system_fingerprint": "3.0"},
    ],
    # tensorrt_llm/serve: tool calls as an empty list, stop_reason beside the end.
    "tensorrt-llm": [
        chunk({"role": "assistant", "content": None, "reasoning_content": None, "tool_calls": []}),
        chunk({"content": "four", "reasoning_content": None, "tool_calls": []}),
        chunk({"content": "", "tool_calls": []}, "stop", stop_reason=None),
        LAST,
    ],
}
FAILURES: dict[str, httpx.Response] = {
    "sglang aborts": httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=f"data: {json.dumps(chunk({}, 'abort'))}\n\n".encode(),
    ),
    "tgi fails in a stream": httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=b'data: {"error": "Request failed during generation", "error_type": "generation"}\n\n',
    ),
    "tgi fails before": httpx.Response(424, json={"error": "Request failed", "error_type": "generation"}),
    "tgi is full": httpx.Response(429, json={"error": "Model is overloaded", "error_type": "overloaded"}),
}


def streamed(events: list[dict[str, Any]]) -> httpx.Response:
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=text.encode())


async def ask(*replies: httpx.Response) -> Answer:
    left = list(replies)

    def server(request: httpx.Request) -> httpx.Response:
        return left.pop(0)

    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        return await ChatEngine("http://engine", "m", client, deadline_seconds=20).ask("2 + 2?", SAMPLING, seed=1)


@pytest.mark.parametrize("kind", STREAMS)
async def test_the_stream_of_each_engine_gives_the_same_answer(kind: str) -> None:
    """Text, finish reason and the lengths that usage tells."""
    answer = await ask(streamed(STREAMS[kind]))
    assert (answer.text, answer.finish_reason) == ("four", "stop")
    assert (answer.prompt_tokens, answer.answer_tokens, answer.ids) == (9, 3, None)


@pytest.mark.parametrize("trouble", FAILURES)
async def test_what_an_engine_breaks_off_is_asked_again(trouble: str) -> None:
    """Each in its own words; none is taken for an answer."""
    assert (await ask(FAILURES[trouble], streamed(STREAMS["vllm"]))).text == "four"


@pytest.mark.parametrize(("any_name", "ready"), [(True, True), (False, False)])
async def test_an_engine_that_names_its_model_by_the_folder_is_ready(
    any_name: bool, ready: bool, tmp_path: Path
) -> None:
    """TGI and TensorRT-LLM list /model or model; who names models properly must name ours."""

    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": "/model"}]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as client:
        engine = ChatEngine("http://engine", "tuned", client, deadline_seconds=1, any_name=any_name)
        awaited = AwaitedEngine(engine, LocalFolder(tmp_path), 0.2)
        if ready:
            assert await awaited.ready() is engine
        else:
            with pytest.raises(Exception, match="serves"):
                await awaited.ready()


@pytest.mark.parametrize(
    ("engine", "named"), [("vllm", {"top_k": 0}), ("sglang", {"top_k": -1}), ("tgi", None), ("tensorrt-llm", None)]
)
async def test_a_request_turns_off_what_the_engine_would_add(engine: str, named: dict[str, int] | None) -> None:
    """top_k, min_p and penalties of the model's generation_config.json, by the values that each engine has for it."""
    sampling = evaluation_job(engine={"kind": engine}).sampling
    bodies: list[dict[str, Any]] = []

    def reply(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        events = "".join(f"data: {json.dumps(one)}\n\n" for one in STREAMS[engine])
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=f"{events}data: [DONE]\n\n")

    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as client:
        await ChatEngine("http://engine", "m", client, deadline_seconds=5).ask("?", sampling, seed=1)
    (body,) = bodies
    off = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    expected = {**named, **off} if named else {}
    assert {name: body[name] for name in ("top_k", *off) if name in body} == expected == sampling.named


def test_an_endpoint_is_told_no_more_than_openais_api_has() -> None:
    """It may refuse what it does not know; the report says that its own defaults held."""
    job = evaluation_job(model={"endpoint": {"url": "https://host", "name": "m"}})
    assert job.sampling.named == {}
