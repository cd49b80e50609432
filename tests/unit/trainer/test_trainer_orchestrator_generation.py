"""Answers from rollout servers: what is asked, what is accepted, and what happens when a server is lost.

The server here is a stand-in for vLLM; tests/integration/rollout holds the real one to the same contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from deepcoder_trainer.orchestrator.failures import NoRollout, RequestRefused
from deepcoder_trainer.orchestrator.generation import (
    Answer,
    Generator,
    Question,
    UnsoundAnswerError,
    parse_answer,
)
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry, Server
from tests.orchestrator_builders import beat

QUESTION = Question("a/0/0", (5, 6), max_tokens=4, temperature=0.6, seed=77)
CHOICE: dict[str, Any] = {
    "text": "ab",
    "token_ids": [7, 8, 2],
    "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -1.0}, {"logprob": 0}]},
    "finish_reason": "stop",
    "weight_versions": [{"version": "3", "start": 0, "end": 2}, {"version": "4", "start": 2, "end": 3}],
}
SOUND = {"choices": [CHOICE]}
Reply = Callable[[], Awaitable[tuple[int, dict[str, Any]] | None]]


@dataclass
class StandIn:
    """An HTTP server whose token route does what `reply` says; None breaks the connection off."""

    reply: Reply
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("post /inference/v1/generate")
            length = int(head.partition("content-length: ")[2].split("\r\n")[0])
            self.bodies.append(json.loads(await reader.readexactly(length)))
            self.asked.set()
            answer = await self.reply()
            if answer is not None:
                content = json.dumps(answer[1]).encode()
                writer.write(f"HTTP/1.1 {answer[0]} x\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def serving(reply: Reply) -> AsyncIterator[StandIn]:
    stand_in = StandIn(reply)
    server = await asyncio.start_server(stand_in.handle, "127.0.0.1", 0)
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield stand_in
    finally:
        server.close()


async def sound() -> tuple[int, dict[str, Any]]:
    return 200, SOUND


async def never() -> None:
    await asyncio.Event().wait()


def register(registry: RolloutRegistry, name: str, url: str) -> Server:
    return registry.heard(beat(name, url, version=3))


@pytest.fixture
def registry() -> RolloutRegistry:
    return RolloutRegistry(Policy(1, 3), time.monotonic)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def ask(generator: Generator) -> Answer:
    async with generator.place(1) as place:
        return await generator.ask(QUESTION, place)


async def test_a_sample_is_asked_by_token_ids_with_its_own_seed(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """The request carries ids, limit, temperature and seed, no other distortion; the answer has ids and version."""
    async with serving(sound) as vllm:
        server = register(registry, "a", vllm.url)
        answer = await ask(Generator(registry, client))
        assert answer == Answer("ab", (7, 8, 2), (-0.5, -1.0, 0.0), (3, 3, 4), "stop")
        assert vllm.bodies == [
            {
                "model": "policy",
                "token_ids": [5, 6],
                "output_mode": "text",
                "sampling_params": {"max_tokens": 4, "temperature": 0.6, "seed": 77, "logprobs": 0},
            }
        ]
        assert server.in_flight == 0


async def test_where_servers_keep_what_older_weights_computed_a_prefix_is_shared_under_one_version(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """The salt of vLLM's prefix cache is the version that the server holds when it is asked."""
    async with serving(sound) as vllm:
        register(registry, "a", vllm.url)
        generator = Generator(registry, client, keep_kv=True)
        await ask(generator)
        registry.want(Policy(1, 4))
        registry.heard(beat("a", vllm.url, version=4))
        await ask(generator)
        assert [body["cache_salt"] for body in vllm.bodies] == ["1-3", "1-4"]


async def broken_off() -> None:
    return None


async def failing() -> tuple[int, dict[str, Any]]:
    return 500, {"error": "engine is dead"}


async def aborted() -> tuple[int, dict[str, Any]]:
    return 200, {"choices": [{**CHOICE, "finish_reason": "abort"}]}


@pytest.mark.parametrize("reply", [broken_off, failing, aborted])
async def test_what_one_server_fails_to_answer_another_is_asked(
    reply: Reply, registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """A broken connection, an error of the server's, an aborted answer: asked elsewhere, with the same seed."""
    async with serving(reply) as bad, serving(sound) as good:
        first = register(registry, "a", bad.url)
        second = register(registry, "b", good.url)
        answer = await ask(Generator(registry, client))
        assert answer.token_ids == (7, 8, 2)
        assert len(bad.bodies) == len(good.bodies) == 1
        assert good.bodies == bad.bodies
        assert (first.in_flight, second.in_flight) == (0, 0)
        assert not first.ready


async def test_a_request_on_a_server_that_stops_heartbeating_is_taken_up_elsewhere(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """The loss of a server ends its requests at once, long before their own deadline."""
    async with serving(never) as hung, serving(sound) as good:
        lost = register(registry, "a", hung.url)
        asking = asyncio.create_task(ask(Generator(registry, client)))
        await hung.asked.wait()
        register(registry, "b", good.url)
        register(registry, "a", "http://127.0.0.1:1")  # its pod was replaced: the old server is lost
        registry.doubt(registry.servers[-1])
        assert (await asyncio.wait_for(asking, 5)).token_ids == (7, 8, 2)
        assert lost.in_flight == 0


async def test_a_server_that_hangs_is_left_at_the_deadline(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:  # fmt: skip
    """A server that beats but does not answer loses the request after slack plus its slowest tokens (4 at 2/s)."""
    async with serving(never) as hung, serving(sound) as good:
        register(registry, "a", hung.url)
        register(registry, "b", good.url)
        started = time.monotonic()
        await ask(Generator(registry, client, slack_seconds=-1))  # 1 s: a busy machine may take a while to connect
        assert 0.9 < time.monotonic() - started < 10
        assert len(hung.bodies) == len(good.bodies) == 1


async def test_a_request_that_no_server_takes_is_not_asked_again(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """A refusal, such as a prompt longer than the model, would come from every server and in every attempt."""

    async def refusing() -> tuple[int, dict[str, Any]]:
        return 400, {"error": "prompt too long"}

    async with serving(refusing) as vllm:
        register(registry, "a", vllm.url)
        with pytest.raises(RequestRefused, match="prompt too long"):
            await ask(Generator(registry, client))
        assert len(vllm.bodies) == 1


async def test_without_any_server_the_wait_is_bounded_and_says_what_there_is(
    registry: RolloutRegistry, client: httpx.AsyncClient
) -> None:
    """The failure names what was wanted and what each server holds; another attempt may find servers."""
    registry.heard(beat("old", "http://o", version=2))
    with pytest.raises(NoRollout, match=r"attempt 1, version 3 .*old holds \(1, 2\)"):
        await ask(Generator(registry, client, rollout_seconds=0.05))


def log_probabilities(*values: float | None) -> dict[str, Any]:
    return {"content": [{"logprob": value} for value in values]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token_ids": None}, "0 token ids"),
        ({"token_ids": [7, 8]}, "2 token ids with 3"),
        ({"token_ids": [1] * 5, "logprobs": log_probabilities(*[-1.0] * 5)}, "at most 4"),
        ({"logprobs": log_probabilities(-1.0, None, -1.0)}, "no finite number"),
        ({"logprobs": log_probabilities(-1.0, float("-inf"), -1.0)}, "no finite number"),
        ({"logprobs": None}, "lacks"),
        ({"finish_reason": None}, "finish reason None"),
        ({"weight_versions": None}, "weight versions"),
        ({"weight_versions": [{"version": "3", "start": 0, "end": 2}]}, "cover 2 of 3"),
        ({"weight_versions": [{"version": "3", "start": 1, "end": 4}]}, "at token 1 after 0"),
        ({"weight_versions": [{"version": "new", "start": 0, "end": 3}]}, "new"),
    ],
)
def test_a_reply_that_is_no_whole_sample_is_not_one(change: dict[str, Any], said: str) -> None:
    """Lengths that disagree, values that are missing or infinite, too many tokens: never trained on."""
    with pytest.raises(UnsoundAnswerError, match=said):
        parse_answer({"choices": [{**CHOICE, **change}]}, QUESTION)


def test_a_server_that_was_never_given_weights_samples_by_the_base_model() -> None:
    """vLLM's own name for weights that nobody named is version 0."""
    spans = [{"version": "default", "start": 0, "end": 2}, {"version": "1", "start": 2, "end": 3}]
    assert parse_answer({"choices": [{**CHOICE, "weight_versions": spans}]}, QUESTION).versions == (0, 0, 1)
