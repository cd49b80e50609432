"""The orchestrator's side of rank_protocol: an ordered log of commands, and what became of each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from deepcoder_trainer.orchestrator.failures import RanksFailed, RanksRefused
from deepcoder_trainer.rank_protocol import Command, CommandResult, RankFailure, Stop


@dataclass
class _Entry:
    command: Command
    result: asyncio.Future[CommandResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RankChannel:
    """Commands in the order they were issued. Ranks read them by index; rank 0 answers each once."""

    def __init__(self) -> None:
        self._log: list[_Entry] = []
        self._grown = asyncio.Condition()
        self._failure: asyncio.Future[RankFailure] = asyncio.get_running_loop().create_future()

    @property
    def waiting(self) -> int:
        """Commands that have no result yet."""
        return sum(not entry.result.done() for entry in self._log)

    async def issue(self, command: Command, deadline_seconds: float) -> CommandResult:
        """Append `command` and wait for its result. Raises RanksFailed at the deadline or when a rank gives up."""
        entry = _Entry(command)
        async with self._grown:
            self._log.append(entry)
            self._grown.notify_all()
        if self._failure.done():
            raise self._error(self._failure.result())
        await asyncio.wait({entry.result, self._failure}, timeout=deadline_seconds, return_when="FIRST_COMPLETED")
        if entry.result.done():
            return entry.result.result()
        if self._failure.done():
            raise self._error(self._failure.result())
        raise RanksFailed(f"the ranks did not {command.kind} within {deadline_seconds:.0f} s")

    async def read(self, index: int, wait_seconds: float) -> Command | None:
        """The command at `index`; None when it is not issued within `wait_seconds`."""
        try:
            async with asyncio.timeout(wait_seconds), self._grown:
                await self._grown.wait_for(lambda: index < len(self._log))
        except TimeoutError:
            return None
        return self._log[index].command

    def finished(self, index: int, result: CommandResult) -> None:
        """Take up a result; one that comes twice is the same. Raises IndexError for a command never issued."""
        future = self._log[index].result
        if not future.done():
            future.set_result(result)

    def failed(self, failure: RankFailure) -> None:
        """Take up a rank's last word. The first one counts: the others fail because of it."""
        if not self._failure.done():
            self._failure.set_result(failure)

    async def watch(self) -> None:
        """Never returns: raises RanksFailed or RanksRefused as soon as a rank gives up."""
        raise self._error(await asyncio.shield(self._failure))

    async def stop(self, deadline_seconds: float) -> None:
        """Let the ranks leave in good order."""
        if not self._failure.done():
            await self.issue(Stop(), deadline_seconds)

    def _error(self, failure: RankFailure) -> RanksFailed | RanksRefused:
        kind = RanksRefused if failure.permanent else RanksFailed
        return kind(f"rank {failure.rank}: {failure.cause}")
