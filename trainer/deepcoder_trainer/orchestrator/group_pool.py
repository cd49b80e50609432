"""The groups under way: begun as soon as they are admitted, taken as batches, while the ranks train on the last one.

A group without signal, whose answers all earned the same, is replaced as far as `admission` allows (DAPO, Yu et al.
2025, section 3.2): a further draw begins in its place as soon as that is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import first_failure
from deepcoder_trainer.samples import Replaced, Sample

Group = list[Sample]


@dataclass(frozen=True)
class Taken:
    """A batch: its groups, and those that were replaced since the batch before, each by draw and in their order."""

    groups: Mapping[int, Group]
    replaced: Mapping[int, Replaced]


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
        self._replaced: dict[int, Replaced] = {}
        self._opened: tuple[int, asyncio.Task[None]] | None = None
        self._openings: set[asyncio.Task[None]] = set()

    def open(self, version: int) -> None:
        """Begin what may be sampled now that `version` is published. Returns at once."""
        opening = asyncio.create_task(self._taken_over(version))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)
        self._opened = version, opening
        self._admit()

    async def take(self, step: int) -> Taken:
        """The groups of a batch, once enough are there; `forget` what of them is done with.

        Raises what a group failed with.
        """
        while (batch := self._admission.choose(step, self._finished())) is None:
            under_way = [group for group in self._groups.values() if not group.done()]
            assert under_way, "all that was admitted is there, and no batch can be made of it"
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        replaced = {draw: self._replaced[draw] for draw in sorted(self._replaced)}
        return Taken({draw: self._groups[draw].result() for draw in batch}, replaced)

    def forget(self, draws: Iterable[int]) -> None:
        """These are trained, replaced or withdrawn; what is under way of them is given up."""
        for draw in draws:
            self._replaced.pop(draw, None)
            if group := self._groups.pop(draw, None):
                group.cancel()
        self._replace()

    async def close(self) -> None:
        """Give up what is under way."""
        self._opened = None
        for task in (*self._groups.values(), *self._openings):
            task.cancel()
        await asyncio.gather(*self._groups.values(), return_exceptions=True)
        await asyncio.gather(*self._openings, return_exceptions=True)

    def _admit(self) -> None:
        if self._opened is None:
            return
        version, opening = self._opened
        for draw in self._admission.admit(version):
            group = self._groups[draw] = asyncio.create_task(self._begin(draw, opening))
            if self._admission.replaces:
                group.add_done_callback(lambda _: self._replace())

    def _replace(self) -> None:
        """Replace what has no signal, the earliest draws first, as far as that is allowed."""
        if not self._admission.replaces:
            return
        for draw, group in sorted(self._groups.items()):
            if not group.done() or group.cancelled() or group.exception() or has_signal(group.result()):
                continue
            if self._admission.replace(draw):
                first = self._groups.pop(draw).result()[0]
                self._replaced[draw] = Replaced(first.problem_id, first.epoch, first.reward)
        self._admit()

    async def _begin(self, draw: int, opening: asyncio.Task[None]) -> Group:
        await asyncio.shield(opening)
        return await self._sample_group(draw)

    def _finished(self) -> list[int]:
        self._replace()
        done = {draw: group for draw, group in self._groups.items() if group.done()}
        failures = [error for group in done.values() if (error := group.exception())]
        if failures:
            raise first_failure(BaseExceptionGroup("groups failed", failures)) from failures[0]
        return list(done)


def has_signal(group: Group) -> bool:
    """Whether the grades of a group differ, as its advantages then do. What length takes of a reward does not count."""
    return len({sample.reward for sample in group}) > 1
