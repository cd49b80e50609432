"""What the orchestrator asks of whatever brings weights to rollout servers. No I/O.

`weights.py` has the transport by pull. One by collectives (NCCL) fits the same calls: `join` and `leave` change who is
in its group, `publish` is the broadcast, `await_version` its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepcoder_trainer.orchestrator.registry import Server


class WeightTransport(Protocol):
    """Brings the newest version to every server that lives."""

    def join(self, server: Server) -> None:
        """A server has been heard of: it is brought up to the newest version if it lacks it. Returns at once."""
        ...

    def leave(self, server: Server) -> None:
        """A server is gone: what was under way with it is given up, and nobody is sent to it."""
        ...

    async def publish(self, version: int) -> float:
        """Make `version` the newest and begin to bring it everywhere; returns the seconds until that began.

        Raises RanksFailed when the ranks do not publish it before their deadline.
        """
        ...

    async def await_version(self, version: int, deadline_seconds: float) -> Sequence[Server]:
        """Wait until servers hold `version`, at most `deadline_seconds`; returns those that do, maybe none.

        Returns at once when no server is under way to it. Stragglers get as long again as the first took.
        """
        ...

    async def abort(self) -> None:
        """Give up everything under way; nothing is begun after it, whoever still joins."""
        ...
