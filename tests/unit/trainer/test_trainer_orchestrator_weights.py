"""Publishing weights and having servers take them over."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import Heartbeat, WeightOrder, WeightReceipt
from deepcoder_trainer.orchestrator.failures import RanksFailed
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import BASE_MODEL, Policy, RolloutRegistry, Server
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import CommandResult, Publish, RankShards

FILES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


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
            attempt=order.attempt, version=order.version, bytes=8, trainer_bytes=6, peer_bytes=2,
            failures={"silent": 1}, fetch_seconds=0.1, pause_seconds=0.1,
        )  # fmt: skip
        return httpx.Response(200, content=receipt.model_dump_json())


class Setup:
    """A transport whose two ranks, each on a pod of its own, publish one small shard a version each."""

    def __init__(self, agents: Agents, client: httpx.AsyncClient, keep_kv: bool = False) -> None:
        self.agents = agents
        self.ranks = RankChannel()
        self.now = 0.0
        self.registry = RolloutRegistry(Policy(1, 0), lambda: self.now)
        self.metrics = RunMetrics()
        self.transport = PullTransport(
            attempt=1, ranks=self.ranks, registry=self.registry, client=client, metrics=self.metrics,
            keep_kv=keep_kv,
        )  # fmt: skip
        self.commands: list[Publish] = []

    async def publish(self, version: int, telling: tuple[int, ...] = (0, 1)) -> None:
        publishing = asyncio.create_task(self.transport.publish(version))
        command = await self.ranks.read(len(self.commands), 5)
        assert isinstance(command, Publish)
        for rank in telling:
            file = FileDigest(path=FILES[rank], bytes=4, sha256=hashlib.sha256(b"v%d-%d" % (version, rank)).hexdigest())
            told = RankShards(version=version, rank=rank, ranks=2, url=f"http://trainer-{rank}:8701", files=(file,))
            self.transport.announced(told)
        self.ranks.finished(len(self.commands), CommandResult())
        self.commands.append(command)
        await publishing

    def beat(self, name: str, held: Policy = BASE_MODEL, port: int = 1) -> Server:
        server = self.registry.heard(
            Heartbeat(
                server=name,
                generate_url=f"http://{name}:{port}",
                agent_url=f"http://{name}:2",
                shards_url=f"http://{name}:3",
                node=f"node-of-{name}",
                attempt=held.attempt,
                version=held.version,
                ready=True,
            )
        )
        self.transport.join(server)
        return server

    async def settle(self) -> list[str]:
        """The names of those that hold what is wanted, once all that are under way have ended."""
        held = await self.transport.await_version(self.registry.wanted.version, 5)
        return [server.name for server in held]

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"deepcoder_{name}", labels) or 0.0

    @property
    def refusals(self) -> float:
        return self.metric("weight_sync_failures_total")


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    agents = Agents()
    async with httpx.AsyncClient(transport=httpx.MockTransport(agents.answer)) as client:
        made = Setup(agents, client)
        yield made
        await made.transport.abort()


@pytest.mark.parametrize("keep_kv", [False, True])
async def test_an_order_says_whether_the_cache_outlives_the_weights(keep_kv: bool) -> None:
    """As the run has it."""
    agents = Agents()
    async with httpx.AsyncClient(transport=httpx.MockTransport(agents.answer)) as client:
        setup = Setup(agents, client, keep_kv)
        setup.beat("a")
        await setup.publish(1)
        assert await setup.settle() == ["a"]
        await setup.transport.abort()
    assert [order.clear_cache for _, order in agents.orders] == [not keep_kv]


async def test_every_live_server_is_ordered_the_new_version_with_its_digests(setup: Setup) -> None:
    """Each gets every shard's size, sha256 and trainer node, and the peers that have it first; then it is current."""
    setup.beat("a")
    setup.beat("b")
    await setup.publish(1)
    assert await setup.settle() == ["a", "b"]
    orders = dict(setup.agents.orders)
    assert sorted(orders) == ["a", "b"]
    first, second = orders["a"].shards
    assert (orders["a"].attempt, orders["a"].version) == (1, 1)
    assert (first.path, first.bytes, first.sha256) == (FILES[0], 4, hashlib.sha256(b"v1-0").hexdigest())
    assert (first.trainer, second.trainer) == ("http://trainer-0:8701", "http://trainer-1:8701")
    assert [shard.peers for shard in orders["a"].shards] == [(), ("http://b:3",)]
    assert [shard.peers for shard in orders["b"].shards] == [("http://a:3",), ()]


async def test_what_a_take_over_cost_is_counted(setup: Setup) -> None:
    """Bytes by where they came from, seconds by part, sources that failed by reason."""
    setup.beat("a")
    await setup.publish(1)
    await setup.settle()
    assert setup.metric("weight_sync_bytes_total", source="trainer") == 6
    assert setup.metric("weight_sync_bytes_total", source="peer") == 2
    assert setup.metric("weight_sync_source_failures_total", reason="silent") == 1
    assert setup.metric("weight_sync_pause_seconds_count") == 1
    assert setup.metric("weight_sync_seconds_total", part="publish") > 0


async def test_a_version_that_a_rank_has_not_told_of_is_not_published(setup: Setup) -> None:
    """Half a model is none: the ranks have failed, and nobody is ordered anything."""
    setup.beat("a")
    with pytest.raises(RanksFailed, match=r"ranks \[1\] published version 1 without telling"):
        await setup.publish(1, telling=(0,))
    assert setup.agents.orders == []


async def test_the_version_before_is_kept_while_the_next_is_written(setup: Setup) -> None:
    """Servers may be fetching it; older ones are removed."""
    for version in (1, 2, 3):
        await setup.publish(version)
    assert [(command.version, command.keep) for command in setup.commands] == [(1, ()), (2, (1,)), (3, (2,))]


async def test_before_the_first_version_a_server_needs_nothing(setup: Setup) -> None:
    """The base model that every server starts with is version 0 of the first attempt."""
    setup.beat("a")
    assert await setup.settle() == ["a"]
    assert setup.agents.orders == []


async def test_a_server_that_fails_gets_no_prompts_and_is_ordered_again_when_it_beats(setup: Setup) -> None:
    """Out of the ready set at once; its next heartbeat with the older version brings the order again."""
    setup.agents.failing = {"a"}
    setup.beat("a")
    setup.beat("b")
    await setup.publish(1)
    assert await setup.settle() == ["b"]
    assert setup.refusals == 1
    setup.agents.failing = set()
    setup.beat("a")
    assert [server.name for server in setup.registry.current] == ["b"]
    assert await setup.settle() == ["a", "b"]
    assert setup.agents.orders[-1][1].shards[0].peers == ("http://b:3",)


async def test_a_server_that_comes_later_has_the_newest_version_before_it_is_given_prompts(setup: Setup) -> None:
    """Its first heartbeat, with the base model, brings the order for the newest version and no other."""
    await setup.publish(1)
    await setup.publish(2)
    setup.beat("late")
    assert setup.registry.current == []
    assert await setup.settle() == ["late"]
    assert [order.version for _, order in setup.agents.orders] == [2]


async def test_a_server_that_comes_while_others_fetch_may_ask_them(setup: Setup) -> None:
    """They were ordered the version before it; one that failed and comes again asks only those that have it."""
    setup.agents.silent = {"a"}
    setup.agents.failing = {"late"}
    setup.beat("a")
    await setup.publish(1)
    for peers in (("http://a:3",), ()):
        setup.beat("late")
        await setup.transport.await_version(1, 0.1)
        assert setup.agents.orders[-1][1].shards[0].peers == peers


async def test_a_newer_version_is_ordered_while_an_older_one_is_still_fetched(setup: Setup) -> None:
    """The agent gives the older fetch up; it is ordered the newer one at once and not after the older's deadline."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    setup.agents.silent = set()
    await setup.publish(2)
    assert await setup.settle() == ["a"]
    assert [order.version for _, order in setup.agents.orders][-1] == 2
    assert setup.refusals == 0


async def test_a_server_that_vanishes_during_its_order_holds_nobody_up(setup: Setup) -> None:
    """The order ends when its server is given up for its silence; the step goes on with one that came meanwhile."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    waiting = asyncio.create_task(setup.transport.await_version(1, 60))
    await asyncio.sleep(0.05)
    setup.now = 10.0
    setup.beat("b")
    setup.now = 20.0
    for server in setup.registry.expire():
        assert server.name == "a"
        setup.transport.leave(server)
    assert [server.name for server in await asyncio.wait_for(waiting, 5)] == ["b"]
    assert setup.refusals == 1


async def test_a_server_that_comes_back_at_another_address_is_ordered_there(setup: Setup) -> None:
    """What was under way at the old address is given up."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    await asyncio.sleep(0.01)
    setup.agents.silent = set()
    setup.beat("a", port=7)
    assert await setup.settle() == ["a"]
    assert len(setup.agents.orders) == 2


async def test_nobody_is_waited_for_past_the_deadline(setup: Setup) -> None:
    """A server that hangs does not hold the step; who samples then is the caller's to see."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    assert await asyncio.wait_for(setup.transport.await_version(1, 0.1), 5) == []


async def test_a_server_of_a_newer_attempt_is_left_alone(setup: Setup) -> None:
    """An orchestrator that was replaced and does not know it yet gives such a server neither orders nor prompts."""
    await setup.publish(1)
    setup.beat("a", Policy(2, 7))
    assert await setup.settle() == []
    assert setup.agents.orders == []


async def test_an_abort_gives_up_what_is_under_way(setup: Setup) -> None:
    """Nothing of the attempt goes on after it, and a server that still heartbeats is ordered nothing."""
    setup.agents.silent = {"a"}
    setup.beat("a")
    await setup.publish(1)
    await asyncio.wait_for(setup.transport.abort(), 5)
    setup.beat("late")
    assert await asyncio.wait_for(setup.transport.await_version(1, 60), 5) == []
    assert [host for host, _ in setup.agents.orders] == ["a"]
