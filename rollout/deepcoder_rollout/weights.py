"""Fetching a version's shards into shared memory while generation goes on, from peers where they help.

The rules. A peer that is unreachable, silent or sends what is damaged is asked for nothing more of this order. One that
has not got a shard yet is asked again, ever less often; a quarter of the order's time may pass until the shard is here.
One that will not have it is passed over. When no peer of a shard is left the trainer is asked, a few times with growing
pauses. What came whole stays for the next order of the same version.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from deepcoder_api.rollout import Shard, WeightOrder, shard_url
from deepcoder_rollout.shard_download import (
    Bounds,
    NoRoomError,
    SourceError,
    SourceNotYetError,
    download,
)
from deepcoder_rollout.shard_store import ShardStore

AT_ONCE = 8
log = structlog.get_logger("weights")


class FetchFailedError(Exception):
    """The shards could not be had whole before the deadline. The order may be given again."""


@dataclass(frozen=True)
class FetchRules:
    """How long a source may be silent, how often the trainer is asked, and the pauses between, in seconds."""

    silence_seconds: float = 10.0
    trainer_attempts: int = 5
    trainer_pause_seconds: float = 0.5
    first_poll_seconds: float = 0.05
    last_poll_seconds: float = 1.0
    peer_share_of_deadline: float = 0.25


@dataclass
class Fetched:
    """Bytes by where they came from, and the sources that failed, by reason."""

    trainer_bytes: int = 0
    peer_bytes: int = 0
    failures: Counter[str] = field(default_factory=Counter)


async def fetch(order: WeightOrder, store: ShardStore, rules: FetchRules | None = None) -> Fetched:
    """Bring all shards of `order` into the store. Raises FetchFailedError; shards that came by then stay."""
    fetching = _Fetching(order, store, rules or FetchRules())
    try:
        async with asyncio.timeout(order.deadline_seconds):
            return await fetching.all()
    except TimeoutError as error:
        said = f"version {order.version} did not arrive within {order.deadline_seconds:.0f} s"
        raise FetchFailedError(said) from error


class _Fetching:
    """One order's fetch. Downloads run in threads; whatever is decided is decided in the event loop."""

    def __init__(self, order: WeightOrder, store: ShardStore, rules: FetchRules) -> None:
        self._order = order
        self._store = store
        self._rules = rules
        self._deadline = time.monotonic() + order.deadline_seconds
        self._cancelled = threading.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shards")
        self._bad_peers: set[str] = set()
        self._fetched = Fetched()

    async def all(self) -> Fetched:
        """See fetch."""
        missing = self._store.begin(self._order)
        try:
            async with asyncio.TaskGroup() as tasks:
                # First what others wait for: the shards that this server is the first to have.
                for shard in sorted(missing, key=lambda one: bool(one.peers)):
                    tasks.create_task(self._bring(shard))
        except ExceptionGroup as group:
            if group.split(FetchFailedError)[1] is not None:
                raise  # a fault of ours
            raise group.exceptions[0] from group
        finally:
            self._cancelled.set()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._store.give_up()
        return self._fetched

    async def _bring(self, shard: Shard) -> None:
        for peer in shard.peers:
            if peer not in self._bad_peers and await self._from_peer(peer, shard):
                self._fetched.peer_bytes += shard.bytes
                return
        await self._from_trainer(shard)
        self._fetched.trainer_bytes += shard.bytes

    async def _from_peer(self, peer: str, shard: Shard) -> bool:
        """Whether the peer gave the shard, which it may first have to get itself."""
        patience = time.monotonic() + self._rules.peer_share_of_deadline * self._order.deadline_seconds
        pause = self._rules.first_poll_seconds
        while peer not in self._bad_peers:
            try:
                return await self._download(peer, shard, patience)
            except SourceNotYetError:
                if time.monotonic() > patience:
                    self._failed(SourceError("late", f"{peer} has not got {shard.path} yet"))
                    return False
            except SourceError as error:
                self._failed(error)
                if error.reason != "gone":
                    self._bad_peers.add(peer)
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._rules.last_poll_seconds)
        return False

    async def _from_trainer(self, shard: Shard) -> None:
        """Raises FetchFailedError when the trainer has the shard no more, or fails again and again."""
        for attempt in range(1, self._rules.trainer_attempts + 1):
            try:
                await self._download(shard.trainer, shard, self._deadline)
                return
            except (SourceError, SourceNotYetError) as error:
                final = attempt == self._rules.trainer_attempts
                if isinstance(error, SourceError):
                    self._failed(error)
                    final = final or error.reason == "gone"
                if final:
                    raise FetchFailedError(f"version {self._order.version}: {error}") from error
            await asyncio.sleep(self._rules.trainer_pause_seconds * 2 ** (attempt - 1))

    async def _download(self, base: str, shard: Shard, deadline: float) -> bool:
        """Whether the shard came; it is not asked for where somebody has proved useless while this one waited."""
        url = shard_url(base, self._order.attempt, self._order.version, shard.path)
        bounds = Bounds(self._rules.silence_seconds, deadline, self._cancelled)
        async with self._room:
            if base in self._bad_peers:
                return False
            to = self._store.unfinished(shard)
            running = asyncio.get_running_loop().run_in_executor(self._threads, download, url, shard, to, bounds)
            try:
                await running
            except NoRoomError as error:
                raise FetchFailedError(f"version {self._order.version}: {error}") from error
        self._store.arrived(shard, to)
        return True

    def _failed(self, error: SourceError) -> None:
        self._fetched.failures[error.reason] += 1
        log.warning("a source of weights failed", version=self._order.version, reason=error.reason, error=str(error))
