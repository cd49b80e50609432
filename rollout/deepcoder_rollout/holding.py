"""Where a rollout server is, what it holds, and which orders it may obey. No I/O."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from deepcoder_api.rollout import WeightOrder


@dataclass
class Holding:
    """What the server holds: the attempt and version loaded, and whether it may be used."""

    attempt: int = 0
    version: int = 0
    wanted_attempt: int = 0
    wanted_version: int = 0
    heard: bool = False
    usable: bool = False
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def ready(self) -> bool:
        """Whether the orchestrator has said what it wants, and the server is sound and holds no less."""
        return self.heard and self.usable and (self.attempt, self.version) >= (self.wanted_attempt, self.wanted_version)

    def refuses(self, order: WeightOrder) -> str | None:
        """Why an order must not be obeyed: it comes from an older attempt, or goes back in time within one."""
        if order.attempt < self.attempt:
            return f"attempt {order.attempt} is over; the weights of attempt {self.attempt} are loaded"
        if order.attempt == self.attempt and order.version < self.version:
            return f"version {order.version} is older than the loaded {self.version} of the same attempt"
        return None


@dataclass(frozen=True)
class Place:
    """Who and where a server is: its stable name, its machine, and the address and ports that others reach it by."""

    server: str
    node: str
    host: str
    port: int
    generate_port: int
    shards_port: int

    def url(self, port: int) -> str:
        """The URL of one of its ports."""
        return f"http://{self.host}:{port}"
