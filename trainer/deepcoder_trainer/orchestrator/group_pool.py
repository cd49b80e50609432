"""The groups under way: begun as soon as they are admitted, taken as batches, while the ranks train on the last one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import first_failure
from deepcoder_trainer.samples import Sample

Group = list[Sample]


class GroupPool:
    """Samples the draws that `admission` admits, each by `sample_group`.

    `taken_over` is awaited with each new version, before anything is begun with it: it spreads what begins over all
    servers that hold the version.
    """

    def __init__(
        self,
        admission: Admission,
        sample_group: Callable[[int], Awaitable[Group]],
        taken_over: Callable[[int], Coroutine[Any, Any, None]],
    ) -> None:
        self._admission = admission
        self._sample_group = sample_group
        self._taken_over = taken_over
        self._groups: dict[int, asyncio.Task[Group]] = {}
        self._openings: set[asyncio.Task[None]] = set()

    def open(self, version: int) -> None:
        """Begin what may be sampled now that `version` is published. Returns at once."""
        opening = asyncio.create_task(self._taken_over(version))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        for draw in self._admission.admit(version):
            self._groups[draw] = asyncio.create_task(self._begin(draw, opening))

    async def take(self, step: int) -> dict[int, Group]:
        """The groups of a batch, by draw and in their order, once enough are there; `forget` those that are trained.

        Raises what a group failed with.
        """
        while (batch := self._admission.choose(step, self._finished())) is None:
            under_way = [group for group in self._groups.values() if not group.done()]
            assert under_way, "all that was admitted is there, and no batch can be made of it"
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        return {draw: self._groups[draw].result() for draw in batch}

    def forget(self, draws: Iterable[int]) -> None:
        """These are trained; what is under way of them is given up."""
        for draw in draws:
            if group := self._groups.pop(draw, None):
                group.cancel()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in (*self._groups.values(), *self._openings):
            task.cancel()
        await asyncio.gather(*self._groups.values(), return_exceptions=True)
        await asyncio.gather(*self._openings, return_exceptions=True)

    async def _begin(self, draw: int, opening: asyncio.Task[None]) -> Group:
        await asyncio.shield(opening)
        return await self._sample_group(draw)

    def _finished(self) -> list[int]:
        done = {draw: group for draw, group in self._groups.items() if group.done()}
        failures = [error for group in done.values() if (error := group.exception())]
        if failures:
            raise first_failure(BaseExceptionGroup("groups failed", failures)) from failures[0]
        return list(done)
