"""Which orders an agent obeys, and what it tells others of itself. tests/integration/rollout has the real vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deepcoder_api.rollout import Heartbeat, HeartbeatReply, WeightOrder
from deepcoder_rollout.agent import Agent, application
from deepcoder_rollout.holding import Holding, Place
from deepcoder_rollout.vllm_server import ServerControl
from deepcoder_rollout.weights import FetchRules
from tests.shard_sources import Source, order_of, source

CONTENT = b"weights"
NAME = "m.safetensors"


@pytest.mark.parametrize(
    ("held", "ordered", "refused"),
    [
        ((0, 0), (1, 1), ""),
        ((1, 3), (1, 4), ""),
        ((1, 3), (1, 3), ""),  # once more after a receipt that was lost
        ((1, 3), (2, 0), ""),  # a new attempt goes on from an older checkpoint
        ((1, 3), (1, 2), "version 2 is older"),
        ((2, 0), (1, 9), "attempt 1 is over"),
    ],
)
def test_weights_never_go_back_in_time(held: tuple[int, int], ordered: tuple[int, int], refused: str) -> None:
    """An older attempt is refused whatever its version, an older version within an attempt."""
    order = WeightOrder(attempt=ordered[0], version=ordered[1], shards=(), deadline_seconds=1)
    reason = Holding(*held).refuses(order)
    assert (refused in reason) if refused and reason else reason is None


@pytest.mark.parametrize(
    ("held", "wanted", "usable", "ready"),
    [
        ((0, 0), (0, 0), True, True),
        ((0, 0), (0, 0), False, False),
        ((0, 0), (1, 2), True, False),
        ((1, 2), (1, 2), True, True),
        ((1, 3), (1, 2), True, True),
        ((1, 9), (2, 0), True, False),
    ],
)
def test_ready_is_sound_and_not_behind(
    held: tuple[int, int], wanted: tuple[int, int], usable: bool, ready: bool
) -> None:
    """Kubernetes routes to a server that works and holds at least what the orchestrator last wanted."""
    assert Holding(*held, *wanted, heard=True, usable=usable).ready is ready


def test_a_server_that_was_told_nothing_yet_is_not_ready() -> None:
    """A run may be at any version when a server starts: whether the base model will do, the orchestrator says."""
    assert not Holding(usable=True).ready


class World:
    """The orchestrator and vLLM around one agent."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.wanted = HeartbeatReply(attempt=1, version=0)
        self.vllm_status = 200
        self.loads: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.url.host, request.url.path:
            case "orchestrator", "/v1/rollouts":
                self.beats.append(Heartbeat.model_validate_json(request.content))
                return httpx.Response(200, content=self.wanted.model_dump_json())
            case _, "/update_weights":
                self.loads.append(request.content.decode())
                return httpx.Response(self.vllm_status)
            case _:
                return httpx.Response(200)


class Subject:
    """An agent in that world, with a client of its routes and a trainer that has its weights."""

    def __init__(self, world: World, folder: Path, trainer: Source) -> None:
        self.world = world
        self.folder = folder
        self.trainer = trainer
        client = httpx.AsyncClient(transport=httpx.MockTransport(world))
        self.agent = Agent(
            Place("rollout-0", "machine-a", "10.0.0.7", 8300, 8000, 8302), orchestrator="http://orchestrator:8700",
            control=ServerControl("http://127.0.0.1:8000", client), shared_memory=folder, client=client,
            rules=FetchRules(trainer_pause_seconds=0.01),
        )  # fmt: skip
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(application(self.agent)), base_url="http://agent")

    async def order(self, attempt: int, version: int) -> httpx.Response:
        order = order_of({NAME: CONTENT}, self.trainer.url, attempt=attempt, version=version, deadline_seconds=5)
        return await self.http.post("/v1/weights", json=order.model_dump(mode="json"))

    async def ready(self) -> bool:
        return (await self.http.get("/readyz")).status_code == 200


@pytest.fixture
async def subject(tmp_path: Path) -> AsyncIterator[Subject]:
    async with source({NAME: CONTENT}) as trainer:
        subject = Subject(World(), tmp_path / "weights", trainer)
        await subject.agent.start()
        await subject.agent.heartbeat()
        yield subject


async def test_a_heartbeat_tells_addresses_and_what_is_loaded(subject: Subject) -> None:
    """Before and after an order; the reply says when to beat again."""
    assert (await subject.order(1, 4)).status_code == 200
    assert await subject.agent.heartbeat() == 2.0
    before, after = subject.world.beats
    assert (before.server, before.node, before.generate_url, before.agent_url, before.shards_url) == (
        "rollout-0", "machine-a", "http://10.0.0.7:8000", "http://10.0.0.7:8300", "http://10.0.0.7:8302",
    )  # fmt: skip
    assert [(b.attempt, b.version, b.ready) for b in (before, after)] == [(0, 0, True), (1, 4, True)]


async def test_a_server_behind_is_not_ready_until_it_has_caught_up(subject: Subject) -> None:
    """A server that starts in mid-run holds the base model; it is ready once it holds what is wanted."""
    subject.world.wanted = HeartbeatReply(attempt=1, version=6)
    await subject.agent.heartbeat()
    assert not await subject.ready()
    await subject.order(1, 6)
    assert await subject.ready()


async def test_an_obeyed_order_leaves_its_shards_for_others_and_no_older_ones(subject: Subject) -> None:
    """The receipt tells what was fetched; the next version takes the place of the last."""
    receipt = (await subject.order(1, 1)).json()
    assert (receipt["attempt"], receipt["version"], receipt["bytes"]) == (1, 1, len(CONTENT))
    assert (receipt["trainer_bytes"], receipt["peer_bytes"], receipt["failures"]) == (len(CONTENT), 0, {})
    await subject.order(1, 2)
    assert len(subject.world.loads) == 2
    assert [str(file.relative_to(subject.folder)) for file in sorted(subject.folder.rglob("*.*"))] == [
        f"version-1-2/{NAME}"
    ]


async def test_a_newer_order_ends_the_fetch_of_an_older_one(subject: Subject) -> None:
    """A trainer that hangs, or is gone, does not keep a server from the weights of the next attempt."""
    subject.trainer.fault, subject.trainer.failures_left = "hangs", 1
    older = asyncio.create_task(subject.order(1, 1))
    await subject.trainer.failing.wait()
    newer = await asyncio.wait_for(subject.order(2, 1), 3)
    assert newer.status_code == 200
    assert (await older).status_code == 409
    assert "a newer one is ordered" in (await older).json()["error"]
    assert (subject.agent.holding.attempt, len(subject.world.loads)) == (2, 1)


async def test_an_older_attempts_order_does_not_reach_vllm(subject: Subject) -> None:
    """409, and nothing is fetched or loaded."""
    await subject.order(2, 1)
    answer = await subject.order(1, 9)
    assert answer.status_code == 409
    assert "attempt 1 is over" in answer.json()["error"]
    assert len(subject.world.loads) == 1
    assert (subject.agent.holding.attempt, subject.agent.holding.version) == (2, 1)


async def test_a_damaged_file_leaves_the_server_as_it_was(subject: Subject) -> None:
    """503 with the reason; vLLM was not touched and stays ready."""
    subject.trainer.fault = "damaged"
    answer = await subject.order(1, 1)
    assert answer.status_code == 503
    assert "checksum" in answer.json()["error"]
    assert subject.world.loads == []
    assert await subject.ready()
    assert not list(subject.folder.rglob("*.*"))


async def test_a_failed_load_makes_the_server_unready_until_one_succeeds(subject: Subject) -> None:
    """Its weights are neither old nor new: it says so by readiness and heartbeat, and the next order may heal it."""
    subject.world.vllm_status = 500
    assert (await subject.order(1, 1)).status_code == 503
    assert not await subject.ready()
    await subject.agent.heartbeat()
    beat = subject.world.beats[-1]
    assert (beat.attempt, beat.version, beat.ready) == (0, 0, False)
    subject.world.vllm_status = 200
    assert (await subject.order(1, 1)).status_code == 200
    assert await subject.ready()


async def test_a_malformed_order_is_refused_with_the_field(subject: Subject) -> None:
    """422 and the reason."""
    answer = await subject.http.post("/v1/weights", json={"attempt": 0})
    assert answer.status_code == 422
    assert "attempt" in answer.json()["error"]
