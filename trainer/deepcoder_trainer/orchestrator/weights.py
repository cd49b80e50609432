"""Weights for rollouts: published by the ranks into a folder, served from it, ordered from every server behind."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog
from pydantic import ValidationError

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import WeightOrder, WeightReceipt
from deepcoder_data.folders import file_digest
from deepcoder_trainer.orchestrator.failures import RanksFailed
from deepcoder_trainer.orchestrator.racing import HappenedFirst, unless
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry, Server
from deepcoder_trainer.rank_protocol import Publish

PUBLISH_SECONDS = 1800.0
KEPT_VERSIONS = 2
ORDER_SECONDS = 120.0
SLOWEST_BYTES_PER_SECOND = 20e6
log = structlog.get_logger("weights")


@dataclass(frozen=True)
class Published:
    """One version as it is served: its folder and what is in it."""

    policy: Policy
    folder: Path
    files: tuple[FileDigest, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


class OrderFailedError(Exception):
    """The agent did not take the weights over; it keeps what it had or says that it is not ready."""


class WeightPublisher:
    """The newest versions, and the orders that bring servers up to the newest."""

    def __init__(
        self, *, attempt: int, folder: Path, ranks: RankChannel, registry: RolloutRegistry, client: httpx.AsyncClient,
        received: Callable[[WeightReceipt], None], refused: Callable[[], None],
    ) -> None:  # fmt: skip
        self._attempt = attempt
        self._folder = folder
        self._ranks = ranks
        self._registry = registry
        self._client = client
        self._received = received
        self._refused = refused
        self._versions: dict[int, Published] = {}
        self._orders: dict[Server, asyncio.Task[None]] = {}

    async def publish(self, version: int) -> float:
        """Have the ranks write `version`, want it, and order it everywhere. Returns the seconds until it is served."""
        started = time.monotonic()
        folder = self._folder / f"version-{version}"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True)
        await self._ranks.issue(Publish(version=version, directory=str(folder)), PUBLISH_SECONDS)
        files = await asyncio.to_thread(_digests, folder)
        if not files:
            raise RanksFailed(f"the ranks published version {version} without a file in {folder}")
        self._versions[version] = Published(Policy(self._attempt, version), folder, files)
        self._registry.want(Policy(self._attempt, version))
        for server in self._registry.servers:
            self.bring_up(server)
        await self._forget_old()
        return time.monotonic() - started

    def bring_up(self, server: Server) -> None:
        """Order the wanted weights from `server` if it lacks them; an order under way is not given twice."""
        wanted = self._versions.get(self._registry.wanted.version)
        if wanted is None or self._registry.is_current(server) or server in self._orders:
            return
        if server.held.attempt > self._attempt:
            log.warning("a rollout server obeys a newer attempt", server=server.name, attempt=server.held.attempt)
            return
        self._orders[server] = asyncio.create_task(self._order(server, wanted))

    async def settle(self) -> None:
        """Wait until servers have taken the weights over, so that prompts are spread over all of them from the start.

        Stragglers get as long again as the first took. Returns at once when nothing is under way.
        """
        started = time.monotonic()
        while self._orders and not self._registry.current:
            await asyncio.wait(self._orders.values(), return_when="FIRST_COMPLETED")
        if self._orders:
            await asyncio.wait(self._orders.values(), timeout=1.0 + time.monotonic() - started)

    def file(self, version: int, name: str) -> Path | None:
        """The file `name` of a version that is kept, or None."""
        published = self._versions.get(version)
        if published is None or all(file.path != name for file in published.files):
            return None
        return published.folder / name

    async def close(self) -> None:
        """Give up orders under way and remove the files."""
        for order in self._orders.values():
            order.cancel()
        await asyncio.gather(*self._orders.values(), return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _order(self, server: Server, wanted: Published) -> None:
        seconds = ORDER_SECONDS + wanted.bytes / SLOWEST_BYTES_PER_SECOND
        order = WeightOrder(
            attempt=wanted.policy.attempt,
            version=wanted.policy.version,
            base_url=f"{server.reached_at}/v1/weights/{wanted.policy.version}",
            files=wanted.files,
            deadline_seconds=seconds,
        )
        try:
            # The agent may use the deadline twice, to fetch and to load, and wait for an older order before that.
            receipt = await self._give(server, order, 3 * seconds)
        except (httpx.HTTPError, OrderFailedError, ValidationError) as error:
            # Not ready until it heartbeats again; an older version in that heartbeat brings the order again.
            log.warning("weights not taken over", server=server.name, version=order.version, error=repr(error))
            self._registry.doubt(server)
            self._refused()
        else:
            self._received(receipt)
            self._registry.took_over(server, wanted.policy)
        finally:
            del self._orders[server]

    async def _give(self, server: Server, order: WeightOrder, seconds: float) -> WeightReceipt:
        giving = self._client.post(
            f"{server.agent_url}/v1/weights",
            json=order.model_dump(mode="json"),
            timeout=httpx.Timeout(seconds, connect=10),
        )
        try:
            response = await unless(server.lost, giving)
        except HappenedFirst:
            raise OrderFailedError("it stopped heartbeating") from None
        if response.status_code != 200:
            raise OrderFailedError(f"status {response.status_code}: {response.text[:300]}")
        return WeightReceipt.model_validate_json(response.content)

    async def _forget_old(self) -> None:
        for version in sorted(self._versions)[:-KEPT_VERSIONS]:
            await asyncio.to_thread(shutil.rmtree, self._versions.pop(version).folder, ignore_errors=True)


def _digests(folder: Path) -> tuple[FileDigest, ...]:
    return tuple(file_digest(file, file.name) for file in sorted(folder.glob("*.safetensors")))
