"""Which rollout servers live, what they hold, and which one takes the next prompts. No I/O; the clock is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from deepcoder_api.rollout import Heartbeat

# Four beats of two seconds, and as long again: a server on a busy machine beats late, and a false alarm costs answers.
EXPIRE_SECONDS = 15.0
# More requests than this would wait inside a server while another, that comes later, idles.
SAMPLES_PER_SERVER = 512


class Policy(NamedTuple):
    """Weights, named by the attempt that made them and the steps they have had."""

    attempt: int
    version: int


BASE_MODEL = Policy(0, 0)


@dataclass(eq=False)
class Server:
    """One rollout server, as last heard of. `shards_url` is where it serves shards; `node` the machine it is on."""

    name: str
    generate_url: str
    agent_url: str
    shards_url: str
    node: str
    held: Policy
    ready: bool
    last_heard: float
    in_flight: int = 0
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class RolloutRegistry:
    """Rollout servers by name. Changes wake those who wait in `reserve`."""

    def __init__(
        self, wanted: Policy, clock: Callable[[], float], expire_seconds: float = EXPIRE_SECONDS,
        samples_per_server: int = SAMPLES_PER_SERVER, begins_with_base_model: bool = True,
    ) -> None:  # fmt: skip
        """`begins_with_base_model`: whether version 0 is what servers hold before their first order."""
        self._first = Policy(1, 0) if begins_with_base_model else None
        self.wanted = wanted
        self._clock = clock
        self._expire_seconds = expire_seconds
        self._samples_per_server = samples_per_server
        self._servers: dict[str, Server] = {}
        self._changed = asyncio.Event()

    @property
    def servers(self) -> list[Server]:
        """Those that live."""
        return list(self._servers.values())

    @property
    def current(self) -> list[Server]:
        """Those that may be given prompts: ready, and holding what is wanted."""
        return [server for server in self._servers.values() if server.ready and self.is_current(server)]

    def is_current(self, server: Server) -> bool:
        """Whether it holds the wanted weights. What the first attempt starts from is the base model itself."""
        return server.held == self.wanted or (server.held == BASE_MODEL and self.wanted == self._first)

    def want(self, policy: Policy) -> None:
        """From now on only servers that hold `policy` are given prompts."""
        self.wanted = policy
        self._wake()

    def heard(self, beat: Heartbeat) -> Server:
        """Take up a heartbeat. A server at a new address is another server: what the old one was doing is lost."""
        server = self._servers.get(beat.server)
        if server is not None and server.generate_url != beat.generate_url:
            self._lose(server)
            server = None
        held = Policy(beat.attempt, beat.version)
        if server is None:
            server = Server(
                beat.server, beat.generate_url, beat.agent_url, beat.shards_url, beat.node, held, beat.ready,
                self._clock(),
            )  # fmt: skip
            self._servers[beat.server] = server
        server.agent_url, server.shards_url, server.node = beat.agent_url, beat.shards_url, beat.node
        server.held, server.ready, server.last_heard = held, beat.ready, self._clock()
        self._wake()
        return server

    def took_over(self, server: Server, policy: Policy) -> None:
        """The server's own receipt, which comes before its next heartbeat."""
        server.held, server.ready = policy, True
        self._wake()

    def doubt(self, server: Server) -> None:
        """A request failed there: no more prompts until it says again that it is ready."""
        server.ready = False
        self._wake()

    def expire(self) -> list[Server]:
        """Drop those that have been silent for too long; what they were doing is to be taken up elsewhere."""
        silent = [s for s in self._servers.values() if self._clock() - s.last_heard > self._expire_seconds]
        for server in silent:
            self._lose(server)
        return silent

    def choose(self, samples: int, avoid: Collection[Server] = ()) -> Server | None:
        """The current server with the fewest samples in flight that has room for `samples`; one outside `avoid` first.

        A server with nothing in flight has room for any number.
        """
        fitting = [
            server
            for server in self.current
            if server.in_flight == 0 or server.in_flight + samples <= self._samples_per_server
        ]
        return min(fitting, key=lambda one: (one in avoid, one.in_flight, one.name), default=None)

    async def reserve(self, samples: int, avoid: Collection[Server], deadline_seconds: float) -> Server:
        """Wait for a server with room and count `samples` as in flight there.

        Raises TimeoutError when no server at all was current for `deadline_seconds` on end. Waiting for room on a
        server that works is bounded by the deadlines of the requests it works on.
        """
        last_current = self._clock()
        while (server := self.choose(samples, avoid)) is None:
            if self.current:
                last_current = self._clock()
            if self._clock() - last_current > deadline_seconds:
                raise TimeoutError
            self._changed.clear()
            try:
                async with asyncio.timeout(min(1.0, deadline_seconds)):
                    await self._changed.wait()
            except TimeoutError:
                continue
        server.in_flight += samples
        return server

    def release(self, server: Server, samples: int = 1) -> None:
        """Samples that are no longer in flight."""
        server.in_flight -= samples
        self._wake()

    def _lose(self, server: Server) -> None:
        server.ready = False
        server.lost.set()
        if self._servers.get(server.name) is server:
            del self._servers[server.name]
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
