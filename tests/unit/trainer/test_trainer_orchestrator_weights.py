"""Publishing weights and having servers take them over."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deepcoder_api.rollout import Heartbeat, WeightOrder, WeightReceipt
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import BASE_MODEL, Policy, RolloutRegistry, Server
from deepcoder_trainer.orchestrator.weights import WeightPublisher
from deepcoder_trainer.rank_protocol import CommandResult, Publish


class Agents:
    """The agents' side of the protocol, by name: `failing` ones answer 503, `silent` ones never, others load."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, WeightOrder]] = []
        self.failing: set[str] = set()
        self.silent: set[str] = set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        order = WeightOrder.model_validate_json(request.content)
        self.orders.append((request.url.host, order))
        if request.url.host in self.silent:
            await asyncio.Event().wait()
        if request.url.host in self.failing:
            return httpx.Response(503, json={"error": "cannot fetch"})
        receipt = WeightReceipt(
            attempt=order.attempt, version=order.version, bytes=4, fetch_seconds=0.1, pause_seconds=0.1
        )
        return httpx.Response(200, content=receipt.model_dump_json())


class Setup:
    """A publisher whose ranks write one small file a version."""

    def __init__(self, folder: Path, agents: Agents, client: httpx.AsyncClient) -> None:
        self.agents = agents
        self.ranks = RankChannel()
        self.now = 0.0
        self.registry = RolloutRegistry(Policy(1, 0), lambda: self.now)
        self.receipts: list[WeightReceipt] = []
        self.refusals = 0
        self.publisher = WeightPublisher(
            attempt=1, folder=folder, ranks=self.ranks, registry=self.registry, client=client,
            received=self.receipts.append, refused=self._refused,
        )  # fmt: skip
        self._issued = 0

    def _refused(self) -> None:
        self.refusals += 1

    async def publish(self, version: int) -> None:
        publishing = asyncio.create_task(self.publisher.publish(version))
        command = await self.ranks.read(self._issued, 5)
        assert isinstance(command, Publish)
        (Path(command.directory) / "model.safetensors").write_bytes(b"v%d!!" % version)
        self.ranks.finished(self._issued, CommandResult())
        self._issued += 1
        await publishing

    def beat(self, name: str, held: Policy = BASE_MODEL) -> Server:
        server = self.registry.heard(
            Heartbeat(
                server=name,
                generate_url=f"http://{name}:1",
                agent_url=f"http://{name}:2",
                attempt=held.attempt,
                version=held.version,
                ready=True,
            ),
            f"http://trainer-seen-by-{name}:8700",
        )
        self.publisher.bring_up(server)
        return server


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    agents = Agents()
    async with httpx.AsyncClient(transport=httpx.MockTransport(agents.answer)) as client:
        yield Setup(tmp_path / "weights", agents, client)


async def test_every_live_server_is_ordered_the_new_version_with_its_digests(setup: Setup) -> None:
    """Each gets files, size and sha256, at the address by which it reaches the orchestrator; then it is current."""
    setup.beat("a")
    setup.beat("b")
    await setup.publish(1)
    await setup.publisher.settle()
    assert sorted(host for host, _ in setup.agents.orders) == ["a", "b"]
    host, order = setup.agents.orders[0]
    assert (order.attempt, order.version) == (1, 1)
    assert order.base_url == f"http://trainer-seen-by-{host}:8700/v1/weights/1"
    assert [(f.path, f.bytes, f.sha256) for f in order.files] == [
        ("model.safetensors", 4, hashlib.sha256(b"v1!!").hexdigest())
    ]
    assert len(setup.registry.current) == 2
    assert [receipt.version for receipt in setup.receipts] == [1, 1]


async def test_before_the_first_version_a_server_needs_nothing(setup: Setup) -> None:
    """The base model that every server starts with is version 0 of the first attempt."""
    setup.beat("a")
    await setup.publisher.settle()
    assert setup.agents.orders == []
    assert len(setup.registry.current) == 1


async def test_a_server_that_fails_gets_no_prompts_and_is_ordered_again_when_it_beats(setup: Setup) -> None:
    """Out of the ready set at once; its next heartbeat with the older version brings the order again."""
    setup.agents.failing = {"a"}
    setup.beat("a")
    setup.beat("b")
    await setup.publish(1)
    await setup.publisher.settle()
    assert [server.name for server in setup.registry.current] == ["b"]
    assert setup.refusals == 1
    setup.agents.failing = set()
    setup.beat("a")
    assert [server.name for server in setup.registry.current] == ["b"]
    await setup.publisher.settle()
    assert len(setup.registry.current) == 2


async def test_a_server_that_comes_later_has_the_newest_version_before_it_is_given_prompts(setup: Setup) -> None:
    """Its first heartbeat, with the base model, brings the order for the newest version and no other."""
    await setup.publish(1)
    await setup.publish(2)
    setup.beat("late")
    assert setup.registry.current == []
    await setup.publisher.settle()
    assert [order.version for _, order in setup.agents.orders] == [2]
    assert len(setup.registry.current) == 1


async def test_a_server_that_vanishes_during_its_order_holds_nobody_up(setup: Setup) -> None:
    """The order ends when its server is given up for its silence; the step goes on with one that came meanwhile."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    settling = asyncio.create_task(setup.publisher.settle())
    await asyncio.sleep(0.05)
    setup.now = 10.0
    setup.beat("b")
    setup.now = 20.0
    assert [server.name for server in setup.registry.expire()] == ["a"]
    await asyncio.wait_for(settling, 5)
    assert [server.name for server in setup.registry.current] == ["b"]
    assert setup.refusals == 1


async def test_a_server_of_a_newer_attempt_is_left_alone(setup: Setup) -> None:
    """An orchestrator that was replaced and does not know it yet gives such a server neither orders nor prompts."""
    await setup.publish(1)
    setup.beat("a", Policy(2, 7))
    await setup.publisher.settle()
    assert setup.agents.orders == []
    assert setup.registry.current == []


async def test_only_the_newest_two_versions_are_kept_and_only_their_files_are_served(setup: Setup) -> None:
    """Older folders are removed; a name that is not among the published files leads nowhere."""
    for version in (1, 2, 3):
        await setup.publish(version)
    served = [setup.publisher.file(version, "model.safetensors") for version in (1, 2, 3)]
    assert served[0] is None
    assert [file.read_bytes() for file in served[1:] if file] == [b"v2!!", b"v3!!"]
    assert setup.publisher.file(3, "../version-2/model.safetensors") is None
    assert not (served[1].parent.parent / "version-1").exists() if served[1] else False
