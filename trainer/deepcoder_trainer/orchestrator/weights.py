"""Weights by pull: the ranks publish shards where their pods serve them, and every server behind is ordered to fetch.

A server fetches from the trainer what no other has, and the rest from other servers (`weight_sources.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import structlog
from pydantic import ValidationError

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import Shard, WeightOrder, WeightReceipt
from deepcoder_trainer.orchestrator.failures import RanksFailed
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry, Server
from deepcoder_trainer.orchestrator.weight_sources import Taker, peers_of
from deepcoder_trainer.rank_protocol import Publish, RankShards

PUBLISH_SECONDS = 1800.0
ORDER_SECONDS = 120.0
SLOWEST_BYTES_PER_SECOND = 20e6
log = structlog.get_logger("weights")


@dataclass(frozen=True)
class Published:
    """One version as it is served: each shard with the trainer node that has it."""

    policy: Policy
    shards: tuple[tuple[FileDigest, str], ...]

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(file.bytes for file, _ in self.shards)

    @property
    def order_seconds(self) -> float:
        """How long a server may take to fetch it, and again to load it."""
        return ORDER_SECONDS + self.bytes / SLOWEST_BYTES_PER_SECOND


@dataclass
class Announced:
    """What the ranks have said of a version that they are publishing."""

    ranks: int = 0
    by_rank: dict[int, RankShards] = field(default_factory=dict)

    def whole(self, policy: Policy) -> Published:
        """The version, once every rank has told. Raises RanksFailed."""
        missing = [rank for rank in range(max(1, self.ranks)) if rank not in self.by_rank]
        if missing:
            raise RanksFailed(f"ranks {missing} published version {policy.version} without telling of their shards")
        told = [(file, one.url) for one in self.by_rank.values() for file in one.files]
        if not told:
            raise RanksFailed(f"the ranks published version {policy.version} without a shard")
        return Published(policy, tuple(sorted(told, key=lambda pair: pair[0].path)))


class OrderFailedError(Exception):
    """The agent did not take the weights over; it keeps what it had or says that it is not ready."""


class PullTransport:
    """The WeightTransport in which servers fetch: the newest version, and the orders that bring servers up to it."""

    def __init__(
        self, *, attempt: int, ranks: RankChannel, registry: RolloutRegistry, client: httpx.AsyncClient,
        metrics: RunMetrics, keep_kv: bool = False,
    ) -> None:  # fmt: skip
        """keep_kv: servers keep what they computed under older weights; a Generator that knows of it must ask them."""
        self._keep_kv = keep_kv
        self._attempt = attempt
        self._ranks = ranks
        self._registry = registry
        self._client = client
        self._metrics = metrics
        self._newest: Published | None = None
        self._announced: dict[int, Announced] = {}
        self._orders: dict[Server, asyncio.Task[None]] = {}
        self._ordered: set[Server] = set()
        """Those that were ever ordered the newest version."""

    def announced(self, shards: RankShards) -> None:
        """A rank tells what it has published; twice is the same."""
        version = self._announced.setdefault(shards.version, Announced())
        version.ranks = shards.ranks
        version.by_rank[shards.rank] = shards

    async def publish(self, version: int) -> float:
        """Have the ranks publish `version`, want it, and order it everywhere. See WeightTransport."""
        started = time.monotonic()
        # The version before stays: servers may be fetching it until their orders of this one come.
        keep = () if self._newest is None else (self._newest.policy.version,)
        self._announced = {version: Announced()}
        await self._ranks.issue(Publish(version=version, keep=keep), PUBLISH_SECONDS)
        self._newest = self._announced.pop(version).whole(Policy(self._attempt, version))
        self._registry.want(self._newest.policy)
        self._ordered.clear()
        behind = [server for server in self._registry.servers if self._lacks_newest(server)]
        for server in behind:
            self._begin(server, self._newest, [_taker(one) for one in behind], self._holding(version))
        seconds = time.monotonic() - started
        self._metrics.weights_published(seconds)
        return seconds

    def join(self, server: Server) -> None:
        """Order the newest version from `server` if it lacks it; an order under way is not given twice."""
        for other in [one for one in self._orders if one.name == server.name and one is not server]:
            self.leave(other)  # the same name at another address
        if self._newest is not None and server not in self._orders and self._lacks_newest(server):
            self._begin(server, self._newest, [_taker(server)], self._ahead_of(server))

    def leave(self, server: Server) -> None:
        """Give up the order of a server that is gone."""
        if order := self._orders.get(server):
            order.cancel()
            self._metrics.weight_failures.inc()

    async def await_version(self, version: int, deadline_seconds: float) -> Sequence[Server]:
        """See WeightTransport."""
        started, first = time.monotonic(), asyncio.FIRST_COMPLETED
        while (
            self._orders and not self._holding(version) and (left := deadline_seconds + started - time.monotonic()) > 0
        ):
            await asyncio.wait(self._orders.values(), timeout=left, return_when=first)
        if self._orders:
            spent = time.monotonic() - started
            await asyncio.wait(self._orders.values(), timeout=max(0.0, min(1.0 + spent, deadline_seconds - spent)))
        return self._holding(version)

    async def abort(self) -> None:
        """Give up all orders and begin none. The files are the pods'."""
        self._newest = None
        orders = list(self._orders.values())
        for order in orders:
            order.cancel()
        await asyncio.gather(*orders, return_exceptions=True)

    def _lacks_newest(self, server: Server) -> bool:
        if server.held.attempt > self._attempt:
            log.warning("a rollout server obeys a newer attempt", server=server.name, attempt=server.held.attempt)
            return False
        return not self._registry.is_current(server)

    def _holding(self, version: int) -> list[Server]:
        wanted = self._registry.wanted
        return self._registry.current if wanted == Policy(self._attempt, version) else []

    def _ahead_of(self, server: Server) -> list[Server]:
        """Those that a server which comes by itself may ask: who holds the version, and who was ordered it before.

        One that failed and comes again asks holders only: those under way may be waiting for it.
        """
        under_way = [] if server in self._ordered else [one for one in self._orders if one in self._registry.servers]
        return [*self._registry.current, *under_way]

    def _begin(self, server: Server, newest: Published, takers: Sequence[Taker], ahead: Sequence[Server]) -> None:
        """Order `newest` from `server`, one of the `takers` that are ordered it together; `ahead` were so before."""
        if (earlier := self._orders.get(server)) is not None:
            earlier.cancel()  # the agent gives an older fetch up when it hears of a newer version
        self._ordered.add(server)
        taker, holders = _taker(server), [_taker(one) for one in ahead]
        shards = tuple(
            Shard(**file.model_dump(), trainer=trainer, peers=peers_of(number, taker, takers, holders))
            for number, (file, trainer) in enumerate(newest.shards)
        )
        order = WeightOrder(
            attempt=newest.policy.attempt, version=newest.policy.version, shards=shards,
            clear_cache=not self._keep_kv, deadline_seconds=newest.order_seconds,
        )  # fmt: skip
        task = asyncio.create_task(self._order(server, newest, order))
        self._orders[server] = task
        task.add_done_callback(lambda done: self._ended(server, done))

    def _ended(self, server: Server, order: asyncio.Task[None]) -> None:
        if self._orders.get(server) is order:
            del self._orders[server]

    async def _order(self, server: Server, newest: Published, order: WeightOrder) -> None:
        try:
            # The agent may use the deadline twice, to fetch and to load, and wait for an older load before that.
            receipt = await self._give(server, order, 3 * newest.order_seconds)
        except (httpx.HTTPError, OrderFailedError, ValidationError) as error:
            # Not ready until it heartbeats again; an older version in that heartbeat brings the order again.
            log.warning("weights not taken over", server=server.name, version=order.version, error=repr(error))
            self._registry.doubt(server)
            self._metrics.weight_failures.inc()
        else:
            self._metrics.weights_received(receipt)
            self._registry.took_over(server, newest.policy)

    async def _give(self, server: Server, order: WeightOrder, seconds: float) -> WeightReceipt:
        response = await self._client.post(
            f"{server.agent_url}/v1/weights",
            json=order.model_dump(mode="json"),
            timeout=httpx.Timeout(seconds, connect=10),
        )
        if response.status_code != 200:
            raise OrderFailedError(f"status {response.status_code}: {response.text[:300]}")
        return WeightReceipt.model_validate_json(response.content)


def _taker(server: Server) -> Taker:
    return Taker(server.shards_url, server.node)
