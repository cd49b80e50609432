"""Which orders an agent obeys, and what it tells others of itself. tests/integration/rollout has the real vLLM."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import Heartbeat, HeartbeatReply, WeightOrder
from deepcoder_rollout.agent import Agent, Holding, application
from deepcoder_rollout.vllm_server import ServerControl

CONTENT = b"weights"


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
    order = WeightOrder(attempt=ordered[0], version=ordered[1], base_url="http://t", files=(), deadline_seconds=1)
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
    assert Holding(*held, *wanted, usable=usable).ready is ready


class World:
    """The orchestrator and vLLM around one agent."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.wanted = HeartbeatReply(attempt=1, version=0)
        self.vllm_status = 200
        self.loads: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.url.host, request.url.path:
            case "trainer", "/v1/rollouts":
                self.beats.append(Heartbeat.model_validate_json(request.content))
                return httpx.Response(200, content=self.wanted.model_dump_json())
            case "trainer", _:
                return httpx.Response(200, content=CONTENT)
            case _, "/update_weights":
                self.loads.append(request.content.decode())
                return httpx.Response(self.vllm_status)
            case _:
                return httpx.Response(200)


class Subject:
    """An agent in that world, with a client of its routes."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        client = httpx.AsyncClient(transport=httpx.MockTransport(world))
        self.agent = Agent(
            server="rollout-0", orchestrator="http://trainer:8700", host="10.0.0.7", port=8300,
            control=ServerControl("http://127.0.0.1:8000", client), generate_port=8000, shared_memory=folder,
            client=client,
        )  # fmt: skip
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(application(self.agent)), base_url="http://agent")

    async def order(self, attempt: int, version: int, content: bytes = CONTENT) -> httpx.Response:
        digest = FileDigest(path="m.safetensors", bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        order = WeightOrder(
            attempt=attempt, version=version, base_url="http://trainer:8700/v1/weights/1", files=(digest,),
            deadline_seconds=5,
        )  # fmt: skip
        return await self.http.post("/v1/weights", json=order.model_dump(mode="json"))

    async def ready(self) -> bool:
        return (await self.http.get("/readyz")).status_code == 200


@pytest.fixture
async def subject(tmp_path: Path) -> Subject:
    subject = Subject(World(), tmp_path / "weights")
    await subject.agent.start()
    return subject


async def test_a_heartbeat_tells_addresses_and_what_is_loaded(subject: Subject) -> None:
    """Before and after an order; the reply says when to beat again."""
    assert await subject.agent.heartbeat() == 2.0
    assert (await subject.order(1, 4)).status_code == 200
    await subject.agent.heartbeat()
    before, after = subject.world.beats
    assert (before.server, before.generate_url, before.agent_url) == (
        "rollout-0", "http://10.0.0.7:8000", "http://10.0.0.7:8300",
    )  # fmt: skip
    assert [(b.attempt, b.version, b.ready) for b in (before, after)] == [(0, 0, True), (1, 4, True)]


async def test_a_server_behind_is_not_ready_until_it_has_caught_up(subject: Subject) -> None:
    """A server that starts in mid-run holds the base model; it is ready once it holds what is wanted."""
    subject.world.wanted = HeartbeatReply(attempt=1, version=6)
    await subject.agent.heartbeat()
    assert not await subject.ready()
    await subject.order(1, 6)
    assert await subject.ready()


async def test_an_obeyed_order_leaves_no_files(subject: Subject) -> None:
    """Shared memory is given back as soon as the weights are loaded."""
    receipt = (await subject.order(1, 1)).json()
    assert (receipt["attempt"], receipt["version"], receipt["bytes"]) == (1, 1, len(CONTENT))
    assert len(subject.world.loads) == 1
    assert not list(subject.folder.iterdir())


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
    answer = await subject.order(1, 1, content=b"something else")
    assert answer.status_code == 503
    assert "checksum" in answer.json()["error"]
    assert subject.world.loads == []
    assert await subject.ready()
    assert not list(subject.folder.iterdir())


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
