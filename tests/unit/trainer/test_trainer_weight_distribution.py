"""Orders of the real transport, carried out by the real fetch, while servers come, vanish and fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import Heartbeat, WeightOrder, WeightReceipt
from deepcoder_rollout import weights
from deepcoder_rollout.shard_download import Bounds, SourceError, SourceNotYetError
from deepcoder_rollout.shard_store import GoneError, NotYetError, ShardStore
from deepcoder_rollout.weights import FetchFailedError, FetchRules, fetch
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import BASE_MODEL, Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import CommandResult, Publish, RankShards
from tests.shard_sources import held

SHARDS = 5
RULES = FetchRules(trainer_pause_seconds=0.005, first_poll_seconds=0.002, last_poll_seconds=0.01)
SETTLE_SECONDS = 30.0
ANSWER_SECONDS = 5.0


def files(version: int) -> dict[str, bytes]:
    """What the ranks publish as a version."""
    return {f"model-{number}.safetensors": b"%d of version %d" % (number, version) for number in range(SHARDS)}


@dataclass
class Peer:
    """A rollout server: its store, what it has loaded, and whether it lives and lets others read."""

    name: str
    store: ShardStore
    held: Policy = BASE_MODEL
    silent: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    work: set[asyncio.Task[httpx.Response]] = field(default_factory=set)

    @property
    def beat(self) -> Heartbeat:
        """Two servers share a machine."""
        return Heartbeat(
            server=self.name, generate_url=f"http://{self.name}:1", agent_url=f"http://{self.name}:2",
            shards_url=f"http://{self.name}:3", node=f"machine-{int(self.name[1:]) // 2}", attempt=self.held.attempt,
            version=self.held.version, ready=True,
        )  # fmt: skip

    async def take(self, order: WeightOrder) -> httpx.Response:
        """Carry an order out as the agent does, one after another; loading is a moment."""
        try:
            async with self.turn:
                fetched = await fetch(order, self.store, RULES)
        except FetchFailedError as error:
            return httpx.Response(503, text=str(error))
        self.held = Policy(order.attempt, order.version)
        receipt = WeightReceipt(
            attempt=order.attempt, version=order.version, bytes=1, trainer_bytes=fetched.trainer_bytes,
            peer_bytes=fetched.peer_bytes, failures=dict(fetched.failures), fetch_seconds=0, pause_seconds=0,
        )  # fmt: skip
        return httpx.Response(200, content=receipt.model_dump_json())


class World:
    """A trainer with any number of servers; the network between them is a function call."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loop = asyncio.get_running_loop()
        self.peers: dict[str, Peer] = {}
        self.from_trainer: Counter[tuple[int, str]] = Counter()
        self.ranks = RankChannel()
        self.registry = RolloutRegistry(Policy(1, 0), time.monotonic, expire_seconds=3600)
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.transport = PullTransport(
            attempt=1, ranks=self.ranks, registry=self.registry, client=self.client, metrics=RunMetrics()
        )
        self._counting = threading.Lock()
        self._published = 0

    def download(self, url: str, shard: FileDigest, to: Path, bounds: Bounds) -> None:
        """In place of HTTP; runs in the fetch's threads."""
        host, (attempt, version, name) = urlsplit(url).hostname, urlsplit(url).path.split("/")[-3:]
        time.sleep(0.001)
        if host == "trainer":
            with self._counting:
                self.from_trainer[int(version), name] += 1
            content = files(int(version))[name]
        else:
            content = self._from_peer(host or "", (int(attempt), int(version)), name)
        assert sha256(content).hexdigest() == shard.sha256
        to.write_bytes(content)

    def _from_peer(self, host: str, version: tuple[int, int], name: str) -> bytes:
        """A store is its event loop's alone: a peer looks there, as its server does, not in the thread that asks."""
        asked = asyncio.run_coroutine_threadsafe(self._served(host, version, name), self._loop)
        try:
            return asked.result(ANSWER_SECONDS)
        except (TimeoutError, CancelledError):  # the world has ended
            raise SourceError("silent", host) from None

    async def _served(self, host: str, version: tuple[int, int], name: str) -> bytes:
        peer = self.peers.get(host)
        if peer is None or peer.silent:
            raise SourceError("silent" if peer else "unreachable", host)
        try:
            return peer.store.find(version, name).read_bytes()
        except NotYetError:
            raise SourceNotYetError(host) from None
        except (GoneError, FileNotFoundError):
            raise SourceError("gone", host) from None

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        peer = self.peers.get(request.url.host)
        if peer is None:
            raise httpx.ConnectError("nobody is there")
        for older in peer.work:
            older.cancel()
        work = asyncio.create_task(peer.take(WeightOrder.model_validate(json.loads(request.content))))
        peer.work.add(work)
        try:
            return await work
        except asyncio.CancelledError:
            if work.cancelled():
                raise httpx.ReadError("the server is gone, or has a newer order") from None
            work.cancel()
            raise
        finally:
            peer.work.discard(work)

    def do(self, event: str, name: str) -> None:
        """Something happens to a server."""
        peer = self.peers.get(name)
        if event == "comes" and peer is None:
            store = ShardStore(self._root / f"{name}-{time.monotonic_ns()}")
            store.clear()
            self.peers[name] = Peer(name, store)
            self.beat()
        elif event == "vanishes" and peer is not None:
            del self.peers[name]
            for work in peer.work:
                work.cancel()
            for server in self.registry.servers:
                if server.name == name:
                    self.transport.leave(server)
                    self.registry._lose(server)
        elif event == "falls silent" and peer is not None:
            peer.silent = True

    def beat(self) -> None:
        """Every server that lives heartbeats."""
        for peer in self.peers.values():
            self.transport.join(self.registry.heard(peer.beat))

    async def publish(self) -> None:
        """The next version, by one rank."""
        self._published += 1
        version = self._published
        publishing = asyncio.create_task(self.transport.publish(version))
        command = await self.ranks.read(version - 1, 5)
        assert isinstance(command, Publish)
        digests = tuple(
            FileDigest(path=name, bytes=len(content), sha256=sha256(content).hexdigest())
            for name, content in files(version).items()
        )
        self.transport.announced(RankShards(version=version, rank=0, ranks=1, url="http://trainer", files=digests))
        self.ranks.finished(version - 1, CommandResult())
        await publishing

    async def settle(self) -> None:
        """Until every server that lives holds what was published last."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while any(peer.held != self.registry.wanted for peer in self.peers.values()):
                self.beat()
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        made = World(Path(folder))
        patch.setattr(weights, "download", made.download)
        try:
            yield made
        finally:
            await made.transport.abort()
            await made.client.aclose()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["comes", "comes", "vanishes", "falls silent", "is published"]),
        st.integers(0, 5).map(lambda number: f"s{number}"),
        st.sampled_from([0.0, 0.002, 0.01]),
    ),
    max_size=14,
)


@given(events=EVENTS)
@settings(max_examples=30, deadline=None)
def test_every_server_ends_with_the_right_weights(events: list[tuple[str, str, float]]) -> None:
    """Whoever comes, vanishes or falls silent, and whenever; undisturbed, the trainer sends each shard once."""

    async def play() -> None:
        async with world() as subject:
            subject.do("comes", "s0")
            await subject.publish()
            for event, name, pause in events:
                if event == "is published":
                    await subject.publish()
                else:
                    subject.do(event, name)
                await asyncio.sleep(pause)
            await subject.publish()
            await subject.settle()
            newest = subject.registry.wanted
            for peer in subject.peers.values():
                assert (peer.held, held(peer.store)) == (newest, files(newest.version))
            if {event for event, _, _ in events} <= {"comes"}:
                assert {subject.from_trainer[newest.version, name] for name in files(newest.version)} == {1}

    asyncio.run(play())


@pytest.mark.parametrize("servers", [1, 2, 6])
async def test_the_trainer_sends_a_version_once_however_many_servers_take_it(servers: int) -> None:
    """And no shard to a server that comes later."""
    async with world() as subject:
        for number in range(servers):
            subject.do("comes", f"s{number}")
        await subject.publish()
        await subject.settle()
        subject.do("comes", "s9")
        await subject.settle()
    assert subject.from_trainer == {(1, name): 1 for name in files(1)}
