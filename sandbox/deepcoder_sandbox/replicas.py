"""The servers of a client: given one by one, or found again and again behind a name, as replicas come and go."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from deepcoder_sandbox.client_errors import TryAgainError
from deepcoder_sandbox.replica import Replica

RESOLVED = "dns+http"
SCHEMES = ("http", "https", "unix", RESOLVED)
LOOK_EVERY_SECONDS = 5.0
LOOK_AFTER_FAILURE_SECONDS = 0.5
LOOK_SECONDS = 5.0
log = structlog.get_logger()

# Host and port to the addresses behind them. Raises OSError where there is none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# A URL, and the name with port that it was found by, to the server there.
Connect = Callable[[str, str | None], Replica]


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


@dataclass
class _Name:
    """A name and the replicas behind it, by URL."""

    host: str
    port: int
    found: dict[str, Replica] = field(default_factory=dict)


class Replicas:
    """Chooses among servers by load. Names are looked up again every few seconds, soon after a failure, and by need."""

    def __init__(self, urls: Sequence[str], connect: Connect, resolve: Resolve = addresses_of) -> None:
        """Raises ValueError for a URL that is none, and without any."""
        if not urls:
            raise ValueError("a sandbox client needs at least one URL")
        self._connect, self._resolve = connect, resolve
        self._fixed = [connect(_checked(url), None) for url in urls if not url.startswith(f"{RESOLVED}://")]
        self._names = [_name(url) for url in urls if url.startswith(f"{RESOLVED}://")]
        self._leaving: list[Replica] = []
        self._looked = -LOOK_EVERY_SECONDS
        self._looking: asyncio.Task[None] | None = None
        self._failed = False
        self._why = "not looked up yet"

    async def choose(self) -> Replica:
        """The least loaded server that is not to be left alone, or else one that is. Raises TryAgainError."""
        now = time.monotonic()
        return min(await self.all(), key=lambda one: (one.away_until > now, one.in_flight, random.random()))

    async def all(self) -> list[Replica]:
        """Every server that is known; at least one. Raises TryAgainError."""
        await self._look_if_due()
        known = self._known()
        if not known:
            raise TryAgainError("unresolved", self._why)
        return known

    def look_soon(self) -> None:
        """A server failed: those that are there now may be others."""
        self._failed = True

    async def close(self) -> None:
        """Close all connections."""
        if self._looking:
            self._looking.cancel()
        for replica in [*self._known(), *self._leaving]:
            await replica.close()

    def _known(self) -> list[Replica]:
        return [*self._fixed, *(replica for name in self._names for replica in name.found.values())]

    async def _look_if_due(self) -> None:
        if not self._names:
            return
        pause = LOOK_AFTER_FAILURE_SECONDS if self._failed or not self._known() else LOOK_EVERY_SECONDS
        if time.monotonic() - self._looked >= pause and (self._looking is None or self._looking.done()):
            self._looked, self._failed = time.monotonic(), False
            self._looking = asyncio.create_task(self._look())
        if self._looking and not self._known():  # with some known, nobody waits for the resolver
            await asyncio.shield(self._looking)

    async def _look(self) -> None:
        for name in self._names:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    addresses = await self._resolve(name.host, name.port)
            except (OSError, TimeoutError) as error:  # who was there may still be: a resolver fails more easily
                self._why = f"{name.host} cannot be resolved: {error or type(error).__name__}"
                continue
            self._take_over(name, addresses)
        idle = [replica for replica in self._leaving if not replica.in_flight]
        self._leaving = [replica for replica in self._leaving if replica.in_flight]
        for replica in idle:
            await replica.close()

    def _take_over(self, name: _Name, addresses: Sequence[str]) -> None:
        urls = [f"http://{f'[{address}]' if ':' in address else address}:{name.port}" for address in addresses]
        host = f"{name.host}:{name.port}"
        came = {url: self._connect(url, host) for url in urls if url not in name.found}
        left = [name.found.pop(url) for url in list(name.found) if url not in urls]
        name.found |= came
        self._leaving += left
        if came or left:
            log.info("sandbox replicas", name=host, there=len(name.found), came=len(came), left=len(left))


def _checked(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES or not rest:
        raise ValueError(f"{url!r}: a grading server's URL is {', '.join(f'{scheme}://…' for scheme in SCHEMES)}")
    return url


def _name(url: str) -> _Name:
    parts = urlsplit(_checked(url))
    if not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{url!r}: write {RESOLVED}://host:port, without a path")
    return _Name(parts.hostname, parts.port or 80)
